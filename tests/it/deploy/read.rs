//! Reads what people and platforms read: documents, shell lines, a unit, manifests.
//!
//! Promises: only the forms that our own files use; what it cannot read it does not skip in silence, its readers count what they got.
//! Never: a judgement; that is the tests' part.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The top of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of the repository.
pub fn file(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Files below a folder whose names end so.
pub fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder of the repository can be read") {
            let path = folder.join(entry.expect("an entry can be read").file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path.to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

/// A document: its fenced blocks by language, and the `words` of its prose.
pub struct Document {
    pub blocks: Vec<(String, String)>,
    pub spans: Vec<String>,
}

/// Reads Markdown.
pub fn document(text: &str) -> Document {
    let (mut blocks, mut prose, mut open) = (Vec::new(), String::new(), None::<(String, String)>);
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.trim().to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block is not closed");
    Document { blocks, spans: spans(&prose) }
}

/// What stands between backticks, a paragraph or table row at a time, so that a lone one spoils no more than its own.
pub fn spans(prose: &str) -> Vec<String> {
    let paragraphs = prose.split("\n\n").flat_map(|p| if p.starts_with('|') { p.lines().collect() } else { vec![p] });
    paragraphs.flat_map(|p| p.split('`').skip(1).step_by(2).map(|s| s.replace('\n', " ")).collect::<Vec<_>>()).collect()
}

/// The command lines of `sealpost` in shell text, program name first.
pub fn commands(shell: &str) -> Vec<Vec<String>> {
    let joined = shell.replace("\\\n", " ");
    let mut found = Vec::new();
    for line in joined.lines() {
        // A unit that is written by a shell line.
        let written = line.split("ExecStartPre=").skip(1).filter_map(|rest| rest.split("\\n").next());
        for part in std::iter::once(line).chain(written) {
            found.extend(simple_commands(part).into_iter().filter_map(ours));
        }
    }
    found
}

/// From the word `sealpost` on, where it is a program and not an argument.
fn ours(words: Vec<String>) -> Option<Vec<String>> {
    let at = (0..words.len()).find(|&at| {
        let is_program = at == 0
            || ["sudo", "--"].contains(&words[at - 1].as_str())
            || (at > 1 && words[at - 2] == "exec" && words[0] == "docker");
        is_program && Path::new(&words[at]).file_name().is_some_and(|name| name == "sealpost")
    })?;
    // `[--html]` may be left out, `{seq}` is put in by the program that says it.
    let plain = |word: &String| match word.trim_start_matches('[').trim_end_matches(']') {
        filled if filled.starts_with('{') && filled.ends_with('}') => "1".to_owned(),
        word => word.to_owned(),
    };
    Some(words[at..].iter().map(plain).collect())
}

/// Words of a line, cut where a shell begins another command or a comment.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let (mut commands, mut words, mut word, mut quote) = (Vec::new(), Vec::new(), None::<String>, None::<char>);
    let ends = |word: &mut Option<String>, words: &mut Vec<String>| words.extend(word.take());
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            ('|' | '&' | ';' | '>' | '<', None) => {
                ends(&mut word, &mut words);
                commands.push(std::mem::take(&mut words));
            }
            (c, None) if c.is_whitespace() => ends(&mut word, &mut words),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    ends(&mut word, &mut words);
    commands.push(words);
    commands
}

/// A unit's directives in order: name and value.
pub fn unit(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("not a directive: {line}"));
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

/// The values of a manifest by their paths, as `spec.replicas` or `spec.template.spec.containers.0.image`; a map for each document.
pub fn manifest(text: &str) -> Vec<BTreeMap<String, String>> {
    text.split("\n---\n").map(one_manifest).collect()
}

fn one_manifest(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut place: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let line = line.split_once(" #").map_or(line, |(line, _)| line).trim_end();
        let mut rest = line.trim_start();
        let mut indent = line.len() - rest.len();
        if rest.is_empty() || rest.starts_with('#') {
            continue;
        }
        while let Some(item) = rest.strip_prefix("- ") {
            let mut number = 0;
            while let Some((_, name)) = place.pop_if(|(depth, _)| *depth >= indent) {
                number = name.parse::<usize>().map_or(0, |before| before + 1);
            }
            place.push((indent, number.to_string()));
            indent += 2;
            rest = item;
        }
        let (key, value) = match rest.split_once(':').filter(|(key, _)| !key.starts_with(['"', '['])) {
            Some((key, value)) if value.is_empty() || value.starts_with(' ') => (Some(key), value.trim()),
            _ => (None, rest),
        };
        if let Some(key) = key {
            while place.pop_if(|(depth, _)| *depth >= indent).is_some() {}
            place.push((indent, key.to_owned()));
        }
        let path = place.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(".");
        match list(value) {
            Some(items) => values.extend(items.into_iter().enumerate().map(|(n, item)| (format!("{path}.{n}"), item))),
            None if value.is_empty() => {}
            None => {
                values.insert(path, value.trim_matches('"').to_owned());
            }
        }
    }
    values
}

/// `["a", "b"]`
pub fn list(value: &str) -> Option<Vec<String>> {
    let inside = value.trim().strip_prefix('[')?.strip_suffix(']')?;
    Some(inside.split(',').map(|item| item.trim().trim_matches('"').to_owned()).collect())
}
