//! The budget of the API, as a transport.

use std::sync::Arc;
use std::time::Duration;

use http_transport::{Credentials, Origin, Transport};
use stream_api::StreamClient;
use stream_ingest::Budget;

use crate::account::{Account, BASE};

#[tokio::test]
async fn whoever_has_spent_the_budget_waits_and_what_is_no_api_passes() {
    let folder = tempfile::tempdir().unwrap();
    let account = Account::new();
    let origin = Origin::parse(BASE).unwrap();
    let inner: Arc<dyn Transport> = Arc::<Account>::clone(&account);
    // Two requests in five minutes.
    let budget = || {
        Budget::new(
            Arc::clone(&inner),
            origin.clone(),
            folder.path(),
            "a/b",
            2.0 / 1200.0,
        )
    };
    let client = |budget| {
        let credentials = Credentials::new(origin.clone());
        StreamClient::new(Arc::new(budget), BASE, "acc", credentials).unwrap()
    };
    let (one, other) = (client(budget()), client(budget()));
    one.list_videos(&Default::default()).await.unwrap();
    other.list_videos(&Default::default()).await.unwrap();
    let filter = Default::default();
    let third = one.list_videos(&filter);
    let third = tokio::time::timeout(Duration::from_millis(100), third).await;
    assert!(third.is_err(), "the third waits");
    assert_eq!(account.requests("GET"), 2);
    let elsewhere = http::Request::get("https://upload.example/client/v4/accounts/acc/stream");
    let elsewhere = elsewhere.body(http_transport::Body::Empty).unwrap();
    budget().send(elsewhere).await.unwrap();
    assert!(folder.path().join("api-budget-ab.json").is_file());
}
