//! Final uploads: partial ones are joined.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use tus_core::UploadLength;
use tus_core::server::{Join, UploadInfo, UploadKind};
use url::Url;

use crate::answer::{self, Answer};
use crate::id;
use crate::server::Shared;
use crate::tus::{internal, make_final, remove};
use crate::upload::{Place, Upload};

/// Makes a final upload of the parts that a request names.
pub(crate) async fn joined(shared: &Arc<Shared>, join: &Join, base: &str) -> Answer {
    let parts: Vec<_> = join.parts.iter().map(|part| part_key(base, part)).collect();
    let uploads: Vec<_> = parts
        .iter()
        .map(|key| key.as_ref().and_then(|key| shared.uploads.get(key)))
        .collect();
    let infos: Vec<_> = uploads
        .iter()
        .map(|upload| upload.as_ref().map(|it| it.info().clone()))
        .collect();
    let info = match join.check(infos.iter().map(Option::as_ref), shared.clock.now()) {
        Ok(info) => info,
        Err(rejection) => return answer::refused(&rejection),
    };
    let Ok(key) = id::new() else {
        return internal();
    };
    let location = format!("{base}/files/{key}");
    // Complete only once the bytes are there.
    let empty = UploadInfo { offset: 0, ..info };
    let keys = parts.into_iter().flatten().collect();
    let Ok(upload) = make_final(shared, key, Place::Files, empty, keys).await else {
        return internal();
    };
    if let Err(error) = join_if_ready(shared, &upload).await {
        tracing::warn!(%error, "partial uploads cannot be joined");
        remove(shared, &upload).await;
        return internal();
    }
    answer::empty(join.done(&location))
}

/// The key in the URL of a part, which may be absolute or relative to the creation URL (CC-03).
fn part_key(base: &str, part: &str) -> Option<String> {
    let url = Url::parse(&format!("{base}/files/"))
        .ok()?
        .join(part)
        .ok()?;
    let key = url.path().strip_prefix("/files/")?;
    id::is_valid(key).then(|| key.to_owned())
}

/// Gives a final upload its length once the lengths of all parts are known (CC-17).
async fn tell_length(
    shared: &Arc<Shared>,
    upload: &Arc<Upload>,
    parts: &[Arc<Upload>],
) -> io::Result<()> {
    let mut lengths = parts.iter().map(|part| part.info().length.known());
    let sum = lengths.try_fold(0_u64, |sum, length| sum.checked_add(length?));
    let (Some(sum), UploadLength::Deferred) = (sum, upload.info().length) else {
        return Ok(());
    };
    upload.info().length = sum.into();
    let (shared, upload) = (Arc::clone(shared), Arc::clone(upload));
    tokio::task::spawn_blocking(move || upload.save(shared.disk.as_ref()))
        .await
        .map_err(io::Error::other)?
}

/// Joins the parts of a final upload when all of them are complete (CC-04, CC-08).
pub(crate) async fn join_if_ready(shared: &Arc<Shared>, upload: &Arc<Upload>) -> io::Result<()> {
    let mut target = upload.blob().await;
    if upload.info().is_complete() && target.len() > 0 {
        return Ok(());
    }
    let parts: Option<Vec<_>> = upload
        .parts
        .iter()
        .map(|key| shared.uploads.get(key))
        .collect();
    let Some(parts) = parts else { return Ok(()) };
    if !parts.iter().all(|part| part.info().is_complete()) {
        return tell_length(shared, upload, &parts).await;
    }
    for part in parts {
        let source = part.blob().await;
        target = tokio::task::spawn_blocking(move || target.append_blob(&source).map(|()| target))
            .await
            .map_err(io::Error::other)??;
    }
    let (shared, upload) = (Arc::clone(shared), Arc::clone(upload));
    tokio::task::spawn_blocking(move || {
        target.sync()?;
        target.close();
        let len = target.len();
        {
            let mut info = upload.info();
            info.length = len.into();
            info.offset = len;
        }
        upload.save(shared.disk.as_ref())
    })
    .await
    .map_err(io::Error::other)?
}

/// Joins every final upload that waited for `part` (CC-08).
pub(crate) async fn join_waiting(shared: &Arc<Shared>, part: &Upload) {
    if part.info().kind != UploadKind::Partial {
        return;
    }
    let mut seen = HashSet::new();
    for waiting in shared.uploads.all() {
        if waiting.parts.contains(&part.key)
            && !waiting.info().is_complete()
            && seen.insert(waiting.key.clone())
            && let Err(error) = join_if_ready(shared, &waiting).await
        {
            tracing::warn!(%error, "partial uploads cannot be joined");
        }
    }
}
