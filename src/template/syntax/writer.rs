//! The tree back into text: for the author's eye, or for the engine.
//!
//! Promises: what the engine gets is canonical: every root variable is absolute, every printed value goes through a helper that
//! refuses blank and compound values, every loop carries its price.
//! Never: an include; they are expanded before.

use super::{Arg, Call, Issue, Node, Path, Pos};

/// For whom a tree is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::template) enum Mode {
    /// As the author wrote it; can be read again.
    Source,
    /// For the engine.
    Engine,
}

/// Variables that exist in every part, wherever a tag stands.
pub(in crate::template) const ROOTS: [&str; 7] = ["event", "item", "items", "customer", "org", "store", "now"];

/// Writes a tree. An error is text that would read differently next to a tag.
pub(in crate::template) fn write(nodes: &[Node], mode: Mode) -> Result<String, Issue> {
    let mut out = String::new();
    write_into(nodes, mode, &mut Vec::new(), &mut out)?;
    Ok(out)
}

/// All tags of a tree in order, in source form, with `None` where text stands.
pub(in crate::template) fn tag_texts(nodes: &[Node], out: &mut Vec<Flat>) {
    for node in nodes {
        match node {
            Node::Text { text, .. } => out.push(Flat::Text(text.clone())),
            Node::Value { call, pos } => {
                out.push(Flat::Tag {
                    text: format!("{{{{{}}}}}", call_text(call, Mode::Source, &[])),
                    pos: pos.clone(),
                });
            }
            Node::Block { call, params, body, arms, pos } => {
                out.push(Flat::Tag { text: opening(call, params, Mode::Source, &[], None), pos: pos.clone() });
                tag_texts(body, out);
                for arm in arms {
                    out.push(Flat::Tag {
                        text: arm_text(arm.condition.as_ref(), Mode::Source, &[]),
                        pos: arm.pos.clone(),
                    });
                    tag_texts(&arm.body, out);
                }
                out.push(Flat::Tag { text: format!("{{{{/{}}}}}", call.head.text()), pos: pos.clone() });
            }
            Node::Include { body, .. } => tag_texts(body.as_deref().unwrap_or_default(), out),
        }
    }
}

/// A tree without its nesting.
pub(in crate::template) enum Flat {
    Text(String),
    Tag { text: String, pos: Pos },
}

fn write_into(nodes: &[Node], mode: Mode, shadow: &mut Vec<String>, out: &mut String) -> Result<(), Issue> {
    for node in nodes {
        match node {
            Node::Text { text, .. } => out.push_str(text),
            Node::Value { call, pos } => {
                before_tag(out, pos)?;
                let text = call_text(call, mode, shadow);
                let value = mode == Mode::Engine && call.is_bare() && !is_helper_word(call);
                out.push_str(if value { "{{sp_value " } else { "{{" });
                out.push_str(&text);
                out.push_str("}}");
            }
            Node::Block { call, params, body, arms, pos } => {
                before_tag(out, pos)?;
                let price = (call.head.word() == Some("each")).then(|| price(body));
                out.push_str(&opening(call, params, mode, shadow, price));
                let known = shadow.len();
                shadow.extend(params.iter().cloned());
                write_into(body, mode, shadow, out)?;
                shadow.drain(known..);
                for arm in arms {
                    before_tag(out, &arm.pos)?;
                    out.push_str(&arm_text(arm.condition.as_ref(), mode, shadow));
                    write_into(&arm.body, mode, shadow, out)?;
                }
                before_tag(out, pos)?;
                out.push_str("{{/");
                out.push_str(&call.head.text());
                out.push_str("}}");
            }
            Node::Include { pos, name, .. } => {
                return Err(Issue::new(pos, format!("partial `{name}` cannot stand here")));
            }
        }
    }
    Ok(())
}

/// How many steps one round of a loop costs; loops inside pay for themselves.
fn price(body: &[Node]) -> usize {
    let mut steps = 1;
    for node in body {
        steps += 1;
        if let Node::Block { call, body, arms, .. } = node {
            if call.head.word() != Some("each") {
                steps += price(body);
            }
            steps += arms.iter().map(|arm| price(&arm.body)).sum::<usize>();
        }
    }
    steps
}

fn before_tag(out: &str, pos: &Pos) -> Result<(), Issue> {
    if out.ends_with(['\\', '{']) {
        return Err(Issue::new(pos, "a tag stands right after `\\` or `{`").hint("put a space between them"));
    }
    Ok(())
}

fn opening(call: &Call, params: &[String], mode: Mode, shadow: &[String], price: Option<usize>) -> String {
    let mut out = format!("{{{{#{}", call_text(call, mode, shadow));
    if let (Mode::Engine, Some(price), Some(list)) = (mode, price, call.args.first()) {
        out.push_str(" sp_paid=(sp_fuel ");
        arg_text(list, mode, shadow, &mut out);
        out.push_str(&format!(" {price})"));
    }
    if !params.is_empty() {
        out.push_str(&format!(" as |{}|", params.join(" ")));
    }
    out.push_str("}}");
    out
}

fn arm_text(condition: Option<&Call>, mode: Mode, shadow: &[String]) -> String {
    match condition {
        None => "{{else}}".into(),
        Some(call) => format!("{{{{else {}}}}}", call_text(call, mode, shadow)),
    }
}

fn is_helper_word(call: &Call) -> bool {
    call.head.word().is_some_and(super::super::helpers::is_known)
}

fn call_text(call: &Call, mode: Mode, shadow: &[String]) -> String {
    let mut out = path_text(&call.head, mode, shadow);
    for arg in &call.args {
        out.push(' ');
        arg_text(arg, mode, shadow, &mut out);
    }
    for (key, arg) in &call.hash {
        out.push(' ');
        out.push_str(key);
        out.push('=');
        arg_text(arg, mode, shadow, &mut out);
    }
    out
}

fn path_text(path: &Path, mode: Mode, shadow: &[String]) -> String {
    let head = path.head();
    if mode == Mode::Engine && path.up == 0 && ROOTS.contains(&head) && !shadow.iter().any(|s| s == head) {
        return format!("@root.{}", path.text());
    }
    path.text()
}

fn arg_text(arg: &Arg, mode: Mode, shadow: &[String], out: &mut String) {
    match arg {
        Arg::Path(path) => out.push_str(&path_text(path, mode, shadow)),
        Arg::Text(text) => match mode {
            Mode::Engine => out.push_str(&serde_json::Value::from(text.as_str()).to_string()),
            Mode::Source => {
                out.push('"');
                for c in text.chars() {
                    match c {
                        '"' | '\\' => out.extend(['\\', c]),
                        '\n' => out.push_str("\\n"),
                        _ => out.push(c),
                    }
                }
                out.push('"');
            }
        },
        Arg::Number(number) => out.push_str(number),
        Arg::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Arg::Null => out.push_str("null"),
        Arg::Call(call) => {
            out.push('(');
            out.push_str(&call_text(call, mode, shadow));
            out.push(')');
        }
    }
}
