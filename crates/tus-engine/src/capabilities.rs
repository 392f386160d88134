//! What servers offer, asked once for each of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

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
}

impl Capabilities {
    /// What is known of `url`. While nothing is, the guard keeps others from asking as well.
    pub(crate) async fn of(&self, url: &UploadUrl) -> OwnedMutexGuard<Known> {
        let slot = {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(slots.entry(url.endpoint_name()).or_default())
        };
        slot.lock_owned().await
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
