//! An accept loop over hyper: what `axum::serve` lacks.
//!
//! Promises: deadlines for headers and bodies, a limit and a maximum age for connections, bounded buffers, no Nagle; idle connections
//! never keep out who has something to say (`places`); a stop ends the accepting, finishes requests under way and then closes.
//! Never: HTTP/2 (a webhook sender gains nothing by it, an attacker does).

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::tasks::Tasks;

mod linger;
mod places;
mod tls;

pub use places::{Crowd, Idle, Visitor};
use places::{Places, Seat};
pub use tls::{Certificate, CertificateError};

/// Bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the first byte of a request, and between two requests of a connection, to the end of its headers.
    pub header_timeout: Duration,
    /// From the end of the headers to the answer: the body and its handling.
    pub body_timeout: Duration,
    /// Connections at once. One more takes the place of the longest idle; where nobody is idle it waits, and the rest in the kernel's queue.
    pub max_connections: usize,
    /// The first answer after this is a connection's last; one that is idle ends by `header_timeout`, one that takes no answer after all three.
    pub connection_max_age: Duration,
}

/// Open files that are left to everything but the intake's connections: stores, ways out, people's doors.
const OTHER_FILES: usize = 768;
/// Connections that are let in however few files there are.
const FEWEST_CONNECTIONS: usize = 16;

impl Limits {
    /// No more connections than `files`, the most that this process may have open, leave room for: a store that cannot open a file is
    /// lost, a connection that waits is not.
    #[must_use]
    pub fn within(self, files: u64) -> Self {
        let room = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(OTHER_FILES).max(FEWEST_CONNECTIONS);
        Self { max_connections: self.max_connections.min(room), ..self }
    }
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
    serve_counted(listener, router, limits, Crowd::default(), tasks, stop);
}

/// The same, counting its connections.
pub fn serve_counted(
    listener: Listener,
    router: Router,
    limits: Limits,
    crowd: Crowd,
    tasks: &Tasks,
    stop: CancellationToken,
) {
    let spawner = tasks.clone();
    tasks.spawn("listen", async move {
        let places = Places::new(limits.max_connections, crowd);
        let mut refused = false;
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, caller) = match accepted {
                Ok(accepted) => accepted,
                // It went away while it stood at the door.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => continue,
                Err(error) => {
                    // Out of file descriptors, most likely: others must close first. Said once, until one comes in again.
                    if !std::mem::replace(&mut refused, true) {
                        tracing::error!(%error, "connections cannot be accepted; it is tried again");
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            refused = false;
            let seat = tokio::select! {
                () = stop.cancelled() => return,
                seat = places.enter() => Arc::new(seat),
            };
            let (router, stop) = (router.clone(), stop.clone());
            let tls = listener.acceptor();
            spawner.spawn("connection", async move {
                let idle = seat.idle();
                let served = async {
                    // In the connection's own task: a slow handshake holds up nobody else.
                    if let Some(stream) = secured(stream, tls, limits.header_timeout, &stop).await {
                        connection(stream, caller, router, limits, stop, &seat, idle).await;
                    }
                };
                tokio::select! {
                    // What was answered is written before its place is given up.
                    biased;
                    () = served => {}
                    () = seat.given_up() => {}
                }
            });
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
                // It fails for one who is gone already, which is seen soon enough.
                _ = stream.set_nodelay(true);
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

async fn connection(
    stream: Box<dyn Stream>,
    caller: Caller,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
    seat: &Arc<Seat>,
    idle: Idle,
) {
    // Empty while a request is under way.
    let idle = Mutex::new(Some(idle));
    let rests = |rests: Option<Idle>| *idle.lock().unwrap_or_else(PoisonError::into_inner) = rests;
    // Told with an answer, never by hanging up: a request that is on its way at that moment would be lost.
    let oldest = Instant::now() + limits.connection_max_age;
    let service = service_fn(|mut request: Request<Incoming>| {
        rests(None);
        let router = router.clone();
        request.extensions_mut().insert(Visitor(seat.clone()));
        match caller {
            Caller::Local(peer) => drop(request.extensions_mut().insert(peer)),
            Caller::Remote(address) => drop(request.extensions_mut().insert(address)),
        }
        let request = request.map(Body::new);
        Box::pin(async {
            let mut answer = answer(router, request, limits.body_timeout).await;
            if Instant::now() >= oldest {
                answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            rests(Some(seat.idle()));
            Ok::<_, Infallible>(answer)
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    // By then whoever listens has had an answer that was the last, or was silent for too long: left are those who take no answer.
    let latest = oldest + limits.header_timeout + limits.body_timeout;
    let over = tokio::select! {
        // What a client does to its connection is its own affair: no log, no metric.
        _ = poll_fn(|cx| connection.poll_without_shutdown(cx)) => true,
        () = stop.cancelled() => false,
        () = tokio::time::sleep_until(latest) => return,
    };
    if !over {
        Pin::new(&mut connection).graceful_shutdown();
        let ending = poll_fn(|cx| connection.poll_without_shutdown(cx));
        if tokio::time::timeout(limits.body_timeout + LAST_WORDS, ending).await.is_err() {
            return;
        }
    }
    // Also of one that broke off in the middle of a request.
    let _idle = seat.idle();
    linger::farewell(connection.into_parts().io.into_inner()).await;
}

async fn answer(router: Router, request: Request<Body>, deadline: Duration) -> Response {
    // Who asked for a tunnel may take what follows for the tunnel's, and we for the next request.
    let is_tunnel = request.method() == Method::CONNECT;
    let mut response = match tokio::time::timeout(deadline, router.oneshot(request)).await {
        Ok(Ok(response)) => response,
        Ok(Err(never)) => match never {},
        // Retriable by every sender's book, and the connection is out of step.
        Err(_) => (StatusCode::REQUEST_TIMEOUT, [("connection", "close")]).into_response(),
    };
    if is_tunnel {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests;
