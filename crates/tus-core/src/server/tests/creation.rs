//! Creation, deferred lengths, metadata, creation with upload.

use super::*;

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
fn md11_md12_metadata_that_cannot_be_read_is_refused() {
    for bad in ["a YQ==,a Yg==", "a *", "a b c"] {
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
fn md13_an_empty_header_is_no_metadata() {
    let mut head = request("POST", "Upload-Length: 1");
    head.headers_mut()
        .insert("upload-metadata", "".parse().unwrap());
    let create = created(full().decide(&head, None, NOW));
    assert_eq!(create.info.metadata, None);
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
