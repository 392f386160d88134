//! A file in a form, read piece by piece while it is sent.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_transport::{Body, FaultKind, TransportError};
use stream_api::{Error, Form, FormFile};
use tokio::fs::File;
use tokio_util::io::poll_read_buf;

use crate::cli::exit::{CliError, Code};

/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// A form with a file, which is opened anew each time that the form is sent.
#[derive(Debug)]
pub(super) struct FileForm {
    texts: Vec<(String, String)>,
    path: PathBuf,
    content_type: &'static str,
}

impl FileForm {
    /// The file at `path`, of this type, if it has at most so many bytes.
    pub(super) async fn of(
        path: &Path,
        content_type: &'static str,
        most: u64,
    ) -> Result<Self, CliError> {
        let fail = |error: io::Error| {
            CliError::new(Code::Local, format!("{}: {error}", path.display()))
                .hint("check the path and that you may read the file")
        };
        let (_, bytes) = open(path).await.map_err(fail)?;
        if bytes > most {
            return Err(CliError::usage(format!(
                "{}: {bytes} bytes are too many, {most} are the most",
                path.display(),
            )));
        }
        Ok(Self {
            texts: Vec::new(),
            path: path.to_owned(),
            content_type,
        })
    }

    pub(super) fn text(mut self, name: &str, text: String) -> Self {
        self.texts.push((name.to_owned(), text));
        self
    }

    /// The form, with its file from the beginning.
    pub(super) async fn make(&self) -> Result<Form, Error> {
        let gone = |error: io::Error| {
            let text = format!("{}: {error}", self.path.display());
            Error::from(TransportError::new(FaultKind::Source, text))
        };
        let (file, left) = open(&self.path).await.map_err(gone)?;
        let name = self.path.file_name().unwrap_or(self.path.as_os_str());
        let body = Body::wrap(Reading { file, left });
        let file = FormFile::new(name.to_string_lossy(), body);
        let form = Form::new();
        let texts = self.texts.iter();
        let form = texts.fold(form, |form, (name, text)| form.text(name, text.clone()));
        Ok(form.file("file", file.with_content_type(self.content_type)))
    }
}

/// The file, and its bytes.
async fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path).await?;
    let about = file.metadata().await?;
    if about.is_file() {
        Ok((file, about.len()))
    } else {
        Err(io::Error::other("not a file"))
    }
}

/// What is left of a file. It never yields more than it promised: whoever sends it notices the difference.
struct Reading {
    file: File,
    left: u64,
}

impl HttpBody for Reading {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let most = usize::try_from(self.left).unwrap_or(PIECE).min(PIECE);
        let mut piece = BytesMut::with_capacity(most);
        let file = Pin::new(&mut self.file);
        match ready!(poll_read_buf(file, context, &mut piece)) {
            Err(error) => Poll::Ready(Some(Err(error))),
            Ok(0) => Poll::Ready(None),
            Ok(_) => {
                piece.truncate(most);
                self.left -= piece.len() as u64;
                Poll::Ready(Some(Ok(Frame::data(piece.freeze()))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
