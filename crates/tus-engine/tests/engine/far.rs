//! A tus server in memory that is far away: its clock is tokio's, which tests stop, so that minutes pass at once and every run
//! is the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response};
use http_body::Body as _;
use http_transport::{Body, BoxFuture, FaultKind, Phase, Transport, TransportError};
use tokio::time::{Instant, sleep};
use tus_engine::UploadUrl;

/// Where uploads are created.
pub(crate) fn creation_url() -> UploadUrl {
    UploadUrl::parse("http://far.example/files/").unwrap()
}

/// What goes wrong with a PATCH, before any of its bytes is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Status(u16),
    NoAnswer,
}

/// A change of the number of bodies under way.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    /// Since the server began.
    pub(crate) at: Duration,
    /// The uploads that bodies are under way for.
    pub(crate) under_way: Vec<String>,
}

/// Cheap to clone; all clones are one server.
#[derive(Clone)]
pub(crate) struct Far(Arc<Inner>);

struct Inner {
    began: Instant,
    round_trip: Duration,
    /// Over one connection.
    bytes_per_second: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    uploads: HashMap<String, Upload>,
    created: u64,
    under_way: Vec<String>,
    course: Vec<Moment>,
    /// From when on what happens to one PATCH.
    trouble: Option<(Duration, Trouble)>,
}

#[derive(Default)]
struct Upload {
    length: usize,
    bytes: Vec<u8>,
    is_part: bool,
}

impl Far {
    pub(crate) fn new(round_trip: Duration, bytes_per_second: u64) -> Self {
        Self(Arc::new(Inner {
            began: Instant::now(),
            round_trip,
            bytes_per_second,
            state: Mutex::default(),
        }))
    }

    /// One PATCH that begins after so long meets `trouble`.
    pub(crate) fn with_trouble(self, after: Duration, trouble: Trouble) -> Self {
        self.state().trouble = Some((after, trouble));
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// How many bodies were under way, and for what.
    pub(crate) fn course(&self) -> Vec<Moment> {
        self.state().course.clone()
    }

    /// The most bodies at once between two moments.
    pub(crate) fn most_between(&self, from: Duration, until: Duration) -> usize {
        let course = self.course();
        let before = course.iter().rev().find(|moment| moment.at <= from);
        let within = course
            .iter()
            .filter(|moment| (from..until).contains(&moment.at));
        let counts = before.into_iter().chain(within);
        counts
            .map(|moment| moment.under_way.len())
            .max()
            .unwrap_or_default()
    }

    /// When the last body had arrived.
    pub(crate) fn end(&self) -> Duration {
        self.course().last().map_or(Duration::ZERO, |it| it.at)
    }

    /// How many bodies are under way now.
    pub(crate) fn under_way(&self) -> usize {
        self.state().under_way.len()
    }

    /// How many uploads there are, with parts.
    pub(crate) fn uploads(&self) -> usize {
        self.state().uploads.len()
    }

    /// The bytes of all uploads that are no parts, in the order of their names.
    pub(crate) fn finished(&self) -> Vec<Vec<u8>> {
        let state = self.state();
        let whole = state.uploads.iter().filter(|(_, it)| !it.is_part);
        let mut whole: Vec<_> = whole.collect();
        whole.sort_by_key(|(name, _)| (name.len(), name.as_str()));
        whole
            .into_iter()
            .map(|(_, upload)| upload.bytes.clone())
            .collect()
    }

    fn note(&self, state: &mut State) {
        let at = self.0.began.elapsed();
        let under_way = state.under_way.clone();
        state.course.push(Moment { at, under_way });
    }

    fn create(&self, headers: &HeaderMap) -> Response<Body> {
        let text = |name: &str| headers.get(name).map(|it| it.to_str().unwrap());
        let mut state = self.state();
        let concat = text("upload-concat").unwrap_or_default();
        let mut upload = Upload {
            is_part: concat == "partial",
            ..Upload::default()
        };
        if let Some(parts) = concat.strip_prefix("final;") {
            for part in parts.split(' ') {
                let part = &state.uploads[name_of(part)];
                assert_eq!(part.bytes.len(), part.length, "a part is not complete");
                upload.bytes.extend_from_slice(&part.bytes);
            }
            upload.length = upload.bytes.len();
        } else {
            upload.length = text("upload-length").unwrap().parse().unwrap();
        }
        state.created += 1;
        let name = state.created.to_string();
        let location = format!("http://far.example/files/{name}");
        state.uploads.insert(name, upload);
        let mut answer = answer(201);
        answer
            .headers_mut()
            .insert("location", location.parse().unwrap());
        answer
    }

    async fn append(
        &self,
        name: String,
        request: Request<Body>,
    ) -> Result<Response<Body>, TransportError> {
        let trouble = {
            let mut state = self.state();
            state.under_way.push(name.clone());
            self.note(&mut state);
            let now = self.0.began.elapsed();
            let due = state.trouble.take_if(|(after, _)| now >= *after);
            due.map(|(_, trouble)| trouble)
        };
        // Leaves, however it ends, also when the client drops the request.
        let _under_way = UnderWay(self, name.clone());
        let offset: usize = request.headers()["upload-offset"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        match trouble {
            Some(Trouble::Status(status)) => {
                sleep(self.0.round_trip).await;
                return Ok(answer(status));
            }
            Some(Trouble::NoAnswer) => {
                sleep(self.0.round_trip).await;
                let kind = FaultKind::Timeout(Phase::Response);
                return Err(TransportError::new(kind, "nobody answers"));
            }
            None => {}
        }
        let mut body = Box::pin(request.into_body());
        while let Some(frame) = std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let Ok(data) = frame.map_err(read_failed)?.into_data() else {
                continue;
            };
            let time = data.len() as f64 / self.0.bytes_per_second as f64;
            sleep(Duration::from_secs_f64(time)).await;
            let mut state = self.state();
            let upload = state.uploads.get_mut(&name).unwrap();
            assert!(upload.bytes.len() >= offset, "bytes are missing");
            upload.bytes.extend_from_slice(&data);
        }
        sleep(self.0.round_trip).await;
        Ok(self.at_offset(&name, 204))
    }

    fn at_offset(&self, name: &str, status: u16) -> Response<Body> {
        let state = self.state();
        let Some(upload) = state.uploads.get(name) else {
            return answer(404);
        };
        let mut answer = answer(status);
        let headers = answer.headers_mut();
        headers.insert("upload-offset", upload.bytes.len().into());
        headers.insert("upload-length", upload.length.into());
        answer
    }
}

struct UnderWay<'a>(&'a Far, String);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let at = state.under_way.iter().position(|name| *name == self.1);
        state.under_way.swap_remove(at.unwrap());
        self.0.note(&mut state);
    }
}

fn read_failed(error: http_transport::BoxError) -> TransportError {
    TransportError::new(FaultKind::Source, "the source").with_source(error)
}

fn answer(status: u16) -> Response<Body> {
    let answer = Response::builder()
        .status(status)
        .header("tus-resumable", "1.0.0");
    answer.body(Body::Empty).unwrap()
}

fn name_of(url: &str) -> &str {
    url.rsplit('/').next().unwrap()
}

impl Transport for Far {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            let name = name_of(request.uri().path()).to_owned();
            if request.method() == Method::PATCH {
                return self.append(name, request).await;
            }
            sleep(self.0.round_trip).await;
            Ok(match *request.method() {
                Method::OPTIONS => {
                    let mut answer = answer(204);
                    let headers = answer.headers_mut();
                    headers.insert("tus-version", "1.0.0".parse().unwrap());
                    let extensions = "creation,concatenation,termination";
                    headers.insert("tus-extension", extensions.parse().unwrap());
                    answer
                }
                Method::POST => self.create(request.headers()),
                Method::HEAD => self.at_offset(&name, 200),
                Method::DELETE => {
                    self.state().uploads.remove(&name);
                    answer(204)
                }
                _ => answer(405),
            })
        })
    }
}
