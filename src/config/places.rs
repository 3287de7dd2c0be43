//! Where each value was given: for whoever finds a fault when the layers are merged already.
//!
//! Promises: a fault of a key names the file and line of that key, or of the nearest table above it.
//! Never: a value; only names, files and lines.

use std::collections::BTreeMap;

use super::fault::{Fault, Faults};
use super::layer::Origin;
use super::schema::{KeyPath, dotted};
use super::secrets::Secrets;
use super::settings::Settings;
use super::{build, report};

/// What stands for the place of a fault until it is located.
const SOMEWHERE: &str = "configuration";

/// The origins of all values and tables, by their dotted keys.
#[derive(Clone, Default)]
pub struct Places(BTreeMap<String, Origin>);

impl Places {
    pub(super) fn of(settings: &Settings) -> Self {
        let mut places = BTreeMap::new();
        let mut open = vec![KeyPath::new()];
        while let Some(path) = open.pop() {
            for name in settings.names(&path) {
                let below: KeyPath = path.iter().cloned().chain([name]).collect();
                places.insert(dotted(&below), settings.place(&below));
                open.push(below);
            }
        }
        places.insert(String::new(), settings.place(&[]));
        Self(places)
    }

    /// A fault of a key with its file and line; one that has a file of its own stays as it is.
    pub fn locate(&self, fault: Fault) -> Fault {
        if fault.file.as_os_str() != SOMEWHERE {
            return fault;
        }
        let mut place = fault.key.as_str();
        loop {
            match (self.0.get(place), place.rfind('.')) {
                (Some(origin), _) => return report::fault(origin, fault.key, fault.what, fault.hint),
                (None, Some(dot)) => place = &place[..dot],
                (None, None) if place.is_empty() => return fault,
                (None, None) => place = "",
            }
        }
    }

    /// As [`Places::locate`], for all.
    pub fn locate_all(&self, faults: Faults) -> Faults {
        Faults(faults.0.into_iter().map(|fault| self.locate(fault)).collect())
    }
}

/// What can be known of a configuration that has faults: its sound parts, and which keys are not. What is missing is as by default.
pub struct Known {
    /// The sound parts.
    pub config: super::Config,
    /// Dotted keys with a fault, in small letters.
    faulty: Vec<String>,
}

impl Known {
    /// `None` if not even the defaults can be read.
    pub(super) fn of(settings: &Settings, defaults: &Settings, secrets: &Secrets, faults: &Faults) -> Option<Self> {
        let key = |fault: &Fault| {
            let key = fault.key.to_ascii_lowercase();
            key.strip_prefix("sealpost__").map(|variable| variable.replace("__", ".")).unwrap_or(key)
        };
        let faulty: Vec<String> = faults.0.iter().map(key).collect();
        let config = build::known(settings, defaults, secrets, &|key| is_touched(&faulty, key))?;
        Some(Self { config, faulty })
    }

    /// True if the key, something above or something below it has a fault: what is found there may be a consequence.
    pub fn is_faulty(&self, key: &str) -> bool {
        is_touched(&self.faulty, key)
    }

    /// True if a fault may be nothing but the consequence of one that is told already.
    pub fn explains(&self, fault: &Fault) -> bool {
        let of_provider = fault.key.split('.').take(2).collect::<Vec<_>>().join(".");
        self.is_faulty(&fault.key)
            || (fault.what.contains("param") && self.is_faulty(&format!("{of_provider}.param")))
            // A sender that no org has may be that of an org that was left out.
            || (fault.key == "sender" && self.is_faulty("org"))
            || (fault.key == "admin.socket" && self.is_faulty("storage.dir"))
    }
}

fn is_touched(faulty: &[String], key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    let stands_in = |above: &str, below: &str| {
        !above.is_empty() && below.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    faulty.iter().any(|faulty| stands_in(faulty, &key) || stands_in(&key, faulty))
}
