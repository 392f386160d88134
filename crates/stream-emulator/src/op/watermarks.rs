//! Watermark profiles: `…/stream/watermarks`.

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use stream_api::{Op, code};

use crate::account::watermarks::{Look, Picture, Watermark};
use crate::answer::{self, Answer};
use crate::entry::Entry;
use crate::id;
use crate::op::call::ok;
use crate::op::{Answered, Call, refuse};
use crate::server::Shared;

/// The largest picture. <https://developers.cloudflare.com/stream/edit-videos/applying-watermarks/> names none;
/// Cloudflare's own description for agents has 2 MB.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    match call.op {
        Op::WatermarksList => list(&call),
        Op::WatermarksCreate => create(call).await,
        Op::WatermarksCreateFromUrl => create_from_url(call).await,
        Op::WatermarksGet => get(&call),
        Op::WatermarksDelete => delete(call).await,
        _ => super::unknown(),
    }
}

fn list(call: &Call<'_>) -> Answered {
    let marks = call
        .shared
        .account
        .watermarks
        .list(call.account())
        .into_iter();
    let mut marks: Vec<_> = marks.map(|(_, mark)| mark).collect();
    marks.sort_by_key(|mark| mark.created);
    ok(marks.iter().map(Watermark::view).collect::<Vec<_>>())
}

fn get(call: &Call<'_>) -> Answered {
    match call
        .shared
        .account
        .watermarks
        .get(call.account(), call.id())
    {
        Some(mark) => ok(mark.view()),
        None => Err(Box::new(answer::not_found())),
    }
}

/// Videos that were made with it keep what was painted on them.
async fn delete(call: Call<'_>) -> Answered {
    let (account, uid) = (call.account().to_owned(), call.id().to_owned());
    let removing = call.blocking(move |shared| {
        let marks = &shared.account.watermarks;
        let removed = marks.remove(&account, &uid, shared.disk.as_ref())?;
        shared.drop_picture(&account, &uid)?;
        Ok(removed)
    });
    match removing.await? {
        Some(_) => ok(""),
        None => Err(Box::new(answer::not_found())),
    }
}

async fn create(call: Call<'_>) -> Answered {
    let (mut look, mut picture) = (Look::default(), None);
    let mut form = call.form()?;
    while let Some(field) = form.next().await? {
        let name = field.name().to_owned();
        let part = |text: String| {
            text.trim()
                .parse::<f64>()
                .or_else(|_| refuse(format!("{name} must be a number")))
        };
        match name.as_str() {
            "file" => picture = Some(field.bytes(MOST_BYTES).await?),
            "name" => look.name = field.text().await?,
            "opacity" => look.opacity = part(field.text().await?)?,
            "padding" => look.padding = part(field.text().await?)?,
            "scale" => look.scale = part(field.text().await?)?,
            "position" => look.position = field.text().await?,
            // The next field skips what is left of it.
            _ => {}
        }
    }
    match picture {
        Some(picture) => make(call, &picture, look, None).await,
        None => refuse("required field file is missing"),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wishes {
    url: Option<String>,
    name: Option<String>,
    opacity: Option<f64>,
    padding: Option<f64>,
    scale: Option<f64>,
    position: Option<String>,
}

async fn create_from_url(call: Call<'_>) -> Answered {
    let wishes: Wishes = call.json().await?;
    let default = Look::default();
    let look = Look {
        name: wishes.name.unwrap_or(default.name),
        opacity: wishes.opacity.unwrap_or(default.opacity),
        padding: wishes.padding.unwrap_or(default.padding),
        scale: wishes.scale.unwrap_or(default.scale),
        position: wishes.position.unwrap_or(default.position),
    };
    look.check().or_else(refuse)?;
    let Some(url) = wishes.url else {
        return refuse("required field url is missing");
    };
    let picture = call.shared.fetch(&url, MOST_BYTES as u64).await?;
    make(call, &picture, look, Some(url)).await
}

/// Looks at the picture and keeps the profile.
async fn make(call: Call<'_>, picture: &[u8], look: Look, from: Option<String>) -> Answered {
    look.check().or_else(refuse)?;
    let Ok(size) = imagesize::blob_size(picture) else {
        return refuse("the file is no picture: PNG, JPEG, GIF, WebP and BMP are known");
    };
    if size.width == 0 || size.height == 0 {
        return refuse("the picture has no size");
    }
    let Ok(uid) = id::new() else {
        return Err(broken());
    };
    let mark = Watermark {
        uid: uid.clone(),
        created: call.now(),
        downloaded_from: from,
        size_bytes: picture.len() as u64,
        width: size.width as u64,
        height: size.height as u64,
        look,
    };
    let view = mark.view();
    let picture = Picture(Bytes::copy_from_slice(picture));
    let account = call.account().to_owned();
    let saving = call.blocking(move |shared| {
        let (account, uid, disk) = (&account, &uid, shared.disk.as_ref());
        let held = &shared.account;
        held.pictures.put(account, uid, picture, disk)?;
        held.watermarks.put(account, uid, mark, disk)
    });
    saving.await?;
    ok(view)
}

impl Shared {
    /// Forgets the picture of a watermark that is no more, unless a video was made with it. Blocking where there is a
    /// disk.
    ///
    /// # Errors
    /// What removing the file came back with.
    pub(crate) fn drop_picture(&self, account: &str, uid: &str) -> std::io::Result<()> {
        let has_it = |entry: &Entry| {
            entry
                .video
                .watermark
                .as_ref()
                .is_some_and(|it| it.uid == uid)
        };
        let is_wanted = self.account.watermarks.get(account, uid).is_some()
            || self.videos.entries().iter().any(has_it);
        if is_wanted {
            return Ok(());
        }
        let pictures = &self.account.pictures;
        pictures.remove(account, uid, self.disk.as_ref()).map(drop)
    }
}

fn broken() -> Box<Answer> {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Box::new(answer::failure(
        status,
        code::BAD_REQUEST,
        "no id can be made",
    ))
}
