//! `serve`: the emulator in the foreground.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_transport::{Protocol, ReqwestTransport, Transport};
use stream_emulator::{Blobs, Emulator, Encoding, FaultPlan, Quirks};

use super::args::ServeArgs;
use super::console::Console;
use super::exit::{CliError, Code};
use super::signals::Signals;

/// How long a video takes from its last byte to `ready`: long enough to be seen on the way.
const ENCODING: Duration = Duration::from_secs(2);

/// The environment variable with the emulator's token, and its default.
const TOKEN_VARIABLE: &str = "STREAM_EMULATOR_TOKEN";

/// The token that the emulator asks for.
pub(crate) fn token() -> String {
    std::env::var(TOKEN_VARIABLE)
        .ok()
        .filter(|token| !token.is_empty())
        .unwrap_or_else(|| "local".into())
}

/// The emulator's way out: what it copies from URLs and whom its webhook tells may be anywhere.
pub(crate) fn outbound() -> Result<Arc<dyn Transport>, CliError> {
    let transport = ReqwestTransport::new(Protocol::Http1).map_err(|error| {
        CliError::new(Code::Local, format!("cannot reach out: {error}"))
            .hint("the system's certificates cannot be read; videos are copied from URLs with them")
    })?;
    Ok(Arc::new(transport))
}

/// Listens until a signal comes.
pub(crate) fn run(args: ServeArgs, console: &Console) -> Result<Code, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|error| CliError::new(Code::Local, format!("cannot start: {error}")))?;
    runtime.block_on(serve(args, console))
}

/// The rows of `--faults`.
fn faults(file: &Path) -> Result<FaultPlan, CliError> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        CliError::new(Code::Local, format!("--faults {}: {error}", file.display()))
            .hint("check the path and that you may read the file")
    })?;
    FaultPlan::from_json(&text).map_err(|error| {
        CliError::usage(format!("--faults {}: {error}", file.display()))
            .hint("`stream-upload serve --help` shows two rows")
    })
}

async fn serve(args: ServeArgs, console: &Console) -> Result<Code, CliError> {
    let blobs = match (args.data, args.digest_only) {
        (Some(folder), _) => Blobs::Dir(folder),
        (None, true) => Blobs::Digest,
        (None, false) => Blobs::Memory,
    };
    let faults = args.faults.as_deref().map(faults).transpose()?;
    let is_private = args.listen.ip().is_loopback();
    if !is_private && std::env::var_os(TOKEN_VARIABLE).is_none_or(|token| token.is_empty()) {
        return Err(CliError::usage(format!(
            "--listen {} lets other machines in, and there is no token",
            args.listen
        ))
        .hint(format!(
            "set {TOKEN_VARIABLE} to a secret of your own, or listen on 127.0.0.1"
        )));
    }
    let token = token();
    let quirks = if args.quirks {
        Quirks::all()
    } else {
        Quirks::NONE
    };
    let mut builder = Emulator::builder();
    if let Some(times) = args.limits {
        builder = builder.cloudflare_limits(times);
    }
    let emulator = builder
        .listen(args.listen)
        .blobs(blobs)
        .token(&token)
        .tus_token(!is_private)
        .encoding(Encoding::After(ENCODING))
        .faults(faults.unwrap_or_default())
        .judge_media(!args.any_media)
        .quirks(quirks)
        .outbound(outbound()?)
        .start()
        .await
        .map_err(|error| {
            CliError::new(
                Code::Local,
                format!("cannot serve at {}: {error}", args.listen),
            )
            .hint("choose another address with --listen, or another folder with --data")
        })?;
    let stopping = console.clone();
    let signals = Signals::listen(None, move || {
        stopping.note("stopping; a second signal stops at once");
    })
    .map_err(|error| CliError::new(Code::Local, format!("cannot listen to signals: {error}")))?;
    console.out(format_args!("export STREAM_API_URL={}", emulator.api_url()));
    console.out(format_args!("export STREAM_API_TOKEN={token}"));
    console.out("export CLOUDFLARE_ACCOUNT_ID=local");
    console.note(format_args!(
        "the tus endpoint is {}; press Ctrl-C to stop",
        emulator.tus_url()
    ));
    console.note(format_args!(
        "the videos can be seen at {}/ in a browser",
        emulator.url()
    ));
    signals.token().cancelled().await;
    emulator
        .shutdown()
        .await
        .map_err(|error| CliError::new(Code::Local, format!("state was not saved: {error}")))?;
    Ok(Code::Done)
}
