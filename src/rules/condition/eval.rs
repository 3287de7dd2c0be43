//! Running a condition.
//!
//! Promises: one step is paid for before each piece of work; recursion is no deeper than the checked tree; the answer is one
//! of four.
//! Never: a panic, a loop without payment, a value in a fault.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use serde_json::Value as Json;

use super::lower::{Binary, Field, Function, MacroKind, MacroNode, Node};
use super::number::{NoResult, Number};
use super::value::{Type, Value};
use super::{Facts, MAX_ARRAY, MAX_WORK};

/// What a condition says of an event.
pub(in crate::rules) enum Answer<'a> {
    Yes,
    No,
    /// It depends on a field that is not there.
    Unknown(Place<'a>),
    /// It cannot be evaluated on this event; somebody should mend it.
    Fault(Fault<'a>),
}

/// Where in a condition something happened; prints as the path or operator there.
#[derive(Clone, Copy)]
pub(in crate::rules) struct Place<'a>(&'a Node);

/// Why a condition cannot be evaluated. Prints names and types, no values.
#[derive(Clone, Copy)]
pub(in crate::rules) struct Fault<'a> {
    kind: Kind,
    at: Option<&'a Node>,
}

#[derive(Clone, Copy)]
enum Kind {
    NotComparable(Type, Type),
    NoOperator(Type, Type),
    Expected(&'static str, Type),
    NoResult(NoResult),
    NotANumber,
    TooLong(usize),
    TooMuchWork,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.describe())
    }
}

impl fmt::Display for Fault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = self.at {
            write!(f, "`{}`: ", node.describe())?;
        }
        match self.kind {
            Kind::NotComparable(left, right) => write!(f, "{left} and {right} have no order"),
            Kind::NoOperator(left, right) => write!(f, "does not work on {left} and {right}"),
            Kind::Expected(want, got) => write!(f, "expected {want}, found {got}"),
            Kind::NoResult(NoResult::Overflow) => f.write_str("the result is too large"),
            Kind::NoResult(NoResult::DivisionByZero) => f.write_str("divides by zero"),
            Kind::NoResult(NoResult::NotWhole) => f.write_str("needs whole numbers"),
            Kind::NotANumber => f.write_str("the text is not a number"),
            Kind::TooLong(length) => write!(f, "the list has {length} elements; at most {MAX_ARRAY} are looked at"),
            Kind::TooMuchWork => write!(f, "takes more than {MAX_WORK} steps"),
        }
    }
}

/// Why there is no value.
enum Trouble<'a> {
    Missing(&'a Node),
    Fault(Kind, &'a Node),
    /// The budget is spent: never absorbed by `||` or `&&`, or the work would go on.
    Spent,
}

impl<'a> Trouble<'a> {
    /// Of two troubles the one to report: a fault outweighs a missing field.
    fn or(self, other: Option<Self>) -> Self {
        match (&self, other) {
            (Self::Missing(_), Some(other)) => other,
            _ => self,
        }
    }
}

type Outcome<'a, T = Value<'a>> = Result<T, Trouble<'a>>;

/// One evaluation.
pub(super) struct Run<'a> {
    facts: Facts<'a>,
    elements: Vec<Value<'a>>,
    work: u32,
}

impl<'a> Run<'a> {
    pub(super) fn new(facts: Facts<'a>) -> Self {
        Self { facts, elements: Vec::new(), work: 0 }
    }

    pub(super) fn answer(mut self, node: &'a Node) -> Answer<'a> {
        match self.truth(node) {
            Ok(true) => Answer::Yes,
            Ok(false) => Answer::No,
            Err(Trouble::Missing(at)) => Answer::Unknown(Place(at)),
            Err(Trouble::Fault(kind, at)) => Answer::Fault(Fault { kind, at: Some(at) }),
            Err(Trouble::Spent) => Answer::Fault(Fault { kind: Kind::TooMuchWork, at: None }),
        }
    }

    fn spend(&mut self, steps: usize) -> Outcome<'a, ()> {
        self.work = self.work.saturating_add(u32::try_from(steps).unwrap_or(u32::MAX));
        if self.work > MAX_WORK { Err(Trouble::Spent) } else { Ok(()) }
    }

    fn truth(&mut self, node: &'a Node) -> Outcome<'a, bool> {
        match self.value(node)? {
            Value::Bool(bool) => Ok(bool),
            Value::Null => Err(Trouble::Missing(node)),
            other => Err(Trouble::Fault(Kind::Expected("true or false", other.kind()), node)),
        }
    }

    /// A value that is there: null counts as missing.
    fn present(&mut self, node: &'a Node) -> Outcome<'a> {
        match self.value(node)? {
            Value::Null => Err(Trouble::Missing(node)),
            value => Ok(value),
        }
    }

    fn text(&mut self, node: &'a Node) -> Outcome<'a, Cow<'a, str>> {
        match self.present(node)? {
            Value::Text(text) => {
                self.spend(text.len() / 32)?;
                Ok(text)
            }
            other => Err(Trouble::Fault(Kind::Expected("a text", other.kind()), node)),
        }
    }

    fn value(&mut self, node: &'a Node) -> Outcome<'a> {
        self.spend(1)?;
        match node {
            Node::Null => Ok(Value::Null),
            Node::Bool(bool) => Ok(Value::Bool(*bool)),
            Node::Whole(whole) => Ok(Value::whole(*whole)),
            Node::Fraction(fraction) => Ok(Value::Number(Number::Fraction(*fraction))),
            Node::Text(text) => Ok(Value::Text(Cow::Borrowed(text))),
            Node::List(items) => {
                let items = items.iter().map(|item| self.value(item)).collect::<Outcome<'a, Vec<_>>>()?;
                Ok(Value::List(Rc::new(items)))
            }
            Node::Event(field) => match field {
                Field::Name => Ok(Value::Text(Cow::Borrowed(self.facts.name))),
                Field::Id => self.facts.id.map(|id| Value::Text(Cow::Borrowed(id))).ok_or(Trouble::Missing(node)),
                Field::Org => Ok(Value::whole(self.facts.org)),
                Field::CreatedAt => Ok(Value::whole(self.facts.created_at)),
                Field::Data => Ok(Value::of_json(self.facts.data)),
            },
            // The position was given out while exactly these macros were open, so it is there.
            Node::Element(index, _) => {
                let cost = self.elements.get(*index).map_or(0, Value::copied);
                self.spend(cost / 32)?;
                self.elements.get(*index).cloned().ok_or(Trouble::Missing(node))
            }
            Node::Select(of, field) => match self.present(of)? {
                Value::Json(Json::Object(object)) => {
                    object.get(&**field).map(Value::of_json).ok_or(Trouble::Missing(node))
                }
                other => Err(Trouble::Fault(Kind::Expected("an object", other.kind()), of)),
            },
            Node::Has(of) => match self.value(of) {
                Ok(_) => Ok(Value::Bool(true)),
                // A field of something that is no object is not there, either.
                Err(Trouble::Missing(_) | Trouble::Fault(Kind::Expected("an object", _), _)) => Ok(Value::Bool(false)),
                Err(trouble) => Err(trouble),
            },
            Node::Not(of) => self.truth(of).map(|bool| Value::Bool(!bool)),
            Node::Negate(of) => match self.present(of)? {
                Value::Number(number) => calculated(number.negate(), node),
                other => Err(Trouble::Fault(Kind::Expected("a number", other.kind()), of)),
            },
            Node::And(sides) => self.logic(sides, false),
            Node::Or(sides) => self.logic(sides, true),
            Node::Choose(parts) => {
                let [condition, yes, no] = &**parts;
                if self.truth(condition)? { self.value(yes) } else { self.value(no) }
            }
            Node::Binary(operator, sides) => self.binary(*operator, sides, node),
            Node::Call(function, arguments) => self.call(*function, arguments, node),
            Node::Macro(of) => self.each(of, node),
        }
    }

    /// `&&` (decided by false) and `||` (decided by true), in CEL's way: one side that decides outweighs trouble on the other.
    fn logic(&mut self, sides: &'a [Node; 2], decisive: bool) -> Outcome<'a> {
        let mut trouble = None;
        for side in sides {
            match self.truth(side) {
                Ok(truth) if truth == decisive => return Ok(Value::Bool(decisive)),
                Ok(_) => {}
                Err(Trouble::Spent) => return Err(Trouble::Spent),
                Err(new) => trouble = Some(new.or(trouble)),
            }
        }
        trouble.map_or(Ok(Value::Bool(!decisive)), Err)
    }

    /// A copy of an element, if it is a list that has it.
    fn element(&mut self, list: &Value<'a>, index: usize) -> Outcome<'a, Option<Value<'a>>> {
        let Some(element) = list.element(index) else { return Ok(None) };
        self.spend(element.copied() / 32)?;
        Ok(Some(element.into_owned()))
    }

    fn equal(&mut self, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a, bool> {
        let answer = left.equals(right, &mut |steps| self.spend(steps).is_ok());
        answer.ok_or(Trouble::Spent)
    }

    fn binary(&mut self, operator: Binary, sides: &'a [Node; 2], node: &'a Node) -> Outcome<'a> {
        let [left, right] = sides;
        match operator {
            Binary::Equal | Binary::NotEqual => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.equal(&left, &right).map(|same| Value::Bool(same == (operator == Binary::Equal)))
            }
            Binary::In => self.is_in(left, right),
            Binary::Index => self.index(left, right, node),
            Binary::Less | Binary::LessEqual | Binary::Greater | Binary::GreaterEqual => {
                let (left, right) = (self.present(left)?, self.present(right)?);
                if let (Value::Text(a), Value::Text(b)) = (&left, &right) {
                    self.spend(a.len().min(b.len()) / 32)?;
                }
                let order = left.order(&right).map_err(|(a, b)| Trouble::Fault(Kind::NotComparable(a, b), node))?;
                Ok(Value::Bool(order.is_some_and(|order| match operator {
                    Binary::Less => order == Ordering::Less,
                    Binary::LessEqual => order != Ordering::Greater,
                    Binary::Greater => order == Ordering::Greater,
                    _ => order != Ordering::Less,
                })))
            }
            Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
                let (left, right) = (self.present(left)?, self.present(right)?);
                self.arithmetic(operator, &left, &right, node)
            }
        }
    }

    fn arithmetic(&mut self, operator: Binary, left: &Value<'a>, right: &Value<'a>, node: &'a Node) -> Outcome<'a> {
        let refuse = Trouble::Fault(Kind::NoOperator(left.kind(), right.kind()), node);
        match (left, right) {
            (Value::Number(a), Value::Number(b)) => {
                let result = match operator {
                    Binary::Add => a.add(*b),
                    Binary::Subtract => a.subtract(*b),
                    Binary::Multiply => a.multiply(*b),
                    Binary::Divide => a.divide(*b),
                    _ => a.remainder(*b),
                };
                calculated(result, node)
            }
            (Value::Text(a), Value::Text(b)) if operator == Binary::Add => {
                // A longer text costs more again, so that repeated joining cannot outgrow the budget.
                self.spend((a.len() + b.len()) / 8)?;
                Ok(Value::Text(Cow::Owned(format!("{a}{b}"))))
            }
            (a, b) if operator == Binary::Add => {
                let (Some(first), Some(second)) = (a.list_len(), b.list_len()) else { return Err(refuse) };
                self.spend(first.saturating_add(second))?;
                let mut items = Vec::with_capacity(first + second);
                for (list, length) in [(a, first), (b, second)] {
                    for index in 0..length {
                        items.extend(self.element(list, index)?);
                    }
                }
                Ok(Value::List(Rc::new(items)))
            }
            _ => Err(refuse),
        }
    }

    fn is_in(&mut self, needle: &'a Node, list: &'a Node) -> Outcome<'a> {
        let needle = self.value(needle)?;
        // A list written in the condition is compared as it stands, without being built each time.
        if let Node::List(items) = list {
            let mut trouble = None;
            for item in items {
                match self.value(item).and_then(|item| self.equal(&needle, &item)) {
                    Ok(true) => return Ok(Value::Bool(true)),
                    Ok(false) => {}
                    Err(Trouble::Spent) => return Err(Trouble::Spent),
                    Err(new) => trouble = Some(new.or(trouble)),
                }
            }
            return trouble.map_or(Ok(Value::Bool(false)), Err);
        }
        let of = self.present(list)?;
        match (&of, &needle) {
            (Value::Json(Json::Object(object)), Value::Text(key)) => Ok(Value::Bool(object.contains_key(&**key))),
            _ => {
                let Some(length) = of.list_len() else {
                    return Err(Trouble::Fault(Kind::Expected("a list", of.kind()), list));
                };
                for index in 0..length {
                    if let Some(item) = of.element(index)
                        && self.equal(&needle, &item)?
                    {
                        return Ok(Value::Bool(true));
                    }
                }
                Ok(Value::Bool(false))
            }
        }
    }

    fn index(&mut self, of: &'a Node, at: &'a Node, node: &'a Node) -> Outcome<'a> {
        let list = self.present(of)?;
        match (&list, self.present(at)?) {
            (Value::Json(Json::Object(object)), Value::Text(key)) => {
                object.get(&*key).map(Value::of_json).ok_or(Trouble::Missing(node))
            }
            (Value::List(_) | Value::Json(Json::Array(_)), Value::Number(Number::Whole(index))) => {
                let Ok(index) = usize::try_from(index) else { return Err(Trouble::Missing(node)) };
                self.element(&list, index)?.ok_or(Trouble::Missing(node))
            }
            (_, other) => Err(Trouble::Fault(Kind::NoOperator(list.kind(), other.kind()), node)),
        }
    }

    fn call(&mut self, function: Function, arguments: &'a [Node], node: &'a Node) -> Outcome<'a> {
        match (function, arguments) {
            (Function::Size, [of]) => match self.present(of)? {
                Value::Text(text) => {
                    self.spend(text.len() / 32)?;
                    Ok(Value::size(text.chars().count()))
                }
                Value::Json(Json::Object(object)) => Ok(Value::size(object.len())),
                other => match other.list_len() {
                    Some(length) => Ok(Value::size(length)),
                    None => Err(Trouble::Fault(Kind::Expected("a text, list or object", other.kind()), of)),
                },
            },
            (Function::Contains | Function::StartsWith | Function::EndsWith, [of, part]) => {
                let (text, part) = (self.text(of)?, self.text(part)?);
                Ok(Value::Bool(match function {
                    Function::Contains => text.contains(&*part),
                    Function::StartsWith => text.starts_with(&*part),
                    _ => text.ends_with(&*part),
                }))
            }
            (Function::LowerAscii, [of]) => Ok(Value::Text(Cow::Owned(self.text(of)?.to_ascii_lowercase()))),
            (Function::UpperAscii, [of]) => Ok(Value::Text(Cow::Owned(self.text(of)?.to_ascii_uppercase()))),
            (Function::Trim, [of]) => Ok(Value::Text(match self.text(of)? {
                Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
                Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
            })),
            (Function::Int | Function::Double, [of]) => {
                let number = match self.present(of)? {
                    Value::Number(number) => number,
                    Value::Text(text) => read_number(&text).ok_or(Trouble::Fault(Kind::NotANumber, node))?,
                    other => return Err(Trouble::Fault(Kind::Expected("a number or text", other.kind()), of)),
                };
                Ok(Value::Number(match (function, number) {
                    (Function::Double, number) => Number::Fraction(number.as_fraction()),
                    // `as` saturates; the largest whole numbers stand for everything beyond them.
                    (_, Number::Fraction(fraction)) => Number::Whole(fraction as i64),
                    (_, whole) => whole,
                }))
            }
            (Function::String, [of]) => Ok(Value::Text(match self.present(of)? {
                Value::Text(text) => text,
                Value::Bool(bool) => Cow::Borrowed(if bool { "true" } else { "false" }),
                Value::Number(Number::Whole(whole)) => Cow::Owned(whole.to_string()),
                Value::Number(Number::Fraction(fraction)) => Cow::Owned(fraction.to_string()),
                other => return Err(Trouble::Fault(Kind::Expected("a number, text or truth", other.kind()), of)),
            })),
            // The number of arguments was checked at load.
            _ => Err(Trouble::Missing(node)),
        }
    }

    fn each(&mut self, of: &'a MacroNode, node: &'a Node) -> Outcome<'a> {
        let list = self.present(&of.list)?;
        let Some(length) = list.list_len() else {
            return Err(Trouble::Fault(Kind::Expected("a list", list.kind()), &of.list));
        };
        if length > MAX_ARRAY {
            return Err(Trouble::Fault(Kind::TooLong(length), node));
        }
        let mut trouble = None;
        let mut made = Vec::new();
        let mut yes = 0;
        for index in 0..length {
            let Some(element) = self.element(&list, index)? else { break };
            self.elements.push(element);
            let test = of.test.as_ref().map_or(Ok(true), |test| self.truth(test));
            let make = match (&test, &of.make) {
                (Ok(true), Some(make)) => self.value(make).map(|value| made.push(value)),
                _ => Ok(()),
            };
            self.elements.pop();
            match (of.kind, test) {
                (_, Err(Trouble::Spent)) => return Err(Trouble::Spent),
                (MacroKind::All, Ok(false)) => return Ok(Value::Bool(false)),
                (MacroKind::Exists, Ok(true)) => return Ok(Value::Bool(true)),
                (MacroKind::ExistsOne | MacroKind::Collect, Err(new)) => return Err(new),
                (_, Err(new)) => trouble = Some(new.or(trouble)),
                (_, Ok(truth)) => yes += usize::from(truth),
            }
            make?;
        }
        match (trouble, of.kind) {
            (Some(trouble), _) => Err(trouble),
            (None, MacroKind::All) => Ok(Value::Bool(true)),
            (None, MacroKind::Exists) => Ok(Value::Bool(false)),
            (None, MacroKind::ExistsOne) => Ok(Value::Bool(yes == 1)),
            (None, MacroKind::Collect) => Ok(Value::List(Rc::new(made))),
        }
    }
}

fn calculated<'a>(result: Result<Number, NoResult>, node: &'a Node) -> Outcome<'a> {
    result.map(Value::Number).map_err(|why| Trouble::Fault(Kind::NoResult(why), node))
}

/// Capillary sends some numbers as texts; `"007"` is 7, `"8.50"` is 8.5, `"nan"` and `"1e999"` are none.
fn read_number(text: &str) -> Option<Number> {
    let text = text.trim();
    match text.parse() {
        Ok(whole) => Some(Number::Whole(whole)),
        Err(_) => text.parse().ok().filter(|fraction: &f64| fraction.is_finite()).map(Number::Fraction),
    }
}
