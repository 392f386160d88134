//! State directories of all kinds.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use resume_store::{Filter, ResumeStore, SledStore, StoreError, StoreNotice};
use tempfile::TempDir;

use crate::damage::into_the_database;
use crate::{count, fingerprint, put};

fn modes(folder: &Path, found: &mut Vec<(PathBuf, u32)>) {
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o7777;
    found.push((folder.to_owned(), mode(folder)));
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            modes(&path, found);
        } else {
            found.push((path.clone(), mode(&path)));
        }
    }
}

#[test]
fn folders_are_0700_and_files_0600_also_those_that_sled_makes() {
    let root = TempDir::new().expect("a folder");
    let store = SledStore::open(root.path().join("state")).expect("a store");
    for n in 0..50 {
        put(&store, n);
    }
    let _lease = store.lease(&fingerprint(1)).expect("a lease");
    for closed in [false, true] {
        if closed {
            store.close();
        }
        let mut found = Vec::new();
        modes(store.folder(), &mut found);
        assert!(found.len() > 8, "{found:?}");
        for (path, mode) in found {
            let expected = if path.is_dir() { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "{}", path.display());
        }
    }
}

#[test]
fn an_open_but_empty_folder_is_tightened_and_said_so() {
    let root = TempDir::new().expect("a folder");
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("chmod");
    let store = SledStore::open(root.path()).expect("a store");
    let notices = store.take_notices();
    assert!(
        matches!(notices.as_slice(), [StoreNotice::Tightened { .. }]),
        "{notices:?}"
    );
    put(&store, 1);
    drop(store);
    // A store that was opened up later is one as well.
    fs::set_permissions(root.path(), Permissions::from_mode(0o777)).expect("chmod");
    let store = SledStore::open(root.path()).expect("a store");
    assert_eq!(store.take_notices().len(), 1);
    assert_eq!(count(&store), 1);
}

#[test]
fn an_open_folder_with_other_files_is_refused_with_a_way_out_and_left_alone() {
    let root = TempDir::new().expect("a folder");
    fs::write(root.path().join("main.rs"), "fn main() {}").expect("a file");
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).expect("chmod");
    let error = SledStore::open(root.path()).expect_err("somebody's project");
    assert!(matches!(error, StoreError::Permission { .. }), "{error:?}");
    assert!(error.to_string().contains("chmod 700"), "{error}");
    assert!(
        error
            .to_string()
            .contains(&root.path().display().to_string()),
        "{error}"
    );
    assert_eq!(fs::read_dir(root.path()).expect("a folder").count(), 1);
}

#[test]
fn a_symbolic_link_and_a_file_are_refused() {
    let root = TempDir::new().expect("a folder");
    let link = root.path().join("link");
    symlink(root.path(), &link).expect("a link");
    let file = root.path().join("file");
    fs::write(&file, "").expect("a file");
    for path in [link, file] {
        let error = SledStore::open(&path).expect_err("no directory");
        assert!(matches!(error, StoreError::Permission { .. }), "{error:?}");
    }
}

#[test]
fn a_newer_version_is_refused_by_name_and_nothing_is_touched() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let store = SledStore::open(&folder).expect("a store");
    put(&store, 1);
    store.close();
    let before = fs::read(folder.join("records.sled/db")).expect("a database");
    fs::write(folder.join("VERSION"), "4\n").expect("a version");
    for error in [
        SledStore::open(&folder).expect_err("newer"),
        // A process that was running when the other one migrated.
        store.list(Filter::all()).expect_err("newer"),
    ] {
        assert!(
            matches!(
                error,
                StoreError::Newer {
                    found: 4,
                    supported: 3,
                    ..
                }
            ),
            "{error:?}"
        );
        assert!(error.to_string().contains("format 4"), "{error}");
    }
    assert_eq!(
        fs::read(folder.join("records.sled/db")).expect("a database"),
        before
    );
}

#[test]
fn opening_a_store_does_not_open_its_database() {
    let root = TempDir::new().expect("a folder");
    let store = SledStore::open(root.path().join("state")).expect("a store");
    assert!(!store.folder().join("records.sled").exists());
}

#[test]
fn a_database_that_is_mostly_dead_is_rewritten() {
    let root = TempDir::new().expect("a folder");
    let folder = root.path().join("state");
    let store = SledStore::open(&folder).expect("a store");
    for round in 0..3 {
        let numbers = round * 3000..(round + 1) * 3000;
        let puts: Vec<_> = numbers
            .clone()
            .map(|n| resume_store::Change::Put(fingerprint(n), crate::record(n)))
            .collect();
        store.commit(&puts).expect("a commit");
        into_the_database(&store);
        let removes: Vec<_> = numbers
            .skip(10)
            .map(|n| resume_store::Change::Remove(fingerprint(n)))
            .collect();
        store.commit(&removes).expect("a commit");
        into_the_database(&store);
    }
    drop(store);
    let size = || {
        fs::metadata(folder.join("records.sled/db"))
            .expect("a database")
            .len()
    };
    let before = size();
    assert!(before > 4 << 20, "{before} bytes prove nothing");
    let store = SledStore::open(&folder).expect("a store");
    assert_eq!(count(&store), 30);
    assert_eq!(store.take_notices(), []);
    assert!(size() < before / 4, "{} of {before}", size());
    put(&store, 1 << 40);
    drop(store);
    let store = SledStore::open(&folder).expect("a store");
    assert_eq!(count(&store), 31);
    assert_eq!(store.take_notices(), []);
}

/// Names the small file system that [`on_a_full_disk`] is to fill.
const SMALL_FS: &str = "RESUME_STORE_SMALL_FS";

/// In a mount namespace of its own, which goes with the process; so it takes root.
#[test]
fn a_full_disk_is_an_error_of_its_own_and_loses_nothing() {
    let root = TempDir::new().expect("a folder");
    let mounted = Command::new("unshare")
        .args(["--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=3m tmpfs \"$0\" && exec \"$1\" --exact directory::on_a_full_disk --nocapture")
        .arg(root.path())
        .arg(std::env::current_exe().expect("this binary"))
        .env(SMALL_FS, root.path())
        .output()
        .expect("unshare, of util-linux");
    let said = String::from_utf8_lossy(&mounted.stderr);
    if !mounted.status.success() && said.contains("Operation not permitted") {
        eprintln!("not run: only root may mount a small file system");
        return;
    }
    assert!(
        mounted.status.success(),
        "{}{said}",
        String::from_utf8_lossy(&mounted.stdout)
    );
}

/// Not a test of its own: the one above starts it on a small file system.
#[test]
fn on_a_full_disk() {
    let Some(small) = std::env::var_os(SMALL_FS) else {
        return;
    };
    let store = SledStore::open(Path::new(&small).join("state")).expect("a store");
    let (ballast, filler) = (
        Path::new(&small).join("ballast"),
        Path::new(&small).join("filler"),
    );
    let mut written = 0;
    for _ in 0..3 {
        fs::write(&ballast, vec![0; 1024 * 1024]).expect("a file");
        let first = written;
        let error = loop {
            let (whose, what) = (fingerprint(written), crate::record(written));
            match store.commit(&[resume_store::Change::Put(whose, what)]) {
                Ok(()) => written += 1,
                Err(error) => break error,
            }
            // The first time the records themselves take all the space.
            if first > 0 && written == first + 50 {
                fill(&filler);
            }
            assert!(written < 1_000_000, "the file system is not small");
        };
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        fill(&filler);
        store.close();
        match store.list(Filter::all()) {
            Ok(records) => assert_eq!(records.len() as u64, written),
            Err(error) => assert!(matches!(error, StoreError::Full { .. }), "{error:?}"),
        }
        fs::remove_file(&filler).expect("a file");
        fs::remove_file(&ballast).expect("a file");
        assert_eq!(count(&store) as u64, written);
        put(&store, written);
        written += 1;
    }
    assert!(written > 100, "{written} records prove little");
    assert_eq!(store.take_notices(), []);
}

/// Takes all the space there is.
fn fill(path: &Path) {
    let mut all = fs::File::create(path).expect("a file");
    std::io::copy(&mut std::io::repeat(0), &mut all).expect_err("no space");
}
