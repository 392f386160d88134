//! [`Reply`]: bytes, pauses, and an end.

use std::sync::Arc;
use std::time::Duration;

/// An answer: how much of the request is read first, what is said, and how it ends.
///
/// Nothing is checked: header values go out byte by byte as they were given.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Bytes of the body to read first; all of them when absent.
    pub(super) after: Option<u64>,
    /// The body counts for the honest upload that it is sent to.
    pub(super) keeps_body: bool,
    pub(super) pieces: Vec<Piece>,
    pub(super) end: End,
}

/// What is said in one go.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Bytes(Vec<u8>),
    /// The same bytes so many times.
    Repeat(Arc<[u8]>, u64),
    Pause(Duration),
    /// Half of what these bytes become on the wire: over TLS half a record.
    Half(Vec<u8>),
}

/// What follows the last piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The rest of the body is read, then the next request.
    KeepAlive,
    /// FIN (over TLS after `close_notify`); then the client is read to its end.
    Close,
    /// The socket is closed at once: RST if the client had more to say. No `close_notify`.
    Drop,
    /// RST.
    Reset,
    /// Nothing more is said or read.
    Hang,
}

impl Reply {
    /// These bytes as they are, instead of any answer.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            after: None,
            keeps_body: false,
            pieces: vec![Piece::Bytes(bytes.into())],
            end: End::KeepAlive,
        }
    }

    /// No answer at all.
    #[must_use]
    pub fn silence() -> Self {
        Self::raw("")
    }

    /// A status without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        // A length is forbidden where there can be no body.
        let length = match status {
            100..=199 | 204 | 304 => "",
            _ => "Content-Length: 0\r\n",
        };
        Self::raw(format!("HTTP/1.1 {status} Scripted\r\n{length}\r\n"))
    }

    /// A status with `Tus-Resumable: 1.0.0`.
    #[must_use]
    pub fn tus(status: u16) -> Self {
        Self::status(status).header("Tus-Resumable", "1.0.0")
    }

    /// A status with a body.
    #[must_use]
    pub fn body(status: u16, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let length = body.len();
        Self::raw(format!(
            "HTTP/1.1 {status} Scripted\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n"
        ))
        .then(body)
    }

    /// Adds a header to the head that comes first, byte by byte: CR, LF, NUL and whatever else.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        if let Some(Piece::Bytes(head)) = self.pieces.first_mut()
            && let Some(line) = head.windows(2).position(|two| two == b"\r\n")
        {
            let value = value.as_ref();
            let added = [b"\r\n", name.as_bytes(), b": ", value].concat();
            head.splice(line..line, added);
        }
        self
    }

    /// Answers after `bytes` bytes of the body, not at its end: 0 is at once. What more the
    /// client says is read only if the reply ends in keeping or closing the connection.
    #[must_use]
    pub fn after(mut self, bytes: u64) -> Self {
        self.after = Some(bytes);
        self
    }

    /// Lets the body that is read count for the honest upload it is sent to, whatever is said
    /// about it: the server did it, and lies or is silent.
    #[must_use]
    pub fn keeping_body(mut self) -> Self {
        self.keeps_body = true;
        self
    }

    /// Waits before the first byte.
    #[must_use]
    pub fn pause_before(mut self, pause: Duration) -> Self {
        self.pieces.insert(0, Piece::Pause(pause));
        self
    }

    /// Then waits.
    #[must_use]
    pub fn then_pause(self, pause: Duration) -> Self {
        self.piece(Piece::Pause(pause))
    }

    /// Then says more.
    #[must_use]
    pub fn then(self, bytes: impl AsRef<[u8]>) -> Self {
        self.piece(Piece::Bytes(bytes.as_ref().to_vec()))
    }

    /// Then says the same `times` times, or until the client has had enough.
    #[must_use]
    pub fn then_repeat(self, bytes: impl AsRef<[u8]>, times: u64) -> Self {
        self.piece(Piece::Repeat(bytes.as_ref().into(), times))
    }

    /// Then sends half of `bytes` and closes the socket; over TLS half of the record that holds
    /// them, and no `close_notify`.
    #[must_use]
    pub fn then_cut(self, bytes: impl AsRef<[u8]>) -> Self {
        self.piece(Piece::Half(bytes.as_ref().to_vec())).then_drop()
    }

    /// Ends with FIN (over TLS after `close_notify`), and reads the client to its end.
    #[must_use]
    pub fn then_close(mut self) -> Self {
        self.end = End::Close;
        self
    }

    /// Ends by closing the socket at once: the kernel sends RST if the client had more to say.
    #[must_use]
    pub fn then_drop(mut self) -> Self {
        self.end = End::Drop;
        self
    }

    /// Ends with RST.
    #[must_use]
    pub fn then_reset(mut self) -> Self {
        self.end = End::Reset;
        self
    }

    /// Ends with nothing: the connection stays open and dead.
    #[must_use]
    pub fn then_hang(mut self) -> Self {
        self.end = End::Hang;
        self
    }

    fn piece(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }
}
