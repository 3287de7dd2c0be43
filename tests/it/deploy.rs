//! Documents and deployment files, held to the code they speak of.
//!
//! Promises: a command, setting, variable, port, path, exit code, metric or time that is wrong in a document, the unit, the image or
//! a manifest fails here, by name.
//! Never: a list kept twice; what is right is asked of the code or of the defaults.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use sealpost::config::{Config, DEFAULT_TOML, Fault, Loaded};

mod containers;
mod read;
mod unit;

use read::{Document, commands, document, file, files, manifest, spans};

const RUNBOOK: &str = "deploy/README.md";

/// Everything that people read.
fn documents() -> Vec<(String, Document)> {
    let named = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", RUNBOOK].map(String::from);
    let all = named.into_iter().chain(files("docs", ".md"));
    all.map(|path| (path.clone(), document(&file(&path)))).collect()
}

fn manifests() -> Vec<(String, BTreeMap<String, String>)> {
    let paths = files("deploy/kubernetes", ".yaml");
    paths.iter().flat_map(|path| manifest(&file(path)).into_iter().map(|one| (path.clone(), one))).collect()
}

fn loaded(text: &str, environment: &BTreeMap<String, String>) -> Loaded {
    Config::from_text(Path::new("given.toml"), text, environment).unwrap_or_else(|faults| panic!("{faults}"))
}

fn defaults() -> Config {
    loaded("", &BTreeMap::new()).config
}

fn understood(words: &[String]) -> Result<(), String> {
    sealpost::cli::understand(&words.iter().map(OsString::from).collect::<Vec<_>>())
}

/// A command by its name, arguments left out: it has a help.
fn is_a_name(words: &[String]) -> bool {
    let asked = [words, &["--help".to_owned()]].concat();
    understood(&asked).is_err_and(|said| !said.starts_with("error:"))
}

#[test]
fn every_command_that_people_are_told_to_type_is_understood() {
    let (mut lines, mut named, mut wrong) = (0, 0, Vec::new());
    for (path, document) in documents() {
        for (language, block) in &document.blocks {
            for words in if language == "sh" { commands(block) } else { Vec::new() } {
                lines += 1;
                if let Err(why) = understood(&words) {
                    wrong.push(format!("{path}: {}\n{why}", words.join(" ")));
                }
            }
        }
        for words in document.spans.iter().flat_map(|span| commands(span)).filter(|words| words.len() > 1) {
            named += 1;
            if understood(&words).is_err() && !is_a_name(&words) {
                wrong.push(format!("{path}: `{}`", words.join(" ")));
            }
        }
    }
    let texts = files("src", ".rs").into_iter().chain(files("config", ".toml"));
    for path in texts {
        // Comments of TOML are marked; a backtick that is not closed on its line is no name.
        for words in file(&path).lines().flat_map(|line| spans(line).into_iter().flat_map(|span| commands(&span))) {
            if words.len() > 1 && understood(&words).is_err() && !is_a_name(&words) {
                wrong.push(format!("{path}: `{}`", words.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(lines > 40 && named > 20, "{lines} lines and {named} names were found: is the reader blind?");
}

/// Every setting and table of the reference, also those that stand there as comments.
fn settings() -> BTreeSet<String> {
    let (mut table, mut known) = (String::new(), BTreeSet::new());
    for line in DEFAULT_TOML.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            table = name.0.to_owned();
            known.insert(table.clone());
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| !key.contains([' ', '`'])) {
            known.insert(format!("{table}.{key}"));
        }
    }
    known
}

#[test]
fn every_setting_that_documents_name_exists() {
    let known = settings();
    let sections: BTreeSet<_> =
        known.iter().map(|key| key.split('.').next().expect("a first word").to_owned()).collect();
    let mut checked = 0;
    for (path, document) in documents() {
        for span in &document.spans {
            let is_key = span.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
            let section = span.split_once('.').map_or("", |(first, _)| first);
            // Documents of builders name fields of logs and rooms of the code, which look alike.
            let for_operators = ["README.md", RUNBOOK, "CHANGELOG.md"].contains(&path.as_str());
            if for_operators
                && is_key
                && sections.contains(section)
                && !span.ends_with(".sock")
                && !span.ends_with(".toml")
            {
                checked += 1;
                assert!(known.contains(span), "{path}: there is no setting `{span}`");
            }
        }
    }
    assert!(checked > 15, "{checked} settings were found: is the reader blind?");
}

#[test]
fn every_piece_of_configuration_in_the_readme_is_taken() {
    let mut pieces = 0;
    for (path, document) in documents().into_iter().filter(|(path, _)| !path.starts_with("docs/")) {
        for (_, block) in document.blocks.iter().filter(|(language, _)| language == "toml") {
            pieces += 1;
            let Err(faults) = Config::from_text(Path::new(&path), block, &BTreeMap::new()) else { continue };
            // A piece is not whole: what it does not say, and files that are not here, are no faults of the document.
            let of_the_piece = |f: &&Fault| !f.what.contains("cannot be read") && f.what != "missing";
            let wrong: Vec<String> = faults.0.iter().filter(of_the_piece).map(ToString::to_string).collect();
            assert!(wrong.is_empty(), "{path}: {}\n{block}", wrong.join("\n"));
        }
    }
    assert!(pieces >= 3, "{pieces} pieces were found");
}

/// Files with made-up secrets by their names, for a configuration that names them below `place`.
fn secrets(names: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for name in names {
        let path = dir.path().join(name);
        // Sixty-four hexadecimal digits are both a secret and the digest of one.
        std::fs::write(&path, "0123456789abcdef".repeat(4)).expect("a secret can be written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o400)).expect("its mode can be set");
    }
    let path = dir.path().to_owned();
    (dir, path)
}

/// Metrics by the names they have when they are scraped.
fn metrics() -> BTreeSet<String> {
    let text = file("src/telemetry.rs");
    let fields = text.lines().filter_map(|line| line.trim().strip_prefix("pub ")?.strip_suffix(',')?.split_once(": "));
    let named = fields.filter_map(|(name, kind)| match kind {
        kind if kind.ends_with("Counter") || kind.ends_with("Counter>") => Some(format!("sealpost_{name}_total")),
        kind if kind.ends_with("Gauge") || kind.ends_with("Gauge>") => Some(format!("sealpost_{name}")),
        _ => None,
    });
    named.collect()
}

#[test]
fn alarms_ask_for_metrics_and_words_that_exist() {
    let (known, runbook) = (metrics(), file(RUNBOOK));
    let sources: String = files("src", ".rs").iter().map(|path| file(path)).collect();
    let mut seen = BTreeSet::new();
    for (at, _) in runbook.match_indices("sealpost_") {
        let rest = &runbook[at..];
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        assert!(known.contains(&rest[..end]), "there is no metric {}", &rest[..end]);
        seen.insert(rest[..end].to_owned());
        let Some(labels) = rest[end..].strip_prefix('{').and_then(|labels| labels.split_once('}')) else { continue };
        for word in labels.0.split('"').nth(1).unwrap_or("").split("\\|") {
            assert!(sources.contains(&format!("\"{word}\"")), "no label has the value {word}");
        }
    }
    assert_eq!(seen, known, "the runbook says what each metric is for");
}
