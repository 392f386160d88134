//! Additional audio tracks: `…/stream/{uid}/audio`.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Value, json};
use stream_api::{Op, code};

use crate::account::audio::{AudioTrack, Source};
use crate::answer::{self, Answer};
use crate::builder::Encoding;
use crate::form::too_large;
use crate::id;
use crate::op::call::ok;
use crate::op::{Answered, Call, refuse};
use crate::outbound::check_url;
use crate::server::Shared;

/// <https://developers.cloudflare.com/stream/edit-videos/adding-additional-audio-tracks/>
const MOST_BYTES: u64 = 200_000_000;
/// So much of a file tells what it is.
const SAMPLE: usize = 8192;

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    call.video()?;
    match call.op {
        Op::AudioTracksList => list(&call).await,
        Op::AudioTracksCreate => create(call).await,
        Op::AudioTracksCopy => copy(call).await,
        Op::AudioTracksEdit => edit(call).await,
        Op::AudioTracksDelete => delete(call).await,
        _ => super::unknown(),
    }
}

/// Looking is what moves them on with [`Encoding::Steps`], as it does a video.
async fn list(call: &Call<'_>) -> Answered {
    let (encoding, now) = (call.shared.videos.encoding, call.now());
    let tracks = call.shared.account.audio.get(call.account(), call.id());
    let tracks = tracks.unwrap_or_default();
    let views: Vec<_> = tracks
        .iter()
        .map(|track| track.view(encoding, now))
        .collect();
    if encoding == Encoding::Steps && tracks.iter().any(|track| !track.seen) {
        let seeing = change(call, |tracks| {
            tracks.iter_mut().for_each(|track| track.seen = true);
            Ok(())
        });
        seeing.await?;
    }
    ok(json!({ "audio": views }))
}

/// What came of a file that is not kept.
#[derive(Default)]
struct Look {
    start: Vec<u8>,
    len: u64,
}

impl Look {
    /// # Errors
    /// 413 beyond what may come.
    fn take(&mut self, bytes: &Bytes) -> Result<(), Box<Answer>> {
        let more = bytes.len().min(SAMPLE - self.start.len());
        self.start.extend_from_slice(&bytes[..more]);
        self.len += bytes.len() as u64;
        if self.len > MOST_BYTES {
            return Err(too_large("file", MOST_BYTES));
        }
        Ok(())
    }

    /// Something with sound in it: audio, or a container that may have some.
    fn can_be_heard(&self) -> bool {
        let kind = infer::get(&self.start).map(|kind| kind.matcher_type());
        matches!(
            kind,
            Some(infer::MatcherType::Audio | infer::MatcherType::Video)
        )
    }
}

async fn create(call: Call<'_>) -> Answered {
    let (mut label, mut file) = (None, None);
    let mut form = call.form()?;
    while let Some(mut field) = form.next().await? {
        match field.name() {
            "label" => label = Some(field.text().await?),
            "file" => {
                let mut look = Look::default();
                while let Some(bytes) = field.chunk().await? {
                    look.take(&bytes)?;
                }
                file = Some(look);
            }
            _ => {}
        }
    }
    let Some(file) = file else {
        return refuse("required field file is missing");
    };
    let source = if file.can_be_heard() {
        Source::Came(call.now())
    } else {
        Source::Failed
    };
    add(&call, label, source)
        .await
        .map(|(_, view)| view)
        .and_then(ok)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wishes {
    label: Option<String>,
    url: Option<String>,
    default: Option<bool>,
}

/// The answer does not wait for the file.
async fn copy(call: Call<'_>) -> Answered {
    let wishes: Wishes = call.json().await?;
    let Some(url) = wishes.url else {
        return refuse("required field url is missing");
    };
    check_url(&url)?;
    let (uid, view) = add(&call, wishes.label, Source::Awaited).await?;
    let (shared, account, video) = (
        Arc::clone(call.shared),
        call.account().to_owned(),
        call.id().to_owned(),
    );
    let stop = call.shared.stop_bodies.clone();
    let fetching = async move {
        let source = match fetch(&shared, &url).await {
            Ok(look) if look.can_be_heard() => Source::Came(shared.clock.now()),
            _ => Source::Failed,
        };
        let told = shared.blocking(move |shared| {
            let change = |tracks: &mut Vec<AudioTrack>| {
                tracks
                    .iter_mut()
                    .filter(|track| track.uid == uid)
                    .for_each(|track| track.source = source);
            };
            let disk = shared.disk.as_ref();
            shared.account.audio.change(&account, &video, disk, change)
        });
        if let Err(error) = told.await {
            tracing::warn!(%error, "the state of an audio track cannot be saved");
        }
    };
    call.shared
        .tasks
        .spawn(stop.run_until_cancelled_owned(fetching));
    ok(view)
}

async fn fetch(shared: &Shared, url: &str) -> Result<Look, Box<Answer>> {
    let mut body = shared.ask(url).await?.into_body();
    let mut look = Look::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.or_else(|_| refuse("the file broke off"))?;
        if let Some(bytes) = frame.data_ref() {
            look.take(bytes)?;
        }
    }
    Ok(look)
}

/// Adds a track, and returns its uid and what is shown of it.
async fn add(
    call: &Call<'_>,
    label: Option<String>,
    source: Source,
) -> Result<(String, Value), Box<Answer>> {
    let label = label.map(|label| label.trim().to_owned());
    let Some(label) = label.filter(|label| !label.is_empty()) else {
        return refuse("required field label is missing");
    };
    let Ok(uid) = id::new() else {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let text = "no id can be made";
        return Err(Box::new(answer::failure(status, code::BAD_REQUEST, text)));
    };
    let track = AudioTrack {
        uid: uid.clone(),
        label,
        is_default: false,
        source,
        seen: false,
    };
    // Never ready at once: it is what the documentation shows.
    let mut view = track.view(Encoding::NoVideo, call.now());
    if source == Source::Failed {
        view["status"] = "error".into();
    }
    change(call, move |tracks| {
        is_free(tracks, &track.label, None)?;
        tracks.push(track);
        Ok(())
    })
    .await?;
    Ok((uid, view))
}

async fn edit(call: Call<'_>) -> Answered {
    let wishes: Wishes = call.json().await?;
    let (uid, encoding, now) = (
        call.part().to_owned(),
        call.shared.videos.encoding,
        call.now(),
    );
    let editing = change(&call, move |tracks| {
        let Some(at) = tracks.iter().position(|track| track.uid == uid) else {
            return Err(Box::new(answer::not_found()));
        };
        if let Some(label) = wishes.label {
            if label.trim().is_empty() {
                return refuse("label must not be empty");
            }
            is_free(tracks, label.trim(), Some(&uid))?;
            label.trim().clone_into(&mut tracks[at].label);
        }
        if let Some(is_default) = wishes.default {
            if is_default {
                tracks.iter_mut().for_each(|track| track.is_default = false);
            }
            tracks[at].is_default = is_default;
        }
        Ok(tracks[at].view(encoding, now))
    });
    editing.await.and_then(ok)
}

async fn delete(call: Call<'_>) -> Answered {
    let uid = call.part().to_owned();
    change(&call, move |tracks| {
        let Some(at) = tracks.iter().position(|track| track.uid == uid) else {
            return Err(Box::new(answer::not_found()));
        };
        if tracks[at].is_default {
            return refuse("the default audio track cannot be deleted");
        }
        tracks.remove(at);
        Ok(())
    })
    .await?;
    ok("ok")
}

fn is_free(tracks: &[AudioTrack], label: &str, but: Option<&str>) -> Result<(), Box<Answer>> {
    let is_taken = tracks
        .iter()
        .any(|track| track.label == label && Some(track.uid.as_str()) != but);
    if is_taken {
        return refuse("label must be unique among the audio tracks of a video");
    }
    Ok(())
}

/// Changes the tracks of the video, unless `change` refuses.
async fn change<T: Send + 'static>(
    call: &Call<'_>,
    change: impl FnOnce(&mut Vec<AudioTrack>) -> Result<T, Box<Answer>> + Send + 'static,
) -> Result<T, Box<Answer>> {
    let (account, video) = (call.account().to_owned(), call.id().to_owned());
    let changing = call.blocking(move |shared| {
        let audio = &shared.account.audio;
        audio.change_or_make(&account, &video, shared.disk.as_ref(), change)
    });
    changing.await?
}
