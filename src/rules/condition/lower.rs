//! The parser's tree made ours: names resolved, functions checked, macros recognised.
//!
//! Promises: what is not on the list is refused here, at load, with the nearest known word; the tree is no deeper than
//! [`MAX_DEPTH`], its macros no deeper than [`MAX_MACROS`].
//! Never: a name that is looked up while a condition runs.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators as op};

use super::{MAX_DEPTH, MAX_MACROS, Problem};
use crate::config::nearest::nearest;

/// A checked expression.
#[derive(Debug)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Whole(i64),
    Fraction(f64),
    Text(Box<str>),
    List(Vec<Node>),
    /// `event.name` and the like.
    Event(Field),
    /// The element of a macro, 0 for the outermost.
    Element(usize, Box<str>),
    Select(Box<Node>, Box<str>),
    /// `has(…)` of a `Select` or `Event`.
    Has(Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Box<[Node; 2]>),
    Or(Box<[Node; 2]>),
    /// `condition ? a : b`
    Choose(Box<[Node; 3]>),
    Binary(Binary, Box<[Node; 2]>),
    Call(Function, Vec<Node>),
    Macro(Box<MacroNode>),
}

/// `list.all(x, …)` and its family.
#[derive(Debug)]
pub(super) struct MacroNode {
    pub kind: MacroKind,
    pub list: Node,
    /// What is asked of each element; `None` for `map` without a filter.
    pub test: Option<Node>,
    /// What is made of each element; for `map` and `filter`.
    pub make: Option<Node>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MacroKind {
    All,
    Exists,
    ExistsOne,
    /// `map` and `filter`: makes a list.
    Collect,
}

impl MacroKind {
    fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exists => "exists",
            Self::ExistsOne => "exists_one",
            Self::Collect => "map",
        }
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $text:literal / $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $name { $($variant),+ }
        impl $name {
            const ALL: &'static [(&'static str, Self)] = &[$(($text, Self::$variant)),+];
            /// As a person writes it.
            pub(super) fn word(self) -> &'static str { match self { $(Self::$variant => $word),+ } }
            fn find(text: &str) -> Option<Self> {
                Self::ALL.iter().find(|(known, _)| *known == text).map(|(_, found)| *found)
            }
        }
    };
}
named!(
    /// Fields of `event`.
    Field { Name => "name" / "name", Id => "id" / "id", Org => "org" / "org",
    CreatedAt => "created_at" / "created_at", Data => "data" / "data" });
named!(
    /// Operators with two sides that need both. The first text is the parser's name of it.
    Binary { Add => "_+_" / "+", Subtract => "_-_" / "-", Multiply => "_*_" / "*", Divide => "_/_" / "/",
    Remainder => "_%_" / "%", Equal => "_==_" / "==", NotEqual => "_!=_" / "!=", Less => "_<_" / "<",
    LessEqual => "_<=_" / "<=", Greater => "_>_" / ">", GreaterEqual => "_>=_" / ">=", In => "@in" / "in",
    Index => "_[_]" / "[]" });
named!(
    /// Functions. `x.f(y)` is `f(x, y)`.
    Function { Size => "size" / "size", Contains => "contains" / "contains", StartsWith => "startsWith" / "startsWith",
    EndsWith => "endsWith" / "endsWith", LowerAscii => "lowerAscii" / "lowerAscii",
    UpperAscii => "upperAscii" / "upperAscii", Trim => "trim" / "trim", Int => "int" / "int",
    Double => "double" / "double", String => "string" / "string" });

impl Function {
    /// How many arguments, and whether it may be written `f(x)`, `x.f()`.
    fn shape(self) -> (usize, bool, bool) {
        match self {
            Self::Size => (1, true, true),
            Self::Contains | Self::StartsWith | Self::EndsWith => (2, false, true),
            Self::LowerAscii | Self::UpperAscii | Self::Trim => (1, false, true),
            Self::Int | Self::Double | Self::String => (1, true, false),
        }
    }
}

impl Node {
    /// The path as written, where it is one; else the operator or function. Safe to show: made of the rule's text.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Event(field) => format!("event.{}", field.word()),
            Self::Element(_, name) => name.to_string(),
            Self::Select(of, field) => format!("{}.{field}", of.describe()),
            Self::Has(of) => format!("has({})", of.describe()),
            Self::Not(_) => "!".to_owned(),
            Self::Negate(_) => "-".to_owned(),
            Self::And(_) => "&&".to_owned(),
            Self::Or(_) => "||".to_owned(),
            Self::Choose(_) => "?:".to_owned(),
            Self::Binary(Binary::Index, sides) => match &sides[1] {
                Self::Whole(index) => format!("{}[{index}]", sides[0].describe()),
                Self::Text(key) => format!("{}[{key:?}]", sides[0].describe()),
                _ => format!("{}[…]", sides[0].describe()),
            },
            Self::Binary(operator, sides) => match (sides[0].path(), sides[1].path()) {
                (Some(path), _) => format!("{path} {} …", operator.word()),
                (None, Some(path)) => format!("… {} {path}", operator.word()),
                (None, None) => operator.word().to_owned(),
            },
            Self::Call(function, arguments) => match arguments.first().and_then(Self::path) {
                Some(path) => format!("{}({path})", function.word()),
                None => function.word().to_owned(),
            },
            Self::Macro(node) => node.list.describe(),
            Self::Null | Self::Bool(_) | Self::Whole(_) | Self::Fraction(_) | Self::Text(_) => "a constant".to_owned(),
            Self::List(_) => "a list".to_owned(),
        }
    }

    /// As the rule writes it, where that is short: what is compared with what. Made of the rule's own text.
    pub(super) fn clause(&self) -> Option<String> {
        match self {
            Self::Binary(operator, sides) if *operator != Binary::Index => {
                Some(format!("{} {} {}", sides[0].operand()?, operator.word(), sides[1].operand()?))
            }
            Self::Not(of) => of.clause().or_else(|| of.operand()).map(|clause| format!("!({clause})")),
            Self::Has(_) => Some(self.describe()),
            Self::Macro(node) => Some(format!("{}.{}(…)", node.list.path()?, node.kind.word())),
            Self::Call(_, arguments) if !arguments.is_empty() => Some(self.describe()),
            _ => self.path(),
        }
    }

    fn operand(&self) -> Option<String> {
        match self {
            Self::Null => Some("null".to_owned()),
            Self::Bool(bool) => Some(bool.to_string()),
            Self::Whole(whole) => Some(whole.to_string()),
            Self::Fraction(fraction) => Some(fraction.to_string()),
            Self::Text(text) => Some(format!("{text:?}")),
            Self::List(_) => Some("[…]".to_owned()),
            Self::Call(..) => Some(self.describe()),
            _ => self.path(),
        }
    }

    fn path(&self) -> Option<String> {
        match self {
            Self::Event(_) | Self::Element(..) | Self::Select(..) | Self::Binary(Binary::Index, _) => {
                Some(self.describe())
            }
            _ => None,
        }
    }
}

/// Checks and converts a whole condition.
pub(super) fn lower(expr: &Expr) -> Result<Node, Problem> {
    Lowering { elements: Vec::new(), depth: 0 }.node(expr)
}

struct Lowering {
    /// Names of macro elements in scope, outermost first.
    elements: Vec<String>,
    depth: usize,
}

impl Lowering {
    fn node(&mut self, expr: &Expr) -> Result<Node, Problem> {
        if self.depth >= MAX_DEPTH {
            return Err(Problem::new(
                format!("is nested deeper than {MAX_DEPTH} steps"),
                "split it into several rules, or shorten chains of + - * and ? :",
            ));
        }
        self.depth += 1;
        let node = self.node_inner(expr);
        self.depth -= 1;
        node
    }

    fn boxed(&mut self, expr: &IdedExpr) -> Result<Box<Node>, Problem> {
        self.node(&expr.expr).map(Box::new)
    }

    fn node_inner(&mut self, expr: &Expr) -> Result<Node, Problem> {
        match expr {
            Expr::Literal(literal) => self::literal(literal),
            Expr::Ident(name) => self.ident(name),
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                list.elements.iter().map(|item| self.node(&item.expr)).collect::<Result<_, _>>().map(Node::List)
            }
            Expr::Map(_) | Expr::Struct(_) => {
                Err(Problem::new("makes an object with { }", "compare single fields instead: `event.data.a == 1`"))
            }
            Expr::Unspecified => Err(Problem::new("is incomplete", "write it like `event.data.totalPointsIssued > 0`")),
        }
    }

    fn ident(&self, name: &str) -> Result<Node, Problem> {
        if let Some(index) = self.elements.iter().position(|element| element == name) {
            return Ok(Node::Element(index, name.into()));
        }
        let fields = "event.name, event.id, event.org, event.created_at, event.data";
        if name == "event" {
            return Err(Problem::new("uses `event` as a value", format!("name a field of it: {fields}")));
        }
        let hint = match nearest(name, self.elements.iter().map(String::as_str).chain(["event"])) {
            Some(known) => format!("did you mean `{known}`? A condition sees {fields}"),
            None => format!("a condition sees {fields}"),
        };
        Err(Problem::new(format!("names the unknown variable `{name}`"), hint))
    }

    fn select(&mut self, select: &SelectExpr) -> Result<Node, Problem> {
        let node = match &select.operand.expr {
            Expr::Ident(name) if name == "event" => match Field::find(&select.field) {
                Some(field) => Node::Event(field),
                None => {
                    let words = Field::ALL.iter().map(|(word, _)| *word);
                    let hint = match nearest(&select.field, words) {
                        Some(word) => format!("did you mean `event.{word}`?"),
                        None => format!("payload fields stand under data: `event.data.{}`", select.field),
                    };
                    return Err(Problem::new(format!("names the unknown field `event.{}`", select.field), hint));
                }
            },
            operand => Node::Select(Box::new(self.node(operand)?), select.field.as_str().into()),
        };
        Ok(if select.test { Node::Has(Box::new(node)) } else { node })
    }

    fn call(&mut self, call: &CallExpr) -> Result<Node, Problem> {
        let name = call.func_name.as_str();
        if call.target.is_none() {
            match (name, call.args.as_slice()) {
                (op::LOGICAL_NOT, [of]) => return self.boxed(of).map(Node::Not),
                (op::NEGATE, [of]) => return self.boxed(of).map(Node::Negate),
                (op::LOGICAL_AND, [left, right]) => return self.pair(left, right).map(Node::And),
                (op::LOGICAL_OR, [left, right]) => return self.pair(left, right).map(Node::Or),
                (op::CONDITIONAL, [condition, yes, no]) => {
                    let parts = [self.node(&condition.expr)?, self.node(&yes.expr)?, self.node(&no.expr)?];
                    return Ok(Node::Choose(Box::new(parts)));
                }
                (operator, [left, right]) => {
                    if let Some(operator) = Binary::find(operator) {
                        return self.pair(left, right).map(|sides| Node::Binary(operator, sides));
                    }
                }
                _ => {}
            }
        }
        let Some(function) = Function::find(name) else { return Err(unknown_function(name)) };
        let (count, global, method) = function.shape();
        let given = call.args.len() + usize::from(call.target.is_some());
        let allowed = if call.target.is_some() { method } else { global };
        if given != count || !allowed {
            return Err(Problem::new(format!("uses `{name}` in the wrong way"), usage(function)));
        }
        let arguments = call.target.iter().map(|target| &**target).chain(&call.args);
        let arguments = arguments.map(|argument| self.node(&argument.expr)).collect::<Result<_, _>>()?;
        Ok(Node::Call(function, arguments))
    }

    fn pair(&mut self, left: &IdedExpr, right: &IdedExpr) -> Result<Box<[Node; 2]>, Problem> {
        Ok(Box::new([self.node(&left.expr)?, self.node(&right.expr)?]))
    }

    /// The parser writes each macro as a loop of one fixed form; this recognises the forms and refuses every other loop.
    fn comprehension(&mut self, of: &ComprehensionExpr) -> Result<Node, Problem> {
        let unknown = || Problem::new("uses an unknown macro", "known are has, all, exists, exists_one, map, filter");
        let Expr::Call(step) = &of.loop_step.expr else { return Err(unknown()) };
        let (kind, test, make) = match (&of.accu_init.expr, step.func_name.as_str(), step.args.as_slice()) {
            (Expr::Literal(LiteralValue::Boolean(_)), op::LOGICAL_AND, [_, test]) => (MacroKind::All, Some(test), None),
            (Expr::Literal(LiteralValue::Boolean(_)), op::LOGICAL_OR, [_, test]) => {
                (MacroKind::Exists, Some(test), None)
            }
            (Expr::Literal(LiteralValue::Int(_)), op::CONDITIONAL, [test, _, _]) => {
                (MacroKind::ExistsOne, Some(test), None)
            }
            (Expr::List(_), op::ADD, [_, made]) => (MacroKind::Collect, None, Some(only(made).ok_or_else(unknown)?)),
            (Expr::List(_), op::CONDITIONAL, [test, step, _]) => match &step.expr {
                Expr::Call(add) if add.func_name == op::ADD && add.args.len() == 2 => {
                    (MacroKind::Collect, Some(test), Some(only(&add.args[1]).ok_or_else(unknown)?))
                }
                _ => return Err(unknown()),
            },
            _ => return Err(unknown()),
        };
        let list = self.node(&of.iter_range.expr)?;
        if self.elements.len() >= MAX_MACROS {
            return Err(Problem::new(
                format!("nests all, exists, exists_one, map or filter deeper than {MAX_MACROS}"),
                "its work would grow with the product of the lists; split the rule",
            ));
        }
        if of.iter_var == "event" || self.elements.contains(&of.iter_var) {
            return Err(Problem::new(
                format!("calls an element `{}`, which already means something else", of.iter_var),
                "choose another name",
            ));
        }
        self.elements.push(of.iter_var.clone());
        let test = test.map(|test| self.node(&test.expr)).transpose();
        let make = make.map(|make| self.node(&make.expr)).transpose();
        self.elements.pop();
        Ok(Node::Macro(Box::new(MacroNode { kind, list, test: test?, make: make? })))
    }
}

fn only(list: &IdedExpr) -> Option<&IdedExpr> {
    match &list.expr {
        Expr::List(list) if list.elements.len() == 1 => list.elements.first(),
        _ => None,
    }
}

fn literal(literal: &LiteralValue) -> Result<Node, Problem> {
    match literal {
        LiteralValue::Null => Ok(Node::Null),
        LiteralValue::Boolean(bool) => Ok(Node::Bool(*bool.inner())),
        LiteralValue::Int(int) => Ok(Node::Whole(*int.inner())),
        LiteralValue::Double(double) => Ok(Node::Fraction(*double.inner())),
        LiteralValue::String(text) => Ok(Node::Text(text.inner().into())),
        LiteralValue::UInt(_) | LiteralValue::Bytes(_) => Err(Problem::new(
            "has a constant of a type that JSON does not have",
            "write 5 for 5u, and \"a\" for b\"a\"",
        )),
    }
}

fn usage(function: Function) -> String {
    let word = function.word();
    match function.shape() {
        (2, ..) => format!("write `event.data.field.{word}(\"text\")`"),
        (_, false, _) => format!("write `event.data.field.{word}()`"),
        _ => format!("write `{word}(event.data.field)`"),
    }
}

fn unknown_function(name: &str) -> Problem {
    const MACROS: [&str; 6] = ["has", "all", "exists", "exists_one", "map", "filter"];
    if MACROS.contains(&name) {
        let usage = if name == "has" {
            "has(event.data.field)".into()
        } else {
            format!("event.data.list.{name}(x, x.field > 0)")
        };
        return Problem::new(format!("uses `{name}` in the wrong way"), format!("write `{usage}`"));
    }
    let known = Function::ALL.iter().map(|(word, _)| *word);
    let hint = match (name, nearest(name, known.clone().chain(MACROS))) {
        ("matches", _) => "patterns are not supported; use startsWith, endsWith or contains".to_owned(),
        (_, Some(word)) => format!("did you mean `{word}`?"),
        (_, None) => format!("known are {}, {}", known.collect::<Vec<_>>().join(", "), MACROS.join(", ")),
    };
    Problem::new(format!("calls the unknown function `{name}`"), hint)
}
