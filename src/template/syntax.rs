//! The Handlebars that authors may write, read into a small tree.
//!
//! Promises: any text gives a tree or faults, never a panic; nesting is bounded, so that neither this reader nor the engine
//! behind it can run out of stack; every tag knows its file and line. What is not understood here never reaches the engine.
//! Never: rendering, or a guess about a tag that is not in the grammar.

use std::sync::Arc;

mod lexer;
mod reader;
mod writer;

pub(super) use reader::{Positions, parse, parse_at};
pub(super) use writer::{Flat, Mode, ROOTS, tag_texts, write};

/// How deep blocks and sub-expressions may nest.
pub(super) const MAX_DEPTH: usize = 24;
/// How long one part may be before anything is included.
pub(super) const MAX_SOURCE: usize = 256 * 1024;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pos {
    /// Path below the template root.
    pub(super) file: Arc<str>,
    /// Line from 1.
    pub(super) line: usize,
}

/// A fault with its place; becomes a [`crate::config::Fault`] at the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issue {
    pub(super) pos: Pos,
    pub(super) what: String,
    pub(super) hint: Option<String>,
}

impl Issue {
    pub(super) fn new(pos: &Pos, what: impl Into<String>) -> Self {
        Self { pos: pos.clone(), what: what.into(), hint: None }
    }
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A path such as `event.data.amount`, `this.code`, `../x`, `@index`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// Leading `../`, counted.
    pub(super) up: usize,
    /// Segments; the first may be `this`, `@root` or a local such as `@index`.
    pub(super) segments: Vec<String>,
}

impl Path {
    /// As the author would write it.
    pub(super) fn text(&self) -> String {
        let mut out = "../".repeat(self.up);
        if self.segments.is_empty() {
            // A bare `..`.
            while out.ends_with('/') {
                out.pop();
            }
        }
        for (i, segment) in self.segments.iter().enumerate() {
            if i > 0 {
                out.push('.');
            }
            if segment.chars().all(lexer::is_word) {
                out.push_str(segment);
            } else {
                out.push('[');
                out.push_str(segment);
                out.push(']');
            }
        }
        out
    }
    /// The first segment, or nothing for a bare `..`.
    pub(super) fn head(&self) -> &str {
        self.segments.first().map_or("", String::as_str)
    }
    /// A simple word such as a helper's name.
    pub(super) fn word(&self) -> Option<&str> {
        (self.up == 0 && self.segments.len() == 1).then(|| self.head())
    }
}

/// A value in a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arg {
    Path(Path),
    Text(String),
    Number(String),
    Bool(bool),
    Null,
    Call(Call),
}

/// A helper with its arguments, or a bare path (no arguments).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) head: Path,
    pub(super) args: Vec<Arg>,
    pub(super) hash: Vec<(String, Arg)>,
}

impl Call {
    /// True for `{{event.name}}`: no arguments at all.
    pub(super) fn is_bare(&self) -> bool {
        self.args.is_empty() && self.hash.is_empty()
    }
}

/// One arm after the first of a block: `{{else if …}}` or `{{else}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arm {
    pub(super) condition: Option<Call>,
    pub(super) body: Vec<Node>,
    pub(super) pos: Pos,
}

/// A piece of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// Text as it stands.
    Text { text: String, pos: Pos },
    /// `{{path}}` or `{{helper …}}`.
    Value { call: Call, pos: Pos },
    /// `{{#if …}}…{{else}}…{{/if}}`
    Block { call: Call, params: Vec<String>, body: Vec<Self>, arms: Vec<Arm>, pos: Pos },
    /// `{{> name key=value}}` or `{{#> name}}…{{/name}}`.
    Include { name: String, hash: Vec<(String, Arg)>, body: Option<Vec<Self>>, pos: Pos },
}

/// Calls `visit` for every node, outermost first.
pub(super) fn walk<'n>(nodes: &'n [Node], visit: &mut impl FnMut(&'n Node)) {
    for node in nodes {
        visit(node);
        match node {
            Node::Text { .. } | Node::Value { .. } => {}
            Node::Block { body, arms, .. } => {
                walk(body, visit);
                for arm in arms {
                    walk(&arm.body, visit);
                }
            }
            Node::Include { body, .. } => walk(body.as_deref().unwrap_or_default(), visit),
        }
    }
}

#[cfg(test)]
mod tests;
