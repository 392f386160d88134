//! The format of a state directory, in its file `VERSION`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::files::replace_file;

/// The version of a directory, from [`OLDEST`] to [`CURRENT`]; writes the current one into a
/// directory that has none.
///
/// Called again each time the gate was passed: a newer program may have migrated the directory
/// while this one was running.
pub(crate) fn check(folder: &Path) -> Result<u32, StoreError> {
    let path = file(folder);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return write(folder).map(|()| CURRENT);
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
        Err(error) => return Err(StoreError::io(&path)(error)),
    };
    match text.trim().parse::<u32>() {
        Ok(found @ OLDEST..=CURRENT) => Ok(found),
        Ok(found) if found > CURRENT => Err(StoreError::Newer {
            path,
            found,
            supported: CURRENT,
        }),
        Ok(found) => Err(StoreError::Older {
            path,
            found,
            supported: OLDEST,
        }),
        Err(_) => Err(StoreError::Damaged {
            path,
            what: "it does not hold a version number".to_owned(),
        }),
    }
}

/// Says that the directory has the current version, durably.
pub(crate) fn write(folder: &Path) -> Result<(), StoreError> {
    replace_file(&file(folder), format!("{CURRENT}\n").as_bytes())
}

fn file(folder: &Path) -> PathBuf {
    folder.join(VERSION_FILE)
}

/// Its presence also marks a folder as a state directory.
pub(crate) const VERSION_FILE: &str = "VERSION";
/// What this code writes. Since 2 a record tells how far the upload reached and what the whole
/// content was, and a finished one holds no secret that can be done without. Since 3 a commit goes
/// into a log first, and the database has larger segments.
pub(crate) const CURRENT: u32 = 3;
/// The oldest that this code brings up to date.
const OLDEST: u32 = 1;
