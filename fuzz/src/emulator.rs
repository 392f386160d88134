//! The emulator: any request to any path. It answers with a status, and nothing appears outside its folder. First
//! line method and path, then one header per line up to an empty one, then the body. In the path, `{video}`, `{key}`,
//! `{input}`, `{output}`, `{mark}` and `{track}` stand for the ids of what every server begins with.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use http::{HeaderValue, Method, Request, Response, Uri};
use http_transport::{Body, BoxFuture, Transport, TransportError};
use stream_emulator::{Blobs, Emulator, EmulatorHandle};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::heads;

/// Requests to one emulator, before a new one takes its place: a folder must not grow for ever.
const REQUESTS: u32 = 500;

struct Site {
    emulator: EmulatorHandle,
    /// Names in a path, and what stands for them.
    ids: Vec<(&'static str, String)>,
    // Dropped in this order: nothing runs any more when the folder goes.
    runtime: Runtime,
    folder: TempDir,
    requests: u32,
}

thread_local! {
    static SITE: RefCell<Option<Site>> = const { RefCell::new(None) };
}

pub(crate) fn run(bytes: &[u8]) {
    SITE.with_borrow_mut(|place| {
        place.take_if(|site| site.requests >= REQUESTS);
        let site = place.get_or_insert_with(Site::start);
        let Some(request) = request(bytes, &site.ids) else {
            return;
        };
        site.requests += 1;
        let transport = site.emulator.transport();
        if let Ok(answer) = site.runtime.block_on(transport.send(request)) {
            assert!(answer.status().as_u16() < 600);
            assert!(!answer.headers().contains_key("access-control-allow-origin"));
        }
        // Rows that the request may have added: a stalled answer would wait for ever.
        site.emulator.faults().clear();
        assert_eq!(names(site.folder.path()), ["canary", "data"]);
        let canary = std::fs::read(site.folder.path().join("canary"));
        assert_eq!(canary.expect("it is there"), b"outside");
    });
}

impl Site {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("canary"), b"outside").expect("a file");
        let emulator = Emulator::builder()
            .blobs(Blobs::Dir(folder.path().join("data")))
            .token("token")
            .outbound(Arc::new(Outside))
            // Another program is another target, and a slow one.
            .ffmpeg(false)
            .start();
        let emulator = runtime.block_on(emulator).expect("an emulator");
        let ids = runtime.block_on(fill(&emulator));
        Self {
            runtime,
            emulator,
            ids,
            folder,
            requests: 0,
        }
    }
}

/// Whatever is fetched is this picture, and whatever is told is heard.
struct Outside;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x01\x40\0\0\0\x50\x08\x06\0\0\0";

impl Transport for Outside {
    fn send(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async { Ok(Response::new(Body::from(PNG))) })
    }
}

/// Makes one of everything, and returns their names and ids.
async fn fill(emulator: &EmulatorHandle) -> Vec<(&'static str, String)> {
    const VIDEOS: &str = "/client/v4/accounts/a/stream";
    let json = "content-type: application/json\n\n";
    let mut ids: Vec<(&'static str, String)> = Vec::new();
    for (name, text) in [
        (
            "{video}",
            format!("POST {VIDEOS}\ntus-resumable: 1.0.0\nupload-length: 0\n\n"),
        ),
        ("{key}", format!("POST {VIDEOS}/keys\n{json}{{}}")),
        ("{input}", format!("POST {VIDEOS}/live_inputs\n{json}{{}}")),
        (
            "{output}",
            format!(
                "POST {VIDEOS}/live_inputs/{{input}}/outputs\n{json}\
                 {{\"url\": \"rtmp://a.test/b\", \"streamKey\": \"c\"}}"
            ),
        ),
        (
            "{mark}",
            format!("POST {VIDEOS}/watermarks\n{json}{{\"url\": \"http://a.test/b\"}}"),
        ),
        (
            "{track}",
            format!(
                "POST {VIDEOS}/{{video}}/audio/copy\n{json}\
                 {{\"url\": \"http://a.test/b\", \"label\": \"c\"}}"
            ),
        ),
    ] {
        let request = request(text.as_bytes(), &ids).expect("a request");
        let answer = emulator.transport().send(request).await.expect("an answer");
        let (head, body) = answer.into_parts();
        let id = if let Some(id) = head.headers.get("stream-media-id") {
            id.to_str().expect("an id").to_owned()
        } else {
            let body = body.collect(1 << 20).await.expect("a body");
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            let result = &body["result"];
            let id = result.get("uid").or(result.get("id"));
            id.and_then(|id| id.as_str()).expect("an id").to_owned()
        };
        ids.push((name, id));
    }
    ids
}

fn request(bytes: &[u8], ids: &[(&str, String)]) -> Option<Request<Body>> {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&bytes[..end], bytes[end + 2..].to_vec()),
        None => (bytes, Vec::new()),
    };
    let mut lines = heads::lines(head);
    let (method, path) = crate::text(lines.next()?).split_once(' ')?;
    let path = ids
        .iter()
        .fold(path.to_owned(), |path, (name, id)| path.replace(name, id));
    let uri = format!("http://127.0.0.1{path}").parse::<Uri>().ok()?;
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::from_bytes(method.as_bytes()).ok()?;
    *request.uri_mut() = uri;
    *request.headers_mut() = heads::headers(lines);
    // In the name of whoever may: what is behind the token is the larger part.
    request
        .headers_mut()
        .entry("authorization")
        .or_insert(HeaderValue::from_static("Bearer token"));
    Some(request)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<_> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
