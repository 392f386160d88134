//! Who may ask: the host that a request names, and the token that it brings.

use std::net::IpAddr;

use http::header::{AUTHORIZATION, HOST, HeaderValue, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{HeaderMap, StatusCode};
use stream_api::code;

use crate::answer::{self, Answer};
use crate::builder::Options;

/// The `Host` of a request, as the client calls this server.
///
/// A page that a browser loaded from elsewhere must not reach a server on loopback under a name of
/// its own (DNS rebinding): there, only loopback's names and the configured ones are served (F79).
pub(crate) fn check_host<'a>(
    headers: &'a HeaderMap,
    options: &Options,
) -> Result<&'a str, (StatusCode, &'static str)> {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err((StatusCode::BAD_REQUEST, "exactly one Host is wanted\n"));
    };
    let malformed = (StatusCode::BAD_REQUEST, "Host is malformed\n");
    let host = host.to_str().map_err(|_| malformed)?;
    let authority: Authority = host.parse().map_err(|_| malformed)?;
    if host.contains('@') {
        return Err(malformed);
    }
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    let is_known = name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        || name.eq_ignore_ascii_case("localhost")
        || options
            .hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name));
    if options.listen.ip().is_loopback() && !is_known {
        return Err((StatusCode::FORBIDDEN, "this Host is not served here\n"));
    }
    Ok(host)
}

/// What is wrong with the credentials of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadToken {
    Missing,
    Wrong,
}

impl BadToken {
    /// 401 without any credentials, 403 with wrong ones, both with Cloudflare's code.
    pub(crate) fn answer(self) -> Answer {
        let status = match self {
            Self::Missing => StatusCode::UNAUTHORIZED,
            Self::Wrong => StatusCode::FORBIDDEN,
        };
        let mut answer = answer::failure(status, code::AUTHENTICATION, "Authentication error");
        if self == Self::Missing {
            let scheme = HeaderValue::from_static("Bearer");
            answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
        }
        answer
    }
}

/// The bearer token; the scheme in any case, as the documentation writes it both ways.
pub(crate) fn check_token(headers: &HeaderMap, token: &str) -> Result<(), BadToken> {
    let value = headers.get(AUTHORIZATION).ok_or(BadToken::Missing)?;
    let given = value.to_str().ok().and_then(|text| {
        let (scheme, given) = text.split_once(' ')?;
        scheme
            .eq_ignore_ascii_case("bearer")
            .then_some(given.trim())
    });
    match given {
        Some(given) if same(given.as_bytes(), token.as_bytes()) => Ok(()),
        _ => Err(BadToken::Wrong),
    }
}

/// Equality that takes the same time wherever the first difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .fold(0, |difference, (one, other)| difference | (one ^ other))
            == 0
}
