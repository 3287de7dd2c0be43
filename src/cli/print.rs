//! How answers look on a terminal.
//!
//! Promises: the same facts as the JSON answer, one line each; `--json` prints the answer itself.
//! Never: colour or layout that a log file or a pipe cannot take; a character that a terminal obeys, whoever wrote it.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// Longest cell of a table: a value without end must not push every other out of sight.
const WIDEST: usize = 60;

/// True for what a terminal does instead of showing it: control characters but lines and tabs, and what turns the reading direction.
fn is_obeyed(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

/// A text whose characters that a terminal obeys are written as `\u{1b}`. What a sender wrote must not move the cursor, rename the
/// window or hide a line of whoever looks at it.
pub(crate) fn tame(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c.escape_unicode().collect())
}

fn escaped(text: &str, escape: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.contains(is_obeyed) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_obeyed(c) { out.push_str(&escape(c)) } else { out.push(c) }
    }
    out.into()
}

/// Writes a text to standard output; a closed pipe is not an error worth telling.
pub(crate) fn out(text: &str) {
    let text = tame(text);
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    if !text.ends_with('\n') {
        let _ = stdout.write_all(b"\n");
    }
    let _ = stdout.flush();
}

/// Writes a text to standard error.
pub(crate) fn err(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", tame(text));
}

/// Pretty JSON; what a terminal obeys is escaped as JSON does it, and reads as it was.
pub(crate) fn json(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    escaped(&text, |c| format!("\\u{:04x}", u32::from(c))).into_owned()
}

/// Shows how far a long change is, on a terminal; silent in a pipe or a log.
pub(crate) fn progress_of(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} {msg}  {elapsed}") {
        bar.set_style(style);
    }
    // A page may take long before it has changed anything.
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

/// A word as a part of an address.
pub(crate) fn encoded(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    for byte in word.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// An error with its causes, on one line; a cause that was quoted already is not told again.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let said = cause.to_string();
        if text.contains(&said) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&said);
    }
    text
}

/// The rows of a list; none if it is no list.
pub(crate) fn rows(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

/// A text field, or a dash.
pub(crate) fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("-")
}

/// Everything that happened to one event, for support.
pub(crate) fn timeline(found: &Value) -> String {
    let event = &found["event"];
    let mut text = format!(
        "event {}  {}  org {}  {}\n  event id {}  request {}\n",
        field(event, "key"),
        field(event, "name"),
        event["org"],
        field(event, "created_at"),
        field(event, "event_id"),
        field(event, "request_id"),
    );
    for line in found["timeline"].as_array().into_iter().flatten() {
        let about = line["notification"].as_str().map_or("", |id| &id[id.len().saturating_sub(6)..]);
        let _ = writeln!(text, "  {}  {:<7} {}", field(line, "time"), about, happening(line));
    }
    for n in found["notifications"].as_array().into_iter().flatten() {
        let _ = writeln!(text, "  {}", notification(n));
    }
    text
}

/// One notification on one line.
pub(crate) fn notification(n: &Value) -> String {
    let channels: Vec<&str> = n["channels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut state = field(n, "state").to_owned();
    // Waiting and suppressed carry their reason as a word, a dead letter as an object.
    let reason = n["reason"].as_str().or_else(|| n["reason"]["reason"].as_str());
    if let Some(reason) = reason {
        let _ = write!(state, ": {reason}");
    }
    format!(
        "{}  {} to {} by {}  {state}  attempts {}",
        field(n, "id"),
        rule(&n["rule"]),
        field(n, "role"),
        channels.join(","),
        n["attempts"],
    )
}

fn rule(rule: &Value) -> String {
    format!("{}/{}", field(rule, "template"), rule["index"])
}

/// One line of a timeline in words: what happened, then its facts in a steady order.
fn happening(line: &Value) -> String {
    let mut text = field(line, "what").replace('_', " ");
    let Some(facts) = line.as_object() else { return text };
    for (name, value) in facts {
        if matches!(name.as_str(), "what" | "at" | "time" | "notification") || value.is_null() {
            continue;
        }
        let shown = match value {
            Value::String(word) => word.clone(),
            Value::Object(_) if name == "rule" => rule(value),
            other if matches!(name.as_str(), "until" | "due_at" | "last") => {
                other.as_i64().map_or_else(|| other.to_string(), |ms| crate::clock::Time::from_millis(ms).to_string())
            }
            other => other.to_string().replace('"', ""),
        };
        let _ = write!(text, "  {name} {shown}");
    }
    text
}

/// A table of equal columns: the header names the fields.
pub(crate) fn table(rows: &[Value], columns: &[&str]) -> String {
    let cell = |row: &Value, name: &str| match row.pointer(&format!("/{}", name.replace('.', "/"))) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => shortened(text),
        Some(other) => shortened(&other.to_string()),
    };
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|c| (*c).to_owned()).collect()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|c| cell(row, c)).collect()));
    let widths: Vec<usize> =
        (0..columns.len()).map(|i| lines.iter().map(|l| l[i].chars().count()).max().unwrap_or(0)).collect();
    let mut text = String::new();
    for line in lines {
        let mut row = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            row.push_str(cell);
            row.extend(std::iter::repeat_n(' ', 2 + width.saturating_sub(cell.chars().count())));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// One line of at most [`WIDEST`] characters.
fn shortened(cell: &str) -> String {
    let one_line = |c: char| if c == '\n' || c == '\t' { ' ' } else { c };
    let mut chars = cell.chars();
    let mut text: String = chars.by_ref().take(WIDEST).map(one_line).collect();
    if chars.next().is_some() {
        text.pop();
        text.push('…');
    }
    tame(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json as value_of;

    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_printed() {
        assert_eq!(tame("a\u{1b}[2Jb\r\u{9b}c\u{202e}d\u{7f}\u{7}"), r"a\u{1b}[2Jb\u{d}\u{9b}c\u{202e}d\u{7f}\u{7}");
        assert!(matches!(tame("one\ttwo\nनमस्ते 👋 عربي"), Cow::Borrowed(_)));
        let value = value_of!({"a": "x\u{1b}\u{9b}\u{202e}\u{7f}y"});
        assert_eq!(json(&value).lines().nth(1), Some(r#"  "a": "x\u001b\u009b\u202e\u007fy""#));
        assert_eq!(serde_json::from_str::<Value>(&json(&value)).expect("JSON"), value);
        let shown = table(&[value_of!({"a": "x\u{1b}]0;owned\u{7}\ny", "b": 1})], &["a", "b"]);
        assert_eq!(shown.lines().count(), 2, "{shown}");
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{7}'), "{shown}");
    }

    #[test]
    fn a_cell_without_end_is_cut_and_its_table_stands() {
        let shown = table(
            &[value_of!({"id": "x".repeat(900_000), "key": "k1"}), value_of!({"id": "y", "key": "k2"})],
            &["id", "key"],
        );
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1], format!("{}…  k1", "x".repeat(59)));
        assert_eq!(lines[2], format!("y{}  k2", " ".repeat(59)));
    }
}
