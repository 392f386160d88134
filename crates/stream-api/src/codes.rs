//! Stream's codes in words: what each means, where it comes from, what to do.
//!
//! Cloudflare publishes no list. The rows come from its documentation
//! (<https://developers.cloudflare.com/stream/>) and from answers that were seen; where only one of
//! several causes is known, the row says so in its words.

use crate::code;

/// Whether the same request, or the same command, helps when it is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Again {
    /// Only once the cause was removed.
    AfterRemedy,
    /// Never: there is nothing left to do, or something else is wanted.
    No,
    /// Yes, as it is.
    Yes,
}

/// A number in `errors` or `messages` of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorCode {
    /// Cloudflare's number. Not an HTTP status.
    pub code: u64,
    /// The HTTP status it was seen with; `None` where that is not known.
    pub status: Option<u16>,
    /// What it means: a lowercase fragment.
    pub meaning: &'static str,
    /// What usually leads to it: a lowercase fragment.
    pub cause: &'static str,
    /// What to do about it: a lowercase fragment.
    pub remedy: &'static str,
    /// Whether the same request helps when it is made again.
    pub again: Again,
}

/// A word in a video's `status.errorReasonCode`, or in what a live input reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorReason {
    /// Stream's word, such as `ERR_NON_VIDEO`.
    pub code: &'static str,
    /// What it means: a lowercase fragment.
    pub meaning: &'static str,
    /// What usually leads to it: a lowercase fragment.
    pub cause: &'static str,
    /// What to do about it: a lowercase fragment.
    pub remedy: &'static str,
    /// Whether uploading it again helps.
    pub again: Again,
}

/// The known numbers, ascending.
pub const ERROR_CODES: &[ErrorCode] = &[
    ErrorCode {
        code: 6003,
        status: Some(400),
        meaning: "the request headers are not acceptable",
        cause: "the API token is cut off, has a line break in it, or is sent in the wrong header",
        remedy: "copy the token anew, whole and on one line",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: 6103,
        status: Some(400),
        meaning: "the header with the credentials has not the right form",
        cause: "X-Auth-Key holds an API token, or is cut off",
        remedy: "send an API token as Authorization: Bearer, or a whole global key with X-Auth-Email",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: 7000,
        status: None,
        meaning: "there is no such route",
        cause: "the account id is wrong, so the address leads nowhere",
        remedy: "check the account id (32 hexadecimal digits) and the API base",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: 7003,
        status: None,
        meaning: "the request could not be routed",
        cause: "the account id is not one, so the address leads nowhere",
        remedy: "check the account id (32 hexadecimal digits) and the API base",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: 9106,
        status: None,
        meaning: "the request carries no credentials",
        cause: "the API token is empty, or did not reach the API",
        remedy: "give an API token, and see that no proxy takes it away",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: code::AUTHENTICATION,
        status: None,
        meaning: "the credentials are wrong, or not allowed to do this",
        cause: "the API token was revoked, has expired, belongs to another account, or lacks the permission Stream: Edit",
        remedy: "make a token with the permission Stream: Edit for this account at https://dash.cloudflare.com/profile/api-tokens",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: 10002,
        status: Some(403),
        meaning: "the account has no subscription to Stream",
        cause: "Stream was never bought for this account, or its subscription has ended; the token may be right",
        remedy: "subscribe to Stream in the dashboard, or check the account id",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: code::NOT_FOUND,
        status: Some(404),
        meaning: "there is no such resource or operation",
        cause: "the video was deleted or has expired, its id is of another account, or the address is wrong",
        remedy: "check the id and the account",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: code::DECODING,
        status: None,
        meaning: "the request's body cannot be decoded",
        cause: "the body is not the JSON that the operation expects",
        remedy: "check the settings of the request; a proxy that changes bodies would do this too",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: code::BAD_REQUEST,
        status: Some(400),
        meaning: "the request is not acceptable",
        cause: "a field is missing or out of its bounds; the details stand in the answer's messages",
        remedy: "read the words beside the code, and set the field that they name",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: 10010,
        status: Some(400),
        meaning: "a URL is not acceptable",
        cause: "the URL to copy from cannot be parsed, or is not one that the public internet can reach",
        remedy: "give an http or https URL that answers without a login",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: code::STORAGE_FULL,
        status: Some(413),
        meaning: "the account's storage is used up",
        cause: "the minutes stored and those reserved for unfinished uploads reach what was bought",
        remedy: "buy more minutes, delete videos, or set a smaller maximum duration for uploads: it is reserved until the upload ends",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: code::NOT_A_VIDEO,
        status: Some(400),
        meaning: "what was uploaded is not a video",
        cause: "the file is of another kind, or its beginning is damaged",
        remedy: "play the file to see whether it is whole, and convert it to MP4 if it is",
        again: Again::AfterRemedy,
    },
    ErrorCode {
        code: 10060,
        status: Some(400),
        meaning: "recordings cannot be kept for so long, or so briefly",
        cause: "deleteRecordingAfterDays is below 30 or above 1,096",
        remedy: "choose from 30 to 1,096 days, or leave it out",
        again: Again::AfterRemedy,
    },
];

/// The known words, in alphabetical order.
pub const ERROR_REASONS: &[ErrorReason] = &[
    ErrorReason {
        code: "ERR_DURATION_EXCEED_CONSTRAINT",
        meaning: "the video is longer than the upload allows",
        cause: "its duration is above the maximum duration that was set at creation",
        remedy: "upload it again with a larger maximum duration, or cut it",
        again: Again::AfterRemedy,
    },
    ErrorReason {
        code: "ERR_DURATION_TOO_SHORT",
        meaning: "the video is too short",
        cause: "it lasts less than 0.1 s: often a recording that never began",
        remedy: "check the file, and upload a longer one",
        again: Again::AfterRemedy,
    },
    ErrorReason {
        code: "ERR_FETCH_ORIGIN_ERROR",
        meaning: "Stream could not fetch the video from its URL",
        cause: "the source server is not public, refuses HEAD or ranges, or was not there; URLs signed for GET refuse HEAD",
        remedy: "make the URL answer HEAD and ranged GET to anybody, or upload the file itself",
        again: Again::AfterRemedy,
    },
    ErrorReason {
        code: "ERR_GOP_OUT_OF_RANGE",
        meaning: "key frames of the live broadcast are too far apart or too close",
        cause: "the encoder sends a key frame less often than every 10 s or more often than every 2 s",
        remedy: "set the encoder's key frame interval to 2 to 10 s",
        again: Again::AfterRemedy,
    },
    ErrorReason {
        code: "ERR_MALFORMED_VIDEO",
        meaning: "the video is damaged",
        cause: "its container or its streams cannot be read: often a copy or an export that was cut short",
        remedy: "play the file to its end; export or convert it anew",
        again: Again::AfterRemedy,
    },
    ErrorReason {
        code: "ERR_NON_VIDEO",
        meaning: "the upload is not a video",
        cause: "the file is of another kind, whatever its name says",
        remedy: "upload a video, such as MP4 with H.264 and AAC",
        again: Again::AfterRemedy,
    },
    ErrorReason {
        code: "ERR_STORAGE_QUOTA_EXHAUSTED",
        meaning: "the live broadcast is not recorded: the account's storage is used up",
        cause: "the minutes stored and reserved reach what was bought",
        remedy: "buy more minutes or delete videos",
        again: Again::AfterRemedy,
    },
    ErrorReason {
        code: "ERR_UNKNOWN",
        meaning: "Stream failed and does not say why",
        cause: "a file that its encoder cannot handle, or a failure of the service itself",
        remedy: "convert it to MP4 with H.264 and AAC and upload that, or ask Cloudflare with the video's id",
        again: Again::AfterRemedy,
    },
    ErrorReason {
        code: "ERR_UNSUPPORTED_AUDIO_CODEC",
        meaning: "the live broadcast's audio cannot be used",
        cause: "the encoder sends something else than AAC",
        remedy: "set the encoder to AAC",
        again: Again::AfterRemedy,
    },
    ErrorReason {
        code: "ERR_UNSUPPORTED_VIDEO_CODEC",
        meaning: "the live broadcast's video cannot be used",
        cause: "the encoder sends something else than H.264",
        remedy: "set the encoder to H.264",
        again: Again::AfterRemedy,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_words_stand_once_and_in_order() {
        assert!(ERROR_CODES.is_sorted_by(|a, b| a.code < b.code));
        assert!(ERROR_REASONS.is_sorted_by(|a, b| a.code < b.code));
    }

    #[test]
    fn whatever_was_documented_or_seen_has_its_row() {
        let seen = [
            6003, 6103, 7000, 7003, 9106, 10000, 10002, 10003, 10004, 10005, 10010, 10011, 10059,
            10060,
        ];
        assert!(ERROR_CODES.iter().map(|row| row.code).eq(seen));
        assert_eq!(ERROR_REASONS.len(), 10);
        for row in ERROR_CODES {
            for text in [row.meaning, row.cause, row.remedy] {
                assert!(!text.is_empty() && !text.ends_with('.'), "{}", row.code);
            }
        }
    }

    #[test]
    fn no_number_could_be_taken_for_an_http_status() {
        assert!(ERROR_CODES.iter().all(|row| row.code >= 1000));
    }
}
