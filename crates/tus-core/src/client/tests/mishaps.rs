//! What the simulator found: one test per gap, by hand.

use super::*;
use crate::extension::{Extension, ServerCapabilities};

const ALIAS: &str = "https://elsewhere.example/files/1";

#[test]
fn a_redirect_holds_for_one_request() {
    for ending in 0..3 {
        let mut bench = Bench::patching();
        bench.answer(307, &[("location", ALIAS)]);
        assert_eq!(bench.sent().0.uri(), ALIAS);
        match ending {
            0 => bench.fault(Fault::NotSent),
            1 => bench.answer(503, &[]),
            _ => bench.upload.interrupted(bench.now),
        }
        assert_eq!(bench.sent().0.uri(), UPLOAD, "its target may be gone");
    }
}

#[test]
fn what_an_earlier_run_sent_may_arrive_after_the_first_question() {
    let mut bench = Bench::patching();
    bench.answer(423, &[]);
    // The body of a killed process, read from a proxy's buffer: more than this run has sent.
    bench.answer(200, &[("upload-offset", "80")]);
    assert_eq!(bench.sent().1.chunk, Some(Chunk { start: 80, len: 20 }));

    let mut bench = Bench::patching();
    bench.answer(423, &[]);
    bench.answer(200, &[("upload-offset", "101")]);
    let violation = Violation::OffsetBeyond {
        offset: 101,
        limit: LENGTH,
    };
    assert_eq!(bench.failure(), Failure::Violation(violation));
}

#[test]
fn a_source_that_cannot_go_back_is_never_begun_anew() {
    let mut bench = Bench::patching();
    bench.answer(204, &[("upload-offset", "40")]);
    bench.upload.forget_below(40);
    bench.answer(404, &[]);
    bench.answer(404, &[]);
    assert!(matches!(bench.failure(), Failure::Gone { .. }));
    let begun = |event: &Event| matches!(event, Event::Recreating { .. });
    assert!(!bench.events.iter().any(begun));
}

#[test]
fn a_one_time_upload_that_vanishes_after_its_last_byte_is_asked_about() {
    let sent_whole = || {
        let mut bench = Bench::new(UploadPlan::resume(url(UPLOAD), None, LENGTH));
        bench.answer(200, &[("upload-offset", "80")]);
        bench.fault(Fault::MaybeSent);
        bench.answer(410, &[]);
        bench
    };
    let mut bench = sent_whole();
    bench.reconciled(Reconciled::Complete);
    assert!(matches!(bench.step(), Step::Done(Outcome::Finished)));

    let mut bench = sent_whole();
    bench.reconciled(Reconciled::Unknown);
    assert!(matches!(bench.failure(), Failure::Vanished { .. }));

    let mut bench = sent_whole();
    bench.reconciled(Reconciled::Absent);
    assert!(matches!(bench.failure(), Failure::OneTimeUrl { .. }));
}

#[test]
fn no_wish_is_too_long_to_be_reckoned_with() {
    let waits = Duration::from_secs(30);
    for patience in [Duration::from_secs(60), Duration::MAX] {
        let retry = RetryPolicy::DEFAULT
            .with_waits(waits, waits)
            .with_patience(patience);
        let plan = UploadPlan::resume(url(UPLOAD), None, LENGTH).with_retry(retry);
        for status in [423, 429, 503] {
            let mut bench = Bench::new(plan.clone());
            bench.answer(status, &[("retry-after", "18446744073709551615")]);
            let step = bench.upload.step(bench.now);
            assert!(!matches!(step, Step::Send(_)), "{status}: {step:?}");
        }
    }
}

#[test]
fn answers_that_make_no_sense_do_not_become_haste() {
    let mut bench = Bench::creating();
    bench.answer(201, &[("location", UPLOAD)]);
    bench.answer(204, &[("upload-offset", "40")]);
    let most = 2 * RetryPolicy::DEFAULT.max_refusals + 4;
    for _ in 0..most {
        // It counts from the chunk's beginning, not from the upload's.
        bench.answer(204, &[("upload-offset", "39")]);
        if matches!(bench.step(), Step::Done(_)) {
            break;
        }
        bench.answer(200, &[("upload-offset", "40")]);
    }
    assert!(matches!(bench.failure(), Failure::OutOfRetries { .. }));
    let waited = |event: &&Event| matches!(event, Event::Retry { .. });
    assert!(bench.events.iter().filter(waited).count() >= 8);
}

#[test]
fn to_remove_what_is_gone_never_makes_it_anew() {
    let mut bench = Bench::patching();
    bench.upload.interrupted(bench.now);
    bench.upload.terminate();
    bench.judged(403, &[], Some(says(VerdictKind::Gone)));
    assert!(matches!(bench.step(), Step::Done(Outcome::Terminated)));
}

#[test]
fn to_ask_twice_for_the_removal_keeps_the_wait() {
    let mut bench = Bench::patching();
    bench.upload.terminate();
    bench.answer(503, &[("retry-after", "7")]);
    let waits = |bench: &mut Bench| match bench.upload.step(bench.now) {
        Step::WaitUntil(until) => until,
        other => panic!("a wait was expected, not {other:?}"),
    };
    let until = waits(&mut bench);
    bench.upload.terminate();
    assert_eq!(waits(&mut bench), until);
}

#[test]
fn a_login_page_removes_nothing() {
    let mut bench = Bench::patching();
    bench.upload.terminate();
    bench.answer(200, &[("content-type", "text/html")]);
    assert_eq!(bench.method(), Method::DELETE);
    bench.answer(204, &[]);
    assert!(matches!(bench.step(), Step::Done(Outcome::Terminated)));
}

const OFFERS: [(&str, &str); 3] = [
    ("tus-version", "1.0.0"),
    ("tus-extension", "creation,creation-with-upload,checksum"),
    ("tus-checksum-algorithm", "sha1"),
];

#[test]
fn where_protection_is_required_no_byte_leaves_before_it_is_known() {
    let plan = UploadPlan::create(creation(), LENGTH)
        .with_probe(true)
        .with_one_request_bytes(LENGTH)
        .with_checksum(ChecksumWish::Required(crate::ChecksumAlgorithm::Sha1));
    let mut bench = Bench::new(plan);
    for fault in [Fault::NotSent, Fault::MaybeSent, Fault::NoAnswer] {
        bench.fault(fault);
        assert_eq!(bench.method(), Method::OPTIONS, "{fault:?}");
    }
    bench.answer(503, &[]);
    bench.answer(423, &[]);
    bench.answer(200, &[("content-type", "text/html")]);
    bench.answer(307, &[("location", "https://elsewhere.example/files/")]);
    bench.answer(204, &OFFERS);
    let (head, exchange) = bench.sent();
    assert_eq!(head.uri(), ENDPOINT);
    assert_eq!(exchange.chunk, None, "a digest goes with PATCH only");
    bench.answer(201, &[("location", UPLOAD)]);
    let wanted = bench.sent().1.checksum;
    assert_eq!(wanted, Some(crate::ChecksumAlgorithm::Sha1));
}

#[test]
fn a_question_for_extensions_keeps_announced_waits_and_needs_no_answer() {
    let plan = UploadPlan::create(creation(), LENGTH).with_probe(true);
    let mut bench = Bench::new(plan.clone());
    bench.answer(429, &[("retry-after", "7")]);
    assert!(matches!(bench.upload.step(bench.now), Step::WaitUntil(_)));
    assert_eq!(bench.method(), Method::OPTIONS);
    bench.answer(503, &[]);
    assert_eq!(bench.method(), Method::POST);

    let mut bench = Bench::new(plan);
    bench.fault(Fault::NoAnswer);
    assert_eq!(bench.method(), Method::POST);
}

#[test]
fn a_creation_that_broke_with_its_bytes_is_repeated_without_them() {
    let offered = ServerCapabilities {
        extensions: [Extension::Creation, Extension::CreationWithUpload]
            .into_iter()
            .collect(),
        ..ServerCapabilities::default()
    };
    let plan = UploadPlan::create(creation(), 40)
        .with_capabilities(Some(offered))
        .with_one_request_bytes(40);
    let mut bench = Bench::new(plan);
    assert_eq!(bench.sent().1.chunk, Some(Chunk { start: 0, len: 40 }));
    bench.fault(Fault::MaybeSent);
    bench.reconciled(Reconciled::Absent);
    assert_eq!(bench.sent().1.chunk, None);
}

#[test]
fn a_source_that_ends_before_the_offset_is_not_the_one_that_was_sent() {
    let mut bench = Bench::new(UploadPlan::resume(
        url(UPLOAD),
        None,
        crate::UploadLength::Deferred,
    ));
    bench.answer(
        200,
        &[("upload-offset", "80"), ("upload-defer-length", "1")],
    );
    assert!(matches!(bench.step(), Step::Read { until: 120 }));
    bench.upload.on_available(50, true);
    let violation = Violation::LengthDiffers {
        ours: 50,
        theirs: 80,
    };
    assert_eq!(bench.failure(), Failure::Violation(violation));
}
