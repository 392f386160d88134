//! The main job: real videos to the embedded emulator and back, byte for byte.

use std::fs;

use serde_json::Value;
use stream_emulator::Encoding;
use test_support::fixtures;

use crate::world::{MIB, World, emulator, fed, run};

#[tokio::test]
async fn real_videos_arrive_byte_for_byte_and_their_ids_are_printed() {
    let world = World::new();
    let data = world.path("data");
    let videos = fixtures::videos().unwrap();
    assert!(videos.len() >= 4, "mp4, mov, mkv and webm at least");
    let mut command = world.command();
    command
        .args(["put", "--local", "--data"])
        .arg(&data)
        .args(&videos);
    let ended = run(command).await.expect(0);
    let lines: Vec<_> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), videos.len());
    for line in lines {
        let (id, source) = line.split_once('\t').unwrap();
        let kept = fs::read(data.join("blobs").join(id)).unwrap();
        assert!(kept == fs::read(source).unwrap(), "{source} differs");
    }
}

#[tokio::test]
async fn a_second_run_sends_nothing_and_prints_the_same_ids() {
    let world = World::new();
    let put = || {
        let mut command = world.command();
        command.args(["put", "--local"]).arg(fixtures::media_dir());
        command
    };
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let first = run(put()).await.expect(0);
    let second = run(put()).await.expect(0);
    assert_eq!(sorted(&first.stdout), sorted(&second.stdout));
    let mut machine = put();
    machine.arg("--json");
    let third = run(machine).await.expect(0);
    let summary = &third.events("summary")[0];
    assert_eq!(
        (summary["finished"].as_u64(), summary["bytes_sent"].as_u64()),
        (Some(0), Some(0))
    );
    assert_eq!(third.events("skipped").len(), first.stdout.lines().count());
}

#[tokio::test]
async fn an_emulator_that_was_made_anew_at_the_same_place_gets_the_videos_again() {
    let world = World::new();
    let data = world.path("data");
    let put = || {
        let mut command = world.command();
        command.args(["put", "--local", "--data"]).arg(&data);
        command.arg(fixtures::media_dir().join("clip.mp4"));
        command
    };
    let first = run(put()).await.expect(0);
    fs::remove_dir_all(&data).unwrap();
    let second = run(put()).await.expect(0);
    assert_ne!(first.stdout, second.stdout, "another video");
    let (id, _) = second.stdout.split_once('\t').unwrap();
    assert!(data.join("blobs").join(id).exists());
    assert_eq!(run(put()).await.expect(0).stdout, second.stdout);
}

#[tokio::test]
async fn an_account_gets_the_video_with_its_settings_and_its_life_can_be_followed() {
    let world = World::new();
    let emulator = emulator().encoding(Encoding::Steps).start().await.unwrap();
    let video = fixtures::media_dir().join("clip.mp4");
    let mut command = world.put_to_emulator(&emulator);
    command.args([
        "--name",
        "Day 1",
        "--meta",
        "show=pilot",
        "--creator",
        "unit-b",
        "--require-signed-urls",
    ]);
    let ended = run({
        command.arg(&video);
        command
    })
    .await
    .expect(0);
    let finished = &ended.events("finished")[0];
    let id = finished["media_id"].as_str().unwrap();
    let mut states = Vec::new();
    for _ in 0..3 {
        let answer: Value = serde_json::from_str(
            &get(&emulator.api_url(), &format!("/accounts/acct/stream/{id}")).await,
        )
        .unwrap();
        let result = &answer["result"];
        assert_eq!(result["meta"]["name"], "Day 1");
        assert_eq!(result["meta"]["show"], "pilot");
        assert_eq!(result["creator"], "unit-b");
        assert_eq!(result["requireSignedURLs"], true);
        assert_eq!(result["size"], fs::metadata(&video).unwrap().len());
        states.push(result["status"]["state"].as_str().unwrap().to_owned());
    }
    assert_eq!(states, ["queued", "inprogress", "ready"]);
}

/// One GET with the emulator's token.
async fn get(api: &str, path: &str) -> String {
    use stream_upload::http_transport::{
        API_BODY_LIMIT, Body, Protocol, ReqwestTransport, Transport,
    };
    let request = http::Request::get(format!("{api}{path}"))
        .header("authorization", "Bearer local")
        .body(Body::Empty)
        .unwrap();
    let answer = ReqwestTransport::new(Protocol::Http1)
        .unwrap()
        .send(request)
        .await
        .unwrap();
    let bytes = answer.into_body().collect(API_BODY_LIMIT).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn a_large_file_goes_in_chunks_that_follow_streams_rule() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", 21 * MIB + 7);
    let mut command = world.put_to_emulator(&emulator);
    command.args(["--chunk-size", "5MiB"]).arg(&source);
    let ended = run(command).await.expect(0);
    let chunks: Vec<_> = emulator
        .requests()
        .into_iter()
        .filter(|request| request.method == "PATCH")
        .map(|request| request.body_bytes)
        .collect();
    assert_eq!(chunks, [5 * MIB, 5 * MIB, 5 * MIB, 5 * MIB, MIB + 7]);
    let id = ended.events("finished")[0]["media_id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        emulator.sha256(&id).await.unwrap().unwrap(),
        fixtures::sha256_file(&source).unwrap()
    );
}

#[tokio::test]
async fn a_folder_of_many_files_is_sent_side_by_side_and_each_arrives_once() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    for index in 0..40 {
        world.random_file(
            &format!("shoot/day{}/clip{index}.mp4", index % 3),
            100_000 + index,
        );
    }
    let mut command = world.put_to_emulator(&emulator);
    command.args(["--parallel", "16"]).arg(world.path("shoot"));
    let ended = run(command).await.expect(0);
    assert_eq!(ended.events("finished").len(), 40);
    assert_eq!(emulator.videos().len(), 40);
    for finished in ended.events("finished") {
        let id = finished["media_id"].as_str().unwrap();
        let source = finished["source"].as_str().unwrap();
        assert_eq!(
            emulator.sha256(id).await.unwrap().unwrap(),
            fixtures::sha256_file(source).unwrap()
        );
    }
}

#[tokio::test]
async fn an_empty_file_is_created_and_needs_no_more() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("empty.mp4", 0);
    let mut command = world.command();
    command
        .args(["put", "--json", "--endpoint", &emulator.tus_url()])
        .arg(source);
    let ended = run(command).await.expect(0);
    assert_eq!(
        ended.events("finished")[0]["requests"],
        2,
        "OPTIONS and POST"
    );
}

#[tokio::test]
async fn stdin_is_streamed_where_the_server_takes_a_late_length_and_spooled_where_not() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", 9 * MIB + 5);
    let to_tus = {
        let mut command = world.command();
        command.args([
            "put",
            "--json",
            "--name",
            "live.mov",
            "--endpoint",
            &emulator.tus_url(),
            "-",
        ]);
        command
    };
    let with_length = {
        let mut command = world.command();
        let length = (9 * MIB + 5).to_string();
        command.args(["put", "--json", "--name", "live.mov", "--length", &length]);
        command.args(["--endpoint", &emulator.tus_url(), "-"]);
        command
    };
    let to_stream = {
        let mut command = world.put_to_emulator(&emulator);
        command.args(["--name", "live.mov", "-"]);
        command
    };
    let digest = fixtures::sha256_file(&source).unwrap();
    for (command, spools) in [(to_tus, false), (with_length, false), (to_stream, true)] {
        let ended = run(fed(&command, &source)).await.expect(0);
        assert_eq!(
            ended.stderr.contains("private file"),
            spools,
            "{}",
            ended.stderr
        );
        let id = ended.events("finished")[0]["media_id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(emulator.sha256(&id).await.unwrap().unwrap(), digest);
    }
}

#[tokio::test]
async fn stdin_with_another_length_than_announced_is_never_finished() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mov", 1_000);
    for length in ["999", "1001"] {
        let mut command = world.command();
        command.args([
            "put",
            "--name",
            "a",
            "--length",
            length,
            "--endpoint",
            &emulator.tus_url(),
            "-",
        ]);
        run(fed(&command, &source)).await.expect(3);
    }
    assert!(emulator.uploads().iter().all(|upload| !upload.complete));
}
