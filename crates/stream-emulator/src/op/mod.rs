//! The API's operations: one file per group, named as in `stream_api::op`, each with one function that answers the
//! group's operations. [`answer()`] is where a row of the table finds its group.

mod audio_tracks;
pub(crate) mod call;
mod captions;
mod clip;
pub(crate) mod copy;
mod direct_upload;
pub(crate) mod downloads;
mod edit;
mod embed;
pub(crate) mod form_upload;
mod keys;
mod list;
mod live_inputs;
pub(crate) mod new_video;
mod outputs;
mod storage_usage;
mod token;
pub(crate) mod videos;
mod watermarks;
mod webhook;

use http::StatusCode;
use stream_api::{Op, code};

pub(crate) use call::{Answered, Call, refuse};

use crate::answer;
use crate::stream_path;
use crate::tus::Outcome;

/// Answers one operation.
pub(crate) async fn answer(call: Call<'_>) -> Outcome {
    let answered = match call.op {
        // By tus: the one operation that may end without an answer.
        Op::VideosCreateTus => {
            let (shared, account, head, body, base) = call.into_tus();
            return stream_path::create(shared, account, head, body, base).await;
        }
        Op::VideosList
        | Op::VideosCreateForm
        | Op::VideosGet
        | Op::VideosEdit
        | Op::VideosDelete => videos::answer(call).await,
        Op::VideosStorageUsage => storage_usage::answer(call).await,
        Op::ClipCreate => clip::answer(call).await,
        Op::CopyCreate => copy::answer(call).await,
        Op::DirectUploadCreate => direct_upload::answer(call).await,
        Op::KeysList | Op::KeysCreate | Op::KeysDelete => keys::answer(call).await,
        Op::LiveInputsList
        | Op::LiveInputsCreate
        | Op::LiveInputsGet
        | Op::LiveInputsUpdate
        | Op::LiveInputsDelete
        | Op::LiveInputsRotateKeys => live_inputs::answer(call).await,
        Op::OutputsList | Op::OutputsCreate | Op::OutputsUpdate | Op::OutputsDelete => {
            outputs::answer(call).await
        }
        Op::WatermarksList
        | Op::WatermarksCreate
        | Op::WatermarksCreateFromUrl
        | Op::WatermarksGet
        | Op::WatermarksDelete => watermarks::answer(call).await,
        Op::WebhookGet | Op::WebhookSet | Op::WebhookDelete => webhook::answer(call).await,
        Op::AudioTracksList
        | Op::AudioTracksCreate
        | Op::AudioTracksCopy
        | Op::AudioTracksEdit
        | Op::AudioTracksDelete => audio_tracks::answer(call).await,
        Op::CaptionsList
        | Op::CaptionsGet
        | Op::CaptionsPut
        | Op::CaptionsDelete
        | Op::CaptionsGenerate
        | Op::CaptionsVtt => captions::answer(call).await,
        Op::DownloadsList
        | Op::DownloadsCreate
        | Op::DownloadsDelete
        | Op::DownloadsCreateType
        | Op::DownloadsDeleteType => downloads::answer(call).await,
        Op::EmbedGet => embed::answer(call).await,
        Op::TokenCreate => token::answer(call).await,
        // Only a row that is newer than this server: a test holds that each has its handler.
        _ => unknown(),
    };
    Ok(answered.unwrap_or_else(|refusal| *refusal))
}

/// 501: the table knows the operation, this server does not.
fn unknown() -> Answered {
    Err(Box::new(answer::failure(
        StatusCode::NOT_IMPLEMENTED,
        code::BAD_REQUEST,
        "the emulator has no such operation yet",
    )))
}
