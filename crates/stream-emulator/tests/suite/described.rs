//! Every answer against Cloudflare's own description of its API.

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};
use stream_api::endpoints::{Answers, TABLE};
use stream_api::{Endpoint, Op};

use crate::rows::{ask, server};
use crate::wire::send;

fn read(name: &str) -> Value {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/vectors/openapi/");
    let text = std::fs::read_to_string(format!("{folder}{name}")).expect("a vector");
    serde_json::from_str(&text).expect("JSON")
}

/// The description as it is now: with the overlay, and as JSON schemas.
struct Description {
    document: Value,
}

impl Description {
    fn read() -> Self {
        let mut document = read("stream-openapi.json");
        overlay(&mut document["components"]["schemas"]);
        correct(&mut document["components"]["schemas"]);
        allow_null(&mut document);
        Self { document }
    }

    /// What a good answer of a row is; `None` where nothing is said of it.
    fn of_success(&self, row: &Endpoint) -> Option<Value> {
        let component = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        // Operations that are newer than the description, and answers that have changed since.
        Some(match row.op {
            Op::LiveInputsRotateKeys => component("stream_live_input_response_single"),
            Op::VideosCreateForm | Op::ClipCreate | Op::CopyCreate => {
                component("stream_video_response_single")
            }
            Op::AudioTracksCreate => component("stream_addAudioTrackResponse"),
            Op::WatermarksCreateFromUrl => component("stream_watermark_response_single"),
            Op::DownloadsDeleteType => component("stream_deleted_response"),
            Op::DownloadsCreateType => component("stream_downloads_response"),
            _ => {
                let operation = &self.document["paths"][row.path];
                let operation = &operation[row.method.as_str().to_ascii_lowercase()];
                assert!(operation.is_object(), "{} is not described", row.id);
                let good = &operation["responses"]["200"]["content"]["application/json"];
                good.get("schema")?.clone()
            }
        })
    }

    fn validator(&self, schema: &Value) -> Validator {
        // Side by side with what it refers to.
        let root = json!({ "allOf": [schema], "components": self.document["components"] });
        jsonschema::options()
            .with_draft(Draft::Draft4)
            .should_validate_formats(true)
            .build(&root)
            .expect("a schema")
    }

    fn check(&self, schema: &Value, answer: &Value) -> Result<(), String> {
        let validator = self.validator(schema);
        let errors: Vec<_> = validator
            .iter_errors(answer)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(format!("{}\n{answer:#}", errors.join("\n")))
        }
    }
}

/// What has changed since the description was written: one change per entry of the overlay that concerns an answer.
fn overlay(schemas: &mut Value) {
    let overlay = read("stream-openapi-overlay-2026.json");
    let text = overlay.to_string();
    let mut change = |schema: &str, pointer: &str, value: Value, because: &str| {
        assert!(text.contains(because), "the overlay does not say {because}");
        let place = schemas[schema].pointer_mut(pointer);
        *place.unwrap_or_else(|| panic!("{schema} has no {pointer}")) = value;
    };
    let whole = |kind: &str| json!({ "type": kind });
    change(
        "stream_maxDurationSeconds",
        "/maximum",
        36_000.into(),
        "36000 (was 21600)",
    );
    let audio = json!({ "type": "object", "required": ["audio"], "properties": { "audio": {
        "type": "array", "items": { "$ref": "#/components/schemas/stream_additionalAudio" } } } });
    change(
        "stream_listAudioTrackResponse",
        "/allOf/1/properties/result",
        audio,
        "result is {audio:[Audio]} instead of [Audio]",
    );
    let download = json!({ "type": "object", "required": ["percentComplete", "status"],
        "properties": { "percentComplete": { "type": "number", "minimum": 0, "maximum": 100 },
            "status": { "enum": ["ready", "inprogress", "error"] }, "url": whole("string") } });
    change(
        "stream_downloads_response",
        "/allOf/1/properties/result",
        json!({ "type": "object", "additionalProperties": false,
            "properties": { "default": download, "audio": download } }),
        "{audio?:{percentComplete,status,url?}, default?:{...}}",
    );
    change(
        "stream_webhook_response_single",
        "/allOf/1/properties/result",
        json!({ "type": "object", "properties": { "notificationUrl": whole("string"),
            "notification_url": whole("string"), "secret": whole("string"),
            "modified": { "type": "string", "format": "date-time" } } }),
        "notification_url",
    );
    change(
        "stream_storage_use_response",
        "/allOf/1/properties/result/properties/totalStorageMinutes",
        whole("number"),
        "number, may have decimals (was integer)",
    );
    for (field, value) in [
        ("clippedFrom", whole("string")),
        ("maxSizeBytes", whole("number")),
        ("publicDetails", whole("object")),
    ] {
        assert!(text.contains(field));
        schemas["stream_videos"]["properties"][field] = value;
    }
    for (field, value) in [
        ("enabled", whole("boolean")),
        (
            "keysRotatedAt",
            json!({ "type": "string", "format": "date-time", "nullable": true }),
        ),
        ("preferLowLatency", whole("boolean")),
    ] {
        assert!(text.contains(field));
        schemas["stream_live_input"]["properties"][field] = value;
    }
    let states = schemas["stream_media_state"]["enum"].as_array_mut();
    states.expect("an enum").push("live-inprogress".into());
    let recording = &mut schemas["stream_live_input_recording_settings"]["properties"];
    recording["hideLiveViewerCount"] = whole("boolean");
}

/// Where the prose of a schema contradicts its type: the prose counts, for it is what answers are seen to do.
fn correct(schemas: &mut Value) {
    for (schema, part_of_its_prose) in [
        ("stream_downloadedFrom", "this field is null"),
        (
            "stream_live_input_recording_deletion",
            "with a `null` value",
        ),
        ("stream_scheduledDeletion", "with a `null` value"),
    ] {
        let schema = &mut schemas[schema];
        let prose = schema["description"].as_str().expect("prose");
        assert!(prose.contains(part_of_its_prose), "{prose}");
        schema["nullable"] = true.into();
    }
    // "A value of `-1` means the value is unknown."
    schemas["stream_maxDurationSeconds"]["minimum"] = (-1).into();
    // A number of bytes in words that belong elsewhere: it is a text, and its bounds are not one's.
    let percent = schemas["stream_pctComplete"].as_object_mut();
    percent.expect("a schema").retain(|key, _| key == "type");
    // "This value can be null": a watermark stands in a video only when there is one.
    let failure = &mut schemas["stream_api-response-common-failure"]["properties"]["result"];
    *failure = json!({ "enum": [null] });
}

/// `nullable` is a word of OpenAPI 3.0 only.
fn allow_null(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(allow_null);
            if fields.remove("nullable") == Some(true.into()) {
                let schema = Value::Object(std::mem::replace(fields, Map::new()));
                fields.insert("anyOf".to_owned(), json!([{ "type": "null" }, schema]));
            }
            // Examples may look like references and are none.
            fields.remove("example");
        }
        Value::Array(list) => list.iter_mut().for_each(allow_null),
        _ => {}
    }
}

#[tokio::test]
async fn every_answer_is_as_it_is_described() {
    let description = Description::read();
    let server = server().await;
    let mut wrong = Vec::new();
    for row in TABLE {
        let answer = ask(&server, row).await;
        let wanted = if row.answers == Answers::Created {
            201
        } else {
            200
        };
        if answer.status != wanted {
            wrong.push(format!("{}: {} {}", row.id, answer.status, answer.text()));
            continue;
        }
        match row.answers {
            Answers::Created => assert!(answer.header("stream-media-id").is_some()),
            Answers::Vtt => assert!(answer.text().starts_with("WEBVTT")),
            Answers::Html => assert!(answer.text().starts_with('<')),
            _ => {
                let Some(schema) = description.of_success(row) else {
                    continue;
                };
                if let Err(error) = description.check(&schema, &answer.json()) {
                    wrong.push(format!("{}: {error}", row.id));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test]
async fn every_refusal_is_as_it_is_described() {
    let description = Description::read();
    let schema = json!({ "$ref": "#/components/schemas/stream_api-response-common-failure" });
    let server = server().await;
    let mut wrong = Vec::new();
    for row in TABLE {
        let path = format!("/client/v4{}", row.path_with(&["acc", "none", "none"]));
        let method = row.method.as_str();
        let form = "Content-Type: multipart/form-data; boundary=b";
        for lines in [
            vec![],
            vec!["Authorization: Bearer wrong"],
            vec![crate::wire::TOKEN, "Content-Type: application/json"],
            vec![crate::wire::TOKEN, form],
        ] {
            let answer = send(&server, method, &path, &lines, b"{")
                .await
                .expect("an answer");
            if answer.status < 400 {
                continue;
            }
            if let Err(error) = description.check(&schema, &answer.json()) {
                wrong.push(format!("{} {lines:?}: {error}", row.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
