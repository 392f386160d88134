//! [`Emulator::builder`]: every option, its default and its unit.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_transport::Transport;
use stream_api::bounds::FORM_FILE_BYTES;
use tus_core::{ChunkRule, Extensions};

use crate::blob::Blobs;
use crate::fault::FaultPlan;
use crate::handle::EmulatorHandle;
use crate::hypotheses::Hypotheses;
use crate::limits::Limits;
use crate::outbound::Outbound;
use crate::quirks::Quirks;
use crate::server;

/// Stream's chunk rule, in bytes. The last chunk of an upload is exempt from minimum and multiple.
/// <https://developers.cloudflare.com/stream/uploading-videos/resumable-uploads/>
const STREAM_CHUNKS: ChunkRule = ChunkRule {
    min_bytes: 5_242_880,
    max_bytes: 209_715_200,
    multiple_of_bytes: 262_144,
    preferred_bytes: 52_428_800,
};

/// 30 GB (<https://developers.cloudflare.com/stream/>).
const STREAM_MAX_BYTES: u64 = 30_000_000_000;

/// A local Cloudflare Stream with a complete tus server. See [`Emulator::builder`].
#[derive(Debug)]
pub struct Emulator {
    _private: (),
}

impl Emulator {
    /// All options at their defaults.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder {
            options: Options::default(),
        }
    }
}

/// How the life of an uploaded video goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// By the clock: `queued`, then `inprogress`, and `ready` after so long. Zero: `ready` at once.
    After(Duration),
    /// It comes to nothing: `error` with `ERR_NON_VIDEO` as soon as it is uploaded, as a file that is no video ends.
    NoVideo,
    /// By being looked at: the first GET shows `queued`, the second `inprogress`, the third `ready`.
    Steps,
}

/// Options of an emulator. The defaults are those of a test: loopback, a free port, memory, a video
/// that is ready as soon as it is uploaded.
#[derive(Debug, Clone)]
#[must_use]
pub struct EmulatorBuilder {
    options: Options,
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) listen: SocketAddr,
    pub(crate) hosts: Vec<String>,
    pub(crate) data: Option<PathBuf>,
    pub(crate) digest_only: bool,
    pub(crate) token: String,
    pub(crate) tus_token: bool,
    pub(crate) chunk_rule: ChunkRule,
    pub(crate) max_bytes: u64,
    pub(crate) stream_extensions: Extensions,
    pub(crate) encoding: Encoding,
    pub(crate) hypotheses: Hypotheses,
    pub(crate) limits: Limits,
    pub(crate) outbound: Outbound,
    pub(crate) quirks: Quirks,
    pub(crate) upload_expiry: Duration,
    pub(crate) body_idle: Duration,
    pub(crate) head_timeout: Duration,
    pub(crate) drain: Duration,
    pub(crate) connections: usize,
    pub(crate) faults: FaultPlan,
    pub(crate) judge_media: bool,
    pub(crate) form_bytes: u64,
    pub(crate) ffmpeg: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            hosts: Vec::new(),
            data: None,
            digest_only: false,
            token: "local".to_owned(),
            tus_token: false,
            chunk_rule: STREAM_CHUNKS,
            max_bytes: STREAM_MAX_BYTES,
            stream_extensions: Extensions::NONE,
            encoding: Encoding::After(Duration::ZERO),
            hypotheses: Hypotheses::default(),
            limits: Limits::default(),
            outbound: Outbound::default(),
            quirks: Quirks::NONE,
            upload_expiry: Duration::from_secs(24 * 60 * 60),
            body_idle: Duration::from_secs(20),
            head_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(10),
            connections: 1024,
            faults: FaultPlan::default(),
            judge_media: false,
            form_bytes: FORM_FILE_BYTES,
            ffmpeg: true,
        }
    }
}

impl EmulatorBuilder {
    /// Where to listen. Default `127.0.0.1:0`, a free port on loopback. Bound to anything else, the
    /// `Host` of requests is not checked any more.
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.options.listen = address;
        self
    }

    /// One more name that requests may give as their `Host` while bound to loopback, where names
    /// are checked against DNS rebinding. Always allowed: `localhost` and loopback addresses.
    pub fn host(mut self, name: impl Into<String>) -> Self {
        self.options.hosts.push(name.into());
        self
    }

    /// Where bytes and state are kept. Default [`Blobs::Memory`].
    pub fn blobs(mut self, blobs: Blobs) -> Self {
        (self.options.data, self.options.digest_only) = match blobs {
            Blobs::Memory => (None, false),
            Blobs::Dir(path) => (Some(path), false),
            Blobs::Digest => (None, true),
        };
        self
    }

    /// The bearer token. Default `local`.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.options.token = token.into();
        self
    }

    /// Whether creating an upload at `/files/` needs the token, too. Default false. Upload URLs
    /// below it never do: their ids are unguessable, whoever has one may use it.
    pub fn tus_token(mut self, needed: bool) -> Self {
        self.options.tus_token = needed;
        self
    }

    /// What Stream wants of the length of a chunk; [`ChunkRule::FREE`] switches the rule off.
    /// Default: 5,242,880 to 209,715,200 bytes in multiples of 262,144, the last chunk of an upload
    /// exempt from minimum and multiple.
    pub fn chunk_rule(mut self, rule: ChunkRule) -> Self {
        self.options.chunk_rule = rule;
        self
    }

    /// The largest video in bytes. Default 30,000,000,000.
    pub fn max_size_bytes(mut self, max: u64) -> Self {
        self.options.max_bytes = max;
        self
    }

    /// tus extensions on Stream's upload URLs besides `creation`. Which of them Stream has is not
    /// public. Default none; `concatenation` is ignored there.
    pub fn stream_extensions(mut self, extensions: Extensions) -> Self {
        self.options.stream_extensions = extensions;
        self
    }

    /// How the life of an uploaded video goes on. Default `After(0)`: ready at once.
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.options.encoding = encoding;
        self
    }

    /// A video is ready so long after it was uploaded: short for
    /// [`encoding`](Self::encoding)`(Encoding::After(time))`.
    pub fn encode_time(self, time: Duration) -> Self {
        self.encoding(Encoding::After(time))
    }

    /// How Stream behaves where its documentation says nothing. See also
    /// [`EmulatorHandle::set_hypotheses`].
    pub fn hypotheses(mut self, hypotheses: Hypotheses) -> Self {
        self.options.hypotheses = hypotheses;
        self
    }

    /// Whether the bytes of a broken PATCH are thrown away instead of kept: short for
    /// [`Hypotheses::drop_partial_chunks`].
    pub fn drop_partial_chunks(mut self, drop: bool) -> Self {
        self.options.hypotheses.drop_partial_chunks = drop;
        self
    }

    /// What an account may use. Default: 120 videos in the encoder's queue, and no other limit. See
    /// also [`EmulatorHandle::set_limits`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// In what answers differ from their descriptions. Default: in nothing. See also
    /// [`EmulatorHandle::set_quirks`].
    pub fn quirks(mut self, quirks: Quirks) -> Self {
        self.options.quirks = quirks;
        self
    }

    /// What Cloudflare allows an account, all of it `times` smaller: the size of a video and what is in
    /// [`Limits::cloudflare`], so that a test meets every limit within minutes. 1 for Cloudflare's own numbers, and so
    /// is 0.
    pub fn cloudflare_limits(mut self, times: u32) -> Self {
        self.options.max_bytes = STREAM_MAX_BYTES / u64::from(times.max(1));
        self.limits(Limits::cloudflare().scaled(times))
    }

    /// The way out, for what is fetched (watermarks, audio tracks, videos from a URL) and for webhooks. Default:
    /// none; then nothing is fetched, and no webhook arrives.
    pub fn outbound(mut self, transport: Arc<dyn Transport>) -> Self {
        self.options.outbound = Outbound::new(transport);
        self
    }

    /// An unfinished generic upload expires so long after its creation. Default 24 h.
    pub fn upload_expiry(mut self, after: Duration) -> Self {
        self.options.upload_expiry = after;
        self
    }

    /// A body of which no byte came for so long is answered with 408. Default 20 s.
    pub fn body_idle_timeout(mut self, idle: Duration) -> Self {
        self.options.body_idle = idle;
        self
    }

    /// A connection whose request head takes longer is closed. Default 10 s.
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.options.head_timeout = timeout;
        self
    }

    /// How long [`EmulatorHandle::shutdown`] lets running requests go on. Default 10 s.
    pub fn drain_time(mut self, time: Duration) -> Self {
        self.options.drain = time;
        self
    }

    /// Connections at once; more of them wait to be accepted. Default 1,024.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.options.connections = connections.max(1);
        self
    }

    /// What goes wrong from the start. Default: nothing. See also [`EmulatorHandle::faults`].
    pub fn faults(mut self, plan: FaultPlan) -> Self {
        self.options.faults = plan;
        self
    }

    /// Whether a file that is no video, or a damaged one, ends in `error` with `ERR_NON_VIDEO` or
    /// `ERR_MALFORMED_VIDEO`, as with Stream. Default false: most tests of uploads send what is at hand,
    /// and want it to become ready. Whatever it is, duration and picture are told where the file tells
    /// them, and a video beyond its `maxDurationSeconds` fails.
    ///
    /// Nothing is looked at with [`Blobs::Digest`], which keeps no bytes.
    pub fn judge_media(mut self, judge: bool) -> Self {
        self.options.judge_media = judge;
        self
    }

    /// Bytes that a file in a form stays below. Default 200,000,000
    /// (<https://developers.cloudflare.com/stream/uploading-videos/upload-video-file/>).
    pub fn form_bytes(mut self, bytes: u64) -> Self {
        self.options.form_bytes = bytes;
        self
    }

    /// Whether `ffmpeg` is used where it is in the path: for clips, thumbnails, manifests and downloads
    /// made of the original. Without it a clip has all bytes of its video, and what cannot be made is
    /// answered with 404. Default true.
    pub fn ffmpeg(mut self, wanted: bool) -> Self {
        self.options.ffmpeg = wanted;
        self
    }

    /// Binds the address, reads the state of a data directory and starts to serve, on the tokio
    /// runtime that this is called in.
    ///
    /// # Errors
    /// What binding or the data directory came back with; [`io::ErrorKind::ResourceBusy`] when
    /// another emulator uses the directory.
    pub async fn start(self) -> io::Result<EmulatorHandle> {
        server::start(self.options).await
    }
}
