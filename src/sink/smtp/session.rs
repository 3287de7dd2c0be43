//! One SMTP session, from greeting to QUIT.

mod auth;
mod wire;

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::{Act, CaughtMail, Moment, Phase, State};
use wire::{Content, Wire};

/// Serves a connection until one side has enough.
pub(super) async fn serve(stream: TcpStream, number: u64, state: &State) -> io::Result<()> {
    let mut session = Session::new(number, state);
    let mut stream = stream;
    if !state.script.implicit_tls {
        let mut wire = Wire::new(&mut stream);
        let upgrade = session.greet(&mut wire).await? && session.run(&mut wire).await?;
        if !upgrade {
            return Ok(());
        }
    }
    let Some(config) = &state.tls else { return Ok(()) };
    let secured = TlsAcceptor::from(config.clone()).accept(stream).await?;
    // A fresh wire: whatever the client sent in clear after STARTTLS is forgotten (RFC 3207, 4.2).
    let mut wire = Wire::new(secured);
    session = Session { tls: true, ..Session::new(number, state) };
    if state.script.implicit_tls && !session.greet(&mut wire).await? {
        return Ok(());
    }
    session.run(&mut wire).await?;
    wire.close().await
}

struct Session<'s> {
    state: &'s State,
    number: u64,
    tls: bool,
    greeted: bool,
    authenticated: bool,
    /// Set from MAIL to the end of the transaction.
    from: Option<String>,
    rcpt: Vec<String>,
}

/// How a session goes on after a command.
#[derive(PartialEq)]
enum Next {
    Command,
    Message,
    Upgrade,
    End,
}

/// What came of asking the script.
#[derive(PartialEq)]
enum Answered {
    /// The usual reply went out.
    Well,
    /// Another reply went out.
    Refused,
    /// No reply can follow.
    Gone { kept: bool },
}

impl<'s> Session<'s> {
    fn new(number: u64, state: &'s State) -> Self {
        Self { state, number, tls: false, greeted: false, authenticated: false, from: None, rcpt: Vec::new() }
    }

    /// False if the session ends here.
    async fn greet<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> io::Result<bool> {
        let answered = self.answer(wire, Phase::Greeting, "220 sink.localhost ESMTP").await?;
        if answered == Answered::Refused {
            // Nobody reads a command any more, which is what else sends what was said.
            wire.flush().await?;
        }
        Ok(answered == Answered::Well)
    }

    /// True if TLS is to start.
    async fn run<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> io::Result<bool> {
        while let Some(line) = wire.line().await? {
            match self.command(wire, &line).await? {
                Next::Command => {}
                Next::Message => {
                    if !self.message(wire).await? {
                        return Ok(false);
                    }
                }
                Next::Upgrade => return Ok(true),
                Next::End => break,
            }
        }
        wire.flush().await?;
        Ok(false)
    }

    async fn command<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        line: &[u8],
    ) -> io::Result<Next> {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end();
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let answered = match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                self.reset();
                self.greeted = true;
                let offer = self.offer();
                self.answer(wire, Phase::Ehlo, &offer).await?
            }
            "HELO" => {
                self.reset();
                self.greeted = true;
                self.answer(wire, Phase::Ehlo, "250 sink.localhost").await?
            }
            "STARTTLS" => return self.starttls(wire).await,
            "AUTH" => return self.auth(wire, rest).await,
            "MAIL" => return self.mail(wire, rest).await,
            "RCPT" => return self.rcpt(wire, rest).await,
            "DATA" if self.rcpt.is_empty() => return refuse(wire, "503 5.5.1 no valid recipients"),
            "DATA" => {
                return Ok(match self.answer(wire, Phase::Data, "354 end with a dot").await? {
                    Answered::Well => Next::Message,
                    Answered::Refused => Next::Command,
                    Answered::Gone { .. } => Next::End,
                });
            }
            "RSET" | "NOOP" => {
                if verb.eq_ignore_ascii_case("RSET") {
                    self.reset();
                }
                self.answer(wire, Phase::Idle, "250 2.0.0 OK").await?
            }
            "QUIT" => {
                self.answer(wire, Phase::Quit, "221 2.0.0 bye").await?;
                return Ok(Next::End);
            }
            _ => return refuse(wire, "500 5.5.2 unknown command"),
        };
        Ok(if matches!(answered, Answered::Gone { .. }) { Next::End } else { Next::Command })
    }

    fn offer(&self) -> String {
        let script = &self.state.script;
        let mut lines = vec!["sink.localhost".to_owned()];
        if script.pipelining {
            lines.push("PIPELINING".into());
        }
        lines.push(format!("SIZE {}", script.size_limit));
        lines.push("8BITMIME".into());
        lines.push("ENHANCEDSTATUSCODES".into());
        if self.can_start_tls() {
            lines.push("STARTTLS".into());
        }
        if script.login.is_some() && (self.tls || script.login_in_clear) {
            lines.push("AUTH PLAIN LOGIN".into());
        }
        wire::reply(250, &lines.join("\n"))
    }

    fn can_start_tls(&self) -> bool {
        !self.tls && self.state.tls.is_some() && self.state.script.starttls
    }

    async fn starttls<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> io::Result<Next> {
        if !self.can_start_tls() {
            return refuse(wire, "502 5.5.1 STARTTLS not offered");
        }
        let answered = self.answer(wire, Phase::StartTls, "220 2.0.0 go ahead").await?;
        wire.flush().await?;
        Ok(match answered {
            Answered::Well => Next::Upgrade,
            Answered::Refused => Next::Command,
            Answered::Gone { .. } => Next::End,
        })
    }

    async fn auth<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>, rest: &str) -> io::Result<Next> {
        let Some(login) = &self.state.script.login else { return refuse(wire, "502 5.5.1 AUTH not offered") };
        if self.authenticated || !(self.tls || self.state.script.login_in_clear) {
            return refuse(wire, "503 5.5.1 not now");
        }
        let Some(given) = auth::exchange(wire, rest).await? else {
            return refuse(wire, "501 5.5.2 cannot read that");
        };
        let known = given == (login.user.as_bytes().to_vec(), login.password.as_bytes().to_vec());
        let usual = if known { "235 2.7.0 welcome" } else { "535 5.7.8 wrong user name or password" };
        let answered = self.answer(wire, Phase::Auth, usual).await?;
        self.authenticated = known && answered == Answered::Well;
        Ok(if matches!(answered, Answered::Gone { .. }) { Next::End } else { Next::Command })
    }

    async fn mail<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>, rest: &str) -> io::Result<Next> {
        if !self.greeted || self.from.is_some() {
            return refuse(wire, "503 5.5.1 bad sequence of commands");
        }
        if self.state.script.login_required && !self.authenticated {
            return refuse(wire, "530 5.7.0 authentication required");
        }
        let Some((path, parameters)) = wire::path(rest, "FROM:") else {
            return refuse(wire, "501 5.5.4 syntax: MAIL FROM:<address>");
        };
        for parameter in parameters.split_ascii_whitespace().map(str::to_ascii_uppercase) {
            match parameter.split_once('=') {
                Some(("SIZE", size)) if size.parse::<usize>().is_ok_and(|size| size > self.state.script.size_limit) => {
                    return refuse(wire, "552 5.3.4 message too big");
                }
                Some(("SIZE", _) | ("BODY", "7BIT" | "8BITMIME") | ("AUTH", _)) => {}
                _ => return refuse(wire, "555 5.5.4 unknown parameter"),
            }
        }
        self.from = Some(path.to_owned());
        let answered = self.answer(wire, Phase::Mail, "250 2.1.0 OK").await?;
        if answered != Answered::Well {
            self.reset();
        }
        Ok(if matches!(answered, Answered::Gone { .. }) { Next::End } else { Next::Command })
    }

    async fn rcpt<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>, rest: &str) -> io::Result<Next> {
        if self.from.is_none() {
            return refuse(wire, "503 5.5.1 MAIL first");
        }
        let recipient = match wire::path(rest, "TO:") {
            Some((path, "")) if !path.is_empty() => path.to_owned(),
            _ => return refuse(wire, "501 5.5.4 syntax: RCPT TO:<address>"),
        };
        if self.rcpt.len() >= 100 {
            return refuse(wire, "452 4.5.3 too many recipients");
        }
        let earlier = std::mem::replace(&mut self.rcpt, vec![recipient]);
        let answered = self.answer(wire, Phase::Rcpt, "250 2.1.5 OK").await?;
        let asked = std::mem::replace(&mut self.rcpt, earlier);
        if answered == Answered::Well {
            self.rcpt.extend(asked);
        }
        Ok(if matches!(answered, Answered::Gone { .. }) { Next::End } else { Next::Command })
    }

    /// Takes a message in. False if the session ends here.
    async fn message<S: AsyncRead + AsyncWrite + Unpin>(&mut self, wire: &mut Wire<S>) -> io::Result<bool> {
        match self.state.act(self.moment(Phase::Content)) {
            Act::Drop | Act::KeepAndDrop => {
                wire.first_byte().await?;
                return Ok(false);
            }
            Act::Stall => {
                wire.stall().await;
                return Ok(false);
            }
            _ => {}
        }
        let limit = self.state.script.size_limit;
        let raw = match wire.content(self.state.basket.keeps(), limit).await? {
            Content::Whole(raw) => raw,
            Content::TooBig => {
                self.reset();
                wire.say("552 5.3.4 message too big");
                return Ok(true);
            }
            Content::Torn => return Ok(false),
        };
        let answered = self.answer_keeping(wire, raw).await?;
        self.reset();
        Ok(!matches!(answered, Answered::Gone { .. }))
    }

    async fn answer_keeping<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        wire: &mut Wire<S>,
        raw: Vec<u8>,
    ) -> io::Result<Answered> {
        let act = settle(wire, self.state.act(self.moment(Phase::Dot))).await?;
        let (from, rcpt) = (self.from.take().unwrap_or_default(), std::mem::take(&mut self.rcpt));
        let (tls, authenticated) = (self.tls, self.authenticated);
        let mut mail = Some(CaughtMail { envelope_from: from, rcpt, raw, tls, authenticated });
        let state = self.state;
        let mut keep = || {
            if let Some(mail) = mail.take() {
                state.basket.put(|| mail);
            }
        };
        // What a client was told must be true the moment it hears it: keep first, then say so.
        if accepts(&act) {
            keep();
        }
        let answered = perform(wire, act, "250 2.0.0 queued").await?;
        if answered == (Answered::Gone { kept: true }) {
            keep();
        }
        Ok(answered)
    }

    fn reset(&mut self) {
        self.from = None;
        self.rcpt.clear();
    }

    fn moment(&self, phase: Phase) -> Moment<'_> {
        Moment {
            phase,
            nth: 0,
            connection: self.number,
            from: self.from.as_deref().unwrap_or_default(),
            recipients: &self.rcpt,
            tls: self.tls,
        }
    }

    async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        wire: &mut Wire<S>,
        phase: Phase,
        usual: &str,
    ) -> io::Result<Answered> {
        let act = match self.state.act(self.moment(phase)) {
            Act::Stuffed(_) if phase != Phase::StartTls => Act::Usual,
            act => act,
        };
        perform(wire, act, usual).await
    }
}

fn refuse<S>(wire: &mut Wire<S>, reply: &str) -> io::Result<Next> {
    wire.say(reply);
    Ok(Next::Command)
}

/// True if the client will hear that its message was taken.
fn accepts(act: &Act) -> bool {
    match act {
        Act::Usual | Act::Dribble(_) | Act::Stuffed(_) => true,
        Act::Reply(code, _) => (200..300).contains(code),
        _ => false,
    }
}

/// Waits where the script says so; gives what is to be done then.
async fn settle<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, mut act: Act) -> io::Result<Act> {
    while let Act::After(wait, then) = act {
        wire.flush().await?;
        tokio::time::sleep(wait).await;
        act = *then;
    }
    Ok(act)
}

/// Does what the script wants instead of, or as, the usual reply.
async fn perform<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, act: Act, usual: &str) -> io::Result<Answered> {
    match settle(wire, act).await? {
        Act::Usual | Act::After(..) => wire.say(usual),
        Act::Reply(code, text) => {
            wire.say(&wire::reply(code, &text));
            return Ok(if code < 400 { Answered::Well } else { Answered::Refused });
        }
        Act::Raw(bytes) => {
            wire.say_raw(&bytes);
            return Ok(Answered::Refused);
        }
        Act::Drop => return Ok(Answered::Gone { kept: false }),
        Act::KeepAndDrop => return Ok(Answered::Gone { kept: true }),
        Act::Stall => {
            wire.stall().await;
            return Ok(Answered::Gone { kept: false });
        }
        Act::Dribble(pause) => wire.dribble(usual, pause).await?,
        Act::EndlessLine => return wire.pour(&[b'x'; 4096]).await.map(|()| Answered::Gone { kept: false }),
        Act::Flood => {
            let lines = b"250-and another thing\r\n".repeat(100);
            return wire.pour(&lines).await.map(|()| Answered::Gone { kept: false });
        }
        Act::Stuffed(bytes) => {
            wire.say(usual);
            wire.say_raw(&bytes);
        }
    }
    Ok(Answered::Well)
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Ends the connection in order (TLS `close_notify`).
    async fn close(mut self) -> io::Result<()> {
        self.flush().await?;
        self.stream.shutdown().await
    }
}
