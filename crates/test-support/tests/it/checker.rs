//! The judge sees each kind of wrong, and nothing wrong where all is well.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use test_support::fixtures::{self, TempDir};
use test_support::{Checker, FakeRequest, FakeServer, Process, Reply, Script, Violation};

/// A data folder as the emulator lays it out, and a folder of sources.
struct World {
    dir: TempDir,
}

impl World {
    fn new() -> Self {
        let dir = fixtures::temp_dir().expect("a temporary folder");
        for name in ["data/uploads", "data/videos", "data/blobs", "sources"] {
            fs::create_dir_all(dir.path().join(name)).expect("made");
        }
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).expect("written");
        path
    }

    fn source(&self, name: &str, bytes: &[u8]) -> PathBuf {
        self.write(&format!("sources/{name}"), bytes)
    }

    /// A generic upload of which `bytes` are there and acknowledged.
    fn upload(&self, id: &str, length: usize, bytes: &[u8]) {
        let place = json!("files");
        self.entry(id, id, &place, length, bytes);
    }

    /// A video, with an upload of another key.
    fn video(&self, uid: &str, bytes: &[u8]) {
        let place = json!({"direct": {"account": "acct", "uid": uid}});
        self.entry(&format!("key-of-{uid}"), uid, &place, bytes.len(), bytes);
        self.video_entry(uid);
    }

    fn video_entry(&self, uid: &str) {
        let video = json!({"format": 1, "account": "acct", "video": {"uid": uid}});
        self.write(
            &format!("data/videos/{uid}.json"),
            video.to_string().as_bytes(),
        );
    }

    fn entry(&self, key: &str, id: &str, place: &serde_json::Value, length: usize, bytes: &[u8]) {
        let upload = json!({
            "format": 1, "key": key, "place": place, "length": length,
            "offset": bytes.len(), "metadata": null, "concat": null, "parts": [],
        });
        self.write(
            &format!("data/uploads/{key}.json"),
            upload.to_string().as_bytes(),
        );
        self.write(&format!("data/blobs/{id}"), bytes);
    }

    fn checker(&self) -> Checker {
        Checker::data_folder(self.path("data"))
    }
}

fn place(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test]
async fn whole_files_held_once_are_well() {
    let world = World::new();
    world.upload("one", 5, b"first");
    world.video("two", b"second");
    world.upload("empty", 0, b"");
    let sources = [
        world.source("a", b"first"),
        world.source("b", b"second"),
        world.source("c", b""),
    ];
    world.checker().sources(sources).assert().await;
}

#[tokio::test]
async fn unacknowledged_bytes_do_not_count() {
    let world = World::new();
    world.upload("one", 5, b"first");
    world.write("data/blobs/one", b"first and more");
    let source = world.source("a", b"first");
    world.checker().source(source).assert().await;
}

#[tokio::test]
async fn a_missing_a_doubled_and_a_damaged_file_are_told_apart() {
    let world = World::new();
    world.upload("one", 5, b"first");
    world.upload("two", 5, b"first");
    world.upload("bad", 6, b"secOnd");
    let first = world.source("a", b"first");
    let second = world.source("b", b"second");
    let violations = world.checker().sources([&first, &second]).check().await;
    assert_eq!(violations.len(), 3, "{violations:?}");
    assert!(violations.contains(&Violation::Missing(second)));
    assert!(violations.contains(&Violation::Foreign("bad".into())));
    assert!(violations.contains(&Violation::Twice {
        source: first,
        objects: vec!["one".into(), "two".into()],
    }));
}

#[tokio::test]
async fn equal_sources_must_be_there_as_often() {
    let world = World::new();
    world.upload("one", 5, b"first");
    let sources = [world.source("a", b"first"), world.source("b", b"first")];
    let violations = world.checker().sources(&sources).check().await;
    assert_eq!(violations, [Violation::Missing(sources[1].clone())]);
    world.upload("two", 5, b"first");
    world.checker().sources(&sources).assert().await;
}

#[tokio::test]
async fn leftovers_are_told_unless_they_were_announced() {
    let world = World::new();
    world.upload("half", 10, b"first");
    world.video_entry("void");
    let violations = world.checker().leftovers(1).check().await;
    let pending = Violation::Pending {
        object: "half".into(),
        offset: 5,
    };
    assert_eq!(violations, [pending, Violation::Empty("void".into())]);
    world.checker().leftovers(2).assert().await;
}

#[tokio::test]
async fn what_cannot_be_read_proves_nothing() {
    let world = World::new();
    let violations = Checker::data_folder(world.path("elsewhere")).check().await;
    assert!(matches!(&violations[..], [Violation::Unreadable { .. }]));
    let violations = world.checker().source(world.path("gone")).check().await;
    assert!(matches!(&violations[..], [Violation::Unreadable { .. }]));
}

#[tokio::test]
async fn canaries_are_found_in_files_names_and_outputs_and_not_where_they_may_be() {
    let world = World::new();
    fs::create_dir_all(world.path("state/deep")).expect("made");
    let log = world.write("state/deep/log", b"token=canary-1\n");
    let named = world.write("state/canary-1.txt", b"");
    let vault = world.write("state/vault", b"canary-1");
    let lines = ["fine".to_owned(), "not canary-1 fine".to_owned()];
    let searching = || {
        world
            .checker()
            .canary("the token", "canary-1")
            .canary("the URL", "canary-2")
            .folder(world.path("state"))
    };
    let violations = searching()
        .except(&vault)
        .output("standard error", &lines)
        .check()
        .await;
    let leak = |place: String| Violation::Leak {
        canary: "the token".into(),
        place,
    };
    assert_eq!(
        violations,
        [
            leak(format!("the name of {}", place(&named))),
            leak(place(&log)),
            leak("standard error".into()),
        ]
    );
    searching().except(world.path("state")).assert().await;
}

#[tokio::test]
async fn canaries_are_found_in_the_arguments_of_what_a_process_started() {
    let world = World::new();
    let mut shell = Command::new("sh");
    // Of the two only the child has it among its arguments.
    shell.args(["-c", "sh -c 'echo up; read line' $CANARY; true"]);
    shell.env("CANARY", "canary-3");
    let process = Process::spawn_with_stdin(shell).expect("started");
    let patience = std::time::Duration::from_secs(10);
    process
        .wait_for_line(test_support::Stream::Stdout, |_| true, patience)
        .await
        .expect("said");
    let violations = world
        .checker()
        .canary("the token", "canary-3")
        .process(process.id())
        .check()
        .await;
    assert!(matches!(&violations[..], [Violation::Leak { .. }]));
    world
        .checker()
        .canary("the token", "canary-4")
        .process(process.id())
        .assert()
        .await;
}

/// Tells what an emulator tells.
fn telling(uploads: serde_json::Value, videos: serde_json::Value) -> Script {
    Script::new().always(move |request: &FakeRequest| {
        if request.header("authorization") != Some("Bearer local") {
            return Reply::status(401).then_close();
        }
        let json = |value: &serde_json::Value| {
            Reply::body(200, "application/json", value.to_string()).then_close()
        };
        match request.target.as_str() {
            "/_emulator/uploads" => json(&uploads),
            "/_emulator/videos" => json(&videos),
            "/_emulator/originals/one" => Reply::body(200, "video/mp4", "first").then_close(),
            _ => Reply::status(404).then_close(),
        }
    })
}

#[tokio::test]
async fn a_running_emulator_is_asked_and_its_bytes_are_digested_here() {
    let world = World::new();
    let second = world.source("b", b"second");
    let uploads = json!([
        // The digest that it tells is not believed where it has the bytes.
        {"id": "one", "length": 5, "offset": 5, "complete": true, "sha256": "wrong"},
        {"id": "two", "length": 6, "offset": 6, "complete": true,
            "sha256": fixtures::sha256_file(&second).expect("read")},
        {"id": "three", "length": 9, "offset": 2, "complete": false, "sha256": ""},
    ]);
    let videos = json!([{"account": "acct", "video": {"uid": "one"}}]);
    let server = FakeServer::start(telling(uploads, videos))
        .await
        .expect("started");
    let sources = [world.source("a", b"first"), second];
    let violations = Checker::emulator(server.addr(), "local")
        .sources(&sources)
        .check()
        .await;
    let pending = Violation::Pending {
        object: "three".into(),
        offset: 2,
    };
    assert_eq!(violations, [pending]);
    let refused = Checker::emulator(server.addr(), "guess").check().await;
    assert!(matches!(&refused[..], [Violation::Unreadable { .. }]));
}
