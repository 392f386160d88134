//! `Location`: first line the URL that was asked, the rest what the server answered. What is accepted keeps the rules.
use tus_core::{MAX_URL_BYTES, UploadUrl};

pub(crate) fn run(bytes: &[u8]) {
    let text = crate::text(bytes);
    let (base, location) = text
        .split_once('\n')
        .unwrap_or(("https://tus.example/files/", text));
    let Ok(base) = UploadUrl::parse(base) else {
        return;
    };
    let Ok(url) = base.resolve(location) else {
        return;
    };
    let exposed = url.expose();
    assert!(location.len() <= MAX_URL_BYTES);
    assert!(exposed.starts_with("http://") || exposed.starts_with("https://"));
    assert!(!exposed.chars().any(char::is_control) && !exposed.contains('#'));
    assert!(
        !(base.expose().starts_with("https:") && exposed.starts_with("http:")),
        "a downgrade"
    );
    let authority = exposed.split('/').nth(2).expect("a URL has a host");
    assert!(!authority.contains('@'), "user info");
    assert!(url.uri().host().is_some_and(|host| !host.is_empty()));
    assert_eq!(
        UploadUrl::parse(exposed).as_ref(),
        Ok(&url),
        "it is read again as it is"
    );
    assert!(!format!("{url:?}").contains('?'), "no secret is shown");
    let moved = url.at_origin_of(&base).expect("two URLs make a third");
    assert!(moved.same_origin(&base));
}
