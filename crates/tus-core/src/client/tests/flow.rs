//! From creation to the last byte, and what happens on the way.

use super::*;

#[test]
fn an_upload_is_created_and_sent_chunk_by_chunk() {
    let mut bench = Bench::creating();
    let (post, _) = bench.sent();
    assert_eq!(
        (post.method(), post.uri().to_string().as_str()),
        (&Method::POST, ENDPOINT)
    );
    assert_eq!(post.headers()["upload-length"], "100");
    assert_eq!(post.headers()["upload-metadata"], "name YS5tcDQ=");
    assert_eq!(post.headers()["tus-resumable"], "1.0.0");

    bench.answer(
        201,
        &[("location", "1?tusv2=true"), ("stream-media-id", "abc")],
    );
    let Some(Event::Created { url, tags, .. }) = bench.events.first() else {
        panic!("{:?}", bench.events)
    };
    assert_eq!(url.expose(), UPLOAD);
    assert_eq!(tags[0].1, "abc");

    for (offset, len) in [(0, 40), (40, 40), (80, 20)] {
        let (patch, exchange) = bench.sent();
        assert_eq!(patch.method(), Method::PATCH);
        assert_eq!(
            patch.headers()["content-type"],
            "application/offset+octet-stream"
        );
        assert_eq!(patch.headers()["upload-offset"], offset.to_string());
        assert_eq!(patch.headers()["content-length"], len.to_string());
        assert_eq!(exchange.chunk, Some(Chunk { start: offset, len }));
        bench.answer(204, &[("upload-offset", &(offset + len).to_string())]);
    }
    bench.assert_finished();
}

#[test]
fn nothing_to_send_is_complete_at_creation() {
    let mut bench = Bench::new(UploadPlan::create(creation(), 0));
    bench.answer(201, &[("location", "/files/1")]);
    bench.assert_finished();
}

#[test]
fn a_resume_asks_once_and_goes_on_from_the_servers_offset() {
    let mut bench = Bench::resuming();
    assert_eq!(bench.method(), Method::HEAD);
    bench.answer(200, &[("upload-offset", "60"), ("upload-length", "100")]);
    assert!(bench.events.contains(&Event::Resumed { offset: 60 }));
    let (_, exchange) = bench.sent();
    assert_eq!(exchange.chunk, Some(Chunk { start: 60, len: 40 }));
}

#[test]
fn a_lost_last_answer_ends_without_another_patch() {
    let mut bench = Bench::resuming();
    bench.answer(200, &[("upload-offset", "100")]);
    bench.assert_finished();
}

#[test]
fn every_fault_of_a_patch_leads_to_head() {
    for fault in [Fault::NotSent, Fault::MaybeSent, Fault::NoAnswer] {
        let mut bench = Bench::patching();
        bench.fault(fault);
        assert_eq!(bench.method(), Method::HEAD, "{fault:?}");
    }
}

#[test]
fn the_first_break_is_asked_about_at_once_and_the_second_after_a_wait() {
    let mut bench = Bench::patching();
    let start = bench.now.instant;
    bench.fault(Fault::MaybeSent);
    bench.answer(200, &[("upload-offset", "0")]);
    assert_eq!(bench.now.instant, start);
    bench.fault(Fault::MaybeSent);
    let _ = bench.sent();
    assert!(bench.now.instant > start);
}

#[test]
fn an_answer_that_is_late_gets_twice_the_time_next() {
    let mut bench = Bench::patching();
    assert_eq!(bench.sent().1.answer_factor, 1);
    bench.fault(Fault::NoAnswer);
    assert_eq!(bench.sent().1.answer_factor, 2);
    bench.answer(200, &[("upload-offset", "40")]);
    assert_eq!(bench.sent().1.answer_factor, 1);
    bench.answer(204, &[("upload-offset", "80")]);
    assert_eq!(
        bench.sent().1.answer_factor,
        5,
        "the last chunk gets more time, and progress resets the doubling"
    );
}

#[test]
fn no_answer_is_awaited_for_longer_than_patience_lasts() {
    let policy = RetryPolicy::DEFAULT
        .with_patience(Duration::from_secs(12 * 60))
        .with_answer_wait(Duration::from_secs(60));
    let mut bench = Bench::new(UploadPlan::resume(url(UPLOAD), None, LENGTH).with_retry(policy));
    bench.answer(200, &[("upload-offset", "80")]);
    let mut factors = Vec::new();
    for _ in 0..3 {
        let factor = bench.sent().1.answer_factor;
        factors.push(factor);
        bench.now.instant += policy.answer_wait * factor;
        bench.fault(Fault::NoAnswer);
        if matches!(bench.step(), Step::Done(_)) {
            break;
        }
        bench.answer(200, &[("upload-offset", "80")]);
    }
    assert_eq!(factors, [5, 7], "five minutes, then what is left");
    assert!(matches!(bench.failure(), Failure::OutOfPatience { .. }));
}

#[test]
fn a_lock_that_nobody_frees_is_not_waited_for_as_long_as_patience_lasts() {
    let mut bench = Bench::patching();
    let start = bench.now.instant;
    while let Step::Send(_) = bench.step() {
        bench.answer(423, &[]);
    }
    let waited = bench.now.instant - start;
    let minutes = waited.as_secs() / 60;
    assert!((15..=16).contains(&minutes), "{waited:?}");
    let failure = bench.failure();
    let locked = RetryReason::Locked;
    assert!(matches!(&failure, Failure::OutOfPatience { last, .. } if *last == locked));
    assert!(failure.is_resumable());
}

#[test]
fn a_failed_head_is_never_a_reason_to_create_anew() {
    for status in [500, 502, 503, 520, 408, 423, 429] {
        let mut bench = Bench::resuming();
        for _ in 0..5 {
            bench.answer(status, &[]);
            assert_eq!(bench.method(), Method::HEAD, "{status}");
        }
        bench.answer(200, &[("upload-offset", "60")]);
        assert_eq!(bench.method(), Method::PATCH, "{status}");
    }
}

#[test]
fn a_conflict_is_asked_about_at_once_then_after_a_wait_then_never_again() {
    let mut bench = Bench::patching();
    let mut heads = 0;
    for round in 0..3 {
        bench.answer(409, &[]);
        assert_eq!(bench.waits(), round.min(1));
        if round < 2 {
            heads += 1;
            bench.answer(200, &[("upload-offset", "0")]);
        }
    }
    assert_eq!(bench.failure(), Failure::AnotherWriter);
    assert_eq!(heads, 2);
}

#[test]
fn the_servers_offset_wins_forwards() {
    let mut bench = Bench::patching();
    bench.fault(Fault::MaybeSent);
    bench.answer(200, &[("upload-offset", "40")]);
    assert!(bench.events.contains(&Event::Acked { offset: 40 }));
    assert_eq!(bench.sent().1.chunk, Some(Chunk { start: 40, len: 40 }));
}

#[test]
fn the_servers_offset_wins_backwards_and_the_third_time_is_too_much() {
    let mut bench = Bench::patching();
    for to in [0, 0] {
        bench.answer(204, &[("upload-offset", "40")]);
        bench.fault(Fault::MaybeSent);
        bench.answer(200, &[("upload-offset", &to.to_string())]);
        assert!(bench.events.contains(&Event::Rewound { from: 40, to }));
        assert_eq!(bench.sent().1.chunk, Some(Chunk { start: 0, len: 40 }));
    }
    bench.answer(204, &[("upload-offset", "40")]);
    bench.fault(Fault::MaybeSent);
    bench.answer(200, &[("upload-offset", "0")]);
    assert_eq!(bench.failure(), Failure::Violation(Violation::Rewinding));
}

#[test]
fn a_source_that_cannot_go_back_fails_instead_of_sending_other_bytes() {
    let mut bench = Bench::patching();
    bench.answer(204, &[("upload-offset", "40")]);
    bench.upload.forget_below(30);
    bench.fault(Fault::MaybeSent);
    bench.answer(200, &[("upload-offset", "0")]);
    assert_eq!(
        bench.failure(),
        Failure::SourcePassed {
            offset: 0,
            available_from: 30
        }
    );
}

#[test]
fn a_chunk_that_was_kept_in_part_is_continued_from_there() {
    let mut bench = Bench::patching();
    bench.answer(204, &[("upload-offset", "25")]);
    assert_eq!(bench.sent().1.chunk, Some(Chunk { start: 25, len: 40 }));
}

#[test]
fn an_offset_that_cannot_be_is_not_believed() {
    let mut bench = Bench::creating();
    bench.answer(201, &[("location", UPLOAD)]);
    bench.answer(204, &[("upload-offset", "99")]);
    assert_eq!(
        bench.method(),
        Method::HEAD,
        "an answer to PATCH is checked by HEAD"
    );
    bench.answer(200, &[("upload-offset", "99")]);
    let violation = Violation::OffsetBeyond {
        offset: 99,
        limit: 40,
    };
    assert_eq!(bench.failure(), Failure::Violation(violation));

    let mut bench = Bench::resuming();
    bench.answer(200, &[("upload-offset", "101")]);
    assert!(matches!(
        bench.failure(),
        Failure::Violation(Violation::OffsetBeyond { .. })
    ));
}

#[test]
fn an_upload_of_another_length_is_not_ours() {
    let mut bench = Bench::resuming();
    bench.answer(200, &[("upload-offset", "0"), ("upload-length", "7")]);
    assert_eq!(
        bench.failure(),
        Failure::Violation(Violation::LengthDiffers {
            ours: 100,
            theirs: 7
        })
    );
}

#[test]
fn a_login_page_is_never_a_success() {
    let html = [("content-type", "text/html"), ("upload-offset", "40")];
    let mut bench = Bench::patching();
    bench.answer(200, &html);
    assert_eq!(bench.upload.offset(), 0);
    assert_eq!(bench.method(), Method::HEAD);
    bench.answer(200, &html);
    assert!(matches!(bench.failure(), Failure::NotTus { .. }));

    let mut bench = Bench::creating();
    bench.answer(200, &[("content-type", "text/html")]);
    bench.answer(200, &[("content-type", "text/html")]);
    assert!(matches!(
        bench.failure(),
        Failure::NotTus {
            phase: Phase::Create,
            ..
        }
    ));
}

#[test]
fn too_many_requests_is_waited_out_as_announced() {
    let mut bench = Bench::patching();
    let start = bench.now.instant;
    bench.answer(429, &[("retry-after", "5")]);
    assert_eq!(bench.method(), Method::HEAD);
    let waited = bench.now.instant - start;
    assert!(
        waited >= Duration::from_secs(5) && waited < Duration::from_secs(6),
        "{waited:?}"
    );
}

#[test]
fn a_wait_beyond_patience_stops_and_says_when_to_come_back() {
    let mut bench = Bench::patching();
    bench.answer(503, &[("retry-after", "99999")]);
    let failure = bench.failure();
    assert!(matches!(failure, Failure::ComeBack { after, .. } if after.as_secs() == 99_999));
    assert!(failure.is_resumable());
}

#[test]
fn a_dead_network_costs_time_only_and_patience_ends_it() {
    let policy = RetryPolicy::DEFAULT.with_patience(Duration::from_secs(20 * 60));
    let mut bench = Bench::new(UploadPlan::resume(url(UPLOAD), None, LENGTH).with_retry(policy));
    let start = bench.now.instant;
    let mut tries = 0;
    while let Step::Send(_) = bench.step() {
        bench.fault(Fault::NotSent);
        tries += 1;
    }
    assert!(tries > 15, "{tries} tries");
    assert_eq!(
        bench.now.instant - start,
        policy.patience,
        "the last try comes when patience ends"
    );
    assert!(matches!(bench.failure(), Failure::OutOfPatience { .. }));
}

#[test]
fn refusals_count_and_progress_forgives_them() {
    let mut bench = Bench::patching();
    for _ in 0..10 {
        bench.answer(500, &[]);
    }
    bench.answer(200, &[("upload-offset", "40")]);
    for _ in 0..10 {
        bench.answer(500, &[]);
    }
    assert!(matches!(bench.step(), Step::Send(_)));
    bench.answer(500, &[]);
    assert!(matches!(
        bench.failure(),
        Failure::OutOfRetries { refusals: 11, .. }
    ));
}

#[test]
fn a_chunk_that_is_too_large_is_halved_within_the_rule_then_it_is_over() {
    let mut bench = Bench::patching();
    for expected in [40, 20, 10] {
        assert_eq!(bench.sent().1.chunk.unwrap().len, expected);
        bench.answer(413, &[]);
        if expected > 10 {
            bench.answer(200, &[("upload-offset", "0")]);
        }
    }
    assert!(matches!(bench.failure(), Failure::Refused { .. }));
}

#[test]
fn without_a_rule_halving_ends_at_64_kib() {
    const KIB: u64 = 1024;
    let plan = UploadPlan::resume(url(UPLOAD), None, 1000 * KIB).with_chunk_bytes(Some(300 * KIB));
    let mut bench = Bench {
        upload: Upload::new(plan),
        ..Bench::resuming()
    };
    bench.answer(200, &[("upload-offset", "0")]);
    for expected in [300, 150, 75, 64] {
        assert_eq!(bench.sent().1.chunk.unwrap().len, expected * KIB);
        bench.answer(413, &[]);
        if expected > 64 {
            bench.answer(200, &[("upload-offset", "0")]);
        }
    }
    assert!(matches!(bench.failure(), Failure::Refused { .. }));
}

#[test]
fn a_damaged_chunk_is_sent_again_three_times() {
    let mut bench = Bench::patching();
    for _ in 0..3 {
        bench.answer(460, &[]);
        bench.answer(200, &[("upload-offset", "0")]);
    }
    bench.answer(460, &[]);
    assert_eq!(bench.failure(), Failure::Damaged);
    assert_eq!(bench.waits(), 3, "each is told");
}

#[test]
fn a_step_is_the_same_until_it_is_fed() {
    let mut bench = Bench::patching();
    let first = bench.sent().1.chunk;
    bench.upload.set_chunk_bytes(20);
    assert_eq!(bench.sent().1.chunk, first);
    bench.answer(204, &[("upload-offset", "40")]);
    assert_eq!(bench.sent().1.chunk, Some(Chunk { start: 40, len: 20 }));
}

#[test]
fn a_server_without_tus_resumable_is_accepted_and_mentioned_once() {
    let mut upload = Bench::resuming();
    let _ = upload.sent();
    for _ in 0..2 {
        let mut response = Response::new(());
        response
            .headers_mut()
            .insert("upload-offset", HeaderValue::from_static("0"));
        upload.upload.on_response(&response, None, upload.now);
        upload.drain();
        upload.fault(Fault::MaybeSent);
        let _ = upload.sent();
    }
    let warned = upload
        .events
        .iter()
        .filter(|event| **event == Event::VersionMissing)
        .count();
    assert_eq!(warned, 1);
}
