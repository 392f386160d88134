//! Stream's own rules about upload URLs, on top of tus: chunks, one-time URLs, expiry.

use http::{HeaderMap, Method, StatusCode};
use stream_api::code;
use tus_core::server::{Append, UploadInfo};
use tus_core::{ChunkRule, Meaning, Rejection, header};

use crate::answer::{self, Answer};
use crate::hypotheses::Alignment;
use crate::server::Shared;
use crate::upload::{Place, Upload};

/// The refusal of a request to an upload whose time is over, or that is complete; `None` when it may
/// go on.
pub(crate) fn closed(shared: &Shared, upload: &Upload, method: &Method) -> Option<Answer> {
    if !matches!(*method, Method::HEAD | Method::PATCH) {
        return None;
    }
    let hypotheses = shared.hypotheses();
    let (status, text) = match (upload.info().is_complete(), &upload.place) {
        // Bytes come to these by other ways.
        (_, Place::Files | Place::Form { .. } | Place::Inner { .. }) => return None,
        (true, Place::Direct { .. }) => (
            hypotheses.used_one_time_status,
            "The upload URL was already used: its upload is complete",
        ),
        (true, Place::Media { .. }) => (hypotheses.completed_status, "The upload is complete"),
        (false, _) if !shared.has_expired(upload) => return None,
        (false, Place::Direct { .. }) => (
            hypotheses.expired_one_time_status,
            "The upload URL has expired",
        ),
        (false, Place::Media { .. }) => (hypotheses.expired_status, "The upload has expired"),
    };
    let status = match status {
        StatusCode::OK if !upload.has_expired() => return None,
        // It was to go on working, but its video and its bytes are gone.
        StatusCode::OK => StatusCode::NOT_FOUND,
        status => status,
    };
    let code = match status {
        StatusCode::NOT_FOUND => code::NOT_FOUND,
        _ => code::BAD_REQUEST,
    };
    let mut answer = answer::failure(status, code, text);
    answer
        .headers_mut()
        .insert(header::TUS_RESUMABLE, header::VERSION);
    Some(answer)
}

/// Adds when an unfinished upload expires, where answers say so.
pub(crate) fn tell_expiry(shared: &Shared, upload: &Upload, headers: &mut HeaderMap) {
    if !shared.hypotheses().tells_expiry || upload.info().is_complete() {
        return;
    }
    let expiry = upload
        .place
        .uid()
        .and_then(|uid| shared.videos.upload_expiry(uid));
    headers.extend(expiry.map(|at| (header::UPLOAD_EXPIRES, header::from_time(at))));
}

/// The chunk rule, judged by the announced length, before the body is read.
pub(crate) fn check_chunk(
    rule: &ChunkRule,
    alignment: Alignment,
    append: &Append,
    info: &UploadInfo,
) -> Result<(), Rejection> {
    let bad = |text: String| Err(Rejection::because(Meaning::BadRequest, text));
    let Some(len) = append.announced else {
        return bad("Stream wants a Content-Length, not a chunked body".into());
    };
    if len > rule.max_bytes {
        return bad(format!(
            "Chunk size must be at most {} bytes, not {len}",
            rule.max_bytes
        ));
    }
    let multiple = rule.multiple_of_bytes.max(1);
    let unit = multiple / 1024;
    let (start, end) = (append.at, append.at.saturating_add(len));
    if alignment == Alignment::Start && !start.is_multiple_of(multiple) {
        return bad(format!(
            "Chunk size must be a multiple of {unit}KiB, and so must be its offset, not {start}"
        ));
    }
    if info.length.is_complete_at(end) {
        return Ok(());
    }
    if len < rule.min_bytes {
        return bad(format!(
            "Chunk size must be at least {} bytes, not {len}",
            rule.min_bytes
        ));
    }
    let measured = match alignment {
        Alignment::End => end,
        Alignment::Length | Alignment::Start => len,
    };
    if !measured.is_multiple_of(multiple) {
        return bad(format!(
            "Chunk size must be a multiple of {unit}KiB, not {len} bytes from {start} to {end}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tus_core::server::ExpectedChecksum;

    use super::*;

    const KIB_256: u64 = 256 * 1024;

    fn is_fine(alignment: Alignment, at: u64, len: u64) -> bool {
        let rule = ChunkRule {
            min_bytes: KIB_256,
            max_bytes: KIB_256 * 8,
            multiple_of_bytes: KIB_256,
            preferred_bytes: KIB_256,
        };
        let append = Append {
            at,
            limit: u64::MAX,
            announced: Some(len),
            checksum: ExpectedChecksum::None,
            sets_length: None,
        };
        let info = UploadInfo::new((KIB_256 * 10 + 7).into());
        check_chunk(&rule, alignment, &append, &info).is_ok()
    }

    #[test]
    fn from_an_odd_offset_each_hypothesis_takes_other_chunks() {
        use Alignment::{End, Length, Start};
        let (odd, last) = (KIB_256 + 1, KIB_256 * 8 + 1);
        for (alignment, conforming, ending_even, last_one) in [
            (Length, true, false, true),
            (Start, false, false, false),
            (End, false, true, true),
        ] {
            assert_eq!(is_fine(alignment, odd, KIB_256 * 2), conforming);
            assert_eq!(is_fine(alignment, odd, KIB_256 * 2 - 1), ending_even);
            assert_eq!(is_fine(alignment, last, KIB_256 * 2 + 6), last_one);
        }
    }

    #[test]
    fn from_an_even_offset_all_hypotheses_agree() {
        for alignment in [Alignment::Length, Alignment::Start, Alignment::End] {
            assert!(is_fine(alignment, KIB_256, KIB_256));
            assert!(!is_fine(alignment, KIB_256, KIB_256 + 1));
            assert!(!is_fine(alignment, KIB_256, KIB_256 - 1));
            assert!(!is_fine(alignment, KIB_256, KIB_256 * 9));
            assert!(is_fine(alignment, KIB_256 * 10, 7));
        }
    }
}
