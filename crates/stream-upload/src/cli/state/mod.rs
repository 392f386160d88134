//! `state`: what is remembered of uploads, and tidying it.

mod prune;
mod record;
mod table;

use std::path::PathBuf;

use resume_store::{Filter, ResumeStore, SledStore, State, StoreError};

use super::args::{StateArgs, StateCommand, StateListArgs, StateShowArgs};
use super::console::{Console, harmless};
use super::exit::{CliError, Code};
use super::plan::state_dir;
use record::Remembered;

/// The file that marks a folder as one with resume state.
const MARK: &str = "VERSION";

/// How many digits of a fingerprint are shown, and are the least that stands for it.
const DIGITS: usize = 8;

/// Lists, shows or tidies.
pub(crate) fn run(args: StateArgs, console: &Console) -> Result<Code, CliError> {
    let folder = state_dir(args.state_dir)?;
    // Looking must not make anything: the folder may be one that was named by mistake.
    let there = folder.join(MARK).try_exists().map_err(|error| {
        CliError::new(Code::Local, format!("{}: {error}", folder.display()))
            .hint("check the folder's owner and mode, or name another with --state-dir")
    })?;
    if !there {
        console.note(format_args!(
            "nothing yet: there is no resume state in {}",
            folder.display()
        ));
        return Ok(Code::Done);
    }
    let store = SledStore::open(&folder).map_err(failed)?;
    let result = match args.command {
        StateCommand::List(args) => list(&store, &args, console),
        StateCommand::Prune(args) => prune::run(&store, &args, console),
        StateCommand::Show(args) => show(&store, &args, console),
    };
    for notice in store.take_notices() {
        console.note(format_args!("resume state: {notice}"));
    }
    result
}

fn list(store: &SledStore, args: &StateListArgs, console: &Console) -> Result<Code, CliError> {
    let everything = !(args.unfinished || args.finished || args.failed);
    let found: Vec<_> = look(store)?
        .into_iter()
        .filter(|one| {
            everything
                || match one.record.state {
                    State::Creating | State::Active => args.unfinished,
                    State::Finished => args.finished,
                    _ => args.failed,
                }
        })
        .collect();
    if args.json {
        for one in &found {
            console.json("record", one.fields());
        }
    } else if found.is_empty() {
        console.note("nothing of that kind is remembered");
    } else {
        console.out(table::of(&found));
    }
    Ok(Code::Done)
}

fn show(store: &SledStore, args: &StateShowArgs, console: &Console) -> Result<Code, CliError> {
    let found = named(look(store)?, &args.which)?;
    for (index, one) in found.iter().enumerate() {
        if args.json {
            console.json("record", one.all_fields());
            continue;
        }
        if index > 0 {
            console.out("");
        }
        for (name, text) in one.lines() {
            console.out(format_args!("{name:18}{text}"));
        }
    }
    Ok(Code::Done)
}

/// All records: what can be gone on with first, then by source.
fn look(store: &SledStore) -> Result<Vec<Remembered>, CliError> {
    let records = store.list(Filter::all()).map_err(failed)?;
    let mut found: Vec<_> = records
        .into_iter()
        .map(|(fingerprint, record)| {
            let holder = store.holder(&fingerprint);
            Remembered::new(fingerprint, record, holder)
        })
        .collect();
    record::add_parts(&mut found);
    found.sort_by(|a, b| a.order().cmp(&b.order()));
    Ok(found)
}

/// Those that a person means: by the source, or by the beginning of a fingerprint.
fn named(mut all: Vec<Remembered>, which: &str) -> Result<Vec<Remembered>, CliError> {
    let path = PathBuf::from(which);
    let path = path.canonicalize().or_else(|_| std::path::absolute(&path));
    let path = path.unwrap_or_default().to_string_lossy().into_owned();
    if all.iter().any(|one| one.is_of(which) || one.is_of(&path)) {
        all.retain(|one| one.is_of(which) || one.is_of(&path));
    } else {
        let is_prefix = which.len() >= DIGITS;
        all.retain(|one| is_prefix && one.fingerprint.to_string().starts_with(which));
    }
    if all.is_empty() {
        let message = format!("nothing is remembered of {}", harmless(which));
        return Err(CliError::new(Code::Local, message).hint(
            "`stream-upload state list` shows what is; a fingerprint wants eight digits or more",
        ));
    }
    Ok(all)
}

fn failed(error: StoreError) -> CliError {
    CliError::new(Code::Local, format!("resume state: {error}"))
        .hint("name another folder with --state-dir")
}
