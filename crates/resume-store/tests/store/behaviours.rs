//! Both stores keep all promises.

use resume_store::{MemoryStore, SledStore, behaviour};
use tempfile::TempDir;

#[test]
fn the_memory_store_behaves() {
    behaviour::all(|| {
        let store = MemoryStore::new();
        [Box::new(store.clone()), Box::new(store)]
    });
}

#[test]
fn the_sled_store_behaves() {
    let root = TempDir::new().expect("a folder");
    let number = std::cell::Cell::new(0);
    behaviour::all(|| {
        let folder = root
            .path()
            .join(number.replace(number.get() + 1).to_string());
        let open = || Box::new(SledStore::open(&folder).expect("a store"));
        [open(), open()]
    });
}
