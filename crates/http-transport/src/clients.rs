//! [`Clients`]: reqwest's clients, each with a pool of connections of its own, and the [`Trust`] that they share.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::Uri;
use http::uri::Scheme;
use reqwest::Client;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::reqwest::{Protocol, ReqwestTransportBuilder};
use crate::{BoxError, FaultKind, TransportError};

/// One client for plain http, and one for https that is made when it is first needed: reading the system's certificates takes
/// ten milliseconds and two megabytes, which a small upload to a server of the local network need not pay.
#[derive(Debug)]
pub(crate) struct Clients {
    recipe: ReqwestTransportBuilder,
    trust: Arc<Trust>,
    plain: OnceLock<Client>,
    secure: OnceLock<Client>,
}

impl Clients {
    pub(crate) fn new(recipe: ReqwestTransportBuilder, trust: Trust) -> Self {
        Self {
            recipe,
            trust: Arc::new(trust),
            plain: OnceLock::new(),
            secure: OnceLock::new(),
        }
    }

    /// The same with no connections yet.
    pub(crate) fn with_own_pool(&self) -> Self {
        Self {
            recipe: self.recipe.clone(),
            trust: Arc::clone(&self.trust),
            plain: OnceLock::new(),
            secure: OnceLock::new(),
        }
    }

    /// Makes the client that every program needs, to learn early what it fails with.
    pub(crate) fn make_first(&self) -> Result<(), TransportError> {
        if self.recipe.may_meet_a_proxy() {
            self.secure().map(drop)
        } else {
            self.plain().map(drop)
        }
    }

    /// The client for `uri`, and whether it knows no authorities but those that were given.
    pub(crate) fn client_for(&self, uri: &Uri) -> Result<(&Client, bool), TransportError> {
        if uri.scheme() == Some(&Scheme::HTTP) && !self.recipe.may_meet_a_proxy() {
            return Ok((self.plain()?, false));
        }
        self.secure()
    }

    fn plain(&self) -> Result<&Client, TransportError> {
        if let Some(client) = self.plain.get() {
            return Ok(client);
        }
        let client = self.recipe.client().tls_certs_only([]).build();
        let client = client.map_err(|error| no_client(error.without_url()))?;
        Ok(self.plain.get_or_init(|| client))
    }

    fn secure(&self) -> Result<(&Client, bool), TransportError> {
        let tls = self.trust.tls()?;
        if let Some(client) = self.secure.get() {
            return Ok((client, tls.no_system_roots));
        }
        let recipe = self.recipe.client();
        let client = recipe.tls_backend_preconfigured(tls.config.clone()).build();
        let client = client.map_err(|error| no_client(error.without_url()))?;
        Ok((self.secure.get_or_init(|| client), tls.no_system_roots))
    }
}

/// Whom all clients of a transport trust. Found out once, when the first of them needs it; they also share the sessions that
/// servers let them resume.
#[derive(Debug)]
pub(crate) struct Trust {
    roots: Vec<CertificateDer<'static>>,
    protocol: Protocol,
    tls: OnceLock<Tls>,
}

#[derive(Debug)]
struct Tls {
    config: ClientConfig,
    no_system_roots: bool,
}

impl Trust {
    /// In the system's authorities, and in those of `pems`.
    pub(crate) fn new(pems: &[Bytes], protocol: Protocol) -> Result<Self, TransportError> {
        let mut roots = Vec::new();
        for pem in pems {
            for root in CertificateDer::pem_slice_iter(pem) {
                roots.push(root.map_err(|error| {
                    let message = "an extra certificate authority is not valid PEM";
                    TransportError::new(FaultKind::Invalid, message).with_source(error)
                })?);
            }
        }
        Ok(Self {
            roots,
            protocol,
            tls: OnceLock::new(),
        })
    }

    fn tls(&self) -> Result<&Tls, TransportError> {
        if let Some(tls) = self.tls.get() {
            return Ok(tls);
        }
        let tls = self.make().map_err(no_client)?;
        Ok(self.tls.get_or_init(|| tls))
    }

    /// What reqwest would make of the same wishes.
    fn make(&self) -> Result<Tls, rustls::Error> {
        let provider = CryptoProvider::get_default().cloned();
        let provider = provider.unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(rustls::ALL_VERSIONS)?;
        let system = Verifier::new_with_extra_roots(self.roots.iter().cloned(), provider);
        let no_system_roots = system.is_err();
        let mut config = match system {
            Ok(verifier) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier))
                .with_no_client_auth(),
            // A system without any certificates (a bare container) must still reach a server behind a given authority.
            Err(_) => {
                let mut given = RootCertStore::empty();
                for root in &self.roots {
                    given.add(root.clone())?;
                }
                builder.with_root_certificates(given).with_no_client_auth()
            }
        };
        config.alpn_protocols = match self.protocol {
            Protocol::Any => vec!["h2".into(), "http/1.1".into()],
            Protocol::Http1 => vec!["http/1.1".into()],
        };
        Ok(Tls {
            config,
            no_system_roots,
        })
    }
}

fn no_client(error: impl Into<BoxError>) -> TransportError {
    let message = "the HTTP client cannot be set up";
    TransportError::new(FaultKind::Invalid, message).with_source(error)
}
