//! Extensions: asked for, used where offered, never assumed.

use super::*;
use crate::checksum::ChecksumAlgorithm;
use crate::concat::UploadConcat;
use crate::extension::{Extension, ServerCapabilities};
use crate::length::UploadLength;

fn offering(extensions: &[Extension]) -> ServerCapabilities {
    ServerCapabilities {
        extensions: extensions.iter().copied().collect(),
        max_size_bytes: None,
        checksum_algorithms: vec![ChecksumAlgorithm::Sha256, ChecksumAlgorithm::Sha1],
    }
}

fn knowing(plan: UploadPlan, extensions: &[Extension]) -> Bench {
    Bench::new(plan.with_capabilities(Some(offering(extensions))))
}

fn plan() -> UploadPlan {
    UploadPlan::create(creation(), LENGTH)
}

#[test]
fn the_server_is_asked_first_and_the_answer_is_handed_on() {
    let mut bench = Bench::new(plan().with_probe(true).with_checksum(ChecksumWish::Offered));
    let (request, _) = bench.sent();
    assert_eq!(
        (request.method(), request.uri().to_string().as_str()),
        (&Method::OPTIONS, ENDPOINT)
    );
    assert!(!request.headers().contains_key("tus-resumable"), "O-04");
    let said = [
        ("tus-version", "1.0.0"),
        ("tus-extension", "creation,checksum"),
        ("tus-checksum-algorithm", "md5,sha1"),
    ];
    bench.answer(204, &said);
    assert!(matches!(
        &bench.events[0],
        Event::Probed {
            capabilities: Some(_)
        }
    ));
    bench.answer(201, &[("location", "1")]);
    assert_eq!(
        bench.sent().1.checksum,
        Some(ChecksumAlgorithm::Sha1),
        "the cheapest one offered"
    );
}

#[test]
fn a_server_that_does_not_answer_the_question_is_used_as_it_is() {
    let mut silent = Bench::new(plan().with_probe(true));
    silent.answer(405, &[]);
    assert_eq!(silent.method(), Method::POST);
    let mut gone = Bench::new(plan().with_probe(true));
    gone.fault(Fault::MaybeSent);
    assert_eq!(gone.method(), Method::POST);
}

#[test]
fn what_the_server_cannot_do_is_told_before_anything_is_created() {
    let sha256 = ChecksumWish::Required(ChecksumAlgorithm::Sha256);
    let mut bench = knowing(plan().with_checksum(sha256), &[Extension::Creation]);
    assert_eq!(bench.failure(), Failure::Unsupported(Extension::Checksum));
    let mut bench = Bench::new(plan().with_checksum(sha256));
    assert_eq!(bench.failure(), Failure::Unsupported(Extension::Checksum));
    let deferred = UploadPlan::create(creation(), UploadLength::Deferred);
    let mut bench = knowing(deferred, &[Extension::Creation]);
    assert_eq!(
        bench.failure(),
        Failure::Unsupported(Extension::CreationDeferLength)
    );
    let mut bench = knowing(plan().with_concat(Some(UploadConcat::Partial)), &[]);
    assert_eq!(
        bench.failure(),
        Failure::Unsupported(Extension::Concatenation)
    );
    let small = ServerCapabilities {
        max_size_bytes: Some(99),
        ..ServerCapabilities::default()
    };
    let mut bench = Bench::new(plan().with_capabilities(Some(small)));
    assert_eq!(
        bench.failure(),
        Failure::TooLong {
            length: 100,
            max_bytes: 99
        }
    );
}

#[test]
fn chunks_with_a_digest_are_small_for_a_broken_one_is_lost_whole() {
    let mib = 1024 * 1024;
    let free = |plan: UploadPlan| {
        let capabilities = Some(offering(&[Extension::Checksum]));
        let plan = plan
            .with_capabilities(capabilities)
            .with_checksum(ChecksumWish::Offered);
        let mut bench = Bench::new(plan);
        bench.upload.plan.chunk_rule = ChunkRule::FREE;
        bench.upload.settle();
        bench.answer(201, &[("location", "1")]);
        bench.sent().1.chunk.unwrap().len
    };
    let large = || UploadPlan::create(creation(), 1000 * mib);
    assert_eq!(free(large()), 8 * mib);
    assert_eq!(
        Bench::new(large()).upload.chunk_bytes,
        40,
        "without a digest, what the rule prefers"
    );
}

#[test]
fn a_small_upload_takes_one_request_where_that_is_offered() {
    let small = || UploadPlan::create(creation(), 30_u64).with_one_request_bytes(30);
    let mut bench = knowing(small(), &[Extension::CreationWithUpload]);
    let (post, exchange) = bench.sent();
    assert_eq!(exchange.chunk, Some(Chunk { start: 0, len: 30 }));
    assert_eq!(
        post.headers()["content-type"],
        "application/offset+octet-stream"
    );
    assert_eq!(post.headers()["content-length"], "30");
    assert!(!post.headers().contains_key("upload-offset"));
    bench.answer(201, &[("location", "1"), ("upload-offset", "30")]);
    bench.assert_finished();

    let mut bench = knowing(small(), &[Extension::CreationWithUpload]);
    bench.answer(201, &[("location", "1"), ("upload-offset", "20")]);
    assert_eq!(
        bench.sent().1.chunk,
        Some(Chunk { start: 20, len: 10 }),
        "what was not taken follows"
    );

    let mut bench = knowing(small(), &[Extension::CreationWithUpload]);
    bench.answer(201, &[("location", "1")]);
    assert_eq!(
        bench.method(),
        Method::HEAD,
        "an answer that does not say is asked"
    );

    let mut bench = knowing(small(), &[Extension::Creation]);
    assert_eq!(bench.sent().1.chunk, None, "never where it is not offered");
}

#[test]
fn a_server_that_refuses_bytes_with_the_creation_gets_them_after_it() {
    for status in [400, 413, 415] {
        let small = UploadPlan::create(creation(), 30_u64).with_one_request_bytes(30);
        let mut bench = knowing(small, &[Extension::CreationWithUpload]);
        bench.answer(status, &[]);
        assert!(bench.events.contains(&Event::OneRequestRefused));
        let (post, exchange) = bench.sent();
        assert_eq!(
            (post.method(), exchange.chunk),
            (&Method::POST, None),
            "{status}"
        );
    }
}

#[test]
fn a_length_that_is_known_late_goes_with_the_next_patch() {
    let deferred = UploadPlan::create(creation(), UploadLength::Deferred);
    let mut bench = knowing(deferred, &[Extension::CreationDeferLength]);
    let (post, _) = bench.sent();
    assert_eq!(post.headers()["upload-defer-length"], "1");
    assert!(!post.headers().contains_key("upload-length"));
    bench.answer(201, &[("location", "1")]);

    assert!(matches!(bench.step(), Step::Read { until: 40 }));
    bench.upload.on_available(40, false);
    let (patch, exchange) = bench.sent();
    assert_eq!(exchange.chunk, Some(Chunk { start: 0, len: 40 }));
    assert!(!patch.headers().contains_key("upload-length"));
    bench.answer(204, &[("upload-offset", "40")]);

    assert!(matches!(bench.step(), Step::Read { until: 80 }));
    bench.upload.on_available(55, true);
    let (patch, exchange) = bench.sent();
    assert_eq!(exchange.chunk, Some(Chunk { start: 40, len: 15 }));
    assert_eq!(patch.headers()["upload-length"], "55");
    bench.answer(204, &[("upload-offset", "55")]);
    bench.assert_finished();
}

#[test]
fn a_source_that_ends_with_a_chunk_tells_its_length_with_an_empty_one() {
    let deferred = UploadPlan::create(creation(), UploadLength::Deferred);
    let mut bench = knowing(deferred, &[Extension::CreationDeferLength]);
    bench.answer(201, &[("location", "1")]);
    bench.upload.on_available(40, false);
    bench.answer(204, &[("upload-offset", "40")]);
    bench.upload.on_available(40, true);
    let (patch, exchange) = bench.sent();
    assert_eq!(exchange.chunk, Some(Chunk { start: 40, len: 0 }));
    assert_eq!(patch.headers()["upload-length"], "40");
    bench.fault(Fault::MaybeSent);
    bench.answer(
        200,
        &[("upload-offset", "40"), ("upload-defer-length", "1")],
    );
    assert_eq!(
        bench.sent().0.headers()["upload-length"],
        "40",
        "it did not arrive: told again"
    );
    bench.answer(204, &[("upload-offset", "40")]);
    bench.assert_finished();
}

#[test]
fn a_partial_says_so_and_a_final_names_its_parts_and_sends_no_bytes() {
    let mut bench = knowing(
        plan().with_concat(Some(UploadConcat::Partial)),
        &[Extension::Concatenation],
    );
    assert_eq!(bench.sent().0.headers()["upload-concat"], "partial");

    let parts = UploadConcat::Final(vec!["/files/a".into(), "/files/b".into()]);
    let joining = || {
        knowing(
            plan().with_concat(Some(parts.clone())),
            &[Extension::Concatenation],
        )
    };
    let mut bench = joining();
    let (post, _) = bench.sent();
    assert_eq!(post.headers()["upload-concat"], "final;/files/a /files/b");
    assert!(!post.headers().contains_key("upload-length"), "CC-06");
    bench.answer(201, &[("location", "1")]);
    assert_eq!(bench.method(), Method::HEAD);
    let start = bench.now.instant;
    bench.answer(200, &[]);
    assert_eq!(bench.method(), Method::HEAD, "CC-14: still being joined");
    assert!(bench.now.instant > start);
    bench.answer(200, &[("upload-offset", "100"), ("upload-length", "100")]);
    bench.assert_finished();

    let mut bench = joining();
    bench.fault(Fault::MaybeSent);
    bench.reconciled(Reconciled::Unknown);
    assert_eq!(
        bench.failure(),
        Failure::CreationUnclear,
        "a join is never repeated blindly"
    );
}

#[test]
fn a_termination_removes_the_upload_whatever_it_was_doing() {
    let mut bench = Bench::patching();
    bench.upload.interrupted(bench.now);
    bench.upload.terminate();
    assert_eq!(bench.method(), Method::DELETE);
    bench.answer(503, &[]);
    bench.answer(204, &[]);
    assert!(matches!(bench.step(), Step::Done(Outcome::Terminated)));

    let mut bench = Bench::creating();
    bench.upload.terminate();
    assert!(
        matches!(bench.step(), Step::Done(Outcome::Terminated)),
        "there is nothing to remove"
    );

    let mut bench = Bench::creating();
    bench.upload.interrupted(bench.now);
    bench.upload.terminate();
    bench.drain();
    assert!(
        bench.events.contains(&Event::PossibleOrphan),
        "the creation may have been carried out"
    );
}

#[test]
fn an_interrupted_request_is_asked_about_without_a_wait() {
    let mut bench = Bench::patching();
    let start = bench.now.instant;
    bench.upload.interrupted(bench.now);
    assert_eq!(bench.method(), Method::HEAD);
    bench.answer(200, &[("upload-offset", "7")]);
    assert_eq!((bench.now.instant, bench.waits()), (start, 0));
}

#[test]
fn methods_that_do_not_pass_travel_as_a_post() {
    let mut bench =
        Bench::new(UploadPlan::resume(url(UPLOAD), None, LENGTH).with_method_override(true));
    assert_eq!(bench.method(), Method::HEAD);
    bench.answer(200, &[("upload-offset", "0")]);
    let (request, exchange) = bench.sent();
    assert_eq!(
        (request.method(), exchange.method()),
        (&Method::POST, Method::PATCH)
    );
    assert_eq!(request.headers()["x-http-method-override"], "PATCH");
}
