//! Each operation of the table through its method: what is sent, against `vectors/operations.json`, and that
//! what is answered is read.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says so by failing"
)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, LOCATION};
use http::{Request, Response, StatusCode};
use http_transport::{Body, BoxFuture, Credentials, Origin, Transport, TransportError};
use serde_json::Value;
use stream_api::endpoints::{TABLE, UPLOAD_TABLE};
use stream_api::op::audio::{AudioEdit, NewAudioTrack};
use stream_api::op::captions::Language;
use stream_api::op::clip::NewClip;
use stream_api::op::copy::NewCopy;
use stream_api::op::direct_upload::NewDirectUpload;
use stream_api::op::downloads::DownloadType;
use stream_api::op::live_inputs::{
    DeleteRecording, LiveInputSettings, RecordingMode, RecordingSettings,
};
use stream_api::op::outputs::{NewOutput, OutputEdit};
use stream_api::op::tokens::{Access, AccessRule, TokenRequest};
use stream_api::op::tus_upload::NewTusUpload;
use stream_api::op::watermarks::{NewWatermark, Position, WatermarkSettings};
use stream_api::op::webhook::SetWebhook;
use stream_api::{
    Error, FormFile, ListVideos, ScheduledDeletion, Secret, SourceUrl, StreamClient, UploadUrl,
    VideoEdit, VideoState,
};

/// What a request was, whole.
struct Sent {
    method: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
    body: String,
}

/// Keeps what is sent, and answers what it was told to.
#[derive(Default)]
struct Recorder {
    sent: Mutex<Vec<Sent>>,
    answer: Mutex<(HeaderMap, String)>,
}

impl Transport for Recorder {
    fn send(
        &self,
        request: Request<Body>,
    ) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect(1 << 20).await?;
            self.sent.lock().unwrap().push(Sent {
                method: head.method.to_string(),
                path: head.uri.path().to_owned(),
                query: head.uri.query().map(str::to_owned),
                headers: head.headers,
                body: String::from_utf8(body.to_vec()).unwrap(),
            });
            let (headers, text) = self.answer.lock().unwrap().clone();
            let mut answer = Response::new(Body::from(text));
            *answer.headers_mut() = headers;
            Ok(answer)
        })
    }
}

fn client(recorder: &Arc<Recorder>) -> StreamClient {
    let base = "https://api.example/client/v4";
    let credentials = Credentials::bearer(&"token".into(), Origin::parse(base).unwrap()).unwrap();
    StreamClient::new(Arc::<Recorder>::clone(recorder), base, "acc", credentials).unwrap()
}

fn url(text: &str) -> SourceUrl {
    SourceUrl::parse(text).unwrap()
}

fn file() -> FormFile {
    FormFile::new("a.bin", "content").with_content_type("application/x-test")
}

/// Calls the method of an operation as its vector has it.
async fn call(client: &StreamClient, id: &str) -> Result<(), Error> {
    let en = Language::parse("en").unwrap();
    match id {
        "videos.list" => {
            let mut filter = ListVideos::default();
            filter.creator = Some("me".into());
            filter.include_counts = true;
            filter.status = Some(VideoState::Ready);
            let page = client.list_videos(&filter).await?;
            assert_eq!((page.videos.len(), page.total), (1, Some(1)));
        }
        "videos.create_tus" => {
            let mut upload = NewTusUpload::new(7);
            upload.direct_user = true;
            upload.max_duration_seconds = Some(60);
            upload.video.creator = Some("me".into());
            upload.video = upload.video.with_name("a");
            let made = client.create_tus_upload(&upload).await?;
            assert!(made.upload_url.expose().ends_with("?tusv2=true"));
            assert_eq!(made.media_id.as_deref(), Some("n1"));
        }
        "videos.create_form" => drop(client.upload_form(file()).await?),
        "videos.storage_usage" => {
            let usage = client.storage_usage(Some("me")).await?;
            assert_eq!(usage.total_storage_minutes, Some(12.5));
        }
        "clip.create" => drop(client.clip(&NewClip::new("v1", 1, 3)).await?),
        "copy.create" => {
            let mut copy = NewCopy::new(url("https://a.example/b.mp4"));
            copy.video = copy.video.with_name("b").with_watermark("w1");
            assert_eq!(client.copy(&copy).await?.state(), VideoState::Downloading);
        }
        "direct_upload.create" => {
            let mut upload = NewDirectUpload::new(60);
            upload.video.require_signed_urls = true;
            let made = client.create_direct_upload(&upload).await?;
            assert!(!format!("{made:?}").contains("upload.example"));
        }
        "keys.list" => assert_eq!(client.keys().await?.len(), 1),
        "keys.create" => {
            let key = client.create_key().await?;
            assert!(!format!("{key:?}").contains("aHVzaA"));
        }
        "keys.delete" => client.delete_key("k1").await?,
        "live_inputs.list" => assert_eq!(client.live_inputs(true).await?.live_inputs.len(), 1),
        "live_inputs.create" => {
            let mut settings = LiveInputSettings::default().with_name("studio");
            settings.delete_recording_after_days = Some(DeleteRecording::AfterDays(30));
            let mut recording = RecordingSettings::default();
            recording.mode = Some(RecordingMode::Automatic);
            settings.recording = Some(recording);
            let input = client.create_live_input(&settings).await?;
            assert!(!format!("{input:?}").contains("hush"));
        }
        "live_inputs.get" => drop(client.live_input("in1").await?),
        "live_inputs.update" => {
            let mut settings = LiveInputSettings::default();
            settings.delete_recording_after_days = Some(DeleteRecording::Never);
            settings.enabled = Some(false);
            client.update_live_input("in1", &settings).await?;
        }
        "live_inputs.delete" => client.delete_live_input("in1").await?,
        "live_inputs.rotate_keys" => drop(client.rotate_live_input_keys("in1").await?),
        "outputs.list" => assert_eq!(client.outputs("in1").await?.len(), 1),
        "outputs.create" => {
            let mut output = NewOutput::new("rtmps://b.example/live", "hush");
            output.enabled = Some(false);
            client.create_output("in1", &output).await?;
        }
        "outputs.update" => {
            let edit = OutputEdit { enabled: true };
            client.update_output("in1", "out1", edit).await?;
        }
        "outputs.delete" => client.delete_output("in1", "out1").await?,
        "watermarks.list" => assert_eq!(client.watermarks().await?.len(), 1),
        "watermarks.create" => {
            let mut settings = WatermarkSettings::default();
            settings.name = Some("logo".into());
            settings.scale = Some(0.25);
            let made = client.create_watermark(file(), &settings).await?;
            assert_eq!(made.position, Some(Position::Center));
        }
        "watermarks.create_from_url" => {
            let mut settings = WatermarkSettings::default();
            settings.opacity = Some(0.5);
            settings.position = Some(Position::Center);
            let watermark = NewWatermark::new(url("https://a.example/w.png"), settings);
            client.create_watermark_from_url(&watermark).await?;
        }
        "watermarks.get" => drop(client.watermark("w1").await?),
        "watermarks.delete" => client.delete_watermark("w1").await?,
        "webhook.get" => drop(client.webhook().await?),
        "webhook.set" => {
            let webhook = SetWebhook::new(url("https://a.example/hook"));
            assert_eq!(
                client.set_webhook(&webhook).await?.secret,
                Some("hush".into())
            );
        }
        "webhook.delete" => client.delete_webhook().await?,
        "videos.get" => drop(client.video("v1").await?),
        "videos.edit" => {
            let mut edit = VideoEdit::default();
            edit.require_signed_urls = Some(true);
            edit.scheduled_deletion = Some(ScheduledDeletion::Never);
            client.edit_video("v1", &edit).await?;
        }
        "videos.delete" => client.delete_video("v1").await?,
        "audio_tracks.list" => assert_eq!(client.audio_tracks("v1").await?.len(), 1),
        "audio_tracks.create" => {
            client.create_audio_track("v1", "Deutsch", file()).await?;
        }
        "audio_tracks.copy" => {
            let track = NewAudioTrack::new("Deutsch", url("https://a.example/a.mp3"))?;
            client.copy_audio_track("v1", &track).await?;
        }
        "audio_tracks.edit" => {
            let mut edit = AudioEdit::default();
            edit.default = Some(true);
            client.edit_audio_track("v1", "aud1", &edit).await?;
        }
        "audio_tracks.delete" => client.delete_audio_track("v1", "aud1").await?,
        "captions.list" => assert_eq!(client.captions("v1").await?.len(), 1),
        "captions.get" => drop(client.caption("v1", &en).await?),
        "captions.put" => drop(client.put_captions("v1", &en, file()).await?),
        "captions.delete" => client.delete_captions("v1", &en).await?,
        "captions.generate" => drop(client.generate_captions("v1", &en).await?),
        "captions.vtt" => assert_eq!(client.captions_vtt("v1", &en).await?, "WEBVTT\n"),
        "downloads.list" => {
            let downloads = client.downloads("v1").await?;
            assert_eq!(downloads.default.unwrap().percent_complete, Some(40.5));
        }
        "downloads.create" => drop(client.create_downloads("v1").await?),
        "downloads.delete" => client.delete_downloads("v1").await?,
        "downloads.create_type" => {
            client.create_download("v1", DownloadType::Audio).await?;
        }
        "downloads.delete_type" => client.delete_download("v1", DownloadType::Audio).await?,
        "embed.get" => assert_eq!(client.embed("v1").await?, "<stream></stream>"),
        "token.create" => {
            let mut wish = TokenRequest::default();
            wish.downloadable = true;
            wish.access_rules = vec![
                AccessRule::Country(Access::Allow, vec!["DE".into()]),
                AccessRule::Any(Access::Block),
            ];
            assert_eq!(
                client.create_token("v1", &wish).await?,
                Secret::new("a.b.c")
            );
        }
        other => panic!("{other} has no method"),
    }
    Ok(())
}

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("vectors/operations.json")).unwrap()
}

#[test]
fn each_operation_has_a_vector() {
    let vectors = vectors();
    let of_vectors: BTreeSet<_> = vectors
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    let of_table: BTreeSet<_> = TABLE.iter().map(|row| row.id).collect();
    assert_eq!(of_vectors, of_table);
    assert_eq!(vectors.len(), TABLE.len());
}

#[tokio::test]
async fn each_operation_sends_what_its_vector_has_and_reads_what_it_answers() {
    for row in vectors() {
        let id = row["id"].as_str().unwrap();
        let recorder = Arc::new(Recorder::default());
        let mut headers = HeaderMap::new();
        if let Some(location) = row["location"].as_str() {
            headers.insert(LOCATION, location.parse().unwrap());
            headers.insert("stream-media-id", "n1".parse().unwrap());
        }
        let text = match (&row["answer"], row["text"].as_str()) {
            (_, Some(text)) => text.to_owned(),
            (Value::Null, None) => String::new(),
            (answer, None) => answer.to_string(),
        };
        *recorder.answer.lock().unwrap() = (headers, text);
        call(&client(&recorder), id)
            .await
            .unwrap_or_else(|error| panic!("{id}: {error}"));

        let sent = recorder.sent.lock().unwrap();
        let [sent] = &sent[..] else {
            panic!("{id} sends one request")
        };
        assert_eq!(sent.method, row["method"], "{id}");
        assert_eq!(
            sent.path,
            format!("/client/v4{}", row["path"].as_str().unwrap())
        );
        assert_eq!(sent.query.as_deref(), row["query"].as_str(), "{id}");
        assert_eq!(sent.headers[AUTHORIZATION], "Bearer token", "{id}");
        for (name, value) in row["headers"].as_object().into_iter().flatten() {
            assert_eq!(sent.headers[name.as_str()], value.as_str().unwrap(), "{id}");
        }
        let content_type = sent
            .headers
            .get(CONTENT_TYPE)
            .map(|it| it.to_str().unwrap());
        if let Some(fields) = row["form"].as_array() {
            assert!(
                content_type
                    .unwrap()
                    .starts_with("multipart/form-data; boundary=")
            );
            let names: Vec<_> = sent
                .body
                .split("; name=\"")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap())
                .collect();
            assert_eq!(Value::from(names), Value::from(fields.clone()), "{id}");
            assert!(sent.body.contains("\r\n\r\ncontent\r\n--"), "{id}");
        } else if row["body"].is_null() {
            assert_eq!((sent.body.as_str(), content_type), ("", None), "{id}");
        } else {
            let body: Value = serde_json::from_str(&sent.body).unwrap();
            assert_eq!(body, row["body"], "{id}");
            assert_eq!(content_type, Some("application/json"), "{id}");
        }
    }
}

#[tokio::test]
async fn an_id_that_leads_elsewhere_is_never_sent() {
    let recorder = Arc::new(Recorder::default());
    let client = client(&recorder);
    for id in ["", ".", "..", "keys", "live_inputs", "storage-usage"] {
        let refused = client.video(id).await;
        assert!(matches!(refused, Err(Error::Request(_))), "{id:?}");
        let refused = client
            .delete_live_input(if id.len() < 3 { id } else { "" })
            .await;
        assert!(matches!(refused, Err(Error::Request(_))), "{id:?}");
    }
    assert!(recorder.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn wishes_out_of_bounds_are_never_sent() {
    let recorder = Arc::new(Recorder::default());
    let client = client(&recorder);
    let mut filter = ListVideos::default();
    filter.limit = Some(1_001);
    let xx = Language::parse("xx").unwrap();
    for refused in [
        client.list_videos(&filter).await.map(drop),
        client.clip(&NewClip::new("v1", 3, 3)).await.map(drop),
        client
            .create_direct_upload(&NewDirectUpload::new(36_001))
            .await
            .map(drop),
        client
            .create_direct_upload(&NewDirectUpload::new(0))
            .await
            .map(drop),
        client.generate_captions("v1", &xx).await.map(drop),
        client
            .create_output("in1", &NewOutput::new("http://b", "k"))
            .await
            .map(drop),
        client.create_audio_track("v1", " ", file()).await.map(drop),
    ] {
        assert!(matches!(refused, Err(Error::Request(_))));
    }
    assert!(recorder.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_tells_the_code_the_request_and_what_is_left_of_the_rate_limit() {
    struct Refuses;
    impl Transport for Refuses {
        fn send(&self, _: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, TransportError>> {
            let text = r#"{"success":false,"result":null,"messages":null,
                "errors":[{"code":10011,"message":"Storage capacity exceeded"}]}"#;
            let mut answer = Response::new(Body::from(text));
            *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
            let headers = answer.headers_mut();
            headers.insert("cf-ray", "ray".parse().unwrap());
            headers.insert("retry-after", "7".parse().unwrap());
            headers.insert("ratelimit", r#""default";r=3;t=30"#.parse().unwrap());
            Box::pin(async move { Ok(answer) })
        }
    }
    let base = "https://api.example/client/v4";
    let credentials = Credentials::new(Origin::parse(base).unwrap());
    let client = StreamClient::new(Arc::new(Refuses), base, "acc", credentials).unwrap();
    let error = client.video("v1").await.unwrap_err();
    assert!(error.explained().unwrap().remedy.contains("minutes"));
    let Error::Api {
        request_id,
        retry_after,
        limit,
        ..
    } = error
    else {
        panic!("it is refused")
    };
    assert_eq!(request_id.as_deref(), Some("ray"));
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    assert_eq!(limit.unwrap().remaining, 3);
}

#[tokio::test]
async fn each_row_of_an_upload_url_is_done_there_and_a_form_without_credentials() {
    let recorder = Arc::new(Recorder::default());
    let mut headers = HeaderMap::new();
    headers.insert("upload-offset", "4".parse().unwrap());
    headers.insert("upload-length", "7".parse().unwrap());
    *recorder.answer.lock().unwrap() = (headers, String::new());
    let transport = Arc::<Recorder>::clone(&recorder);
    let at = Secret::new("https://upload.example/tus/n1?tusv2=true");
    let origin = Origin::parse(at.expose()).unwrap();
    let credentials = Credentials::bearer(&"token".into(), origin).unwrap();
    let upload = UploadUrl::new(transport, &at)
        .unwrap()
        .with_credentials(credentials);
    upload.upload_form(file()).await.unwrap();
    let progress = upload.progress().await.unwrap();
    assert_eq!((progress.offset, progress.length), (4, Some(7)));
    assert_eq!(upload.send(0, "cont").await.unwrap(), 4);
    upload.options().await.unwrap();
    let sent = recorder.sent.lock().unwrap();
    for (sent, row) in sent.iter().zip(UPLOAD_TABLE) {
        assert_eq!(sent.method, row.method.as_str(), "{}", row.id);
        let at = (sent.path.as_str(), sent.query.as_deref());
        assert_eq!(at, ("/tus/n1", Some("tusv2=true")));
        let has_token = sent.headers.contains_key(AUTHORIZATION);
        assert_eq!(has_token, row.id != "upload.form", "{}", row.id);
    }
    assert_eq!(sent.len(), UPLOAD_TABLE.len());
    assert!(!format!("{upload:?}").contains("n1"));
}
