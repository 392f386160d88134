//! A form that breaks is a doubt.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_transport::{Body, BoxFuture, FaultKind, Transport, TransportError};
use resume_store::{MemoryStore, StoreError};
use serde_json::json;
use stream_api::Secret;
use stream_ingest::{FormError, FormSender, FormUpload, upload_form};

use crate::account::Account;

/// Takes forms, or fails by plan; counts what it took whole.
#[derive(Default)]
struct Url {
    faults: Mutex<Vec<FaultKind>>,
    bodies: Mutex<Vec<usize>>,
    /// Whether nothing is answered.
    hangs: bool,
}

impl Transport for Url {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            let promised = request.body().exact_len().expect("a length is announced");
            let body = request.into_body().collect(1 << 24).await?;
            assert_eq!(body.len() as u64, promised);
            self.bodies.lock().unwrap().push(body.len());
            if self.hangs {
                std::future::pending::<()>().await;
            }
            match self.faults.lock().unwrap().pop() {
                Some(kind) => Err(TransportError::new(kind, "by plan")),
                None => Ok(Response::new(Body::Empty)),
            }
        })
    }
}

struct Setting {
    url: Arc<Url>,
    upload: FormUpload,
    sent: Arc<Mutex<Vec<u64>>>,
    _file: tempfile::NamedTempFile,
}

impl Setting {
    /// A server that takes a form and does not answer.
    fn hanging() -> Self {
        let mut setting = Self::new(Vec::new());
        setting.url = Arc::new(Url {
            hangs: true,
            ..Url::default()
        });
        setting
    }

    fn new(faults: Vec<FaultKind>) -> Self {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&[7; 600_000]).unwrap();
        let url = Url {
            faults: Mutex::new(faults),
            ..Url::default()
        };
        let at = Secret::new("https://upload.example/once");
        Self {
            url: Arc::new(url),
            upload: FormUpload::new(at, file.path()).with_media_id(Some("v1".into())),
            sent: Arc::default(),
            _file: file,
        }
    }

    async fn run(&self, account: Option<&Arc<Account>>) -> Result<(), FormError> {
        let client = account.map(Account::client);
        let log = Arc::clone(&self.sent);
        let progress = move |bytes| log.lock().unwrap().push(bytes);
        let transport = Arc::<Url>::clone(&self.url);
        upload_form(transport, &self.upload, client.as_ref(), progress).await
    }

    /// As [`run`](Self::run), by a process that has this memory.
    async fn run_with(
        &self,
        store: &Arc<MemoryStore>,
        account: Option<&Arc<Account>>,
    ) -> Result<bool, FormError> {
        let sender = FormSender::new(Arc::<Url>::clone(&self.url))
            .with_store(Arc::clone(store))
            .with_account(account.map(Account::client));
        let sent = sender.send(&self.upload, |_| {}).await?;
        Ok(sent.earlier)
    }

    fn forms(&self) -> usize {
        self.url.bodies.lock().unwrap().len()
    }
}

fn account(state: &str) -> Arc<Account> {
    let account = Account::new();
    let video = json!({"uid": "v1", "status": {"state": state}});
    account.with(|it| it.videos.insert("v1".into(), video));
    account
}

#[tokio::test(start_paused = true)]
async fn a_file_is_streamed_with_its_length_and_its_progress() {
    let setting = Setting::new(Vec::new());
    setting.run(None).await.unwrap();
    let sent = setting.sent.lock().unwrap();
    assert!(sent.len() > 1 && sent.is_sorted(), "{sent:?}");
    assert_eq!(sent.last(), Some(&600_000));
}

#[tokio::test(start_paused = true)]
async fn what_never_left_is_sent_again_and_what_may_have_arrived_is_not() {
    let setting = Setting::new(vec![FaultKind::Connect]);
    setting.run(None).await.unwrap();
    assert_eq!(setting.forms(), 2);
    let setting = Setting::new(vec![FaultKind::Interrupted]);
    let doubt = setting.run(None).await.unwrap_err();
    assert!(matches!(doubt, FormError::Doubt(_)));
    assert_eq!(setting.forms(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_account_tells_whether_a_form_that_broke_has_arrived() {
    for (state, arrived) in [("queued", true), ("ready", true), ("pendingupload", false)] {
        let setting = Setting::new(vec![FaultKind::Interrupted]);
        let account = account(state);
        match setting.run(Some(&account)).await {
            Ok(()) => assert!(arrived, "{state}"),
            Err(error) => assert!(matches!(error, FormError::NotArrived(_)) && !arrived),
        }
        assert_eq!(setting.forms(), 1, "{state}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_done_is_not_done_again_and_the_url_is_known_to_be_used_up() {
    let store = Arc::new(MemoryStore::new());
    let setting = Setting::new(Vec::new());
    assert!(!setting.run_with(&store, None).await.unwrap());
    assert!(setting.run_with(&store, None).await.unwrap());
    assert_eq!(setting.forms(), 1);
    // Another file, or the same one with other bytes.
    std::fs::write(&setting.upload.path, [8; 600_000]).unwrap();
    let used = setting.run_with(&store, None).await.unwrap_err();
    assert!(matches!(used, FormError::UsedUp { .. }), "{used}");
    assert_eq!(setting.forms(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_told_by_the_next_run_and_nothing_is_sent() {
    let store = Arc::new(MemoryStore::new());
    let setting = Setting::new(vec![FaultKind::Interrupted]);
    let doubt = setting.run_with(&store, None).await.unwrap_err();
    assert!(matches!(doubt, FormError::Doubt(_)));
    for _ in 0..2 {
        let doubt = setting.run_with(&store, None).await.unwrap_err();
        assert!(matches!(doubt, FormError::InDoubt { .. }), "{doubt}");
    }
    assert_eq!(setting.forms(), 1);
    // Whoever can ask the account knows more.
    assert!(
        setting
            .run_with(&store, Some(&account("queued")))
            .await
            .unwrap()
    );
    assert!(setting.run_with(&store, None).await.unwrap(), "it is noted");
    assert_eq!(setting.forms(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_form_that_did_not_arrive_leaves_the_url_as_it_was() {
    let store = Arc::new(MemoryStore::new());
    let setting = Setting::new(vec![FaultKind::Interrupted]);
    let ended = setting
        .run_with(&store, Some(&account("pendingupload")))
        .await;
    assert!(matches!(ended, Err(FormError::NotArrived(Some(_)))));
    assert!(!setting.run_with(&store, None).await.unwrap());
    assert_eq!(setting.forms(), 2);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_stopped_in_the_middle_leaves_a_doubt() {
    let store = Arc::new(MemoryStore::new());
    let setting = Setting::hanging();
    let stopped = setting.run_with(&store, None);
    let second = std::time::Duration::from_secs(1);
    assert!(tokio::time::timeout(second, stopped).await.is_err());
    let doubt = setting.run_with(&store, None).await.unwrap_err();
    assert!(matches!(doubt, FormError::InDoubt { .. }), "{doubt}");
    assert_eq!(setting.forms(), 1);
}

#[tokio::test(start_paused = true)]
async fn two_at_once_send_one_form() {
    let store = Arc::new(MemoryStore::new());
    let setting = Setting::hanging();
    let second = std::time::Duration::from_secs(1);
    let (one, other) = tokio::join!(
        tokio::time::timeout(second, setting.run_with(&store, None)),
        tokio::time::timeout(second, setting.run_with(&store, None)),
    );
    let ends = [one, other];
    let busy =
        |end: &Result<_, _>| matches!(end, Ok(Err(FormError::Store(StoreError::Busy { .. }))));
    assert_eq!(ends.iter().filter(|end| busy(end)).count(), 1, "{ends:?}");
    assert_eq!(setting.forms(), 1);
}
