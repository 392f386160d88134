//! `/_emulator/`: what Stream does not have. For whoever runs the server, so all of it needs the token. The
//! list is at the top of the crate.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use http_transport::{Body, TUS_BODY_LIMIT};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tus_core::Meaning;

use crate::answer::{self, Answer};
use crate::fault::FaultPlan;
use crate::log;
use crate::server::Shared;
use crate::snapshot::{UploadSnapshot, VideoSnapshot};

/// Something below `/_emulator/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Own {
    Clock,
    Faults,
    Original { id: String },
    Requests,
    State,
    Uploads,
    Videos,
}

pub(crate) async fn answer(
    shared: &Arc<Shared>,
    own: &Own,
    head: &Request<()>,
    body: &mut Option<Body>,
    base: &str,
) -> Answer {
    match (head.method(), own) {
        (&Method::GET, Own::Requests) => answer::json(StatusCode::OK, &shared.log.records()),
        (&Method::GET, Own::State) => {
            let mut videos = Vec::new();
            for video in shared.video_snapshots(base) {
                let upload = shared.uploads.by_blob_id(&video.video.uid);
                videos.push(VideoState {
                    video,
                    offset: upload.map_or(0, |upload| upload.info().offset),
                });
            }
            answer::json(StatusCode::OK, &videos)
        }
        (&Method::GET, Own::Uploads) => {
            let mut uploads = Vec::new();
            for upload in shared.upload_snapshots() {
                let sha256 = sha256(shared, &upload.id).await;
                uploads.push(HashedUpload { upload, sha256 });
            }
            answer::json(StatusCode::OK, &uploads)
        }
        (&Method::GET, Own::Videos) => {
            let mut videos = Vec::new();
            for video in shared.video_snapshots(base) {
                let upload = shared.uploads.by_blob_id(&video.video.uid);
                let sha256 = sha256(shared, &video.video.uid).await;
                videos.push(HashedVideo {
                    video,
                    offset: upload.map_or(0, |upload| upload.info().offset),
                    sha256,
                });
            }
            answer::json(StatusCode::OK, &videos)
        }
        (&Method::GET, Own::Original { id }) => original(shared, id).await,
        (&Method::POST, Own::Faults) => {
            let text = text(body).await;
            match FaultPlan::from_json(&text) {
                Ok(plan) => {
                    let rows = plan.len();
                    shared.faults.extend(plan);
                    answer::json(StatusCode::OK, &json!({ "rows": rows }))
                }
                Err(error) => answer::text(StatusCode::BAD_REQUEST, format!("{error}\n")),
            }
        }
        (&Method::DELETE, Own::Faults) => {
            shared.faults.clear();
            answer::json(StatusCode::OK, &json!({ "rows": 0 }))
        }
        (&Method::GET, Own::Clock) => clock(shared),
        (&Method::POST, Own::Clock) => match serde_json::from_str(&text(body).await) {
            Ok(Advance { advance_ms }) => {
                shared.advance(Duration::from_millis(advance_ms)).await;
                clock(shared)
            }
            Err(error) => answer::text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        },
        _ => answer::refused(&Meaning::MethodNotAllowed.into()),
    }
}

#[derive(Serialize)]
struct HashedUpload {
    #[serde(flatten)]
    upload: UploadSnapshot,
    /// `None` when the bytes cannot be read.
    sha256: Option<String>,
}

#[derive(Serialize)]
struct HashedVideo {
    #[serde(flatten)]
    video: VideoSnapshot,
    offset: u64,
    sha256: Option<String>,
}

/// As [`HashedVideo`], without reading all of its bytes.
#[derive(Serialize)]
struct VideoState {
    #[serde(flatten)]
    video: VideoSnapshot,
    offset: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_ms: u64,
}

fn clock(shared: &Shared) -> Answer {
    let now = log::rfc3339(shared.clock.now());
    answer::json(StatusCode::OK, &json!({ "now": now }))
}

async fn text(body: &mut Option<Body>) -> String {
    let body = body.take().unwrap_or_default();
    let bytes = body.collect(TUS_BODY_LIMIT).await.unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn sha256(shared: &Shared, id: &str) -> Option<String> {
    let blob = shared.uploads.by_blob_id(id)?.blob().await;
    let digesting = tokio::task::spawn_blocking(move || blob.sha256());
    digesting.await.ok()?.ok()
}

async fn original(shared: &Shared, id: &str) -> Answer {
    let Some(upload) = shared.uploads.by_blob_id(id) else {
        return answer::refused(&Meaning::NotFound.into());
    };
    let blob = upload.blob().await;
    match tokio::task::spawn_blocking(move || blob.read()).await {
        Ok(Ok(Some(bytes))) => Answer::new(Body::from(bytes)),
        Ok(Ok(None)) => answer::text(StatusCode::NOT_FOUND, "only the digest is kept\n"),
        _ => answer::refused(&Meaning::Internal.into()),
    }
}
