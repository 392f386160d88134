//! One-time URLs: somebody with a token makes one, somebody without uses it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use http::{Method, Request};
use http_transport::{Body, Transport};
use stream_emulator::{EmulatorHandle, Fault, FaultRule};
use test_support::{ChaosProxy, Process, fixtures};

use crate::world::{Ended, MIB, PATIENCE, World, emulator, end, run};

/// A one-time URL for so many bytes, and its video.
struct OneTime {
    url: String,
    media_id: String,
}

impl OneTime {
    async fn made(emulator: &EmulatorHandle, bytes: u64) -> Self {
        let url = format!(
            "{}/accounts/acct/stream?direct_user=true",
            emulator.api_url()
        );
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.parse().unwrap();
        let authorization = format!("Bearer {}", emulator.token());
        for (name, value) in [
            ("tus-resumable", "1.0.0"),
            ("upload-length", &bytes.to_string()),
            ("upload-metadata", "maxDurationSeconds NjAw"),
            ("authorization", &authorization),
        ] {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let answer = emulator.transport().send(request).await.unwrap();
        assert_eq!(answer.status(), 201);
        let text = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        Self {
            url: text("location"),
            media_id: text("stream-media-id"),
        }
    }

    fn secret(&self) -> &str {
        let path = self.url.split("/tus/").nth(1).unwrap();
        path.split('?').next().unwrap()
    }

    /// The URL in a private file, by way of `proxy` if there is one.
    fn file(&self, world: &World, proxy: Option<&ChaosProxy>) -> PathBuf {
        let path = world.path("url.txt");
        let url = match proxy {
            Some(proxy) => proxy.url(&self.url[self.url.find("/tus/").unwrap()..]),
            None => self.url.clone(),
        };
        std::fs::write(&path, url).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn put(&self, world: &World, source: &std::path::Path) -> Command {
        let mut command = world.command();
        command.args(["put", "--json", "--media-id", &self.media_id]);
        command.arg("--upload-url");
        command.arg(format!("@{}", world.path("url.txt").display()));
        command.arg(source);
        command
    }

    fn assert_hidden(&self, ended: &Ended) {
        for text in [&ended.stdout, &ended.stderr] {
            assert!(!text.contains(self.secret()), "{text}");
        }
    }
}

#[tokio::test]
async fn a_one_time_url_takes_a_file_without_any_token() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mp4", 12 * MIB);
    let one_time = OneTime::made(&emulator, 12 * MIB).await;
    one_time.file(&world, None);
    let mut command = one_time.put(&world, &source);
    command.args(["-vvv", "--chunk-size", "5MiB"]);
    let ended = run(command).await.expect(0);
    one_time.assert_hidden(&ended);
    assert_eq!(ended.events("finished")[0]["media_id"], one_time.media_id);
    assert_eq!(
        emulator.sha256(&one_time.media_id).await.unwrap().unwrap(),
        fixtures::sha256_file(&source).unwrap()
    );
    assert_eq!(emulator.videos().len(), 1);

    // The same command again knows that it is done, although the URL answers nobody any more.
    let again = run(one_time.put(&world, &source)).await.expect(0);
    assert_eq!(again.events("skipped")[0]["reason"], "already-uploaded");
    assert_eq!(again.events("skipped")[0]["media_id"], one_time.media_id);
}

#[tokio::test]
async fn the_url_can_come_on_stdin() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mp4", MIB);
    let one_time = OneTime::made(&emulator, MIB).await;
    let file = one_time.file(&world, None);
    let mut command = world.command();
    command.args(["put", "--upload-url", "-"]).arg(&source);
    let ended = run(crate::world::fed(&command, &file)).await.expect(0);
    one_time.assert_hidden(&ended);
    assert!(emulator.uploads()[0].complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_upload_goes_on_at_the_same_url() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mp4", 24 * MIB);
    let proxy = ChaosProxy::builder(emulator.addr())
        .rate_up(30 * MIB)
        .patience(PATIENCE)
        .start()
        .await
        .unwrap();
    let one_time = OneTime::made(&emulator, 24 * MIB).await;
    one_time.file(&world, Some(&proxy));
    let process = Process::spawn(one_time.put(&world, &source)).unwrap();
    proxy
        .wait_until(|counters| counters.bytes_up >= 10 * MIB)
        .await;
    process.kill_9();
    process.wait(PATIENCE).await.unwrap();
    let ended = run(one_time.put(&world, &source)).await.expect(0);
    assert!(ended.events("resumed")[0]["offset"].as_u64().unwrap() > 0);
    assert_eq!(
        emulator.sha256(&one_time.media_id).await.unwrap().unwrap(),
        fixtures::sha256_file(&source).unwrap()
    );
    assert_eq!(emulator.videos().len(), 1);
}

#[tokio::test]
async fn a_url_that_expired_or_was_used_is_told_as_that_and_nothing_is_created_anew() {
    let cases = ["expired", "used"];
    for case in cases {
        let world = World::new();
        let emulator = emulator().start().await.unwrap();
        let source = world.random_file("a.mp4", MIB);
        let one_time = OneTime::made(&emulator, MIB).await;
        one_time.file(&world, None);
        if case == "expired" {
            emulator.advance(Duration::from_secs(31 * 60)).await;
        } else {
            let other = World::new();
            let theirs = other.random_file("b.mp4", MIB);
            one_time.file(&other, None);
            run(one_time.put(&other, &theirs)).await.expect(0);
        }
        let videos = emulator.videos().len();
        let ended = run(one_time.put(&world, &source)).await.expect(5);
        let failed = &ended.events("failed")[0];
        assert_eq!(failed["resumable"], false);
        let said = format!("{failed}{}", ended.stderr);
        assert!(said.contains("one-time"), "{said}");
        one_time.assert_hidden(&ended);
        assert_eq!(emulator.videos().len(), videos);
    }
}

#[tokio::test]
async fn a_file_of_another_size_than_the_url_was_made_for_is_refused() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mp4", MIB + 1);
    let one_time = OneTime::made(&emulator, MIB).await;
    one_time.file(&world, None);
    let ended = run(one_time.put(&world, &source)).await.expect(5);
    let error = ended.events("failed")[0]["error"].to_string();
    assert!(error.contains("1048576"), "{error}");
    assert_eq!(emulator.uploads()[0].offset, 0);
}

#[tokio::test]
async fn what_makes_no_sense_with_a_one_time_url_is_said_before_anything_is_sent() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let one = world.random_file("a.mp4", 10);
    let two = world.random_file("b.mp4", 10);
    let one_time = OneTime::made(&emulator, 10).await;
    one_time.file(&world, None);
    let made = emulator.requests().len();
    for arguments in [
        vec![two.to_str().unwrap()],
        vec!["--require-signed-urls"],
        vec!["--no-resume"],
        vec!["--name", "x"],
    ] {
        let mut command = one_time.put(&world, &one);
        command.args(&arguments);
        let ended = run(command).await.expect(2);
        one_time.assert_hidden(&ended);
    }
    std::fs::set_permissions(
        world.path("url.txt"),
        std::fs::Permissions::from_mode(0o644),
    )
    .unwrap();
    let ended = run(one_time.put(&world, &one)).await.expect(3);
    assert!(ended.stderr.contains("chmod 600"), "{}", ended.stderr);
    assert_eq!(emulator.requests().len(), made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_that_expires_on_the_way_is_not_replaced() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mp4", 12 * MIB);
    let one_time = OneTime::made(&emulator, 12 * MIB).await;
    one_time.file(&world, None);
    let expires = FaultRule::new(Fault::Expire).method(Method::PATCH).skip(1);
    emulator.faults().add(expires);
    let mut command = one_time.put(&world, &source);
    command.args(["--chunk-size", "5MiB"]);
    let process = Process::spawn(command).unwrap();
    let ended = end(&process).await.expect(5);
    assert!(ended.events("restarted").is_empty());
    assert!(ended.events("created").is_empty());
}
