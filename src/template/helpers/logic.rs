//! Helpers that choose, compare and look up. A missing value is false, unequal, and neither more nor less than anything.

use std::cmp::Ordering;

use serde_json::Value;

use super::number::Decimal;
use super::{Answer, Args, plain, present};
use crate::template::engine::{self, Run};

/// What `{{path}}` becomes: only a single value is printed.
pub(super) fn value(args: &Args<'_, '_>, _: &Run) -> Answer {
    match args.get(0) {
        Some(Value::Array(_) | Value::Object(_)) => {
            let name = args.missing().unwrap_or_default();
            Err(format!("`{}` is a list or object, not a single value", engine::field(&name)))
        }
        other => Ok(other.cloned()),
    }
}

/// Pays for a loop: rounds times price.
pub(super) fn fuel(args: &Args<'_, '_>, _: &Run) -> Answer {
    let rounds = match args.get(0) {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    };
    let price = args.get(1).and_then(Value::as_u64).and_then(|p| usize::try_from(p).ok()).unwrap_or(1);
    engine::spend(rounds.saturating_mul(price)).map(|()| Some(Value::Bool(true)))
}

/// The first argument that has a value.
pub(super) fn default(args: &Args<'_, '_>, _: &Run) -> Answer {
    Ok((0..args.count()).find_map(|i| args.get(i).filter(|v| plain(v).is_some())).cloned())
}

fn truth(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Bool(b)) => *b,
        Some(Value::Number(n)) => n.as_f64() != Some(0.0),
        Some(Value::String(s)) => !s.trim().is_empty(),
        Some(Value::Array(a)) => !a.is_empty(),
        Some(Value::Object(o)) => !o.is_empty(),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of all helpers")]
fn bool(value: bool) -> Answer {
    Ok(Some(Value::Bool(value)))
}

pub(super) fn and(args: &Args<'_, '_>, _: &Run) -> Answer {
    bool((0..args.count()).all(|i| truth(args.get(i))))
}
pub(super) fn or(args: &Args<'_, '_>, _: &Run) -> Answer {
    bool((0..args.count()).any(|i| truth(args.get(i))))
}
pub(super) fn not(args: &Args<'_, '_>, _: &Run) -> Answer {
    bool(!truth(args.get(0)))
}

fn same(args: &Args<'_, '_>) -> bool {
    match (args.get(0), args.get(1)) {
        (Some(a @ Value::Number(_)), Some(b)) | (Some(a), Some(b @ Value::Number(_))) => {
            order_of(a, b) == Some(Ordering::Equal)
        }
        (Some(Value::String(a)), Some(Value::String(b))) => a == b,
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a == b,
        _ => false,
    }
}

fn order_of(a: &Value, b: &Value) -> Option<Ordering> {
    match (Decimal::of(a), Decimal::of(b)) {
        (Some(a), Some(b)) => Some(a.compare(&b)),
        _ => Some(a.as_str()?.cmp(b.as_str()?)),
    }
}

fn order(args: &Args<'_, '_>) -> Option<Ordering> {
    order_of(args.get(0)?, args.get(1)?)
}

pub(super) fn eq(args: &Args<'_, '_>, _: &Run) -> Answer {
    bool(same(args))
}
pub(super) fn ne(args: &Args<'_, '_>, _: &Run) -> Answer {
    bool(!same(args))
}
pub(super) fn gt(args: &Args<'_, '_>, _: &Run) -> Answer {
    bool(order(args) == Some(Ordering::Greater))
}
pub(super) fn gte(args: &Args<'_, '_>, _: &Run) -> Answer {
    bool(matches!(order(args), Some(Ordering::Greater | Ordering::Equal)))
}
pub(super) fn lt(args: &Args<'_, '_>, _: &Run) -> Answer {
    bool(order(args) == Some(Ordering::Less))
}
pub(super) fn lte(args: &Args<'_, '_>, _: &Run) -> Answer {
    bool(matches!(order(args), Some(Ordering::Less | Ordering::Equal)))
}

/// How many elements a list has, or characters a text.
pub(super) fn len(args: &Args<'_, '_>, _: &Run) -> Answer {
    Ok(Some(Value::from(match args.get(0) {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        Some(Value::String(text)) => text.chars().count(),
        _ => 0,
    })))
}

/// A single value of a list or object, by position or key.
pub(super) fn lookup(args: &Args<'_, '_>, _: &Run) -> Answer {
    let Some(key) = args.text(1) else { return Ok(None) };
    let found = match args.get(0) {
        Some(Value::Array(list)) => key.parse::<usize>().ok().and_then(|i| list.get(i)),
        Some(Value::Object(map)) => map.get(&key),
        _ => None,
    };
    Ok(found.and_then(present).filter(|v| plain(v).is_some()).cloned())
}

/// `{{find list "key" value "field"}}`: a field of the first element whose key has the value.
pub(super) fn find(args: &Args<'_, '_>, _: &Run) -> Answer {
    let (Some(Value::Array(list)), Some(key), Some(wanted), Some(field)) =
        (args.get(0), args.text(1), args.text(2), args.text(3))
    else {
        return Ok(None);
    };
    engine::spend(list.len())?;
    let element = list.iter().find(|e| e.get(&key).and_then(plain).as_deref() == Some(&wanted));
    Ok(element.and_then(|e| e.get(&field)).and_then(present).filter(|v| plain(v).is_some()).cloned())
}

/// `{{lookup_table "stores" key "name"}}`
pub(super) fn lookup_table(args: &Args<'_, '_>, _: &Run) -> Answer {
    let (Some(table), Some(key), Some(column)) = (args.text(0), args.text(1), args.text(2)) else { return Ok(None) };
    Ok(engine::table_value(&table, &key, &column).map(Value::from))
}
