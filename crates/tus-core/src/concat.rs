//! [`UploadConcat`]: the `Upload-Concat` header (CC-02, CC-03).

use std::fmt;

use http::HeaderValue;

/// What an upload is to a concatenation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadConcat {
    /// One part of a later whole.
    Partial,
    /// The whole: the URLs of its parts in order, absolute or relative to the creation URL.
    Final(Vec<String>),
}

impl UploadConcat {
    /// Reads a header value.
    ///
    /// # Errors
    /// [`ConcatError`] for anything but `partial` and `final;` with at least one URL.
    pub fn parse(text: &str) -> Result<Self, ConcatError> {
        if text == "partial" {
            return Ok(Self::Partial);
        }
        let urls = text.strip_prefix("final;").ok_or(ConcatError)?;
        let parts: Vec<String> = urls
            .split(' ')
            .filter(|url| !url.is_empty())
            .map(str::to_owned)
            .collect();
        if parts.is_empty() {
            Err(ConcatError)
        } else {
            Ok(Self::Final(parts))
        }
    }

    /// The header value.
    ///
    /// # Errors
    /// [`ConcatError`] when a URL is empty, or holds a blank or a character that a header cannot carry.
    pub fn to_header(&self) -> Result<HeaderValue, ConcatError> {
        if let Self::Final(parts) = self
            && (parts.is_empty() || parts.iter().any(|url| url.is_empty() || url.contains(' ')))
        {
            return Err(ConcatError);
        }
        HeaderValue::try_from(self.to_string()).map_err(|_| ConcatError)
    }
}

impl fmt::Display for UploadConcat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partial => f.write_str("partial"),
            Self::Final(parts) => write!(f, "final;{}", parts.join(" ")),
        }
    }
}

/// The header is neither `partial` nor `final;` with URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Upload-Concat is neither \"partial\" nor \"final;\" with the URLs of the parts")]
pub struct ConcatError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_survive_the_wire() {
        let whole = UploadConcat::Final(vec![
            "/files/a".into(),
            "https://example.com/files/b?x=1".into(),
        ]);
        for concat in [UploadConcat::Partial, whole] {
            let header = concat.to_header().unwrap();
            assert_eq!(UploadConcat::parse(header.to_str().unwrap()), Ok(concat));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "final",
            "final;",
            "final; ",
            "Partial",
            "part",
            "partial;/a",
        ] {
            assert_eq!(UploadConcat::parse(bad), Err(ConcatError), "{bad:?}");
        }
        assert_eq!(
            UploadConcat::Final(vec!["/a b".into()]).to_header(),
            Err(ConcatError)
        );
    }
}
