//! What lies in a state folder: any bytes as a frame, a ledger, a log, a trail and a version, and many frames in the
//! rubble of a database. What cannot be read is said or counted as lost, and never panics.

use resume_store::{SledStore, rest};
use tempfile::TempDir;

thread_local! {
    static STATE: TempDir = TempDir::new().expect("a folder");
}

pub(crate) fn run(bytes: &[u8]) {
    rest::read_anything(bytes);
    // A folder is opened without its database: this reads `VERSION` only, and refuses what it does not know.
    if bytes.len() <= 32 {
        let opened = STATE.with(|state| {
            std::fs::write(state.path().join("VERSION"), bytes).expect("a file");
            SledStore::open(state.path()).is_ok()
        });
        let version: Option<u32> = crate::text(bytes).trim().parse().ok();
        assert!(!opened || version.is_some_and(|version| version <= 3));
    }
}
