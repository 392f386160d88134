//! The commands of ours and of its peers, each as a user would start it.

use std::path::Path;
use std::process::Command;

use test_support::{fixtures, peers};

use super::contest::Prepared;
use super::{Failure, command};

/// Our binary with the verb `put`, in a state folder that knows nothing yet.
pub(crate) fn ours(url: &str, options: &[&str], sources: &[&Path]) -> Result<Prepared, Failure> {
    let state = fixtures::temp_dir()?;
    let mut command = ours_remembering(url, state.path(), options);
    command.args(sources);
    Ok(Prepared {
        command,
        state: Some(state),
    })
}

/// Our binary with the verb `put`, without a source yet.
pub(crate) fn ours_remembering(url: &str, state: &Path, options: &[&str]) -> Command {
    let mut command = command(env!("CARGO_BIN_EXE_stream-upload"));
    command.args(["put", "--endpoint", url, "--state-dir"]);
    command.arg(state).args(options);
    command
}

/// `curl -T FILE -X PATCH`: the fastest thing that a script would use instead. It has the advantages
/// that its upload is created for it, that it sends one PATCH for all, and that it remembers nothing.
pub(crate) fn curl(upload_url: &str, ca: Option<&Path>, file: &Path) -> Command {
    let mut command = command("curl");
    // Its own configuration file may set anything: -q must come first.
    command.args(["-q", "--silent", "--show-error", "--fail", "--http1.1"]);
    command.args(["--request", "PATCH", "--header", "Expect:"]);
    command.args(["--header", "Tus-Resumable: 1.0.0"]);
    command.args(["--header", "Upload-Offset: 0"]);
    command.args(["--header", "Content-Type: application/offset+octet-stream"]);
    if let Some(ca) = ca {
        command.arg("--cacert").arg(ca);
    }
    command.arg("--upload-file").arg(file).arg(upload_url);
    command
}

/// npm's `tus-js-client` with one file.
pub(crate) fn tus_js(url: &str, options: &[&str], file: &Path) -> Result<Command, Failure> {
    let mut command = bare(&peers::script("upload.mjs")?);
    command.arg(url).arg(file).args(options);
    Ok(command)
}

/// npm's `tus-js-client` with all files of a folder.
pub(crate) fn tus_js_many(url: &str, options: &[&str], folder: &Path) -> Result<Command, Failure> {
    let mut command = bare(&peers::script("upload-many.mjs")?);
    command.arg(url).arg(folder).args(options);
    Ok(command)
}

/// PyPI's `tuspy`.
pub(crate) fn tuspy(url: &str, options: &[&str], files: &[&Path]) -> Result<Command, Failure> {
    let mut command = bare(&peers::tuspy()?);
    command.arg(url).args(options).args(files);
    Ok(command)
}

/// The `tus-uploader` of crates.io, so many files at once, or `parts:N`.
pub(crate) fn tus_uploader(
    url: &str,
    at_once: &str,
    files: impl IntoIterator<Item: AsRef<std::ffi::OsStr>>,
) -> Result<Command, Failure> {
    let program = peers::tus_uploader()?;
    let program = program.to_str().ok_or("target/ is not UTF-8")?;
    let mut command = command(program);
    command.args([url, at_once]).args(files);
    Ok(command)
}

/// The same program and arguments, with the empty environment that all contestants have.
fn bare(made: &Command) -> Command {
    let program = made.get_program().to_string_lossy();
    let mut command = command(&program);
    command.args(made.get_args());
    command
}
