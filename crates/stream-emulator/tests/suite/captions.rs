//! Captions of a video.

use std::time::Duration;

use serde_json::json;
use stream_emulator::{Emulator, EmulatorHandle, Encoding};

use crate::api::create;
use crate::wire::{TOKEN, patch};
use crate::world::{call, call_with_form, plain, refusal, result, started};

const VTT: &[u8] = b"WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n";

async fn video(server: &EmulatorHandle) -> String {
    let (uid, path) = create(server, "YQ==").await;
    patch(server, &path, 0, &[TOKEN], b"abcd").await;
    format!("/{uid}/captions")
}

#[tokio::test]
async fn captions_are_uploaded_read_and_deleted() {
    let server = plain().await;
    let captions = video(&server).await;
    let path = format!("{captions}/tr");
    let put = call_with_form(&server, "PUT", &path, &[("file", VTT)]).await;
    let wanted =
        json!({ "language": "tr", "label": "Türkçe", "generated": false, "status": "ready" });
    assert_eq!(result(&put), wanted);
    assert_eq!(result(&call(&server, "GET", &path).await), wanted);
    assert_eq!(
        result(&call(&server, "GET", &captions).await),
        json!([wanted])
    );
    let vtt = call(&server, "GET", &format!("{path}/vtt")).await;
    assert_eq!(vtt.header("content-type"), Some("text/vtt; charset=utf-8"));
    assert_eq!(vtt.body, VTT);
    assert_eq!(result(&call(&server, "DELETE", &path).await), "");
    for (method, path) in [
        ("DELETE", &path),
        ("GET", &path),
        ("GET", &format!("{path}/vtt")),
    ] {
        assert_eq!(refusal(&call(&server, method, path).await), (404, 10003));
    }
}

#[tokio::test]
async fn what_is_no_webvtt_or_no_language_is_refused() {
    let server = plain().await;
    let captions = video(&server).await;
    let srt = b"1\n00:00:01,000 --> 00:00:02,000\nhello\n".as_slice();
    for (language, fields) in [
        ("en", vec![("file", srt)]),
        ("en", vec![("other", VTT)]),
        ("e", vec![("file", VTT)]),
        ("en_US", vec![("file", VTT)]),
    ] {
        let path = format!("{captions}/{language}");
        let refused = call_with_form(&server, "PUT", &path, &fields).await;
        assert_eq!(refusal(&refused), (400, 10005), "{language}");
    }
    let large = [VTT, &vec![b'x'; 10 * 1024 * 1024]].concat();
    let path = format!("{captions}/en");
    let refused = call_with_form(&server, "PUT", &path, &[("file", &large)]).await;
    assert_eq!(refusal(&refused).0, 413);
    assert_eq!(result(&call(&server, "GET", &captions).await), json!([]));
}

#[tokio::test]
async fn generated_captions_take_as_long_as_a_video() {
    let time = Encoding::After(Duration::from_secs(100));
    let server = started(Emulator::builder().encoding(time)).await;
    let captions = video(&server).await;
    let path = format!("{captions}/pt");
    let generate = format!("{path}/generate");
    // Not of a video that is not ready.
    assert_eq!(
        refusal(&call(&server, "POST", &generate).await),
        (400, 10005)
    );
    server.advance(Duration::from_secs(100)).await;
    let made = result(&call(&server, "POST", &generate).await);
    assert_eq!(
        made,
        json!({ "language": "pt", "label": "Português (auto-generated)",
            "generated": true, "status": "inprogress" })
    );
    assert_eq!(
        refusal(&call(&server, "GET", &format!("{path}/vtt")).await),
        (404, 10003)
    );
    server.advance(Duration::from_secs(100)).await;
    assert_eq!(
        result(&call(&server, "GET", &path).await)["status"],
        "ready"
    );
    let vtt = call(&server, "GET", &format!("{path}/vtt")).await;
    assert!(vtt.text().starts_with("WEBVTT\n\n1\n00:00:00.000 --> "));
    // Once is enough, and of a few languages only.
    assert_eq!(
        refusal(&call(&server, "POST", &generate).await),
        (400, 10005)
    );
    let other = format!("{captions}/tr/generate");
    assert_eq!(refusal(&call(&server, "POST", &other).await), (400, 10005));
}

#[tokio::test]
async fn captions_go_with_their_video() {
    let server = plain().await;
    let captions = video(&server).await;
    let path = format!("{captions}/en");
    call_with_form(&server, "PUT", &path, &[("file", VTT)]).await;
    let uid = captions.trim_end_matches("/captions");
    assert_eq!(call(&server, "DELETE", uid).await.status, 200);
    assert_eq!(refusal(&call(&server, "GET", &path).await), (404, 10003));
}
