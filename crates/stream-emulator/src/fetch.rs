//! What this server does for a video by itself: it fetches its bytes from a URL, or cuts them out of another video.
//!
//! A source is asked by HEAD how much there is, and read by ranges, one after the other. When a range breaks off it goes
//! on where it broke; when nothing comes five times in a row, or what lies behind the URL has changed meanwhile, the
//! video fails with `ERR_FETCH_ORIGIN_ERROR`. A server that is stopped goes on with it when it is started again.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderName, IF_MATCH, LOCATION, RANGE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_transport::{Body, Transport, TransportError};
use stream_api::SourceUrl;
use url::Url;

use crate::entry::{Entry, Failure, Work};
use crate::ffmpeg;
use crate::filling::Filling;
use crate::server::Shared;
use crate::upload::Upload;

/// Bytes that are asked for at once: what is counted as durable in between.
const RANGE_BYTES: u64 = 32 * 1024 * 1024;

/// So often nothing may come in a row.
const PATIENCE: u32 = 5;

const MOST_REDIRECTS: usize = 5;

/// How long the answer to a copy waits for the source's HEAD.
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Why a video could not be had.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// It broke off: to be tried again.
    #[error("the source broke off")]
    Broke(#[source] Option<TransportError>),
    /// To be tried again by nobody.
    #[error("{0}")]
    Refused(String),
    /// The server stops, or the video was deleted. Nothing is to be said.
    #[error("nobody wants it any more")]
    Stopped,
    #[error("the bytes cannot be written")]
    Storage(#[from] std::io::Error),
}

/// What lies behind a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
struct About {
    len: u64,
    etag: Option<String>,
}

/// The size of what lies behind a URL, where its server answers in time.
pub(crate) async fn size(shared: &Shared, url: &SourceUrl) -> Option<u64> {
    let source = Source::new(shared, url).ok()?;
    let about = tokio::time::timeout(HEAD_TIME, source.about()).await;
    Some(about.ok()?.ok()?.len)
}

/// Begins with what has to be done for a video.
pub(crate) fn begin(shared: &Arc<Shared>, uid: &str) {
    let Some(entry) = shared.videos.entry_of_any(uid) else {
        return;
    };
    let Some(work) = entry.work.clone() else {
        return;
    };
    let Some(upload) = shared.uploads.get(&entry.upload) else {
        return;
    };
    let working = Arc::clone(shared);
    shared.tasks.spawn(async move {
        let (code, done) = match work {
            Work::Fetch { url } => (
                "ERR_FETCH_ORIGIN_ERROR",
                fetch(&working, &upload, &url).await,
            ),
            Work::Clip { .. } => ("ERR_UNKNOWN", clip(&working, &upload, &entry).await),
            // Brought from outside.
            Work::Live => return,
        };
        let failure = match done {
            Ok(()) | Err(Fault::Stopped) => return,
            Err(Fault::Storage(error)) => {
                tracing::warn!(%error, "the bytes of a video cannot be written");
                Failure::new("ERR_UNKNOWN", "The video could not be stored.")
            }
            Err(Fault::Broke(_)) => {
                let text = "The video could not be fetched: its server breaks off.";
                Failure::new(code, text)
            }
            Err(Fault::Refused(text)) => Failure::new(code, text),
        };
        let (uid, now) = (entry.video.uid, working.clock.now());
        let failed = working.blocking(move |shared| {
            let videos = &shared.videos;
            videos.failed(&uid, failure, now, shared.disk.as_ref())
        });
        if let Err(error) = failed.await {
            tracing::warn!(%error, "the state of a video cannot be saved");
        }
    });
}

async fn fetch(shared: &Arc<Shared>, upload: &Arc<Upload>, url: &SourceUrl) -> Result<(), Fault> {
    let source = Source::new(shared, url)?;
    let (blob, mut ticket) = upload.take().await.ok_or(Fault::Stopped)?;
    if upload.is_removed() {
        return Err(Fault::Stopped);
    }
    let mut filling = Filling::new(blob);
    let fetching = async {
        let mut about = None;
        let mut in_vain = 0;
        loop {
            let before = filling.len();
            let came = match &about {
                None => source.about().await.map(|found| about = Some(found)),
                Some(about) if before >= about.len => return Ok(()),
                Some(about) => source.range(about, &mut filling).await,
            };
            let broke = match came {
                Ok(()) => false,
                Err(Fault::Broke(error)) => {
                    tracing::debug!(?error, "a source broke off");
                    true
                }
                Err(other) => return Err(other),
            };
            if filling.len() > before {
                in_vain = 0;
                filling.sync().await?;
                upload.stored(filling.len(), false);
                save(shared, upload).await?;
            } else if broke {
                in_vain += 1;
                if in_vain >= PATIENCE {
                    return Err(Fault::Broke(None));
                }
                tokio::time::sleep(Duration::from_millis(50 << in_vain)).await;
            }
        }
    };
    let fetched = tokio::select! {
        biased;
        () = ticket.called_off() => Err(Fault::Stopped),
        () = shared.stop.cancelled() => Err(Fault::Stopped),
        fetched = fetching => fetched,
    };
    fetched?;
    complete(shared, upload, filling).await
}

/// Cuts a clip out of its original, or gives it all bytes of it.
async fn clip(shared: &Arc<Shared>, upload: &Arc<Upload>, entry: &Entry) -> Result<(), Fault> {
    let Some(Work::Clip {
        from,
        start_seconds,
        end_seconds,
    }) = &entry.work
    else {
        return Ok(());
    };
    let gone = || Fault::Refused("The video to clip from is not there any more.".to_owned());
    let original = shared.uploads.by_blob_id(from).ok_or_else(gone)?;
    let of = shared.videos.entry_of_any(from).ok_or_else(gone)?;
    let (blob, _ticket) = upload.take().await.ok_or(Fault::Stopped)?;
    if upload.is_removed() {
        return Err(Fault::Stopped);
    }
    let mut filling = Filling::new(blob);
    filling.empty().await?;
    let cut = ffmpeg::cut(shared, &of, &original, *start_seconds, *end_seconds);
    let is_cut = match cut.await {
        Some(Ok(file)) => {
            let taken = filling.take_file(&file).await;
            let _ = tokio::fs::remove_file(&file).await;
            taken?;
            true
        }
        Some(Err(error)) => {
            tracing::warn!(%error, "a clip cannot be cut, so it has all bytes of its original");
            false
        }
        None => false,
    };
    if !is_cut {
        // Before the bytes are there: what is seen in them is the length of the whole.
        let whole = of.video.duration_seconds.filter(|seconds| *seconds > 0.0);
        let end = whole.unwrap_or(f64::MAX).min(f64::from(*end_seconds));
        let seconds = end - f64::from(*start_seconds);
        let uid = entry.video.uid.clone();
        let told = shared.blocking(move |shared| {
            shared.videos.change(&uid, shared.disk.as_ref(), |video| {
                video.duration_seconds = Some(seconds);
                let meta = video.meta.get_or_insert_default();
                let text = "the emulator found no ffmpeg: what plays is the whole original";
                meta.insert("emulator-clip".to_owned(), text.into());
                Ok::<_, ()>(())
            })
        });
        told.await?.ok();
        filling.append(original.blob().await).await?;
    }
    complete(shared, upload, filling).await
}

async fn complete(
    shared: &Arc<Shared>,
    upload: &Arc<Upload>,
    mut filling: Filling,
) -> Result<(), Fault> {
    filling.sync().await?;
    upload.stored(filling.len(), true);
    drop(filling.finish());
    save(shared, upload).await?;
    shared.completed(upload).await;
    Ok(())
}

async fn save(shared: &Arc<Shared>, upload: &Arc<Upload>) -> std::io::Result<()> {
    let upload = Arc::clone(upload);
    let saving = shared.blocking(move |shared| upload.save(shared.disk.as_ref()));
    saving.await
}

/// Where a video comes from.
struct Source {
    transport: Arc<dyn Transport>,
    url: Url,
}

impl Source {
    fn new(shared: &Shared, url: &SourceUrl) -> Result<Self, Fault> {
        let refused = |text: &str| Fault::Refused(text.to_owned());
        let transport = shared.options.outbound.transport();
        let transport = transport.ok_or_else(|| refused("This emulator has no way out."))?;
        let url = Url::parse(url.expose()).map_err(|_| refused("The URL is no URL."))?;
        Ok(Self { transport, url })
    }

    /// HEAD: how much there is.
    async fn about(&self) -> Result<About, Fault> {
        let answer = self.send(Method::HEAD, &HeaderMap::new()).await?;
        if !answer.status().is_success() {
            return Err(refused("HEAD", answer.status()));
        }
        let headers = answer.headers();
        // The documentation wants the size in Content-Range; servers tell it in Content-Length.
        let total = text(headers, &CONTENT_RANGE).and_then(|range| range.rsplit_once('/'));
        let total = total
            .map(|(_, total)| total)
            .or(text(headers, &CONTENT_LENGTH));
        let len = total.and_then(|total| total.trim().parse().ok());
        let len = len.ok_or_else(|| {
            Fault::Refused("The source's answer to HEAD does not tell a size.".to_owned())
        })?;
        Ok(About {
            len,
            etag: text(headers, &ETAG).map(str::to_owned),
        })
    }

    /// The next range, into `filling`. What came before a break stays.
    async fn range(&self, about: &About, filling: &mut Filling) -> Result<(), Fault> {
        let from = filling.len();
        let until = about.len.min(from + RANGE_BYTES);
        let mut headers = HeaderMap::new();
        let mut set = |name: HeaderName, value: String| {
            headers.extend(value.parse().ok().map(|value| (name, value)));
        };
        set(RANGE, format!("bytes={from}-{}", until - 1));
        // A weak one names no bytes.
        if let Some(etag) = about.etag.as_ref().filter(|etag| !etag.starts_with("W/")) {
            set(IF_MATCH, etag.clone());
        }
        let answer = self.send(Method::GET, &headers).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::PRECONDITION_FAILED => return Err(changed()),
            StatusCode::OK => {
                let text = "The source does not answer a range with one.";
                return Err(Fault::Refused(text.to_owned()));
            }
            status => return Err(refused("GET", status)),
        }
        let now = About {
            len: about.len,
            etag: text(answer.headers(), &ETAG).map(str::to_owned),
        };
        let range = text(answer.headers(), &CONTENT_RANGE).unwrap_or("");
        if (about.etag.is_some() && now != *about)
            || !range.starts_with(&format!("bytes {from}-"))
            || !(range.ends_with(&format!("/{}", about.len)) || range.ends_with("/*"))
        {
            return Err(changed());
        }
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Fault::Broke(None))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if filling.len() + data.len() as u64 > until {
                return Err(Fault::Refused(
                    "The source sends more than a range.".to_owned(),
                ));
            }
            filling.push(data).await?;
        }
        if filling.len() < until {
            return Err(Fault::Broke(None));
        }
        Ok(())
    }

    /// Sends a request, and follows where it is sent on to.
    async fn send(&self, method: Method, headers: &HeaderMap) -> Result<Response<Body>, Fault> {
        let mut url = self.url.clone();
        for _ in 0..=MOST_REDIRECTS {
            let mut request = Request::new(Body::Empty);
            *request.method_mut() = method.clone();
            *request.headers_mut() = headers.clone();
            *request.uri_mut() = url
                .as_str()
                .parse()
                .map_err(|_| Fault::Refused("The URL cannot be asked.".to_owned()))?;
            let sent = self.transport.send(request).await;
            let answer = sent.map_err(|error| Fault::Broke(Some(error)))?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return match answer.status() {
                    StatusCode::TOO_MANY_REQUESTS => Err(Fault::Broke(None)),
                    status if status.is_server_error() => Err(Fault::Broke(None)),
                    _ => Ok(answer),
                };
            }
            let location = text(answer.headers(), &LOCATION);
            let next = location.and_then(|location| url.join(location).ok());
            let next = next.filter(|next| matches!(next.scheme(), "http" | "https"));
            let lost = || Fault::Refused("The source leads nowhere.".to_owned());
            url = next.ok_or_else(lost)?;
        }
        Err(Fault::Refused(
            "The source is sent on too often.".to_owned(),
        ))
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn changed() -> Fault {
    Fault::Refused("The source changed while it was fetched.".to_owned())
}

fn refused(method: &str, status: StatusCode) -> Fault {
    let status = status.as_u16();
    Fault::Refused(format!("The source answers {method} with {status}."))
}
