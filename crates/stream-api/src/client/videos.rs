//! Videos, and what makes or protects one.

use std::time::SystemTime;

use super::{StreamClient, missing};
use crate::endpoints::Op;
use crate::envelope::Envelope;
use crate::error::Error;
use crate::lenient;
use crate::multipart::{Form, FormFile};
use crate::op::clip::NewClip;
use crate::op::copy::NewCopy;
use crate::op::direct_upload::{DirectUpload, NewDirectUpload};
use crate::op::edit::VideoEdit;
use crate::op::listing::{ListVideos, VideoPage};
use crate::op::storage::StorageUsage;
use crate::op::tokens::{SignedToken, TokenRequest};
use crate::op::tus_upload::{NewTusUpload, TusUpload};
use crate::op::videos::Video;
use crate::patience::Repeat;
use crate::secret::Secret;

impl StreamClient {
    /// Lists videos, one answer long: newest first, up to 1,000. To go on, list once more with
    /// [`before`](ListVideos::before) the oldest of them, or use [`videos`](Self::videos).
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the filter is out of its bounds.
    pub async fn list_videos(&self, filter: &ListVideos) -> Result<VideoPage, Error> {
        filter.check()?;
        let envelope: Envelope<serde_json::Value> = self
            .call(Op::VideosList, &[], &filter.query(), None)
            .await?;
        let count = |name| envelope.other.get(name).and_then(lenient::to_number);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "saturates"
        )]
        let count = |name| count(name).map(|count| count as u64);
        let (total, range) = (count("total"), count("range"));
        Ok(VideoPage {
            videos: lenient::list(envelope.result.unwrap_or_default()).unwrap_or_default(),
            total,
            range,
        })
    }

    /// Creates a video that is then uploaded by tus to the URL that is answered. With
    /// [`direct_user`](NewTusUpload::direct_user) somebody without a token can upload it.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when it is out of its bounds. After any other
    /// error but a refusal it is not known whether there is a video now.
    pub async fn create_tus_upload(&self, upload: &NewTusUpload) -> Result<TusUpload, Error> {
        upload.check(SystemTime::now())?;
        let op = Op::VideosCreateTus;
        let mut repeat = Repeat::new(self, op);
        let head = loop {
            let mut request = self.request(op, &[], &upload.query(), None)?;
            request.headers_mut().extend(upload.headers()?);
            match self.send(request).await {
                Ok((head, _)) => break head,
                Err(error) => repeat.after(error).await?,
            }
        };
        TusUpload::of(&self.tus_creation_url(), &head.headers).ok_or_else(|| missing(op))
    }

    /// Creates a video from a file below 200 MB, sent in a form. It takes no settings.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the file is too large. After an error that
    /// is no refusal it is not known whether there is a video now: repeated, it could become two.
    pub async fn upload_form(&self, file: FormFile) -> Result<Video, Error> {
        let form = Form::new().file("file", file.for_video()?);
        let envelope = self.call_form(Op::VideosCreateForm, &[], form).await?;
        envelope.result.ok_or_else(|| missing(Op::VideosCreateForm))
    }

    /// Reads one video.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a video that is not there.
    pub async fn video(&self, id: &str) -> Result<Video, Error> {
        self.result(Op::VideosGet, &[id], &[], None).await
    }

    /// Changes settings of one video, and answers the whole of it. Fields that the service does not
    /// take are dropped silently there: compare the answer with what was wanted.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the edit is out of [bounds](crate::bounds);
    /// [`Error::is_not_found`] tells a video that is not there.
    pub async fn edit_video(&self, id: &str, edit: &VideoEdit) -> Result<Video, Error> {
        edit.check()?;
        self.send_json(Op::VideosEdit, &[id], edit).await
    }

    /// Deletes one video, with everything that was made of it.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a video that is not there.
    pub async fn delete_video(&self, id: &str) -> Result<(), Error> {
        self.done(Op::VideosDelete, &[id]).await
    }

    /// Tells how many minutes are stored, of all videos or of one creator's.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn storage_usage(&self, creator: Option<&str>) -> Result<StorageUsage, Error> {
        let query: Vec<_> = creator
            .map(|creator| ("creator", creator.to_owned()))
            .into_iter()
            .collect();
        self.result(Op::VideosStorageUsage, &[], &query, None).await
    }

    /// Makes a new video of a part of another.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the clip is out of its bounds.
    pub async fn clip(&self, clip: &NewClip) -> Result<Video, Error> {
        clip.check(SystemTime::now())?;
        self.send_json(Op::ClipCreate, &[], clip).await
    }

    /// Makes a video of what a URL answers. It is fetched later: see
    /// [`wait_ready`](Self::wait_ready).
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the copy is out of its bounds. After an
    /// error that is no refusal it is not known whether there is a video now.
    pub async fn copy(&self, copy: &NewCopy) -> Result<Video, Error> {
        copy.check(SystemTime::now())?;
        self.send_json(Op::CopyCreate, &[], copy).await
    }

    /// Makes a URL by which somebody without a token uploads one video below 200 MB, once.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when it is out of its bounds.
    pub async fn create_direct_upload(
        &self,
        upload: &NewDirectUpload,
    ) -> Result<DirectUpload, Error> {
        upload.check(SystemTime::now())?;
        self.send_json(Op::DirectUploadCreate, &[], upload).await
    }

    /// Reads the HTML that embeds a video.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a video that is not there.
    pub async fn embed(&self, id: &str) -> Result<String, Error> {
        self.call_text(Op::EmbedGet, &[id]).await
    }

    /// Has Stream make a token by which a video can be played that needs one. For more than a few
    /// thousand a day, make them here with a key.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when the wish is out of its bounds.
    pub async fn create_token(&self, id: &str, wish: &TokenRequest) -> Result<Secret, Error> {
        wish.check(SystemTime::now())?;
        let answer: SignedToken = self.send_json(Op::TokenCreate, &[id], wish).await?;
        answer.token.ok_or_else(|| missing(Op::TokenCreate))
    }
}
