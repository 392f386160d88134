//! Outputs of a live input: `…/stream/live_inputs/{uid}/outputs`.

use serde::Deserialize;
use stream_api::Op;
use url::Url;

use crate::account::live::{LiveInput, Output};
use crate::answer;
use crate::id;
use crate::op::call::ok;
use crate::op::live_inputs::change;
use crate::op::{Answered, Call, refuse};

/// Outputs of one live input, at most.
/// <https://developers.cloudflare.com/stream/stream-live/simulcasting/>
const MOST: usize = 50;

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    match call.op {
        Op::OutputsList => list(&call),
        Op::OutputsCreate => create(call).await,
        Op::OutputsUpdate => update(call).await,
        Op::OutputsDelete => delete(call).await,
        _ => super::unknown(),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    enabled: Option<bool>,
    stream_key: Option<String>,
    url: Option<String>,
}

fn list(call: &Call<'_>) -> Answered {
    match call
        .shared
        .account
        .live_inputs
        .get(call.account(), call.id())
    {
        Some(input) => ok(input.outputs.iter().map(Output::view).collect::<Vec<_>>()),
        None => Err(Box::new(answer::not_found())),
    }
}

async fn create(call: Call<'_>) -> Answered {
    let settings: Settings = call.json().await?;
    let (Some(url), Some(stream_key)) = (settings.url, settings.stream_key) else {
        return refuse("required fields are url and streamKey");
    };
    let is_known = Url::parse(&url)
        .is_ok_and(|url| ["rtmp", "rtmps", "srt"].contains(&url.scheme()) && url.has_host());
    if !is_known {
        return refuse("url must be an RTMP, RTMPS or SRT URL");
    }
    let enabled = settings.enabled.unwrap_or(true);
    let making = change(&call, move |input| {
        if input.outputs.len() >= MOST {
            return Ok(None);
        }
        let uid = id::new()?;
        let output = Output {
            uid,
            url,
            stream_key,
            enabled,
        };
        let view = output.view();
        input.outputs.push(output);
        Ok(Some(view))
    });
    match making.await? {
        Some(view) => ok(view),
        None => refuse(format!("a live input has at most {MOST} outputs")),
    }
}

async fn update(call: Call<'_>) -> Answered {
    let settings: Settings = call.json().await?;
    let Some(enabled) = settings.enabled else {
        return refuse("required field enabled is missing");
    };
    let uid = call.part().to_owned();
    let updating = change(&call, move |input| {
        let output = input.outputs.iter_mut().find(|output| output.uid == uid);
        Ok(output.map(|output| {
            output.enabled = enabled;
            output.view()
        }))
    });
    match updating.await? {
        Some(view) => ok(view),
        None => Err(Box::new(answer::not_found())),
    }
}

/// 200 with an empty body, as the documentation has it.
async fn delete(call: Call<'_>) -> Answered {
    let uid = call.part().to_owned();
    let removing = change(&call, move |input: &mut LiveInput| {
        let before = input.outputs.len();
        input.outputs.retain(|output| output.uid != uid);
        Ok(input.outputs.len() < before)
    });
    if removing.await? {
        Ok(answer::Answer::default())
    } else {
        Err(Box::new(answer::not_found()))
    }
}
