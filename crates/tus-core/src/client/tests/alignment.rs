//! The alignment ladder, against servers that want more of a chunk than its length. The rule of the bench: chunks of 10 to 40
//! bytes, in tens.

use super::*;

/// What a server wants beyond the length. Each exempts the last chunk from what is about its end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Wants {
    /// A: nothing.
    Length,
    /// B: chunks begin at a multiple of ten.
    AlignedStart,
    /// As B, but the last chunk may begin anywhere.
    AlignedStartUnlessLast,
    /// C: chunks end at a multiple of ten, or at the end.
    AlignedEnd,
}

impl Wants {
    fn takes(self, chunk: Chunk) -> bool {
        match self {
            Self::Length => chunk.len.is_multiple_of(10) || chunk.end() == LENGTH,
            Self::AlignedStart => chunk.start.is_multiple_of(10),
            Self::AlignedStartUnlessLast => chunk.start.is_multiple_of(10) || chunk.end() == LENGTH,
            Self::AlignedEnd => chunk.end().is_multiple_of(10) || chunk.end() == LENGTH,
        }
    }
}

/// Sends all from `offset` to a server that `wants`, and tells what it was asked to do.
fn sent_from(offset: u64, wants: Wants, mut bench: Bench) -> (Bench, Vec<String>) {
    let mut stored = offset;
    let mut log = Vec::new();
    while let Step::Send(exchange) = bench.step() {
        assert!(log.len() < 20, "{log:?}");
        match (exchange.phase, exchange.chunk) {
            (Phase::Head, _) => bench.answer(200, &[("upload-offset", &stored.to_string())]),
            (Phase::Patch, Some(chunk)) if wants.takes(chunk) => {
                log.push(format!("{}+{}", chunk.start, chunk.len));
                stored = chunk.end();
                bench.answer(204, &[("upload-offset", &stored.to_string())]);
            }
            (Phase::Patch, Some(chunk)) => {
                log.push(format!("{}+{} refused", chunk.start, chunk.len));
                bench.answer(400, &[]);
            }
            (phase, _) => {
                log.push(format!("{phase:?}"));
                stored = 0;
                bench.answer(
                    if phase == Phase::Create { 201 } else { 204 },
                    &[("location", "2")],
                );
            }
        }
    }
    (bench, log)
}

#[test]
fn where_only_the_length_matters_an_odd_offset_costs_nothing() {
    let (mut bench, log) = sent_from(15, Wants::Length, Bench::resuming());
    bench.assert_finished();
    assert_eq!(log, ["15+40", "55+40", "95+5"]);
}

#[test]
fn where_chunks_must_end_aligned_the_first_step_is_enough() {
    let (mut bench, log) = sent_from(15, Wants::AlignedEnd, Bench::resuming());
    bench.assert_finished();
    assert_eq!(log, ["15+40 refused", "15+35", "50+40", "90+10"]);
    let realigned = Event::ChunkRealigned {
        step: Realignment::AlignedEnd,
        chunk: Chunk { start: 15, len: 35 },
    };
    assert!(bench.events.contains(&realigned));
}

#[test]
fn what_was_taken_is_remembered_for_this_upload() {
    let mut bench = Bench::resuming();
    bench.answer(200, &[("upload-offset", "15")]);
    bench.answer(400, &[]);
    bench.answer(200, &[("upload-offset", "15")]);
    bench.answer(204, &[("upload-offset", "33")]);
    let chunk = bench.sent().1.chunk;
    assert_eq!(chunk, Some(Chunk { start: 33, len: 37 }));
}

#[test]
fn where_chunks_must_begin_aligned_it_is_removed_and_begun_anew_once() {
    let (mut bench, log) = sent_from(15, Wants::AlignedStart, Bench::resuming());
    bench.assert_finished();
    let refused = ["15+40 refused", "15+35 refused"];
    let anew = ["Terminate", "Create", "0+40", "40+40", "80+20"];
    assert_eq!(log, [&refused[..], &anew[..]].concat());
}

#[test]
fn where_only_the_last_chunk_may_begin_anywhere_the_remainder_is_sent_as_one() {
    let mut bench = Bench::resuming();
    bench.upload.set_chunk_bytes(20);
    let (mut bench, log) = sent_from(65, Wants::AlignedStartUnlessLast, bench);
    bench.assert_finished();
    assert_eq!(log, ["65+20 refused", "65+15 refused", "65+35"]);
}

#[test]
fn a_remainder_that_fits_is_tried_before_beginning_anew() {
    let mut bench = Bench::resuming();
    bench.upload.set_chunk_bytes(20);
    let (_, log) = sent_from(65, Wants::AlignedStart, bench);
    assert_eq!(
        log[..4],
        [
            "65+20 refused",
            "65+15 refused",
            "65+35 refused",
            "Terminate"
        ]
    );
}

#[test]
fn a_cut_that_was_refused_already_is_not_tried_again() {
    let (mut bench, log) = sent_from(65, Wants::AlignedStart, Bench::resuming());
    bench.assert_finished();
    assert_eq!(log[..2], ["65+35 refused", "Terminate"]);
}

#[test]
fn an_upload_that_cannot_be_made_anew_is_refused_at_the_end_of_the_ladder() {
    let one_time = UploadPlan::resume(url(UPLOAD), None, LENGTH);
    let (mut bench, log) = sent_from(15, Wants::AlignedStart, Bench::new(one_time));
    assert_eq!(log, ["15+40 refused", "15+35 refused"]);
    let failure = bench.failure();
    assert!(matches!(failure, Failure::Refused { status, .. } if status == 400));
}

#[test]
fn an_upload_that_could_not_be_removed_is_reported() {
    let mut bench = Bench::resuming();
    bench.answer(200, &[("upload-offset", "65")]);
    bench.answer(400, &[]);
    bench.answer(200, &[("upload-offset", "65")]);
    for later in [429, 503, 423] {
        bench.answer(later, &[]);
        assert_eq!(bench.method(), Method::DELETE, "{later} asks to wait");
    }
    bench.answer(405, &[]);
    assert!(bench.events.contains(&Event::PossibleOrphan));
    assert_eq!(bench.method(), Method::POST);
}

#[test]
fn an_offset_that_was_only_stale_is_no_reason_to_cut_otherwise() {
    let mut bench = Bench::resuming();
    bench.answer(200, &[("upload-offset", "15")]);
    bench.answer(400, &[]);
    bench.answer(200, &[("upload-offset", "25")]);
    let chunk = bench.sent().1.chunk;
    assert_eq!(chunk, Some(Chunk { start: 25, len: 40 }));
}

#[test]
fn at_an_aligned_offset_a_refusal_stays_one() {
    let mut bench = Bench::patching();
    for _ in 0..2 {
        bench.answer(400, &[]);
        bench.answer(200, &[("upload-offset", "0")]);
    }
    bench.answer(400, &[]);
    assert!(matches!(bench.failure(), Failure::Refused { .. }));
}
