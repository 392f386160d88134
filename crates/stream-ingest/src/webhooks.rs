//! [`Webhooks`]: Stream tells when a video is ready, and nobody has to ask.
//!
//! What calls here may be anybody: a call counts only if its signature holds, and nothing of the others is read beyond that. A
//! call that never comes costs time only, for whoever waits still asks now and then.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::ALLOW;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use stream_api::webhook::{self, WEBHOOK_SIGNATURE};
use stream_api::{Secret, Video};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

/// The body of a call is a video, a few KiB.
const BODY_BYTES: usize = 256 * 1024;
/// A connection is served no longer.
const CONNECTION_TIME: Duration = Duration::from_secs(30);
/// Connections at once.
const CONNECTIONS: usize = 64;

/// A listener for the account's webhook. It listens until the last clone is dropped.
///
/// It speaks plain HTTP: Stream calls public addresses only, so that something with a certificate stands before it, which must
/// hand on the body and the header `Webhook-Signature` as they came.
/// <https://developers.cloudflare.com/stream/manage-video-library/using-webhooks/>
#[derive(Clone)]
pub struct Webhooks {
    inner: Arc<Inner>,
}

struct Inner {
    address: SocketAddr,
    waiting: Arc<Waiting>,
    listening: AbortHandle,
}

impl Webhooks {
    /// Listens at `address`; any path is taken. `secret` is what setting the webhook answered.
    ///
    /// # Errors
    /// When the address cannot be listened at.
    pub async fn listen(address: SocketAddr, secret: Secret) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let waiting = Arc::new(Waiting {
            secret,
            news: Mutex::default(),
        });
        let listening = tokio::spawn(accept(listener, Arc::clone(&waiting))).abort_handle();
        Ok(Self {
            inner: Arc::new(Inner {
                address,
                waiting,
                listening,
            }),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.inner.address
    }

    /// What is told of a video from now on.
    pub(crate) fn of(&self, uid: &str) -> News {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::clone(&self.inner.waiting);
        waiting
            .lock()
            .entry(uid.to_owned())
            .or_default()
            .push(sender);
        News {
            uid: uid.to_owned(),
            waiting,
            receiver,
        }
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks")
            .field("address", &self.inner.address)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

type Senders = Vec<mpsc::UnboundedSender<Video>>;

/// Who waits for which video.
struct Waiting {
    secret: Secret,
    news: Mutex<HashMap<String, Senders>>,
}

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Senders>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells whoever waits for this video, if anybody does.
    fn tell(&self, video: &Video) {
        let news = self.lock();
        for sender in news.get(&video.uid).into_iter().flatten() {
            // Whoever is gone does not want it.
            let _ = sender.send(video.clone());
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Empty<Bytes>> {
        let mut answer = Response::new(Empty::new());
        *answer.status_mut() = match self.receive(request).await {
            Ok(video) => {
                tracing::debug!(uid = %tus_engine::printable(&video.uid), "Stream called");
                self.tell(&video);
                StatusCode::OK
            }
            Err((status, why)) => {
                tracing::debug!(%status, why, "a call that is not taken for Stream's");
                status
            }
        };
        if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
            let post = HeaderValue::from_static("POST");
            answer.headers_mut().insert(ALLOW, post);
        }
        answer
    }

    async fn receive(&self, request: Request<Incoming>) -> Result<Video, (StatusCode, String)> {
        if request.method() != Method::POST {
            return Err((StatusCode::METHOD_NOT_ALLOWED, "it is no POST".into()));
        }
        let signature = request.headers().get(WEBHOOK_SIGNATURE).cloned();
        let signature = signature.as_ref().and_then(|it| it.to_str().ok());
        let Some(signature) = signature else {
            return Err((StatusCode::UNAUTHORIZED, "it is not signed".into()));
        };
        let body = Limited::new(request.into_body(), BODY_BYTES)
            .collect()
            .await;
        let body = body.map_err(|error| (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()))?;
        webhook::receive(signature, &body.to_bytes(), &self.secret, SystemTime::now()).map_err(
            |error| {
                let status = match error {
                    webhook::WebhookError::Body(_) => StatusCode::BAD_REQUEST,
                    _ => StatusCode::UNAUTHORIZED,
                };
                (status, error.to_string())
            },
        )
    }
}

/// What is told of one video.
pub(crate) struct News {
    uid: String,
    waiting: Arc<Waiting>,
    receiver: mpsc::UnboundedReceiver<Video>,
}

impl News {
    /// The next call about it.
    pub(crate) async fn next(&mut self) -> Video {
        match self.receiver.recv().await {
            Some(video) => video,
            // The other end lives as long as this does.
            None => std::future::pending().await,
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.receiver.close();
        let mut news = self.waiting.lock();
        if let Some(senders) = news.get_mut(&self.uid) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                news.remove(&self.uid);
            }
        }
    }
}

async fn accept(listener: TcpListener, waiting: Arc<Waiting>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Too many files are open, or somebody left before he was greeted.
                tracing::debug!(%error, "a call cannot be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let waiting = Arc::clone(&waiting);
        tokio::spawn(async move {
            let _ = tokio::time::timeout(CONNECTION_TIME, serve(stream, &waiting)).await;
            drop(place);
        });
    }
}

async fn serve(stream: TcpStream, waiting: &Waiting) {
    let service =
        service_fn(|request| async { Ok::<_, Infallible>(waiting.answer(request).await) });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(CONNECTION_TIME)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a call broke");
    }
}
