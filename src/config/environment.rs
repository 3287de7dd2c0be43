//! The layer of the environment: `SEALPOST__SECTION__KEY`.
//!
//! Promises: values stay the texts they are unless their key asks for a number, a truth or a list; names that the operator
//! chose are matched without regard to case, `_` standing for `-` too; a mistyped name is a fault.
//! Never: reads the environment itself; it is given a map.

use std::collections::BTreeMap;

use super::layer::{Layer, Origin, Rank};
use super::report::Report;
use super::schema::{self, KeyPath, Place};
use super::settings::Settings;

const PREFIX: &str = "SEALPOST__";

/// Variables of our own that are no settings.
const OTHERS: [&str; 1] = ["SEALPOST_CONFIG"];

/// Reads the variables that are settings. `known` holds the names that the file chose.
pub(super) fn read(environment: &BTreeMap<String, String>, known: &Settings, report: &mut Report) -> Layer {
    let mut layer = Layer::empty();
    for (variable, text) in environment {
        let origin = Origin::new(Rank::Environment, variable.as_str());
        let Some(rest) = variable.strip_prefix(PREFIX) else {
            // One underscore where two belong: it would silently not be read. Names without `__` may be
            // somebody else's (container platforms set `SEALPOST_PORT` for a service of that name).
            if variable.starts_with("SEALPOST_") && variable.contains("__") && !OTHERS.contains(&variable.as_str()) {
                report.warn(&origin, "", "not read as a setting", Some(format!("settings begin with {PREFIX}")));
            }
            continue;
        };
        let Some(path) = resolve(rest, known, &origin, report) else { continue };
        match schema::find(&path) {
            Place::Key(row) => {
                report.check_name(&path, &origin);
                let value = row.kind.by_environment(text, &origin.to_text());
                report.check_value(row, &path, &value, &origin);
                layer.insert(&path, value.kind, &origin);
                for depth in 1..path.len() {
                    report.check_name(&path[..depth].to_vec(), &origin);
                    layer.tables.push((path[..depth].to_vec(), origin.clone()));
                }
            }
            Place::Table => {
                let what = "a table cannot be given by a variable";
                report.fault(&origin, "", what, Some(format!("name the key too: {variable}__…")));
            }
            Place::Unknown => report.unknown(&path, &origin),
        }
    }
    layer
}

/// The path that a variable's name means: our own names by their letters, chosen names by what exists.
fn resolve(rest: &str, known: &Settings, origin: &Origin, report: &mut Report) -> Option<KeyPath> {
    let mut path = KeyPath::new();
    for segment in rest.split("__") {
        let segment = segment.to_ascii_lowercase();
        let siblings = schema::children(&path);
        let chosen = siblings.iter().any(|name| name.starts_with('*')) && !siblings.contains(&segment.as_str());
        if !chosen {
            path.push(segment);
            continue;
        }
        let alike: Vec<String> = known.names(&path).into_iter().filter(|name| plain(name) == plain(&segment)).collect();
        match alike.as_slice() {
            [] => path.push(fresh(&path, segment)),
            [one] => path.push(one.clone()),
            _ if alike.contains(&segment) => path.push(segment),
            _ => {
                let what = format!("`{segment}` could be any of {}", alike.join(", "));
                report.fault(origin, "", what, Some("set it in the file".into()));
                return None;
            }
        }
    }
    Some(path)
}

fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// A name that no file chose. Variables cannot hold `-`, and header names hardly ever hold `_`.
fn fresh(above: &[String], segment: String) -> String {
    match above.last().map(String::as_str) {
        Some("headers" | "headers_file") => segment.replace('_', "-"),
        _ => segment,
    }
}
