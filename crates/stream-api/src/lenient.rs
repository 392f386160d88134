//! Reading what the API really answers: a field that is not as described counts as absent.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::SystemTime;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Any value, or `None` when it is of another type.
pub(crate) fn option<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let value = Value::deserialize(deserializer)?;
    Ok(if value.is_null() {
        None
    } else {
        T::deserialize(value).ok()
    })
}

/// As [`option`], for a field that is also written.
pub(crate) mod any {
    use serde::{Serialize, Serializer};

    use super::{DeserializeOwned, Deserializer};

    pub(crate) fn deserialize<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        D: Deserializer<'de>,
        T: DeserializeOwned,
    {
        super::option(deserializer)
    }

    #[expect(
        clippy::ref_option,
        reason = "serde hands out a reference to the field"
    )]
    pub(crate) fn serialize<S, T>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error>
    where
        S: Serializer,
        T: Serialize,
    {
        value.serialize(serializer)
    }
}

/// A list, empty when it is `null` or no list; elements of another type are left out.
pub(crate) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let Value::Array(elements) = Value::deserialize(deserializer)? else {
        return Ok(Vec::new());
    };
    Ok(elements
        .into_iter()
        .filter_map(|element| T::deserialize(element).ok())
        .collect())
}

/// A text, empty when it is anything else.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(option(deserializer)?.unwrap_or_default())
}

/// A number, read as a number or a text; written without a fraction where it has none, as the service writes sizes.
pub(crate) mod number {
    use serde::{Serialize, Serializer};

    use super::{Deserialize, Deserializer, Value, to_number};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        Ok(to_number(&Value::deserialize(deserializer)?))
    }

    #[expect(
        clippy::ref_option,
        reason = "serde hands out a reference to the field"
    )]
    pub(crate) fn serialize<S: Serializer>(
        number: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        /// Below it every whole number is exact.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match number {
            Some(whole) if whole.fract() == 0.0 && whole.abs() <= EXACT => {
                serializer.serialize_i64(*whole as i64)
            }
            other => other.serialize(serializer),
        }
    }
}

pub(crate) fn to_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// An RFC 3339 time with up to nine digits of a second.
pub(crate) mod time {
    use serde::{Serialize, Serializer};

    use super::{Deserialize, Deserializer, SystemTime, Timestamp, option};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let text: Option<String> = option(deserializer)?;
        Ok(text
            .and_then(|text| text.parse::<Timestamp>().ok())
            .map(SystemTime::from))
    }

    /// Not lenient at all: a time, or `null`.
    pub(crate) fn strict<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| text.parse::<Timestamp>().map(SystemTime::from))
            .transpose()
            .map_err(serde::de::Error::custom)
    }

    #[expect(
        clippy::ref_option,
        reason = "serde hands out a reference to the field"
    )]
    pub(crate) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        time.and_then(super::to_text).serialize(serializer)
    }
}

/// Fields that are not known here, verbatim. `Debug` shows their names alone: a service that has new
/// fields may have new secrets.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unknown(pub Map<String, Value>);

impl Deref for Unknown {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Unknown {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Debug for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// RFC 3339 in UTC, microseconds as Cloudflare writes them.
pub(crate) fn to_text(time: SystemTime) -> Option<String> {
    Timestamp::try_from(time)
        .ok()
        .map(|time| format!("{time:.6}"))
}
