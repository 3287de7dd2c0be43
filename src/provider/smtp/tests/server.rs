//! A mail server that follows a script: one script for each connection it will get.
//!
//! It runs on a thread of its own with blocking sockets, so that it never shares a scheduler with what it tests.

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::pki;

/// One move of the server.
pub(super) enum Step {
    /// Write this, as it is.
    Say(String),
    /// Read one line; it must begin so.
    Hear(&'static str),
    /// Nothing came along with the line just heard.
    Alone,
    /// Read a message up to its final dot.
    HearMessage,
    /// Do a TLS handshake as the server.
    Tls,
    /// Close at once.
    Close,
    /// Write a byte each 20 ms until the client is gone.
    Dribble,
    /// Read until the client is gone; nothing may come.
    Silence,
    /// Read until the client is gone, whatever it says.
    Hang,
    /// Write this over and over until the client is gone.
    Flood(&'static str),
}

pub(super) use Step::{Alone, Close, Dribble, Flood, Hang, Hear, HearMessage, Silence, Tls};

pub(super) fn say(text: impl Into<String>) -> Step {
    Step::Say(text.into() + "\r\n")
}

/// A server that is listening.
pub(super) struct Server {
    pub(super) port: u16,
    thread: JoinHandle<Vec<String>>,
}

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl Server {
    /// Plays `scripts`, one for each connection, in the order in which they are made.
    pub(super) fn start(scripts: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let playing: Vec<_> = scripts
                .into_iter()
                .map(|script| {
                    let (socket, _) = listener.accept().unwrap();
                    // No test waits this long; a server that does is a test that failed.
                    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    std::thread::spawn(move || play(socket, script))
                })
                .collect();
            playing.into_iter().map(|one| one.join().unwrap()).collect()
        });
        Self { port, thread }
    }

    /// What each connection heard. Fails if a script was not followed.
    pub(super) fn heard(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

fn play(socket: TcpStream, script: Vec<Step>) -> String {
    let mut heard = String::new();
    let raw = socket.try_clone().unwrap();
    let mut stream: BufReader<Box<dyn Stream>> = BufReader::new(Box::new(socket));
    for step in script {
        match step {
            Step::Say(text) => stream.get_mut().write_all(text.as_bytes()).unwrap(),
            Step::Hear(start) => {
                let line = line(&mut stream);
                heard.push_str(&line);
                assert!(line.starts_with(start), "expected {start:?}, heard {line:?} after:\n{heard}");
            }
            // What comes in one write is in the buffer with the line before it.
            Step::Alone => assert!(stream.buffer().is_empty(), "more than one command at a time:\n{heard}"),
            Step::HearMessage => loop {
                let line = line(&mut stream);
                assert!(!line.is_empty(), "the message broke off:\n{heard}");
                heard.push_str(&line);
                if line == ".\r\n" {
                    break;
                }
            },
            Step::Tls => {
                assert!(stream.buffer().is_empty(), "the client spoke before the handshake was agreed");
                let tls = ServerConnection::new(Arc::new(tls_config())).unwrap();
                let socket = raw.try_clone().unwrap();
                let mut secured = StreamOwned::new(tls, socket);
                // A client that refuses the certificate ends the script here.
                if secured.conn.complete_io(&mut secured.sock).is_err() {
                    return heard;
                }
                stream = BufReader::new(Box::new(secured));
            }
            Step::Close => {
                let _ = raw.shutdown(Shutdown::Both);
                return heard;
            }
            Step::Dribble => {
                while stream.get_mut().write_all(b"2").is_ok() {
                    std::thread::sleep(Duration::from_millis(20));
                }
                return heard;
            }
            Step::Silence => {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest);
                assert!(rest.is_empty(), "heard {:?} after:\n{heard}", String::from_utf8_lossy(&rest));
                return heard;
            }
            Step::Hang => {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest);
                heard.push_str(&String::from_utf8_lossy(&rest));
                return heard;
            }
            Step::Flood(text) => {
                while stream.get_mut().write_all(text.as_bytes()).is_ok() {}
                return heard;
            }
        }
    }
    heard
}

fn line(stream: &mut BufReader<Box<dyn Stream>>) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

fn tls_config() -> ServerConfig {
    let chain = CertificateDer::pem_slice_iter(pki::CHAIN.as_bytes()).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(pki::KEY.as_bytes()).unwrap();
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap()
}
