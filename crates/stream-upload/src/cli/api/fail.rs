//! What a refusal of the API means for whoever typed the command.

use http_transport::FaultKind;
use stream_api::{Error, Op, code};

use super::verbs::verb_of;
use crate::cli::exit::{CliError, Code};

/// The error that ends the command: Stream's code and words, what to do, and the exit code.
pub(super) fn failed(op: Op, error: &Error) -> CliError {
    let failure = CliError::new(code_of(error), format!("{}: {error}", verb_of(op)));
    match hint_for(op, error) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// The exit code of what the API answered, or did not.
pub(crate) fn code_of(error: &Error) -> Code {
    match error {
        Error::Api { .. } if error.has_code(code::AUTHENTICATION) => Code::Credentials,
        Error::Api { status, .. } => match status.as_u16() {
            401 => Code::Credentials,
            403 if error.explained().is_none() => Code::Credentials,
            408 | 429 | 500.. => Code::Network,
            _ => Code::Refused,
        },
        Error::Request(_) => Code::Usage,
        Error::Transport(fault) if fault.kind() == FaultKind::Source => Code::Local,
        _ => Code::Network,
    }
}

fn hint_for(op: Op, error: &Error) -> Option<String> {
    if error.is_doubt() && !op.endpoint().is_repeatable() {
        return Some(
            "it may have been done all the same: look whether it is there before you run the same command again".into(),
        );
    }
    if let Some(known) = error.explained() {
        return Some(known.remedy.into());
    }
    match error {
        Error::Api {
            status,
            retry_after,
            ..
        } => match (status.as_u16(), retry_after) {
            (_, Some(after)) => Some(format!(
                "run the same command again in {}",
                humantime::format_duration(*after)
            )),
            (401 | 403, _) => Some("check the API token (permission Stream: Edit)".into()),
            (408 | 429 | 500.., _) => Some("run the same command again a little later".into()),
            _ => Some(format!("Cloudflare describes it at {}", op.endpoint().doc)),
        },
        Error::Decode { .. } => {
            Some("check --api-url: what answers does not look like Stream's API".into())
        }
        Error::Request(_) => Some(format!("see `stream-upload {} --help`", verb_of(op))),
        Error::Transport(fault) if fault.kind() == FaultKind::Source => {
            Some("check that you may read the file, and that nobody changes it".into())
        }
        Error::Transport(_) => Some("check the network and --api-url".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use stream_api::Message;

    use super::*;

    fn refusal(status: u16, code: u64) -> Error {
        let message = serde_json::json!({"code": code, "message": "its words"});
        let message: Message = serde_json::from_value(message).unwrap();
        Error::Api {
            status: StatusCode::from_u16(status).unwrap(),
            errors: vec![message],
            messages: Vec::new(),
            request_id: Some("ray".into()),
            retry_after: None,
            limit: None,
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_code_its_words_its_id_and_a_remedy() {
        let told = failed(Op::VideosGet, &refusal(404, code::NOT_FOUND));
        assert_eq!(told.code, Code::Refused);
        for part in ["video get", "10003", "its words", "ray"] {
            assert!(told.message.contains(part), "{}", told.message);
        }
        assert_eq!(told.hint.as_deref(), Some("check the id and the account"));
    }

    #[test]
    fn after_a_creation_in_doubt_somebody_looks_before_it_is_sent_again() {
        let hint = |op, status| failed(op, &refusal(status, 1)).hint.unwrap();
        assert!(hint(Op::KeysCreate, 503).contains("look"));
        for (op, status) in [(Op::KeysCreate, 429), (Op::KeysList, 503)] {
            assert!(hint(op, status).contains("a little later"), "{op:?}");
        }
    }

    #[test]
    fn what_may_pass_is_the_networks_and_a_missing_subscription_is_no_bad_token() {
        assert_eq!(code_of(&refusal(403, 10000)), Code::Credentials);
        assert_eq!(code_of(&refusal(403, 10002)), Code::Refused);
        assert_eq!(code_of(&refusal(429, 971)), Code::Network);
        assert_eq!(code_of(&refusal(503, 1)), Code::Network);
        assert_eq!(code_of(&refusal(400, 10005)), Code::Refused);
    }
}
