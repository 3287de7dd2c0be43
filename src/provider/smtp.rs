//! Mail through an SMTP server: our own session, made of lettre's parts.
//!
//! Promises: STARTTLS is required unless configured otherwise, plaintext stays on this machine unless somebody wrote that it
//! may leave it, and a password never goes so; each phase has a
//! deadline; a session goes back to the pool only after a whole, in-step reply. One fresh connection is tried when an
//! idle one turns out to be hung up before it answered anything: nothing was promised by then.
//! Never: lettre's transport or pool (a cancelled send there made the next mail read its predecessor's reply).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use lettre::transport::smtp::commands::Ehlo;
use lettre::transport::smtp::extension::ClientId;
use rustls::pki_types::ServerName;
use secrecy::SecretString;

use super::{Report, Verdict, tls};
use crate::clock::Clock;
use crate::config::{self, SmtpTls};
use crate::message::{Email, mime};

mod connection;
mod data;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod pool;
mod reply;
mod session;

use connection::Connection;
use pool::Pool;
use session::{Delivered, Session};

/// One mail server.
pub(super) struct Smtp {
    server: Server,
    pool: Pool,
    max_mails: u32,
    clock: Clock,
}

/// Where it is and how to talk to it.
struct Server {
    host: String,
    port: u16,
    tls: SmtpTls,
    // Without TLS, somebody wrote that it may leave this machine.
    dangerously_plaintext: bool,
    // Absent for plaintext only.
    security: Option<(Arc<rustls::ClientConfig>, ServerName<'static>)>,
    login: Option<(String, SecretString)>,
    hello: Ehlo,
    timeouts: Timeouts,
}

#[derive(Clone, Copy)]
struct Timeouts {
    connect: Duration,
    command: Duration,
    data: Duration,
}

impl Server {
    /// A name may lead elsewhere than it says.
    fn stays_here(&self) -> bool {
        self.tls == SmtpTls::None && !self.dangerously_plaintext
    }

    fn is_loopback(&self) -> bool {
        tls::is_loopback(&self.host)
    }

    async fn secure(&self, connection: Connection) -> Result<Connection, Verdict> {
        match &self.security {
            Some((config, name)) => connection.upgrade(Arc::clone(config), name.clone(), self.timeouts.command).await,
            None => Err(Verdict::misconfigured("tls_not_set_up")),
        }
    }
}

impl Smtp {
    /// Connects to nothing.
    pub(super) fn build(config: &config::Smtp, slots: usize, clock: Clock, report: &mut Report<'_>) -> Option<Self> {
        let before = report.faults.len();
        let hello = client_id(&config.hello_name);
        if hello.is_none() {
            report.fault(
                "hello_name",
                "is neither a host name nor an address in brackets",
                "set it to this host's name",
            );
        }
        let login = match (&config.username, &config.password) {
            (Some(username), Some(password)) => Some((username.clone(), password.clone())),
            (None, None) => None,
            _ => {
                report.fault("username", "needs a password, and a password a username", "set both or neither");
                None
            }
        };
        if login.is_some() && config.tls == SmtpTls::None && !tls::is_loopback(&config.host) {
            report.fault(
                "username",
                "needs TLS: a password never leaves this machine in clear",
                "set tls, or take it out",
            );
        }
        let security = security(config, report);
        let server = Server {
            host: config.host.clone(),
            port: config.port,
            tls: config.tls,
            dangerously_plaintext: config.dangerously_plaintext,
            security,
            login,
            hello: Ehlo::new(hello.unwrap_or_default()),
            timeouts: Timeouts {
                connect: config.connect_timeout,
                command: config.command_timeout,
                data: config.data_timeout,
            },
        };
        let pool = Pool::new(slots, config.idle_timeout, clock.clone());
        let smtp = Self { server, pool, max_mails: config.max_mails_per_connection.max(1), clock };
        (report.faults.len() == before).then_some(smtp)
    }

    /// One try.
    pub(super) async fn send(&self, email: &Email) -> Verdict {
        let mail = match mime::build(email, self.clock.now()) {
            Ok(mail) => mail,
            Err(error) => return Verdict::unsendable(error),
        };
        let data = data::terminated(&mail.bytes);
        // From here on the session is this future's own: dropping the future drops the connection.
        while let Some(mut session) = self.pool.take() {
            if !session.is_quiet().await {
                continue;
            }
            let delivered = session.deliver(&mail, &data).await;
            if delivered.stale {
                break;
            }
            return self.finish(delivered).await;
        }
        match Session::open(&self.server).await {
            Ok(session) => self.finish(session.deliver(&mail, &data).await).await,
            Err(verdict) => verdict,
        }
    }

    async fn finish(&self, delivered: Delivered) -> Verdict {
        match delivered.session {
            Some(session) if session.mails() < self.max_mails => self.pool.put(session),
            Some(session) => session.quit().await,
            None => {}
        }
        delivered.verdict
    }

    /// Says goodbye on idle connections.
    pub(super) async fn close(&self) {
        for session in self.pool.drain() {
            session.quit().await;
        }
    }
}

fn security(
    config: &config::Smtp,
    report: &mut Report<'_>,
) -> Option<(Arc<rustls::ClientConfig>, ServerName<'static>)> {
    if config.tls == SmtpTls::None {
        if !tls::is_loopback(&config.host) && !config.dangerously_plaintext {
            report.fault(
                "tls",
                "is \"none\", but the host is not this machine",
                "use \"starttls\" or \"implicit\"; dangerously_plaintext lets it leave the machine",
            );
        }
        return None;
    }
    let bare = config.host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(bare);
    if name.is_err() {
        report.fault("host", "is neither a host name nor an address", "give the name that is in its certificate");
    }
    match (tls::client(config.ca_file.as_deref()), name) {
        (Ok(client), Ok(name)) => Some((Arc::new(client), name)),
        (Err(error), _) => {
            report.tls_fault(&error);
            None
        }
        (Ok(_), Err(_)) => None,
    }
}

/// What EHLO says: a host name, or an address literal as `[127.0.0.1]` or `[IPv6:::1]`.
fn client_id(text: &str) -> Option<ClientId> {
    if let Some(literal) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some(match literal.strip_prefix("IPv6:").unwrap_or(literal).parse().ok()? {
            IpAddr::V4(ip) => ClientId::Ipv4(ip),
            IpAddr::V6(ip) => ClientId::Ipv6(ip),
        });
    }
    let fits = !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    fits.then(|| ClientId::Domain(text.to_owned()))
}

#[cfg(test)]
mod tests;
