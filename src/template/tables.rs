//! Look-up tables: `_tables/<name>.csv`, the first column is the key.
//!
//! Promises: every fault of a table at once, with its line; a key stands once; a blank cell is a missing value.
//! Never: anything about a person: tables are part of a template's version and lie in clear.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::syntax::{Issue, Pos};

const MAX_ROWS: usize = 100_000;

/// All tables by name.
#[derive(Default)]
pub(super) struct Tables(BTreeMap<String, Table>);

#[derive(Default)]
struct Table {
    columns: Vec<String>,
    rows: HashMap<String, Vec<String>>,
}

impl Tables {
    /// Reads a table.
    pub(super) fn add(&mut self, name: &str, file: &Arc<str>, text: &str) -> Vec<Issue> {
        let mut issues = Vec::new();
        let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
        let at = |line: u64| Pos { file: Arc::clone(file), line: usize::try_from(line).unwrap_or(usize::MAX) };
        let columns: Vec<String> = match reader.headers() {
            Ok(header) => header.iter().map(|c| c.trim_start_matches('\u{feff}').to_owned()).collect(),
            Err(error) => {
                return vec![Issue::new(&at(1), format!("is not CSV: {}", kind(&error)))];
            }
        };
        let word = |c: &String| !c.is_empty() && c.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if columns.len() < 2 || !columns.iter().all(word) {
            let issue = Issue::new(&at(1), "the first line does not name the columns");
            return vec![issue.hint("write `code,name,city`: two or more names of letters, digits and `_`")];
        }
        let mut table = Table { columns, rows: HashMap::new() };
        for record in reader.records() {
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    issues.push(Issue::new(&at(error.position().map_or(1, csv::Position::line)), kind(&error)));
                    break;
                }
            };
            let line = at(record.position().map_or(1, csv::Position::line));
            let cells: Vec<String> = record.iter().map(str::to_owned).collect();
            let Some(key) = cells.first().filter(|k| !k.is_empty()) else {
                issues.push(Issue::new(&line, "the first column is the key; it is empty"));
                continue;
            };
            if cells.len() != table.columns.len() {
                let what = format!("has {} cells; expected {}", cells.len(), table.columns.len());
                issues.push(Issue::new(&line, what).hint("put quotes around a cell that holds a comma"));
            } else if table.rows.contains_key(key) {
                issues.push(Issue::new(&line, format!("key `{key}` stands twice")));
            } else if table.rows.len() >= MAX_ROWS {
                issues.push(Issue::new(&line, format!("has more than {MAX_ROWS} rows")));
                break;
            } else {
                table.rows.insert(key.clone(), cells);
            }
        }
        self.0.insert(name.into(), table);
        issues
    }

    /// A cell, if there is something in it.
    pub(super) fn get(&self, table: &str, key: &str, column: &str) -> Option<&str> {
        let table = self.0.get(table)?;
        let index = table.columns.iter().position(|c| c == column)?;
        table.rows.get(key.trim())?.get(index).map(String::as_str).filter(|cell| !cell.is_empty())
    }

    /// A row as an object, blank cells left out.
    pub(super) fn row(&self, table: &str, key: &str) -> Option<Value> {
        let table = self.0.get(table)?;
        let cells = table.rows.get(key.trim())?;
        let filled = table.columns.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
        Some(Value::Object(filled.map(|(c, v)| (c.clone(), Value::from(v.as_str()))).collect::<Map<_, _>>()))
    }

    /// What stands in a column, blank cells left out.
    pub(super) fn column<'t>(&'t self, table: &str, column: &str) -> impl Iterator<Item = &'t str> {
        let found = self.0.get(table).and_then(|t| Some((t, t.columns.iter().position(|c| c == column)?)));
        found
            .into_iter()
            .flat_map(|(table, at)| table.rows.values().filter_map(move |cells| cells.get(at)))
            .map(String::as_str)
            .filter(|cell| !cell.is_empty())
    }

    /// Column names, for checks; nothing if there is no such table.
    pub(super) fn columns(&self, table: &str) -> Option<&[String]> {
        self.0.get(table).map(|t| t.columns.as_slice())
    }

    /// Names of all tables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

fn kind(error: &csv::Error) -> &'static str {
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8",
        csv::ErrorKind::UnequalLengths { .. } => "a row has another number of cells than the first",
        _ => "is not CSV",
    }
}
