//! What belongs to the account as a whole: signing keys, the webhook, watermark profiles.

use serde_json::json;

use super::{StreamClient, missing};
use crate::endpoints::Op;
use crate::error::Error;
use crate::multipart::{Form, FormFile};
use crate::op::keys::{NewSigningKey, SigningKey};
use crate::op::watermarks::{NewWatermark, Watermark, WatermarkSettings};
use crate::op::webhook::{SetWebhook, Webhook};

impl StreamClient {
    /// Lists signing keys, without their secrets.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn keys(&self) -> Result<Vec<SigningKey>, Error> {
        self.elements(Op::KeysList, &[]).await
    }

    /// Makes a signing key. Only this answer has its secret.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn create_key(&self) -> Result<NewSigningKey, Error> {
        self.result(Op::KeysCreate, &[], &[], Some(&json!({})))
            .await
    }

    /// Revokes a signing key, and every token signed with it.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a key that is not there.
    pub async fn delete_key(&self, id: &str) -> Result<(), Error> {
        self.done(Op::KeysDelete, &[id]).await
    }

    /// Reads the account's webhook.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells that there is none.
    pub async fn webhook(&self) -> Result<Webhook, Error> {
        self.result(Op::WebhookGet, &[], &[], None).await
    }

    /// Sets the account's webhook, in place of the one there was. Its secret is in the answer.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn set_webhook(&self, webhook: &SetWebhook) -> Result<Webhook, Error> {
        self.send_json(Op::WebhookSet, &[], webhook).await
    }

    /// Removes the account's webhook.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells that there was none.
    pub async fn delete_webhook(&self) -> Result<(), Error> {
        self.done(Op::WebhookDelete, &[]).await
    }

    /// Lists watermark profiles.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn watermarks(&self) -> Result<Vec<Watermark>, Error> {
        self.elements(Op::WatermarksList, &[]).await
    }

    /// Reads one watermark profile.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a profile that is not there.
    pub async fn watermark(&self, id: &str) -> Result<Watermark, Error> {
        self.result(Op::WatermarksGet, &[id], &[], None).await
    }

    /// Makes a watermark profile from a picture of at most 2 MB: PNG, best with transparency.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when it is out of its bounds.
    pub async fn create_watermark(
        &self,
        picture: FormFile,
        settings: &WatermarkSettings,
    ) -> Result<Watermark, Error> {
        settings.check()?;
        let mut form = Form::new();
        for (name, value) in settings.fields() {
            form = form.text(name, value);
        }
        let form = form.file("file", picture.for_watermark()?);
        let envelope = self.call_form(Op::WatermarksCreate, &[], form).await?;
        envelope.result.ok_or_else(|| missing(Op::WatermarksCreate))
    }

    /// Makes a watermark profile from a picture that a URL answers.
    ///
    /// # Errors
    /// [`Error::Request`] before anything is sent, when it is out of its bounds.
    pub async fn create_watermark_from_url(
        &self,
        watermark: &NewWatermark,
    ) -> Result<Watermark, Error> {
        watermark.settings.check()?;
        let op = Op::WatermarksCreateFromUrl;
        self.send_json(op, &[], watermark).await
    }

    /// Deletes one watermark profile. Videos that have it keep it.
    ///
    /// # Errors
    /// [`Error`]; [`Error::is_not_found`] tells a profile that is not there.
    pub async fn delete_watermark(&self, id: &str) -> Result<(), Error> {
        self.done(Op::WatermarksDelete, &[id]).await
    }
}
