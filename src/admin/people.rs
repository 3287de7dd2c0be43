//! The vault's door: put, get, delete, import.
//!
//! Promises: `get` is an audited exit, and every change is audited; a change is synced before it is answered, and wakes who waits.
//! Never: a person in a log, an error or any other answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::event::alias_hash;
use crate::id::Namespace;
use crate::vault::json::ContactJson;
use crate::vault::{Contact, Learned, NamedAlias, PutMode, Resolution, VaultStats};

use super::audit::{Action, Entry};
use super::caller::Caller;
use super::find::parse_alias;
use super::read::Read;
use super::{AdminError, Answer, Desk};

/// What a put does with what is stored already.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum How {
    /// Fields not given stay.
    #[default]
    Patch,
    /// Fields not given go.
    Replace,
    /// Identifiers only; everything else is ignored.
    Aliases,
}

impl How {
    fn as_str(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Replace => "replace",
            Self::Aliases => "aliases",
        }
    }
}

/// A person to put.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Put {
    #[serde(default)]
    namespace: Option<Namespace>,
    #[serde(default)]
    how: How,
    contact: ContactJson,
    #[serde(default)]
    by: String,
}

/// What a change of people did. Counts only.
#[derive(Default, Serialize)]
pub(super) struct Changed {
    rows: usize,
    linked: usize,
    conflicts: usize,
    woken: usize,
    /// Left out, because the person was erased at that time or later.
    erased: usize,
    /// Rows that were refused, by their position in the request, with the fault.
    faults: Vec<RowRefused>,
}

#[derive(Serialize)]
struct RowRefused {
    row: usize,
    fault: String,
}

pub(super) async fn put(State(desk): State<Arc<Desk>>, caller: Caller, Read(put): Read<Put>) -> Answer<Changed> {
    let namespace = desk.namespace(put.namespace)?;
    let person = desk.person(put.contact)?;
    let hashes: Vec<_> = person.aliases.iter().map(|named| desk.house.vault.alias(&namespace, named).hash).collect();
    let entry = Entry::new(Action::ContactPut, &caller, &put.by).about("namespace", &namespace).about_ids(&hashes);
    let putting = async {
        let learned = desk.put_person(&namespace, person, put.how)?;
        let changed = desk.settle(vec![learned], Changed { rows: 1, ..Changed::default() }).await?;
        Ok((changed, 1))
    };
    desk.audited(entry.about("how", put.how.as_str()), putting).await.map(Json)
}

/// A batch of rows of an import.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Import {
    #[serde(default)]
    namespace: Option<Namespace>,
    #[serde(default)]
    how: How,
    rows: Vec<ContactJson>,
    #[serde(default)]
    by: String,
}

pub(super) async fn import(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(import): Read<Import>,
) -> Answer<Changed> {
    let namespace = desk.namespace(import.namespace)?;
    let entry = Entry::new(Action::ContactsImported, &caller, &import.by)
        .about("namespace", &namespace)
        .about("how", import.how.as_str())
        .about("rows", import.rows.len());
    let importing = async {
        let changed = desk.import_rows(&namespace, import.rows, import.how).await?;
        let stored = changed.rows - changed.faults.len();
        Ok((changed, stored))
    };
    desk.audited(entry, importing).await.map(Json)
}

/// Somebody, and who asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Who {
    #[serde(default)]
    namespace: Option<Namespace>,
    /// `external_id:GT0042`
    customer: String,
    #[serde(default)]
    by: String,
}

pub(super) async fn get(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(who): Read<Who>,
) -> Answer<serde_json::Value> {
    let namespace = desk.namespace(who.namespace)?;
    let alias = desk.alias(&namespace, &who.customer)?;
    let entry = Entry::new(Action::ContactRead, &caller, &who.by)
        .about("namespace", &namespace)
        .about("contact.alias", alias.hash);
    let reading = async {
        let vault = &desk.house.vault;
        match vault.resolve(&namespace, &[alias])? {
            Resolution::Known(id) => {
                let person = vault.person_json(id)?.ok_or(AdminError::NotFound("contact"))?;
                Ok((person, 1))
            }
            Resolution::Unknown => Err(AdminError::NotFound("contact")),
            Resolution::Erased => Err(AdminError::Conflict("this person was erased".into())),
            Resolution::Several => {
                Err(AdminError::Conflict("several people share this; ask by customer_id or external_id".into()))
            }
        }
    };
    desk.audited(entry, reading).await.map(Json)
}

/// What a removal did.
#[derive(Serialize)]
pub(super) struct Deleted {
    deleted: bool,
}

pub(super) async fn delete(State(desk): State<Arc<Desk>>, caller: Caller, Read(who): Read<Who>) -> Answer<Deleted> {
    let namespace = desk.namespace(who.namespace)?;
    let alias = desk.alias(&namespace, &who.customer)?;
    let entry = Entry::new(Action::ContactDeleted, &caller, &who.by)
        .about("namespace", &namespace)
        .about("contact.alias", alias.hash);
    let deleting = async {
        let deleted = desk.house.vault.delete(&namespace, alias, desk.house.clock.now())?;
        desk.house.vault.sync().await?;
        Ok((Deleted { deleted }, usize::from(deleted)))
    };
    desk.audited(entry, deleting).await.map(Json)
}

pub(super) async fn stats(State(desk): State<Arc<Desk>>) -> Answer<VaultStats> {
    Ok(Json(desk.house.vault.stats()?))
}

/// Somebody as a request gives them.
struct Person {
    /// True if the request says when it was true.
    dated: bool,
    contact: Contact,
    aliases: Vec<NamedAlias>,
}

impl Desk {
    /// The namespace meant: the one named, or the only one there is.
    fn namespace(&self, named: Option<Namespace>) -> Result<Namespace, AdminError> {
        let known: std::collections::BTreeSet<_> =
            self.house.config.orgs.values().map(|org| org.namespace.clone()).collect();
        match named {
            Some(named) if known.contains(&named) => Ok(named),
            Some(_) => Err(AdminError::Invalid(format!(
                "no org uses this namespace; there are {}",
                known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ))),
            None => match known.len() {
                1 => known.into_iter().next().ok_or(AdminError::NotFound("namespace")),
                0 => Err(AdminError::Invalid("no org is configured; add [org.<id>]".into())),
                _ => Err(AdminError::Invalid("orgs use several namespaces; name one".into())),
            },
        }
    }

    fn alias(&self, namespace: &Namespace, text: &str) -> Result<crate::event::Alias, AdminError> {
        let (kind, value) = parse_alias(text)?;
        Ok(crate::event::Alias { kind, hash: alias_hash(&self.house.keys, namespace, kind, value) })
    }

    fn person(&self, json: ContactJson) -> Result<Person, AdminError> {
        let dated = json.is_dated();
        let (contact, aliases) = json.into_parts(self.house.clock.now())?;
        Ok(Person { dated, contact, aliases })
    }

    fn put_person(&self, namespace: &Namespace, person: Person, how: How) -> Result<Learned, AdminError> {
        let Person { dated, contact, aliases } = person;
        let vault = &self.house.vault;
        // An old file without times must not bring back somebody who was erased.
        if !dated && vault.is_erased(namespace, &aliases)? {
            return Ok(Learned { erased: true, ..Learned::default() });
        }
        Ok(match how {
            How::Patch => vault.put(namespace, &aliases, contact, PutMode::Patch)?,
            How::Replace => vault.put(namespace, &aliases, contact, PutMode::Replace)?,
            How::Aliases => vault.link(namespace, &aliases, contact.updated_at)?,
        })
    }

    async fn import_rows(
        &self,
        namespace: &Namespace,
        rows: Vec<ContactJson>,
        how: How,
    ) -> Result<Changed, AdminError> {
        let mut changed = Changed { rows: rows.len(), ..Changed::default() };
        let mut learned = Vec::with_capacity(rows.len());
        for (row, contact) in rows.into_iter().enumerate() {
            match self.person(contact).and_then(|person| self.put_person(namespace, person, how)) {
                Ok(fact) => learned.push(fact),
                Err(AdminError::Vault(fault)) if fault.is_of_the_record() => {
                    changed.faults.push(RowRefused { row, fault: fault.to_string() });
                }
                Err(AdminError::Contact(fault)) => changed.faults.push(RowRefused { row, fault: fault.to_string() }),
                Err(other) => return Err(other),
            }
        }
        self.settle(learned, changed).await
    }

    /// Syncs, then wakes: nobody is told "done" before it is durable, nobody is woken before it is visible.
    async fn settle(&self, learned: Vec<Learned>, mut changed: Changed) -> Result<Changed, AdminError> {
        if learned.iter().any(|fact| fact.dirty) {
            self.house.vault.sync().await?;
        }
        for fact in learned {
            changed.linked += fact.linked;
            changed.conflicts += fact.conflicts;
            changed.erased += usize::from(fact.erased);
            for alias in fact.woken {
                changed.woken += self.waker.wake(alias.hash).await?;
            }
        }
        Ok(changed)
    }
}
