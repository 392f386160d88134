//! One request from head to answer: log, faults, host, token, and then to whoever does it.

use std::fmt;
use std::sync::Arc;

use http::header::{CONNECTION, EXPECT, HeaderValue, RETRY_AFTER, TRANSFER_ENCODING};
use http::{Method, Request, StatusCode};
use http_transport::Body;
use stream_api::{Op, code};
use tus_core::Meaning;
use tus_core::server::requested_method;

use crate::answer::{self, Answer};
use crate::conn::{BodyEnd, Connection, InRequest, Received};
use crate::fault::Fault;
use crate::guard;
use crate::log::Pending;
use crate::op;
use crate::route::Route;
use crate::server::Shared;
use crate::stream_path;
use crate::tus::{self, Outcome};
use crate::upload::Place;

/// No answer: the connection closes.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection is closed without an answer")
    }
}

impl std::error::Error for Cut {}

/// Answers one request, or closes the connection.
pub(crate) async fn handle(
    shared: &Arc<Shared>,
    request: Request<Body>,
    connection: &Arc<Connection>,
    in_request: InRequest,
) -> Outcome {
    let (head, body) = request.into_parts();
    let mut pending = Pending::new(Arc::clone(&shared.log), &head);
    let route = Route::of(&head.method, head.uri.path());
    let fault = route
        .fault_target(&head.method)
        .and_then(|target| shared.faults.take(&head.method, target));
    if let Some(fault) = &fault {
        pending.suffered(format!("{fault:?}"));
    }
    let end = match fault {
        Some(Fault::CutBody { after_bytes }) => BodyEnd::Cut(after_bytes),
        Some(Fault::StallBody { after_bytes }) => BodyEnd::Stall(after_bytes),
        _ => BodyEnd::Never,
    };
    let body = Received::new(body, pending.body_bytes(), end, Some(in_request));
    let mut body = Some(Body::wrap(body));
    let head = Request::from_parts(head, ());

    let outcome = match fault {
        Some(Fault::Reset) => {
            connection.reset();
            return Err(Cut);
        }
        Some(Fault::Status {
            status,
            retry_after,
        }) => {
            let mut answer = answer::text(status, "by the fault plan\n");
            if let Some(wait) = retry_after {
                answer
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from(wait.as_secs()));
            }
            Ok(answer)
        }
        _ => dispatch(shared, route, &head, &mut body).await,
    };
    // A body that nobody wanted is read and thrown away, so that a client that is still sending
    // reads the answer instead of a reset. One that waits to be asked is not asked.
    if let Some(body) = body.take()
        && !head.headers().contains_key(EXPECT)
    {
        shared.drain(body);
    }
    match fault {
        Some(Fault::LoseAnswer | Fault::CutBody { .. }) => Err(Cut),
        Some(Fault::StallAnswer) => {
            shared.stop_connections.cancelled().await;
            Err(Cut)
        }
        _ => {
            let mut answer = outcome?;
            // hyper hides a length that stood beside a coding. Whoever reads such a request
            // otherwise would see a second one in its body: none is served after it (F78).
            if head.headers().contains_key(TRANSFER_ENCODING) {
                answer
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            pending.answered(answer.status());
            Ok(answer)
        }
    }
}

async fn dispatch(
    shared: &Arc<Shared>,
    route: Route,
    head: &Request<()>,
    body: &mut Option<Body>,
) -> Outcome {
    let headers = head.headers();
    let host = match guard::check_host(headers, &shared.options) {
        Ok(host) => host,
        Err((status, text)) => return Ok(answer::text(status, text)),
    };
    let base = format!("http://{host}");
    // OPTIONS says nothing that is secret, and is asked before anything else. By the method that
    // counts: an OPTIONS may be a POST in disguise (G-13).
    let asks_options = requested_method(head).is_ok_and(|method| method == Method::OPTIONS);
    let token_is_needed = match route {
        Route::Files => shared.options.tus_token && !asks_options,
        Route::Media { .. } => !asks_options,
        _ => route.needs_token(),
    };
    if token_is_needed && let Err(refusal) = guard::check_token(headers, &shared.options.token) {
        return Ok(refusal.answer());
    }
    Ok(match route {
        Route::Page => answer::text(StatusCode::OK, page(&base)),
        Route::Files => return tus::on_creation_url(shared, head, body, &base).await,
        Route::Upload { key } => {
            let is_direct = head.uri().path().starts_with("/tus/");
            let upload = shared
                .uploads
                .get(&key)
                .filter(|upload| match upload.place {
                    Place::Files => !is_direct,
                    Place::Direct { .. } => is_direct,
                    Place::Media { .. } => false,
                });
            return tus::on_upload_url(shared, upload, head, body).await;
        }
        Route::Media { account, uid } => {
            let wanted = Place::Media {
                account,
                uid: uid.clone(),
            };
            let upload = shared
                .uploads
                .get(&uid)
                .filter(|upload| upload.place == wanted);
            return tus::on_upload_url(shared, upload, head, body).await;
        }
        Route::Api(operation, parameters) => {
            let account = parameters.first().map_or("", String::as_str);
            let uid = parameters.get(1).map_or("", String::as_str);
            match operation {
                Op::VideosCreateTus => {
                    return stream_path::create(shared, account, head, body, &base).await;
                }
                Op::VideosList => op::list::list(shared, account, head.uri().query(), &base),
                Op::VideosGet => op::videos::get(shared, account, uid, &base),
                Op::VideosEdit => op::edit::edit(shared, account, uid, body, &base).await,
                Op::VideosDelete => op::videos::delete(shared, account, uid).await,
                _ => answer::failure(
                    StatusCode::NOT_IMPLEMENTED,
                    code::BAD_REQUEST,
                    "the emulator has no such operation yet",
                ),
            }
        }
        Route::Requests if head.method() == Method::GET => {
            answer::json(StatusCode::OK, &shared.log.records())
        }
        Route::Original { id } if head.method() == Method::GET => original(shared, &id).await,
        Route::Requests | Route::Original { .. } => {
            answer::refused(&Meaning::MethodNotAllowed.into())
        }
        Route::ApiMethod => answer::failure(
            StatusCode::METHOD_NOT_ALLOWED,
            code::BAD_REQUEST,
            "the method is not allowed here",
        ),
        Route::ApiUnknown => answer::not_found(),
        Route::Unknown => answer::refused(&Meaning::NotFound.into()),
    })
}

/// The bytes of a video or of a generic upload.
async fn original(shared: &Arc<Shared>, id: &str) -> Answer {
    let Some(upload) = shared.uploads.by_blob_id(id) else {
        return answer::refused(&Meaning::NotFound.into());
    };
    let blob = upload.blob().await;
    match tokio::task::spawn_blocking(move || blob.read()).await {
        Ok(Ok(Some(bytes))) => Answer::new(Body::from(bytes)),
        Ok(Ok(None)) => answer::text(StatusCode::NOT_FOUND, "only the digest is kept\n"),
        _ => answer::refused(&Meaning::Internal.into()),
    }
}

fn page(base: &str) -> String {
    format!("stream-upload emulator: the API is at {base}/client/v4, tus at {base}/files/\n")
}
