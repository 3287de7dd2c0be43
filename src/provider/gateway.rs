//! SMS through an HTTP gateway that is declared in configuration.
//!
//! Promises: one request per try; redirects and system proxies are off; the answer is read up to 64 KiB; what fails
//! before the connection stands is `Transient`, what fails after is `Ambiguous` unless the gateway knows our id.
//! Never: plain HTTP to another machine; a URL, a body or reqwest's error (it has the URL) in a log or an outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Request, Response, Url};
use secrecy::SecretString;
use tokio::time::{Instant, timeout_at};

use super::breaker::Health;
use super::http::{self, ClientError};
use super::{Outcome, Report, Verdict};
use crate::clock::{Clock, Time};
use crate::config;
use crate::failpoint::{self, Point};
use crate::id::NotificationId;
use crate::message::Sms;

mod answer;
mod body;
mod declared;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod parse;

use answer::{Answer, Rules};
use body::{RenderError, Template, Values};

/// The longest answer that is read.
const MAX_ANSWER: usize = 64 * 1024;
/// The longest wait that Retry-After may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// One gateway.
pub(super) struct Gateway {
    client: Client,
    method: Method,
    url: Template,
    /// Scheme, host and port: what configuration allows to connect to.
    origin: String,
    headers: Vec<(HeaderName, Template)>,
    content_type: HeaderValue,
    body: Template,
    params: BTreeMap<String, SecretString>,
    rules: Rules,
    timeout: Duration,
    clock: Clock,
}

impl Gateway {
    /// Connects to nothing; all faults of the declaration go to the report.
    pub(super) fn build(config: &config::HttpSms, slots: usize, clock: Clock, report: &mut Report<'_>) -> Option<Self> {
        let declared = declared::check(config, report)?;
        let https = declared.url.scheme() == "https";
        let client = match http::client(https, config.ca_file.as_deref(), config.timeout, slots) {
            Ok(client) => client,
            Err(ClientError::Tls(error)) => {
                report.tls_fault(&error);
                return None;
            }
            Err(ClientError::Client) => {
                report.fault("url", "needs an HTTP client that cannot be built", "check the system's certificates");
                return None;
            }
        };
        Some(Self {
            client,
            method: declared.method,
            origin: declared.url.origin().ascii_serialization(),
            url: declared.url_template,
            headers: declared.headers,
            content_type: declared.content_type,
            body: declared.body,
            params: config.params.clone(),
            rules: declared.rules,
            timeout: config.timeout,
            clock,
        })
    }

    /// One try.
    pub(super) async fn send(&self, id: &NotificationId, sms: &Sms) -> Verdict {
        let values = Values::new(id, sms, &self.params);
        let request = match self.request(&values) {
            Ok(request) => request,
            Err(code) => return Verdict { outcome: Outcome::Misconfigured { code }, health: Health::Unknown },
        };
        let deadline = Instant::now() + self.timeout;
        failpoint::at(Point::GatewayBeforeRequest);
        let answered = timeout_at(deadline, self.client.execute(request)).await;
        failpoint::at(Point::GatewayAfterRequest);
        match answered {
            Ok(Ok(response)) => {
                let answer = self.read(response, deadline).await;
                self.rules.judge(&answer, values.to_digits())
            }
            Ok(Err(error)) if error.is_builder() => Verdict::misconfigured("request_malformed"),
            Ok(Err(error)) if error.is_connect() && error.is_timeout() => Verdict::transient("connect_timeout"),
            Ok(Err(error)) if error.is_connect() => Verdict::transient("connect_failed"),
            Ok(Err(error)) if error.is_timeout() => self.rules.unclear("after_request_timeout"),
            Ok(Err(_)) => self.rules.unclear("after_request_closed"),
            // The connection's own timeout is half of this one: the request was under way.
            Err(_) => self.rules.unclear("after_request_timeout"),
        }
    }

    fn request(&self, values: &Values<'_>) -> Result<Request, String> {
        let url = Url::parse(&self.url.render(values).map_err(code)?).map_err(|_| "url_malformed")?;
        if url.origin().ascii_serialization() != self.origin {
            return Err("url_malformed".into());
        }
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            let text = template.render(values).map_err(code)?;
            let mut value = HeaderValue::from_str(&text).map_err(|_| "header_malformed")?;
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
        headers.insert(CONTENT_TYPE, self.content_type.clone());
        let mut request = Request::new(self.method.clone(), url);
        *request.headers_mut() = headers;
        *request.body_mut() = Some(self.body.render(values).map_err(code)?.as_bytes().to_vec().into());
        Ok(request)
    }

    async fn read(&self, mut response: Response, deadline: Instant) -> Answer {
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(RETRY_AFTER).and_then(|v| retry_after(v.to_str().ok()?, self.clock.now()));
        let mut body = Vec::new();
        loop {
            match timeout_at(deadline, response.chunk()).await {
                Ok(Ok(Some(chunk))) if body.len() + chunk.len() <= MAX_ANSWER => body.extend_from_slice(&chunk),
                Ok(Ok(None)) => return Answer { status, retry_after, body: Some(body) },
                // Too long, broken off, or too slow: the status is all there is.
                Ok(Ok(Some(_)) | Err(_)) | Err(_) => return Answer { status, retry_after, body: None },
            }
        }
    }
}

fn code(error: RenderError) -> String {
    let (word, name) = match &error {
        RenderError::Missing(name) => ("missing", name),
        RenderError::NotForHeader(name) => ("malformed", name),
    };
    format!("{word}_{}", name.replace('.', "_"))
}

/// Seconds or an HTTP date (RFC 9110 section 10.2.3), bounded.
pub(super) fn retry_after(text: &str, now: Time) -> Option<Duration> {
    let wait = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => Time::from(jiff::fmt::rfc2822::parse(text).ok()?.timestamp()).since(now),
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests;
