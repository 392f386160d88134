//! The files that are uploaded. They stay in `target/bench/` from run to run.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use test_support::fixtures;

/// One gibibyte.
const GIB: u64 = 1 << 30;

/// Where the files of the benches are.
pub(crate) fn folder() -> io::Result<PathBuf> {
    // Cargo says where its own temporary folder is, and so where the target folder is.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn has_length(path: &Path, length: u64) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() == length)
}

/// A file of 1 GiB of random bytes, and its length.
pub(crate) fn random_gib() -> io::Result<(PathBuf, u64)> {
    Ok((random_file("random-1GiB.mp4", GIB)?, GIB))
}

/// A file of that many random bytes.
pub(crate) fn random_file(name: &str, length: u64) -> io::Result<PathBuf> {
    let path = folder()?.join(name);
    if !has_length(&path, length) {
        // A run that is interrupted here must not leave a file that looks whole.
        let unfinished = path.with_extension("unfinished");
        fixtures::random_file(&unfinished, length, 1)?;
        fs::rename(&unfinished, &path)?;
    }
    Ok(path)
}

/// A folder of `count` names of one file of `length` random bytes: its bytes are in the page cache,
/// and each name is an upload of its own.
pub(crate) fn names_of_one(count: usize, length: u64) -> io::Result<PathBuf> {
    let folder = folder()?.join(format!("names-{count}-{length}"));
    if !folder.is_dir() {
        let unfinished = folder.with_extension("unfinished");
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir_all(&unfinished)?;
        let first = unfinished.join("00000.mov");
        fixtures::random_file(&first, length, 1)?;
        for number in 1..count {
            fs::hard_link(&first, unfinished.join(format!("{number:05}.mov")))?;
        }
        fs::rename(&unfinished, &folder)?;
    }
    Ok(folder)
}

/// `count` files of `length` zero bytes each, which occupy no disk.
pub(crate) fn sparse_files(count: usize, length: u64) -> io::Result<Vec<PathBuf>> {
    let folder = folder()?.join(format!("sparse-{length}"));
    fs::create_dir_all(&folder)?;
    let paths: Vec<PathBuf> = (0..count)
        .map(|number| folder.join(format!("{number:04}.mp4")))
        .collect();
    for path in paths.iter().filter(|path| !has_length(path, length)) {
        fixtures::sparse_file(path, length)?;
    }
    Ok(paths)
}

/// Reads a file once, so that it is in the page cache and no contestant pays for the disk.
pub(crate) fn warm(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}
