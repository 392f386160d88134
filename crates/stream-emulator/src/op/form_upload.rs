//! Videos from a file in a form: `POST …/stream` with the token, and a one-time URL without.
//!
//! <https://developers.cloudflare.com/stream/uploading-videos/upload-video-file/>

use std::sync::Arc;

use http::{HeaderMap, Request, StatusCode};
use http_transport::Body;
use stream_api::code;

use crate::answer::{self, Answer};
use crate::entry::Entry;
use crate::filling::Filling;
use crate::form::{Form, too_large};
use crate::id;
use crate::op::call::unsaved;
use crate::op::{Answered, Call, new_video, refuse, videos};
use crate::seen::Seen;
use crate::server::Shared;
use crate::settings;
use crate::upload::{Place, Upload};

/// `POST …/stream` with a form. What is no video is refused at once, and leaves nothing.
pub(crate) async fn create(call: &Call<'_>) -> Answered {
    let form = call.form()?;
    let uid = id::new().map_err(|_| Box::new(unsaved()))?;
    let account = call.account().to_owned();
    let mut video = new_video::blank(&uid, settings::DEFAULT_EXPIRY, call.now());
    video.creator = settings::creator(call.headers()).or_else(refuse)?;
    let place = Place::Inner {
        account: account.clone(),
        uid: uid.clone(),
    };
    let entry = Entry::new(account, uid.clone(), video);
    let upload = new_video::add(call.shared, entry, place).await?;
    let (shared, id) = (Arc::clone(call.shared), uid.clone());
    let taking = async move {
        let taken = take(&shared, &upload, form).await;
        if taken.is_err() {
            videos::remove(&shared, &id, &upload.key).await;
        }
        taken
    };
    run(call.shared, taking).await?;
    Ok(videos::get(call.shared, call.account(), &uid, call.base))
}

/// A form at a one-time URL. It works once: what was refused while it came may be sent again, what is
/// no video may not.
pub(crate) async fn at_one_time_url(
    shared: &Arc<Shared>,
    upload: Option<Arc<Upload>>,
    head: &Request<()>,
    body: &mut Option<Body>,
) -> Answer {
    let Some(upload) = upload else {
        return answer::not_found();
    };
    let headers: &HeaderMap = head.headers();
    let hypotheses = shared.hypotheses();
    // A URL that goes on working is one for tus, which tells its offset; a form has nothing to tell.
    let or_forbidden = |status| match status {
        StatusCode::OK => StatusCode::FORBIDDEN,
        status => status,
    };
    let closed = |status, text| answer::failure(or_forbidden(status), code::BAD_REQUEST, text);
    let used = "The upload URL was already used: its upload is complete";
    if upload.info().is_complete() {
        return closed(hypotheses.used_one_time_status, used);
    }
    if shared.has_expired(&upload) {
        let text = "The upload URL has expired";
        return closed(hypotheses.expired_one_time_status, text);
    }
    let idle = shared.options.body_idle;
    let form = match Form::new(headers, body.take().unwrap_or_default(), idle) {
        Ok(form) => form,
        Err(refusal) => return *refusal,
    };
    let taker = Arc::clone(shared);
    let taking = async move { take(&taker, &upload, form).await };
    match run(shared, taking).await {
        Ok(()) => Answer::default(),
        Err(refusal) => *refusal,
    }
}

/// Goes on when the client vanishes, so that what is half there is cleared away.
async fn run(
    shared: &Arc<Shared>,
    taking: impl Future<Output = Result<(), Box<Answer>>> + Send + 'static,
) -> Result<(), Box<Answer>> {
    let taken = shared.tasks.spawn(taking).await;
    taken.unwrap_or_else(|_| Err(Box::new(unsaved())))
}

/// Takes the file of a form into an upload, and completes it.
async fn take(
    shared: &Arc<Shared>,
    upload: &Arc<Upload>,
    mut form: Form,
) -> Result<(), Box<Answer>> {
    let Some((blob, mut ticket)) = upload.take().await else {
        return busy();
    };
    if upload.info().is_complete() || upload.is_removed() {
        return busy();
    }
    let mut filling = Filling::new(blob);
    // What a server that was stopped in the middle has left.
    filling.empty().await.map_err(|error| storage(&error))?;
    let filled = tokio::select! {
        biased;
        () = ticket.called_off() => busy(),
        () = shared.stop_bodies.cancelled() => refuse("the server is shutting down"),
        filled = fill(&mut form, &mut filling, shared.options.form_bytes) => filled,
    };
    if let Err(refusal) = filled {
        if let Err(error) = filling.empty().await {
            tracing::warn!(%error, "what came of a form cannot be cleared away");
        }
        shared.drain_form(form);
        return Err(refusal);
    }
    filling.sync().await.map_err(|error| storage(&error))?;
    let len = filling.len();
    let blob = filling.finish();
    let judges = shared.options.judge_media;
    let looked = shared.blocking(move |_| {
        let seen = blob.as_deref().and_then(|blob| Seen::in_blob(blob, judges));
        Ok(seen.is_some_and(|seen| seen.is_no_video()))
    });
    let is_no_video = looked.await.map_err(|error| storage(&error))?;
    upload.stored(len, true);
    let saver = Arc::clone(upload);
    let saved = shared.blocking(move |shared| saver.save(shared.disk.as_ref()));
    saved.await.map_err(|error| storage(&error))?;
    shared.completed(upload).await;
    if is_no_video {
        let text = "Uploaded content is not a video";
        let status = StatusCode::BAD_REQUEST;
        return Err(Box::new(answer::failure(status, code::NOT_A_VIDEO, text)));
    }
    Ok(())
}

async fn fill(form: &mut Form, filling: &mut Filling, below: u64) -> Result<(), Box<Answer>> {
    while let Some(mut field) = form.next().await? {
        if field.name() != "file" {
            continue;
        }
        while let Some(bytes) = field.chunk().await? {
            if filling.len() + bytes.len() as u64 >= below {
                return Err(too_large("file", below));
            }
            filling.push(bytes).await.map_err(|error| storage(&error))?;
        }
        return Ok(());
    }
    refuse("required field file is missing")
}

fn busy<T>() -> Result<T, Box<Answer>> {
    Err(Box::new(answer::failure(
        StatusCode::CONFLICT,
        code::BAD_REQUEST,
        "another request uploads to this URL",
    )))
}

fn storage(error: &std::io::Error) -> Box<Answer> {
    tracing::warn!(%error, "the bytes of a form cannot be written");
    Box::new(unsaved())
}
