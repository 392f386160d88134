//! [`Changes`]: something is not what it was, for whoever waits for it.

use std::sync::Arc;

use tokio::sync::watch;

/// Tells that something has changed.
#[derive(Debug, Clone)]
pub(crate) struct Teller(Arc<watch::Sender<()>>);

impl Default for Teller {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}

impl Teller {
    pub(crate) fn tell(&self) {
        self.0.send_replace(());
    }

    pub(crate) fn listen(&self) -> Changes {
        Changes(self.0.subscribe())
    }
}

/// What happens in an emulator, from when this was made: a request has come to its end, a fault has happened, bytes were
/// counted, a video or something else of an account has changed.
///
/// Time that passes is no change; a clock that is put forward is one.
#[derive(Debug)]
pub struct Changes(watch::Receiver<()>);

impl Changes {
    /// Comes back when something has happened since the last time; at once if it has already. What it was is to be
    /// looked up. Never, once the emulator is gone. Cancel-safe.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
