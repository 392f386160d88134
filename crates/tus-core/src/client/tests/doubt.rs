//! Creations and uploads of which nobody knows, and refusals for good.

use super::*;

#[test]
fn a_gone_upload_is_created_anew_once() {
    let mut bench = Bench::resuming();
    bench.answer(404, &[]);
    assert_eq!(bench.method(), Method::POST);
    bench.answer(201, &[("location", "2")]);
    bench.fault(Fault::MaybeSent);
    bench.answer(410, &[]);
    assert!(matches!(bench.failure(), Failure::Gone { .. }));
}

#[test]
fn a_one_time_url_is_never_made_anew_and_its_failure_says_why() {
    let cases = [
        (404, None, Spent::Gone),
        (410, None, Spent::Gone),
        (403, None, Spent::NotAccepted),
        (403, Some(VerdictKind::Gone), Spent::Gone),
        (403, Some(VerdictKind::Expired), Spent::Expired),
        (400, Some(VerdictKind::AlreadyUsed), Spent::Used),
    ];
    for (status, kind, expected) in cases {
        let mut bench = Bench::new(UploadPlan::resume(url(UPLOAD), None, LENGTH));
        bench.judged(status, &[], kind.map(says));
        let failure = bench.failure();
        let found = matches!(failure, Failure::OneTimeUrl { why, .. } if why == expected);
        assert!(found, "{status} {kind:?}: {failure:?}");
        assert!(failure.to_string().contains("ask whoever gave it"));
        assert!(!failure.is_resumable());
    }
}

#[test]
fn an_expired_upload_is_created_anew_where_there_is_a_way_to() {
    let mut bench = Bench::resuming();
    bench.judged(403, &[], Some(says(VerdictKind::Expired)));
    assert_eq!(bench.method(), Method::POST);
}

#[test]
fn a_creation_that_a_service_calls_expired_is_not_repeated() {
    for kind in [
        VerdictKind::Expired,
        VerdictKind::Gone,
        VerdictKind::AlreadyUsed,
    ] {
        let mut bench = Bench::creating();
        bench.judged(410, &[], Some(says(kind)));
        assert!(matches!(bench.failure(), Failure::Refused { .. }));
    }
}

#[test]
fn a_refused_question_after_the_last_byte_is_a_doubt_and_what_the_status_says_comes_after_it() {
    for status in [400, 401, 403, 405, 412] {
        let mut bench = Bench::reached(LENGTH);
        bench.answer(status, &[]);
        bench.reconciled(Reconciled::Complete);
        bench.assert_finished();

        for found in [Reconciled::Absent, Reconciled::Unknown] {
            let mut bench = Bench::reached(LENGTH);
            bench.answer(status, &[]);
            bench.reconciled(found);
            let failure = bench.failure();
            let login = matches!(failure, Failure::Credentials { .. });
            assert_eq!(login, matches!(status, 401 | 403), "{status}: {failure:?}");
            assert!(login || matches!(failure, Failure::Refused { .. }));
        }

        let mut bench = Bench::reached(LENGTH - 1);
        bench.answer(status, &[]);
        let _ = bench.failure();
    }
}

#[test]
fn an_upload_whose_last_bytes_never_left_is_gone_and_not_in_doubt() {
    let broken = |left_to: Option<u64>| {
        let mut bench = Bench::resuming();
        bench.answer(200, &[("upload-offset", "70")]);
        assert_eq!(bench.method(), Method::PATCH);
        if let Some(position) = left_to {
            bench.upload.left_to(position);
        }
        bench.fault(Fault::MaybeSent);
        bench.answer(410, &[]);
        bench
    };
    for left_to in [None, Some(LENGTH)] {
        let mut bench = broken(left_to);
        assert!(matches!(bench.step(), Step::Reconcile), "{left_to:?}");
    }
    let mut bench = broken(Some(LENGTH - 1));
    assert_eq!(bench.method(), Method::POST);
}

#[test]
fn a_refusal_that_is_about_credentials_is_no_doubt() {
    let mut bench = Bench::reached(LENGTH);
    bench.judged(403, &[], Some(says(VerdictKind::Login)));
    assert!(matches!(bench.failure(), Failure::Credentials { .. }));
}

#[test]
fn a_url_that_is_used_up_after_the_last_byte_was_probably_used_by_us() {
    let used = || {
        let start = Bench::reached(LENGTH).upload.plan.start;
        let plan = UploadPlan::resume(url(UPLOAD), None, LENGTH).with_start(start);
        let mut bench = Bench::new(plan);
        bench.judged(400, &[], Some(says(VerdictKind::AlreadyUsed)));
        bench
    };
    let mut bench = used();
    bench.reconciled(Reconciled::Complete);
    bench.assert_finished();

    let mut bench = used();
    bench.reconciled(Reconciled::Unknown);
    assert!(matches!(bench.failure(), Failure::Vanished { .. }));

    let mut bench = used();
    bench.reconciled(Reconciled::Absent);
    assert!(matches!(
        bench.failure(),
        Failure::OneTimeUrl {
            why: Spent::Used,
            ..
        }
    ));
}

#[test]
fn a_service_without_room_is_waited_for() {
    for kind in [VerdictKind::QueueFull, VerdictKind::StorageFull] {
        let mut bench = Bench::creating();
        bench.judged(400, &[], Some(says(kind)));
        assert_eq!(bench.method(), Method::POST, "{kind:?}");
        let told = |event: &Event| {
            matches!(
                event,
                Event::Retry {
                    reason: RetryReason::Throttled(..),
                    ..
                }
            )
        };
        assert!(bench.events.iter().any(told));
    }
}

#[test]
fn an_upload_that_vanishes_after_its_last_byte_is_asked_about_before_anything_is_created() {
    let vanished = || {
        let mut bench = Bench::resuming();
        bench.answer(200, &[("upload-offset", "80")]);
        bench.fault(Fault::MaybeSent);
        bench.answer(404, &[]);
        bench
    };
    let mut bench = vanished();
    bench.reconciled(Reconciled::Complete);
    bench.assert_finished();

    let mut bench = vanished();
    bench.reconciled(Reconciled::Absent);
    assert_eq!(bench.method(), Method::POST);

    let mut bench = vanished();
    bench.reconciled(Reconciled::Unknown);
    assert!(matches!(bench.failure(), Failure::Vanished { .. }));
}

#[test]
fn an_upload_that_an_earlier_run_may_have_completed_is_asked_about_before_anything_is_created() {
    for status in [404, 410] {
        let mut bench = Bench::reached(LENGTH);
        bench.answer(status, &[]);
        bench.reconciled(Reconciled::Complete);
        bench.assert_finished();

        let mut bench = Bench::reached(LENGTH);
        bench.answer(status, &[]);
        bench.reconciled(Reconciled::Absent);
        assert_eq!(bench.method(), Method::POST);

        let mut bench = Bench::reached(LENGTH - 1);
        bench.answer(status, &[]);
        assert_eq!(bench.method(), Method::POST, "its last byte never left");
    }
}

#[test]
fn an_offset_that_was_confirmed_to_the_end_tells_as_much() {
    let start = Start::Resume {
        url: url(UPLOAD),
        offset: LENGTH,
        reached: 0,
    };
    let mut bench = Bench::new(UploadPlan::create(creation(), LENGTH).with_start(start));
    bench.answer(404, &[]);
    bench.reconciled(Reconciled::Complete);
    bench.assert_finished();
}

#[test]
fn the_last_chunk_is_known_before_it_is_sent() {
    let mut bench = Bench::resuming();
    bench.answer(200, &[("upload-offset", "40")]);
    let (_, exchange) = bench.sent();
    assert_eq!((exchange.is_last(), bench.upload.reached()), (false, 80));
    bench.answer(204, &[("upload-offset", "80")]);
    let (_, exchange) = bench.sent();
    assert_eq!((exchange.is_last(), bench.upload.reached()), (true, LENGTH));
}

#[test]
fn nothing_is_complete_whose_end_was_not_reached() {
    let length = crate::UploadLength::Deferred;
    let mut bench = Bench::new(UploadPlan::create(creation(), length));
    bench.fault(Fault::MaybeSent);
    bench.reconciled(Reconciled::Complete);
    assert_eq!(bench.method(), Method::POST, "one more try, not a guess");
    assert!(bench.events.contains(&Event::PossibleOrphan));
}

#[test]
fn a_creation_that_was_not_sent_is_sent_again_without_a_question() {
    let mut bench = Bench::creating();
    bench.fault(Fault::NotSent);
    assert_eq!(bench.method(), Method::POST);
    assert!(!bench.events.contains(&Event::PossibleOrphan));
}

#[test]
fn a_lost_answer_to_a_creation_is_reconciled_before_it_is_repeated() {
    let mut bench = Bench::creating();
    bench.fault(Fault::MaybeSent);
    bench.reconciled(Reconciled::Absent);
    assert_eq!(bench.method(), Method::POST);
    assert!(!bench.events.contains(&Event::PossibleOrphan));
}

#[test]
fn where_nobody_can_tell_a_lost_creation_is_repeated_once_and_reported() {
    let mut bench = Bench::creating();
    bench.fault(Fault::MaybeSent);
    bench.reconciled(Reconciled::Unknown);
    assert!(bench.events.contains(&Event::PossibleOrphan));
    assert_eq!(bench.method(), Method::POST);
    bench.fault(Fault::MaybeSent);
    bench.reconciled(Reconciled::Unknown);
    assert_eq!(bench.failure(), Failure::CreationUnclear);
}

#[test]
fn an_intent_found_after_a_crash_is_reconciled_first() {
    let mut bench = Bench::new(UploadPlan::create(creation(), LENGTH).with_start(Start::Doubt));
    bench.reconciled(Reconciled::Pending);
    bench.reconciled(Reconciled::Absent);
    assert_eq!(bench.method(), Method::POST);
}

#[test]
fn credentials_stop_it_at_once_and_resumably() {
    for status in [401, 403] {
        let mut bench = Bench::creating();
        bench.answer(status, &[]);
        let failure = bench.failure();
        assert!(matches!(failure, Failure::Credentials { .. }), "{failure}");
        assert!(failure.is_resumable());
    }
}

#[test]
fn the_services_words_overrule_the_status_and_reach_the_message() {
    let full = Verdict {
        kind: Some(VerdictKind::StorageFull),
        code: Some(10011),
        message: "storage full".into(),
    };
    let mut bench = Bench::creating();
    bench.judged(413, &[], Some(full));
    assert_eq!(bench.method(), Method::POST, "space may come back");

    let used = Verdict {
        kind: Some(VerdictKind::AlreadyUsed),
        code: None,
        message: "already used".into(),
    };
    let mut bench = Bench::resuming();
    bench.judged(404, &[], Some(used));
    assert!(bench.failure().to_string().ends_with("already used"));
}

#[test]
fn redirects_keep_the_method_and_end_after_five() {
    let mut bench = Bench::patching();
    for hop in 1..=5 {
        bench.answer(307, &[("location", "https://other.example/x")]);
        let (request, _) = bench.sent();
        assert_eq!(
            (request.method(), request.uri().host()),
            (&Method::PATCH, Some("other.example")),
            "{hop}"
        );
    }
    bench.answer(307, &[("location", "https://other.example/x")]);
    assert!(matches!(
        bench.failure(),
        Failure::Violation(Violation::Redirect(_))
    ));

    for (status, location) in [
        (302, "https://other.example/"),
        (307, "http://tus.example/x"),
        (307, ""),
    ] {
        let mut bench = Bench::patching();
        let headers = [("location", location)];
        bench.answer(status, if location.is_empty() { &[] } else { &headers });
        assert!(
            matches!(bench.failure(), Failure::Violation(Violation::Redirect(_))),
            "{status} {location}"
        );
    }
}

#[test]
fn a_creation_without_a_usable_location_is_reported_as_a_possible_orphan() {
    for location in [None, Some("javascript:1"), Some("http://tus.example/1")] {
        let mut bench = Bench::creating();
        let headers: Vec<_> = location
            .map(|location| ("location", location))
            .into_iter()
            .collect();
        bench.answer(201, &headers);
        assert!(bench.events.contains(&Event::PossibleOrphan));
        assert!(matches!(
            bench.failure(),
            Failure::Violation(Violation::Location(_))
        ));
    }
}
