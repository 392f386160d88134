//! Where the videos go, and what opens that door: targets and credentials.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use http_transport::{Credentials, Origin, Protocol, ReqwestTransport, Transport};
use secrecy::{ExposeSecret, SecretString};
use stream_api::StreamClient;
use stream_ingest::{CloudflareStream, Target, TargetError};
use tus_engine::{PlainTus, Service};

use super::args::TargetArgs;
use super::exit::{CliError, Code};

/// Cloudflare's own API.
const CLOUDFLARE_API: &str = "https://api.cloudflare.com/client/v4";
/// The hosts below which Cloudflare's API hands out uploads that need the token.
pub(crate) const CLOUDFLARE_API_DOMAIN: &str = "api.cloudflare.com";

/// Where to put the videos, and what opens that door.
#[derive(Debug)]
pub(crate) enum Place {
    /// An emulator in this process, with its data here.
    #[cfg(feature = "emulator")]
    Local(std::path::PathBuf),
    /// Somewhere else.
    Remote(Box<Remote>),
}

/// A server that is there already.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) target: Target,
    pub(crate) credentials: Option<Credentials>,
    /// Where the account's API is, if it is an account.
    pub(crate) api: Option<Api>,
}

/// The API of an account.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) base: String,
    pub(crate) account_id: String,
}

impl Place {
    /// Whether Stream's rules are kept there.
    pub(crate) fn is_stream(&self) -> bool {
        match self {
            #[cfg(feature = "emulator")]
            Self::Local(_) => true,
            Self::Remote(remote) => remote.target.is_stream(),
        }
    }

    /// Whether there is an account that can be asked about its videos.
    pub(crate) fn has_account(&self) -> bool {
        match self {
            #[cfg(feature = "emulator")]
            Self::Local(_) => true,
            Self::Remote(remote) => remote.api.is_some(),
        }
    }

    /// Whether somebody else made the one upload that it takes.
    pub(crate) fn is_one_time(&self) -> bool {
        match self {
            #[cfg(feature = "emulator")]
            Self::Local(_) => false,
            Self::Remote(remote) => matches!(remote.target, Target::UploadUrl { .. }),
        }
    }
}

impl Remote {
    /// A client of the account's API, where there is an account.
    pub(crate) fn account(
        &self,
        transport: &Arc<dyn Transport>,
    ) -> Result<Option<StreamClient>, CliError> {
        let (Some(api), Some(credentials)) = (&self.api, &self.credentials) else {
            return Ok(None);
        };
        let client = StreamClient::new(
            Arc::clone(transport),
            &api.base,
            &api.account_id,
            credentials.clone(),
        );
        client
            .map(Some)
            .map_err(|error| CliError::usage(format!("the account: {error}")))
    }

    /// What the engine is told of the service.
    pub(crate) fn service(&self, account: Option<StreamClient>) -> Arc<dyn Service> {
        match account {
            Some(account) => Arc::new(CloudflareStream::with_account(account)),
            None => service(self.target.is_stream()),
        }
    }
}

/// A service that nobody is asked about.
pub(crate) fn service(is_stream: bool) -> Arc<dyn Service> {
    if is_stream {
        Arc::new(CloudflareStream::new())
    } else {
        Arc::new(PlainTus)
    }
}

/// What the options about the target mean.
pub(crate) fn place(args: &TargetArgs, state_dir: &Path) -> Result<Place, CliError> {
    #[cfg(feature = "emulator")]
    if args.local {
        return Ok(Place::Local(
            args.data
                .clone()
                .unwrap_or_else(|| state_dir.join("emulator")),
        ));
    }
    #[cfg(not(feature = "emulator"))]
    let _ = state_dir;
    let remote = match (&args.upload_url, &args.endpoint) {
        (Some(url), _) => one_time(url, args)?,
        (None, Some(endpoint)) => tus_server(endpoint, args)?,
        (None, None) => account(args)?,
    };
    Ok(Place::Remote(Box::new(remote)))
}

/// A one-time URL: given itself, in a file that nobody else may read, or on stdin.
fn one_time(given: &str, args: &TargetArgs) -> Result<Remote, CliError> {
    let url = SecretString::from(one_time_text(given)?);
    let target =
        Target::upload_url(url.expose_secret(), args.media_id.clone()).map_err(|error| {
            let hint = match error {
                TargetError::BasicForm => {
                    "whoever makes the URL has to create it for tus: POST …/stream?direct_user=true"
                }
                _ => {
                    "give the one-time URL itself, @FILE that holds it, or - to read it from stdin"
                }
            };
            CliError::usage(format!("--upload-url: {error}")).hint(hint)
        })?;
    Ok(Remote {
        target,
        credentials: None,
        api: None,
    })
}

/// The one-time URL, wherever it is.
pub(crate) fn one_time_text(given: &str) -> Result<String, CliError> {
    let text = match (given, given.strip_prefix('@')) {
        ("-", _) => from_stdin("--upload-url -")?,
        (_, Some(file)) => private_text(Path::new(file), "--upload-url @", Code::Local)?,
        _ => given.to_owned(),
    };
    Ok(text.trim().to_owned())
}

fn tus_server(endpoint: &str, args: &TargetArgs) -> Result<Remote, CliError> {
    let hint = "give the creation URL of a tus server, such as https://tus.example/files/";
    let bad =
        |error: &dyn std::fmt::Display| CliError::usage(format!("--endpoint: {error}")).hint(hint);
    let target = Target::tus(endpoint).map_err(|error| bad(&error))?;
    let origin = Origin::parse(endpoint).map_err(|error| bad(&error))?;
    if args.headers.is_empty() {
        return Ok(Remote {
            target,
            credentials: None,
            api: None,
        });
    }
    let mut credentials = Credentials::new(origin);
    for header in &args.headers {
        for line in header_lines(header)? {
            let (name, value) = line.split_once(':').ok_or_else(|| {
                CliError::usage("--header wants 'Name: value', or @FILE with such lines")
            })?;
            let value = SecretString::from(value.trim());
            credentials = credentials
                .header(name.trim(), &value)
                .map_err(|error| CliError::usage(format!("--header {}: {error}", name.trim())))?;
        }
    }
    let credentials = also_hosts(credentials, &args.auth_hosts)?;
    Ok(Remote {
        target,
        credentials: Some(credentials),
        api: None,
    })
}

fn header_lines(header: &str) -> Result<Vec<String>, CliError> {
    let Some(file) = header.strip_prefix('@') else {
        return Ok(vec![header.to_owned()]);
    };
    Ok(private_text(Path::new(file), "--header @", Code::Local)?
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect())
}

/// The extra certificate authorities, as PEM.
pub(crate) fn authorities(args: &TargetArgs) -> Result<Option<Vec<u8>>, CliError> {
    let Some(path) = &args.ca_cert else {
        return Ok(None);
    };
    let bad = |why: &dyn std::fmt::Display| {
        CliError::new(Code::Local, format!("--ca-cert {}: {why}", path.display()))
            .hint("a PEM file is wanted, with one or more blocks that begin with -----BEGIN CERTIFICATE-----")
    };
    let pem = std::fs::read(path).map_err(|error| bad(&error))?;
    // A file without any would be accepted, and then nothing trusted that should be.
    let holds_one = pem
        .windows(PEM_BEGIN.len())
        .any(|window| window == PEM_BEGIN);
    if !holds_one {
        return Err(bad(&"there is no certificate in it"));
    }
    ReqwestTransport::builder(Protocol::Http1)
        .add_root_pem(pem.clone())
        .build()
        .map_err(|error| bad(&error))?;
    Ok(Some(pem))
}

fn account(args: &TargetArgs) -> Result<Remote, CliError> {
    let base = args.api_url.as_deref().unwrap_or(CLOUDFLARE_API);
    let account_id = args.account_id.as_deref().ok_or_else(|| {
        CliError::usage("there is no account to upload to").hint(
            "set CLOUDFLARE_ACCOUNT_ID and CLOUDFLARE_API_TOKEN, or use --endpoint URL, or try --local, which needs no account",
        )
    })?;
    let target = Target::account(base, account_id)
        .map_err(|error| CliError::usage(format!("the account: {error}")))?;
    let token = token(args)?;
    let origin =
        Origin::parse(base).map_err(|error| CliError::usage(format!("--api-url: {error}")))?;
    let credentials = Credentials::bearer(&token, origin)
        .map_err(|error| CliError::new(Code::Credentials, format!("the API token: {error}")))?;
    let credentials = match args.api_url {
        None => credentials.also_hosts_below(CLOUDFLARE_API_DOMAIN),
        Some(_) => credentials,
    };
    Ok(Remote {
        target,
        credentials: Some(also_hosts(credentials, &args.auth_hosts)?),
        api: Some(Api {
            base: base.to_owned(),
            account_id: account_id.to_owned(),
        }),
    })
}

fn also_hosts(mut credentials: Credentials, hosts: &[String]) -> Result<Credentials, CliError> {
    for host in hosts {
        let origin = Origin::parse(&format!("https://{host}")).map_err(|_| {
            CliError::usage(format!(
                "--auth-host {host}: a host name is wanted, such as up.example.com"
            ))
        })?;
        credentials = credentials.also(origin);
    }
    Ok(credentials)
}

/// The token: from a file, from stdin, or from the environment. The production token is never read for another API base.
fn token(args: &TargetArgs) -> Result<SecretString, CliError> {
    let text = if let Some(file) = &args.token_file {
        private_text(file, "--token-file ", Code::Credentials)?
    } else if args.token_stdin {
        from_stdin("--token-stdin")?
    } else {
        let name = if args.api_url.is_some() {
            "STREAM_API_TOKEN"
        } else {
            "CLOUDFLARE_API_TOKEN"
        };
        std::env::var(name).map_err(|_| {
            CliError::new(Code::Credentials, "there is no API token")
                .hint(format!("set {name}, or use --token-file FILE; tokens are made at https://dash.cloudflare.com/profile/api-tokens with the permission Stream: Edit"))
        })?
    };
    match text.trim() {
        "" => Err(CliError::new(Code::Credentials, "the API token is empty")),
        token => Ok(SecretString::from(token)),
    }
}

/// A secret on stdin.
pub(crate) fn from_stdin(option: &str) -> Result<String, CliError> {
    let mut text = String::new();
    io::stdin()
        .take(SECRET_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| CliError::new(Code::Credentials, format!("{option}: {error}")))?;
    Ok(text)
}

/// A secret in a file that only its owner may read.
pub(crate) fn private_text(path: &Path, option: &str, code: Code) -> Result<String, CliError> {
    let named = format!("{option}{}", path.display());
    let fail = |error: io::Error| CliError::new(code, format!("{named}: {error}"));
    let file = File::open(path).map_err(fail)?;
    let mode = file.metadata().map_err(fail)?.mode();
    if mode & 0o077 != 0 {
        return Err(CliError::new(code, format!("{named}: others may read it"))
            .hint(format!("chmod 600 {}", path.display())));
    }
    let mut text = String::new();
    file.take(SECRET_BYTES)
        .read_to_string(&mut text)
        .map_err(fail)?;
    Ok(text)
}

/// What a certificate in PEM begins with.
const PEM_BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
/// No secret is longer.
const SECRET_BYTES: u64 = 64 * 1024;
