//! Every way to play a video obeys the same rules: tokens, revoked keys, access rules, allowed origins.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use stream_emulator::EmulatorHandle;

use crate::media::{media, strict, upload};
use crate::wire::send;
use crate::world::{call, call_with, result};

/// What there is to play.
const WAYS: [&str; 10] = [
    "original",
    "watch",
    "thumbnails/thumbnail.jpg",
    "manifest/video.m3u8",
    "manifest/segment00000.ts",
    "manifest/video.mpd",
    "manifest/init0.m4s",
    "manifest/chunk1-00001.m4s",
    "downloads/default.mp4",
    "downloads/audio.m4a",
];

const HOUR: Duration = Duration::from_secs(3600);

/// A video that plays with a token alone, and everything that is made of it.
async fn signed() -> (EmulatorHandle, String) {
    let server = strict().start().await.unwrap();
    let uid = upload(&server, &media("clip.mp4"), "requiresignedurls").await;
    for kind in ["default", "audio"] {
        let path = format!("/{uid}/downloads/{kind}");
        assert_eq!(call(&server, "POST", &path).await.status, 200);
    }
    (server, uid)
}

/// A token with these wishes, which allows downloads unless they say otherwise.
async fn token(server: &EmulatorHandle, uid: &str, wishes: Value) -> String {
    let mut all = json!({ "downloadable": true });
    let (Value::Object(all), Value::Object(wishes)) = (&mut all, wishes) else {
        panic!("objects");
    };
    all.extend(wishes);
    let all = Value::Object(all.clone());
    let made = call_with(server, "POST", &format!("/{uid}/token"), &all).await;
    let token = result(&made)["token"].clone();
    token.as_str().unwrap().to_owned()
}

/// Each way is answered with this status.
async fn assert_all(server: &EmulatorHandle, who: &str, lines: &[&str], status: u16) {
    for way in WAYS {
        let path = format!("/{who}/{way}");
        let answer = send(server, "GET", &path, lines, b"").await.unwrap();
        assert_eq!(answer.status, status, "{way} {lines:?}");
    }
}

fn seconds(ahead: Duration) -> u64 {
    let at = SystemTime::now() + ahead;
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

#[tokio::test]
async fn a_token_counts_from_nbf_until_exp() {
    let (server, uid) = signed().await;
    assert_all(&server, &uid, &[], 401).await;
    let wishes = json!({ "nbf": seconds(HOUR), "exp": seconds(HOUR * 3) });
    let token = token(&server, &uid, wishes).await;
    assert_all(&server, &token, &[], 401).await;
    server.advance(HOUR * 2).await;
    assert_all(&server, &token, &[], 200).await;
    server.advance(HOUR * 2).await;
    assert_all(&server, &token, &[], 401).await;
}

#[tokio::test]
async fn what_was_made_already_is_refused_once_the_key_is_revoked() {
    let (server, uid) = signed().await;
    let key = result(&call(&server, "POST", "/keys").await);
    let wishes = json!({ "id": key["id"], "pem": key["pem"] });
    let token = token(&server, &uid, wishes).await;
    assert_all(&server, &token, &[], 200).await;
    let revoke = format!("/keys/{}", key["id"].as_str().unwrap());
    assert_eq!(call(&server, "DELETE", &revoke).await.status, 200);
    assert_all(&server, &token, &[], 401).await;
}

#[tokio::test]
async fn access_rules_hold_for_all_of_it() {
    let (server, uid) = signed().await;
    let rules = json!({ "accessRules": [
        { "type": "ip.src", "action": "allow", "ip": ["192.0.2.0/24"] },
        { "type": "any", "action": "block" },
    ]});
    let token = token(&server, &uid, rules).await;
    assert_all(&server, &token, &["CF-Connecting-IP: 192.0.2.9"], 200).await;
    assert_all(&server, &token, &["CF-Connecting-IP: 198.51.100.9"], 403).await;
}

#[tokio::test]
async fn allowed_origins_hold_for_all_of_it_with_a_token_and_without() {
    let (server, uid) = signed().await;
    let edit = json!({ "allowedOrigins": ["example.com"] });
    result(&call_with(&server, "POST", &format!("/{uid}"), &edit).await);
    let token = token(&server, &uid, json!({})).await;
    assert_all(&server, &token, &["Origin: https://example.com"], 200).await;
    assert_all(&server, &token, &["Origin: https://evil.example"], 403).await;
    let edit = json!({ "requireSignedURLs": false });
    result(&call_with(&server, "POST", &format!("/{uid}"), &edit).await);
    assert_all(&server, &uid, &["Origin: https://example.com"], 200).await;
    assert_all(&server, &uid, &["Origin: https://evil.example"], 403).await;
}

#[tokio::test]
async fn a_token_that_allows_no_download_allows_all_the_rest() {
    let (server, uid) = signed().await;
    let token = token(&server, &uid, json!({ "downloadable": false })).await;
    for way in WAYS {
        let path = format!("/{token}/{way}");
        let answer = send(&server, "GET", &path, &[], b"").await.unwrap();
        let wanted = if way.starts_with("downloads/") {
            403
        } else {
            200
        };
        assert_eq!(answer.status, wanted, "{way}");
    }
}
