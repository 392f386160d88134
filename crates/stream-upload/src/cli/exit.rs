//! Exit codes, and what to do about each error: the single map.

use std::process::ExitCode;

use stream_ingest::JobError;
use tus_engine::{Failure, UploadError};

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// All done.
    Done = 0,
    /// Some sources failed.
    Some = 1,
    /// The command makes no sense.
    Usage = 2,
    /// A local file, or the resume state.
    Local = 3,
    /// Credentials.
    Credentials = 4,
    /// The server refused for good.
    Refused = 5,
    /// The network gave up, or the other side does not speak tus.
    Network = 6,
    /// The source changed while it was sent.
    Changed = 7,
    /// Another process works on it.
    Busy = 8,
    /// SIGINT; resumable.
    Interrupted = 130,
    /// SIGTERM or SIGHUP; resumable.
    Terminated = 143,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

/// An error that ends the command: what failed and why, and what to do next.
#[derive(Debug)]
pub(crate) struct CliError {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl CliError {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// The code of one job's error.
pub(crate) fn code_of(error: &JobError) -> Code {
    match error {
        JobError::File(_) => Code::Local,
        JobError::Settings(_) => Code::Usage,
        JobError::TooLarge { .. } => Code::Refused,
        JobError::Upload(error) => match error {
            UploadError::Busy(_) => Code::Busy,
            UploadError::Cancelled => Code::Interrupted,
            UploadError::GaveUp { failure, .. } => code_of_failure(failure),
            UploadError::SourceChanged => Code::Changed,
            _ => Code::Local,
        },
        _ => Code::Local,
    }
}

fn code_of_failure(failure: &Failure) -> Code {
    match failure {
        Failure::Credentials { .. } => Code::Credentials,
        Failure::ComeBack { .. }
        | Failure::CreationUnclear
        | Failure::NotTus { .. }
        | Failure::OutOfPatience { .. }
        | Failure::OutOfRetries { .. }
        | Failure::Permanent => Code::Network,
        Failure::SourcePassed { .. } => Code::Local,
        _ => Code::Refused,
    }
}

/// A word for machines.
pub(crate) fn kind_of(code: Code) -> &'static str {
    match code {
        Code::Done => "done",
        Code::Some => "some",
        Code::Usage => "usage",
        Code::Local => "local",
        Code::Credentials => "credentials",
        Code::Refused => "refused",
        Code::Network => "network",
        Code::Changed => "source-changed",
        Code::Busy => "busy",
        Code::Interrupted | Code::Terminated => "interrupted",
    }
}

/// What to do about one job's error.
pub(crate) fn hint_for(error: &JobError) -> Option<&'static str> {
    let failure = match error {
        JobError::File(_) => return Some("check the path and that you may read the file"),
        JobError::TooLarge { .. } => return Some("split or re-encode the video"),
        JobError::Upload(UploadError::Busy(_)) => {
            return Some("wait for the other process, or stop it and run the command again");
        }
        JobError::Upload(UploadError::SourceChanged) => {
            return Some(
                "nothing was finished; run the command again when nobody writes to the file",
            );
        }
        JobError::Upload(UploadError::Store(_)) => {
            return Some("choose another folder with --state-dir, or repair this one");
        }
        JobError::Upload(UploadError::GaveUp { failure, .. }) => failure,
        _ => return None,
    };
    Some(match failure {
        Failure::AnotherWriter => "stop the other uploader, then run the command again",
        Failure::ComeBack { .. } => "run the same command again then: it goes on where it stands",
        Failure::CreationUnclear => {
            "look at the server for an unfinished upload, then run the command again"
        }
        Failure::Credentials { .. } => {
            "check the token (CLOUDFLARE_API_TOKEN or --token-file, permission Stream: Edit) or --header; then run the same command again"
        }
        Failure::Gone { .. } => "run the command again with --no-resume to begin anew",
        Failure::NotTus { .. } => {
            "check the URL: it must be the tus creation URL itself, and no proxy or login page may stand before it"
        }
        Failure::OutOfPatience { .. } | Failure::OutOfRetries { .. } => {
            "check the network and the server, then run the same command again: it goes on where it stands"
        }
        Failure::Permanent => "check the address, the clock and the certificate of the server",
        Failure::Vanished { .. } => {
            "look for the video at the server before you send it again with --no-resume --force-new"
        }
        Failure::Refused { .. } | Failure::Violation(_) => {
            "the server will refuse it again: read its words above, and check the settings and the server"
        }
        Failure::Damaged => {
            "a device between here and the server damages data: use https, or another network"
        }
        _ => return None,
    })
}

/// The code of a whole run: the particular one when all that failed did so alike and nothing went well, else [`Code::Some`].
pub(crate) fn overall(succeeded: usize, failed: &[Code]) -> Code {
    match failed {
        [] => Code::Done,
        [first, rest @ ..] if succeeded == 0 && rest.iter().all(|code| code == first) => *first,
        _ => Code::Some,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_with_the_particular_code_only_when_all_failed_alike() {
        assert_eq!(overall(3, &[]), Code::Done);
        assert_eq!(overall(0, &[Code::Network]), Code::Network);
        assert_eq!(overall(0, &[Code::Busy, Code::Busy]), Code::Busy);
        assert_eq!(overall(0, &[Code::Busy, Code::Local]), Code::Some);
        assert_eq!(overall(1, &[Code::Busy]), Code::Some);
    }
}
