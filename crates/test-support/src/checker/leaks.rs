//! Secrets, and where they are looked for.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use memchr::memmem::Finder;
use walkdir::WalkDir;

use super::Violation;

/// Bytes that are looked at in one go.
const WINDOW: usize = 1 << 20;

/// A secret of the test's own making.
pub(super) struct Canary {
    name: String,
    secret: Vec<u8>,
}

impl Canary {
    pub(super) fn new(name: &str, secret: Vec<u8>) -> Self {
        assert!(!secret.is_empty(), "an empty canary is in everything");
        Self {
            name: name.to_owned(),
            secret,
        }
    }
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Canary").field(&self.name).finish()
    }
}

/// What is searched. Debug shows no text: it may be the leak.
pub(super) enum Searched {
    Folder(PathBuf),
    Text { name: String, text: Vec<u8> },
    Unreadable { what: String, why: String },
}

impl fmt::Debug for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Folder(path) => return f.debug_tuple("Folder").field(path).finish(),
            Self::Text { name, .. } => name,
            Self::Unreadable { what, .. } => what,
        };
        f.debug_tuple("Text").field(what).finish()
    }
}

impl Searched {
    pub(super) fn search(&self, canaries: &[Canary], allowed: &[PathBuf]) -> Vec<Violation> {
        match self {
            Self::Folder(folder) => search_folder(folder, canaries, allowed),
            Self::Text { name, text } => search_bytes(name, text, canaries),
            Self::Unreadable { what, why } => vec![Violation::Unreadable {
                what: what.clone(),
                why: why.clone(),
            }],
        }
    }
}

/// The arguments of a process and of all that it started.
pub(super) fn command_lines(pid: u32) -> Vec<Searched> {
    let name = format!("the command line of process {pid}");
    let text = match std::fs::read(format!("/proc/{pid}/cmdline")) {
        Ok(text) => text,
        Err(error) => {
            return vec![Searched::Unreadable {
                what: name,
                why: error.to_string(),
            }];
        }
    };
    let mut found = vec![Searched::Text { name, text }];
    for child in children(pid) {
        // One that ends while we look has nothing left to read.
        let readable = |it: &Searched| !matches!(it, Searched::Unreadable { .. });
        found.extend(command_lines(child).into_iter().filter(readable));
    }
    found
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    tasks
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|pids| {
            let pids: Vec<_> = pids.split_whitespace().map(str::parse).collect();
            pids
        })
        .flatten()
        .collect()
}

fn search_folder(folder: &Path, canaries: &[Canary], allowed: &[PathBuf]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let is_allowed = |path: &Path| allowed.iter().any(|it| path.starts_with(it));
    let entries = WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !is_allowed(entry.path()));
    for entry in entries {
        let result = entry.map_err(io::Error::from).and_then(|entry| {
            let place = entry.path().display().to_string();
            let name = entry.file_name().as_bytes();
            violations.extend(search_bytes(
                &format!("the name of {place}"),
                name,
                canaries,
            ));
            if entry.file_type().is_file() {
                violations.extend(search_file(entry.path(), &place, canaries)?);
            }
            Ok(())
        });
        if let Err(error) = result {
            violations.push(Violation::Unreadable {
                what: folder.display().to_string(),
                why: error.to_string(),
            });
        }
    }
    violations
}

/// Reads a file of any length window by window; neighbours overlap by the longest canary.
fn search_file(path: &Path, place: &str, canaries: &[Canary]) -> io::Result<Vec<Violation>> {
    let mut file = File::open(path)?;
    let longest = canaries.iter().map(|canary| canary.secret.len()).max();
    let mut bytes = Vec::new();
    let mut violations = Vec::new();
    loop {
        let known = bytes.len();
        (&mut file).take(WINDOW as u64).read_to_end(&mut bytes)?;
        if bytes.len() == known {
            return Ok(violations);
        }
        for violation in search_bytes(place, &bytes, canaries) {
            if !violations.contains(&violation) {
                violations.push(violation);
            }
        }
        let kept = bytes.len().min(longest.unwrap_or(0));
        bytes.drain(..bytes.len() - kept);
    }
}

fn search_bytes(place: &str, bytes: &[u8], canaries: &[Canary]) -> Vec<Violation> {
    let leaked = |canary: &&Canary| Finder::new(&canary.secret).find(bytes).is_some();
    canaries
        .iter()
        .filter(leaked)
        .map(|canary| Violation::Leak {
            canary: canary.name.clone(),
            place: place.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn a_canary_on_the_border_of_two_windows_is_found_once() {
        let dir = fixtures::temp_dir().expect("a temporary folder");
        let path = dir.path().join("big");
        let canaries = [Canary::new("the token", b"canary".to_vec())];
        for at in [0, WINDOW - 6, WINDOW - 3, WINDOW, 2 * WINDOW - 1] {
            let mut bytes = vec![b'.'; 3 * WINDOW];
            bytes[at..at + 6].copy_from_slice(b"canary");
            std::fs::write(&path, bytes).expect("written");
            let found = search_file(&path, "big", &canaries).expect("read");
            assert_eq!(found.len(), 1, "at {at}");
        }
    }

    #[test]
    fn neither_canaries_nor_texts_are_shown() {
        let canary = Canary::new("the token", b"secret".to_vec());
        let text = Searched::Text {
            name: "stdout".to_owned(),
            text: b"secret".to_vec(),
        };
        let shown = format!("{canary:?}{text:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("115"),
            "{shown}"
        );
    }
}
