//! What a source's URL is known as: the same from run to run, although a signature changes each time, and without it.

use resume_store::Fingerprint;
use stream_api::SourceUrl;

/// Parameters that sign a URL, or say until when it is signed: of S3 and what is like it, Google, Azure, CloudFront.
const SIGNS: &[&str] = &[
    "awsaccesskeyid",
    "expires",
    "googleaccessid",
    "hdnea",
    "hdnts",
    "key-pair-id",
    "policy",
    "se",
    "sig",
    "signature",
    "ske",
    "skoid",
    "sks",
    "skt",
    "sktid",
    "skv",
    "sp",
    "spr",
    "sr",
    "st",
    "sv",
];

/// Scheme, host and path.
pub(crate) fn label(url: &SourceUrl) -> String {
    let (address, _) = split(url);
    // A name and a password before the host are no part of an origin.
    let path = address.split_once("://").map_or("", |(_, rest)| rest);
    let path = path.find('/').map_or("", |at| &path[at..]);
    format!("{}{path}", url.origin())
}

/// The label, and of a query that says more than who may, a digest.
pub(crate) fn of_url(url: &SourceUrl) -> String {
    let (_, query) = split(url);
    let is_signed = {
        let names: Vec<_> = query.split('&').map(name).collect();
        let has = |wanted: &str| names.iter().any(|name| name == wanted);
        has("x-amz-signature")
            || has("x-goog-signature")
            || (has("sig") && has("se"))
            || (has("signature") && has("expires"))
            || (has("signature") && has("key-pair-id"))
    };
    let signs = |name: &str| {
        name.starts_with("x-amz-") || name.starts_with("x-goog-") || SIGNS.contains(&name)
    };
    let kept: Vec<_> = query
        .split('&')
        .filter(|pair| !(pair.is_empty() || is_signed && signs(&name(pair))))
        .collect();
    if kept.is_empty() {
        return label(url);
    }
    // A query may be a secret in ways that are not known here.
    let digest = Fingerprint::new("query", kept.join("&")).to_string();
    format!("{}?{}", label(url), &digest[..16])
}

/// The last part of the path, decoded.
pub(crate) fn file_name(url: &SourceUrl) -> String {
    let label = label(url);
    let last = label.rsplit('/').next().unwrap_or("");
    percent_encoding::percent_decode_str(last)
        .decode_utf8_lossy()
        .into_owned()
}

fn split(url: &SourceUrl) -> (&str, &str) {
    let text = url.expose();
    let text = text.split('#').next().unwrap_or(text);
    text.split_once('?').unwrap_or((text, ""))
}

fn name(pair: &str) -> String {
    let name = pair.split('=').next().unwrap_or("");
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> String {
        of_url(&SourceUrl::parse(text).unwrap())
    }

    #[test]
    fn a_signature_that_changes_leaves_the_key_as_it_is() {
        let plain = key("https://b.example/a/b.mp4");
        assert_eq!(plain, "https://b.example/a/b.mp4");
        for query in [
            "X-Amz-Signature=1&X-Amz-Date=2&X-Amz-Credential=3",
            "X-Goog-Signature=1&X-Goog-Expires=60",
            "sv=2024&sp=r&se=2024-01-01&sig=hush",
            "Expires=1&Signature=2&Key-Pair-Id=3",
        ] {
            assert_eq!(key(&format!("https://b.example/a/b.mp4?{query}")), plain);
        }
    }

    #[test]
    fn a_query_that_chooses_the_file_makes_another_key_and_is_not_shown() {
        let one = key("https://b.example/get?id=1&X-Amz-Signature=x");
        assert_eq!(one, key("https://b.example/get?id=1&X-Amz-Signature=y"));
        assert_ne!(one, key("https://b.example/get?id=2"));
        assert!(!key("https://b.example/get?token=hush").contains("hush"));
        assert!(!key("https://me:hush@b.example/get").contains("hush"));
    }

    #[test]
    fn a_name_is_the_last_part_of_the_path() {
        let url = SourceUrl::parse("https://b.example/a/My%20Film.mp4?x=/y").unwrap();
        assert_eq!(file_name(&url), "My Film.mp4");
    }
}
