//! Exit codes, and what to do about each error: the single map.

use std::process::ExitCode;

use http_transport::FaultKind;
use stream_api::{Again, ERROR_REASONS};
use stream_ingest::{ApplyError, JobError};
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

/// What is said of one exit code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) code: Code,
    /// What `--json` calls it.
    pub(crate) word: &'static str,
    /// A lowercase fragment, as the help and the README have it.
    pub(crate) meaning: &'static str,
    pub(crate) cause: &'static str,
    pub(crate) remedy: &'static str,
    /// Whether the same command helps when it is run again.
    pub(crate) again: Again,
}

/// Everything that is said of exit codes, ascending. `--help`, `explain` and `--json` read it.
pub(crate) const TABLE: &[Row] = &[
    Row {
        code: Code::Done,
        word: "done",
        meaning: "all done",
        cause: "every source is uploaded now, by this run or by an earlier one",
        remedy: "nothing is left to do",
        again: Again::No,
    },
    Row {
        code: Code::Some,
        word: "some",
        meaning: "some sources failed",
        cause: "others went well, or the failures are of several kinds; each was told on its own",
        remedy: "read the lines that begin with `error:` (with --json: the events `failed`), then run the same command again: what is finished is not sent twice",
        again: Again::Yes,
    },
    Row {
        code: Code::Usage,
        word: "usage",
        meaning: "usage",
        cause: "the command line makes no sense: an option is unknown, missing, or at odds with another",
        remedy: "read the message and the verb's --help, and change the command; nothing was sent",
        again: Again::AfterRemedy,
    },
    Row {
        code: Code::Local,
        word: "local",
        meaning: "local file or state",
        cause: "a source cannot be read, or the resume state cannot be kept: a path, a permission, a full or read-only disk",
        remedy: "check the path that the message names; --state-dir moves the resume state",
        again: Again::AfterRemedy,
    },
    Row {
        code: Code::Credentials,
        word: "credentials",
        meaning: "credentials",
        cause: "the API token or a header is missing, wrong, expired, or not allowed to do this",
        remedy: "check CLOUDFLARE_API_TOKEN or --token-file (permission Stream: Edit), or --header",
        again: Again::AfterRemedy,
    },
    Row {
        code: Code::Refused,
        word: "refused",
        meaning: "refused by the server",
        cause: "the server will not have it, now or later: too large, a setting it does not take, storage used up, an upload that vanished, or a file that Stream cannot encode",
        remedy: "read the server's words in the message; `explain` knows the status and the code in them",
        again: Again::AfterRemedy,
    },
    Row {
        code: Code::Network,
        word: "network",
        meaning: "network gave up",
        cause: "no byte was confirmed for as long as --patience, the server refused --retries times in a row, what answers is not a tus server, or a video could not be played within --wait",
        remedy: "check the network, the URL and the server, then run the same command again: it goes on where the server stands",
        again: Again::Yes,
    },
    Row {
        code: Code::Changed,
        word: "source-changed",
        meaning: "source changed",
        cause: "the file was written to while it was sent; bytes of two versions are never mixed",
        remedy: "run the same command again when nobody writes to the file any more",
        again: Again::AfterRemedy,
    },
    Row {
        code: Code::Busy,
        word: "busy",
        meaning: "busy in another process",
        cause: "another process uploads the same source to the same place",
        remedy: "wait for it, or stop it and run the same command again; `state list --unfinished` tells which process it is",
        again: Again::AfterRemedy,
    },
    Row {
        code: Code::Interrupted,
        word: "interrupted",
        meaning: "interrupted, resumable",
        cause: "SIGINT: somebody pressed Ctrl-C",
        remedy: "run the same command again: it goes on where the server stands",
        again: Again::Yes,
    },
    Row {
        code: Code::Terminated,
        word: "interrupted",
        meaning: "interrupted, resumable",
        cause: "SIGTERM or SIGHUP: a service manager stopped it, or its terminal was closed",
        remedy: "run the same command again: it goes on where the server stands",
        again: Again::Yes,
    },
];

/// All codes in one line, for `--help`.
pub(crate) fn overview() -> String {
    let rows: Vec<_> = TABLE
        .chunk_by(|one, next| one.meaning == next.meaning)
        .map(|alike| {
            let codes: Vec<_> = alike
                .iter()
                .map(|row| (row.code as u8).to_string())
                .collect();
            format!("{} {}", codes.join("/"), alike[0].meaning)
        })
        .collect();
    rows.join(", ") + ". `stream-upload explain CODE` says more."
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
        JobError::Apply(ApplyError::Api(stream_api::Error::Transport(_))) => Code::Network,
        JobError::NotAsked { error, .. } => match error.status().map(|status| status.as_u16()) {
            Some(401 | 403) => Code::Credentials,
            _ => Code::Refused,
        },
        JobError::NotReady { .. } => Code::Network,
        JobError::Apply(_) | JobError::TooLarge { .. } | JobError::Unplayable { .. } => {
            Code::Refused
        }
        JobError::Upload(error) => match error {
            UploadError::Busy(_) => Code::Busy,
            UploadError::Cancelled => Code::Interrupted,
            UploadError::GaveUp {
                last_fault: Some(fault),
                ..
            } if fault.kind() == FaultKind::Proxy => Code::Credentials,
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
    TABLE
        .iter()
        .find(|row| row.code == code)
        .map_or("unknown", |row| row.word)
}

/// What to do about one job's error.
pub(crate) fn hint_for(error: &JobError) -> Option<&'static str> {
    let failure = match error {
        JobError::File(_) => return Some("check the path and that you may read the file"),
        JobError::Apply(_) => {
            return Some(
                "the video is uploaded; run the same command again to apply its settings, or upload it anew with --no-resume --force-new",
            );
        }
        JobError::NotAsked { error, .. } if error.is_not_found() => {
            return Some(
                "somebody deleted the video; --no-resume --force-new uploads it a second time",
            );
        }
        JobError::NotAsked { .. } => {
            return Some(
                "check the token (permission Stream: Edit), then run the same command again: nothing is sent twice",
            );
        }
        JobError::NotReady { .. } => {
            return Some(
                "Stream goes on encoding it; run the same command again to wait on: nothing is sent twice",
            );
        }
        JobError::TooLarge { .. } => return Some("split or re-encode the video"),
        JobError::Unplayable { code, .. } => {
            let known = ERROR_REASONS.iter().find(|reason| reason.code == code);
            return known.map(|reason| reason.remedy);
        }
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
        JobError::Upload(UploadError::GaveUp {
            last_fault: Some(fault),
            ..
        }) if fault.kind() == FaultKind::Proxy => {
            return Some(
                "put user and password of the proxy into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT",
            );
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
        Failure::OneTimeUrl { .. } => "have another one-time URL made, and run the command with it",
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
    use http::StatusCode;

    use super::*;

    #[test]
    fn the_readme_and_explain_agree_on_every_code() {
        let readme = include_str!("../../../../README.md");
        let table: Vec<_> = readme
            .lines()
            .skip_while(|line| !line.starts_with("| exit code"))
            .take_while(|line| line.starts_with('|'))
            .collect();
        for row in TABLE {
            let code = (row.code as u8).to_string();
            let told = table.iter().any(|line| {
                let cells: Vec<_> = line.split('|').map(str::trim).collect();
                cells[1].split(", ").any(|cell| cell == code) && cells[2] == row.meaning
            });
            assert!(told, "{code} {} is missing in:\n{table:#?}", row.meaning);
        }
    }

    #[test]
    fn a_token_that_may_not_ask_for_the_video_is_about_credentials() {
        let refused = |status| JobError::NotAsked {
            uid: "a".into(),
            error: stream_api::Error::Api {
                status,
                errors: Vec::new(),
                messages: Vec::new(),
                request_id: None,
                retry_after: None,
                limit: None,
            },
        };
        assert_eq!(code_of(&refused(StatusCode::FORBIDDEN)), Code::Credentials);
        assert_eq!(code_of(&refused(StatusCode::NOT_FOUND)), Code::Refused);
    }

    #[test]
    fn a_run_ends_with_the_particular_code_only_when_all_failed_alike() {
        assert_eq!(overall(3, &[]), Code::Done);
        assert_eq!(overall(0, &[Code::Network]), Code::Network);
        assert_eq!(overall(0, &[Code::Busy, Code::Busy]), Code::Busy);
        assert_eq!(overall(0, &[Code::Busy, Code::Local]), Code::Some);
        assert_eq!(overall(1, &[Code::Busy]), Code::Some);
    }
}
