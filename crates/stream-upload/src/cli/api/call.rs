//! [`Call`]: one operation, what is sent, and how its answer is shown.

use std::collections::HashSet;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::Value;
use stream_api::bounds::LISTED_VIDEOS;
use stream_api::endpoints::Answers;
use stream_api::op::tus_upload::NewTusUpload;
use stream_api::{Error, Op, StreamClient};

use super::account::{AccountArgs, Session};
use super::fail::failed;
use super::file::FileForm;
use super::secret::{self, OutFile};
use super::show::Show;
use super::verbs::verb_of;
use crate::cli::console::Console;
use crate::cli::exit::{CliError, Code};

/// What was typed, and the operation that it means.
pub(crate) trait Verb {
    /// The operation. May ask the account first, as an edit does that keeps what it does not name.
    async fn call(self, client: &StreamClient) -> Result<Call, CliError>;
}

/// One operation, ready to be done.
pub(crate) struct Call {
    pub(super) op: Op,
    ids: Vec<String>,
    query: Vec<(&'static str, String)>,
    payload: Payload,
    show: Show,
    done: Option<String>,
    secret: Option<Purpose>,
    out: Option<PathBuf>,
}

/// What is sent.
enum Payload {
    Form(FileForm),
    Json(Value),
    Nothing,
    /// Nothing, and again for what is older, until there is no more.
    Pages,
    Tus(Box<NewTusUpload>),
}

/// The operation is for a secret.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    /// The whole answer, as JSON, goes into a file.
    Answer,
    /// One text of the answer does.
    Text(&'static str),
}

impl Call {
    pub(super) fn new<I: Into<String>>(
        op: Op,
        ids: impl IntoIterator<Item = I>,
        show: Show,
    ) -> Self {
        Self {
            op,
            ids: ids.into_iter().map(Into::into).collect(),
            query: Vec::new(),
            payload: Payload::Nothing,
            show,
            done: None,
            secret: None,
            out: None,
        }
    }

    pub(super) fn query(self, query: Vec<(&'static str, String)>) -> Self {
        Self { query, ..self }
    }

    pub(super) fn json(self, body: &impl Serialize) -> Result<Self, CliError> {
        let body = serde_json::to_value(body)
            .map_err(|error| CliError::usage(format!("{}: {error}", verb_of(self.op))))?;
        let payload = Payload::Json(body);
        Ok(Self { payload, ..self })
    }

    pub(super) fn form(self, form: FileForm) -> Self {
        let payload = Payload::Form(form);
        Self { payload, ..self }
    }

    pub(super) fn tus(self, upload: NewTusUpload) -> Self {
        let payload = Payload::Tus(Box::new(upload));
        Self { payload, ..self }
    }

    /// All that there is, however many answers that takes.
    pub(super) fn all_pages(self) -> Self {
        let payload = Payload::Pages;
        Self { payload, ..self }
    }

    /// What people are told once it is done.
    pub(super) fn done(self, text: impl Into<String>) -> Self {
        let done = Some(text.into());
        Self { done, ..self }
    }

    /// It is for a secret, which is printed, or written into `out`.
    pub(super) fn secret(self, purpose: Purpose, out: Option<PathBuf>) -> Self {
        let secret = Some(purpose);
        Self {
            secret,
            out,
            ..self
        }
    }

    /// Does it; what is answered is the result as it was sent, a text of HTML or WebVTT as a string.
    async fn send(
        op: Op,
        ids: &[String],
        query: &[(&str, String)],
        payload: Payload,
        client: &StreamClient,
    ) -> Result<Value, Error> {
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        let envelope = match payload {
            Payload::Tus(upload) => {
                let made = client.create_tus_upload(&upload).await?;
                return Ok(serde_json::json!({
                    "uid": made.media_id,
                    "uploadURL": made.upload_url.expose(),
                }));
            }
            Payload::Form(form) => {
                client
                    .call_form_by::<Value, _>(op, &ids, || form.make())
                    .await?
            }
            Payload::Json(body) => client.call(op, &ids, query, Some(&body)).await?,
            Payload::Pages => return all_pages(op, query, client).await,
            Payload::Nothing if matches!(op.endpoint().answers, Answers::Html | Answers::Vtt) => {
                return Ok(client.call_text(op, &ids).await?.into());
            }
            Payload::Nothing => client.call(op, &ids, query, None).await?,
        };
        Ok(envelope.result.unwrap_or_default())
    }
}

/// One answer has so many elements at most. The next begins with what was created as late as the last one of the answer before,
/// or earlier; what was seen is left out.
async fn all_pages(
    op: Op,
    query: &[(&str, String)],
    client: &StreamClient,
) -> Result<Value, Error> {
    let mut query = query.to_vec();
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    loop {
        let envelope = client.call::<Value>(op, &[], &query, None).await?;
        let Some(Value::Array(page)) = envelope.result else {
            break;
        };
        let is_full = page.len() >= LISTED_VIDEOS as usize;
        let last = page.last().and_then(|last| last["created"].as_str());
        let next = last
            .and_then(|created| created.parse::<Timestamp>().ok())
            .and_then(|created| created.checked_add(SignedDuration::from_micros(1)).ok());
        let before = all.len();
        all.extend(page.into_iter().filter(|element| {
            let uid = element["uid"].as_str().unwrap_or_default();
            seen.insert(uid.to_owned())
        }));
        let Some(next) = next.filter(|_| is_full && all.len() > before) else {
            break;
        };
        query.retain(|(name, _)| *name != "before");
        query.push(("before", next.to_string()));
    }
    Ok(all.into())
}

/// Does what was typed, and shows what was answered.
pub(super) async fn perform(
    verb: impl Verb,
    session: &Session,
    args: &AccountArgs,
    console: &Console,
) -> Result<Code, CliError> {
    let Call {
        op,
        ids,
        query,
        payload,
        show,
        done,
        secret,
        out,
    } = verb.call(&session.client).await?;
    // Before the secret is made: one that finds no place is lost.
    let out = out.as_deref().map(OutFile::create).transpose()?;
    let result = Call::send(op, &ids, &query, payload, &session.client).await;
    let mut result = result.map_err(|error| failed(op, &error))?;
    show_result(
        &mut result,
        show,
        secret.zip(out),
        secret.is_some(),
        args,
        console,
    )?;
    if let Some(done) = done {
        console.note(done);
    }
    Ok(Code::Done)
}

/// Shows what was answered. A secret that it is for goes into its file, if there is one.
pub(super) fn show_result(
    result: &mut Value,
    show: Show,
    out: Option<(Purpose, OutFile)>,
    is_secret: bool,
    args: &AccountArgs,
    console: &Console,
) -> Result<(), CliError> {
    let mut reveal = args.show_secrets || is_secret;
    if let Some((purpose, out)) = out {
        let text = match purpose {
            Purpose::Answer => result.to_string(),
            Purpose::Text(at) => result
                .pointer(at)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        };
        console.note(format_args!(
            "the secret is in {}",
            out.write(&text)?.display()
        ));
        reveal = args.show_secrets;
    }
    if !reveal {
        secret::hide(result);
    }
    if args.json {
        console.value(result);
    } else {
        show.print(result, console);
    }
    Ok(())
}
