//! What servers offer, asked once for each of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tus_core::{Extension, ServerCapabilities, UploadUrl};

/// What is known of one creation URL.
#[derive(Debug, Clone, Default)]
pub(crate) enum Known {
    /// Not asked yet.
    #[default]
    Nothing,
    /// Asked; `None` if the server did not tell.
    Answer(Option<ServerCapabilities>),
}

type Slot = Arc<tokio::sync::Mutex<Known>>;

/// What is known of every creation URL.
#[derive(Debug, Default)]
pub(crate) struct Capabilities {
    slots: Mutex<HashMap<String, Slot>>,
    /// The largest chunk that was taken, where a larger one was refused.
    chunk_bytes: Mutex<HashMap<String, u64>>,
}

impl Capabilities {
    /// What is known of `url`. While nothing is, the guard keeps others from asking as well.
    pub(crate) async fn of(&self, url: &UploadUrl) -> OwnedMutexGuard<Known> {
        self.slot(url).lock_owned().await
    }

    /// What is known of `url` by now; `None` also while somebody asks.
    pub(crate) fn known_of(&self, url: &UploadUrl) -> Option<ServerCapabilities> {
        match &*self.slot(url).try_lock().ok()? {
            Known::Answer(answer) => answer.clone(),
            Known::Nothing => None,
        }
    }

    fn slot(&self, url: &UploadUrl) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        match slots.get(url.endpoint_name()) {
            Some(slot) => Arc::clone(slot),
            None => Arc::clone(slots.entry(url.endpoint_name().to_owned()).or_default()),
        }
    }

    /// The server refused larger chunks and took one of this size.
    pub(crate) fn takes_chunks_of(&self, url: &UploadUrl, bytes: u64) {
        let mut known = self.chunk_bytes();
        let most = known.entry(url.endpoint_name().to_owned()).or_insert(bytes);
        *most = bytes.min(*most);
    }

    /// The largest chunk that is worth a try; `None` if none was refused.
    pub(crate) fn largest_chunk(&self, url: &UploadUrl) -> Option<u64> {
        self.chunk_bytes().get(url.endpoint_name()).copied()
    }

    fn chunk_bytes(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.chunk_bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The server announced to take bytes with a creation, and refused them.
    pub(crate) async fn refuses_one_request(&self, url: &UploadUrl) {
        if let Known::Answer(Some(capabilities)) = &mut *self.of(url).await {
            let without = capabilities
                .extensions
                .without(Extension::CreationWithUpload);
            capabilities.extensions = without;
        }
    }
}
