//! Which files of a folder are meant.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};
use walkdir::{DirEntry, WalkDir};

use crate::limits::VIDEO_EXTENSIONS;

/// What to take from folders. Files that are named themselves are always taken.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Selection {
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
    /// Smallest file, bytes. Default 0.
    pub min_bytes: u64,
    /// Largest file, bytes. Default: any.
    pub max_bytes: Option<u64>,
}

impl Selection {
    /// Takes what matches one of `include` (default: whatever has a video's extension) and none of `exclude`. Patterns are
    /// matched against the path below the folder, and against the file's name.
    ///
    /// # Errors
    /// [`globset::Error`] for a pattern that is none.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, globset::Error> {
        Ok(Self {
            include: set(include)?,
            exclude: set(exclude)?,
            min_bytes: 0,
            max_bytes: None,
        })
    }

    fn reason_against(&self, below: &Path, bytes: u64) -> Option<LeftOut> {
        let name = Path::new(below.file_name().unwrap_or_default());
        let hits = |set: &GlobSet| set.is_match(below) || set.is_match(name);
        let wanted = match &self.include {
            Some(include) => hits(include),
            None => is_video_name(below),
        };
        if !wanted {
            return Some(if self.include.is_some() {
                LeftOut::ByPattern
            } else {
                LeftOut::NotAVideo
            });
        }
        if self.exclude.as_ref().is_some_and(hits) {
            return Some(LeftOut::ByPattern);
        }
        let too_large = self.max_bytes.is_some_and(|max| bytes > max);
        (bytes < self.min_bytes || too_large).then_some(LeftOut::BySize)
    }
}

fn set(patterns: &[String]) -> Result<Option<GlobSet>, globset::Error> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut builder = GlobSetBuilder::new();
    for pattern in patterns {
        builder.add(Glob::new(pattern)?);
    }
    builder.build().map(Some)
}

/// Whether the name ends like a video's.
#[must_use]
pub fn is_video_name(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|found| {
        VIDEO_EXTENSIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(found))
    })
}

/// Why a file of a folder is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LeftOut {
    /// A pattern says so.
    ByPattern,
    /// Its size says so.
    BySize,
    /// Its name, or a folder's above it, begins with a dot.
    Hidden,
    /// Its name does not end like a video's.
    NotAVideo,
    /// It is a link, a device, a socket or a pipe.
    NotAFile,
    /// It was named twice, or reached on two ways.
    Repeated,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByPattern => "left out by pattern",
            Self::BySize => "left out by size",
            Self::Hidden => "hidden",
            Self::NotAVideo => "not named like a video",
            Self::NotAFile => "links or special files",
            Self::Repeated => "named more than once",
        })
    }
}

/// A file that is to be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size when it was looked at.
    pub bytes: u64,
    /// It was found in a folder, so it must not be a symbolic link: not when it was found, and not when it is opened.
    pub in_folder: bool,
    /// The folder that it lies in without any links, unless it is one itself. Files that come one after the other share it.
    pub folder: Option<Arc<Path>>,
}

/// What was found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Found {
    /// The files, in the order of their names within each folder.
    pub files: Vec<FoundFile>,
    /// How many were left out, by reason.
    pub left_out: BTreeMap<LeftOut, usize>,
    /// What could not be looked at.
    pub errors: Vec<(PathBuf, io::Error)>,
}

impl Found {
    fn leave_out(&mut self, reason: LeftOut) {
        *self.left_out.entry(reason).or_default() += 1;
    }
}

/// Looks at everything that was named: a file is taken, a folder is searched. Links inside folders are not followed; a link that
/// was named is.
#[must_use]
pub fn find(named: &[PathBuf], selection: &Selection) -> Found {
    find_and_tell(named, selection, || {})
}

/// As [`find`], and calls `on_first` as soon as there is a file to take, while the rest is still being looked for.
#[must_use]
pub fn find_and_tell(named: &[PathBuf], selection: &Selection, on_first: impl FnOnce()) -> Found {
    let mut found = Found::default();
    let mut on_first = Some(on_first);
    let mut taken = |found: &mut Found, file| {
        found.files.push(file);
        if let Some(tell) = on_first.take() {
            tell();
        }
    };
    let mut folders = Folders::default();
    for path in named {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => search(path, selection, &mut found, &mut taken),
            Ok(metadata) => {
                // What a link is known as, only its target says.
                let file = FoundFile {
                    folder: folders.of(path).filter(|_| !path.is_symlink()),
                    path: path.clone(),
                    bytes: metadata.len(),
                    in_folder: false,
                };
                taken(&mut found, file);
            }
            Err(error) => found.errors.push((path.clone(), error)),
        }
    }
    if named.len() > 1 {
        // Only what was named twice, or lies in a folder that was, is found twice.
        let mut seen = HashSet::new();
        let all = found.files.len();
        found.files.retain(|file| seen.insert(file.canonical()));
        let repeated = all - found.files.len();
        if repeated > 0 {
            found.left_out.insert(LeftOut::Repeated, repeated);
        }
    }
    found
}

impl FoundFile {
    /// Where it is without any links, as far as that can be found out.
    fn canonical(&self) -> PathBuf {
        match (&self.folder, self.path.file_name()) {
            (Some(folder), Some(name)) => folder.join(name),
            _ => self
                .path
                .canonicalize()
                .unwrap_or_else(|_| self.path.clone()),
        }
    }
}

/// The folder that was asked for last, and what it is without links: those who share one come one after the other.
#[derive(Default)]
struct Folders(Option<(PathBuf, Arc<Path>)>);

impl Folders {
    /// That of a file which is no link itself.
    fn of(&mut self, file: &Path) -> Option<Arc<Path>> {
        let folder = match file.parent()? {
            here if here.as_os_str().is_empty() => Path::new("."),
            folder => folder,
        };
        if self.0.as_ref().is_none_or(|(last, _)| last != folder) {
            let canonical = folder.canonicalize().ok()?;
            self.0 = Some((folder.to_owned(), canonical.into()));
        }
        let (_, canonical) = self.0.as_ref()?;
        Some(Arc::clone(canonical))
    }
}

fn search(
    folder: &Path,
    selection: &Selection,
    found: &mut Found,
    taken: &mut impl FnMut(&mut Found, FoundFile),
) {
    let mut folders = Folders::default();
    let mut walk = WalkDir::new(folder).sort_by_file_name().into_iter();
    while let Some(entry) = walk.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_owned();
                let cause = error
                    .into_io_error()
                    .unwrap_or_else(|| io::Error::other("a loop of links"));
                found.errors.push((path, cause));
                continue;
            }
        };
        if entry.depth() > 0 && is_hidden(&entry) {
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            found.leave_out(LeftOut::Hidden);
        } else if entry.file_type().is_file() {
            let bytes = entry.metadata().map(|metadata| metadata.len()).unwrap_or(0);
            let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            match selection.reason_against(below, bytes) {
                Some(reason) => found.leave_out(reason),
                None => {
                    let path = entry.into_path();
                    let file = FoundFile {
                        folder: folders.of(&path),
                        path,
                        bytes,
                        in_folder: true,
                    };
                    taken(found, file);
                }
            }
        } else if !entry.file_type().is_dir() {
            found.leave_out(LeftOut::NotAFile);
        }
    }
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        dir
    }

    fn names(found: &Found, dir: &Path) -> Vec<String> {
        let below = |path: &Path| path.strip_prefix(dir).unwrap().display().to_string();
        found.files.iter().map(|file| below(&file.path)).collect()
    }

    #[test]
    fn videos_are_taken_from_every_level_and_the_rest_is_counted() {
        let dir = folder(&[
            "b.mp4",
            "a/c.MOV",
            "a/notes.txt",
            ".git/x.mp4",
            ".hidden.mp4",
        ]);
        std::os::unix::fs::symlink(dir.path().join("b.mp4"), dir.path().join("link.mp4")).unwrap();
        let found = find(&[dir.path().to_owned()], &Selection::default());
        assert_eq!(names(&found, dir.path()), ["a/c.MOV", "b.mp4"]);
        assert_eq!(found.left_out[&LeftOut::Hidden], 2);
        assert_eq!(found.left_out[&LeftOut::NotAVideo], 1);
        assert_eq!(found.left_out[&LeftOut::NotAFile], 1);
    }

    #[test]
    fn a_file_that_is_named_is_taken_whatever_its_name_and_only_once() {
        let dir = folder(&["raw.bin", "a.mp4"]);
        let named = [
            dir.path().join("raw.bin"),
            dir.path().join("a.mp4"),
            dir.path().to_owned(),
        ];
        let found = find(&named, &Selection::default());
        assert_eq!(names(&found, dir.path()), ["raw.bin", "a.mp4"]);
        assert_eq!(found.left_out[&LeftOut::Repeated], 1);
    }

    #[test]
    fn the_first_file_is_told_once_and_while_others_are_still_being_looked_for() {
        let dir = folder(&["a/notes.txt", "b/first.mp4", "c/second.mp4", "d/notes.txt"]);
        let mut told = 0;
        let late = dir.path().join("d/late.mp4");
        let found = find_and_tell(&[dir.path().to_owned()], &Selection::default(), || {
            told += 1;
            std::fs::write(&late, "late").unwrap();
        });
        let expected = ["b/first.mp4", "c/second.mp4", "d/late.mp4"];
        assert_eq!(
            (told, names(&found, dir.path())),
            (1, expected.map(String::from).to_vec())
        );
    }

    #[test]
    fn where_nothing_is_to_be_taken_nothing_is_told() {
        let dir = folder(&["notes.txt"]);
        let named = [dir.path().to_owned(), dir.path().join("no.mp4")];
        let found = find_and_tell(&named, &Selection::default(), || panic!("there is no file"));
        assert!(found.files.is_empty());
    }

    #[test]
    fn patterns_and_sizes_choose() {
        let dir = folder(&["day1/a.mp4", "day1/a.wav", "day2/b.mp4"]);
        let patterns = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut selection =
            Selection::new(&patterns(&["*.wav", "day1/**"]), &patterns(&["*.mp4"])).unwrap();
        let found = find(&[dir.path().to_owned()], &selection);
        assert_eq!(names(&found, dir.path()), ["day1/a.wav"]);
        selection.min_bytes = 1_000;
        assert!(find(&[dir.path().to_owned()], &selection).files.is_empty());
    }

    #[test]
    fn every_file_is_known_by_the_place_where_it_really_is() {
        let dir = folder(&["shoot/a.mp4", "shoot/b.mp4", "shoot/below/c.mp4", "d.mp4"]);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("shoot"), &link).unwrap();
        let alias = dir.path().join("alias.mp4");
        std::os::unix::fs::symlink(dir.path().join("d.mp4"), &alias).unwrap();
        let found = find(&[link, alias], &Selection::default());
        let real = dir.path().canonicalize().unwrap();
        let expected = ["shoot/a.mp4", "shoot/b.mp4", "shoot/below/c.mp4", "d.mp4"];
        let canonical: Vec<_> = found.files.iter().map(|it| it.canonical()).collect();
        assert_eq!(canonical, expected.map(|name| real.join(name)));
        for file in &found.files {
            assert_eq!(file.canonical(), file.path.canonicalize().unwrap());
        }
    }

    #[test]
    fn what_is_not_there_is_an_error_of_its_own() {
        let dir = folder(&["a.mp4"]);
        let found = find(
            &[dir.path().join("no.mp4"), dir.path().join("a.mp4")],
            &Selection::default(),
        );
        assert_eq!((found.files.len(), found.errors.len()), (1, 1));
    }
}
