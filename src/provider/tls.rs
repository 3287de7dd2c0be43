//! TLS for every way out: rustls with aws-lc-rs, named explicitly.
//!
//! Promises: certificates are verified, by the platform's roots or by those of `ca_file` alone.
//! Never: a process-wide default crypto provider, or a switch that turns verification off.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

/// Why there is no TLS. Says what to do; the file's content is not shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    /// `ca_file` cannot be read or is not PEM.
    #[error("cannot be read as PEM certificates: {0}")]
    Unreadable(rustls::pki_types::pem::Error),
    /// `ca_file` has no certificate.
    #[error("has no certificate")]
    Empty,
    /// `ca_file` has a certificate that cannot be a root, or the machine has no roots.
    #[error("{0}")]
    Roots(rustls::Error),
}

/// A configuration that trusts `ca_file`, or the platform's roots.
pub(super) fn client(ca_file: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&crypto))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Roots)?;
    Ok(match ca_file {
        Some(path) => builder.with_root_certificates(roots(path)?).with_no_client_auth(),
        None => {
            let verifier = Verifier::new(crypto).map_err(TlsError::Roots)?;
            // "Dangerous" is the name of the door for any verifier but rustls's own; this one checks all there is.
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth()
        }
    })
}

/// A configuration that trusts nobody: for a client that will only speak to this machine, without TLS.
pub(super) fn nobody() -> Result<ClientConfig, TlsError> {
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(crypto).with_safe_default_protocol_versions();
    Ok(builder.map_err(TlsError::Roots)?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for cert in CertificateDer::pem_file_iter(path).map_err(TlsError::Unreadable)? {
        roots.add(cert.map_err(TlsError::Unreadable)?).map_err(TlsError::Roots)?;
    }
    if roots.is_empty() { Err(TlsError::Empty) } else { Ok(roots) }
}

/// True for the names and addresses that never leave this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ca_file_is_refused_when_it_is_missing_empty_or_no_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        assert!(matches!(client(Some(&path)), Err(TlsError::Unreadable(_))));
        std::fs::write(&path, "not a certificate").unwrap();
        assert!(matches!(client(Some(&path)), Err(TlsError::Empty)));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(matches!(client(Some(&path)), Err(TlsError::Roots(_))));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", "localhost.example.com", "127.0.0.1.example.com", "10.0.0.1", "0.0.0.0", "::", "[::2]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
