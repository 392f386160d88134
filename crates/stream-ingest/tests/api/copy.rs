//! Copies are made once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use resume_store::{Filter, MemoryStore, ResumeStore as _};
use stream_api::SourceUrl;
use stream_ingest::{Copied, Copier, CopyError, CopyJob};
use tokio_util::sync::CancellationToken;
use tus_engine::Resume;

use crate::account::{Account, Mishap};

fn job(text: &str) -> CopyJob {
    CopyJob::new(SourceUrl::parse(text).unwrap())
}

fn copier(account: &Arc<Account>, store: &MemoryStore) -> Copier {
    Copier::new(account.client(), store.clone(), "an account")
        .with_look_again_after(Duration::from_millis(1))
}

async fn run(copier: &Copier, jobs: Vec<CopyJob>) -> Vec<Result<Copied, CopyError>> {
    let mut outcomes = Vec::new();
    let cancel = CancellationToken::new();
    copier
        .run(jobs, &cancel, |result| outcomes.push(result.outcome))
        .await;
    outcomes
}

async fn one(account: &Arc<Account>, store: &MemoryStore, url: &str) -> Result<Copied, CopyError> {
    run(&copier(account, store), vec![job(url)]).await.remove(0)
}

const URL: &str = "https://b.example/a.mp4";

#[tokio::test(start_paused = true)]
async fn a_second_run_finds_what_the_first_has_made() {
    let (account, store) = (Account::new(), MemoryStore::default());
    let first = one(&account, &store, URL).await.unwrap();
    assert!(!first.earlier);
    let again = format!("{URL}?X-Amz-Signature=another&X-Amz-Date=today");
    let second = one(&account, &store, &again).await.unwrap();
    assert!(second.earlier);
    assert_eq!(second.uid, first.uid);
    assert_eq!(account.requests("POST"), 1);
    account.with(|it| it.videos.clear());
    let third = one(&account, &store, URL).await.unwrap();
    assert_ne!(third.uid, first.uid, "a video that is gone is made anew");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leads_to_the_video_that_was_made() {
    let (account, store) = (Account::new(), MemoryStore::default());
    account.with(|it| it.mishaps = vec![Mishap::LostAnswer]);
    let copied = one(&account, &store, URL).await.unwrap();
    assert_eq!((copied.uid.as_str(), copied.earlier), ("v1", true));
    assert_eq!(account.requests("POST"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_made_nothing_is_sent_again_after_two_looks() {
    for mishap in [
        Mishap::LostRequest,
        Mishap::Status(502),
        Mishap::Status(408),
    ] {
        let (account, store) = (Account::new(), MemoryStore::default());
        account.with(|it| it.mishaps = vec![mishap]);
        one(&account, &store, URL).await.unwrap();
        let asked = account.with(|it| it.requests.clone());
        let kinds: Vec<_> = asked.iter().map(|line| &line[..3]).collect();
        assert_eq!(kinds, ["POS", "GET", "GET", "POS"], "{mishap:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_raises_no_doubt() {
    let (account, store) = (Account::new(), MemoryStore::default());
    account.with(|it| it.mishaps = vec![Mishap::NotSent, Mishap::Status(429)]);
    one(&account, &store, URL).await.unwrap();
    assert_eq!((account.requests("POST"), account.requests("GET")), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_leaves_no_intent_behind() {
    let (account, store) = (Account::new(), MemoryStore::default());
    account.with(|it| it.mishaps = vec![Mishap::Status(400)]);
    let refused = one(&account, &store, URL).await.unwrap_err();
    assert!(matches!(refused, CopyError::Refused(_)) && !refused.is_resumable());
    assert!(store.list(Filter::all()).unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn no_further_copy_is_begun_after_credentials_were_refused() {
    let (account, store) = (Account::new(), MemoryStore::default());
    account.with(|it| it.mishaps = vec![Mishap::Status(403); 9]);
    let jobs = (0..9).map(|it| job(&format!("{URL}?id={it}"))).collect();
    let outcomes = run(&copier(&account, &store).with_parallel(1), jobs).await;
    assert_eq!((outcomes.len(), account.requests("POST")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn whoever_forces_it_gets_another() {
    let (account, store) = (Account::new(), MemoryStore::default());
    one(&account, &store, URL).await.unwrap();
    let mut anew = job(URL);
    anew.resume = Resume::AnewEvenIfFinished;
    let outcomes = run(&copier(&account, &store), vec![anew]).await;
    assert!(!outcomes[0].as_ref().unwrap().earlier);
    assert_eq!(account.with(|it| it.videos.len()), 2);
}

#[tokio::test(start_paused = true)]
async fn two_hundred_urls_killed_five_times_are_two_hundred_videos() {
    let (account, store) = (Account::new(), MemoryStore::default());
    let mut random = fastrand::Rng::with_seed(7);
    let jobs = || {
        let url = |it| job(&format!("https://b.example/{it}.mp4"));
        (0..200).map(url).collect::<Vec<_>>()
    };
    account.with(|it| {
        let any = [
            Mishap::LostAnswer,
            Mishap::LostRequest,
            Mishap::Status(500),
            Mishap::NotSent,
        ];
        it.mishaps = (0..60).map(|_| any[random.usize(..4)]).collect();
    });
    for round in 0..5 {
        let until = account.with(|it| it.requests.len()) + 20 + random.usize(..60);
        let copier = copier(&account, &store);
        let cancel = CancellationToken::new();
        let mut running = Box::pin(copier.run(jobs(), &cancel, |_| ()));
        // Dropped in the middle, as a process that is killed: nothing is said, nothing is tidied up.
        tokio::select! {
            () = &mut running => panic!("round {round} was not killed"),
            () = account.reached(until) => {}
        }
        drop(running);
        // Virtual time passes only once the store's thread is done with what was handed to it.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    account.with(|it| it.mishaps.clear());
    let outcomes = run(&copier(&account, &store), jobs()).await;
    let uids: BTreeSet<_> = outcomes.into_iter().map(|it| it.unwrap().uid).collect();
    assert_eq!(uids.len(), 200);
    assert_eq!(account.with(|it| it.videos.len()), 200);
}
