//! Live inputs and their outputs.

use serde_json::{Value, json};
use stream_emulator::EmulatorHandle;

use crate::world::{call, call_with, plain, refusal, result};

async fn make(server: &EmulatorHandle, wishes: &Value) -> (String, Value) {
    let input = result(&call_with(server, "POST", "/live_inputs", wishes).await);
    (
        format!("/live_inputs/{}", input["uid"].as_str().expect("a uid")),
        input,
    )
}

#[tokio::test]
async fn an_input_shows_its_secrets_alone_and_not_in_a_listing() {
    let server = plain().await;
    let wishes = json!({
        "meta": { "name": "stage" }, "defaultCreator": "me", "deleteRecordingAfterDays": 45,
        "recording": { "mode": "automatic", "timeoutSeconds": 10, "requireSignedURLs": true,
            "allowedOrigins": ["example.com"], "hideLiveViewerCount": true },
        "preferLowLatency": true, "unknown": 1,
    });
    let (path, input) = make(&server, &wishes).await;
    for field in ["meta", "defaultCreator", "recording", "preferLowLatency"] {
        assert_eq!(input[field], wishes[field], "{field}");
    }
    assert_eq!(input["deleteRecordingAfterDays"], 45.0);
    assert_eq!(
        (&input["enabled"], &input["status"]),
        (&true.into(), &Value::Null)
    );
    for secret in [
        "/rtmps/streamKey",
        "/srt/passphrase",
        "/webRTC/url",
        "/srtPlayback/streamId",
    ] {
        assert!(
            input.pointer(secret).unwrap().as_str().unwrap().len() >= 32,
            "{secret}"
        );
    }
    assert_eq!(result(&call(&server, "GET", &path).await), input);
    let listed = result(&call(&server, "GET", "/live_inputs?include_counts=true").await);
    assert_eq!((&listed["total"], &listed["range"]), (&1.into(), &1.into()));
    let listed = &listed["liveInputs"][0];
    assert_eq!(listed["meta"], input["meta"]);
    assert!(listed.get("rtmps").is_none() && listed.get("srt").is_none());
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let server = plain().await;
    let (path, input) = make(&server, &json!({ "deleteRecordingAfterDays": 30 })).await;
    let wishes = json!({ "enabled": false, "recording": { "mode": "automatic" } });
    let changed = result(&call_with(&server, "PUT", &path, &wishes).await);
    assert_eq!(changed["recording"]["mode"], "automatic");
    assert_eq!(changed["enabled"], false);
    assert_eq!(
        (&changed["deleteRecordingAfterDays"], &changed["rtmps"]),
        (&30.0.into(), &input["rtmps"])
    );
    let wishes = json!({ "deleteRecordingAfterDays": null });
    let changed = result(&call_with(&server, "PUT", &path, &wishes).await);
    assert_eq!(changed["deleteRecordingAfterDays"], Value::Null);
}

#[tokio::test]
async fn keys_are_rotated_all_at_once() {
    let server = plain().await;
    let (path, before) = make(&server, &json!({})).await;
    assert_eq!(before["keysRotatedAt"], Value::Null);
    let after = result(&call(&server, "POST", &format!("{path}/rotate_keys")).await);
    assert!(after["keysRotatedAt"].is_string());
    for secret in [
        "/rtmps/streamKey",
        "/rtmpsPlayback/streamKey",
        "/srt/passphrase",
        "/srtPlayback/passphrase",
        "/webRTC/url",
        "/webRTCPlayback/url",
    ] {
        assert_ne!(before.pointer(secret), after.pointer(secret), "{secret}");
    }
    assert_eq!(before["uid"], after["uid"]);
    assert_eq!(result(&call(&server, "GET", &path).await), after);
}

#[tokio::test]
async fn settings_out_of_bounds_are_refused() {
    let server = plain().await;
    let (path, _) = make(&server, &json!({})).await;
    for (wishes, code) in [
        (json!({ "deleteRecordingAfterDays": 29 }), 10060),
        (json!({ "deleteRecordingAfterDays": 1097 }), 10060),
        (json!({ "defaultCreator": "x".repeat(65) }), 10005),
        (json!({ "recording": { "timeoutSeconds": 86_401 } }), 10005),
        (json!({ "recording": { "mode": "sometimes" } }), 10004),
        (json!({ "meta": "x" }), 10004),
        (json!({ "enabled": "yes" }), 10004),
    ] {
        for (method, path) in [("POST", "/live_inputs"), ("PUT", &path)] {
            let refused = call_with(&server, method, path, &wishes).await;
            assert_eq!(refusal(&refused), (400, code), "{method} {wishes}");
        }
    }
}

#[tokio::test]
async fn a_deleted_input_is_gone_with_its_outputs() {
    let server = plain().await;
    let (path, _) = make(&server, &json!({})).await;
    assert_eq!(result(&call(&server, "DELETE", &path).await), "");
    for (method, path) in [
        ("GET", path.clone()),
        ("DELETE", path.clone()),
        ("PUT", path.clone()),
        ("POST", format!("{path}/rotate_keys")),
        ("GET", format!("{path}/outputs")),
    ] {
        assert_eq!(
            refusal(&call(&server, method, &path).await),
            (404, 10003),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn outputs_are_added_switched_and_removed() {
    let server = plain().await;
    let (path, _) = make(&server, &json!({})).await;
    let outputs = format!("{path}/outputs");
    let wishes = json!({ "url": "rtmp://a.rtmp.test/live2", "streamKey": "secret" });
    let output = result(&call_with(&server, "POST", &outputs, &wishes).await);
    assert_eq!(
        (&output["url"], &output["streamKey"], &output["enabled"]),
        (&wishes["url"], &wishes["streamKey"], &true.into())
    );
    let one = format!("{outputs}/{}", output["uid"].as_str().unwrap());
    let off = json!({ "enabled": false });
    let changed = result(&call_with(&server, "PUT", &one, &off).await);
    assert_eq!(
        (&changed["enabled"], &changed["uid"]),
        (&false.into(), &output["uid"])
    );
    assert_eq!(
        result(&call(&server, "GET", &outputs).await),
        json!([changed])
    );
    let refused = call_with(&server, "PUT", &one, &json!({})).await;
    assert_eq!(refusal(&refused), (400, 10005));
    let deleted = call(&server, "DELETE", &one).await;
    assert_eq!((deleted.status, deleted.body.len()), (200, 0));
    assert_eq!(refusal(&call(&server, "DELETE", &one).await), (404, 10003));
}

#[tokio::test]
async fn outputs_are_checked_and_fifty_at_most() {
    let server = plain().await;
    let (path, _) = make(&server, &json!({})).await;
    let outputs = format!("{path}/outputs");
    for wishes in [
        json!({ "url": "rtmp://a.test/" }),
        json!({ "streamKey": "k" }),
        json!({ "url": "https://a.test/", "streamKey": "k" }),
    ] {
        let refused = call_with(&server, "POST", &outputs, &wishes).await;
        assert_eq!(refusal(&refused), (400, 10005), "{wishes}");
    }
    let wishes = json!({ "url": "srt://a.test:778", "streamKey": "k" });
    for _ in 0..50 {
        assert_eq!(
            call_with(&server, "POST", &outputs, &wishes).await.status,
            200
        );
    }
    let refused = call_with(&server, "POST", &outputs, &wishes).await;
    assert_eq!(refusal(&refused), (400, 10005));
}
