//! Bodies on their way into [`Site`]'s uploads.

use http::{HeaderMap, Response};

use crate::server::{Append, Create, refusal};
use crate::sim::Breach;
use crate::sim::site::Site;

/// A PATCH whose body is coming in.
#[derive(Debug)]
pub(super) struct Connection {
    id: u64,
    upload: usize,
    append: Append,
    /// Bytes that wait for the whole body.
    buffer: Vec<u8>,
    received: u64,
    limit: u64,
    /// The creation that these bytes came with.
    creating: Option<(Create, String)>,
}

impl Site {
    pub(super) fn open(
        &mut self,
        upload: usize,
        id: u64,
        append: Append,
        creating: Option<(Create, String)>,
    ) {
        self.uploads[upload].holder = Some(id);
        let limit = self.habits.bites.unwrap_or(u64::MAX).min(append.limit);
        self.connections.push(Connection {
            id,
            upload,
            append,
            buffer: Vec::new(),
            received: 0,
            limit,
            creating,
        });
    }

    /// Bytes of a body have come.
    pub(super) fn bytes(&mut self, id: u64, bytes: &[u8]) -> Result<(), Breach> {
        let Some(connection) = self.connections.iter_mut().find(|known| known.id == id) else {
            return Ok(());
        };
        let room = connection.limit.saturating_sub(connection.received);
        // A digest is of the whole body.
        let guarded = !connection.append.keeps_broken_body();
        let room = if guarded { u64::MAX } else { room };
        let taken = &bytes[..bytes.len().min(room as usize)];
        connection.received += taken.len() as u64;
        if self.habits.atomic || guarded {
            connection.buffer.extend_from_slice(taken);
            return Ok(());
        }
        let (upload, append) = (connection.upload, connection.append.clone());
        let received = connection.received;
        self.write(upload, &append, taken, received)
    }

    /// The whole body has come: the answer, unless somebody pushed the request aside.
    pub(super) fn end(
        &mut self,
        id: u64,
        trailers: Option<&HeaderMap>,
    ) -> Result<Option<Response<()>>, Breach> {
        let Some(connection) = self.take(id) else {
            return Ok(None);
        };
        let (index, append) = (connection.upload, &connection.append);
        if let Some(mut verifier) = append.verifier() {
            verifier.update(&connection.buffer);
            if let Err(rejection) = verifier.finish(trailers) {
                self.uploads[index].removed |= connection.creating.is_some();
                return Ok(Some(self.dressed(refusal(&rejection))));
            }
        }
        self.write(index, append, &connection.buffer, connection.received)?;
        self.tell(index)?;
        let info = &self.uploads[index].info;
        let answer = match &connection.creating {
            Some((create, location)) => create.done(location, info),
            None => append.done(info),
        };
        Ok(Some(self.dressed(answer)))
    }

    /// The server sees that a body broke off.
    pub(super) fn end_broken(&mut self, id: u64) -> Result<(), Breach> {
        let Some(connection) = self.take(id) else {
            return Ok(());
        };
        // What was buffered for a digest, or for the whole, goes with the connection.
        drop(connection);
        Ok(())
    }

    fn take(&mut self, id: u64) -> Option<Connection> {
        let position = self.connections.iter().position(|known| known.id == id)?;
        let connection = self.connections.swap_remove(position);
        self.uploads[connection.upload].holder = None;
        Some(connection)
    }

    fn write(
        &mut self,
        index: usize,
        append: &Append,
        bytes: &[u8],
        received: u64,
    ) -> Result<(), Breach> {
        let upload = &mut self.uploads[index];
        let at = upload.bytes.len();
        if self.source.get(at..at + bytes.len()) != Some(bytes) {
            return Err(Breach::new(
                "stored bytes are the source's",
                format!("upload {index}: other bytes at {at}"),
            ));
        }
        upload.bytes.extend_from_slice(bytes);
        upload.info.appended(append, received);
        Ok(())
    }

    /// An answer is about to name the offset: a durable server syncs before it does, every server when all is there.
    pub(super) fn tell(&mut self, index: usize) -> Result<(), Breach> {
        let syncs = self.habits.durable || self.random.chance(400);
        let upload = &mut self.uploads[index];
        if syncs || upload.info.is_complete() {
            upload.durable = upload.bytes.len();
        }
        self.check()
    }
}
