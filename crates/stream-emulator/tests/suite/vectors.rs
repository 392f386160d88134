//! The rows of `tests/vectors` against `/files/`, in HTTP/1.1 by hand, so that odd headers can be sent.

#[path = "../../../../tests/vectors/rows.rs"]
#[allow(dead_code, reason = "each runner uses its part of it")]
mod rows;

use std::time::Duration;

use rows::{Came, Names, Request, Row, SECTIONS, Seen, Snapshot, State};
use stream_emulator::{Emulator, EmulatorHandle};
use tokio::io::AsyncWriteExt;

use crate::wire::{Answer, connect, head, read_answer, tus};

macro_rules! sections {
    ($($name:ident: $section:literal,)*) => {
        $(#[tokio::test]
        async fn $name() {
            run($section).await;
        })*

        #[test]
        fn no_section_is_left_out() {
            assert_eq!([$($section),*], SECTIONS);
        }
    };
}

sections! {
    general: "general",
    head_: "head",
    patch: "patch",
    options: "options",
    creation: "creation",
    metadata: "metadata",
    creation_with_upload: "creation-with-upload",
    expiration: "expiration",
    checksum: "checksum",
    termination: "termination",
    concatenation: "concatenation",
    defer_length: "defer-length",
}

/// Runs a section's rows, and names all that fail at once. Rows about a server that lacks something are the machine's
/// alone: this one offers everything.
async fn run(section: &str) {
    let mut rows = rows::rows(section, "S");
    rows.retain(|row| row.json["state"]["server"].is_null());
    assert!(!rows.is_empty());
    let mut wrong = Vec::new();
    for row in &rows {
        wrong.extend(run_row(row).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn run_row(row: &Row) -> Vec<String> {
    let states = rows::states(row);
    let mut builder = Emulator::builder();
    if states.iter().any(|state| state.expired) {
        assert!(states.iter().all(|state| state.expired), "{}", row.at);
        builder = builder.upload_expiry(Duration::ZERO);
    }
    let server = builder.start().await.expect("started");
    let mut names = Names::from([("base".to_owned(), server.url())]);
    rows::name(&mut names, "unknown", "/files/bbbbbbbbbbbbbbbbbbbbbbbb");
    for state in states {
        let path = put(&server, &state, &names).await;
        rows::name(&mut names, &state.name, &path);
    }
    let mut wrong = Vec::new();
    for step in rows::steps(row) {
        let request = Request::of(&row.at, &step["request"], &names);
        let path = match &*request.to {
            "creation" => "/files/".to_owned(),
            name => names[name].clone(),
        };
        let before = snapshot(&server).await;
        let answer = ask(&server, &path, &request).await;
        let after = snapshot(&server).await;
        let made = after.keys().find(|path| !before.contains_key(*path));
        if let Some(made) = made {
            rows::name(&mut names, "new", made);
        }
        let header = |name: &str| answer.as_ref()?.header(name).map(str::to_owned);
        let came = Came {
            status: answer.as_ref().map(|answer| answer.status),
            header: &header,
            before: &before,
            after: &after,
            about: made.unwrap_or(&path),
        };
        wrong.extend(rows::judge(&row.at, &step["expect"], &names, &came));
        let location = answer
            .as_ref()
            .filter(|answer| answer.header("location").is_some())
            .map(Answer::location);
        if location.as_ref() != made.filter(|_| answer.is_some()) {
            wrong.push(format!("{}: Location is not what was made", row.at));
        }
    }
    wrong
}

/// Makes an upload as a row describes it, with one request, and returns its path.
async fn put(server: &EmulatorHandle, state: &State, names: &Names) -> String {
    let mut lines = Vec::new();
    match state.length {
        _ if state.is_final() => {}
        Some(length) => lines.push(format!("Upload-Length: {length}")),
        None => lines.push("Upload-Defer-Length: 1".to_owned()),
    }
    if let Some(metadata) = &state.metadata {
        lines.push(format!("Upload-Metadata: {metadata}"));
    }
    if let Some(concat) = &state.concat {
        lines.push(format!("Upload-Concat: {}", rows::fill(concat, names)));
    }
    let mut body = &state.bytes[..];
    if state.is_final() {
        // Its bytes are those of its parts.
        body = b"";
    } else if !body.is_empty() {
        lines.push("Content-Type: application/offset+octet-stream".to_owned());
    }
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let answer = tus(server, "POST", "/files/", &lines, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let path = answer.location();
    let seen = snapshot(server).await.remove(&path).expect("made");
    assert_eq!(
        (seen.length, seen.bytes),
        (state.length, state.bytes.clone())
    );
    path
}

/// Sends a request on a connection of its own. `None` when the connection was closed by us, in the middle of the body.
async fn ask(server: &EmulatorHandle, path: &str, request: &Request) -> Option<Answer> {
    let line = |(name, value): &(String, String)| format!("{name}: {value}");
    let lines: Vec<_> = request.headers.iter().map(line).collect();
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let mut bytes = head(server, &request.method, path, &lines).into_bytes();
    let body = request.arriving();
    if request.chunked {
        for piece in body.chunks(4) {
            bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
            bytes.extend(piece);
            bytes.extend(b"\r\n");
        }
        if request.cut_after.is_none() {
            bytes.extend(b"0\r\n");
            for trailer in request.trailers.iter().map(line) {
                bytes.extend(format!("{trailer}\r\n").bytes());
            }
            bytes.extend(b"\r\n");
        }
    } else {
        bytes.extend(body);
    }
    let ended = server.requests().len();
    let mut stream = connect(server).await;
    let (mut reader, mut writer) = stream.split();
    if request.cut_after.is_some() {
        writer.write_all(&bytes).await.expect("sent");
        drop(stream);
        let has_ended = |server: &EmulatorHandle| server.requests().len() > ended;
        server.wait_until(has_ended).await;
        return None;
    }
    // Both at once, as a client has to: the server may answer before it has read everything.
    let writing = async {
        let _ = writer.write_all(&bytes).await;
    };
    let reading = read_answer(&mut reader, request.method == "HEAD");
    let ((), answer) = tokio::join!(writing, reading);
    Some(answer.expect("an answer"))
}

async fn snapshot(server: &EmulatorHandle) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for upload in server.uploads() {
        let bytes = server
            .content(&upload.id)
            .await
            .expect("read")
            .expect("bytes");
        assert_eq!(upload.offset, bytes.len() as u64);
        let seen = Seen {
            length: upload.length,
            bytes,
        };
        snapshot.insert(format!("/files/{}", upload.id), seen);
    }
    snapshot
}
