//! An SMTP session: greeting, EHLO, STARTTLS, AUTH, then one mail after the other (RFC 5321, 2920, 3207, 4954).
//!
//! Promises: MAIL, RCPT and DATA go in one write where the server offers PIPELINING; only 250 to the final dot is `Sent`;
//! [`Session::deliver`] takes the session and gives it back only when every reply was read and none is left over, so
//! a send that fails, times out or is dropped cannot leave a half-used session behind.
//! Never: a password before TLS (loopback apart), a NOOP, or a guess about which command a reply belongs to.

use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::commands::{Auth, Data, Mail, Quit, Rcpt, Rset, Starttls};
use lettre::transport::smtp::extension::{MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::{Category, Code, Detail, Response, Severity};
use secrecy::ExposeSecret;
use zeroize::Zeroizing;

use super::connection::{Break, Connection};
use super::reply::{Phase, Reply, broken, refusal};
use super::{Server, Timeouts};
use crate::config::SmtpTls;
use crate::failpoint::{self, Point};
use crate::message::mime::Mime;
use crate::provider::breaker::Health;
use crate::provider::{Outcome, Verdict};

/// How long a farewell may take. Nobody waits for its answer.
const FAREWELL: Duration = Duration::from_millis(500);

/// A session that is ready for a mail.
pub(super) struct Session {
    connection: Connection,
    offers: Offers,
    timeouts: Timeouts,
    mails: u32,
    // A refused envelope may still be open at the server; RSET goes before the next one.
    dirty: bool,
}

/// What the server offered after the last EHLO.
#[derive(Clone, Copy, Default)]
struct Offers {
    pipelining: bool,
    utf8: bool,
    size: bool,
}

/// What became of a mail, and the session if it can take another.
pub(super) struct Delivered {
    pub(super) verdict: Verdict,
    /// True if a session that had carried mails before was hung up before it answered: try once with a fresh one.
    pub(super) stale: bool,
    pub(super) session: Option<Session>,
}

/// The mail failed and the session with it.
struct Cut {
    verdict: Verdict,
    unanswered: bool,
}

impl From<Break> for Cut {
    fn from(cut: Break) -> Self {
        Self { verdict: cut.into(), unanswered: false }
    }
}

impl From<Verdict> for Cut {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, unanswered: false }
    }
}

impl Session {
    /// Connects, secures, authenticates.
    pub(super) async fn open(server: &Server) -> Result<Self, Verdict> {
        let timeouts = server.timeouts;
        failpoint::at(Point::SmtpBeforeConnect);
        let opened = Connection::open(&server.host, server.port, server.stays_here(), timeouts.connect).await;
        let mut connection = opened.map_err(Verdict::from)?;
        if server.tls == SmtpTls::Implicit {
            connection = server.secure(connection).await?;
        }
        failpoint::at(Point::SmtpConnected);
        let greeting = connection.reply(Phase::Greeting, timeouts.command).await?;
        expect(Phase::Greeting, &greeting, 220)?;
        failpoint::at(Point::SmtpGreeted);
        let mut ehlo = hello(&mut connection, server).await?;
        failpoint::at(Point::SmtpEhloAnswered);
        if server.tls == SmtpTls::StartTls {
            if ehlo.keyword("STARTTLS").is_none() {
                return Err(Verdict::misconfigured("starttls_not_offered"));
            }
            let reply = ask(&mut connection, &Starttls.to_string(), Phase::StartTls, timeouts.command).await?;
            expect(Phase::StartTls, &reply, 220)?;
            connection = server.secure(connection).await?;
            // What was offered in clear may be an attacker's list (RFC 3207 section 4.2).
            ehlo = hello(&mut connection, server).await?;
        }
        if let Some((username, password)) = &server.login {
            let credentials = Credentials::new(username.clone(), password.expose_secret().to_owned());
            authenticate(&mut connection, &ehlo, credentials, server).await?;
        }
        let offers = Offers {
            pipelining: ehlo.keyword("PIPELINING").is_some(),
            utf8: ehlo.keyword("SMTPUTF8").is_some(),
            size: ehlo.keyword("SIZE").is_some(),
        };
        if !connection.is_in_sync() {
            return Err(broken(Phase::Ehlo, "unasked_reply"));
        }
        Ok(Self { connection, offers, timeouts, mails: 0, dirty: false })
    }

    /// How many mails it has carried.
    pub(super) fn mails(&self) -> u32 {
        self.mails
    }

    /// True if it idled in silence and still stands.
    pub(super) async fn is_quiet(&mut self) -> bool {
        self.connection.is_quiet().await
    }

    /// Says goodbye without waiting for the answer.
    pub(super) async fn quit(mut self) {
        let _ = self.connection.write(Quit.to_string().as_bytes(), Phase::Mail, FAREWELL).await;
    }

    /// One mail. `data` is the message with its final dot.
    pub(super) async fn deliver(mut self, mail: &Mime, data: &[u8]) -> Delivered {
        if mail.needs_utf8 && !self.offers.utf8 {
            let verdict = if mail.from.user().is_ascii() {
                Verdict { health: Health::Unknown, ..Verdict::permanent("smtputf8_needed", false) }
            } else {
                let code = "smtputf8_needed".into();
                Verdict { outcome: Outcome::Misconfigured { code }, health: Health::Unknown }
            };
            return Delivered { verdict, stale: false, session: Some(self) };
        }
        match self.transaction(mail, data).await {
            Ok(verdict) => {
                self.mails += 1;
                let session = self.connection.is_in_sync().then_some(self);
                Delivered { verdict, stale: false, session }
            }
            Err(cut) => Delivered { stale: cut.unanswered && self.mails > 0, verdict: cut.verdict, session: None },
        }
    }

    /// `Ok`: every command was answered, and the session is in step.
    async fn transaction(&mut self, mail: &Mime, data: &[u8]) -> Result<Verdict, Cut> {
        let mut parameters = vec![];
        if self.offers.size {
            parameters.push(MailParameter::Size(data.len()));
        }
        if mail.needs_utf8 {
            parameters.push(MailParameter::SmtpUtfEight);
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let reset = if self.dirty { Rset.to_string() } else { String::new() };
        let first = Zeroizing::new(format!("{reset}{}", Mail::new(Some(mail.from.clone()), parameters)));
        let second = Zeroizing::new(Rcpt::new(mail.to.clone(), vec![]).to_string());
        let refused = match self.offers.pipelining {
            true => self.envelope_at_once(&first, &second).await?,
            false => self.envelope_in_steps(&first, &second).await?,
        };
        if let Some(verdict) = refused {
            self.dirty = true;
            return Ok(verdict);
        }
        failpoint::at(Point::SmtpDataAnswered);
        self.connection.write_message(data, self.timeouts.data).await?;
        failpoint::at(Point::SmtpAfterDot);
        let reply = self.connection.reply(Phase::FinalDot, self.timeouts.data).await?;
        failpoint::at(Point::SmtpDotAnswered);
        match reply.code {
            250 => Ok(Verdict::sent(reply.to_string(), reply.queue_id())),
            400..=599 if !reply.closes() => Ok(refusal(Phase::FinalDot, &reply)),
            _ => Err(refusal(Phase::FinalDot, &reply).into()),
        }
    }

    /// PIPELINING: three commands in one write, three replies in order. `Some` is a refusal; all replies were read.
    async fn envelope_at_once(&mut self, mail: &str, rcpt: &str) -> Result<Option<Verdict>, Cut> {
        let all = Zeroizing::new(format!("{mail}{rcpt}{Data}"));
        self.begin(&all).await?;
        let mail = self.answer_to_mail().await?;
        let rcpt = self.connection.reply(Phase::Rcpt, self.timeouts.command).await?;
        failpoint::at(Point::SmtpRcptAnswered);
        if rcpt.closes() {
            return Err(mail.unwrap_or_else(|| refusal(Phase::Rcpt, &rcpt)).into());
        }
        // A refused MAIL makes the RCPT's refusal a mere echo: the first one counts.
        let rcpt_refused = judge(Phase::Rcpt, &rcpt, &[250, 251])?;
        let nobody_to_write_to = rcpt_refused.is_some();
        let refused = mail.or(rcpt_refused);
        let data = self.connection.reply(Phase::Data, self.timeouts.command).await?;
        match (refused, data.code) {
            (None, 354) => Ok(None),
            (Some(verdict), 354) => {
                // The server waits for a message all the same. The lone dot ends it, but only where there is no
                // recipient who could get an empty mail; else the broken connection ends it.
                if nobody_to_write_to {
                    let farewell = format!(".\r\n{Quit}");
                    let _ = self.connection.write(farewell.as_bytes(), Phase::Data, FAREWELL).await;
                }
                Err(verdict.into())
            }
            (refused, 400..=599) if !data.closes() => Ok(Some(refused.unwrap_or_else(|| refusal(Phase::Data, &data)))),
            (refused, _) => Err(refused.unwrap_or_else(|| refusal(Phase::Data, &data)).into()),
        }
    }

    /// Without PIPELINING: each reply before the next command.
    async fn envelope_in_steps(&mut self, mail: &str, rcpt: &str) -> Result<Option<Verdict>, Cut> {
        let limit = self.timeouts.command;
        // RSET, if there is one, is a command of its own here.
        let (reset, mail) = mail.split_at(if self.dirty { Rset.to_string().len() } else { 0 });
        if self.dirty {
            self.begin(reset).await?;
            self.answer_to_reset().await?;
        }
        self.begin(mail).await?;
        if let Some(verdict) = self.answer_to_mail().await? {
            return Ok(Some(verdict));
        }
        let reply = ask(&mut self.connection, rcpt, Phase::Rcpt, limit).await?;
        failpoint::at(Point::SmtpRcptAnswered);
        if reply.closes() {
            return Err(refusal(Phase::Rcpt, &reply).into());
        }
        if let Some(verdict) = judge(Phase::Rcpt, &reply, &[250, 251])? {
            return Ok(Some(verdict));
        }
        let reply = ask(&mut self.connection, &Data.to_string(), Phase::Data, limit).await?;
        match reply.code {
            354 => Ok(None),
            400..=599 if !reply.closes() => Ok(Some(refusal(Phase::Data, &reply))),
            _ => Err(refusal(Phase::Data, &reply).into()),
        }
    }

    async fn begin(&mut self, commands: &str) -> Result<(), Cut> {
        let written = self.connection.write(commands.as_bytes(), Phase::Mail, self.timeouts.command).await;
        failpoint::at(Point::SmtpMailSent);
        written.map_err(|cut| Cut { verdict: cut.into(), unanswered: cut.is_closed() })
    }

    async fn answer_to_reset(&mut self) -> Result<(), Cut> {
        let reply = self.first_reply().await?;
        self.dirty = false;
        match reply.code {
            250 => Ok(()),
            _ => Err(Cut { verdict: refusal(Phase::Mail, &reply), unanswered: true }),
        }
    }

    /// `Some` is a refusal that leaves the session in step.
    async fn answer_to_mail(&mut self) -> Result<Option<Verdict>, Cut> {
        if self.dirty {
            self.answer_to_reset().await?;
        }
        let reply = self.first_reply().await?;
        if reply.closes() {
            // The farewell to an idle client, as a rule: it was on its way before our command.
            return Err(Cut { verdict: refusal(Phase::Mail, &reply), unanswered: true });
        }
        Ok(judge(Phase::Mail, &reply, &[250])?)
    }

    async fn first_reply(&mut self) -> Result<Reply, Cut> {
        let reply = self.connection.reply(Phase::Mail, self.timeouts.command).await;
        reply.map_err(|cut| Cut { verdict: cut.into(), unanswered: cut.is_closed() })
    }
}

/// `Ok(None)`: accepted; `Ok(Some)`: refused; `Err`: an answer to some other command.
fn judge(phase: Phase, reply: &Reply, accepted: &[u16]) -> Result<Option<Verdict>, Verdict> {
    match reply.code {
        code if accepted.contains(&code) => Ok(None),
        400..=599 => Ok(Some(refusal(phase, reply))),
        _ => Err(refusal(phase, reply)),
    }
}

fn expect(phase: Phase, reply: &Reply, code: u16) -> Result<(), Verdict> {
    if reply.code == code { Ok(()) } else { Err(refusal(phase, reply)) }
}

async fn ask(connection: &mut Connection, command: &str, phase: Phase, limit: Duration) -> Result<Reply, Break> {
    connection.write(command.as_bytes(), phase, limit).await?;
    connection.reply(phase, limit).await
}

async fn hello(connection: &mut Connection, server: &Server) -> Result<Reply, Verdict> {
    let reply = ask(connection, &server.hello.to_string(), Phase::Ehlo, server.timeouts.command).await?;
    expect(Phase::Ehlo, &reply, 250)?;
    Ok(reply)
}

async fn authenticate(
    connection: &mut Connection,
    ehlo: &Reply,
    credentials: Credentials,
    server: &Server,
) -> Result<(), Verdict> {
    if !connection.is_tls() && !server.is_loopback() {
        return Err(Verdict::misconfigured("auth_needs_tls"));
    }
    let offered = ehlo.keyword("AUTH").unwrap_or_default();
    let offers = |name: &str| offered.iter().any(|word| word.eq_ignore_ascii_case(name));
    let mechanism = match (offers("PLAIN"), offers("LOGIN")) {
        (true, _) => Mechanism::Plain,
        (false, true) => Mechanism::Login,
        (false, false) => return Err(Verdict::misconfigured("auth_not_offered")),
    };
    let unusable = |_| broken(Phase::Auth, "unexpected_challenge");
    let first = Auth::new(mechanism, credentials.clone(), None).map_err(unusable)?;
    let mut command = Zeroizing::new(first.to_string());
    // LOGIN asks twice, PLAIN never; a server that asks on is not one.
    for _ in 0..3 {
        let reply = ask(connection, &command, Phase::Auth, server.timeouts.command).await?;
        if reply.code != 334 {
            return expect(Phase::Auth, &reply, 235);
        }
        if mechanism != Mechanism::Login {
            break;
        }
        let code = Code::new(Severity::PositiveIntermediate, Category::Unspecified3, Detail::Four);
        let challenge = Response::new(code, vec![reply.challenge().to_owned()]);
        let next = Auth::new_from_response(mechanism, credentials.clone(), &challenge).map_err(unusable)?;
        command = Zeroizing::new(next.to_string());
    }
    Err(broken(Phase::Auth, "unexpected_challenge"))
}
