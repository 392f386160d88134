//! `Upload-Checksum`: what is read is written so that it is read again.
use tus_core::Checksum;

pub(crate) fn run(bytes: &[u8]) {
    let text = crate::text(bytes);
    let Ok(checksum) = Checksum::parse(text) else {
        return;
    };
    let written = checksum.to_header();
    let again = Checksum::parse(written.to_str().expect("visible ASCII"));
    assert_eq!(again.as_ref(), Ok(&checksum));

    let mut digester = checksum.algorithm.digester();
    digester.update(text.as_bytes());
    let made = digester.finish();
    assert_eq!(Checksum::parse(&made.to_string()), Ok(made));
}
