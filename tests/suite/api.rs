//! Every operation of the API, from the command line to the emulator and back as JSON.

use std::collections::HashSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use http::Request;
use http_transport::{Body, Transport};
use serde_json::Value;
use stream_api::endpoints::TABLE;

use crate::line::{GROUPS, Line, Shelf, WAV, clip, rows, text};
use crate::world::{Ended, run};

/// The head of a PNG of 320 by 80 pixels.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\x40\0\0\0\x50\x08\x06\0\0\0";
const VTT: &str = "WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n";

#[test]
fn the_tests_go_through_every_group_of_the_table() {
    for row in TABLE {
        let group = row.id.split('.').next().unwrap();
        assert!(GROUPS.contains(&group), "{}", row.id);
    }
    for group in GROUPS {
        assert!(rows(group).next().is_some(), "{group}");
    }
}

#[tokio::test]
async fn videos_are_listed_shown_changed_and_deleted() {
    let line = Line::new().await;
    let uid = line.video().await;
    let edit = [
        "video", "edit", &uid, "--name", "Day one", "--meta", "reel=7",
    ];
    let edited = line.json(&edit).await;
    assert_eq!(
        (&edited["meta"]["name"], &edited["meta"]["reel"]),
        (&"Day one".into(), &"7".into())
    );
    let kept = line
        .json(&["video", "edit", &uid, "--meta", "take=2"])
        .await;
    assert_eq!(kept["meta"]["reel"], "7", "what is not named is kept");
    let shown = line.json(&["video", "get", &uid]).await;
    assert_eq!(shown["meta"], kept["meta"]);
    let listed = line
        .json(&["video", "list", "--exact-name", "Day one"])
        .await;
    assert_eq!(listed[0]["uid"], uid.as_str());
    let tus = [
        "direct",
        "create",
        "--tus",
        "--length",
        "5",
        "--max-video-duration",
        "1m",
    ];
    let direct = line.json(&tus).await;
    let usage = line.json(&["usage"]).await;
    assert!(usage["totalStorageMinutes"].is_number(), "{usage}");
    for uid in [&uid, text(&direct["uid"])] {
        let ended = line.run(&["video", "delete", uid]).await.expect(0);
        assert!(ended.stderr.contains(&format!("deleted video {uid}")));
    }
    assert_eq!(line.json(&["video", "list"]).await, serde_json::json!([]));
    line.assert_reached("videos");
}

#[tokio::test]
async fn an_account_of_more_videos_than_one_answer_holds_is_listed_whole() {
    let line = Line::new().await;
    for _ in 0..1_003 {
        line.create().await;
    }
    let one = line.json(&["video", "list"]).await;
    assert_eq!(one.as_array().unwrap().len(), 1_000);
    let all = line.json(&["video", "list", "--all"]).await;
    let ids: HashSet<_> = (all.as_array().unwrap().iter())
        .map(|video| text(&video["uid"]))
        .collect();
    assert_eq!(ids.len(), 1_003);
}

#[tokio::test]
async fn a_video_is_embedded_and_played_by_token() {
    let line = Line::new().await;
    let uid = line.video().await;
    let html = line.run(&["video", "embed", &uid]).await.expect(0).stdout;
    assert!(
        html.contains("<iframe") || html.contains("<script"),
        "{html}"
    );
    assert!(text(&line.json(&["video", "embed", &uid]).await).contains(&uid));
    line.assert_reached("embed");
    let words = [
        "token",
        &uid,
        "--expires-in",
        "2h",
        "--rule",
        "allow:country:DE",
        "--rule",
        "block:any",
    ];
    let token = line.json(&words).await;
    assert_eq!(text(&token["token"]).split('.').count(), 3);
    let out = line.world.path("token");
    let written = line
        .run(&["token", &uid, "--out", out.to_str().unwrap()])
        .await
        .expect(0);
    let secret = std::fs::read_to_string(&out).unwrap();
    assert_eq!(secret.trim().split('.').count(), 3);
    assert!(!(written.stdout + &written.stderr).contains(secret.trim()));
    line.assert_reached("token");
}

#[tokio::test]
async fn a_token_is_made_here_with_a_key_and_plays_until_the_key_is_revoked() {
    let line = Line::new().await;
    let uid = line.video().await;
    line.json(&["video", "edit", &uid, "--require-signed-urls=true"])
        .await;
    let file = line.world.path("key.json").to_str().unwrap().to_owned();
    line.run(&["key", "create", "--out", &file]).await.expect(0);
    let key: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let pem = line.file("key.pem", text(&key["pem"]));
    let asked = line.emulator.requests().len();
    // Neither a request nor an account.
    let sign = |words: &[&str]| {
        let mut command = line.world.command();
        command.args(["token", &uid]).args(words);
        async move { run(command).await }
    };
    let mut tokens = Vec::new();
    for words in [
        &["--key-file", &file][..],
        &["--key-file", &pem, "--key-id", text(&key["id"])],
        &[
            "--key-file",
            &file,
            "--expires-in",
            "12h",
            "--access-rule",
            "allow:ip:127.0.0.1",
        ],
    ] {
        let ended = sign(words).await.expect(0);
        assert_eq!(ended.stderr, "", "the token and nothing else");
        tokens.push(ended.stdout.trim().to_owned());
    }
    let away = sign(&["--key-file", &file, "--rule", "block:any"]).await;
    let away = away.expect(0).stdout.trim().to_owned();
    assert_eq!(line.emulator.requests().len(), asked);
    let play = |token: String| {
        let url = format!("{}/{token}/original", line.emulator.url());
        let mut request = Request::new(Body::Empty);
        *request.uri_mut() = url.parse().unwrap();
        let transport = line.emulator.transport();
        async move { transport.send(request).await.unwrap().status().as_u16() }
    };
    assert_eq!(play(uid.clone()).await, 401);
    for token in &tokens {
        assert_eq!(play(token.clone()).await, 200, "{token}");
    }
    assert_eq!(play(away).await, 403);
    let mut forged = tokens[0].clone();
    forged.replace_range(forged.len() - 8.., "AAAAAAAA");
    assert_eq!(play(forged).await, 401);
    line.run(&["key", "delete", text(&key["id"])])
        .await
        .expect(0);
    assert_eq!(play(tokens[0].clone()).await, 401);
    // A pem alone does not say whose it is, and what others may read is no secret.
    let nameless = sign(&["--key-file", &pem]).await.expect(3);
    assert!(nameless.stderr.contains("--key-id"), "{}", nameless.stderr);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    sign(&["--key-file", &file]).await.expect(3);
}

#[tokio::test]
async fn a_clip_is_a_video_of_its_own() {
    let line = Line::new().await;
    let uid = line.video().await;
    let clip = line
        .json(&["clip", &uid, "--from", "0s", "--to", "1s", "--name", "cut"])
        .await;
    assert_ne!(clip["uid"], uid.as_str());
    assert_eq!(clip["clippedFrom"], uid.as_str());
    line.assert_reached("clip");
}

#[tokio::test]
async fn captions_are_set_made_read_and_deleted() {
    let line = Line::new().await;
    let uid = line.video().await;
    let file = line.file("de.vtt", VTT);
    let put = line.json(&["caption", "put", &uid, "de", &file]).await;
    assert_eq!(put["language"], "de");
    assert_eq!(line.json(&["caption", "get", &uid, "de"]).await, put);
    let made = line.json(&["caption", "generate", &uid, "en"]).await;
    assert_eq!(
        (&made["language"], &made["generated"]),
        (&"en".into(), &true.into())
    );
    let listed = line.json(&["caption", "list", &uid]).await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    let vtt = line.run(&["caption", "vtt", &uid, "de"]).await.expect(0);
    assert_eq!(vtt.stdout.trim_end(), VTT.trim_end());
    line.run(&["caption", "delete", &uid, "de"]).await.expect(0);
    line.run(&["caption", "generate", &uid, "tr"])
        .await
        .expect(2);
    line.assert_reached("captions");
}

#[tokio::test]
async fn audio_tracks_come_from_files_and_urls() {
    let line = Line::new().await;
    let shelf = Shelf::new(&[("two.wav", WAV.to_vec())]).await;
    let uid = line.video().await;
    let file = line.file("one.wav", WAV);
    let one = line
        .json(&["audio", "add", &uid, "--label", "one", &file])
        .await;
    let url = shelf.url("two.wav");
    let two = line
        .json(&["audio", "add", &uid, "--label", "two", &url])
        .await;
    assert_eq!(
        (&one["label"], &two["label"]),
        (&"one".into(), &"two".into())
    );
    let edit = ["audio", "edit", &uid, text(&one["uid"]), "--default"];
    assert_eq!(line.json(&edit).await["default"], true);
    line.run(&["audio", "delete", &uid, text(&two["uid"])])
        .await
        .expect(0);
    let listed = line.run(&["audio", "list", &uid]).await.expect(0).stdout;
    assert!(
        listed.contains("one") && !listed.contains("two"),
        "{listed}"
    );
    line.assert_reached("audio_tracks");
}

#[tokio::test]
async fn downloads_are_made_of_either_type_and_deleted() {
    let line = Line::new().await;
    let uid = line.video().await;
    let made = line.json(&["download", "create", &uid]).await;
    assert!(text(&made["default"]["url"]).starts_with("http"));
    line.json(&["download", "create", &uid, "--type", "audio"])
        .await;
    let listed = line.json(&["download", "list", &uid]).await;
    assert!(
        listed["default"].is_object() && listed["audio"].is_object(),
        "{listed}"
    );
    line.run(&["download", "delete", &uid, "--type", "audio"])
        .await
        .expect(0);
    line.run(&["download", "delete", &uid]).await.expect(0);
    line.assert_reached("downloads");
}

#[tokio::test]
async fn watermarks_come_from_files_and_urls() {
    let line = Line::new().await;
    let shelf = Shelf::new(&[("logo.png", PNG.to_vec())]).await;
    let file = line.file("logo.png", PNG);
    let one = line
        .json(&[
            "watermark",
            "create",
            &file,
            "--name",
            "logo",
            "--opacity",
            "0.5",
        ])
        .await;
    assert_eq!(
        (&one["name"], &one["opacity"]),
        (&"logo".into(), &0.5.into())
    );
    let url = line.file("url.txt", shelf.url("logo.png?signature=hush"));
    let two = line
        .run(&[
            "watermark",
            "create",
            "--json",
            "--from-url",
            &format!("@{url}"),
        ])
        .await
        .expect(0);
    assert!(!two.stdout.contains("hush"), "{}", two.stdout);
    let two: Value = serde_json::from_str(&two.stdout).unwrap();
    assert_eq!(two["downloadedFrom"], shelf.url("logo.png"));
    let shown = line.json(&["watermark", "get", text(&two["uid"])]).await;
    assert_eq!(shown, two);
    let listed = line.json(&["watermark", "list"]).await;
    assert_eq!(listed.as_array().unwrap().len(), 2);
    line.run(&["watermark", "delete", text(&one["uid"])])
        .await
        .expect(0);
    line.assert_reached("watermarks");
}

#[tokio::test]
async fn keys_are_made_for_their_owner_alone_and_revoked() {
    let line = Line::new().await;
    let out = line.world.path("key.json");
    let made = line
        .run(&["key", "create", "--json", "--out", out.to_str().unwrap()])
        .await
        .expect(0);
    let mode = std::fs::metadata(&out).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key: Value = serde_json::from_str(&std::fs::read_to_string(&out).unwrap()).unwrap();
    assert!(!made.stdout.contains(text(&key["pem"])), "{}", made.stdout);
    let uid = line.video().await;
    let token = line
        .json(&["token", &uid, "--key-file", out.to_str().unwrap()])
        .await;
    assert_eq!(text(&token["token"]).split('.').count(), 3);
    let listed = line.json(&["key", "list"]).await;
    assert_eq!(listed[0]["id"], key["id"]);
    line.run(&["key", "delete", text(&key["id"])])
        .await
        .expect(0);
    assert_eq!(line.json(&["key", "list"]).await, serde_json::json!([]));
    line.assert_reached("keys");
}

#[tokio::test]
async fn the_webhook_is_set_shown_and_removed() {
    let line = Line::new().await;
    let url = "https://media.example/stream-events";
    let set = line.json(&["webhook", "set", url]).await;
    assert!(!text(&set["secret"]).is_empty());
    assert_eq!(
        line.json(&["webhook", "get"]).await["secret"],
        set["secret"]
    );
    line.run(&["webhook", "delete"]).await.expect(0);
    line.run(&["webhook", "get"]).await.expect(5);
    line.assert_reached("webhook");
}

#[tokio::test]
async fn live_inputs_are_made_changed_and_given_new_secrets() {
    let line = Line::new().await;
    let made = line
        .json(&[
            "live-input",
            "create",
            "--name",
            "stage",
            "--recording",
            "automatic",
        ])
        .await;
    let uid = text(&made["uid"]);
    let key = &made["rtmps"]["streamKey"];
    assert!(!text(key).is_empty());
    let shown = line.json(&["live-input", "get", uid]).await;
    assert_eq!(&shown["rtmps"]["streamKey"], key);
    let update = [
        "live-input",
        "update",
        uid,
        "--enabled=false",
        "--meta",
        "hall=2",
    ];
    let updated = line.json(&update).await;
    assert_eq!(
        (&updated["enabled"], &updated["meta"]["name"]),
        (&false.into(), &"stage".into())
    );
    let rotated = line.json(&["live-input", "rotate-keys", uid]).await;
    assert_ne!(&rotated["rtmps"]["streamKey"], key);
    let listed = line.run(&["live-input", "list"]).await.expect(0).stdout;
    assert!(listed.contains(uid) && listed.contains("stage"), "{listed}");
    line.run(&["live-input", "delete", uid]).await.expect(0);
    line.assert_reached("live_inputs");
}

#[tokio::test]
async fn outputs_are_switched_and_keep_their_keys_to_themselves() {
    let line = Line::new().await;
    let input = line
        .json(&["live-input", "create", "--name", "stage"])
        .await;
    let input = text(&input["uid"]);
    let key = line.file("key.txt", "hush-hush");
    let made = line
        .json(&[
            "output",
            "create",
            input,
            "--url",
            "rtmps://live.example/app",
            "--stream-key",
            &format!("@{key}"),
        ])
        .await;
    let uid = text(&made["uid"]);
    let updated = line
        .json(&["output", "update", input, uid, "--enabled=false"])
        .await;
    assert_eq!(updated["enabled"], false);
    let listed = line
        .run(&["output", "list", input, "--json"])
        .await
        .expect(0);
    assert!(!listed.stdout.contains("hush-hush"), "{}", listed.stdout);
    let shown = line
        .json(&["output", "list", input, "--show-secrets"])
        .await;
    assert_eq!(shown[0]["streamKey"], "hush-hush");
    line.run(&["output", "delete", input, uid]).await.expect(0);
    line.assert_reached("outputs");
}

#[tokio::test]
async fn a_one_time_url_of_either_kind_is_made() {
    let line = Line::new().await;
    let basic = ["direct", "create", "--basic", "--max-video-duration", "10m"];
    let made = line.json(&basic).await;
    assert!(text(&made["uploadURL"]).starts_with("http"));
    let plain = line.run(&basic).await.expect(0).stdout;
    assert_eq!(plain.trim().split('\t').count(), 2, "{plain}");
    line.assert_reached("direct_upload");
    line.run(&["direct", "create", "--basic"]).await.expect(2);
    let longest = ["--max-video-duration", "10m"];
    let unbounded = ["direct", "create", "--tus", "--length", "5"];
    let warned = line.run(&unbounded).await;
    assert!(warned.stderr.contains("four hours"), "{}", warned.stderr);
    let bounded = line
        .run(&[&unbounded[..], &longest[..]].concat())
        .await
        .expect(0);
    assert!(!bounded.stderr.contains("four hours"), "{}", bounded.stderr);
}

/// Has a one-time URL made by whoever has a token, and uploads to it without one.
async fn put_to_one_time_url(line: &Line, kind: &[&str]) -> (PathBuf, Ended) {
    let out = line.world.path("url.txt");
    let mut create = line.command(&["direct", "create", "--max-video-duration", "10m"]);
    create.args(kind).arg("--out").arg(&out);
    run(create).await.expect(0);
    let put = run(put_once(line, &out)).await;
    (out, put)
}

fn put_once(line: &Line, url: &Path) -> Command {
    let mut put = line.world.command();
    put.args(["put", "--json", "--upload-url"]);
    put.arg(format!("@{}", url.display())).arg(clip());
    put
}

#[tokio::test]
async fn whoever_has_a_one_time_url_for_tus_needs_no_token() {
    let line = Line::new().await;
    let length = std::fs::metadata(clip()).unwrap().len().to_string();
    let (_, put) = put_to_one_time_url(&line, &["--tus", "--length", &length]).await;
    put.expect(0);
    assert!(line.emulator.uploads()[0].complete);
}

#[tokio::test]
async fn whoever_has_a_one_time_url_for_a_form_sends_one() {
    let line = Line::new().await;
    let (url, put) = put_to_one_time_url(&line, &["--basic"]).await;
    assert_eq!(put.expect(0).events("finished").len(), 1);
    let listed = line.json(&["video", "list"]).await;
    let uid = text(&listed[0]["uid"]);
    let content = line.emulator.content(uid).await.unwrap();
    assert_eq!(content, Some(std::fs::read(clip()).unwrap()));
    let again = run(put_once(&line, &url)).await.expect(0);
    assert_eq!(again.events("skipped")[0]["reason"], "already-uploaded");
    // Somebody else, who does not know, is told by the URL itself.
    let mut other = put_once(&line, &url);
    other.env("STREAM_UPLOAD_STATE_DIR", line.world.path("other-state"));
    let other = run(other).await.expect(5);
    let secret = std::fs::read_to_string(&url).unwrap();
    for ended in [again, other] {
        assert!(!(ended.stdout + &ended.stderr).contains(secret.trim()));
    }
}

#[tokio::test]
async fn copies_are_followed_until_they_can_be_played() {
    let line = Line::new().await;
    let media = std::fs::read(clip()).unwrap();
    let shelf = Shelf::new(&[("a.mp4", media.clone()), ("b.mp4", media)]).await;
    let (a, b) = (shelf.url("a.mp4?sig=hush"), shelf.url("b.mp4"));
    let ended = line
        .run(&["copy", "--json", "--wait=1m", "--creator", "alice", &a, &b])
        .await
        .expect(0);
    assert!(!ended.stdout.contains("hush"), "{}", ended.stdout);
    assert_eq!(ended.events("created").len(), 2);
    assert_eq!(ended.events("ready").len(), 2);
    let uid = ended.events("created")[0]["media_id"].clone();
    let video = line.json(&["video", "get", text(&uid)]).await;
    assert_eq!(video["creator"], "alice");
    line.assert_reached("copy");
    let again = line
        .run(&["copy", "--json", "--creator", "alice", &a, &b])
        .await
        .expect(0);
    assert_eq!(again.events("skipped").len(), 2, "{}", again.stdout);
    assert_eq!(line.emulator.videos().len(), 2);
}

#[tokio::test]
async fn what_stream_cannot_fetch_is_fetched_here_and_uploaded() {
    let line = Line::new().await;
    let media = std::fs::read(clip()).unwrap();
    let shelf = Shelf::new(&[("a.mp4", media.clone())]).await;
    let url = shelf.url("a.mp4");
    let ended = line
        .run(&["copy", "--json", "--stream-through", &url])
        .await
        .expect(0);
    let uid = ended.events("finished")[0]["media_id"].clone();
    let content = line.emulator.content(text(&uid)).await.unwrap();
    assert_eq!(content, Some(media));
    let gone = line
        .run(&["copy", &shelf.url("nothing.mp4")])
        .await
        .expect(5);
    assert!(gone.stderr.contains("404"), "{}", gone.stderr);
}

#[tokio::test]
async fn a_refusal_says_what_stream_said_and_what_to_do() {
    let line = Line::new().await;
    let ended = line.run(&["video", "get", "nothing"]).await.expect(5);
    for part in ["video get", "404", "10003", "hint: check the id"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    let mut command = line.command(&["video", "list"]);
    command.env("STREAM_API_TOKEN", "wrong");
    let ended = run(command).await.expect(4);
    assert!(ended.stderr.contains("hint: "), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
}
