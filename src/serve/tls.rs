//! The certificate of a listener, read again when its files change.
//!
//! Promises: a new connection gets the newest certificate that could be read; files that cannot be used leave the one in force; a
//! key that is not the certificate's is refused.
//! Never: a certificate's key in a message, or a process-wide default crypto provider.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::digest;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

/// Certificate chain and key of a listener. Cheap to clone.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    chain: PathBuf,
    key: PathBuf,
    in_force: RwLock<InForce>,
}

struct InForce {
    config: Arc<ServerConfig>,
    print: digest::Digest,
}

/// A certificate that cannot be used, with the file to look at.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CertificateError {
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{path} is not PEM: {source}")]
    NotPem { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{path} has no certificate; it must hold the chain, the listener's own first")]
    Empty { path: PathBuf },
    #[error("{path} and its key do not make a certificate that can be used: {source}")]
    Unusable { path: PathBuf, source: rustls::Error },
}

impl Certificate {
    /// Reads both files.
    ///
    /// # Errors
    /// What cannot be used, and why.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let in_force = RwLock::new(read(chain, key)?);
        Ok(Self(Arc::new(Inner { chain: chain.into(), key: key.into(), in_force })))
    }

    /// Reads the files again; true if they hold something new, which is in force then.
    ///
    /// # Errors
    /// What cannot be used, and why; nothing changes then. Files that are just being replaced look so for a moment.
    pub fn refresh(&self) -> Result<bool, CertificateError> {
        let now = read(&self.0.chain, &self.0.key)?;
        let mut in_force = self.0.in_force.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = now.print.as_ref() != in_force.print.as_ref();
        if is_new {
            *in_force = now;
        }
        Ok(is_new)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.in_force.read().unwrap_or_else(PoisonError::into_inner).config.clone())
    }
}

fn read(chain: &Path, key: &Path) -> Result<InForce, CertificateError> {
    let bytes =
        |path: &Path| std::fs::read(path).map_err(|source| CertificateError::Unreadable { path: path.into(), source });
    let (chain_bytes, key_bytes) = (bytes(chain)?, zeroize::Zeroizing::new(bytes(key)?));
    let not_pem = |path: &Path| {
        let path = path.to_path_buf();
        move |source| CertificateError::NotPem { path, source }
    };
    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&chain_bytes).collect::<Result<_, _>>().map_err(not_pem(chain))?;
    if certificates.is_empty() {
        return Err(CertificateError::Empty { path: chain.into() });
    }
    let secret = PrivateKeyDer::from_pem_slice(&key_bytes).map_err(not_pem(key))?;
    let unusable = |source| CertificateError::Unusable { path: chain.into(), source };
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certificates, secret)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut print = digest::Context::new(&digest::SHA256);
    print.update(&chain_bytes);
    print.update(&key_bytes);
    Ok(InForce { config: Arc::new(config), print: print.finish() })
}

#[cfg(test)]
mod tests;
