//! Many who wait ask together.

use std::path::Path;
use std::sync::Arc;

use resume_store::MemoryStore;
use serde_json::json;
use stream_api::{Secret, SourceUrl, Video, WaitOptions};
use stream_ingest::{Copier, CopyJob, Uploaded, WaitSink, Webhooks};
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

/// Makes every video ready as soon as it is waited for.
struct AtOnce(Arc<Account>);

impl WaitSink for AtOnce {
    fn uploaded(&self, _: &Path, _: &Uploaded) {}

    fn waiting(&self, _: &Path, _: &Video) {
        self.0.with(|it| {
            for video in it.videos.values_mut() {
                video["readyToStream"] = json!(true);
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_comes_costs_time_only() {
    let account = Account::new();
    let sink = Arc::new(AtOnce(Arc::clone(&account)));
    let address = "127.0.0.1:0".parse().unwrap();
    let webhooks = Webhooks::listen(address, Secret::new("s")).await.unwrap();
    let copier = Copier::new(account.client(), MemoryStore::default(), "an account")
        .with_wait(WaitOptions::default(), sink)
        .with_webhooks(webhooks);
    let url = SourceUrl::parse("https://b.example/a.mp4").unwrap();
    let mut ready_after = None;
    let began = tokio::time::Instant::now();
    copier
        .run([CopyJob::new(url)], &CancellationToken::new(), |result| {
            ready_after = result.outcome.unwrap().ready_after;
        })
        .await;
    assert!(ready_after.is_some());
    assert_eq!(began.elapsed().as_secs(), 300);
    assert_eq!(account.requests("GET"), 2);
}
