//! The command line: what was typed, what it means, and what is printed.

mod api;
mod args;
mod asking;
mod bandwidth;
mod console;
mod descriptors;
mod exit;
mod explain;
mod form;
mod man;
mod order;
mod place;
mod plan;
mod put;
mod render;
#[cfg(feature = "emulator")]
mod serve;
mod signals;
mod state;
mod stdin;
mod waiting;

use std::process::ExitCode;

use clap::FromArgMatches;

use args::{Args, Command};
use console::Console;

/// Runs the command that the process was started with, and says how it ended.
#[must_use]
pub fn run() -> ExitCode {
    let parsed = args::command()
        .try_get_matches()
        .and_then(|matches| Args::from_arg_matches(&matches));
    let args = match parsed {
        Ok(args) => args,
        Err(error) => {
            // Help and version go to stdout and are a success; a closed pipe is nobody's fault.
            let _ = error.print();
            let code = if error.use_stderr() {
                exit::Code::Usage
            } else {
                exit::Code::Done
            };
            return code.into();
        }
    };
    start_logging(args.verbose);
    hush_the_store();
    http_transport::use_fastest_ciphers();
    let console = Console::new();
    let result = match args.command {
        Command::Audio(group) => api::run(group.verb, &group.account, &console),
        Command::Caption(group) => api::run(group.verb, &group.account, &console),
        Command::Clip(single) => api::run(single.verb, &single.account, &console),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut args::command(), "stream-upload", &mut script);
            console.out_bytes(&script);
            Ok(exit::Code::Done)
        }
        Command::Copy(single) => api::copy(single.verb, single.account, &console),
        Command::Direct(group) => api::run(group.verb, &group.account, &console),
        Command::Download(group) => api::run(group.verb, &group.account, &console),
        Command::Explain(args) => explain::run(&args, &console),
        Command::Key(group) => api::run(group.verb, &group.account, &console),
        Command::LiveInput(group) => api::run(group.verb, &group.account, &console),
        Command::Man { dir } => man::run(dir.as_deref(), &console),
        Command::Output(group) => api::run(group.verb, &group.account, &console),
        Command::Put(args) => put::run(*args, &console),
        #[cfg(feature = "emulator")]
        Command::Serve(args) => serve::run(args, &console),
        Command::State(args) => state::run(args, &console),
        Command::Token(single) => api::token(single.verb, &single.account, &console),
        Command::Usage(single) => api::run(single.verb, &single.account, &console),
        Command::Video(group) => api::run(group.verb, &group.account, &console),
        Command::Watermark(group) => api::run(group.verb, &group.account, &console),
        Command::Webhook(group) => api::run(group.verb, &group.account, &console),
    };
    match result {
        Ok(code) => code.into(),
        Err(error) => {
            console.error(&error);
            error.code.into()
        }
    }
}

/// sled panics over damage that the store catches, repairs and reports in words of its own: its panics, which come from a
/// thread of their own, are not for people. All others are.
fn hush_the_store() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("resume-store") {
            tracing::debug!(%info, "the store's database panicked");
        } else {
            usual(info);
        }
    }));
}

/// Logs go to stderr: nothing by default, more with each `-v`, or what `RUST_LOG` says.
fn start_logging(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let level = match verbose {
        0 => "off",
        1 => {
            "stream_upload=info,stream_ingest=info,tus_engine=info,resume_store=info,stream_emulator=info"
        }
        2 => {
            "stream_upload=debug,stream_ingest=debug,tus_engine=debug,resume_store=debug,stream_emulator=debug,http_transport=debug"
        }
        _ => "debug",
    };
    let filter = if verbose == 0 {
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level))
    } else {
        EnvFilter::new(level)
    };
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}
