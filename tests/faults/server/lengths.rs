//! F77: lengths that lie, and parts that are none.

use super::Serve;
use super::wire::{create, patch, send, tus};
use crate::proof::TOKEN;
use crate::row::{Ended, Seen};
use crate::world::World;

pub(super) async fn refused() -> Ended {
    let world = World::new();
    let serve = Serve::start(&world, &world.path("data")).await;
    let server = serve.address;
    let mut times = 0;
    for (lines, status) in [
        (&[][..], 400),
        (&["Upload-Length: -1"][..], 400),
        (&["Upload-Length: "][..], 400),
        (&["Upload-Length: abc"][..], 400),
        (&["Upload-Length: 1e3"][..], 400),
        (&["Upload-Length: 0x10"][..], 400),
        (&["Upload-Length: +5"][..], 400),
        (&["Upload-Length: 5, 6"][..], 400),
        (&["Upload-Length: 5", "Upload-Length: 6"][..], 400),
        (&["Upload-Length: 18446744073709551616"][..], 400),
        (&["Upload-Length: 99999999999999999999999"][..], 400),
        (&["Upload-Defer-Length: 0"][..], 400),
        (&["Upload-Defer-Length: 2"][..], 400),
        (&["Upload-Defer-Length: 1", "Upload-Length: 5"][..], 400),
        (&["Upload-Concat: nonsense", "Upload-Length: 5"][..], 400),
        (&["Upload-Concat: final;"][..], 400),
        (
            &["Upload-Concat: final;/files/no-such-upload-anywhere"][..],
            400,
        ),
        (
            &["Upload-Concat: final;http://evil.example/files/aaaaaaaaaaaaaaaaaaaaaaaa"][..],
            400,
        ),
        (&["Upload-Concat: final;/etc/passwd"][..], 400),
    ] {
        let answer = tus(server, "POST", "/files/", lines, b"").await;
        assert_eq!(answer.status, status, "{lines:?}: {answer:?}");
        times += 1;
    }
    // A whole upload is no part.
    let whole = create(server, &["Upload-Length: 5"]).await;
    let part = create(server, &["Upload-Length: 5", "Upload-Concat: partial"]).await;
    let of_whole = format!("Upload-Concat: final;{part} {whole}");
    let answer = tus(server, "POST", "/files/", &[&of_whole], b"").await;
    assert_eq!(answer.status, 400, "{answer:?}");
    // A final upload takes no bytes of its own.
    let joined = create(server, &[&format!("Upload-Concat: final;{part}")]).await;
    let answer = send(server, &patch(server, &joined, 0, 1, b"x"))
        .await
        .unwrap();
    assert_eq!(answer.status, 403, "{answer:?}");

    // Larger than any video, on the account.
    let token = format!("Authorization: Bearer {TOKEN}");
    for length in ["30000000001", "9223372036854775807", "18446744073709551615"] {
        let length = format!("Upload-Length: {length}");
        let path = "/client/v4/accounts/acct/stream";
        let answer = tus(server, "POST", path, &[&token, &length], b"").await;
        assert_eq!(answer.status, 413, "{length}: {answer:?}");
        times += 1;
    }

    // More than was announced is not kept, wherever it begins.
    for (at, body, status) in [(0, &b"123456"[..], 413), (6, b"x", 409), (4, b"x", 409)] {
        let request = patch(server, &whole, at, body.len() as u64, body);
        let answer = send(server, &request).await.unwrap();
        assert_eq!(answer.status, status, "{at}: {answer:?}");
        times += 1;
    }
    assert_eq!(tus(server, "HEAD", &whole, &[], b"").await.offset(), 0);

    // A length that is told later is told once, and not below what is there.
    let later = create(server, &["Upload-Defer-Length: 1"]).await;
    let request = patch(server, &later, 0, 4, b"1234");
    assert_eq!(send(server, &request).await.unwrap().status, 204);
    for (length, status) in [("3", 400), ("x", 400), ("6", 204), ("7", 400)] {
        let kind = "Content-Type: application/offset+octet-stream";
        let length = format!("Upload-Length: {length}");
        let lines = [kind, "Upload-Offset: 4", &length];
        let answer = tus(server, "PATCH", &later, &lines, b"").await;
        assert_eq!(answer.status, status, "{length}: {answer:?}");
        times += 1;
    }
    assert_eq!(
        tus(server, "HEAD", &later, &[], b"")
            .await
            .header("Upload-Length"),
        Some("6")
    );
    Ok(Seen::times(times + 2))
}
