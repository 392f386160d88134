//! What a tus server must remember and answer, without the bytes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::SinkUpload;
use super::head::Head;

/// One upload; its offset grows without a lock while a body streams in.
#[derive(Debug)]
pub(super) struct Upload {
    length: Mutex<Option<u64>>,
    offset: AtomicU64,
    partial: bool,
}

impl Upload {
    fn length(&self) -> Option<u64> {
        *self.length.lock().expect("no holder of this lock panics")
    }

    /// Bytes received.
    pub(super) fn offset(&self) -> u64 {
        self.offset.load(Ordering::Acquire)
    }

    /// Counts `n` bytes as received.
    pub(super) fn advance(&self, n: u64) {
        self.offset.fetch_add(n, Ordering::AcqRel);
    }

    /// Forgets what a broken request has brought.
    pub(super) fn recede(&self, offset: u64) {
        self.offset.store(offset, Ordering::Release);
    }
}

/// All uploads of a sink, and the extensions it offers.
#[derive(Debug)]
pub(super) struct Uploads {
    extensions: Vec<String>,
    checksums: Vec<String>,
    scheme: &'static str,
    table: Mutex<(u64, BTreeMap<u64, Arc<Upload>>)>,
}

/// An answer, or what must happen to the body before there is one.
#[derive(Debug)]
pub(super) enum Reply {
    /// Throw the body away and answer with this status and these header lines.
    Now(&'static str, String),
    /// Let the body advance the upload, then answer; `Upload-Offset` is added.
    Receive(Arc<Upload>, &'static str, String),
}

impl Reply {
    fn refuse(status: &'static str) -> Self {
        Self::Now(status, String::new())
    }
}

impl Uploads {
    pub(super) fn new(
        extensions: Vec<String>,
        checksums: Vec<String>,
        scheme: &'static str,
    ) -> Self {
        Self {
            extensions,
            checksums,
            scheme,
            table: Mutex::default(),
        }
    }

    pub(super) fn list(&self) -> Vec<SinkUpload> {
        let of = |upload: &Arc<Upload>| SinkUpload {
            length: upload.length(),
            offset: upload.offset(),
        };
        self.table().1.values().map(of).collect()
    }

    fn table(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Arc<Upload>>)> {
        self.table.lock().expect("no holder of this lock panics")
    }

    fn offers(&self, extension: &str) -> bool {
        self.extensions.iter().any(|offered| offered == extension)
    }

    /// The upload that a path or URL ends in the number of.
    fn find(&self, path: &str) -> Option<(u64, Arc<Upload>)> {
        let number = path.rsplit('/').next()?.parse().ok()?;
        let upload = self.table().1.get(&number)?.clone();
        Some((number, upload))
    }

    fn add(&self, length: Option<u64>, offset: u64, partial: bool) -> (u64, Arc<Upload>) {
        let upload = Arc::new(Upload {
            length: Mutex::new(length),
            offset: AtomicU64::new(offset),
            partial,
        });
        let mut table = self.table();
        let number = table.0;
        table.0 += 1;
        table.1.insert(number, Arc::clone(&upload));
        (number, upload)
    }

    /// Decides on a request; `host` is where the client found us.
    pub(super) fn decide(&self, head: &Head, host: &str) -> Reply {
        if head.chunked {
            // A body without a length has no use here, and reading one would cost speed.
            return Reply::refuse("411 Length Required");
        }
        if head.method == "OPTIONS" {
            let mut lines = "Tus-Version: 1.0.0\r\n".to_owned();
            if !self.extensions.is_empty() {
                lines += &format!("Tus-Extension: {}\r\n", self.extensions.join(","));
            }
            if !self.checksums.is_empty() {
                let names = self.checksums.join(",");
                lines += &format!("Tus-Checksum-Algorithm: {names}\r\n");
            }
            return Reply::Now("204 No Content", lines);
        }
        if head.tus_resumable.as_deref() != Some("1.0.0") {
            let lines = "Tus-Version: 1.0.0\r\n".to_owned();
            return Reply::Now("412 Precondition Failed", lines);
        }
        match head.method.as_str() {
            "POST" => self.create(head, host),
            "HEAD" => self.tell(head),
            "PATCH" => self.append(head),
            "DELETE" => self.terminate(head),
            _ => Reply::refuse("405 Method Not Allowed"),
        }
    }

    fn create(&self, head: &Head, host: &str) -> Reply {
        let concat = head.upload_concat.as_deref();
        if concat.is_some() && !self.offers("concatenation") {
            return Reply::refuse("400 Bad Request");
        }
        if let Some(parts) = concat.and_then(|concat| concat.strip_prefix("final;")) {
            return self.concatenate(parts, host);
        }
        let deferred = head.defers_length && self.offers("creation-defer-length");
        if head.upload_length.is_some() == deferred {
            return Reply::refuse("400 Bad Request");
        }
        let has_body = head.offset_stream && self.offers("creation-with-upload");
        if has_body
            && head
                .upload_length
                .is_some_and(|length| head.content_length > length)
        {
            return Reply::refuse("413 Content Too Large");
        }
        let (number, upload) = self.add(head.upload_length, 0, concat == Some("partial"));
        let lines = format!("Location: {}://{host}/files/{number}\r\n", self.scheme);
        if has_body {
            Reply::Receive(upload, "201 Created", lines)
        } else {
            Reply::Now("201 Created", lines)
        }
    }

    fn concatenate(&self, parts: &str, host: &str) -> Reply {
        let mut total = 0;
        for part in parts.split_ascii_whitespace() {
            match self.find(part) {
                Some((_, upload)) if upload.partial && upload.length() == Some(upload.offset()) => {
                    total += upload.offset();
                }
                _ => return Reply::refuse("400 Bad Request"),
            }
        }
        let (number, _) = self.add(Some(total), total, false);
        Reply::Now(
            "201 Created",
            format!("Location: {}://{host}/files/{number}\r\n", self.scheme),
        )
    }

    fn tell(&self, head: &Head) -> Reply {
        let Some((_, upload)) = self.find(&head.path) else {
            return Reply::refuse("404 Not Found");
        };
        let mut lines = format!(
            "Cache-Control: no-store\r\nUpload-Offset: {}\r\n",
            upload.offset()
        );
        match upload.length() {
            Some(length) => lines += &format!("Upload-Length: {length}\r\n"),
            None => lines += "Upload-Defer-Length: 1\r\n",
        }
        if upload.partial {
            lines += "Upload-Concat: partial\r\n";
        }
        Reply::Now("200 OK", lines)
    }

    fn append(&self, head: &Head) -> Reply {
        if !head.offset_stream {
            return Reply::refuse("415 Unsupported Media Type");
        }
        let Some((_, upload)) = self.find(&head.path) else {
            return Reply::refuse("404 Not Found");
        };
        let Some(offset) = head.upload_offset else {
            return Reply::refuse("400 Bad Request");
        };
        if offset != upload.offset() {
            return Reply::refuse("409 Conflict");
        }
        let end = offset.checked_add(head.content_length);
        {
            let mut length = upload.length.lock().expect("no holder of this lock panics");
            match (*length, head.upload_length) {
                (None, told) => *length = told,
                (Some(known), Some(told)) if known != told => {
                    return Reply::refuse("400 Bad Request");
                }
                _ => {}
            }
            if end.is_none_or(|end| length.is_some_and(|length| end > length)) {
                return Reply::refuse("413 Content Too Large");
            }
        }
        Reply::Receive(upload, "204 No Content", String::new())
    }

    fn terminate(&self, head: &Head) -> Reply {
        if !self.offers("termination") {
            return Reply::refuse("405 Method Not Allowed");
        }
        let found = self.find(&head.path);
        match found.and_then(|(number, _)| self.table().1.remove(&number)) {
            Some(_) => Reply::refuse("204 No Content"),
            None => Reply::refuse("404 Not Found"),
        }
    }
}
