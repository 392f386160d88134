//! `--wait`: until videos can be played, by asking or by being told.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueHint};
use serde_json::Value;
use stream_api::{Secret, WaitOptions};
use stream_ingest::Webhooks;

use super::exit::{CliError, Code};
use super::place::private_text;

/// The variable that may hold the webhook's secret.
const SECRET: &str = "STREAM_WEBHOOK_SECRET";

#[derive(Debug, Clone, ClapArgs)]
#[command(next_help_heading = "The video")]
pub(crate) struct WaitArgs {
    /// Wait until the video can be played, at most this long [default without TIMEOUT: 1h]
    #[arg(long, value_name = "TIMEOUT", num_args = 0..=1, require_equals = true, default_missing_value = "1h", value_parser = humantime::parse_duration)]
    pub(crate) wait: Option<Duration>,
    /// Let Stream tell when it can be played, instead of asking: listen for the calls of the account's webhook at this address. They come by HTTP, from whatever stands before it with a certificate
    #[arg(long, value_name = "ADDR", requires = "wait")]
    pub(crate) webhook_listen: Option<SocketAddr>,
    /// The secret that those calls are signed with, in a file that nobody else may read, as `webhook set --out` writes it [default: STREAM_WEBHOOK_SECRET]
    #[arg(long, value_name = "FILE", requires = "webhook_listen", value_hint = ValueHint::FilePath)]
    pub(crate) webhook_secret_file: Option<PathBuf>,
}

/// How videos are waited for.
#[derive(Debug)]
pub(crate) struct WaitPlan {
    pub(crate) options: WaitOptions,
    webhook: Option<(SocketAddr, Secret)>,
}

impl WaitArgs {
    pub(crate) fn plan(&self) -> Result<Option<WaitPlan>, CliError> {
        let Some(timeout) = self.wait else {
            return Ok(None);
        };
        let webhook = match self.webhook_listen {
            Some(address) => Some((address, self.secret()?)),
            None => None,
        };
        Ok(Some(WaitPlan {
            options: WaitOptions::default().with_timeout(timeout),
            webhook,
        }))
    }

    fn secret(&self) -> Result<Secret, CliError> {
        let text = match &self.webhook_secret_file {
            Some(path) => private_text(path, "--webhook-secret-file ", Code::Local)?,
            None => std::env::var(SECRET).map_err(|_| {
                CliError::usage("--webhook-listen cannot tell Stream's calls from others")
                    .hint(format!("give the secret of `webhook get` with --webhook-secret-file FILE or {SECRET}"))
            })?,
        };
        // The whole answer that set the webhook, or the secret alone.
        let answer = serde_json::from_str::<Value>(&text).ok();
        let secret = answer.as_ref().and_then(|answer| answer["secret"].as_str());
        match secret.unwrap_or(text.trim()) {
            "" => Err(CliError::usage("the webhook's secret is empty")),
            secret => Ok(Secret::new(secret)),
        }
    }
}

impl WaitPlan {
    /// Listens, if it is to be told. `note` hears where.
    pub(crate) async fn listen(
        &self,
        note: impl FnOnce(&dyn Display),
    ) -> Result<Option<Webhooks>, CliError> {
        let Some((address, secret)) = &self.webhook else {
            return Ok(None);
        };
        let listening = Webhooks::listen(*address, secret.clone()).await;
        let webhooks = listening.map_err(|error| {
            CliError::new(Code::Local, format!("--webhook-listen {address}: {error}"))
                .hint("choose another address")
        })?;
        let address = webhooks.address();
        note(&format_args!(
            "listening for the calls of Stream's webhook at http://{address}/"
        ));
        Ok(Some(webhooks))
    }
}
