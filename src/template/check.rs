//! What a part says, before it says it: variables, helpers, loops, personal fields.
//!
//! Promises: a variable that cannot exist, a helper that does not, a personal field that is not declared, a loop deeper than
//! [`MAX_LOOPS`] and an empty greeting are faults at load, with the nearest right word.
//! Never: a value.

use std::collections::BTreeSet;

use super::helpers::{self, nearest};
use super::syntax::{Arg, Call, Issue, Node, Path, Pos, ROOTS};
use super::tables::Tables;

/// How deep loops may nest: three empty ones over 300 elements take a second.
const MAX_LOOPS: usize = 2;

/// What is checked against.
pub(super) struct Rules<'r> {
    pub(super) reads: &'r [String],
    pub(super) tables: &'r Tables,
}

/// What a part uses.
#[derive(Debug, Default, Clone)]
pub(super) struct Uses {
    /// Absolute paths into event, item and items.
    pub(super) facts: BTreeSet<String>,
    /// Personal fields.
    pub(super) persons: BTreeSet<String>,
    /// Look-up tables.
    pub(super) tables: BTreeSet<String>,
}

/// Checks an expanded part.
pub(super) fn check(nodes: &[Node], rules: &Rules<'_>, uses: &mut Uses) -> Vec<Issue> {
    let mut check = Check { rules, uses, issues: Vec::new(), names: Vec::new(), elements: 0, loops: 0 };
    check.nodes(nodes);
    check.issues
}

struct Check<'c> {
    rules: &'c Rules<'c>,
    uses: &'c mut Uses,
    issues: Vec<Issue>,
    names: Vec<String>,
    elements: usize,
    loops: usize,
}

impl Check<'_> {
    fn say(&mut self, pos: &Pos, what: impl Into<String>, hint: impl Into<Option<String>>) {
        self.issues.push(Issue { pos: pos.clone(), what: what.into(), hint: hint.into() });
    }

    fn nodes(&mut self, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Text { .. } | Node::Include { .. } => {}
                Node::Value { call, pos } => self.call(call, pos, true),
                Node::Block { call, params, body, arms, pos } => {
                    let word = call.head.word().unwrap_or_default();
                    let (list, scope) = (word == "each", matches!(word, "each" | "with"));
                    self.block(call, params, pos);
                    for arm in arms {
                        match &arm.condition {
                            None => {}
                            Some(c) if !scope && matches!(c.head.word(), Some("if" | "unless")) => {
                                self.block(c, &[], &arm.pos)
                            }
                            Some(_) => self.say(
                                &arm.pos,
                                "only `{{else if …}}` and `{{else unless …}}` in `if` or `unless`",
                                None,
                            ),
                        }
                        self.nodes(&arm.body);
                    }
                    let known = self.names.len();
                    self.names.extend(params.iter().cloned());
                    self.elements += usize::from(scope);
                    self.loops += usize::from(list);
                    if self.loops > MAX_LOOPS {
                        self.say(pos, format!("loops nest deeper than {MAX_LOOPS}"), None);
                    }
                    self.nodes(body);
                    self.names.drain(known..);
                    self.elements -= usize::from(scope);
                    self.loops -= usize::from(list);
                }
            }
        }
    }

    fn block(&mut self, call: &Call, params: &[String], pos: &Pos) {
        let word = call.head.word().unwrap_or_default();
        if !helpers::BLOCKS.contains(&word) {
            let hint = if helpers::spec(word).is_some() {
                format!("write `{{{{#if ({word} …)}}}}`")
            } else {
                format!("blocks are {}", helpers::BLOCKS.map(|b| format!("`{b}`")).join(", "))
            };
            return self.say(pos, format!("`{{{{#{}}}}}` is not a block", call.head.text()), hint);
        }
        let zero = |(key, _): &(String, Arg)| key == "includeZero" && matches!(word, "if" | "unless");
        if call.args.len() != 1 || !call.hash.iter().all(zero) {
            return self.say(
                pos,
                format!("`{{{{#{word}}}}}` takes one value"),
                "use `(and …)`, `(or …)`, `(eq a b)`".to_owned(),
            );
        }
        if let Some(name) = params.iter().find(|p| ROOTS.contains(&p.as_str()) || helpers::is_known(p) || *p == "this")
        {
            self.say(
                pos,
                format!("`{name}` is the name of a variable or helper"),
                "choose another name in `as |…|`".to_owned(),
            );
        }
        match &call.args[0] {
            Arg::Path(path) if matches!(word, "each" | "with") => {
                if path.head() == "customer" || (path.head() == "this" && self.elements == 0) {
                    self.say(
                        pos,
                        format!("`{{{{#{word} {}}}}}` is not allowed", path.text()),
                        "name the field itself".to_owned(),
                    );
                } else {
                    self.path(path, pos, false);
                }
            }
            _ if matches!(word, "each" | "with") => {
                self.say(pos, format!("`{{{{#{word}}}}}` takes a variable, not a computed value"), None);
            }
            arg => self.arg(arg, pos),
        }
        if !params.is_empty() && !matches!(word, "each" | "with") {
            self.say(pos, format!("`as |…|` does not belong to `{word}`"), None);
        }
    }

    fn arg(&mut self, arg: &Arg, pos: &Pos) {
        match arg {
            Arg::Path(path) => self.path(path, pos, false),
            Arg::Call(call) => self.call(call, pos, false),
            _ => {}
        }
    }

    fn call(&mut self, call: &Call, pos: &Pos, printed: bool) {
        let word = call.head.word().unwrap_or_default();
        let Some(spec) = helpers::spec(word) else {
            if call.is_bare() {
                return self.path(&call.head, pos, printed);
            }
            let known = helpers::SPECS.iter().map(|s| s.name).filter(|n| !n.starts_with("sp_"));
            let hint = match nearest(&call.head.text(), known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("helpers are {}", known.collect::<Vec<_>>().join(", ")),
            };
            return self.say(pos, format!("helper `{}` does not exist", call.head.text()), hint);
        };
        let (least, most) = spec.args;
        if !(least..=most).contains(&call.args.len()) {
            let range = if least == most { least.to_string() } else { format!("{least} to {most}") };
            self.say(pos, format!("`{word}` takes {range} values, not {}", call.args.len()), None);
        }
        for (key, arg) in &call.hash {
            if !spec.named.contains(&key.as_str()) {
                let hint = nearest(key, spec.named.iter().copied()).map(|n| format!("did you mean `{n}=`?"));
                self.say(pos, format!("`{word}` has no `{key}=`"), hint);
            }
            self.arg(arg, pos);
        }
        for arg in &call.args {
            self.arg(arg, pos);
        }
        self.particular(word, call, pos);
    }

    fn particular(&mut self, word: &str, call: &Call, pos: &Pos) {
        match (word, call.args.as_slice()) {
            ("default", args)
                if matches!(args.last(), Some(Arg::Text(t)) if t.trim().is_empty()) || args.contains(&Arg::Null) =>
            {
                let hint = "name a word that fits, or use `{{#if}}` around the sentence".to_owned();
                self.say(pos, "an empty default leaves a gap in the sentence", hint);
            }
            ("date", [_, Arg::Text(format)]) if !helpers::is_format(format) => {
                let hint = "write `short`, `long`, `time`, `datetime`, or a pattern of yyyy, yy, mm, Mon, Month, dd, d, Day, HH, MM";
                self.say(pos, format!("`{format}` is not a date format"), hint.to_owned());
            }
            ("lookup_table", [Arg::Text(table), _, column]) => {
                self.uses.tables.insert(table.clone());
                match (self.rules.tables.columns(table), column) {
                    (None, _) => {
                        let near = nearest(table, self.rules.tables.names()).map(|n| format!("did you mean `{n}`?"));
                        self.say(pos, format!("table `_tables/{table}.csv` does not exist"), near);
                    }
                    (Some(columns), Arg::Text(column)) if !columns.contains(column) => {
                        self.say(pos, format!("table `{table}` has no column `{column}`"), columns_hint(columns));
                    }
                    _ => {}
                }
            }
            ("lookup_table", _) => self.say(pos, "the name of a table is a fixed text", None),
            _ => {}
        }
    }

    fn path(&mut self, path: &Path, pos: &Pos, printed: bool) {
        let (head, text) = (path.head(), path.text());
        let rest: Vec<&str> = path.segments.iter().skip(1).map(String::as_str).collect();
        if path.segments.is_empty() || head == "@root" || (path.up > 0 && ROOTS.contains(&head)) {
            return self.say(
                pos,
                format!("`{text}` is not allowed"),
                "variables are reached by their name from anywhere".to_owned(),
            );
        }
        // Above the outermost element stands everything, the person too, and there no name says so.
        if path.up > 0 && path.up >= self.elements {
            let hint =
                "outside of all blocks stand only variables; they are reached by their name from anywhere".to_owned();
            return self.say(pos, format!("`{text}` leaves the outermost block"), hint);
        }
        if path.up > 0 || self.names.iter().any(|n| n == head) {
            return;
        }
        if head.starts_with('@') {
            if self.elements == 0 || !matches!(head, "@index" | "@key" | "@first" | "@last") || !rest.is_empty() {
                self.say(
                    pos,
                    format!("`{text}` does not exist here"),
                    "inside `each` there are @index, @key, @first, @last".to_owned(),
                );
            }
            return;
        }
        if head == "this" {
            if self.elements == 0 {
                self.say(pos, format!("`{text}` stands outside `each` and `with`"), None);
            }
            return;
        }
        match head {
            "event" => match rest.first() {
                Some(&("name" | "id" | "org" | "created_at" | "data")) => drop(self.uses.facts.insert(text)),
                _ => self.say(
                    pos,
                    format!("`{text}` does not exist"),
                    "an event has name, id, org, created_at and data".to_owned(),
                ),
            },
            "item" | "items" => drop(self.uses.facts.insert(text)),
            "customer" => self.person(&rest, pos),
            "org" => match rest.as_slice() {
                ["name" | "currency"] | ["links", _] => {}
                _ => self.say(
                    pos,
                    format!("`{text}` does not exist"),
                    "an org has name, currency and links.<name>".to_owned(),
                ),
            },
            "store" => self.store(&rest, pos, printed),
            "now" if rest.is_empty() => {}
            "now" => self.say(pos, "`now` has no fields", None),
            _ if self.elements > 0 => {}
            _ => {
                let hint = match nearest(head, ROOTS.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if head == "data" => format!("did you mean `event.{text}`?"),
                    None => format!("variables are {}", ROOTS.join(", ")),
                };
                self.say(pos, format!("variable `{text}` does not exist"), hint);
            }
        }
    }

    fn person(&mut self, rest: &[&str], pos: &Pos) {
        let field = rest.join(".");
        if field.is_empty() || (rest.len() > 1 && rest[0] != "attributes") || rest == ["attributes"] {
            return self.say(pos, "`customer` is used as a whole", "name a field: `customer.first_name`".to_owned());
        }
        if !self.rules.reads.contains(&field) {
            let what = format!("`customer.{field}` is not in `reads`");
            let near = nearest(&field, self.rules.reads.iter().map(String::as_str));
            let hint = near.map_or_else(
                || format!("add \"{field}\" to `reads` of `[template]`"),
                |n| format!("did you mean `customer.{n}`? Otherwise add \"{field}\" to `reads` of `[template]`"),
            );
            return self.say(pos, what, hint);
        }
        self.uses.persons.insert(field);
    }

    fn store(&mut self, rest: &[&str], pos: &Pos, printed: bool) {
        self.uses.tables.insert("stores".into());
        let Some(columns) = self.rules.tables.columns("stores") else {
            let hint = "make it: `code,name,city`, one line for each store code of Capillary".to_owned();
            return self.say(pos, "`store` needs the table `_tables/stores.csv`", hint);
        };
        match rest {
            [] if !printed => {}
            [column] if columns.iter().any(|c| c == column) => {}
            _ => {
                let what = format!("`store.{}` is not a column of `_tables/stores.csv`", rest.join("."));
                self.say(pos, what, columns_hint(columns));
            }
        }
    }
}

fn columns_hint(columns: &[String]) -> String {
    format!("columns are {}", columns.join(", "))
}
