//! Where faults and warnings gather while the configuration is read.
//!
//! Promises: sorted by file, line and key, each once, whatever order they were found in; hidden values stay hidden.
//! Never: stops at the first.

use std::collections::BTreeSet;

use ::config::Value;

use super::fault::{Fault, Faults};
use super::layer::{Origin, Rank, misfit_text, names_at};
use super::schema::{self, KeyPath, Row, dotted, nearest};

/// What was found so far.
#[derive(Default)]
pub(super) struct Report {
    faults: BTreeSet<Fault>,
    warnings: BTreeSet<Fault>,
}

impl Report {
    /// Notes a fault. In the environment the variable's name stands for the key: that is what the operator has to look for.
    pub(super) fn fault(
        &mut self,
        origin: &Origin,
        key: impl Into<String>,
        what: impl Into<String>,
        hint: Option<String>,
    ) {
        self.faults.insert(fault(origin, key.into(), what.into(), hint));
    }

    /// Notes something that works and is probably not meant.
    pub(super) fn warn(
        &mut self,
        origin: &Origin,
        key: impl Into<String>,
        what: impl Into<String>,
        hint: Option<String>,
    ) {
        self.warnings.insert(fault(origin, key.into(), what.into(), hint));
    }

    /// True if the configuration cannot be used.
    pub(super) fn is_faulty(&self) -> bool {
        !self.faults.is_empty()
    }

    /// All faults.
    pub(super) fn into_faults(self) -> Faults {
        Faults(self.faults.into_iter().collect())
    }

    /// The warnings, or all faults.
    pub(super) fn finish(self) -> Result<Vec<Fault>, Faults> {
        if self.faults.is_empty() { Ok(self.warnings.into_iter().collect()) } else { Err(self.into_faults()) }
    }

    /// Notes an unknown key or section, with the nearest one that exists.
    pub(super) fn unknown(&mut self, path: &KeyPath, origin: &Origin) {
        let Some((name, above)) = path.split_last() else { return };
        let siblings = schema::children(above);
        let what = if above.is_empty() { "unknown section" } else { "unknown key" };
        let hint = if let Some(near) = nearest(name, siblings.iter().copied()) {
            format!("did you mean `{near}`?")
        } else if let Some(home) = schema::homes_of(name).first() {
            format!("did you mean `{home}`?")
        } else {
            let known: Vec<_> =
                siblings.iter().filter(|name| !name.starts_with('*')).map(|n| format!("`{n}`")).collect();
            format!("known here: {}", known.join(", "))
        };
        self.fault(origin, dotted(path), what, Some(hint));
    }

    /// Checks the last name of a path where the operator chooses it.
    pub(super) fn check_name(&mut self, path: &KeyPath, origin: &Origin) {
        let (Some(names), Some(name)) = (names_at(path), path.last()) else { return };
        if let Err(unfit) = names.check(name) {
            let hint = (names.check(&name.to_ascii_lowercase()).is_ok()).then(|| "use small letters".to_owned());
            self.fault(origin, dotted(path), format!("`{name}` is not {}", unfit.expected), hint);
        }
    }

    /// Checks a value against its key.
    pub(super) fn check_value(&mut self, row: &Row, path: &KeyPath, value: &Value, origin: &Origin) {
        if let Err(misfit) = row.kind.check(value) {
            let hint = if origin.rank == Rank::Environment { None } else { row.kind.hint(&value.kind) };
            self.fault(origin, dotted(path), misfit_text(row, value, &misfit), hint);
        }
    }
}

/// A fault at an origin.
pub(super) fn fault(origin: &Origin, key: String, what: String, hint: Option<String>) -> Fault {
    let in_environment = origin.rank == Rank::Environment;
    let key = if in_environment && !origin.name.is_empty() { origin.name.clone() } else { key };
    Fault { file: origin.file(), line: origin.line, key, what, hint }
}
