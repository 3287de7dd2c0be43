//! What others ask of an event: a view for rules and templates, a value by path, words to find it by, what is special.
//!
//! Promises: answers come from the stripped payload only; a path that leads nowhere is `None`.
//! Never: a subject in a view.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::names::{loose, plain, text_of};
use super::{Alias, Event, Person, Role, Subject};

/// What support looks events up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SearchKind {
    /// Number of a bill, as the point of sale gave it.
    BillNumber,
    /// Code of a coupon.
    CouponCode,
}

/// An event after which the vault changes more than by learning aliases.
pub enum Special<'e> {
    /// The victim is the survivor from now on (`loyaltyCustomerMerge`).
    Merge {
        /// Who stays.
        survivor: &'e Subject,
        /// Who is absorbed.
        victim: &'e Subject,
    },
    /// These names may soon be another person's (`identifierReleased`): unlearn them, from `of` only if it is known.
    IdentifierReleased {
        /// Whose names they were.
        of: Option<&'e Subject>,
        /// The names.
        released: Vec<Alias>,
    },
    /// Capillary erased this person (reference 5): `customerUpdated` to `Deleted`, or an approved request to delete.
    Deleted {
        /// Whom.
        who: &'e Subject,
    },
}

impl Event {
    /// What conditions and templates see as `event`: `name`, `id`, `org`, `created_at` (milliseconds) and `data`.
    pub fn view(&self) -> Value {
        self.clone().into_view()
    }

    /// The same without a copy of `data`.
    pub fn into_view(self) -> Value {
        let mut view = json!({
            "name": self.name,
            "id": self.event_id,
            "org": self.org.0,
            "created_at": self.created_at.as_millis(),
        });
        view["data"] = self.data;
        view
    }

    /// The value at a dotted path with positions from 0: `data`, `data.coupons.3.code`.
    pub fn at(&self, path: &str) -> Option<&Value> {
        let mut steps = path.split('.');
        if steps.next() != Some("data") {
            return None;
        }
        steps.try_fold(&self.data, |value, step| match value {
            Value::Object(map) => map.get(step),
            Value::Array(items) => items.get(step.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Bill numbers and coupon codes, each once, in a fixed order.
    pub fn search_values(&self) -> Vec<(SearchKind, String)> {
        let mut found = BTreeSet::new();
        gather(&self.data, "data", &mut found);
        found.into_iter().collect()
    }

    /// Whether it merges, releases or erases. An event that lacks who it is about is not special.
    pub fn special(&self) -> Option<Special<'_>> {
        let role = |wanted: Role| self.people.iter().find(|person| person.role == wanted).map(|person| &person.subject);
        let default = || self.people.iter().find(|person| person.is_default).map(|person| &person.subject);
        let says = |path: &str, words: &[&str]| {
            let text = self.at(path).and_then(Value::as_str).map(str::trim);
            text.is_some_and(|text| words.iter().any(|word| text.eq_ignore_ascii_case(word)))
        };
        match self.name.as_str() {
            "loyaltyCustomerMerge" => {
                Some(Special::Merge { survivor: role(Role::Survivor)?, victim: role(Role::Victim)? })
            }
            "identifierReleased" => {
                let victims = self.people.iter().filter(|person| person.role == Role::Victim);
                let released: Vec<Alias> = victims.flat_map(|person| person.subject.aliases.iter().copied()).collect();
                (!released.is_empty()).then(|| Special::IdentifierReleased { of: default(), released })
            }
            "customerUpdated" if says("data.customerStatus.currentLabel", &["deleted"]) => {
                Some(Special::Deleted { who: default()? })
            }
            "requestUpdated"
                if says("data.requestType", &["customer"])
                    && says("data.requestBaseType", &["delete"])
                    && says("data.status", &["success", "approved"]) =>
            {
                Some(Special::Deleted { who: default()? })
            }
            _ => None,
        }
    }

    /// The people whose names the vault may link. None where names are released or a person was erased: such an event
    /// still carries the old names (reference 5), and learning them would undo it.
    pub fn learnable(&self) -> &[Person] {
        match self.name.as_str() {
            "identifierReleased" => &[],
            _ if matches!(self.special(), Some(Special::Deleted { .. })) => &[],
            _ => &self.people,
        }
    }
}

fn gather(value: &Value, parent: &str, found: &mut BTreeSet<(SearchKind, String)>) {
    match value {
        Value::Object(map) => {
            if let Some((kind, text)) = pair(map) {
                found.insert((kind, text));
            }
            for (key, value) in map {
                let key = plain(key);
                if let Some(kind) = kind_of(&key, parent)
                    && let Some(text) = text_of(value)
                {
                    found.insert((kind, text));
                }
                gather(value, &key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, parent, found)),
        _ => {}
    }
}

/// `{"key": "billNumber", "value": "8_2569"}` of an activity.
fn pair(map: &Map<String, Value>) -> Option<(SearchKind, String)> {
    let kind = kind_of(&plain(loose(map, "key")?.as_str()?), "")?;
    Some((kind, text_of(loose(map, "value")?)?))
}

/// What a field means to support. Names are plain.
fn kind_of(key: &str, parent: &str) -> Option<SearchKind> {
    match (parent, key) {
        (_, "billnumber" | "billno" | "redemptionbillnumber" | "transactionnumber") | ("transaction", "number") => {
            Some(SearchKind::BillNumber)
        }
        ("coupon" | "coupons", "code") | (_, "couponcode" | "intouchcouponcode") => Some(SearchKind::CouponCode),
        _ => None,
    }
}
