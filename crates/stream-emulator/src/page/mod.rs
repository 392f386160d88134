//! The page at `/`: the account's videos with their state, live; it plays them, and uploads by direct creator upload.
//!
//! Plain HTML and a script, no build step, nothing from elsewhere. `tus.min.js` is the browser build of tus-js-client
//! 4.3.1, as npm has it (MIT, `LICENSE-tus-js-client` beside it).

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode};
use http_transport::Body;

use crate::answer::{self, Answer};

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

/// The page itself.
pub(crate) static INDEX: Asset = Asset {
    name: "",
    kind: "text/html; charset=utf-8",
    bytes: include_bytes!("index.html"),
};

static ASSETS: [Asset; 3] = [
    Asset {
        name: "page.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("page.css"),
    },
    Asset {
        name: "page.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("page.js"),
    },
    Asset {
        name: "tus.min.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("tus.min.js"),
    },
];

/// The file with this name, below `/page/`.
pub(crate) fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Nothing of it is secret, and it may load nothing but itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn answer(head: &Request<()>, asset: &'static Asset) -> Answer {
    if !matches!(*head.method(), Method::GET | Method::HEAD) {
        return answer::text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
    }
    let mut answer = Answer::new(Body::from(asset.bytes));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    let name = HeaderName::from_static("x-content-type-options");
    headers.insert(name, HeaderValue::from_static("nosniff"));
    let name = HeaderName::from_static("referrer-policy");
    headers.insert(name, HeaderValue::from_static("same-origin"));
    answer
}
