//! Tokens go home and nowhere else.

use http::HeaderMap;
use http_transport::{Credentials, CredentialsError, Origin, OriginError};

use crate::CANARY;

fn origin(url: &str) -> Origin {
    Origin::parse(url).expect("an origin")
}

fn credentials() -> Credentials {
    let api = origin("https://api.cloudflare.com/client/v4");
    Credentials::bearer(&CANARY.into(), api)
        .expect("a token")
        .header("X-Auth-Key", &CANARY.into())
        .expect("a header")
        .also_hosts_below("api.cloudflare.com")
        .also(origin("https://tus.example:8443"))
}

#[test]
fn an_origin_is_scheme_host_and_port_and_nothing_else() {
    assert_eq!(
        origin("https://Example.com/a?b#c"),
        origin("https://example.com:443/")
    );
    assert_ne!(origin("https://example.com"), origin("http://example.com"));
    assert_ne!(
        origin("https://example.com"),
        origin("https://example.com:444")
    );
    assert_eq!(
        origin("https://user:secret@example.com/path?query").to_string(),
        "https://example.com"
    );
    assert_eq!(origin("http://[::1]:80/").to_string(), "http://[::1]");
    let uri: http::Uri = "http://Example.com:8080/x?y".parse().expect("a URI");
    assert_eq!(
        Origin::try_from(&uri),
        Ok(origin("http://example.com:8080"))
    );
    for bad in ["", "/path", "ftp://example.com", "data:,x", "https://"] {
        assert_eq!(Origin::parse(bad), Err(OriginError), "{bad}");
    }
}

#[test]
fn home_and_named_origins_get_the_headers() {
    for url in [
        "https://api.cloudflare.com/",
        "https://edge-production.gateway.api.cloudflare.com/client/v4",
        "https://tus.example:8443/files",
    ] {
        let mut headers = HeaderMap::new();
        assert!(credentials().apply(&origin(url), &mut headers), "{url}");
        assert_eq!(headers["authorization"], format!("Bearer {CANARY}"));
        assert!(headers.values().all(http::HeaderValue::is_sensitive));
        assert_eq!(headers.len(), 2);
    }
}

#[test]
fn strangers_look_alikes_and_downgrades_get_nothing() {
    for url in [
        "https://upload.videodelivery.net/",
        "https://evil-api.cloudflare.com/",
        "https://evilapi.cloudflare.com/",
        "https://api.cloudflare.com.evil.example/",
        "https://cloudflare.com/",
        "https://.api.cloudflare.com/",
        "https://x.api.cloudflare.com:8443/",
        "https://tus.example/",
        "http://api.cloudflare.com/",
        "http://x.api.cloudflare.com/",
        "http://api.cloudflare.com:443/",
    ] {
        let Ok(stranger) = Origin::parse(url) else {
            continue;
        };
        // As after a redirect: the headers are still there.
        let mut headers = HeaderMap::new();
        credentials().apply(&origin("https://api.cloudflare.com"), &mut headers);
        assert!(!credentials().apply(&stranger, &mut headers), "{url}");
        assert!(headers.is_empty(), "{url}");
    }
}

#[test]
fn a_plain_origin_named_beside_a_secure_home_gets_nothing() {
    let plain = origin("http://127.0.0.1:8787");
    let secure = credentials().also(plain.clone());
    assert!(!secure.covers(&plain));
    let local = Credentials::bearer(&CANARY.into(), plain.clone()).expect("a token");
    assert!(local.covers(&plain), "a plain home is the caller's word");
}

#[test]
fn debug_and_errors_show_no_secret() {
    let shown = format!("{:?} {:#?}", credentials(), credentials());
    assert!(!shown.contains(CANARY), "{shown}");
    let home = origin("https://api.cloudflare.com");
    let error = Credentials::bearer(&format!("{CANARY}\n").into(), home.clone());
    assert_eq!(error.expect_err("a newline"), CredentialsError::Value);
    let error = Credentials::new(home).header("no header", &CANARY.into());
    assert_eq!(error.expect_err("a space"), CredentialsError::Name);
}
