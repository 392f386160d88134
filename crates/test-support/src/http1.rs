//! As much of HTTP/1.1 as telling where a request's head, body and end are.

use std::ops::Range;

/// A longer head is nobody's request.
const MAX_HEAD: usize = 64 * 1024;

/// The head of a request, without judgement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestHead {
    pub(crate) method: String,
    pub(crate) target: String,
    /// As sent, in order.
    pub(crate) headers: Vec<(String, String)>,
}

/// How a request says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyLength {
    /// After so many bytes; 0 without a `Content-Length`.
    Known(u64),
    /// At the last chunk.
    Chunked,
}

impl RequestHead {
    /// Reads a head that ends in an empty line; `None` for what is no request line.
    pub(crate) fn parse(head: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.lines();
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        if !version.starts_with("HTTP/1.") {
            return None;
        }
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            headers,
        })
    }

    /// The first value of a header, whatever the case of its name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = |(it, _): &&(String, String)| it.eq_ignore_ascii_case(name);
        self.headers
            .iter()
            .find(found)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn body(&self) -> BodyLength {
        let coding = self.header("transfer-encoding").unwrap_or("");
        if coding.to_ascii_lowercase().contains("chunked") {
            return BodyLength::Chunked;
        }
        let length = self.header("content-length").and_then(|it| it.parse().ok());
        BodyLength::Known(length.unwrap_or(0))
    }
}

/// Bytes up to and with the empty line that ends a head; `None` while it has not come.
pub(crate) fn head_length(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    Some(end + 4)
}

/// What a piece of a connection holds, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A head is complete, and this is all of it.
    Begun { method: String, head: Vec<u8> },
    /// This range of the piece belongs to the body.
    Body(Range<usize>),
    /// The request is complete.
    Ended,
}

/// Follows the requests of one connection, however its bytes are cut into pieces.
///
/// What is not HTTP/1 (TLS, HTTP/2, a test's own words) is noticed and has no parts at all.
#[derive(Debug)]
pub(crate) struct Follower(Place);

#[derive(Debug)]
enum Place {
    Head(Vec<u8>),
    Body(u64),
    /// With the last bytes seen, up to six: the end may be cut in two.
    Chunks(Vec<u8>),
    Lost,
}

impl Default for Follower {
    fn default() -> Self {
        Self(Place::Head(Vec::new()))
    }
}

impl Follower {
    /// Whether this connection does not speak HTTP/1.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.0, Place::Lost)
    }

    /// Takes the next bytes of the connection.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            at += match &mut self.0 {
                Place::Lost => bytes.len() - at,
                Place::Head(_) => self.follow_head(&bytes[at..], &mut parts),
                Place::Body(left) => {
                    let rest = bytes.len() - at;
                    let taken = usize::try_from(*left).map_or(rest, |left| left.min(rest));
                    *left -= taken as u64;
                    parts.push(Part::Body(at..at + taken));
                    if *left == 0 {
                        self.end(&mut parts);
                    }
                    taken
                }
                Place::Chunks(_) => self.follow_chunks(bytes, at, &mut parts),
            };
        }
        parts
    }

    fn follow_head(&mut self, bytes: &[u8], parts: &mut Vec<Part>) -> usize {
        let Place::Head(head) = &mut self.0 else {
            return 0;
        };
        let before = head.len();
        head.extend_from_slice(bytes);
        let Some(length) = head_length(head) else {
            if !head[0].is_ascii_uppercase() || head.len() > MAX_HEAD {
                self.0 = Place::Lost;
            }
            return bytes.len();
        };
        head.truncate(length);
        let head = std::mem::take(head);
        let Some(parsed) = RequestHead::parse(&head) else {
            self.0 = Place::Lost;
            return bytes.len();
        };
        let body = parsed.body();
        parts.push(Part::Begun {
            method: parsed.method,
            head,
        });
        match body {
            BodyLength::Known(0) => self.end(parts),
            BodyLength::Known(length) => self.0 = Place::Body(length),
            // An empty body begins with its end, whose first line break is the head's last.
            BodyLength::Chunked => self.0 = Place::Chunks(b"\r\n".to_vec()),
        }
        length - before
    }

    /// Chunk sizes count as body. Payload that looks like the end would need seven given bytes.
    fn follow_chunks(&mut self, bytes: &[u8], at: usize, parts: &mut Vec<Part>) -> usize {
        const END: &[u8] = b"\r\n0\r\n\r\n";
        let Place::Chunks(tail) = &mut self.0 else {
            return 0;
        };
        let carried = tail.len();
        tail.extend_from_slice(&bytes[at..]);
        if let Some(found) = tail.windows(END.len()).position(|bytes| bytes == END) {
            let taken = found + END.len() - carried;
            parts.push(Part::Body(at..at + taken));
            self.end(parts);
            return taken;
        }
        let surplus = tail.len().saturating_sub(END.len() - 1);
        tail.drain(..surplus);
        parts.push(Part::Body(at..bytes.len()));
        bytes.len() - at
    }

    fn end(&mut self, parts: &mut Vec<Part>) {
        parts.push(Part::Ended);
        self.0 = Place::Head(Vec::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] = b"PATCH /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcHEAD /b HTTP/1.1\r\n\r\n";

    fn methods(parts: &[Part]) -> Vec<&str> {
        let method = |part: &'_ Part| matches!(part, Part::Begun { .. });
        parts
            .iter()
            .filter(|part| method(part))
            .map(|part| match part {
                Part::Begun { method, .. } => method.as_str(),
                _ => "",
            })
            .collect()
    }

    #[test]
    fn two_requests_are_told_apart_wherever_they_are_cut() {
        for cut in 0..TWO.len() {
            let mut follower = Follower::default();
            let mut parts = follower.follow(&TWO[..cut]);
            parts.extend(follower.follow(&TWO[cut..]));
            assert_eq!(methods(&parts), ["PATCH", "HEAD"], "cut at {cut}");
            let body: usize = parts
                .iter()
                .map(|part| match part {
                    Part::Body(range) => range.len(),
                    _ => 0,
                })
                .sum();
            assert_eq!(body, 3, "cut at {cut}");
            assert_eq!(parts.last(), Some(&Part::Ended));
        }
    }

    #[test]
    fn a_chunked_body_ends_at_its_last_chunk_wherever_it_is_cut() {
        let all = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nHEAD / HTTP/1.1\r\n\r\n";
        for cut in 0..all.len() {
            let mut follower = Follower::default();
            let mut parts = follower.follow(&all[..cut]);
            parts.extend(follower.follow(&all[cut..]));
            assert_eq!(methods(&parts), ["POST", "HEAD"], "cut at {cut}");
        }
        let mut follower = Follower::default();
        let empty = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        assert_eq!(follower.follow(empty).last(), Some(&Part::Ended));
    }

    #[test]
    fn what_is_not_http_has_no_parts() {
        let mut follower = Follower::default();
        assert_eq!(follower.follow(b"\x16\x03\x01 hello"), []);
        assert!(follower.is_lost());
        assert_eq!(follower.follow(TWO), []);
    }
}
