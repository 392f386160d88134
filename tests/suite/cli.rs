//! What a person reads when something is wrong: one clear message, what to do, the right exit code.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{Ended, MIB, World, emulator, run};

/// Runs a command that must fail: with this code, and with a message that has all these words.
async fn fails(command: Command, code: i32, words: &[&str]) -> Ended {
    let ended = run(command).await.expect(code);
    for word in words {
        assert!(
            ended.stderr.contains(word),
            "{word:?} is missing in:\n{}",
            ended.stderr
        );
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended
}

fn put(world: &World, args: &[&str], source: &Path) -> Command {
    let mut command = world.command();
    command.arg("put").args(args).arg(source);
    command
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let world = World::new();
    let command = put(&world, &["--local"], &world.path("no-such.mp4"));
    fails(command, 3, &["no-such.mp4", "No such file", "hint:"]).await;
}

#[tokio::test]
async fn an_empty_folder_is_not_a_success() {
    let world = World::new();
    std::fs::create_dir(world.path("empty")).unwrap();
    fails(
        put(&world, &["--local"], &world.path("empty")),
        3,
        &["no videos in", "empty", "--include"],
    )
    .await;
}

#[tokio::test]
async fn a_file_that_may_not_be_read_is_named_and_the_others_go_on() {
    let world = World::new();
    world.random_file("shoot/a.mp4", 10);
    let locked = world.random_file("shoot/b.mp4", 10);
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o000)).unwrap();
    let plain = put(&world, &["--local"], &world.path("shoot"));
    // Root reads everything unless that capability is taken from it.
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command
            .arg("--bounding-set=-dac_override,-dac_read_search")
            .arg(plain.get_program())
            .args(plain.get_args());
        command
    } else {
        let mut command = Command::new(plain.get_program());
        command.args(plain.get_args());
        command
    };
    command.env("STREAM_UPLOAD_STATE_DIR", world.state_dir());
    let ended = fails(command, 1, &["b.mp4", "Permission denied", "1 finished"]).await;
    assert!(ended.stdout.contains("a.mp4"));
}

#[tokio::test]
async fn a_chunk_size_off_streams_rule_is_refused_before_anything_is_sent() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mp4", MIB);
    for (size, words) in [
        ("6MB", "multiple of 262144"),
        ("1MiB", "at least 5242880"),
        ("1GiB", "at most 209715200"),
    ] {
        let mut command = world.put_to_emulator(&emulator);
        command.args(["--chunk-size", size]).arg(&source);
        fails(command, 2, &[words, "256 KiB"]).await;
    }
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn a_bad_url_and_a_missing_account_say_what_is_wanted() {
    let world = World::new();
    let source = world.random_file("a.mp4", 1);
    fails(
        put(&world, &["--endpoint", "tus.example/files"], &source),
        2,
        &["--endpoint", "https://"],
    )
    .await;
    fails(
        put(&world, &["--endpoint", "ftp://tus.example/"], &source),
        2,
        &["http"],
    )
    .await;
    fails(
        put(&world, &[], &source),
        2,
        &["CLOUDFLARE_ACCOUNT_ID", "--local"],
    )
    .await;
    fails(
        put(&world, &["--account-id", "abc"], &source),
        4,
        &["CLOUDFLARE_API_TOKEN", "--token-file"],
    )
    .await;
}

#[tokio::test]
async fn an_account_in_the_environment_does_not_stand_in_the_way_of_another_target() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file("a.mp4", 10);
    for target in [&["--local"][..], &["--endpoint", &emulator.tus_url()]] {
        let mut command = put(&world, target, &source);
        command
            .env("CLOUDFLARE_ACCOUNT_ID", "somebody")
            .env("CLOUDFLARE_API_TOKEN", "canary")
            .env("STREAM_API_URL", "http://127.0.0.1:1");
        run(command).await.expect(0);
    }
    assert!(
        emulator
            .requests()
            .iter()
            .all(|request| !request.authorized),
        "no token went there"
    );
}

#[tokio::test]
async fn a_wrong_token_is_told_once_and_stops_the_run() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    for index in 0..50 {
        world.random_file(&format!("shoot/{index}.mp4"), 10);
    }
    let mut command = world.put_to_emulator(&emulator);
    command
        .env("STREAM_API_TOKEN", "canary-wrong")
        .arg(world.path("shoot"));
    let ended = run(command).await.expect(4);
    assert!(!format!("{ended:?}").contains("canary-wrong"));
    assert!(
        ended.events("failed")[0]["error"]
            .as_str()
            .unwrap()
            .contains("Authentication error"),
        "{}",
        ended.stdout
    );
    assert!(
        emulator.requests().len() < 10,
        "the other files would be refused too"
    );
    assert!(emulator.videos().is_empty());
}

#[tokio::test]
async fn a_token_file_that_others_may_read_is_refused() {
    let world = World::new();
    let source = world.random_file("a.mp4", 1);
    let token = world.random_file("token", 10);
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let command = put(
        &world,
        &[
            "--account-id",
            "abc",
            "--token-file",
            token.to_str().unwrap(),
        ],
        &source,
    );
    fails(command, 4, &["others may read it", "chmod 600"]).await;
}

#[tokio::test]
async fn a_server_that_does_not_speak_tus_is_told_apart_from_a_refusal() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
        "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>",
        "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 501 Unsupported method\r\ncontent-length: 0\r\n\r\n",
    ] {
        let world = World::new();
        let source = world.random_file("a.mp4", 10);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/files/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                        if stream.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        fails(
            put(&world, &["--endpoint", &url], &source),
            6,
            &["not from a tus server", "creation URL"],
        )
        .await;
        server.abort();
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_given_up_after_the_patience_that_was_asked_for() {
    let world = World::new();
    let source = world.random_file("a.mp4", 10);
    let held = test_support::HeldPort::new().unwrap();
    let url = format!("http://{}/files/", held.addr());
    let command = put(&world, &["--patience", "1s", "--endpoint", &url], &source);
    let address = held.addr().to_string();
    fails(
        command,
        6,
        &[
            "could not be reached",
            &address,
            "run the same command again",
        ],
    )
    .await;
}

#[tokio::test]
async fn options_that_only_stream_knows_are_not_silently_dropped_elsewhere() {
    let world = World::new();
    let source = world.random_file("a.mp4", 10);
    let args = [
        "--endpoint",
        "http://127.0.0.1:1/files/",
        "--require-signed-urls",
    ];
    fails(
        put(&world, &args, &source),
        2,
        &["--require-signed-urls", "Cloudflare Stream only"],
    )
    .await;
}

#[tokio::test]
async fn headers_go_to_the_endpoint_and_stay_out_of_every_output() {
    let world = World::new();
    let emulator = emulator().tus_token(true).start().await.unwrap();
    let source = world.random_file("a.mp4", 1_000);
    let file = world.path("headers");
    std::fs::write(
        &file,
        "Authorization: Bearer local\nX-Canary: canary-header\n",
    )
    .unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let header = format!("@{}", file.display());
    let command = put(
        &world,
        &[
            "-vvv",
            "--json",
            "--endpoint",
            &emulator.tus_url(),
            "--header",
            &header,
        ],
        &source,
    );
    let ended = run(command).await.expect(0);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(!said.contains("canary-header") && !said.contains("Bearer local"));
}

#[tokio::test]
async fn help_shows_examples_and_the_exit_codes() {
    let world = World::new();
    for (args, words) in [
        (&["--help"][..], &["put", "serve", "Exit codes"][..]),
        (
            &["put", "--help"],
            &["Examples:", "--local", "--endpoint", "--no-resume"],
        ),
        (&["serve", "--help"], &["Example:", "--data"]),
    ] {
        let mut command = world.command();
        command.args(args);
        let ended = run(command).await.expect(0);
        for word in words {
            assert!(
                ended.stdout.contains(word),
                "{word:?} is missing in:\n{}",
                ended.stdout
            );
        }
    }
}

#[tokio::test]
async fn serve_prints_what_points_this_tool_at_it() {
    let world = World::new();
    let mut command = world.command();
    command.args(["serve", "--listen", "127.0.0.1:0"]);
    let server = test_support::Process::spawn(command).unwrap();
    let patience = crate::world::PATIENCE;
    let line = |name: &'static str| move |line: &str| line.starts_with(name);
    let mut put = world.command();
    for name in [
        "STREAM_API_URL",
        "STREAM_API_TOKEN",
        "CLOUDFLARE_ACCOUNT_ID",
    ] {
        let export = format!("export {name}=");
        let export: &'static str = export.leak();
        let said = server
            .wait_for_line(test_support::Stream::Stdout, line(export), patience)
            .await
            .unwrap();
        put.env(name, said.strip_prefix(export).unwrap());
    }
    put.arg("put").arg(world.random_file("a.mp4", 1_000));
    run(put).await.expect(0);
    server.sigterm();
    assert_eq!(server.wait(patience).await.unwrap().code(), Some(0));
}
