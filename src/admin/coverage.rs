//! Coverage: how many of the people in recent events could be written to, and what the others lack.
//!
//! Promises: counts only, by org and by template; as the vault stands now, so that a file that was loaded shows at once; a
//! bounded number of events.
//! Never: a person, an identifier, a hash.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::event::Subject;
use crate::id::{Channel, Namespace, OrgId, TemplateId};
use crate::template::names_somebody;
use crate::vault::{Contact, Resolution};

use super::read::Asked;
use super::{AdminError, Answer, Desk};

/// Most events that are looked at.
const MOST: usize = 20_000;
/// Events between two turns of other requests.
const TURN: usize = 50;

/// How far back.
#[derive(Deserialize)]
pub(super) struct Reach {
    #[serde(default)]
    events: Option<usize>,
}

/// The answer.
#[derive(Default, Serialize)]
pub(super) struct Coverage {
    /// Events looked at, the newest ones.
    events: u64,
    /// When the oldest of them was received.
    since: Option<String>,
    orgs: BTreeMap<OrgId, OrgCoverage>,
    /// By template: each notification is one.
    templates: BTreeMap<TemplateId, Lacks>,
}

#[derive(Default, Serialize)]
struct OrgCoverage {
    events: u64,
    /// Events about nobody: groups, definitions.
    about_nobody: u64,
    /// The people whom events are about by default, one for each event they are in.
    #[serde(flatten)]
    people: Lacks,
}

/// How many there are, and how many of them lack what. Who lacks an alias is not counted as lacking a contact too.
#[derive(Default, Serialize)]
struct Lacks {
    all: u64,
    /// The identifiers in the event lead to nobody: an alias-only file is missing.
    no_alias: u64,
    /// They lead to somebody of whom the brand has told nothing.
    no_contact: u64,
    /// A contact without an address on any channel that is wanted.
    no_address: u64,
    /// A contact without a first name, or with a word that is none.
    no_name: u64,
    /// Only a shared number is known, and several people have it.
    several: u64,
    /// The person was erased: meant so.
    erased: u64,
}

pub(super) async fn coverage(State(desk): State<Arc<Desk>>, Asked(reach): Asked<Reach>) -> Answer<Coverage> {
    let ledger = &desk.house.ledger;
    let limit = reach.events.unwrap_or(1_000).clamp(1, MOST);
    let mut coverage = Coverage::default();
    let mut oldest = None;
    for (count, key) in ledger.events_between(Time::from_millis(0), Time::MAX, limit)?.into_iter().enumerate() {
        if count % TURN == 0 {
            tokio::task::yield_now().await;
        }
        let Some(record) = ledger.event(key)? else { continue };
        coverage.events += 1;
        oldest = Some(oldest.map_or(record.received_at, |before: Time| before.min(record.received_at)));
        // An event of an org that is not configured has no namespace to look in, and is never sent.
        let Some(org) = desk.house.config.orgs.get(&record.event.org) else { continue };
        let of_org = coverage.orgs.entry(record.event.org).or_default();
        of_org.events += 1;
        of_org.about_nobody += u64::from(record.event.people.is_empty());
        for person in record.event.people.iter().filter(|person| person.is_default) {
            let lack =
                desk.lack(&org.namespace, &person.subject, record.event.created_at, &[Channel::Email, Channel::Sms])?;
            of_org.people.count(&lack);
        }
        for n in ledger.notifications_of(key)? {
            let lack = desk.lack(&org.namespace, &n.subject, n.event_at, &n.channels)?;
            coverage.templates.entry(n.rule.template).or_default().count(&lack);
        }
    }
    coverage.since = oldest.map(|at| at.to_string());
    Ok(Json(coverage))
}

/// What is known of somebody.
enum Known {
    NoAlias,
    NoContact,
    Several,
    Erased,
    Contact { address: bool, name: bool },
}

impl Lacks {
    fn count(&mut self, known: &Known) {
        self.all += 1;
        match known {
            Known::NoAlias => self.no_alias += 1,
            Known::NoContact => self.no_contact += 1,
            Known::Several => self.several += 1,
            Known::Erased => self.erased += 1,
            Known::Contact { address, name } => {
                self.no_address += u64::from(!address);
                self.no_name += u64::from(!name);
            }
        }
    }
}

impl Desk {
    fn lack(
        &self,
        namespace: &Namespace,
        subject: &Subject,
        at: Time,
        channels: &[Channel],
    ) -> Result<Known, AdminError> {
        let vault = &self.house.vault;
        Ok(match vault.resolve(namespace, &subject.aliases, at)? {
            Resolution::Erased => Known::Erased,
            Resolution::Several => Known::Several,
            Resolution::Known(id) => vault.contact(id)?.map_or(Known::NoContact, |contact| seen(&contact, channels)),
            Resolution::Unknown if vault.knows_alias(&subject.aliases)? => Known::NoContact,
            Resolution::Unknown => Known::NoAlias,
        })
    }
}

fn seen(contact: &Contact, channels: &[Channel]) -> Known {
    Known::Contact {
        address: channels.iter().any(|channel| contact.address(*channel).is_some()),
        name: contact.first_name.as_ref().is_some_and(names_somebody),
    }
}
