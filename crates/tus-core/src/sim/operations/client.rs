//! The client machine, fed with anything.

use std::time::Duration;

use http::{HeaderName, Response};

use super::words::{HOUR, NANO, SECOND, YEAR, number, verdict, weird};
use crate::checksum::ChecksumAlgorithm;
use crate::chunk::ChunkRule;
use crate::client::{
    ChecksumWish, Creation, Event, Exchange, Fault, Now, Reconciled, Start, Step, Upload,
    UploadPlan,
};
use crate::concat::UploadConcat;
use crate::extension::{Extension, ServerCapabilities};
use crate::length::UploadLength;
use crate::rejection::Phase;
use crate::retry::RetryPolicy;
use crate::sim::{Breach, Random};
use crate::url::UploadUrl;

/// Operations per seed.
const OPERATIONS: u32 = 120;
/// Requests that a machine may want in a row without a wait or a confirmed byte between them: redirects and a few questions.
const MAX_HASTY: u32 = 30;

/// A machine with a random plan, and what happens to it.
pub(super) fn run(random: &mut Random, base: Now, trace: &mut Vec<String>) -> Result<(), Breach> {
    let policy = policy(random);
    let plan = plan(random, policy);
    trace.push(format!("plan {plan:?}"));
    let mut upload = Upload::new(plan);
    let mut now = base;
    let mut hasty = 0;
    // An answer that comes again and again is what turns a gap in the rules into a loop.
    let stubborn = random.chance(300);
    let mut habits = Vec::<(Phase, Response<()>)>::new();
    for _ in 0..OPERATIONS {
        let step = upload.step(now);
        let again = upload.step(now);
        if !alike(&step, &again) {
            return Err(Breach::new(
                "a step is the same until the machine is fed",
                format!("{step:?}, then {again:?}"),
            ));
        }
        let mut wanted = None;
        if let Step::WaitUntil(until) = step {
            let wait = until.saturating_duration_since(now.instant);
            let most = policy.patience.max(policy.max_wait).min(YEAR);
            if wait.is_zero() || wait > most {
                return Err(Breach::new("waits are bounded", format!("{wait:?}")));
            }
            hasty = 0;
            if random.chance(900) {
                now = later(now, wait);
                continue;
            }
        } else if let Step::Send(exchange) = step {
            hasty += 1;
            if hasty > MAX_HASTY {
                return Err(Breach::new(
                    "requests without progress are separated by waits",
                    format!("{hasty} in a row, the last one {exchange:?}"),
                ));
            }
            check_exchange(&exchange, &upload)?;
            wanted = Some(exchange);
        } else if let Step::Read { until } = step {
            hasty += 1;
            if hasty > MAX_HASTY {
                return Err(Breach::new(
                    "a source is not read in circles",
                    format!("{until}"),
                ));
            }
            let beyond = until.saturating_add(number(random));
            let end = random.pick(&[0, until / 2, until, beyond]);
            let is_end = random.chance(200);
            trace.push(format!("available up to {end}, the end: {is_end}"));
            upload.on_available(end, is_end);
            if end >= until || is_end {
                hasty = 0;
            }
        } else if matches!(step, Step::Done(_)) && random.chance(800) {
            return Ok(());
        }
        let offset = upload.offset();
        if random.chance(100) {
            now = later(now, random.pick(&[NANO, SECOND, HOUR, YEAR, YEAR * 100]));
        }
        let phase = wanted.as_ref().map(|exchange| exchange.phase);
        let habit = habits.iter().find(|(known, _)| Some(*known) == phase);
        let answer = match habit {
            Some((_, answer)) if stubborn => answer.clone(),
            _ => weird(random, wanted.as_ref()),
        };
        match random.below(if stubborn { 17 } else { 24 }) {
            0..=16 => {
                trace.push(format!("{answer:?}"));
                let verdict = random.chance(150).then(|| verdict(random));
                upload.on_response(&answer, verdict, now);
                habits.extend(phase.map(|phase| (phase, answer)));
            }
            17 | 18 => {
                let fault = random.pick(&[
                    Fault::NotSent,
                    Fault::MaybeSent,
                    Fault::MaybeSent,
                    Fault::NoAnswer,
                    Fault::NoAnswer,
                    Fault::Permanent,
                ]);
                trace.push(format!("{fault:?}"));
                upload.on_fault(fault, now);
            }
            19..=21 => {
                let found = random.pick(&[
                    Reconciled::Absent,
                    Reconciled::Complete,
                    Reconciled::Pending,
                    Reconciled::Unknown,
                ]);
                trace.push(format!("{found:?}"));
                upload.on_reconciled(found, now);
            }
            22 if random.chance(400) => {
                trace.push("interrupted".to_owned());
                upload.interrupted(now);
            }
            22 if random.chance(100) => {
                trace.push("terminate".to_owned());
                upload.terminate();
            }
            22 => {
                let size = number(random);
                trace.push(format!("chunks of {size}"));
                upload.set_chunk_bytes(size);
            }
            _ => {
                let from = random.below(upload.offset().saturating_add(1));
                trace.push(format!("forget below {from}"));
                upload.forget_below(from);
            }
        }
        while let Some(event) = upload.poll_event() {
            trace.push(format!("  tells {event:?}"));
            // A size can be halved so often and no more.
            hasty = match event {
                Event::Acked { .. } | Event::Created { .. } | Event::ChunkShrunk { .. } => 0,
                _ => hasty,
            };
        }
        if upload.offset() != offset {
            hasty = 0;
        }
    }
    Ok(())
}

fn later(now: Now, by: Duration) -> Now {
    Now {
        instant: now.instant + by,
        wall: now.wall + by,
    }
}

fn alike(one: &Step, other: &Step) -> bool {
    match (one, other) {
        (Step::Send(one), Step::Send(other)) => {
            (one.phase, one.chunk, one.answer_factor)
                == (other.phase, other.chunk, other.answer_factor)
                && one.url == other.url
        }
        (Step::WaitUntil(one), Step::WaitUntil(other)) => one == other,
        (Step::Done(one), Step::Done(other)) => one == other,
        _ => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

fn check_exchange(exchange: &Exchange, upload: &Upload) -> Result<(), Breach> {
    if let (Phase::Patch, Some(chunk)) = (exchange.phase, exchange.chunk) {
        let end = upload.length().known().unwrap_or(u64::MAX);
        if chunk.start != upload.offset() || chunk.end() > end {
            return Err(Breach::new(
                "a chunk begins at the offset and ends within the source",
                format!("{chunk:?} at {} of {end}", upload.offset()),
            ));
        }
    }
    let head = exchange.head();
    let scheme = head.uri().scheme_str();
    if !matches!(scheme, Some("http" | "https")) || head.uri().host().is_none() {
        return Err(Breach::new(
            "a request goes to a URL",
            format!("{scheme:?}"),
        ));
    }
    Ok(())
}

fn policy(random: &mut Random) -> RetryPolicy {
    let first = random.pick(&[NANO, Duration::from_millis(500), SECOND * 30]);
    let most = random.pick(&[first, SECOND * 60, HOUR]).max(first);
    RetryPolicy::DEFAULT
        .with_waits(first, most)
        .with_patience(random.pick(&[Duration::ZERO, SECOND, HOUR, YEAR, Duration::MAX]))
        .with_max_refusals(random.pick(&[0, 1, 10]))
}

fn plan(random: &mut Random, policy: RetryPolicy) -> UploadPlan {
    let url = |text: &str| UploadUrl::parse(text).expect("our own URL is one");
    let creation = Creation::new(url("https://tus.example/files/"));
    let length = if random.chance(200) {
        UploadLength::Deferred
    } else {
        UploadLength::Known(number(random))
    };
    let plan = match random.below(4) {
        0 => UploadPlan::create(creation, length),
        1 => UploadPlan::create(creation, length).with_start(Start::Doubt),
        n => {
            let url = url("https://tus.example/files/7?x=1");
            let plan = UploadPlan::resume(url.clone(), (n == 2).then_some(creation), length);
            plan.with_start(Start::Resume {
                url,
                offset: number(random),
                reached: number(random),
            })
        }
    };
    let (some, times) = (random.below(40), random.below(30));
    let multiple_of_bytes = random.within(1, 1 << some);
    let min_bytes = random.pick(&[1, multiple_of_bytes]);
    let rule = ChunkRule {
        min_bytes,
        max_bytes: multiple_of_bytes.saturating_mul(random.within(1, 1 << times)),
        multiple_of_bytes,
        preferred_bytes: number(random),
    };
    let rule = random.pick(&[rule, ChunkRule::FREE]);
    let concat = match random.below(10) {
        0 => Some(UploadConcat::Partial),
        1 => Some(UploadConcat::Final(vec![
            "/files/1".into(),
            "/files/2".into(),
        ])),
        _ => None,
    };
    plan.with_chunk_rule(rule)
        .with_chunk_bytes(Some(number(random)).filter(|n| n % 3 > 0))
        .with_retry(policy)
        .with_keep_headers(vec![HeaderName::from_static("stream-media-id")])
        .with_probe(random.chance(300))
        .with_capabilities(random.chance(500).then(|| capabilities(random)))
        .with_checksum(random.pick(&[
            ChecksumWish::Never,
            ChecksumWish::Never,
            ChecksumWish::Offered,
            ChecksumWish::Required(ChecksumAlgorithm::Sha1),
        ]))
        .with_one_request_bytes(number(random))
        .with_concat(concat)
        .with_method_override(random.chance(200))
        .with_seed(random.draw())
}

fn capabilities(random: &mut Random) -> ServerCapabilities {
    ServerCapabilities {
        extensions: Extension::ALL
            .into_iter()
            .filter(|_| random.chance(800))
            .collect(),
        max_size_bytes: random.chance(200).then(|| number(random)),
        checksum_algorithms: ChecksumAlgorithm::ALL.to_vec(),
    }
}
