//! [`Record`]: what is kept of one upload.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tus_core::UploadUrl;

use crate::codec::{
    from_millis, hex, hex32, maybe_hex16, maybe_millis, millis, secret_url, to_millis,
};
use crate::{Evidence, Fingerprint};

/// How far an upload has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum State {
    /// About to be created, or created without our hearing of it. Written before the request.
    Creating,
    /// Created; its URL is known.
    Active,
    /// The server has all bytes.
    Finished,
    /// Given up for good.
    Failed,
}

/// What is kept of one upload. `Debug` shows no secret and no tag's value.
///
/// Times are kept to the millisecond. Fields that a later version adds are empty when an older
/// record is read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Record {
    /// How far it has come.
    pub state: State,
    /// What the source is called: a canonical path, or the key that a manifest gives.
    pub source_key: String,
    /// Where it goes, in words fit for people: no secret.
    pub destination: String,
    /// Where to go on. A secret.
    #[serde(default, with = "secret_url", skip_serializing_if = "Option::is_none")]
    pub upload_url: Option<UploadUrl>,
    /// Bytes in all, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length: Option<u64>,
    /// The offset that the server last confirmed. A hint for the first line of progress: the
    /// server is asked before anything is sent.
    #[serde(default)]
    pub offset: u64,
    /// The end of the furthest chunk that any run handed to the network, acknowledged or not: at
    /// the length, the server may have all bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reached: u64,
    /// Random; travels in the upload's metadata, so that a creation whose answer was lost can be
    /// found again.
    pub idempotency_key: String,
    /// Digest of what is fixed at creation.
    #[serde(with = "hex32")]
    pub settings: [u8; 32],
    /// Headers of the creation's answer worth keeping, such as `stream-media-id`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// What the source looked like; `None` for one that cannot be looked at twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// [`Trail::content`](crate::Trail::content) of the source once the upload is finished: a file
    /// whose metadata changed since is still the finished one if it has the same.
    #[serde(default, with = "maybe_hex16", skip_serializing_if = "Option::is_none")]
    pub content: Option<[u8; 16]>,
    /// When the upload was first intended.
    #[serde(with = "millis")]
    pub created_at: SystemTime,
    /// When this record was last changed.
    #[serde(with = "millis")]
    pub updated_at: SystemTime,
    /// When the server will drop the unfinished upload, if it said so.
    #[serde(
        default,
        with = "maybe_millis",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires_at: Option<SystemTime>,
}

impl Record {
    /// A record of an upload about to be created: state [`State::Creating`], a fresh random
    /// idempotency key of 32 hexadecimal digits, the time of now, everything else empty.
    pub fn intended(source_key: impl Into<String>, destination: impl Into<String>) -> Self {
        let now = from_millis(to_millis(SystemTime::now()));
        Self {
            state: State::Creating,
            source_key: source_key.into(),
            destination: destination.into(),
            upload_url: None,
            length: None,
            offset: 0,
            reached: 0,
            idempotency_key: hex(&random_bytes()),
            settings: [0; 32],
            tags: BTreeMap::new(),
            evidence: None,
            content: None,
            created_at: now,
            updated_at: now,
            expires_at: None,
        }
    }
}

impl Record {
    /// Makes this the record of an upload whose bytes the server has, all of them, and drops what
    /// only an unfinished one needs. `content` is [`Trail::content`](crate::Trail::content), where
    /// it is known; [remove the trail](crate::ResumeStore::remove_trail) after the commit.
    ///
    /// What remains answers a second run ("uploaded already, as that video") and tells a person
    /// what was done: source, destination, length, settings, tags, evidence, content, key, times.
    /// The upload URL is still a secret. Where the service gave the upload another name, the tag
    /// `stream-media-id`, it is dropped; otherwise it is all the name there is, and a part's is
    /// wanted to join the parts.
    pub fn finish(&mut self, content: Option<[u8; 16]>) {
        self.state = State::Finished;
        self.offset = self.length.unwrap_or(self.offset);
        self.content = content;
        self.updated_at = from_millis(to_millis(SystemTime::now()));
        self.shrink();
    }

    /// Drops what a finished upload does not need; nothing of another.
    pub(crate) fn shrink(&mut self) {
        if self.state != State::Finished {
            return;
        }
        self.reached = 0;
        self.expires_at = None;
        if self.tags.contains_key(MEDIA_ID) {
            self.upload_url = None;
        }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("state", &self.state)
            .field("source_key", &self.source_key)
            .field("destination", &self.destination)
            .field("upload_url", &self.upload_url)
            .field("length", &self.length)
            .field("offset", &self.offset)
            .field("reached", &self.reached)
            .field("idempotency_key", &self.idempotency_key)
            .field("settings", &hex(&self.settings))
            .field("tags", &self.tags.keys())
            .field("evidence", &self.evidence.is_some())
            .field("content", &self.content.is_some())
            .field("created_at", &self.created_at)
            .field("updated_at", &self.updated_at)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// One change of a store. Several are committed together or not at all.
///
/// Exhaustive on purpose: a store must handle all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly every change is a `Put`")]
pub enum Change {
    /// Writes a record, over an older one if there is one.
    Put(Fingerprint, Record),
    /// Forgets a record, if there is one.
    Remove(Fingerprint),
}

impl Change {
    /// Whose record it is about.
    pub fn fingerprint(&self) -> &Fingerprint {
        match self {
            Self::Put(fingerprint, _) | Self::Remove(fingerprint) => fingerprint,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // No secret depends on it, it only has to be unlike any other key: std's hash seeds are.
        for half in bytes.chunks_exact_mut(8) {
            half.copy_from_slice(&RandomState::new().hash_one(SystemTime::now()).to_le_bytes());
        }
    }
    bytes
}

/// The tag that names a video: the header in which Stream says it.
const MEDIA_ID: &str = "stream-media-id";
