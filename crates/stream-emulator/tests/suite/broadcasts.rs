//! Broadcasts to live inputs: how the input is connected, and what is recorded.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use stream_api::VideoState;
use stream_emulator::{Blobs, EmulatorBuilder, EmulatorHandle};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::media::{media, strict};
use crate::wire::{Answer, connect, head, read_answer, send};
use crate::world::{call, call_with, result, started};

/// A live input: its path, and where to broadcast to.
struct Input {
    path: String,
    uid: String,
    ingest: String,
}

async fn input(server: &EmulatorHandle, wishes: Value) -> Input {
    let made = result(&call_with(server, "POST", "/live_inputs", &wishes).await);
    let uid = made["uid"].as_str().unwrap().to_owned();
    let key = made["rtmps"]["streamKey"].as_str().unwrap();
    Input {
        path: format!("/live_inputs/{uid}"),
        ingest: format!("/live/{key}"),
        uid,
    }
}

fn recorded() -> Value {
    json!({ "meta": { "name": "stage" }, "recording": { "mode": "automatic" } })
}

impl Input {
    async fn status(&self, server: &EmulatorHandle) -> Value {
        result(&call(server, "GET", &self.path).await)["status"].clone()
    }

    async fn recordings(&self, server: &EmulatorHandle) -> Vec<Value> {
        let query = format!("?live_input_id={}", self.uid);
        let listed = result(&call(server, "GET", &query).await);
        listed.as_array().unwrap().clone()
    }

    /// The head of a broadcast without an end, and some of it.
    async fn begin(&self, server: &EmulatorHandle, bytes: &[u8]) -> TcpStream {
        let mut stream = connect(server).await;
        let lines = ["Transfer-Encoding: chunked"];
        let head = head(server, "POST", &self.ingest, &lines);
        stream.write_all(head.as_bytes()).await.unwrap();
        chunk(&mut stream, bytes).await;
        // It is there once the server has told so.
        let on = |server: &EmulatorHandle| {
            server.live_inputs().iter().any(|it| {
                let word = it.status.as_deref().unwrap_or_default();
                it.is_on && ["connected", "reconnected"].contains(&word)
            })
        };
        server.wait_until(on).await;
        stream
    }

    async fn broadcast(&self, server: &EmulatorHandle, bytes: &[u8]) -> Answer {
        send(server, "POST", &self.ingest, &[], bytes)
            .await
            .unwrap()
    }
}

async fn chunk(stream: &mut TcpStream, bytes: &[u8]) {
    let head = format!("{:x}\r\n", bytes.len());
    let chunk = [head.as_bytes(), bytes, b"\r\n"].concat();
    stream.write_all(&chunk).await.unwrap();
}

fn is_over(server: &EmulatorHandle) -> bool {
    server.live_inputs().iter().all(|it| !it.is_on)
}

#[tokio::test]
async fn a_broadcast_is_live_while_it_comes_and_a_real_video_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = media("clip.ts");
    for blobs in [Blobs::Memory, Blobs::Dir(directory.path().to_owned())] {
        let server = started(strict().blobs(blobs)).await;
        let input = input(&server, recorded()).await;
        assert_eq!(input.status(&server).await, Value::Null);
        let mut stream = input.begin(&server, &bytes[..20_000]).await;
        assert_eq!(input.status(&server).await, "connected");
        let live = input.recordings(&server).await.remove(0);
        assert_eq!(live["status"]["state"], "live-inprogress", "{live}");
        assert_eq!(live["readyToStream"], false);
        assert_eq!(live["liveInput"], input.uid.as_str());
        chunk(&mut stream, &bytes[20_000..]).await;
        stream.write_all(b"0\r\n\r\n").await.unwrap();
        let answer = read_answer(&mut stream, false).await.unwrap();
        assert_eq!(
            (answer.status, &answer.json()["bytes"]),
            (200, &42_676.into())
        );
        assert_eq!(input.status(&server).await, "client_disconnect");
        let video = input.recordings(&server).await.remove(0);
        assert_eq!(video["uid"], live["uid"]);
        assert_eq!(video["status"]["state"], "ready", "{video}");
        assert_eq!(video["input"], json!({ "width": 352, "height": 288 }));
        let name = video["meta"]["name"].as_str().unwrap();
        assert!(
            name.starts_with("stage ") && name.ends_with(" UTC"),
            "{name}"
        );
        let played = format!("/{}/original", video["uid"].as_str().unwrap());
        let played = send(&server, "GET", &played, &[], b"").await.unwrap();
        assert_eq!((played.status, &played.body), (200, &bytes));
        // Whoever reads the log learns no key.
        assert!(server.requests().iter().any(|it| it.path == "/live/-"));
        server.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn a_recording_is_as_the_input_wants_it() {
    let server = started(strict()).await;
    let wishes = json!({ "defaultCreator": "me", "deleteRecordingAfterDays": 45, "recording": {
        "mode": "automatic", "requireSignedURLs": true, "allowedOrigins": ["example.com"] } });
    let input = input(&server, wishes).await;
    input.broadcast(&server, &media("clip.ts")).await;
    let video = input.recordings(&server).await.remove(0);
    assert_eq!(video["requireSignedURLs"], true);
    assert_eq!(video["allowedOrigins"], json!(["example.com"]));
    assert_eq!(video["creator"], "me");
    let deletion: jiff::Timestamp = video["scheduledDeletion"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let ahead = SystemTime::from(deletion)
        .duration_since(SystemTime::now())
        .unwrap();
    assert_eq!(ahead.as_secs() / 86_400, 44);
    server.advance(Duration::from_secs(45 * 86_400)).await;
    assert_eq!(input.recordings(&server).await, Vec::<Value>::new());
}

#[tokio::test]
async fn what_is_not_recorded_leaves_no_video() {
    let server = started(strict()).await;
    let off = input(&server, json!({})).await;
    let answer = off.broadcast(&server, &media("clip.ts")).await;
    assert_eq!(
        (answer.status, &answer.json()["recording"]),
        (200, &Value::Null)
    );
    assert_eq!(off.status(&server).await, "client_disconnect");
    let empty = input(&server, recorded()).await;
    assert_eq!(empty.broadcast(&server, b"").await.status, 200);
    assert_eq!(server.videos(), []);
}

#[tokio::test]
async fn a_broadcast_that_breaks_off_may_come_back_in_time() {
    let server = started(strict()).await;
    let mut wishes = recorded();
    wishes["recording"]["timeoutSeconds"] = 60.into();
    let input = input(&server, wishes).await;
    let bytes = media("clip.ts");
    let stream = input.begin(&server, &bytes[..18_800]).await;
    drop(stream);
    server.wait_until(is_over).await;
    assert_eq!(input.status(&server).await, "reconnecting");
    let mut stream = input.begin(&server, &bytes[18_800..]).await;
    assert_eq!(input.status(&server).await, "reconnected");
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(read_answer(&mut stream, false).await.unwrap().status, 200);
    // It could still come back.
    let live = input.recordings(&server).await;
    assert_eq!(live[0]["status"]["state"], "live-inprogress");
    server.advance(Duration::from_secs(60)).await;
    let videos = input.recordings(&server).await;
    assert_eq!(
        (videos.len(), &videos[0]["status"]["state"]),
        (1, &"ready".into())
    );
    let uid = videos[0]["uid"].as_str().unwrap();
    assert_eq!(server.content(uid).await.unwrap().unwrap(), bytes);
    assert_eq!(input.status(&server).await, "client_disconnect");
}

#[tokio::test]
async fn a_broadcaster_that_does_not_come_back_leaves_what_it_sent() {
    let server = started(strict()).await;
    let mut hypotheses = server.hypotheses();
    hypotheses.recording_timeout = Duration::from_secs(30);
    server.set_hypotheses(hypotheses);
    let input = input(&server, recorded()).await;
    drop(input.begin(&server, &media("clip.ts")).await);
    server.wait_until(is_over).await;
    assert_eq!(input.status(&server).await, "reconnecting");
    server.advance(Duration::from_secs(30)).await;
    assert_eq!(input.status(&server).await, "failed_to_reconnect");
    let videos = input.recordings(&server).await;
    assert_eq!(videos[0]["status"]["state"], "ready");
    // The next one is another recording.
    input.broadcast(&server, &media("clip.ts")).await;
    assert_eq!(input.recordings(&server).await.len(), 2);
}

#[tokio::test]
async fn who_may_not_broadcast_is_refused() {
    let server = started(strict()).await;
    let input = input(&server, recorded()).await;
    let bytes = media("clip.ts");
    let stranger = format!("/live/{}", "0".repeat(64));
    let refused = send(&server, "POST", &stranger, &[], &bytes).await.unwrap();
    assert_eq!(refused.status, 404);
    let read = send(&server, "GET", &input.ingest, &[], b"").await.unwrap();
    assert_eq!(read.status, 405);
    let first = input.begin(&server, &bytes).await;
    assert_eq!(input.broadcast(&server, &bytes).await.status, 409);
    drop(first);
    server.wait_until(is_over).await;
    let off = json!({ "enabled": false });
    call_with(&server, "PUT", &input.path, &off).await;
    assert_eq!(input.broadcast(&server, &bytes).await.status, 403);
    assert_eq!(input.status(&server).await, "failed_to_connect");
    let rotate = format!("{}/rotate_keys", input.path);
    call(&server, "POST", &rotate).await;
    assert_eq!(input.broadcast(&server, &bytes).await.status, 404);
    assert_eq!(input.recordings(&server).await.len(), 1);
}

#[tokio::test]
async fn an_input_that_is_disabled_or_deleted_hangs_up_and_keeps_its_recording() {
    let server = started(strict()).await;
    for deletes in [false, true] {
        let input = input(&server, recorded()).await;
        let mut stream = input.begin(&server, &media("clip.ts")).await;
        if deletes {
            call(&server, "DELETE", &input.path).await;
        } else {
            let off = json!({ "enabled": false });
            call_with(&server, "PUT", &input.path, &off).await;
        }
        let answer = read_answer(&mut stream, false).await.unwrap();
        assert_eq!(answer.status, 403);
        let videos = input.recordings(&server).await;
        assert_eq!(videos.len(), 1, "deletes: {deletes}");
        assert_eq!(videos[0]["status"]["state"], "ready");
    }
}

#[tokio::test]
async fn a_recording_outlives_the_server_that_made_it() {
    let directory = tempfile::tempdir().unwrap();
    let builder = || -> EmulatorBuilder { strict().blobs(Blobs::Dir(directory.path().to_owned())) };
    let server = started(builder()).await;
    let mut wishes = recorded();
    wishes["recording"]["timeoutSeconds"] = 3600.into();
    let input = input(&server, wishes).await;
    drop(input.begin(&server, &media("clip.ts")).await);
    server.wait_until(is_over).await;
    drop(server);
    let server = started(builder()).await;
    assert_eq!(input.status(&server).await, "failed_to_reconnect");
    let video = server.videos().remove(0).video;
    assert_eq!(video.state(), VideoState::Ready);
    let bytes = server.content(&video.uid).await.unwrap().unwrap();
    assert_eq!(bytes, media("clip.ts"));
}

#[tokio::test]
async fn the_id_of_an_input_is_answered_with_nothing_to_play() {
    let server = started(strict()).await;
    let input = input(&server, recorded()).await;
    let path = format!("/{}/manifest/video.m3u8", input.uid);
    let answer = send(&server, "GET", &path, &[], b"").await.unwrap();
    assert_eq!((answer.status, answer.body.len()), (204, 0));
}

#[tokio::test]
async fn ffmpeg_broadcasts() {
    let server = started(strict()).await;
    let input = input(&server, recorded()).await;
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/media/clip.mp4");
    let url = format!("{}{}", server.url(), input.ingest);
    let sent = tokio::process::Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-i", source])
        .args(["-c", "copy", "-f", "mpegts", &url])
        .output()
        .await
        .expect("ffmpeg is missing: apt-get install ffmpeg");
    assert!(
        sent.status.success(),
        "{}",
        String::from_utf8_lossy(&sent.stderr)
    );
    // It does not wait for the answer.
    let has_ended = |server: &EmulatorHandle| {
        let requests = server.requests();
        is_over(server) && requests.iter().any(|it| it.path == "/live/-")
    };
    server.wait_until(has_ended).await;
    let video = input.recordings(&server).await.remove(0);
    assert_eq!(video["status"]["state"], "ready", "{video}");
    let seconds = video["duration"].as_f64().unwrap();
    assert!((1.9..2.2).contains(&seconds), "{seconds}");
}
