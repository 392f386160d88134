//! Numbers, texts and answers without sense.

use std::time::Duration;

use http::{HeaderName, HeaderValue, Response};

use crate::client::{Exchange, Verdict, VerdictKind};
use crate::rejection::Phase;
use crate::sim::Random;
use crate::sim::site::status_of;

pub(super) const NANO: Duration = Duration::from_nanos(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Numbers of all sizes, the last ones among them.
pub(super) fn number(random: &mut Random) -> u64 {
    match random.below(8) {
        0 => 0,
        1 => u64::MAX - random.below(3),
        2 => 1 << random.below(64),
        _ => random.draw() >> random.below(64),
    }
}

pub(super) fn verdict(random: &mut Random) -> Verdict {
    let kinds = [
        VerdictKind::AlreadyUsed,
        VerdictKind::Expired,
        VerdictKind::Gone,
        VerdictKind::Login,
        VerdictKind::NotAVideo,
        VerdictKind::QueueFull,
        VerdictKind::StorageFull,
        VerdictKind::TooLarge,
    ];
    Verdict {
        kind: random.chance(700).then(|| random.pick(&kinds)),
        code: random.chance(500).then_some(10_001),
        message: String::new(),
    }
}

/// An answer that a server could give.
fn likely(random: &mut Random, exchange: &Exchange, answer: &mut Response<()>) {
    let deferred = random.chance(300);
    let headers = answer.headers_mut();
    let offset = match exchange.chunk {
        Some(chunk) => chunk.start.saturating_add(random.within(0, chunk.len)),
        None => number(random),
    };
    headers.insert("upload-offset", HeaderValue::from(offset));
    headers.insert("tus-version", HeaderValue::from_static("1.0.0"));
    if deferred {
        headers.insert("upload-defer-length", HeaderValue::from_static("1"));
    }
    if exchange.phase == Phase::Create {
        headers.insert("location", HeaderValue::from_static("/files/3"));
        *answer.status_mut() = status_of(201);
    }
}

/// An answer that may make sense, or may not.
pub(super) fn weird(random: &mut Random, wanted: Option<&Exchange>) -> Response<()> {
    let statuses = [
        200, 200, 201, 201, 204, 204, 204, 206, 300, 301, 304, 307, 308, 400, 401, 403, 404, 405,
        408, 409, 410, 412, 413, 415, 418, 423, 425, 429, 431, 460, 500, 501, 502, 503, 504, 507,
        520, 530, 100, 101, 599, 999,
    ];
    let mut answer = Response::new(());
    if let (Some(exchange), true) = (wanted, random.chance(350)) {
        likely(random, exchange, &mut answer);
        return answer;
    }
    *answer.status_mut() = status_of(random.pick(&statuses));
    let chunk = wanted.and_then(|exchange| exchange.chunk);
    for name in ANSWER_HEADERS {
        for _ in 0..random.pick(&[0, 0, 1, 1, 1, 2]) {
            let text = match (*name, chunk) {
                ("upload-offset", Some(chunk)) if random.chance(600) => {
                    let within = chunk.start.saturating_add(random.below(chunk.len.max(1)));
                    random.pick(&[chunk.start, chunk.end(), within]).to_string()
                }
                ("location", _) if random.chance(600) => random
                    .pick(&["/files/9", "https://other.example/x", "8"])
                    .to_owned(),
                _ => text(random),
            };
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                answer
                    .headers_mut()
                    .append(HeaderName::from_static(name), value);
            }
        }
    }
    answer
}

const ANSWER_HEADERS: &[&str] = &[
    "content-type",
    "location",
    "retry-after",
    "stream-media-id",
    "tus-checksum-algorithm",
    "tus-extension",
    "tus-max-size",
    "tus-resumable",
    "tus-version",
    "upload-expires",
    "upload-length",
    "upload-offset",
];

pub(super) const REQUEST_HEADERS: &[&str] = &[
    "content-length",
    "content-type",
    "trailer",
    "transfer-encoding",
    "tus-resumable",
    "upload-checksum",
    "upload-concat",
    "upload-defer-length",
    "upload-length",
    "upload-metadata",
    "upload-offset",
    "x-http-method-override",
];

/// What stands in a header, of this one or of another.
pub(super) fn text(random: &mut Random) -> String {
    let known = [
        "",
        " ",
        ",",
        "-1",
        "+1",
        "1e3",
        "0x10",
        "1.0.0",
        "0.2.2",
        "\u{fc}",
        "text/html; charset=utf-8",
        "application/offset+octet-stream",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Sun, 06 Nov 94 08:49:37",
        "18446744073709551616",
        "javascript:alert(1)",
        "//evil.example/x",
        "http://127.0.0.1/",
        "https://user:pw@tus.example/",
        "http://[::1",
        "creation,creation-with-upload,checksum,checksum-trailer,concatenation",
        "sha1,md5",
        "partial",
        "final;",
        "final;/files/1 /files/2",
        "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        "md5 *",
        "upload-checksum",
        "chunked",
        "name YQ==,empty,other Yg",
        "name  YQ==",
        "PATCH",
        "BREW",
    ];
    match random.below(4) {
        0 => number(random).to_string(),
        1 => {
            let length = random.below(24);
            (0..length)
                .map(|_| random.within(0x20, 0xff) as u8 as char)
                .collect()
        }
        2 if random.chance(20) => "x".repeat(9000),
        _ => random.pick(&known).to_owned(),
    }
}
