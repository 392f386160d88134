//! The rows themselves: [`Op`] and [`TABLE`], [`UploadOp`] and [`UPLOAD_TABLE`].
//!
//! Cloudflare's descriptions of this API: <https://developers.cloudflare.com/api/resources/stream/>.

use http::Method;

use crate::endpoints::{Answers, Carries, Endpoint, UploadAt, UploadEndpoint};

/// One operation of the API on an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Lists videos, up to 1,000 in one answer.
    VideosList,
    /// Creates a video that is uploaded by tus.
    VideosCreateTus,
    /// Creates a video from a file in a form, below 200 MB.
    VideosCreateForm,
    /// Tells how many minutes are stored, and how many may be.
    VideosStorageUsage,
    /// Makes a new video of a part of another.
    ClipCreate,
    /// Makes a video of what a URL answers.
    CopyCreate,
    /// Makes a URL by which one video is uploaded, once, without a token.
    DirectUploadCreate,
    /// Lists signing keys, without their secrets.
    KeysList,
    /// Makes a signing key. Only this answer has its secret.
    KeysCreate,
    /// Revokes a signing key, and every token signed with it.
    KeysDelete,
    /// Lists live inputs, without their secrets.
    LiveInputsList,
    /// Makes a live input.
    LiveInputsCreate,
    /// Reads one live input, its secrets among it.
    LiveInputsGet,
    /// Changes settings of one live input.
    LiveInputsUpdate,
    /// Deletes one live input. Its recordings stay.
    LiveInputsDelete,
    /// Gives a live input new secrets; the old ones stop working.
    LiveInputsRotateKeys,
    /// Lists where a live input is sent on to.
    OutputsList,
    /// Sends a live input on to another service.
    OutputsCreate,
    /// Switches an output on or off.
    OutputsUpdate,
    /// Deletes one output.
    OutputsDelete,
    /// Lists watermark profiles.
    WatermarksList,
    /// Makes a watermark profile from a picture in a form.
    WatermarksCreate,
    /// Makes a watermark profile from a picture that a URL answers.
    WatermarksCreateFromUrl,
    /// Reads one watermark profile.
    WatermarksGet,
    /// Deletes one watermark profile.
    WatermarksDelete,
    /// Reads the account's webhook.
    WebhookGet,
    /// Sets the account's webhook, its only one.
    WebhookSet,
    /// Removes the account's webhook.
    WebhookDelete,
    /// Reads one video.
    VideosGet,
    /// Edits one video. POST, not PATCH.
    VideosEdit,
    /// Deletes one video.
    VideosDelete,
    /// Lists a video's additional audio tracks.
    AudioTracksList,
    /// Adds an audio track from a file in a form, up to 200 MB.
    AudioTracksCreate,
    /// Adds an audio track from what a URL answers.
    AudioTracksCopy,
    /// Changes an audio track's label, or makes it the default.
    AudioTracksEdit,
    /// Deletes an audio track that is not the default.
    AudioTracksDelete,
    /// Lists a video's captions.
    CaptionsList,
    /// Reads what is known of the captions in one language.
    CaptionsGet,
    /// Sets the captions in one language from a WebVTT file in a form.
    CaptionsPut,
    /// Deletes the captions in one language.
    CaptionsDelete,
    /// Has captions made of what is spoken.
    CaptionsGenerate,
    /// Reads the captions in one language as WebVTT.
    CaptionsVtt,
    /// Reads a video's downloads.
    DownloadsList,
    /// Has the default download made.
    DownloadsCreate,
    /// Deletes the default download.
    DownloadsDelete,
    /// Has a download of one type made.
    DownloadsCreateType,
    /// Deletes the download of one type.
    DownloadsDeleteType,
    /// Reads the HTML that embeds a video.
    EmbedGet,
    /// Makes a token by which a video can be played that needs one.
    TokenCreate,
}

/// What is done at the URL of one upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UploadOp {
    /// Uploads a file below 200 MB in a form, to a URL that works once.
    Form,
    /// Asks how much of an upload has arrived.
    Head,
    /// Sends a piece of an upload.
    Patch,
    /// Asks what the server offers.
    Options,
}

macro_rules! api {
    ($rest:literal) => {
        concat!(
            "https://developers.cloudflare.com/api/resources/stream/",
            $rest
        )
    };
}

macro_rules! docs {
    ($rest:literal) => {
        concat!("https://developers.cloudflare.com/stream/", $rest)
    };
}

macro_rules! path {
    ($rest:literal) => {
        concat!("/accounts/{account_id}/stream", $rest)
    };
}

const fn row(
    op: Op,
    id: &'static str,
    method: Method,
    path: &'static str,
    carries: Carries,
    answers: Answers,
    doc: &'static str,
) -> Endpoint {
    Endpoint {
        op,
        id,
        method,
        path,
        carries,
        answers,
        doc,
    }
}

/// The table. A path with fixed segments stands before one that has a parameter in their place; of two
/// rows with one method and path, the body's type decides.
#[rustfmt::skip]
pub static TABLE: &[Endpoint] = &[
    row(Op::VideosList, "videos.list", Method::GET, path!(""), Carries::Nothing, Answers::Envelope, api!("methods/list/")),
    row(Op::VideosCreateTus, "videos.create_tus", Method::POST, path!(""), Carries::Tus, Answers::Created, docs!("uploading-videos/resumable-uploads/")),
    row(Op::VideosCreateForm, "videos.create_form", Method::POST, path!(""), Carries::Form, Answers::Envelope, docs!("uploading-videos/upload-video-file/")),
    row(Op::VideosStorageUsage, "videos.storage_usage", Method::GET, path!("/storage-usage"), Carries::Nothing, Answers::Envelope, api!("subresources/videos/methods/storage_usage/")),
    row(Op::ClipCreate, "clip.create", Method::POST, path!("/clip"), Carries::Json, Answers::Envelope, api!("subresources/clip/methods/create/")),
    row(Op::CopyCreate, "copy.create", Method::POST, path!("/copy"), Carries::Json, Answers::Envelope, api!("subresources/copy/methods/create/")),
    row(Op::DirectUploadCreate, "direct_upload.create", Method::POST, path!("/direct_upload"), Carries::Json, Answers::Envelope, api!("subresources/direct_upload/methods/create/")),
    row(Op::KeysList, "keys.list", Method::GET, path!("/keys"), Carries::Nothing, Answers::Envelope, api!("subresources/keys/methods/get/")),
    row(Op::KeysCreate, "keys.create", Method::POST, path!("/keys"), Carries::Json, Answers::Envelope, api!("subresources/keys/methods/create/")),
    row(Op::KeysDelete, "keys.delete", Method::DELETE, path!("/keys/{identifier}"), Carries::Nothing, Answers::Envelope, api!("subresources/keys/methods/delete/")),
    row(Op::LiveInputsList, "live_inputs.list", Method::GET, path!("/live_inputs"), Carries::Nothing, Answers::Envelope, api!("subresources/live_inputs/methods/list/")),
    row(Op::LiveInputsCreate, "live_inputs.create", Method::POST, path!("/live_inputs"), Carries::Json, Answers::Envelope, api!("subresources/live_inputs/methods/create/")),
    row(Op::LiveInputsGet, "live_inputs.get", Method::GET, path!("/live_inputs/{live_input_identifier}"), Carries::Nothing, Answers::Envelope, api!("subresources/live_inputs/methods/get/")),
    row(Op::LiveInputsUpdate, "live_inputs.update", Method::PUT, path!("/live_inputs/{live_input_identifier}"), Carries::Json, Answers::Envelope, api!("subresources/live_inputs/methods/update/")),
    row(Op::LiveInputsDelete, "live_inputs.delete", Method::DELETE, path!("/live_inputs/{live_input_identifier}"), Carries::Nothing, Answers::Envelope, api!("subresources/live_inputs/methods/delete/")),
    row(Op::LiveInputsRotateKeys, "live_inputs.rotate_keys", Method::POST, path!("/live_inputs/{live_input_identifier}/rotate_keys"), Carries::Nothing, Answers::Envelope, docs!("stream-live/")),
    row(Op::OutputsList, "outputs.list", Method::GET, path!("/live_inputs/{live_input_identifier}/outputs"), Carries::Nothing, Answers::Envelope, api!("subresources/live_inputs/subresources/outputs/methods/list/")),
    row(Op::OutputsCreate, "outputs.create", Method::POST, path!("/live_inputs/{live_input_identifier}/outputs"), Carries::Json, Answers::Envelope, api!("subresources/live_inputs/subresources/outputs/methods/create/")),
    row(Op::OutputsUpdate, "outputs.update", Method::PUT, path!("/live_inputs/{live_input_identifier}/outputs/{output_identifier}"), Carries::Json, Answers::Envelope, api!("subresources/live_inputs/subresources/outputs/methods/update/")),
    row(Op::OutputsDelete, "outputs.delete", Method::DELETE, path!("/live_inputs/{live_input_identifier}/outputs/{output_identifier}"), Carries::Nothing, Answers::Envelope, api!("subresources/live_inputs/subresources/outputs/methods/delete/")),
    row(Op::WatermarksList, "watermarks.list", Method::GET, path!("/watermarks"), Carries::Nothing, Answers::Envelope, api!("subresources/watermarks/methods/list/")),
    row(Op::WatermarksCreate, "watermarks.create", Method::POST, path!("/watermarks"), Carries::Form, Answers::Envelope, api!("subresources/watermarks/methods/create/")),
    row(Op::WatermarksCreateFromUrl, "watermarks.create_from_url", Method::POST, path!("/watermarks"), Carries::Json, Answers::Envelope, api!("subresources/watermarks/methods/create/")),
    row(Op::WatermarksGet, "watermarks.get", Method::GET, path!("/watermarks/{identifier}"), Carries::Nothing, Answers::Envelope, api!("subresources/watermarks/methods/get/")),
    row(Op::WatermarksDelete, "watermarks.delete", Method::DELETE, path!("/watermarks/{identifier}"), Carries::Nothing, Answers::Envelope, api!("subresources/watermarks/methods/delete/")),
    row(Op::WebhookGet, "webhook.get", Method::GET, path!("/webhook"), Carries::Nothing, Answers::Envelope, api!("subresources/webhooks/methods/get/")),
    row(Op::WebhookSet, "webhook.set", Method::PUT, path!("/webhook"), Carries::Json, Answers::Envelope, api!("subresources/webhooks/methods/update/")),
    row(Op::WebhookDelete, "webhook.delete", Method::DELETE, path!("/webhook"), Carries::Nothing, Answers::Envelope, api!("subresources/webhooks/methods/delete/")),
    row(Op::VideosGet, "videos.get", Method::GET, path!("/{identifier}"), Carries::Nothing, Answers::Envelope, api!("methods/get/")),
    row(Op::VideosEdit, "videos.edit", Method::POST, path!("/{identifier}"), Carries::Json, Answers::Envelope, api!("methods/edit/")),
    row(Op::VideosDelete, "videos.delete", Method::DELETE, path!("/{identifier}"), Carries::Nothing, Answers::Envelope, api!("methods/delete/")),
    row(Op::AudioTracksList, "audio_tracks.list", Method::GET, path!("/{identifier}/audio"), Carries::Nothing, Answers::Envelope, api!("subresources/audio_tracks/methods/get/")),
    row(Op::AudioTracksCreate, "audio_tracks.create", Method::POST, path!("/{identifier}/audio"), Carries::Form, Answers::Envelope, docs!("edit-videos/adding-additional-audio-tracks/")),
    row(Op::AudioTracksCopy, "audio_tracks.copy", Method::POST, path!("/{identifier}/audio/copy"), Carries::Json, Answers::Envelope, api!("subresources/audio_tracks/methods/copy/")),
    row(Op::AudioTracksEdit, "audio_tracks.edit", Method::PATCH, path!("/{identifier}/audio/{audio_identifier}"), Carries::Json, Answers::Envelope, api!("subresources/audio_tracks/methods/edit/")),
    row(Op::AudioTracksDelete, "audio_tracks.delete", Method::DELETE, path!("/{identifier}/audio/{audio_identifier}"), Carries::Nothing, Answers::Envelope, api!("subresources/audio_tracks/methods/delete/")),
    row(Op::CaptionsList, "captions.list", Method::GET, path!("/{identifier}/captions"), Carries::Nothing, Answers::Envelope, api!("subresources/captions/methods/get/")),
    row(Op::CaptionsGet, "captions.get", Method::GET, path!("/{identifier}/captions/{language}"), Carries::Nothing, Answers::Envelope, api!("subresources/captions/subresources/language/methods/get/")),
    row(Op::CaptionsPut, "captions.put", Method::PUT, path!("/{identifier}/captions/{language}"), Carries::Form, Answers::Envelope, api!("subresources/captions/subresources/language/methods/update/")),
    row(Op::CaptionsDelete, "captions.delete", Method::DELETE, path!("/{identifier}/captions/{language}"), Carries::Nothing, Answers::Envelope, api!("subresources/captions/subresources/language/methods/delete/")),
    row(Op::CaptionsGenerate, "captions.generate", Method::POST, path!("/{identifier}/captions/{language}/generate"), Carries::Nothing, Answers::Envelope, api!("subresources/captions/subresources/language/methods/create/")),
    row(Op::CaptionsVtt, "captions.vtt", Method::GET, path!("/{identifier}/captions/{language}/vtt"), Carries::Nothing, Answers::Vtt, api!("subresources/captions/subresources/language/subresources/vtt/methods/get/")),
    row(Op::DownloadsList, "downloads.list", Method::GET, path!("/{identifier}/downloads"), Carries::Nothing, Answers::Envelope, api!("subresources/downloads/methods/get/")),
    row(Op::DownloadsCreate, "downloads.create", Method::POST, path!("/{identifier}/downloads"), Carries::Nothing, Answers::Envelope, api!("subresources/downloads/methods/create/")),
    row(Op::DownloadsDelete, "downloads.delete", Method::DELETE, path!("/{identifier}/downloads"), Carries::Nothing, Answers::Envelope, api!("subresources/downloads/methods/delete/")),
    row(Op::DownloadsCreateType, "downloads.create_type", Method::POST, path!("/{identifier}/downloads/{download_type}"), Carries::Nothing, Answers::Envelope, docs!("viewing-videos/download-videos/")),
    row(Op::DownloadsDeleteType, "downloads.delete_type", Method::DELETE, path!("/{identifier}/downloads/{download_type}"), Carries::Nothing, Answers::Envelope, docs!("viewing-videos/download-videos/")),
    row(Op::EmbedGet, "embed.get", Method::GET, path!("/{identifier}/embed"), Carries::Nothing, Answers::Html, api!("subresources/embed/methods/get/")),
    row(Op::TokenCreate, "token.create", Method::POST, path!("/{identifier}/token"), Carries::Json, Answers::Envelope, api!("subresources/token/methods/create/")),
];

const fn upload_row(
    op: UploadOp,
    id: &'static str,
    method: Method,
    at: UploadAt,
    doc: &'static str,
) -> UploadEndpoint {
    UploadEndpoint {
        op,
        id,
        method,
        at,
        doc,
    }
}

const TUS: &str = "https://tus.io/protocols/resumable-upload";

/// What can be done at the URL of an upload, which is no path of the API: it is answered by a creation,
/// is a secret, and is used as it is.
#[rustfmt::skip]
pub static UPLOAD_TABLE: &[UploadEndpoint] = &[
    upload_row(UploadOp::Form,    "upload.form",    Method::POST,    UploadAt::OneTimeUrl, docs!("uploading-videos/direct-creator-uploads/")),
    upload_row(UploadOp::Head,    "upload.head",    Method::HEAD,    UploadAt::Location,   TUS),
    upload_row(UploadOp::Patch,   "upload.patch",   Method::PATCH,   UploadAt::Location,   TUS),
    upload_row(UploadOp::Options, "upload.options", Method::OPTIONS, UploadAt::CreationOrLocation, TUS),
];
