//! Captions: `…/stream/{uid}/captions`.
//!
//! What a video says is not understood here: captions that are asked to be generated are one line of text over the
//! whole of the video.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue};
use http_transport::Body;
use serde_json::Value;
use stream_api::{Op, VideoState};

use crate::account::captions::Caption;
use crate::answer::{self, Answer};
use crate::builder::Encoding;
use crate::language;
use crate::op::call::ok;
use crate::op::{Answered, Call, refuse};
use crate::webvtt;

/// <https://developers.cloudflare.com/stream/edit-videos/adding-captions/>
const MOST_BYTES: usize = 10 * 1024 * 1024;

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    call.video()?;
    match call.op {
        Op::CaptionsList => list(&call).await,
        Op::CaptionsGet => {
            let caption = kept(&call)?;
            ok(look(&call, caption).await?)
        }
        Op::CaptionsPut => put(call).await,
        Op::CaptionsDelete => delete(call).await,
        Op::CaptionsGenerate => generate(call).await,
        Op::CaptionsVtt => vtt(&call),
        _ => super::unknown(),
    }
}

/// Where the captions of a video in a language are kept. Both parts are plain, and languages have no `_`.
fn key(call: &Call<'_>) -> String {
    format!("{}_{}", call.id(), call.part())
}

fn kept(call: &Call<'_>) -> Result<Caption, Box<Answer>> {
    let caption = call.shared.account.captions.get(call.account(), &key(call));
    caption.ok_or_else(|| Box::new(answer::not_found()))
}

fn is_ready(call: &Call<'_>, caption: &Caption) -> bool {
    caption.is_ready(call.shared.videos.encoding, call.now())
}

/// Oldest first.
async fn list(call: &Call<'_>) -> Answered {
    let of_video = format!("{}_", call.id());
    let captions = call.shared.account.captions.list(call.account());
    let mut captions: Vec<_> = captions
        .into_iter()
        .filter(|(key, _)| key.starts_with(&of_video))
        .map(|(_, caption)| caption)
        .collect();
    captions.sort_by_key(|caption| caption.created);
    let mut views = Vec::new();
    for caption in captions {
        views.push(look(call, caption).await?);
    }
    ok(views)
}

/// Looking is what moves them on with [`Encoding::Steps`], as it does a video.
async fn look(call: &Call<'_>, caption: Caption) -> Result<Value, Box<Answer>> {
    let view = caption.view(is_ready(call, &caption));
    if call.shared.videos.encoding == Encoding::Steps && caption.generated && !caption.seen {
        let (account, key) = (
            call.account().to_owned(),
            format!("{}_{}", call.id(), caption.language),
        );
        let seeing = call.blocking(move |shared| {
            let captions = &shared.account.captions;
            captions.change(&account, &key, shared.disk.as_ref(), |it| it.seen = true)
        });
        seeing.await?;
    }
    Ok(view)
}

/// Replaces what was there in this language.
async fn put(call: Call<'_>) -> Answered {
    check_tag(call.part())?;
    let mut file = None;
    let mut form = call.form()?;
    while let Some(field) = form.next().await? {
        if field.name() == "file" {
            file = Some(field.bytes(MOST_BYTES).await?);
        }
    }
    let Some(file) = file else {
        return refuse("required field file is missing");
    };
    webvtt::check(&file).or_else(|error| refuse(format!("the file is no WebVTT: {error}")))?;
    let text = String::from_utf8(file).or_else(|_| refuse("the file is not UTF-8"))?;
    let caption = Caption {
        language: call.part().to_owned(),
        created: call.now(),
        generated: false,
        seen: false,
        text,
    };
    let view = caption.view(true);
    save(&call, caption).await?;
    ok(view)
}

async fn save(call: &Call<'_>, caption: Caption) -> Result<(), Box<Answer>> {
    let (account, key) = (call.account().to_owned(), key(call));
    let saving = call.blocking(move |shared| {
        let captions = &shared.account.captions;
        captions.put(&account, &key, caption, shared.disk.as_ref())
    });
    saving.await
}

async fn delete(call: Call<'_>) -> Answered {
    let (account, key) = (call.account().to_owned(), key(&call));
    let removing = call.blocking(move |shared| {
        let captions = &shared.account.captions;
        captions.remove(&account, &key, shared.disk.as_ref())
    });
    match removing.await? {
        Some(_) => ok(""),
        None => Err(Box::new(answer::not_found())),
    }
}

async fn generate(call: Call<'_>) -> Answered {
    let tag = call.part();
    check_tag(tag)?;
    if !language::GENERATED.contains(&tag) {
        return refuse(format!(
            "captions are generated in {}",
            language::GENERATED.join(", ")
        ));
    }
    let entry = call.video()?;
    let (state, _) = entry.progress(call.shared.videos.encoding, call.now());
    if state != VideoState::Ready {
        return refuse("captions are generated for videos that are ready");
    }
    if kept(&call).is_ok() {
        return refuse("there are captions in this language already");
    }
    let lasts = entry.video.duration().unwrap_or(Duration::from_secs(1));
    let text = "Generated by the emulator, which does not understand speech.";
    let caption = Caption {
        language: tag.to_owned(),
        created: call.now(),
        generated: true,
        seen: false,
        text: webvtt::one_cue(lasts, text),
    };
    // Never ready at once: it is what the documentation shows.
    let view = caption.view(false);
    save(&call, caption).await?;
    ok(view)
}

/// The text itself, without an envelope.
fn vtt(call: &Call<'_>) -> Answered {
    let caption = kept(call)?;
    if !is_ready(call, &caption) {
        return Err(Box::new(answer::not_found()));
    }
    let mut answer = Answer::new(Body::from(caption.text));
    let kind = HeaderValue::from_static("text/vtt; charset=utf-8");
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    Ok(answer)
}

fn check_tag(tag: &str) -> Result<(), Box<Answer>> {
    if language::is_tag(tag) {
        Ok(())
    } else {
        refuse("the language must be a BCP 47 tag, such as en or pt-BR")
    }
}
