//! What an SMTP catcher offers, and how it misbehaves where.

use std::sync::Arc;
use std::time::Duration;

use crate::sink::Keep;

/// A point in a session at which the script is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Before the first reply.
    Greeting,
    /// `EHLO` or `HELO`.
    Ehlo,
    /// `STARTTLS`.
    StartTls,
    /// `AUTH`, when the credentials are complete.
    Auth,
    /// `MAIL FROM`.
    Mail,
    /// `RCPT TO`, once for each recipient.
    Rcpt,
    /// `DATA`.
    Data,
    /// While the message arrives, before its final dot. Only [`Act::Drop`] and [`Act::Stall`] have a meaning here.
    Content,
    /// After the final dot.
    Dot,
    /// `RSET` or `NOOP`.
    Idle,
    /// `QUIT`.
    Quit,
}

/// What to do at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// What a good server does.
    Usual,
    /// This reply instead; a text of several lines makes a reply of several lines. A code of 400 or more refuses.
    Reply(u16, String),
    /// Exactly these bytes instead of a reply; refuses.
    Raw(Vec<u8>),
    /// Closes the connection without a reply. After the dot the message is lost.
    Drop,
    /// After the dot: keeps the message and closes the connection without a reply. Elsewhere like [`Act::Drop`].
    KeepAndDrop,
    /// Says nothing more, until the client leaves. After the dot the message is lost.
    Stall,
    /// Waits, then acts.
    After(Duration, Box<Act>),
    /// The usual reply, a byte at a time with this pause.
    Dribble(Duration),
    /// A reply line that never ends.
    EndlessLine,
    /// Continuation lines without end.
    Flood,
    /// At `STARTTLS`: 220 and, in the same breath and still in clear, these bytes; then TLS (CVE-2011-0411 the other
    /// way round). Elsewhere like [`Act::Usual`].
    Stuffed(Vec<u8>),
}

impl Act {
    /// Waits this long after the final dot, then refuses with 554.
    pub fn slow_rejection(wait: Duration) -> Self {
        Self::After(wait, Box::new(Self::Reply(554, "5.7.1 rejected after thought".into())))
    }
}

/// What the script is told.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// Where in the session.
    pub phase: Phase,
    /// How often this phase came up before, over all connections.
    pub nth: u64,
    /// Number of the connection, from 0.
    pub connection: u64,
    /// The reverse path, from `MAIL` on.
    pub from: &'a str,
    /// At `RCPT` the recipient in question; later all that were accepted.
    pub recipients: &'a [String],
    /// Whether TLS is on.
    pub tls: bool,
}

/// User name and password that are let in.
#[derive(Clone)]
pub struct Login {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

type Behaviour = dyn Fn(&Moment<'_>) -> Act + Send + Sync;

/// What the catcher offers and how it behaves. The default is a good server without login.
#[derive(Clone)]
pub struct SmtpScript {
    pub(super) port: u16,
    pub(super) keep: Keep,
    pub(super) pipelining: bool,
    pub(super) starttls: bool,
    pub(super) implicit_tls: bool,
    pub(super) login: Option<Login>,
    pub(super) login_required: bool,
    pub(super) login_in_clear: bool,
    pub(super) size_limit: usize,
    behaviour: Option<Arc<Behaviour>>,
}

impl Default for SmtpScript {
    fn default() -> Self {
        Self {
            port: 0,
            keep: Keep::Newest(10_000),
            pipelining: true,
            starttls: true,
            implicit_tls: false,
            login: None,
            login_required: false,
            login_in_clear: true,
            size_limit: 25 * 1024 * 1024,
            behaviour: None,
        }
    }
}

impl SmtpScript {
    /// A good server without login.
    pub fn new() -> Self {
        Self::default()
    }

    /// Listens on this port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// How much is remembered; 10,000 mails if not said.
    #[must_use]
    pub fn keep(self, keep: Keep) -> Self {
        Self { keep, ..self }
    }

    /// Does not offer PIPELINING.
    #[must_use]
    pub fn without_pipelining(self) -> Self {
        Self { pipelining: false, ..self }
    }

    /// Does not offer STARTTLS although it could: what a man in the middle makes of a server.
    #[must_use]
    pub fn without_starttls(self) -> Self {
        Self { starttls: false, ..self }
    }

    /// Starts with TLS, as on port 465.
    #[must_use]
    pub fn implicit_tls(self) -> Self {
        Self { implicit_tls: true, starttls: false, ..self }
    }

    /// Offers AUTH and lets this one in. With `required`, nobody else may send.
    #[must_use]
    pub fn login(self, user: &str, password: &str, required: bool) -> Self {
        let login = Some(Login { user: user.into(), password: password.into() });
        Self { login, login_required: required, ..self }
    }

    /// Offers AUTH only once TLS is on.
    #[must_use]
    pub fn login_only_over_tls(self) -> Self {
        Self { login_in_clear: false, ..self }
    }

    /// Largest message in bytes, as SIZE says; 25 MiB if not said.
    #[must_use]
    pub fn size_limit(self, size_limit: usize) -> Self {
        Self { size_limit, ..self }
    }

    /// Asks this at every moment.
    #[must_use]
    pub fn behave(self, behaviour: impl Fn(&Moment<'_>) -> Act + Send + Sync + 'static) -> Self {
        Self { behaviour: Some(Arc::new(behaviour)), ..self }
    }

    /// Does `act` whenever `phase` comes up; may be said for several phases. Asked before what was said earlier.
    #[must_use]
    pub fn at(self, phase: Phase, act: Act) -> Self {
        let earlier = self.behaviour.clone();
        self.behave(move |moment| {
            if moment.phase == phase {
                return act.clone();
            }
            earlier.as_ref().map_or(Act::Usual, |earlier| earlier(moment))
        })
    }

    pub(super) fn act(&self, moment: &Moment<'_>) -> Act {
        self.behaviour.as_ref().map_or(Act::Usual, |behaviour| behaviour(moment))
    }
}
