//! The table of operations: client, emulator, tests and documentation read it.
//!
//! Paths are relative to the API's base, such as `https://api.cloudflare.com/client/v4`. To add an
//! operation, add a variant to [`Op`] and a row to [`TABLE`], both in `tables/operations.rs`.

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

pub use crate::tables::operations::{Op, TABLE, UPLOAD_TABLE, UploadOp};

/// One row of [`TABLE`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Endpoint {
    /// The operation.
    pub op: Op,
    /// Its name in logs, tests and documentation: `group.verb`.
    pub id: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path below the API's base; `{name}` stands for one segment.
    pub path: &'static str,
    /// What its request carries.
    pub carries: Carries,
    /// What it answers when it succeeds. A failure is an [`Envelope`](crate::Envelope) everywhere.
    pub answers: Answers,
    /// Where Cloudflare describes it.
    pub doc: &'static str,
}

/// What a request carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Carries {
    /// A form with a file: `multipart/form-data`.
    Form,
    /// JSON.
    Json,
    /// No body.
    Nothing,
    /// No body, but the headers of a tus creation.
    Tus,
}

/// What an operation answers when it succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Answers {
    /// 201 without a body; the upload's URL in `Location`, the video's id in `stream-media-id`.
    Created,
    /// An [`Envelope`](crate::Envelope). Deletions answer an empty body as well.
    Envelope,
    /// A piece of HTML.
    Html,
    /// A WebVTT file.
    Vtt,
}

/// One row of [`UPLOAD_TABLE`].
#[derive(Debug)]
#[non_exhaustive]
pub struct UploadEndpoint {
    /// What is done.
    pub op: UploadOp,
    /// Its name in logs, tests and documentation: `upload.verb`.
    pub id: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// Which URL it is done at.
    pub at: UploadAt,
    /// Where it is described.
    pub doc: &'static str,
}

/// Where the URL of an upload comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UploadAt {
    /// The creation URL, or what it answered as `Location`.
    CreationOrLocation,
    /// `Location` in the answer to a tus creation, query included.
    Location,
    /// `uploadURL` in the answer to [`Op::DirectUploadCreate`]. No credentials.
    OneTimeUrl,
}

/// What a method and a path lead to.
#[derive(Debug)]
pub enum Found {
    /// A row, and the decoded segments that stand for its parameters, in order.
    Endpoint(&'static Endpoint, Vec<String>),
    /// A path of the table, but no row with this method.
    MethodNotAllowed,
    /// No row has this path.
    NotFound,
}

impl Op {
    /// The row of this operation.
    ///
    /// # Panics
    /// Never: a test holds that each operation has its row.
    #[must_use]
    pub fn endpoint(self) -> &'static Endpoint {
        TABLE
            .iter()
            .find(|row| row.op == self)
            .expect("each operation has its row")
    }
}

impl UploadOp {
    /// The row of what is done at the URL of an upload.
    ///
    /// # Panics
    /// Never: a test holds that each has its row.
    #[must_use]
    pub fn endpoint(self) -> &'static UploadEndpoint {
        UPLOAD_TABLE
            .iter()
            .find(|row| row.op == self)
            .expect("each operation has its row")
    }
}

/// The row with this id, such as `videos.list`.
#[must_use]
pub fn by_id(id: &str) -> Option<&'static Endpoint> {
    TABLE.iter().find(|row| row.id == id)
}

impl Endpoint {
    /// Whether doing it twice leaves what doing it once leaves, so that a request whose answer was lost may be sent again.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        match self.method {
            Method::POST => matches!(
                self.op,
                Op::VideosEdit | Op::TokenCreate | Op::DownloadsCreate | Op::DownloadsCreateType
            ),
            // Deletions, edits, and what is put in the place of what was there.
            _ => true,
        }
    }

    /// The names of the path's parameters, in order, the account first.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        let names = self.path.split('/').filter(|it| is_parameter(it));
        names.map(|name| name.trim_matches(['{', '}']))
    }

    /// The path with `parameters` in place of its `{name}`s, percent-encoded. A parameter too few is
    /// left empty.
    #[must_use]
    pub fn path_with(&self, parameters: &[&str]) -> String {
        let mut parameters = parameters.iter();
        let mut path = String::with_capacity(96);
        for segment in self.path.split('/').skip(1) {
            path.push('/');
            if is_parameter(segment) {
                let value = parameters.next().copied().unwrap_or("");
                path.extend(utf8_percent_encode(value, SEGMENT));
            } else {
                path.push_str(segment);
            }
        }
        path
    }

    /// The decoded parameters when `path` (below the base, without query) is this row's.
    #[must_use]
    pub fn matches(&self, path: &str) -> Option<Vec<String>> {
        let mut parameters = Vec::new();
        let mut wanted = self.path.split('/');
        let mut given = path.split('/');
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return Some(parameters),
                (Some(wanted), Some(given)) if is_parameter(wanted) && !given.is_empty() => {
                    parameters.push(percent_decode_str(given).decode_utf8().ok()?.into_owned());
                }
                (Some(wanted), Some(given)) if wanted == given => {}
                _ => return None,
            }
        }
    }
}

/// Looks a request up: the first row whose path and method fit. Where the body's type decides, ask
/// [`find_for`].
#[must_use]
pub fn find(method: &Method, path: &str) -> Found {
    find_where(method, path, |_| true)
}

/// As [`find`], where a request with this `Content-Type` has its own row: a form is told from JSON, and
/// both from a tus creation.
#[must_use]
pub fn find_for(method: &Method, path: &str, content_type: Option<&str>) -> Found {
    let essence = content_type.unwrap_or("").split(';').next().unwrap_or("");
    let is_form = essence.trim().eq_ignore_ascii_case("multipart/form-data");
    match find_where(method, path, |row| {
        (row.carries == Carries::Form) == is_form
    }) {
        // The one row there is, whatever it carries: whoever answers says what is wrong with it.
        Found::MethodNotAllowed => find(method, path),
        found => found,
    }
}

fn find_where(method: &Method, path: &str, fits: impl Fn(&Endpoint) -> bool) -> Found {
    let mut path_is_known = false;
    for row in TABLE {
        if let Some(parameters) = row.matches(path) {
            if row.method == *method && fits(row) {
                return Found::Endpoint(row, parameters);
            }
            path_is_known = true;
        }
    }
    if path_is_known {
        Found::MethodNotAllowed
    } else {
        Found::NotFound
    }
}

fn is_parameter(segment: &str) -> bool {
    segment.starts_with('{')
}

/// Everything but RFC 3986's unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_found_by_what_it_builds() {
        for row in TABLE {
            let values = ["acc", "a/b c%", "é"];
            let count = row.parameters().count();
            let path = row.path_with(&values);
            let content_type = match row.carries {
                Carries::Form => Some("Multipart/Form-Data; boundary=x"),
                Carries::Json => Some("application/json"),
                Carries::Nothing | Carries::Tus => None,
            };
            let Found::Endpoint(found, parameters) = find_for(&row.method, &path, content_type)
            else {
                panic!("{path}")
            };
            assert_eq!(found.op, row.op);
            assert_eq!(parameters, values[..count]);
        }
    }

    #[test]
    fn each_operation_has_one_row_and_each_row_its_own_id() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.op.endpoint().id, row.id);
            assert_eq!(by_id(row.id).unwrap().op, row.op);
            assert!(TABLE[..index].iter().all(|other| other.id != row.id));
            let same = |it: &&Endpoint| (&it.method, it.path) == (&row.method, row.path);
            let bodies = TABLE.iter().filter(same).map(|it| it.carries);
            let form = |it| usize::from(it == Carries::Form);
            let (count, forms) =
                bodies.fold((0, 0), |(all, forms), it| (all + 1, forms + form(it)));
            assert!(count == 1 || (count == 2 && forms == 1), "{}", row.id);
        }
        for row in UPLOAD_TABLE {
            assert_eq!(row.op.endpoint().id, row.id);
        }
    }

    #[test]
    fn nothing_that_makes_a_new_thing_is_repeatable() {
        for row in TABLE {
            let makes = row.id.ends_with(".create") || row.id.contains(".create_");
            // A token is nothing that is kept, and a download is there once.
            let is_kept = !row.id.starts_with("token.") && !row.id.starts_with("downloads.");
            assert!(!(row.is_repeatable() && makes && is_kept), "{}", row.id);
            assert!(
                row.is_repeatable() || row.method == Method::POST,
                "{}",
                row.id
            );
        }
    }

    #[test]
    fn a_form_is_told_from_a_tus_creation_and_a_lone_row_takes_any_body() {
        let op = |method, path, content_type| match find_for(&method, path, content_type) {
            Found::Endpoint(row, _) => Some(row.op),
            _ => None,
        };
        let form = Some("multipart/form-data; boundary=b");
        let videos = "/accounts/a/stream";
        assert_eq!(op(Method::POST, videos, form), Some(Op::VideosCreateForm));
        assert_eq!(op(Method::POST, videos, None), Some(Op::VideosCreateTus));
        let copy = "/accounts/a/stream/copy";
        assert_eq!(
            op(Method::POST, copy, Some("text/plain")),
            Some(Op::CopyCreate)
        );
        let captions = "/accounts/a/stream/v/captions/en";
        assert_eq!(op(Method::PUT, captions, None), Some(Op::CaptionsPut));
    }

    #[test]
    fn a_known_path_with_a_strange_method_is_told_apart_from_an_unknown_path() {
        let put = find(&Method::PUT, "/accounts/a/stream");
        assert!(matches!(put, Found::MethodNotAllowed));
        for path in [
            "/accounts/a",
            "/accounts//stream",
            "/accounts/a/stream/",
            "/",
            "",
        ] {
            assert!(
                matches!(find(&Method::GET, path), Found::NotFound),
                "{path:?}"
            );
        }
    }
}
