//! An accept loop over hyper: what `axum::serve` lacks.
//!
//! Promises: deadlines for headers and bodies, a limit and a maximum age for connections, bounded buffers, no Nagle; a stop
//! ends the accepting, finishes requests under way and then closes.
//! Never: HTTP/2 (a webhook sender gains nothing by it, an attacker does).

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::tasks::Tasks;

mod linger;
mod tls;

pub use tls::{Certificate, CertificateError};

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first byte of a request, and between two requests of a connection, to the end of its headers.
    pub header_timeout: Duration,
    /// From the end of the headers to the answer: the body and its handling.
    pub body_timeout: Duration,
    /// Connections at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// After this a connection is closed behind the request under way.
    pub connection_max_age: Duration,
}

/// Where connections come from.
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// TCP with TLS; each connection gets the certificate that is in force when it comes.
    Tls(TcpListener, Certificate),
    /// A local socket.
    Unix(UnixListener),
}

/// Who is at the other end of a local socket, by the kernel's word; an extension of every request that came through one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Their user id.
    pub uid: u32,
}

/// Where a TCP connection comes from; an extension of every request that came through one. Behind a gateway it is the gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// Who is at the other end.
#[derive(Clone, Copy)]
enum Caller {
    Local(Peer),
    Remote(ClientAddress),
}

/// Largest head of a request, bytes. Beyond it hyper answers 431 by itself, before anybody can be authenticated: generous, because
/// gateways on the way add headers of their own.
const MAX_HEAD: usize = 64 << 10;
/// Most headers of a request; beyond it hyper answers 431.
const MAX_HEADERS: usize = 128;
/// How long a connection may take to finish after it was asked to.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves `router` on `listener` until `stop`, as tasks of the house.
pub fn serve(listener: Listener, router: Router, limits: Limits, tasks: &Tasks, stop: CancellationToken) {
    let spawner = tasks.clone();
    tasks.spawn("listen", async move {
        let slots = Arc::new(Semaphore::new(limits.max_connections));
        loop {
            // A slot before the accept: who cannot be served is left to the kernel, not accepted and forgotten.
            let slot = tokio::select! {
                () = stop.cancelled() => return,
                slot = slots.clone().acquire_owned() => slot.expect("the semaphore is never closed"),
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, caller)) => {
                    let (router, stop) = (router.clone(), stop.clone());
                    let tls = listener.acceptor();
                    spawner.spawn("connection", async move {
                        // In the connection's own task: a slow handshake holds up nobody else.
                        if let Some(stream) = secured(stream, tls, limits.header_timeout, &stop).await {
                            connection(stream, caller, router, limits, stop).await;
                        }
                        drop(slot);
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: others must close first.
                    tracing::error!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    });
}

/// Requests of this router are carried to their end, whatever the client does meanwhile: one that goes away in the middle of a
/// write would else leave what was to follow undone (waking what waits for a contact, for example).
pub fn to_the_end(router: Router, tasks: &Tasks) -> Router {
    router.layer(middleware::from_fn_with_state(tasks.clone(), carry))
}

async fn carry(State(tasks): State<Tasks>, request: Request, next: Next) -> Response {
    let (tell, answer) = oneshot::channel();
    tasks.spawn("request", async move {
        // Nobody listens any more: that is what this is for.
        let _ = tell.send(next.run(request).await);
    });
    answer.await.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

/// A stream of either kind.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Listener {
    fn acceptor(&self) -> Option<TlsAcceptor> {
        match self {
            Self::Tls(_, certificate) => Some(certificate.acceptor()),
            Self::Tcp(_) | Self::Unix(_) => None,
        }
    }

    async fn accept(&self) -> std::io::Result<(Box<dyn Stream>, Caller)> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => {
                let (stream, from) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Box::new(stream), Caller::Remote(ClientAddress(from.ip()))))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let uid = stream.peer_cred()?.uid();
                Ok((Box::new(stream), Caller::Local(Peer { uid })))
            }
        }
    }
}

/// The stream behind its handshake; `None` if there is none in time. What a stranger does to it is no news.
async fn secured(
    stream: Box<dyn Stream>,
    tls: Option<TlsAcceptor>,
    patience: Duration,
    stop: &CancellationToken,
) -> Option<Box<dyn Stream>> {
    let Some(tls) = tls else { return Some(stream) };
    tokio::select! {
        () = stop.cancelled() => None,
        () = tokio::time::sleep(patience) => None,
        stream = tls.accept(stream) => Some(Box::new(stream.ok()?)),
    }
}

async fn connection(stream: Box<dyn Stream>, caller: Caller, router: Router, limits: Limits, stop: CancellationToken) {
    let service = service_fn(move |mut request: Request<Incoming>| {
        let router = router.clone();
        match caller {
            Caller::Local(peer) => drop(request.extensions_mut().insert(peer)),
            Caller::Remote(address) => drop(request.extensions_mut().insert(address)),
        }
        Box::pin(async move { Ok::<_, Infallible>(answer(router, request.map(Body::new), limits.body_timeout).await) })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    let over = tokio::select! {
        // What a client does to its connection is its own affair: no log, no metric.
        _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => true,
        () = stop.cancelled() => false,
        () = tokio::time::sleep(limits.connection_max_age) => false,
    };
    if !over {
        Pin::new(&mut connection).graceful_shutdown();
        let ending = poll_fn(|cx| connection.poll_without_shutdown(cx));
        if tokio::time::timeout(limits.body_timeout + LAST_WORDS, ending).await.is_err() {
            return;
        }
    }
    linger::farewell(connection.into_parts().io.into_inner()).await;
}

async fn answer(router: Router, request: Request<Body>, deadline: Duration) -> Response {
    match tokio::time::timeout(deadline, router.oneshot(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        // Retriable by every sender's book, and the connection is out of step.
        Err(_) => (StatusCode::REQUEST_TIMEOUT, [("connection", "close")]).into_response(),
    }
}

#[cfg(test)]
mod tests;
