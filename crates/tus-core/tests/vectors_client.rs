//! The rows of `tests/vectors` against the client machine: what it sends, and what it makes of the answers.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

#[path = "../../../tests/vectors/rows.rs"]
#[allow(dead_code, reason = "each runner uses its part of it")]
mod rows;

use std::time::{Duration, Instant, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, Response};
use rows::{Names, Row, SECTIONS, list, number, text};
use serde_json::Value;
use tus_core::client::{
    ChecksumWish, Creation, Event, Exchange, Fault, Now, Outcome, Reconciled, Start, Step, Upload,
    UploadPlan,
};
use tus_core::{Extension, Metadata, ServerCapabilities, UploadConcat, UploadLength, UploadUrl};

const ENDPOINT: &str = "https://tus.example/files/";

macro_rules! sections {
    ($($name:ident: $section:literal,)*) => {
        $(#[test]
        fn $name() {
            run($section);
        })*

        const TESTED: &[&str] = &[$($section),*];
    };
}

sections! {
    general: "general",
    patch: "patch",
    options: "options",
    creation: "creation",
    metadata: "metadata",
    creation_with_upload: "creation-with-upload",
    expiration: "expiration",
    checksum: "checksum",
    concatenation: "concatenation",
    defer_length: "defer-length",
}

#[test]
fn no_section_with_a_row_is_left_out() {
    for section in SECTIONS {
        let is_empty = rows::rows(section, "C").is_empty();
        assert_eq!(is_empty, !TESTED.contains(&section), "{section}");
    }
}

/// Runs a section's rows, and names all that fail at once.
fn run(section: &str) {
    let rows = rows::rows(section, "C");
    let wrong: Vec<_> = rows
        .iter()
        .filter_map(|row| run_row(row).err().map(|what| format!("{}: {what}", row.at)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn run_row(row: &Row) -> Result<(), String> {
    let ends = row.json["ends"].as_str();
    let Some(plan) = plan(&row.at, &row.json["client"]) else {
        return expect(ends == Some("no plan"), "there can be no such plan");
    };
    let mut talk = Talk {
        upload: Upload::new(plan),
        now: Now {
            instant: Instant::now(),
            wall: UNIX_EPOCH + Duration::from_secs(1_767_225_600),
        },
        events: Vec::new(),
    };
    for (index, turn) in list(&row.json["dialogue"]).iter().enumerate() {
        rows::keys(
            &row.at,
            turn,
            "sends answer fault reconciled terminate read_until available ends_here",
        );
        talk.turn(&row.at, turn)
            .map_err(|what| format!("turn {}: {what}", index + 1))?;
    }
    if let Some(ends) = ends {
        let found = match talk.step() {
            Step::Done(Outcome::Finished) => "finished".to_owned(),
            Step::Done(Outcome::Terminated) => "terminated".to_owned(),
            Step::Done(Outcome::Failed(failure)) => name_of(&failure),
            going_on => format!("{going_on:?}"),
        };
        expect(found == ends, &format!("ends with {found}, not {ends}"))?;
    }
    for wanted in row.json["events"].as_array().into_iter().flatten() {
        let happened = talk.events.iter().any(|it| name_of(it) == text(wanted));
        expect(happened, &format!("no {wanted} in {:?}", talk.events))?;
    }
    Ok(())
}

fn expect(right: bool, what: &str) -> Result<(), String> {
    if right { Ok(()) } else { Err(what.to_owned()) }
}

/// The variant's name, which a row can give without its fields.
fn name_of(value: &impl std::fmt::Debug) -> String {
    let debug = format!("{value:?}");
    let end = debug.find(|it: char| !it.is_alphanumeric());
    debug[..end.unwrap_or(debug.len())].to_owned()
}

/// `None` when a row asks for what cannot even be planned.
fn plan(at: &str, json: &Value) -> Option<UploadPlan> {
    rows::keys(
        at,
        json,
        "length chunk_bytes metadata resume reached creation offers algorithms probe checksum \
         one_request_bytes concat method_override",
    );
    let mut metadata = Metadata::new();
    for pair in json["metadata"].as_array().into_iter().flatten() {
        metadata.insert(text(&pair[0]), text(&pair[1])).ok()?;
    }
    let url = |text: &str| UploadUrl::parse(text).unwrap();
    // Named and null: a one-time URL.
    let creation = match json.get("creation") {
        Some(Value::Null) => None,
        _ => Some(Creation::new(url(ENDPOINT)).with_metadata(metadata)),
    };
    let length = match &json["length"] {
        Value::String(_) => UploadLength::Deferred,
        known => UploadLength::Known(number(known)),
    };
    let mut plan = match json["resume"].as_str() {
        Some(upload) => {
            UploadPlan::resume(url(upload), creation, length).with_start(Start::Resume {
                url: url(upload),
                offset: 0,
                reached: json["reached"].as_u64().unwrap_or(0),
            })
        }
        None => UploadPlan::create(creation?, length),
    };
    if let Some(offers) = json["offers"].as_array() {
        let named = |name: &Value| {
            let mut all = Extension::ALL.into_iter();
            all.find(|known| known.name() == text(name)).unwrap()
        };
        let algorithms = json["algorithms"].as_array().into_iter().flatten();
        plan = plan.with_capabilities(Some(ServerCapabilities {
            extensions: offers.iter().map(named).collect(),
            max_size_bytes: None,
            checksum_algorithms: algorithms.map(|it| text(it).parse().unwrap()).collect(),
        }));
    }
    let concat = match &json["concat"] {
        Value::Null => None,
        Value::String(_) => Some(UploadConcat::Partial),
        parts => Some(UploadConcat::Final(
            list(parts)
                .iter()
                .map(|part| text(part).to_owned())
                .collect(),
        )),
    };
    let checksum = match json["checksum"].as_str() {
        None => ChecksumWish::Never,
        Some("offered") => ChecksumWish::Offered,
        Some(name) => ChecksumWish::Required(name.parse().unwrap()),
    };
    Some(
        plan.with_chunk_bytes(json["chunk_bytes"].as_u64())
            .with_probe(json["probe"] == true)
            .with_checksum(checksum)
            .with_one_request_bytes(json["one_request_bytes"].as_u64().unwrap_or(0))
            .with_concat(concat)
            .with_method_override(json["method_override"] == true),
    )
}

/// A machine in hand-wound time.
struct Talk {
    upload: Upload,
    now: Now,
    events: Vec<Event>,
}

impl Talk {
    /// The next step, all waits slept through.
    fn step(&mut self) -> Step {
        loop {
            match self.upload.step(self.now) {
                Step::WaitUntil(until) => self.now.instant = until,
                step => return step,
            }
        }
    }

    fn turn(&mut self, at: &str, turn: &Value) -> Result<(), String> {
        if turn["terminate"] == true {
            self.upload.terminate();
        } else if let Some(until) = turn["read_until"].as_u64() {
            match self.step() {
                Step::Read { until: wanted } if wanted == until => {}
                other => return Err(format!("not a read until {until}: {other:?}")),
            }
            let available = number(&turn["available"]);
            self.upload
                .on_available(available, turn["ends_here"] == true);
        } else if let Some(found) = turn["reconciled"].as_str() {
            let step = self.step();
            let asks = matches!(step, Step::Reconcile);
            expect(asks, &format!("not a question to the service: {step:?}"))?;
            let found = match found {
                "absent" => Reconciled::Absent,
                "complete" => Reconciled::Complete,
                "pending" => Reconciled::Pending,
                "unknown" => Reconciled::Unknown,
                other => panic!("{at}: what is {other}?"),
            };
            self.upload.on_reconciled(found, self.now);
        } else {
            let Step::Send(exchange) = self.step() else {
                return Err(format!("not a request: {:?}", self.step()));
            };
            check_request(at, &exchange, &turn["sends"])?;
            self.feed(at, turn);
        }
        while let Some(event) = self.upload.poll_event() {
            self.events.push(event);
        }
        Ok(())
    }

    fn feed(&mut self, at: &str, turn: &Value) {
        if let Some(fault) = turn["fault"].as_str() {
            let fault = match fault {
                "not_sent" => Fault::NotSent,
                "maybe_sent" => Fault::MaybeSent,
                "no_answer" => Fault::NoAnswer,
                "permanent" => Fault::Permanent,
                other => panic!("{at}: what is {other}?"),
            };
            return self.upload.on_fault(fault, self.now);
        }
        let answer = &turn["answer"];
        rows::keys(at, answer, "status headers");
        let mut response = Response::new(());
        // A status out of `each` is a text.
        let status = answer["status"].to_string();
        *response.status_mut() = status.trim_matches('"').parse().unwrap();
        let version = HeaderValue::from_static("1.0.0");
        response.headers_mut().insert("tus-resumable", version);
        if let Some(headers) = answer["headers"].as_object() {
            for (name, value) in rows::pairs(headers, &Names::new()) {
                let name: HeaderName = name.parse().unwrap();
                response.headers_mut().append(name, value.parse().unwrap());
            }
        }
        self.upload.on_response(&response, None, self.now);
    }
}

/// Whether a request is what the row wants to see sent.
fn check_request(at: &str, exchange: &Exchange, wanted: &Value) -> Result<(), String> {
    rows::keys(at, wanted, "method url headers chunk checksum trailer");
    let head = exchange.head();
    expect(
        head.method() == text(&wanted["method"]),
        &format!("{} is sent, not {}", head.method(), wanted["method"]),
    )?;
    if let Some(url) = wanted["url"].as_str() {
        let found = head.uri().to_string();
        expect(found == url, &format!("it goes to {found}, not to {url}"))?;
    }
    for (name, wanted) in wanted["headers"].as_object().into_iter().flatten() {
        let found = head.headers().get(name).map(|it| it.to_str().unwrap());
        let right = rows::matches(found, wanted, &Names::new());
        expect(right, &format!("{name} is {found:?}, not {wanted}"))?;
    }
    if let Some(wanted) = wanted.get("chunk") {
        let found = exchange.chunk.map_or(Value::Null, |chunk| {
            Value::from(vec![chunk.start, chunk.len])
        });
        expect(found == *wanted, &format!("bytes {found}, not {wanted}"))?;
    }
    if let Some(wanted) = wanted.get("checksum") {
        let found = exchange.checksum.map_or(Value::Null, |it| it.name().into());
        expect(found == *wanted, &format!("digest {found}, not {wanted}"))?;
    }
    if let Some(wanted) = wanted.get("trailer") {
        let right = *wanted == exchange.checksum_trailer;
        expect(right, "the digest travels elsewhere")?;
    }
    Ok(())
}
