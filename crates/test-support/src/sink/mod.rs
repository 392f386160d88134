//! [`NullSink`]: a tus server that counts and discards, as fast as one thread per connection can.
//!
//! `connection` is the loop of one connection, `head` parses what a client says, and `tus`
//! decides the answer and keeps lengths and offsets, the only things that are kept at all.

mod builder;
mod connection;
mod head;
mod tus;

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Instant;

use socket2::SockRef;

use builder::Conduct;
pub use builder::NullSinkBuilder;
use head::Head;
use tus::Uploads;

use crate::Random;

/// What a [`NullSink`] has seen since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkCounters {
    /// OPTIONS requests.
    pub options: u64,
    /// POST requests.
    pub posts: u64,
    /// HEAD requests.
    pub heads: u64,
    /// PATCH requests.
    pub patches: u64,
    /// DELETE requests.
    pub deletes: u64,
    /// Requests with any other method.
    pub others: u64,
    /// Bytes of request bodies, accepted or not.
    pub body_bytes: u64,
    /// TCP handshakes: connections accepted, whether or not a request followed.
    pub handshakes: u64,
    /// Connections that carried at least one request.
    pub connections: u64,
}

impl SinkCounters {
    /// Requests of every method together.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.options + self.posts + self.heads + self.patches + self.deletes + self.others
    }

    /// The counters as one line of JSON, named as the fields are.
    #[must_use]
    pub fn to_json(&self) -> String {
        let Self {
            options,
            posts,
            heads,
            patches,
            deletes,
            others,
            body_bytes,
            handshakes,
            connections,
        } = self;
        format!(
            "{{\"options\":{options},\"posts\":{posts},\"heads\":{heads},\
             \"patches\":{patches},\"deletes\":{deletes},\"others\":{others},\
             \"body_bytes\":{body_bytes},\"handshakes\":{handshakes},\
             \"connections\":{connections}}}"
        )
    }
}

/// What a [`NullSink`] knows of one upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkUpload {
    /// Length in bytes; absent while it is deferred.
    pub length: Option<u64>,
    /// Bytes received.
    pub offset: u64,
}

/// A tus 1.0.0 server on 127.0.0.1 that keeps the offset and throws the bytes away.
///
/// It answers OPTIONS, POST, HEAD, PATCH and DELETE on any path, over HTTP/1.1 with keep-alive
/// and `Expect: 100-continue`. Bytes of a broken PATCH count towards the offset. `Location`
/// follows the `Host` of the request, so that a client that came through a proxy stays on it.
///
/// Dropping it closes all connections and waits for its threads.
#[derive(Debug)]
pub struct NullSink {
    shared: Arc<Shared>,
    /// The same socket that is accepted on: to wake who sleeps there.
    listener: TcpListener,
    thread: Option<JoinHandle<()>>,
}

impl NullSink {
    /// Starts a sink with the extension `creation` on a port that the kernel chose.
    ///
    /// # Errors
    /// When no loopback port can be listened on or no thread can be started.
    pub fn start() -> io::Result<Self> {
        Self::builder().start()
    }

    /// Begins a sink with other than the default settings.
    #[must_use]
    pub fn builder() -> NullSinkBuilder {
        NullSinkBuilder::new()
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.shared.address
    }

    /// Where uploads are created, as in `http://127.0.0.1:40123/files/`.
    #[must_use]
    pub fn creation_url(&self) -> String {
        format!(
            "{}://{}/files/",
            self.shared.conduct.scheme(),
            self.shared.address
        )
    }

    /// Waits for the next byte of a body from now on; [`body_came`](Self::body_came) tells when.
    pub fn await_body(&self) {
        *self.shared.first_body() = None;
        self.shared.awaits_body.store(true, Ordering::SeqCst);
    }

    /// When the first byte of a body came since [`await_body`](Self::await_body).
    #[must_use]
    pub fn body_came(&self) -> Option<Instant> {
        *self.shared.first_body()
    }

    /// What it has seen until now.
    #[must_use]
    pub fn counters(&self) -> SinkCounters {
        self.shared.totals.snapshot()
    }

    /// The uploads that were created and not terminated, in the order of creation.
    #[must_use]
    pub fn uploads(&self) -> Vec<SinkUpload> {
        self.shared.uploads.list()
    }
}

impl Drop for NullSink {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // The accepting thread sleeps in the kernel. On Linux this wakes it, wherever the socket
        // lives; elsewhere one connection does.
        let woken = SockRef::from(&self.listener)
            .shutdown(Shutdown::Both)
            .is_ok()
            || TcpStream::connect(self.shared.address).is_ok();
        if let Some(thread) = self.thread.take()
            && woken
        {
            // A panic there has been printed already; dropping must not panic again.
            let _ = thread.join();
        }
    }
}

/// Counters that connections add to without a lock.
#[derive(Debug, Default)]
struct Totals {
    options: AtomicU64,
    posts: AtomicU64,
    heads: AtomicU64,
    patches: AtomicU64,
    deletes: AtomicU64,
    others: AtomicU64,
    body_bytes: AtomicU64,
    handshakes: AtomicU64,
    connections: AtomicU64,
}

impl Totals {
    fn request(&self, method: &str) {
        let counter = match method {
            "OPTIONS" => &self.options,
            "POST" => &self.posts,
            "HEAD" => &self.heads,
            "PATCH" => &self.patches,
            "DELETE" => &self.deletes,
            _ => &self.others,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn snapshot(&self) -> SinkCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SinkCounters {
            options: read(&self.options),
            posts: read(&self.posts),
            heads: read(&self.heads),
            patches: read(&self.patches),
            deletes: read(&self.deletes),
            others: read(&self.others),
            body_bytes: read(&self.body_bytes),
            handshakes: read(&self.handshakes),
            connections: read(&self.connections),
        }
    }
}

#[derive(Debug)]
struct Shared {
    address: SocketAddr,
    totals: Totals,
    uploads: Uploads,
    conduct: Conduct,
    awaits_body: AtomicBool,
    first_body: Mutex<Option<Instant>>,
    stopping: AtomicBool,
    /// The sockets being served, to close them under the feet of their threads.
    open: Mutex<HashMap<u64, TcpStream>>,
}

impl Shared {
    fn new(
        address: SocketAddr,
        extensions: Vec<String>,
        checksums: Vec<String>,
        conduct: Conduct,
    ) -> Self {
        Self {
            address,
            totals: Totals::default(),
            uploads: Uploads::new(extensions, checksums, conduct.scheme()),
            conduct,
            awaits_body: AtomicBool::new(false),
            first_body: Mutex::default(),
            stopping: AtomicBool::new(false),
            open: Mutex::default(),
        }
    }

    fn first_body(&self) -> MutexGuard<'_, Option<Instant>> {
        self.first_body
            .lock()
            .expect("no holder of this lock panics")
    }

    /// Bytes of a body have come.
    fn note_body(&self, bytes: usize) {
        // Looked at first without taking it: every buffer passes here.
        if bytes > 0
            && self.awaits_body.load(Ordering::Relaxed)
            && self.awaits_body.swap(false, Ordering::SeqCst)
        {
            *self.first_body() = Some(Instant::now());
        }
    }

    /// Whether this request meets a server that is not there.
    fn refuses(&self, head: &Head) -> bool {
        let Some((which, parts, seed)) = &self.conduct.refused else {
            return false;
        };
        // This one has been counted already.
        let number = self
            .totals
            .patches
            .load(Ordering::Relaxed)
            .saturating_sub(1);
        let mut random = Random::new(seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        head.method == "PATCH" && which.contains(&number) && random.below(1 << 32) < *parts
    }

    fn open(&self) -> MutexGuard<'_, HashMap<u64, TcpStream>> {
        self.open.lock().expect("no holder of this lock panics")
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for number in 0.. {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::SeqCst) {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        let Ok((stream, _)) = accepted else { continue };
        shared.totals.handshakes.fetch_add(1, Ordering::Relaxed);
        let Ok(twin) = stream.try_clone() else {
            continue;
        };
        shared.open().insert(number, twin);
        let serving = Arc::clone(shared);
        let thread = std::thread::Builder::new()
            .name(format!("null-sink-{number}"))
            .stack_size(shared.conduct.stack_bytes())
            .spawn(move || {
                connection::serve(&serving, stream);
                serving.open().remove(&number);
            });
        match thread {
            Ok(thread) => threads.push(thread),
            // Out of threads: the client sees a closed connection.
            Err(_) => drop(shared.open().remove(&number)),
        }
    }
    for stream in shared.open().values() {
        // It fails only for a connection that has just ended by itself.
        let _ = stream.shutdown(Shutdown::Both);
    }
    for thread in threads {
        // A panic there has been printed already.
        let _ = thread.join();
    }
}
