//! The one place that touches the template engine: strict, bounded, quiet.
//!
//! Promises: a missing value is an error with its name; output and loop work are capped; HTML parts escape every value, other
//! parts escape nothing; control and direction-override characters of values vanish in all of them.
//! Never: a log of values, a partial, a script, a value in an error.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

use handlebars::{Context, Handlebars, RenderErrorReason, html_escape};
use serde_json::Value;

use super::RenderError;
use super::helpers;
use super::tables::Tables;

/// Steps that all loops of one part may take together: a third of a second at worst, far beyond any real message.
const FUEL: usize = 200_000;

/// Which escaping a part gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    Html,
    Plain,
}

/// What helpers know of the message beside their arguments.
#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    /// BCP 47 tag of the words around the value.
    pub(super) locale: String,
    /// IANA zone of the reader.
    pub(super) zone: String,
    /// IANA zone of local times without offset.
    pub(super) org_zone: String,
    /// ISO 4217 code for amounts.
    pub(super) currency: String,
    /// True in an SMS, where some characters cost a segment.
    pub(super) sms: bool,
}

struct State {
    run: Rc<Run>,
    tables: Arc<Tables>,
    fuel: usize,
    missing: Option<String>,
}

thread_local! {
    // Helpers get no state of ours through the engine; a render never leaves its thread.
    static STATE: RefCell<State> = RefCell::new(State {
        run: Rc::default(),
        tables: Arc::default(),
        fuel: 0,
        missing: None,
    });
}

/// The present message, for helpers.
pub(super) fn run() -> Rc<Run> {
    STATE.with_borrow(|s| Rc::clone(&s.run))
}

/// A cell of a look-up table.
pub(super) fn table_value(table: &str, key: &str, column: &str) -> Option<String> {
    STATE.with_borrow(|s| s.tables.get(table, key, column).map(str::to_owned))
}

/// Takes steps from the fuel.
pub(super) fn spend(steps: usize) -> Result<(), String> {
    STATE.with_borrow_mut(|s| match s.fuel.checked_sub(steps) {
        Some(left) => {
            s.fuel = left;
            Ok(())
        }
        None => Err(format!("loops take more than {FUEL} steps")),
    })
}

/// Remembers what a helper lacked: an outer helper sees only that its argument is missing.
pub(super) fn note_missing(path: Option<String>) {
    if path.is_some() {
        STATE.with_borrow_mut(|s| s.missing = path);
    }
}

/// What the last helper lacked.
pub(super) fn noted_missing() -> Option<String> {
    STATE.with_borrow(|s| s.missing.clone())
}

/// A path as authors write it.
pub(super) fn field(path: &str) -> &str {
    path.strip_prefix("@root.").unwrap_or(path)
}

/// Compiled parts.
pub(super) struct Engine {
    html: Handlebars<'static>,
    plain: Handlebars<'static>,
}

impl Default for Engine {
    fn default() -> Self {
        Self { html: strict(|value| html_escape(&clean(value))), plain: strict(clean) }
    }
}

fn strict(escape: impl Fn(&str) -> String + Send + Sync + 'static) -> Handlebars<'static> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that makes an engine")]
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    engine.set_prevent_indent(true);
    engine.register_escape_fn(escape);
    for name in ["log", "raw", "lookup", "len", "with_lookup"] {
        engine.unregister_helper(name);
    }
    helpers::register(&mut engine);
    engine
}

/// A value without characters that could break a line, a header or the reading direction.
fn clean(value: &str) -> String {
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return value.to_owned();
    }
    value
        .chars()
        .filter(|c| !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'))
        .map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c })
        .collect()
}

impl Engine {
    /// Compiles a part from its engine form; the error is in the engine's words.
    pub(super) fn add(&mut self, key: &str, escape: Escape, source: &str) -> Result<(), String> {
        let engine = match escape {
            Escape::Html => &mut self.html,
            Escape::Plain => &mut self.plain,
        };
        engine.register_template_string(key, source).map_err(|error| error.reason().to_string())
    }

    /// Renders a compiled part. `part` is its name for errors.
    pub(super) fn render(
        &self,
        key: &str,
        escape: Escape,
        (part, limit): (&str, usize),
        context: &Context,
        run: &Rc<Run>,
        tables: &Arc<Tables>,
    ) -> Result<String, RenderError> {
        STATE.with_borrow_mut(|s| {
            *s = State { run: Rc::clone(run), tables: Arc::clone(tables), fuel: FUEL, missing: None };
        });
        let engine = match escape {
            Escape::Html => &self.html,
            Escape::Plain => &self.plain,
        };
        let mut out = Capped { bytes: Vec::new(), limit, exceeded: false };
        let result = engine.render_with_context_to_write(key, context, &mut out);
        match result {
            _ if out.exceeded => Err(RenderError::TooLarge { part: part.into(), limit }),
            Err(error) => Err(explain(error.reason(), part)),
            Ok(()) => String::from_utf8(out.bytes)
                .map_err(|_| RenderError::Failed { part: part.into(), detail: "is not UTF-8".into() }),
        }
    }
}

/// Makes a context of the engine; copies nothing.
pub(super) fn context(data: Value) -> Context {
    Context::from(data)
}

fn explain(reason: &RenderErrorReason, part: &str) -> RenderError {
    let detail = match reason {
        RenderErrorReason::MissingVariable(path) => {
            let path = path.clone().or_else(noted_missing).unwrap_or_else(|| "an argument".into());
            return RenderError::Missing { field: field(&path).into() };
        }
        // Ours: helpers say no values.
        RenderErrorReason::Other(text) => text.clone(),
        RenderErrorReason::InvalidJsonIndex(name) => format!("a list has no field `{name}`"),
        RenderErrorReason::HelperNotFound(name) => format!("helper `{name}` does not exist"),
        _ => "cannot be rendered".into(),
    };
    RenderError::Failed { part: part.into(), detail }
}

/// A writer that stops at its limit.
struct Capped {
    bytes: Vec<u8>,
    limit: usize,
    exceeded: bool,
}

impl io::Write for Capped {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + more.len() > self.limit {
            self.exceeded = true;
            return Err(io::Error::other("limit"));
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
