//! [`Form`]: `multipart/form-data`, streamed.
//!
//! A file is never held in memory: its body is passed on frame by frame. Where the length of every part is
//! known, so is the form's, and it is sent with `Content-Length`.
//! <https://www.rfc-editor.org/rfc/rfc7578>

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderValue;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_transport::{Body, BoxError};

use crate::bounds::{CAPTIONS_BYTES, FORM_FILE_BYTES, WATERMARK_BYTES};
use crate::op::edit::OutOfBounds;

/// A file in a form: a name, a type, and a body that the caller streams from wherever it is.
pub struct FormFile {
    name: String,
    content_type: String,
    body: Body,
    progress: Option<Progress>,
}

type Progress = Box<dyn FnMut(u64) + Send>;

impl FormFile {
    /// A file called `name`, without folders. Its type is `application/octet-stream`.
    pub fn new(name: impl Into<String>, body: impl Into<Body>) -> Self {
        Self {
            name: name.into(),
            content_type: "application/octet-stream".into(),
            body: body.into(),
            progress: None,
        }
    }

    /// Sets the type, such as `video/mp4`. One that no header may hold is ignored.
    #[must_use]
    pub fn with_content_type(mut self, content_type: &str) -> Self {
        if HeaderValue::from_str(content_type).is_ok() {
            content_type.clone_into(&mut self.content_type);
        }
        self
    }

    /// Calls `progress` with the bytes of the file that were handed to the connection so far, after
    /// each piece. It is no promise that they arrived. It must not block.
    #[must_use]
    pub fn with_progress(mut self, progress: impl FnMut(u64) + Send + 'static) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// The file's length in bytes, where it is known.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.body.exact_len()
    }

    /// Checks that it may be a video in a form: below 200 MB. Of unknown length, it is sent up to the
    /// bound, and broken off there.
    pub(crate) fn for_video(self) -> Result<Self, OutOfBounds> {
        self.below(
            FORM_FILE_BYTES - 1,
            "a video in a form must be below 200 MB; upload a larger one by tus",
        )
    }

    pub(crate) fn for_audio(self) -> Result<Self, OutOfBounds> {
        self.below(FORM_FILE_BYTES, "an audio track must be at most 200 MB")
    }

    pub(crate) fn for_captions(self) -> Result<Self, OutOfBounds> {
        self.below(CAPTIONS_BYTES, "captions must be at most 10 MB")
    }

    pub(crate) fn for_watermark(self) -> Result<Self, OutOfBounds> {
        self.below(
            WATERMARK_BYTES,
            "a watermark's picture must be at most 2 MB",
        )
    }

    fn below(self, most: u64, text: &'static str) -> Result<Self, OutOfBounds> {
        if self.body.size_hint().lower() > most {
            return Err(OutOfBounds(text));
        }
        Ok(Self {
            body: match self.body {
                body if body.exact_len().is_some() => body,
                body => Body::wrap(Bounded {
                    body,
                    left: most,
                    text,
                }),
            },
            ..self
        })
    }
}

impl fmt::Debug for FormFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormFile")
            .field("name", &self.name)
            .field("content_type", &self.content_type)
            .field("length", &self.length())
            .finish_non_exhaustive()
    }
}

/// A form. Parts are sent in the order in which they were added.
#[derive(Debug)]
pub struct Form {
    boundary: String,
    pieces: VecDeque<Piece>,
}

enum Piece {
    Bytes(Bytes),
    File {
        body: Body,
        progress: Option<Progress>,
        promised: Option<u64>,
        sent: u64,
    },
}

impl Default for Form {
    fn default() -> Self {
        Self::new()
    }
}

impl Form {
    /// An empty form, with a boundary that nobody can foresee.
    #[must_use]
    pub fn new() -> Self {
        let mut random = [0; 16];
        // Without randomness the boundary is as good as any that a file was not made to contain.
        if getrandom::fill(&mut random).is_err() {
            random = *b"no randomness!!!";
        }
        let digits: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Self::with_boundary(format!("form-{digits}"))
    }

    fn with_boundary(boundary: String) -> Self {
        Self {
            boundary,
            pieces: VecDeque::new(),
        }
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, name: &str, value: impl Into<String>) -> Self {
        let head = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n",
            self.boundary,
            escaped(name),
            value.into(),
        );
        self.pieces.push_back(Piece::Bytes(head.into()));
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, name: &str, file: FormFile) -> Self {
        let head = format!(
            "--{}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: {}\r\n\r\n",
            self.boundary,
            escaped(name),
            escaped(&file.name),
            file.content_type,
        );
        self.pieces.push_back(Piece::Bytes(head.into()));
        self.pieces.push_back(Piece::File {
            promised: file.body.exact_len(),
            body: file.body,
            progress: file.progress,
            sent: 0,
        });
        self.pieces.push_back(Piece::Bytes("\r\n".into()));
        self
    }

    /// The value of `Content-Type`.
    #[must_use]
    pub fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// The form as a body. A file that yields fewer or more bytes than it promised breaks it off.
    #[must_use]
    pub fn into_body(mut self) -> Body {
        let end = format!("--{}--\r\n", self.boundary);
        self.pieces.push_back(Piece::Bytes(end.into()));
        Body::wrap(FormBody(self.pieces))
    }
}

/// As browsers do: what could end the quotes or the line is percent-encoded, and other controls with
/// it.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '"' => text.push_str("%22"),
            it if it.is_ascii_control() => text.push_str(&format!("%{:02X}", u32::from(it))),
            it => text.push(it),
        }
    }
    text
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::File { promised, .. } => write!(f, "file of {promised:?} bytes"),
        }
    }
}

struct FormBody(VecDeque<Piece>);

impl HttpBody for FormBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        loop {
            match self.0.front_mut() {
                None => return Poll::Ready(None),
                Some(Piece::Bytes(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.0.pop_front();
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Some(Piece::File {
                    body,
                    progress,
                    promised,
                    sent,
                }) => {
                    let frame = ready!(Pin::new(body).poll_frame(context));
                    let data = match frame {
                        None if promised.is_some_and(|promised| promised != *sent) => {
                            return self.broken("the file became shorter while it was sent");
                        }
                        None => {
                            self.0.pop_front();
                            continue;
                        }
                        Some(Err(error)) => {
                            self.0.clear();
                            return Poll::Ready(Some(Err(error)));
                        }
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(data) => data,
                            // Trailers of a part have no place in a form.
                            Err(_) => continue,
                        },
                    };
                    *sent += data.len() as u64;
                    if promised.is_some_and(|promised| *sent > promised) {
                        return self.broken("the file became longer while it was sent");
                    }
                    if let Some(progress) = progress {
                        progress(*sent);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let lengths = self.0.iter().map(|piece| match piece {
            Piece::Bytes(bytes) => Some(bytes.len() as u64),
            Piece::File { promised, sent, .. } => promised.map(|all| all.saturating_sub(*sent)),
        });
        let mut least = 0_u64;
        let mut exact = true;
        for length in lengths {
            exact &= length.is_some();
            least = least.saturating_add(length.unwrap_or(0));
        }
        let mut hint = SizeHint::new();
        hint.set_lower(least);
        if exact {
            hint.set_upper(least);
        }
        hint
    }
}

impl FormBody {
    fn broken<T>(
        mut self: Pin<&mut Self>,
        text: &'static str,
    ) -> Poll<Option<Result<T, BoxError>>> {
        self.0.clear();
        Poll::Ready(Some(Err(text.into())))
    }
}

/// A body of unknown length that may not have more than so many bytes.
struct Bounded {
    body: Body,
    left: u64,
    text: &'static str,
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            match self.left.checked_sub(length) {
                Some(left) => self.left = left,
                None => return Poll::Ready(Some(Err(self.text.into()))),
            }
        }
        Poll::Ready(frame)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn form(file: FormFile) -> Form {
        Form::with_boundary("b".into())
            .text("label", "Deutsch")
            .file("file", file)
    }

    #[tokio::test]
    async fn a_form_is_written_as_rfc_7578_has_it_and_its_length_is_known() {
        let file = FormFile::new("a.mp3", "sound").with_content_type("audio/mpeg");
        let body = form(file).into_body();
        let length = body.exact_len().unwrap();
        let text = body.collect(1 << 20).await.unwrap();
        assert_eq!(text.len() as u64, length);
        let wanted = "--b\r\nContent-Disposition: form-data; name=\"label\"\r\n\r\nDeutsch\r\n\
            --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\
            Content-Type: audio/mpeg\r\n\r\nsound\r\n--b--\r\n";
        assert_eq!(text, wanted);
    }

    #[tokio::test]
    async fn a_name_cannot_end_its_quotes_or_its_line() {
        let name = "a\"; name=\"x\r\nContent-Type: text/html\r\n\r\n<b>";
        let file = FormFile::new(name, "x").with_content_type("a/b\r\nX: y");
        let text = form(file).into_body().collect(1 << 20).await.unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(text.contains(
            "filename=\"a%22; name=%22x%0D%0AContent-Type: text/html%0D%0A%0D%0A<b>\"\r\n"
        ));
        assert!(text.contains("Content-Type: application/octet-stream\r\n\r\nx\r\n"));
    }

    #[tokio::test]
    async fn progress_counts_the_bytes_of_the_file_alone() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let file =
            FormFile::new("a", "12345").with_progress(move |sent| log.lock().unwrap().push(sent));
        form(file).into_body().collect(1 << 20).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), [5]);
    }

    /// Says that it has so many bytes, and yields others.
    struct Liar(u64, Option<Bytes>);

    impl HttpBody for Liar {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Ready(self.1.take().map(|bytes| Ok(Frame::data(bytes))))
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0)
        }
    }

    #[tokio::test]
    async fn a_file_that_changes_its_length_breaks_the_form_off() {
        for (length, word) in [(3, "longer"), (9, "shorter")] {
            let liar = Body::wrap(Liar(length, Some("12345".into())));
            let error = form(FormFile::new("a", liar))
                .into_body()
                .collect(1 << 20)
                .await
                .unwrap_err();
            let cause = std::error::Error::source(&error).unwrap().to_string();
            assert!(cause.contains(word), "{cause}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_sent() {
        let file = |length| FormFile::new("a", Body::wrap(Liar(length, None)));
        assert!(file(200_000_000).for_video().is_err());
        assert!(file(199_999_999).for_video().is_ok());
        assert!(file(10_000_001).for_captions().is_err());
        assert!(file(2_000_001).for_watermark().is_err());
        assert!(file(200_000_000).for_audio().is_ok());
    }

    #[test]
    fn no_two_forms_have_the_same_boundary() {
        assert_ne!(Form::new().boundary, Form::new().boundary);
    }
}
