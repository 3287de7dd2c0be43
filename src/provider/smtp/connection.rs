//! One TCP connection to a mail server, in clear or under TLS, with a deadline on everything.
//!
//! Promises: Nagle's delay is off; each write and each whole reply has its own deadline, so a dribbling server gains nothing;
//! reply lines and their number are bounded; nothing that came before a handshake is read after it.
//! Never: reuse after an error: every method that can fail for the peer's sake says so in its type.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::reply::{Partial, Phase, Reply, broken};
use crate::failpoint::{self, Point};
use crate::provider::Verdict;

/// The connection broke; `what` is a word for the outcome's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Break {
    pub(super) phase: Phase,
    pub(super) what: &'static str,
}

impl Break {
    /// True if the peer hung up, as servers do with idle connections.
    pub(super) fn is_closed(self) -> bool {
        self.what == "closed"
    }
}

impl From<Break> for Verdict {
    fn from(cut: Break) -> Self {
        broken(cut.phase, cut.what)
    }
}

/// An open connection.
pub(super) struct Connection {
    stream: Stream,
    // Read but not yet consumed.
    buffer: BytesMut,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

impl Stream {
    fn socket(&mut self) -> &mut dyn Socket {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.as_mut(),
        }
    }
}

impl Connection {
    /// Connects within `limit`, trying each address of `host` in turn. `local_only`: to loopback addresses alone.
    pub(super) async fn open(host: &str, port: u16, local_only: bool, limit: Duration) -> Result<Self, Break> {
        let cut = |what| Break { phase: Phase::Connect, what };
        let deadline = Instant::now() + limit;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = timeout_at(deadline, tokio::net::lookup_host((bare, port))).await.map_err(|_| cut("timeout"))?;
        let addresses: Vec<SocketAddr> =
            found.map_err(|_| cut("name_unknown"))?.filter(|a| !local_only || a.ip().is_loopback()).collect();
        let mut last = cut("name_unknown");
        for (i, address) in addresses.iter().enumerate() {
            // An address that swallows packets must leave time for the others.
            let share = deadline.saturating_duration_since(Instant::now()) / (addresses.len() - i) as u32;
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true).map_err(|_| cut("io"))?;
                    return Ok(Self { stream: Stream::Plain(stream), buffer: BytesMut::new() });
                }
                Ok(Err(error)) => last = cut(word(&error)),
                Err(_) => last = cut("timeout"),
            }
        }
        Err(last)
    }

    /// True once TLS is on.
    pub(super) fn is_tls(&self) -> bool {
        matches!(self.stream, Stream::Tls(_))
    }

    /// Turns TLS on. Fails if anything was said before the handshake.
    pub(super) async fn upgrade(
        self,
        config: Arc<rustls::ClientConfig>,
        name: ServerName<'static>,
        limit: Duration,
    ) -> Result<Self, Verdict> {
        // Commands that an attacker put behind the 220 would be read as if they had come under TLS.
        if !self.buffer.is_empty() {
            return Err(Verdict::misconfigured("starttls_injection"));
        }
        let Stream::Plain(stream) = self.stream else { return Err(broken(Phase::Tls, "twice")) };
        match timeout(limit, TlsConnector::from(config).connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Self { stream: Stream::Tls(Box::new(stream)), buffer: self.buffer }),
            Ok(Err(error)) if is_certificate(&error) => Err(Verdict::misconfigured("tls_certificate_refused")),
            Ok(Err(_)) => Err(broken(Phase::Tls, "handshake_failed")),
            Err(_) => Err(broken(Phase::Tls, "timeout")),
        }
    }

    /// Writes commands.
    pub(super) async fn write(&mut self, bytes: &[u8], phase: Phase, limit: Duration) -> Result<(), Break> {
        let socket = self.stream.socket();
        let all = async {
            socket.write_all(bytes).await?;
            socket.flush().await
        };
        match timeout(limit, all).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Break { phase, what: word(&error) }),
            Err(_) => Err(Break { phase, what: "timeout" }),
        }
    }

    /// Writes a message that ends with its final dot. A failure says whether the dot may have gone.
    pub(super) async fn write_message(&mut self, data: &[u8], limit: Duration) -> Result<(), Break> {
        let socket = self.stream.socket();
        if failpoint::comes(Point::SmtpBeforeDot) {
            let _ = socket.write_all(&data[..data.len().saturating_sub(3)]).await;
            let _ = socket.flush().await;
            failpoint::die(Point::SmtpBeforeDot);
        }
        let mut accepted = 0;
        let all = async {
            while accepted < data.len() {
                match socket.write(&data[accepted..]).await? {
                    0 => return Err(io::ErrorKind::WriteZero.into()),
                    n => accepted += n,
                }
            }
            socket.flush().await
        };
        let what = match timeout(limit, all).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => word(&error),
            Err(_) => "timeout",
        };
        // The last three bytes are the dot and its line end. What the socket has not accepted cannot have gone.
        let before_dot = accepted <= data.len().saturating_sub(3);
        Err(Break { phase: if before_dot { Phase::Content } else { Phase::FinalDot }, what })
    }

    /// Reads one whole reply within `limit`.
    pub(super) async fn reply(&mut self, phase: Phase, limit: Duration) -> Result<Reply, Break> {
        match timeout(limit, self.read_reply()).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(what)) => Err(Break { phase, what }),
            Err(_) => Err(Break { phase, what: "timeout" }),
        }
    }

    async fn read_reply(&mut self) -> Result<Reply, &'static str> {
        let mut partial = Partial::default();
        loop {
            if let Some(reply) = partial.take(&mut self.buffer)? {
                return Ok(reply);
            }
            match self.stream.socket().read_buf(&mut self.buffer).await {
                Ok(0) => return Err("closed"),
                Ok(_) => {}
                Err(error) => return Err(word(&error)),
            }
        }
    }

    /// True if the peer has said nothing that was not asked for. To be asked between commands only.
    pub(super) fn is_in_sync(&self) -> bool {
        self.buffer.is_empty()
    }

    /// True if an idle connection still stands and is silent. Takes no time: looks at what has arrived.
    pub(super) async fn is_quiet(&mut self) -> bool {
        let mut byte = [0; 1];
        let socket = self.stream.socket();
        let arrived = std::future::poll_fn(|cx| {
            let mut buffer = ReadBuf::new(&mut byte);
            // Ready is data, an end or an error: all three mean that this connection is not ours to use.
            Poll::Ready(std::pin::Pin::new(&mut *socket).poll_read(cx, &mut buffer).is_ready())
        })
        .await;
        !arrived && self.buffer.is_empty()
    }
}

/// A word for an outcome's code; never the error's own text.
fn word(error: &io::Error) -> &'static str {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, InvalidData,
        NetworkUnreachable, TimedOut, UnexpectedEof, WriteZero,
    };
    match error.kind() {
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof | WriteZero => "closed",
        ConnectionRefused => "refused",
        HostUnreachable | NetworkUnreachable => "unreachable",
        TimedOut => "timeout",
        InvalidData => "tls_broken",
        _ => "io",
    }
}

fn is_certificate(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}
