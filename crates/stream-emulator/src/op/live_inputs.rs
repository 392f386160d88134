//! Live inputs: `…/stream/live_inputs`.

use std::ops::RangeInclusive;

use http::StatusCode;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};
use stream_api::Op;
use stream_api::bounds::CREATOR_CHARACTERS;

use crate::account::live::{LiveInput, Secrets, Wishes};
use crate::answer::{self, Answer};
use crate::live;
use crate::op::call::ok;
use crate::op::{Answered, Call, refuse};

/// Measured: what lies outside is 400 with this code.
const DAYS: RangeInclusive<f64> = 30.0..=1096.0;
const DAYS_CODE: u64 = 10060;
/// Seconds; 0 for the platform's own.
const TIMEOUT: RangeInclusive<u64> = 0..=86_400;

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    match call.op {
        Op::LiveInputsList => list(&call),
        Op::LiveInputsCreate => create(call).await,
        Op::LiveInputsGet => get(&call),
        Op::LiveInputsUpdate => update(call).await,
        Op::LiveInputsDelete => delete(call).await,
        Op::LiveInputsRotateKeys => rotate_keys(call).await,
        _ => super::unknown(),
    }
}

/// What a request may say. What is not known here is dropped silently, as measured on Stream.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    /// The documentation spells it both ways.
    #[serde(alias = "DefaultCreator")]
    default_creator: Option<String>,
    /// `null` is something else than nothing.
    #[serde(deserialize_with = "some")]
    delete_recording_after_days: Option<Option<f64>>,
    enabled: Option<bool>,
    meta: Option<Map<String, Value>>,
    prefer_low_latency: Option<bool>,
    recording: Option<RecordingSettings>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RecordingSettings {
    allowed_origins: Option<Vec<String>>,
    hide_live_viewer_count: Option<bool>,
    mode: Option<Mode>,
    #[serde(rename = "requireSignedURLs")]
    require_signed_urls: Option<bool>,
    timeout_seconds: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Automatic,
    Off,
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<f64>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Settings {
    fn check(&self) -> Result<(), Box<Answer>> {
        let characters = |text: &String| text.chars().count();
        if self.default_creator.as_ref().map_or(0, characters) > CREATOR_CHARACTERS {
            return refuse(format!(
                "defaultCreator has more than {CREATOR_CHARACTERS} characters"
            ));
        }
        if let Some(Some(days)) = self.delete_recording_after_days
            && !DAYS.contains(&days)
        {
            return Err(Box::new(answer::failure(
                StatusCode::BAD_REQUEST,
                DAYS_CODE,
                "deleteRecordingAfterDays must be between 30 and 1096 days",
            )));
        }
        let timeout = self.recording.as_ref().and_then(|it| it.timeout_seconds);
        if !TIMEOUT.contains(&timeout.unwrap_or(0)) {
            return refuse("timeoutSeconds must be 1 to 86400, or 0");
        }
        Ok(())
    }

    /// What is not named stays as it is.
    fn apply(self, wishes: &mut Wishes) {
        fn replace<T>(field: &mut T, wish: Option<T>) {
            if let Some(wish) = wish {
                *field = wish;
            }
        }
        if self.default_creator.is_some() {
            wishes.default_creator = self.default_creator;
        }
        replace(
            &mut wishes.delete_recording_after_days,
            self.delete_recording_after_days,
        );
        replace(&mut wishes.enabled, self.enabled);
        replace(&mut wishes.meta, self.meta);
        replace(&mut wishes.prefer_low_latency, self.prefer_low_latency);
        if let Some(recording) = self.recording {
            let kept = &mut wishes.recording;
            replace(&mut kept.allowed_origins, recording.allowed_origins);
            replace(
                &mut kept.hide_live_viewer_count,
                recording.hide_live_viewer_count,
            );
            replace(
                &mut kept.automatic,
                recording.mode.map(|mode| mode == Mode::Automatic),
            );
            replace(&mut kept.require_signed_urls, recording.require_signed_urls);
            replace(&mut kept.timeout_seconds, recording.timeout_seconds);
        }
    }
}

/// Newest first. The counts stand in the result, and not beside it as in the listing of videos.
fn list(call: &Call<'_>) -> Answered {
    let inputs = call
        .shared
        .account
        .live_inputs
        .list(call.account())
        .into_iter();
    let mut inputs: Vec<_> = inputs.map(|(_, input)| input).collect();
    inputs.sort_by_key(|input| std::cmp::Reverse(input.created));
    let listed: Vec<_> = inputs.iter().map(LiveInput::listed).collect();
    let count = listed.len();
    let mut result = json!({ "liveInputs": listed });
    if call.query("include_counts").as_deref() == Some("true") {
        result["total"] = count.into();
        result["range"] = count.into();
    }
    ok(result)
}

fn get(call: &Call<'_>) -> Answered {
    match call
        .shared
        .account
        .live_inputs
        .get(call.account(), call.id())
    {
        Some(input) => ok(input.view(call.base)),
        None => Err(Box::new(answer::not_found())),
    }
}

async fn create(call: Call<'_>) -> Answered {
    let settings: Settings = call.json_if_any().await?;
    settings.check()?;
    let mut wishes = Wishes::default();
    settings.apply(&mut wishes);
    let (account, now, base) = (call.account().to_owned(), call.now(), call.base.to_owned());
    let making = call.blocking(move |shared| {
        let input = LiveInput::new(wishes, now)?;
        let (uid, view) = (input.uid.clone(), input.view(&base));
        let inputs = &shared.account.live_inputs;
        inputs.put(&account, &uid, input, shared.disk.as_ref())?;
        Ok(view)
    });
    ok(making.await?)
}

async fn update(call: Call<'_>) -> Answered {
    let settings: Settings = call.json_if_any().await?;
    settings.check()?;
    let now = call.now();
    let base = call.base.to_owned();
    let disables = settings.enabled == Some(false);
    let updating = change(&call, move |input| {
        settings.apply(&mut input.wishes);
        input.modified = now;
        Ok(input.view(&base))
    });
    let updated = updating.await?;
    if disables {
        let recorded = call
            .shared
            .account
            .live_inputs
            .get(call.account(), call.id());
        hang_up(&call, recorded.and_then(|input| input.recorded)).await;
    }
    ok(updated)
}

/// Its recordings stay.
async fn delete(call: Call<'_>) -> Answered {
    let (account, uid) = (call.account().to_owned(), call.id().to_owned());
    let removing = call.blocking(move |shared| {
        let inputs = &shared.account.live_inputs;
        inputs.remove(&account, &uid, shared.disk.as_ref())
    });
    match removing.await? {
        // Measured: an envelope with an empty text, where the documentation has an empty body.
        Some(input) => {
            hang_up(&call, input.recorded).await;
            ok("")
        }
        None => Err(Box::new(answer::not_found())),
    }
}

/// Nobody broadcasts to it any more, and its recording ends with what has come.
async fn hang_up(call: &Call<'_>, recorded: Option<String>) {
    if call.shared.stage.hang_up(call.id()) {
        live::close(call.shared, call.account(), call.id(), recorded.as_deref()).await;
    }
}

/// All of them at once: the documentation names no choice.
async fn rotate_keys(call: Call<'_>) -> Answered {
    let now = call.now();
    let base = call.base.to_owned();
    let rotating = change(&call, move |input| {
        // Before anything is changed: where there is no randomness, the old ones stay.
        input.secrets = Secrets::new()?;
        input.keys_rotated_at = Some(now);
        input.modified = now;
        Ok(input.view(&base))
    });
    rotating.await.and_then(ok)
}

/// Changes the live input that the path names.
///
/// # Errors
/// 404 where there is none.
pub(crate) async fn change<T: Send + 'static>(
    call: &Call<'_>,
    change: impl FnOnce(&mut LiveInput) -> std::io::Result<T> + Send + 'static,
) -> Result<T, Box<Answer>> {
    let (account, uid) = (call.account().to_owned(), call.id().to_owned());
    let changing = call.blocking(move |shared| {
        let inputs = &shared.account.live_inputs;
        inputs
            .change(&account, &uid, shared.disk.as_ref(), change)?
            .transpose()
    });
    let changed = changing.await?;
    changed.ok_or_else(|| Box::new(answer::not_found()))
}
