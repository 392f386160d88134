//! A file in a form, read piece by piece while it is sent.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_transport::Body;
use stream_api::FormFile;
use tokio::fs::File;
use tokio_util::io::poll_read_buf;

use crate::cli::exit::{CliError, Code};

/// Bytes that are read at a time.
const PIECE: usize = 256 * 1024;

/// The file at `path`, of this type, if it has at most so many bytes.
pub(super) async fn form_file(
    path: &Path,
    content_type: &str,
    most: u64,
) -> Result<FormFile, CliError> {
    let fail = |error: io::Error| {
        CliError::new(Code::Local, format!("{}: {error}", path.display()))
            .hint("check the path and that you may read the file")
    };
    let file = File::open(path).await.map_err(fail)?;
    let about = file.metadata().await.map_err(fail)?;
    if !about.is_file() {
        return Err(fail(io::Error::other("not a file")));
    }
    if about.len() > most {
        return Err(CliError::usage(format!(
            "{}: {} bytes are too many, {most} are the most",
            path.display(),
            about.len(),
        )));
    }
    let name = path.file_name().unwrap_or(path.as_os_str());
    let body = Body::wrap(Reading {
        file,
        left: about.len(),
    });
    Ok(FormFile::new(name.to_string_lossy(), body).with_content_type(content_type))
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
