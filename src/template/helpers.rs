//! What authors may call in a tag.
//!
//! Promises: every helper is total and bounded; a missing value stays missing through any helper until `default` or `if` takes care
//! of it; only single values are printed.
//! Never: a helper that writes to a log, reads a file or looks at the clock.

use handlebars::{
    Context, Handlebars, Helper, HelperDef, HelperResult, Output, RenderContext, RenderError, RenderErrorReason,
    ScopedJson,
};
use serde_json::Value;

mod date;
mod locale;
mod logic;
mod number;
mod text;

pub(super) use date::is_format;
pub(super) use locale::{direction, same_language};

use super::engine::{self, Run};

/// What a helper gives: a value, or nothing.
type Answer = Result<Option<Value>, String>;

/// A helper: its name, how many arguments it takes, its named arguments, and what it does.
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) args: (usize, usize),
    pub(super) named: &'static [&'static str],
    run: fn(&Args<'_, '_>, &Run) -> Answer,
}

const MANY: usize = 8;

/// All helpers, by name.
pub(super) const SPECS: [Spec; 27] = [
    Spec { name: "and", args: (2, MANY), named: &[], run: logic::and },
    Spec { name: "date", args: (1, 2), named: &[], run: date::date },
    Spec { name: "default", args: (2, MANY), named: &[], run: logic::default },
    Spec { name: "eq", args: (2, 2), named: &[], run: logic::eq },
    Spec { name: "find", args: (4, 4), named: &[], run: logic::find },
    Spec { name: "gt", args: (2, 2), named: &[], run: logic::gt },
    Spec { name: "gte", args: (2, 2), named: &[], run: logic::gte },
    Spec { name: "is_date", args: (1, 1), named: &[], run: date::is_date },
    Spec { name: "len", args: (1, 1), named: &[], run: logic::len },
    Spec { name: "lookup", args: (2, 2), named: &[], run: logic::lookup },
    Spec { name: "lookup_table", args: (3, 3), named: &[], run: logic::lookup_table },
    Spec { name: "lower", args: (1, 1), named: &[], run: text::lower },
    Spec { name: "lt", args: (2, 2), named: &[], run: logic::lt },
    Spec { name: "lte", args: (2, 2), named: &[], run: logic::lte },
    Spec { name: "money", args: (1, 2), named: &["decimals"], run: number::money },
    Spec { name: "ne", args: (2, 2), named: &[], run: logic::ne },
    Spec { name: "not", args: (1, 1), named: &[], run: logic::not },
    Spec { name: "number", args: (1, 1), named: &["decimals"], run: number::number },
    Spec { name: "or", args: (2, MANY), named: &[], run: logic::or },
    Spec { name: "plural", args: (2, 3), named: &["zero", "two", "few", "many"], run: number::plural },
    Spec { name: "sp_fuel", args: (2, 2), named: &[], run: logic::fuel },
    Spec { name: "sp_value", args: (1, 1), named: &[], run: logic::value },
    Spec { name: "title", args: (1, 1), named: &[], run: text::title },
    Spec { name: "truncate", args: (2, 2), named: &[], run: text::truncate },
    Spec { name: "upper", args: (1, 1), named: &[], run: text::upper },
    Spec { name: "url", args: (1, 1), named: &[], run: text::url },
    Spec { name: "urlencode", args: (1, 1), named: &[], run: text::urlencode },
];

/// Blocks that exist.
pub(super) const BLOCKS: [&str; 4] = ["if", "unless", "each", "with"];

/// A helper that authors may name.
pub(super) fn spec(name: &str) -> Option<&'static Spec> {
    SPECS.iter().find(|s| s.name == name && !name.starts_with("sp_"))
}

/// True for names of helpers and blocks, also inner ones: they cannot be names of values.
pub(super) fn is_known(name: &str) -> bool {
    BLOCKS.contains(&name) || SPECS.iter().any(|s| s.name == name)
}

/// Puts the helpers into an engine, instead of its own of the same name.
pub(super) fn register(engine: &mut Handlebars<'static>) {
    for spec in &SPECS {
        engine.register_helper(spec.name, Box::new(Adapter(spec)));
    }
}

/// The word that is most like `word`, if one is near enough to be meant.
pub(super) fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let limit = (word.chars().count() / 3).max(1);
    known.map(|k| (distance(word, k), k)).filter(|(d, _)| *d <= limit).min().map(|(_, k)| k)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(64).enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = corner + usize::from(x != *y);
            corner = row[j + 1];
            row[j + 1] = change.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// The arguments of one call.
pub(super) struct Args<'h, 'rc> {
    helper: &'h Helper<'rc>,
}

impl Args<'_, '_> {
    /// An argument as it is; nothing if it is missing, null or blank.
    fn get(&self, index: usize) -> Option<&Value> {
        let param = self.helper.param(index)?;
        present(param.value()).filter(|_| !param.is_value_missing())
    }
    fn text(&self, index: usize) -> Option<String> {
        self.get(index).and_then(plain)
    }
    fn count(&self) -> usize {
        self.helper.params().len()
    }
    fn named(&self, name: &str) -> Option<&Value> {
        self.helper.hash_get(name).map(|p| p.value()).and_then(present)
    }
    /// The path of the first argument that has no value: what a fault names.
    fn missing(&self) -> Option<String> {
        let gone = self.helper.params().iter().find(|p| p.is_value_missing() || present(p.value()).is_none());
        gone.or_else(|| self.helper.param(0)).and_then(|p| p.relative_path()).cloned()
    }
}

/// A value that counts as one: not null, not blank.
fn present(value: &Value) -> Option<&Value> {
    match value {
        Value::Null => None,
        Value::String(s) if s.trim().is_empty() => None,
        other => Some(other),
    }
}

/// A single value as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => number::Decimal::of_number(n).map(|d| d.plain()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

struct Adapter(&'static Spec);

impl Adapter {
    fn answer(&self, helper: &Helper<'_>) -> Result<Option<Value>, RenderError> {
        let args = Args { helper };
        let answer = (self.0.run)(&args, &engine::run()).map_err(RenderErrorReason::Other)?;
        if answer.is_none() {
            engine::note_missing(args.missing());
        }
        Ok(answer)
    }
}

impl HelperDef for Adapter {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        Ok(self.answer(helper)?.map_or(ScopedJson::Missing, ScopedJson::Derived))
    }

    fn call<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        engine: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
        out: &mut dyn Output,
    ) -> HelperResult {
        let Some(value) = self.answer(helper)? else {
            return Err(RenderErrorReason::MissingVariable(engine::noted_missing()).into());
        };
        let text =
            plain(&value).ok_or_else(|| RenderErrorReason::Other("a list or object cannot be printed".into()))?;
        out.write(&engine.get_escape_fn()(&text))?;
        Ok(())
    }
}
