//! The certificates to trust.

use anyhow::Context as _;
use reqwest::Certificate;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::error::Error;

/// Certificate authorities.
#[derive(Clone, Debug, Default)]
pub struct Authorities(Vec<Certificate>);

impl Authorities {
    /// Parses PEM. Checks each certificate, since the builder's error would not tell which one is invalid.
    pub fn read(pem: &str) -> anyhow::Result<Self> {
        let mut certificates = Vec::new();
        for (n, der) in (1..).zip(CertificateDer::pem_slice_iter(pem.as_bytes())) {
            // The reason is dropped: a certificate cannot be fixed by hand.
            let tried = der.ok().filter(|der| RootCertStore::empty().add(der.clone()).is_ok());
            let certificate = tried.and_then(|der| Certificate::from_der(&der).ok());
            certificates.push(certificate.with_context(|| format!("certificate {n} in it is damaged"))?);
        }
        Ok(Self(certificates))
    }

    pub(super) fn certificates(&self) -> impl Iterator<Item = Certificate> {
        self.0.iter().cloned()
    }
}

/// Why `https` cannot be used. Small containers have no certificates; no type says so.
pub(super) fn unavailable(error: reqwest::Error) -> Error {
    let why = format!("{:#}", anyhow::Error::new(error));
    if why.contains("No CA certificates were loaded") {
        return Error::new("cannot use https: this system has no CA certificates")
            .hinted("install them (the package `ca-certificates`), or set `ca_file` in watch.toml");
    }
    Error::new("cannot prepare TLS").because(why)
}
