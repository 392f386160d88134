//! Two at once, killed in the middle, waiting for one another.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use resume_store::{PruneOptions, ResumeStore, SledStore, StoreError};
use tempfile::TempDir;

use crate::locks::names;
use crate::{count, fingerprint, put};

/// Starts this test binary again, as another process that only runs [`child`].
pub(crate) fn start(role: &str, folder: &Path, first: u64) -> Child {
    let this = std::env::current_exe().expect("this binary");
    Command::new(this)
        .args(["--exact", "processes::child", "--nocapture"])
        .env("ROLE", role)
        .env("FOLDER", folder)
        .env("FIRST", first.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child")
}

/// The lines that the child says on purpose.
pub(crate) fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let stdout = child.stdout.take().expect("a pipe");
    let lines = BufReader::new(stdout).lines().map_while(Result::ok);
    lines.filter_map(|line| Some(line.split_once("child: ")?.1.to_owned()))
}

/// Not a test of its own: the other tests start it as another process.
#[test]
fn child() {
    if std::env::var_os("FOLDER").is_none() {
        return;
    }
    let variable = |name| std::env::var(name).expect("started by a test");
    let first: u64 = variable("FIRST").parse().expect("a number");
    let store = SledStore::open(variable("FOLDER")).expect("a store");
    match variable("ROLE").as_str() {
        "write 100" => {
            for n in first..first + 100 {
                put(&store, n);
            }
        }
        "write for ever" => {
            for n in first.. {
                put(&store, n);
                println!("child: {n}");
            }
        }
        "hold a lease" => {
            let _lease = store.lease(&fingerprint(first)).expect("a lease");
            println!("child: leased");
            // Until the parent goes away or kills.
            std::io::stdin().read_to_end(&mut Vec::new()).ok();
        }
        "hold a thousand leases" => {
            let leases = (first..first + 1000).map(|n| store.lease(&fingerprint(n)));
            let leases: Vec<_> = leases.collect::<Result<_, _>>().expect("leases");
            println!("child: {} leased", leases.len());
            std::io::stdin().read_to_end(&mut Vec::new()).ok();
        }
        "hold the database" => {
            put(&store, first);
            println!("child: open");
            std::io::stdin().read_to_end(&mut Vec::new()).ok();
        }
        "write alone 20 times" => crate::locks::write_alone(&store, 20),
        role => panic!("no role {role}"),
    }
}

#[test]
fn two_threads_and_two_processes_on_one_directory_lose_nothing() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let children = [1000, 2000].map(|first| start("write 100", &folder, first));
    thread::scope(|scope| {
        for first in [3000, 4000] {
            let folder = &folder;
            scope.spawn(move || {
                let store = SledStore::open(folder).expect("a store");
                for n in first..first + 100 {
                    put(&store, n);
                }
            });
        }
    });
    for mut child in children {
        assert!(child.wait().expect("a child").success());
    }
    let store = SledStore::open(&folder).expect("a store");
    assert_eq!(count(&store), 400);
    assert_eq!(store.take_notices(), []);
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let mut acknowledged = Vec::new();
    for round in 0..20_u64 {
        let mut child = start("write for ever", &folder, round * 100_000);
        let wanted = 1 + (round * 7919) % 40;
        let mut said = lines(&mut child);
        acknowledged.extend(
            said.by_ref()
                .take(wanted as usize)
                .map(|n| n.parse::<u64>().expect("n")),
        );
        child.kill().expect("SIGKILL");
        child.wait().expect("a child");
        // What it still said before it died counts as well.
        acknowledged.extend(said.filter_map(|n| n.parse::<u64>().ok()));

        let store = SledStore::open(&folder).expect("a store");
        for n in &acknowledged {
            let found = store.load(&fingerprint(*n)).expect("a store");
            assert!(
                found.is_some_and(|record| record.offset == *n),
                "{n} in round {round}"
            );
        }
        assert_eq!(store.take_notices(), [], "round {round}");
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
}

#[test]
fn a_lease_names_its_holder_and_ends_with_its_process() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let store = SledStore::open(&folder).expect("a store");
    let mut child = start("hold a lease", &folder, 7);
    assert_eq!(lines(&mut child).next().as_deref(), Some("leased"));
    let error = store.lease(&fingerprint(7)).expect_err("a taken lease");
    let StoreError::Busy { holder, path } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(holder.pid, Some(child.id()));
    assert!(holder.host.is_some() && holder.since_ms.is_some());
    assert!(path.starts_with(&folder));
    let _other = store
        .lease(&fingerprint(8))
        .expect("another upload's lease");

    child.kill().expect("SIGKILL");
    child.wait().expect("a child");
    let _mine = store
        .lease(&fingerprint(7))
        .expect("a lease freed by the crash");
}

#[test]
fn a_thousand_leases_take_few_descriptors_and_end_with_their_process() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let store = SledStore::open(&folder).expect("a store");
    let this = std::env::current_exe().expect("this binary");
    let mut child = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 32; exec \"$0\" --exact processes::child --nocapture",
        ])
        .arg(this)
        .env("ROLE", "hold a thousand leases")
        .env("FOLDER", &folder)
        .env("FIRST", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    assert_eq!(lines(&mut child).next().as_deref(), Some("1000 leased"));
    for n in [0, 500, 999] {
        let holder = store.holder(&fingerprint(n)).expect("a holder");
        assert_eq!(holder.pid, Some(child.id()));
        let error = store.lease(&fingerprint(n)).expect_err("a taken lease");
        assert!(matches!(error, StoreError::Busy { .. }), "{error:?}");
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("a child");
    for n in 0..1000 {
        let _mine = store.lease(&fingerprint(n)).expect("a free lease");
    }
}

#[test]
fn a_holder_that_crashed_is_not_named_any_more_and_leaves_one_file_for_the_next() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let [store, other] = [(); 2].map(|()| SledStore::open(&folder).expect("a store"));
    let _any = store.lease(&fingerprint(8)).expect("a lease");
    let mine = names(&folder);
    let mut child = start("hold a lease", &folder, 7);
    assert_eq!(lines(&mut child).next().as_deref(), Some("leased"));
    child.kill().expect("SIGKILL");
    child.wait().expect("a child");
    let mut left = names(&folder);
    assert_eq!(left.len(), 2);
    assert_eq!(store.holder(&fingerprint(7)), None);
    let _lease = store.lease(&fingerprint(7)).expect("a free lease");
    let holder = other.holder(&fingerprint(7)).expect("a holder");
    assert_eq!(holder.pid, Some(std::process::id()));

    left.retain(|path| !mine.contains(path));
    let dry = PruneOptions::default().with_dry_run();
    let report = other.prune(&dry, SystemTime::now()).expect("a store");
    assert_eq!(report.leases, left);
    assert!(left[0].exists());
    // Its first lease makes its own, and removes what nobody has.
    let own = other.lease(&fingerprint(9)).expect("a lease");
    assert!(!left[0].exists());
    assert_eq!(names(&folder).len(), 2);
    drop((own, other));
    assert_eq!(names(&folder), mine);
}

#[test]
fn an_idle_holder_lets_others_in_at_once() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let mut child = start("hold the database", &folder, 1);
    assert_eq!(lines(&mut child).next().as_deref(), Some("open"));
    let store = SledStore::open(&folder).expect("a store");
    let begun = Instant::now();
    put(&store, 2);
    // 50 ms are promised; a busy machine is given more. Idle closing would take 10 s.
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(count(&store), 2);
    child.kill().expect("SIGKILL");
    child.wait().expect("a child");
}

#[test]
fn a_wide_umask_does_not_open_the_store() {
    use std::os::unix::fs::PermissionsExt;

    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let this = std::env::current_exe().expect("this binary");
    let status = Command::new("sh")
        .args(["-c", "umask 000; exec \"$0\" --exact processes::child"])
        .arg(this)
        .env("ROLE", "write 100")
        .env("FOLDER", &folder)
        .env("FIRST", "0")
        .stdout(Stdio::null())
        .status()
        .expect("a child");
    assert!(status.success());
    let mode = |path: &Path| {
        std::fs::metadata(path)
            .expect("metadata")
            .permissions()
            .mode()
    };
    assert_eq!(mode(&folder) & 0o7777, 0o700);
    assert_eq!(mode(&folder.join("records.sled/db")) & 0o7777, 0o600);
    assert_eq!(mode(&folder.join("records.ledger")) & 0o7777, 0o600);
    assert_eq!(mode(&folder.join("records.wal")) & 0o7777, 0o600);
}
