//! `token`: who may play a video that not everybody may. Made by Stream, or here with a key of the account.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::{Args as ClapArgs, ValueHint};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use stream_api::op::keys::NewSigningKey;
use stream_api::op::tokens::{Access, AccessRule, TokenFlags, TokenRequest};
use stream_api::{KeyError, Op, Secret, StreamClient, TokenSigner};

use super::account::AccountArgs;
use super::call::{Call, Purpose, Verb, show_result};
use super::input;
use super::secret::OutFile;
use super::show::Show;
use super::video::out_of_bounds;
use crate::cli::console::Console;
use crate::cli::exit::{CliError, Code};
use crate::cli::place::private_text;

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  stream-upload token VIDEO                             for an hour, made by Stream
  stream-upload token VIDEO --key-file stream-key.json  made here: no request, no account, any number
  stream-upload token VIDEO --expires-in 12h --downloadable
  stream-upload token VIDEO --rule allow:country:DE,AT --rule block:any
  stream-upload token VIDEO --rule allow:ip:192.0.2.0/24 --rule block:any
  stream-upload token VIDEO --key-file key.pem --key-id 8e5b… --out token.txt

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
    /// From when it works [default: an hour ago, for clocks that differ]
    #[arg(long, value_name = "TIME")]
    not_before: Option<Timestamp>,
    /// The video may be downloaded as well
    #[arg(long)]
    downloadable: bool,
    /// The video may be had as it was uploaded
    #[arg(long)]
    original: bool,
    /// Who may: allow or block, then any, country or ip, then the list; up to five
    #[arg(long = "rule", visible_alias = "access-rule", value_name = "allow|block:KIND[:LIST]", value_parser = rule)]
    rules: Vec<AccessRule>,
    /// Sign it here, with the key in this file, which nobody else may read: as `key create --out` writes it, or its jwk or pem alone
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    key_file: Option<PathBuf>,
    /// The id of that key, where the file does not say it, as a pem does not
    #[arg(long, value_name = "KEY", requires = "key_file")]
    key_id: Option<String>,
    /// Write the token into this new file, which nobody else may read
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    out: Option<PathBuf>,
}

/// How a token is shown: itself, and nothing else.
const SHOW: Show = Show::Texts(&["/token"]);
/// What of it goes into a file.
const PURPOSE: Purpose = Purpose::Text("/token");

impl Verb for TokenArgs {
    async fn call(mut self, _: &StreamClient) -> Result<Call, CliError> {
        let now = SystemTime::now();
        let wish = self.wish(now);
        wish.check(now).map_err(out_of_bounds)?;
        Call::new(Op::TokenCreate, [self.id], SHOW)
            .secret(PURPOSE, self.out)
            .json(&wish)
    }
}

impl TokenArgs {
    /// Whether it is made here.
    pub(super) fn is_local(&self) -> bool {
        self.key_file.is_some()
    }

    /// Makes it here. Nobody is asked, so there need not be an account.
    pub(super) fn sign(mut self, args: &AccountArgs, console: &Console) -> Result<Code, CliError> {
        let path = self.key_file.take().unwrap_or_default();
        let signer = signer(&path, self.key_id.as_deref())?;
        let now = SystemTime::now();
        let wish = self.wish(now);
        let token = signer
            .sign(&self.id, &wish, now)
            .map_err(|error| CliError::usage(format!("token: {error}")))?;
        let out = self.out.as_deref().map(OutFile::create).transpose()?;
        let mut result = json!({ "token": token.expose() });
        let out = out.map(|out| (PURPOSE, out));
        show_result(&mut result, SHOW, out, true, args, console)?;
        Ok(Code::Done)
    }

    fn wish(&mut self, now: SystemTime) -> TokenRequest {
        let mut wish = TokenRequest::default();
        wish.expires = match (self.expires_in, self.expires) {
            (Some(after), _) => now.checked_add(after),
            (None, at) => at.map(input::time),
        };
        wish.not_before = self.not_before.map(input::time);
        wish.downloadable = self.downloadable;
        wish.access_rules = std::mem::take(&mut self.rules);
        if self.original {
            let mut flags = TokenFlags::default();
            flags.original = true;
            wish.flags = Some(flags);
        }
        wish
    }
}

/// Whoever signs with the key in a file: what `key create` answered, its envelope around it or not; a JSON Web Key or a PEM
/// file, or the Base64 of one.
fn signer(path: &Path, key_id: Option<&str>) -> Result<TokenSigner, CliError> {
    let text = Secret::new(private_text(path, "--key-file ", Code::Local)?);
    read(&text, key_id).map_err(|error| {
        let told = CliError::new(
            Code::Local,
            format!("--key-file {}: {error}", path.display()),
        );
        told.hint(match error {
            KeyError::NoId => "give it with --key-id; `stream-upload key list` shows the ids",
            _ => "`stream-upload key create --out FILE` writes one",
        })
    })
}

fn read(text: &Secret, key_id: Option<&str>) -> Result<TokenSigner, KeyError> {
    if let Ok(mut answer) = serde_json::from_str::<Value>(text.expose())
        && answer.is_object()
    {
        let inner = answer.get_mut("result").filter(|it| it.is_object());
        let inner = inner.map(Value::take).unwrap_or(answer);
        if inner.get("kty").is_some() {
            return TokenSigner::from_jwk(text, key_id);
        }
        let mut key = NewSigningKey::deserialize(inner).map_err(|_| KeyError::Encoding)?;
        if let Some(id) = key_id.filter(|_| key.id.is_empty()) {
            id.clone_into(&mut key.id);
        }
        return TokenSigner::of(&key);
    }
    match TokenSigner::from_pem(key_id.unwrap_or_default(), text) {
        Err(KeyError::Encoding) => TokenSigner::from_jwk(text, key_id),
        read => read,
    }
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
    use base64::prelude::{BASE64_STANDARD, Engine};

    use super::*;

    /// A key that opens nothing, as it is answered when it is made.
    const ANSWER: &str = include_str!("../../../../stream-api/tests/vectors/signing-key.json");

    #[test]
    fn a_key_is_read_in_every_form_that_somebody_may_have_it_in() {
        let answer: Value = serde_json::from_str(ANSWER).unwrap();
        let id = answer["id"].as_str().unwrap();
        let text = |name: &str| answer[name].as_str().unwrap().to_owned();
        let plain = |name: &str| {
            let bytes = BASE64_STANDARD.decode(text(name)).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let enveloped = json!({"success": true, "result": answer}).to_string();
        let only = |name: &str| json!({"id": id, name: text(name)}).to_string();
        for (form, needs_id) in [
            (ANSWER.to_owned(), false),
            (enveloped, false),
            (only("jwk"), false),
            (only("pem"), false),
            (text("jwk"), false),
            (plain("jwk"), false),
            (text("pem"), true),
            (plain("pem"), true),
        ] {
            let form = Secret::new(form);
            assert_eq!(read(&form, Some(id)).unwrap().key_id(), id);
            let alone = read(&form, None).map(|signer| signer.key_id().to_owned());
            let wanted = if needs_id {
                Err(KeyError::NoId)
            } else {
                Ok(id.to_owned())
            };
            assert_eq!(alone, wanted);
        }
        for text in ["", "{}", "[]", "hush", r#"{"id":"x"}"#, r#"{"kty":"RSA"}"#] {
            read(&Secret::new(text), Some(id)).unwrap_err();
        }
    }

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
