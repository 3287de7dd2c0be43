//! A server's reply: its code, its enhanced code, and what both mean.
//!
//! Promises: a reply has at most 100 lines of at most 2,000 bytes; lines of one reply share one code; the text is read
//! for EHLO keywords, AUTH challenges and a queue id, and goes nowhere else.
//! Never: the text in an outcome: it quotes the address (RFC 5321 section 4.2, RFC 2034, RFC 3463).

use std::fmt;

use bytes::BytesMut;

use crate::provider::breaker::Health;
use crate::provider::{Outcome, Verdict};

/// RFC 5321 section 4.5.3.1.5 allows 512 bytes; some servers write more.
pub(super) const MAX_LINE: usize = 2_000;
/// An EHLO answer has about 15 lines.
pub(super) const MAX_LINES: usize = 100;

/// An enhanced status code: subject and detail. Its class is the reply code's first digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Enhanced(pub(super) u16, pub(super) u16);

/// One whole reply. No `Debug`: its text quotes addresses.
pub(super) struct Reply {
    pub(super) code: u16,
    pub(super) enhanced: Option<Enhanced>,
    /// Texts after the code, line by line; bytes outside UTF-8 are replaced.
    lines: Vec<String>,
}

/// What was read is not a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Garbage;

/// A reply while its lines come in.
#[derive(Default)]
pub(super) struct Partial {
    code: Option<u16>,
    lines: Vec<String>,
    /// So much of the bytes at hand has no line end.
    searched: usize,
}

impl Partial {
    /// Takes the whole lines at the beginning of what has come, up to the end of a reply; `None` if more has to come. What
    /// stands behind the reply is left. The error is a word for the outcome's code.
    pub(super) fn take(&mut self, buffer: &mut BytesMut) -> Result<Option<Reply>, &'static str> {
        while let Some(at) = memchr::memchr(b'\n', &buffer[self.searched..]) {
            let line = buffer.split_to(self.searched + at + 1);
            self.searched = 0;
            let line = line.strip_suffix(b"\r\n").unwrap_or(&line[..line.len() - 1]);
            if let Some(reply) = self.line(line).map_err(|Garbage| "garbage")? {
                return Ok(Some(reply));
            }
        }
        self.searched = buffer.len();
        if self.searched > MAX_LINE { Err("endless_line") } else { Ok(None) }
    }

    /// Takes one line without its line end; gives the reply when it was the last.
    pub(super) fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, Garbage> {
        let (digits, rest) = line.split_at_checked(3).ok_or(Garbage)?;
        let [first @ b'2'..=b'5', second, third] = *digits else { return Err(Garbage) };
        if !second.is_ascii_digit() || !third.is_ascii_digit() || line.len() > MAX_LINE {
            return Err(Garbage);
        }
        let code = u16::from(first - b'0') * 100 + u16::from(second - b'0') * 10 + u16::from(third - b'0');
        let (last, text) = match rest {
            [] => (true, rest),
            [b' ', text @ ..] => (true, text),
            [b'-', text @ ..] => (false, text),
            _ => return Err(Garbage),
        };
        if self.code.is_some_and(|known| known != code) || self.lines.len() >= MAX_LINES {
            return Err(Garbage);
        }
        self.code = Some(code);
        self.lines.push(String::from_utf8_lossy(text).into_owned());
        if !last {
            return Ok(None);
        }
        let lines = std::mem::take(&mut self.lines);
        self.code = None;
        Ok(Some(Reply { code, enhanced: enhanced(code, &lines[0]), lines }))
    }
}

/// RFC 2034 section 4: the first word of the text, if its class agrees with the code.
fn enhanced(code: u16, text: &str) -> Option<Enhanced> {
    let mut parts = text.split_whitespace().next()?.split('.');
    let mut number = || parts.next().filter(|p| (1..=3).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()));
    let (class, subject, detail) = (number()?, number()?, number()?);
    let agrees = parts.next().is_none() && class.parse() == Ok(code / 100) && matches!(code / 100, 2 | 4 | 5);
    if !agrees {
        return None;
    }
    Some(Enhanced(subject.parse().ok()?, detail.parse().ok()?))
}

impl Reply {
    /// True if the server closes the connection after this (RFC 5321 section 3.8).
    pub(super) fn closes(&self) -> bool {
        self.code == 421
    }

    /// The arguments of an EHLO keyword, if it is there. The first line is the server's name, not a keyword.
    pub(super) fn keyword(&self, keyword: &str) -> Option<Vec<&str>> {
        // Read here and not by lettre's `ServerInfo`: that one panics on a line of spaces and knows no PIPELINING.
        self.lines.iter().skip(1).find_map(|line| {
            let mut words = line.split_whitespace();
            words.next()?.eq_ignore_ascii_case(keyword).then(|| words.collect())
        })
    }

    /// The text of the first line, for an AUTH challenge.
    pub(super) fn challenge(&self) -> &str {
        self.lines[0].trim()
    }

    /// The queue id of "queued as X", where X can be nothing else.
    pub(super) fn queue_id(&self) -> Option<String> {
        let text = &self.lines[0];
        let at = text.to_ascii_lowercase().find("queued as ")? + "queued as ".len();
        let word = text.get(at..)?.split_whitespace().next()?;
        let plain = word.len() <= 40 && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        plain.then(|| word.to_owned())
    }
}

impl fmt::Display for Reply {
    /// `550 5.1.1`: the codes alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        match self.enhanced {
            Some(Enhanced(subject, detail)) => write!(f, " {}.{subject}.{detail}", self.code / 100),
            None => Ok(()),
        }
    }
}

/// Where in the session something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Connect,
    Tls,
    Greeting,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    /// The message is being written; its final dot is not.
    Content,
    /// The final dot was written: the point of no return.
    FinalDot,
}

impl Phase {
    /// The word that begins an outcome's code.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::StartTls => "starttls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Content => "content",
            Self::FinalDot => "after_final_dot",
        }
    }
}

/// What a refusal means. `reply` was not the one that was hoped for.
pub(super) fn refusal(phase: Phase, reply: &Reply) -> Verdict {
    let code = reply.to_string();
    match reply.code {
        400..=499 => {
            let retry_later = Outcome::Transient { code, retry_after: None };
            let this_recipient = phase == Phase::Rcpt
                && !reply.closes()
                && matches!(reply.enhanced, None | Some(Enhanced(1 | 2 | 7, _)));
            // Greylisting and full mailboxes must not open the breaker for everybody.
            Verdict { outcome: retry_later, health: if this_recipient { Health::Unknown } else { Health::Bad } }
        }
        500..=599 => match meaning(phase, reply.code, reply.enhanced) {
            Meaning::Ours => Verdict::misconfigured(code),
            Meaning::BadAddress => Verdict::permanent(code, true),
            Meaning::Never => Verdict::permanent(code, false),
            Meaning::MailboxFull => {
                Verdict { outcome: Outcome::Transient { code, retry_after: None }, health: Health::Good }
            }
        },
        // A 2xx or 3xx where it cannot be: the two sides no longer talk about the same command.
        _ => broken(phase, "unexpected_code"),
    }
}

/// The session broke off: `what` is `timeout`, `closed`, …
pub(super) fn broken(phase: Phase, what: &str) -> Verdict {
    let code = format!("{}_{what}", phase.as_str());
    if phase == Phase::FinalDot { Verdict::ambiguous(code) } else { Verdict::transient(code) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Ours,
    BadAddress,
    MailboxFull,
    Never,
}

/// The table for 5yz. The first row that fits decides.
fn meaning(phase: Phase, code: u16, enhanced: Option<Enhanced>) -> Meaning {
    use Phase::{FinalDot, Mail, Rcpt};
    let about_recipient = matches!(phase, Rcpt | FinalDot);
    match (phase, code, enhanced) {
        // Authentication required, failed, too weak.
        (_, 530 | 532 | 534 | 535 | 538, _) => Meaning::Ours,
        // Policy, authentication: the server's opinion of us (RFC 3463 section 3.8).
        (_, _, Some(Enhanced(7, _))) => Meaning::Ours,
        // 5.1.7 and 5.1.8 are about the sender's address.
        (_, _, Some(Enhanced(1, 7 | 8))) => Meaning::Ours,
        (_, _, Some(Enhanced(1, _))) if about_recipient => Meaning::BadAddress,
        (_, _, Some(Enhanced(2, 2))) => Meaning::MailboxFull,
        (Rcpt | FinalDot, 552, None) => Meaning::MailboxFull,
        (Rcpt, 550 | 551 | 553, None) => Meaning::BadAddress,
        // MAIL names only the sender; these say that it may not send.
        (Mail, 550 | 551 | 553 | 554, _) => Meaning::Ours,
        // Before MAIL no message is at stake: whatever is refused is us.
        (Phase::Connect | Phase::Tls | Phase::Greeting | Phase::Ehlo | Phase::StartTls | Phase::Auth, _, _) => {
            Meaning::Ours
        }
        _ => Meaning::Never,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Option<Reply>, Garbage> {
        let mut partial = Partial::default();
        for line in text.split('\n') {
            if let Some(reply) = partial.line(line.as_bytes())? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    fn reply(text: &str) -> Reply {
        read(text).unwrap().unwrap()
    }

    #[test]
    fn each_refusal_has_one_meaning() {
        use Meaning::{BadAddress, MailboxFull, Never, Ours};
        use Phase::{Auth, Data, Ehlo, FinalDot, Greeting, Mail, Rcpt, StartTls};
        let table = [
            (Greeting, "554 5.7.1 blocked", Ours),
            (Greeting, "554 no", Ours),
            (Ehlo, "550 bad name", Ours),
            (StartTls, "501 no", Ours),
            (Auth, "535 5.7.8 bad credentials", Ours),
            (Auth, "535 bad credentials", Ours),
            (Auth, "504 mechanism", Ours),
            (Mail, "530 5.7.0 authenticate first", Ours),
            (Mail, "538 encrypt first", Ours),
            (Mail, "553 5.1.8 sender unknown", Ours),
            (Mail, "550 sender refused", Ours),
            (Mail, "550 5.1.0 sender refused", Ours),
            (Mail, "554 5.5.0 no", Ours),
            (Mail, "552 5.3.4 too big", Never),
            (Mail, "555 5.5.4 parameters", Never),
            (Rcpt, "550 5.1.1 unknown", BadAddress),
            (Rcpt, "550 unknown", BadAddress),
            (Rcpt, "551 moved", BadAddress),
            (Rcpt, "553 5.1.3 syntax", BadAddress),
            (Rcpt, "501 5.1.3 syntax", BadAddress),
            (Rcpt, "554 5.1.1 unknown", BadAddress),
            (Rcpt, "550 5.1.8 sender", Ours),
            (Rcpt, "550 5.7.1 relay denied", Ours),
            (Rcpt, "550 5.2.1 disabled", Never),
            (Rcpt, "550 5.4.1 no", Never),
            (Rcpt, "552 5.2.2 full", MailboxFull),
            (Rcpt, "550 5.2.2 full", MailboxFull),
            (Rcpt, "552 full", MailboxFull),
            (Rcpt, "554 no", Never),
            (Rcpt, "550 4.1.1 class disagrees", BadAddress),
            (Data, "554 5.5.1 no", Never),
            (FinalDot, "550 5.1.1 unknown", BadAddress),
            (FinalDot, "550 content", Never),
            (FinalDot, "554 5.6.0 content", Never),
            (FinalDot, "550 5.7.26 unauthenticated", Ours),
            (FinalDot, "552 5.3.4 too big", Never),
            (FinalDot, "552 5.2.3 too big for the mailbox", Never),
        ];
        for (phase, text, expected) in table {
            let reply = reply(text);
            assert_eq!(meaning(phase, reply.code, reply.enhanced), expected, "{phase:?} {text}");
        }
    }

    #[test]
    fn a_deferral_of_one_recipient_says_nothing_about_the_provider() {
        let table = [
            (Phase::Rcpt, "450 4.7.1 greylisted", Health::Unknown),
            (Phase::Rcpt, "452 4.2.2 full", Health::Unknown),
            (Phase::Rcpt, "450 later", Health::Unknown),
            (Phase::Rcpt, "451 4.3.0 queue trouble", Health::Bad),
            (Phase::Rcpt, "421 4.7.0 too many", Health::Bad),
            (Phase::Mail, "451 4.3.0 later", Health::Bad),
            (Phase::FinalDot, "451 later", Health::Bad),
        ];
        for (phase, text, health) in table {
            let verdict = refusal(phase, &reply(text));
            assert!(matches!(verdict.outcome, Outcome::Transient { .. }), "{text}");
            assert_eq!(verdict.health, health, "{phase:?} {text}");
        }
    }

    #[test]
    fn an_unexpected_code_is_ambiguous_only_after_the_final_dot() {
        for text in ["250 ok", "354 go", "220 hello"] {
            assert!(matches!(refusal(Phase::Mail, &reply(text)).outcome, Outcome::Transient { .. }));
            let code = "after_final_dot_unexpected_code".to_owned();
            assert_eq!(refusal(Phase::FinalDot, &reply(text)).outcome, Outcome::Ambiguous { code });
        }
    }

    #[test]
    fn an_outcome_has_the_codes_and_not_a_word_of_the_text() {
        let verdict = refusal(Phase::Rcpt, &reply("550-5.1.1 <asha@example.com>\n550 5.1.1 no such user"));
        assert_eq!(verdict.outcome, Outcome::Permanent { code: "550 5.1.1".into(), bad_address: true });
    }

    #[test]
    fn only_replies_are_read() {
        for text in ["", "2", "25", "abc", "150 x", "650 x", "250x", "250_x", "2 0 x", "250-a\n251 b", "250-a\nb"] {
            assert!(read(text).is_err(), "{text}");
        }
        for text in ["250", "250 ", "250 ok", "250-a\n250-b\n250 c", "250-\n250"] {
            assert!(read(text).unwrap().is_some(), "{text}");
        }
        assert!(read("250-a\n250-b").unwrap().is_none());
        let flood = "250-x\n".repeat(MAX_LINES) + "250 x";
        assert!(read(&flood).is_err());
    }

    #[test]
    fn keywords_are_found_in_any_case_and_never_in_the_servers_name() {
        let reply = reply("250-PIPELINING.example\n250-  \n250-pipelining\n250-AUTH plain LOGIN\n250 8BITMIME");
        assert_eq!(reply.keyword("PIPELINING"), Some(vec![]));
        assert_eq!(reply.keyword("AUTH"), Some(vec!["plain", "LOGIN"]));
        assert_eq!(reply.keyword("STARTTLS"), None);
        assert_eq!(super::tests::reply("250 PIPELINING").keyword("PIPELINING"), None);
    }

    #[test]
    fn a_queue_id_is_taken_only_where_it_can_be_nothing_else() {
        let table = [
            ("250 2.0.0 Ok: queued as 4Xz9Lq0Tzyz", Some("4Xz9Lq0Tzyz")),
            ("250 Queued as A-1 for you", Some("A-1")),
            ("250 queued as <asha@example.com>", None),
            ("250 queued as asha@example.com", None),
            ("250 queued as ", None),
            ("250 ok", None),
        ];
        for (text, expected) in table {
            assert_eq!(reply(text).queue_id().as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_lines_are_read_without_a_panic(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let mut partial = Partial::default();
            for line in &lines {
                if let Ok(Some(reply)) = partial.line(line) {
                    let _ = (reply.to_string(), reply.queue_id(), reply.challenge().len(), reply.keyword("AUTH").is_some());
                    prop_assert!((200..600).contains(&reply.code));
                }
            }
        }

        #[test]
        fn what_a_server_says_is_what_is_read(code in 200u16..600, texts in prop::collection::vec("[ -~]{0,60}", 1..10)) {
            let last = texts.len() - 1;
            let mut partial = Partial::default();
            for (i, text) in texts.iter().enumerate() {
                let mark = if i == last { ' ' } else { '-' };
                let got = partial.line(format!("{code}{mark}{text}").as_bytes()).map_err(|_| TestCaseError::fail("garbage"))?;
                prop_assert_eq!(got.is_some(), i == last);
                if let Some(reply) = got {
                    prop_assert_eq!(reply.code, code);
                    prop_assert_eq!(&reply.lines, &texts);
                }
            }
        }
    }
}
