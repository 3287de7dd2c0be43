//! The merged settings: what the `config` crate made of the layers, with typed questions.
//!
//! Promises: layering is the `config` crate's (deep merge of tables, later layer wins, lists replaced as a whole); each value
//! still knows where it was given; a value that does not fit reads as absent here, because its layer has reported it.
//! Never: `try_parsing`, which would turn the secret `00123` into `123`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ::config::{Value, ValueKind};

use super::layer::{Layer, Origin, Rank};
use super::schema::{self, KeyPath, Place, Row};
use super::value::{parse_bytes, parse_duration};

/// Known keys of all layers, merged. No `Debug`: some values are secrets.
#[derive(Clone)]
pub(super) struct Settings {
    root: Value,
    tables: BTreeMap<KeyPath, Origin>,
    /// The operator's file, if there is one.
    file: Option<String>,
}

impl Settings {
    /// Merges layers, the strongest last.
    ///
    /// # Errors
    /// The `config` crate's own text; it cannot fail for layers that are in memory.
    pub(super) fn merge(layers: &[&Layer]) -> Result<Self, String> {
        let mut builder = ::config::Config::builder();
        let mut tables = BTreeMap::new();
        for layer in layers {
            builder = builder.add_source((*layer).clone());
            tables.extend(layer.tables.iter().cloned());
        }
        let merged = builder.build().map_err(|error| error.to_string())?;
        Ok(Self { root: merged.cache, tables, file: None })
    }

    /// No settings at all.
    pub(super) fn empty() -> Self {
        Self { root: Value::new(None, ValueKind::Nil), tables: BTreeMap::new(), file: None }
    }

    /// The value at a place.
    pub(super) fn get(&self, path: &[String]) -> Option<&Value> {
        path.iter().try_fold(&self.root, |value, name| match &value.kind {
            ValueKind::Table(table) => table.get(name),
            _ => None,
        })
    }

    /// True if the operator gave a value there: a default is none.
    pub(super) fn is_given(&self, path: &[String]) -> bool {
        self.get(path).is_some() && self.origin(path).rank > Rank::Default
    }

    /// The names below a place, sorted.
    pub(super) fn names(&self, path: &[String]) -> BTreeSet<String> {
        match self.get(path).map(|value| &value.kind) {
            Some(ValueKind::Table(table)) => table.keys().cloned().collect(),
            _ => BTreeSet::new(),
        }
    }

    /// Where a value was given; for a table or an absent key, where the nearest table above was opened.
    pub(super) fn origin(&self, path: &[String]) -> Origin {
        let value = self.get(path).and_then(Value::origin).and_then(Origin::from_text);
        let above = || (0..=path.len()).rev().find_map(|depth| self.tables.get(&path[..depth])).cloned();
        value.or_else(above).unwrap_or_else(|| Origin::new(Rank::Default, ""))
    }

    /// Names the operator's file, for [`Settings::place`].
    pub(super) fn in_file(mut self, name: &str) -> Self {
        self.file = Some(name.to_owned()).filter(|name| !name.is_empty());
        self
    }

    /// Where somebody has to look to mend the value at `path`: its origin, but the operator's file for what only the
    /// embedded defaults say, because nobody can change those.
    pub(super) fn place(&self, path: &[String]) -> Origin {
        let origin = self.origin(path);
        match &self.file {
            Some(file) if origin.rank == Rank::Default => Origin::new(Rank::File, file.as_str()),
            _ => origin,
        }
    }

    /// The value at a place, if it fits its key.
    fn fitting(&self, path: &[String]) -> Option<&Value> {
        let Place::Key(row) = schema::find(path) else { return None };
        self.get(path).filter(|value| row.kind.check(value).is_ok())
    }

    pub(super) fn text(&self, path: &[String]) -> Option<&str> {
        text_of(self.fitting(path)?)
    }
    /// A whole number as it is written in names of tables: `41007`.
    pub(super) fn number_text(&self, path: &[String]) -> Option<String> {
        match &self.fitting(path)?.kind {
            ValueKind::I64(n) => Some(n.to_string()),
            _ => None,
        }
    }
    pub(super) fn flag(&self, path: &[String]) -> Option<bool> {
        match self.fitting(path)?.kind {
            ValueKind::Boolean(flag) => Some(flag),
            _ => None,
        }
    }
    pub(super) fn count<N: TryFrom<u64>>(&self, path: &[String]) -> Option<N> {
        number_of(self.fitting(path)?)
    }
    pub(super) fn bytes<N: TryFrom<u64>>(&self, path: &[String]) -> Option<N> {
        let value = self.fitting(path)?;
        match text_of(value) {
            Some(text) => N::try_from(parse_bytes(text).ok()?).ok(),
            None => number_of(value),
        }
    }
    pub(super) fn rate(&self, path: &[String]) -> Option<f64> {
        match self.fitting(path)?.kind {
            ValueKind::Float(rate) => Some(rate),
            // Exact for every rate that makes sense.
            ValueKind::I64(rate) => i32::try_from(rate).ok().map(f64::from),
            _ => None,
        }
    }
    pub(super) fn span(&self, path: &[String]) -> Option<Duration> {
        parse_duration(self.text(path)?).ok()
    }
    pub(super) fn address(&self, path: &[String]) -> Option<SocketAddr> {
        self.parsed(path)
    }
    pub(super) fn path(&self, path: &[String]) -> Option<PathBuf> {
        self.text(path).map(PathBuf::from)
    }
    pub(super) fn parsed<T: FromStr>(&self, path: &[String]) -> Option<T> {
        self.text(path)?.parse().ok()
    }
    /// The items of a list; one value counts as a list of one.
    pub(super) fn items(&self, path: &[String]) -> Option<&[Value]> {
        let value = self.fitting(path)?;
        Some(match &value.kind {
            ValueKind::Array(items) => items,
            _ => std::slice::from_ref(value),
        })
    }
    pub(super) fn parsed_items<T: FromStr>(&self, path: &[String]) -> Option<Vec<T>> {
        self.items(path)?.iter().map(|item| text_of(item)?.parse().ok()).collect()
    }
    pub(super) fn counts<N: TryFrom<u64>>(&self, path: &[String]) -> Option<Vec<N>> {
        self.items(path)?.iter().map(number_of).collect()
    }

    /// Every place that a row of the schema stands for, given the names that exist; also the absent keys of existing tables.
    pub(super) fn places_of(&self, row: &Row) -> Vec<KeyPath> {
        let segments: Vec<&str> = row.segments().collect();
        let mut places = vec![KeyPath::new()];
        for segment in segments {
            places = places
                .into_iter()
                .flat_map(|above| {
                    let names: Vec<String> = match segment.strip_prefix('*') {
                        None => vec![segment.to_owned()],
                        Some(_) => self.names(&above).into_iter().collect(),
                    };
                    names.into_iter().map(move |name| above.iter().cloned().chain([name]).collect::<KeyPath>())
                })
                .collect();
        }
        // A name may fit two rows (`*_file` and `*`); it belongs to the one the schema finds.
        places.retain(|path| matches!(schema::find(path), Place::Key(found) if found.path == row.path));
        places
    }

    /// True if the absence of `row` at `path` is a fault of its own, and not the consequence of an unknown type or preset.
    pub(super) fn needs(&self, row: &Row, path: &[String]) -> bool {
        if row.types.is_empty() {
            return true;
        }
        let beside = |name: &str| path.get(..2).map(|provider| [provider, &[name.to_owned()]].concat());
        let is_typed = beside("type").is_some_and(|kind| self.text(&kind).is_some());
        let is_unknown_preset = beside("preset").is_some_and(|p| self.get(&p).is_some() && self.text(&p).is_none());
        is_typed && !is_unknown_preset && self.has_type(row, path)
    }

    /// True if `row`, standing at `path`, belongs to the provider's type. Unknown types have every key.
    pub(super) fn has_type(&self, row: &Row, path: &[String]) -> bool {
        let kind = path.get(..2).map(|provider| [provider, &["type".to_owned()]].concat());
        match kind.as_deref().and_then(|kind| self.text(kind)) {
            Some(kind) => row.types.is_empty() || row.types.contains(&kind),
            None => true,
        }
    }
}

pub(super) fn text_of(value: &Value) -> Option<&str> {
    match &value.kind {
        ValueKind::String(text) => Some(text),
        _ => None,
    }
}

fn number_of<N: TryFrom<u64>>(value: &Value) -> Option<N> {
    match value.kind {
        ValueKind::I64(n) => N::try_from(u64::try_from(n).ok()?).ok(),
        _ => None,
    }
}

/// A path from its parts.
pub(super) fn at(parts: &[&str]) -> KeyPath {
    parts.iter().map(|part| (*part).to_owned()).collect()
}
