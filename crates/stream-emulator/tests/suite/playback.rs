//! Playback: by ranges, and only for whom it is meant.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use stream_emulator::{EmulatorHandle, Encoding};

use crate::api::VIDEOS;
use crate::media::{ask, media, strict, upload};
use crate::wire::{Answer, send};

async fn play(server: &EmulatorHandle, path: &str, lines: &[&str]) -> Answer {
    send(server, "GET", path, lines, b"")
        .await
        .expect("an answer")
}

async fn edit(server: &EmulatorHandle, uid: &str, body: Value) {
    let answer = ask(server, "POST", &format!("{VIDEOS}/{uid}"), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn the_original_plays_by_ranges() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = media("clip.mp4");
    for blobs in [
        stream_emulator::Blobs::Memory,
        stream_emulator::Blobs::Dir(directory.path().to_owned()),
    ] {
        let server = strict().blobs(blobs).start().await.unwrap();
        let uid = upload(&server, &bytes, "").await;
        let path = format!("/{uid}/original");
        let whole = play(&server, &path, &[]).await;
        assert_eq!((whole.status, &whole.body), (200, &bytes));
        assert_eq!(whole.header("content-type"), Some("video/mp4"));
        assert_eq!(whole.header("accept-ranges"), Some("bytes"));
        let part = play(&server, &path, &["Range: bytes=1000-1999"]).await;
        assert_eq!((part.status, &part.body[..]), (206, &bytes[1000..2000]));
        assert_eq!(part.header("content-range"), Some("bytes 1000-1999/69162"));
        let end = play(&server, &path, &["Range: bytes=69000-"]).await;
        assert_eq!((end.status, &end.body[..]), (206, &bytes[69_000..]));
        let beyond = play(&server, &path, &["Range: bytes=69162-"]).await;
        assert_eq!(beyond.status, 416);
        let head = send(&server, "HEAD", &path, &[], b"").await.unwrap();
        assert_eq!(head.header("content-length"), Some("69162"));
        let written = send(&server, "POST", &path, &[], b"x").await.unwrap();
        assert_eq!(written.status, 405);
        server.shutdown().await.unwrap();
    }
}

#[tokio::test]
async fn only_what_is_ready_plays() {
    let server = strict().encoding(Encoding::After(Duration::from_secs(10)));
    let server = server.start().await.unwrap();
    let uid = upload(&server, &media("clip.mp4"), "").await;
    let path = format!("/{uid}/original");
    assert_eq!(play(&server, &path, &[]).await.status, 404);
    server.advance(Duration::from_secs(10)).await;
    assert_eq!(play(&server, &path, &[]).await.status, 200);
    let watch = play(&server, &format!("/{uid}/watch"), &[]).await;
    assert!(watch.text().contains("<video"), "{}", watch.text());
    for path in [
        format!("/{uid}/manifest/..%2f..%2foriginal"),
        format!("/{uid}/manifest/video.mp4"),
        format!("/{uid}"),
        "/nobodynobodynobody/original".to_owned(),
        "/a.b.c/original".to_owned(),
    ] {
        let status = play(&server, &path, &[]).await.status;
        assert!(matches!(status, 401 | 404), "{path}: {status}");
    }
}

#[tokio::test]
async fn an_origin_that_is_not_allowed_plays_nothing() {
    let server = strict().start().await.unwrap();
    let uid = upload(&server, &media("clip.mp4"), "").await;
    edit(
        &server,
        &uid,
        json!({ "allowedOrigins": ["*.example.com"] }),
    )
    .await;
    let path = format!("/{uid}/original");
    let own = format!("Referer: {}/", server.url());
    for (line, status) in [
        ("Origin: https://www.example.com", 200),
        ("Referer: https://www.example.com/page", 200),
        ("Origin: https://example.com", 403),
        ("Origin: https://evil.example", 403),
        ("Origin: null", 403),
        (own.as_str(), 200),
        ("Accept: */*", 200),
    ] {
        assert_eq!(play(&server, &path, &[line]).await.status, status, "{line}");
    }
}

#[tokio::test]
async fn a_video_that_needs_a_token_plays_with_none_but_a_token() {
    let server = strict().start().await.unwrap();
    // Bare: presence is enough.
    let uid = upload(&server, &media("clip.mp4"), "requiresignedurls").await;
    let refused = play(&server, &format!("/{uid}/original"), &[]).await;
    assert_eq!(refused.status, 401);
    let claims =
        BASE64_URL_SAFE_NO_PAD.encode(json!({ "sub": uid, "exp": 4_000_000_000_u64 }).to_string());
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "RS256", "kid": "0" }),
    ] {
        let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
        let signature = BASE64_URL_SAFE_NO_PAD.encode([7; 256]);
        let forged = format!("/{header}.{claims}.{signature}/original");
        assert_eq!(play(&server, &forged, &[]).await.status, 401);
    }
    let log = server.requests();
    let paths = log.iter().map(|request| request.path.as_str());
    assert!(
        paths.clone().any(|path| path == "/-/original"),
        "tokens are secrets"
    );
    assert!(!paths.into_iter().any(|path| path.contains(&claims)));
}

/// A token that the API signs, with these wishes.
async fn token(server: &EmulatorHandle, uid: &str, wishes: Value) -> String {
    let answer = ask(server, "POST", &format!("{VIDEOS}/{uid}/token"), &wishes).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.json()["result"]["token"].clone();
    token.as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn a_token_plays_its_video_until_it_expires() {
    let server = strict().start().await.unwrap();
    let uid = upload(&server, &media("clip.mp4"), "requiresignedurls").await;
    let other = upload(&server, &media("clip.webm"), "requiresignedurls").await;
    let token = token(&server, &uid, json!({})).await;
    let path = format!("/{token}/original");
    let played = play(&server, &path, &["Range: bytes=0-9"]).await;
    assert_eq!(
        (played.status, &played.body[..]),
        (206, &media("clip.mp4")[..10])
    );
    assert_eq!(
        play(&server, &format!("/{other}/original"), &[])
            .await
            .status,
        401
    );
    server.advance(Duration::from_secs(3601)).await;
    assert_eq!(play(&server, &path, &[]).await.status, 401);
}

#[tokio::test]
async fn a_token_is_worth_nothing_once_its_key_is_revoked() {
    let server = strict().start().await.unwrap();
    let uid = upload(&server, &media("clip.mp4"), "requiresignedurls").await;
    let keys = format!("{VIDEOS}/keys");
    let key = ask(&server, "POST", &keys, &json!({})).await.json()["result"].clone();
    let wishes = json!({ "id": key["id"], "pem": key["pem"] });
    let token = token(&server, &uid, wishes).await;
    let path = format!("/{token}/original");
    assert_eq!(play(&server, &path, &[]).await.status, 200);
    let revoke = format!("{keys}/{}", key["id"].as_str().unwrap());
    assert_eq!(
        ask(&server, "DELETE", &revoke, &json!({})).await.status,
        200
    );
    assert_eq!(play(&server, &path, &[]).await.status, 401);
}

#[tokio::test]
async fn rules_of_access_are_kept_for_each_viewer() {
    let server = strict().start().await.unwrap();
    let uid = upload(&server, &media("clip.mp4"), "requiresignedurls").await;
    let rules = json!({ "accessRules": [
        { "type": "ip.src", "action": "allow", "ip": ["192.0.2.0/24"] },
        { "type": "ip.geoip.country", "action": "allow", "country": ["DE"] },
        { "type": "any", "action": "block" },
    ]});
    let token = token(&server, &uid, rules).await;
    let path = format!("/{token}/original");
    for (lines, status) in [
        (&["CF-Connecting-IP: 192.0.2.9"][..], 200),
        (&["CF-Connecting-IP: 198.51.100.9"], 403),
        (&["CF-Connecting-IP: 198.51.100.9", "CF-IPCountry: DE"], 200),
        (&[], 403),
    ] {
        assert_eq!(
            play(&server, &path, lines).await.status,
            status,
            "{lines:?}"
        );
    }
}

#[tokio::test]
async fn a_download_of_a_signed_video_wants_a_token_that_allows_it() {
    let server = strict().start().await.unwrap();
    let uid = upload(&server, &media("clip.mp4"), "requiresignedurls").await;
    let made = format!("{VIDEOS}/{uid}/downloads");
    assert_eq!(ask(&server, "POST", &made, &json!({})).await.status, 200);
    for (wishes, status) in [(json!({}), 403), (json!({ "downloadable": true }), 200)] {
        let token = token(&server, &uid, wishes).await;
        let path = format!("/{token}/downloads/default.mp4");
        assert_eq!(play(&server, &path, &[]).await.status, status);
    }
}
