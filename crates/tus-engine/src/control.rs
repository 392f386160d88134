//! What the owner of a handle wants of a running upload.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use tokio::sync::watch;

/// What is wanted of an upload. Cancelling is not among them: it drops the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Run,
    Pause,
    Terminate,
}

/// The driver's side.
#[derive(Debug, Clone)]
pub(crate) struct Wishes(watch::Receiver<Wish>);

impl Wishes {
    pub(crate) fn new() -> (watch::Sender<Wish>, Self) {
        let (sender, receiver) = watch::channel(Wish::Run);
        (sender, Self(receiver))
    }

    pub(crate) fn current(&mut self) -> Wish {
        *self.0.borrow_and_update()
    }

    /// Waits for the next wish. For ever, when nobody is left to have one.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Does `work`, unless another wish comes first: then it is dropped, and the answer is `None`.
    pub(crate) async fn unless_changed<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut changed = pin!(self.changed());
        poll_fn(|cx| {
            if changed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }
}
