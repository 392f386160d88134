//! The emulator's page in a real browser: Debian's chromium, driven by npm `playwright-core`.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use stream_emulator::Encoding;
use test_support::{Process, peers};

use crate::world::{emulator, end};

/// Where Debian installs it, unless the environment names another.
fn chromium() -> String {
    let path = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".to_owned());
    let hint = "chromium is missing: apt-get install chromium, or name another in CHROMIUM";
    assert!(Path::new(&path).exists(), "{hint}");
    path
}

/// Runs the browser through the page, with a file of `tests/media`.
async fn visit(url: &str, file: &str, arguments: &[&str]) -> Value {
    let mut command = tokio::task::spawn_blocking(|| peers::script("page.mjs"))
        .await
        .unwrap()
        .unwrap();
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media");
    command.arg(url).arg(media.join(file));
    command.args(["--chromium", &chromium()]).args(arguments);
    let ended = end(&Process::spawn(command).unwrap()).await.expect(0);
    let said: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(said["ok"], true, "{said}");
    said
}

#[tokio::test]
async fn a_video_uploaded_by_the_page_appears_becomes_ready_and_plays() {
    let encoding = Encoding::After(Duration::from_secs(2));
    let server = emulator().judge_media(true).encoding(encoding);
    let server = server.token("a token of its own").start().await.unwrap();
    let token = ["--token", server.token()];
    let said = visit(&server.url(), "clip.webm", &token).await;
    let states = said["states"].as_array().unwrap();
    assert!(
        states.iter().any(|state| state != "ready"),
        "seen on its way: {said}"
    );
    assert_eq!(states.last().unwrap(), "ready");
    assert_eq!(said["name"], "clip.webm");
    assert!(
        said["facts"].as_str().unwrap().contains("426 × 240"),
        "{said}"
    );
    assert_eq!(said["width"], 426, "{said}");
    for empty in ["outside", "console"] {
        assert_eq!(said[empty].as_array().unwrap().len(), 0, "{said}");
    }
    assert_eq!(
        (&said["problem"], &said["uploads"]),
        (&"".into(), &0.into())
    );

    let videos = server.videos();
    assert_eq!(videos.len(), 1);
    assert_eq!(videos[0].video.uid, said["uid"].as_str().unwrap());
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/media/clip.webm");
    let bytes = server.content(&videos[0].video.uid).await.unwrap().unwrap();
    assert_eq!(bytes, std::fs::read(media).unwrap());
    // By a one-time URL, and its bytes without a token.
    let requests = server.requests();
    let patches = requests.iter().filter(|request| request.method == "PATCH");
    assert!(patches.clone().count() > 0);
    for patch in patches {
        assert!(
            patch.path.starts_with("/tus/") && !patch.authorized,
            "{patch:?}"
        );
    }
}
