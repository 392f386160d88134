//! The page at `/`: what it is made of. What it does is tried in a browser, by the suite of the whole project.

use stream_emulator::Emulator;

use crate::wire::send;

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let server = Emulator::builder().start().await.unwrap();
    let page = send(&server, "GET", "/", &[], b"").await.unwrap();
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(
        !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );
    assert!(!page.text().contains("local\""), "the page holds no token");
    for part in page
        .text()
        .split('"')
        .filter(|part| part.contains("/page/"))
    {
        let file = send(&server, "GET", part, &[], b"").await.unwrap();
        assert_eq!(file.status, 200, "{part}");
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    }
    let unknown = send(&server, "GET", "/page/../Cargo.toml", &[], b"")
        .await
        .unwrap();
    assert_eq!(unknown.status, 404);
}

#[tokio::test]
async fn what_the_page_asks_for_needs_the_token() {
    let server = Emulator::builder().start().await.unwrap();
    let state = send(&server, "GET", "/_emulator/state", &[], b"")
        .await
        .unwrap();
    assert_eq!(state.status, 401);
}
