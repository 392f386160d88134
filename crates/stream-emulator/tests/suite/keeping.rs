//! What an account has, and what belongs to a video, outlives the server.

use std::path::Path;

use serde_json::{Value, json};
use stream_emulator::{Blobs, Emulator, EmulatorHandle};

use crate::rows::{PNG, VTT, WAV, video};
use crate::world::{call, call_with, call_with_form, plain, result, started};

async fn fill(server: &EmulatorHandle) -> Vec<String> {
    let uid = video(server).await;
    call_with(server, "POST", "/keys", &json!({})).await;
    call(server, "POST", &format!("/{uid}/token")).await;
    let hook = json!({ "notificationUrl": "http://127.0.0.1:9/hook" });
    call_with(server, "PUT", "/webhook", &hook).await;
    call_with_form(server, "POST", "/watermarks", &[("file", PNG)]).await;
    let wishes = json!({ "meta": { "name": "stage" }, "deleteRecordingAfterDays": 30 });
    let input = result(&call_with(server, "POST", "/live_inputs", &wishes).await);
    let input = format!("/live_inputs/{}", input["uid"].as_str().expect("a uid"));
    let output = json!({ "url": "rtmp://a.test/live", "streamKey": "k" });
    call_with(server, "POST", &format!("{input}/outputs"), &output).await;
    let captions = format!("/{uid}/captions");
    call_with_form(
        server,
        "PUT",
        &format!("{captions}/pt-BR"),
        &[("file", VTT)],
    )
    .await;
    call(server, "POST", &format!("{captions}/en/generate")).await;
    let fields = [("label", b"one".as_slice()), ("file", WAV)];
    call_with_form(server, "POST", &format!("/{uid}/audio"), &fields).await;
    call(server, "POST", &format!("/{uid}/downloads")).await;
    let edit = json!({ "creator": "me", "publicDetails": { "title": "t" } });
    call_with(server, "POST", &format!("/{uid}"), &edit).await;
    vec![
        String::new(),
        "/keys".to_owned(),
        "/webhook".to_owned(),
        "/watermarks".to_owned(),
        "/live_inputs?include_counts=true".to_owned(),
        input.clone(),
        format!("{input}/outputs"),
        captions.clone(),
        format!("{captions}/pt-BR"),
        format!("/{uid}/audio"),
        format!("/{uid}/downloads"),
        format!("/{uid}"),
        "/storage-usage".to_owned(),
    ]
}

/// What is there, without what says where this server is.
async fn state(server: &EmulatorHandle, paths: &[String]) -> Vec<Value> {
    let mut state = Vec::new();
    for path in paths {
        let shown = result(&call(server, "GET", path).await).to_string();
        let here = server.addr().to_string();
        state.push(shown.replace(&here, "here").into());
    }
    state
}

#[tokio::test]
async fn a_server_on_the_same_directory_knows_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let builder = || Emulator::builder().blobs(Blobs::Dir(directory.path().to_owned()));
    let server = started(builder()).await;
    let paths = fill(&server).await;
    let before = state(&server, &paths).await;
    let vtt = call(&server, "GET", &format!("{}/vtt", paths[8]))
        .await
        .body;
    // Not gently: what was answered is on the disk.
    drop(server);
    let server = started(builder()).await;
    assert_eq!(state(&server, &paths).await, before);
    let again = call(&server, "GET", &format!("{}/vtt", paths[8]))
        .await
        .body;
    assert_eq!((again.as_slice(), vtt.as_slice()), (VTT, VTT));
}

#[tokio::test]
async fn what_is_deleted_leaves_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::Dir(directory.path().to_owned());
    let server = started(Emulator::builder().blobs(blobs)).await;
    let paths = fill(&server).await;
    for path in [&paths[11], &paths[5], &paths[2]] {
        assert_eq!(call(&server, "DELETE", path).await.status, 200, "{path}");
    }
    for kind in [
        "audio",
        "captions",
        "live-inputs",
        "notices",
        "webhooks",
        "videos",
        "blobs",
    ] {
        let left = std::fs::read_dir(directory.path().join(kind))
            .unwrap()
            .count();
        assert_eq!(left, 0, "{kind}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn no_secret_is_anybodys_to_read() {
    use std::os::unix::fs::PermissionsExt;
    fn look(folder: &Path, files: &mut u32) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = path.metadata().unwrap().permissions().mode() & 0o777;
            if path.is_dir() {
                assert_eq!(mode, 0o700, "{}", path.display());
                look(&path, files);
            } else {
                assert_eq!(mode, 0o600, "{}", path.display());
                *files += 1;
            }
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let blobs = Blobs::Dir(directory.path().join("data"));
    let server = started(Emulator::builder().blobs(blobs)).await;
    fill(&server).await;
    let mut files = 0;
    look(directory.path(), &mut files);
    assert!(files > 10, "{files}");
}

#[tokio::test]
async fn accounts_do_not_see_each_other() {
    let server = plain().await;
    let paths = fill(&server).await;
    for path in &paths {
        let path = format!("/client/v4/accounts/other/stream{path}");
        let answer = crate::wire::send(&server, "GET", &path, &[crate::wire::TOKEN], b"").await;
        let answer = answer.unwrap();
        let is_bare = answer.status == 404
            || matches!(&answer.json()["result"], Value::Array(list) if list.is_empty())
            || answer.json()["result"]["total"] == 0
            || answer.json()["result"]["videoCount"] == 0;
        assert!(is_bare, "{path}: {}", answer.text());
    }
}
