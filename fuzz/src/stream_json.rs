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

/// Compared as text: a value that is not a number is not equal to itself.
fn same_again<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    let written = serde_json::to_string(value).expect("what was read can be written");
    let read: T = serde_json::from_str(&written).expect("what was written can be read");
    let again = serde_json::to_string(&read).expect("it was written before");
    assert_eq!(written, again, "of {value:?}");
}
