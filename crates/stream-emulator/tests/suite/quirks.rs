//! With all quirks at once, the typed client understands every answer.

use stream_api::op::audio::{AudioEdit, NewAudioTrack};
use stream_api::op::captions::Language;
use stream_api::op::clip::NewClip;
use stream_api::op::copy::NewCopy;
use stream_api::op::direct_upload::NewDirectUpload;
use stream_api::op::downloads::DownloadType;
use stream_api::op::live_inputs::LiveInputSettings;
use stream_api::op::outputs::{NewOutput, OutputEdit};
use stream_api::op::tokens::TokenRequest;
use stream_api::op::tus_upload::NewTusUpload;
use stream_api::op::watermarks::{NewWatermark, WatermarkSettings};
use stream_api::op::webhook::SetWebhook;
use stream_api::{FormFile, ListVideos, SourceUrl, StreamClient, VideoEdit, VideoState};
use stream_emulator::{EmulatorHandle, Quirks};

use crate::api::client;
use crate::rows::{PNG, VTT, WAV, server, video};

async fn quirky() -> (EmulatorHandle, StreamClient) {
    let server = server().await;
    server.set_quirks(Quirks::all());
    let client = client(&server, "local");
    (server, client)
}

fn url(name: &str) -> SourceUrl {
    SourceUrl::parse(&format!("https://files.test/{name}")).expect("a URL")
}

#[tokio::test]
async fn videos_are_understood() {
    let (server, client) = quirky().await;
    let uid = video(&server).await;
    let read = client.video(&uid).await.unwrap();
    assert_eq!((read.state(), read.size), (VideoState::Ready, Some(4.0)));
    assert_eq!((&read.uid, read.name()), (&uid, Some("a")));
    assert!(read.created.is_some() && read.playback.is_some());
    let mut filter = ListVideos::default();
    filter.include_counts = true;
    let page = client.list_videos(&filter).await.unwrap();
    assert_eq!((page.videos.len(), page.total), (1, Some(1)));
    let mut edit = VideoEdit::default();
    edit.creator = Some("me".to_owned());
    let edited = client.edit_video(&uid, &edit).await.unwrap();
    assert_eq!(edited.creator.as_deref(), Some("me"));
    client.storage_usage(None).await.unwrap();
    let form = FormFile::new("a.mp4", b"abcd".as_slice());
    assert!(!client.upload_form(form).await.unwrap().uid.is_empty());
    let mut upload = NewTusUpload::new(4);
    upload.max_duration_seconds = Some(60);
    client.create_tus_upload(&upload).await.unwrap();
    assert!(
        !client
            .copy(&NewCopy::new(url("a.mp4")))
            .await
            .unwrap()
            .uid
            .is_empty()
    );
    let clip = client.clip(&NewClip::new(&uid, 0, 1)).await.unwrap();
    assert!(
        matches!(clip.state(), VideoState::Queued | VideoState::Ready),
        "{clip:?}"
    );
    client
        .create_direct_upload(&NewDirectUpload::new(60))
        .await
        .unwrap();
    assert!(client.embed(&uid).await.unwrap().contains(&uid));
    client
        .create_token(&uid, &TokenRequest::default())
        .await
        .unwrap();
    client.delete_video(&uid).await.unwrap();
    assert!(client.video(&uid).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn what_belongs_to_a_video_is_understood() {
    let (server, client) = quirky().await;
    let uid = video(&server).await;
    let english = Language::parse("en").unwrap();
    client
        .put_captions(&uid, &english, FormFile::new("a.vtt", VTT))
        .await
        .unwrap();
    assert_eq!(client.captions(&uid).await.unwrap().len(), 1);
    let caption = client.caption(&uid, &english).await.unwrap();
    assert_eq!(caption.label.as_deref(), Some("English"));
    assert!(
        client
            .captions_vtt(&uid, &english)
            .await
            .unwrap()
            .starts_with("WEBVTT")
    );
    client.delete_captions(&uid, &english).await.unwrap();
    client.generate_captions(&uid, &english).await.unwrap();
    let file = FormFile::new("a.wav", WAV);
    let track = client.create_audio_track(&uid, "one", file).await.unwrap();
    let copy = NewAudioTrack::new("two", url("b.wav")).unwrap();
    client.copy_audio_track(&uid, &copy).await.unwrap();
    assert_eq!(client.audio_tracks(&uid).await.unwrap().len(), 2);
    let mut edit = AudioEdit::default();
    edit.label = Some("three".to_owned());
    let edited = client
        .edit_audio_track(&uid, &track.uid, &edit)
        .await
        .unwrap();
    assert_eq!(edited.label, "three");
    client.delete_audio_track(&uid, &track.uid).await.unwrap();
    client.create_downloads(&uid).await.unwrap();
    assert!(client.downloads(&uid).await.unwrap().default.is_some());
    client.delete_downloads(&uid).await.unwrap();
    client
        .create_download(&uid, DownloadType::Default)
        .await
        .unwrap();
    client
        .delete_download(&uid, DownloadType::Default)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_belongs_to_an_account_is_understood() {
    let (_server, client) = quirky().await;
    let key = client.create_key().await.unwrap();
    assert_eq!(client.keys().await.unwrap().len(), 1);
    client.delete_key(&key.id).await.unwrap();
    assert!(client.keys().await.unwrap().is_empty());
    let set = client
        .set_webhook(&SetWebhook::new(url("hook")))
        .await
        .unwrap();
    assert!(set.secret.is_some());
    client.webhook().await.unwrap();
    client.delete_webhook().await.unwrap();
    let settings = WatermarkSettings::default();
    let picture = FormFile::new("a.png", PNG);
    let mark = client.create_watermark(picture, &settings).await.unwrap();
    let fetched = NewWatermark::new(url("a.png"), settings);
    client.create_watermark_from_url(&fetched).await.unwrap();
    assert_eq!(client.watermarks().await.unwrap().len(), 2);
    assert_eq!(
        client.watermark(&mark.uid).await.unwrap().width,
        Some(320.0)
    );
    client.delete_watermark(&mark.uid).await.unwrap();
    let settings = LiveInputSettings::default().with_name("stage");
    let input = client.create_live_input(&settings).await.unwrap();
    assert_eq!(input.name(), Some("stage"));
    assert_eq!(client.live_inputs(true).await.unwrap().live_inputs.len(), 1);
    client.live_input(&input.uid).await.unwrap();
    client
        .update_live_input(&input.uid, &settings)
        .await
        .unwrap();
    client.rotate_live_input_keys(&input.uid).await.unwrap();
    let output = NewOutput::new("rtmps://a.test/live", "key".to_owned());
    let output = client.create_output(&input.uid, &output).await.unwrap();
    let off = OutputEdit { enabled: false };
    client
        .update_output(&input.uid, &output.uid, off)
        .await
        .unwrap();
    assert_eq!(client.outputs(&input.uid).await.unwrap().len(), 1);
    client.delete_output(&input.uid, &output.uid).await.unwrap();
    client.delete_live_input(&input.uid).await.unwrap();
    assert!(
        client
            .live_inputs(true)
            .await
            .unwrap()
            .live_inputs
            .is_empty()
    );
}
