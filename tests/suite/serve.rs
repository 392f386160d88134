//! `serve`: what its options make of the server, and what its folder keeps.

use std::path::Path;

use http::{HeaderMap, Method, Request, StatusCode};
use http_transport::{Body, Protocol, ReqwestTransport, Transport};
use serde_json::Value;
use test_support::{Process, Stream};

use crate::line::clip;
use crate::world::{Ended, MIB, PATIENCE, World, run};

/// `serve` with the faults of a file, at a port of the system's choice.
fn serve(world: &World, faults: &Path) -> std::process::Command {
    let mut command = world.command();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--faults"])
        .arg(faults);
    command
}

#[tokio::test]
async fn faults_of_a_file_happen_and_the_upload_gets_past_them() {
    let world = World::new();
    let faults = world.path("faults.json");
    let rows = r#"[{"fault": "status", "status": 503, "retry_after_s": 0, "method": "PATCH"},
                   {"fault": "cut_body", "after_bytes": 100000, "method": "PATCH"}]"#;
    std::fs::write(&faults, rows).unwrap();
    let server = Process::spawn(serve(&world, &faults)).unwrap();
    let said = server
        .wait_for_line(
            Stream::Stderr,
            |line| line.contains("the tus endpoint is "),
            PATIENCE,
        )
        .await
        .unwrap();
    let endpoint = said.split([' ', ';']).find(|word| word.starts_with("http"));
    let source = world.random_file("a.mp4", 3 * MIB);
    let ended = run(world.put_to(endpoint.unwrap(), &source))
        .await
        .expect(0);
    let reasons: Vec<_> = ended
        .events("retry")
        .iter()
        .map(|retry| retry["reason"].to_string())
        .collect();
    assert!(reasons.len() >= 2, "{reasons:?}");
    assert!(
        reasons.iter().any(|reason| reason.contains("503")),
        "{reasons:?}"
    );
    server.sigterm();
    assert_eq!(server.wait(PATIENCE).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_fault_that_cannot_be_read_is_told_with_its_file_and_row() {
    let world = World::new();
    let faults = world.path("faults.json");
    let rows = r#"[{"fault": "reset"}, {"fault": "fire"}]"#;
    std::fs::write(&faults, rows).unwrap();
    let ended = run(serve(&world, &faults)).await.expect(2);
    for word in ["faults.json", "row 2", "fire", "serve --help"] {
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_file_of_faults_that_is_not_there_is_named() {
    let world = World::new();
    let ended = run(serve(&world, &world.path("no-such.json")))
        .await
        .expect(3);
    for word in ["no-such.json", "No such file", "hint:"] {
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn the_rows_that_help_shows_can_be_read() {
    let world = World::new();
    let mut help = world.command();
    help.args(["serve", "--help"]);
    let ended = run(help).await.expect(0);
    let start = ended.stdout.find("[{").unwrap();
    let end = ended.stdout.rfind("}]").unwrap();
    let rows = &ended.stdout[start..end + 2];
    stream_emulator::FaultPlan::from_json(rows).unwrap();
}

/// A server in a process of its own, and what it told to set.
struct Served {
    process: Process,
    exports: Vec<(String, String)>,
}

impl Served {
    async fn start(world: &World, options: &[&str]) -> Self {
        let mut command = world.command();
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        let process = Process::spawn({
            command.args(options);
            command
        });
        let process = process.unwrap();
        let last = |line: &str| line.starts_with("export CLOUDFLARE_ACCOUNT_ID=");
        process
            .wait_for_line(Stream::Stdout, last, PATIENCE)
            .await
            .unwrap();
        let lines = process.lines(Stream::Stdout);
        let exports = lines.iter().filter_map(|line| {
            let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        Self {
            exports: exports.collect(),
            process,
        }
    }

    /// The tool, pointed at this server.
    async fn run(&self, world: &World, words: &[&str]) -> Ended {
        let mut command = world.command();
        command.envs(self.exports.clone()).args(words);
        run(command).await
    }

    async fn json(&self, world: &World, words: &[&str]) -> Value {
        let words = [words, &["--json"]].concat();
        let ended = self.run(world, &words).await.expect(0);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// GET, its path below `…/stream`.
    async fn get(&self, path: &str) -> (StatusCode, HeaderMap, Value) {
        let path = format!("/client/v4/accounts/local/stream{path}");
        self.ask(Method::GET, &path, Body::Empty).await
    }

    async fn ask(&self, method: Method, path: &str, body: Body) -> (StatusCode, HeaderMap, Value) {
        let told = |name: &str| &self.exports.iter().find(|(it, _)| it == name).unwrap().1;
        let (root, _) = told("STREAM_API_URL").split_once("/client").unwrap();
        let bearer = format!("Bearer {}", told("STREAM_API_TOKEN"));
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = format!("{root}{path}").parse().unwrap();
        request
            .headers_mut()
            .insert("authorization", bearer.parse().unwrap());
        let transport = ReqwestTransport::new(Protocol::Http1).unwrap();
        let (head, body) = transport.send(request).await.unwrap().into_parts();
        let body = body.collect(1 << 20).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap();
        (head.status, head.headers, body)
    }

    async fn stop(self) {
        self.process.sigterm();
        let status = self.process.wait(PATIENCE).await.unwrap();
        assert_eq!(status.code(), Some(0));
    }
}

#[tokio::test]
async fn limits_are_those_of_cloudflare_so_many_times_smaller() {
    let world = World::new();
    let server = Served::start(&world, &["--limits", "x20"]).await;
    let (status, headers, _) = server.get("").await;
    assert_eq!(status, StatusCode::OK);
    let policy = headers["ratelimit-policy"].to_str().unwrap();
    assert!(policy.contains("\"default\";q=60;w=15"), "{policy}");
    // 1,000 minutes are 50, and a one-time URL reserves what it names.
    let direct = |minutes| {
        [
            "direct",
            "create",
            "--basic",
            "--max-video-duration",
            minutes,
        ]
    };
    let ended = server.run(&world, &direct("51m")).await;
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("10011"), "{}", ended.stderr);
    server.run(&world, &direct("49m")).await.expect(0);
    server.stop().await;
}

#[tokio::test]
async fn a_request_beyond_the_limit_is_told_when_to_come_back() {
    let world = World::new();
    // Four requests in a second.
    let server = Served::start(&world, &["--limits", "300"]).await;
    let mut refused = None;
    for _ in 0..1_000 {
        let (status, headers, body) = server.get("").await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            refused = Some((headers, body));
            break;
        }
    }
    let (headers, body) = refused.expect("a refusal");
    assert_eq!(headers["retry-after"], "1");
    assert_eq!(body["success"], false);
    // Whoever waits as told is served; here it is the server's clock that goes on.
    let second = Body::from(r#"{"advance_ms": 1000}"#);
    let clock = "/_emulator/clock";
    server.ask(Method::POST, clock, second).await;
    let listed = server.json(&world, &["video", "list"]).await;
    assert_eq!(listed, serde_json::json!([]));
    server.stop().await;
}

#[tokio::test]
async fn quirks_change_the_answers_and_the_tool_reads_them_all_the_same() {
    let world = World::new();
    let plain = Served::start(&world, &[]).await;
    let quirky = Served::start(&world, &["--quirks"]).await;
    for (server, is_quirky) in [(&plain, false), (&quirky, true)] {
        let video = server.json(&world, &["video", "upload", &clip()]).await;
        let (_, _, listed) = server.get("?include_counts=true").await;
        assert_eq!(listed["messages"].is_null(), is_quirky, "{listed}");
        assert_eq!(listed["total"].is_string(), is_quirky, "{listed}");
        let listed = &listed["result"][0];
        assert_eq!(listed.get("newField").is_some(), is_quirky, "{listed}");
        assert_eq!(listed["size"].is_string(), is_quirky, "{listed}");
        let listed = server.json(&world, &["video", "list"]).await;
        assert_eq!(listed[0]["uid"], video["uid"]);
    }
    // A status is understood as well.
    let put = ["put", "--wait", &clip()];
    quirky.run(&world, &put).await.expect(0);
    plain.stop().await;
    quirky.stop().await;
}

#[tokio::test]
async fn what_lies_in_the_folder_is_there_again_after_a_kill() {
    let world = World::new();
    let data = world.path("data");
    let options = ["--data", data.to_str().unwrap()];
    let server = Served::start(&world, &options).await;
    let video = server.json(&world, &["video", "upload", &clip()]).await;
    let uid = video["uid"].as_str().unwrap();
    let named = ["video", "edit", uid, "--name", "kept"];
    server.json(&world, &named).await;
    let input = server
        .json(&world, &["live-input", "create", "--name", "stage"])
        .await;
    server.process.kill_9();
    server.process.wait(PATIENCE).await.unwrap();

    let server = Served::start(&world, &options).await;
    let found = server.json(&world, &["video", "get", uid]).await;
    assert_eq!(found["meta"]["name"], "kept");
    assert_eq!(found["size"].as_f64(), Some(69_162.0));
    let uid = input["uid"].as_str().unwrap();
    let found = server.json(&world, &["live-input", "get", uid]).await;
    assert_eq!(found["created"], input["created"]);
    // And it is nobody else's meanwhile.
    let other = run({
        let mut command = world.command();
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(options);
        command
    });
    let other = other.await.expect(3);
    assert!(
        other.stderr.contains("in use by another emulator"),
        "{}",
        other.stderr
    );
    server.stop().await;
}
