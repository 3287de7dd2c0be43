//! An `Email` as bytes: headers, `multipart/alternative`, CRLF line ends (RFC 5322, RFC 2045).
//!
//! Promises: no value can start a header of its own; domains are A-labels; line ends are CRLF and no header line is
//! longer than RFC 5322's 998; the Date comes from the caller, so a retry differs in nothing else but the boundary.
//! Never: a panic on any input, a fault that quotes a value, or an address in a type that can be printed.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use lettre::address::{Address, Envelope};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use crate::clock::Time;
use crate::message::{self, Email};
use crate::personal::Personal;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod transfer;

/// RFC 5322 section 2.1.1: the longest line, without its CRLF.
const MAX_LINE: usize = 998;
/// The last second of the year 9999, in milliseconds: the last that the Date header can say.
const LAST_MILLIS: i64 = 253_402_300_799_000;

/// A mail ready for a mail server. Holds a person: no `Debug`, no `Display`.
pub struct Mime {
    /// Envelope sender.
    pub from: Address,
    /// Envelope recipient.
    pub to: Address,
    /// True if an address has a local part outside ASCII: the server must offer SMTPUTF8 (RFC 6531).
    pub needs_utf8: bool,
    /// The whole message, neither dot-stuffed nor ended by a dot.
    pub bytes: Vec<u8>,
}

/// Why no mail could be made. Names the part, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MimeError {
    /// The person's address breaks the grammar of RFC 5321, or has control characters.
    #[error("the recipient's address is not an address; correct the contact")]
    InvalidRecipient,
    /// The brand's address does.
    #[error("the sender's address is not an address; correct `[org.<id>.sender.<role>]`")]
    InvalidSender,
    /// The reply address does.
    #[error("the reply address is not an address; correct `[org.<id>.sender.<role>] reply_to`")]
    InvalidReplyTo,
    /// The Message-ID is not `<left@right>` in printable ASCII.
    #[error("the Message-ID is malformed; correct `templates.message_id_domain`")]
    InvalidMessageId,
    /// A further header has a bad name or one that this module writes itself.
    #[error("a further header has a name that is malformed or reserved")]
    InvalidHeader,
    /// A header has a line that cannot be folded below 998 characters.
    #[error("a header has a word longer than a line may be; shorten the subject or a name")]
    HeaderTooLong,
}

/// Makes the mail. `now` becomes its Date.
pub fn build(email: &Email, now: Time) -> Result<Mime, MimeError> {
    let from = brand_mailbox(&email.from).ok_or(MimeError::InvalidSender)?;
    let to = address(email.to.expose()).ok_or(MimeError::InvalidRecipient)?;
    let needs_utf8 = !from.email.user().is_ascii() || !to.user().is_ascii();
    let to_name = email.to_name.as_ref().map(|name| one_line(name.expose())).filter(|name| !name.is_empty());
    if !is_message_id(&email.message_id) {
        return Err(MimeError::InvalidMessageId);
    }
    let envelope =
        Envelope::new(Some(from.email.clone()), vec![to.clone()]).map_err(|_| MimeError::InvalidRecipient)?;

    let mut builder = lettre::Message::builder()
        .envelope(envelope)
        .date(date(now))
        .from(from.clone())
        .to(Mailbox::new(to_name, to.clone()))
        .subject(one_line(email.subject.expose()))
        .message_id(Some(email.message_id.clone()));
    if let Some(reply_to) = &email.reply_to {
        builder = builder.reply_to(brand_mailbox(reply_to).ok_or(MimeError::InvalidReplyTo)?);
    }
    if !email.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("auto-submitted")) {
        builder = builder.raw_header(further("Auto-Submitted", "auto-generated")?);
    }
    for (name, value) in &email.headers {
        builder = builder.raw_header(further(name, value)?);
    }

    let text = part(ContentType::TEXT_PLAIN, &email.text);
    let built = match &email.html {
        Some(html) => {
            let both = MultiPart::alternative().singlepart(text).singlepart(part(ContentType::TEXT_HTML, html));
            builder.multipart(both)
        }
        None => builder.singlepart(text),
    };
    // What is left to fail is lettre's reading back of the From header it wrote.
    let bytes = built.map_err(|_| MimeError::InvalidSender)?.formatted();
    if has_long_header_line(&bytes) {
        return Err(MimeError::HeaderTooLong);
    }
    Ok(Mime { from: from.email, to, needs_utf8, bytes })
}

/// An address with its domain as A-labels; `None` if it is none, or has control characters or white space.
fn address(text: &str) -> Option<Address> {
    let (user, domain) = text.trim().rsplit_once('@')?;
    // lettre checks the grammar; control characters are refused here too, because a CR in a command is an injection.
    if text.trim().chars().any(char::is_control) || user.is_empty() || domain.is_empty() {
        return None;
    }
    let domain: Cow<'_, str> = match domain.is_ascii() {
        true => domain.into(),
        false => idna::domain_to_ascii_strict(domain).ok()?.into(),
    };
    Address::new(user, &domain).ok()
}

fn brand_mailbox(mailbox: &message::Mailbox) -> Option<Mailbox> {
    let name = mailbox.name.as_deref().map(one_line).filter(|name| !name.is_empty());
    Some(Mailbox::new(name, address(&mailbox.address)?))
}

/// White space and control characters become single spaces, so that no value can begin a line; and none is an encoded word (RFC 2047): a
/// reader would show what stands encoded in it, control characters and all.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word.replace("=?", "= ?"));
    }
    line
}

fn is_message_id(text: &str) -> bool {
    let inner = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    inner.is_some_and(|inner| {
        inner.len() <= 250
            && inner.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'))
            && inner
                .split_once('@')
                .is_some_and(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains('@'))
    })
}

/// Headers that this module writes: a second one would contradict it or the envelope.
const RESERVED: &[&str] =
    &["from", "sender", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "mime-version"];

fn further(name: &str, value: &str) -> Result<HeaderValue, MimeError> {
    let lower = name.to_ascii_lowercase();
    let reserved = RESERVED.contains(&lower.as_str()) || lower.starts_with("content-");
    if reserved || !name.bytes().all(|b| b.is_ascii_graphic() && b != b':') {
        return Err(MimeError::InvalidHeader);
    }
    let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|_| MimeError::InvalidHeader)?;
    Ok(HeaderValue::new(name, one_line(value)))
}

fn part(kind: ContentType, text: &Personal) -> SinglePart {
    SinglePart::builder().content_type(kind).body(transfer::body(text.expose()))
}

fn date(now: Time) -> SystemTime {
    // The Date header's formatter panics outside the years 1970 to 9999.
    let millis = u64::try_from(now.as_millis().clamp(0, LAST_MILLIS)).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

fn has_long_header_line(bytes: &[u8]) -> bool {
    bytes
        .split(|b| *b == b'\n')
        .take_while(|line| !matches!(line, [] | [b'\r']))
        .any(|line| line.len() > MAX_LINE + b"\r".len())
}

#[cfg(test)]
mod tests;
