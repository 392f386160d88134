//! Who may play what.
//!
//! - A video with `requireSignedURLs` is played by a token in the place of its id. A token is checked for every video.
//! - A token counts from `nbf` until `exp`, which it must have, for the video in `sub`, while its key lives, and as
//!   its `accessRules` say: the first that matches decides, and none allows. Numbers may be texts.
//!   <https://developers.cloudflare.com/stream/viewing-videos/securing-your-stream/>
//! - The files of `downloads/` of a video that needs a token want one with `downloadable`.
//! - With `allowedOrigins`, a page that names itself (`Origin`, else `Referer`) must be one of them. A request that names
//!   no page is served: what Stream does with it is not public. The emulator's own page may play everything.
//! - The viewer's address is the connection's, and its country unknown, unless a request from this machine says otherwise
//!   in `CF-Connecting-IP` and `CF-IPCountry`: Cloudflare's own headers, for tests of rules.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::SystemTime;

use http::header::{HeaderName, ORIGIN, REFERER};
use http::{HeaderMap, Request, StatusCode};
use ipnet::IpNet;
use serde_json::{Map, Value};
use url::Url;

use crate::entry::Entry;
use crate::id;
use crate::playback::Playable;
use crate::server::Shared;

/// The other end of the connection, among the extensions of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

const CONNECTING_IP: HeaderName = HeaderName::from_static("cf-connecting-ip");
const COUNTRY: HeaderName = HeaderName::from_static("cf-ipcountry");

/// Why not: a status and a line.
type Refusal = (StatusCode, &'static str);

/// The video that may be played.
pub(super) fn permit(
    shared: &Shared,
    who: &str,
    what: &Playable,
    head: &Request<()>,
    base: &str,
) -> Result<Entry, Refusal> {
    let entry = if id::is_valid(who) {
        by_id(shared, who)?
    } else {
        by_token(shared, who, what, head)?
    };
    let hosts = &entry.video.allowed_origins;
    if !hosts.is_empty()
        && let Some(page) = page(head.headers())
        && page != base.trim_start_matches("http://")
        && !hosts.iter().any(|host| is_of(&page, host))
    {
        return Err((StatusCode::FORBIDDEN, "this origin may not play the video"));
    }
    Ok(entry)
}

fn by_id(shared: &Shared, uid: &str) -> Result<Entry, Refusal> {
    let Some(entry) = shared.videos.entry_of_any(uid) else {
        return Err(match shared.account.live_inputs.find(uid) {
            // As Stream answers while nobody broadcasts. Here nothing plays while somebody does, either.
            Some(_) => (StatusCode::NO_CONTENT, ""),
            None => (StatusCode::NOT_FOUND, "there is no such video"),
        });
    };
    if entry.video.require_signed_urls == Some(true) {
        let text = "the video needs a signed token in the place of its id";
        return Err((StatusCode::UNAUTHORIZED, text));
    }
    Ok(entry)
}

fn by_token(
    shared: &Shared,
    token: &str,
    what: &Playable,
    head: &Request<()>,
) -> Result<Entry, Refusal> {
    let unauthorized = |text| (StatusCode::UNAUTHORIZED, text);
    let verified = shared.account.keys.verify(token).map_err(|error| {
        tracing::debug!(%error, "a token was refused");
        unauthorized("the token is not signed with a living key of this account")
    })?;
    let claims = &verified.claims;
    let uid = claims.get("sub").and_then(Value::as_str);
    let uid = uid.ok_or(unauthorized("the token names no video (sub)"))?;
    let entry = shared.videos.entry(&verified.account, uid);
    let entry = entry.ok_or((StatusCode::NOT_FOUND, "there is no such video"))?;
    in_time(claims, shared.clock.now()).map_err(unauthorized)?;
    let viewer = Viewer::of(head);
    if !is_allowed(claims, &viewer) {
        return Err((
            StatusCode::FORBIDDEN,
            "the token's access rules refuse this viewer",
        ));
    }
    let is_download = matches!(what, Playable::Default | Playable::Audio);
    let needs_it = entry.video.require_signed_urls == Some(true);
    if is_download && needs_it && claims.get("downloadable") != Some(&Value::Bool(true)) {
        return Err((StatusCode::FORBIDDEN, "the token allows no download"));
    }
    Ok(entry)
}

fn in_time(claims: &Map<String, Value>, now: SystemTime) -> Result<(), &'static str> {
    let now = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64();
    let time = |name: &str| {
        let value = claims.get(name)?;
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    };
    match time("exp") {
        None => return Err("the token has no exp"),
        Some(exp) if exp <= now => return Err("the token has expired"),
        Some(_) => {}
    }
    if claims.get("nbf").is_some_and(|nbf| !nbf.is_null()) {
        match time("nbf") {
            Some(nbf) if nbf <= now => {}
            _ => return Err("the token does not count yet"),
        }
    }
    Ok(())
}

/// Where a request is from.
pub(crate) fn viewer_address(head: &Request<()>) -> IpAddr {
    Viewer::of(head).address
}

/// Who watches.
struct Viewer {
    address: IpAddr,
    country: Option<String>,
}

impl Viewer {
    fn of(head: &Request<()>) -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let peer = head.extensions().get::<Peer>();
        let peer = peer.map_or(loopback, |peer| peer.0.ip().to_canonical());
        let text = |name: HeaderName| head.headers().get(name)?.to_str().ok();
        let told = |name| text(name).filter(|_| peer.is_loopback());
        Self {
            address: told(CONNECTING_IP)
                .and_then(|address| address.parse().ok())
                .unwrap_or(peer),
            country: told(COUNTRY).map(str::to_owned),
        }
    }

    fn is_meant_by(&self, rule: &Value) -> bool {
        let list = |name: &str| {
            let list = rule.get(name).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str)
        };
        match rule.get("type").and_then(Value::as_str) {
            Some("any") => true,
            Some("ip.src") => list("ip").any(|net| {
                let net = net
                    .parse::<IpNet>()
                    .or_else(|_| net.parse::<IpAddr>().map(IpNet::from));
                net.is_ok_and(|net| net.contains(&self.address))
            }),
            Some("ip.geoip.country") => list("country").any(|country| {
                let own = self.country.as_deref();
                own.is_some_and(|own| own.eq_ignore_ascii_case(country))
            }),
            _ => false,
        }
    }
}

/// The first rule that means the viewer decides.
fn is_allowed(claims: &Map<String, Value>, viewer: &Viewer) -> bool {
    let rules = claims.get("accessRules").and_then(Value::as_array);
    let first = rules
        .into_iter()
        .flatten()
        .find(|rule| viewer.is_meant_by(rule));
    first.is_none_or(|rule| rule.get("action").and_then(Value::as_str) == Some("allow"))
}

/// Host and port of the page that asks, if it says.
fn page(headers: &HeaderMap) -> Option<String> {
    let named = headers.get(ORIGIN).or_else(|| headers.get(REFERER))?;
    let Ok(url) = Url::parse(named.to_str().ok()?) else {
        // `Origin: null`, of a page that hides where it is from: it is none of any list.
        return Some(String::new());
    };
    let host = url.host_str().unwrap_or("");
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// `*.example.com` is every host below it, but not itself. A port counts where the list has one, and for localhost
/// always.
fn is_of(page: &str, listed: &str) -> bool {
    let page = page.to_ascii_lowercase();
    let listed = listed.to_ascii_lowercase();
    if listed == "*" || page == listed {
        return true;
    }
    let (host, port) = page
        .split_once(':')
        .map_or((&*page, None), |(host, port)| (host, Some(port)));
    let (wanted, wanted_port) = listed
        .split_once(':')
        .map_or((&*listed, None), |(host, port)| (host, Some(port)));
    let port_fits = match wanted_port {
        Some(_) => port == wanted_port,
        None => host != "localhost" || port.is_none(),
    };
    let host_fits = match wanted.strip_prefix("*.") {
        Some(parent) => host
            .strip_suffix(parent)
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => host == wanted,
    };
    host_fits && port_fits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn origins_are_matched_as_documented() {
        for (page, listed, fits) in [
            ("example.com", "example.com", true),
            ("example.com:8443", "example.com", true),
            ("www.example.com", "example.com", false),
            ("www.example.com", "*.example.com", true),
            ("a.b.example.com", "*.example.com", true),
            ("example.com", "*.example.com", false),
            ("evilexample.com", "*.example.com", false),
            ("EXAMPLE.com", "example.COM", true),
            ("localhost:3000", "localhost:3000", true),
            ("localhost:3000", "localhost", false),
            ("", "example.com", false),
        ] {
            assert_eq!(is_of(page, listed), fits, "{page} of {listed}");
        }
    }

    #[test]
    fn the_first_rule_that_means_the_viewer_decides() {
        let viewer = |address: &str, country: Option<&str>| Viewer {
            address: address.parse().unwrap(),
            country: country.map(str::to_owned),
        };
        let rules = json!({ "accessRules": [
            { "type": "ip.src", "action": "allow", "ip": ["192.0.2.0/24", "2001:db8::1"] },
            { "type": "ip.geoip.country", "action": "block", "country": ["DE", "fr"] },
            { "type": "any", "action": "allow" },
        ]});
        let rules = rules.as_object().unwrap();
        assert!(is_allowed(rules, &viewer("192.0.2.7", Some("DE"))));
        assert!(is_allowed(rules, &viewer("2001:db8::1", Some("DE"))));
        assert!(!is_allowed(rules, &viewer("198.51.100.1", Some("FR"))));
        assert!(is_allowed(rules, &viewer("198.51.100.1", None)));
        assert!(is_allowed(&Map::new(), &viewer("198.51.100.1", None)));
        let block = json!({ "accessRules": [{ "type": "any", "action": "block" }] });
        assert!(!is_allowed(
            block.as_object().unwrap(),
            &viewer("::1", None)
        ));
    }

    #[test]
    fn times_may_be_texts_and_the_end_must_be_there() {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000);
        for (claims, fits) in [
            (json!({ "exp": 1001 }), true),
            (json!({ "exp": "1001", "nbf": "1000" }), true),
            (json!({ "exp": 1000 }), false),
            (json!({ "exp": 2000, "nbf": 1001 }), false),
            (json!({ "exp": 2000, "nbf": "soon" }), false),
            (json!({ "nbf": 1 }), false),
            (json!({ "exp": null }), false),
        ] {
            assert_eq!(
                in_time(claims.as_object().unwrap(), now).is_ok(),
                fits,
                "{claims}"
            );
        }
    }
}
