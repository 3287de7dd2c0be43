//! A JSON body posted to one configured address: the way out of the webhook. Messages to people go through the providers.
//!
//! Promises: one request per call, bounded by its timeout; 2xx is success and nothing else is; of a failure a code is told.
//! Never: a redirect; a try of its own; an answer's text, the address or a header in an error.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Request, Url};

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
    /// Connects to nothing. Whether plain HTTP may be spoken to this address was checked with the configuration.
    ///
    /// # Errors
    /// What keeps it from being used.
    pub fn build(url: &str, ca_file: Option<&PathBuf>, timeout: Duration, clock: Clock) -> Result<Self, PostError> {
        let url = Url::parse(url).map_err(|_| PostError::Url)?;
        let client = http::client(url.scheme() == "https", ca_file.map(PathBuf::as_path), timeout, 1);
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
    pub async fn send(&self, headers: &[(&'static str, String)], body: Vec<u8>) -> Result<(), NotTaken> {
        let not_taken = |code: &str| NotTaken { code: code.into(), retry_after: None };
        let mut request = Request::new(Method::POST, self.url.clone());
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).map_err(|_| not_taken("header_malformed"))?;
            all.insert(HeaderName::from_static(name), value);
        }
        *request.headers_mut() = all;
        *request.body_mut() = Some(body.into());
        match tokio::time::timeout(self.timeout, self.client.execute(request)).await {
            Ok(Ok(response)) if response.status().is_success() => Ok(()),
            Ok(Ok(response)) => {
                let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let wait = wait.and_then(|text| retry_after(text, self.clock.now()));
                Err(NotTaken { code: response.status().as_u16().to_string(), retry_after: wait })
            }
            Ok(Err(error)) if error.is_connect() => Err(not_taken("connect_failed")),
            Ok(Err(_)) => Err(not_taken("broken_off")),
            Err(_) => Err(not_taken("timeout")),
        }
    }
}
