//! The floors: the least that any client must do to a file's bytes.
//!
//! They run in processes of their own, as their rivals do. Such a process is the bench itself, started again with the
//! role as its first argument.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Failure, command};

/// The first argument of a bench that is to be a floor.
const WRITE: &str = "raw-write";
const TLS: &str = "raw-tls";
const SENDFILE: &str = "raw-sendfile";
const POSTS: &str = "raw-posts";

/// As large as the buffers of the product, and aligned as they are: to the address that an allocation of this size has, some
/// kernels copy at half the speed.
const BUFFER: usize = 512 * 1024;
const LINE: usize = 64;

/// `pread` and `write`: sends `file` to `upload`, a path on the server at `sink`, in one PATCH.
pub(crate) fn raw_write(file: &Path, sink: SocketAddr, upload: &str) -> Result<Command, Failure> {
    let mut command = role(WRITE)?;
    command.args([&sink.to_string(), upload]).arg(file);
    Ok(command)
}

/// Whose ciphers rustls has.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ciphers {
    /// Those that the product chooses on this machine.
    Ours,
    AwsLc,
    Ring,
}

impl Ciphers {
    const ALL: [(&str, Self); 3] = [
        ("ours", Self::Ours),
        ("aws-lc", Self::AwsLc),
        ("ring", Self::Ring),
    ];

    fn provider(self) -> Result<Arc<CryptoProvider>, Failure> {
        Ok(match self {
            Self::Ours => {
                http_transport::use_fastest_ciphers();
                Arc::clone(CryptoProvider::get_default().ok_or("no ciphers were chosen")?)
            }
            Self::AwsLc => Arc::new(aws_lc_rs::default_provider()),
            Self::Ring => Arc::new(ring::default_provider()),
        })
    }
}

/// The same through a blocking loop of rustls, which trusts `ca`.
pub(crate) fn raw_tls(
    file: &Path,
    sink: SocketAddr,
    ca: &Path,
    upload: &str,
    ciphers: Ciphers,
) -> Result<Command, Failure> {
    let mut command = role(TLS)?;
    command.args([&sink.to_string(), upload]).arg(file).arg(ca);
    let named = |(_, one): &&(&str, Ciphers)| *one as u8 == ciphers as u8;
    command.args(Ciphers::ALL.iter().find(named).map(|(name, _)| name));
    Ok(command)
}

/// The same by `sendfile`, which never sees the bytes.
pub(crate) fn sendfile(file: &Path, sink: SocketAddr, upload: &str) -> Result<Command, Failure> {
    let mut command = role(SENDFILE)?;
    command.args([&sink.to_string(), upload]).arg(file);
    Ok(command)
}

/// One POST with its body for each file of `folder`, on `at_once` connections.
pub(crate) fn raw_posts(
    folder: &Path,
    sink: SocketAddr,
    at_once: usize,
) -> Result<Command, Failure> {
    let mut command = role(POSTS)?;
    command.args([sink.to_string(), at_once.to_string()]);
    command.arg(folder);
    Ok(command)
}

fn role(name: &str) -> Result<Command, Failure> {
    let this = std::env::current_exe()?;
    let this = this
        .to_str()
        .ok_or("this bench lies at a path that is not UTF-8")?;
    let mut command = command(this);
    command.arg(name);
    Ok(command)
}

/// Is a floor, if this process was started to be one.
pub(crate) fn played_role() -> Option<Result<(), Failure>> {
    let mut arguments = std::env::args_os().skip(1);
    let role = arguments.next()?;
    let arguments: Vec<OsString> = arguments.collect();
    let text = |place: usize| {
        let argument = arguments.get(place).and_then(|it| it.to_str());
        argument.ok_or("an argument is missing or not UTF-8")
    };
    let play = || match role.to_str() {
        Some(POSTS) => posts(text(0)?, text(1)?.parse()?, Path::new(text(2)?)),
        Some(role) => {
            let (sink, upload, file) = (text(0)?, text(1)?, File::open(text(2)?)?);
            let stream = TcpStream::connect(sink)?;
            match role {
                TLS => {
                    let wanted = text(4)?;
                    let ciphers = Ciphers::ALL.iter().find(|(name, _)| *name == wanted);
                    let (_, ciphers) = ciphers.ok_or("nobody has such ciphers")?;
                    let stream = encrypted(stream, Path::new(text(3)?), *ciphers)?;
                    write(stream, sink, upload, &file)
                }
                SENDFILE => splice(stream, sink, upload, &file),
                _ => write(stream, sink, upload, &file),
            }
        }
        None => Err("a role is not UTF-8".into()),
    };
    let ours = [WRITE, TLS, SENDFILE, POSTS].map(OsString::from);
    ours.contains(&role).then(play)
}

fn patch(sink: &str, upload: &str, length: u64) -> String {
    format!(
        "PATCH {upload} HTTP/1.1\r\nHost: {sink}\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
         Content-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\n\r\n"
    )
}

fn write(
    mut stream: impl Read + Write,
    sink: &str,
    upload: &str,
    file: &File,
) -> Result<(), Failure> {
    let length = file.metadata()?.len();
    stream.write_all(patch(sink, upload, length).as_bytes())?;
    let mut memory = vec![0; BUFFER + LINE];
    let start = memory.as_ptr().align_offset(LINE);
    let buffer = &mut memory[start..start + BUFFER];
    let mut offset = 0;
    while offset < length {
        let read = file.read_at(buffer, offset)?;
        if read == 0 {
            return Err("the file shrank".into());
        }
        stream.write_all(&buffer[..read])?;
        offset += read as u64;
    }
    stream.flush()?;
    answer(&mut stream, "204").map(drop)
}

fn splice(mut stream: TcpStream, sink: &str, upload: &str, file: &File) -> Result<(), Failure> {
    let length = file.metadata()?.len();
    stream.write_all(patch(sink, upload, length).as_bytes())?;
    let mut offset = 0;
    while offset < length {
        if rustix::fs::sendfile(&stream, file, Some(&mut offset), 1 << 20)? == 0 {
            return Err("the file shrank".into());
        }
    }
    answer(&mut stream, "204").map(drop)
}

fn posts(sink: &str, at_once: usize, folder: &Path) -> Result<(), Failure> {
    let files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), String> {
        let mut stream = TcpStream::connect(sink).map_err(|why| why.to_string())?;
        let mut message = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut post = || -> Result<(), Failure> {
                let mut file = File::open(file)?;
                let length = file.metadata()?.len();
                let head = format!(
                    "POST /files/ HTTP/1.1\r\nHost: {sink}\r\nTus-Resumable: 1.0.0\r\n\
                     Upload-Length: {length}\r\nContent-Type: application/offset+octet-stream\r\n\
                     Content-Length: {length}\r\n\r\n"
                );
                message.clear();
                message.extend_from_slice(head.as_bytes());
                file.read_to_end(&mut message)?;
                stream.write_all(&message)?;
                answer(&mut stream, "201").map(drop)
            };
            post().map_err(|why| why.to_string())?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().map_err(|_| "a worker panicked")??;
        }
        Ok(())
    })
}

fn encrypted(
    stream: TcpStream,
    ca: &Path,
    ciphers: Ciphers,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Failure> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca)?)?;
    let config = ClientConfig::builder_with_provider(ciphers.provider()?)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(stream.peer_addr()?.ip());
    let session = ClientConnection::new(Arc::new(config), name)?;
    Ok(StreamOwned::new(session, stream))
}

/// Creates an upload of `length` bytes and returns its path on the server, which speaks TLS if there
/// is a `ca` to trust.
pub(crate) fn create(sink: SocketAddr, ca: Option<&Path>, length: u64) -> Result<String, Failure> {
    let stream = TcpStream::connect(sink)?;
    match ca {
        Some(ca) => create_by(encrypted(stream, ca, Ciphers::Ours)?, sink, length),
        None => create_by(stream, sink, length),
    }
}

fn create_by(
    mut stream: impl Read + Write,
    sink: SocketAddr,
    length: u64,
) -> Result<String, Failure> {
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
    let (_, location) = location.ok_or("the server told no Location")?;
    let path = location
        .split_once(&sink.to_string())
        .map_or(location, |(_, path)| path);
    Ok(path.to_owned())
}

/// Reads the head of an answer, which must have the status `wanted`.
fn answer(stream: &mut impl Read, wanted: &str) -> Result<String, Failure> {
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
