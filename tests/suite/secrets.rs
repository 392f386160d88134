//! Tokens and upload URLs: nowhere but in the private store.

use std::os::unix::fs::PermissionsExt;

use http::StatusCode;
use stream_emulator::{Fault, FaultRule, FaultTarget};
use test_support::{Checker, Process, Stream};

use crate::world::{MIB, PATIENCE, Site, World, emulator, end, event, run};

const TOKEN: &str = "canary-token-91b2c4";

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_and_no_upload_url_is_seen_anywhere_at_any_log_level() {
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 30 * MIB).await;
    let source = world.random_file("a.mov", 16 * MIB);
    let mut outputs = Vec::new();
    // Every kind of trouble has its own words: each of them is heard once.
    for status in [408, 423, 429, 500, 503] {
        let refused = Fault::Status {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
        };
        let rule = FaultRule::new(refused).on(FaultTarget::Upload);
        site.emulator.faults().add(rule);
    }
    for rule in [
        FaultRule::new(Fault::LoseAnswer).on(FaultTarget::Creation),
        FaultRule::new(Fault::Reset).on(FaultTarget::Upload).skip(6),
    ] {
        site.emulator.faults().add(rule);
    }
    let mut command = site.put(&world, &source);
    command.args(["-vvv", "--chunk-size", "5MiB"]);
    let process = Process::spawn(command).unwrap();
    event(&process, "created", PATIENCE).await;
    let url = site.emulator.uploads()[0].id.clone();
    let secrets = |checker: Checker| checker.canary("the API token", TOKEN);
    // While it runs: what the process list and its children's environment show.
    let mut checker = secrets(Checker::emulator(site.emulator.addr(), TOKEN).source(&source))
        .canary("the upload URL", format!("/{url}"))
        .folder(world.path(""))
        .except(world.state_dir().join("records.sled"))
        .except(world.state_dir().join("records.wal"))
        .process(process.id());
    let ended = end(&process).await.expect(0);
    outputs.push((ended.stdout, ended.stderr));
    assert!(process.lines(Stream::Stderr).len() > 20, "-vvv says much");

    for arguments in [
        vec!["state", "list", "--json"],
        vec!["state", "list"],
        vec!["state", "show", source.to_str().unwrap()],
        vec!["state", "prune", "--dry-run"],
        vec!["explain"],
    ] {
        let mut command = world.command();
        command.args(["-vvv"]).args(arguments);
        let ended = run(command).await.expect(0);
        outputs.push((ended.stdout, ended.stderr));
    }
    let mut wrong = world.put_to_emulator(&site.emulator);
    wrong
        .env("STREAM_API_TOKEN", format!("{TOKEN}-wrong"))
        .arg("-vvv")
        .arg(world.random_file("b.mov", 10));
    let ended = run(wrong).await.expect(4);
    outputs.push((ended.stdout, ended.stderr));
    for (stdout, stderr) in &outputs {
        checker = checker
            .output("stdout", &lines(stdout))
            .output("stderr", &lines(stderr));
    }
    checker.assert().await;

    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(world.state_dir()) & 0o777, 0o700);
    for entry in walk(&world.state_dir()) {
        assert_eq!(mode(entry.clone()) & 0o077, 0, "{}", entry.display());
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        found.push(entry.path());
        if entry.file_type().unwrap().is_dir() {
            found.extend(walk(&entry.path()));
        }
    }
    found
}
