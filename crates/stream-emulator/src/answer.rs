//! Small builders of answers.

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_transport::Body;
use serde::Serialize;
use serde_json::Value;
use stream_api::{Envelope, Message, code};
use tus_core::server::refusal;
use tus_core::{Meaning, Rejection};

/// An answer to be sent.
pub(crate) type Answer = Response<Body>;

/// A head without a body.
pub(crate) fn empty(head: Response<()>) -> Answer {
    head.map(|()| Body::Empty)
}

/// Text, one line.
pub(crate) fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    let mut answer = Response::new(Body::from(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    answer
}

/// A tus refusal with its reason as text.
pub(crate) fn refused(rejection: &Rejection) -> Answer {
    let mut answer = text(rejection.status(), format!("{rejection}\n"));
    answer
        .headers_mut()
        .extend(refusal(rejection).into_parts().0.headers);
    answer
}

/// JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    // Everything that is answered here is a map with text keys, which always serializes.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    let mut answer = Response::new(Body::from(bytes));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// A failure in Cloudflare's envelope.
pub(crate) fn failure(status: StatusCode, code: u64, message: impl Into<String>) -> Answer {
    json(status, &Envelope::<Value>::error(code, message))
}

/// What the API says of a request that breaks one of its rules: the rule stands beside the error.
pub(crate) fn bad_request(text: impl Into<String>) -> Answer {
    let mut envelope = Envelope::<Value>::error(code::BAD_REQUEST, "Bad Request");
    envelope
        .messages
        .push(Message::new(code::BAD_REQUEST, text));
    json(StatusCode::BAD_REQUEST, &envelope)
}

/// What the API says of a video that is not there.
pub(crate) fn not_found() -> Answer {
    let text = "Not Found: The requested resource or operation was not found.";
    failure(StatusCode::NOT_FOUND, code::NOT_FOUND, text)
}

/// A tus refusal in Cloudflare's envelope, headers kept.
pub(crate) fn refused_by_stream(rejection: &Rejection) -> Answer {
    let code = match rejection.meaning {
        Meaning::NotFound => code::NOT_FOUND,
        Meaning::Unauthorized | Meaning::Forbidden => code::AUTHENTICATION,
        _ => code::BAD_REQUEST,
    };
    let mut answer = failure(rejection.status(), code, rejection.to_string());
    answer
        .headers_mut()
        .extend(refusal(rejection).into_parts().0.headers);
    answer
}
