//! Where templates come from: a folder, or what was compiled in.
//!
//! Promises: sizes and counts are bounded; every file that cannot be read is a fault, not a stop; nothing outside the folder is read.
//! Never: the present working directory, except as part of a path that was given.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::TemplateSource;
use super::syntax::{Issue, Pos};

/// A thousand templates with all they may have, several times over: whoever has more gave the wrong folder.
const MAX_FILES: usize = if cfg!(test) { 500 } else { 50_000 };
const MAX_BYTES: u64 = 4 * 1024 * 1024;
const MAX_FOLDERS: usize = 4;

mod embedded;

use embedded::EMBEDDED;

/// Texts by path below the root, with `/` between folders.
pub(super) type Files = BTreeMap<Arc<str>, String>;

/// What was compiled in.
pub(super) fn embedded() -> impl Iterator<Item = (&'static str, &'static str)> {
    EMBEDDED.iter().copied()
}

/// Reads all files of a source.
pub(super) fn read(source: &TemplateSource) -> (Files, Vec<Issue>) {
    match source {
        TemplateSource::Embedded => {
            (embedded().map(|(path, text)| (Arc::from(path), text.to_owned())).collect(), Vec::new())
        }
        TemplateSource::Dir(dir) => {
            let (mut files, mut issues) = (Files::new(), Vec::new());
            match folder(dir, "", 0, &mut files, &mut issues) {
                ControlFlow::Continue(()) => (files, issues),
                // What was read so far lacks parts of itself: its faults would only hide this one.
                ControlFlow::Break(too_many) => (Files::new(), vec![too_many]),
            }
        }
    }
}

/// What belongs to templates; designers keep pictures and notes beside them.
fn wanted(path: &str) -> bool {
    let ends = |end: &str| path.len() > end.len() && path.ends_with(end);
    ends(".hbs")
        || ends(".toml")
        || (path.starts_with("_tables/") && ends(".csv"))
        || (path.contains("/examples/") && ends(".json"))
}

fn folder(dir: &Path, below: &str, depth: usize, files: &mut Files, issues: &mut Vec<Issue>) -> ControlFlow<Issue> {
    let at = |path: &str| Pos { file: Arc::from(path), line: 0 };
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            issues.push(Issue::new(&at(below), format!("folder cannot be read: {}", error.kind())));
            return ControlFlow::Continue(());
        }
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|n| !n.starts_with('.')) else { continue };
        let path = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
        let Ok(kind) = std::fs::metadata(entry.path()) else { continue };
        if kind.is_dir() {
            if depth < MAX_FOLDERS {
                folder(&entry.path(), &path, depth + 1, files, issues)?;
            }
            continue;
        }
        if !wanted(&path) {
            continue;
        }
        if files.len() >= MAX_FILES {
            let too_many = Issue::new(&at(&path), format!("is one of more than {MAX_FILES} files"));
            return ControlFlow::Break(too_many.hint("give the folder of the templates, and none above it"));
        }
        if kind.len() > MAX_BYTES {
            issues.push(Issue::new(&at(&path), format!("is larger than {MAX_BYTES} bytes")));
            continue;
        }
        match std::fs::read(entry.path()).map(String::from_utf8) {
            Ok(Ok(text)) => {
                let text = text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text);
                let odd = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
                if let Some(bad) = text.find(odd) {
                    let line = text[..bad].matches('\n').count() + 1;
                    let pos = Pos { line, ..at(&path) };
                    issues
                        .push(Issue::new(&pos, "holds a control character").hint("save the file as plain UTF-8 text"));
                } else {
                    files.insert(Arc::from(path), text.replace("\r\n", "\n"));
                }
            }
            Ok(Err(_)) => issues.push(Issue::new(&at(&path), "is not UTF-8").hint("save the file as UTF-8")),
            Err(error) => issues.push(Issue::new(&at(&path), format!("cannot be read: {}", error.kind()))),
        }
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_shipped_file_is_compiled_in() {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("templates");
        let (folder, issues) = read(&TemplateSource::Dir(dir));
        let (embedded, _) = read(&TemplateSource::Embedded);
        assert_eq!(issues, []);
        assert_eq!(folder.keys().collect::<Vec<_>>(), embedded.keys().collect::<Vec<_>>());
        assert!(folder == embedded, "texts differ");
    }

    #[test]
    fn too_many_files_are_one_fault_and_not_one_for_each_part_that_was_not_read() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["one", "two"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
            for n in 0..=MAX_FILES / 2 {
                std::fs::write(dir.path().join(format!("{folder}/{n}.toml")), "").unwrap();
            }
        }
        let (files, issues) = read(&TemplateSource::Dir(dir.path().into()));
        assert!(files.is_empty());
        assert_eq!(issues.len(), 1, "{issues:?}");
    }
}
