//! The rows of `tests/vectors` against the server machine, over a store in memory.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

#[path = "../../../tests/vectors/rows.rs"]
#[allow(dead_code, reason = "each runner uses its part of it")]
mod rows;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Response};
use rows::{Came, Names, Request, Row, SECTIONS, Seen, Snapshot, list, text};
use serde_json::Value;
use tus_core::server::{Append, Decision, Server, UploadInfo, UploadKind, refusal, refusal_about};
use tus_core::{
    ChecksumAlgorithm, Extension, Meaning, Rejection, ServerCapabilities, UploadLength,
};

/// Runs a section's rows, and names all that fail at once.
fn run(section: &str) {
    let rows = rows::rows(section, "S");
    assert!(!rows.is_empty());
    let wrong: Vec<_> = rows.iter().flat_map(run_row).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! sections {
    ($($name:ident: $section:literal,)*) => {
        $(#[test]
        fn $name() {
            run($section);
        })*

        #[test]
        fn no_section_is_left_out() {
            assert_eq!([$($section),*], SECTIONS);
        }
    };
}

sections! {
    general: "general",
    head: "head",
    patch: "patch",
    options: "options",
    creation: "creation",
    metadata: "metadata",
    creation_with_upload: "creation-with-upload",
    expiration: "expiration",
    checksum: "checksum",
    termination: "termination",
    concatenation: "concatenation",
    defer_length: "defer-length",
}

fn run_row(row: &Row) -> Vec<String> {
    let mut store = Store::new(&row.json["state"]["server"]);
    let mut names = Names::from([("base".to_owned(), "http://tus.example".to_owned())]);
    rows::name(&mut names, "unknown", "/files/unknown");
    for state in rows::states(row) {
        let path = store.put(&state, &names);
        rows::name(&mut names, &state.name, &path);
    }
    let mut wrong = Vec::new();
    for step in rows::steps(row) {
        let request = Request::of(&row.at, &step["request"], &names);
        let path = match &*request.to {
            "creation" => "/files/".to_owned(),
            name => names[name].clone(),
        };
        let before = store.snapshot();
        let answer = store.serve(&path, &request);
        let after = store.snapshot();
        let made = after.keys().find(|path| !before.contains_key(*path));
        if let Some(made) = made {
            rows::name(&mut names, "new", made);
        }
        let header = |name: &str| -> Option<String> {
            let value = answer.as_ref()?.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let came = Came {
            status: answer.as_ref().map(|answer| answer.status().as_u16()),
            header: &header,
            before: &before,
            after: &after,
            about: made.unwrap_or(&path),
        };
        wrong.extend(rows::judge(&row.at, &step["expect"], &names, &came));
        if header("location").as_ref() != made.filter(|_| answer.is_some()) {
            wrong.push(format!("{}: Location is not what was made", row.at));
        }
    }
    wrong
}

/// The effects of the machine's decisions, in memory.
struct Store {
    server: Server,
    now: SystemTime,
    uploads: BTreeMap<String, Stored>,
}

struct Stored {
    info: UploadInfo,
    bytes: Vec<u8>,
    parts: Vec<String>,
}

/// How a body ended: `None` when the client went away.
type End = Option<Result<(), Rejection>>;

impl Store {
    fn new(server: &Value) -> Self {
        rows::keys("server", server, "extensions max_size checksum_algorithms");
        let named = |name: &Value| {
            let mut all = Extension::ALL.into_iter();
            all.find(|known| known.name() == text(name)).unwrap()
        };
        let extensions = match &server["extensions"] {
            Value::Null => Extension::ALL.into_iter().collect(),
            names => list(names).iter().map(named).collect(),
        };
        let checksum_algorithms = match &server["checksum_algorithms"] {
            Value::Null => ChecksumAlgorithm::ALL.to_vec(),
            names => list(names)
                .iter()
                .map(|name| text(name).parse().unwrap())
                .collect(),
        };
        let server = Server::new(ServerCapabilities {
            extensions,
            max_size_bytes: server["max_size"].as_u64(),
            checksum_algorithms,
        });
        Self {
            server: server.with_expiry(Duration::from_secs(24 * 60 * 60)),
            now: UNIX_EPOCH + Duration::from_secs(1_767_225_600),
            uploads: BTreeMap::new(),
        }
    }

    /// An upload as a row describes it.
    fn put(&mut self, state: &rows::State, names: &Names) -> String {
        let concat = state.concat.as_deref().map(|it| rows::fill(it, names));
        let mut parts = Vec::new();
        let kind = match concat.as_deref() {
            None => UploadKind::Plain,
            Some("partial") => UploadKind::Partial,
            Some(whole) => {
                let urls = whole.strip_prefix("final;").unwrap().split(' ');
                parts.extend(urls.map(str::to_owned));
                UploadKind::Final(whole.parse().unwrap())
            }
        };
        let expires = if state.expired {
            self.now - Duration::from_secs(1)
        } else {
            self.now + Duration::from_secs(60)
        };
        let length = state.length.map(UploadLength::Known);
        self.insert(Stored {
            info: UploadInfo {
                offset: state.bytes.len() as u64,
                metadata: state.metadata.as_deref().map(|it| it.parse().unwrap()),
                kind,
                expires: Some(expires),
                ..UploadInfo::new(length.unwrap_or(UploadLength::Deferred))
            },
            bytes: state.bytes.clone(),
            parts,
        })
    }

    fn insert(&mut self, stored: Stored) -> String {
        let path = format!("/files/{}", self.uploads.len() + 1);
        self.uploads.insert(path.clone(), stored);
        path
    }

    fn snapshot(&self) -> Snapshot {
        let seen = |stored: &Stored| {
            assert_eq!(stored.info.offset, stored.bytes.len() as u64);
            Seen {
                length: stored.info.length.known(),
                bytes: stored.bytes.clone(),
            }
        };
        let uploads = self.uploads.iter();
        uploads.map(|(path, it)| (path.clone(), seen(it))).collect()
    }

    /// Answers a request; `None` when there is nobody left to answer.
    fn serve(&mut self, path: &str, request: &Request) -> Option<Response<()>> {
        let mut head = http::Request::builder().method(&*request.method).uri(path);
        for (name, value) in &request.headers {
            head = head.header(name, value);
        }
        let head = head.body(()).unwrap();
        let info = self.uploads.get(path).map(|stored| stored.info.clone());
        let refuse = |rejection: &Rejection| match &info {
            Some(info) => refusal_about(rejection, info),
            None => refusal(rejection),
        };
        match self.server.decide(&head, info.as_ref(), self.now) {
            Err(rejection) => Some(refuse(&rejection)),
            Ok(Decision::Options(options)) => Some(options.done()),
            // A creation belongs to the creation URL, which only the caller knows.
            Ok(Decision::Create(_) | Decision::Join(_)) if path != "/files/" => {
                Some(refusal(&Meaning::MethodNotAllowed.into()))
            }
            Ok(Decision::Head(head)) => Some(head.done(info.as_ref()?)),
            Ok(Decision::Terminate(terminate)) => {
                self.uploads.remove(path);
                Some(terminate.done())
            }
            Ok(Decision::Create(create)) => {
                let mut stored = Stored {
                    info: create.info.clone(),
                    bytes: Vec::new(),
                    parts: Vec::new(),
                };
                let end = match &create.body {
                    Some(append) => stored.append(append, request),
                    None => Some(Ok(())),
                };
                if let Some(Err(rejection)) = end {
                    return Some(refusal(&rejection));
                }
                let info = stored.info.clone();
                let path = self.insert(stored);
                end.map(|_| create.done(&path, &info))
            }
            Ok(Decision::Append(append)) => {
                let stored = self.uploads.get_mut(path)?;
                let answer = match stored.append(&append, request)? {
                    Ok(()) => append.done(&stored.info),
                    Err(rejection) => refuse(&rejection),
                };
                self.join_waiting();
                Some(answer)
            }
            Ok(Decision::Join(join)) => {
                let parts: Vec<_> = join.parts.iter().map(|part| self.part(part)).collect();
                let info_of = |part: &Option<String>| Some(&self.uploads.get(part.as_ref()?)?.info);
                let info = match join.check(parts.iter().map(info_of), self.now) {
                    Ok(info) => info,
                    Err(rejection) => return Some(refusal(&rejection)),
                };
                let path = self.insert(Stored {
                    info: UploadInfo { offset: 0, ..info },
                    bytes: Vec::new(),
                    parts: parts.into_iter().flatten().collect(),
                });
                self.join_waiting();
                Some(join.done(&path))
            }
            Ok(other) => panic!("{other:?} is not known here"),
        }
    }

    /// The path in the URL of a part.
    fn part(&self, url: &str) -> Option<String> {
        let path = url.strip_prefix("http://tus.example").unwrap_or(url);
        let absolute = if path.contains('/') {
            path.to_owned()
        } else {
            format!("/files/{path}")
        };
        self.uploads.contains_key(&absolute).then_some(absolute)
    }

    /// Final uploads take the lengths and the bytes of their parts as soon as those are there.
    fn join_waiting(&mut self) {
        let waiting: Vec<_> = self
            .uploads
            .iter()
            .filter(|(_, stored)| !stored.parts.is_empty() && !stored.info.is_complete())
            .map(|(path, stored)| (path.clone(), stored.parts.clone()))
            .collect();
        for (path, parts) in waiting {
            let parts = parts.iter().map(|part| self.uploads.get(part));
            let Some(parts) = parts.collect::<Option<Vec<_>>>() else {
                continue;
            };
            let length: Option<u64> = parts.iter().map(|part| part.info.length.known()).sum();
            let complete = parts.iter().all(|part| part.info.is_complete());
            let bytes = parts.iter().flat_map(|part| part.bytes.clone()).collect();
            let whole = self.uploads.get_mut(&path).unwrap();
            whole.info.length = length.map_or(UploadLength::Deferred, UploadLength::Known);
            if complete {
                whole.bytes = bytes;
                whole.info.offset = whole.bytes.len() as u64;
            }
        }
    }
}

impl Stored {
    fn append(&mut self, append: &Append, request: &Request) -> End {
        let body = request.arriving();
        if body.len() as u64 > append.limit {
            return Some(Err(Append::too_long()));
        }
        if request.cut_after.is_some() {
            if append.keeps_broken_body() {
                self.keep(append, body);
            }
            return None;
        }
        if let Some(mut verifier) = append.verifier() {
            // In pieces, as bodies come.
            body.chunks(3).for_each(|piece| verifier.update(piece));
            let mut trailers = HeaderMap::new();
            for (name, value) in &request.trailers {
                let name: http::HeaderName = name.parse().unwrap();
                trailers.append(name, value.parse().unwrap());
            }
            if let Err(rejection) = verifier.finish(Some(&trailers)) {
                return Some(Err(rejection));
            }
        }
        self.keep(append, body);
        Some(Ok(()))
    }

    fn keep(&mut self, append: &Append, body: &[u8]) {
        assert_eq!(append.at, self.bytes.len() as u64, "P-01");
        self.bytes.extend_from_slice(body);
        self.info.appended(append, body.len() as u64);
    }
}
