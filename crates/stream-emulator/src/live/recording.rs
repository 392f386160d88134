//! What becomes of a recording when nobody broadcasts into it any more.

use std::sync::Arc;
use std::time::Duration;

use crate::entry::Work;
use crate::filling::Filling;
use crate::live::change;
use crate::op::videos;
use crate::server::Shared;
use crate::upload::Upload;

const DAY: Duration = Duration::from_secs(86_400);

/// Ends the recordings for which nobody came back.
pub(crate) async fn sweep(shared: &Arc<Shared>) {
    for (uid, account) in shared.stage.over(shared.clock.now()) {
        give_up(shared, &account, &uid).await;
    }
}

/// Ends what a server that was stopped had on its stage.
pub(crate) async fn resume(shared: &Arc<Shared>) {
    for (account, input) in shared.account.live_inputs.all() {
        if input.is_on() || input.recorded.is_some() {
            give_up(shared, &account, &input.uid).await;
        }
    }
    // Of an input that was deleted.
    for entry in shared.videos.entries() {
        if matches!(entry.work, Some(Work::Live)) && entry.failure.is_none() {
            let input = entry.video.live_input.as_deref().unwrap_or_default();
            close(shared, &entry.account, input, Some(&entry.video.uid)).await;
        }
    }
}

async fn give_up(shared: &Arc<Shared>, account: &str, uid: &str) {
    let input = shared.account.live_inputs.get(account, uid);
    let recorded = input.and_then(|input| input.recorded);
    change(shared, account, uid, |input| {
        if input.is_on() {
            input.status = Some("failed_to_reconnect".to_owned());
        }
    })
    .await;
    close(shared, account, uid, recorded.as_deref()).await;
}

/// Makes an ordinary video of a recording. One without a byte is no video.
pub(crate) async fn close(
    shared: &Arc<Shared>,
    account: &str,
    input: &str,
    recorded: Option<&str>,
) {
    let Some(uid) = recorded else { return };
    let days = shared.account.live_inputs.get(account, input);
    let days = days.and_then(|input| input.wishes.delete_recording_after_days);
    let closed = uid.to_owned();
    change(shared, account, input, move |input| {
        // Not that of the next broadcast, which may have begun.
        input.recorded.take_if(|recorded| *recorded == closed);
    })
    .await;
    let Some(upload) = shared.uploads.get(uid) else {
        return;
    };
    let bytes = upload.info().offset;
    if bytes == 0 {
        videos::remove(shared, uid, uid).await;
        return;
    }
    if let Some(days) = days {
        let deletion = shared.clock.now().checked_add(DAY.mul_f64(days));
        let uid = uid.to_owned();
        let scheduling = shared.blocking(move |shared| {
            shared.videos.change(&uid, shared.disk.as_ref(), |video| {
                video.scheduled_deletion = deletion;
                Ok::<_, ()>(())
            })
        });
        let _ = scheduling.await;
    }
    upload.stored(bytes, true);
    let saving = Arc::clone(&upload);
    let saved = shared.blocking(move |shared| saving.save(shared.disk.as_ref()));
    if let Err(error) = saved.await {
        tracing::warn!(%error, "the state of a recording cannot be saved");
    }
    shared.completed(&upload).await;
}

/// What came until now is durable, and counts.
pub(super) async fn checkpoint(
    shared: &Arc<Shared>,
    upload: &Upload,
    filling: &mut Filling,
) -> std::io::Result<()> {
    filling.sync().await?;
    upload.stored(filling.len(), false);
    let Some(upload) = shared.uploads.get(&upload.key) else {
        return Ok(());
    };
    let saving = shared.blocking(move |shared| upload.save(shared.disk.as_ref()));
    saving.await
}
