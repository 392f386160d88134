//! `state`: what the real binary remembers, shows, and never shows.

use std::path::{Path, PathBuf};

use serde_json::Value;
use stream_emulator::{EmulatorHandle, Fault, FaultRule};

use test_support::Process;

use crate::world::{Ended, MIB, PATIENCE, World, emulator, event, run};

/// A world with one finished upload and one that a broken server left unfinished.
struct Past {
    world: World,
    emulator: EmulatorHandle,
    finished: PathBuf,
    unfinished: PathBuf,
}

impl Past {
    async fn new() -> Self {
        let world = World::new();
        let emulator = emulator().start().await.unwrap();
        let finished = world.random_file("done.mp4", MIB);
        let unfinished = world.random_file("half.mp4", 16 * MIB);
        let mut put = world.put_to_emulator(&emulator);
        put.arg(&finished);
        run(put).await.expect(0);
        let refuse = Fault::Status {
            status: http::StatusCode::SERVICE_UNAVAILABLE,
            retry_after: None,
        };
        let patch = FaultRule::new(refuse).method(http::Method::PATCH);
        emulator.faults().add(patch.skip(1).times(u64::MAX));
        let mut put = world.put_to_emulator(&emulator);
        put.args(["--retries", "1", "--chunk-size", "5MiB"])
            .arg(&unfinished);
        run(put).await.expect(6);
        Self {
            world,
            emulator,
            finished,
            unfinished,
        }
    }

    async fn state(&self, args: &[&str]) -> Ended {
        let mut command = self.world.command();
        command.arg("state").args(args);
        run(command).await.expect(0)
    }

    async fn records(&self, args: &[&str]) -> Vec<Value> {
        self.state(args).await.events("record")
    }
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_list_tells_what_is_finished_and_how_far_the_rest_is() {
    let past = Past::new().await;
    let records = past.records(&["list", "--json"]).await;
    let found: Vec<_> = records
        .iter()
        .map(|record| {
            (
                record["source"].as_str().unwrap(),
                &record["state"],
                &record["percent"],
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (name(&past.unfinished), &"unfinished".into(), &31.into()),
            (name(&past.finished), &"finished".into(), &100.into()),
        ]
    );
    assert_eq!(records[0]["offset"], 5 * MIB);
    assert_eq!(records[0]["length"], 16 * MIB);
    assert_eq!(records[0]["stale"], Value::Null);
    assert!(records[1]["media_id"].is_string());
}

#[tokio::test]
async fn people_get_a_table_with_one_line_for_each() {
    let past = Past::new().await;
    let said = past.state(&["list"]).await.stdout;
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    for word in [
        "unfinished",
        "5.00 MiB of 16.00 MiB (31 %)",
        "ago",
        name(&past.unfinished),
    ] {
        assert!(lines[1].contains(word), "{word:?} is missing in:\n{said}");
    }
}

#[tokio::test]
async fn a_list_can_be_narrowed_by_state() {
    let past = Past::new().await;
    for (option, wanted) in [
        ("--unfinished", Some(&past.unfinished)),
        ("--finished", Some(&past.finished)),
        ("--failed", None),
    ] {
        let records = past.records(&["list", "--json", option]).await;
        let sources: Vec<_> = records.iter().map(|record| &record["source"]).collect();
        let wanted: Vec<Value> = wanted.map(|path| name(path).into()).into_iter().collect();
        assert_eq!(sources, wanted.iter().collect::<Vec<_>>(), "{option}");
    }
}

#[tokio::test]
async fn no_upload_url_is_ever_shown() {
    let past = Past::new().await;
    let requests = past.emulator.requests();
    let patch = requests
        .iter()
        .find(|request| request.method == "PATCH")
        .unwrap();
    let secret = patch.path.rsplit('/').next().unwrap().to_owned();
    let media_id = past.records(&["list", "--json", "--unfinished"]).await[0]["media_id"].clone();
    assert_ne!(media_id, Value::Null);
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["show", name(&past.unfinished)],
        &["show", "--json", name(&past.unfinished)],
    ] {
        let ended = past.state(args).await;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains(&patch.path), "{args:?}:\n{said}");
        assert!(!said.contains("tusv2"), "{args:?}:\n{said}");
        let id = media_id.as_str().unwrap();
        assert!(
            secret.starts_with(id) || !said.contains(&secret),
            "{args:?}:\n{said}"
        );
    }
}

#[tokio::test]
async fn a_record_is_found_by_its_source_and_by_the_beginning_of_its_fingerprint() {
    let past = Past::new().await;
    let shown = past
        .records(&["show", "--json", name(&past.unfinished)])
        .await;
    assert_eq!(shown.len(), 1);
    let fingerprint = shown[0]["fingerprint"].as_str().unwrap();
    assert_eq!(shown[0]["upload_url_known"], true);
    assert_eq!(shown[0]["source_now"], "same");
    let again = past.records(&["show", "--json", &fingerprint[..8]]).await;
    assert_eq!(again[0]["source"], name(&past.unfinished));
    let said = past.state(&["show", &fingerprint[..8]]).await.stdout;
    assert!(
        said.contains("upload URL") && said.contains("not shown"),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_not_remembered_is_said_to_be_so() {
    let past = Past::new().await;
    let mut command = past.world.command();
    command.args(["state", "show", "other.mp4"]);
    let ended = run(command).await.expect(3);
    assert!(
        ended.stderr.contains("nothing is remembered of other.mp4"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn an_unfinished_upload_whose_source_is_gone_is_stale() {
    let past = Past::new().await;
    std::fs::write(&past.unfinished, "shorter").unwrap();
    let changed = past.records(&["list", "--json", "--unfinished"]).await;
    assert_eq!(changed[0]["stale"], "source-changed");
    std::fs::remove_file(&past.unfinished).unwrap();
    let gone = past.records(&["list", "--json", "--unfinished"]).await;
    assert_eq!(gone[0]["stale"], "source-gone");
}

#[tokio::test]
async fn who_works_on_an_upload_is_named() {
    let world = World::new();
    let emulator = emulator().start().await.unwrap();
    let stall = FaultRule::new(Fault::StallAnswer).method(http::Method::PATCH);
    emulator.faults().add(stall.times(u64::MAX));
    let mut put = world.put_to_emulator(&emulator);
    put.arg(world.random_file("a.mp4", MIB));
    let process = Process::spawn(put).unwrap();
    event(&process, "created", PATIENCE).await;

    let list = |json: bool| {
        let mut command = world.command();
        command.args(["state", "list", "--unfinished"]);
        command.args(json.then_some("--json"));
        run(command)
    };
    let records = list(true).await.expect(0).events("record");
    assert_eq!(records[0]["holder"]["pid"], process.id());
    let said = list(false).await.expect(0).stdout;
    let holder = format!("process {}", process.id());
    assert!(said.contains(&holder), "{said}");
    process.kill_9();
}

#[tokio::test]
async fn prune_keeps_what_is_finished_and_what_can_be_gone_on_with() {
    let past = Past::new().await;
    // The run that was killed left the file behind that named it.
    let first = past.state(&["prune"]).await;
    assert!(
        first.stdout.starts_with("removed 1 leftover file"),
        "{first:?}"
    );
    let second = past.state(&["prune"]).await;
    assert!(second.stderr.contains("nothing to forget"), "{second:?}");
    assert_eq!(past.records(&["list", "--json"]).await.len(), 2);
}

#[tokio::test]
async fn prune_forgets_old_unfinished_uploads_when_asked_and_says_which() {
    let past = Past::new().await;
    let dry = past
        .state(&["prune", "--older-than", "0s", "--dry-run"])
        .await
        .stdout;
    assert!(dry.contains("would forget unfinished upload of"), "{dry}");
    assert_eq!(past.records(&["list", "--json"]).await.len(), 2);

    let said = past.state(&["prune", "--older-than", "0s"]).await.stdout;
    assert!(said.contains(name(&past.unfinished)), "{said}");
    assert!(!said.contains(name(&past.finished)), "{said}");
    let left = past.records(&["list", "--json"]).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["state"], "finished");
}

#[tokio::test]
async fn prune_forgets_a_finished_upload_only_by_name() {
    let past = Past::new().await;
    let ended = past
        .state(&["prune", "--json", "--forget", name(&past.finished)])
        .await;
    assert_eq!(ended.events("pruned")[0]["source"], name(&past.finished));
    assert_eq!(ended.events("summary")[0]["records"], 1);
    let left = past.records(&["list", "--json"]).await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["state"], "unfinished");
}

#[tokio::test]
async fn without_a_state_folder_there_is_nothing_yet_and_none_is_made() {
    let world = World::new();
    for verb in [&["list"][..], &["show", "a.mp4"], &["prune"]] {
        let mut command = world.command();
        command.arg("state").args(verb);
        let ended = run(command).await.expect(0);
        assert!(ended.stderr.contains("nothing yet"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    assert!(!world.state_dir().exists());
}

#[tokio::test]
async fn a_folder_that_holds_no_state_is_left_as_it_is() {
    let world = World::new();
    let folder = world.path("project");
    std::fs::create_dir(&folder).unwrap();
    let mut command = world.command();
    command.args(["state", "list", "--state-dir"]).arg(&folder);
    let ended = run(command).await.expect(0);
    assert!(ended.stderr.contains("nothing yet"), "{}", ended.stderr);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}
