//! Videos: list, create from a form, get, edit, delete.

use std::sync::Arc;

use http::StatusCode;
use stream_api::{Envelope, Op};

use crate::answer::{self, Answer};
use crate::op::{Answered, Call, edit, form_upload, list};
use crate::server::Shared;
use crate::tus;

/// Answers the operations of this group, but for the creation by tus.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    match call.op {
        Op::VideosList => {
            let query = call.head.uri().query();
            Ok(list::list(call.shared, call.account(), query, call.base))
        }
        Op::VideosCreateForm => form_upload::create(&call).await,
        Op::VideosGet => Ok(get(call.shared, call.account(), call.id(), call.base)),
        Op::VideosEdit => edit::edit(&call).await,
        Op::VideosDelete => delete(&call).await,
        _ => super::unknown(),
    }
}

/// The video as the API shows it now.
pub(crate) fn get(shared: &Shared, account: &str, uid: &str, base: &str) -> Answer {
    match shared.videos.look(account, uid, base, shared.clock.now()) {
        Some(video) => answer::json(StatusCode::OK, &Envelope::ok(video)),
        None => answer::not_found(),
    }
}

/// Deletes a video, its upload and its bytes. 200 with an empty body.
async fn delete(call: &Call<'_>) -> Answered {
    let entry = call.video()?;
    remove(call.shared, &entry.video.uid, &entry.upload).await;
    Ok(Answer::default())
}

/// Forgets a video, its upload and its bytes.
pub(crate) async fn remove(shared: &Arc<Shared>, uid: &str, upload: &str) {
    shared.forget_video(uid).await;
    shared.workshop.clear(shared, uid).await;
    if let Some(upload) = shared.uploads.get(upload) {
        // Whoever is still sending is stopped, so that its bytes do not come back.
        let _turn = upload.take().await;
        tus::remove(shared, &upload).await;
    }
}
