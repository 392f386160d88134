//! What HTTP statuses are about for people: beside what [`tus_core::rejection`] knows of them for machines.

use http::StatusCode;
use stream_api::Again;
use tus_core::rejection::{self, Advice, Phase};

/// What is said of one status.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) status: u16,
    /// What it means, where the protocol's table does not say it.
    meaning: Option<&'static str>,
    pub(super) cause: &'static str,
    pub(super) remedy: &'static str,
    pub(super) again: Again,
}

impl Row {
    /// What it means, in the words of the protocol's table if it has some.
    pub(super) fn meaning(&self) -> String {
        let meant: Vec<_> = rejection::TABLE
            .iter()
            .filter(|row| row.status == self.status)
            .map(|row| row.text)
            .collect();
        match self.meaning {
            Some(meaning) => meaning.to_owned(),
            None => meant.join("; or "),
        }
    }

    /// What `put` does about it by itself: when it answers a creation, a question for the offset, a chunk.
    pub(super) fn handling(&self) -> [(&'static str, &'static str); 3] {
        let advice = |phase| match StatusCode::from_u16(self.status) {
            Ok(status) => words(rejection::advice(phase, status)),
            Err(_) => words(Advice::GiveUp),
        };
        [
            ("creation", advice(Phase::Create)),
            ("HEAD", advice(Phase::Head)),
            ("PATCH", advice(Phase::Patch)),
        ]
    }
}

fn words(advice: Advice) -> &'static str {
    match advice {
        Advice::Doubt => "find out whether it was done before it is done again",
        Advice::Gone => "begin anew, once",
        Advice::Halve => "send smaller chunks",
        Advice::Resend => "send the chunk again, at most three times",
        Advice::Sync => "ask for the offset and go on from there",
        Advice::Throttled => "wait as long as the server says",
        Advice::Wait => "wait and ask again",
        Advice::WaitForLock => "wait for the other writer",
        _ => "stop",
    }
}

const fn known(status: u16, again: Again, cause: &'static str, remedy: &'static str) -> Row {
    Row {
        status,
        meaning: None,
        cause,
        remedy,
        again,
    }
}

/// A status that the protocol's table treats like its class.
const fn other(
    status: u16,
    meaning: &'static str,
    again: Again,
    cause: &'static str,
    remedy: &'static str,
) -> Row {
    Row {
        status,
        meaning: Some(meaning),
        cause,
        remedy,
        again,
    }
}

const LATER: &str = "nothing at first: it is waited out; if it lasts, look at the server and run the same command again";

/// The table, ascending. 520 to 530 are Cloudflare's own, given in the place of a server behind it:
/// <https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/>.
#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    known(400, Again::AfterRemedy,
        "a header or a setting that the server does not take; at Stream also a chunk that is no multiple of 256 KiB, or a missing token",
        "read the server's words beside it; check --chunk-size, --meta and the token"),
    known(401, Again::AfterRemedy,
        "no token or header was sent, or it is wrong, expired or revoked",
        "check CLOUDFLARE_API_TOKEN, --token-file or --header"),
    known(403, Again::AfterRemedy,
        "the token lacks a permission, the account has no Stream, or a firewall before the server said no",
        "give the token the permission Stream: Edit; look up the code beside the status, if there is one"),
    known(404, Again::AfterRemedy,
        "for a creation: the URL or the account is wrong; later: the upload has expired or was removed",
        "check the URL and the account; an upload that is gone is begun anew by itself"),
    known(405, Again::AfterRemedy,
        "the URL is not a tus creation URL, or a proxy lets no PATCH through",
        "give the creation URL itself with --endpoint, and let POST, HEAD, PATCH and OPTIONS pass"),
    known(407, Again::AfterRemedy,
        "a proxy between here and the server wants a user and a password",
        "put them into HTTPS_PROXY or HTTP_PROXY: http://USER:PASSWORD@HOST:PORT"),
    known(408, Again::Yes,
        "the body came too slowly, or one PATCH took longer than the server allows",
        "nothing at first: it is waited out; if it lasts, send less at a time with --chunk-size"),
    known(409, Again::Yes,
        "the server has another number of bytes than was thought: an answer was lost, or somebody else writes too",
        "nothing: the server's offset is asked for; if it lasts, look for another uploader of the same file"),
    known(410, Again::Yes,
        "the upload was left unfinished for too long, or was terminated",
        "nothing: it is begun anew by itself"),
    known(412, Again::AfterRemedy,
        "the server speaks another version of tus than 1.0.0, or is none",
        "check the URL; a server that speaks only tus 0.x cannot be used"),
    known(413, Again::AfterRemedy,
        "the file is larger than the server takes, a proxy limits bodies, or the storage of the Stream account is used up",
        "read the words beside it: a smaller --chunk-size gets past a proxy, a larger quota past the account's limit"),
    known(415, Again::AfterRemedy,
        "what answers is not a tus server, or a proxy changes Content-Type",
        "check the URL and what stands before the server"),
    known(423, Again::Yes,
        "another request writes to the same upload, or a broken one has not been noticed yet",
        "nothing: it is waited for; if it lasts, stop the other uploader"),
    known(425, Again::Yes,
        "the request came before the connection was settled",
        "nothing: it is sent again"),
    known(429, Again::Yes,
        "more requests than the service allows (Cloudflare: 1,200 in 5 minutes), or more videos than it encodes at once (Stream: 120)",
        "nothing: it is waited out; fewer uploads at once (--parallel) or larger chunks (--chunk-size) avoid it"),
    known(431, Again::AfterRemedy,
        "the metadata or the headers of --header are too long",
        "shorten --meta and --header"),
    known(460, Again::Yes,
        "the bytes that arrived are not those that were sent",
        "nothing at first: the chunk is sent again; if it lasts, use https or another network"),
    known(500, Again::Yes, "a failure inside the server", LATER),
    known(501, Again::AfterRemedy,
        "what answers does not speak tus",
        "give the tus creation URL itself with --endpoint"),
    known(502, Again::Yes, "the server restarts, or is not there for the proxy before it", LATER),
    known(503, Again::Yes, "the server is overloaded, or down for maintenance", LATER),
    known(504, Again::Yes, "the server is too slow for the proxy before it", LATER),
    known(507, Again::AfterRemedy,
        "the server's disk is full",
        "free space on the server, then run the same command again"),
    other(520, "Cloudflare got an answer that makes no sense", Again::Yes,
        "the server behind Cloudflare closed the connection or sent no proper answer", LATER),
    other(521, "Cloudflare was turned away by the server", Again::Yes,
        "the server behind Cloudflare is down, or its firewall refuses Cloudflare", LATER),
    other(522, "Cloudflare could not connect to the server in time", Again::Yes,
        "the server behind Cloudflare is overloaded or not reachable", LATER),
    other(523, "Cloudflare cannot reach the server", Again::Yes,
        "the route or the address of the server behind Cloudflare is wrong", LATER),
    other(524, "Cloudflare waited too long for the server's answer", Again::Yes,
        "the server behind Cloudflare takes more than 100 s for a request",
        "send less at a time with --chunk-size"),
    other(525, "Cloudflare could not agree on TLS with the server", Again::AfterRemedy,
        "TLS is not set up on the server behind Cloudflare", "set up TLS on the server"),
    other(526, "the server's certificate does not satisfy Cloudflare", Again::AfterRemedy,
        "the certificate of the server behind Cloudflare is expired, self-signed or for another name",
        "renew the certificate on the server"),
    other(530, "Cloudflare could not find the server", Again::AfterRemedy,
        "the name of the server behind Cloudflare does not resolve; a code 1xxx stands in the page",
        "check the URL and its DNS entry"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_of_the_protocols_table_is_explained_once_and_in_its_words() {
        assert!(TABLE.is_sorted_by(|a, b| a.status < b.status));
        for known in rejection::TABLE {
            let row = TABLE.iter().find(|row| row.status == known.status);
            let meaning = row.map(Row::meaning).unwrap_or_default();
            assert!(meaning.contains(known.text), "{}", known.status);
        }
        assert!(TABLE.iter().all(|row| !row.meaning().is_empty()));
    }

    #[test]
    fn what_stops_the_tool_needs_a_remedy_first() {
        for row in TABLE {
            let stops = row
                .handling()
                .iter()
                .all(|(_, words)| *words == self::words(Advice::GiveUp));
            assert!(!(stops && row.again == Again::Yes), "{}", row.status);
        }
    }
}
