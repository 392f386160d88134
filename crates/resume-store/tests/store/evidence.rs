//! Evidence tells the same bytes from others.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use resume_store::{Evidence, Resemblance};
use tempfile::TempDir;

fn of(path: &Path) -> Evidence {
    Evidence::of(&File::open(path).expect("a file")).expect("evidence")
}

fn file(folder: &TempDir, length: usize) -> std::path::PathBuf {
    let path = folder.path().join("file");
    let content: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
    fs::write(&path, content).expect("a file");
    path
}

#[test]
fn an_untouched_file_is_the_same() {
    let folder = TempDir::new().expect("a folder");
    for length in [
        0, 1, 65_535, 65_536, 65_537, 131_072, 196_608, 196_609, 1_000_000,
    ] {
        let path = file(&folder, length);
        assert_eq!(of(&path).compare(&of(&path)), Resemblance::Same, "{length}");
        assert_eq!(of(&path).length, length as u64);
    }
}

#[test]
fn a_file_that_was_renamed_copied_or_chmodded_has_moved() {
    let folder = TempDir::new().expect("a folder");
    let path = file(&folder, 1_000_000);
    let before = of(&path);
    let copy = folder.path().join("copy");
    fs::copy(&path, &copy).expect("a copy");
    assert_eq!(before.compare(&of(&copy)), Resemblance::Moved);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
    assert_eq!(before.compare(&of(&path)), Resemblance::Moved);
    let again = of(&path);
    fs::rename(&path, folder.path().join("renamed")).expect("a rename");
    assert_eq!(
        again.compare(&of(&folder.path().join("renamed"))),
        Resemblance::Moved
    );
}

#[test]
fn a_file_with_another_head_middle_tail_or_length_has_changed() {
    let folder = TempDir::new().expect("a folder");
    for offset in [0, 500_000, 999_999] {
        let path = file(&folder, 1_000_000);
        let before = of(&path);
        let editor = File::options().write(true).open(&path).expect("a file");
        editor.write_all_at(b"!", offset).expect("an edit");
        assert_eq!(before.compare(&of(&path)), Resemblance::Changed, "{offset}");
    }
    let path = file(&folder, 10);
    let before = of(&path);
    let mut editor = File::options().append(true).open(&path).expect("a file");
    editor.write_all(b"!").expect("an edit");
    assert_eq!(before.compare(&of(&path)), Resemblance::Changed);
}

#[test]
fn a_file_in_memory_is_looked_at_at_once_and_with_the_same_outcome() {
    let folder = TempDir::new().expect("a folder");
    for length in [0, 1, 65_537, 1_000_000] {
        let path = file(&folder, length);
        let open = File::open(&path).expect("a file");
        // Where reads that never block are unknown, there is no such look.
        if let Some(cached) = Evidence::cached(&open) {
            assert_eq!(cached, of(&path), "{length}");
        }
    }
}

#[test]
fn samples_of_an_older_version_leave_it_to_the_stamps_and_then_to_the_bytes() {
    let folder = TempDir::new().expect("a folder");
    let now = of(&file(&folder, 1_000_000));
    let mut older = now.clone();
    older.samples = [7; 32];
    assert_eq!(older.compare(&now), Resemblance::Same);
    older.ctime_ns -= 1;
    assert_eq!(older.compare(&now), Resemblance::Moved);
    older.length += 1;
    assert_eq!(older.compare(&now), Resemblance::Changed);
    let mut other = now.clone();
    other.samples[0] ^= 1;
    assert_eq!(other.compare(&now), Resemblance::Changed);
}
