//! Playback: `/{uid or token}/…`, as at `customer-<CODE>.cloudflarestream.com`.
//!
//! | path | what | needs ffmpeg |
//! |---|---|---|
//! | `original` | the uploaded bytes, by ranges; Stream has no such path | no |
//! | `watch`, `iframe` | a page that plays the original | no |
//! | `downloads/default.mp4` | the video as MP4, once that was asked for | unless it is MP4 without a watermark |
//! | `downloads/audio.m4a` | its sound, once that was asked for | yes |
//! | `manifest/video.m3u8` | HLS | yes |
//! | `thumbnails/thumbnail.jpg` | a picture; `?time=2s` | yes |
//! | `manifest/video.mpd` | DASH, of the same pictures | yes |
//!
//! A watermark is painted on all that ffmpeg makes, as the profile was when the video was created. The original, and the page
//! that plays it, have none.
//!
//! Who may play what is decided in [`permit`].

mod permit;
mod range;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, RANGE,
};
use http::{Method, Request, StatusCode};
use http_body_util::StreamBody;
use http_transport::Body;
use hyper::body::Frame;
use stream_api::bounds::DOWNLOAD_NAME_CHARACTERS;
use stream_api::op::downloads::DownloadStatus;

pub(crate) use permit::{Peer, viewer_address};

use crate::answer::{self, Answer};
use crate::blob::Blob;
use crate::entry::Entry;
use crate::ffmpeg::{self, Product};
use crate::id;
use crate::server::Shared;
use crate::upload::Upload;
use range::Wanted;

/// What is sent at once of a file.
const PIECE: usize = 256 * 1024;

/// A thing that can be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Playable {
    Audio,
    Default,
    /// A file of a manifest.
    Manifest(String),
    Original,
    Thumbnail,
    Watch,
}

/// Reads a path: whose video (an id, or a token), and what of it.
pub(crate) fn route(path: &str) -> Option<(String, Playable)> {
    let segments: Vec<_> = path.strip_prefix('/')?.split('/').collect();
    let (who, rest) = segments.split_first()?;
    let is_token = who.len() <= 8192
        && who
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        && who.matches('.').count() == 2;
    if !id::is_valid(who) && !is_token {
        return None;
    }
    let what = match rest {
        ["original"] => Playable::Original,
        ["watch" | "iframe"] => Playable::Watch,
        ["downloads", "default.mp4"] => Playable::Default,
        ["downloads", "audio.m4a"] => Playable::Audio,
        ["thumbnails", "thumbnail.jpg"] => Playable::Thumbnail,
        ["manifest", file] if is_of_manifest(file) => Playable::Manifest((*file).to_owned()),
        _ => return None,
    };
    Some(((*who).to_owned(), what))
}

/// `video.m3u8`, `segment00000.ts`; `video.mpd`, `init0.m4s`, `chunk0-00001.m4s`.
fn is_of_manifest(file: &str) -> bool {
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|it| it.is_ascii_digit());
    let is_stream = |text: &str| matches!(text, "0" | "1");
    let segment = file
        .strip_prefix("segment")
        .and_then(|it| it.strip_suffix(".ts"));
    let init = file
        .strip_prefix("init")
        .and_then(|it| it.strip_suffix(".m4s"));
    let chunk = file
        .strip_prefix("chunk")
        .and_then(|it| it.strip_suffix(".m4s"));
    matches!(file, "video.m3u8" | "video.mpd")
        || segment.is_some_and(is_number)
        || init.is_some_and(is_stream)
        || chunk
            .and_then(|it| it.split_once('-'))
            .is_some_and(|(stream, number)| is_stream(stream) && is_number(number))
}

/// Answers a request for something to play.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    who: &str,
    what: &Playable,
    head: &Request<()>,
    base: &str,
) -> Answer {
    if !matches!(*head.method(), Method::GET | Method::HEAD) {
        return answer::text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
    }
    let entry = match permit::permit(shared, who, what, head, base) {
        Ok(entry) => entry,
        Err((StatusCode::NO_CONTENT, _)) => {
            let mut nothing = Answer::default();
            *nothing.status_mut() = StatusCode::NO_CONTENT;
            return nothing;
        }
        Err((status, text)) => return answer::text(status, format!("{text}\n")),
    };
    let encoding = shared.videos.encoding;
    let upload = shared.uploads.get(&entry.upload);
    let Some(upload) = upload.filter(|_| entry.is_ready(encoding, shared.clock.now())) else {
        return missing("the video is not ready");
    };
    let mut answer = match what {
        Playable::Watch => watch(&entry),
        Playable::Original => original(&entry, &upload, head).await,
        Playable::Default | Playable::Audio => {
            download(shared, &entry, &upload, what, head, base).await
        }
        Playable::Thumbnail => {
            let at = thumbnail_time(&entry, head);
            let kind = "image/jpeg";
            made(shared, &entry, &upload, &Product::Thumbnail(at), kind, head).await
        }
        Playable::Manifest(file) => {
            let (kind, product): (_, fn(String) -> Product) = match file.rsplit_once('.') {
                Some((_, "ts")) => ("video/mp2t", Product::Manifest),
                Some((_, "mpd")) => ("application/dash+xml", Product::Dash),
                Some((_, "m4s")) => ("video/mp4", Product::Dash),
                _ => ("application/vnd.apple.mpegurl", Product::Manifest),
            };
            let product = product(file.clone());
            made(shared, &entry, &upload, &product, kind, head).await
        }
    };
    // What may be played now may not in a minute: a key is revoked, an origin taken back.
    let never = HeaderValue::from_static("no-store");
    answer.headers_mut().insert(CACHE_CONTROL, never);
    let sniff = HeaderValue::from_static("nosniff");
    let name = HeaderName::from_static("x-content-type-options");
    answer.headers_mut().insert(name, sniff);
    answer
}

fn missing(text: &str) -> Answer {
    answer::text(StatusCode::NOT_FOUND, format!("{text}\n"))
}

/// A page with the original in it, and nothing else: a file of somebody else's must find no script here.
fn watch(entry: &Entry) -> Answer {
    let mut page = answer::text(
        StatusCode::OK,
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>Video</title>\n\
         <style>body{margin:0;background:#000}video{width:100vw;height:100vh}</style>\n\
         <video src=\"original\" controls playsinline preload=\"metadata\"></video>\n",
    );
    let mut policy = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'".to_owned();
    // Who may embed it is what allowedOrigins is for.
    let hosts = &entry.video.allowed_origins;
    if !hosts.is_empty() {
        policy.push_str("; frame-ancestors 'self'");
        for host in hosts {
            policy.push(' ');
            policy.push_str(host);
        }
    }
    let headers = page.headers_mut();
    headers.extend(
        policy
            .parse()
            .ok()
            .map(|policy: HeaderValue| (CONTENT_SECURITY_POLICY, policy)),
    );
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    page
}

async fn original(entry: &Entry, upload: &Arc<Upload>, head: &Request<()>) -> Answer {
    let kind = entry
        .media_type
        .as_deref()
        .unwrap_or("application/octet-stream");
    // A browser that is told a container it does not know by name does not even try.
    let kind = match kind {
        "video/quicktime" => "video/mp4",
        "video/x-matroska" => "video/webm",
        kind => kind,
    };
    let blob = upload.blob().await;
    if blob.is_digest() {
        return missing("only the digest is kept");
    }
    let len = blob.len();
    drop(blob);
    part(Held::Upload(Arc::clone(upload)), len, kind, head)
}

/// Where bytes are read from while they are sent.
enum Held {
    File(PathBuf),
    Upload(Arc<Upload>),
}

impl Held {
    async fn piece(&self, at: u64, wanted: usize) -> io::Result<Vec<u8>> {
        let reading = match self {
            Self::File(path) => {
                let path = path.clone();
                let len = at.saturating_add(wanted as u64);
                let blob = Blob::File {
                    path,
                    len,
                    open: None,
                };
                tokio::task::spawn_blocking(move || blob.piece(at, wanted))
            }
            Self::Upload(upload) => {
                let blob = upload.blob().await;
                tokio::task::spawn_blocking(move || blob.piece(at, wanted))
            }
        };
        reading.await.map_err(io::Error::other)?
    }
}

/// All of it, or the range that is wanted.
fn part(held: Held, len: u64, kind: &str, head: &Request<()>) -> Answer {
    let Some(mut answer) = head_of(head, len, kind) else {
        return unsatisfiable(len);
    };
    if head.method() == Method::GET {
        let (from, to) = match range::wanted(head.headers().get(RANGE), len) {
            Wanted::Part(from, to) => (from, to + 1),
            Wanted::All | Wanted::Nothing => (0, len),
        };
        *answer.body_mut() = pieces(held, from, to);
    }
    answer
}

/// 200 or 206 without a body; `None` for a range behind the end.
fn head_of(head: &Request<()>, len: u64, kind: &str) -> Option<Answer> {
    let mut answer = Answer::default();
    let headers = answer.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.extend(
        kind.parse()
            .ok()
            .map(|kind: HeaderValue| (CONTENT_TYPE, kind)),
    );
    match range::wanted(head.headers().get(RANGE), len) {
        Wanted::Nothing => return None,
        Wanted::All => {
            headers.insert(CONTENT_LENGTH, len.into());
        }
        Wanted::Part(from, to) => {
            headers.insert(CONTENT_LENGTH, (to - from + 1).into());
            let range = format!("bytes {from}-{to}/{len}");
            headers.extend(
                range
                    .parse()
                    .ok()
                    .map(|range: HeaderValue| (CONTENT_RANGE, range)),
            );
            *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
    }
    Some(answer)
}

fn unsatisfiable(len: u64) -> Answer {
    let mut answer = answer::text(
        StatusCode::RANGE_NOT_SATISFIABLE,
        "the range lies behind the end\n",
    );
    let range = format!("bytes */{len}");
    let range = range.parse().ok();
    answer
        .headers_mut()
        .extend(range.map(|range: HeaderValue| (CONTENT_RANGE, range)));
    answer
}

/// The bytes from `from` up to `to`, read piece by piece as they are sent.
fn pieces(held: Held, from: u64, to: u64) -> Body {
    let pieces = futures_util::stream::unfold(Some((held, from)), move |place| async move {
        let (held, at) = place?;
        if at >= to {
            return None;
        }
        let wanted = usize::try_from(to - at).unwrap_or(usize::MAX).min(PIECE);
        match held.piece(at, wanted).await {
            Ok(piece) if piece.is_empty() => None,
            Ok(piece) => {
                let next = at + piece.len() as u64;
                Some((Ok(Frame::data(Bytes::from(piece))), Some((held, next))))
            }
            Err(error) => Some((Err(error), None)),
        }
    });
    Body::wrap(StreamBody::new(pieces))
}

async fn made(
    shared: &Arc<Shared>,
    entry: &Entry,
    upload: &Arc<Upload>,
    product: &Product,
    kind: &str,
    head: &Request<()>,
) -> Answer {
    match ffmpeg::product(shared, entry, upload, product).await {
        Some(Ok(file)) => match tokio::fs::metadata(&file).await {
            Ok(found) => part(Held::File(file), found.len(), kind, head),
            Err(_) => missing("there is no such file of this manifest"),
        },
        Some(Err(error)) => {
            tracing::debug!(%error, ?product, "nothing can be made of a video");
            missing("it cannot be made of this video")
        }
        None => missing("it cannot be made: ffmpeg is not installed, or cannot read this video"),
    }
}

/// Where the thumbnail is taken, in milliseconds: `?time=`, or the video's own setting.
fn thumbnail_time(entry: &Entry, head: &Request<()>) -> u64 {
    let query = head.uri().query().unwrap_or("").as_bytes();
    let asked = url::form_urlencoded::parse(query)
        .find(|(name, _)| name == "time")
        .and_then(|(_, time)| time.trim_end_matches('s').parse::<f64>().ok());
    let duration = entry.video.duration_seconds.unwrap_or(0.0).max(0.0);
    let set = entry.video.thumbnail_timestamp_pct.unwrap_or(0.0) * duration;
    // The last picture begins a little before the end; and whole tenths keep the number of files small.
    let at = asked.unwrap_or(set).clamp(0.0, (duration - 0.1).max(0.0));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates"
    )]
    let tenths = (at * 10.0) as u64;
    tenths * 100
}

async fn download(
    shared: &Arc<Shared>,
    entry: &Entry,
    upload: &Arc<Upload>,
    what: &Playable,
    head: &Request<()>,
    base: &str,
) -> Answer {
    let downloads = shared.downloads(&entry.account, &entry.video.uid, base);
    let (download, product, kind, suffix) = match what {
        Playable::Audio => (downloads.audio, Product::Audio, "audio/mp4", "m4a"),
        _ => (downloads.default, Product::Default, "video/mp4", "mp4"),
    };
    let is_ready = |it| it == DownloadStatus::Ready;
    if !download.and_then(|it| it.status).is_some_and(is_ready) {
        return missing("the download is not there: it must be asked for first");
    }
    let is_mp4 = entry.media_type.as_deref() == Some("video/mp4");
    let is_painted = entry.video.watermark.is_some() && ffmpeg::can_make(shared, entry);
    let mut answer = if product == Product::Default && is_mp4 && !is_painted {
        original(entry, upload, head).await
    } else {
        made(shared, entry, upload, &product, kind, head).await
    };
    let query = head.uri().query().unwrap_or("").as_bytes();
    let name = url::form_urlencoded::parse(query).find(|(name, _)| name == "filename");
    let name = name.map_or_else(|| entry.video.uid.clone(), |(_, name)| name.into_owned());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if name.is_empty() || name.len() > DOWNLOAD_NAME_CHARACTERS || !name.bytes().all(plain) {
        return answer::text(
            StatusCode::BAD_REQUEST,
            "filename has at most 120 characters, of A-Z a-z 0-9 - _ alone\n",
        );
    }
    if answer.status().is_success() {
        let disposition = format!("attachment; filename=\"{name}.{suffix}\"")
            .parse()
            .ok();
        let disposition = disposition.map(|it: HeaderValue| (CONTENT_DISPOSITION, it));
        answer.headers_mut().extend(disposition);
    }
    answer
}
