//! `Upload-Concat`: what is read and can be written is read again.
use tus_core::UploadConcat;

pub(crate) fn run(bytes: &[u8]) {
    let text = crate::text(bytes);
    let Ok(concat) = UploadConcat::parse(text) else {
        return;
    };
    if let UploadConcat::Final(parts) = &concat {
        assert!(parts.iter().all(|part| !part.is_empty()));
    }
    // A URL that no header can carry is read from a text, not from a header.
    if let Ok(written) = concat.to_header()
        && let Ok(text) = written.to_str()
    {
        assert_eq!(UploadConcat::parse(text), Ok(concat));
    }
}
