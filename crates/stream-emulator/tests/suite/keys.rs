//! Signing keys, and the tokens that are made with them.

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::api::create;
use crate::world::{call, call_with, plain, refusal, result};

fn part(token: &str, at: usize) -> Value {
    let part = token.split('.').nth(at).expect("three parts");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(part).expect("Base64");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn jwk(key: &Value) -> Value {
    let text = BASE64_STANDARD.decode(key["jwk"].as_str().expect("text"));
    serde_json::from_slice(&text.expect("Base64")).expect("JSON")
}

#[tokio::test]
async fn a_key_tells_its_secrets_once_and_is_listed_until_it_is_revoked() {
    let server = plain().await;
    let key = result(&call_with(&server, "POST", "/keys", &json!({})).await);
    let pem = BASE64_STANDARD
        .decode(key["pem"].as_str().unwrap())
        .unwrap();
    assert!(pem.starts_with(b"-----BEGIN RSA PRIVATE KEY-----"));
    let jwk = jwk(&key);
    assert_eq!((&jwk["kid"], &jwk["alg"]), (&key["id"], &"RS256".into()));
    let listed = result(&call(&server, "GET", "/keys").await);
    let wanted = json!([{ "id": key["id"], "created": key["created"], "key_id": key["id"] }]);
    assert_eq!(listed, wanted);
    let path = format!("/keys/{}", key["id"].as_str().unwrap());
    assert_eq!(result(&call(&server, "DELETE", &path).await), "Revoked");
    assert_eq!(refusal(&call(&server, "DELETE", &path).await), (404, 10003));
    assert_eq!(result(&call(&server, "GET", "/keys").await), json!([]));
}

#[tokio::test]
async fn a_token_is_signed_by_the_key_that_the_request_brings() {
    let server = plain().await;
    let (uid, _) = create(&server, "YQ==").await;
    let key = result(&call_with(&server, "POST", "/keys", &json!({})).await);
    let wishes = json!({ "id": key["id"], "pem": key["pem"], "downloadable": true });
    let made = call_with(&server, "POST", &format!("/{uid}/token"), &wishes).await;
    let made = result(&made);
    let token = made["token"].as_str().unwrap();
    assert_eq!(part(token, 0), json!({ "alg": "RS256", "kid": key["id"] }));
    let claims = part(token, 1);
    assert_eq!(
        (&claims["sub"], &claims["kid"], &claims["downloadable"]),
        (&uid.into(), &key["id"], &true.into())
    );
    let number = |name: &str| {
        let text = jwk(&key)[name].as_str().unwrap().to_owned();
        BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
    };
    let public = RsaPublicKeyComponents {
        n: number("n"),
        e: number("e"),
    };
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    let algorithm = &RSA_PKCS1_2048_8192_SHA256;
    public
        .verify(algorithm, signed.as_bytes(), &signature)
        .unwrap();
}

#[tokio::test]
async fn without_a_key_of_its_own_a_token_is_signed_by_the_accounts() {
    let server = plain().await;
    let (uid, _) = create(&server, "YQ==").await;
    let path = format!("/{uid}/token");
    let mut kids = Vec::new();
    for _ in 0..2 {
        let made = result(&call(&server, "POST", &path).await);
        let claims = part(made["token"].as_str().unwrap(), 1);
        let lasts = claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap();
        assert_eq!(lasts, 7200);
        kids.push(claims["kid"].clone());
    }
    assert_eq!(kids[0], kids[1]);
    // It is nobody's to list.
    assert_eq!(result(&call(&server, "GET", "/keys").await), json!([]));
}

#[tokio::test]
async fn a_token_out_of_bounds_is_refused() {
    let server = plain().await;
    let (uid, _) = create(&server, "YQ==").await;
    let path = format!("/{uid}/token");
    for wishes in [
        json!({ "exp": 1 }),
        json!({ "id": "alone" }),
        json!({ "id": "a", "pem": "nonsense" }),
        json!({ "accessRules": [{ "type": "ip.src", "action": "allow", "ip": ["x"] }] }),
    ] {
        let refused = call_with(&server, "POST", &path, &wishes).await;
        assert_eq!(refusal(&refused), (400, 10005), "{wishes}");
    }
    let odd = call_with(&server, "POST", &path, &json!({ "exp": "soon" })).await;
    assert_eq!(refusal(&odd), (400, 10004));
    assert_eq!(
        refusal(&call(&server, "POST", "/nope/token").await),
        (404, 10003)
    );
}
