//! Does what [`tus_core::server`] decided.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use http::{HeaderValue, Method, Request};
use http_transport::Body;
use tus_core::server::{
    Append, Create, Decision, Join, Server, UploadInfo, UploadKind, refusal_about, requested_method,
};
use tus_core::{Meaning, Rejection, UploadLength};
use url::Url;

use crate::answer::{self, Answer};
use crate::append::{Appending, End};
use crate::blob::Blob;
use crate::disk::Kind;
use crate::handler::Cut;
use crate::id;
use crate::server::Shared;
use crate::stream_path::MEDIA_ID;
use crate::upload::{Place, Upload};

/// The answer to a request, or no answer at all.
pub(crate) type Outcome = Result<Answer, Cut>;

/// A request to `/files/`.
pub(crate) async fn on_creation_url(
    shared: &Arc<Shared>,
    head: &Request<()>,
    body: &mut Option<Body>,
    base: &str,
) -> Outcome {
    match shared.files.decide(head, None, shared.clock.now()) {
        Ok(Decision::Options(options)) => Ok(answer::empty(options.done())),
        Ok(Decision::Create(create)) => {
            let Ok(key) = id::new() else {
                return Ok(internal());
            };
            let location = format!("{base}/files/{key}");
            let made = make(shared, key, Place::Files, create.info.clone()).await;
            let Ok(upload) = made else {
                return Ok(internal());
            };
            created(shared, &upload, &create, body, &location).await
        }
        Ok(Decision::Join(join)) => Ok(joined(shared, &join, base).await),
        Ok(_) => Ok(answer::refused(&Meaning::NotFound.into())),
        Err(rejection) => Ok(answer::refused(&rejection)),
    }
}

/// A request to an upload URL, generic or Stream's.
pub(crate) async fn on_upload_url(
    shared: &Arc<Shared>,
    upload: Option<Arc<Upload>>,
    head: &Request<()>,
    body: &mut Option<Body>,
) -> Outcome {
    let refuse = |rejection: &Rejection| {
        let Some(upload) = &upload else {
            return answer::refused(rejection);
        };
        let mut answer = match upload.place {
            Place::Files => answer::refused(rejection),
            _ => answer::refused_by_stream(rejection),
        };
        let head = refusal_about(rejection, &upload.info());
        answer.headers_mut().extend(head.into_parts().0.headers);
        answer
    };
    let server = match upload.as_ref().map(|upload| &upload.place) {
        None | Some(Place::Files) => &shared.files,
        Some(_) => &shared.stream,
    };
    let asks_options = requested_method(head).is_ok_and(|method| method == Method::OPTIONS);
    let Some(upload) = upload.as_ref().filter(|_| !asks_options) else {
        return Ok(match server.decide(head, None, shared.clock.now()) {
            Ok(Decision::Options(options)) => answer::empty(options.done()),
            // A creation belongs to the creation URL.
            Ok(_) => refuse(&Meaning::MethodNotAllowed.into()),
            Err(rejection) => refuse(&rejection),
        });
    };
    // Held from before the offset is compared until the bytes are in (P-12).
    let Some((blob, ticket)) = upload.take().await else {
        return Ok(refuse(&Meaning::Locked.into()));
    };
    if upload.is_removed() {
        return Ok(refuse(&Meaning::NotFound.into()));
    }
    let info = upload.info().clone();
    match decide(shared, server, upload, head, &info) {
        Ok(Decision::Head(head)) => Ok(answer::empty(head.done(&info))),
        Ok(Decision::Append(append)) => {
            let appending = Appending {
                shared: Arc::clone(shared),
                upload: Arc::clone(upload),
                blob,
                ticket,
                append: append.clone(),
                body: body.take().unwrap_or_default(),
            };
            match appending.run().await {
                End::Done(info) => {
                    let mut answer = answer::empty(append.done(&info));
                    if info.is_complete() {
                        name_media(&mut answer, &upload.place);
                    }
                    Ok(answer)
                }
                End::Refused(rejection) => Ok(refuse(&rejection)),
                End::Cut => Err(Cut),
            }
        }
        Ok(Decision::Terminate(terminate)) => {
            remove(shared, upload).await;
            Ok(answer::empty(terminate.done()))
        }
        Ok(_) => Ok(refuse(&Meaning::MethodNotAllowed.into())),
        Err(rejection) => Ok(refuse(&rejection)),
    }
}

/// The machine's decision, and Stream's own rules on top of it.
fn decide(
    shared: &Shared,
    server: &Server,
    upload: &Upload,
    head: &Request<()>,
    info: &UploadInfo,
) -> Result<Decision, Rejection> {
    let decision = server.decide(head, Some(info), shared.clock.now())?;
    if let Some(uid) = upload.place.uid() {
        shared.videos.check_open(uid, shared.clock.now())?;
        if let Decision::Append(append) = &decision {
            check_chunk(shared, append, info)?;
        }
    }
    Ok(decision)
}

/// Stream's chunk rules, judged by the announced length, before the body is read. The last chunk of
/// an upload is exempt from all but the maximum.
fn check_chunk(shared: &Shared, append: &Append, info: &UploadInfo) -> Result<(), Rejection> {
    let rule = &shared.options.chunk_rule;
    let bad = |text: String| Err(Rejection::because(Meaning::BadRequest, text));
    let Some(len) = append.announced else {
        return bad("Stream wants a Content-Length, not a chunked body".into());
    };
    if len > rule.max_bytes {
        return bad(format!(
            "Chunk size must be at most {} bytes, not {len}",
            rule.max_bytes
        ));
    }
    if info.length.is_complete_at(append.at + len) {
        return Ok(());
    }
    if len < rule.min_bytes {
        return bad(format!(
            "Chunk size must be at least {} bytes, not {len}",
            rule.min_bytes
        ));
    }
    if !len.is_multiple_of(rule.multiple_of_bytes.max(1)) {
        let unit = rule.multiple_of_bytes / 1024;
        return bad(format!(
            "Chunk size must be a multiple of {unit}KiB, not {len} bytes"
        ));
    }
    Ok(())
}

/// Makes an empty upload, durable before anybody learns of it.
pub(crate) async fn make(
    shared: &Arc<Shared>,
    key: String,
    place: Place,
    info: UploadInfo,
) -> io::Result<Arc<Upload>> {
    make_final(shared, key, place, info, Vec::new()).await
}

async fn make_final(
    shared: &Arc<Shared>,
    key: String,
    place: Place,
    info: UploadInfo,
    parts: Vec<String>,
) -> io::Result<Arc<Upload>> {
    let blob_id = place.uid().unwrap_or(&key).to_owned();
    let maker = Arc::clone(shared);
    let make = move || -> io::Result<Upload> {
        let blob = maker.new_blob(&blob_id)?;
        let mut upload = Upload::new(key, place, info, blob);
        upload.parts = parts;
        upload.save(maker.disk.as_ref())?;
        Ok(upload)
    };
    let upload = if shared.disk.is_some() {
        tokio::task::spawn_blocking(make)
            .await
            .map_err(io::Error::other)??
    } else {
        make()?
    };
    Ok(shared.uploads.insert(upload))
}

/// Takes the body of a creation, if it has one, and answers it.
pub(crate) async fn created(
    shared: &Arc<Shared>,
    upload: &Arc<Upload>,
    create: &Create,
    body: &mut Option<Body>,
    location: &str,
) -> Outcome {
    let mut info = create.info.clone();
    if let Some(append) = &create.body {
        // Nobody else knows the upload yet.
        let Some((blob, ticket)) = upload.take().await else {
            return Ok(internal());
        };
        let appending = Appending {
            shared: Arc::clone(shared),
            upload: Arc::clone(upload),
            blob,
            ticket,
            append: append.clone(),
            body: body.take().unwrap_or_default(),
        };
        match appending.run().await {
            End::Done(now) => info = now,
            End::Refused(rejection) => {
                remove(shared, upload).await;
                if let Some(uid) = upload.place.uid() {
                    shared.forget_video(uid).await;
                }
                return Ok(match upload.place {
                    Place::Files => answer::refused(&rejection),
                    _ => answer::refused_by_stream(&rejection),
                });
            }
            // The client never learns where it is; it stays until it expires.
            End::Cut => return Err(Cut),
        }
    } else if info.is_complete() {
        shared.completed(upload).await;
    }
    let mut answer = answer::empty(create.done(location, &info));
    name_media(&mut answer, &upload.place);
    Ok(answer)
}

/// Forgets an upload and frees its bytes (TM-02).
pub(crate) async fn remove(shared: &Arc<Shared>, upload: &Arc<Upload>) {
    upload.mark_removed();
    shared.uploads.remove(&upload.key);
    let (shared, upload) = (Arc::clone(shared), Arc::clone(upload));
    let removal = tokio::task::spawn_blocking(move || {
        let Some(disk) = &shared.disk else {
            return Ok(());
        };
        disk.remove(Kind::Upload, &upload.key)?;
        disk.remove_blob(upload.blob_id())
    });
    if let Ok(Err(error)) = removal.await {
        tracing::warn!(%error, "the files of an upload cannot be removed");
    }
}

async fn joined(shared: &Arc<Shared>, join: &Join, base: &str) -> Answer {
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

fn name_media(answer: &mut Answer, place: &Place) {
    if let Some(uid) = place.uid()
        && let Ok(value) = HeaderValue::from_str(uid)
    {
        answer.headers_mut().insert(MEDIA_ID, value);
    }
}

fn internal() -> Answer {
    answer::refused(&Meaning::Internal.into())
}

impl Shared {
    /// A place for the bytes of `id`. Blocking where there is a disk.
    pub(crate) fn new_blob(&self, id: &str) -> io::Result<Blob> {
        match (&self.disk, self.options.digest_only) {
            (Some(disk), _) => Ok(Blob::File {
                path: disk.create_blob(id)?,
                len: 0,
                open: None,
            }),
            (None, true) => Ok(Blob::Digest {
                len: 0,
                state: sha2::Digest::new(),
            }),
            (None, false) => Ok(Blob::Memory(Vec::new())),
        }
    }

    /// Forgets a video, durably.
    pub(crate) async fn forget_video(self: &Arc<Self>, uid: &str) {
        let (shared, uid) = (Arc::clone(self), uid.to_owned());
        let removal = move || shared.videos.remove(&uid, shared.disk.as_ref());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(removal).await {
            tracing::warn!(%error, "the state of a video cannot be removed");
        }
    }

    /// Called once all bytes of an upload are in.
    pub(crate) async fn completed(self: &Arc<Self>, upload: &Upload) {
        if let Some(uid) = upload.place.uid() {
            let size = upload.info().offset;
            let (shared, uid) = (Arc::clone(self), uid.to_owned());
            let now = self.clock.now();
            let saving = move || {
                let videos = &shared.videos;
                videos.uploaded(&uid, size, now, shared.disk.as_ref())
            };
            if let Ok(Err(error)) = tokio::task::spawn_blocking(saving).await {
                tracing::warn!(%error, "the state of a video cannot be saved");
            }
        }
        join_waiting(self, upload).await;
    }
}
