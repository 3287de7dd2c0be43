//! One HTTP exchange over a stream in hand: how commands and the demo ask the relay.
//!
//! Promises: one request, one bounded answer, nothing spawned.
//! Never: used to reach a provider (`provider` has its own client with deadlines and TLS).

use axum::body::Bytes;
use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Largest answer, bytes.
const MAX_ANSWER: usize = 64 << 20;

/// An exchange that broke.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum CallError {
    #[error("request cannot be built: {0}")]
    Request(#[from] axum::http::Error),
    #[error("connection failed: {0}")]
    Connection(#[from] hyper::Error),
    #[error("connection ended before the answer")]
    Ended,
    #[error("answer cannot be read: {0}")]
    Answer(String),
}

/// Builds a JSON request with the host name every relay answers to.
///
/// # Errors
/// When `path` is not a path.
pub fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<Request<Full<Bytes>>, CallError> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "sealpost")
        .header(header::CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Ok(request.body(Full::new(body.into()))?)
}

/// Sends one request over `stream` and reads the answer.
///
/// # Errors
/// When the connection breaks or the answer is larger than 64 MiB.
pub async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), CallError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        Ok((status, body.map_err(|e| CallError::Answer(e.to_string()))?.to_bytes()))
    };
    // Driven beside the exchange, so that nothing is spawned; what breaks it also ends the exchange, which reports it.
    let connection = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = exchange => answer,
        () = connection => Err(CallError::Ended),
    }
}
