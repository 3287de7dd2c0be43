//! Who is in an event: one table of places (reference 2.5), read in order.
//!
//! Promises: a person per place, in the order of the table; unknown events are searched in the same places.
//! Never: a person from a place that is not listed here, or from a group's id.

mod workflow;

use serde_json::{Map, Value};

use super::names::{Gathered, Namer, loose, plain, text_of};
use super::{AliasKind, Nobody, Person, Role};

/// Events about a definition: whoever they mention is not a recipient (reference 2.5, last row).
const DEFINITIONS: &[&str] =
    &["rewardCreated", "rewardUpdated", "rewardExpiryReminder", "promotionCreated", "promotionUpdated"];

/// Whom an event concerns.
#[derive(Default)]
pub(super) struct Found {
    pub(super) people: Vec<Person>,
    pub(super) nobody: Option<Nobody>,
}

/// What stands at a place.
enum Holds {
    /// A `CustomerIdentifiers` object; where it lacks the customer id, a `USER` in this `EntityInformation` gives it.
    Identifiers { or_entity: Option<&'static str> },
    /// A bare customer id.
    CustomerId,
    /// A bare card number.
    Card,
}

/// One row of the table: in events `on` (all if empty), `field` of the object `within` `data` is a person.
struct Place {
    on: &'static [&'static str],
    /// Path below `data`; `[]` goes through every element.
    within: &'static str,
    field: &'static str,
    holds: Holds,
    role: Role,
    is_default: bool,
}

const fn place(
    on: &'static [&'static str],
    within: &'static str,
    field: &'static str,
    or_entity: Option<&'static str>,
    role: Role,
    is_default: bool,
) -> Place {
    Place { on, within, field, holds: Holds::Identifiers { or_entity }, role, is_default }
}

const ANY: &[&str] = &[];
const OWN: Option<&str> = Some("entityInformation");

/// For each (`within`, `field`) the first row that fits the event's name counts.
const PLACES: &[Place] = &[
    place(ANY, "", "survivorCustomerIdentifiers", None, Role::Survivor, true),
    place(ANY, "", "victimCustomerIdentifiers", None, Role::Victim, false),
    place(&["pointsTransferredInitiated"], "", "customerIdentifiers", OWN, Role::Sender, true),
    place(&["pointsTransferredReceived"], "", "customerIdentifiers", OWN, Role::Receiver, true),
    place(
        ANY,
        "",
        "transferReceivingCustomerIdentifiers",
        Some("transferReceivingEntityInformation"),
        Role::Receiver,
        false,
    ),
    place(
        ANY,
        "",
        "transferInitiatingCustomerIdentifiers",
        Some("transferInitiatingEntityInformation"),
        Role::Sender,
        false,
    ),
    place(ANY, "", "customerIdentifiers", OWN, Role::Customer, true),
    place(&["groupCreated", "groupUpdated"], "primaryMember", "customerIdentifiers", None, Role::PrimaryMember, true),
    place(ANY, "primaryMember", "customerIdentifiers", None, Role::PrimaryMember, false),
    place(ANY, "memberAdded", "customerIdentifiers", None, Role::MemberAdded, true),
    place(ANY, "memberRemoved", "customerIdentifiers", None, Role::MemberRemoved, true),
    place(ANY, "contributingMember", "customerIdentifiers", None, Role::ContributingMember, true),
    place(ANY, "coupons[]", "customerIdentifiers", None, Role::Customer, true),
    Place {
        on: &["rewardRedeemed", "rewardRedemptionReversed", "rewardRevoked"],
        within: "",
        field: "userId",
        holds: Holds::CustomerId,
        role: Role::Customer,
        is_default: true,
    },
    Place {
        on: ANY,
        within: "transactionUpdates[]",
        field: "customerId",
        holds: Holds::CustomerId,
        role: Role::Customer,
        is_default: true,
    },
    Place {
        on: &["cardUpdated"],
        within: "",
        field: "cardNumber",
        holds: Holds::Card,
        role: Role::Customer,
        is_default: true,
    },
];

/// Finds everybody in `data` (not yet stripped) of the event `name`.
pub(super) fn find(name: &str, data: &Value, namer: &Namer<'_>) -> Found {
    let Some(data) = data.as_object() else { return Found::default() };
    let mut people = Vec::new();
    for (row, place) in PLACES.iter().enumerate().filter(|(_, place)| place.fits(name)) {
        let earlier = |other: &&Place| other.within == place.within && other.field == place.field && other.fits(name);
        if PLACES[..row].iter().any(|other| earlier(&other)) {
            continue;
        }
        for (object, path) in objects(data, place.within) {
            if let Some(subject) = namer.subject(&place.gather(object)) {
                people.push(Person { role: place.role, subject, place: path, is_default: place.is_default });
            }
        }
    }
    if name == "requestWorkflowEvent" {
        people.extend(workflow::find(data, namer));
    }
    if name == "identifierReleased" {
        people.extend(released(data, namer));
    }
    people.extend(actor(data, &people, namer));
    let nobody = if people.iter().any(|person| person.is_default) {
        None
    } else if entity_type(data, "entityInformation").is_some_and(|kind| kind.starts_with("usergroup")) {
        Some(Nobody::Group)
    } else if DEFINITIONS.contains(&name) {
        Some(Nobody::Definition)
    } else {
        Some(Nobody::Unnamed)
    };
    Found { people, nobody }
}

impl Place {
    fn fits(&self, name: &str) -> bool {
        self.on.is_empty() || self.on.contains(&name)
    }

    fn gather(&self, object: &Map<String, Value>) -> Gathered {
        let mut gathered = Gathered::default();
        let value = loose(object, self.field);
        match self.holds {
            Holds::Identifiers { or_entity } => {
                if let Some(identifiers) = value.and_then(Value::as_object) {
                    gathered.add_identifiers(identifiers);
                }
                if !gathered.has(AliasKind::CustomerId)
                    && let Some(field) = or_entity
                {
                    gathered.add(AliasKind::CustomerId, user_of(object, field));
                }
            }
            Holds::CustomerId => {
                gathered.add(AliasKind::CustomerId, value);
            }
            Holds::Card => {
                gathered.add(AliasKind::Card, value);
            }
        }
        gathered
    }
}

/// The objects at a path below `data`, with where they stand.
fn objects<'d>(data: &'d Map<String, Value>, within: &str) -> Vec<(&'d Map<String, Value>, String)> {
    match within.strip_suffix("[]") {
        None if within.is_empty() => vec![(data, "data".into())],
        None => loose(data, within)
            .and_then(Value::as_object)
            .map(|object| (object, format!("data.{within}")))
            .into_iter()
            .collect(),
        Some(list) => loose(data, list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .enumerate()
            .filter_map(|(i, item)| Some((item.as_object()?, format!("data.{list}.{i}"))))
            .collect(),
    }
}

/// `entityInformation.entityType`, plain.
fn entity_type(object: &Map<String, Value>, field: &str) -> Option<String> {
    let entity = loose(object, field)?.as_object()?;
    Some(plain(loose(entity, "entityType")?.as_str()?))
}

/// The customer id in an `EntityInformation` of type `USER` (reference 2.6).
fn user_of<'d>(object: &'d Map<String, Value>, field: &str) -> Option<&'d Value> {
    (entity_type(object, field)? == "user").then(|| loose(loose(object, field)?.as_object()?, "entityId"))?
}

/// Who acted, if it was nobody of those found already: in group events the only person there is.
fn actor(data: &Map<String, Value>, people: &[Person], namer: &Namer<'_>) -> Option<Person> {
    let activity = loose(data, "triggeringActivity")?.as_object()?;
    let mut gathered = Gathered::default();
    let subject = namer.subject(gathered.add(AliasKind::CustomerId, user_of(activity, "entityInformation")))?;
    let known = people.iter().any(|person| subject.aliases.iter().any(|alias| person.subject.aliases.contains(alias)));
    (!known).then(|| Person { role: Role::Actor, subject, place: "data.triggeringActivity".into(), is_default: false })
}

/// The names that an `identifierReleased` sets free. They must be unlearned, never learned: see
/// [`Event::learnable`](super::Event::learnable). Other sources' names are not aliases here.
fn released(data: &Map<String, Value>, namer: &Namer<'_>) -> Vec<Person> {
    let mut people = Vec::new();
    for (profile, place) in objects(data, "profiles[]") {
        let source = loose(profile, "source").and_then(text_of);
        if source.is_some_and(|source| !source.eq_ignore_ascii_case("instore")) {
            continue;
        }
        let mut gathered = Gathered::default();
        for (kind, value) in loose(profile, "identifiers").and_then(Value::as_object).into_iter().flatten() {
            if let Some(kind) = super::names::kind_of(kind) {
                gathered.add(kind, Some(value));
            }
        }
        if let Some(subject) = namer.subject(&gathered) {
            people.push(Person { role: Role::Victim, subject, place, is_default: false });
        }
    }
    people
}
