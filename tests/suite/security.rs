//! What nobody may do to the user of the command line: not a server, not a file's name, not another user of the machine.
//! SECURITY.md says which rule each test holds.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use test_support::{FakeServer, Script, TestCa};

use crate::world::{Ended, World, emulator, run};

/// Drives a terminal: a title, a cleared screen, a new line, a C1 control, text that runs backwards.
const HOSTILE: &str = "a\u{1b}]0;owned\u{7}\u{1b}[2J\nerror: fake\u{9b}2J\u{202e}4pm.mov";

#[track_caller]
fn assert_harmless(ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        let bad = text
            .chars()
            .find(|c| (c.is_control() && !matches!(c, '\n' | '\t')) || *c == '\u{202e}');
        assert_eq!(bad, None, "{text:?}");
        assert!(!text.lines().any(|line| line == "error: fake"), "{text:?}");
    }
}

#[tokio::test]
async fn a_name_of_a_file_is_a_line_of_text_wherever_it_is_shown() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let source = world.random_file(HOSTILE, 1000);
    let human = |world: &World| {
        let mut command = world.put_to_emulator(&emulator);
        let plain: Vec<_> = command.get_args().map(OsStr::to_owned).collect();
        let environment: Vec<_> = command
            .get_envs()
            .map(|(name, value)| (name.to_owned(), value.map(OsStr::to_owned)))
            .collect();
        command = world.command();
        for (name, value) in environment {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command.args(plain.into_iter().filter(|word| word != "--json"));
        command
    };

    let mut machine = world.put_to_emulator(&emulator);
    machine.arg(&source);
    let ended = run(machine).await.expect(0);
    assert_harmless(&ended);
    assert_eq!(
        ended.events("finished")[0]["source"].as_str().unwrap(),
        source.to_str().unwrap(),
        "whoever parses the line reads the name as it is"
    );
    let mut again = human(&world);
    again.arg(&source);
    assert_harmless(&run(again).await.expect(0));
    for words in [["state", "list"].as_slice(), &["state", "list", "--json"]] {
        let mut command = world.command();
        command.args(words);
        assert_harmless(&run(command).await.expect(0));
    }
    let mut command = world.command();
    command.args(["state", "show"]).arg(&source);
    assert_harmless(&run(command).await.expect(0));
    let missing = OsStr::from_bytes(b"missing\x1b[2J\xff\nerror: fake\n.mov");
    for mut command in [human(&world), world.put_to_emulator(&emulator)] {
        command.arg(missing);
        assert_harmless(&run(command).await.expect(3));
    }
    emulator.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_name_in_an_option_is_a_line_of_text_in_its_error() {
    let world = World::new();
    let source = world.random_file("a.mov", 10);
    let endpoint = "https://tus.example/files/";
    for option in ["--header", "--ca-cert"] {
        let given = format!("{}{HOSTILE}", if option == "--header" { "@" } else { "" });
        let mut command = world.put_to(endpoint, &source);
        command.args([option, &given]);
        let ended = run(command).await.expect(3);
        assert!(ended.stderr.contains("owned"), "{}", ended.stderr);
        assert_harmless(&ended);
    }
}

#[tokio::test]
async fn a_file_of_headers_that_others_may_read_is_refused() {
    let world = World::new();
    let source = world.random_file("a.mov", 10);
    let file = world.path("headers.txt");
    std::fs::write(&file, "Authorization: Bearer canary\n").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let mut command = world.put_to("https://tus.example/files/", &source);
    command.arg("--header").arg(format!("@{}", file.display()));
    let ended = run(command).await.expect(3);
    assert!(ended.stderr.contains("chmod 600"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("canary"));
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_when_it_is_named_and_only_then() {
    let ca = TestCa::new().unwrap();
    let server = FakeServer::start_tls(Script::new(), &ca.localhost().unwrap())
        .await
        .unwrap();
    let world = World::new();
    let source = world.random_file("a.mov", 1000);
    let pem = world.path("ca.pem");
    std::fs::write(&pem, ca.pem()).unwrap();
    let put = || world.put_to(&server.url("/files/"), &source);

    run(put()).await.expect(6);
    assert_eq!(server.uploads(), []);
    let mut trusting = put();
    trusting.arg("--ca-cert").arg(&pem);
    run(trusting).await.expect(0);
    assert_eq!(server.uploads(), [(Some(1000), 1000)]);
}

#[tokio::test]
async fn a_file_that_holds_no_authority_is_refused_before_anything_is_sent() {
    let world = World::new();
    let source = world.random_file("a.mov", 10);
    let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    for (content, why) in [("no PEM", "no certificate"), (broken, "not valid PEM")] {
        let pem = world.path("ca.pem");
        std::fs::write(&pem, content).unwrap();
        let mut command = world.put_to("https://tus.example/files/", &source);
        command.arg("--ca-cert").arg(&pem);
        let ended = run(command).await.expect(3);
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn there_is_no_option_that_switches_the_checks_off_or_takes_a_token() {
    let world = World::new();
    let source = world.random_file("a.mov", 10);
    for option in ["--insecure", "--token=x"] {
        let mut command = world.put_to("https://tus.example/files/", &source);
        command.arg(option);
        run(command).await.expect(2);
    }
}

#[tokio::test]
async fn no_proxy_is_obeyed() {
    let world = World::new();
    let server = FakeServer::start(Script::new()).await.unwrap();
    let source = world.random_file("a.mov", 1000);
    let put = || {
        let mut command = world.put_to(&server.url("/files/"), &source);
        // Nobody listens there.
        command.env("HTTP_PROXY", "http://127.0.0.1:1");
        command.args(["--patience", "1s"]);
        command
    };
    run(put()).await.expect(6);
    assert_eq!(server.connections(), 0, "the proxy is the only way");
    let mut past = put();
    past.env("NO_PROXY", "127.0.0.1");
    run(past).await.expect(0);
    assert_eq!(server.uploads(), [(Some(1000), 1000)]);
}

#[tokio::test]
async fn an_emulator_for_other_machines_wants_a_token() {
    let world = World::new();
    let mut command = world.command();
    command.args(["serve", "--listen", "0.0.0.0:0"]);
    let ended = run(command).await.expect(2);
    assert!(
        ended.stderr.contains("STREAM_EMULATOR_TOKEN"),
        "{}",
        ended.stderr
    );
}
