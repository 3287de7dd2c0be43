//! The vault's door: put, get, find, delete, import.
//!
//! Promises: `get` is an audited exit, and every change is audited; a change is synced before it is answered, and wakes who waits.
//! Never: a person in a log, an error or any other answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::event::{Alias, alias_hash};
use crate::id::Namespace;
use crate::personal::Personal;
use crate::vault::import::Fault;
use crate::vault::json::ContactJson;
use crate::vault::{Contact, Learned, NamedAlias, PutHow, PutMode, PutRow, Reach, Resolution, VaultStats};

use super::audit::{Action, Entry};
use super::caller::Caller;
use super::find::parse_alias;
use super::read::Read;
use super::{AdminError, Answer, Desk};

/// What a put does with what is stored already.
#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
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
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Replace => "replace",
            Self::Aliases => "aliases",
        }
    }
}

impl From<How> for PutHow {
    fn from(how: How) -> Self {
        match how {
            How::Patch => Self::Contact(PutMode::Patch),
            How::Replace => Self::Contact(PutMode::Replace),
            How::Aliases => Self::Aliases,
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
    /// Rows with an identifier that belonged to somebody else, by their position in the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    contested: Vec<usize>,
    woken: usize,
    /// Left out, because the person was erased at that time or later.
    erased: usize,
    /// Rows that were refused, by their position in the request, with the fault.
    faults: Vec<RowRefused>,
}

impl Changed {
    pub(super) fn of_rows(rows: usize) -> Self {
        Self { rows, ..Self::default() }
    }

    fn count(&mut self, row: usize, learned: &Learned) {
        self.linked += learned.linked;
        self.conflicts += learned.conflicts;
        if learned.conflicts > 0 {
            self.contested.push(row);
        }
        self.erased += usize::from(learned.erased);
    }
}

#[derive(Serialize)]
struct RowRefused {
    row: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    fault: String,
}

impl RowRefused {
    fn new(row: usize, fault: Fault) -> Self {
        Self { row, field: fault.field, fault: fault.what }
    }
}

pub(super) async fn put(State(desk): State<Arc<Desk>>, caller: Caller, Read(put): Read<Put>) -> Answer<Changed> {
    let namespace = desk.namespace(put.namespace)?;
    let person = desk.person(put.contact)?;
    let hashes: Vec<_> = person.aliases.iter().map(|named| desk.house.vault.alias(&namespace, named).hash).collect();
    let entry = Entry::new(Action::ContactPut, &caller, &put.by).about("namespace", &namespace).about_ids(&hashes);
    let putting = async {
        let Person { dated, contact, aliases } = person;
        let learned = desk.put_parts(&namespace, &aliases, contact, dated, put.how)?;
        Ok((desk.settle(learned, Changed::of_rows(1)).await?, 1))
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
    /// Of what time rows are that do not say so; now, if the request does not say it either.
    #[serde(default)]
    as_of: Option<jiff::Timestamp>,
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
        let now = desk.house.clock.now();
        let as_of = import.as_of.map_or(now, Time::from).min(now);
        let changed = desk.import_rows(&namespace, import.rows, import.how, as_of).await?;
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
    pub(super) namespace: Option<Namespace>,
    /// `external_id:GT0042`
    pub(super) customer: String,
    #[serde(default)]
    pub(super) by: String,
}

pub(super) async fn get(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(who): Read<Who>,
) -> Answer<serde_json::Value> {
    desk.show(&caller, who).await.map(Json)
}

/// A number or an address, and who asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    #[serde(default)]
    namespace: Option<Namespace>,
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    by: String,
}

/// Who was found: identifiers only.
#[derive(Serialize)]
pub(super) struct FoundPeople {
    people: Vec<FoundPerson>,
    /// True if there are more than were answered.
    more: bool,
}

#[derive(Serialize)]
struct FoundPerson {
    /// False if only an event once said that they have this number.
    current: bool,
    identifiers: serde_json::Value,
}

/// Most people one search answers with.
const MOST: usize = 100;

pub(super) async fn find(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(search): Read<Search>,
) -> Answer<FoundPeople> {
    let namespace = desk.namespace(search.namespace)?;
    let reach = match (search.phone, search.email) {
        (Some(phone), None) => Reach::Phone(Personal::new(phone)),
        (None, Some(email)) => Reach::Email(Personal::new(email)),
        _ => return Err(AdminError::Invalid("give either `phone` or `email`".into())),
    };
    let by = if matches!(reach, Reach::Phone(_)) { "phone" } else { "email" };
    let entry = Entry::new(Action::PeopleSearched, &caller, &search.by).about("namespace", &namespace).about("by", by);
    let searching = async {
        let vault = &desk.house.vault;
        let (found, more) = vault.find(&namespace, &reach, MOST)?;
        let mut people = Vec::with_capacity(found.len());
        for reached in found {
            let Some(identifiers) = vault.identifiers_json(reached.id)? else { continue };
            people.push(FoundPerson { current: reached.current, identifiers });
        }
        let count = people.len();
        Ok((FoundPeople { people, more }, count))
    };
    desk.audited(entry, searching).await.map(Json)
}

/// What a removal did.
#[derive(Serialize)]
pub(super) struct Deleted {
    deleted: bool,
}

pub(super) async fn delete(State(desk): State<Arc<Desk>>, caller: Caller, Read(who): Read<Who>) -> Answer<Deleted> {
    desk.remove(&caller, who).await.map(Json)
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
    pub(super) fn namespace(&self, named: Option<Namespace>) -> Result<Namespace, AdminError> {
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
                _ => Err(AdminError::Invalid(format!(
                    "orgs use several namespaces; name one of {}",
                    known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                ))),
            },
        }
    }

    pub(super) fn alias(&self, namespace: &Namespace, text: &str) -> Result<crate::event::Alias, AdminError> {
        let (kind, value) = parse_alias(text)?;
        Ok(crate::event::Alias { kind, hash: alias_hash(&self.house.keys, namespace, kind, value) })
    }

    /// Shows a person to whoever asks: an audited exit.
    pub(super) async fn show(&self, caller: &Caller, who: Who) -> Result<serde_json::Value, AdminError> {
        let namespace = self.namespace(who.namespace)?;
        let alias = self.alias(&namespace, &who.customer)?;
        let entry = Entry::new(Action::ContactRead, caller, &who.by)
            .about("namespace", &namespace)
            .about("contact.alias", alias.hash);
        let reading = async {
            let vault = &self.house.vault;
            match vault.resolve(&namespace, &[alias], Time::MAX)? {
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
        self.audited(entry, reading).await
    }

    /// Removes a person for good.
    pub(super) async fn remove(&self, caller: &Caller, who: Who) -> Result<Deleted, AdminError> {
        let namespace = self.namespace(who.namespace)?;
        let alias = self.alias(&namespace, &who.customer)?;
        let entry = Entry::new(Action::ContactDeleted, caller, &who.by)
            .about("namespace", &namespace)
            .about("contact.alias", alias.hash);
        let deleting = async {
            let deleted = self.house.vault.delete(&namespace, alias, self.house.clock.now())?;
            self.house.vault.sync().await?;
            Ok((Deleted { deleted }, usize::from(deleted)))
        };
        self.audited(entry, deleting).await
    }

    fn person(&self, json: ContactJson) -> Result<Person, AdminError> {
        let dated = json.is_dated();
        let (contact, aliases) = json.into_parts(self.house.clock.now())?;
        Ok(Person { dated, contact, aliases })
    }

    pub(super) fn put_parts(
        &self,
        namespace: &Namespace,
        aliases: &[NamedAlias],
        contact: Contact,
        dated: bool,
        how: How,
    ) -> Result<Learned, AdminError> {
        let vault = &self.house.vault;
        // An old file without times must not bring back somebody who was erased.
        if !dated && vault.is_erased(namespace, aliases)? {
            return Ok(Learned { erased: true, ..Learned::default() });
        }
        Ok(match how {
            How::Patch => vault.put(namespace, aliases, contact, PutMode::Patch)?,
            How::Replace => vault.put(namespace, aliases, contact, PutMode::Replace)?,
            How::Aliases => vault.link(namespace, aliases, contact.updated_at)?,
        })
    }

    async fn import_rows(
        &self,
        namespace: &Namespace,
        rows: Vec<ContactJson>,
        how: How,
        as_of: Time,
    ) -> Result<Changed, AdminError> {
        let mut changed = Changed::of_rows(rows.len());
        let (mut put, mut places) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for (row, json) in rows.into_iter().enumerate() {
            let dated = json.is_dated();
            match json.into_parts(as_of) {
                Ok((contact, aliases)) => {
                    put.push(PutRow { aliases, contact, dated });
                    places.push(row);
                }
                Err(fault) => changed.faults.push(RowRefused::new(row, Fault::row(fault.to_string()))),
            }
        }
        let done = self.house.vault.put_many(namespace, &put, how.into())?;
        for (end, row) in done.rows.iter().zip(places) {
            match end {
                Ok(learned) => changed.count(row, learned),
                Err(fault) => changed.faults.push(RowRefused::new(row, Fault::from(fault))),
            }
        }
        self.note_conflicts(changed.conflicts);
        self.wake(done.woken, done.dirty, changed).await
    }

    /// Counts identifiers that belonged to somebody else.
    pub(super) fn note_conflicts(&self, conflicts: usize) {
        self.house.metrics.alias_conflicts.inc_by(conflicts as u64);
    }

    pub(super) async fn settle(&self, learned: Learned, mut changed: Changed) -> Result<Changed, AdminError> {
        changed.count(0, &learned);
        self.note_conflicts(learned.conflicts);
        self.wake(learned.woken, learned.dirty, changed).await
    }

    /// Syncs, then wakes: nobody is told "done" before it is durable, nobody is woken before it is visible.
    pub(super) async fn wake(
        &self,
        woken: Vec<Alias>,
        dirty: bool,
        mut changed: Changed,
    ) -> Result<Changed, AdminError> {
        if dirty {
            self.house.vault.sync().await?;
        }
        for alias in woken {
            changed.woken += self.waker.wake(alias.hash).await?;
        }
        Ok(changed)
    }
}
