//! The table of operations: client, emulator, tests and documentation read it.
//!
//! Paths are relative to the API's base, such as `https://api.cloudflare.com/client/v4`. To add an
//! operation, add a variant to [`Op`] and a row to [`TABLE`].

use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// One operation of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Op {
    /// Lists videos.
    VideosList,
    /// Creates a video that is uploaded by tus.
    VideosCreateTus,
    /// Reads one video.
    VideosGet,
    /// Edits one video. POST, not PATCH.
    VideosEdit,
    /// Deletes one video.
    VideosDelete,
}

/// One row of the table.
#[derive(Debug)]
pub struct Endpoint {
    /// The operation.
    pub op: Op,
    /// Its name in logs, tests and documentation: `group.verb`.
    pub id: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path below the API's base; `{name}` stands for one segment.
    pub path: &'static str,
    /// Where Cloudflare describes it.
    pub doc: &'static str,
}

const fn row(
    op: Op,
    id: &'static str,
    method: Method,
    path: &'static str,
    doc: &'static str,
) -> Endpoint {
    Endpoint {
        op,
        id,
        method,
        path,
        doc,
    }
}

const LIST: &str = "https://developers.cloudflare.com/api/resources/stream/methods/list/";
const CREATE: &str = "https://developers.cloudflare.com/stream/uploading-videos/resumable-uploads/";
const GET: &str = "https://developers.cloudflare.com/api/resources/stream/methods/get/";
const EDIT: &str = "https://developers.cloudflare.com/api/resources/stream/methods/edit/";
const DELETE: &str = "https://developers.cloudflare.com/api/resources/stream/methods/delete/";

const VIDEOS: &str = "/accounts/{account_id}/stream";
const VIDEO: &str = "/accounts/{account_id}/stream/{identifier}";

/// The table. A path with fixed segments stands before one that has a parameter in their place.
#[rustfmt::skip]
pub static TABLE: &[Endpoint] = &[
    row(Op::VideosList,      "videos.list",       Method::GET,    VIDEOS, LIST),
    row(Op::VideosCreateTus, "videos.create_tus", Method::POST,   VIDEOS, CREATE),
    row(Op::VideosGet,       "videos.get",        Method::GET,    VIDEO,  GET),
    row(Op::VideosEdit,      "videos.edit",       Method::POST,   VIDEO,  EDIT),
    row(Op::VideosDelete,    "videos.delete",     Method::DELETE, VIDEO,  DELETE),
];

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

impl Endpoint {
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

/// Looks a request up: the first row whose path and method fit.
#[must_use]
pub fn find(method: &Method, path: &str) -> Found {
    let mut path_is_known = false;
    for row in TABLE {
        if let Some(parameters) = row.matches(path) {
            if row.method == *method {
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
            let path = row.path_with(&["acc", "a/b c%"]);
            let Found::Endpoint(found, parameters) = find(&row.method, &path) else {
                panic!("{path}")
            };
            assert_eq!(found.op, row.op);
            assert_eq!(row.op.endpoint().id, row.id);
            assert_eq!(parameters[0], "acc");
            assert!(parameters.get(1).is_none_or(|id| id == "a/b c%"));
        }
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
