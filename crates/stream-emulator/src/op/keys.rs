//! Signing keys: `…/stream/keys`.

use serde_json::json;
use stream_api::Op;

use crate::account::keys::SigningKey;
use crate::answer;
use crate::log::rfc3339;
use crate::op::call::ok;
use crate::op::{Answered, Call, refuse};

/// Keys of one account, at most.
/// <https://developers.cloudflare.com/stream/viewing-videos/securing-your-stream/>
const MOST: usize = 1000;

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    match call.op {
        Op::KeysList => list(&call),
        Op::KeysCreate => create(call).await,
        Op::KeysDelete => revoke(call).await,
        _ => super::unknown(),
    }
}

fn list(call: &Call<'_>) -> Answered {
    let keys = call.shared.account.keys.list(call.account());
    let shown = |key: &SigningKey| json!({ "id": key.id, "created": rfc3339(key.created), "key_id": key.id });
    ok(keys.iter().map(shown).collect::<Vec<_>>())
}

/// Both forms of the key are told here, and nowhere else.
async fn create(call: Call<'_>) -> Answered {
    if call.shared.account.keys.list(call.account()).len() >= MOST {
        return refuse(format!("an account has at most {MOST} signing keys"));
    }
    let (account, now) = (call.account().to_owned(), call.now());
    let making = call.blocking(move |shared| {
        let keys = &shared.account.keys;
        keys.create(&account, now, shared.disk.as_ref())
    });
    let key = making.await?;
    ok(json!({
        "id": key.id,
        "created": rfc3339(key.created),
        "pem": key.pem,
        "jwk": key.jwk,
    }))
}

/// From now on, no token that was signed with it plays anything.
async fn revoke(call: Call<'_>) -> Answered {
    let (account, id) = (call.account().to_owned(), call.id().to_owned());
    let revoking = call.blocking(move |shared| {
        let keys = &shared.account.keys;
        keys.revoke(&account, &id, shared.disk.as_ref())
    });
    if revoking.await? {
        ok("Revoked")
    } else {
        Err(Box::new(answer::not_found()))
    }
}
