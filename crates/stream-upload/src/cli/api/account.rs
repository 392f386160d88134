//! The account that a verb is about, and the connection to it.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args as ClapArgs, ValueHint};
use http_transport::{Protocol, ReqwestTransport, Transport};
use stream_api::StreamClient;

use crate::cli::args::TargetArgs;
use crate::cli::exit::{CliError, Code};
use crate::cli::place::{Place, Remote, authorities, place};
use crate::cli::put::{Running, open};

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
    /// Print what the API answered, as one line of JSON
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) json: bool,
    /// Show secrets that are not what the verb is for, such as the key of an output
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) show_secrets: bool,
}

/// A client of the account, and the emulator behind it if it runs in this process.
pub(super) struct Session {
    pub(super) client: StreamClient,
    pub(super) transport: Arc<dyn Transport>,
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
    pub(super) async fn open(args: &AccountArgs) -> Result<Self, CliError> {
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
        let local = match &place {
            #[cfg(feature = "emulator")]
            Place::Local(folder) => Some(format!("emulator in {}", folder.display())),
            Place::Remote(_) => None,
        };
        let is_cloudflare = local.is_none() && args.api_url.is_none();
        let (remote, running) = open(place).await?;
        let client = remote
            .account(&transport)?
            .ok_or_else(|| CliError::usage("there is no account to ask"))?;
        Ok(Self {
            destination: local.unwrap_or_else(|| client.tus_creation_url()),
            client,
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
