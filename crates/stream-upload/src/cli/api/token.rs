//! `token`: who may play a video that not everybody may.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::{Args as ClapArgs, ValueHint};
use jiff::Timestamp;
use serde::Deserialize;
use stream_api::op::tokens::{Access, AccessRule, TokenFlags, TokenKey, TokenRequest};
use stream_api::{Op, Secret, StreamClient};

use super::call::{Call, Purpose, Verb};
use super::input;
use super::show::Show;
use super::video::out_of_bounds;
use crate::cli::exit::{CliError, Code};
use crate::cli::place::private_text;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload token VIDEO                             for an hour
  stream-upload token VIDEO --expires-in 12h --downloadable
  stream-upload token VIDEO --rule allow:country:DE,AT --rule block:any
  stream-upload token VIDEO --rule allow:ip:192.0.2.0/24 --rule block:any
  stream-upload token VIDEO --key-file stream-key.json --out token.txt

The token stands where the video's id would, in any address that plays it. Of the rules, the first
that fits a viewer decides.")]
pub(crate) struct TokenArgs {
    /// The video's id
    #[arg(value_name = "VIDEO")]
    id: String,
    /// How long it works, up to 24h [default: 1h]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, conflicts_with = "expires")]
    expires_in: Option<Duration>,
    /// Until when it works
    #[arg(long, value_name = "TIME")]
    expires: Option<Timestamp>,
    /// From when it works [default: now]
    #[arg(long, value_name = "TIME")]
    not_before: Option<Timestamp>,
    /// The video may be downloaded as well
    #[arg(long)]
    downloadable: bool,
    /// The video may be had as it was uploaded
    #[arg(long)]
    original: bool,
    /// Who may: allow or block, then any, country or ip, then the list; up to five
    #[arg(long = "rule", value_name = "allow|block:KIND[:LIST]", value_parser = rule)]
    rules: Vec<AccessRule>,
    /// Have it signed with the key in this file, as `key create --out` writes it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key_file: Option<PathBuf>,
    /// Write the token into this new file, which nobody else may read
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

impl Verb for TokenArgs {
    async fn call(self, _: &StreamClient) -> Result<Call, CliError> {
        let now = SystemTime::now();
        let mut wish = TokenRequest::default();
        wish.key = self.key_file.as_deref().map(key).transpose()?;
        wish.expires = match (self.expires_in, self.expires) {
            (Some(after), _) => now.checked_add(after),
            (None, at) => at.map(input::time),
        };
        wish.not_before = self.not_before.map(input::time);
        wish.downloadable = self.downloadable;
        wish.access_rules = self.rules;
        if self.original {
            let mut flags = TokenFlags::default();
            flags.original = true;
            wish.flags = Some(flags);
        }
        wish.check(now).map_err(out_of_bounds)?;
        Call::new(Op::TokenCreate, [self.id], Show::Texts(&["/token"]))
            .secret(Purpose::Text("/token"), self.out)
            .json(&wish)
    }
}

/// What `key create` answered.
fn key(path: &std::path::Path) -> Result<TokenKey, CliError> {
    #[derive(Deserialize)]
    struct Key {
        id: String,
        pem: Secret,
    }
    let text = private_text(path, "--key-file ", Code::Local)?;
    let key: Key = serde_json::from_str(&text).map_err(|_| {
        CliError::new(
            Code::Local,
            format!("--key-file {}: there is no key in it", path.display()),
        )
        .hint("`stream-upload key create --out FILE` writes one")
    })?;
    Ok(TokenKey {
        id: key.id,
        pem: key.pem,
    })
}

fn rule(text: &str) -> Result<AccessRule, String> {
    let mut parts = text.splitn(3, ':');
    let access = match parts.next() {
        Some("allow") => Access::Allow,
        Some("block") => Access::Block,
        _ => return Err("it must begin with allow: or block:".into()),
    };
    let kind = parts.next().unwrap_or_default();
    let list = parts.next().map(|list| list.split(',').map(str::to_owned));
    match (kind, list) {
        ("any", None) => Ok(AccessRule::Any(access)),
        ("country", Some(list)) => Ok(AccessRule::Country(access, list.collect())),
        ("ip", Some(list)) => Ok(AccessRule::Ip(access, list.collect())),
        _ => Err("any, country:DE,AT or ip:192.0.2.0/24 must follow".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_with_the_colons_of_an_address() {
        let ranges = vec!["2400:cb00::/32".to_owned(), "192.0.2.1".to_owned()];
        let read = rule("allow:ip:2400:cb00::/32,192.0.2.1").unwrap();
        assert_eq!(read, AccessRule::Ip(Access::Allow, ranges));
        assert_eq!(rule("block:any"), Ok(AccessRule::Any(Access::Block)));
        for text in ["", "allow", "deny:any", "allow:any:x", "block:country"] {
            assert!(rule(text).is_err(), "{text:?}");
        }
    }
}
