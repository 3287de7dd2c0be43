//! The customer of a `requestWorkflowEvent`: somewhere inside the request that somebody asked to have approved.
//!
//! Promises: names from different corners of a request are never joined into one person; the most specific corner counts.
//! Never: the operators (`requesterId`, `checkerId`) as people: they are staff, not customers.

use serde_json::{Map, Value};

use super::super::names::{Gathered, Namer, kind_of, loose, plain};
use super::super::{AliasKind, Person, Role};

/// Where identifiers stand in an object that describes a customer to Capillary's APIs (reference 3, `requestWorkflowEvent`).
const CUSTOMER_FIELDS: &[(&str, AliasKind)] = &[
    ("customerId", AliasKind::CustomerId),
    ("customer_id", AliasKind::CustomerId),
    ("userId", AliasKind::CustomerId),
    ("user_id", AliasKind::CustomerId),
    ("id", AliasKind::CustomerId),
    ("externalId", AliasKind::ExternalId),
    ("external_id", AliasKind::ExternalId),
    ("cardNumber", AliasKind::Card),
    ("card_number", AliasKind::Card),
    ("mobile", AliasKind::Mobile),
    ("email", AliasKind::Email),
];

/// Finds the customers of a request. Several only where the request lists several.
pub(super) fn find(data: &Map<String, Value>, namer: &Namer<'_>) -> Vec<Person> {
    let Some(attributes) = object(data, "requestAttributes") else { return Vec::new() };
    let body = object(attributes, "body");
    let listed = body.and_then(|body| loose(body, "customers")).and_then(Value::as_array);
    let people: Vec<Person> = listed
        .into_iter()
        .flatten()
        .enumerate()
        .filter_map(|(i, item)| {
            let gathered = match item {
                Value::Object(customer) => described(customer),
                id => only(AliasKind::CustomerId, Some(id)),
            };
            person(namer, &gathered, format!("data.requestAttributes.body.customers.{i}"))
        })
        .collect();
    if !people.is_empty() {
        return people;
    }
    let query = object(attributes, "queryParams");
    let corners = [
        body.map(|body| only(AliasKind::CustomerId, loose(body, "customerId"))),
        body.filter(|body| earner_is_customer(body))
            .map(|body| only(AliasKind::CustomerId, loose(body, "earningEntityId"))),
        query.and_then(asked_for),
        body.and_then(|body| object(body, "customer")).map(described),
        body.and_then(below_root),
        query.map(described_but_for_id),
    ];
    corners.into_iter().flatten().find_map(|gathered| person(namer, &gathered, "data".into())).into_iter().collect()
}

fn object<'d>(map: &'d Map<String, Value>, field: &str) -> Option<&'d Map<String, Value>> {
    loose(map, field)?.as_object()
}

fn only(kind: AliasKind, value: Option<&Value>) -> Gathered {
    let mut gathered = Gathered::default();
    gathered.add(kind, value);
    gathered
}

fn described(customer: &Map<String, Value>) -> Gathered {
    gather(customer, CUSTOMER_FIELDS)
}

/// In a query string `id` may be the id of anything.
fn described_but_for_id(query: &Map<String, Value>) -> Gathered {
    let fields: Vec<(&str, AliasKind)> = CUSTOMER_FIELDS.iter().filter(|(field, _)| *field != "id").copied().collect();
    gather(query, &fields)
}

fn gather(customer: &Map<String, Value>, fields: &[(&str, AliasKind)]) -> Gathered {
    let mut gathered = Gathered::default();
    for (field, kind) in fields {
        gathered.add(*kind, loose(customer, field));
    }
    gathered
}

fn earner_is_customer(body: &Map<String, Value>) -> bool {
    loose(body, "earningEntityType").and_then(Value::as_str).is_some_and(|kind| plain(kind) == "customer")
}

/// `queryParams.identifierName` and `.identifierValue`.
fn asked_for(query: &Map<String, Value>) -> Option<Gathered> {
    let kind = kind_of(loose(query, "identifierName")?.as_str()?)?;
    Some(only(kind, loose(query, "identifierValue")))
}

/// `body.root.<action>.customer`: the body of Capillary's older APIs, where objects may also be lists of one.
fn below_root(body: &Map<String, Value>) -> Option<Gathered> {
    let actions = object(body, "root")?.values().flat_map(one_or_each);
    actions
        .filter_map(|action| loose(action, "customer"))
        .flat_map(one_or_each)
        .map(described)
        .find(|gathered| gathered.strongest().is_some())
}

fn one_or_each(value: &Value) -> Vec<&Map<String, Value>> {
    match value {
        Value::Object(object) => vec![object],
        Value::Array(items) => items.iter().filter_map(Value::as_object).collect(),
        _ => Vec::new(),
    }
}

fn person(namer: &Namer<'_>, gathered: &Gathered, place: String) -> Option<Person> {
    Some(Person { role: Role::Customer, subject: namer.subject(gathered)?, place, is_default: true })
}
