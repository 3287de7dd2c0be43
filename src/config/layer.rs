//! One layer of the configuration: the valid keys of one TOML text, each with the line it stands on.
//!
//! Promises: unknown keys, wrong types and unfit values of the whole text are found in one pass, with their lines;
//! what the merge gets holds known keys only.
//! Never: a look at another layer.

use std::fmt;
use std::path::PathBuf;

use ::config::{ConfigError, Map, Source, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::kind::{Kind, Misfit, Names};
use super::report::Report;
use super::schema::{self, KeyPath, Place, Row, dotted};

/// Which layer wins: a later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// `config/default.toml` and the defaults of named tables.
    Default,
    /// A shipped declaration of a gateway.
    Preset,
    /// What a child org's parent says.
    Inherited,
    /// The operator's file.
    File,
    /// `SEALPOST__…`.
    Environment,
}

/// Where a value was given. Travels through the merge as the origin text of a [`Value`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) rank: Rank,
    /// Line from 1.
    pub(super) line: Option<usize>,
    /// The file, the variable or the preset.
    pub(super) name: String,
}

impl Origin {
    pub(super) fn new(rank: Rank, name: impl Into<String>) -> Self {
        Self { rank, line: None, name: name.into() }
    }
    /// Reads what [`Origin::to_text`] wrote.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '|');
        let rank = match parts.next()? {
            "default" => Rank::Default,
            "preset" => Rank::Preset,
            "inherited" => Rank::Inherited,
            "file" => Rank::File,
            "environment" => Rank::Environment,
            _ => return None,
        };
        let line = parts.next()?.parse().ok();
        Some(Self { rank, line, name: parts.next()?.to_owned() })
    }
    pub(super) fn to_text(&self) -> String {
        let rank = match self.rank {
            Rank::Default => "default",
            Rank::Preset => "preset",
            Rank::Inherited => "inherited",
            Rank::File => "file",
            Rank::Environment => "environment",
        };
        format!("{rank}|{}|{}", self.line.map_or(String::new(), |l| l.to_string()), self.name)
    }
    /// What a fault names as its file.
    pub(super) fn file(&self) -> PathBuf {
        match self.rank {
            Rank::Default => "embedded defaults".into(),
            Rank::Preset => format!("embedded preset {}", self.name).into(),
            Rank::Inherited => format!("inherited from {}", self.name).into(),
            Rank::File => self.name.clone().into(),
            Rank::Environment => "environment".into(),
        }
    }
}

/// For people: the comment behind a value of `config show`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rank {
            Rank::Default => f.write_str("default"),
            Rank::Preset => write!(f, "preset {}", self.name),
            Rank::Inherited => write!(f, "inherited from {}", self.name),
            Rank::File => match self.line {
                Some(line) => write!(f, "{}:{line}", self.name),
                None => f.write_str(&self.name),
            },
            Rank::Environment => write!(f, "environment {}", self.name),
        }
    }
}

/// Known keys and where they stand. No `Debug` of its values: some are secrets.
#[derive(Clone)]
pub(super) struct Layer {
    /// The tree of values.
    pub(super) root: Map<String, Value>,
    /// Every table that was opened, also the empty ones.
    pub(super) tables: Vec<(KeyPath, Origin)>,
    /// True if the text is not TOML, so that nothing of it is here.
    pub(super) is_broken: bool,
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").field("tables", &self.tables).finish_non_exhaustive()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }
    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.root.clone())
    }
}

impl Layer {
    pub(super) fn empty() -> Self {
        Self { root: Map::new(), tables: Vec::new(), is_broken: false }
    }

    /// Reads a TOML text whose top is the place `at`. After a fault of syntax nothing else is looked at: what a broken text
    /// means is a guess.
    pub(super) fn read(text: &str, at: &KeyPath, origin: &Origin, report: &mut Report) -> Self {
        let lines = Lines::of(text);
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let line = error.span().map(|span| lines.line(span.start));
            // The message alone: the error's own rendering quotes the line, which may hold a secret.
            report.fault(&Origin { line, ..origin.clone() }, "", format!("not TOML: {}", error.message()), None);
        }
        let mut layer = Self { is_broken: !errors.is_empty(), ..Self::empty() };
        if !layer.is_broken {
            let mut reading = Reading { lines, origin, report, tables: Vec::new() };
            let root = reading.table(table.get_ref(), at.clone());
            layer.tables = reading.tables;
            layer.insert(at, ValueKind::Table(root), origin);
        }
        layer
    }

    /// Puts a value at its place, making the tables above it.
    pub(super) fn insert(&mut self, path: &[String], kind: ValueKind, origin: &Origin) {
        let text = origin.to_text();
        let mut table = &mut self.root;
        let Some((last, above)) = path.split_last() else {
            if let ValueKind::Table(root) = kind {
                self.root = root;
            }
            return;
        };
        for name in above {
            let next = table.entry(name.clone()).or_insert_with(|| Value::new(None, ValueKind::Table(Map::new())));
            if !matches!(next.kind, ValueKind::Table(_)) {
                next.kind = ValueKind::Table(Map::new());
            }
            let ValueKind::Table(inner) = &mut next.kind else { return };
            table = inner;
        }
        table.insert(last.clone(), Value::new(Some(&text), kind));
    }
}

struct Reading<'r> {
    lines: Lines,
    origin: &'r Origin,
    report: &'r mut Report,
    tables: Vec<(KeyPath, Origin)>,
}

impl Reading<'_> {
    fn at(&self, offset: usize) -> Origin {
        Origin { line: Some(self.lines.line(offset)), ..self.origin.clone() }
    }

    fn table(&mut self, table: &DeTable<'_>, above: KeyPath) -> Map<String, Value> {
        let mut read = Map::new();
        for (name, value) in table {
            let path: KeyPath = above.iter().cloned().chain([name.get_ref().to_string()]).collect();
            let origin = self.at(name.span().start);
            if let Some(value) = self.entry(&path, value, &origin) {
                read.insert(name.get_ref().to_string(), value);
            }
        }
        read
    }

    fn entry(&mut self, path: &KeyPath, value: &Spanned<DeValue<'_>>, origin: &Origin) -> Option<Value> {
        match (schema::find(path), value.get_ref()) {
            (Place::Unknown, _) => {
                self.report.unknown(path, origin);
                None
            }
            (Place::Table, DeValue::Table(inner)) => {
                self.report.check_name(path, origin);
                self.tables.push((path.clone(), origin.clone()));
                let inner = self.table(inner, path.clone());
                Some(Value::new(Some(&origin.to_text()), ValueKind::Table(inner)))
            }
            (Place::Table, other) => {
                let found = format!("{} is not a table", type_of(other));
                self.report.fault(origin, dotted(path), found, Some(below(path)));
                None
            }
            (Place::Key(row), other) => {
                self.report.check_name(path, origin);
                let value = self.plain(other, origin);
                self.report.check_value(row, path, &value, origin);
                Some(value)
            }
        }
    }

    fn plain(&mut self, value: &DeValue<'_>, origin: &Origin) -> Value {
        let kind = match value {
            DeValue::String(text) => ValueKind::String(text.to_string()),
            DeValue::Integer(n) => match i64::from_str_radix(n.as_str(), n.radix()) {
                Ok(n) => ValueKind::I64(n),
                // Too large for any key; kept for the check to refuse and show.
                Err(_) => i128::from_str_radix(n.as_str(), n.radix()).map_or(ValueKind::Nil, ValueKind::I128),
            },
            DeValue::Float(n) => n.as_str().parse().map_or(ValueKind::Nil, ValueKind::Float),
            DeValue::Boolean(flag) => ValueKind::Boolean(*flag),
            DeValue::Datetime(time) => ValueKind::String(time.to_string()),
            DeValue::Array(items) => ValueKind::Array(
                items.iter().map(|item| self.plain(item.get_ref(), &self.at(item.span().start))).collect(),
            ),
            // No key takes a table; its type is enough for the message.
            DeValue::Table(_) => ValueKind::Table(Map::new()),
        };
        Value::new(Some(&origin.to_text()), kind)
    }
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn below(path: &[String]) -> String {
    let names = schema::children(path);
    match names.as_slice() {
        [name] if name.starts_with('*') => format!("write [{}.<name>]", dotted(path)),
        _ => format!("write [{}] with keys such as {}", dotted(path), names.first().unwrap_or(&"…")),
    }
}

/// Which names may stand in the last place of `path`, where the operator chooses them.
pub(super) fn names_at(path: &[String]) -> Option<Names> {
    let above: Vec<&str> = path.iter().map(String::as_str).collect();
    Some(match above.as_slice() {
        ["source" | "provider" | "lookup", _]
        | ["templates", "allow", _]
        | ["admin", "token", _]
        | ["org", _, "sender", _] => Names::Word,
        ["org", _] => Names::Org,
        ["org", _, "links", _] | ["provider", _, "param", _] => Names::Field,
        ["source" | "lookup", _, "headers" | "headers_file", _] | ["provider", _, "headers", _] => Names::Header,
        ["provider", _, "errors", _] => Names::Any,
        _ => return None,
    })
}

/// Composes the message of a misfit; of what a hidden key holds only the type is said.
pub(super) fn misfit_text(row: &Row, value: &Value, misfit: &Misfit) -> String {
    let found = match &value.kind {
        _ if !row.hidden => misfit.found.as_str(),
        ValueKind::Boolean(_) => "true or false",
        ValueKind::Array(_) if !matches!(row.kind, Kind::List(_)) => "this list",
        ValueKind::Table(_) => "a table",
        ValueKind::String(_) | ValueKind::Array(_) | ValueKind::Nil => "`<hidden>`",
        _ => "a number",
    };
    format!("{found} is not {}", misfit.expected)
}

/// Finds the line of an offset.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect())
    }
    fn line(&self, offset: usize) -> usize {
        self.0.partition_point(|newline| *newline < offset) + 1
    }
}
