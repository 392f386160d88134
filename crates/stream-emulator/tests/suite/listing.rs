//! The listing of videos: its order, its filters, its limits.

use std::time::Duration;

use stream_api::VideoState;
use stream_emulator::{Emulator, EmulatorHandle, Quirks};

use crate::api::{VIDEOS, create, get};
use crate::wire::{Answer, TOKEN, patch, tus};

fn uids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let videos = answer.json()["result"].as_array().cloned().expect("a list");
    videos
        .iter()
        .map(|video| video["uid"].as_str().expect("a uid").to_owned())
        .collect()
}

async fn list(server: &EmulatorHandle, query: &str) -> Vec<String> {
    uids(&get(server, &format!("{VIDEOS}{query}")).await)
}

#[tokio::test]
async fn videos_are_listed_newest_first_and_narrowed() {
    let server = Emulator::builder().start().await.unwrap();
    let (first, path) = create(&server, "Rmlyc3QgY3V0").await;
    let lines = [
        TOKEN,
        "Upload-Length: 4",
        "Upload-Creator: me",
        "Upload-Metadata: name U2Vjb25k",
    ];
    let second = tus(&server, "POST", VIDEOS, &lines, b"").await;
    let second = second.header("stream-media-id").unwrap().to_owned();
    patch(&server, &path, 0, &[TOKEN], b"abcd").await;
    for (query, wanted) in [
        ("", vec![&second, &first]),
        ("?asc=true", vec![&first, &second]),
        ("?limit=1", vec![&second]),
        ("?limit=1000", vec![&second, &first]),
        ("?status=pendingupload", vec![&second]),
        ("?status=ready", vec![&first]),
        ("?search=CUT", vec![&first]),
        ("?video_name=Second", vec![&second]),
        ("?creator=me", vec![&second]),
        ("?creator=you", vec![]),
        ("?type=vod", vec![&second, &first]),
        ("?type=live", vec![]),
        ("?after=2999-01-01T00:00:00Z", vec![]),
        ("?before=2999-01-01T00:00:00Z", vec![&second, &first]),
        (&format!("?id={first},nope"), vec![&first]),
        (
            &format!("?name={second},First%20cut"),
            vec![&second, &first],
        ),
        ("?status=ready,pendingupload", vec![&second, &first]),
        ("?status=ready,error", vec![&first]),
        ("?start=2999-01-01T00:00:00Z", vec![]),
        ("?end=2999-01-01T00:00:00+02:00", vec![&second, &first]),
        ("?live_input_id=nope", vec![]),
        ("?limit=1.0&unknown=1", vec![&second]),
    ] {
        let listed = list(&server, query).await;
        assert_eq!(listed.iter().collect::<Vec<_>>(), wanted, "{query}");
    }
}

#[tokio::test]
async fn after_takes_its_own_moment_in_and_before_leaves_it_out() {
    let server = Emulator::builder().start().await.unwrap();
    let (first, _) = create(&server, "YQ==").await;
    server.advance(Duration::from_secs(1)).await;
    let (second, _) = create(&server, "Yg==").await;
    let video = get(&server, &format!("{VIDEOS}/{second}")).await.json();
    let created = video["result"]["created"].as_str().unwrap();
    let query = |field: &str| format!("?{field}={created}");
    assert_eq!(list(&server, &query("after")).await, [second]);
    assert_eq!(list(&server, &query("before")).await, [first]);
}

#[tokio::test]
async fn counts_are_numbers_or_texts_and_absent_from_an_empty_list() {
    let server = Emulator::builder().start().await.unwrap();
    let path = format!("{VIDEOS}?include_counts=true&limit=1");
    assert!(get(&server, &path).await.json().get("total").is_none());
    create(&server, "YQ==").await;
    create(&server, "YQ==").await;
    let counted = get(&server, &path).await.json();
    assert_eq!(
        (&counted["total"], &counted["range"]),
        (&2.into(), &1.into())
    );
    let mut quirks = Quirks::NONE;
    quirks.numbers_as_text = true;
    server.set_quirks(quirks);
    let counted = get(&server, &path).await.json();
    assert_eq!(
        (&counted["total"], &counted["range"]),
        (&"2".into(), &"1".into())
    );
}

#[tokio::test]
async fn a_listing_out_of_bounds_is_10005() {
    let server = Emulator::builder().start().await.unwrap();
    for bad in [
        "limit=1001",
        "limit=0",
        "limit=abc",
        "after=yesterday",
        "type=film",
        "status=dreaming",
    ] {
        let answer = get(&server, &format!("{VIDEOS}?{bad}")).await;
        assert_eq!(
            (answer.status, &answer.json()["errors"][0]["code"]),
            (400, &10005.into()),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn each_state_can_be_asked_for() {
    let server = Emulator::builder().start().await.unwrap();
    for state in [VideoState::Queued, VideoState::LiveInProgress] {
        assert!(list(&server, &format!("?status={state}")).await.is_empty());
    }
}

#[tokio::test]
async fn a_limit_that_is_no_number_can_break_the_server_as_it_was_seen_to() {
    let server = Emulator::builder()
        .quirks(Quirks::all())
        .start()
        .await
        .unwrap();
    let answer = get(&server, &format!("{VIDEOS}?limit=abc")).await;
    assert_eq!((answer.status, answer.body.len()), (500, 0));
    let answer = get(&server, &format!("{VIDEOS}?limit=1001")).await;
    assert_eq!(answer.status, 400);
}
