//! The library as an embedder meets it, against the emulator.

use std::sync::Arc;

use stream_upload::tus_engine::{BytesSource, Creation, Termination, UploadUrl};
use stream_upload::{NewUpload, Protocol, ReqwestTransport, Uploader, UploaderOptions};
use test_support::{RandomBytes, fixtures};

use crate::world::{MIB, emulator};

fn uploader(options: UploaderOptions) -> Uploader {
    let transport = ReqwestTransport::new(Protocol::Http1).unwrap();
    Uploader::builder(Arc::new(transport))
        .options(options)
        .build()
        .unwrap()
}

fn footage(bytes: u64) -> Vec<u8> {
    let mut footage = Vec::new();
    let mut random = std::io::Read::take(RandomBytes::new(7), bytes);
    std::io::Read::read_to_end(&mut random, &mut footage).unwrap();
    footage
}

#[tokio::test]
async fn methods_that_do_not_pass_travel_as_posts_and_every_byte_arrives() {
    let emulator = emulator().start().await.unwrap();
    let footage = footage(3 * MIB);
    let options = UploaderOptions::default()
        .with_method_override(true)
        .with_chunk_bytes(Some(MIB));
    let new = NewUpload::new(
        Creation::new(UploadUrl::parse(&emulator.tus_url()).unwrap()),
        "a",
    );
    let source = Arc::new(BytesSource::new(footage.clone()));
    let report = uploader(options).upload(source, new).join().await.unwrap();
    assert_eq!(
        emulator.sha256(&report.upload_id).await.unwrap().unwrap(),
        fixtures::sha256_reader(&footage[..]).unwrap()
    );
}

#[tokio::test]
async fn what_is_terminated_after_its_end_stays_and_is_reported() {
    let emulator = emulator().start().await.unwrap();
    let new = NewUpload::new(
        Creation::new(UploadUrl::parse(&emulator.tus_url()).unwrap()),
        "a",
    );
    let source = Arc::new(BytesSource::new(footage(1_000)));
    let handle = uploader(UploaderOptions::default()).upload(source, new);
    while emulator.uploads().iter().all(|upload| !upload.complete) {
        tokio::task::yield_now().await;
    }
    // Whether the answer or the wish comes first is a race; either end must be told truly.
    match handle.terminate().await.unwrap() {
        Termination::CameTooLate(report) => {
            assert_eq!((report.length, emulator.uploads().len()), (1_000, 1));
        }
        Termination::Terminated => assert!(emulator.uploads().is_empty()),
    }
}
