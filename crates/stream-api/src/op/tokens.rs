//! [`TokenRequest`]: what somebody may play, from when, until when and from where.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;

use crate::bounds::{ACCESS_RULES, TOKEN_LIFETIME};
use crate::lenient::{self, Unknown};
use crate::op::edit::OutOfBounds;
use crate::op::new_video::is_false;
use crate::secret::Secret;

/// What a token allows. The default: to play from an hour ago until in an hour, from anywhere.
///
/// <https://developers.cloudflare.com/stream/viewing-videos/securing-your-stream/>
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct TokenRequest {
    /// Sign with this key instead of one of Stream's own.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub key: Option<TokenKey>,
    /// Until when, in whole seconds; up to 24 hours ahead. Default: for an hour.
    #[serde(rename = "exp", with = "unix", skip_serializing_if = "Option::is_none")]
    pub expires: Option<SystemTime>,
    /// From when, in whole seconds. Default: since an hour ago.
    #[serde(rename = "nbf", with = "unix", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<SystemTime>,
    /// Whether the video may be downloaded as well. Default: no.
    #[serde(skip_serializing_if = "is_false")]
    pub downloadable: bool,
    /// Who may, up to five; the first that fits decides. Whom none fits may.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_rules: Vec<AccessRule>,
    /// Further wishes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flags: Option<TokenFlags>,
}

/// The key that the API is to sign with: both belong together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenKey {
    /// The key's id.
    pub id: String,
    /// [`NewSigningKey::pem`](crate::op::keys::NewSigningKey::pem), as it was answered.
    pub pem: Secret,
}

/// Further wishes of a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TokenFlags {
    /// The video as it was uploaded.
    pub original: bool,
}

/// One rule about who may play. It cannot hold what its kind does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RuleOnTheWire", into = "RuleOnTheWire")]
#[non_exhaustive]
pub enum AccessRule {
    /// Fits everybody: what happens to whomever the rules before did not fit.
    Any(Access),
    /// Fits viewers in these countries: ISO 3166-1 alpha-2, such as `DE`.
    Country(Access, Vec<String>),
    /// Fits viewers at these addresses or ranges, such as `192.0.2.0/24`. A rule of IPv4 never fits
    /// a viewer who comes by IPv6.
    Ip(Access, Vec<String>),
}

/// What a rule does. Exhaustive: there is no third.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Playing is allowed.
    Allow,
    /// Playing is refused.
    Block,
}

#[derive(Clone, Serialize, Deserialize)]
struct RuleOnTheWire {
    #[serde(rename = "type")]
    kind: String,
    action: Access,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    country: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ip: Vec<String>,
}

const ANY: &str = "any";
const COUNTRY: &str = "ip.geoip.country";
const IP: &str = "ip.src";

impl From<AccessRule> for RuleOnTheWire {
    fn from(rule: AccessRule) -> Self {
        let (kind, action, country, ip) = match rule {
            AccessRule::Any(action) => (ANY, action, Vec::new(), Vec::new()),
            AccessRule::Country(action, country) => (COUNTRY, action, country, Vec::new()),
            AccessRule::Ip(action, ip) => (IP, action, Vec::new(), ip),
        };
        Self {
            kind: kind.to_owned(),
            action,
            country,
            ip,
        }
    }
}

impl TryFrom<RuleOnTheWire> for AccessRule {
    type Error = OutOfBounds;

    fn try_from(rule: RuleOnTheWire) -> Result<Self, OutOfBounds> {
        match rule.kind.as_str() {
            ANY => Ok(Self::Any(rule.action)),
            COUNTRY => Ok(Self::Country(rule.action, rule.country)),
            IP => Ok(Self::Ip(rule.action, rule.ip)),
            _ => Err(OutOfBounds(
                "accessRules must be of type any, ip.src or ip.geoip.country",
            )),
        }
    }
}

impl AccessRule {
    fn check(&self) -> Result<(), OutOfBounds> {
        match self {
            Self::Any(_) => Ok(()),
            Self::Country(_, countries) => {
                let is_code = |code: &String| {
                    code.len() == 2 && code.bytes().all(|it| it.is_ascii_uppercase())
                };
                if countries.is_empty() || !countries.iter().all(is_code) {
                    return Err(OutOfBounds(
                        "accessRules: country must list codes of two capitals, such as DE",
                    ));
                }
                Ok(())
            }
            Self::Ip(_, ranges) => {
                if ranges.is_empty() || !ranges.iter().all(|it| is_range(it)) {
                    return Err(OutOfBounds(
                        "accessRules: ip must list addresses or ranges, such as 192.0.2.0/24",
                    ));
                }
                Ok(())
            }
        }
    }
}

fn is_range(text: &str) -> bool {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<std::net::IpAddr>() else {
        return false;
    };
    let most = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| bits.parse::<u8>().is_ok_and(|bits| bits <= most))
}

impl TokenRequest {
    /// Checks the bounds, `now` being the time at which it is signed.
    ///
    /// # Errors
    /// [`OutOfBounds`] names the first field that is out of its bounds.
    pub fn check(&self, now: SystemTime) -> Result<(), OutOfBounds> {
        if self.access_rules.len() > ACCESS_RULES {
            return Err(OutOfBounds("accessRules must be at most 5"));
        }
        self.access_rules.iter().try_for_each(AccessRule::check)?;
        if let Some(expires) = self.expires {
            // A minute for clocks that differ.
            let latest = now + TOKEN_LIFETIME + Duration::from_secs(60);
            if expires <= now || expires > latest {
                return Err(OutOfBounds(
                    "exp must be in the future, and at most 24 hours ahead",
                ));
            }
            if self.not_before.is_some_and(|begin| begin >= expires) {
                return Err(OutOfBounds("nbf must be before exp"));
            }
        }
        Ok(())
    }
}

/// A token that was made. It stands where a video's id would, in any address that plays it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SignedToken {
    /// The token: whoever has it may play.
    #[serde(with = "lenient::any", skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Fields that are not known here, verbatim.
    #[serde(flatten)]
    pub other: Unknown,
}

/// Whole seconds since 1970; read from texts too.
pub(crate) mod unix {
    use serde::{Deserialize, Deserializer};

    use super::{Duration, Serializer, SystemTime, Value, lenient};

    pub(crate) fn seconds(time: SystemTime) -> u64 {
        let since = time.duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }

    #[expect(
        clippy::ref_option,
        reason = "serde hands out a reference to the field"
    )]
    pub(crate) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.serialize_u64(seconds(*time)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.is_null() {
            return Ok(None);
        }
        lenient::to_number(&value)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since))
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom("not a number of seconds since 1970"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wish_is_written_as_the_documentation_has_it() {
        let wish = json!({
            "id": "k", "pem": "p", "exp": 1_700_000_000, "nbf": 1_690_000_000, "downloadable": true,
            "accessRules": [
                {"type": "ip.geoip.country", "action": "block", "country": ["US", "MX"]},
                {"type": "ip.src", "action": "allow", "ip": ["93.184.216.0/24", "2400:cb00::/32"]},
                {"type": "any", "action": "block"},
            ],
            "flags": {"original": true},
        });
        let read: TokenRequest = serde_json::from_value(wish.clone()).unwrap();
        assert_eq!(serde_json::to_value(&read).unwrap(), wish);
        read.check(SystemTime::UNIX_EPOCH + Duration::from_secs(1_699_999_000))
            .unwrap();
        assert_eq!(
            serde_json::to_value(TokenRequest::default()).unwrap(),
            json!({})
        );
        let half: Result<TokenRequest, _> = serde_json::from_value(json!({"id": "k"}));
        assert!(half.is_ok_and(|it| it.key.is_none()));
    }

    #[test]
    fn wishes_out_of_bounds_are_refused_by_name() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let any = json!({"type": "any", "action": "allow"});
        for (field, wish) in [
            ("exp", json!({"exp": 1_700_000_000 + 25 * 3600})),
            ("exp", json!({"exp": 1_699_999_999})),
            ("nbf", json!({"exp": 1_700_000_100, "nbf": 1_700_000_200})),
            ("accessRules", json!({"accessRules": vec![any; 6]})),
            (
                "country",
                json!({"accessRules": [{"type": "ip.geoip.country", "action": "allow", "country": ["Germany"]}]}),
            ),
            (
                "ip",
                json!({"accessRules": [{"type": "ip.src", "action": "allow", "ip": ["192.0.2.0/33"]}]}),
            ),
        ] {
            let wish: TokenRequest = serde_json::from_value(wish).unwrap();
            let error = wish.check(now).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }
}
