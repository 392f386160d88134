//! SIGINT, SIGTERM, SIGHUP: once to stop resumably, twice to stop now.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::exit::Code;

/// Listens from its making on.
#[derive(Debug, Clone)]
pub(crate) struct Signals {
    stop: CancellationToken,
    code: Arc<AtomicU8>,
}

impl Signals {
    /// Starts to listen. `on_first` is called at the first signal; at the second one the process ends at once. With `reread`,
    /// SIGHUP is none of them: it only notifies.
    pub(crate) fn listen(
        reread: Option<Arc<Notify>>,
        on_first: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let mut heard = Heard {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
            reread,
        };
        let stop = CancellationToken::new();
        let code = Arc::new(AtomicU8::new(0));
        let (trigger, said) = (stop.clone(), Arc::clone(&code));
        tokio::spawn(async move {
            let first = heard.next().await;
            said.store(first as u8, Ordering::SeqCst);
            trigger.cancel();
            on_first();
            let second = heard.next().await;
            #[expect(clippy::disallowed_methods, reason = "a second signal means: now")]
            std::process::exit(i32::from(second as u8));
        });
        Ok(Self { stop, code })
    }

    /// Triggered by the first signal.
    pub(crate) fn token(&self) -> &CancellationToken {
        &self.stop
    }

    /// The exit code of the signal that came, if one did.
    pub(crate) fn code(&self) -> Option<Code> {
        match self.code.load(Ordering::SeqCst) {
            0 => None,
            code if code == Code::Terminated as u8 => Some(Code::Terminated),
            _ => Some(Code::Interrupted),
        }
    }
}

struct Heard {
    int: Signal,
    term: Signal,
    hup: Signal,
    reread: Option<Arc<Notify>>,
}

impl Heard {
    /// The next signal to stop.
    async fn next(&mut self) -> Code {
        loop {
            tokio::select! {
                _ = self.int.recv() => return Code::Interrupted,
                _ = self.term.recv() => return Code::Terminated,
                _ = self.hup.recv() => match &self.reread {
                    Some(reread) => reread.notify_one(),
                    None => return Code::Terminated,
                },
            }
        }
    }
}
