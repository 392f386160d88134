//! The server machine, asked for anything.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};

use super::words::{HOUR, NANO, REQUEST_HEADERS, SECOND, YEAR, number, text};
use crate::extension::{Extension, ServerCapabilities};
use crate::length::UploadLength;
use crate::rejection::Rejection;
use crate::server::{Decision, Server, UploadInfo, UploadKind, refusal};
use crate::sim::{Breach, Random};

/// Heads per seed.
const HEADS: u32 = 40;

/// A few machines, each with one request.
pub(super) fn run(
    random: &mut Random,
    wall: SystemTime,
    trace: &mut Vec<String>,
) -> Result<(), Breach> {
    for _ in 0..HEADS {
        let extensions = Extension::ALL
            .into_iter()
            .filter(|_| random.chance(700))
            .collect();
        let machine = Server::new(ServerCapabilities {
            extensions,
            max_size_bytes: random.chance(300).then(|| number(random)),
            checksum_algorithms: crate::ChecksumAlgorithm::ALL.to_vec(),
        });
        let expiry = random.pick(&[Duration::ZERO, SECOND, YEAR]);
        let machine = if random.chance(500) {
            machine.with_expiry(expiry)
        } else {
            machine
        };
        let info = random.chance(700).then(|| info(random, wall));
        let head = request(random);
        trace.clear();
        trace.push(format!("{info:?}"));
        trace.push(format!("{head:?}"));
        let decision = machine.decide(&head, info.as_ref(), wall);
        if decision != machine.decide(&head, info.as_ref(), wall) {
            return Err(Breach::new("a decision is the same twice", ""));
        }
        judge(random, &decision, info.as_ref(), wall)?;
    }
    Ok(())
}

fn request(random: &mut Random) -> Request<()> {
    let methods = [
        Method::POST,
        Method::POST,
        Method::HEAD,
        Method::PATCH,
        Method::PATCH,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::GET,
        Method::TRACE,
    ];
    let mut head = Request::new(());
    *head.method_mut() = methods[random.below(methods.len() as u64) as usize].clone();
    let sane = random.chance(700);
    for name in REQUEST_HEADERS {
        let sensible = match *name {
            "tus-resumable" => Some("1.0.0".to_owned()),
            "content-type" => Some("application/offset+octet-stream".to_owned()),
            "upload-offset" | "upload-length" => Some(random.below(20).to_string()),
            "content-length" => Some(random.below(12).to_string()),
            _ => None,
        };
        let count = if sensible.is_some() && sane {
            1
        } else {
            random.pick(&[0, 0, 0, 1, 2])
        };
        for _ in 0..count {
            let text = match &sensible {
                Some(text) if random.chance(900) => text.clone(),
                _ => text(random),
            };
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                head.headers_mut()
                    .append(HeaderName::from_static(name), value);
            }
        }
    }
    head
}

fn info(random: &mut Random, wall: SystemTime) -> UploadInfo {
    let length = if random.chance(700) {
        random.below(20)
    } else {
        number(random)
    };
    let mut info = UploadInfo::new(if random.chance(800) {
        UploadLength::Known(length)
    } else {
        UploadLength::Deferred
    });
    info.offset = if random.chance(500) {
        length / 2
    } else {
        length
    };
    info.kind = match random.below(4) {
        0 => UploadKind::Partial,
        1 => UploadKind::Final(HeaderValue::from_static("final;/a /b")),
        _ => UploadKind::Plain,
    };
    let soon = random.pick(&[Duration::ZERO, NANO, HOUR]);
    info.expires = random.chance(300).then(|| wall + soon);
    info
}

/// What holds of every decision.
fn judge(
    random: &mut Random,
    decision: &Result<Decision, Rejection>,
    info: Option<&UploadInfo>,
    wall: SystemTime,
) -> Result<(), Breach> {
    let answer = match (decision, info) {
        (Err(rejection), _) => {
            let answer = refusal(rejection);
            if !answer.status().is_client_error() {
                let status = answer.status();
                return Err(Breach::new("a refusal blames the request", status.as_str()));
            }
            answer
        }
        (Ok(Decision::Append(append)), Some(info)) => {
            let room = info.length.remaining(info.offset).unwrap_or(0);
            let fits = append.sets_length.is_some() || append.limit <= room;
            if append.at != info.offset || !fits || append.announced > Some(append.limit) {
                return Err(Breach::new(
                    "an append begins at the offset and ends within the upload",
                    format!("{append:?} of {info:?}"),
                ));
            }
            let mut after = info.clone();
            after.appended(append, random.below(append.limit.saturating_add(1)));
            if after.length.remaining(after.offset).is_none() {
                return Err(Breach::new(
                    "an offset never lies beyond the length",
                    format!("{after:?}"),
                ));
            }
            if let Some(mut verifier) = append.verifier() {
                verifier.update(b"x");
                let _ = verifier.finish(Some(&HeaderMap::new()));
            }
            append.done(&after)
        }
        (Ok(Decision::Create(create)), _) => create.done("/files/1", &create.info),
        (Ok(Decision::Head(head)), Some(info)) => head.done(info),
        (Ok(Decision::Options(options)), _) => options.done(),
        (Ok(Decision::Terminate(terminate)), Some(_)) => terminate.done(),
        (Ok(Decision::Join(join)), _) => {
            let _ = join.check([None, info], wall);
            join.done("/files/1")
        }
        (Ok(decision), None) => {
            return Err(Breach::new(
                "nothing is done to an upload that is not there",
                format!("{decision:?}"),
            ));
        }
    };
    if answer.headers().len() > 20 {
        return Err(Breach::new("an answer is short", ""));
    }
    Ok(())
}
