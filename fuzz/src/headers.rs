//! Offset, length, expiry, wait and list: read strictly, written as they were read. One header per line: `name: value`.
use std::time::Duration;

use http::HeaderMap;
use tus_core::{ServerCapabilities, UploadLength, header, retry};

use crate::heads;

pub(crate) fn run(bytes: &[u8]) {
    let headers = heads::headers(heads::lines(bytes));
    if let Ok(Some(offset)) = header::upload_offset(&headers) {
        assert_eq!(headers.get_all(header::UPLOAD_OFFSET).iter().count(), 1);
        let written = header::from_integer(offset);
        let digits = headers[header::UPLOAD_OFFSET]
            .to_str()
            .expect("it was read");
        assert_eq!(
            digits.trim_start_matches('0'),
            written.to_str().expect("digits").trim_start_matches('0')
        );
    }
    if let Ok(Some(UploadLength::Known(_))) = header::upload_length(&headers) {
        assert!(!headers.contains_key(header::UPLOAD_DEFER_LENGTH));
    }
    if let Ok(Some(expires)) = header::upload_expires(&headers) {
        let mut again = HeaderMap::new();
        again.insert(header::UPLOAD_EXPIRES, header::from_time(expires));
        assert_eq!(header::upload_expires(&again), Ok(Some(expires)));
    }
    if let Some(wish) = retry::retry_after(&headers, heads::wall()) {
        // It must stay within what a wait can be reckoned with.
        let _ = wish.saturating_add(Duration::from_secs(60));
    }
    let _ = header::is_html(&headers);
    if let Some(said) = ServerCapabilities::from_headers(&headers) {
        let mut again = HeaderMap::new();
        said.write(&mut again);
        let read = ServerCapabilities::from_headers(&again).expect("it names the version");
        assert_eq!(read.max_size_bytes, said.max_size_bytes);
        assert_eq!(
            read.extensions.iter().collect::<Vec<_>>(),
            said.extensions.iter().collect::<Vec<_>>()
        );
    }
}
