//! Partials, layouts and texts put in place, once, at load: the engine never sees an include.
//!
//! Promises: an include that reaches itself by any way, goes deeper than [`MAX_INCLUDES`] or swells beyond [`MAX_NODES`] is refused
//! before anything is expanded; names are fixed; what a partial is given replaces its parameters, so that checks see through it.
//! Never: a partial at render time (two that include each other would end the process).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::helpers;
use super::syntax::{Arg, Arm, Call, Issue, Node, Path, Pos, ROOTS, walk};

/// How deep partials may include partials.
pub(super) const MAX_INCLUDES: usize = 8;
/// How many pieces an expanded part may have.
pub(super) const MAX_NODES: usize = 20_000;

/// Partials and layouts of one kind of part (`mjml`, `html`, `txt`), by name.
#[derive(Default)]
pub(super) struct Library {
    parts: BTreeMap<String, Partial>,
}

struct Partial {
    file: Arc<str>,
    nodes: Vec<Node>,
}

impl Library {
    /// Adds a partial; of two with one name the first wins and a fault is returned for the second.
    pub(super) fn add(&mut self, name: &str, file: Arc<str>, nodes: Vec<Node>) -> Option<Issue> {
        if let Some(known) = self.parts.get(name) {
            let pos = Pos { file, line: 1 };
            return Some(Issue::new(&pos, format!("partial `{name}` exists already as `{}`", known.file)));
        }
        self.parts.insert(name.into(), Partial { file, nodes });
        None
    }

    /// Refuses cycles, depth and missing names over the whole graph, used or not. Partials at fault are taken out.
    pub(super) fn check(&mut self) -> Vec<Issue> {
        let mut issues = Vec::new();
        let mut bad = BTreeSet::new();
        for name in self.parts.keys() {
            let mut trail = vec![name.as_str()];
            if let Err(issue) = self.descend(&mut trail, &mut BTreeSet::new()) {
                bad.insert(name.clone());
                issues.extend(issue.filter(|i| !issues.contains(i)));
            }
        }
        self.parts.retain(|name, _| !bad.contains(name));
        issues
    }

    /// An error without issue: this partial leads to a fault that is reported where it belongs.
    fn descend<'l>(
        &'l self,
        trail: &mut Vec<&'l str>,
        done: &mut BTreeSet<(usize, &'l str)>,
    ) -> Result<(), Option<Issue>> {
        let Some(part) = trail.last().and_then(|name| self.parts.get(*name)) else { return Ok(()) };
        let mut found: Vec<(&str, &Pos)> = Vec::new();
        walk(&part.nodes, &mut |node| {
            if let Node::Include { name, pos, .. } = node {
                found.push((name, pos));
            }
        });
        for (name, pos) in found {
            if name == "@partial-block" {
                continue;
            }
            if trail.contains(&name) {
                // A circle is told once: from its first name on.
                let first = trail.first().is_some_and(|first| *first == name && trail.iter().all(|n| n >= first));
                let way = trail.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" includes ");
                return Err(
                    first.then(|| Issue::new(pos, format!("partials include each other: {way} includes `{name}`")))
                );
            }
            if trail.len() >= MAX_INCLUDES {
                return Err(Some(Issue::new(pos, format!("partials nest deeper than {MAX_INCLUDES}"))));
            }
            if !self.parts.contains_key(name) {
                return Err(Some(self.missing(name, pos)));
            }
            // The same partial at the same depth leads to the same answer.
            if done.insert((trail.len(), name)) {
                trail.push(name);
                self.descend(trail, done)?;
                trail.pop();
            }
        }
        Ok(())
    }

    fn missing(&self, name: &str, pos: &Pos) -> Issue {
        let issue = Issue::new(pos, format!("partial `{name}` does not exist or has faults of its own"));
        match helpers::nearest(name, self.parts.keys().map(String::as_str)) {
            Some(near) => issue.hint(format!("did you mean `{near}`?")),
            None => issue.hint("partials live in `_partials/` and `_layouts/`, named like the part: `name.mjml.hbs`"),
        }
    }
}

/// What is fixed for one template in one locale.
pub(super) struct Fixed<'f> {
    pub(super) library: &'f Library,
    /// `texts.<key>`, read.
    pub(super) texts: &'f BTreeMap<String, Vec<Node>>,
    /// `lang`, `dir`, `start`, `end`.
    pub(super) words: &'f BTreeMap<&'static str, String>,
}

/// A part with everything put in place.
pub(super) struct Expanded {
    pub(super) nodes: Vec<Node>,
    /// Files that went into it.
    pub(super) files: BTreeSet<Arc<str>>,
}

/// Expands a part.
pub(super) fn expand(nodes: &[Node], fixed: &Fixed<'_>) -> Result<Expanded, Issue> {
    let mut run = Run { fixed, files: BTreeSet::new(), left: MAX_NODES };
    let nodes = run.nodes(nodes, &Env { params: None, block: None, depth: 0 }, &mut Scope::default())?;
    Ok(Expanded { nodes, files: run.files })
}

struct Env<'e> {
    /// What the partial was given; `None` outside partials.
    params: Option<&'e BTreeMap<String, Arg>>,
    block: Option<&'e [Node]>,
    depth: usize,
}

/// Names that a block made, and whether names may be fields of an element.
#[derive(Default)]
struct Scope {
    names: Vec<String>,
    elements: usize,
}

struct Run<'f> {
    fixed: &'f Fixed<'f>,
    files: BTreeSet<Arc<str>>,
    left: usize,
}

impl Run<'_> {
    fn nodes(&mut self, nodes: &[Node], env: &Env<'_>, scope: &mut Scope) -> Result<Vec<Node>, Issue> {
        let mut out = Vec::with_capacity(nodes.len());
        for (i, node) in nodes.iter().enumerate() {
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                Issue::new(
                    place(node),
                    format!("the part grows beyond {MAX_NODES} pieces when partials are put in place"),
                )
            })?;
            match node {
                Node::Text { .. } => out.push(node.clone()),
                Node::Value { call, pos } => self.value(call, pos, env, scope, &mut out)?,
                Node::Block { call, params, body, arms, pos } => {
                    let call = self.call(call, pos, env, scope)?;
                    let arms = arms
                        .iter()
                        .map(|arm| {
                            let condition =
                                arm.condition.as_ref().map(|c| self.call(c, &arm.pos, env, scope)).transpose()?;
                            Ok(Arm { condition, body: self.nodes(&arm.body, env, scope)?, pos: arm.pos.clone() })
                        })
                        .collect::<Result<_, Issue>>()?;
                    let (known, inner) = (scope.names.len(), matches!(call.head.word(), Some("each" | "with")));
                    scope.names.extend(params.iter().cloned());
                    scope.elements += usize::from(inner);
                    let body = self.nodes(body, env, scope)?;
                    scope.names.drain(known..);
                    scope.elements -= usize::from(inner);
                    out.push(Node::Block { call, params: params.clone(), body, arms, pos: pos.clone() });
                }
                Node::Include { name, hash, body, pos } => {
                    let mut put = self.include(name, hash, body.as_deref(), pos, env, scope)?;
                    if alone_on_its_line(&out, nodes.get(i + 1)) {
                        strip_last_newline(&mut put);
                    }
                    out.append(&mut put);
                }
            }
        }
        Ok(out)
    }

    fn include(
        &mut self,
        name: &str,
        hash: &[(String, Arg)],
        body: Option<&[Node]>,
        pos: &Pos,
        env: &Env<'_>,
        scope: &mut Scope,
    ) -> Result<Vec<Node>, Issue> {
        if name == "@partial-block" {
            let block = env.block.ok_or_else(|| {
                Issue::new(pos, "`@partial-block` stands outside a layout")
                    .hint("use the layout as `{{#> name}}…{{/name}}`")
            })?;
            self.left = self.left.checked_sub(count(block)).ok_or_else(|| {
                Issue::new(pos, format!("the part grows beyond {MAX_NODES} pieces when partials are put in place"))
            })?;
            return Ok(block.to_vec());
        }
        if env.depth >= MAX_INCLUDES {
            return Err(Issue::new(pos, format!("partials nest deeper than {MAX_INCLUDES}")));
        }
        let library = self.fixed.library;
        let part = library.parts.get(name).ok_or_else(|| library.missing(name, pos))?;
        self.files.insert(Arc::clone(&part.file));
        let mut params = BTreeMap::new();
        for (key, arg) in hash {
            if ROOTS.contains(&key.as_str()) || self.fixed.words.contains_key(key.as_str()) || helpers::is_known(key) {
                return Err(Issue::new(pos, format!("`{key}` is the name of a variable or helper; choose another")));
            }
            params.insert(key.clone(), self.arg(arg, pos, env, scope)?);
        }
        let block = body.map(|body| self.nodes(body, env, scope)).transpose()?;
        let inner = Env { params: Some(&params), block: block.as_deref(), depth: env.depth + 1 };
        self.nodes(&part.nodes, &inner, &mut Scope { names: Vec::new(), elements: scope.elements })
    }

    fn value(
        &mut self,
        call: &Call,
        pos: &Pos,
        env: &Env<'_>,
        scope: &Scope,
        out: &mut Vec<Node>,
    ) -> Result<(), Issue> {
        if !call.is_bare() || call.head.word().is_some_and(helpers::is_known) {
            let call = self.call(call, pos, env, scope)?;
            out.push(Node::Value { call, pos: pos.clone() });
            return Ok(());
        }
        if let Some(key) = text_key(&call.head) {
            let text = self.fixed.texts.get(key).ok_or_else(|| self.no_text(key, pos))?;
            // A text may name variables, not other texts: one level is all that authors need.
            let plain = Fixed { library: &Library::default(), texts: &BTreeMap::new(), words: self.fixed.words };
            let mut run = Run { fixed: &plain, files: BTreeSet::new(), left: self.left };
            out.append(&mut run.nodes(
                text,
                &Env { params: None, block: None, depth: MAX_INCLUDES },
                &mut Scope::default(),
            )?);
            self.left = run.left;
            return Ok(());
        }
        match self.path(&call.head, pos, env, scope, true)? {
            Arg::Path(head) if text_key(&head).is_some() && head != call.head => {
                let call = Call { head, args: Vec::new(), hash: Vec::new() };
                self.value(&call, pos, &Env { params: None, ..*env }, scope, out)?;
            }
            Arg::Path(head) => {
                out.push(Node::Value { call: Call { head, args: Vec::new(), hash: Vec::new() }, pos: pos.clone() });
            }
            Arg::Call(call) => out.push(Node::Value { call, pos: pos.clone() }),
            Arg::Text(text) if text.contains("{{") || text.contains("}}") => {
                return Err(Issue::new(pos, "a text given to a partial cannot hold tags")
                    .hint("use `[texts]` in template.toml"));
            }
            Arg::Text(text) | Arg::Number(text) => out.push(Node::Text { text, pos: pos.clone() }),
            Arg::Bool(_) | Arg::Null => {
                return Err(Issue::new(pos, format!("`{}` has nothing to print", call.head.text())));
            }
        }
        Ok(())
    }

    fn call(&self, call: &Call, pos: &Pos, env: &Env<'_>, scope: &Scope) -> Result<Call, Issue> {
        let args = call.args.iter().map(|a| self.arg(a, pos, env, scope)).collect::<Result<_, _>>()?;
        let hash = call
            .hash
            .iter()
            .map(|(k, a)| Ok((k.clone(), self.arg(a, pos, env, scope)?)))
            .collect::<Result<_, Issue>>()?;
        Ok(Call { head: call.head.clone(), args, hash })
    }

    fn arg(&self, arg: &Arg, pos: &Pos, env: &Env<'_>, scope: &Scope) -> Result<Arg, Issue> {
        match arg {
            Arg::Path(path) => self.path(path, pos, env, scope, false),
            Arg::Call(call) if call.is_bare() && !call.head.word().is_some_and(helpers::is_known) => {
                self.path(&call.head, pos, env, scope, false)
            }
            Arg::Call(call) => Ok(Arg::Call(self.call(call, pos, env, scope)?)),
            other => Ok(other.clone()),
        }
    }

    /// What a path stands for, after parameters and fixed words.
    fn path(&self, path: &Path, pos: &Pos, env: &Env<'_>, scope: &Scope, printed: bool) -> Result<Arg, Issue> {
        let head = path.head();
        let own = path.up == 0 && !head.starts_with('@') && head != "this" && !scope.names.iter().any(|n| n == head);
        if !own || ROOTS.contains(&head) || head == "texts" {
            return Ok(Arg::Path(path.clone()));
        }
        if let (Some(word), 1) = (self.fixed.words.get(head), path.segments.len()) {
            return Ok(Arg::Text(word.clone()));
        }
        let Some(params) = env.params else { return Ok(Arg::Path(path.clone())) };
        match params.get(head) {
            Some(Arg::Path(base)) => {
                let mut full = base.clone();
                full.segments.extend(path.segments.iter().skip(1).cloned());
                Ok(Arg::Path(full))
            }
            Some(value) if path.segments.len() == 1 => Ok(value.clone()),
            Some(_) => Err(Issue::new(pos, format!("`{head}` was given as a value; it has no fields"))),
            None if scope.elements > 0 => Ok(Arg::Path(path.clone())),
            None if printed => {
                Err(Issue::new(pos, format!("the partial needs `{head}`"))
                    .hint(format!("give it: `{{{{> … {head}=…}}}}`")))
            }
            None => Ok(Arg::Null),
        }
    }

    fn no_text(&self, key: &str, pos: &Pos) -> Issue {
        let issue = Issue::new(pos, format!("text `{key}` does not exist in this locale"));
        match helpers::nearest(key, self.fixed.texts.keys().map(String::as_str)) {
            Some(near) => issue.hint(format!("did you mean `texts.{near}`?")),
            None => issue.hint("add it to `[texts]`, or `[locale.<tag>.texts]`, of template.toml"),
        }
    }
}

fn text_key(path: &Path) -> Option<&str> {
    match path.segments.as_slice() {
        [head, key] if path.up == 0 && head == "texts" => Some(key),
        _ => None,
    }
}

fn place(node: &Node) -> &Pos {
    match node {
        Node::Text { pos, .. } | Node::Value { pos, .. } | Node::Block { pos, .. } | Node::Include { pos, .. } => pos,
    }
}

fn count(nodes: &[Node]) -> usize {
    let mut n = 0;
    walk(nodes, &mut |_| n += 1);
    n
}

fn alone_on_its_line(before: &[Node], after: Option<&Node>) -> bool {
    let starts = match before.last() {
        None => true,
        Some(Node::Text { text, .. }) => text.trim_end_matches([' ', '\t']).ends_with('\n'),
        Some(_) => false,
    };
    starts && matches!(after, Some(Node::Text { text, .. }) if text.starts_with('\n') || text.starts_with("\r\n"))
}

fn strip_last_newline(nodes: &mut [Node]) {
    if let Some(Node::Text { text, .. }) = nodes.last_mut()
        && text.ends_with('\n')
    {
        text.pop();
    }
}
