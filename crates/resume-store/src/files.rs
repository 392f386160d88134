//! Files and folders that belong to one user: whatever the umask says, 0600 and 0700.
//!
//! All that is particular to Unix is here and in `evidence.rs`.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::OFlags;

use crate::{StoreError, StoreNotice};

/// Makes `folder` fit to hold secrets, creating it if need be.
///
/// One that is open to others is tightened if it is ours and plainly a state directory (it is
/// empty, or holds the file `mark`). Any other is refused: it may be somebody's home or project,
/// named by mistake.
pub(crate) fn prepare_folder(folder: &Path, mark: &str) -> Result<Option<StoreNotice>, StoreError> {
    let refuse = |what: String| StoreError::Permission {
        path: folder.to_owned(),
        what,
    };
    if fs::symlink_metadata(folder).is_err() {
        let missing = folder.ancestors().take_while(|folder| !folder.exists());
        let missing: Vec<_> = missing.collect();
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(folder).map_err(StoreError::io(folder))?;
        // The mode above went through the umask.
        set_mode(folder, 0o700)?;
        for made in missing {
            sync_name(made)?;
        }
    }
    let metadata = fs::symlink_metadata(folder).map_err(StoreError::io(folder))?;
    if metadata.is_symlink() {
        let target = fs::read_link(folder).unwrap_or_default();
        let target = target.display();
        return Err(refuse(format!(
            "it is a symbolic link; name its target ({target}) instead"
        )));
    }
    if !metadata.is_dir() {
        return Err(refuse("it is not a directory; name another one".to_owned()));
    }
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user {
        let owner = metadata.uid();
        return Err(refuse(format!(
            "it belongs to user {owner} and this is user {user}; run as its owner, or name another \
             directory"
        )));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 == 0 {
        if mode & 0o700 != 0o700 {
            set_mode(folder, 0o700)?;
        }
        return Ok(None);
    }
    let mut entries = fs::read_dir(folder).map_err(StoreError::io(folder))?;
    if entries.next().is_some() && !folder.join(mark).exists() {
        return Err(refuse(format!(
            "its mode {mode:03o} lets other users in, and it holds other files; run `chmod 700` on \
             it, or name an empty or new directory"
        )));
    }
    set_mode(folder, 0o700)?;
    Ok(Some(StoreNotice::Tightened {
        path: folder.to_owned(),
    }))
}

/// A folder inside one that [`prepare_folder`] has passed.
pub(crate) fn private_folder(folder: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.map_err(StoreError::io(folder))?,
    }
    set_mode(folder, 0o700)
}

/// Opens a file for reading and writing, creating it if need be; never through a symbolic link.
pub(crate) fn private_file(path: &Path) -> Result<File, StoreError> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_follow)
        .open(path)
        .map_err(StoreError::io(path))?;
    let mode = file.metadata().map_err(StoreError::io(path))?.mode();
    if mode & 0o7777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(StoreError::io(path))?;
    }
    Ok(file)
}

/// Sets 0700 and 0600 below and including `folder`, for files that others create in it.
pub(crate) fn tighten(folder: &Path) -> Result<(), StoreError> {
    set_mode(folder, 0o700)?;
    for entry in fs::read_dir(folder).map_err(StoreError::io(folder))? {
        let entry = entry.map_err(StoreError::io(folder))?;
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => tighten(&path)?,
            Ok(kind) if kind.is_file() => match set_mode(&path, 0o600) {
                // sled removes its snapshots whenever it likes.
                Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            },
            _ => {}
        }
    }
    Ok(())
}

/// Writes a whole file so that a crash leaves the old content or the new.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    // Nobody else's draft, in this process or another.
    static DRAFTS: AtomicU64 = AtomicU64::new(0);
    let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
    let draft = path.with_extension(format!("{}-{number}.new", std::process::id()));
    let mut file = private_file(&draft)?;
    let written = file
        .set_len(0)
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&draft, path));
    if let Err(error) = written {
        fs::remove_file(&draft).ok();
        return Err(StoreError::io(path)(error));
    }
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(StoreError::io(folder))
}

/// Makes the name of a new folder durable: without it all that is synced inside is lost with the power.
fn sync_name(folder: &Path) -> Result<(), StoreError> {
    let parent = folder.parent().filter(|it| !it.as_os_str().is_empty());
    match sync_folder(parent.unwrap_or(Path::new("."))) {
        // A folder that may be written to but not read cannot be synced by anybody but its owner.
        Err(StoreError::Permission { .. }) => Ok(()),
        other => other,
    }
}

/// Whether the open file is still the one that `path` names.
pub(crate) fn same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(file), Ok(named)) => file.dev() == named.dev() && file.ino() == named.ino(),
        _ => false,
    }
}

/// Bytes that this user may still write to the file system of `folder`.
pub(crate) fn free_bytes(folder: &Path) -> u64 {
    // A file system that cannot say is not called full.
    rustix::fs::statvfs(folder).map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// What this machine calls itself.
pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

fn set_mode(path: &Path, mode: u32) -> Result<(), StoreError> {
    let metadata = fs::symlink_metadata(path).map_err(StoreError::io(path))?;
    if metadata.mode() & 0o7777 != mode {
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(StoreError::io(path))?;
    }
    Ok(())
}
