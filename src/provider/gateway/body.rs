//! The template language of gateway declarations: small, strict, and escaped by the place it is written to.
//!
//! ```text
//! template = { text | value | block }
//! value    = "{{" name "}}" | "{{basic" name name "}}"       base64 of "first:second", for HTTP Basic
//! block    = "{{#if name}}" template "{{/if}}"               where the value is there and not empty
//!          | "{{#unless name}}" template "{{/unless}}"       where it is not
//!          | "{{#each vars}}" template "{{/each}}"           once for each variable of the text, in order
//! name     = "to"           E.164 with "+"                    "to_digits"   the same without "+"
//!          | "text"         the whole text                    "sender"      the brand's sender id
//!          | "id"           the notification's id: our client reference
//!          | "param.x"      of [provider.<name>.param]        "registration.x"  of the template and sender
//! in each  : "this" the variable, "@index" from 0, "@number" from 1, "@first" for #if and #unless
//! ```
//!
//! In JSON a value belongs inside quotes, in a form anywhere after `=`. URLs and headers see only `id`, `param.x`,
//! and headers `sender` too: a person's number has no place in an access log.
//!
//! Promises: unknown names are faults when the template is read; a value cannot leave its place; a value that is
//! missing is an error, never an empty string.
//! Never: a loop over anything but `vars`, nesting beyond 8, a value in an error.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::parse;
use crate::id::NotificationId;
use crate::message::Sms;

/// Where a template's text goes, and so how its values are escaped and which it may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Path or query: percent-encoded.
    Url,
    /// Header value: control characters and what is outside ASCII are refused.
    Header,
    /// `application/json`: escaped as in a JSON string.
    Json,
    /// `application/x-www-form-urlencoded`: percent-encoded.
    Form,
}

/// A template that was read.
pub(super) struct Template {
    pub(super) place: Place,
    pub(super) nodes: Vec<Node>,
}

pub(super) enum Node {
    Text(String),
    Value(Name),
    Basic(Name, Name),
    Each(Vec<Node>),
    If { name: Name, negated: bool, then: Vec<Node> },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    To,
    ToDigits,
    Text,
    Sender,
    Id,
    Param(String),
    Registration(String),
    This,
    Index,
    Number,
    First,
}

/// What a template may show of one message.
pub(super) struct Values<'a> {
    id: String,
    to_digits: Zeroizing<String>,
    sms: &'a Sms,
    params: &'a BTreeMap<String, SecretString>,
}

/// A template could not be written. Names the value, does not show it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RenderError {
    /// A value that the template needs is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// A header value with control characters or characters outside ASCII.
    #[error("{0} cannot stand in a header")]
    NotForHeader(String),
}

impl<'a> Values<'a> {
    pub(super) fn new(id: &NotificationId, sms: &'a Sms, params: &'a BTreeMap<String, SecretString>) -> Self {
        let digits: String = sms.to.expose().chars().filter(char::is_ascii_digit).collect();
        Self { id: id.to_string(), to_digits: Zeroizing::new(digits), sms, params }
    }

    pub(super) fn to_digits(&self) -> &str {
        &self.to_digits
    }
}

/// The turn of an `each`.
#[derive(Clone, Copy)]
struct Turn<'a> {
    index: usize,
    this: &'a str,
}

impl Template {
    /// Reads a template; the faults are all that is wrong with it.
    pub(super) fn parse(
        source: &str,
        place: Place,
        params: &BTreeMap<String, SecretString>,
    ) -> Result<Self, Vec<String>> {
        parse::template(source, place, params)
    }

    /// Writes it.
    pub(super) fn render(&self, values: &Values<'_>) -> Result<Zeroizing<String>, RenderError> {
        let mut out = Zeroizing::new(String::new());
        self.write(&self.nodes, values, None, &mut out)?;
        Ok(out)
    }

    /// The registration ids it names anywhere.
    pub(super) fn registrations(&self) -> BTreeSet<String> {
        fn walk(nodes: &[Node], found: &mut BTreeSet<String>) {
            fn add(name: &Name, found: &mut BTreeSet<String>) {
                if let Name::Registration(key) = name {
                    found.insert(key.clone());
                }
            }
            for node in nodes {
                match node {
                    Node::Text(_) => {}
                    Node::Value(name) => add(name, found),
                    Node::Basic(first, second) => [first, second].into_iter().for_each(|name| add(name, found)),
                    Node::Each(nodes) => walk(nodes, found),
                    Node::If { name, then, .. } => {
                        add(name, found);
                        walk(then, found);
                    }
                }
            }
        }
        let mut found = BTreeSet::new();
        walk(&self.nodes, &mut found);
        found
    }

    fn write(
        &self,
        nodes: &[Node],
        values: &Values<'_>,
        turn: Option<Turn<'_>>,
        out: &mut Zeroizing<String>,
    ) -> Result<(), RenderError> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Value(name) => {
                    let value = look_up(name, values, turn).ok_or_else(|| RenderError::Missing(name.to_string()))?;
                    self.place.escape(&value, name, out)?;
                }
                Node::Basic(first, second) => {
                    let get =
                        |name: &Name| look_up(name, values, turn).ok_or_else(|| RenderError::Missing(name.to_string()));
                    let pair = Zeroizing::new(format!("{}:{}", *get(first)?, *get(second)?));
                    self.place.escape(&Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes())), first, out)?;
                }
                Node::Each(nodes) => {
                    for (index, var) in values.sms.vars.iter().enumerate() {
                        self.write(nodes, values, Some(Turn { index, this: var.expose() }), out)?;
                    }
                }
                Node::If { name, negated, then } => {
                    let there = look_up(name, values, turn).is_some_and(|value| !value.is_empty());
                    if there != *negated {
                        self.write(then, values, turn, out)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn look_up(name: &Name, values: &Values<'_>, turn: Option<Turn<'_>>) -> Option<Zeroizing<String>> {
    let text = match name {
        Name::To => values.sms.to.expose().to_owned(),
        Name::ToDigits => values.to_digits.to_string(),
        Name::Text => values.sms.text.expose().to_owned(),
        Name::Sender => values.sms.sender.clone(),
        Name::Id => values.id.clone(),
        Name::Param(key) => values.params.get(key)?.expose_secret().to_owned(),
        Name::Registration(key) => values.sms.registration.get(key)?.clone(),
        Name::This => turn?.this.to_owned(),
        Name::Index => turn?.index.to_string(),
        Name::Number => (turn?.index + 1).to_string(),
        Name::First => if turn?.index == 0 { "true" } else { "" }.to_owned(),
    };
    Some(Zeroizing::new(text))
}

impl Place {
    /// Whether a value of this name may stand here. Conditions are checked by the same rule.
    pub(super) fn allows(self, name: &Name) -> bool {
        match self {
            Self::Json | Self::Form => true,
            Self::Header => matches!(name, Name::Id | Name::Param(_) | Name::Sender),
            Self::Url => matches!(name, Name::Id | Name::Param(_)),
        }
    }

    fn escape(self, value: &str, name: &Name, out: &mut Zeroizing<String>) -> Result<(), RenderError> {
        match self {
            Self::Json => {
                let quoted = Zeroizing::new(serde_json::Value::from(value).to_string());
                out.push_str(&quoted[1..quoted.len() - 1]);
            }
            Self::Url | Self::Form => {
                for byte in value.bytes() {
                    // RFC 3986's unreserved; a space as %20 is understood in forms and paths alike.
                    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                        out.push(char::from(byte));
                    } else {
                        const HEX: &[u8; 16] = b"0123456789ABCDEF";
                        out.push('%');
                        out.push(char::from(HEX[usize::from(byte >> 4)]));
                        out.push(char::from(HEX[usize::from(byte & 15)]));
                    }
                }
            }
            Self::Header => {
                if !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
                    return Err(RenderError::NotForHeader(name.to_string()));
                }
                out.push_str(value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
