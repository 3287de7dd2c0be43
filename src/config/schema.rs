//! Every key there is, once: where it stands, what fits, whether it is secret, and its default inside a named table.
//!
//! Promises: what is not in this table is an unknown key; a test holds `config/default.toml` against it, both ways.
//! Never: a value; the defaults of the fixed sections (those are `config/default.toml` itself).

use super::kind::Kind;

mod rows;
#[cfg(test)]
mod tests;

pub(super) use rows::ROWS;

/// A place in the configuration: its names from the top.
pub(super) type KeyPath = Vec<String>;

/// One key.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// Dotted path; `*` stands for a name that the operator chooses, `*_file` for one that ends so.
    pub(super) path: &'static str,
    /// What fits.
    pub(super) kind: Kind,
    /// True if its table is not usable without it.
    pub(super) required: bool,
    /// True if its value must not be shown: a secret, or the name of a person.
    pub(super) hidden: bool,
    /// For keys of a provider: the types that have it; empty means all.
    pub(super) types: &'static [&'static str],
    /// For keys inside a named table: the TOML text of its default.
    pub(super) default: Option<&'static str>,
}

/// What stands at a place.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A key.
    Key(&'static Row),
    /// A table of keys or of named tables.
    Table,
    /// Nothing.
    Unknown,
}

impl Row {
    /// The names of the path.
    pub(super) fn segments(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('.')
    }
    /// Its own name.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }
    fn covers(&self, path: &[String]) -> Covers {
        let mut pattern = self.segments();
        for name in path {
            match pattern.next() {
                Some(segment) if segment_fits(segment, name) => {}
                _ => return Covers::No,
            }
        }
        if pattern.next().is_none() { Covers::Exactly } else { Covers::Above }
    }
}

enum Covers {
    Exactly,
    Above,
    No,
}

fn segment_fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(suffix) => name.len() > suffix.len() && name.ends_with(suffix),
        None => pattern == name,
    }
}

/// What stands at `path`.
pub(super) fn find(path: &[String]) -> Place {
    let mut found = Place::Unknown;
    for row in ROWS {
        match row.covers(path) {
            Covers::Exactly => return Place::Key(row),
            Covers::Above => found = Place::Table,
            Covers::No => {}
        }
    }
    found
}

/// The names that may stand directly below `path`, each once; `*` among them if the operator chooses.
pub(super) fn children(path: &[String]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for row in ROWS {
        if matches!(row.covers(path), Covers::Above)
            && let Some(name) = row.segments().nth(path.len())
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// All full paths whose last name is `name`, for "it belongs there" hints.
pub(super) fn homes_of(name: &str) -> Vec<&'static str> {
    ROWS.iter().filter(|row| row.name() == name).map(|row| row.path).collect()
}

/// A path as people write it, names quoted where TOML needs it.
pub(super) fn dotted(path: &[String]) -> String {
    path.iter().map(|name| quoted_key(name)).collect::<Vec<_>>().join(".")
}

/// A name as a TOML key.
pub(super) fn quoted_key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { name.to_owned() } else { toml::Value::String(name.to_owned()).to_string() }
}

/// The nearest of `candidates` to `name`, if it is near enough to be a slip of the finger; chosen names (`*`) are no words.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    super::nearest::nearest(name, candidates.into_iter().filter(|candidate| !candidate.starts_with('*')))
}
