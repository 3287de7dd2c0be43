//! The effective configuration as text: every value with where it came from.
//!
//! Promises: valid TOML; what is hidden reads `<hidden>`; the order is that of `config/default.toml`.
//! Never: a secret, or the name of a person on the pilot list.

use std::fmt::Write as _;

use ::config::{Value, ValueKind};

use super::layer::Rank;
use super::schema::{KeyPath, ROWS, dotted, quoted_key};
use super::settings::{Settings, at};

/// Writes every setting that has a value, table by table.
pub(super) fn show(settings: &Settings) -> String {
    let mut text = String::new();
    let mut tables: Vec<KeyPath> = Vec::new();
    let mut lines: Vec<(KeyPath, String)> = Vec::new();
    for row in ROWS {
        for path in settings.places_of(row) {
            let (Some(value), Some((name, table))) = (settings.get(&path), path.split_last()) else { continue };
            if !settings.has_type(row, &path) || is_of_an_absent_signature(settings, &path) {
                continue;
            }
            let shown = if row.hidden { "\"<hidden>\"".to_owned() } else { as_toml(value) };
            let line = format!("{} = {shown}  # {}", quoted_key(name), settings.origin(&path));
            if !tables.contains(&table.to_vec()) {
                tables.push(table.to_vec());
            }
            lines.push((table.to_vec(), line));
        }
    }
    // One named table after the other, each with the tables inside it.
    let order: Vec<KeyPath> = tables.clone();
    tables.sort_by_key(|table| {
        let group = table.first().cloned().unwrap_or_default();
        let section = order.iter().position(|other| other.first() == Some(&group));
        let named = matches!(group.as_str(), "source" | "org" | "provider" | "lookup").then(|| table.get(1).cloned());
        (section, named, order.iter().position(|other| other == table))
    });
    for table in &tables {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing into a String cannot fail.
        let _ = writeln!(text, "[{}]", dotted(table));
        for (_, line) in lines.iter().filter(|(of, _)| of == table) {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

/// Defaults of a signature that nobody described would look as if there were one.
fn is_of_an_absent_signature(settings: &Settings, path: &[String]) -> bool {
    let [source, name, hmac, _] = path else { return false };
    let given = |path: &KeyPath| settings.get(path).is_some() && settings.origin(path).rank >= Rank::File;
    let keys = ["secret", "secret_file"].map(|key| at(&[source, name, hmac, key]));
    source == "source" && hmac == "hmac" && !keys.iter().any(given)
}

fn as_toml(value: &Value) -> String {
    match &value.kind {
        ValueKind::Boolean(flag) => flag.to_string(),
        ValueKind::I64(n) => n.to_string(),
        ValueKind::Float(n) => toml::Value::Float(*n).to_string(),
        ValueKind::String(text) => one_line(text),
        ValueKind::Array(items) => format!("[{}]", items.iter().map(as_toml).collect::<Vec<_>>().join(", ")),
        // No key that was accepted has one of these.
        _ => "\"\"".into(),
    }
}

/// A basic string on one line, whatever is in it: a comment follows.
fn one_line(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
