//! Secrets in answers: hidden where they are not what was asked for, or written where only their owner may read them.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::exit::{CliError, Code};

/// What stands in place of a secret.
const HIDDEN: &str = "(hidden: --show-secrets)";

/// The fields that open a door by themselves.
const SECRETS: &[&str] = &[
    "jwk",
    "passphrase",
    "pem",
    "secret",
    "streamKey",
    "token",
    "uploadURL",
];

/// Hides the secrets in an answer, and the query of an address that something was fetched from.
pub(super) fn hide(answer: &mut Value) {
    match answer {
        Value::Array(elements) => elements.iter_mut().for_each(hide),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if SECRETS.contains(&name.as_str()) => {
                        HIDDEN.clone_into(text);
                    }
                    Value::String(url) if name == "downloadedFrom" => {
                        if let Some(end) = url.find(['?', '#']) {
                            url.truncate(end);
                        }
                    }
                    other => hide(other),
                }
            }
        }
        _ => {}
    }
}

/// A new file that only its owner may read. It is removed again unless something is written.
#[derive(Debug)]
pub(super) struct OutFile {
    path: PathBuf,
    file: Option<File>,
}

impl OutFile {
    /// Makes it.
    pub(super) fn create(path: &Path) -> Result<Self, CliError> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| {
                CliError::new(Code::Local, format!("--out {}: {error}", path.display()))
                    .hint("name a file that is not there yet, in a folder that you may write to")
            })?;
        Ok(Self {
            path: path.to_owned(),
            file: Some(file),
        })
    }

    /// Writes the secret, and says where it is.
    pub(super) fn write(mut self, text: &str) -> Result<PathBuf, CliError> {
        let mut file = self.file.take();
        let written = file.as_mut().map_or(Ok(()), |file| {
            writeln!(file, "{text}").and_then(|()| file.sync_all())
        });
        // Kept even if it is not whole: the part that was written may be the part that is wanted.
        written.map_err(|error| {
            CliError::new(
                Code::Local,
                format!("--out {}: {error}", self.path.display()),
            )
        })?;
        Ok(self.path.clone())
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if self.file.is_some() {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_hidden_at_any_depth_and_queries_are_cut_off() {
        let mut answer = json!([{"uid": "a", "streamKey": "hush", "rtmps": {"url": "u", "streamKey": "hush"},
            "downloadedFrom": "https://a.example/logo.png?X-Amz-Signature=hush"}]);
        hide(&mut answer);
        assert!(!answer.to_string().contains("hush"), "{answer}");
        assert_eq!(answer[0]["downloadedFrom"], "https://a.example/logo.png");
        assert_eq!(answer[0]["uid"], "a");
    }

    #[test]
    fn a_secret_is_written_for_its_owner_and_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        OutFile::create(&path).unwrap().write("hush").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hush\n");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(OutFile::create(&path).unwrap_err().code, Code::Local);
    }

    #[test]
    fn a_file_that_got_no_secret_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        drop(OutFile::create(&path).unwrap());
        assert!(!path.exists());
    }
}
