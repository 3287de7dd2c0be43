//! Tables as files: CSV or lines of JSON.
//!
//! Promises: the same columns in the same order in both; a file is whole or not there; nobody else may read more of it than its mode says,
//! from its first byte on.
//! Never: a cell that a spreadsheet would take for a formula.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

pub use crate::config::TableFormat as Format;

/// Writes rows, objects with these columns, as a text.
pub fn table(columns: &[&str], rows: &[Value], format: Format) -> String {
    match format {
        Format::Jsonl => {
            // Not the map's own order: that of the columns, for people who compare files.
            let pair = |row: &Value, name: &str| format!("{}:{}", Value::from(name), row[name]);
            let line = |row: &Value| {
                let pairs: Vec<_> = columns.iter().map(|name| pair(row, name)).collect();
                format!("{{{}}}\n", pairs.join(","))
            };
            rows.iter().map(line).collect()
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            // Writing into memory cannot fail, and every row has every column.
            let _ = writer.write_record(columns);
            for row in rows {
                let _ = writer.write_record(columns.iter().map(|name| cell(&row[*name])));
            }
            let bytes = writer.into_inner().unwrap_or_default();
            String::from_utf8(bytes).unwrap_or_default()
        }
    }
}

/// A cell that begins as a formula does is given an apostrophe, as OWASP advises: ids and codes come from outside.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Writes a file that is complete and durable before it has its name. `mode` is what it has at most.
///
/// # Errors
/// What the file system says; then nothing is left of it, and an older file of that name stays.
pub fn write_atomically(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".sealpost-")
        .suffix(".part")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(dir)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const COLUMNS: &[&str] = &["org", "reason", "messages"];

    #[test]
    fn both_formats_have_the_same_columns_in_the_same_order() {
        let rows =
            [json!({"messages": 2, "org": 7, "reason": null}), json!({"messages": 1, "org": 8, "reason": "a,\"b"})];
        insta::assert_snapshot!(table(COLUMNS, &rows, Format::Csv), @r#"
        org,reason,messages
        7,,2
        8,"a,""b",1
        "#);
        insta::assert_snapshot!(table(COLUMNS, &rows, Format::Jsonl), @r#"
        {"org":7,"reason":null,"messages":2}
        {"org":8,"reason":"a,\"b","messages":1}
        "#);
        assert_eq!(table(COLUMNS, &[], Format::Csv), "org,reason,messages\n", "a day without messages has a head");
    }

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+91", "-1", "@x", "\tx"] {
            assert_eq!(cell(&json!(text)), format!("'{text}"));
        }
        assert_eq!((cell(&json!("GT-1")), cell(&json!(-1))), ("GT-1".into(), "-1".into()));
    }

    #[test]
    fn a_file_takes_the_place_of_an_older_one_and_nobody_else_may_read_more() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.csv");
        std::fs::write(&path, "older and longer").expect("written");
        write_atomically(&path, "new", 0o600).expect("written");
        assert_eq!(std::fs::read_to_string(&path).expect("text"), "new");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o7777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 1, "nothing else is left");
        assert!(write_atomically(&dir.path().join("gone/a.csv"), "x", 0o600).is_err());
    }
}
