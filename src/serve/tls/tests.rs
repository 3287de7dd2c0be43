//! Handshakes over real sockets, with certificates that change underneath.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::serve::{Limits, Listener, serve};
use crate::tasks::Tasks;

const FIRST: [&[u8]; 2] = [
    include_bytes!("../../../tests/fixtures/tls/loopback.cert.der"),
    include_bytes!("../../../tests/fixtures/tls/loopback.key.der"),
];
const RENEWED: [&[u8]; 2] = [
    include_bytes!("../../../tests/fixtures/tls/renewed.cert.der"),
    include_bytes!("../../../tests/fixtures/tls/renewed.key.der"),
];
const PATIENCE: Duration = Duration::from_secs(20);

struct Files(TempDir);

impl Files {
    fn new(pair: [&[u8]; 2]) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write(pair);
        files
    }
    fn chain(&self) -> PathBuf {
        self.0.path().join("chain.pem")
    }
    fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }
    fn write(&self, [chain, key]: [&[u8]; 2]) {
        let pem = |label: &str, der: &[u8]| {
            format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der))
        };
        std::fs::write(self.chain(), pem("CERTIFICATE", chain)).unwrap();
        std::fs::write(self.key(), pem("PRIVATE KEY", key)).unwrap();
    }
    fn load(&self) -> Result<Certificate, CertificateError> {
        Certificate::load(&self.chain(), &self.key())
    }
}

async fn start(certificate: Certificate, header_timeout: Duration, max_connections: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/", axum::routing::get(async || "here\n"));
    let limits = Limits { header_timeout, body_timeout: PATIENCE, max_connections, connection_max_age: PATIENCE };
    serve(Listener::Tls(listener, certificate), router, limits, &Tasks::new(), CancellationToken::new());
    address
}

/// The whole answer, to a client that trusts this certificate alone.
async fn ask(address: SocketAddr, trusted: &[u8]) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.to_vec())).unwrap();
    let crypto = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(crypto).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("the server closes")?;
    Ok(answer)
}

#[tokio::test]
async fn a_new_connection_gets_the_newest_certificate_that_can_be_used() {
    let files = Files::new(FIRST);
    let certificate = files.load().unwrap();
    let address = start(certificate.clone(), PATIENCE, 8).await;
    assert!(ask(address, FIRST[0]).await.unwrap().ends_with("here\n"));
    assert!(ask(address, RENEWED[0]).await.is_err(), "a client verifies");
    assert!(!certificate.refresh().unwrap(), "nothing is new");

    // Half of a renewal: the key is not yet the certificate's.
    files.write([RENEWED[0], FIRST[1]]);
    assert!(matches!(certificate.refresh(), Err(CertificateError::Unusable { .. })));
    assert!(ask(address, FIRST[0]).await.unwrap().ends_with("here\n"), "the old one stays in force");

    files.write(RENEWED);
    assert!(certificate.refresh().unwrap());
    assert!(ask(address, RENEWED[0]).await.unwrap().ends_with("here\n"));
    assert!(ask(address, FIRST[0]).await.is_err());
}

#[tokio::test]
async fn who_says_nothing_is_given_up_and_keeps_nobody_else_waiting() {
    let address = start(Files::new(FIRST).load().unwrap(), Duration::from_millis(100), 2).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert!(ask(address, FIRST[0]).await.unwrap().ends_with("here\n"), "a second client is served beside it");
    let mut nothing = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, silent.read_to_end(&mut nothing)).await;
    assert!(ended.is_ok() && nothing.is_empty(), "its connection is closed without a word");
}

#[tokio::test]
async fn plain_http_gets_no_answer() {
    let address = start(Files::new(FIRST).load().unwrap(), PATIENCE, 8).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[test]
fn files_that_cannot_be_used_say_which_and_why() {
    let files = Files::new(FIRST);
    let said = |chain: Option<&[u8]>, key: Option<&[u8]>| {
        files.write(FIRST);
        for (path, bytes) in [(files.chain(), chain), (files.key(), key)] {
            if let Some(bytes) = bytes {
                std::fs::write(path, bytes).unwrap();
            }
        }
        let error = files.load().err().map(|error| error.to_string()).unwrap_or_default();
        error.replace(&files.0.path().display().to_string(), "")
    };
    let no_certificate = "/chain.pem has no certificate; it must hold the chain, the listener's own first";
    assert_eq!(said(None, None), "");
    assert_eq!(said(Some(b"no PEM"), None), no_certificate);
    assert!(said(None, Some(b"no PEM")).starts_with("/key.pem is not PEM"));
    let other = Files::new(RENEWED);
    let other_key = std::fs::read(other.key()).unwrap();
    assert!(said(None, Some(&other_key)).starts_with("/chain.pem and its key do not make a certificate"));
    std::fs::remove_file(files.chain()).unwrap();
    assert!(files.load().is_err_and(|e| e.to_string().contains("/chain.pem cannot be read")));
}
