//! URLs, headers and hosts as they are typed. First line the URL, then one `Name: value` per line.

use http::HeaderMap;
use http_transport::{Credentials, Origin};
use secrecy::SecretString;
use stream_ingest::Target;

pub(crate) fn run(bytes: &[u8]) {
    let mut lines = crate::text(bytes).split('\n');
    let typed = lines.next().unwrap_or_default();
    for target in [
        Target::tus(typed),
        Target::upload_url(typed, None),
        Target::account(typed, "account"),
        Target::account("https://api.example/client/v4", typed),
    ]
    .into_iter()
    .flatten()
    {
        let url = target.url();
        assert!(!format!("{target:?}").contains('?'), "no query is shown");
        assert!(!url.expose().chars().any(char::is_control));
        // What may be sent to must have an origin, or credentials would have no home.
        let origin = Origin::parse(url.expose()).expect("a target has an origin");
        let home = Credentials::new(origin.clone());
        assert!(home.covers(&origin));
    }

    let origin = Origin::parse("https://tus.example/").expect("an origin");
    let stranger = Origin::parse("https://tus.example.evil.example/").expect("an origin");
    for line in lines.take(50) {
        let (name, value) = line.split_once(':').unwrap_or(("authorization", line));
        let secret = SecretString::from(value);
        let Ok(credentials) = Credentials::new(origin.clone()).header(name, &secret) else {
            continue;
        };
        let mut headers = HeaderMap::new();
        assert!(!credentials.apply(&stranger, &mut headers) && headers.is_empty());
        assert!(credentials.apply(&origin, &mut headers));
        for written in headers.values() {
            assert!(written.is_sensitive(), "it is hidden in Debug");
            let plain = |byte: &u8| *byte == b'\t' || (*byte >= b' ' && *byte != 127);
            assert!(written.as_bytes().iter().all(plain), "no line of its own");
        }
    }
}
