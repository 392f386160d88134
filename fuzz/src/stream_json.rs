//! What Stream's API answers, read leniently: what is read is written so that the same is read again.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stream_api::{Envelope, Video, VideoEdit};

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(video) = serde_json::from_slice::<Video>(bytes) {
        let _ = (video.name(), video.state(), video.duration());
        same_again(&video);
    }
    if let Ok(edit) = serde_json::from_slice::<VideoEdit>(bytes) {
        let _ = (edit.check(), edit.is_empty());
        same_again(&edit);
    }
    let _ = serde_json::from_slice::<Envelope<Vec<Video>>>(bytes);
    if let Ok(envelope) = serde_json::from_slice::<Envelope<Value>>(bytes) {
        assert!(serde_json::to_string(&envelope).is_ok());
    }
}

fn same_again<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    let written = serde_json::to_value(value).expect("what was read can be written");
    let text = written.to_string();
    let read: T = serde_json::from_str(&text).expect("what was written can be read");
    let again = serde_json::to_value(&read).expect("it was written before");
    assert!(alike(&written, &again), "{written} and {again}");
}

/// Whether both are the same, but for the last digits of a fraction, which serde_json reads fast and not exactly.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => (one - other).abs() <= one.abs() * 1e-12,
            _ => one == other,
        },
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, one)| other.get(key).is_some_and(|other| alike(one, other)))
        }
        _ => one == other,
    }
}
