//! The format of a state directory, in its file `VERSION`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::files::replace_file;

/// Writes the current version into a directory that has none, and checks the one it has.
///
/// Called again each time the gate was passed: a newer program may have migrated the directory
/// while this one was running.
pub(crate) fn check(folder: &Path) -> Result<(), StoreError> {
    let path = file(folder);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return replace_file(&path, format!("{CURRENT}\n").as_bytes());
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(StoreError::io(&path)(error)),
    };
    match text.trim().parse::<u32>() {
        Ok(CURRENT) => Ok(()),
        Ok(found) if found > CURRENT => Err(StoreError::Newer {
            path,
            found,
            supported: CURRENT,
        }),
        // There is no older version yet; the first migration begins here.
        Ok(_) | Err(_) => Err(StoreError::Damaged {
            path,
            what: "it does not hold a version number".to_owned(),
        }),
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join(VERSION_FILE)
}

/// Its presence also marks a folder as a state directory.
pub(crate) const VERSION_FILE: &str = "VERSION";
/// What this code reads and writes.
const CURRENT: u32 = 1;
