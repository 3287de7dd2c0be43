//! The audit: who looked at a person or changed what the relay does, as JSON lines in `audit.log` below `storage.dir`.
//!
//! Promises: a line is durable before an action begins and another before it is answered, so that nothing is done unseen, not
//! even by an action that a crash or a closed connection breaks off; an action whose line cannot be written is not carried out.
//! Never: a person: what an action is about is told by scope words, our own ids, counts and keyed hashes. The one text of a
//! caller's own is the name they give themselves.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::caller::{Caller, calls_themselves};
use super::{AdminError, Desk};

mod file;

use file::Lines;

/// Size from which a file is put aside (and kept), bytes.
const MOST: u64 = 64 << 20;
/// Ids named in one line; further ones are counted.
const MOST_IDS: usize = 100;

/// Where audit lines go. Cheap to clone.
#[derive(Clone)]
pub(super) struct Audit(Arc<Lines>);

/// What somebody does. The word of the file, and the words of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    ContactRead,
    ContactPut,
    ContactsImported,
    ContactDeleted,
    PeopleSearched,
    ListBegun,
    ListFilled,
    ListFinished,
    BodyRevealed,
    Redriven,
    Dropped,
    Cancelled,
    Requeued,
    Paused,
    Resumed,
    ModeSet,
    BrakeReleased,
    UnreachableListed,
    WithoutScope,
}

impl Action {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::ContactRead => ("vault.get", "contact read"),
            Self::ContactPut => ("vault.put", "contact put"),
            Self::ContactsImported => ("vault.import", "contacts imported"),
            Self::ContactDeleted => ("vault.delete", "contact deleted"),
            Self::PeopleSearched => ("vault.find", "people looked for by number or address"),
            Self::ListBegun => ("vault.list.begin", "list of barred numbers begun"),
            Self::ListFilled => ("vault.list.add", "numbers put on a list of barred numbers"),
            Self::ListFinished => ("vault.list.finish", "list of barred numbers finished"),
            Self::BodyRevealed => ("quarantine.reveal", "quarantined body revealed"),
            Self::Redriven => ("quarantine.redrive", "quarantined delivery re-driven"),
            Self::Dropped => ("quarantine.drop", "quarantined delivery dropped for good"),
            Self::Cancelled => ("notifications.cancel", "notifications cancelled"),
            Self::Requeued => ("notifications.requeue", "notifications requeued"),
            Self::Paused => ("pause", "paused"),
            Self::Resumed => ("resume", "resumed"),
            Self::ModeSet => ("mode", "mode set"),
            Self::BrakeReleased => ("brake.release", "brake released"),
            Self::UnreachableListed => ("report.unreachable", "people who could not be reached listed"),
            Self::WithoutScope => ("scope", "refused for want of a scope"),
        }
    }
}

/// One action on its way.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    action: Action,
    who: String,
    by: String,
    about: Map<String, Value>,
}

impl Entry {
    /// An action, asked for by `caller`, who calls themselves `by`.
    pub(super) fn new(action: Action, caller: &Caller, by: &str) -> Self {
        Self { action, who: caller.who.clone(), by: calls_themselves(by), about: Map::new() }
    }

    /// With a fact of what it is about: an id of ours, a word, a count, a keyed hash. Never what was typed.
    #[must_use]
    pub(super) fn about(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.about.insert(name.into(), value.to_string().into());
        self
    }

    /// With the same, where there is one.
    #[must_use]
    pub(super) fn about_some(self, name: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.about(name, value),
            None => self,
        }
    }

    /// With ids of ours; of many the first, and how many there are.
    #[must_use]
    pub(super) fn about_ids<T: fmt::Display>(mut self, ids: &[T]) -> Self {
        if ids.is_empty() {
            return self;
        }
        let named: Vec<Value> = ids.iter().take(MOST_IDS).map(|id| id.to_string().into()).collect();
        self.about.insert("ids".into(), named.into());
        self.about("id_count", ids.len())
    }
}

#[derive(Serialize)]
struct Line<'l> {
    time: String,
    /// The same in the first and the last line of an action.
    id: &'l str,
    who: &'l str,
    by: &'l str,
    action: &'static str,
    about: &'l Map<String, Value>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
}

impl Audit {
    /// Lines below `dir`, which must exist when the first is written.
    pub(super) fn new(dir: &Path) -> Self {
        Self(Arc::new(Lines::new(dir, MOST)))
    }
}

/// An action that has begun. Dropped before its end, it says so itself.
struct Begun {
    desk: Desk,
    entry: Entry,
    id: String,
    ended: bool,
}

impl Begun {
    fn line(&self, result: &'static str, count: Option<usize>) -> String {
        let Entry { action, who, by, about } = &self.entry;
        let time = self.desk.house.clock.now().to_string();
        let line = Line { time, id: &self.id, who, by, action: action.words().0, about, result, count };
        serde_json::to_string(&line).expect("a line has text keys only")
    }

    async fn write(&self, result: &'static str, count: Option<usize>) -> io::Result<()> {
        let (lines, line) = (self.desk.audit.0.clone(), self.line(result, count));
        let written = tokio::task::spawn_blocking(move || lines.append(&line)).await;
        written.unwrap_or_else(|_| Err(io::Error::other("the writer stopped")))
    }

    fn say(&self, result: &'static str, count: Option<usize>) {
        let Entry { action, who, by, about } = &self.entry;
        let about = Value::Object(about.clone());
        let (_, words) = action.words();
        tracing::warn!(audit = true, audit.id = self.id, who, by, %about, result, count, "{words}");
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.say("broken_off", None);
        if let Err(error) = self.desk.audit.0.append(&self.line("broken_off", None)) {
            tracing::error!(%error, audit.id = self.id, "an audit line could not be written");
        }
    }
}

impl Desk {
    /// Carries out an action between its two lines. `act` gives the answer and how many things it changed or showed.
    pub(super) async fn audited<T>(
        &self,
        entry: Entry,
        act: impl Future<Output = Result<(T, usize), AdminError>>,
    ) -> Result<T, AdminError> {
        let id = format!("{:016x}", fastrand::u64(..));
        // Until the first line rests there is nothing to end.
        let mut begun = Begun { desk: self.clone(), entry, id, ended: true };
        begun.write("begun", None).await.map_err(|cause| AdminError::AuditBefore(cause.kind()))?;
        begun.ended = false;
        let done = act.await;
        let (result, count) = match &done {
            Ok((_, count)) => ("done", Some(*count)),
            Err(error) if error.status().is_client_error() => ("refused", None),
            Err(_) => ("failed", None),
        };
        begun.ended = true;
        begun.say(result, count);
        let written = begun.write(result, count).await;
        let (answer, _) = done?;
        written.map_err(|cause| AdminError::AuditAfter(cause.kind()))?;
        Ok(answer)
    }
}
