//! Many who wait ask together.

use std::path::Path;
use std::sync::Arc;

use resume_store::MemoryStore;
use serde_json::json;
use stream_api::{SourceUrl, Video, WaitOptions};
use stream_ingest::{Copier, CopyJob, Uploaded, WaitSink};
use tokio_util::sync::CancellationToken;

use crate::account::Account;

/// Makes every video ready once one was seen five times.
struct Encoder(Arc<Account>, std::sync::atomic::AtomicUsize);

impl WaitSink for Encoder {
    fn uploaded(&self, _: &Path, _: &Uploaded) {}

    fn waiting(&self, _: &Path, _: &Video) {
        let seen = self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if seen >= 5 * 40 {
            self.0.with(|it| {
                for video in it.videos.values_mut() {
                    video["readyToStream"] = json!(true);
                    video["status"]["state"] = json!("ready");
                }
            });
        }
    }
}

#[tokio::test(start_paused = true)]
async fn forty_videos_are_waited_for_with_few_questions() {
    let account = Account::new();
    let sink = Arc::new(Encoder(Arc::clone(&account), Default::default()));
    let copier = Copier::new(account.client(), MemoryStore::default(), "an account")
        .with_parallel(40)
        .with_wait(WaitOptions::default(), sink);
    let url = |it| SourceUrl::parse(&format!("https://b.example/{it}.mp4")).unwrap();
    let jobs = (0..40).map(|it| CopyJob::new(url(it)));
    let mut ready = 0;
    let cancel = CancellationToken::new();
    copier
        .run(jobs, &cancel, |result| {
            assert!(result.outcome.unwrap().ready_after.is_some());
            ready += 1;
        })
        .await;
    assert_eq!(ready, 40);
    let questions = account.requests("GET");
    assert!(
        questions < 60,
        "{questions} questions for 40 videos, asked 6 times each"
    );
}
