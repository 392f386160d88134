//! [`Verdict`]: what a service read in the body of a refusal.

use std::fmt;

/// What the body of an answer says, read by somebody who knows the service. The machine sees heads only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// What it means, if the service knows; it then overrules the status.
    pub kind: Option<VerdictKind>,
    /// The service's own code.
    pub code: Option<u32>,
    /// The service's own words, short and printable.
    pub message: String,
}

/// What a service can mean beyond the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VerdictKind {
    /// The one-time URL was used before.
    AlreadyUsed,
    /// The one-time URL is too old.
    Expired,
    /// The upload is not there any more.
    Gone,
    /// Credentials are missing or wrong.
    Login,
    /// The bytes are not what the service takes.
    NotAVideo,
    /// Too many videos are being worked on: creations have to wait.
    QueueFull,
    /// The account's storage is full: creations have to wait until there is space.
    StorageFull,
    /// The upload is larger than the service takes.
    TooLarge,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.code {
            Some(code) => write!(f, " (code {code})"),
            None => Ok(()),
        }
    }
}
