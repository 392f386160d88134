//! What becomes of uploads, and of parts, that are of no use any more.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use http::{Method, Request};
use http_transport::{Body, Line};
use resume_store::Record;
use tus_core::{Extension, UploadUrl, header};

use crate::drive::Driver;
use crate::event::Event;
use crate::measured::CONNECTIONS;
use crate::pace::Pace;

impl Driver {
    /// One attempt to remove an upload that is given up, so that it does not stay behind (TM-02). Where the server does not
    /// do that, it is reported.
    pub(crate) async fn remove(&mut self, url: &UploadUrl) {
        self.requests += 1;
        if !self.removal(url, None).await {
            self.emit(Event::PossibleOrphan);
        }
    }

    /// That attempt, over one of the connections of `parts`. Says whether the upload is gone.
    fn removal(
        &self,
        url: &UploadUrl,
        parts: Option<Arc<Pace>>,
    ) -> impl Future<Output = bool> + use<> {
        let shared = Arc::clone(&self.shared);
        let mut request = Request::new(Body::Empty);
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = url.uri().clone();
        request
            .headers_mut()
            .insert(header::TUS_RESUMABLE, header::VERSION);
        request.extensions_mut().insert(shared.options.deadlines);
        shared.attach_credentials(&mut request);
        async move {
            let line = parts.map(|pace| pace.line());
            if let Some(line) = &line {
                request.extensions_mut().insert(Line(line.number()));
            }
            match shared.transport.send(request).await {
                Ok(answer) => {
                    answer.status().is_success() || matches!(answer.status().as_u16(), 404 | 410)
                }
                Err(_) => false,
            }
        }
    }

    /// Removes an upload that is given up: by the service's own way if it has one, else by tus's.
    pub(crate) async fn discard(&mut self, record: &Record) {
        match self.shared.service.discard(record).await {
            Some(true) => {}
            Some(false) => self.emit(Event::PossibleOrphan),
            None => {
                if let Some(url) = &record.upload_url {
                    self.remove(url).await;
                }
            }
        }
    }

    /// Removes what the service keeps of an upload that is gone from its URL.
    pub(crate) async fn forsake(&mut self, record: &Record) {
        if self.shared.service.discard(record).await == Some(false) {
            self.emit(Event::PossibleOrphan);
        }
    }

    /// Removes partial uploads that are of no use any more: from the server, where it does that, and from the store.
    pub(crate) async fn remove_parts(&mut self, parts: &[(String, Option<UploadUrl>)]) {
        let offered = self.shared.capabilities(&self.creation_url).await;
        let terminates =
            offered.is_some_and(|offered| offered.extensions.has(Extension::Termination));
        let urls = parts.iter().filter_map(|(_, url)| url.as_ref());
        let removals: Vec<_> = urls
            .filter(|_| terminates)
            .map(|url| self.removal(url, Some(Arc::clone(&self.pace))))
            .collect();
        self.requests += removals.len() as u64;
        // Over a long way they would take longer one by one than all of the bytes.
        let mut removals = stream::iter(removals).buffer_unordered(CONNECTIONS);
        while let Some(gone) = removals.next().await {
            if !gone {
                self.emit(Event::PossibleOrphan);
            }
        }
        self.forget_keys(parts.iter().map(|(key, _)| key)).await;
    }
}
