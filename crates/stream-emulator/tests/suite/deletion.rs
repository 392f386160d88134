//! `scheduledDeletion`: a video goes at its time, with all that belongs to it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use stream_emulator::{Blobs, Emulator, EmulatorHandle};

use crate::rows::{VTT, video};
use crate::world::{call, call_with, call_with_form, plain, refusal, result, started};

const DAY: Duration = Duration::from_secs(86_400);

fn on(directory: &Path) -> stream_emulator::EmulatorBuilder {
    Emulator::builder().blobs(Blobs::Dir(directory.to_owned()))
}

/// A video with captions and a download, to be deleted in so many days.
async fn scheduled(server: &EmulatorHandle, days: u32) -> String {
    let uid = video(server).await;
    let captions = format!("/{uid}/captions/de");
    call_with_form(server, "PUT", &captions, &[("file", VTT)]).await;
    call(server, "POST", &format!("/{uid}/downloads")).await;
    schedule(server, &uid, ahead(days)).await;
    uid
}

fn ahead(days: u32) -> Value {
    let at = jiff::Timestamp::try_from(SystemTime::now() + DAY * days + DAY / 24);
    at.expect("a time").to_string().into()
}

async fn schedule(server: &EmulatorHandle, uid: &str, at: Value) {
    let edit = json!({ "scheduledDeletion": at });
    result(&call_with(server, "POST", &format!("/{uid}"), &edit).await);
}

async fn status(server: &EmulatorHandle, uid: &str) -> u16 {
    call(server, "GET", &format!("/{uid}")).await.status
}

/// The files whose names have `uid` in them.
fn files_of(uid: &str, folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|it| it.to_str()).unwrap_or("");
        if name.contains(uid) {
            found.push(path);
        } else if path.is_dir() {
            found.extend(files_of(uid, &path));
        }
    }
    found
}

#[tokio::test]
async fn a_video_is_deleted_at_its_time_and_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = started(on(directory.path())).await;
    let (uid, other) = (scheduled(&server, 31).await, scheduled(&server, 40).await);
    let kept = video(&server).await;
    assert_eq!(files_of(&uid, directory.path()).len(), 5);
    server.advance(DAY * 31).await;
    assert_eq!(status(&server, &uid).await, 200);
    server.advance(DAY).await;
    assert_eq!(
        files_of(&uid, directory.path()),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(
        refusal(&call(&server, "GET", &format!("/{uid}")).await),
        (404, 10003)
    );
    let captions = call(&server, "GET", &format!("/{uid}/captions")).await;
    assert_eq!(refusal(&captions), (404, 10003));
    assert_eq!(status(&server, &other).await, 200);
    server.advance(DAY * 9).await;
    assert_eq!(status(&server, &other).await, 404);
    assert_eq!(status(&server, &kept).await, 200);
}

#[tokio::test]
async fn a_deletion_that_was_called_off_or_put_off_does_not_happen() {
    let server = plain().await;
    let (off, later) = (scheduled(&server, 31).await, scheduled(&server, 31).await);
    schedule(&server, &off, Value::Null).await;
    schedule(&server, &later, ahead(60)).await;
    server.advance(DAY * 32).await;
    assert_eq!(status(&server, &off).await, 200);
    assert_eq!(status(&server, &later).await, 200);
    server.advance(DAY * 29).await;
    assert_eq!(status(&server, &off).await, 200);
    assert_eq!(status(&server, &later).await, 404);
}

#[tokio::test]
async fn what_became_due_while_no_server_ran_is_deleted_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let server = started(on(directory.path())).await;
    let uid = scheduled(&server, 31).await;
    server.shutdown().await.unwrap();
    // As if that long had passed: how far the clock is ahead is kept in a file.
    let ahead = serde_json::to_vec(&(DAY * 32)).unwrap();
    std::fs::write(directory.path().join("clock.json"), ahead).unwrap();
    let server = started(on(directory.path())).await;
    assert_eq!(
        files_of(&uid, directory.path()),
        Vec::<std::path::PathBuf>::new()
    );
    assert_eq!(server.videos(), []);
}
