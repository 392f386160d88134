//! What Stream's API answers, read leniently: what is read is written so that the same is read again.

use std::fmt::Debug;
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use stream_api::op::audio::{AudioEdit, AudioTrack, NewAudioTrack};
use stream_api::op::captions::Caption;
use stream_api::op::clip::NewClip;
use stream_api::op::copy::NewCopy;
use stream_api::op::direct_upload::{DirectUpload, NewDirectUpload};
use stream_api::op::downloads::Downloads;
use stream_api::op::keys::{NewSigningKey, SigningKey};
use stream_api::op::live_inputs::{LiveInput, LiveInputSettings, LiveInputs};
use stream_api::op::outputs::{NewOutput, Output};
use stream_api::op::storage::StorageUsage;
use stream_api::op::tokens::{SignedToken, TokenRequest};
use stream_api::op::watermarks::{NewWatermark, Watermark};
use stream_api::op::webhook::{SetWebhook, Webhook};
use stream_api::{Envelope, PlaybackUrls, Secret, TokenSigner, Video, VideoEdit, webhook};

pub(crate) fn run(bytes: &[u8]) {
    if let Ok(video) = serde_json::from_slice::<Video>(bytes) {
        let _ = (video.name(), video.state(), video.duration());
        let _ = PlaybackUrls::of(&video);
        same_again(&video);
    }
    if let Ok(edit) = serde_json::from_slice::<VideoEdit>(bytes) {
        let _ = (edit.check(), edit.is_empty());
        same_again(&edit);
    }
    answers(bytes);
    wishes(bytes);
    let _ = serde_json::from_slice::<Envelope<Vec<Video>>>(bytes);
    if let Ok(envelope) = serde_json::from_slice::<Envelope<Value>>(bytes) {
        assert!(serde_json::to_string(&envelope).is_ok());
    }
}

/// Whatever an operation answers.
fn answers(bytes: &[u8]) {
    let now = SystemTime::UNIX_EPOCH;
    read::<AudioTrack>(bytes);
    read::<Caption>(bytes);
    read::<DirectUpload>(bytes);
    read::<Downloads>(bytes);
    read::<LiveInputs>(bytes);
    read::<Output>(bytes);
    read::<SignedToken>(bytes);
    read::<SigningKey>(bytes);
    read::<StorageUsage>(bytes);
    read::<Watermark>(bytes);
    read::<Webhook>(bytes);
    if let Some(input) = read::<LiveInput>(bytes) {
        let _ = (
            input.name(),
            input.status.as_ref().map(|status| status.state()),
        );
    }
    if let Some(key) = read::<NewSigningKey>(bytes)
        && let Ok(signer) = TokenSigner::of(&key)
    {
        let _ = signer.sign("v", &TokenRequest::default(), now);
    }
    let header = String::from_utf8_lossy(bytes);
    let _ = webhook::receive(&header, bytes, &Secret::new("s"), now);
}

/// Whatever an operation is asked for, as the emulator reads it.
fn wishes(bytes: &[u8]) {
    let now = SystemTime::UNIX_EPOCH;
    let _ = read::<AudioEdit>(bytes).map(|it| it.check());
    let _ = read::<LiveInputSettings>(bytes).map(|it| it.check());
    let _ = read::<NewClip>(bytes).map(|it| it.check(now));
    let _ = read::<NewCopy>(bytes).map(|it| it.check(now));
    let _ = read::<NewDirectUpload>(bytes).map(|it| it.check(now));
    let _ = read::<NewOutput>(bytes).map(|it| it.check());
    let _ = read::<NewWatermark>(bytes).map(|it| it.settings.check());
    let _ = read::<TokenRequest>(bytes).map(|it| it.check(now));
    read::<NewAudioTrack>(bytes);
    read::<SetWebhook>(bytes);
}

fn read<T: Serialize + DeserializeOwned + Debug>(bytes: &[u8]) -> Option<T> {
    let value = serde_json::from_slice(bytes).ok()?;
    same_again(&value);
    Some(value)
}

/// Compared as text: a value that is not a number is not equal to itself.
fn same_again<T: Serialize + DeserializeOwned + Debug>(value: &T) {
    let written = serde_json::to_string(value).expect("what was read can be written");
    let read: T = serde_json::from_str(&written).expect("what was written can be read");
    let again = serde_json::to_string(&read).expect("it was written before");
    assert_eq!(written, again, "of {value:?}");
}
