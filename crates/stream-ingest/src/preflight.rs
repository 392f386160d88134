//! Whether Stream could fetch a URL: asked here, before Stream is.
//!
//! Its source must be public, answer HEAD, and answer ranges.
//! <https://developers.cloudflare.com/stream/uploading-videos/upload-via-link/>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderName};
use http::header::{LAST_MODIFIED, LOCATION, RANGE};
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_transport::{Body, Transport, TransportError};
use stream_api::SourceUrl;

use crate::limits::MAX_VIDEO_BYTES;

/// Redirects that are followed, at most.
const REDIRECTS: usize = 5;

/// What a source says of what it serves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceFacts {
    /// Bytes, if it said so.
    pub length: Option<u64>,
    /// Whether a part of it can be asked for.
    pub ranges: bool,
    /// What changes with its content.
    pub etag: Option<String>,
    /// When it was changed, as it said.
    pub last_modified: Option<String>,
}

/// Why Stream could not fetch a URL. It names the source's host and nothing else of the URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No answer.
    #[error("{host} does not answer")]
    Fault {
        /// The source's host.
        host: String,
        /// Why not.
        #[source]
        source: TransportError,
    },
    /// HEAD is refused, and GET is not.
    #[error(
        "{host} refuses HEAD ({status}), which Stream asks first; a URL signed for GET does: fetch it here instead"
    )]
    NoHead {
        /// The source's host.
        host: String,
        /// What it answered.
        status: StatusCode,
    },
    /// A part cannot be asked for.
    #[error("{host} does not answer ranges, which Stream asks for")]
    NoRanges {
        /// The source's host.
        host: String,
    },
    /// The host is not one that the internet can reach.
    #[error("{host} is not public, so Stream cannot reach it: fetch it here instead")]
    NotPublic {
        /// The source's host.
        host: String,
    },
    /// It refuses, or has nothing.
    #[error("{host} answers {status}")]
    Refused {
        /// The source's host.
        host: String,
        /// What it answered.
        status: StatusCode,
    },
    /// It is larger than Stream takes.
    #[error("the file has {bytes} bytes, and Stream takes less than {MAX_VIDEO_BYTES}")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// It leads from one address to another for too long, or to none.
    #[error("{host} leads to another address without end, or to none")]
    Redirected {
        /// The source's host.
        host: String,
    },
}

impl SourceError {
    /// Whether it could still be fetched from here.
    #[must_use]
    pub fn can_be_fetched_here(&self) -> bool {
        matches!(self, Self::NoHead { .. } | Self::NotPublic { .. })
    }
}

/// Asks the source what Stream would ask. `public` says whether the host must be one that the internet
/// can reach: not for an emulator on the same machine.
///
/// # Errors
/// [`SourceError`]: what Stream would fail with, later.
pub async fn check_source(
    transport: &Arc<dyn Transport>,
    url: &SourceUrl,
    public: bool,
) -> Result<SourceFacts, SourceError> {
    let host = url.origin().host().to_owned();
    if public && !is_public(&host).await {
        return Err(SourceError::NotPublic { host });
    }
    let asked = ask(transport, url, Method::HEAD, HeaderMap::new()).await?;
    let head_status = asked.status();
    if is_refusal(head_status) {
        return Err(SourceError::Refused {
            host,
            status: head_status,
        });
    }
    let whole = facts(asked.headers());
    let mut first = HeaderMap::new();
    first.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
    let part = ask(transport, url, Method::GET, first).await?;
    match part.status() {
        StatusCode::PARTIAL_CONTENT if head_status.is_success() => {}
        // Nothing to ask a part of.
        StatusCode::RANGE_NOT_SATISFIABLE if whole.length == Some(0) => {}
        status
            if (status.is_success() || status == StatusCode::FORBIDDEN)
                && !head_status.is_success() =>
        {
            return Err(SourceError::NoHead {
                host,
                status: head_status,
            });
        }
        status if status.is_success() => return Err(SourceError::NoRanges { host }),
        status => return Err(SourceError::Refused { host, status }),
    }
    let of_part = facts(part.headers());
    let facts = SourceFacts {
        length: total(part.headers()).or(whole.length),
        ranges: true,
        etag: whole.etag.or(of_part.etag),
        last_modified: whole.last_modified.or(of_part.last_modified),
    };
    match facts.length {
        Some(bytes) if bytes >= MAX_VIDEO_BYTES => Err(SourceError::TooLarge { bytes }),
        _ => Ok(facts),
    }
}

/// Statuses of HEAD that say nothing about HEAD itself.
fn is_refusal(status: StatusCode) -> bool {
    status == StatusCode::NOT_FOUND || status == StatusCode::GONE || status.is_server_error()
}

/// Sends a request to the source, and follows it where it leads.
pub(crate) async fn ask(
    transport: &Arc<dyn Transport>,
    url: &SourceUrl,
    method: Method,
    headers: HeaderMap,
) -> Result<Response<Body>, SourceError> {
    let host = || url.origin().host().to_owned();
    let redirected = || SourceError::Redirected { host: host() };
    let mut at = url.expose().to_owned();
    for _ in 0..=REDIRECTS {
        let uri: Uri = at.parse().map_err(|_| redirected())?;
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&headers);
        let answer = transport.send(request).await;
        let answer = answer.map_err(|source| SourceError::Fault {
            host: host(),
            source,
        })?;
        if !answer.status().is_redirection() {
            return Ok(answer);
        }
        let location = text(answer.headers(), &LOCATION).ok_or_else(redirected)?;
        let next = tus_core::UploadUrl::parse(&at).and_then(|from| from.resolve(&location));
        let next = next.map_err(|_| redirected())?;
        at = next.expose().to_owned();
    }
    Err(redirected())
}

pub(crate) fn facts(headers: &HeaderMap) -> SourceFacts {
    SourceFacts {
        length: text(headers, &CONTENT_LENGTH).and_then(|text| text.parse().ok()),
        ranges: text(headers, &ACCEPT_RANGES).is_some_and(|unit| unit.contains("bytes")),
        etag: text(headers, &ETAG),
        last_modified: text(headers, &LAST_MODIFIED),
    }
}

/// The length in `Content-Range: bytes 0-0/1234`.
pub(crate) fn total(headers: &HeaderMap) -> Option<u64> {
    let range = text(headers, &CONTENT_RANGE)?;
    range.rsplit_once('/')?.1.trim().parse().ok()
}

pub(crate) fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Whether a host has an address that the internet can reach. A name that is not known here may be known
/// to others.
async fn is_public(host: &str) -> bool {
    let bare = host.trim_matches(['[', ']']);
    if let Ok(address) = bare.parse::<IpAddr>() {
        return is_public_address(address);
    }
    let name = bare.trim_end_matches('.').to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or("");
    if !name.contains('.') || ["localhost", "local", "internal", "lan", "test"].contains(&last) {
        return false;
    }
    match tokio::net::lookup_host((name.as_str(), 443)).await {
        Ok(addresses) => {
            let mut addresses = addresses.peekable();
            addresses.peek().is_none() || addresses.any(|it| is_public_address(it.ip()))
        }
        Err(_) => true,
    }
}

fn is_public_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || shared
        || a == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let first = address.segments()[0];
    let unique_local = first & 0xfe00 == 0xfc00;
    let link_local = first & 0xffc0 == 0xfe80;
    !(address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || unique_local
        || link_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hosts_that_the_internet_cannot_reach_are_known() {
        for host in [
            "localhost",
            "nas",
            "media.local",
            "files.internal",
            "127.0.0.1",
            "10.1.2.3",
            "[::1]",
            "192.168.0.7",
            "169.254.1.1",
            "100.64.0.1",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
        ] {
            assert!(!is_public(host).await, "{host}");
        }
        for host in ["1.1.1.1", "[2606:4700::1]"] {
            assert!(is_public(host).await, "{host}");
        }
    }

    #[test]
    fn a_length_is_read_from_a_range() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_RANGE, "bytes 0-0/1234".parse().unwrap());
        assert_eq!(total(&headers), Some(1_234));
        headers.insert(CONTENT_RANGE, "bytes 0-0/*".parse().unwrap());
        assert_eq!(total(&headers), None);
    }
}
