//! What a command says: for people, and for machines.
//!
//! Promises: every command that asks the relay has both; `--json` prints the relay's own answer and nothing else on standard output.
//! Never: one without the other.

use serde_json::Value;

use super::print;

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// The answer itself.
    Json,
}

/// The answer of a command.
pub(crate) struct Said {
    /// For machines.
    pub(crate) json: Value,
    /// For people.
    pub(crate) text: String,
    /// Why the command failed all the same: told after the answer.
    pub(crate) failed: Option<anyhow::Error>,
}

impl Said {
    /// An answer, and how people read it.
    pub(crate) fn new(json: Value, text: impl FnOnce(&Value) -> String) -> Self {
        let text = text(&json);
        Self { json, text, failed: None }
    }

    /// An answer that is a failure: machines get it all the same.
    pub(crate) fn failed(json: Value, why: anyhow::Error) -> Self {
        Self { json, text: String::new(), failed: Some(why) }
    }

    /// Prints it.
    pub(crate) fn print(self, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Text if self.text.is_empty() => {}
            Format::Text => print::out(&self.text),
            Format::Json => print::out(&print::json(&self.json)),
        }
        self.failed.map_or(Ok(()), Err)
    }
}
