//! Every operation of Stream's API as a verb: one file for each group of them.
//!
//! A verb says which operation it is about and what is sent ([`call::Call`]); how it is sent, shown and refused is the same for
//! all. What is printed with `--json` is what the API answered, not what this tool makes of it.

mod account;
mod audio;
mod call;
mod caption;
mod clip;
mod copy;
mod direct;
mod download;
mod fail;
mod file;
mod input;
mod key;
mod live_input;
mod new_video;
mod output;
mod secret;
mod show;
mod through;
mod token;
mod usage;
mod verbs;
mod video;
mod watermark;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use tus_core::RetryPolicy;

use super::asking::Teller;
use super::console::Console;
use super::exit::{CliError, Code};
pub(crate) use account::AccountArgs;
use account::Session;
pub(crate) use audio::AudioVerb;
use call::Verb;
pub(crate) use caption::CaptionVerb;
pub(crate) use clip::ClipArgs;
pub(crate) use copy::CopyArgs;
use copy::Listener;
pub(crate) use direct::DirectVerb;
pub(crate) use download::DownloadVerb;
pub(crate) use fail::code_of as api_code;
pub(crate) use key::KeyVerb;
pub(crate) use live_input::LiveInputVerb;
pub(crate) use output::OutputVerb;
pub(crate) use token::TokenArgs;
pub(crate) use usage::UsageArgs;
pub(crate) use verbs::describe;
pub(crate) use video::VideoVerb;
pub(crate) use watermark::WatermarkVerb;
pub(crate) use webhook::WebhookVerb;

/// The verbs of one group, and the account that they are about.
#[derive(Debug, clap::Args)]
pub(crate) struct Group<V: clap::Subcommand> {
    #[command(subcommand)]
    pub(crate) verb: V,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// A verb without a group.
#[derive(Debug, clap::Args)]
pub(crate) struct Single<A: clap::Args> {
    #[command(flatten)]
    pub(crate) verb: A,
    #[command(flatten)]
    pub(crate) account: AccountArgs,
}

/// Does one operation, and shows what was answered.
pub(crate) fn run(
    verb: impl Verb,
    account: &AccountArgs,
    console: &Console,
) -> Result<Code, CliError> {
    block_on(async {
        // What the API answers is stdout's: waits are told beside it.
        let teller = Teller {
            console: console.clone(),
            events: false,
        };
        let session = Session::open(account, Arc::new(teller)).await?;
        let result = call::perform(verb, &session, account, console).await;
        session.close().await;
        result
    })
}

/// Makes a token: here if there is a key, else by asking.
pub(crate) fn token(
    args: TokenArgs,
    account: &AccountArgs,
    console: &Console,
) -> Result<Code, CliError> {
    if args.is_local() {
        args.sign(account, console)
    } else {
        run(args, account, console)
    }
}

/// Has videos copied, and waits for them if asked to.
pub(crate) fn copy(
    args: CopyArgs,
    mut account: AccountArgs,
    console: &Console,
) -> Result<Code, CliError> {
    // Many videos are worth more time than one answer.
    account.patience.get_or_insert(COPY_PATIENCE);
    block_on(async {
        let listener = Listener::new(&args, &account, console);
        let session = Session::open(&account, listener.api_sink()).await?;
        let result = copy::run(args, &session, listener, console).await;
        session.close().await;
        result
    })
}

/// How long each request of a copy is tried, as the parts of an upload are.
const COPY_PATIENCE: Duration = RetryPolicy::DEFAULT.patience;

fn block_on(what: impl Future<Output = Result<Code, CliError>>) -> Result<Code, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::new(Code::Local, format!("cannot start: {error}")))?;
    let result = runtime.block_on(what);
    // A read of stdin that nobody waits for any more must not keep the process.
    runtime.shutdown_background();
    result
}
