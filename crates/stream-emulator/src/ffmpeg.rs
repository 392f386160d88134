//! What is made of an original with `ffmpeg`, where that is installed: clips, thumbnails, HLS, downloads. What was made
//! is kept in the data directory (`made/<uid>/`), or in a temporary folder that goes with the server.
//!
//! A file may be anything that somebody uploaded, and some formats name other files. So only what the prober has
//! recognised is handed over, with the reader for that container named, and no other protocol than files.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::blob::Blob;
use crate::entry::Entry;
use crate::server::Shared;
use crate::upload::Upload;

/// Longer than a test's video takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// What every player plays. H.264 wants even sides.
const ENCODERS: [&str; 10] = [
    "-c:v",
    "libx264",
    "-preset",
    "veryfast",
    "-pix_fmt",
    "yuv420p",
    "-vf",
    "scale=trunc(iw/2)*2:trunc(ih/2)*2",
    "-c:a",
    "aac",
];

/// Where things are made.
#[derive(Debug, Default)]
pub(crate) struct Workshop {
    /// One at a time: two requests for one thumbnail make it once.
    turn: Mutex<()>,
    temporary: OnceLock<TempDir>,
}

/// A file that can be made of a video.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Product {
    /// The sound as M4A.
    Audio,
    /// MP4 for downloading, of what is in another container.
    Default,
    /// HLS: `video.m3u8`, or one of its segments.
    Manifest(String),
    /// A picture at so many milliseconds.
    Thumbnail(u64),
}

impl Product {
    /// The folder or file below the video's own.
    fn name(&self) -> String {
        match self {
            Self::Audio => "audio.m4a".to_owned(),
            Self::Default => "default.mp4".to_owned(),
            Self::Manifest(_) => "hls".to_owned(),
            Self::Thumbnail(at) => format!("thumbnail-{at}.jpg"),
        }
    }

    /// What comes behind the input.
    fn arguments(&self, target: &Path) -> Vec<OsString> {
        let words: &[&str] = match self {
            Self::Audio => &["-vn", "-c:a", "aac", "-f", "mp4"],
            Self::Default => &["-f", "mp4"],
            Self::Manifest(_) => &["-f", "hls", "-hls_time", "4", "-hls_playlist_type", "vod"],
            Self::Thumbnail(_) => &[
                "-frames:v",
                "1",
                "-vf",
                "scale=640:-2",
                "-update",
                "1",
                "-f",
                "image2",
            ],
        };
        let mut arguments = Vec::new();
        if matches!(self, Self::Default | Self::Manifest(_)) {
            arguments.extend(ENCODERS.iter().map(OsString::from));
        }
        arguments.extend(words.iter().map(OsString::from));
        if let Self::Manifest(_) = self {
            arguments.push("-hls_segment_filename".into());
            arguments.push(target.join("segment%05d.ts").into());
            arguments.push(target.join("video.m3u8").into());
        } else {
            arguments.push(target.into());
        }
        arguments
    }
}

/// The file of a product, made if need be; `None` where `ffmpeg` is not there or cannot read the video.
pub(crate) async fn product(
    shared: &Arc<Shared>,
    entry: &Entry,
    upload: &Arc<Upload>,
    product: &Product,
) -> Option<io::Result<PathBuf>> {
    let reader = reader(shared, entry)?;
    let made = async {
        let folder = shared.workshop.folder(shared, &entry.video.uid).await?;
        let target = folder.join(product.name());
        let _turn = shared.workshop.turn.lock().await;
        if !tokio::fs::try_exists(&target).await? {
            // Made beside and renamed: what has the name is whole.
            let beside = folder.join(format!("new-{}", product.name()));
            let seek = match product {
                Product::Manifest(_) => {
                    let _ = tokio::fs::remove_dir_all(&beside).await;
                    tokio::fs::create_dir_all(&beside).await?;
                    None
                }
                Product::Thumbnail(at) => Some(*at),
                _ => None,
            };
            let input = input(&folder, upload).await?;
            run(reader, seek, &input, product.arguments(&beside)).await?;
            tokio::fs::rename(&beside, &target).await?;
        }
        Ok(match product {
            Product::Manifest(file) => target.join(file),
            _ => target,
        })
    };
    Some(made.await)
}

/// A file with a part of a video, as MP4, for whoever takes it to remove; `None` as with [`product`].
pub(crate) async fn cut(
    shared: &Arc<Shared>,
    entry: &Entry,
    upload: &Arc<Upload>,
    start_seconds: u32,
    end_seconds: u32,
) -> Option<io::Result<PathBuf>> {
    let reader = reader(shared, entry)?;
    let cut = async {
        let folder = shared.workshop.folder(shared, &entry.video.uid).await?;
        let _turn = shared.workshop.turn.lock().await;
        let input = input(&folder, upload).await?;
        let target = folder.join(format!("clip-{}.mp4", crate::id::new()?));
        let length = end_seconds.saturating_sub(start_seconds).to_string();
        let words = ["-t", &length, "-movflags", "+faststart", "-f", "mp4"];
        let words = ENCODERS.iter().chain(&words);
        let mut arguments: Vec<OsString> = words.map(OsString::from).collect();
        arguments.push(target.clone().into());
        let seek = u64::from(start_seconds) * 1000;
        run(reader, Some(seek), &input, arguments).await?;
        Ok(target)
    };
    Some(cut.await)
}

impl Workshop {
    async fn folder(&self, shared: &Arc<Shared>, uid: &str) -> io::Result<PathBuf> {
        let folder = self.folder_of(shared, uid)?;
        tokio::fs::create_dir_all(&folder).await?;
        Ok(folder)
    }

    fn folder_of(&self, shared: &Shared, uid: &str) -> io::Result<PathBuf> {
        debug_assert!(crate::id::is_valid(uid));
        if let Some(disk) = &shared.disk {
            return Ok(disk.made(uid));
        }
        if let Some(folder) = self.temporary.get() {
            return Ok(folder.path().join(uid));
        }
        let made = TempDir::with_prefix("stream-emulator-")?;
        Ok(self.temporary.get_or_init(|| made).path().join(uid))
    }

    /// Throws away what was made of a video.
    pub(crate) async fn clear(&self, shared: &Shared, uid: &str) {
        if (shared.disk.is_some() || self.temporary.get().is_some())
            && let Ok(folder) = self.folder_of(shared, uid)
        {
            let _ = tokio::fs::remove_dir_all(folder).await;
        }
    }
}

/// The name of ffmpeg's reader for a video; `None` where nothing can be made of it.
fn reader(shared: &Shared, entry: &Entry) -> Option<&'static str> {
    if !shared.options.ffmpeg || !is_installed() {
        return None;
    }
    Some(match entry.media_type.as_deref()? {
        "video/mp4" | "video/quicktime" | "video/3gpp" => "mov",
        "video/x-matroska" | "video/webm" => "matroska",
        "video/mp2t" => "mpegts",
        "video/x-msvideo" => "avi",
        "video/x-flv" => "flv",
        "video/mpeg" => "mpeg",
        "application/mxf" => "mxf",
        _ => return None,
    })
}

fn is_installed() -> bool {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    *INSTALLED.get_or_init(|| {
        let name = format!("ffmpeg{}", std::env::consts::EXE_SUFFIX);
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(&name).is_file())
    })
}

/// A file with the bytes of an upload. In memory they are, until they are wanted here.
async fn input(folder: &Path, upload: &Arc<Upload>) -> io::Result<PathBuf> {
    let blob = upload.blob().await;
    let copy = folder.join("original");
    let writing = tokio::task::spawn_blocking(move || match &*blob {
        Blob::File { path, .. } => Ok(path.clone()),
        Blob::Memory(bytes) => {
            if std::fs::metadata(&copy).map_or(0, |found| found.len()) != bytes.len() as u64 {
                std::fs::write(&copy, bytes)?;
            }
            Ok(copy)
        }
        Blob::Digest { .. } => Err(io::ErrorKind::Unsupported.into()),
    });
    writing.await.map_err(io::Error::other)?
}

async fn run(
    reader: &str,
    seek_ms: Option<u64>,
    input: &Path,
    arguments: Vec<OsString>,
) -> io::Result<()> {
    let mut command = Command::new("ffmpeg");
    let words = [
        "-hide_banner",
        "-loglevel",
        "error",
        "-nostdin",
        "-y",
        "-protocol_whitelist",
        "file",
    ];
    command.args(words);
    if let Some(at) = seek_ms {
        command.args(["-ss", &format!("{}.{:03}", at / 1000, at % 1000)]);
    }
    // A file whose name begins with a dash or holds a colon must not be an option or a protocol.
    let mut file = OsString::from("file:");
    file.push(input);
    command.args([
        OsStr::new("-f"),
        OsStr::new(reader),
        OsStr::new("-i"),
        &file,
    ]);
    command.args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or("nothing").to_owned();
    Err(io::Error::other(format!(
        "ffmpeg ended with {}: {last}",
        output.status
    )))
}
