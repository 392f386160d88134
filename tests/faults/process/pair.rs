//! F53, F54: two processes at once.

use std::collections::BTreeSet;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use http::Request;
use stream_upload::http_transport::{Body, Protocol, ReqwestTransport, Transport as _};
use test_support::{Process, Stream, fixtures};

use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{MIB, PATIENCE, Site, World, emulator, end, run};

pub(super) async fn one_state() -> Ended {
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 12 * MIB).await;
    let sources: Vec<_> = (0..12)
        .map(|index| world.random_file(&format!("shoot/{index:02}.mp4"), 2 * MIB))
        .collect();
    let folder = world.path("shoot");
    let one = Process::spawn(site.put(&world, &folder)).unwrap();
    site.proxy
        .wait_until(|counters| counters.body_up > MIB)
        .await;
    let two = Process::spawn(site.put(&world, &folder)).unwrap();
    let ended = [end(&one).await, end(&two).await];
    let finished = |index: usize| ended[index].events("finished").len();
    let busy: Vec<_> = ended
        .iter()
        .flat_map(|ended| ended.events("skipped"))
        .filter(|line| line["reason"] == "busy")
        .collect();
    assert!(finished(0) > 0 && finished(1) > 0, "both worked: {ended:?}");
    assert_eq!(finished(0) + finished(1), 12, "each file once: {ended:?}");
    assert!(!busy.is_empty(), "they met: {ended:?}");
    for ended in &ended {
        // What the other one has is not done yet as far as this one knows.
        let met = ended
            .events("skipped")
            .iter()
            .any(|line| line["reason"] == "busy");
        assert_eq!(ended.code, Some(i32::from(met)), "{ended:?}");
    }

    let source = world.random_file("alone.mp4", 6 * MIB);
    let holder = Process::spawn(site.put(&world, &source)).unwrap();
    let created = |line: &str| line.contains(r#""created""#);
    holder
        .wait_for_line(Stream::Stdout, created, PATIENCE)
        .await
        .unwrap();
    let told = run(without_json(site.put(&world, &source))).await.expect(8);
    let pid = holder.id().to_string();
    assert!(told.stderr.contains(&pid), "{}", told.stderr);
    let held = end(&holder).await.expect(0);

    let mut list = world.command();
    list.args(["state", "list", "--json"]);
    let records = run(list).await.expect(0).events("record");
    assert_eq!(records.len(), 13, "the store is intact");
    let all: Vec<_> = sources.iter().cloned().chain([source.clone()]).collect();
    let again = || {
        let mut command = site.put(&world, &folder);
        command.arg(&source);
        command
    };
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: &all,
        said: &[&ended[0], &ended[1], &told, &held],
    }
    .hold(again())
    .await;
    let sent = site.proxy.counters().body_up;
    assert_eq!(sent, 30 * MIB, "nothing was sent twice");
    Ok(Seen::times(2).resent(0).remark(format!(
        "12 files: {} and {} by either, {} times one was left to the other",
        finished(0),
        finished(1),
        busy.len()
    )))
}

pub(super) async fn two_states() -> Ended {
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 12 * MIB).await;
    let source = world.random_file("a.mov", 24 * MIB);
    let url = create(&site.proxy.url("/files/"), 24 * MIB).await;
    let url_file = world.path("url.txt");
    std::fs::write(&url_file, &url).unwrap();
    // It is a secret.
    std::fs::set_permissions(&url_file, Permissions::from_mode(0o600)).unwrap();
    let states = [world.state_dir(), world.path("other-state")];
    let put = |state: &Path| {
        let mut command = world.command();
        command
            .env("STREAM_UPLOAD_STATE_DIR", state)
            .args(["put", "--json", "--patience", "20s", "--upload-url"])
            .arg(format!("@{}", url_file.display()))
            .arg(&source);
        command
    };
    let one = Process::spawn(put(&states[0])).unwrap();
    site.proxy
        .wait_until(|counters| counters.body_up > 4 * MIB)
        .await;
    let two = Process::spawn(put(&states[1])).unwrap();
    let ended = [end(&one).await, end(&two).await];
    let codes: Vec<_> = ended.iter().map(|ended| ended.code).collect();
    let done = codes.iter().filter(|code| **code == Some(0)).count();
    assert!(done >= 1, "one at least gets it there: {ended:?}");
    for failed in ended.iter().filter(|ended| ended.code != Some(0)) {
        assert_eq!(failed.code, Some(5), "{failed:?}");
        let why = &failed.events("failed")[0]["error"];
        assert!(why.as_str().unwrap().contains("another"), "{failed:?}");
    }
    let uploads = site.emulator.uploads();
    assert_eq!((uploads.len(), uploads[0].complete), (1, true));
    let sum = site.emulator.sha256(&uploads[0].id).await.unwrap().unwrap();
    assert_eq!(sum, fixtures::sha256_file(&source).unwrap());
    let met: BTreeSet<_> = site
        .emulator
        .requests()
        .iter()
        .filter_map(|request| request.status)
        .filter(|status| [409, 423].contains(status))
        .collect();

    // Either learns that it is done, and sends nothing.
    let last = run(put(&states[1])).await.expect(0);
    assert_eq!(last.events("summary")[0]["bytes_sent"], 0);
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended[0], &ended[1], &last],
    }
    .hold(put(&states[0]))
    .await;
    let resent = site.proxy.counters().body_up - 24 * MIB;
    Ok(Seen::times(1)
        .resent(resent)
        .remark(format!("exit codes {codes:?}, refusals met: {met:?}")))
}

/// The same without `--json`: people read who has it.
fn without_json(command: Command) -> Command {
    let mut plain = Command::new(command.get_program());
    plain.args(command.get_args().filter(|arg| *arg != "--json"));
    plain.env_clear();
    plain.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    plain
}

/// Makes an upload on a tus server, and returns its URL.
async fn create(creation_url: &str, length: u64) -> String {
    let request = Request::post(creation_url)
        .header("tus-resumable", "1.0.0")
        .header("upload-length", length)
        .body(Body::Empty)
        .unwrap();
    let transport = ReqwestTransport::new(Protocol::Http1).unwrap();
    let answer = transport.send(request).await.unwrap();
    let location = answer.headers()["location"].to_str().unwrap();
    let origin = creation_url.strip_suffix("/files/").unwrap();
    match location.strip_prefix('/') {
        Some(path) => format!("{origin}/{path}"),
        None => location.to_owned(),
    }
}
