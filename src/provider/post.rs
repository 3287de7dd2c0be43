//! A JSON body posted to one configured address: the way out of the webhook and of look-ups. Messages to people go through the providers.
//!
//! Promises: one request per call, bounded by its timeout; 2xx is success and nothing else is; of a failure a code is told; an answer is
//! read only by who asked for one, within bounds.
//! Never: a redirect; a try of its own; an answer's text, the address or a header in an error.

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Request, Response, Url};
use zeroize::Zeroizing;

use super::gateway::retry_after;
use super::http::{self, ClientError};
use crate::clock::Clock;

/// Where to and how.
pub struct Post {
    client: Client,
    url: Url,
    timeout: Duration,
    clock: Clock,
}

/// An address that cannot be posted to. Says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// It is no address.
    #[error("url is not an address that can be posted to")]
    Url,
    /// The roots cannot be used.
    #[error("ca_file {0}")]
    Roots(String),
    /// There is no client.
    #[error("an HTTP client cannot be built; check the system's certificates")]
    Client,
}

/// A post that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken {
    /// The status, or a word such as `connect_failed`.
    pub code: String,
    /// The receiver asked for at least this wait.
    pub retry_after: Option<Duration>,
}

impl Post {
    /// Connects to nothing; keeps at most `connections` open between posts. Whether plain HTTP may be spoken to this address was checked with the configuration.
    ///
    /// # Errors
    /// What keeps it from being used.
    pub fn build(
        url: &str,
        ca_file: Option<&PathBuf>,
        timeout: Duration,
        connections: usize,
        clock: Clock,
    ) -> Result<Self, PostError> {
        let url = Url::parse(url).map_err(|_| PostError::Url)?;
        let client = http::client(url.scheme() == "https", ca_file.map(PathBuf::as_path), timeout, connections);
        let client = client.map_err(|error| match error {
            ClientError::Tls(error) => PostError::Roots(error.to_string()),
            ClientError::Client => PostError::Client,
        })?;
        Ok(Self { client, url, timeout, clock })
    }

    /// One try.
    ///
    /// # Errors
    /// Why it counts as not taken; it may have been received all the same.
    pub async fn send(&self, headers: &[(&str, String)], body: Vec<u8>) -> Result<(), NotTaken> {
        self.within(async { self.execute(headers, body).await.map(drop) }).await
    }

    /// One try, with the answer's body, of at most `most` bytes: a longer one is a failure, `answer_too_long`.
    ///
    /// # Errors
    /// As [`Post::send`].
    pub async fn ask(
        &self,
        headers: &[(&str, String)],
        body: Vec<u8>,
        most: usize,
    ) -> Result<Zeroizing<Vec<u8>>, NotTaken> {
        self.within(async {
            let response = self.execute(headers, body).await?;
            let read = Limited::new(reqwest::Body::from(response), most).collect().await;
            match read {
                Ok(body) => Ok(Zeroizing::new(body.to_bytes().into())),
                Err(error) if error.is::<LengthLimitError>() => Err(NotTaken::of("answer_too_long")),
                Err(_) => Err(NotTaken::of("broken_off")),
            }
        })
        .await
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, NotTaken>>) -> Result<T, NotTaken> {
        tokio::time::timeout(self.timeout, work).await.unwrap_or_else(|_| Err(NotTaken::of("timeout")))
    }

    async fn execute(&self, headers: &[(&str, String)], body: Vec<u8>) -> Result<Response, NotTaken> {
        let mut request = Request::new(Method::POST, self.url.clone());
        let mut all = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| NotTaken::of("header_malformed"))?;
            let value = HeaderValue::from_str(value).map_err(|_| NotTaken::of("header_malformed"))?;
            all.insert(name, value);
        }
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.headers_mut() = all;
        *request.body_mut() = Some(body.into());
        match self.client.execute(request).await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => {
                let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let wait = wait.and_then(|text| retry_after(text, self.clock.now()));
                Err(NotTaken { code: response.status().as_u16().to_string(), retry_after: wait })
            }
            Err(error) if error.is_connect() => Err(NotTaken::of("connect_failed")),
            Err(_) => Err(NotTaken::of("broken_off")),
        }
    }
}

impl NotTaken {
    fn of(code: &str) -> Self {
        Self { code: code.into(), retry_after: None }
    }

    /// True if another try cannot help: the receiver refuses what we say, or us.
    pub fn is_refusal(&self) -> bool {
        self.code.parse::<u16>().is_ok_and(|status| (300..500).contains(&status) && !matches!(status, 408 | 425 | 429))
    }
}
