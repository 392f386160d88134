//! Files to upload, and how to tell that they arrived.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::RandomBytes;

pub use tempfile::TempDir;

/// Bytes held in memory while a file is written or digested, whatever its length.
const BUFFER: usize = 256 * 1024;

/// A new temporary folder that is removed, with all in it, when the value is dropped.
///
/// # Errors
/// When the system's temporary folder cannot be written.
pub fn temp_dir() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("stream-upload-").tempdir()
}

/// Writes `length` bytes of the sequence of `seed` to `path`, replacing what is there, in
/// bounded memory. The same seed gives the same bytes: they are those of [`RandomBytes`].
///
/// # Errors
/// When the file cannot be created or written.
pub fn random_file(path: impl AsRef<Path>, length: u64, seed: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut bytes = RandomBytes::new(seed);
    let mut buffer = vec![0; BUFFER];
    let mut left = length;
    while left > 0 {
        let piece = &mut buffer[..usize::try_from(left).unwrap_or(BUFFER).min(BUFFER)];
        bytes.read_exact(piece)?;
        file.write_all(piece)?;
        left -= piece.len() as u64;
    }
    Ok(())
}

/// Makes `path` a file of `length` zero bytes that occupies (almost) no disk, replacing what is
/// there: for uploads larger than the disk.
///
/// # Errors
/// When the file cannot be created, or its file system cannot hold a file of that length.
pub fn sparse_file(path: impl AsRef<Path>, length: u64) -> io::Result<()> {
    File::create(path)?.set_len(length)
}

/// SHA-256 of a file, as 64 lower-case hexadecimal digits.
///
/// # Errors
/// When the file cannot be opened or read.
pub fn sha256_file(path: impl AsRef<Path>) -> io::Result<String> {
    sha256_reader(File::open(path)?)
}

/// SHA-256 of all that `reader` still gives, as 64 lower-case hexadecimal digits.
///
/// # Errors
/// When reading fails.
pub fn sha256_reader(mut reader: impl Read) -> io::Result<String> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex(&digest.finalize())),
            Ok(n) => digest.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder of real videos, `tests/media` of the workspace.
#[must_use]
pub fn media_dir() -> PathBuf {
    workspace().join("tests/media")
}

/// The real videos of `tests/media` (mp4, mov, mkv, webm), sorted by name; empty when the folder
/// has none or does not exist.
///
/// # Errors
/// When the folder exists and cannot be read.
pub fn videos() -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(media_dir()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut videos = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_video = path.extension().is_some_and(|extension| {
            ["mp4", "mov", "mkv", "webm"]
                .iter()
                .any(|e| extension == *e)
        });
        if is_video {
            videos.push(path);
        }
    }
    videos.sort();
    Ok(videos)
}

/// The root of the workspace this crate was compiled in.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate lies two folders below the workspace")
        .to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_file_has_its_length_and_the_bytes_of_its_seed() {
        let dir = temp_dir().expect("a temporary folder");
        let path = dir.path().join("a.bin");
        for length in [0, 1, 7, 8, 262_143, 262_144, 262_145, 700_001] {
            random_file(&path, length, 42).expect("written");
            assert_eq!(std::fs::metadata(&path).expect("exists").len(), length);
            let expected = sha256_reader(RandomBytes::new(42).take(length)).expect("endless");
            assert_eq!(
                sha256_file(&path).expect("read"),
                expected,
                "{length} bytes"
            );
        }
    }

    #[test]
    fn a_digest_is_lower_case_hexadecimal() {
        assert_eq!(
            sha256_reader(&b"abc"[..]).expect("memory"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_sparse_file_is_long_and_takes_no_disk() {
        use std::os::unix::fs::MetadataExt as _;

        let dir = temp_dir().expect("a temporary folder");
        let path = dir.path().join("sparse.bin");
        sparse_file(&path, 10 << 30).expect("created");
        let metadata = std::fs::metadata(&path).expect("exists");
        assert_eq!(metadata.len(), 10 << 30);
        assert!(metadata.blocks() * 512 < 1 << 20);
    }

    #[test]
    fn the_videos_are_a_sorted_list_even_without_a_folder() {
        let videos = videos().expect("listed");
        assert!(videos.is_sorted());
        assert!(workspace().join("Cargo.toml").is_file());
    }
}
