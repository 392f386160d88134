//! [`Origin`] and [`Credentials`]: who gets to see a token.

use std::fmt;

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Scheme, host and port: the unit of trust. Prints itself and nothing else of the URL it came
/// from, so it is safe in messages.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    https: bool,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an absolute `http` or `https` URL given as text.
    ///
    /// # Errors
    ///
    /// [`OriginError`] when the text is no such URL.
    pub fn parse(url: &str) -> Result<Self, OriginError> {
        Self::try_from(&Url::parse(url).map_err(|_| OriginError)?)
    }

    /// Whether the scheme is `https`.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host: lowercase, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, the scheme's default filled in.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`, as messages name a peer.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn new(scheme: &str, host: &str, port: Option<u16>) -> Result<Self, OriginError> {
        let https = match scheme {
            "https" => true,
            "http" => false,
            _ => return Err(OriginError),
        };
        if host.is_empty() {
            return Err(OriginError);
        }
        Ok(Self {
            https,
            host: host.to_ascii_lowercase(),
            port: port.unwrap_or(default_port(https)),
        })
    }
}

fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

impl TryFrom<&Url> for Origin {
    type Error = OriginError;

    fn try_from(url: &Url) -> Result<Self, OriginError> {
        Self::new(url.scheme(), url.host_str().unwrap_or(""), url.port())
    }
}

impl TryFrom<&http::Uri> for Origin {
    type Error = OriginError;

    fn try_from(uri: &http::Uri) -> Result<Self, OriginError> {
        Self::new(
            uri.scheme_str().unwrap_or(""),
            uri.host().unwrap_or(""),
            uri.port_u16(),
        )
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port != default_port(self.https) {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

/// The text is no absolute `http` or `https` URL with a host. It is not repeated here, because it
/// may be a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an absolute http or https URL with a host")]
pub struct OriginError;

/// Secret headers, bound to the origins that may see them.
///
/// A stranger never gets them, and neither does a plain-`http` origin once the first origin is
/// `https`. `Debug` shows names and origins, no value.
///
/// ```
/// use http::HeaderMap;
/// use http_transport::{Credentials, Origin};
///
/// let api = Origin::parse("https://api.cloudflare.com/client/v4")?;
/// let credentials = Credentials::bearer(&"secret".into(), api.clone())?
///     .also_hosts_below("api.cloudflare.com");
///
/// let mut headers = HeaderMap::new();
/// assert!(credentials.apply(&api, &mut headers));
/// assert!(headers["authorization"].is_sensitive());
///
/// let stranger = Origin::parse("https://upload.videodelivery.net/")?;
/// assert!(!credentials.apply(&stranger, &mut HeaderMap::new()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Credentials {
    home: Origin,
    also: Vec<Origin>,
    below: Vec<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Credentials {
    /// No header yet, for `origin`; add some with [`Self::header`].
    pub fn new(origin: Origin) -> Self {
        Self {
            home: origin,
            also: Vec::new(),
            below: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// `Authorization: Bearer TOKEN` for `origin`.
    ///
    /// # Errors
    ///
    /// [`CredentialsError::Value`] when the token holds characters that no header may hold.
    pub fn bearer(token: &SecretString, origin: Origin) -> Result<Self, CredentialsError> {
        let value = Zeroizing::new(format!("Bearer {}", token.expose_secret()));
        Self::new(origin).with(AUTHORIZATION, &value)
    }

    /// Adds a header of any name, such as `X-Auth-Key`.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`] when the name or the value is not fit for a header.
    pub fn header(self, name: &str, value: &SecretString) -> Result<Self, CredentialsError> {
        let name = name.parse().map_err(|_| CredentialsError::Name)?;
        self.with(name, value.expose_secret())
    }

    /// Lets one more origin see the headers. An `http` one has no effect if the first is `https`.
    #[must_use]
    pub fn also(mut self, origin: Origin) -> Self {
        self.also.push(origin);
        self
    }

    /// Lets every subdomain of `domain` see the headers, over `https` on its default port only.
    /// The domain itself is not among them.
    #[must_use]
    pub fn also_hosts_below(mut self, domain: &str) -> Self {
        let domain = domain.trim_start_matches('.').to_ascii_lowercase();
        if !domain.is_empty() {
            self.below.push(format!(".{domain}"));
        }
        self
    }

    /// Whether `origin` may see the headers.
    pub fn covers(&self, origin: &Origin) -> bool {
        if self.home.https && !origin.https {
            return false;
        }
        *origin == self.home
            || self.also.contains(origin)
            || (origin.https
                && origin.port == default_port(true)
                && self.below.iter().any(|domain| {
                    origin
                        .host
                        .strip_suffix(domain.as_str())
                        .is_some_and(|label| !label.is_empty() && !label.starts_with('.'))
                }))
    }

    /// Sets the headers if `origin` may see them, and removes headers of their names if it may
    /// not (they may be left from before a redirect). Returns whether they were set.
    pub fn apply(&self, origin: &Origin, headers: &mut HeaderMap) -> bool {
        let covers = self.covers(origin);
        for (name, value) in &self.headers {
            if covers {
                headers.insert(name.clone(), value.clone());
            } else {
                headers.remove(name);
            }
        }
        covers
    }

    fn with(mut self, name: HeaderName, value: &str) -> Result<Self, CredentialsError> {
        let mut value = HeaderValue::from_str(value).map_err(|_| CredentialsError::Value)?;
        value.set_sensitive(true);
        self.headers.push((name, value));
        Ok(self)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Credentials")
            .field("home", &self.home)
            .field("also", &self.also)
            .field("below", &self.below)
            .field("headers", &names)
            .finish()
    }
}

/// A credential that cannot be sent. Neither variant repeats the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    /// The name is not a header name.
    #[error("not a valid header name")]
    Name,
    /// The value holds a line break or another character that no header may hold. Often a newline
    /// at the end of a token file.
    #[error("a secret holds characters that no header may hold; look for a stray line break")]
    Value,
}
