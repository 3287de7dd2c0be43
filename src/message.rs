//! A rendered, addressed message. Exists in memory only.
//!
//! Promises: no `Serialize`, `Debug` or `Display`; dropped after its attempt.
//! Never: stored, logged, or built anywhere but in `dispatch` (and the audited exits of `admin`).

use crate::id::NotificationId;
use crate::personal::Personal;

pub mod mime;

/// One message to one address.
pub struct Message {
    /// The notification it carries out; also the stem of the Message-ID and client reference.
    pub id: NotificationId,
    /// What is sent.
    pub body: Body,
}

/// A message by channel.
pub enum Body {
    /// Mail.
    Email(Email),
    /// Text message.
    Sms(Sms),
}

/// Mail, ready for MIME.
pub struct Email {
    /// Sender address of the brand.
    pub from: Mailbox,
    /// Where answers go, if not to `from`.
    pub reply_to: Option<Mailbox>,
    /// The person's address.
    pub to: Personal,
    /// The person's name, if the template may use it.
    pub to_name: Option<Personal>,
    /// Subject line, control characters already removed.
    pub subject: Personal,
    /// HTML part.
    pub html: Option<Personal>,
    /// Text part; never empty.
    pub text: Personal,
    /// Complete Message-ID with angle brackets; the same on every retry; names nobody.
    pub message_id: String,
    /// Further headers (`Auto-Submitted`, …), from configuration and code only.
    pub headers: Vec<(&'static str, String)>,
}

/// A mailbox of the brand: not a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// Display name.
    pub name: Option<String>,
    /// Address.
    pub address: String,
}

/// Text message, ready for a gateway.
pub struct Sms {
    /// Sender id or number of the brand.
    pub sender: String,
    /// The person's number in E.164.
    pub to: Personal,
    /// The whole text.
    pub text: Personal,
    /// The ordered variables the text was made of; empty for free-form text.
    pub vars: Vec<Personal>,
    /// Registration ids for the gateway (`template_id`, `entity_id`, `category`, …).
    pub registration: std::collections::BTreeMap<String, String>,
}
