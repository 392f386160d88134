//! The floor: the least that any client must do to a file's bytes, `pread` and `write`.
//!
//! It runs in a process of its own, as its rivals do. That process is the bench itself, started
//! again with [`ROLE`] as its first argument.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;

use super::{Failure, command};

/// The first argument of a bench that is to be the floor.
const ROLE: &str = "raw-write";

/// As large as the buffers of the product.
const BUFFER: usize = 256 * 1024;

/// The command that sends `file` to `upload`, a path on the server at `sink`, in one PATCH.
pub(crate) fn raw_write(file: &Path, sink: SocketAddr, upload: &str) -> Result<Command, Failure> {
    let this = std::env::current_exe()?;
    let this = this
        .to_str()
        .ok_or("this bench lies at a path that is not UTF-8")?;
    let mut command = command(this);
    command.args([ROLE, &sink.to_string(), upload]).arg(file);
    Ok(command)
}

/// Is the floor, if this process was started to be it.
pub(crate) fn played_role() -> Option<Result<(), Failure>> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ROLE {
        return None;
    }
    let arguments: Vec<OsString> = arguments.collect();
    Some(send(&arguments))
}

fn send(arguments: &[OsString]) -> Result<(), Failure> {
    let [sink, upload, file] = arguments else {
        return Err("the floor needs a server, a path and a file".into());
    };
    let text = |argument: &OsString| argument.to_str().map(str::to_owned).ok_or("not UTF-8");
    let file = File::open(file)?;
    let length = file.metadata()?.len();
    let mut stream = TcpStream::connect(text(sink)?)?;
    let head = [
        format!("PATCH {} HTTP/1.1", text(upload)?),
        format!("Host: {}", text(sink)?),
        "Tus-Resumable: 1.0.0".to_owned(),
        "Upload-Offset: 0".to_owned(),
        "Content-Type: application/offset+octet-stream".to_owned(),
        format!("Content-Length: {length}\r\n\r\n"),
    ];
    stream.write_all(head.join("\r\n").as_bytes())?;
    let mut buffer = vec![0; BUFFER];
    let mut offset = 0;
    while offset < length {
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            return Err("the file shrank".into());
        }
        stream.write_all(&buffer[..read])?;
        offset += read as u64;
    }
    answer(&mut stream, "204").map(drop)
}

/// Creates an upload of `length` bytes and returns its path on the server.
pub(crate) fn create(sink: SocketAddr, length: u64) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(sink)?;
    let head = format!(
        "POST /files/ HTTP/1.1\r\nHost: {sink}\r\nTus-Resumable: 1.0.0\r\n\
         Upload-Length: {length}\r\nContent-Length: 0\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let head = answer(&mut stream, "201")?;
    let location = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("location"));
    let (_, location) = location.ok_or("the sink told no Location")?;
    let path = location.strip_prefix(&format!("http://{sink}"));
    Ok(path.unwrap_or(location).to_owned())
}

/// Reads the head of an answer, which must have the status `wanted`.
fn answer(stream: &mut TcpStream, wanted: &str) -> Result<String, Failure> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Err("the sink closed the connection before it answered".into()),
            read => head.extend_from_slice(&buffer[..read]),
        }
    }
    let head = String::from_utf8(head)?;
    match head.split_whitespace().nth(1) {
        Some(status) if status == wanted => Ok(head),
        _ => Err(format!("{wanted} was expected, the sink answered {head}").into()),
    }
}
