//! Every file of every corpus, without a fuzzer: what was found once stays mended, on every compiler.

use std::path::Path;

use fuzz_targets::{TARGETS, run};

#[test]
fn every_corpus_is_read_without_a_finding() {
    for (name, _) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let mut files: Vec<_> = std::fs::read_dir(&corpus)
            .unwrap_or_else(|error| panic!("{}: {error}", corpus.display()))
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{name} has no corpus");
        for file in files {
            let bytes = std::fs::read(&file).expect("a file");
            // A panic is caught only to say whose it was.
            let ended = std::panic::catch_unwind(|| run(name, &bytes));
            assert!(ended.is_ok(), "{name}: {}", file.display());
        }
    }
}
