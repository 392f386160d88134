//! `POST …/stream`: a video is created by tus.

use std::sync::Arc;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderName, Request};
use http_transport::Body;
use tus_core::server::Decision;
use tus_core::{Meaning, header};

use crate::answer;
use crate::entry::Entry;
use crate::id;
use crate::server::Shared;
use crate::settings;
use crate::tus::{self, Outcome};
use crate::upload::Place;

/// The media id, on the answer to a creation and to the PATCH that completes an upload.
pub(crate) const MEDIA_ID: HeaderName = HeaderName::from_static("stream-media-id");

/// Creates a video and its upload. `base` is where this server is, as the client calls it.
pub(crate) async fn create(
    shared: &Arc<Shared>,
    account: &str,
    head: &Request<()>,
    body: &mut Option<Body>,
    base: &str,
) -> Outcome {
    let mut head = head.clone();
    let is_upload = header::content_type(head.headers())
        .is_some_and(|kind| header::OFFSET_OCTET_STREAM == kind.to_ascii_lowercase().as_str());
    if !is_upload {
        // Generated clients send `{}` along, because old descriptions ask for a body.
        head.headers_mut().remove(CONTENT_LENGTH);
        head.headers_mut().remove(TRANSFER_ENCODING);
    }
    let now = shared.clock.now();
    let create = match shared.stream.decide(&head, None, now) {
        Ok(Decision::Create(create)) => create,
        Ok(_) => return Ok(answer::refused_by_stream(&Meaning::MethodNotAllowed.into())),
        Err(rejection) => return Ok(answer::refused_by_stream(&rejection)),
    };
    let (Ok(uid), Ok(secret)) = (id::new(), id::new()) else {
        return Ok(answer::refused_by_stream(&Meaning::Internal.into()));
    };
    let direct = is_direct(&head);
    let length = create.info.length.known().unwrap_or(0);
    let mut video = match settings::read(&uid, length, head.headers(), direct, now) {
        Ok(video) => video,
        Err(text) => return Ok(answer::bad_request(text)),
    };
    shared.account.choose_watermark(account, &mut video);
    let (account, media) = (account.to_owned(), uid.clone());
    let (key, place, location) = if direct {
        let location = format!("{base}/tus/{secret}?tusv2=true");
        (
            secret,
            Place::Direct {
                account: account.clone(),
                uid: media.clone(),
            },
            location,
        )
    } else {
        let location = format!("{base}/client/v4/accounts/{account}/media/{uid}?tusv2=true");
        (
            uid,
            Place::Media {
                account: account.clone(),
                uid: media.clone(),
            },
            location,
        )
    };
    let entry = Entry::new(account, key.clone(), video);
    let (saver, limits) = (Arc::clone(shared), shared.limits());
    let saving = move || {
        let videos = &saver.videos;
        videos.add(entry, saver.disk.as_ref(), &limits, now)
    };
    match tokio::task::spawn_blocking(saving).await {
        Ok(Ok(Ok(()))) => {}
        Ok(Ok(Err(refusal))) => return Ok(*refusal),
        _ => return Ok(answer::refused_by_stream(&Meaning::Internal.into())),
    }
    match tus::make(shared, key, place, create.info.clone()).await {
        Ok(upload) => tus::created(shared, &upload, &create, body, &location).await,
        Err(error) => {
            tracing::warn!(%error, "the upload of a video cannot be made");
            shared.forget_video(&media).await;
            Ok(answer::refused_by_stream(&Meaning::Internal.into()))
        }
    }
}

/// `?direct_user=true`: a one-time URL for somebody without a token.
fn is_direct(head: &Request<()>) -> bool {
    let query = head.uri().query().unwrap_or("").as_bytes();
    url::form_urlencoded::parse(query)
        .any(|(name, value)| name == "direct_user" && matches!(&*value, "true" | "1"))
}
