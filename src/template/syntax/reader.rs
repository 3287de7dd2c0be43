//! Pieces into a tree.
//!
//! Promises: blocks balance; depth stays below [`super::MAX_DEPTH`]; the first fault of a part ends its reading.
//! Never: an engine's own error texts: authors get sentences.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::lexer::{Piece, Word, pieces, words};
use super::{Arg, Arm, Call, Issue, MAX_DEPTH, MAX_SOURCE, Node, Path, Pos};

/// Where an offset of a source stands for its author.
pub(in crate::template) enum Positions<'p> {
    /// Lines of a file, the first with this number.
    File { file: &'p Arc<str>, first_line: usize },
    /// A made text: the place of each tag by its offset, and a place for all else.
    Made { tags: &'p BTreeMap<usize, Pos>, otherwise: &'p Pos },
}

/// Reads a part that stands in a file of its own.
pub(in crate::template) fn parse(file: &Arc<str>, source: &str) -> Result<Vec<Node>, Issue> {
    parse_at(source, &Positions::File { file, first_line: 1 })
}

/// Reads a part whose positions are known otherwise.
pub(in crate::template) fn parse_at(source: &str, positions: &Positions<'_>) -> Result<Vec<Node>, Issue> {
    let mut lines = Lines { source, positions, offset: 0, line: 0 };
    let start = lines.at(0);
    if source.len() > MAX_SOURCE && matches!(positions, Positions::File { .. }) {
        return Err(Issue::new(&start, format!("is longer than {MAX_SOURCE} bytes")));
    }
    let mut reader = Reader { stack: vec![Frame::root(start)], trim_next: false };
    for piece in pieces(source) {
        match piece {
            Piece::Text(text, at) => reader.text(text, lines.at(at)),
            Piece::Broken(what, at) => return Err(Issue::new(&lines.at(at), what)),
            Piece::Tag { inner, at, trim_before, trim_after } => {
                let pos = lines.at(at);
                if trim_before {
                    reader.trim_last();
                }
                reader.trim_next = false;
                reader.tag(inner, &pos).map_err(|issue| Issue { pos: pos.clone(), ..issue })?;
                reader.trim_next = trim_after;
            }
        }
    }
    let Some(root) = reader.stack.pop() else { return Ok(Vec::new()) };
    if reader.stack.is_empty() {
        Ok(root.body)
    } else {
        Err(Issue::new(
            &root.pos,
            format!("`{}` is never closed; expected `{{{{/{}}}}}`", root.opening(), root.closing()),
        ))
    }
}

/// Counts lines forward, so that a long part is not counted again for every tag.
struct Lines<'s> {
    source: &'s str,
    positions: &'s Positions<'s>,
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    fn at(&mut self, offset: usize) -> Pos {
        match self.positions {
            Positions::File { file, first_line } => {
                let passed = &self.source.as_bytes()[self.offset.min(offset)..offset];
                self.line += passed.iter().filter(|b| **b == b'\n').count();
                self.offset = offset;
                Pos { file: Arc::clone(file), line: self.line + first_line }
            }
            Positions::Made { tags, otherwise } => tags.get(&offset).unwrap_or(otherwise).clone(),
        }
    }
}

/// What is open.
struct Frame {
    kind: Kind,
    body: Vec<Node>,
    pos: Pos,
}

enum Kind {
    Root,
    Block {
        call: Box<Call>,
        params: Vec<String>,
        first: Option<Vec<Node>>,
        arms: Vec<Arm>,
        /// The arm being read.
        open: Option<Box<(Option<Call>, Pos)>>,
    },
    Include {
        name: String,
        hash: Vec<(String, Arg)>,
    },
}

impl Frame {
    fn root(pos: Pos) -> Self {
        Self { kind: Kind::Root, body: Vec::new(), pos }
    }
    fn closing(&self) -> String {
        match &self.kind {
            Kind::Root => String::new(),
            Kind::Block { call, .. } => call.head.text(),
            Kind::Include { name, .. } => name.clone(),
        }
    }
    fn opening(&self) -> String {
        let sigil = if matches!(self.kind, Kind::Include { .. }) { "#> " } else { "#" };
        format!("{{{{{sigil}{}}}}}", self.closing())
    }
}

struct Reader {
    stack: Vec<Frame>,
    trim_next: bool,
}

fn issue(what: impl Into<String>) -> Issue {
    // The caller puts the tag's own place in.
    Issue { pos: Pos { file: Arc::from(""), line: 0 }, what: what.into(), hint: None }
}

impl Reader {
    fn push(&mut self, node: Node) {
        if let Some(frame) = self.stack.last_mut() {
            frame.body.push(node);
        }
    }

    fn text(&mut self, text: &str, pos: Pos) {
        let text = if std::mem::take(&mut self.trim_next) { text.trim_start() } else { text };
        if !text.is_empty() {
            self.push(Node::Text { text: text.to_owned(), pos });
        }
    }

    fn trim_last(&mut self) {
        if let Some(Node::Text { text, .. }) = self.stack.last_mut().and_then(|f| f.body.last_mut()) {
            *text = text.trim_end().to_owned();
        }
    }

    fn tag(&mut self, inner: &str, pos: &Pos) -> Result<(), Issue> {
        let inner = inner.trim();
        let sigil = inner.chars().next();
        let rest = inner.get(1..).unwrap_or_default();
        match sigil {
            None => Err(issue("an empty tag")),
            Some('!') => Ok(()),
            Some('#') => self.open(rest, pos),
            Some('/') => self.close(rest.trim()),
            Some('>') => {
                let (name, hash) = include(rest)?;
                self.push(Node::Include { name, hash, body: None, pos: pos.clone() });
                Ok(())
            }
            Some('&') => Err(issue("`{{&` prints a value without escaping it; remove the `&`")),
            Some('*') => Err(issue("decorators (`{{*`) are not available").hint("put shared parts into `_partials/`")),
            Some('^') if rest.trim().is_empty() => self.arm(None, pos),
            Some('^') => Err(issue("`{{^…}}` is not available").hint("write `{{#unless …}}` or `{{else}}`")),
            Some(_) => {
                let words = words(inner).map_err(issue)?;
                if words.first() == Some(&Word::Bare("else".into())) {
                    let condition = if words.len() == 1 { None } else { Some(call(&words[1..])?.0) };
                    return self.arm(condition, pos);
                }
                let (call, params) = call(&words)?;
                if !params.is_empty() {
                    return Err(issue("`as |…|` belongs to a block"));
                }
                self.push(Node::Value { call, pos: pos.clone() });
                Ok(())
            }
        }
    }

    fn open(&mut self, rest: &str, pos: &Pos) -> Result<(), Issue> {
        if self.stack.len() > MAX_DEPTH {
            return Err(issue(format!("blocks nest deeper than {MAX_DEPTH}")));
        }
        let rest = rest.trim_start();
        let kind = if let Some(rest) = rest.strip_prefix('>') {
            let (name, hash) = include(rest)?;
            Kind::Include { name, hash }
        } else if rest.starts_with('*') {
            return Err(issue("inline partials are not available").hint("put shared parts into `_partials/`"));
        } else {
            let (call, params) = call(&words(rest).map_err(issue)?)?;
            Kind::Block { call: Box::new(call), params, first: None, arms: Vec::new(), open: None }
        };
        self.stack.push(Frame { kind, body: Vec::new(), pos: pos.clone() });
        Ok(())
    }

    fn arm(&mut self, condition: Option<Call>, pos: &Pos) -> Result<(), Issue> {
        let Some(Frame { kind: Kind::Block { first, arms, open, .. }, body, .. }) = self.stack.last_mut() else {
            return Err(issue("`{{else}}` stands outside a block"));
        };
        let body = std::mem::take(body);
        match open.take().map(|open| *open) {
            None => *first = Some(body),
            Some((None, _)) => return Err(issue("a second `{{else}}` in one block")),
            Some((condition, pos)) => arms.push(Arm { condition, body, pos }),
        }
        // Each arm nests one deeper in the engine.
        if arms.len() > MAX_DEPTH {
            return Err(issue(format!("more than {MAX_DEPTH} `{{{{else if}}}}` in one block")));
        }
        *open = Some(Box::new((condition, pos.clone())));
        Ok(())
    }

    fn close(&mut self, name: &str) -> Result<(), Issue> {
        if self.stack.len() < 2 {
            return Err(issue(format!("`{{{{/{name}}}}}` closes nothing")));
        }
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        if frame.closing() != name {
            let what = format!("`{{{{/{name}}}}}` closes `{}` of line {}", frame.opening(), frame.pos.line);
            return Err(issue(what).hint(format!("expected `{{{{/{}}}}}`", frame.closing())));
        }
        let Frame { kind, body, pos } = frame;
        self.push(match kind {
            Kind::Root => return Ok(()),
            Kind::Include { name, hash } => Node::Include { name, hash, body: Some(body), pos },
            Kind::Block { call, params, first: None, .. } => {
                Node::Block { call: *call, params, body, arms: Vec::new(), pos }
            }
            Kind::Block { call, params, first: Some(first), mut arms, open } => {
                if let Some((condition, pos)) = open.map(|open| *open) {
                    arms.push(Arm { condition, body, pos });
                }
                Node::Block { call: *call, params, body: first, arms, pos }
            }
        });
        Ok(())
    }
}

fn include(rest: &str) -> Result<(String, Vec<(String, Arg)>), Issue> {
    let words = words(rest).map_err(issue)?;
    let name = match words.first() {
        Some(Word::Bare(name) | Word::Quoted(name)) => name.clone(),
        Some(Word::Open) => return Err(issue("the name of a partial is fixed; it cannot be computed")),
        _ => return Err(issue("`{{>` needs the name of a partial")),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name != "@partial-block" && (name.is_empty() || !name.chars().all(fits)) {
        return Err(issue(format!("`{name}` is not a name of a partial; expected letters, digits, `-` and `_`")));
    }
    let mut at = 1;
    let (args, hash) = arguments(&words, &mut at, 0)?;
    if at < words.len() || !args.is_empty() {
        return Err(issue("a partial takes named values only").hint("write `{{> name key=value}}`"));
    }
    Ok((name, hash))
}

fn call(words: &[Word]) -> Result<(Call, Vec<String>), Issue> {
    let mut words = words;
    let mut params = Vec::new();
    if let Some(bar) = words.iter().position(|w| *w == Word::Bar) {
        let named: Option<Vec<String>> = match &words[bar..] {
            [Word::Bar, names @ .., Word::Bar] if matches!(names.len(), 1 | 2) => {
                names.iter().map(|w| if let Word::Bare(n) = w { Some(n.clone()) } else { None }).collect()
            }
            _ => None,
        };
        match (bar.checked_sub(1).map(|i| &words[i]), named) {
            (Some(Word::Bare(word)), Some(named)) if word == "as" => {
                params = named;
                words = &words[..bar - 1];
            }
            _ => return Err(issue("expected `as |name|` or `as |name index|`")),
        }
        if params.iter().any(|p| !p.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')) {
            return Err(issue("a name in `as |…|` has letters, digits and `_` only"));
        }
    }
    let mut at = 0;
    let call = call_at(words, &mut at, 0)?;
    if at < words.len() { Err(issue("`)` without `(`")) } else { Ok((call, params)) }
}

fn call_at(words: &[Word], at: &mut usize, depth: usize) -> Result<Call, Issue> {
    if depth > MAX_DEPTH {
        return Err(issue(format!("parentheses nest deeper than {MAX_DEPTH}")));
    }
    let head = match words.get(*at) {
        Some(Word::Bare(word)) => match value(word)? {
            Arg::Path(path) => path,
            _ => return Err(issue(format!("`{word}` is a value; expected a variable or a helper"))),
        },
        Some(Word::Quoted(_)) => return Err(issue("a tag cannot start with a text")),
        _ => return Err(issue("expected a variable or a helper")),
    };
    *at += 1;
    let (args, hash) = arguments(words, at, depth)?;
    Ok(Call { head, args, hash })
}

type Arguments = (Vec<Arg>, Vec<(String, Arg)>);

fn arguments(words: &[Word], at: &mut usize, depth: usize) -> Result<Arguments, Issue> {
    let (mut args, mut hash) = (Vec::new(), Vec::<(String, Arg)>::new());
    while let Some(word) = words.get(*at) {
        if let (Word::Bare(key), Some(Word::Equals)) = (word, words.get(*at + 1)) {
            if !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') || hash.iter().any(|(k, _)| k == key) {
                return Err(issue(format!("`{key}=` is not a name, or stands twice")));
            }
            *at += 2;
            hash.push((key.clone(), argument(words, at, depth)?));
        } else if *word == Word::Close {
            break;
        } else {
            args.push(argument(words, at, depth)?);
        }
    }
    Ok((args, hash))
}

fn argument(words: &[Word], at: &mut usize, depth: usize) -> Result<Arg, Issue> {
    let word = words.get(*at).ok_or_else(|| issue("`=` without a value"))?;
    *at += 1;
    match word {
        Word::Bare(word) => value(word),
        Word::Quoted(text) => Ok(Arg::Text(text.clone())),
        Word::Open => {
            let call = call_at(words, at, depth + 1)?;
            if words.get(*at) != Some(&Word::Close) {
                return Err(issue("`(` is never closed"));
            }
            *at += 1;
            Ok(Arg::Call(call))
        }
        Word::Close => Err(issue("`)` without `(`")),
        Word::Equals => Err(issue("`=` without a name")),
        Word::Bar => Err(issue("`|` outside `as |…|`")),
    }
}

fn value(word: &str) -> Result<Arg, Issue> {
    match word {
        "true" => return Ok(Arg::Bool(true)),
        "false" => return Ok(Arg::Bool(false)),
        "null" | "undefined" => return Ok(Arg::Null),
        "as" | "else" => return Err(issue(format!("`{word}` cannot stand here"))),
        _ => {}
    }
    let digits = word.strip_prefix('-').unwrap_or(word);
    if digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(|c| c.is_ascii_digit() || c == '.') {
        let whole = digits.split('.').collect::<Vec<_>>();
        return if whole.len() <= 2 && digits.len() <= 15 && whole.iter().all(|p| !p.is_empty()) {
            Ok(Arg::Number(word.into()))
        } else {
            Err(issue(format!("`{word}` is not a number")))
        };
    }
    path(word).map(Arg::Path).ok_or_else(|| issue(format!("`{word}` is not a variable")))
}

fn path(word: &str) -> Option<Path> {
    let mut rest = word;
    let mut up = 0;
    loop {
        if rest == ".." {
            return Some(Path { up: up + 1, segments: Vec::new() });
        }
        match rest.strip_prefix("../") {
            Some(next) => (rest, up) = (next, up + 1),
            None => break,
        }
    }
    let rest = rest.strip_prefix("./").unwrap_or(rest);
    if rest == "." {
        return Some(Path { up, segments: vec!["this".into()] });
    }
    let mut segments = Vec::new();
    let mut left = rest;
    loop {
        let (segment, next) = if let Some(raw) = left.strip_prefix('[') {
            let (segment, next) = raw.split_once(']')?;
            let odd = |c: char| c.is_control() || matches!(c, '[' | '{' | '}' | '"' | '\'');
            (!segment.is_empty() && !segment.contains(odd)).then_some((segment, next))?
        } else {
            let end = left.find(['.', '/', '[']).unwrap_or(left.len());
            (&left[..end], &left[end..])
        };
        let local = segment.strip_prefix('@').unwrap_or(segment);
        if segment.is_empty() || local.contains('@') || (segment.starts_with('@') && !segments.is_empty()) {
            return None;
        }
        segments.push(segment.to_owned());
        match next.strip_prefix(['.', '/']) {
            Some(next) => left = next,
            None if next.is_empty() => break,
            None => return None,
        }
    }
    (up <= MAX_DEPTH && segments.len() <= MAX_DEPTH).then_some(Path { up, segments })
}
