//! Who holds a lease: one file per store that does, for people to read.
//!
//! ```text
//! leases/PID-RANDOM.names
//!   {"pid":4711,"host":"edit-3","since_ms":1700000000123}
//!   FINGERPRINT   1700000000456       one line of fixed width for each lease
//! ```
//!
//! The line of a lease that was given back stays until another one takes its place, or until the
//! store holds none: a write per lease must do. So of all who name a lease the latest has it. The
//! file is locked by its process for as long as it lives: one that can be locked was left by a
//! crash. Nothing here excludes anybody, and so nothing here fails: where a name cannot be written
//! or read, the holder is unknown.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{folder, this_process};
use crate::codec::{hex, to_millis};
use crate::files::{private_file, same_file};
use crate::{Fingerprint, Holder};

/// The names of one store.
pub(super) struct Names {
    state: PathBuf,
    held: HashMap<Fingerprint, Entry>,
    /// What is held, or was, and has no line yet.
    unwritten: Vec<Fingerprint>,
    file: Option<NamesFile>,
}

struct Entry {
    since_ms: i64,
    /// Where its line is.
    at: Option<u64>,
}

impl Names {
    pub(super) fn new(state: &Path) -> Self {
        Self {
            state: state.to_owned(),
            held: HashMap::new(),
            unwritten: Vec::new(),
            file: None,
        }
    }

    /// Says that this process holds the lease of `fingerprint`.
    pub(super) fn note(&mut self, fingerprint: &Fingerprint) {
        self.note_later(fingerprint);
        self.write();
    }

    /// The same, with the next [`renew`](Self::renew).
    pub(super) fn note_later(&mut self, fingerprint: &Fingerprint) {
        let entry = Entry {
            since_ms: to_millis(SystemTime::now()),
            at: None,
        };
        self.held.insert(*fingerprint, entry);
        self.unwritten.push(*fingerprint);
    }

    /// No line need be written for it any more.
    pub(super) fn skip(&mut self, fingerprint: &Fingerprint) {
        let place = self.unwritten.iter().position(|it| it == fingerprint);
        place.map(|place| self.unwritten.swap_remove(place));
    }

    /// Writes the lines that are missing.
    fn write(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        if self.file.is_none() {
            // Who adds one removes those that crashes left: there are never many.
            sweep(&self.state, false);
            self.file = NamesFile::create(&folder(&self.state));
        }
        let Some(file) = &mut self.file else {
            // All that is held then comes with the next renewal.
            self.unwritten.clear();
            return;
        };
        let mut lines = Vec::with_capacity(self.unwritten.len());
        for fingerprint in self.unwritten.drain(..) {
            if let Some(entry) = self.held.get_mut(&fingerprint)
                && entry.at.is_none()
            {
                let at = file.place();
                lines.push((at, line(&fingerprint, entry.since_ms)));
                entry.at = Some(at);
            }
        }
        file.write(&mut lines);
    }

    /// Says that it does no longer.
    pub(super) fn strike(&mut self, fingerprint: &Fingerprint) {
        let entry = self.held.remove(fingerprint);
        let Some(file) = &mut self.file else { return };
        if self.held.is_empty() {
            file.clear();
        } else if let Some(at) = entry.and_then(|entry| entry.at) {
            file.free.push(at);
        }
    }

    /// Writes what is missing, and all of it if somebody removed the file.
    pub(super) fn renew(&mut self) {
        if self.file.as_ref().is_none_or(|file| !file.has_a_name()) {
            self.file = None;
            self.held.values_mut().for_each(|entry| entry.at = None);
            self.unwritten = self.held.keys().copied().collect();
        }
        self.write();
    }
}

/// The file, locked; removed when dropped.
struct NamesFile {
    path: PathBuf,
    file: File,
    /// Lines that may be used again.
    free: Vec<u64>,
    /// Where the lines begin, and where those in use end.
    head: u64,
    end: u64,
}

impl NamesFile {
    fn create(folder: &Path) -> Option<Self> {
        let file = (0..ATTEMPTS).find_map(|_| {
            let mut random = [0; 8];
            getrandom::fill(&mut random).ok()?;
            let name = format!("{}-{}{SUFFIX}", std::process::id(), hex(&random));
            let path = folder.join(name);
            let file = private_file(&path).ok()?;
            // As long as it is not locked, somebody may take it for a dead one and remove it.
            if file.try_lock().is_ok() && same_file(&file, &path) {
                return Some((file, path));
            }
            fs::remove_file(&path).ok();
            None
        });
        let (file, path) = file?;
        let mut this = Self {
            path,
            file,
            free: Vec::new(),
            head: 0,
            end: 0,
        };
        let mut head = serde_json::to_vec(&this_process()).ok()?;
        head.push(b'\n');
        this.file.write_all_at(&head, 0).ok()?;
        this.head = head.len() as u64;
        this.end = this.head;
        Some(this)
    }

    fn has_a_name(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() > 0)
    }

    /// Where the next line goes.
    fn place(&mut self) -> u64 {
        self.free.pop().unwrap_or_else(|| {
            let at = self.end;
            self.end += LINE as u64;
            at
        })
    }

    /// Writes lines, in as few calls as there are gaps between them. What cannot be written stays unknown.
    fn write(&self, lines: &mut [(u64, String)]) {
        lines.sort_unstable_by_key(|(at, _)| *at);
        for run in lines.chunk_by_mut(|one, next| one.0 + LINE as u64 == next.0) {
            let Some(((at, text), rest)) = run.split_first_mut() else {
                continue;
            };
            rest.iter().for_each(|(_, line)| text.push_str(line));
            self.file.write_all_at(text.as_bytes(), *at).ok();
        }
    }

    /// Blanks all lines.
    fn clear(&mut self) {
        let lines = (self.end - self.head) as usize / LINE;
        self.file.write_all_at(&BLANK.repeat(lines), self.head).ok();
        self.free.clear();
        self.end = self.head;
    }
}

impl Drop for NamesFile {
    fn drop(&mut self) {
        // While it is still locked.
        fs::remove_file(&self.path).ok();
    }
}

/// Who says that it holds the lease of `fingerprint`.
pub(super) fn find(state: &Path, fingerprint: &Fingerprint) -> Option<Holder> {
    let digits = hex(fingerprint.as_bytes());
    let said = files(state).filter_map(|path| {
        let mut file = File::open(path).ok()?;
        let mut all = Vec::new();
        file.by_ref().take(MOST).read_to_end(&mut all).ok()?;
        let head = all.iter().position(|byte| *byte == b'\n')?;
        let mut lines = all[head + 1..].chunks_exact(LINE);
        let line = lines.find(|line| line.starts_with(digits.as_bytes()))?;
        let since = std::str::from_utf8(&line[digits.len()..]).ok()?;
        let mut holder: Holder = serde_json::from_slice(&all[..head]).ok()?;
        holder.since_ms = since.trim().parse().ok().or(holder.since_ms);
        is_alive(&file).then_some(holder)
    });
    said.max_by_key(|holder| holder.since_ms)
}

/// Files that dead processes left, in order: removed, unless this is a `dry_run`.
pub(super) fn sweep(state: &Path, dry_run: bool) -> Vec<PathBuf> {
    let is_dead = |path: &PathBuf| {
        let Ok(file) = File::options().read(true).write(true).open(path) else {
            return false;
        };
        file.try_lock().is_ok()
            && same_file(&file, path)
            && (dry_run || fs::remove_file(path).is_ok())
    };
    let mut dead: Vec<_> = files(state).filter(is_dead).collect();
    dead.sort_unstable();
    dead
}

fn files(state: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(folder(state)).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let is_one = entry.file_name().to_str()?.ends_with(SUFFIX);
        is_one.then(|| entry.path())
    })
}

fn is_alive(file: &File) -> bool {
    // For a blink, and shared: its process has locked it long ago.
    !matches!(file.try_lock_shared(), Ok(()))
}

fn line(fingerprint: &Fingerprint, since_ms: i64) -> String {
    let since_ms = since_ms.clamp(0, 999_999_999_999_999);
    format!("{fingerprint} {since_ms:>15}\n")
}

/// Bytes in a line.
const LINE: usize = 64 + 1 + 15 + 1;
const BLANK: [u8; LINE] = {
    let mut blank = [b' '; LINE];
    blank[LINE - 1] = b'\n';
    blank
};
const SUFFIX: &str = ".names";
const ATTEMPTS: u32 = 10;
/// No more than this is read of a file, in bytes: some 200,000 leases.
const MOST: u64 = 16 * 1024 * 1024;
