//! One request from head to answer: log, faults, host, token, and then to whoever does it.

use std::fmt;
use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_TYPE, EXPECT, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, StatusCode};
use http_transport::Body;
use stream_api::code;
use tus_core::Meaning;
use tus_core::server::requested_method;

use crate::answer::{self, Answer};
use crate::body::Received;
use crate::conn::{Connection, InRequest};
use crate::fault::{self, Fault, Subject};
use crate::guard;
use crate::limits::Passed;
use crate::live;
use crate::log::Pending;
use crate::op::{self, Call};
use crate::own;
use crate::page;
use crate::playback;
use crate::route::Route;
use crate::server::Shared;
use crate::tus::{self, Outcome};
use crate::upload::{Place, Upload};

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
    let mut pending = Pending::new(Arc::clone(&shared.log), &head, shared.clock.now());
    let head = Request::from_parts(head, ());
    let content_type = head.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|it| it.to_str().ok());
    let route = Route::of(head.method(), head.uri().path(), content_type);
    shared.sweep().await;
    let upload = upload_of(shared, &route);
    if let Some(upload) = &upload {
        pending.is_for(upload.blob_id());
    }
    let fault = planned(shared, &route, &head, upload.as_deref());
    if let Some(fault) = &fault {
        pending.suffered(format!("{fault:?}"));
    }
    let body_fault = fault::body_fault(fault.as_ref());
    let body = Received::new(body, pending.body_bytes(), body_fault, Some(in_request));
    let mut body = Some(Body::wrap(body));

    let refused = match &fault {
        Some(fault) => fault::before(fault, shared, upload.as_ref(), connection).await,
        None => None,
    };
    let outcome = match refused {
        Some(Err(Cut)) => return Err(Cut),
        Some(outcome) => outcome,
        None => dispatch(shared, &route, upload, &head, &mut body).await,
    };
    if let Ok(answer) = &outcome {
        pending.made(answer);
    }
    // A body that nobody wanted is read and thrown away, so that a client that is still sending
    // reads the answer instead of a reset. One that waits to be asked is not asked.
    if let Some(body) = body.take()
        && !head.headers().contains_key(EXPECT)
    {
        shared.drain(body);
    }
    let outcome = match &fault {
        Some(fault) => fault::after(fault, outcome, shared, connection).await,
        None => outcome,
    };
    let mut answer = outcome?;
    // hyper hides a length that stood beside a coding. Whoever reads such a request otherwise would
    // see a second one in its body: none is served after it (F78).
    if head.headers().contains_key(TRANSFER_ENCODING) {
        answer
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    pending.answered(answer.status());
    Ok(answer)
}

/// The upload that a URL leads to. No other kind of URL leads to it.
fn upload_of(shared: &Shared, route: &Route) -> Option<Arc<Upload>> {
    let key = match route {
        Route::Upload { key } => key,
        Route::OneTime { secret } | Route::Form { secret } => secret,
        Route::Media { uid, .. } => uid,
        _ => return None,
    };
    shared.uploads.get(key).filter(|upload| match route {
        Route::Upload { .. } => upload.place == Place::Files,
        Route::OneTime { .. } => matches!(upload.place, Place::Direct { .. }),
        Route::Form { .. } => matches!(upload.place, Place::Form { .. }),
        Route::Media { account, .. } => {
            matches!(&upload.place, Place::Media { account: owner, .. } if owner == account)
        }
        _ => false,
    })
}

/// The fault of this request, if the plan has one.
fn planned(
    shared: &Shared,
    route: &Route,
    head: &Request<()>,
    upload: Option<&Upload>,
) -> Option<Fault> {
    let uri = head.uri();
    let named = match route {
        // What is done to a video by the API is about its upload as well.
        Route::Api(_, parameters) => parameters.get(1).map(String::as_str),
        _ => None,
    };
    shared.faults.take(&Subject {
        method: head.method(),
        target: route.fault_target(head.method())?,
        path: uri.path_and_query().map_or("", |path| path.as_str()),
        upload: upload.map(Upload::blob_id).or(named),
        headers: head.headers(),
    })
}

/// Counts a request to Stream against the limits; what is returned beside says so in the answer.
fn admit<'a>(
    shared: &'a Shared,
    route: &Route,
    head: &Request<()>,
) -> Result<(Option<Passed<'a>>, HeaderMap), Box<Answer>> {
    let limits = shared.limits();
    let is_upload = match route {
        Route::Api(..) | Route::ApiMethod | Route::ApiUnknown => false,
        Route::Media { .. } | Route::OneTime { .. } | Route::Form { .. } => true,
        _ => return Ok((None, HeaderMap::new())),
    };
    let headers = if !is_upload || shared.hypotheses().uploads_are_rated {
        let address = playback::viewer_address(head);
        shared.gate.count(&limits, address, shared.clock.now())?
    } else {
        HeaderMap::new()
    };
    Ok((Some(shared.gate.pass(&limits)?), headers))
}

async fn dispatch(
    shared: &Arc<Shared>,
    route: &Route,
    upload: Option<Arc<Upload>>,
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
    let (_passed, rate) = match admit(shared, route, head) {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(*refusal),
    };
    let mut answer = match route {
        Route::Page => page::answer(head, &page::INDEX),
        Route::Asset(asset) => page::answer(head, asset),
        Route::Play { who, what } => playback::answer(shared, who, what, head, &base).await,
        Route::Live { key } => live::answer(shared, key, head, body).await?,
        Route::Form { .. } if head.method() != Method::POST => {
            answer::refused_by_stream(&Meaning::MethodNotAllowed.into())
        }
        Route::Form { .. } => op::form_upload::at_one_time_url(shared, upload, head, body).await,
        Route::Files => tus::on_creation_url(shared, head, body, &base).await?,
        Route::Upload { .. } | Route::OneTime { .. } | Route::Media { .. } => {
            tus::on_upload_url(shared, upload, head, body).await?
        }
        Route::Api(operation, parameters) => {
            let call = Call::new(shared, *operation, parameters, head, body, &base);
            let answer = op::answer(call).await?;
            shared.quirks().applied(*operation, answer)
        }
        Route::Own(own) => own::answer(shared, own, head, body, &base).await,
        Route::ApiMethod => answer::failure(
            StatusCode::METHOD_NOT_ALLOWED,
            code::BAD_REQUEST,
            "the method is not allowed here",
        ),
        Route::ApiUnknown => answer::not_found(),
        Route::Unknown => answer::refused(&Meaning::NotFound.into()),
    };
    answer.headers_mut().extend(rate);
    Ok(answer)
}
