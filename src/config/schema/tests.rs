//! Tests of the table of keys, and of `config/default.toml` against it.

use std::collections::BTreeSet;

use super::*;
use crate::config::DEFAULT_TOML;
use crate::config::layer::{Layer, Origin, Rank};
use crate::config::preset::parse_default;
use crate::config::report::Report;
use crate::config::settings::{Settings, at};

/// `config/default.toml` with its commented settings switched on.
fn uncommented() -> String {
    DEFAULT_TOML
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') && !setting.is_empty() => setting,
            _ => line,
        })
        .collect::<Vec<_>>()
        .join("\n")
}

fn settings(text: &str) -> Settings {
    let mut report = Report::default();
    let layer = Layer::read(text, &Vec::new(), &Origin::new(Rank::File, "config/default.toml"), &mut report);
    report.finish().expect("the reference has no faults");
    Settings::merge(&[&layer]).expect("one layer merges")
}

#[test]
fn the_reference_names_every_key_and_no_other() {
    // Unknown keys and unfit examples would be faults.
    let settings = settings(&uncommented());
    for row in ROWS {
        let given = settings.places_of(row).iter().any(|path| settings.get(path).is_some());
        assert!(given, "{} is not in config/default.toml", row.path);
    }
}

#[test]
fn the_reference_shows_the_default_of_every_key_in_a_named_table() {
    let settings = settings(&uncommented());
    for row in ROWS {
        let Some(default) = row.default else { continue };
        let shown: Vec<_> =
            settings.places_of(row).iter().filter_map(|path| settings.get(path)).map(|v| v.kind.clone()).collect();
        let expect = parse_default(default).expect("a default is TOML");
        let plain = |kind: &::config::ValueKind| kind.to_string();
        assert!(shown.iter().any(|kind| plain(kind) == plain(&expect)), "{}: {default} is not shown", row.path);
        assert!(row.kind.check(&::config::Value::new(None, expect)).is_ok(), "{}: its default does not fit", row.path);
    }
}

#[test]
fn every_setting_of_the_reference_has_a_comment_above_it_or_above_its_table() {
    let mut previous = "";
    let mut bare = Vec::new();
    for line in DEFAULT_TOML.lines() {
        let is_key = line.contains(" = ") && !line.starts_with("# ") && !line.trim().is_empty();
        if is_key && previous.is_empty() {
            bare.push(line);
        }
        previous = line;
    }
    assert!(bare.is_empty(), "no explanation: {bare:?}");
}

#[test]
fn no_path_is_listed_twice_and_every_secret_can_come_from_a_file() {
    let paths: BTreeSet<_> = ROWS.iter().map(|row| row.path).collect();
    assert_eq!(paths.len(), ROWS.len());
    for row in ROWS.iter().filter(|row| matches!(row.kind, Kind::Secret | Kind::Digests)) {
        let in_a_table_of_files = row.path.strip_suffix("headers.*").map(|table| format!("{table}headers_file.*"));
        let file = in_a_table_of_files.unwrap_or_else(|| format!("{}_file", row.path));
        assert!(paths.contains(file.as_str()), "{}", row.path);
    }
}

#[test]
fn every_default_and_preset_is_free_of_faults() {
    settings(DEFAULT_TOML);
    for name in crate::config::preset::NAMES {
        let mut report = Report::default();
        let text = crate::config::preset::text(name).expect("every name has a text");
        Layer::read(text, &at(&["provider", "x"]), &Origin::new(Rank::Preset, *name), &mut report);
        if let Err(faults) = report.finish() {
            panic!("{faults}");
        }
    }
}

#[test]
fn a_slip_of_the_finger_finds_the_nearest_key() {
    for (name, expect) in [
        ("listn", Some("listen")),
        ("Listen", Some("listen")),
        ("max-connections", Some("max_connections")),
        ("max_body_byts", Some("max_body_bytes")),
        ("lisetn", Some("listen")),
        ("colour", None),
    ] {
        assert_eq!(nearest(name, children(&at(&["intake"]))), expect, "{name}");
    }
}

#[test]
fn places_are_keys_tables_or_nothing() {
    let is_key = |path: &[&str]| matches!(find(&at(path)), Place::Key(_));
    let is_table = |path: &[&str]| matches!(find(&at(path)), Place::Table);
    assert!(is_key(&["intake", "listen"]) && is_key(&["source", "x", "headers", "X-Key"]));
    assert!(is_table(&["intake"]) && is_table(&["provider", "x"]) && is_table(&["provider", "x", "param"]));
    assert!(!is_key(&["intake", "listn"]) && !is_table(&["intake", "listen"]) && !is_table(&["nothing"]));
    let row = |path: &[&str]| match find(&at(path)) {
        Place::Key(row) => row.path,
        _ => "none",
    };
    assert_eq!(row(&["provider", "x", "param", "token_file"]), "provider.*.param.*_file");
    assert_eq!(row(&["provider", "x", "param", "token"]), "provider.*.param.*");
}
