//! [`UploadUrl`]: where an upload lives, and a secret.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use url::{Host, Position, Url};

/// The longest `Location` that is accepted, in bytes.
pub const MAX_URL_BYTES: usize = 8 * 1024;

/// The URL of one upload on the server, or of the place that creates uploads.
///
/// Whoever knows an upload URL can write to the upload, so it is treated as a bearer secret: there is no `Display`, and
/// `Debug` shows the origin only. [`expose`](Self::expose) hands the text to whoever stores or sends it. The query is part of
/// the URL and is kept (Stream's `?tusv2=true`).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UploadUrl(Arc<Forms>);

/// Both forms in which it is needed; shared, for every request and every record holds it.
#[derive(PartialEq, Eq, Hash)]
struct Forms {
    url: Url,
    uri: Uri,
}

impl UploadUrl {
    /// Parses an absolute URL.
    ///
    /// # Errors
    /// [`UrlError`] for anything but an `http` or `https` URL with a host, without user info, of at most
    /// [`MAX_URL_BYTES`].
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        check_text(text)?;
        Self::from_url(Url::parse(text).map_err(|_| UrlError::Malformed)?)
    }

    /// Resolves the `Location` of an answer to a request that went to `self` (CR-09, CR-10).
    ///
    /// A `Location` on another host is normal (a creation API that hands uploads to an upload host) and accepted; whether
    /// credentials go along is decided per origin elsewhere.
    ///
    /// # Errors
    /// [`UrlError`] for what [`parse`](Self::parse) refuses, for a downgrade from `https` to `http`, and for a private or
    /// loopback address named by a public host.
    pub fn resolve(&self, location: &str) -> Result<Self, UrlError> {
        check_text(location)?;
        let joined = Self::from_url(self.url().join(location).map_err(|_| UrlError::Malformed)?)?;
        if self.url().scheme() == "https" && joined.url().scheme() == "http" {
            return Err(UrlError::Downgrade);
        }
        if is_private(joined.url()) && !is_private(self.url()) {
            return Err(UrlError::Private);
        }
        Ok(joined)
    }

    fn from_url(url: Url) -> Result<Self, UrlError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(UrlError::Scheme);
        }
        if url.host().is_none() {
            return Err(UrlError::Malformed);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::UserInfo);
        }
        let mut plain = url;
        plain.set_fragment(None);
        let uri = Uri::from_str(plain.as_str()).map_err(|_| UrlError::Malformed)?;
        Ok(Self(Arc::new(Forms { url: plain, uri })))
    }

    fn url(&self) -> &Url {
        &self.0.url
    }

    /// The whole text, query included. A secret: for the store and the wire, never for people.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.url().as_str()
    }

    /// The URL as a request target.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// Scheme, host and port: what may be shown.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.url()[..Position::BeforePath]
    }

    /// The URL without its query: how an endpoint is named to people. Not for uploads, whose path is the secret.
    #[must_use]
    pub fn endpoint_name(&self) -> &str {
        &self.url()[..Position::AfterPath]
    }

    /// The last segment of the path: what servers use as the upload's id. As secret as the URL until the upload is finished.
    #[must_use]
    pub fn last_segment(&self) -> &str {
        self.url()
            .path()
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .unwrap_or_default()
    }

    /// The same path and query at the scheme, host and port of `other`: for a server that is known to move, such as an
    /// emulator that is started on another port for each run.
    ///
    /// # Errors
    /// [`UrlError`] if the result is no URL, which two valid URLs do not bring about.
    pub fn at_origin_of(&self, other: &Self) -> Result<Self, UrlError> {
        let mut url = other.url().clone();
        url.set_path(self.url().path());
        url.set_query(self.url().query());
        Self::from_url(url)
    }

    /// Whether both have the same scheme, host and port.
    #[must_use]
    pub fn same_origin(&self, other: &Self) -> bool {
        self.origin() == other.origin()
    }
}

impl fmt::Debug for UploadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadUrl({}/…)", self.origin())
    }
}

fn check_text(text: &str) -> Result<(), UrlError> {
    if text.len() > MAX_URL_BYTES {
        return Err(UrlError::TooLong);
    }
    // `Url` would silently drop tabs and newlines, and a text that changes on parsing is not the server's.
    if text.chars().any(char::is_control) {
        return Err(UrlError::ControlCharacter);
    }
    Ok(())
}

/// Addresses that a public server has no business naming. Host names are not looked up here: that is the connector's part.
fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => is_private_ip(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => {
            is_private_ip(ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4))
        }
        None => false,
    }
}

fn is_private_ip(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified()
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || ip.is_unspecified()
        }
    }
}

/// Why a URL is not accepted. The offending text is left out: it may be a secret, or hostile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// It holds a control character.
    #[error("the URL contains a control character")]
    ControlCharacter,
    /// An `https` answer pointed to `http`.
    #[error("the URL leaves https for http")]
    Downgrade,
    /// It is not a URL, or has no host.
    #[error("not a valid URL")]
    Malformed,
    /// A public server named a private or loopback address.
    #[error("a public server pointed to a private address")]
    Private,
    /// The scheme is neither `http` nor `https`.
    #[error("the URL is neither http nor https")]
    Scheme,
    /// It is longer than [`MAX_URL_BYTES`].
    #[error("the URL is longer than {MAX_URL_BYTES} bytes")]
    TooLong,
    /// It carries a user name or a password.
    #[error("the URL carries a user name or password")]
    UserInfo,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> UploadUrl {
        UploadUrl::parse("https://api.example.com/files/?a=1").unwrap()
    }

    #[test]
    fn a_relative_location_is_resolved_against_the_request_and_keeps_its_query() {
        assert_eq!(
            base().resolve("x1?tusv2=true").unwrap().expose(),
            "https://api.example.com/files/x1?tusv2=true"
        );
        assert_eq!(
            base().resolve("/up/x").unwrap().expose(),
            "https://api.example.com/up/x"
        );
        assert_eq!(
            base().resolve("//other.example/x").unwrap().expose(),
            "https://other.example/x"
        );
    }

    #[test]
    fn hostile_locations_are_refused() {
        for (location, error) in [
            ("javascript:alert(1)", UrlError::Scheme),
            ("https://user:pw@api.example.com/x", UrlError::UserInfo),
            ("http://api.example.com/x", UrlError::Downgrade),
            ("https://127.0.0.1/x", UrlError::Private),
            ("https://[::1]/x", UrlError::Private),
            ("https://[::ffff:10.0.0.1]/x", UrlError::Private),
            ("https://localhost/x", UrlError::Private),
            ("/x\r\nEvil: 1", UrlError::ControlCharacter),
            ("https://", UrlError::Malformed),
        ] {
            assert_eq!(base().resolve(location), Err(error), "{location}");
        }
        assert_eq!(
            base().resolve(&"x".repeat(9 * 1024)),
            Err(UrlError::TooLong)
        );
    }

    #[test]
    fn a_private_endpoint_may_name_private_uploads() {
        let endpoint = UploadUrl::parse("http://127.0.0.1:1080/files/").unwrap();
        assert!(endpoint.resolve("http://127.0.0.1:1080/files/a").is_ok());
    }

    #[test]
    fn an_upload_follows_a_server_that_moved() {
        let old = UploadUrl::parse("http://127.0.0.1:1/files/a?x=1").unwrap();
        let new = UploadUrl::parse("http://127.0.0.1:2/files/").unwrap();
        assert_eq!(
            old.at_origin_of(&new).unwrap().expose(),
            "http://127.0.0.1:2/files/a?x=1"
        );
    }

    #[test]
    fn an_origin_leaves_out_the_port_that_its_scheme_has_anyway() {
        for (url, origin) in [
            ("https://Up.example.com:443/a?b", "https://up.example.com"),
            ("http://[::1]:1080/files/", "http://[::1]:1080"),
            ("http://bücher.example", "http://xn--bcher-kva.example"),
        ] {
            let url = UploadUrl::parse(url).unwrap();
            assert_eq!(url.origin(), origin);
            assert_eq!(url.origin(), url.url().origin().ascii_serialization());
            let path = url.url().path();
            assert_eq!(url.endpoint_name(), format!("{origin}{path}"));
        }
    }

    #[test]
    fn debug_shows_the_origin_only() {
        let url = UploadUrl::parse("https://up.example.com/tus/5f3a?secret=1").unwrap();
        assert_eq!(format!("{url:?}"), "UploadUrl(https://up.example.com/…)");
    }
}
