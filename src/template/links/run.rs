//! Words as a mail client sees them when it looks for links in plain text.
//!
//! Promises: every way through blocks and rounds of loops is looked at, so that the two halves of a link cannot stand in two branches;
//! whatever a client may make a link of counts as one.
//! Never: a value.

use super::{HOLE, SAFE, is_address, names_person, person_in_link};
use crate::template::syntax::{Call, Issue, Node, Pos};

/// How many ways may lead to one word. Blank space ends a word, so real messages stay far below.
const MAX_WAYS: usize = 64;

/// A run of characters without white space, by each way that may have led here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runs(Vec<Run>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Run {
    text: String,
    person: bool,
}

impl Default for Runs {
    fn default() -> Self {
        Self(vec![Run::default()])
    }
}

impl Runs {
    pub(super) fn char(&mut self, c: char, pos: &Pos, issues: &mut Vec<Issue>) {
        if c.is_whitespace() || matches!(c, '<' | '>' | '"' | '(' | ')' | '|') {
            *self = Self::default();
            return;
        }
        for run in &mut self.0 {
            run.text.push(c);
        }
        self.look(pos, issues);
    }

    pub(super) fn tag(&mut self, call: &Call, pos: &Pos, issues: &mut Vec<Issue>) {
        let person = names_person(call);
        for run in &mut self.0 {
            run.text.push(if is_address(call) { SAFE } else { HOLE });
            run.person |= person;
        }
        self.look(pos, issues);
    }

    /// True if a client may make a link of what stands here.
    pub(super) fn is_link(&self) -> bool {
        self.0.iter().any(Run::is_link)
    }

    /// Whatever led to `other` may have led here too.
    pub(super) fn or(&mut self, other: Self, pos: &Pos, issues: &mut Vec<Issue>) {
        for run in other.0 {
            if !self.0.contains(&run) {
                self.0.push(run);
            }
        }
        if self.0.len() > MAX_WAYS {
            let issue = Issue::new(pos, format!("more than {MAX_WAYS} ways of blocks lead to one word"));
            issues.push(issue.hint("put a space between the blocks"));
            *self = Self::default();
        }
    }

    fn look(&mut self, pos: &Pos, issues: &mut Vec<Issue>) {
        if self.0.iter().any(|run| run.person && (run.is_link() || run.makes_host())) {
            push_once(issues, person_in_link(pos));
            *self = Self::default();
        }
    }
}

impl Run {
    fn is_link(&self) -> bool {
        let text = self.text.to_ascii_lowercase();
        ["://", "www.", "mailto:", "tel:"].iter().any(|mark| text.contains(mark))
            || text.contains(SAFE)
            || names_place(&text)
    }

    /// `{{customer.x}}.example` is a host to a mail client.
    fn makes_host(&self) -> bool {
        let mut chars = self.text.chars().rev();
        let last = chars.next().is_some_and(char::is_alphanumeric);
        last && matches!(chars.next(), Some('.' | '@')) && matches!(chars.next(), Some(HOLE))
    }
}

/// True for `shop.example/…`: phones make links of hosts without a scheme.
fn names_place(text: &str) -> bool {
    text.match_indices(['/', '?', '#']).any(|(end, _)| {
        let host = &text[..end];
        let (before, last) = host.rsplit_once('.').unwrap_or_default();
        let is_name = last.len() >= 2 && last.chars().all(char::is_alphabetic);
        is_name && before.ends_with(|c: char| c.is_alphanumeric() || c == HOLE)
    })
}

fn push_once(issues: &mut Vec<Issue>, issue: Issue) {
    if !issues.contains(&issue) {
        issues.push(issue);
    }
}

/// Looks through a part without HTML.
pub(super) fn plain(nodes: &[Node], runs: &mut Runs, rounds: usize, issues: &mut Vec<Issue>) {
    for node in nodes {
        match node {
            Node::Text { text, pos } => text.chars().for_each(|c| runs.char(c, pos, issues)),
            Node::Value { call, pos } => runs.tag(call, pos, issues),
            Node::Block { call, body, arms, pos, .. } => {
                if names_person(call) && runs.is_link() {
                    push_once(issues, person_in_link(pos));
                }
                let start = runs.clone();
                plain(body, runs, rounds, issues);
                if again(call, rounds) {
                    // What one round ends with, the next begins with.
                    runs.or(start.clone(), pos, issues);
                    plain(body, runs, rounds + 1, issues);
                }
                let mut is_whole = false;
                for arm in arms {
                    is_whole |= arm.condition.is_none();
                    let mut other = start.clone();
                    plain(&arm.body, &mut other, rounds, issues);
                    runs.or(other, &arm.pos, issues);
                }
                if !is_whole {
                    runs.or(start, pos, issues);
                }
            }
            Node::Include { .. } => {}
        }
    }
}

/// True for a block whose body may follow itself. Deeper loops than two are refused elsewhere, and need no third look.
pub(super) fn again(call: &Call, rounds: usize) -> bool {
    call.head.word() == Some("each") && rounds < 2
}
