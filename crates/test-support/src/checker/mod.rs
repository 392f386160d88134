//! [`Checker`]: the judge that believes nobody's word.
//!
//! It reads what a server holds, from its folder or over HTTP, digests the bytes itself and
//! compares them with the sources; and it looks for secrets where none may be. Nothing of the
//! client is used for it: a mistake that both shared would pass.

mod held;
mod leaks;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::fixtures;
use held::{Held, Place};
use leaks::{Canary, Searched};

/// One thing that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// No finished object has the bytes of this source.
    Missing(PathBuf),
    /// More finished objects than sources have these bytes.
    Twice {
        /// One of the sources.
        source: PathBuf,
        /// Those objects.
        objects: Vec<String>,
    },
    /// A finished object has the bytes of no source: it was damaged, or mixed.
    Foreign(String),
    /// An upload was begun and not finished, or is a part that nobody joined or removed.
    Pending {
        /// The upload.
        object: String,
        /// Bytes of it that are there.
        offset: u64,
    },
    /// A video has no upload that could ever fill it.
    Empty(String),
    /// A canary was found.
    Leak {
        /// What the canary stands for; never its value.
        canary: String,
        /// Where it was.
        place: String,
    },
    /// Something could not be looked at, so that nothing is proven by it.
    Unreadable {
        /// What.
        what: String,
        /// Why.
        why: String,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(source) => {
                write!(f, "{} is nowhere on the server", source.display())
            }
            Self::Twice { source, objects } => write!(
                f,
                "{} is on the server {} times, as {}",
                source.display(),
                objects.len(),
                objects.join(" and ")
            ),
            Self::Foreign(object) => {
                write!(f, "{object} is finished and equals no source")
            }
            Self::Pending { object, offset } => {
                write!(f, "{object} was left behind unfinished, at {offset} bytes")
            }
            Self::Empty(video) => write!(f, "video {video} has no upload"),
            Self::Leak { canary, place } => write!(f, "{canary} leaked into {place}"),
            Self::Unreadable { what, why } => write!(f, "{what} could not be checked: {why}"),
        }
    }
}

/// What must hold after every fault: each source is on the server once and whole, nothing else
/// is, and no secret is where it may not be.
///
/// ```no_run
/// # async fn example(emulator: std::net::SocketAddr, process: &test_support::Process) {
/// use test_support::Checker;
///
/// Checker::emulator(emulator, "the token")
///     .source("a.mp4")
///     .canary("the API token", "canary-4711")
///     .folder("state")
///     .process(process.id())
///     .assert()
///     .await;
/// # }
/// ```
#[derive(Debug)]
#[must_use = "nothing is proven until it is asserted or checked"]
pub struct Checker {
    place: Place,
    sources: Vec<PathBuf>,
    leftovers: usize,
    canaries: Vec<Canary>,
    searched: Vec<Searched>,
    allowed: Vec<PathBuf>,
}

impl Checker {
    /// Judges what lies in an emulator's data folder, whether or not one runs on it.
    pub fn data_folder(folder: impl Into<PathBuf>) -> Self {
        Self::of(Place::Folder(folder.into()))
    }

    /// Judges what a running emulator holds, as it tells below `/_emulator/`.
    pub fn emulator(address: SocketAddr, token: &str) -> Self {
        Self::of(Place::Emulator {
            address,
            token: token.to_owned(),
        })
    }

    fn of(place: Place) -> Self {
        Self {
            place,
            sources: Vec::new(),
            leftovers: 0,
            canaries: Vec::new(),
            searched: Vec::new(),
            allowed: Vec::new(),
        }
    }

    /// A file that must be on the server, whole and once. Two equal files must be there twice.
    pub fn source(mut self, path: impl Into<PathBuf>) -> Self {
        self.sources.push(path.into());
        self
    }

    /// As [`source`](Self::source), for each of them.
    pub fn sources<P: Into<PathBuf>>(self, paths: impl IntoIterator<Item = P>) -> Self {
        paths.into_iter().fold(self, Self::source)
    }

    /// Allows up to so many unfinished uploads and empty videos: the orphans that the client has
    /// reported. Default: none.
    pub fn leftovers(mut self, most: usize) -> Self {
        self.leftovers = most;
        self
    }

    /// A secret that must be found nowhere that is searched; `name` stands for it in reports.
    pub fn canary(mut self, name: &str, secret: impl Into<Vec<u8>>) -> Self {
        self.canaries.push(Canary::new(name, secret.into()));
        self
    }

    /// Searches every file below `path`, and their names, for canaries.
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.searched.push(Searched::Folder(path.into()));
        self
    }

    /// Leaves this file or folder out of the search: there secrets may be.
    pub fn except(mut self, path: impl Into<PathBuf>) -> Self {
        self.allowed.push(path.into());
        self
    }

    /// Searches a captured output; `name` stands for it in reports.
    pub fn output(mut self, name: &str, lines: &[String]) -> Self {
        self.searched.push(Searched::Text {
            name: name.to_owned(),
            text: lines.join("\n").into_bytes(),
        });
        self
    }

    /// Searches the arguments of a process and of all that it started, as anybody on the machine
    /// can read them. They are read now: call it while the process runs. Linux only.
    pub fn process(mut self, pid: u32) -> Self {
        self.searched.extend(leaks::command_lines(pid));
        self
    }

    /// Looks at everything, and returns what must not be; nothing when all is well. Blocking work
    /// is done aside, so that an emulator in the same runtime can answer.
    ///
    /// # Panics
    /// When the checking itself panics, or its runtime is shut down.
    #[must_use = "violations are only returned"]
    pub async fn check(self) -> Vec<Violation> {
        tokio::task::spawn_blocking(move || self.run())
            .await
            .expect("the checker does not panic")
    }

    /// As [`check`](Self::check).
    ///
    /// # Panics
    /// With all violations, when there is one.
    pub async fn assert(self) {
        let violations = self.check().await;
        let lines: Vec<_> = violations.iter().map(ToString::to_string).collect();
        assert!(lines.is_empty(), "the proof fails:\n{}", lines.join("\n"));
    }

    fn run(&self) -> Vec<Violation> {
        let mut violations = match self.place.read() {
            Ok(held) => self.compare(&held),
            Err(error) => vec![Violation::Unreadable {
                what: "what the server holds".to_owned(),
                why: error.to_string(),
            }],
        };
        for place in &self.searched {
            violations.extend(place.search(&self.canaries, &self.allowed));
        }
        violations
    }

    fn compare(&self, held: &Held) -> Vec<Violation> {
        let mut violations = Vec::new();
        let mut wanted: BTreeMap<String, Vec<&Path>> = BTreeMap::new();
        for source in &self.sources {
            match fixtures::sha256_file(source) {
                Ok(digest) => wanted.entry(digest).or_default().push(source),
                Err(error) => violations.push(Violation::Unreadable {
                    what: source.display().to_string(),
                    why: error.to_string(),
                }),
            }
        }
        let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut leftovers = Vec::new();
        for object in &held.objects {
            if object.finished {
                found.entry(&object.sha256).or_default().push(&object.id);
            } else {
                leftovers.push(Violation::Pending {
                    object: object.id.clone(),
                    offset: object.offset,
                });
            }
        }
        let has_upload = |video: &&String| held.objects.iter().any(|object| object.id == **video);
        let empty = held.videos.iter().filter(|video| !has_upload(video));
        leftovers.extend(empty.cloned().map(Violation::Empty));

        for (digest, sources) in &wanted {
            let objects = found.remove(digest.as_str()).unwrap_or_default();
            let missing = sources.iter().skip(objects.len());
            violations.extend(missing.map(|source| Violation::Missing(source.to_path_buf())));
            if objects.len() > sources.len() {
                violations.push(Violation::Twice {
                    source: sources[0].to_path_buf(),
                    objects: objects.iter().map(ToString::to_string).collect(),
                });
            }
        }
        let foreign = found.into_values().flatten();
        violations.extend(foreign.map(|object| Violation::Foreign(object.to_owned())));
        if leftovers.len() > self.leftovers {
            violations.extend(leftovers);
        }
        violations
    }
}
