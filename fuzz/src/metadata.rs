//! `Upload-Metadata`: what is read is written so that the same pairs are read again, in the same order.
use tus_core::Metadata;

pub(crate) fn run(bytes: &[u8]) {
    let text = crate::text(bytes);
    let Ok(metadata) = Metadata::parse(text) else {
        return;
    };
    let written = metadata.to_header().expect("what was read is not empty");
    let written = written.to_str().expect("visible ASCII");
    assert_eq!(Metadata::parse(written).as_ref(), Ok(&metadata));

    let mut again = Metadata::new();
    for (key, value) in metadata.iter() {
        assert_eq!(metadata.get(key), Some(value));
        assert!(
            metadata
                .get_ignoring_case(&key.to_ascii_uppercase())
                .is_some()
        );
        again.insert(key, value).expect("the key was accepted");
    }
    assert_eq!(again, metadata);
}
