//! F64: names that are hardly names, and lengths at the edge.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use stream_emulator::EmulatorHandle;
use stream_upload::tus_core::Metadata;
use test_support::fixtures;

use crate::proof::{Proof, TOKEN};
use crate::row::{Ended, Seen};
use crate::world::{MIB, World, emulator, run};

/// Names of files in a folder. `LONG` stands for one of 255 bytes.
const NAMES: [&[u8]; 13] = [
    b"plain.mp4",
    b"LONG",
    b"new\nline.mp4",
    b"carriage\rreturn\x1b[31mred.mp4",
    b"tab\tand \"quotes\" '$(id)` & ; | * ?.mp4",
    b"comma, equals=, semicolon;.mp4",
    b" blanks at both ends .mp4",
    b"%2e%2e%2fescape.mp4",
    b"back\\slash\\xff.mp4",
    "\u{1f3ac} \u{202e}4pm.\u{e9}.mp4".as_bytes(),
    "e\u{301} is not \u{e9}.mp4".as_bytes(),
    // Not UTF-8: as text the two are one.
    b"latin-1 \xe9.mp4",
    b"latin-1 \xe8.mp4",
];

pub(super) async fn and_lengths() -> Ended {
    let names = all_names().await;
    let lengths = all_lengths().await;
    let too_long = longer_than_stream_takes().await;
    Ok(Seen::times(names + lengths + too_long).remark(format!(
        "{names} names, byte for byte on plain tus; {lengths} lengths; 30 GB are refused before anything is sent"
    )))
}

async fn all_names() -> u64 {
    let world = World::new();
    let emulator = emulator().token(TOKEN).start().await.unwrap();
    let template = world.random_file("template", 1_000);
    let here = world.path("here");
    let folder = here.join("shoot");
    fs::create_dir_all(&folder).unwrap();
    let long = [&[b'x'; 251], &b".mp4"[..]].concat();
    let mut sources: Vec<PathBuf> = NAMES
        .iter()
        .map(|name| if *name == b"LONG" { &long } else { *name })
        .map(|name| folder.join(OsStr::from_bytes(name)))
        .collect();
    sources.push(here.join("-rf.mp4"));
    sources.push(world.path("above.mp4"));
    for (index, source) in sources.iter().enumerate() {
        let mut bytes = fs::read(&template).unwrap();
        bytes[0] = u8::try_from(index).unwrap();
        fs::write(source, bytes).unwrap();
    }
    let with = |mut command: Command| {
        command
            .current_dir(&here)
            .args(["--", "-rf.mp4", "../above.mp4", "shoot"]);
        command
    };
    let put = || {
        let mut command = world.command();
        command.args(["put", "--json", "--endpoint", &emulator.tus_url()]);
        with(command)
    };
    let ended = run(put()).await.expect(0);
    assert_eq!(ended.events("finished").len(), sources.len());
    let wanted: BTreeMap<_, _> = sources
        .iter()
        .map(|path| (name(path), sha256(path)))
        .collect();
    assert_eq!(names_on_server(&emulator).await, wanted);

    // For people: a line for each, and none of the controls in their names.
    let plain = {
        let mut command = world.command();
        command.args(["put", "--endpoint", &emulator.tus_url()]);
        run(with(command)).await.expect(0)
    };
    assert_eq!(plain.stdout.lines().count(), sources.len());
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!plain.stdout.contains(control) && !plain.stderr.contains(control));
    assert!(!plain.stdout.contains('\u{202e}'), "{}", plain.stdout);
    Proof {
        world: &world,
        emulator: &emulator,
        sources: &sources,
        said: &[&ended, &plain],
    }
    .hold(put())
    .await;
    sources.len() as u64
}

fn name(path: &Path) -> Vec<u8> {
    path.file_name().unwrap().as_bytes().to_vec()
}

fn sha256(path: &Path) -> String {
    fixtures::sha256_file(path).unwrap()
}

/// What each upload was called, and its bytes.
async fn names_on_server(emulator: &EmulatorHandle) -> BTreeMap<Vec<u8>, String> {
    let mut names = BTreeMap::new();
    for upload in emulator.uploads() {
        let metadata = Metadata::parse(upload.metadata.as_deref().unwrap()).unwrap();
        let sum = emulator.sha256(&upload.id).await.unwrap().unwrap();
        names.insert(metadata.get("filename").unwrap().to_vec(), sum);
    }
    names
}

async fn all_lengths() -> u64 {
    const CHUNK: u64 = 5 * MIB;
    let lengths = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK];
    for on_stream in [true, false] {
        let world = World::new();
        let emulator = emulator().token(TOKEN).start().await.unwrap();
        let sources: Vec<_> = lengths
            .iter()
            .map(|length| world.random_file(&format!("shoot/{length}.mp4"), *length))
            .collect();
        let put = || {
            let mut command = if on_stream {
                let mut command = world.put_to_emulator(&emulator);
                command.arg(world.path("shoot"));
                command
            } else {
                world.put_to(&emulator.tus_url(), &world.path("shoot"))
            };
            command.args(["--chunk-size", "5MiB"]);
            command
        };
        let ended = run(put()).await.expect(0);
        let requests = emulator.requests();
        let chunks = |source: &Path| -> Vec<u64> {
            let length = fs::metadata(source).unwrap().len();
            let created = requests
                .iter()
                .find(|it| it.method == "POST" && it.upload_length == Some(length))
                .unwrap();
            requests
                .iter()
                .filter(|it| it.method == "PATCH" && it.upload == created.upload)
                .map(|it| it.body_bytes)
                .collect()
        };
        assert_eq!(chunks(&sources[0]), [0; 0], "an empty file is created only");
        assert_eq!(chunks(&sources[3]), [CHUNK]);
        assert_eq!(chunks(&sources[4]), [CHUNK, 1]);
        assert_eq!(chunks(&sources[5]), [CHUNK, CHUNK]);
        Proof {
            world: &world,
            emulator: &emulator,
            sources: &sources,
            said: &[&ended],
        }
        .hold(put())
        .await;
    }
    lengths.len() as u64
}

/// 30 GB and more are refused for Stream without a request, and what is beside them is sent.
async fn longer_than_stream_takes() -> u64 {
    const LIMIT: u64 = 30_000_000_000;
    let world = World::new();
    let emulator = emulator().token(TOKEN).start().await.unwrap();
    let source = world.random_file("shoot/a.mp4", MIB);
    fixtures::sparse_file(world.path("shoot/b.mp4"), LIMIT).unwrap();
    fixtures::sparse_file(world.path("shoot/c.mp4"), 10 * LIMIT).unwrap();
    let mut put = world.put_to_emulator(&emulator);
    put.arg(world.path("shoot"));
    let ended = run(put).await.expect(1);
    let failed = ended.events("failed");
    assert_eq!(failed.len(), 2, "{}", ended.stdout);
    assert!(failed.iter().all(|failed| failed["exit_code"] == 5));
    assert_eq!(emulator.videos().len(), 1);
    let again = || {
        let mut command = world.put_to_emulator(&emulator);
        command.arg(&source);
        command
    };
    Proof {
        world: &world,
        emulator: &emulator,
        sources: std::slice::from_ref(&source),
        said: &[&ended],
    }
    .hold(again())
    .await;
    2
}
