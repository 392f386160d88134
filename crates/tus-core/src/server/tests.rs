use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, Request, StatusCode};

use super::*;
use crate::checksum::ChecksumAlgorithm;
use crate::extension::{Extension, Extensions, ServerCapabilities};
use crate::length::UploadLength;
use crate::rejection::{Meaning, Rejection};

const NOW: SystemTime = UNIX_EPOCH;

fn server(extensions: Extensions) -> Server {
    Server::new(ServerCapabilities {
        extensions,
        max_size_bytes: Some(1000),
        checksum_algorithms: vec![ChecksumAlgorithm::Sha1],
    })
    .with_expiry(Duration::from_secs(60))
}

fn full() -> Server {
    server(Extension::ALL.into_iter().collect())
}

fn bare() -> Server {
    server([Extension::Creation].into_iter().collect())
}

/// A request with the version; headers as one text, `name: value` per line.
fn request(method: &str, headers: &str) -> Request<()> {
    let mut builder = Request::builder()
        .method(method)
        .header("Tus-Resumable", "1.0.0");
    for line in headers.lines() {
        let (name, value) = line.split_once(": ").expect("name: value");
        builder = builder.header(name.trim(), value);
    }
    builder.body(()).unwrap()
}

fn patch(headers: &str) -> Request<()> {
    request(
        "PATCH",
        &format!("Content-Type: application/offset+octet-stream\n{headers}"),
    )
}

fn at(offset: u64, length: UploadLength) -> UploadInfo {
    UploadInfo {
        offset,
        ..UploadInfo::new(length)
    }
}

fn ten(offset: u64) -> UploadInfo {
    at(offset, UploadLength::Known(10))
}

fn meaning(result: Result<Decision, Rejection>) -> Meaning {
    result.expect_err("a rejection").meaning
}

fn created(result: Result<Decision, Rejection>) -> Create {
    match result {
        Ok(Decision::Create(create)) => create,
        other => panic!("{other:?}"),
    }
}

fn append(result: Result<Decision, Rejection>) -> Append {
    match result {
        Ok(Decision::Append(append)) => append,
        other => panic!("{other:?}"),
    }
}

fn join(result: Result<Decision, Rejection>) -> Join {
    match result {
        Ok(Decision::Join(join)) => join,
        other => panic!("{other:?}"),
    }
}

#[test]
fn g02_every_answer_but_the_one_to_options_names_the_version() {
    let create = created(full().decide(&request("POST", "Upload-Length: 1"), None, NOW));
    for headers in [
        create.done("/a", &create.info).headers(),
        Head.done(&ten(3)).headers(),
        Terminate.done().headers(),
        refusal(&Meaning::Locked.into()).headers(),
    ] {
        assert_eq!(headers["tus-resumable"], "1.0.0");
    }
}

#[test]
fn g03_g05_a_missing_or_foreign_version_is_refused_with_412_and_the_spoken_one() {
    for method in ["POST", "HEAD", "PATCH", "DELETE"] {
        let missing = Request::builder().method(method).body(()).unwrap();
        let mut foreign = missing.clone();
        foreign
            .headers_mut()
            .insert("tus-resumable", "0.2.2".parse().unwrap());
        for head in [missing, foreign] {
            let rejection = full().decide(&head, Some(&ten(0)), NOW).unwrap_err();
            assert_eq!(rejection.meaning, Meaning::UnsupportedVersion);
            let answer = refusal(&rejection);
            assert_eq!(answer.status(), 412);
            assert_eq!(answer.headers()["tus-version"], "1.0.0");
        }
    }
}

#[test]
fn g13_the_override_is_the_method() {
    let head = request("POST", "X-HTTP-Method-Override: HEAD");
    assert_eq!(
        full().decide(&head, Some(&ten(0)), NOW),
        Ok(Decision::Head(Head))
    );
    let head = request("GET", "X-HTTP-Method-Override: BREW");
    assert_eq!(
        meaning(full().decide(&head, Some(&ten(0)), NOW)),
        Meaning::MethodNotAllowed
    );
}

#[test]
fn o02_o05_options_says_what_is_offered_whatever_version_is_asked() {
    let head = Request::options("/")
        .header("Tus-Resumable", "9")
        .body(())
        .unwrap();
    let Ok(Decision::Options(options)) = full().decide(&head, None, NOW) else {
        panic!("options")
    };
    let answer = options.done();
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["tus-version"], "1.0.0");
    assert_eq!(answer.headers()["tus-max-size"], "1000");
    assert_eq!(answer.headers()["tus-checksum-algorithm"], "sha1");
    assert!(!answer.headers().contains_key("tus-resumable"));
}

#[test]
fn h01_h02_h05_head_tells_offset_and_length_and_is_not_cached() {
    let answer = Head.done(&ten(10));
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["upload-offset"], "10");
    assert_eq!(answer.headers()["upload-length"], "10");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(Head.done(&ten(0)).headers()["upload-offset"], "0");
}

#[test]
fn h03_p09_an_unknown_upload_is_not_found() {
    for method in ["HEAD", "PATCH", "DELETE"] {
        let rejection = full().decide(&request(method, ""), None, NOW).unwrap_err();
        assert_eq!(rejection.meaning, Meaning::NotFound);
        assert!(!refusal(&rejection).headers().contains_key("upload-offset"));
    }
}

#[test]
fn p03_another_content_type_is_refused_with_415() {
    for head in [
        request("PATCH", "Upload-Offset: 0"),
        request("PATCH", "Upload-Offset: 0\nContent-Type: application/json"),
    ] {
        let refused = meaning(full().decide(&head, Some(&ten(0)), NOW));
        assert_eq!(refused, Meaning::UnsupportedMediaType);
    }
}

#[test]
fn p04_p08_a_patch_at_the_offset_moves_it_by_what_came() {
    let head = patch("Upload-Offset: 4\nContent-Length: 6");
    let append = append(full().decide(&head, Some(&ten(4)), NOW));
    assert_eq!((append.at, append.limit, append.announced), (4, 6, Some(6)));
    let mut info = ten(4);
    info.appended(&append, 5);
    let answer = append.done(&info);
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers()["upload-offset"], "9");
}

#[test]
fn p05_a_wrong_offset_is_refused_with_409() {
    let head = patch("Upload-Offset: 3\nContent-Length: 6");
    assert_eq!(
        meaning(full().decide(&head, Some(&ten(4)), NOW)),
        Meaning::OffsetMismatch
    );
}

#[test]
fn p10_g11_a_missing_or_malformed_offset_is_refused_with_400() {
    for headers in [
        "Content-Length: 1",
        "Upload-Offset: -1",
        "Upload-Offset: 0\nUpload-Offset: 0",
    ] {
        assert_eq!(
            meaning(full().decide(&patch(headers), Some(&ten(0)), NOW)),
            Meaning::BadRequest
        );
    }
}

#[test]
fn p11_a_body_announced_beyond_the_end_is_refused_before_it_is_read() {
    let head = patch("Upload-Offset: 4\nContent-Length: 7");
    assert_eq!(
        meaning(full().decide(&head, Some(&ten(4)), NOW)),
        Meaning::TooLarge
    );
    let head = patch("Upload-Offset: 4\nTransfer-Encoding: chunked");
    let chunked = append(full().decide(&head, Some(&ten(4)), NOW));
    assert_eq!((chunked.limit, chunked.announced), (6, None));
}

#[test]
fn p13_an_empty_patch_is_no_error() {
    let append = append(full().decide(&patch("Upload-Offset: 10"), Some(&ten(10)), NOW));
    assert_eq!((append.limit, append.announced), (0, Some(0)));
}

#[test]
fn cr02_without_the_extension_nothing_is_created() {
    let head = request("POST", "Upload-Length: 1");
    let refused = meaning(server(Extensions::NONE).decide(&head, None, NOW));
    assert_eq!(refused, Meaning::MethodNotAllowed);
}

#[test]
fn cr05_neither_or_both_lengths_are_refused() {
    assert_eq!(
        meaning(full().decide(&request("POST", ""), None, NOW)),
        Meaning::BadRequest
    );
    let both = request("POST", "Upload-Length: 1\nUpload-Defer-Length: 1");
    assert_eq!(meaning(full().decide(&both, None, NOW)), Meaning::BadLength);
}

#[test]
fn cr06_an_upload_of_length_zero_is_complete_at_once() {
    let create = created(full().decide(&request("POST", "Upload-Length: 0"), None, NOW));
    assert!(create.info.is_complete());
}

#[test]
fn cr07_a_length_above_the_maximum_is_refused_with_413() {
    let head = request("POST", "Upload-Length: 1001");
    assert_eq!(meaning(full().decide(&head, None, NOW)), Meaning::TooLarge);
    let head = patch("Upload-Offset: 0\nUpload-Length: 1001\nContent-Length: 1");
    let deferred = UploadInfo::new(UploadLength::Deferred);
    assert_eq!(
        meaning(full().decide(&head, Some(&deferred), NOW)),
        Meaning::TooLarge
    );
}

#[test]
fn cr08_cr09_creation_is_answered_with_201_and_the_place() {
    let create = created(full().decide(&request("POST", "Upload-Length: 5"), None, NOW));
    let answer = create.done("/files/x", &create.info);
    assert_eq!(answer.status(), 201);
    assert_eq!(answer.headers()["location"], "/files/x");
    assert!(!answer.headers().contains_key("upload-offset"));
}

#[test]
fn dl01_dl03_deferral_needs_the_extension_and_the_value_1() {
    let head = request("POST", "Upload-Defer-Length: 1");
    assert_eq!(
        created(full().decide(&head, None, NOW)).info.length,
        UploadLength::Deferred
    );
    assert_eq!(meaning(bare().decide(&head, None, NOW)), Meaning::BadLength);
    let two = request("POST", "Upload-Defer-Length: 2");
    assert_eq!(meaning(full().decide(&two, None, NOW)), Meaning::BadLength);
}

#[test]
fn dl04_a_patch_may_tell_the_deferred_length() {
    let mut info = at(3, UploadLength::Deferred);
    let head = patch("Upload-Offset: 3\nUpload-Length: 8\nContent-Length: 5");
    let told = append(full().decide(&head, Some(&info), NOW));
    assert_eq!((told.limit, told.sets_length), (5, Some(8)));
    info.appended(&told, 5);
    assert!(info.is_complete());
}

#[test]
fn dl05_a_length_is_never_changed_but_may_be_told_again() {
    let longer = patch("Upload-Offset: 0\nUpload-Length: 11");
    assert_eq!(
        meaning(full().decide(&longer, Some(&ten(0)), NOW)),
        Meaning::BadLength
    );
    let deferred = patch("Upload-Offset: 0\nUpload-Defer-Length: 1");
    assert_eq!(
        meaning(full().decide(&deferred, Some(&ten(0)), NOW)),
        Meaning::BadLength
    );
    let below = patch("Upload-Offset: 5\nUpload-Length: 4");
    let info = at(5, UploadLength::Deferred);
    assert_eq!(
        meaning(full().decide(&below, Some(&info), NOW)),
        Meaning::BadLength
    );
    let again = patch("Upload-Offset: 0\nUpload-Length: 10");
    assert_eq!(
        append(full().decide(&again, Some(&ten(0)), NOW)).sets_length,
        None
    );
}

#[test]
fn dl06_head_says_that_the_length_is_deferred() {
    let answer = Head.done(&UploadInfo::new(UploadLength::Deferred));
    assert_eq!(answer.headers()["upload-defer-length"], "1");
    assert!(!answer.headers().contains_key("upload-length"));
}

#[test]
fn md08_head_returns_the_metadata_as_it_came() {
    let text = "name YQ, flag ,x";
    let head = request(
        "POST",
        &format!("Upload-Length: 1\nUpload-Metadata: {text}"),
    );
    let create = created(full().decide(&head, None, NOW));
    assert_eq!(Head.done(&create.info).headers()["upload-metadata"], text);
}

#[test]
fn md11_md12_md13_metadata_that_cannot_be_read_is_refused() {
    for bad in ["", "a YQ==,a Yg==", "a *", "a b c"] {
        let mut head = request("POST", "Upload-Length: 1");
        head.headers_mut()
            .insert("upload-metadata", bad.parse().unwrap());
        assert_eq!(
            meaning(full().decide(&head, None, NOW)),
            Meaning::BadRequest,
            "{bad:?}"
        );
    }
}

#[test]
fn cw01_cw04_a_creation_with_a_body_needs_the_extension_and_the_content_type() {
    let kind = "Content-Type: application/offset+octet-stream";
    let head = request(
        "POST",
        &format!("Upload-Length: 5\nContent-Length: 3\n{kind}"),
    );
    let create = created(full().decide(&head, None, NOW));
    assert_eq!(
        create.body.as_ref().map(|body| (body.at, body.limit)),
        Some((0, 5))
    );
    assert_eq!(
        meaning(bare().decide(&head, None, NOW)),
        Meaning::BadRequest
    );
    let untyped = request("POST", "Upload-Length: 5\nContent-Length: 3");
    assert_eq!(
        meaning(full().decide(&untyped, None, NOW)),
        Meaning::UnsupportedMediaType
    );
    let longer = request(
        "POST",
        &format!("Upload-Length: 2\nContent-Length: 3\n{kind}"),
    );
    assert_eq!(
        meaning(full().decide(&longer, None, NOW)),
        Meaning::TooLarge
    );
}

#[test]
fn cw06_the_answer_to_a_creation_with_a_body_names_the_offset() {
    let head = request(
        "POST",
        "Upload-Length: 5\nContent-Length: 3\nContent-Type: application/offset+octet-stream",
    );
    let create = created(full().decide(&head, None, NOW));
    let mut info = create.info.clone();
    info.appended(create.body.as_ref().unwrap(), 3);
    assert_eq!(create.done("/x", &info).headers()["upload-offset"], "3");
}

#[test]
fn ex02_ex03_creation_and_patch_answers_tell_the_expiry_of_an_unfinished_upload() {
    let create = created(full().decide(&request("POST", "Upload-Length: 10"), None, NOW));
    let date = "Thu, 01 Jan 1970 00:01:00 GMT";
    assert_eq!(
        create.done("/x", &create.info).headers()["upload-expires"],
        date
    );
    let append = append(full().decide(
        &patch("Upload-Offset: 0\nContent-Length: 10"),
        Some(&create.info),
        NOW,
    ));
    let mut info = create.info;
    info.appended(&append, 4);
    assert_eq!(append.done(&info).headers()["upload-expires"], date);
    info.appended(&append, 10);
    assert!(!append.done(&info).headers().contains_key("upload-expires"));
    let silent = created(bare().decide(&request("POST", "Upload-Length: 10"), None, NOW));
    assert_eq!(silent.info.expires, None);
}

#[test]
fn ex07_an_expired_upload_is_gone_and_a_finished_one_stays() {
    let past = Some(NOW - Duration::from_secs(1));
    let unfinished = UploadInfo {
        expires: past,
        ..ten(4)
    };
    let finished = UploadInfo {
        expires: past,
        ..ten(10)
    };
    let head = request("HEAD", "");
    assert_eq!(
        meaning(full().decide(&head, Some(&unfinished), NOW)),
        Meaning::Expired
    );
    assert!(full().decide(&head, Some(&finished), NOW).is_ok());
}

/// sha1 of "hello world" (CK-12).
const HELLO: &str = "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=";

#[test]
fn ck06_ck08_a_digest_in_the_head_is_verified_over_the_whole_body() {
    let head = patch(&format!(
        "Upload-Offset: 0\nContent-Length: 10\nUpload-Checksum: {HELLO}"
    ));
    let append = append(full().decide(&head, Some(&ten(0)), NOW));
    assert!(!append.keeps_broken_body(), "CK-11");
    let mut verifier = append.verifier().unwrap();
    verifier.update(b"hello ");
    let mut other = verifier.clone();
    verifier.update(b"world");
    assert_eq!(verifier.finish(None), Ok(()));
    other.update(b"w0rld");
    assert_eq!(other.finish(None), Err(Meaning::ChecksumMismatch.into()));
}

#[test]
fn ck07_a_digest_that_cannot_be_verified_is_refused_with_400() {
    let sha256 = patch("Upload-Offset: 0\nUpload-Checksum: sha256 YQ==");
    let refused = meaning(full().decide(&sha256, Some(&ten(0)), NOW));
    assert_eq!(refused, Meaning::UnsupportedChecksum);
    let sha1 = patch(&format!("Upload-Offset: 0\nUpload-Checksum: {HELLO}"));
    let refused = meaning(bare().decide(&sha1, Some(&ten(0)), NOW));
    assert_eq!(refused, Meaning::UnsupportedChecksum);
    let malformed = patch("Upload-Offset: 0\nUpload-Checksum: sha1");
    assert_eq!(
        meaning(full().decide(&malformed, Some(&ten(0)), NOW)),
        Meaning::BadRequest
    );
}

#[test]
fn ct01_ct02_a_digest_may_follow_the_body() {
    let head = patch("Upload-Offset: 0\nTransfer-Encoding: chunked\nTrailer: Upload-Checksum");
    let append = append(full().decide(&head, Some(&ten(0)), NOW));
    let mut verifier = append.verifier().unwrap();
    verifier.update(b"hello world");
    let mut trailers = HeaderMap::new();
    assert!(verifier.clone().finish(Some(&trailers)).is_err());
    trailers.insert("upload-checksum", HELLO.parse().unwrap());
    assert_eq!(verifier.finish(Some(&trailers)), Ok(()));
    let without = Extensions::NONE.with(Extension::Checksum);
    let refused = meaning(server(without).decide(&head, Some(&ten(0)), NOW));
    assert_eq!(refused, Meaning::UnsupportedChecksum);
}

#[test]
fn tm01_tm02_termination_needs_the_extension() {
    let head = request("DELETE", "");
    assert_eq!(
        full().decide(&head, Some(&ten(10)), NOW),
        Ok(Decision::Terminate(Terminate))
    );
    assert_eq!(
        meaning(bare().decide(&head, Some(&ten(10)), NOW)),
        Meaning::MethodNotAllowed
    );
    assert_eq!(Terminate.done().status(), 204);
}

fn partial(offset: u64, length: UploadLength) -> UploadInfo {
    UploadInfo {
        kind: UploadKind::Partial,
        ..at(offset, length)
    }
}

#[test]
fn cc02_cc16_a_partial_upload_is_one_and_says_so() {
    let head = request("POST", "Upload-Length: 5\nUpload-Concat: partial");
    let create = created(full().decide(&head, None, NOW));
    assert_eq!(create.info.kind, UploadKind::Partial);
    let headers = Head.done(&create.info);
    assert_eq!(headers.headers()["upload-concat"], "partial");
    assert_eq!(headers.headers()["upload-offset"], "0");
    assert_eq!(
        meaning(bare().decide(&head, None, NOW)),
        Meaning::BadRequest
    );
}

#[test]
fn cc04_cc05_cc15_cc18_a_final_upload_is_the_sum_of_its_parts_in_order() {
    let head = request(
        "POST",
        "Upload-Concat: final;/a /b /a\nUpload-Metadata: name YQ==",
    );
    let join = join(full().decide(&head, None, NOW));
    assert_eq!(join.parts, ["/a", "/b", "/a"]);
    let (a, b) = (partial(3, 3.into()), partial(4, 4.into()));
    let whole = join.check([Some(&a), Some(&b), Some(&a)], NOW).unwrap();
    assert!(whole.is_complete());
    let headers = Head.done(&whole);
    assert_eq!(headers.headers()["upload-length"], "10");
    assert_eq!(headers.headers()["upload-offset"], "10");
    assert_eq!(headers.headers()["upload-concat"], "final;/a /b /a");
    assert_eq!(headers.headers()["upload-metadata"], "name YQ==");
    assert_eq!(join.done("/c").status(), 201);
}

#[test]
fn cc06_a_final_upload_has_no_length_and_no_body_of_its_own() {
    for extra in ["Upload-Length: 3", "Content-Length: 3"] {
        let head = request("POST", &format!("Upload-Concat: final;/a\n{extra}"));
        assert_eq!(
            meaning(full().decide(&head, None, NOW)),
            Meaning::BadRequest
        );
    }
}

#[test]
fn cc09_parts_that_are_missing_whole_unfinished_or_too_long_are_refused() {
    let without = Extension::ALL.into_iter().collect::<Extensions>();
    let strict = server(without.without(Extension::ConcatenationUnfinished));
    let join = join(strict.decide(&request("POST", "Upload-Concat: final;/a"), None, NOW));
    let meaning = |part: Option<&UploadInfo>| join.check([part], NOW).unwrap_err().meaning;
    assert_eq!(meaning(None), Meaning::BadRequest);
    assert_eq!(meaning(Some(&ten(10))), Meaning::BadRequest);
    assert_eq!(meaning(Some(&partial(2, 3.into()))), Meaning::BadRequest);
    let long = partial(600, 600.into());
    let refused = join.check([Some(&long), Some(&long)], NOW).unwrap_err();
    assert_eq!(refused.meaning, Meaning::TooLarge);
}

#[test]
fn cc08_cc14_cc17_an_unfinished_final_upload_has_no_offset_and_a_length_when_it_is_known() {
    let join = join(full().decide(&request("POST", "Upload-Concat: final;/a /b"), None, NOW));
    let (done, half) = (partial(3, 3.into()), partial(2, 4.into()));
    let whole = join.check([Some(&done), Some(&half)], NOW).unwrap();
    assert!(!whole.is_complete());
    let answer = Head.done(&whole);
    assert!(!answer.headers().contains_key("upload-offset"));
    assert_eq!(answer.headers()["upload-length"], "7");
    let open = partial(2, UploadLength::Deferred);
    let answer = Head.done(&join.check([Some(&done), Some(&open)], NOW).unwrap());
    assert!(!answer.headers().contains_key("upload-length"));
    assert!(!answer.headers().contains_key("upload-defer-length"));
}

#[test]
fn cc13_a_final_upload_takes_no_patch() {
    let kind = UploadKind::Final("final;/a".parse().unwrap());
    let info = UploadInfo { kind, ..ten(10) };
    assert_eq!(
        meaning(full().decide(&patch("Upload-Offset: 10"), Some(&info), NOW)),
        Meaning::FinalUpload
    );
}

#[test]
fn a_creation_on_an_upload_and_a_strange_method_are_not_allowed() {
    let post = request("POST", "Upload-Length: 1");
    assert_eq!(
        meaning(full().decide(&post, Some(&ten(0)), NOW)),
        Meaning::MethodNotAllowed
    );
    let put = request("PUT", "");
    assert_eq!(
        meaning(full().decide(&put, Some(&ten(0)), NOW)),
        Meaning::MethodNotAllowed
    );
}

#[test]
fn cw02_ck03_what_the_text_does_not_allow_is_not_offered() {
    let mended = Server::new(ServerCapabilities {
        extensions: [
            Extension::CreationWithUpload,
            Extension::ConcatenationUnfinished,
            Extension::Checksum,
            Extension::ChecksumTrailer,
        ]
        .into_iter()
        .collect(),
        max_size_bytes: None,
        checksum_algorithms: vec![ChecksumAlgorithm::Md5],
    });
    let Ok(Decision::Options(options)) = mended.decide(&request("OPTIONS", ""), None, NOW) else {
        panic!("OPTIONS is always answered")
    };
    let answer = options.done();
    let offered = answer.headers();
    assert_eq!(offered["tus-extension"], "checksum,checksum-trailer");
    assert_eq!(offered["tus-checksum-algorithm"], "md5,sha1");
}

#[test]
fn ex02_a_refusal_tells_the_expiry_of_what_is_still_there() {
    let info = UploadInfo {
        expires: Some(NOW),
        ..ten(4)
    };
    let expires = |info: &UploadInfo, meaning: Meaning| {
        let head = refusal_about(&meaning.into(), info);
        head.headers().contains_key("upload-expires")
    };
    assert!(expires(&info, Meaning::OffsetMismatch));
    assert!(!expires(&info, Meaning::Expired));
    let complete = UploadInfo { offset: 10, ..info };
    assert!(!expires(&complete, Meaning::OffsetMismatch));
}

#[test]
fn ex07_cc09_a_part_that_expired_is_not_there() {
    let join = join(full().decide(&request("POST", "Upload-Concat: final;/a"), None, NOW));
    let mut part = partial(2, 3.into());
    part.expires = Some(NOW);
    let refused = join.check([Some(&part)], NOW).unwrap_err();
    assert_eq!(refused.meaning, Meaning::BadRequest);
    part.offset = 3;
    assert!(join.check([Some(&part)], NOW).is_ok());
}
