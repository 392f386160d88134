//! What installing has in common: once, under a lock, and by name when something is missing.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fixtures;

/// Where the manifests and scripts of the peers are.
pub(super) fn sources() -> PathBuf {
    fixtures::workspace().join("tests/peers")
}

/// Where the peers are installed.
pub(super) fn target() -> PathBuf {
    fixtures::workspace().join("target/peers")
}

/// Calls `install` for the folder `dir` unless it was done with this `stamp` before, and
/// `refresh` otherwise; both under the lock of that folder, which other processes respect.
pub(super) fn once(
    dir: &Path,
    stamp: &str,
    install: impl FnOnce() -> io::Result<()>,
    refresh: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let lock = File::create(dir.join(".lock"))?;
    lock.lock()?;
    let note = dir.join(".installed");
    if fs::read_to_string(&note).is_ok_and(|found| found == stamp) {
        return refresh();
    }
    // An attempt that fails halfway must not pass for the installation it has spoilt.
    match fs::remove_file(&note) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    install()?;
    fs::write(note, stamp)
}

/// Runs a command of an installation to its end.
///
/// # Errors
/// When it cannot be started or fails; the message has the command and what it said.
pub(super) fn run(command: &mut Command) -> io::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| io::Error::new(error.kind(), format!("{command:?}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let told = String::from_utf8_lossy(&output.stdout);
    let text = format!("{command:?} failed ({}):\n{told}{said}", output.status);
    Err(io::Error::other(text))
}

/// A program that must be there before anything can be installed.
#[derive(Debug)]
pub(super) struct Need {
    /// As people call it.
    pub(super) name: &'static str,
    /// The oldest that will do, as major and minor; absent when every one will.
    pub(super) oldest: Option<(u32, u32)>,
    /// How to get it.
    pub(super) remedy: &'static str,
}

impl Need {
    /// Fails by name unless `program` runs with these arguments and, when asked for, prints a
    /// version that is new enough. Returns what it printed.
    pub(super) fn met_by<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: &[A],
    ) -> io::Result<String> {
        let output = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        let found = match &output {
            Ok(output) if output.status.success() => {
                Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            }
            _ => None,
        };
        if let Some(found) = &found
            && self
                .oldest
                .is_none_or(|oldest| version(found).is_some_and(|version| version >= oldest))
        {
            return Ok(found.clone());
        }
        let wanted = match self.oldest {
            Some((major, minor)) => format!("{} {major}.{minor} or newer", self.name),
            None => self.name.to_owned(),
        };
        let found = found.unwrap_or_else(|| "none".into());
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "{wanted} is needed for the interop tests: {} (found {program}: {found})",
                self.remedy
            ),
        ))
    }
}

/// Major and minor of `v20.19.2`, `Python 3.11.7` and the like.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text
        .trim_start_matches(|c: char| !c.is_ascii_digit())
        .split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEED: Need = Need {
        name: "Node.js",
        oldest: Some((20, 19)),
        remedy: "apt-get install nodejs npm",
    };

    #[test]
    fn a_missing_program_is_named_with_what_to_install() {
        let error = NEED
            .met_by("no-such-node", &["--version"])
            .expect_err("not there");
        assert_eq!(
            error.to_string(),
            "Node.js 20.19 or newer is needed for the interop tests: \
             apt-get install nodejs npm (found no-such-node: none)"
        );
    }

    #[test]
    fn a_module_that_is_missing_is_named_like_a_program() {
        let need = Need {
            name: "Python's module",
            oldest: None,
            remedy: "apt-get install it",
        };
        let error = need.met_by("false", &["import it"]).expect_err("fails");
        assert_eq!(
            error.to_string(),
            "Python's module is needed for the interop tests: apt-get install it (found false: none)"
        );
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(version("v20.19.2"), Some((20, 19)));
        assert_eq!(version("Python 3.11.7"), Some((3, 11)));
        assert!(version("v8.9.0") < NEED.oldest);
        assert!(version("v22.0.0") > NEED.oldest);
        assert_eq!(version("none"), None);
    }

    #[test]
    fn what_is_installed_is_not_installed_again_and_what_failed_is() {
        let dir = fixtures::temp_dir().expect("a temporary folder");
        let fail = || Err(io::Error::other("no network"));
        let no_refresh = || panic!("nothing to refresh");
        once(dir.path(), "1", fail, no_refresh).expect_err("failed");
        once(dir.path(), "1", || Ok(()), no_refresh).expect("installed");
        once(dir.path(), "1", || panic!("twice"), || Ok(())).expect("there");
        once(dir.path(), "2", fail, no_refresh).expect_err("another stamp");
        once(dir.path(), "1", || Ok(()), no_refresh).expect("spoilt, so done anew");
    }
}
