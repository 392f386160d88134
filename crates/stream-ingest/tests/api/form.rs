//! A form that breaks is a doubt.

use std::io::Write as _;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_transport::{Body, BoxFuture, FaultKind, Transport, TransportError};
use serde_json::json;
use stream_api::Secret;
use stream_ingest::{FormError, FormUpload, upload_form};

use crate::account::Account;

/// Takes forms, or fails by plan; counts what it took whole.
#[derive(Default)]
struct Url {
    faults: Mutex<Vec<FaultKind>>,
    bodies: Mutex<Vec<usize>>,
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
