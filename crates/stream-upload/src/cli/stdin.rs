//! Stdin as a source: streamed where that is possible, else read into a private file first.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use tus_core::{Extension, UploadLength};
use tus_engine::{FileSource, ReaderSource, Source, Uploader};

use super::exit::{CliError, Code};
use super::plan::Stdin;
use super::render::Renderer;
use stream_ingest::Target;

/// How stdin is shown.
pub(crate) const LABEL: &str = "-";

/// What is uploaded when `-` was named.
pub(crate) async fn source(
    stdin: Stdin,
    target: &Target,
    uploader: &Uploader,
    state_dir: &Path,
    renderer: &Renderer,
) -> Result<Arc<dyn Source>, CliError> {
    if let Some(length) = stdin.length {
        return Ok(Arc::new(ReaderSource::new(tokio::io::stdin(), length)));
    }
    if takes_unknown_length(target, uploader).await {
        return Ok(Arc::new(ReaderSource::new(
            tokio::io::stdin(),
            UploadLength::Deferred,
        )));
    }
    renderer.note("stdin: read into a private file first, because the server has to know its length (--length spares that)");
    let folder = state_dir.to_owned();
    let limit = stdin.spool_limit;
    let spooled = tokio::task::spawn_blocking(move || spool(&folder, limit)).await;
    let source = spooled
        .map_err(io::Error::other)
        .and_then(|spooled| spooled);
    let source = source.map_err(|error| {
        CliError::new(Code::Local, format!("stdin: {error}"))
            .hint("give its length with --length, more room with --spool-limit, or another folder with --state-dir")
    })?;
    Ok(Arc::new(source))
}

async fn takes_unknown_length(target: &Target, uploader: &Uploader) -> bool {
    // Stream wants the length at creation.
    if target.is_stream() {
        return false;
    }
    let offered = uploader.capabilities(target.url()).await;
    offered.is_some_and(|offered| offered.extensions.has(Extension::CreationDeferLength))
}

/// Reads stdin into a file that has no name, so that nobody else can open it and nothing is left behind.
fn spool(folder: &Path, limit: u64) -> io::Result<FileSource> {
    let mut file: File = tempfile::tempfile_in(folder)?;
    let mut input = io::stdin().lock().take(limit.saturating_add(1));
    if io::copy(&mut input, &mut file)? > limit {
        let message = format!("there are more than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    FileSource::new(file)
}
