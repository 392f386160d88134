//! The account's webhook: `…/stream/webhook`. Who is told what, and when: [`notify`](crate::notify).

use serde::Deserialize;
use stream_api::Op;

use crate::account::webhook::{self, Webhook};
use crate::answer;
use crate::id;
use crate::op::call::ok;
use crate::op::{Answered, Call, refuse};
use crate::outbound::check_url;

/// Answers the operations of this group.
pub(crate) async fn answer(call: Call<'_>) -> Answered {
    match call.op {
        Op::WebhookGet => get(&call),
        Op::WebhookSet => set(call).await,
        Op::WebhookDelete => delete(call).await,
        _ => super::unknown(),
    }
}

fn get(call: &Call<'_>) -> Answered {
    match call
        .shared
        .account
        .webhooks
        .get(call.account(), webhook::ID)
    {
        Some(webhook) => ok(webhook.view()),
        None => Err(Box::new(answer::not_found())),
    }
}

/// Both spellings that the documentation has.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wishes {
    #[serde(rename = "notificationUrl")]
    camel: Option<String>,
    #[serde(rename = "notification_url")]
    snake: Option<String>,
}

/// One that was there gets another URL and keeps its secret. Stream refuses addresses that are not public; here they are
/// what a receiver has.
async fn set(call: Call<'_>) -> Answered {
    let wishes: Wishes = call.json().await?;
    let Some(url) = wishes.camel.or(wishes.snake) else {
        return refuse("required field notificationUrl is missing");
    };
    check_url(&url)?;
    let (account, now) = (call.account().to_owned(), call.now());
    let setting = call.blocking(move |shared| {
        let webhooks = &shared.account.webhooks;
        let known = webhooks.get(&account, webhook::ID);
        let webhook = Webhook {
            url,
            modified: now,
            since: known.as_ref().map_or(now, |known| known.since),
            secret: match known {
                Some(known) => known.secret,
                None => id::new()?,
            },
        };
        let view = webhook.view();
        webhooks.put(&account, webhook::ID, webhook, shared.disk.as_ref())?;
        Ok(view)
    });
    let view = setting.await?;
    call.shared.videos.changed();
    ok(view)
}

async fn delete(call: Call<'_>) -> Answered {
    let account = call.account().to_owned();
    let removing = call.blocking(move |shared| {
        let webhooks = &shared.account.webhooks;
        webhooks.remove(&account, webhook::ID, shared.disk.as_ref())
    });
    match removing.await? {
        Some(_) => ok(""),
        None => Err(Box::new(answer::not_found())),
    }
}
