//! What a process did to its files, and the disk as it may be after the power failed.
//!
//! The model is as strict as POSIX: bytes are durable once their file was synced, and a name once its folder was. Anything
//! else may or may not be there, in any order; of a write only the beginning may be. Names in one folder keep their order.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use test_support::Random;

/// What a disk is torn at.
const SECTOR: u64 = 512;

/// A file or a folder, by its place in [`Trace::nodes`].
pub(super) type Node = usize;

/// Lines of the log between which something happened.
#[derive(Clone, Copy)]
pub(super) struct When {
    pub(super) begun: usize,
    pub(super) ended: usize,
}

pub(super) enum Change {
    Write {
        at: u64,
        bytes: Vec<u8>,
    },
    Cut {
        to: u64,
    },
    /// Names of a folder that now lead elsewhere, or nowhere.
    Names(Vec<(String, Option<Node>)>),
}

#[derive(Default)]
pub(super) struct Thing {
    pub(super) is_folder: bool,
    pub(super) changes: Vec<(When, Change)>,
    pub(super) syncs: Vec<When>,
}

/// All that happened below one folder, and what was written to stdout.
pub(super) struct Trace {
    pub(super) things: Vec<Thing>,
    pub(super) said: Vec<(When, String)>,
    /// Lines of the log at which something happened.
    pub(super) moments: Vec<usize>,
}

/// What survives of that which was not synced.
pub(super) enum Unsynced {
    Nothing,
    /// By chance: some writes, some of them torn.
    Some(Random),
}

impl Trace {
    /// Points in time at which the power may fail.
    pub(super) fn moments(&self) -> &[usize] {
        &self.moments
    }

    /// The lines that stdout was told until then.
    pub(super) fn said(&self, moment: usize) -> impl Iterator<Item = &str> {
        let until = self
            .said
            .iter()
            .filter(move |(when, _)| when.begun <= moment);
        until.map(|(_, text)| text.as_str())
    }

    /// Writes into `to` what the root has on it when the power failed at `moment`.
    pub(super) fn survive(&self, moment: usize, unsynced: &mut Unsynced, to: &Path) {
        self.restore(0, moment, unsynced, to);
    }

    fn restore(&self, node: Node, moment: usize, unsynced: &mut Unsynced, to: &Path) {
        let changes = self.things[node].survivors(moment, unsynced);
        if !self.things[node].is_folder {
            let mut content = Vec::new();
            for (change, torn) in changes {
                change.apply(&mut content, torn);
            }
            fs::write(to, content).unwrap();
            fs::set_permissions(to, fs::Permissions::from_mode(0o600)).unwrap();
            return;
        }
        DirBuilder::new()
            .mode(0o700)
            .recursive(true)
            .create(to)
            .unwrap();
        let mut names = BTreeMap::new();
        for (change, _) in changes {
            let Change::Names(changed) = change else {
                unreachable!("a folder has names only")
            };
            names.extend(changed.iter().map(|(name, node)| (name, *node)));
        }
        for (name, node) in names {
            if let Some(node) = node {
                self.restore(node, moment, unsynced, &to.join(name));
            }
        }
    }
}

impl Thing {
    /// The changes that are there after the power failed, and how much of a torn write.
    fn survivors(&self, moment: usize, unsynced: &mut Unsynced) -> Vec<(&Change, Option<u64>)> {
        let synced = |when: &When| {
            let covers = |sync: &&When| sync.begun > when.ended && sync.ended <= moment;
            self.syncs.iter().any(|sync| covers(&sync))
        };
        let begun: Vec<_> = self
            .changes
            .iter()
            .filter(|(when, _)| when.begun <= moment)
            .collect();
        let durable = begun.iter().filter(|(when, _)| synced(when)).count();
        // Of names a beginning survives.
        let names = match unsynced {
            Unsynced::Nothing => durable,
            Unsynced::Some(random) => {
                durable + random.below((begun.len() - durable + 1) as u64) as usize
            }
        };
        let mut survivors = Vec::new();
        for (place, (when, change)) in begun.into_iter().enumerate() {
            if synced(when) {
                survivors.push((change, None));
                continue;
            }
            let Unsynced::Some(random) = unsynced else {
                continue;
            };
            match change {
                Change::Names(_) if place < names => survivors.push((change, None)),
                Change::Names(_) => {}
                _ if random.below(2) == 0 => {}
                Change::Write { bytes, .. } if random.below(4) == 0 => {
                    let kept = random.below(bytes.len() as u64 + 1) / SECTOR * SECTOR;
                    survivors.push((change, Some(kept)));
                }
                _ => survivors.push((change, None)),
            }
        }
        survivors
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>, torn: Option<u64>) {
        match self {
            Self::Write { at, bytes } => {
                let at = *at as usize;
                let bytes = &bytes[..torn.map_or(bytes.len(), |kept| kept as usize)];
                if content.len() < at + bytes.len() {
                    content.resize(at + bytes.len(), 0);
                }
                content[at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Cut { to } => content.resize(*to as usize, 0),
            Self::Names(_) => unreachable!("a file has no names"),
        }
    }
}
