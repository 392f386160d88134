//! Words that `put` says for itself, with `--json` and to people.

use stream_api::Again;

/// What is said of one word.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) word: &'static str,
    pub(super) meaning: &'static str,
    pub(super) cause: &'static str,
    pub(super) remedy: &'static str,
    pub(super) again: Again,
}

/// The table, in alphabetical order. Words of exit codes stand with those.
pub(super) const TABLE: &[Row] = &[
    Row {
        word: "already-uploaded",
        meaning: "the same bytes went to the same place in an earlier run",
        cause: "the resume state remembers it, and the file has not changed since",
        remedy: "nothing: its id is printed; --no-resume --force-new sends it a second time",
        again: Again::No,
    },
    Row {
        word: "bandwidth",
        meaning: "it sends as fast as it may, and could go faster",
        cause: "--bwlimit was given",
        remedy: "nothing: it goes on; a higher rate, or off, lets it go faster",
        again: Again::Yes,
    },
    Row {
        word: "encode-slots",
        meaning: "it waits because Stream encodes as many videos as it takes at once",
        cause: "120 videos of the account are queued or being encoded",
        remedy: "nothing: it goes on when videos are ready",
        again: Again::Yes,
    },
    Row {
        word: "encoding",
        meaning: "the file is uploaded, and its video is waited for until it can be played",
        cause: "--wait was given, and Stream is not done with the video",
        remedy: "nothing: it ends when the video can be played, has failed, or the time of --wait is over",
        again: Again::Yes,
    },
    Row {
        word: "expires",
        meaning: "the server removes the upload within the hour if it stays unfinished",
        cause: "the time that the server gives an unfinished upload is nearly over (tus: Upload-Expires)",
        remedy: "let it run; after a stop, run the same command again in time: it goes first",
        again: Again::Yes,
    },
    Row {
        word: "parts-not-offered",
        meaning: "it goes over one connection instead of several",
        cause: "the server does not join partial uploads (tus: concatenation)",
        remedy: "nothing, or leave --parts out",
        again: Again::No,
    },
    Row {
        word: "possible-orphan",
        meaning: "an unfinished upload may have been left behind on the server",
        cause: "the answer to a creation was lost, and the server cannot tell whether it made one",
        remedy: "nothing for this upload; a video that stays in `pendingupload` may be deleted",
        again: Again::No,
    },
    Row {
        word: "rate-limit",
        meaning: "it waits because the server asked for fewer requests, or is going to",
        cause: "more requests than the service allows, from all that use the same token, or than --api-share leaves to this machine",
        remedy: "nothing: it goes on by itself; a smaller --parallel or larger chunks avoid it",
        again: Again::Yes,
    },
    Row {
        word: "ready",
        meaning: "the video can be played, in one quality at least",
        cause: "--wait was given, and Stream says so (its field `readyToStream`)",
        remedy: "nothing: better qualities follow by themselves",
        again: Again::No,
    },
    Row {
        word: "restarted",
        meaning: "it begins anew instead of going on",
        cause: "the file or its settings changed, --no-resume asked for it, or the server has the upload no more",
        remedy: "nothing: bytes of two versions are never mixed",
        again: Again::No,
    },
    Row {
        word: "rewound",
        meaning: "the server has fewer bytes than it confirmed earlier",
        cause: "the server lost data, often by a crash before its disk had it",
        remedy: "nothing: the bytes are sent again; look at the server if it happens often",
        again: Again::No,
    },
    Row {
        word: "state-not-saved",
        meaning: "the upload goes on, but a crash now would begin it anew",
        cause: "the resume state cannot be written: a full or read-only disk, or a permission",
        remedy: "free space, or choose another folder with --state-dir",
        again: Again::AfterRemedy,
    },
    Row {
        word: "unanswered",
        meaning: "a video is waited for, and the API did not say how far it is",
        cause: "the network, or the API, which answers 5xx",
        remedy: "nothing: it is asked again until the time of --wait is over",
        again: Again::Yes,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_once_and_in_order() {
        assert!(TABLE.is_sorted_by(|a, b| a.word < b.word));
    }
}
