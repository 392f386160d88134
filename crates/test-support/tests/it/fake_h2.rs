//! GOAWAY, refused streams and windows that do not open, as an HTTP/2 client sees them.

use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use http::Request;
use test_support::{FakeH2Server, FakeRequest, H2Act, H2Reply, H2Settings, TestCa};
use tokio::net::TcpStream;

use crate::fake_tls;

const PATIENCE: Duration = Duration::from_secs(10);

async fn serving(settings: H2Settings, reply: H2Reply) -> FakeH2Server {
    let decide = move |request: &FakeRequest| match request.number {
        1 => reply.clone(),
        _ => H2Reply::new(H2Act::Honest),
    };
    FakeH2Server::start(None, settings, decide)
        .await
        .expect("started")
}

async fn connect(server: &FakeH2Server) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(server.addr()).await.expect("connected");
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    // It ends with the client or with the server.
    tokio::spawn(async move { drop(connection.await) });
    client
}

/// Creates an upload with a body of `length` bytes, sent as the window allows.
async fn post(client: SendRequest<Bytes>, length: usize) -> Result<u16, h2::Error> {
    let mut client = client.ready().await?;
    let request = Request::post("http://localhost/files/")
        .header("Upload-Length", length)
        .header("Content-Length", length)
        .body(())
        .expect("a request");
    let (response, mut body) = client.send_request(request, length == 0)?;
    if length > 0 {
        body.send_data(Bytes::from(vec![0; length]), true)?;
    }
    response.await.map(|response| response.status().as_u16())
}

#[tokio::test]
async fn honest_streams_are_answered_over_tls_too() {
    let ca = TestCa::new().expect("an authority");
    let identity = ca.localhost().expect("issued");
    let honest = |_: &FakeRequest| H2Reply::new(H2Act::Honest);
    let server = FakeH2Server::start(Some(&identity), H2Settings::default(), honest)
        .await
        .expect("started");
    let stream = fake_tls::connect(server.addr(), &ca, b"h2")
        .await
        .expect("TLS");
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    tokio::spawn(async move { drop(connection.await) });
    assert_eq!(post(client, 300_000).await.expect("answered"), 201);
    assert_eq!(server.uploads(), [(Some(300_000), 300_000)]);
    assert_eq!(server.requests()[0].body_bytes, 300_000);
}

#[tokio::test]
async fn a_refused_stream_says_so_and_the_next_is_served() {
    let server = serving(H2Settings::default(), H2Reply::refused()).await;
    let client = connect(&server).await;
    let error = post(client.clone(), 1000).await.expect_err("refused");
    assert_eq!(error.reason(), Some(Reason::REFUSED_STREAM));
    assert_eq!(post(client, 1000).await.expect("answered"), 201);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn goaway_lets_the_stream_finish_and_takes_no_other() {
    let server = serving(H2Settings::default(), H2Reply::new(H2Act::GoAway).after(10)).await;
    let client = connect(&server).await;
    assert_eq!(post(client.clone(), 100_000).await.expect("answered"), 201);
    let error = post(client, 10).await.expect_err("going away");
    assert!(error.is_go_away() || error.is_io(), "{error}");
}

#[tokio::test]
async fn goaway_now_ends_the_stream_under_way() {
    let now = H2Reply::new(H2Act::GoAwayNow(Reason::ENHANCE_YOUR_CALM.into())).after(10);
    let server = serving(H2Settings::default(), now).await;
    let stream = TcpStream::connect(server.addr()).await.expect("connected");
    let (client, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
    let connection = tokio::spawn(connection);
    // All in one frame, so that nothing unread turns the end into a reset.
    post(client, 100).await.expect_err("ended");
    let error = connection.await.expect("no panic").expect_err("sent away");
    assert_eq!(error.reason(), Some(Reason::ENHANCE_YOUR_CALM), "{error}");
    assert_eq!(
        post(connect(&server).await, 10).await.expect("answered"),
        201
    );
}

#[tokio::test]
async fn a_window_of_zero_lets_no_byte_through() {
    let closed = H2Settings {
        window: 0,
        gives_window: false,
    };
    let server = serving(closed, H2Reply::new(H2Act::Honest)).await;
    let client = connect(&server).await;
    // After an exchange without a body, the client has heard the settings.
    assert_eq!(post(client.clone(), 0).await.expect("answered"), 201);
    let posting = tokio::spawn(post(client.clone(), 10));
    server
        .wait_until(PATIENCE, |requests| requests.len() == 2)
        .await;
    assert_eq!(post(client, 0).await.expect("answered"), 201);
    assert_eq!(server.requests()[1].body_bytes, 0);
    assert!(!posting.is_finished());
}

#[tokio::test]
async fn a_window_that_is_not_given_back_stops_the_stream() {
    let small = H2Settings {
        window: 10_000,
        gives_window: false,
    };
    let server = serving(small, H2Reply::new(H2Act::Honest)).await;
    let posting = tokio::spawn(post(connect(&server).await, 100_000));
    server
        .wait_until(PATIENCE, |requests| {
            requests.first().is_some_and(|it| it.body_bytes >= 10_000)
        })
        .await;
    assert!(!posting.is_finished());
}

#[tokio::test]
async fn a_scripted_status_is_said_as_it_is() {
    let act = H2Act::Answer(503, vec![("retry-after".into(), "5".into())]);
    let server = serving(H2Settings::default(), H2Reply::new(act)).await;
    assert_eq!(post(connect(&server).await, 10).await.expect("said"), 503);
}
