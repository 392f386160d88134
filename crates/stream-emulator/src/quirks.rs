//! [`Quirks`]: answers as Stream was seen to give them, where no description has them so.

use http_transport::Body;
use serde_json::{Map, Value, json};
use stream_api::Op;

use crate::answer::Answer;

/// In what the API's answers differ from its descriptions. The default is none: every answer is as described. A client that
/// is to be relied on has to work with [`all`](Self::all) of them.
///
/// Each was seen in an answer, an example of the documentation or a generated client:
/// <https://developers.cloudflare.com/stream/>, <https://developers.cloudflare.com/api/resources/stream/>.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quirks {
    /// Audio tracks are a bare list, as an older description has them.
    pub bare_audio_list: bool,
    /// The status of a clip is the bare word for its state.
    pub bare_clip_status: bool,
    /// `errReasonCode` and `errReasonText` instead of `errorReasonCode` and `errorReasonText`.
    pub err_reason: bool,
    /// A download stands in the result itself, not under its type.
    pub flat_download: bool,
    /// A live input has a `playback` beside its URLs.
    pub live_playback: bool,
    /// The status of a live input, once there was a connection, is an object with the word in `current.state`.
    pub live_status_object: bool,
    /// `limit=abc` is answered with 500 and an empty body.
    pub broken_limit: bool,
    /// What is `null`, `false`, empty or zero is left out.
    pub missing_fields: bool,
    /// Times have nine digits of a second.
    pub nanoseconds: bool,
    /// Empty lists in results are `null`.
    pub null_lists: bool,
    /// `messages` is `null` where there is none.
    pub null_messages: bool,
    /// A recording's `timeoutSeconds` of 0 is `null`.
    pub null_timeout: bool,
    /// Numbers in results, `total` and `range` are texts.
    pub numbers_as_text: bool,
    /// There are fields that nobody has described.
    pub unknown_fields: bool,
}

impl Quirks {
    /// None of them.
    pub const NONE: Self = Self {
        bare_audio_list: false,
        bare_clip_status: false,
        err_reason: false,
        flat_download: false,
        live_playback: false,
        live_status_object: false,
        broken_limit: false,
        missing_fields: false,
        nanoseconds: false,
        null_lists: false,
        null_messages: false,
        null_timeout: false,
        numbers_as_text: false,
        unknown_fields: false,
    };

    /// All of them at once.
    #[must_use]
    pub fn all() -> Self {
        Self {
            bare_audio_list: true,
            bare_clip_status: true,
            err_reason: true,
            flat_download: true,
            live_playback: true,
            live_status_object: true,
            broken_limit: true,
            missing_fields: true,
            nanoseconds: true,
            null_lists: true,
            null_messages: true,
            null_timeout: true,
            numbers_as_text: true,
            unknown_fields: true,
        }
    }

    /// The answer as these quirks have it.
    pub(crate) fn applied(&self, op: Op, answer: Answer) -> Answer {
        if *self == Self::NONE {
            return answer;
        }
        let (head, body) = answer.into_parts();
        let Body::Bytes(bytes) = body else {
            return Answer::from_parts(head, body);
        };
        let body = match serde_json::from_slice(&bytes) {
            Ok(Value::Object(mut envelope)) if envelope.contains_key("success") => {
                self.change(op, &mut envelope);
                Body::from(Value::Object(envelope).to_string())
            }
            _ => Body::Bytes(bytes),
        };
        Answer::from_parts(head, body)
    }

    fn change(&self, op: Op, envelope: &mut Map<String, Value>) {
        let is_empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        if self.null_messages && envelope.get("messages").is_some_and(is_empty) {
            envelope.insert("messages".to_owned(), Value::Null);
        }
        if self.numbers_as_text {
            for name in ["total", "range"] {
                if let Some(value) = envelope.get_mut(name) {
                    number_to_text(value);
                }
            }
        }
        let Some(result) = envelope.get_mut("result").filter(|it| !it.is_null()) else {
            return;
        };
        self.change_shape(op, result);
        self.change_value(result);
        if self.unknown_fields {
            envelope.insert("result_info".to_owned(), json!({ "note": ["new"] }));
        }
    }

    /// What concerns one group of operations.
    fn change_shape(&self, op: Op, result: &mut Value) {
        match op {
            Op::AudioTracksList if self.bare_audio_list => *result = result["audio"].take(),
            Op::ClipCreate if self.bare_clip_status => {
                if let Some(state) = result.pointer_mut("/status/state").map(Value::take) {
                    result["status"] = state;
                }
            }
            Op::DownloadsCreate if self.flat_download && result.get("default").is_some() => {
                *result = result["default"].take();
            }
            Op::LiveInputsCreate
            | Op::LiveInputsGet
            | Op::LiveInputsUpdate
            | Op::LiveInputsRotateKeys => self.change_live_input(result),
            _ => {}
        }
    }

    fn change_live_input(&self, input: &mut Value) {
        if self.live_status_object {
            // Measured: nothing until the first connection.
            match input["status"].take() {
                Value::Null => {}
                word => {
                    let current = json!({ "state": word, "reason": "", "ingestProtocol": "rtmp" });
                    input["status"] = json!({ "current": current });
                }
            }
        }
        if self.live_playback {
            let url = |rest: &str| format!("https://live.test/{rest}");
            input["playback"] = json!({ "hls": url("video.m3u8"), "dash": url("video.mpd") });
        }
        if self.null_timeout && input["recording"]["timeoutSeconds"] == 0 {
            input["recording"]["timeoutSeconds"] = Value::Null;
        }
    }

    /// What concerns every result, all the way down.
    fn change_value(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                if self.err_reason {
                    for (known, other) in [
                        ("errorReasonCode", "errReasonCode"),
                        ("errorReasonText", "errReasonText"),
                    ] {
                        if let Some(value) = fields.shift_remove(known) {
                            fields.insert(other.to_owned(), value);
                        }
                    }
                }
                for (name, value) in fields.iter_mut() {
                    // What is the user's own comes back as it was.
                    if name != "meta" {
                        self.change_value(value);
                    }
                }
                if self.missing_fields {
                    fields.retain(|_, value| !is_nothing(value));
                }
                if self.unknown_fields {
                    fields.insert("newField".to_owned(), json!({ "since": 2027 }));
                }
            }
            Value::Array(list) => {
                list.iter_mut().for_each(|value| self.change_value(value));
                if self.null_lists && list.is_empty() {
                    *value = Value::Null;
                }
            }
            Value::Number(_) if self.numbers_as_text => number_to_text(value),
            Value::String(text) if self.nanoseconds => {
                // As this server writes times: six digits.
                if let Some(rest) = text.strip_suffix('Z')
                    && text.len() == "2024-05-01T10:00:00.123456Z".len()
                    && rest.as_bytes()[10] == b'T'
                {
                    *text = format!("{rest}789Z");
                }
            }
            _ => {}
        }
    }
}

fn number_to_text(value: &mut Value) {
    if let Value::Number(number) = value {
        *value = number.to_string().into();
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty() || text == "0",
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(quirks: Quirks, op: Op, envelope: Value) -> Value {
        let answer = Answer::new(Body::from(envelope.to_string()));
        match quirks.applied(op, answer).into_body() {
            Body::Bytes(bytes) => serde_json::from_slice(&bytes).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn none_is_the_default_and_changes_nothing() {
        assert_eq!(Quirks::default(), Quirks::NONE);
        let envelope = json!({ "success": true, "messages": [], "result": { "size": 1 } });
        assert_eq!(
            changed(Quirks::NONE, Op::VideosGet, envelope.clone()),
            envelope
        );
    }

    #[test]
    fn each_changes_its_own() {
        let video = json!({ "success": true, "messages": [], "total": 2, "result": {
            "size": 4, "allowedOrigins": [], "created": "2024-05-01T10:00:00.123456Z",
            "meta": { "n": 1 }, "status": { "errorReasonCode": "" } } });
        let mut quirks = Quirks::NONE;
        quirks.numbers_as_text = true;
        quirks.null_lists = true;
        quirks.err_reason = true;
        quirks.nanoseconds = true;
        quirks.null_messages = true;
        let wanted = json!({ "success": true, "messages": null, "total": "2", "result": {
            "size": "4", "allowedOrigins": null, "created": "2024-05-01T10:00:00.123456789Z",
            "meta": { "n": 1 }, "status": { "errReasonCode": "" } } });
        assert_eq!(changed(quirks, Op::VideosGet, video), wanted);
    }

    #[test]
    fn a_live_input_changes_its_shape() {
        let mut quirks = Quirks::NONE;
        quirks.live_status_object = true;
        quirks.null_timeout = true;
        let input = |status: Value| {
            let input = json!({ "success": true,
                "result": { "status": status, "recording": { "timeoutSeconds": 0 } } });
            changed(quirks, Op::LiveInputsGet, input)
        };
        assert_eq!(input(Value::Null)["result"]["status"], Value::Null);
        let input = input("connected".into());
        assert_eq!(input["result"]["status"]["current"]["state"], "connected");
        assert_eq!(input["result"]["recording"]["timeoutSeconds"], Value::Null);
    }
}
