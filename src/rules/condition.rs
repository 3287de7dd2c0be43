//! Conditions: CEL text, bounded when it is read and again while it runs.
//!
//! The `cel` crate reads the text; the tree is then checked, lowered to our own nodes and run by us, straight on the
//! event's JSON. Running it ourselves is what makes three promises possible that `cel`'s own interpreter cannot give: work is
//! counted, step by step; a missing field has a total meaning; and nothing is converted, however many rules look at an event.
//! A test compares both interpreters on events where nothing is missing.
//!
//! Promises: text is measured with the parser's own lexer before the parser, which recurses, sees it; only names and
//! functions on the list pass; an evaluation ends within [`MAX_WORK`] steps, in bounded depth, without a panic; a fault names
//! fields, operators and types.
//! Never: a value of the event in a fault; a person; a clock.
//!
//! # What a condition sees
//!
//! `event.name`, `event.id`, `event.org`, `event.created_at` (epoch milliseconds) and `event.data`. Numbers are by value: `8` and
//! `8.0` are the same whole number however the sender wrote it, whole numbers and fractions compare and calculate together, and
//! `/` between whole numbers drops the remainder (write `/ 2.0` to keep it).
//!
//! # Missing fields and null
//!
//! | text, with `x` missing | is |
//! |---|---|
//! | `event.data.x > 0`, `<`, `==`, `!=`, `in`, `+`, any function | unknown |
//! | `!(event.data.x == 1)` | unknown: not knowing is not "no" |
//! | `has(event.data.x)`, `has(event.data.x.y)` | false |
//! | `event.data.list[7]`, past the end | unknown |
//! | `unknown && false` | false |
//! | `unknown \|\| true` | true |
//! | `unknown && true`, `unknown \|\| false`, `!unknown` | unknown |
//! | `list.exists(e, e.x > 0)`, `list.all(…)` | as a row of `\|\|`, of `&&` |
//! | `list.filter(e, e.x > 0)`, `map`, `exists_one` | unknown, if `x` is missing in one element |
//! | the whole condition is unknown | it does not hold; this is no fault |
//!
//! So no message is ever sent because a field was *not* there, unless the condition says `!has(…)`.
//! A JSON `null` is present (`has` is true; `== null` and `!= null` answer), but has no size, order or content: everything else
//! treats it as missing. Comparing a text with a number by `<`, adding `true`, or a condition that is not true or false is a
//! *fault*: it counts as not holding and raises an alarm, because somebody has to mend the rule. Like CEL, `==` between
//! different types is false and no fault, and `false && fault` is false.

mod eval;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzz;
mod lower;
mod number;
mod value;

#[cfg(test)]
mod tests;

use cel::parser::pratt_parser::{Lexer, PrattParser, TokenKind};

use crate::event::Event;

pub(super) use eval::Answer;
use eval::Run;
use lower::{Node, lower};

/// Longest condition, in bytes.
pub(super) const MAX_BYTES: usize = 2_000;
/// Most tokens (names, numbers, operators, brackets) of a condition; the parser's recursion cannot be deeper than this.
pub(super) const MAX_TOKENS: usize = 500;
/// Deepest nesting of brackets.
pub(super) const MAX_BRACKETS: usize = 16;
/// Deepest tree, so also the deepest recursion of an evaluation. Chains of `&&` and `||` are balanced and do not count.
pub(super) const MAX_DEPTH: usize = 64;
/// Deepest nesting of `all`, `exists`, `exists_one`, `map` and `filter`.
pub(super) const MAX_MACROS: usize = 2;
/// Longest array that one of those ranges over.
pub(super) const MAX_ARRAY: usize = 1_000;
/// Most steps of one evaluation: one for each node visited, element compared and 32 bytes of text handled. Some milliseconds.
pub(super) const MAX_WORK: u32 = 200_000;

/// A condition that may be run.
pub(super) struct Condition(Node);

/// Why a text is not a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub what: String,
    pub hint: Option<String>,
}

impl Problem {
    fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: Some(hint.into()) }
    }
}

/// What a condition sees of an event. Borrowed: nothing is converted.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    name: &'a str,
    id: Option<&'a str>,
    org: i64,
    created_at: i64,
    data: &'a serde_json::Value,
}

impl<'a> Facts<'a> {
    pub(super) fn of(event: &'a Event) -> Self {
        Self {
            name: &event.name,
            id: event.event_id.as_deref(),
            org: event.org.0,
            created_at: event.created_at.as_millis(),
            data: &event.data,
        }
    }
}

impl Condition {
    /// Reads, measures and checks a text.
    pub(super) fn compile(text: &str) -> Result<Self, Problem> {
        measure(text)?;
        let parse = || PrattParser::new().max_recursion_depth(2 * MAX_BRACKETS as u16 + 8).parse(text);
        // The text is a marketer's and the parser is not ours: should one of its slips panic, the template is refused and the
        // daemon that was reloading it goes on. The parser owns all it touches, so nothing half-changed outlives the panic.
        let tree = std::panic::catch_unwind(parse)
            .map_err(|_| Problem::new("cannot be read", "write the condition in a simpler way"))?
            .map_err(|errors| match errors.errors.first() {
                Some(error) => Problem::new(
                    format!("column {}: {}", error.pos.1, error.msg.trim()),
                    "write it like `event.data.totalPointsIssued > 0`",
                ),
                None => Problem::new("cannot be read", "write it like `event.data.totalPointsIssued > 0`"),
            })?;
        lower(&tree.expr).map(Self)
    }

    /// Runs it.
    pub(super) fn holds<'a>(&'a self, facts: Facts<'a>) -> Answer<'a> {
        Run::new(facts).answer(&self.0)
    }

    /// Of a condition that is false, the first of its parts joined by `&&` that is; nothing where it has no short name.
    pub(super) fn first_false(&self, facts: Facts<'_>) -> Option<String> {
        let mut node = &self.0;
        while let Node::And(sides) = node {
            // Each part has the whole's budget, and there are at most as many steps down as the tree is deep.
            node = sides.iter().find(|side| matches!(Run::new(facts).answer(side), Answer::No))?;
        }
        node.clause()
    }
}

/// Refuses what would make the parser recurse too deep. Uses the parser's own lexer, so that both agree where a string ends.
fn measure(text: &str) -> Result<(), Problem> {
    let simpler = "split it into several rules, or use a list: `event.data.x in [\"a\", \"b\"]`";
    if text.trim().is_empty() {
        return Err(Problem::new("is empty", "leave `when` out for a rule that always applies"));
    }
    if text.len() > MAX_BYTES {
        return Err(Problem::new(format!("is {} bytes long; at most {MAX_BYTES} are allowed", text.len()), simpler));
    }
    let mut lexer = Lexer::new(text);
    let (mut tokens, mut open) = (0, 0_usize);
    loop {
        match lexer.lex().kind {
            TokenKind::TokEnd => return Ok(()),
            TokenKind::TokWhitespace | TokenKind::TokComment => continue,
            TokenKind::TokError => {
                let (column, what) =
                    lexer.get_error().map_or((1, "unexpected character"), |e| (e.start + 1, &e.message));
                return Err(Problem::new(
                    format!("column {column}: {what}"),
                    "texts stand in quotes; operators are && || ! == != < <= > >= + - * / % in",
                ));
            }
            TokenKind::TokLeftBracket | TokenKind::TokLeftBrace | TokenKind::TokLeftParen => open += 1,
            TokenKind::TokRightBracket | TokenKind::TokRightBrace | TokenKind::TokRightParen => {
                open = open.saturating_sub(1);
            }
            _ => {}
        }
        tokens += 1;
        if tokens > MAX_TOKENS {
            return Err(Problem::new(format!("has more than {MAX_TOKENS} words and signs"), simpler));
        }
        if open > MAX_BRACKETS {
            return Err(Problem::new(format!("has brackets nested deeper than {MAX_BRACKETS}"), simpler));
        }
    }
}
