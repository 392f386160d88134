//! Broadcasts: `POST /live/{stream key}`, over HTTP in the place of RTMPS. The body is what is broadcast, and while it
//! comes the input is connected:
//!
//! ```text
//! ffmpeg -re -i talk.mp4 -c copy -f mpegts http://127.0.0.1:8787/live/STREAM_KEY
//! ```
//!
//! An input that records `automatic`ally makes a video of it, `live-inprogress` while it lasts and an ordinary one
//! afterwards. How an input is connected is told in Stream's words:
//!
//! | what happened | `status` |
//! |---|---|
//! | nobody has connected yet | `null` |
//! | a body comes | `connected` |
//! | it ended | `client_disconnect` |
//! | it broke off, or nothing came for a while | `reconnecting`, for as long as the recording waits |
//! | another one came in that time; the recording goes on | `reconnected` |
//! | none came | `failed_to_reconnect` |
//! | the input is disabled, or nothing more can be stored | `failed_to_connect` |
//!
//! Not here: RTMPS, SRT and WebRTC themselves, playing what is live (the input's id is answered with 204), sending it on to
//! outputs, and the states `ttl_exceeded` and `new_configuration_accepted`.

mod recording;
mod stage;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use http_transport::Body;
use jiff::Timestamp;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::account::live::LiveInput;
use crate::answer::{self, Answer};
use crate::entry::{Entry, Work};
use crate::filling::Filling;
use crate::handler::Cut;
use crate::id;
use crate::op::new_video;
use crate::server::Shared;
use crate::tus::Outcome;
use crate::upload::{Place, Ticket, Upload};
use recording::checkpoint;
pub(crate) use recording::{close, resume, sweep};
pub(crate) use stage::Stage;

/// So much of a broadcast is lost at most when the server dies.
const CHECKPOINT_BYTES: u64 = 4 * 1024 * 1024;

/// How a body came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// All of it came.
    Closed,
    Broke,
    /// The input was disabled or deleted, its recording was, or the server stops.
    HungUp,
}

/// Answers `POST /live/{key}` when the broadcast has ended.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    key: &str,
    head: &Request<()>,
    body: &mut Option<Body>,
) -> Outcome {
    if !matches!(*head.method(), Method::POST | Method::PUT) {
        let text = "a broadcast is the body of a POST\n";
        return Ok(answer::text(StatusCode::METHOD_NOT_ALLOWED, text));
    }
    let refuse = |status, text: &str| Ok(answer::text(status, format!("{text}\n")));
    let Some((account, uid)) = input_with(shared, key) else {
        return refuse(StatusCode::NOT_FOUND, "no live input has this stream key");
    };
    let Some((off, goes_on)) = shared.stage.enter(&uid) else {
        let text = "somebody broadcasts to this live input";
        return refuse(StatusCode::CONFLICT, text);
    };
    let broadcast = Broadcast {
        shared: Arc::clone(shared),
        account,
        uid,
        off,
        goes_on,
        bytes: 0,
    };
    let body = body.take().unwrap_or_default();
    // In a task of its own: hyper drops this one when the broadcaster goes away.
    match shared.tasks.spawn(broadcast.run(body)).await {
        Ok(outcome) => outcome,
        Err(_) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "the broadcast failed"),
    }
}

fn input_with(shared: &Shared, key: &str) -> Option<(String, String)> {
    let inputs = shared.account.live_inputs.all().into_iter();
    let mut inputs = inputs.filter(|(_, input)| input.is_broadcast_with(key));
    inputs.next().map(|(account, input)| (account, input.uid))
}

struct Broadcast {
    shared: Arc<Shared>,
    account: String,
    uid: String,
    off: CancellationToken,
    goes_on: bool,
    bytes: u64,
}

impl Broadcast {
    async fn run(mut self, mut body: Body) -> Outcome {
        let recording = match self.connect().await {
            Ok(recording) => recording,
            Err(refusal) => {
                self.status("failed_to_connect").await;
                self.shared.stage.leave(&self.uid);
                return Ok(*refusal);
            }
        };
        let taken = match &recording {
            Some(upload) => upload.take().await,
            None => None,
        };
        let (mut filling, mut ticket) = match taken {
            Some((blob, ticket)) => (Some(Filling::new(blob)), Some(ticket)),
            None => (None, None),
        };
        let end = self
            .receive(
                &mut body,
                recording.as_deref(),
                &mut filling,
                ticket.as_mut(),
            )
            .await;
        if let (Some(upload), Some(mut filling)) = (&recording, filling)
            && let Err(error) = checkpoint(&self.shared, upload, &mut filling).await
        {
            tracing::warn!(%error, "the end of a broadcast cannot be stored");
        }
        let recorded = recording.as_ref().map(|upload| upload.blob_id().to_owned());
        self.disconnect(end, recorded.as_deref()).await;
        match end {
            End::Closed => {
                let told =
                    json!({ "liveInput": self.uid, "recording": recorded, "bytes": self.bytes });
                Ok(answer::json(StatusCode::OK, &told))
            }
            End::HungUp => {
                let text = "the live input takes no broadcast any more\n";
                Ok(answer::text(StatusCode::FORBIDDEN, text))
            }
            End::Broke => Err(Cut),
        }
    }

    /// What it is recorded into, if it is.
    async fn connect(&self) -> Result<Option<Arc<Upload>>, Box<Answer>> {
        // Asked once more: it may have been disabled just before this one was on the stage.
        let input = self
            .shared
            .account
            .live_inputs
            .get(&self.account, &self.uid);
        let input = input.filter(|input| input.wishes.enabled).ok_or_else(|| {
            let text = "the live input is disabled\n";
            Box::new(answer::text(StatusCode::FORBIDDEN, text))
        })?;
        let open = input.recorded.as_deref().filter(|_| self.goes_on);
        let open = open.and_then(|uid| self.shared.uploads.get(uid));
        let recording = match open {
            None if input.wishes.recording.automatic => Some(self.record(&input).await?),
            open => open,
        };
        let recorded = recording.as_ref().map(|upload| upload.key.clone());
        let word = if self.goes_on {
            "reconnected"
        } else {
            "connected"
        };
        change(&self.shared, &self.account, &self.uid, move |input| {
            input.status = Some(word.to_owned());
            input.recorded = recorded;
        })
        .await;
        Ok(recording)
    }

    /// A new video, as the input wants it.
    async fn record(&self, input: &LiveInput) -> Result<Arc<Upload>, Box<Answer>> {
        let uid = id::new().map_err(|_| Box::new(crate::op::call::unsaved()))?;
        let now = self.shared.clock.now();
        let mut video = new_video::blank(&uid, Duration::ZERO, now);
        let (wishes, recording) = (&input.wishes, &input.wishes.recording);
        video.upload_expiry = None;
        video.live_input = Some(input.uid.clone());
        video.creator = wishes.default_creator.clone();
        video.require_signed_urls = Some(recording.require_signed_urls);
        video.allowed_origins = recording.allowed_origins.clone();
        let mut meta = wishes.meta.clone();
        let name = meta.get("name").and_then(|name| name.as_str());
        let name = format!("{} {}", name.unwrap_or("Live"), minute(now));
        meta.insert("name".to_owned(), name.trim().into());
        video.meta = Some(meta);
        let place = Place::Inner {
            account: self.account.clone(),
            uid,
        };
        let entry = Entry::with_work(self.account.clone(), video, Work::Live);
        new_video::add(&self.shared, entry, place).await
    }

    /// Reads the body, and records it if it is to be.
    async fn receive(
        &mut self,
        body: &mut Body,
        recording: Option<&Upload>,
        filling: &mut Option<Filling>,
        mut ticket: Option<&mut Ticket>,
    ) -> End {
        let shared = Arc::clone(&self.shared);
        let mut stored = 0;
        loop {
            let called_off = async {
                match &mut ticket {
                    Some(ticket) => ticket.called_off().await,
                    None => std::future::pending().await,
                }
            };
            let frame = tokio::select! {
                biased;
                () = self.off.cancelled() => return End::HungUp,
                () = shared.stop.cancelled() => return End::HungUp,
                () = called_off => return End::HungUp,
                frame = tokio::time::timeout(shared.options.body_idle, body.frame()) => frame,
            };
            let data = match frame {
                Err(_) | Ok(Some(Err(_))) => return End::Broke,
                Ok(None) => return End::Closed,
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            };
            self.bytes += data.len() as u64;
            if self.bytes > shared.options.max_bytes {
                return End::HungUp;
            }
            let (Some(upload), Some(filling)) = (recording, filling.as_mut()) else {
                continue;
            };
            let stores = self.bytes - stored >= CHECKPOINT_BYTES;
            let storing = async {
                filling.push(data).await?;
                if stores {
                    checkpoint(&shared, upload, filling).await?;
                }
                Ok::<_, std::io::Error>(())
            };
            if let Err(error) = storing.await {
                tracing::warn!(%error, "a broadcast cannot be stored");
                return End::Broke;
            }
            if stores {
                stored = self.bytes;
            }
        }
    }

    /// What becomes of the input, and of its recording: it ends at once, or waits for the next broadcast.
    async fn disconnect(&self, end: End, recorded: Option<&str>) {
        let shared = &self.shared;
        let now = shared.clock.now();
        let input = shared.account.live_inputs.get(&self.account, &self.uid);
        let wait = input.map_or(Duration::ZERO, |input| input.wait(shared));
        let until = now.checked_add(wait).unwrap_or(now);
        if end == End::HungUp || wait.is_zero() {
            let word = match end {
                End::Broke => "failed_to_reconnect",
                End::Closed | End::HungUp => "client_disconnect",
            };
            self.status(word).await;
            close(shared, &self.account, &self.uid, recorded).await;
            shared.stage.leave(&self.uid);
            shared.teller.tell();
            return;
        }
        self.status(match end {
            End::Broke => "reconnecting",
            End::Closed | End::HungUp => "client_disconnect",
        })
        .await;
        shared.stage.await_back(&self.uid, &self.account, until);
        shared.teller.tell();
        // Whoever asks finds that it is over, and a webhook must not wait until somebody does.
        let (sweeping, stop) = (Arc::clone(shared), shared.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            tokio::time::sleep(wait).await;
            sweeping.sweep().await;
        }));
    }

    async fn status(&self, word: &'static str) {
        change(&self.shared, &self.account, &self.uid, move |input| {
            input.status = Some(word.to_owned());
        })
        .await;
    }
}

impl LiveInput {
    /// How long its recording waits for the next broadcast.
    fn wait(&self, shared: &Shared) -> Duration {
        match self.wishes.recording.timeout_seconds {
            0 => shared.hypotheses().recording_timeout,
            seconds => Duration::from_secs(seconds),
        }
    }
}

/// Changes an input, if it is still there.
async fn change(
    shared: &Arc<Shared>,
    account: &str,
    uid: &str,
    change: impl FnOnce(&mut LiveInput) + Send + 'static,
) {
    let (account, uid) = (account.to_owned(), uid.to_owned());
    let changing = shared.blocking(move |shared| {
        let inputs = &shared.account.live_inputs;
        inputs.change(&account, &uid, shared.disk.as_ref(), change)
    });
    if let Err(error) = changing.await {
        tracing::warn!(%error, "the state of a live input cannot be saved");
    }
}

/// As recordings are named: `22 Sep 26 22:12 UTC`.
fn minute(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(
        |_| String::new(),
        |time| time.strftime("%d %b %y %H:%M UTC").to_string(),
    )
}
