//! The table of operations: each row is answered for real.

use stream_api::endpoints::{Carries, TABLE};
use stream_emulator::Emulator;

use crate::wire::{TOKEN, send};

#[tokio::test]
async fn every_row_of_the_table_has_a_handler() {
    let server = Emulator::builder().start().await.unwrap();
    for row in TABLE {
        let path = format!("/client/v4{}", row.path_with(&["acc", "nobody", "en"]));
        let form = "Content-Type: multipart/form-data; boundary=b";
        let (kind, body) = match row.carries {
            Carries::Form => (form, &b"--b--\r\n"[..]),
            Carries::Json => ("Content-Type: application/json", &b"{}"[..]),
            _ => ("Accept: */*", &b""[..]),
        };
        let answer = send(&server, row.method.as_str(), &path, &[TOKEN, kind], body).await;
        let status = answer.unwrap().status;
        assert!(status != 501 && status != 405, "{}: {status}", row.id);
    }
}
