//! The vault's door: put, get, find, delete, import.
//!
//! Promises: `get` is an audited exit, logged with who asked; a change is synced before it is answered, and wakes who waits.
//! Never: a person in a log, an error or any other answer.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::event::{Alias, alias_hash};
use crate::id::Namespace;
use crate::personal::Personal;
use crate::vault::import::Fault;
use crate::vault::json::ContactJson;
use crate::vault::{Contact, Learned, NamedAlias, PutHow, PutMode, PutRow, Reach, Resolution, VaultStats};

use super::find::parse_alias;
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
pub(super) struct Put {
    #[serde(default)]
    namespace: Option<Namespace>,
    #[serde(default)]
    how: How,
    contact: ContactJson,
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

impl Changed {
    pub(super) fn of_rows(rows: usize) -> Self {
        Self { rows, ..Self::default() }
    }

    fn count(&mut self, learned: &Learned) {
        self.linked += learned.linked;
        self.conflicts += learned.conflicts;
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

pub(super) async fn put(State(desk): State<Arc<Desk>>, body: Bytes) -> Answer<Changed> {
    let put: Put = read(&body)?;
    let namespace = desk.namespace(put.namespace)?;
    let learned = desk.put_contact(&namespace, put.contact, put.how, desk.house.clock.now())?;
    desk.settle(learned, Changed::of_rows(1)).await
}

/// A batch of rows of an import.
#[derive(Deserialize)]
pub(super) struct Import {
    #[serde(default)]
    namespace: Option<Namespace>,
    #[serde(default)]
    how: How,
    /// Of what time rows are that do not say so; now, if the request does not say it either.
    #[serde(default)]
    as_of: Option<jiff::Timestamp>,
    rows: Vec<ContactJson>,
}

pub(super) async fn import(State(desk): State<Arc<Desk>>, body: Bytes) -> Answer<Changed> {
    let import: Import = read(&body)?;
    let namespace = desk.namespace(import.namespace)?;
    let now = desk.house.clock.now();
    let as_of = import.as_of.map_or(now, Time::from).min(now);
    let mut changed = Changed::of_rows(import.rows.len());
    let mut rows = Vec::with_capacity(import.rows.len());
    let mut places = Vec::with_capacity(import.rows.len());
    for (row, json) in import.rows.into_iter().enumerate() {
        let dated = json.is_dated();
        match json.into_parts(as_of) {
            Ok((contact, aliases)) => {
                rows.push(PutRow { aliases, contact, dated });
                places.push(row);
            }
            Err(fault) => changed.faults.push(RowRefused::new(row, Fault::row(fault.to_string()))),
        }
    }
    let put = desk.house.vault.put_many(&namespace, &rows, import.how.into())?;
    for (end, row) in put.rows.iter().zip(places) {
        match end {
            Ok(learned) => changed.count(learned),
            Err(fault) => changed.faults.push(RowRefused::new(row, Fault::from(fault))),
        }
    }
    desk.wake(put.woken, put.dirty, changed).await
}

/// Somebody, and who asks.
#[derive(Deserialize)]
pub(super) struct Who {
    #[serde(default)]
    pub(super) namespace: Option<Namespace>,
    /// `external_id:GT0042`
    pub(super) customer: String,
    #[serde(default)]
    pub(super) by: String,
}

pub(super) async fn get(State(desk): State<Arc<Desk>>, body: Bytes) -> Answer<serde_json::Value> {
    show(&desk, read(&body)?)
}

/// Shows a person to whoever asks: one of the two audited exits.
pub(super) fn show(desk: &Desk, who: Who) -> Answer<serde_json::Value> {
    let namespace = desk.namespace(who.namespace)?;
    let alias = desk.alias(&namespace, &who.customer)?;
    let vault = &desk.house.vault;
    match vault.resolve(&namespace, &[alias])? {
        Resolution::Known(id) => {
            tracing::warn!(contact.alias = %alias.hash, by = who.by, audit = true, "contact read");
            vault.person_json(id)?.map(Json).ok_or(AdminError::NotFound("contact"))
        }
        Resolution::Unknown => Err(AdminError::NotFound("contact")),
        Resolution::Erased => Err(AdminError::Conflict("this person was erased".into())),
        Resolution::Several => {
            Err(AdminError::Conflict("several people share this; ask by customer_id or external_id".into()))
        }
    }
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

pub(super) async fn find(State(desk): State<Arc<Desk>>, body: Bytes) -> Answer<FoundPeople> {
    let search: Search = read(&body)?;
    let namespace = desk.namespace(search.namespace)?;
    let reach = match (search.phone, search.email) {
        (Some(phone), None) => Reach::Phone(Personal::new(phone)),
        (None, Some(email)) => Reach::Email(Personal::new(email)),
        _ => return Err(AdminError::Invalid("give either `phone` or `email`".into())),
    };
    let vault = &desk.house.vault;
    let (found, more) = vault.find(&namespace, &reach, MOST)?;
    let mut people = Vec::with_capacity(found.len());
    for reached in found {
        let Some(identifiers) = vault.identifiers_json(reached.id)? else { continue };
        people.push(FoundPerson { current: reached.current, identifiers });
    }
    tracing::warn!(by = search.by, audit = true, found = people.len(), "people looked for by number or address");
    Ok(Json(FoundPeople { people, more }))
}

/// What a removal did.
#[derive(Serialize)]
pub(super) struct Deleted {
    deleted: bool,
}

pub(super) async fn delete(State(desk): State<Arc<Desk>>, body: Bytes) -> Answer<Deleted> {
    remove(&desk, read(&body)?).await
}

/// Removes a person for good.
pub(super) async fn remove(desk: &Desk, who: Who) -> Answer<Deleted> {
    let namespace = desk.namespace(who.namespace)?;
    let alias = desk.alias(&namespace, &who.customer)?;
    let deleted = desk.house.vault.delete(&namespace, alias, desk.house.clock.now())?;
    desk.house.vault.sync().await?;
    tracing::warn!(contact.alias = %alias.hash, by = who.by, audit = true, deleted, "contact deleted");
    Ok(Json(Deleted { deleted }))
}

pub(super) async fn stats(State(desk): State<Arc<Desk>>) -> Answer<VaultStats> {
    Ok(Json(desk.house.vault.stats()?))
}

/// Reads a body that may hold a person: the parser's own message would quote it, so only the place is told.
pub(super) fn read<T: serde::de::DeserializeOwned>(body: &Bytes) -> Result<T, AdminError> {
    serde_json::from_slice(body).map_err(|error| {
        AdminError::Invalid(format!(
            "body does not fit at line {}, column {}; see the API's description for its fields",
            error.line(),
            error.column()
        ))
    })
}

impl Desk {
    /// The namespace meant: the one named, or the only one there is.
    pub(super) fn namespace(&self, named: Option<Namespace>) -> Result<Namespace, AdminError> {
        let known: std::collections::BTreeSet<_> =
            self.house.config.orgs.values().map(|org| org.namespace.clone()).collect();
        match named {
            Some(named) if known.contains(&named) => Ok(named),
            Some(named) => Err(AdminError::Invalid(format!("no org uses the namespace `{named}`"))),
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

    fn put_contact(
        &self,
        namespace: &Namespace,
        json: ContactJson,
        how: How,
        as_of: Time,
    ) -> Result<Learned, AdminError> {
        let dated = json.is_dated();
        let (contact, aliases) = json.into_parts(as_of)?;
        self.put_parts(namespace, &aliases, contact, dated, how)
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

    pub(super) async fn settle(&self, learned: Learned, mut changed: Changed) -> Answer<Changed> {
        changed.count(&learned);
        self.wake(learned.woken, learned.dirty, changed).await
    }

    /// Syncs, then wakes: nobody is told "done" before it is durable, nobody is woken before it is visible.
    pub(super) async fn wake(&self, woken: Vec<Alias>, dirty: bool, mut changed: Changed) -> Answer<Changed> {
        if dirty {
            self.house.vault.sync().await?;
        }
        for alias in woken {
            changed.woken += self.waker.wake(alias.hash).await?;
        }
        Ok(Json(changed))
    }
}
