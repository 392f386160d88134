//! `man`: the man pages, made of what `--help` says.

use std::io;
use std::path::Path;

use super::args;
use super::console::Console;
use super::exit::{CliError, Code};

/// Prints the page of the tool, or writes all pages into `folder`, which is made if it is not there.
pub(crate) fn run(folder: Option<&Path>, console: &Console) -> Result<Code, CliError> {
    let written = match folder {
        Some(folder) => write_all(folder),
        None => page().map(|page| console.out_bytes(&page)),
    };
    written.map_err(|error| {
        let place = folder.unwrap_or(Path::new("the man page")).display();
        CliError::new(Code::Local, format!("{place}: {error}"))
            .hint("choose a folder that you may write to with --dir")
    })?;
    Ok(Code::Done)
}

fn page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(args::command()).render(&mut page)?;
    Ok(page)
}

fn write_all(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(args::command(), folder)
}
