//! F63: files that cannot be read, and one that is gone.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use test_support::{Injection, Process, Strace};

use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{MIB, PATIENCE, RESEND_BOUND, Site, World, emulator, end, run};

pub(super) async fn rows() -> Ended {
    Strace::available()?;
    let once = read_fails(false).await;
    let for_good = read_fails(true).await;
    may_not_be_read().await?;
    let resent = deleted_while_sent().await;
    Ok(Seen::times(once + for_good + 2)
        .resent(resent)
        .remark(format!(
            "EIO {once} times and read again, {for_good} times for good, EACCES once, deleted once"
        )))
}

/// Three files in a folder, and the one in the middle.
fn three_files(world: &World) -> (Vec<PathBuf>, PathBuf) {
    let sources: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| world.random_file(&format!("shoot/{name}.mp4"), 4 * MIB))
        .collect();
    let middle = sources[1].clone();
    (sources, middle)
}

/// Reads of one of three files fail, beyond those that look at it. Returns how often.
async fn read_fails(for_good: bool) -> u64 {
    let world = World::new();
    let emulator = emulator().token(TOKEN).start().await.unwrap();
    let (sources, bad) = three_files(&world);
    let put = || {
        let mut command = world.put_to(&emulator.tus_url(), &world.path("shoot"));
        // With small chunks a byte is confirmed between the failures of two threads, with one chunk none is.
        let chunk = if for_good { "4MiB" } else { "256KiB" };
        command.args(["--parallel", "1", "--chunk-size", chunk]);
        command
    };
    // Three reads look at the file.
    let read = Injection::error("pread64", "EIO");
    let injections = [
        // What is in memory would be read without a disk.
        Injection::error("preadv2", "EAGAIN"),
        if for_good {
            read.from_nth(4)
        } else {
            read.nth(4)
        },
    ];
    let traced = Strace::spawn_on(&put(), &bad, &injections).unwrap();
    let status = traced.process().wait(PATIENCE).await.unwrap();
    let ended = end(traced.process()).await;
    let struck = ended.events("read-failed").len() as u64;
    assert!(struck >= 1, "{}", ended.stdout);
    let last = if for_good {
        assert_eq!(status.code(), Some(1), "{}", ended.stdout);
        assert_eq!(struck, 1, "read again once: {}", ended.stdout);
        let failed = ended.events("failed");
        assert_eq!(failed.len(), 1);
        assert_eq!(failed[0]["source"], bad.to_str().unwrap());
        assert_eq!(failed[0]["exit_code"], 3);
        let error = failed[0]["error"].as_str().unwrap();
        assert!(error.contains("Input/output error"), "{error}");
        assert_eq!(ended.events("finished").len(), 2, "the others went on");
        let last = run(put()).await.expect(0);
        assert_eq!(last.events("resumed").len(), 1, "{}", last.stdout);
        last
    } else {
        assert_eq!(status.code(), Some(0), "{}", ended.stdout);
        run(put()).await.expect(0)
    };
    Proof {
        world: &world,
        emulator: &emulator,
        sources: &sources,
        said: &[&ended, &last],
    }
    .hold(put())
    .await;
    struck
}

/// One of three files belongs to somebody else.
async fn may_not_be_read() -> Result<(), String> {
    let world = World::new();
    let emulator = emulator().token(TOKEN).start().await.unwrap();
    let (sources, bad) = three_files(&world);
    let put = || {
        let mut command = world.put_to_emulator(&emulator);
        command.arg(world.path("shoot"));
        command
    };
    fs::set_permissions(&bad, Permissions::from_mode(0o000)).unwrap();
    let ended = run(as_anybody(&put(), &bad)?).await.expect(1);
    assert_eq!(ended.events("finished").len(), 2, "{}", ended.stdout);
    let failed = &ended.events("failed")[0];
    assert_eq!(failed["exit_code"], 3);
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("Permission denied"), "{error}");
    fs::set_permissions(&bad, Permissions::from_mode(0o600)).unwrap();
    let last = run(put()).await.expect(0);
    Proof {
        world: &world,
        emulator: &emulator,
        sources: &sources,
        said: &[&ended, &last],
    }
    .hold(put())
    .await;
    Ok(())
}

/// The command without the superuser's right to read everything.
fn as_anybody(command: &Command, unreadable: &Path) -> Result<Command, String> {
    let mut outer = if fs::File::open(unreadable).is_err() {
        Command::new("env")
    } else {
        let mut setpriv = Command::new("setpriv");
        let found = Command::new("setpriv").arg("--version").output();
        found
            .map_err(|error| format!("cannot run setpriv (Debian package util-linux): {error}"))?;
        setpriv.args(["--bounding-set", "-dac_override,-dac_read_search"]);
        setpriv
    };
    outer.arg(command.get_program()).args(command.get_args());
    outer.env_clear();
    outer.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    Ok(outer)
}

/// What is open is read to its end, whether or not it still has a name. Returns what was sent twice.
async fn deleted_while_sent() -> u64 {
    let world = World::new();
    let site = Site::start(emulator().token(TOKEN), 16 * MIB).await;
    let (mut sources, gone) = three_files(&world);
    let kept = world.path("kept");
    fs::copy(&gone, &kept).unwrap();
    let put = || site.put(&world, &world.path("shoot"));
    let process = Process::spawn(put()).unwrap();
    let begun = |line: &str| line.contains(r#""created""#) && line.contains("b.mp4");
    process
        .wait_for_line(test_support::Stream::Stdout, begun, PATIENCE)
        .await
        .unwrap();
    fs::remove_file(&gone).unwrap();
    let ended = end(&process).await.expect(0);
    assert_eq!(ended.events("finished").len(), 3, "{}", ended.stdout);
    sources[1] = kept;
    Proof {
        world: &world,
        emulator: &site.emulator,
        sources: &sources,
        said: &[&ended],
    }
    .hold(put())
    .await;
    // Without a name its change time is another: its bytes are compared, at the cost of a break.
    let resent = site.proxy.counters().body_up - 3 * 4 * MIB;
    assert!(resent <= RESEND_BOUND, "{resent} bytes");
    resent
}
