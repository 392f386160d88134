//! The client machine: any answers to whatever it asks. The first bytes choose the upload; answers are parted by an
//! empty line, each a status (or a word for what else may happen) and then one header per line.

use std::time::Instant;

use http::{HeaderName, Response, StatusCode};
use tus_core::client::{
    Creation, Fault, Now, Outcome, Reconciled, Step, Upload, UploadPlan, Verdict, VerdictKind,
};
use tus_core::{ChunkRule, UploadLength, UploadUrl};

use crate::heads;

/// More than any upload here asks, unless it goes round in circles.
const STEPS: usize = 4_000;

pub(crate) fn run(bytes: &[u8]) {
    let Some(([kind, length, chunk], rest)) = bytes.split_first_chunk::<3>() else {
        return;
    };
    let endpoint = UploadUrl::parse("https://tus.example/files/").expect("a URL");
    let length = match kind & 1 {
        0 => UploadLength::Known(u64::from(*length)),
        _ => UploadLength::Deferred,
    };
    let creation = Creation::new(endpoint.clone());
    let plan = match (kind & 2, endpoint.resolve("1")) {
        (0, _) | (_, Err(_)) => UploadPlan::create(creation, length),
        (_, Ok(url)) => {
            let creation = Some(creation).filter(|_| kind & 4 == 0);
            UploadPlan::resume(url, creation, length)
        }
    };
    let chunk = u64::from(*chunk).max(1);
    let rule = ChunkRule {
        min_bytes: 1,
        max_bytes: chunk,
        multiple_of_bytes: 1,
        preferred_bytes: chunk,
    };
    let plan = plan
        .with_chunk_rule(rule)
        .with_keep_headers(vec![HeaderName::from_static("stream-media-id")])
        .with_probe(kind & 8 > 0)
        .with_one_request_bytes(u64::from(kind >> 4));
    let mut upload = Upload::new(plan);
    let mut now = Now {
        instant: Instant::now(),
        wall: heads::wall(),
    };

    let mut lines = heads::lines(rest);
    for _ in 0..STEPS {
        match upload.step(now) {
            Step::Done(outcome) => {
                let known = upload.length().known();
                if outcome == Outcome::Finished {
                    assert_eq!(known, Some(upload.offset()), "finished is complete");
                }
                return;
            }
            Step::Read { until } => upload.on_available(until.min(300), until > 300),
            Step::Reconcile => upload.on_reconciled(found(lines.next()), now),
            Step::WaitUntil(until) => {
                assert!(until > now.instant, "a wait is for later");
                now.instant = until;
            }
            Step::Send(exchange) => {
                let head = exchange.head();
                assert_eq!(head.uri(), exchange.url.uri());
                if let Some(chunk) = exchange.chunk {
                    let end = chunk.start + chunk.len;
                    assert!(upload.length().known().is_none_or(|length| end <= length));
                }
                answer(&mut upload, &mut lines, now);
            }
        }
        while upload.poll_event().is_some() {}
        if let Some(length) = upload.length().known() {
            assert!(upload.offset() <= length, "beyond the end");
        }
    }
    panic!("no end after {STEPS} steps");
}

fn answer<'a>(upload: &mut Upload, lines: &mut impl Iterator<Item = &'a [u8]>, now: Now) {
    let said = lines.next().unwrap_or_default();
    let fault = match said {
        // Nothing more to say: every upload ends.
        b"" => Some(Fault::Permanent),
        b"lost" => Some(Fault::MaybeSent),
        b"late" => Some(Fault::NoAnswer),
        b"refused" => Some(Fault::NotSent),
        _ => None,
    };
    if let Some(fault) = fault {
        return upload.on_fault(fault, now);
    }
    let mut head = Response::new(());
    *head.status_mut() =
        StatusCode::from_bytes(said.get(..3).unwrap_or_default()).unwrap_or(StatusCode::NO_CONTENT);
    let own = lines.take_while(|line| !line.is_empty());
    *head.headers_mut() = heads::headers(own);
    let verdict = said.get(3).map(|kind| Verdict {
        kind: verdict(*kind),
        code: None,
        message: String::new(),
    });
    upload.on_response(&head, verdict, now);
}

fn verdict(kind: u8) -> Option<VerdictKind> {
    Some(match kind {
        b'a' => VerdictKind::AlreadyUsed,
        b'e' => VerdictKind::Expired,
        b'g' => VerdictKind::Gone,
        b'l' => VerdictKind::Login,
        b'n' => VerdictKind::NotAVideo,
        b'q' => VerdictKind::QueueFull,
        b's' => VerdictKind::StorageFull,
        b't' => VerdictKind::TooLarge,
        _ => return None,
    })
}

fn found(line: Option<&[u8]>) -> Reconciled {
    match line.and_then(<[u8]>::first) {
        Some(b'a') => Reconciled::Absent,
        Some(b'c') => Reconciled::Complete,
        Some(b'p') => Reconciled::Pending,
        _ => Reconciled::Unknown,
    }
}
