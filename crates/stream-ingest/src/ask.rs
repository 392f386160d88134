//! [`Desk`]: one question for many who wait.
//!
//! Each who waits asks for one video, every few seconds. The API counts requests, and answers a listing of many ids as it
//! answers one: questions that come within a moment are asked together.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_transport::TransportError;
use stream_api::{Error, ListVideos, StreamClient, Video};
use tokio::sync::oneshot;

/// For how long a question waits for others, when others wait too.
const MOMENT: Duration = Duration::from_millis(500);

/// Ids in one question, at most: the address has to stay short.
const IDS: usize = 50;

/// Where videos are asked for. Cheap to clone; clones ask together.
#[derive(Clone, Default)]
pub(crate) struct Desk {
    inner: Arc<Inner>,
}

type Question = (String, oneshot::Sender<Result<Video, Error>>);

#[derive(Default)]
struct Inner {
    waiting: AtomicUsize,
    queue: Mutex<Vec<Question>>,
}

/// Somebody who waits. The desk counts them: one alone is not kept waiting for others.
pub(crate) struct Seat {
    desk: Desk,
}

impl Desk {
    /// Takes a seat for as long as somebody waits.
    pub(crate) fn sit(&self) -> Seat {
        self.inner.waiting.fetch_add(1, Ordering::Relaxed);
        Seat { desk: self.clone() }
    }

    /// Asks for all that are in the queue. Whoever is told nothing asks alone.
    async fn ask_together(&self, client: &StreamClient) {
        let mut queue = std::mem::take(&mut *self.lock());
        // Alone, the video itself is asked for: the sender is dropped, which says so.
        while queue.len() > 1 {
            let batch: Vec<_> = queue.drain(..queue.len().min(IDS)).collect();
            let mut filter = ListVideos::default();
            filter.ids = batch.iter().map(|(uid, _)| uid.clone()).collect();
            let answer = client.list_videos(&filter).await;
            let mut found: HashMap<_, _> = match &answer {
                Ok(page) => page.videos.iter().map(|it| (&it.uid, it)).collect(),
                Err(_) => HashMap::new(),
            };
            for (uid, asker) in batch {
                let told = match &answer {
                    Ok(_) => found.remove(&uid).map(|video| Ok(video.clone())),
                    Err(error) => again(error).map(Err),
                };
                if let Some(told) = told {
                    let _ = asker.send(told);
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Question>> {
        let queue = self.inner.queue.lock();
        queue.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Asks for a video, together with others who ask now.
    pub(crate) async fn video(&self, client: &StreamClient, uid: &str) -> Result<Video, Error> {
        if self.desk.inner.waiting.load(Ordering::Relaxed) > 1 {
            let (asker, answer) = oneshot::channel();
            let is_first = {
                let mut queue = self.desk.lock();
                queue.push((uid.to_owned(), asker));
                queue.len() == 1
            };
            if is_first {
                // A task of its own: whoever was first may go.
                let (desk, client) = (self.desk.clone(), client.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(MOMENT).await;
                    desk.ask_together(&client).await;
                });
            }
            if let Ok(told) = answer.await {
                return told;
            }
        }
        client.video(uid).await
    }
}

/// The same error once more, where many are to hear of it: a refusal because of too many requests must not lead to as many
/// again.
fn again(error: &Error) -> Option<Error> {
    match error {
        Error::Api {
            status,
            errors,
            messages,
            request_id,
            retry_after,
            limit,
        } => Some(Error::Api {
            status: *status,
            errors: errors.clone(),
            messages: messages.clone(),
            request_id: request_id.clone(),
            retry_after: *retry_after,
            limit: limit.clone(),
        }),
        Error::Transport(fault) => {
            Some(TransportError::new(fault.kind(), fault.to_string()).into())
        }
        _ => None,
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.inner.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
