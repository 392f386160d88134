//! [`Append`]: what the body of a PATCH, or of a creation with upload, may do.

use http::header::{CONTENT_LENGTH, HeaderName, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, Response, StatusCode};

use crate::checksum::{Checksum, ChecksumAlgorithm, ChecksumError, Digester};
use crate::extension::{Extension, ServerCapabilities};
use crate::header;
use crate::rejection::{Meaning, Rejection};
use crate::server::UploadInfo;
use crate::server::answer::answer;

/// Bytes to be written at an offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where the first byte goes: the upload's offset (P-04).
    pub at: u64,
    /// Bytes at most. A body that goes on is answered with [`Append::too_long`], and nothing of it
    /// is kept (P-11).
    pub limit: u64,
    /// The bytes that `Content-Length` announces; `None` when the body is chunked.
    pub announced: Option<u64>,
    /// The checksum that must hold before any byte counts (CK-06).
    pub checksum: ExpectedChecksum,
    /// The length that the request tells of an upload whose length was deferred (DL-04).
    pub sets_length: Option<u64>,
}

/// How the body of an [`Append`] is protected. Exhaustive: the text knows no other way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedChecksum {
    /// Not at all.
    None,
    /// By a digest in the head (CK-05).
    Header(Checksum),
    /// By a digest that follows the body (CT-02), made with one of these algorithms.
    Trailer(Vec<ChecksumAlgorithm>),
}

impl Append {
    pub(crate) fn read(
        capabilities: &ServerCapabilities,
        headers: &HeaderMap,
        at: u64,
        limit: u64,
        sets_length: Option<u64>,
    ) -> Result<Self, Rejection> {
        let announced = announced(headers)?;
        if announced.is_some_and(|announced| announced > limit) {
            return Err(Self::too_long());
        }
        let checksum = ExpectedChecksum::read(capabilities, headers)?;
        Ok(Self {
            at,
            limit,
            announced,
            checksum,
            sets_length,
        })
    }

    /// Whether the bytes of a body that broke off are kept. They are (G-17), unless a checksum
    /// protects the body: what came of it cannot be verified (CK-11).
    #[must_use]
    pub fn keeps_broken_body(&self) -> bool {
        self.checksum == ExpectedChecksum::None
    }

    /// What to feed the body to when it is protected.
    #[must_use]
    pub fn verifier(&self) -> Option<Verifier> {
        match &self.checksum {
            ExpectedChecksum::None => None,
            ExpectedChecksum::Header(checksum) => Some(Verifier {
                header: Some(checksum.clone()),
                digesters: vec![checksum.algorithm.digester()],
            }),
            ExpectedChecksum::Trailer(algorithms) => Some(Verifier {
                header: None,
                digesters: algorithms
                    .iter()
                    .map(|algorithm| algorithm.digester())
                    .collect(),
            }),
        }
    }

    /// The rejection of a body that goes on beyond [`limit`](Self::limit) (P-11).
    #[must_use]
    pub fn too_long() -> Rejection {
        Rejection::because(
            Meaning::TooLarge,
            "the body goes beyond the end of the upload",
        )
    }

    /// The answer to a PATCH, once `info` has taken over the bytes (P-07, P-08, CK-09).
    #[must_use]
    pub fn done(&self, info: &UploadInfo) -> Response<()> {
        let mut response = answer(StatusCode::NO_CONTENT);
        info.write_progress(response.headers_mut());
        response
    }
}

impl ExpectedChecksum {
    fn read(capabilities: &ServerCapabilities, headers: &HeaderMap) -> Result<Self, Rejection> {
        let in_head = header::text(headers, &header::UPLOAD_CHECKSUM)?;
        let in_trailer = announces_trailer(headers, &header::UPLOAD_CHECKSUM);
        if in_head.is_none() && !in_trailer {
            return Ok(Self::None);
        }
        // Whoever asks for protection must not believe to have it where there is none (CK-07).
        if !capabilities.extensions.has(Extension::Checksum) {
            return Err(Rejection::because(
                Meaning::UnsupportedChecksum,
                "this server verifies no checksums",
            ));
        }
        match in_head {
            Some(_) if in_trailer => Err(Rejection::because(
                Meaning::BadRequest,
                "a checksum in the head and one in the trailer",
            )),
            Some(text) => Ok(Self::Header(parse(
                text,
                &capabilities.checksum_algorithms,
            )?)),
            None if capabilities.extensions.has(Extension::ChecksumTrailer) => {
                Ok(Self::Trailer(capabilities.checksum_algorithms.clone()))
            }
            None => Err(Rejection::because(
                Meaning::UnsupportedChecksum,
                "this server reads no checksum from a trailer",
            )),
        }
    }
}

/// Digests a protected body and tells whether it is what the client sent.
#[derive(Debug, Clone)]
pub struct Verifier {
    header: Option<Checksum>,
    digesters: Vec<Digester>,
}

impl Verifier {
    /// Takes the next bytes of the body.
    pub fn update(&mut self, bytes: &[u8]) {
        for digester in &mut self.digesters {
            digester.update(bytes);
        }
    }

    /// The verdict, after the whole body and its trailers have come (CK-06).
    ///
    /// # Errors
    /// On any of them the bytes must be discarded and the upload left as it was (CK-10):
    /// [`Meaning::ChecksumMismatch`] (CK-08), [`Meaning::UnsupportedChecksum`] (CK-07), and
    /// [`Meaning::BadRequest`] when the announced trailer is missing or unreadable.
    pub fn finish(self, trailers: Option<&HeaderMap>) -> Result<(), Rejection> {
        let expected = match self.header {
            Some(checksum) => checksum,
            None => {
                let text = match trailers {
                    Some(trailers) => header::text(trailers, &header::UPLOAD_CHECKSUM)?,
                    None => None,
                };
                let text = text.ok_or_else(|| {
                    Rejection::because(Meaning::BadRequest, "the announced checksum did not come")
                })?;
                parse(text, &ChecksumAlgorithm::ALL)?
            }
        };
        let found = self
            .digesters
            .into_iter()
            .map(Digester::finish)
            .find(|found| found.algorithm == expected.algorithm)
            .ok_or(Meaning::UnsupportedChecksum)?;
        if found == expected {
            Ok(())
        } else {
            Err(Meaning::ChecksumMismatch.into())
        }
    }
}

/// Whether the request has a body, as HTTP/1.1 tells it: by a length above 0 or by a coding.
pub(crate) fn has_body(headers: &HeaderMap) -> Result<bool, Rejection> {
    Ok(announced(headers)? != Some(0))
}

/// The announced length of the body: 0 without any announcement, `None` when it is chunked.
fn announced(headers: &HeaderMap) -> Result<Option<u64>, Rejection> {
    let length = header::integer(headers, &CONTENT_LENGTH)?;
    if headers.contains_key(TRANSFER_ENCODING) {
        return Ok(None);
    }
    Ok(Some(length.unwrap_or(0)))
}

fn announces_trailer(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers
        .get_all(TRAILER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(header::list)
        .any(|announced| announced.eq_ignore_ascii_case(name.as_str()))
}

fn parse(text: &str, offered: &[ChecksumAlgorithm]) -> Result<Checksum, Rejection> {
    let unsupported = || Rejection::from(Meaning::UnsupportedChecksum);
    let checksum = Checksum::parse(text).map_err(|error| match error {
        ChecksumError::UnknownAlgorithm => unsupported(),
        error => Rejection::because(Meaning::BadRequest, error.to_string()),
    })?;
    if offered.contains(&checksum.algorithm) {
        Ok(checksum)
    } else {
        Err(unsupported())
    }
}
