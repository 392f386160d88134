//! The account that a verb is about, and the connection to it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueHint};
use http_transport::{Protocol, ReqwestTransport, Transport};
use stream_api::StreamClient;
use stream_ingest::ApiSink;

use crate::cli::args::TargetArgs;
use crate::cli::asking::{Asking, share};
use crate::cli::exit::{CliError, Code};
use crate::cli::place::{Place, Remote, authorities, place};
use crate::cli::put::{Running, local_identity, open};

/// Which account, what opens its door, and how answers are shown.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "The account")]
pub(crate) struct AccountArgs {
    /// That of an emulator which runs inside this process; needs no account
    #[cfg(feature = "emulator")]
    #[arg(long, global = true)]
    local: bool,
    /// Where --local keeps its videos [default: the platform's state folder]
    #[cfg(feature = "emulator")]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    data: Option<PathBuf>,
    /// The Cloudflare account
    #[arg(long, global = true, value_name = "ID", env = "CLOUDFLARE_ACCOUNT_ID")]
    account_id: Option<String>,
    /// Read the API token from this file, which nobody else may read
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    token_file: Option<PathBuf>,
    /// Read the API token from stdin
    #[arg(long, global = true, conflicts_with = "token_file")]
    pub(super) token_stdin: bool,
    /// Trust the certificate authorities in this PEM file too, beside those of the system
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    ca_cert: Option<PathBuf>,
    /// Another API base, such as an emulator's; its token comes from STREAM_API_TOKEN
    #[arg(long, global = true, value_name = "URL", env = "STREAM_API_URL")]
    api_url: Option<String>,
    /// How much of the API's limit all commands on this machine may use together; the rest is for other tools [default: 0.5]
    #[arg(long, global = true, value_name = "0..1", env = "STREAM_UPLOAD_API_SHARE", value_parser = share)]
    api_share: Option<f64>,
    /// How long a request is tried that is not answered, or is to come again later [default: 10m; for copy 1h]
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(super) patience: Option<Duration>,
    /// Refusals in a row after which a request is given up [default: 10]
    #[arg(long, global = true, value_name = "N")]
    retries: Option<u32>,
    /// Print what the API answered, as one line of JSON
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) json: bool,
    /// Show secrets that are not what the verb is for, such as the key of an output
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) show_secrets: bool,
}

/// A client of the account, and the emulator behind it if it runs in this process.
pub(super) struct Session {
    /// As patient as was asked for.
    pub(super) client: StreamClient,
    /// The same, for whoever has patience of its own.
    pub(super) impatient: StreamClient,
    /// The way to everything but the API.
    pub(super) transport: Arc<dyn Transport>,
    /// The way of uploads.
    pub(super) uploads: Arc<dyn Transport>,
    pub(super) remote: Remote,
    /// What the account is known as from run to run.
    pub(super) destination: String,
    /// Whether it is Cloudflare's own, which reaches public addresses only.
    pub(super) is_cloudflare: bool,
    running: Option<Running>,
}

impl AccountArgs {
    fn target(&self) -> TargetArgs {
        TargetArgs {
            #[cfg(feature = "emulator")]
            local: self.local,
            #[cfg(feature = "emulator")]
            data: self.data.clone(),
            endpoint: None,
            upload_url: None,
            upload_kind: None,
            media_id: None,
            headers: Vec::new(),
            auth_hosts: Vec::new(),
            account_id: self.account_id.clone(),
            token_file: self.token_file.clone(),
            token_stdin: self.token_stdin,
            ca_cert: self.ca_cert.clone(),
            api_url: self.api_url.clone(),
            api_share: self.api_share,
        }
    }

    fn place(&self) -> Result<Place, CliError> {
        #[cfg(feature = "emulator")]
        if self.local {
            use std::os::unix::fs::DirBuilderExt;

            let given = std::env::var_os("STREAM_UPLOAD_STATE_DIR").map(PathBuf::from);
            let folder = crate::cli::plan::state_dir(given)?;
            // Private, as it is when an upload makes it.
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(|error| {
                    CliError::new(Code::Local, format!("{}: {error}", folder.display()))
                        .hint("choose another folder with --data")
                })?;
            return place(&self.target(), &folder);
        }
        #[cfg(feature = "emulator")]
        if self.data.is_some() {
            return Err(CliError::usage("--data is about --local, which is missing"));
        }
        place(&self.target(), &PathBuf::new())
    }
}

impl Session {
    /// `sink` hears of requests that wait.
    pub(super) async fn open(args: &AccountArgs, sink: Arc<dyn ApiSink>) -> Result<Self, CliError> {
        let asking = Asking::new(args.patience, args.retries, args.api_share, sink);
        let place = args.place()?;
        let mut transport = ReqwestTransport::builder(Protocol::Http1)
            .user_agent(concat!("stream-upload/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = authorities(&args.target())? {
            transport = transport.add_root_pem(pem);
        }
        let transport = transport
            .build()
            .map_err(|error| CliError::new(Code::Network, error.to_string()))?;
        let transport: Arc<dyn Transport> = Arc::new(transport);
        // An emulator in this process has another address each time.
        let local: Option<PathBuf> = match &place {
            #[cfg(feature = "emulator")]
            Place::Local(folder) => Some(folder.clone()),
            Place::Remote(_) => None,
        };
        let is_cloudflare = local.is_none() && args.api_url.is_none();
        let (remote, running) = open(place).await?;
        let destination = local.map(|folder| local_identity(&folder));
        let within_budget = asking.within_budget(&transport, &remote);
        let impatient = remote
            .account(&within_budget)?
            .ok_or_else(|| CliError::usage("there is no account to ask"))?;
        Ok(Self {
            destination: destination.unwrap_or_else(|| impatient.tus_creation_url()),
            client: asking.patient(impatient.clone()),
            impatient,
            uploads: Asking::for_uploads(&transport, &within_budget, &remote),
            transport,
            remote,
            is_cloudflare,
            running,
        })
    }

    pub(super) async fn close(self) {
        if let Some(running) = self.running {
            running.stop().await;
        }
    }
}
