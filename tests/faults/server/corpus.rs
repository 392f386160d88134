//! F72, F78, F79: requests that no honest client sends.

use std::fs;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::Serve;
use super::wire::{self, head, send, tus};
use crate::proof::TOKEN;
use crate::row::{Ended, Seen};
use crate::state::contents;
use crate::world::{PATIENCE, World};

pub(super) async fn paths() -> Ended {
    let world = World::new();
    let data = world.path("outer/data");
    let serve = Serve::start(&world, &data).await;
    fs::write(world.path("outer/secretsecretsecret"), "x").unwrap();
    let ours = wire::create(serve.address, &["Upload-Length: 1"]).await;
    let outside = || {
        let mut outside = contents(&world.path("."));
        outside.retain(|(path, _)| !path.starts_with(world.path("./outer/data")));
        outside
    };
    let before = outside();
    assert_eq!(before.len(), 1);
    let token = format!("Authorization: Bearer {TOKEN}");
    let mut asked = 0;
    for id in [
        "..%2f..%2fsecretsecretsecret",
        "../secretsecretsecret",
        "..%5c..%5csecretsecretsecret",
        "..\\..\\secretsecretsecret",
        "....//....//secretsecretsecret",
        "%2e%2e%2fsecretsecretsecret",
        "%00secretsecretsecret",
        "secretsecretsecret%00",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "..",
        ".",
        "%c0%ae%c0%ae%c0%afsecretsecretsecret",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ] {
        for prefix in [
            "/files/",
            "/tus/",
            "/_emulator/originals/",
            "/client/v4/accounts/acct/media/",
            "/client/v4/accounts/acct/stream/",
        ] {
            for method in ["HEAD", "GET", "PATCH", "DELETE", "POST"] {
                let path = format!("{prefix}{id}");
                let answer = tus(serve.address, method, &path, &[&token], b"").await;
                asked += 1;
                assert!(
                    (400..500).contains(&answer.status),
                    "{method} {path}: {answer:?}"
                );
                assert_ne!(answer.body, b"x", "{method} {path}");
            }
        }
    }
    // Names of files, in base64: ../../x, /etc/cron.d/x, C:\x, a NUL.
    for name in ["Li4vLi4veA==", "L2V0Yy9jcm9uLmQveA==", "QzpceA==", "AA=="] {
        let metadata = format!("Upload-Metadata: filename {name},name {name}");
        wire::create(serve.address, &["Upload-Length: 1", &metadata]).await;
        asked += 1;
    }
    assert!(
        outside() == before,
        "something outside of the data folder changed"
    );
    let still = tus(serve.address, "HEAD", &ours, &[], b"").await;
    assert_eq!((still.status, still.offset()), (200, 0));
    let names = contents(&data);
    let plain = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    for (path, _) in &names {
        assert!(
            plain(path.file_name().unwrap().to_str().unwrap()),
            "{}",
            path.display()
        );
    }
    Ok(Seen::times(asked).remark("0 files outside of the data folder read, made or changed"))
}

pub(super) async fn smuggling() -> Ended {
    let world = World::new();
    let serve = Serve::start(&world, &world.path("data")).await;
    let hidden = head(serve.address, "GET", "/smuggled", &[]);
    let long = format!("Content-Length: {}", hidden.len());
    let post = |lines: &[&str], body: &str| {
        let mut all = vec!["Tus-Resumable: 1.0.0", "Upload-Length: 5"];
        all.extend(lines);
        head(serve.address, "POST", "/files/", &all) + body + &hidden
    };
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned();
    let cases = [
        (
            "a length beside a coding",
            post(
                &["Content-Length: 5", "Transfer-Encoding: chunked"],
                "0\r\n\r\n",
            ),
        ),
        (
            "a coding beside a length",
            post(&["Transfer-Encoding: chunked", &long], "0\r\n\r\n"),
        ),
        ("two lengths", post(&["Content-Length: 0", &long], "")),
        (
            "two lengths in one line",
            post(&["Content-Length: 0, 5"], ""),
        ),
        ("a length with a sign", post(&["Content-Length: +0"], "")),
        ("a negative length", post(&["Content-Length: -1"], "")),
        (
            "a length beyond 64 bits",
            post(&["Content-Length: 18446744073709551617"], ""),
        ),
        (
            "a chunk that is no number",
            post(&["Transfer-Encoding: chunked"], "zz\r\n\r\n"),
        ),
        (
            "a chunk beyond 64 bits",
            post(&["Transfer-Encoding: chunked"], "fffffffffffffffff\r\n\r\n"),
        ),
        (
            "a coding that is none",
            post(&["Transfer-Encoding: xchunked"], "0\r\n\r\n"),
        ),
        (
            "codings in the wrong order",
            post(&["Transfer-Encoding: chunked, identity"], "0\r\n\r\n"),
        ),
        (
            "a space before the colon",
            post(&["Content-Length : 0"], ""),
        ),
        ("a folded line", post(&["Content-Length: 0", " 5"], "")),
        ("a NUL in a value", post(&["X-Name: a\0b"], "")),
        ("a carriage return in a value", post(&["X-Name: a\rb"], "")),
        ("HTTP/2 without being asked", preface + &hidden),
    ];
    let count = cases.len() as u64;
    for (what, bytes) in cases {
        let mut stream = TcpStream::connect(serve.address).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let reading = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        // A reset is as good as an end, but there must be one.
        drop(reading.unwrap_or_else(|_| panic!("{what}: it stays open")));
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{what}: {answer}");
    }
    let requests = serve.tell("requests").await;
    assert!(!requests.to_string().contains("smuggled"), "{requests:#}");
    Ok(Seen::times(count).remark("0 hidden requests served; each connection closed"))
}

pub(super) async fn strangers() -> Ended {
    let world = World::new();
    let serve = Serve::start(&world, &world.path("data")).await;
    let port = serve.address.port();
    let mut asked = 0;
    let mut ask = async |text: String| {
        asked += 1;
        send(serve.address, text.as_bytes()).await.unwrap()
    };
    let creation = "Tus-Resumable: 1.0.0\r\nUpload-Length: 5\r\nContent-Length: 0\r\n";
    for (host, status) in [
        ("Host: evil.example\r\n".to_owned(), 403),
        (format!("Host: evil.example:{port}\r\n"), 403),
        ("Host: 127.0.0.1.evil.example\r\n".to_owned(), 403),
        ("Host: localhost.evil.example\r\n".to_owned(), 403),
        ("Host: 10.0.0.1\r\n".to_owned(), 403),
        ("Host: user@127.0.0.1\r\n".to_owned(), 400),
        ("Host: \r\n".to_owned(), 400),
        (String::new(), 400),
        (
            format!("Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n"),
            400,
        ),
    ] {
        let answer = ask(format!("POST /files/ HTTP/1.1\r\n{host}{creation}\r\n")).await;
        assert_eq!(answer.status, status, "{host}: {answer:?}");
    }
    for path in [
        "/files/",
        "/client/v4/accounts/acct/stream",
        "/_emulator/videos",
    ] {
        let lines = [
            "Origin: https://evil.example",
            "Access-Control-Request-Method: POST",
        ];
        let answer = ask(head(serve.address, "OPTIONS", path, &lines)).await;
        assert_eq!(
            answer.header("Access-Control-Allow-Origin"),
            None,
            "{path}: {answer:?}"
        );
    }
    for (lines, status) in [
        (&[][..], 401),
        (&["Authorization: Bearer wrong"][..], 403),
        (&["Authorization: Basic Y2FuYXJ5"][..], 403),
    ] {
        for (method, path) in [
            ("POST", "/client/v4/accounts/acct/stream"),
            ("POST", "/client/v4/accounts/acct/stream?direct_user=true"),
            ("GET", "/client/v4/accounts/acct/stream"),
            ("GET", "/_emulator/videos"),
            ("POST", "/_emulator/faults"),
            (
                "HEAD",
                "/client/v4/accounts/acct/media/0123456789abcdef0123456789abcdef",
            ),
        ] {
            let mut all = vec![
                "Tus-Resumable: 1.0.0",
                "Upload-Length: 5",
                "Content-Length: 0",
            ];
            all.extend(lines);
            let answer = ask(head(serve.address, method, path, &all)).await;
            assert_eq!(
                answer.status, status,
                "{method} {path} {lines:?}: {answer:?}"
            );
        }
    }
    assert_eq!(serve.tell("uploads").await, serde_json::json!([]));
    assert_eq!(serve.tell("videos").await, serde_json::json!([]));
    Ok(Seen::times(asked).remark("none served"))
}
