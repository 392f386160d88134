//! General rules, HEAD, PATCH, OPTIONS.

use super::*;

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
