//! [`Keys`]: signing keys, and the tokens signed with them.
//!
//! A token is a JWT with RS256 (RFC 7515, RFC 7519) that stands where a video's id would in a playback URL:
//! <https://developers.cloudflare.com/stream/viewing-videos/securing-your-stream/>. Here it is decided whether a
//! living key signed it; what its claims allow is decided where something is played.

use std::fmt;
use std::io;
use std::time::SystemTime;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::UnparsedPublicKey;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use pkcs1::UintRef;
use pkcs1::der::{Decode, EncodePem};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::account::Group;
use crate::disk::Disk;
use crate::id;

/// The signing keys of all accounts.
#[derive(Debug)]
pub(crate) struct Keys {
    made: Group<SigningKey>,
    /// One key per account that signs what the API is asked to sign. It is in no list and cannot be revoked.
    own: Group<SigningKey>,
}

/// The id under which an account's own key is kept.
const OWN: &str = "own";

/// One key pair.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SigningKey {
    /// Names it, in tokens as well.
    pub(crate) id: String,
    pub(crate) created: SystemTime,
    /// PKCS#8, Base64.
    private: String,
    /// PKCS#1, Base64.
    public: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("SigningKey");
        debug.field("id", &self.id).finish_non_exhaustive()
    }
}

/// A key as it is handed out, once: both forms are Base64 of text.
pub(crate) struct NewKey {
    pub(crate) id: String,
    pub(crate) created: SystemTime,
    /// Base64 of a PEM (PKCS#1, `RSA PRIVATE KEY`).
    pub(crate) pem: String,
    /// Base64 of a JWK (RFC 7517) with its private parts.
    pub(crate) jwk: String,
}

/// Why a token is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadToken {
    #[error("the token is not a signed JWT")]
    Malformed,
    #[error("the token's algorithm is not RS256")]
    Algorithm,
    #[error("the token's key is unknown, or was revoked")]
    UnknownKey,
    #[error("the token's signature is wrong")]
    Signature,
}

/// A token whose signature is right.
#[derive(Debug, Clone)]
pub(crate) struct Verified {
    /// The account whose key signed it.
    pub(crate) account: String,
    /// Its payload.
    pub(crate) claims: Map<String, Value>,
}

impl Keys {
    /// Blocking.
    pub(crate) fn load(disk: Option<&Disk>) -> io::Result<Self> {
        Ok(Self {
            made: Group::load("keys", disk)?,
            own: Group::load("own-keys", disk)?,
        })
    }

    /// Makes a key of 2048 bits. Takes a while, and blocks.
    pub(crate) fn create(
        &self,
        account: &str,
        now: SystemTime,
        disk: Option<&Disk>,
    ) -> io::Result<NewKey> {
        let key = SigningKey::generate(now)?;
        self.made.put(account, &key.id, key.clone(), disk)?;
        key.hand_out()
    }

    /// The keys of an account, oldest first.
    pub(crate) fn list(&self, account: &str) -> Vec<SigningKey> {
        let keys = self.made.list(account).into_iter();
        let mut keys: Vec<_> = keys.map(|(_, key)| key).collect();
        keys.sort_by_key(|key| key.created);
        keys
    }

    /// Revokes a key, and with it every token that it signed. Whether it was there. Blocking.
    pub(crate) fn revoke(&self, account: &str, id: &str, disk: Option<&Disk>) -> io::Result<bool> {
        Ok(self.made.remove(account, id, disk)?.is_some())
    }

    /// Signs claims with the account's own key, which is made if need be, and adds its `kid`. Blocking.
    pub(crate) fn sign(
        &self,
        account: &str,
        claims: Map<String, Value>,
        now: SystemTime,
        disk: Option<&Disk>,
    ) -> io::Result<String> {
        let key = match self.own.get(account, OWN) {
            Some(key) => key,
            None => {
                let key = SigningKey::generate(now)?;
                self.own.put(account, OWN, key.clone(), disk)?;
                key
            }
        };
        let private = key.private()?;
        let private = KeyPair::from_pkcs8(&private).map_err(|error| invalid(&error))?;
        sign_with(&private, &key.id, claims)
    }

    /// Whether a living key signed this token, whatever it claims.
    pub(crate) fn verify(&self, token: &str) -> Result<Verified, BadToken> {
        let (signed, signature) = token.rsplit_once('.').ok_or(BadToken::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(BadToken::Malformed)?;
        let (header, claims) = (object(header)?, object(payload)?);
        if header.get("alg").and_then(Value::as_str) != Some("RS256") {
            return Err(BadToken::Algorithm);
        }
        // The documentation has it in both places.
        let kid = [&header, &claims]
            .into_iter()
            .find_map(|part| part.get("kid")?.as_str())
            .ok_or(BadToken::UnknownKey)?;
        let found = self.made.find(kid).or_else(|| self.own_by_id(kid));
        let (account, key) = found.ok_or(BadToken::UnknownKey)?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature);
        let signature = signature.map_err(|_| BadToken::Malformed)?;
        let public = BASE64_STANDARD.decode(&key.public);
        let public = public.map_err(|_| BadToken::UnknownKey)?;
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
            .verify(signed.as_bytes(), &signature)
            .map_err(|_| BadToken::Signature)?;
        Ok(Verified { account, claims })
    }

    fn own_by_id(&self, id: &str) -> Option<(String, SigningKey)> {
        let mut all = self.own.all().into_iter();
        all.find(|(_, key)| key.id == id)
    }
}

impl SigningKey {
    fn generate(now: SystemTime) -> io::Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|error| invalid(&error))?;
        let private = pair.as_der().map_err(|error| invalid(&error))?;
        Ok(Self {
            id: id::new()?,
            created: now,
            private: BASE64_STANDARD.encode(private.as_ref()),
            public: BASE64_STANDARD.encode(pair.public_key().as_ref()),
        })
    }

    fn private(&self) -> io::Result<Vec<u8>> {
        BASE64_STANDARD
            .decode(&self.private)
            .map_err(|error| invalid(&error))
    }

    fn hand_out(&self) -> io::Result<NewKey> {
        let der = self.private()?;
        let outer = pkcs8::PrivateKeyInfoRef::from_der(&der).map_err(|error| invalid(&error))?;
        let key = outer.private_key.as_bytes();
        let key = pkcs1::RsaPrivateKey::from_der(key).map_err(|error| invalid(&error))?;
        let pem = key
            .to_pem(pkcs1::LineEnding::LF)
            .map_err(|error| invalid(&error))?;
        let number = |number: UintRef<'_>| BASE64_URL_SAFE_NO_PAD.encode(number.as_bytes());
        let jwk = json!({
            "use": "sig",
            "kty": "RSA",
            "kid": self.id,
            "alg": "RS256",
            "n": number(key.modulus),
            "e": number(key.public_exponent),
            "d": number(key.private_exponent),
            "p": number(key.prime1),
            "q": number(key.prime2),
            "dp": number(key.exponent1),
            "dq": number(key.exponent2),
            "qi": number(key.coefficient),
        });
        Ok(NewKey {
            id: self.id.clone(),
            created: self.created,
            pem: BASE64_STANDARD.encode(pem.as_bytes()),
            jwk: BASE64_STANDARD.encode(jwk.to_string()),
        })
    }
}

/// Signs claims with the key of a `pem` as [`NewKey`] has it, and adds `kid`.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] when it is no such key.
pub(crate) fn sign_with_pem(
    kid: &str,
    pem: &str,
    claims: Map<String, Value>,
) -> io::Result<String> {
    let pem = BASE64_STANDARD
        .decode(pem.trim())
        .map_err(|error| invalid(&error))?;
    let pem = String::from_utf8(pem).map_err(|error| invalid(&error))?;
    let body: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .map(str::trim)
        .collect();
    let der = BASE64_STANDARD
        .decode(body)
        .map_err(|error| invalid(&error))?;
    let pair = KeyPair::from_der(&der).or_else(|_| KeyPair::from_pkcs8(&der));
    sign_with(&pair.map_err(|error| invalid(&error))?, kid, claims)
}

fn sign_with(pair: &KeyPair, kid: &str, mut claims: Map<String, Value>) -> io::Result<String> {
    claims.insert("kid".to_owned(), kid.into());
    let header = json!({ "alg": "RS256", "kid": kid });
    let part = |value: String| BASE64_URL_SAFE_NO_PAD.encode(value);
    let signed = format!(
        "{}.{}",
        part(header.to_string()),
        part(Value::from(claims).to_string())
    );
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .map_err(|error| invalid(&error))?;
    Ok(format!(
        "{signed}.{}",
        BASE64_URL_SAFE_NO_PAD.encode(signature)
    ))
}

fn object(part: &str) -> Result<Map<String, Value>, BadToken> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part);
    let value = serde_json::from_slice(&bytes.map_err(|_| BadToken::Malformed)?);
    value.map_err(|_| BadToken::Malformed)
}

/// Never with the key in its words.
fn invalid(error: &dyn fmt::Display) -> io::Error {
    let text = format!("the signing key cannot be used: {error}");
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(video: &str) -> Map<String, Value> {
        Map::from_iter([("sub".to_owned(), Value::from(video))])
    }

    #[test]
    fn a_token_lives_as_long_as_the_key_that_signed_it() {
        let keys = Keys::load(None).unwrap();
        let key = keys.create("a", SystemTime::UNIX_EPOCH, None).unwrap();
        let token = sign_with_pem(&key.id, &key.pem, claims("v")).unwrap();
        let verified = keys.verify(&token).unwrap();
        assert_eq!(verified.account, "a");
        assert_eq!(verified.claims["sub"], "v");
        assert!(keys.revoke("a", &key.id, None).unwrap());
        assert_eq!(keys.verify(&token).unwrap_err(), BadToken::UnknownKey);
    }

    #[test]
    fn an_account_signs_with_a_key_of_its_own_that_nobody_sees() {
        let keys = Keys::load(None).unwrap();
        let now = SystemTime::UNIX_EPOCH;
        let sign = || keys.sign("a", claims("v"), now, None).unwrap();
        let (one, other) = (sign(), sign());
        assert_eq!(one, other, "RS256 has no randomness, and the key is kept");
        assert_eq!(keys.verify(&one).unwrap().account, "a");
        assert!(keys.list("a").is_empty());
    }

    #[test]
    fn a_changed_token_is_worth_nothing() {
        let keys = Keys::load(None).unwrap();
        let key = keys.create("a", SystemTime::UNIX_EPOCH, None).unwrap();
        let token = sign_with_pem(&key.id, &key.pem, claims("v")).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let other = BASE64_URL_SAFE_NO_PAD.encode(r#"{"sub":"w"}"#);
        let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        for (token, why) in [
            (
                format!("{}.{other}.{}", parts[0], parts[2]),
                BadToken::Signature,
            ),
            (format!("{none}.{}.", parts[1]), BadToken::Algorithm),
            ("a.b.c".to_owned(), BadToken::Malformed),
            (parts[0].to_owned(), BadToken::Malformed),
        ] {
            assert_eq!(keys.verify(&token).unwrap_err(), why, "{token}");
        }
    }

    #[test]
    fn the_key_is_handed_out_as_pem_and_as_jwk_of_the_same_numbers() {
        let keys = Keys::load(None).unwrap();
        let key = keys.create("a", SystemTime::UNIX_EPOCH, None).unwrap();
        let pem = BASE64_STANDARD.decode(&key.pem).unwrap();
        assert!(pem.starts_with(b"-----BEGIN RSA PRIVATE KEY-----"));
        let jwk = BASE64_STANDARD.decode(&key.jwk).unwrap();
        let jwk: Value = serde_json::from_slice(&jwk).unwrap();
        assert_eq!(
            (&jwk["kid"], &jwk["e"]),
            (&Value::from(key.id), &"AQAB".into())
        );
        assert_eq!(jwk["n"].as_str().unwrap().len(), 342);
    }
}
