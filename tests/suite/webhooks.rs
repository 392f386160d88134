//! `--webhook-listen`: Stream tells that a video is ready, and nobody else can.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use http::{Method, Request};
use http_transport::{Body, Protocol, ReqwestTransport, Transport};
use serde_json::{Value, json};
use stream_api::Secret;
use stream_api::webhook::signature;
use test_support::{Process, Stream};

use crate::line::{Line, Shelf, clip, text};
use crate::world::{PATIENCE, emulator, end, event, run};

/// Until a video is ready, by the emulator's clock. It signs by that clock, too, and a call that is signed more than five
/// minutes from now is refused.
const ENCODING: Duration = Duration::from_secs(200);

/// An account with a webhook, and the file that holds its secret.
struct Told {
    line: Line,
    secret: String,
}

impl Told {
    async fn new() -> Self {
        let outside = ReqwestTransport::new(Protocol::Http1).unwrap();
        let emulator = emulator()
            .outbound(std::sync::Arc::new(outside))
            .encode_time(ENCODING);
        let line = Line::with(emulator).await;
        let file = line.world.path("webhook.json").to_str().unwrap().to_owned();
        let set = ["webhook", "set", "http://127.0.0.1:1/", "--out", &file];
        line.run(&set).await.expect(0);
        let answer: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let secret = text(&answer["secret"]).to_owned();
        Self { line, secret }
    }

    fn listening(&self, mut command: Command) -> Process {
        command.args(["--wait", "--webhook-listen", "127.0.0.1:0", "-vv"]);
        command.arg("--webhook-secret-file");
        command.arg(self.line.world.path("webhook.json"));
        Process::spawn(command).unwrap()
    }

    fn put(&self, source: &Path) -> Process {
        let mut put = self.line.world.put_to_emulator(&self.line.emulator);
        put.arg(source);
        self.listening(put)
    }

    /// Questions about videos.
    fn asked(&self) -> usize {
        let requests = self.line.emulator.requests();
        let asks = |method: &str, path: &str| method == "GET" && !path.contains("webhook");
        let asked = requests.iter().filter(|it| asks(&it.method, &it.path));
        asked.count()
    }
}

/// Where a process listens.
async fn address(process: &Process) -> String {
    let found = process
        .wait_for_line(Stream::Stderr, |line| line.contains("webhook at"), PATIENCE)
        .await
        .unwrap();
    found[found.find("http://").unwrap()..].to_owned()
}

async fn call(address: &str, method: Method, signature: Option<&str>, body: &str) -> u16 {
    let mut request = Request::new(Body::from(body.to_owned()));
    *request.method_mut() = method;
    *request.uri_mut() = address.parse().unwrap();
    if let Some(signature) = signature {
        let headers = request.headers_mut();
        headers.insert("webhook-signature", signature.parse().unwrap());
    }
    let transport = ReqwestTransport::new(Protocol::Http1).unwrap();
    let answer = transport.send(request).await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn a_video_is_ready_when_stream_says_so_without_being_asked_again() {
    let told = Told::new().await;
    let source = told.line.world.random_file("a.mp4", 1_000);
    let process = told.put(&source);
    let address = address(&process).await;
    told.line.run(&["webhook", "set", &address]).await.expect(0);
    event(&process, "waiting", PATIENCE).await;
    told.line.emulator.advance(ENCODING).await;
    let ended = end(&process).await.expect(0);
    assert_eq!(ended.events("ready").len(), 1);
    assert_eq!(told.asked(), 1);
}

#[tokio::test]
async fn a_copy_that_fails_is_told_as_well() {
    let told = Told::new().await;
    let shelf = Shelf::new(&[("a.mp4", std::fs::read(clip()).unwrap())]).await;
    let copy = told.line.command(&["copy", "--json", &shelf.url("a.mp4")]);
    let process = told.listening(copy);
    let address = address(&process).await;
    let waiting = event(&process, "waiting", PATIENCE).await;
    let body = json!({"uid": waiting["media_id"], "readyToStream": false,
        "status": {"state": "error", "errorReasonCode": "ERR_NON_VIDEO"}});
    let body = body.to_string();
    let secret = Secret::new(&told.secret);
    let signed = signature(&secret, SystemTime::now(), body.as_bytes());
    assert_eq!(
        call(&address, Method::POST, Some(&signed), &body).await,
        200
    );
    let ended = end(&process).await.expect(5);
    assert!(ended.stdout.contains("ERR_NON_VIDEO"), "{}", ended.stdout);
}

#[tokio::test]
async fn nobody_but_stream_ends_the_waiting() {
    let told = Told::new().await;
    let source = told.line.world.random_file("a.mp4", 1_000);
    let process = told.put(&source);
    let address = address(&process).await;
    let waiting = event(&process, "finished", PATIENCE).await;
    let body = json!({"uid": waiting["media_id"], "readyToStream": true,
        "status": {"state": "ready"}});
    let body = body.to_string();
    let now = SystemTime::now();
    let sign = |secret: &str, at, body: &str| signature(&Secret::new(secret), at, body.as_bytes());
    let old = now - Duration::from_secs(400);
    for (method, header, wanted) in [
        (Method::POST, None, 401),
        (Method::POST, Some("nonsense".to_owned()), 401),
        (Method::POST, Some(sign("guessed", now, &body)), 401),
        (
            Method::POST,
            Some(sign(&told.secret, now, "another body")),
            401,
        ),
        (Method::POST, Some(sign(&told.secret, old, &body)), 401),
        (Method::PUT, Some(sign(&told.secret, now, &body)), 405),
    ] {
        let status = call(&address, method, header.as_deref(), &body).await;
        assert_eq!(status, wanted, "{header:?}");
    }
    // Stream's own words, about another video.
    let other = json!({"uid": "other", "readyToStream": true}).to_string();
    let signed = sign(&told.secret, now, &other);
    assert_eq!(
        call(&address, Method::POST, Some(&signed), &other).await,
        200
    );
    let long = " ".repeat(300 * 1024);
    let signed = sign(&told.secret, now, &long);
    assert_eq!(
        call(&address, Method::POST, Some(&signed), &long).await,
        413
    );
    told.line.run(&["webhook", "set", &address]).await.expect(0);
    event(&process, "waiting", PATIENCE).await;
    assert!(process.exit_code().is_none(), "it still waits");
    told.line.emulator.advance(ENCODING).await;
    let ended = end(&process).await.expect(0);
    assert_eq!(ended.events("ready").len(), 1);
    assert_eq!(told.asked(), 1);
    let heard = "a call that is not taken for Stream's";
    assert_eq!(ended.stderr.matches(heard).count(), 7, "{}", ended.stderr);
    assert!(!ended.stderr.contains(&told.secret), "{}", ended.stderr);
}

#[tokio::test]
async fn without_a_secret_or_a_place_to_listen_nothing_is_sent() {
    let told = Told::new().await;
    let source = told.line.world.random_file("a.mp4", 1_000);
    let put = |words: &[&str]| {
        let mut put = told.line.world.put_to_emulator(&told.line.emulator);
        put.arg(&source).args(words);
        put
    };
    let listen = ["--wait", "--webhook-listen", "127.0.0.1:0"];
    let ended = run(put(&listen)).await.expect(2);
    assert!(
        ended.stderr.contains("STREAM_WEBHOOK_SECRET"),
        "{}",
        ended.stderr
    );
    run(put(&listen[1..])).await.expect(2);
    let taken = told.line.emulator.addr().to_string();
    let mut command = put(&["--wait", "--webhook-listen", &taken]);
    command.env("STREAM_WEBHOOK_SECRET", &told.secret);
    run(command).await.expect(3);
    assert!(told.line.emulator.videos().is_empty());
}
