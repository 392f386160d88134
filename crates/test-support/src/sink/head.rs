//! The head of an HTTP/1.1 request, parsed by hand: few headers matter to the sink.

/// What the sink needs to know of a request before its body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) host: Option<String>,
    /// Bytes of body that follow; 0 when nothing is said.
    pub(super) content_length: u64,
    /// The body has no length in advance (`Transfer-Encoding`).
    pub(super) chunked: bool,
    pub(super) expects_continue: bool,
    /// The client wants the connection closed after the answer.
    pub(super) closes: bool,
    pub(super) tus_resumable: Option<String>,
    pub(super) upload_length: Option<u64>,
    pub(super) upload_offset: Option<u64>,
    pub(super) upload_concat: Option<String>,
    pub(super) defers_length: bool,
    /// `Content-Type: application/offset+octet-stream`.
    pub(super) offset_stream: bool,
}

/// Finds the blank line that ends a head; the length includes it.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| at + 4)
}

/// Parses a whole head; `None` when it is not HTTP/1.1 or a number in it is no number.
pub(super) fn parse(bytes: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.split("\r\n");
    let mut request = lines.next()?.split(' ');
    let mut head = Head {
        method: request.next()?.to_owned(),
        path: request.next()?.to_owned(),
        ..Head::default()
    };
    if request.next()? != "HTTP/1.1" || request.next().is_some() {
        return None;
    }
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "host" => head.host = Some(value.to_owned()),
            "content-length" => head.content_length = value.parse().ok()?,
            "transfer-encoding" => head.chunked = true,
            "expect" => head.expects_continue = value.eq_ignore_ascii_case("100-continue"),
            "connection" => head.closes = value.eq_ignore_ascii_case("close"),
            "tus-resumable" => head.tus_resumable = Some(value.to_owned()),
            "upload-length" => head.upload_length = Some(value.parse().ok()?),
            "upload-offset" => head.upload_offset = Some(value.parse().ok()?),
            "upload-concat" => head.upload_concat = Some(value.to_owned()),
            "upload-defer-length" => head.defers_length = value == "1",
            "content-type" => head.offset_stream = value == "application/offset+octet-stream",
            _ => {}
        }
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_at_its_blank_line() {
        assert_eq!(length(b"HEAD / HTTP/1.1\r\n\r\nbody"), Some(19));
        assert_eq!(length(b"HEAD / HTTP/1.1\r\n\r"), None);
    }

    #[test]
    fn names_are_read_without_regard_to_case_and_values_are_trimmed() {
        let head = parse(
            b"PATCH /files/7 HTTP/1.1\r\nHOST: a:1\r\ncontent-length:  5 \r\n\
              uPLOAD-oFFSET: 9\r\nExpect: 100-Continue\r\n\r\n",
        )
        .expect("a head");
        assert_eq!(head.method, "PATCH");
        assert_eq!(head.path, "/files/7");
        assert_eq!(head.host.as_deref(), Some("a:1"));
        assert_eq!(head.content_length, 5);
        assert_eq!(head.upload_offset, Some(9));
        assert!(head.expects_continue);
    }

    #[test]
    fn what_is_not_http_1_1_is_refused() {
        for bytes in [
            &b"nonsense\r\n\r\n"[..],
            b"GET / HTTP/1.0\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n",
            b"POST / HTTP/1.1\r\nUpload-Length: -1\r\n\r\n",
        ] {
            assert_eq!(parse(bytes), None);
        }
    }
}
