//! Reads the template language of [`super::body`].
//!
//! Promises: all faults of a template at once, each with its line; linear in the template.
//! Never: recursion beyond the depth limit, or a template that may name what its place forbids.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;

use super::body::{Name, Node, Place, Template};

const MAX_DEPTH: usize = 8;

/// A block that was opened.
struct Open {
    kind: &'static str,
    line: usize,
    name: Option<(Name, bool)>,
    nodes: Vec<Node>,
}

struct Parser<'a> {
    place: Place,
    params: &'a BTreeMap<String, SecretString>,
    open: Vec<Open>,
    top: Vec<Node>,
    faults: Vec<String>,
    line: usize,
}

pub(super) fn template(
    source: &str,
    place: Place,
    params: &BTreeMap<String, SecretString>,
) -> Result<Template, Vec<String>> {
    let mut parser = Parser { place, params, open: vec![], top: vec![], faults: vec![], line: 1 };
    let mut rest = source;
    while let Some((text, after)) = rest.split_once("{{") {
        parser.text(text);
        let Some((tag, after)) = after.split_once("}}") else {
            parser.fault("`{{` without `}}`");
            rest = "";
            break;
        };
        parser.tag(tag.trim());
        if parser.open.len() > MAX_DEPTH {
            // No further: even to drop a tree of any depth takes a stack of any depth.
            parser.fault("blocks are nested too deeply; at most 8");
            return Err(parser.faults);
        }
        parser.line += tag.matches('\n').count();
        rest = after;
    }
    parser.text(rest);
    while let Some(open) = parser.open.pop() {
        parser.line = open.line;
        parser.fault(&format!("`{{{{#{}}}}}` is never closed", open.kind));
    }
    if parser.faults.is_empty() { Ok(Template { place, nodes: parser.top }) } else { Err(parser.faults) }
}

impl Parser<'_> {
    fn fault(&mut self, what: &str) {
        self.faults.push(format!("line {}: {what}", self.line));
    }

    fn push(&mut self, node: Node) {
        self.open.last_mut().map_or(&mut self.top, |open| &mut open.nodes).push(node);
    }

    fn text(&mut self, text: &str) {
        if text.contains("}}") && self.place != Place::Json {
            self.line += text[..text.find("}}").unwrap_or(0)].matches('\n').count();
            self.fault("`}}` without `{{`");
        }
        if !text.is_empty() {
            self.push(Node::Text(text.to_owned()));
        }
        self.line += text.matches('\n').count();
    }

    fn tag(&mut self, tag: &str) {
        let words: Vec<&str> = tag.split_whitespace().collect();
        match words.as_slice() {
            ["#each", "vars"] => {
                if self.open.iter().any(|open| open.kind == "each") {
                    self.fault("`{{#each vars}}` inside another");
                }
                if !matches!(self.place, Place::Json | Place::Form) {
                    self.fault("`vars` may only stand in the body");
                }
                self.open("each", None);
            }
            ["#if", name] => self.condition("if", name, false),
            ["#unless", name] => self.condition("unless", name, true),
            ["/each"] => self.close("each"),
            ["/if"] => self.close("if"),
            ["/unless"] => self.close("unless"),
            ["basic", first, second] => {
                if let (Some(first), Some(second)) = (self.value(first), self.value(second)) {
                    self.push(Node::Basic(first, second));
                }
            }
            [name] => {
                if let Some(name) = self.value(name) {
                    self.push(Node::Value(name));
                }
            }
            _ => self.fault("a tag that is neither a name, `basic a b`, `#if`, `#unless` nor `#each vars`"),
        }
    }

    fn condition(&mut self, kind: &'static str, name: &str, negated: bool) {
        let name = self.name(name);
        // Opened all the same, so that its end does not become a second fault.
        self.open(kind, Some((name.unwrap_or(Name::Id), negated)));
    }

    fn open(&mut self, kind: &'static str, name: Option<(Name, bool)>) {
        self.open.push(Open { kind, line: self.line, name, nodes: vec![] });
    }

    fn close(&mut self, kind: &'static str) {
        match self.open.pop() {
            Some(open) if open.kind == kind => self.push(match open.name {
                Some((name, negated)) => Node::If { name, negated, then: open.nodes },
                None => Node::Each(open.nodes),
            }),
            other => {
                self.open.extend(other);
                self.fault(&format!("`{{{{/{kind}}}}}` closes nothing"));
            }
        }
    }

    /// A name that is written: it must be there.
    fn value(&mut self, text: &str) -> Option<Name> {
        let name = self.name(text)?;
        match &name {
            Name::First => {
                self.fault("`@first` is for `#if` and `#unless` only");
                None
            }
            Name::Param(key) if !self.params.contains_key(key) && !self.guarded(&name) => {
                let what = format!("`param.{key}` is not set, and not inside `{{{{#if param.{key}}}}}`");
                self.fault(&what);
                None
            }
            _ => Some(name),
        }
    }

    fn guarded(&self, name: &Name) -> bool {
        self.open.iter().any(|open| open.name.as_ref().is_some_and(|(guard, negated)| guard == name && !negated))
    }

    fn name(&mut self, text: &str) -> Option<Name> {
        let in_each = self.open.iter().any(|open| open.kind == "each");
        let name = match text {
            "to" => Name::To,
            "to_digits" => Name::ToDigits,
            "text" => Name::Text,
            "sender" => Name::Sender,
            "id" => Name::Id,
            "this" if in_each => Name::This,
            "@index" if in_each => Name::Index,
            "@number" if in_each => Name::Number,
            "@first" if in_each => Name::First,
            _ => match text.split_once('.') {
                Some(("param", key)) if is_key(key) => Name::Param(key.to_owned()),
                Some(("registration", key)) if is_key(key) => Name::Registration(key.to_owned()),
                _ => {
                    let what = if text.starts_with("this") || text.starts_with('@') {
                        "`this` and `@…` stand only inside `{{#each vars}}`".to_owned()
                    } else if text.len() <= 40 && text.split('.').all(is_key) {
                        format!("`{text}` is not a name that a template sees")
                    } else {
                        // Perhaps a secret that was pasted between the braces: not shown.
                        "a tag that is not a name".to_owned()
                    };
                    self.fault(&what);
                    return None;
                }
            },
        };
        if !self.place.allows(&name) {
            let what = match self.place {
                Place::Url => format!("`{name}` may not stand in a URL: access logs keep those; put it into the body"),
                _ => format!("`{name}` may not stand in a header; put it into the body"),
            };
            self.fault(&what);
            return None;
        }
        Some(name)
    }
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To => f.write_str("to"),
            Self::ToDigits => f.write_str("to_digits"),
            Self::Text => f.write_str("text"),
            Self::Sender => f.write_str("sender"),
            Self::Id => f.write_str("id"),
            Self::Param(key) => write!(f, "param.{key}"),
            Self::Registration(key) => write!(f, "registration.{key}"),
            Self::This => f.write_str("this"),
            Self::Index => f.write_str("@index"),
            Self::Number => f.write_str("@number"),
            Self::First => f.write_str("@first"),
        }
    }
}
