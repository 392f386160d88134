//! Watermark profiles.

use serde_json::{Value, json};
use stream_emulator::{Emulator, EmulatorHandle};

use crate::world::{Outside, call, call_with, call_with_form, plain, refusal, result, started};

/// The head of a PNG of 320 by 80 pixels.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\x40\0\0\0\x50\x08\x06\0\0\0";

async fn upload(server: &EmulatorHandle) -> Value {
    let fields = [
        ("file", PNG),
        ("name", b"logo".as_slice()),
        ("opacity", b"0.75"),
        ("position", b"center"),
    ];
    result(&call_with_form(server, "POST", "/watermarks", &fields).await)
}

#[tokio::test]
async fn a_profile_knows_the_size_of_its_picture() {
    let server = plain().await;
    let mark = upload(&server).await;
    let uid = mark["uid"].as_str().unwrap();
    assert_eq!(
        mark,
        json!({ "uid": uid, "created": mark["created"], "downloadedFrom": null, "size": PNG.len(),
            "width": 320, "height": 80, "name": "logo", "opacity": 0.75, "padding": 0.05,
            "scale": 0.15, "position": "center" })
    );
    let path = format!("/watermarks/{uid}");
    assert_eq!(result(&call(&server, "GET", &path).await), mark);
    assert_eq!(
        result(&call(&server, "GET", "/watermarks").await),
        json!([mark])
    );
    assert_eq!(result(&call(&server, "DELETE", &path).await), "");
    assert_eq!(refusal(&call(&server, "GET", &path).await), (404, 10003));
    assert_eq!(refusal(&call(&server, "DELETE", &path).await), (404, 10003));
}

#[tokio::test]
async fn a_picture_is_fetched_from_a_url() {
    let (outside, mut asked) = Outside::new();
    outside.answers(200, PNG);
    let server = started(Emulator::builder().outbound(outside.clone())).await;
    let url = "https://files.test/logo.png";
    let wishes = json!({ "url": url, "scale": 1 });
    let mark = result(&call_with(&server, "POST", "/watermarks", &wishes).await);
    assert_eq!(
        (&mark["downloadedFrom"], &mark["width"], &mark["scale"]),
        (&url.into(), &320.into(), &1.0.into())
    );
    assert_eq!(asked.recv().await.unwrap().url, url);
    outside.answers(404, b"");
    let refused = call_with(&server, "POST", "/watermarks", &wishes).await;
    assert_eq!(refusal(&refused), (400, 10005));
}

#[tokio::test]
async fn what_is_no_picture_or_lies_out_of_bounds_is_refused() {
    let server = plain().await;
    for fields in [
        vec![("name", b"x".as_slice())],
        vec![("file", b"hello")],
        vec![("file", PNG), ("opacity", b"2")],
        vec![("file", PNG), ("scale", b"x")],
        vec![("file", PNG), ("position", b"middle")],
    ] {
        let refused = call_with_form(&server, "POST", "/watermarks", &fields).await;
        assert_eq!(refusal(&refused), (400, 10005), "{fields:?}");
    }
    let large = vec![0; 2 * 1024 * 1024 + 1];
    let refused = call_with_form(&server, "POST", "/watermarks", &[("file", &large)]).await;
    assert_eq!(refusal(&refused).0, 413);
    let refused = call_with(&server, "POST", "/watermarks", &json!({ "url": "x" })).await;
    assert_eq!(refusal(&refused), (400, 10010));
}
