//! What a video has beside its picture: audio tracks, captions, downloads.

use super::{StreamClient, missing};
use crate::endpoints::Op;
use crate::error::Error;
use crate::multipart::{Form, FormFile};
use crate::op::audio::{AudioEdit, AudioTrack, AudioTracks, NewAudioTrack, check_label};
use crate::op::captions::{Caption, Language};
use crate::op::downloads::{DownloadType, Downloads};
use crate::op::edit::OutOfBounds;

impl StreamClient {
    /// Lists a video's additional audio tracks.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a video that is not there.
    pub async fn audio_tracks(&self, video: &str) -> Result<Vec<AudioTrack>, Error> {
        let tracks: Option<AudioTracks> = self
            .call(Op::AudioTracksList, &[video], &[], None)
            .await?
            .result;
        Ok(tracks.unwrap_or_default().0)
    }

    /// Adds an audio track from a file of at most 200 MB.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the label is empty or the file too large.
    pub async fn create_audio_track(
        &self,
        video: &str,
        label: &str,
        file: FormFile,
    ) -> Result<AudioTrack, Error> {
        let op = Op::AudioTracksCreate;
        let form = Form::new()
            .text("label", check_label(label.to_owned())?)
            .file("file", file.for_audio()?);
        let envelope = self.call_form(op, &[video], form).await?;
        envelope.result.ok_or_else(|| missing(op))
    }

    /// Adds an audio track from what a URL answers.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a video that is not there.
    pub async fn copy_audio_track(
        &self,
        video: &str,
        track: &NewAudioTrack,
    ) -> Result<AudioTrack, Error> {
        check_label(track.label.clone())?;
        self.send_json(Op::AudioTracksCopy, &[video], track).await
    }

    /// Changes an audio track's label, or makes it the default.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the label is empty.
    pub async fn edit_audio_track(
        &self,
        video: &str,
        track: &str,
        edit: &AudioEdit,
    ) -> Result<AudioTrack, Error> {
        edit.check()?;
        self.send_json(Op::AudioTracksEdit, &[video, track], edit)
            .await
    }

    /// Deletes an audio track that is not the default.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a track that is not there.
    pub async fn delete_audio_track(&self, video: &str, track: &str) -> Result<(), Error> {
        self.done(Op::AudioTracksDelete, &[video, track]).await
    }

    /// Lists a video's captions.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a video that is not there.
    pub async fn captions(&self, video: &str) -> Result<Vec<Caption>, Error> {
        self.elements(Op::CaptionsList, &[video]).await
    }

    /// Reads what is known of the captions in one language.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells that there are none.
    pub async fn caption(&self, video: &str, language: &Language) -> Result<Caption, Error> {
        let parameters = [video, language.as_str()];
        self.result(Op::CaptionsGet, &parameters, &[], None).await
    }

    /// Sets the captions in one language from a WebVTT file of at most 10 MB.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the file is too large.
    pub async fn put_captions(
        &self,
        video: &str,
        language: &Language,
        file: FormFile,
    ) -> Result<Caption, Error> {
        let op = Op::CaptionsPut;
        let form = Form::new().file("file", file.for_captions()?);
        let envelope = self
            .call_form(op, &[video, language.as_str()], form)
            .await?;
        envelope.result.ok_or_else(|| missing(op))
    }

    /// Deletes the captions in one language.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells that there are none.
    pub async fn delete_captions(&self, video: &str, language: &Language) -> Result<(), Error> {
        let parameters = [video, language.as_str()];
        self.done(Op::CaptionsDelete, &parameters).await
    }

    /// Has captions made of what is spoken in a video that is ready.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the language is none of the
    /// [twelve](crate::bounds::GENERATED_LANGUAGES).
    pub async fn generate_captions(
        &self,
        video: &str,
        language: &Language,
    ) -> Result<Caption, Error> {
        if !language.can_be_generated() {
            return Err(OutOfBounds(
                "captions are made in cs, de, en, es, fr, it, ja, ko, nl, pl, pt and ru",
            )
            .into());
        }
        let parameters = [video, language.as_str()];
        self.result(Op::CaptionsGenerate, &parameters, &[], None)
            .await
    }

    /// Reads the captions in one language as WebVTT.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells that there are none.
    pub async fn captions_vtt(&self, video: &str, language: &Language) -> Result<String, Error> {
        let parameters = [video, language.as_str()];
        self.call_text(Op::CaptionsVtt, &parameters).await
    }

    /// Reads a video's downloads.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a video that is not there.
    pub async fn downloads(&self, video: &str) -> Result<Downloads, Error> {
        let envelope = self.call(Op::DownloadsList, &[video], &[], None).await?;
        Ok(envelope.result.unwrap_or_default())
    }

    /// Has the default download made, at the older address.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a video that is not there.
    pub async fn create_downloads(&self, video: &str) -> Result<Downloads, Error> {
        self.result(Op::DownloadsCreate, &[video], &[], None).await
    }

    /// Deletes the default download, at the older address.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a download that is not there.
    pub async fn delete_downloads(&self, video: &str) -> Result<(), Error> {
        self.done(Op::DownloadsDelete, &[video]).await
    }

    /// Has a download of one type made.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a video that is not there.
    pub async fn create_download(
        &self,
        video: &str,
        kind: DownloadType,
    ) -> Result<Downloads, Error> {
        let parameters = [video, kind.as_str()];
        self.result(Op::DownloadsCreateType, &parameters, &[], None)
            .await
    }

    /// Deletes the download of one type.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a download that is not there.
    pub async fn delete_download(&self, video: &str, kind: DownloadType) -> Result<(), Error> {
        let parameters = [video, kind.as_str()];
        self.done(Op::DownloadsDeleteType, &parameters).await
    }
}
