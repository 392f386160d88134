//! From a path to what it means.

use http::Method;
use stream_api::endpoints::{self, Found, Op};

use crate::fault::FaultTarget;
use crate::id;
use crate::own::Own;
use crate::page::{self, Asset};
use crate::playback::{self, Playable};

/// Where the API's base is.
pub(crate) const API: &str = "/client/v4";

/// What a request is for. Ids are valid, and keys of uploads need not exist.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/`
    Page,
    /// `/files/`
    Files,
    /// `/files/{key}`
    Upload { key: String },
    /// `/tus/{secret}`
    OneTime { secret: String },
    /// `/upload/{secret}`
    Form { secret: String },
    /// `/live/{stream key}`
    Live { key: String },
    /// `/{uid or token}/…`
    Play { who: String, what: Playable },
    /// `/page/{name}`: a file that the page loads.
    Asset(&'static Asset),
    /// `/client/v4/accounts/{account}/media/{uid}`
    Media { account: String, uid: String },
    /// A row of the endpoint table, the account first among its parameters.
    Api(Op, Vec<String>),
    /// `/_emulator/…`
    Own(Own),
    /// A path of the API, but not with this method.
    ApiMethod,
    /// Nothing below the API's base.
    ApiUnknown,
    /// Nothing at all.
    Unknown,
}

impl Route {
    /// The body's type tells two operations apart that share method and path.
    pub(crate) fn of(method: &Method, path: &str, content_type: Option<&str>) -> Self {
        if let Some(path) = path.strip_prefix(API) {
            return Self::of_api(method, path, content_type);
        }
        match path {
            "/" => return Self::Page,
            "/files" | "/files/" => return Self::Files,
            "/_emulator/clock" => return Self::Own(Own::Clock),
            "/_emulator/faults" => return Self::Own(Own::Faults),
            "/_emulator/requests" => return Self::Own(Own::Requests),
            "/_emulator/state" => return Self::Own(Own::State),
            "/_emulator/uploads" => return Self::Own(Own::Uploads),
            "/_emulator/videos" => return Self::Own(Own::Videos),
            _ => {}
        }
        let of_id = |id: &str, route: fn(String) -> Self| {
            if id::is_valid(id) {
                route(id.to_owned())
            } else {
                Self::Unknown
            }
        };
        if let Some(key) = path.strip_prefix("/files/") {
            return of_id(key, |key| Self::Upload { key });
        }
        if let Some(secret) = path.strip_prefix("/tus/") {
            return of_id(secret, |secret| Self::OneTime { secret });
        }
        if let Some(secret) = path.strip_prefix("/upload/") {
            return of_id(secret, |secret| Self::Form { secret });
        }
        if let Some(key) = path.strip_prefix("/live/") {
            return of_id(key, |key| Self::Live { key });
        }
        if let Some(asset) = path.strip_prefix("/page/").and_then(page::asset) {
            return Self::Asset(asset);
        }
        if let Some(id) = path.strip_prefix("/_emulator/originals/") {
            return of_id(id, |id| Self::Own(Own::Original { id }));
        }
        playback::route(path).map_or(Self::Unknown, |(who, what)| Self::Play { who, what })
    }

    fn of_api(method: &Method, path: &str, content_type: Option<&str>) -> Self {
        let segments: Vec<_> = path.split('/').collect();
        if let ["", "accounts", account, "media", uid] = segments[..] {
            return if id::is_valid(uid) && !account.is_empty() {
                Self::Media {
                    account: account.to_owned(),
                    uid: uid.to_owned(),
                }
            } else {
                Self::ApiUnknown
            };
        }
        match endpoints::find_for(method, path, content_type) {
            // An account id comes back in URLs: nothing in it may need encoding.
            Found::Endpoint(_, parameters) if !parameters.iter().all(|it| is_plain(it)) => {
                Self::ApiUnknown
            }
            Found::Endpoint(endpoint, parameters) => Self::Api(endpoint.op, parameters),
            Found::MethodNotAllowed => Self::ApiMethod,
            Found::NotFound => Self::ApiUnknown,
        }
    }

    /// Whether the token is needed.
    pub(crate) fn needs_token(&self) -> bool {
        match self {
            Self::Page
            | Self::Asset(_)
            | Self::Files
            | Self::Form { .. }
            | Self::Live { .. }
            | Self::Play { .. }
            | Self::Upload { .. }
            | Self::OneTime { .. }
            | Self::Unknown => false,
            Self::Media { .. }
            | Self::Api(..)
            | Self::ApiMethod
            | Self::ApiUnknown
            | Self::Own(_) => true,
        }
    }

    /// What a fault rule calls it; `None` for what faults never touch.
    pub(crate) fn fault_target(&self, method: &Method) -> Option<FaultTarget> {
        match self {
            Self::Files | Self::Api(Op::VideosCreateTus, _) if method == Method::POST => {
                Some(FaultTarget::Creation)
            }
            Self::Upload { .. } | Self::OneTime { .. } | Self::Form { .. } | Self::Media { .. } => {
                Some(FaultTarget::Upload)
            }
            Self::Api(..) | Self::ApiMethod | Self::ApiUnknown => Some(FaultTarget::Api),
            Self::Own(_) => None,
            Self::Page | Self::Asset(_) => None,
            Self::Files | Self::Live { .. } | Self::Play { .. } | Self::Unknown => {
                Some(FaultTarget::Any)
            }
        }
    }
}

fn is_plain(parameter: &str) -> bool {
    parameter.len() <= 64
        && parameter
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use stream_api::endpoints::Carries;

    use super::*;

    #[test]
    fn ids_that_could_leave_the_directory_lead_nowhere() {
        for path in [
            "/files/..",
            "/files/../../../../etc/passwd",
            "/files/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc",
            "/files/aaaaaaaaaaaaaaaa%00",
            "/files/aaaaaaaaaaaaaaaa/bbbb",
            "/tus/C:\\aaaaaaaaaaaaaaaaaaa",
            "/_emulator/originals/..%2f..%2fsecretsecret",
        ] {
            assert_eq!(
                Route::of(&Method::HEAD, path, None),
                Route::Unknown,
                "{path}"
            );
        }
        for path in [
            "/client/v4/accounts/a/media/..",
            "/client/v4/accounts/a%2fb/stream",
        ] {
            assert_eq!(
                Route::of(&Method::GET, path, None),
                Route::ApiUnknown,
                "{path}"
            );
        }
    }

    #[test]
    fn every_row_of_the_table_is_routed() {
        for row in endpoints::TABLE {
            let path = format!("{API}{}", row.path_with(&["acc", "v1", "w1"]));
            let form = "multipart/form-data; boundary=b";
            let content_type = (row.carries == Carries::Form).then_some(form);
            let route = Route::of(&row.method, &path, content_type);
            assert!(matches!(route, Route::Api(op, _) if op == row.op));
        }
    }
}
