//! The public listener as a brand has it: TLS, and a sender that signs.
//!
//! Promises: a real handshake that trusts one certificate and nothing else; signatures as Standard Webhooks ask for.
//! Never: the code under test: what is signed here is signed by hand.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::support::{KEY, now_millis};

const CERTIFICATE: &[u8] = include_bytes!("../fixtures/tls/loopback.cert.der");
const CERTIFICATE_KEY: &[u8] = include_bytes!("../fixtures/tls/loopback.key.der");
const SECRET: &[u8] = b"a secret of at least 24 bytes";

/// Who delivers through the front door.
#[derive(Clone)]
pub struct Door {
    pub intake: SocketAddr,
    connector: TlsConnector,
}

/// How a delivery shows who it is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shows {
    /// The static header of the test source.
    Key,
    /// A signature of this moment.
    Signature,
    /// A signature by another secret.
    WrongSignature,
    /// A signature of an hour ago.
    OldSignature,
}

/// The configuration of the door; its certificate and key go into `dir`.
pub fn toml(dir: &Path) -> String {
    let pem = |name: &str, label: &str, der: &[u8]| {
        let text = format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", BASE64_STANDARD.encode(der));
        let path = dir.join(name);
        std::fs::write(&path, text).expect("a file can be written");
        path.display().to_string()
    };
    let chain = pem("chain.pem", "CERTIFICATE", CERTIFICATE);
    let key = pem("key.pem", "PRIVATE KEY", CERTIFICATE_KEY);
    let secret = BASE64_STANDARD.encode(SECRET);
    format!(
        "[intake.tls]\ncert_file = {chain:?}\nkey_file = {key:?}\n[source.signed.hmac]\nsecret = \"whsec_{secret}\"\n\
         [source.elsewhere]\nallow_from = [\"192.0.2.0/24\"]\nheaders = {{ \"X-Sealpost-Key\" = [\"{KEY}\"] }}\n"
    )
}

impl Door {
    pub fn new(intake: SocketAddr) -> Self {
        Self::offering(intake, &[])
    }

    /// A sender that offers these protocols.
    pub fn offering(intake: SocketAddr, protocols: &[&str]) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(CERTIFICATE)).expect("the fixture is a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows them")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self { intake, connector: TlsConnector::from(Arc::new(config)) }
    }

    /// The protocol that a handshake agrees on; empty if none was offered.
    pub async fn agreed(&self) -> io::Result<String> {
        let stream = TcpStream::connect(self.intake).await?;
        let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
        let stream = self.connector.connect(name, stream).await?;
        Ok(String::from_utf8_lossy(stream.get_ref().1.alpn_protocol().unwrap_or_default()).into_owned())
    }

    /// Delivers to the source that fits; status and body of the answer.
    pub async fn deliver(&self, shows: Shows, body: &[u8]) -> io::Result<(u16, String)> {
        let (source, headers) = match shows {
            Shows::Key => ("capillary", format!("X-Sealpost-Key: {KEY}\r\n")),
            Shows::Signature => ("signed", signature(SECRET, now_millis() / 1_000, body)),
            Shows::WrongSignature => ("signed", signature(b"another secret", now_millis() / 1_000, body)),
            Shows::OldSignature => ("signed", signature(SECRET, now_millis() / 1_000 - 3_600, body)),
        };
        self.deliver_to(source, &headers, body).await
    }

    /// Delivers with these headers.
    pub async fn deliver_to(&self, source: &str, headers: &str, body: &[u8]) -> io::Result<(u16, String)> {
        let stream = TcpStream::connect(self.intake).await?;
        let name = ServerName::try_from("127.0.0.1").expect("an address is a name");
        let mut stream = self.connector.connect(name, stream).await?;
        let head = format!(
            "POST /v1/events/{source} HTTP/1.1\r\nHost: relay\r\nContent-Type: application/json\r\n{headers}\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        // A body that is refused unread may meet a closed connection; the answer is there all the same.
        let _ = stream.write_all(body).await;
        let _ = stream.flush().await;
        let mut answer = Vec::new();
        // How the connection ends is not the answer.
        let _ = stream.read_to_end(&mut answer).await;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.map(|status| (status, text)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Standard Webhooks: `v1,` and the HMAC of id, time and body (standardwebhooks.com).
fn signature(secret: &[u8], seconds: i64, body: &[u8]) -> String {
    let id = format!("msg_{seconds}_{}", body.len());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, &[format!("{id}.{seconds}.").as_bytes(), body].concat());
    let signed = BASE64_STANDARD.encode(tag.as_ref());
    format!("webhook-id: {id}\r\nwebhook-timestamp: {seconds}\r\nwebhook-signature: v1,{signed}\r\n")
}
