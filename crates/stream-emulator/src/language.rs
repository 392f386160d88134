//! Tags of languages (BCP 47) and the labels that captions get from them.

/// The languages that captions can be generated in.
/// <https://developers.cloudflare.com/stream/edit-videos/adding-captions/>
pub(crate) const GENERATED: [&str; 12] = [
    "cs", "nl", "en", "fr", "de", "it", "ja", "ko", "pl", "pt", "ru", "es",
];

/// Whether `tag` has the shape of a language tag: a language of 2 to 8 letters, then subtags of 1 to 8
/// letters or digits.
pub(crate) fn is_tag(tag: &str) -> bool {
    let mut subtags = tag.split('-');
    let language = subtags.next().unwrap_or("");
    tag.len() <= 35
        && (2..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len())
                && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// What the language calls itself, with the rest of the tag behind it; the tag where that is not known.
pub(crate) fn label(tag: &str) -> String {
    let (language, rest) = tag.split_once('-').unwrap_or((tag, ""));
    let language = language.to_ascii_lowercase();
    let known = match language.len() {
        2 => isolang::Language::from_639_1(&language),
        3 => isolang::Language::from_639_3(&language),
        _ => None,
    };
    let Some(name) = known.and_then(|known| known.to_autonym()) else {
        return tag.to_owned();
    };
    let name = name.split([',', ';']).next().unwrap_or(name).trim();
    // As players show it, whatever the language's own rules say of the first letter.
    let mut letters = name.chars();
    let first = letters.next().map(char::to_uppercase);
    let name: String = first.into_iter().flatten().chain(letters).collect();
    if rest.is_empty() {
        name
    } else {
        format!("{name} ({rest})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_what_the_language_calls_itself() {
        assert_eq!(label("en"), "English");
        assert_eq!(label("tr"), "Türkçe");
        assert_eq!(label("pt-BR"), "Português (BR)");
        assert_eq!(label("tlh-x-none"), "tlh-x-none");
    }

    #[test]
    fn tags_are_told_from_other_texts() {
        for tag in GENERATED.into_iter().chain(["zh-Hant-TW", "es-419"]) {
            assert!(is_tag(tag), "{tag}");
        }
        for text in [
            "",
            "e",
            "12",
            "en_US",
            "en-",
            "en--US",
            "../etc",
            "englishes",
        ] {
            assert!(!is_tag(text), "{text}");
        }
    }
}
