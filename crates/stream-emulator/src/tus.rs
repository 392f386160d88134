//! Does what [`tus_core::server`] decided.

use std::io;
use std::sync::Arc;

use http::{HeaderValue, Method, Request};
use http_transport::Body;
use tus_core::server::{Create, Decision, Server, UploadInfo, refusal_about, requested_method};
use tus_core::{Meaning, Rejection};

use crate::answer::{self, Answer};
use crate::append::{Appending, End};
use crate::blob::Blob;
use crate::disk::Kind;
use crate::handler::Cut;
use crate::id;
use crate::join;
use crate::seen::Seen;
use crate::server::Shared;
use crate::stream_path::MEDIA_ID;
use crate::stream_rules;
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
        Ok(Decision::Join(join)) => Ok(join::joined(shared, &join, base).await),
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
    let method = requested_method(head).unwrap_or(Method::GET);
    if let Some(refusal) = stream_rules::closed(shared, upload, &method) {
        return Ok(refusal);
    }
    let info = upload.info().clone();
    match decide(shared, server, upload, head, &info) {
        Ok(Decision::Head(head)) => {
            let mut answer = answer::empty(head.done(&info));
            stream_rules::tell_expiry(shared, upload, answer.headers_mut());
            Ok(answer)
        }
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
                    stream_rules::tell_expiry(shared, upload, answer.headers_mut());
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
    if upload.place != Place::Files
        && let Decision::Append(append) = &decision
    {
        let alignment = shared.hypotheses().alignment;
        stream_rules::check_chunk(&shared.options.chunk_rule, alignment, append, info)?;
    }
    Ok(decision)
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

pub(crate) async fn make_final(
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
    stream_rules::tell_expiry(shared, upload, answer.headers_mut());
    name_media(&mut answer, &upload.place);
    Ok(answer)
}

/// Forgets an upload and frees its bytes (TM-02).
pub(crate) async fn remove(shared: &Arc<Shared>, upload: &Arc<Upload>) {
    upload.mark_removed();
    shared.uploads.remove(&upload.key);
    let teller = shared.teller.clone();
    let (shared, upload) = (Arc::clone(shared), Arc::clone(upload));
    let removal = tokio::task::spawn_blocking(move || {
        let Some(disk) = &shared.disk else {
            return Ok(());
        };
        disk.remove(upload.kind(), &upload.key)?;
        disk.remove_blob(upload.blob_id())
    });
    if let Ok(Err(error)) = removal.await {
        tracing::warn!(%error, "the files of an upload cannot be removed");
    }
    teller.tell();
}

/// Frees the bytes of an upload whose time was over. What is left of it says so.
pub(crate) async fn expire(shared: &Arc<Shared>, upload: &Arc<Upload>) {
    // Whoever is still sending is stopped; if not in time, it writes to what nobody reads.
    let turn = upload.take().await;
    upload.mark_expired();
    let (shared, upload) = (Arc::clone(shared), Arc::clone(upload));
    let freeing = tokio::task::spawn_blocking(move || {
        if let Some((mut blob, _)) = turn {
            *blob = Blob::Memory(Vec::new());
        }
        let Some(disk) = &shared.disk else {
            return Ok(());
        };
        upload.save(Some(disk))?;
        disk.remove(Kind::Upload, &upload.key)?;
        disk.remove_blob(upload.blob_id())
    });
    if let Ok(Err(error)) = freeing.await {
        tracing::warn!(%error, "the files of an expired upload cannot be removed");
    }
}

fn name_media(answer: &mut Answer, place: &Place) {
    if let Some(uid) = place.uid()
        && let Ok(value) = HeaderValue::from_str(uid)
    {
        answer.headers_mut().insert(MEDIA_ID, value);
    }
}

pub(crate) fn internal() -> Answer {
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
        let removal = move || {
            let disk = shared.disk.as_ref();
            let entry = shared.videos.entry_of_any(&uid);
            shared.account.forget_video(&uid, disk)?;
            shared.videos.remove(&uid, disk)?;
            match entry.and_then(|entry| Some((entry.account, entry.video.watermark?))) {
                Some((account, mark)) => shared.drop_picture(&account, &mark.uid),
                None => Ok(()),
            }
        };
        if let Ok(Err(error)) = tokio::task::spawn_blocking(removal).await {
            tracing::warn!(%error, "the state of a video cannot be removed");
        }
        self.teller.tell();
    }

    /// Called once all bytes of an upload are in.
    pub(crate) async fn completed(self: &Arc<Self>, upload: &Upload) {
        // At its start a server asks for every complete upload: what is known already is not read again.
        let is_news = |uid: &&str| {
            let entry = self.videos.entry_of_any(uid);
            entry.is_some_and(|entry| entry.video.uploaded.is_none())
        };
        if let Some(uid) = upload.place.uid().filter(is_news) {
            let size = upload.info().offset;
            let (uid, now) = (uid.to_owned(), self.clock.now());
            let blob = upload.blob().await;
            let saving = move |shared: &Self| {
                let seen = Seen::in_blob(&blob, shared.options.judge_media);
                let videos = &shared.videos;
                videos.uploaded(&uid, size, seen, now, shared.disk.as_ref())
            };
            if let Err(error) = self.blocking(saving).await {
                tracing::warn!(%error, "the state of a video cannot be saved");
            }
        }
        join::join_waiting(self, upload).await;
    }
}
