//! What an SMS catcher answers, and how it misbehaves.

use std::sync::Arc;
use std::time::Duration;

use super::CaughtSms;
use crate::sink::Keep;

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers besides length and connection.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer of this status and body, as JSON.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type".into(), "application/json".into())], body: body.into() }
    }

    /// With one more header, such as `retry-after`.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Status line and headers; no `content-length` where there is no `length`.
    pub(super) fn head(&self, length: Option<u64>, keep_alive: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(length) = length {
            head.push_str(&format!("content-length: {length}\r\n"));
        }
        head.push_str(if keep_alive { "\r\n" } else { "connection: close\r\n\r\n" });
        head.into_bytes()
    }
}

/// A word for people who watch the wire; clients look at the number.
fn reason(status: u16) -> &'static str {
    match status {
        200..=299 => "OK",
        300..=399 => "Elsewhere",
        400..=499 => "Your Fault",
        _ => "Our Fault",
    }
}

/// What to do with a request that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SmsAct {
    /// This answer.
    Answer(Answer),
    /// Waits, then acts.
    After(Duration, Box<SmsAct>),
    /// Closes the connection without an answer.
    Drop,
    /// Says nothing until the client leaves.
    Hang,
    /// 200 and a body of so many bytes.
    HugeBody(u64),
    /// An answer that claims another length than it has, then closes.
    WrongLength {
        /// What `content-length` says.
        claimed: u64,
        /// What is sent.
        answer: Answer,
    },
    /// Exactly these bytes, then closes.
    Raw(Vec<u8>),
}

impl SmsAct {
    /// This status and body.
    pub fn answer(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Answer(Answer::new(status, body))
    }

    /// A redirect: a client that follows it hands the message to somebody else.
    pub fn redirect(status: u16, to: &str) -> Self {
        Self::Answer(Answer::new(status, "").header("location", to))
    }
}

type Behaviour = dyn Fn(&CaughtSms, u64) -> SmsAct + Send + Sync;
type Doorman = dyn Fn(u64) -> bool + Send + Sync;

/// What the catcher answers. The default is `200 {"status":"accepted"}` to everything.
#[derive(Clone)]
pub struct SmsScript {
    pub(super) port: u16,
    pub(super) keep: Keep,
    behaviour: Arc<Behaviour>,
    drops: Arc<Doorman>,
}

impl Default for SmsScript {
    fn default() -> Self {
        Self {
            port: 0,
            keep: Keep::Newest(10_000),
            behaviour: Arc::new(|_, _| SmsAct::answer(200, r#"{"status":"accepted"}"#)),
            drops: Arc::new(|_| false),
        }
    }
}

impl SmsScript {
    /// Accepts everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens on this port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// How much is remembered; 10,000 requests if not said.
    #[must_use]
    pub fn keep(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// Asks this for every request; it is also told how many came before.
    #[must_use]
    pub fn behave(self, behaviour: impl Fn(&CaughtSms, u64) -> SmsAct + Send + Sync + 'static) -> Self {
        Self { behaviour: Arc::new(behaviour), ..self }
    }

    /// Does this with every request.
    #[must_use]
    pub fn always(self, act: SmsAct) -> Self {
        self.behave(move |_, _| act.clone())
    }

    /// Closes connections, numbered from 0, before anything of the request was read.
    #[must_use]
    pub fn drop_connections(self, drops: impl Fn(u64) -> bool + Send + Sync + 'static) -> Self {
        Self { drops: Arc::new(drops), ..self }
    }

    pub(super) fn act(&self, request: &CaughtSms, nth: u64) -> SmsAct {
        (self.behaviour)(request, nth)
    }

    pub(super) fn drops(&self, connection: u64) -> bool {
        (self.drops)(connection)
    }
}
