//! [`TokenSigner`]: tokens for playback, made here with a key of the account. No request is sent, so there is no
//! limit on how many.
//!
//! <https://developers.cloudflare.com/stream/viewing-videos/securing-your-stream/>

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeyPairComponents, PublicKeyComponents};
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::op::keys::NewSigningKey;
use crate::op::tokens::{AccessRule, TokenFlags, TokenRequest, unix};
use crate::secret::Secret;

/// How long a token is valid before and after it is made, unless the wish says so.
const HOUR: Duration = Duration::from_secs(3600);

/// Signs tokens with one key.
pub struct TokenSigner {
    key_id: String,
    pair: KeyPair,
}

/// A key that cannot be used. It repeats nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// It is neither Base64 nor the thing itself.
    #[error("the signing key is neither a JSON Web Key nor a PEM file, and not the Base64 of one")]
    Encoding,
    /// It is no RSA private key that can sign.
    #[error("the signing key is not a whole RSA private key of at least 2048 bits")]
    Key,
    /// It does not say what its id is.
    #[error("the signing key has no id: give the id that it was created with")]
    NoId,
}

/// The private members of a JSON Web Key. <https://www.rfc-editor.org/rfc/rfc7518#section-6.3>
#[derive(Deserialize)]
struct Jwk {
    kid: Option<String>,
    n: String,
    e: String,
    d: String,
    p: String,
    q: String,
    dp: String,
    dq: String,
    qi: String,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Claims<'a> {
    sub: &'a str,
    kid: &'a str,
    exp: u64,
    nbf: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    downloadable: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    access_rules: &'a [AccessRule],
    #[serde(skip_serializing_if = "Option::is_none")]
    flags: Option<TokenFlags>,
}

impl TokenSigner {
    /// A signer with a key as it was answered when it was made.
    ///
    /// # Errors
    /// [`KeyError`] when it has no usable secret.
    pub fn of(key: &NewSigningKey) -> Result<Self, KeyError> {
        match (&key.jwk, &key.pem) {
            (Some(jwk), _) => Self::from_jwk(jwk, Some(&key.id)),
            (None, Some(pem)) => Self::from_pem(&key.id, pem),
            (None, None) => Err(KeyError::Key),
        }
    }

    /// A signer with a JSON Web Key, or the Base64 of one, as Stream answers it. `key_id` is needed only
    /// where the key does not say it.
    ///
    /// # Errors
    /// [`KeyError`] when it is none.
    pub fn from_jwk(jwk: &Secret, key_id: Option<&str>) -> Result<Self, KeyError> {
        let text = decoded(jwk, |text| text.starts_with('{'))?;
        let jwk: Jwk = serde_json::from_str(text.expose()).map_err(|_| KeyError::Key)?;
        let part = |text: &str| {
            let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
            bytes.map_err(|_| KeyError::Key)
        };
        // Public parts stand without leading zeros.
        let public = |text: &str| {
            let bytes = part(text)?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            Ok::<_, KeyError>(bytes[zeros..].to_vec())
        };
        let components = KeyPairComponents {
            public_key: PublicKeyComponents {
                n: public(&jwk.n)?,
                e: public(&jwk.e)?,
            },
            d: part(&jwk.d)?,
            p: part(&jwk.p)?,
            q: part(&jwk.q)?,
            dP: part(&jwk.dp)?,
            dQ: part(&jwk.dq)?,
            qInv: part(&jwk.qi)?,
        };
        let pair = KeyPair::from_components(&components).map_err(|_| KeyError::Key)?;
        let key_id = jwk.kid.as_deref().or(key_id).unwrap_or("");
        Self::new(key_id, pair)
    }

    /// A signer with a PEM file, or the Base64 of one, as Stream answers it: PKCS #1 or #8.
    ///
    /// # Errors
    /// [`KeyError`] when it is none.
    pub fn from_pem(key_id: &str, pem: &Secret) -> Result<Self, KeyError> {
        let text = decoded(pem, |text| text.starts_with("-----BEGIN"))?;
        let text = text.expose();
        let inner = text.lines().map(str::trim);
        let body: String = inner.filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(body).map_err(|_| KeyError::Encoding)?;
        let pair = if text.contains("BEGIN RSA PRIVATE KEY") {
            KeyPair::from_der(&der)
        } else {
            KeyPair::from_pkcs8(&der)
        };
        Self::new(key_id, pair.map_err(|_| KeyError::Key)?)
    }

    fn new(key_id: &str, pair: KeyPair) -> Result<Self, KeyError> {
        if key_id.is_empty() {
            return Err(KeyError::NoId);
        }
        Ok(Self {
            key_id: key_id.to_owned(),
            pair,
        })
    }

    /// The key's id, which tokens name as `kid`.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public key as DER (`SubjectPublicKeyInfo`), for whoever checks tokens.
    ///
    /// # Errors
    /// [`KeyError::Key`] when it cannot be written.
    pub fn public_key_der(&self) -> Result<Vec<u8>, KeyError> {
        use aws_lc_rs::signature::KeyPair as _;
        let public = self.pair.public_key();
        let der: aws_lc_rs::encoding::PublicKeyX509Der<'_> =
            public.as_der().map_err(|_| KeyError::Key)?;
        Ok(der.as_ref().to_vec())
    }

    /// A token by which `video` can be played, signed at `now`. [`TokenRequest::key`] is not looked at:
    /// this key signs.
    ///
    /// # Errors
    /// [`Error::Request`] when the wish is out of its bounds, or signing failed.
    pub fn sign(&self, video: &str, wish: &TokenRequest, now: SystemTime) -> Result<Secret, Error> {
        wish.check(now)?;
        let claims = Claims {
            sub: video,
            kid: &self.key_id,
            exp: unix::seconds(wish.expires.unwrap_or(now + HOUR)),
            nbf: unix::seconds(wish.not_before.unwrap_or(now - HOUR)),
            downloadable: wish.downloadable,
            access_rules: &wish.access_rules,
            flags: wish.flags,
        };
        let header = Header {
            alg: "RS256",
            kid: &self.key_id,
        };
        let text = format!("{}.{}", encoded(&header)?, encoded(&claims)?);
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .map_err(|_| Error::Request("the token cannot be signed".into()))?;
        let signature = URL_SAFE_NO_PAD.encode(signature);
        Ok(Secret::new(format!("{text}.{signature}")))
    }
}

fn encoded(part: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_vec(part).map_err(|error| Error::Request(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// The thing itself, or what its Base64 holds.
fn decoded(text: &Secret, is_plain: impl Fn(&str) -> bool) -> Result<Secret, KeyError> {
    let trimmed = text.expose().trim();
    if is_plain(trimmed) {
        return Ok(Secret::new(trimmed));
    }
    let compact: String = trimmed.split_whitespace().collect();
    let bytes = STANDARD.decode(compact).map_err(|_| KeyError::Encoding)?;
    let plain = String::from_utf8(bytes).map_err(|_| KeyError::Encoding)?;
    let plain = plain.trim();
    if is_plain(plain) {
        Ok(Secret::new(plain))
    } else {
        Err(KeyError::Encoding)
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSigner")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::{Value, json};

    use super::*;

    /// A key as a PKCS #8 PEM file, in Base64.
    fn pem() -> Secret {
        let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
        let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
        let body = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
        Secret::new(STANDARD.encode(pem))
    }

    fn part(token: &Secret, index: usize) -> Value {
        let part = token.expose().split('.').nth(index).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn a_token_says_what_was_wished_and_its_signature_holds() {
        let signer = TokenSigner::from_pem("k1", &pem()).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let wish: TokenRequest = serde_json::from_value(json!({
            "exp": 1_700_000_600, "downloadable": true,
            "accessRules": [{"type": "any", "action": "block"}],
        }))
        .unwrap();
        let token = signer.sign("v1", &wish, now).unwrap();
        assert_eq!(part(&token, 0), json!({"alg": "RS256", "kid": "k1"}));
        let wanted = json!({"sub": "v1", "kid": "k1", "exp": 1_700_000_600, "nbf": 1_699_996_400,
            "downloadable": true, "accessRules": [{"type": "any", "action": "block"}]});
        assert_eq!(part(&token, 1), wanted);
        let (text, signature) = token.expose().rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let public = signer.public_key_der().unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public);
        public.verify(text.as_bytes(), &signature).unwrap();
        public.verify(b"another text", &signature).unwrap_err();
    }

    #[test]
    fn a_key_signs_alike_in_both_forms_that_it_is_answered_in() {
        // The result of `POST …/stream/keys`, of a key that opens nothing: Base64 of a JSON Web Key, and of a PEM file.
        let answer = include_str!("../tests/vectors/signing-key.json");
        let key: NewSigningKey = serde_json::from_str(answer).unwrap();
        let (jwk, pem) = (key.jwk.clone().unwrap(), key.pem.clone().unwrap());
        let whole = TokenSigner::of(&key).unwrap();
        assert_eq!(whole.key_id(), key.id);
        let of_jwk = TokenSigner::from_jwk(&jwk, None).unwrap();
        let of_pem = TokenSigner::from_pem(&key.id, &pem).unwrap();
        let plain = STANDARD.decode(jwk.expose()).unwrap();
        let plain = Secret::new(String::from_utf8(plain).unwrap());
        let of_plain = TokenSigner::from_jwk(&plain, None).unwrap();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let token = |signer: &TokenSigner| signer.sign("v", &TokenRequest::default(), now).unwrap();
        let wanted = token(&whole);
        assert_eq!(part(&wanted, 0), json!({"alg": "RS256", "kid": key.id}));
        for signer in [of_jwk, of_pem, of_plain] {
            assert_eq!(token(&signer).expose(), wanted.expose());
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        for text in [
            "",
            "hush",
            "e30=",
            "{}",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n",
        ] {
            let secret = Secret::new(text);
            let error = TokenSigner::from_jwk(&secret, Some("k")).unwrap_err();
            assert!(!error.to_string().contains("hush"));
            TokenSigner::from_pem("k", &secret).unwrap_err();
        }
        assert_eq!(
            TokenSigner::from_pem("", &pem()).unwrap_err(),
            KeyError::NoId
        );
    }
}
