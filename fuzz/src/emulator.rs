//! The emulator: any request to any path. It answers with a status, and nothing appears outside its folder. First
//! line method and path, then one header per line up to an empty one, then the body.

use std::cell::RefCell;
use std::path::Path;

use http::{HeaderValue, Method, Request, Uri};
use http_transport::{Body, Transport};
use stream_emulator::{Blobs, Emulator, EmulatorHandle};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::heads;

/// Requests to one emulator, before a new one takes its place: a folder must not grow for ever.
const REQUESTS: u32 = 500;

struct Site {
    emulator: EmulatorHandle,
    // Dropped in this order: nothing runs any more when the folder goes.
    runtime: Runtime,
    folder: TempDir,
    requests: u32,
}

thread_local! {
    static SITE: RefCell<Option<Site>> = const { RefCell::new(None) };
}

pub(crate) fn run(bytes: &[u8]) {
    let Some(request) = request(bytes) else {
        return;
    };
    SITE.with_borrow_mut(|place| {
        place.take_if(|site| site.requests >= REQUESTS);
        let site = place.get_or_insert_with(Site::start);
        site.requests += 1;
        let transport = site.emulator.transport();
        if let Ok(answer) = site.runtime.block_on(transport.send(request)) {
            assert!(answer.status().as_u16() < 600);
            assert!(!answer.headers().contains_key("access-control-allow-origin"));
        }
        // Rows that the request may have added: a stalled answer would wait for ever.
        site.emulator.faults().clear();
        assert_eq!(names(site.folder.path()), ["canary", "data"]);
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
            .start();
        let emulator = runtime.block_on(emulator).expect("an emulator");
        Self {
            runtime,
            emulator,
            folder,
            requests: 0,
        }
    }
}

fn request(bytes: &[u8]) -> Option<Request<Body>> {
    let end = bytes.windows(2).position(|two| two == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&bytes[..end], bytes[end + 2..].to_vec()),
        None => (bytes, Vec::new()),
    };
    let mut lines = heads::lines(head);
    let (method, path) = crate::text(lines.next()?).split_once(' ')?;
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
