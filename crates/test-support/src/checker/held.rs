//! What a server holds: read from an emulator's folder, or asked over HTTP.

use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::fixtures;
use crate::http1::head_length;

/// An emulator that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where to look. Has no secret of a test: the token opens an emulator on loopback.
#[derive(Debug)]
pub(super) enum Place {
    Folder(PathBuf),
    Emulator { address: SocketAddr, token: String },
}

/// All uploads, and the videos that they fill.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) objects: Vec<Object>,
    /// Media ids; an upload of a video is called as its video.
    pub(super) videos: Vec<String>,
}

/// One upload.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) id: String,
    pub(super) offset: u64,
    /// Complete, and not a part of another.
    pub(super) finished: bool,
    /// Of its bytes so far.
    pub(super) sha256: String,
}

impl Place {
    pub(super) fn read(&self) -> io::Result<Held> {
        let mut held = match self {
            Self::Folder(folder) => read_folder(folder),
            Self::Emulator { address, token } => ask(*address, token),
        }?;
        held.objects.sort_by(|one, other| one.id.cmp(&other.id));
        held.videos.sort();
        Ok(held)
    }
}

/// Reads `uploads/*.json`, `videos/*.json` and `blobs/*` of a data folder.
fn read_folder(folder: &Path) -> io::Result<Held> {
    let mut held = Held::default();
    for upload in json_files(&folder.join("uploads"))? {
        // A blob is called as its video, where there is one.
        let place = &upload["place"];
        let uid = ["media", "direct"].map(|kind| place[kind]["uid"].as_str());
        let id = uid.into_iter().flatten().next();
        let id = id.map_or_else(|| text(&upload, "key"), |id| Ok(id.to_owned()))?;
        let blob = folder.join("blobs").join(&id);
        let offset = number(&upload, "offset")?;
        // Bytes beyond the offset were never acknowledged.
        let bytes = File::open(&blob).map_err(|error| about(&blob, &error))?;
        let sha256 = fixtures::sha256_reader(bytes.take(offset))?;
        held.objects.push(Object {
            finished: upload["length"] == offset && upload["concat"] != "partial",
            id,
            offset,
            sha256,
        });
    }
    for video in json_files(&folder.join("videos"))? {
        held.videos.push(text(&video["video"], "uid")?);
    }
    Ok(held)
}

fn json_files(folder: &Path) -> io::Result<Vec<Value>> {
    let mut values = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| about(folder, &error))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let bytes = fs::read(&path).map_err(|error| about(&path, &error))?;
            values.push(serde_json::from_slice(&bytes)?);
        }
    }
    Ok(values)
}

/// Asks `/_emulator/uploads`, `/_emulator/videos` and `/_emulator/originals/{id}`.
fn ask(address: SocketAddr, token: &str) -> io::Result<Held> {
    let mut held = Held::default();
    let uploads = list(address, token, "/_emulator/uploads")?;
    for upload in &uploads {
        let id = text(upload, "id")?;
        let (status, original) = get(address, token, &format!("/_emulator/originals/{id}"))?;
        let sha256 = match status {
            200 => fixtures::sha256_reader(original)?,
            // An emulator without a disk may keep nothing but the digest.
            _ => text(upload, "sha256")?,
        };
        held.objects.push(Object {
            id,
            offset: number(upload, "offset")?,
            finished: upload["complete"] == true && upload["partial"] != true,
            sha256,
        });
    }
    for video in &list(address, token, "/_emulator/videos")? {
        held.videos.push(text(&video["video"], "uid")?);
    }
    Ok(held)
}

fn list(address: SocketAddr, token: &str, path: &str) -> io::Result<Vec<Value>> {
    let (status, body) = get(address, token, path)?;
    match serde_json::from_reader(body)? {
        Value::Array(list) if status == 200 => Ok(list),
        _ => Err(io::Error::other(format!(
            "{path} answered {status}, not a list"
        ))),
    }
}

/// A plain GET: the status, and the body until the server closes. HTTP/1.0 knows no chunks.
fn get(address: SocketAddr, token: &str, path: &str) -> io::Result<(u16, impl Read + use<>)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )?;
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(length) = head_length(&bytes) {
            break length;
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer)? {
            0 => return Err(io::Error::other(format!("{path} was not answered"))),
            n => bytes.extend_from_slice(&buffer[..n]),
        }
    };
    let body = bytes.split_off(head);
    let status = String::from_utf8_lossy(&bytes)
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::other(format!("{path} was not answered in HTTP")))?;
    Ok((status, io::Cursor::new(body).chain(stream)))
}

fn text(value: &Value, name: &str) -> io::Result<String> {
    let text = value[name].as_str().map(str::to_owned);
    text.ok_or_else(|| io::Error::other(format!("an entry without {name}")))
}

fn number(value: &Value, name: &str) -> io::Result<u64> {
    let number = value[name].as_u64();
    number.ok_or_else(|| io::Error::other(format!("an entry without {name}")))
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
