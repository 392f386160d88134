//! Expiration, checksums, termination, concatenation.

use super::*;

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
