//! What is made of an original with `ffmpeg`, where that is installed: clips, thumbnails, HLS, DASH, downloads. What was made
//! is kept in the data directory (`made/<uid>/`), or in a temporary folder that goes with the server.
//!
//! A file may be anything that somebody uploaded, and some formats name other files. So only what the prober has
//! recognised is handed over, with the reader for that container named, and no other protocol than files.

mod paint;
mod product;

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
use paint::Paint;
pub(crate) use product::Product;
use product::{ENCODERS, EVEN};

/// Longer than a test's video takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where things are made.
#[derive(Debug, Default)]
pub(crate) struct Workshop {
    /// One at a time: two requests for one thumbnail make it once.
    turn: Mutex<()>,
    temporary: OnceLock<TempDir>,
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
        let _turn = shared.workshop.turn.lock().await;
        let making = Making {
            shared,
            entry,
            upload,
            folder: &folder,
        };
        let made = if let Product::Dash(_) = product {
            let hls = Product::Manifest("video.m3u8".to_owned());
            let source = making.of_original(reader, &hls).await?.join("video.m3u8");
            let source = Input::new("hls", source);
            making.of(source, None, product).await?
        } else {
            making.of_original(reader, product).await?
        };
        Ok(product.file().map_or(made.clone(), |file| made.join(file)))
    };
    Some(made.await)
}

/// What is needed to make something of a video.
struct Making<'a> {
    shared: &'a Shared,
    entry: &'a Entry,
    upload: &'a Arc<Upload>,
    folder: &'a Path,
}

impl Making<'_> {
    /// Of the uploaded bytes, with the video's watermark painted on the pictures.
    async fn of_original(&self, reader: &'static str, product: &Product) -> io::Result<PathBuf> {
        let mut source = Input::new(reader, input(self.folder, self.upload).await?);
        if let Product::Thumbnail(at) = product {
            source.seek_ms = Some(*at);
        }
        let paint = Paint::of(self.shared, self.entry);
        self.of(source, paint, product).await
    }

    async fn of(
        &self,
        source: Input,
        paint: Option<Paint>,
        product: &Product,
    ) -> io::Result<PathBuf> {
        let target = self.folder.join(product.name());
        if tokio::fs::try_exists(&target).await? {
            return Ok(target);
        }
        // Made beside and renamed: what has the name is whole.
        let beside = self.folder.join(format!("new-{}", product.name()));
        if product.file().is_some() {
            let _ = tokio::fs::remove_dir_all(&beside).await;
            tokio::fs::create_dir_all(&beside).await?;
        }
        let mut inputs = vec![source];
        if let Some(paint) = &paint {
            let mark = self.folder.join("watermark");
            tokio::fs::write(&mark, &paint.picture).await?;
            inputs.push(Input::new(paint.reader, mark));
        }
        let arguments = product.arguments(&beside, paint.as_ref());
        run(&inputs, arguments).await?;
        tokio::fs::rename(&beside, &target).await?;
        Ok(target)
    }
}

/// A file with a part of a video, as MP4, for whoever takes it to remove; `None` as with [`product()`].
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
        let mut source = Input::new(reader, input(&folder, upload).await?);
        source.seek_ms = Some(u64::from(start_seconds) * 1000);
        let target = folder.join(format!("clip-{}.mp4", crate::id::new()?));
        let length = end_seconds.saturating_sub(start_seconds).to_string();
        let words = [
            "-vf",
            EVEN,
            "-t",
            &length,
            "-movflags",
            "+faststart",
            "-f",
            "mp4",
        ];
        let words = ENCODERS.iter().chain(&words);
        let mut arguments: Vec<OsString> = words.map(OsString::from).collect();
        arguments.push(target.clone().into());
        run(&[source], arguments).await?;
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

/// Whether anything can be made of a video.
pub(crate) fn can_make(shared: &Shared, entry: &Entry) -> bool {
    reader(shared, entry).is_some()
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

/// A file for ffmpeg, and by whom it is read.
struct Input {
    reader: &'static str,
    file: PathBuf,
    seek_ms: Option<u64>,
}

impl Input {
    fn new(reader: &'static str, file: PathBuf) -> Self {
        Self {
            reader,
            file,
            seek_ms: None,
        }
    }
}

async fn run(inputs: &[Input], arguments: Vec<OsString>) -> io::Result<()> {
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]);
    for input in inputs {
        command.args(["-protocol_whitelist", "file"]);
        if let Some(at) = input.seek_ms {
            command.args(["-ss", &format!("{}.{:03}", at / 1000, at % 1000)]);
        }
        // A file whose name begins with a dash or holds a colon must not be an option or a protocol.
        let mut file = OsString::from("file:");
        file.push(&input.file);
        let reader = OsStr::new(input.reader);
        command.args([OsStr::new("-f"), reader, OsStr::new("-i"), &file]);
    }
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
