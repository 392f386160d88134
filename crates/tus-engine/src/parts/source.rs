//! [`PartSource`]: one part of a source.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_transport::BoxFuture;
use resume_store::Evidence;
use tus_core::UploadLength;

use crate::buffer::Buffer;
use crate::source::{Look, Source};

/// A range of another source.
pub(super) struct PartSource {
    pub(super) whole: Arc<dyn Source>,
    pub(super) start: u64,
    pub(super) length: u64,
}

impl Source for PartSource {
    fn length(&self) -> UploadLength {
        UploadLength::Known(self.length)
    }

    fn read_at(&self, offset: u64, buffer: Buffer) -> BoxFuture<'_, io::Result<Bytes>> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        Box::pin(async move {
            let mut bytes = self.whole.read_at(self.start + offset, buffer).await?;
            bytes.truncate(left);
            Ok(bytes)
        })
    }

    fn read_at_once(&self, offset: u64, buffer: &mut Buffer) -> Option<usize> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let read = self.whole.read_at_once(self.start + offset, buffer)?;
        Some(read.min(left))
    }

    fn evidence(&self) -> io::Result<Option<Evidence>> {
        self.whole.evidence()
    }

    fn evidence_at_once(&self) -> io::Result<Option<Evidence>> {
        self.whole.evidence_at_once()
    }

    fn opened_as(&self) -> Look {
        self.whole.opened_as()
    }

    fn look(&self) -> io::Result<Look> {
        self.whole.look()
    }
}
