//! Videos: get, delete.

use std::sync::Arc;

use http::StatusCode;
use stream_api::Envelope;

use crate::answer::{self, Answer};
use crate::server::Shared;
use crate::tus;

pub(crate) fn get(shared: &Shared, account: &str, uid: &str, base: &str) -> Answer {
    match shared.videos.look(account, uid, base, shared.clock.now()) {
        Some(video) => answer::json(StatusCode::OK, &Envelope::ok(video)),
        None => answer::not_found(),
    }
}

/// Deletes a video, its upload and its bytes. 200 with an empty body.
pub(crate) async fn delete(shared: &Arc<Shared>, account: &str, uid: &str) -> Answer {
    let Some(entry) = shared.videos.entry(account, uid) else {
        return answer::not_found();
    };
    shared.forget_video(uid).await;
    if let Some(upload) = shared.uploads.get(&entry.upload) {
        // Whoever is still sending is stopped, so that its bytes do not come back.
        let _turn = upload.take().await;
        tus::remove(shared, &upload).await;
    }
    Answer::default()
}
