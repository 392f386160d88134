//! A connection that is there before the first upload is: opened while its sources are still being looked for.

use std::time::Duration;

use http_transport::Body;
use tokio::time::timeout;
use tus_core::UploadUrl;

use crate::uploader::{Shared, Uploader, UploaderBuilder};

/// A server that says nothing is left alone after so long: the first upload asks it again, and tells what comes of it.
const PATIENCE: Duration = Duration::from_secs(10);

impl Uploader {
    /// Opens a connection to where `creation_url` points, so that the first upload need not wait for one, and asks what the
    /// server offers, which the first upload would have to ask. Errors are told to nobody: the upload meets them, too.
    ///
    /// Only for where something is going to be sent.
    pub async fn warm(&self, creation_url: &UploadUrl) {
        self.shared.warm(creation_url).await;
    }
}

impl UploaderBuilder {
    /// As [`Uploader::warm`], before there is an uploader: with the transport, the service and the credentials that it has by
    /// now. The future can run by itself while the rest is found out; what it learns is known to the uploader that is built
    /// meanwhile, and nothing is asked twice.
    ///
    /// ```
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::sync::Arc;
    /// # use http_transport::{Protocol, ReqwestTransport};
    /// # use tus_engine::{UploadUrl, Uploader};
    /// let builder = Uploader::builder(Arc::new(ReqwestTransport::new(Protocol::Http1)?));
    /// tokio::spawn(builder.warm(&UploadUrl::parse("https://tus.example/files/")?));
    /// let uploader = builder.build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn warm(&self, creation_url: &UploadUrl) -> impl Future<Output = ()> + Send + use<> {
        let (shared, url) = (self.shared(None), creation_url.clone());
        async move { shared.warm(&url).await }
    }
}

impl Shared {
    async fn warm(&self, url: &UploadUrl) {
        let warmed = if self.service.answers_options() {
            timeout(PATIENCE, async { drop(self.capabilities(url).await) }).await
        } else {
            timeout(PATIENCE, self.knock(url)).await
        };
        if warmed.is_err() {
            tracing::debug!("no answer while a connection was warmed");
        }
    }

    /// Opens a connection with a question whose answer is not looked at, and which carries no credentials.
    async fn knock(&self, url: &UploadUrl) {
        let mut request = http::Request::new(Body::Empty);
        *request.method_mut() = http::Method::OPTIONS;
        *request.uri_mut() = url.uri().clone();
        match self.transport.send(request).await {
            // Read to its end so that the connection can be used again.
            Ok(answer) => drop(
                answer
                    .into_body()
                    .collect(http_transport::ERROR_BODY_LIMIT)
                    .await,
            ),
            Err(error) => tracing::debug!(%error, "no connection was warmed"),
        }
    }
}
