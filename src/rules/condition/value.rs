//! Values of conditions, borrowed from the event and the condition wherever they can be.
//!
//! Promises: equality and order are total over JSON; comparing costs steps in proportion to what is compared.
//! Never: a value in a fault; [`Type`] is what faults may say.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use serde_json::Value as Json;

use super::number::Number;

/// A value.
#[derive(Clone)]
pub(super) enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    /// An array or object of the event.
    Json(&'a Json),
    /// An array that the condition made.
    List(Rc<Vec<Value<'a>>>),
}

/// What kind of value it is: all that a fault may say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Bool,
    Number,
    Text,
    List,
    Object,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::List => "a list",
            Self::Object => "an object",
        })
    }
}

impl<'a> Value<'a> {
    pub(super) fn of_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(bool) => Self::Bool(*bool),
            Json::Number(number) => Self::Number(Number::of_json(number)),
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(_) | Json::Object(_) => Self::Json(json),
        }
    }

    pub(super) fn whole(whole: i64) -> Self {
        Self::Number(Number::Whole(whole))
    }

    /// The size of something in memory as a number; sizes are far below the limit.
    pub(super) fn size(size: usize) -> Self {
        Self::whole(i64::try_from(size).unwrap_or(i64::MAX))
    }

    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Null => Type::Null,
            Self::Bool(_) => Type::Bool,
            Self::Number(_) => Type::Number,
            Self::Text(_) => Type::Text,
            Self::List(_) | Self::Json(Json::Array(_)) => Type::List,
            Self::Json(_) => Type::Object,
        }
    }

    /// How many elements, if it is a list.
    pub(super) fn list_len(&self) -> Option<usize> {
        match self {
            Self::List(items) => Some(items.len()),
            Self::Json(Json::Array(items)) => Some(items.len()),
            _ => None,
        }
    }

    /// An element, if it is a list that has it. Nothing is copied.
    pub(super) fn element(&self, index: usize) -> Option<Cow<'_, Self>> {
        match self {
            Self::List(items) => items.get(index).map(Cow::Borrowed),
            Self::Json(Json::Array(items)) => items.get(index).map(|item| Cow::Owned(Value::of_json(item))),
            _ => None,
        }
    }

    /// What a copy costs, in bytes: of a text that the condition made there is only one.
    pub(super) fn copied(&self) -> usize {
        match self {
            Self::Text(Cow::Owned(text)) => text.len(),
            _ => 0,
        }
    }

    /// Order, where there is one; `Err` where the types have none, `Ok(None)` for NaN.
    pub(super) fn order(&self, other: &Self) -> Result<Option<Ordering>, (Type, Type)> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Ok(a.order(*b)),
            (Self::Text(a), Self::Text(b)) => Ok(Some(a.as_bytes().cmp(b.as_bytes()))),
            (Self::Bool(a), Self::Bool(b)) => Ok(Some(a.cmp(b))),
            _ => Err((self.kind(), other.kind())),
        }
    }

    /// Equality by value; different types are different. `None` if `spend` refuses to go on.
    pub(super) fn equals(&self, other: &Self, spend: &mut dyn FnMut(usize) -> bool) -> Option<bool> {
        if !spend(1) {
            return None;
        }
        match (self, other) {
            (Self::Null, Self::Null) => Some(true),
            (Self::Bool(a), Self::Bool(b)) => Some(a == b),
            (Self::Number(a), Self::Number(b)) => Some(a.order(*b) == Some(Ordering::Equal)),
            (Self::Text(a), Self::Text(b)) => (a.len() != b.len() || spend(a.len() / 32)).then(|| a == b),
            (Self::Json(Json::Object(a)), Self::Json(Json::Object(b))) => {
                if a.len() != b.len() {
                    return Some(false);
                }
                for (key, left) in a {
                    let Some(right) = b.get(key) else { return Some(false) };
                    if !Value::of_json(left).equals(&Value::of_json(right), spend)? {
                        return Some(false);
                    }
                }
                Some(true)
            }
            _ => {
                let (Some(length), Some(other_length)) = (self.list_len(), other.list_len()) else {
                    return Some(false);
                };
                if length != other_length {
                    return Some(false);
                }
                for index in 0..length {
                    match (self.element(index), other.element(index)) {
                        (Some(left), Some(right)) if left.equals(&right, spend)? => {}
                        _ => return Some(false),
                    }
                }
                Some(true)
            }
        }
    }
}
