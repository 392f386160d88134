//! The emulator's own things, below `/_emulator/`.

use sha2::{Digest, Sha256};
use stream_emulator::{Emulator, EmulatorHandle};

use crate::api::{VIDEOS, create};
use crate::wire::{Answer, TOKEN, patch, send, tus};

async fn ask(server: &EmulatorHandle, method: &str, name: &str, body: &str) -> Answer {
    let path = format!("/_emulator/{name}");
    send(server, method, &path, &[TOKEN], body.as_bytes())
        .await
        .expect("an answer")
}

fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn all_of_it_needs_the_token() {
    let server = Emulator::builder().start().await.unwrap();
    for name in ["requests", "uploads", "videos", "faults", "clock"] {
        for method in ["GET", "POST", "DELETE"] {
            let path = format!("/_emulator/{name}");
            let answer = send(&server, method, &path, &[], b"").await.unwrap();
            assert_eq!(answer.status, 401, "{method} {name}");
        }
    }
}

#[tokio::test]
async fn a_strange_method_is_refused() {
    let server = Emulator::builder().start().await.unwrap();
    for (method, name) in [("POST", "videos"), ("GET", "faults"), ("DELETE", "clock")] {
        assert_eq!(ask(&server, method, name, "").await.status, 405);
    }
}

#[tokio::test]
async fn videos_and_uploads_are_shown_with_their_digests() {
    let server = Emulator::builder().start().await.unwrap();
    let (uid, path) = create(&server, "YQ==").await;
    patch(&server, &path, 0, &[TOKEN], b"abcd").await;
    let videos = ask(&server, "GET", "videos", "").await.json();
    assert_eq!(videos[0]["account"], "acc");
    assert_eq!(videos[0]["video"]["uid"], uid.as_str());
    assert_eq!(videos[0]["video"]["status"]["state"], "ready");
    assert_eq!(videos[0]["offset"], 4);
    assert_eq!(videos[0]["sha256"], hex(b"abcd"));

    let generic = crate::wire::create(&server, 10).await;
    patch(&server, &generic, 0, &[], b"abc").await;
    let uploads = ask(&server, "GET", "uploads", "").await.json();
    let uploads = uploads.as_array().unwrap();
    assert_eq!(uploads.len(), 2);
    let generic = uploads.iter().find(|it| it["media_id"].is_null()).unwrap();
    assert_eq!(generic["offset"], 3);
    assert_eq!(generic["length"], 10);
    assert_eq!(generic["complete"], false);
    assert_eq!(generic["partial"], false);
    assert_eq!(generic["sha256"], hex(b"abc"));
}

#[tokio::test]
async fn rows_of_faults_are_added_and_removed() {
    let server = Emulator::builder().start().await.unwrap();
    let rows = r#"[{"fault":"status","status":503,"times":"always","on":"api"}]"#;
    let answer = ask(&server, "POST", "faults", rows).await;
    assert_eq!((answer.status, &answer.json()["rows"]), (200, &1.into()));
    let list = async || send(&server, "GET", VIDEOS, &[TOKEN], b"").await.unwrap();
    assert_eq!(list().await.status, 503);
    assert_eq!(ask(&server, "DELETE", "faults", "").await.status, 200);
    assert_eq!(list().await.status, 200);
    let answer = ask(&server, "POST", "faults", r#"[{"fault":"fire"}]"#).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("row 1"), "{}", answer.text());
}

#[tokio::test]
async fn the_clock_is_put_forward_and_never_back() {
    let server = Emulator::builder().start().await.unwrap();
    let text = |answer: Answer| answer.json()["now"].as_str().map(str::to_owned);
    let now = async || text(ask(&server, "GET", "clock", "").await);
    let before = now().await;
    let answer = ask(&server, "POST", "clock", r#"{"advance_ms":3600000}"#).await;
    assert!(text(answer) > before);
    for bad in [r#"{"advance_ms":-1}"#, r#"{"advance":1}"#, ""] {
        assert_eq!(ask(&server, "POST", "clock", bad).await.status, 400);
    }
    assert!(now().await > before);
}

#[tokio::test]
async fn a_request_is_logged_with_what_matters_and_without_secrets() {
    let server = Emulator::builder().start().await.unwrap();
    let path = format!("{VIDEOS}?direct_user=true");
    let lines = [
        TOKEN,
        "Upload-Length: 4",
        "Upload-Metadata: maxDurationSeconds NjAw",
    ];
    let created = tus(&server, "POST", &path, &lines, b"").await;
    let media = created.header("stream-media-id").unwrap().to_owned();
    patch(&server, &created.location(), 0, &[], b"abcd").await;

    let answer = ask(&server, "GET", "requests", "").await;
    let log = answer.json();
    let creation = &log[0];
    assert_eq!(creation["method"], "POST");
    assert_eq!(creation["path"], path.as_str());
    assert_eq!(creation["upload"], media.as_str());
    assert_eq!(creation["upload_length"], 4);
    assert_eq!(creation["authorized"], true);
    let sent = &log[1];
    assert_eq!(sent["path"], "/tus/-?tusv2=true");
    assert_eq!(sent["upload"], media.as_str());
    assert_eq!(sent["status"], 204);
    assert_eq!(sent["answered"], true);
    assert_eq!(sent["body_bytes"], 4);
    assert_eq!(sent["upload_offset"], 0);
    assert_eq!(sent["authorized"], false);
    assert!(sent["time"].as_str().unwrap().ends_with('Z'));
    let secret = created.location();
    let secret = secret
        .trim_start_matches("/tus/")
        .split('?')
        .next()
        .unwrap();
    let text = answer.text();
    assert!(!text.contains(secret) && !text.contains("local"), "{text}");
}
