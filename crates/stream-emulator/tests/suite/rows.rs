//! A request for every row of the table of operations, on a server that has what the row needs.

use http::Method;
use serde_json::{Value, json};
use stream_api::endpoints::Carries;
use stream_api::{Endpoint, Op};
use stream_emulator::{Emulator, EmulatorHandle};

use crate::api::{VIDEOS, create};
use crate::wire::{Answer, TOKEN, patch, tus};
use crate::world::{Outside, call, call_with, call_with_form, result, started};

pub(crate) const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\x40\0\0\0\x50\x08\x06\0\0\0";
pub(crate) const WAV: &[u8] = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0";
pub(crate) const VTT: &[u8] = b"WEBVTT\n\n00:01.000 --> 00:02.000\nhello\n";

/// A server whose way out leads to a picture.
pub(crate) async fn server() -> EmulatorHandle {
    let (outside, _) = Outside::new();
    outside.answers(200, PNG);
    started(Emulator::builder().outbound(outside)).await
}

/// A video that is ready.
pub(crate) async fn video(server: &EmulatorHandle) -> String {
    let (uid, path) = create(server, "YQ==").await;
    patch(server, &path, 0, &[TOKEN], b"abcd").await;
    uid
}

async fn uid_of(answer: Answer, field: &str) -> String {
    result(&answer)[field].as_str().expect("an id").to_owned()
}

/// What must be there before the row is asked, as the parameters after the account.
async fn prepare(server: &EmulatorHandle, op: Op) -> Vec<String> {
    let input = async || {
        let made = call_with(server, "POST", "/live_inputs", &json!({})).await;
        uid_of(made, "uid").await
    };
    match op {
        Op::KeysDelete => {
            let made = call_with(server, "POST", "/keys", &json!({})).await;
            vec![uid_of(made, "id").await]
        }
        Op::KeysList => {
            call_with(server, "POST", "/keys", &json!({})).await;
            Vec::new()
        }
        Op::LiveInputsGet
        | Op::LiveInputsUpdate
        | Op::LiveInputsDelete
        | Op::LiveInputsRotateKeys
        | Op::OutputsCreate => vec![input().await],
        Op::LiveInputsList => {
            input().await;
            Vec::new()
        }
        Op::OutputsList | Op::OutputsUpdate | Op::OutputsDelete => {
            let input = input().await;
            let path = format!("/live_inputs/{input}/outputs");
            let wishes = json!({ "url": "rtmp://a.test/live", "streamKey": "k" });
            let output = uid_of(call_with(server, "POST", &path, &wishes).await, "uid").await;
            vec![input, output]
        }
        Op::WatermarksGet | Op::WatermarksDelete | Op::WatermarksList => {
            let made = call_with_form(server, "POST", "/watermarks", &[("file", PNG)]).await;
            vec![uid_of(made, "uid").await]
        }
        Op::WebhookGet | Op::WebhookDelete => {
            let wishes = json!({ "notificationUrl": "https://a.test/" });
            call_with(server, "PUT", "/webhook", &wishes).await;
            Vec::new()
        }
        Op::AudioTracksList | Op::AudioTracksEdit | Op::AudioTracksDelete => {
            let video = video(server).await;
            let path = format!("/{video}/audio");
            let fields = [("label", b"one".as_slice()), ("file", WAV)];
            let track = call_with_form(server, "POST", &path, &fields).await;
            vec![video, uid_of(track, "uid").await]
        }
        Op::CaptionsList | Op::CaptionsGet | Op::CaptionsDelete | Op::CaptionsVtt => {
            let video = video(server).await;
            let path = format!("/{video}/captions/en");
            call_with_form(server, "PUT", &path, &[("file", VTT)]).await;
            vec![video, "en".to_owned()]
        }
        Op::CaptionsPut | Op::CaptionsGenerate => vec![video(server).await, "en".to_owned()],
        Op::DownloadsList
        | Op::DownloadsDelete
        | Op::DownloadsDeleteType
        | Op::DownloadsCreateType => {
            let video = video(server).await;
            if op != Op::DownloadsCreateType {
                call(server, "POST", &format!("/{video}/downloads")).await;
            }
            vec![video, "default".to_owned()]
        }
        _ => vec![video(server).await],
    }
}

fn body(op: Op, parameters: &[String]) -> Value {
    match op {
        Op::ClipCreate => json!({ "clippedFromVideoUID": parameters[0],
            "startTimeSeconds": 0, "endTimeSeconds": 1 }),
        Op::CopyCreate => json!({ "input": "https://files.test/a.mp4" }),
        Op::DirectUploadCreate => json!({ "maxDurationSeconds": 60 }),
        Op::OutputsCreate => json!({ "url": "rtmp://a.test/live", "streamKey": "k" }),
        Op::OutputsUpdate => json!({ "enabled": false }),
        Op::WatermarksCreateFromUrl => json!({ "url": "https://files.test/a.png" }),
        Op::WebhookSet => json!({ "notificationUrl": "https://a.test/" }),
        Op::VideosEdit => json!({ "meta": { "name": "b" }, "creator": "me",
            "publicDetails": { "title": "t" } }),
        Op::AudioTracksCopy => json!({ "label": "two", "url": "https://files.test/a.wav" }),
        Op::AudioTracksEdit => json!({ "label": "three" }),
        _ => json!({}),
    }
}

/// Asks a row, whatever it needs being there.
pub(crate) async fn ask(server: &EmulatorHandle, row: &Endpoint) -> Answer {
    let parameters = prepare(server, row.op).await;
    let all: Vec<_> = ["acc"]
        .into_iter()
        .chain(parameters.iter().map(String::as_str))
        .collect();
    let path = format!("/client/v4{}", row.path_with(&all));
    let below = path
        .strip_prefix(VIDEOS)
        .expect("a path of the account")
        .to_owned();
    let method = row.method.as_str();
    match row.carries {
        Carries::Tus => {
            let lines = [TOKEN, "Upload-Length: 4"];
            tus(server, method, &path, &lines, b"").await
        }
        Carries::Form => {
            let fields = match row.op {
                Op::AudioTracksCreate => vec![("label", b"one".as_slice()), ("file", WAV)],
                Op::CaptionsPut => vec![("file", VTT)],
                Op::WatermarksCreate => vec![("file", PNG)],
                _ => vec![("file", b"abcd".as_slice())],
            };
            call_with_form(server, method, &below, &fields).await
        }
        Carries::Json => call_with(server, method, &below, &body(row.op, &parameters)).await,
        _ => {
            let query = match row.op {
                Op::VideosList | Op::LiveInputsList => "?include_counts=true",
                _ => "",
            };
            assert_ne!(row.method, Method::PATCH);
            call(server, method, &format!("{below}{query}")).await
        }
    }
}
