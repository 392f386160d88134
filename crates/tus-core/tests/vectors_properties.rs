//! What no row can list: reader and writer of every header agree whatever they are given, and no bytes make a machine
//! panic or leave its bounds.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tus_core::client::{Creation, Fault, Now, Reconciled, Step, Upload, UploadPlan};
use tus_core::server::{Decision, Server, UploadInfo, UploadKind, refusal, refusal_about};
use tus_core::{
    Checksum, ChecksumAlgorithm, Extension, Extensions, Metadata, ServerCapabilities, UploadConcat,
    UploadLength, UploadUrl, header,
};

fn one(name: &HeaderName, value: HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name.clone(), value)])
}

/// Texts that are nearly right: made of the pieces that a header is made of.
fn near(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    vec(select(pieces), 0..10).prop_map(|pieces| pieces.concat())
}

fn extensions() -> impl Strategy<Value = Extensions> {
    vec(any::<bool>(), Extension::ALL.len()).prop_map(|chosen| {
        let all = Extension::ALL.into_iter().zip(chosen);
        all.filter(|(_, is_in)| *is_in).map(|(it, _)| it).collect()
    })
}

fn capabilities() -> impl Strategy<Value = ServerCapabilities> {
    let algorithms = proptest::sample::subsequence(ChecksumAlgorithm::ALL.to_vec(), 0..=4);
    (extensions(), any::<Option<u64>>(), algorithms).prop_map(
        |(extensions, max_size_bytes, checksum_algorithms)| ServerCapabilities {
            extensions,
            max_size_bytes,
            checksum_algorithms,
        },
    )
}

/// A value for any header of tus: right for some, nearly right, or any bytes.
fn value() -> impl Strategy<Value = HeaderValue> {
    const RIGHT: &[&str] = &[
        "0",
        "1",
        "6",
        "11",
        "18446744073709551615",
        "1.0.0",
        "application/offset+octet-stream",
        "text/html",
        "name YQ==,flag",
        "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
        "partial",
        "final;/a /b",
        "chunked",
        "Upload-Checksum",
        "PATCH",
        "DELETE",
        "Thu, 01 Jan 2026 00:00:00 GMT",
        "https://tus.example/files/1",
        "/files/1?x=y",
    ];
    let bytes = vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8], 0..30);
    prop_oneof![
        8 => select(RIGHT).prop_map(HeaderValue::from_static),
        1 => "[ -~]{0,30}".prop_map(|text| text.parse().unwrap()),
        1 => bytes.prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap()),
    ]
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let names = vec![
        header::TUS_RESUMABLE,
        header::TUS_VERSION,
        header::TUS_EXTENSION,
        header::TUS_MAX_SIZE,
        header::UPLOAD_OFFSET,
        header::UPLOAD_LENGTH,
        header::UPLOAD_DEFER_LENGTH,
        header::UPLOAD_METADATA,
        header::UPLOAD_EXPIRES,
        header::UPLOAD_CHECKSUM,
        header::UPLOAD_CONCAT,
        header::METHOD_OVERRIDE,
        http::header::CONTENT_TYPE,
        http::header::CONTENT_LENGTH,
        http::header::TRANSFER_ENCODING,
        http::header::TRAILER,
        http::header::LOCATION,
        http::header::RETRY_AFTER,
    ];
    (vec((select(names), value()), 0..8), any::<u8>()).prop_map(|(pairs, luck)| {
        let mut headers = HeaderMap::new();
        if luck > 40 {
            headers.insert(header::TUS_RESUMABLE, header::VERSION);
        }
        for (name, value) in pairs {
            headers.append(name, value);
        }
        headers
    })
}

fn upload() -> impl Strategy<Value = UploadInfo> {
    let length = prop_oneof![select(&[0, 6, 11, u64::MAX][..]).prop_map(Some), Just(None)];
    let kind = select(vec![
        UploadKind::Plain,
        UploadKind::Partial,
        UploadKind::Final(HeaderValue::from_static("final;/a")),
    ]);
    (length, 0..12_u64, kind, any::<Option<u32>>()).prop_map(|(length, offset, kind, expires)| {
        UploadInfo {
            offset: offset.min(length.unwrap_or(u64::MAX)),
            kind,
            expires: expires.map(|at| UNIX_EPOCH + Duration::from_secs(at.into())),
            ..UploadInfo::new(length.map_or(UploadLength::Deferred, UploadLength::Known))
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn every_number_is_read_as_it_is_written(number: u64) {
        let headers = one(&header::UPLOAD_OFFSET, header::from_integer(number));
        prop_assert_eq!(header::upload_offset(&headers), Ok(Some(number)));
        let headers = one(&header::UPLOAD_LENGTH, header::from_integer(number));
        prop_assert_eq!(header::upload_length(&headers), Ok(Some(UploadLength::Known(number))));
    }

    #[test]
    fn a_number_is_read_exactly_when_it_is_digits_that_fit(text in prop_oneof!["[0-9]{0,22}", "[ -~]{0,6}"]) {
        let headers = one(&header::UPLOAD_OFFSET, text.parse().unwrap());
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let wanted = text.parse::<u64>().ok().filter(|_| is_digits);
        prop_assert_eq!(header::upload_offset(&headers).ok().flatten(), wanted);
    }

    #[test]
    fn every_second_until_9999_is_read_as_it_is_written(seconds in 0..253_402_300_800_u64) {
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        let headers = one(&header::UPLOAD_EXPIRES, header::from_time(time));
        prop_assert_eq!(header::upload_expires(&headers), Ok(Some(time)));
    }

    #[test]
    fn metadata_that_is_read_is_written_so_that_it_is_read_alike(
        text in near(&["a", "name", " ", ",", "YQ==", "YQ", "/wD+gA==", "=", "*", "\t", "ü"]),
    ) {
        if let Ok(metadata) = Metadata::parse(&text) {
            let written = metadata.to_header().unwrap();
            let again = Metadata::parse(written.to_str().unwrap()).unwrap();
            prop_assert_eq!(again.to_header().unwrap(), written);
            prop_assert_eq!(again, metadata);
        }
    }

    #[test]
    fn every_checksum_is_read_as_it_is_written(body in vec(any::<u8>(), 0..100), at in 0..4_usize) {
        let mut digester = ChecksumAlgorithm::ALL[at].digester();
        digester.update(&body);
        let checksum = digester.finish();
        prop_assert_eq!(Checksum::parse(checksum.to_header().to_str().unwrap()), Ok(checksum));
    }

    #[test]
    fn a_checksum_that_is_read_is_written_so_that_it_is_read_alike(
        text in near(&["sha1", "md5", " ", "YQ==", "YQ", "=", "SHA1", "*", ""]),
    ) {
        if let Ok(checksum) = Checksum::parse(&text) {
            prop_assert_eq!(Checksum::parse(&checksum.to_string()), Ok(checksum));
        }
    }

    #[test]
    fn a_concatenation_that_is_read_is_written_so_that_it_is_read_alike(
        text in near(&["final;", "partial", "/files/a", "https://h/b?c=d", " ", ";", "ü"]),
    ) {
        if let Ok(concat) = UploadConcat::parse(&text) {
            prop_assert_eq!(UploadConcat::parse(&concat.to_string()), Ok(concat.clone()));
            if text.is_ascii() {
                prop_assert!(concat.to_header().is_ok());
            }
        }
    }

    #[test]
    fn what_a_server_says_of_itself_is_what_a_client_reads(said in capabilities()) {
        let mut headers = HeaderMap::new();
        said.write(&mut headers);
        let mut read = ServerCapabilities::from_headers(&headers).unwrap();
        if !said.extensions.has(Extension::Checksum) {
            // Without the extension, nobody is told the algorithms.
            read.checksum_algorithms.clone_from(&said.checksum_algorithms);
        }
        prop_assert_eq!(read, said);
    }

    #[test]
    fn no_head_makes_the_server_panic_or_leave_what_it_offers(
        method in select(vec!["POST", "HEAD", "PATCH", "DELETE", "OPTIONS", "GET", "ODD"]),
        headers in headers(),
        trailers in headers(),
        info in prop_oneof![upload().prop_map(Some), Just(None)],
        capabilities in capabilities(),
        body in vec(any::<u8>(), 0..20),
    ) {
        let server = Server::new(capabilities).with_expiry(Duration::from_secs(60));
        let offers = |extension| server.capabilities().extensions.has(extension);
        let mut head = Request::new(());
        *head.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *head.headers_mut() = headers;
        let is_spoken = header::text(head.headers(), &header::TUS_RESUMABLE) == Ok(Some("1.0.0"));
        let now = UNIX_EPOCH + Duration::from_secs(1 << 31);
        let answer = match server.decide(&head, info.as_ref(), now) {
            Err(rejection) => {
                prop_assert!(rejection.status().is_client_error());
                match &info {
                    Some(info) => refusal_about(&rejection, info),
                    None => refusal(&rejection),
                }
            }
            Ok(Decision::Options(options)) => {
                prop_assert!(options.done().headers().contains_key("tus-version"));
                return Ok(());
            }
            Ok(Decision::Head(head)) => head.done(info.as_ref().unwrap()),
            Ok(Decision::Terminate(terminate)) => {
                prop_assert!(offers(Extension::Termination) && info.is_some());
                terminate.done()
            }
            Ok(Decision::Create(create)) => {
                prop_assert!(offers(Extension::Creation) && info.is_none());
                prop_assert!(create.body.is_none() || offers(Extension::CreationWithUpload));
                let defers = create.info.length == UploadLength::Deferred;
                prop_assert!(!defers || offers(Extension::CreationDeferLength));
                prop_assert_eq!(create.info.offset, 0);
                create.done("/files/1", &create.info)
            }
            Ok(Decision::Join(join)) => {
                prop_assert!(offers(Extension::Concatenation) && info.is_none());
                let _ = join.check([None], now);
                join.done("/files/1")
            }
            Ok(Decision::Append(append)) => {
                let mut info = info.unwrap();
                prop_assert_eq!(append.at, info.offset);
                prop_assert!(append.announced.is_none_or(|announced| announced <= append.limit));
                prop_assert!(append.at.checked_add(append.limit).is_some());
                if let Some(mut verifier) = append.verifier() {
                    prop_assert!(offers(Extension::Checksum) && !append.keeps_broken_body());
                    verifier.update(&body);
                    let _ = verifier.finish(Some(&trailers));
                }
                info.appended(&append, append.limit.min(body.len() as u64));
                prop_assert!(info.length.remaining(info.offset).is_some());
                append.done(&info)
            }
            Ok(other) => panic!("{other:?} is not known here"),
        };
        prop_assert_eq!(&answer.headers()[header::TUS_RESUMABLE], "1.0.0");
        prop_assert!(is_spoken || answer.status().is_client_error(), "G-04");
    }

    #[test]
    fn no_answer_makes_the_client_panic_or_leave_its_length(
        answers in vec((select(vec![200_u16, 201, 204, 307, 400, 403, 404, 409, 410, 413, 423, 429, 460, 500]), headers(), 0..9_u8), 0..40),
        length in prop_oneof![Just(UploadLength::Deferred), select(&[0, 6, 11][..]).prop_map(UploadLength::Known)],
        capabilities in proptest::option::of(capabilities()),
        probe: bool,
    ) {
        let creation = Creation::new(UploadUrl::parse("https://tus.example/files/").unwrap());
        let plan = UploadPlan::create(creation, length)
            .with_chunk_bytes(Some(4))
            .with_capabilities(capabilities)
            .with_probe(probe);
        let mut upload = Upload::new(plan);
        let mut now = Now { instant: Instant::now(), wall: SystemTime::UNIX_EPOCH };
        for (status, headers, fate) in answers {
            match upload.step(now) {
                Step::WaitUntil(until) => now.instant = until,
                Step::Done(_) => break,
                Step::Reconcile => upload.on_reconciled(Reconciled::Absent, now),
                Step::Read { until } => {
                    prop_assert!(until > upload.offset());
                    upload.on_available(until.min(11), until >= 11);
                }
                Step::Send(exchange) => {
                    let head = exchange.head();
                    let chunk = exchange.chunk.map_or(0, |chunk| chunk.len);
                    prop_assert!(chunk <= 11);
                    if let Some(chunk) = exchange.chunk {
                        prop_assert!(chunk.end() <= 11);
                        prop_assert_eq!(head.headers()["content-length"].clone(), header::from_integer(chunk.len));
                    }
                    match fate {
                        0 => upload.on_fault(Fault::MaybeSent, now),
                        1 => upload.on_fault(Fault::NotSent, now),
                        _ => {
                            let mut response = Response::new(());
                            *response.status_mut() = status.try_into().unwrap();
                            *response.headers_mut() = headers;
                            upload.on_response(&response, None, now);
                        }
                    }
                }
            }
            while upload.poll_event().is_some() {}
            if let UploadLength::Known(length) = length {
                prop_assert!(upload.offset() <= length);
            }
        }
    }
}
