//! Takes personal values out of a payload before it reaches rules, templates or a disk.
//!
//! Promises: what goes is decided by the field's name ([`keys`]) and, whatever the name, by the value's looks
//! ([`lookalike`]); amounts, points, tiers, coupon codes, bill numbers, stores and dates stay; no array element moves,
//! so that a person's place (`data.coupons.3`) still leads to their element.
//! Never: a value in the counts, or a field name that is not ours or Capillary's: any other may be somebody's, and is a `*`.

mod keys;
pub(super) mod lookalike;

use std::collections::BTreeMap;

use keys::{Key, Reading};
use serde_json::{Map, Value};

use super::names::plain;

/// Most different paths that are counted apart per event, and the longest path in bytes: both may end up in metrics.
const PATH_LIMIT: usize = 64;
const PATH_LENGTH: usize = 96;

/// Strips `data` of the event `event`; counts what went by path.
pub(super) fn strip(event: &str, data: &mut Value) -> BTreeMap<String, u64> {
    let mut stripper = Stripper { event, counts: BTreeMap::new() };
    let root = Path { name: "data", named_after_somebody: false, above: None };
    stripper.value(data, &Place { mode: Mode::Open, key: &Key::of("data", ""), parent: "", path: &root });
    stripper.counts
}

/// How much is trusted here.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Known objects: everything stays that neither its name nor its looks call personal.
    Open,
    /// Whatever a caller put there: only what is known to be harmless stays.
    Strict,
    /// A description of a person: only enumerations stay.
    Person,
    /// Fields that a brand defines: names stay, values go.
    Brand,
}

#[derive(Clone, Copy)]
struct Place<'a> {
    mode: Mode,
    key: &'a Key,
    /// Plain name of what the key stands in.
    parent: &'a str,
    path: &'a Path<'a>,
}

/// The names that lead to a place, from the innermost on. Written out only for what is counted.
struct Path<'a> {
    name: &'a str,
    named_after_somebody: bool,
    above: Option<&'a Path<'a>>,
}

impl Path<'_> {
    fn is_at_the_top(&self) -> bool {
        self.above.is_some_and(|above| above.above.is_none())
    }

    fn write(&self, out: &mut String) {
        if let Some(above) = self.above {
            above.write(out);
            out.push('.');
        }
        out.push_str(if self.named_after_somebody { "*" } else { keys::known_name(self.name).unwrap_or("*") });
    }
}

struct Stripper<'e> {
    event: &'e str,
    counts: BTreeMap<String, u64>,
}

impl Stripper<'_> {
    fn value(&mut self, value: &mut Value, place: &Place<'_>) {
        match value {
            Value::Object(map) => self.object(map, place),
            Value::Array(items) => {
                for item in items {
                    if item.is_object() || item.is_array() {
                        self.value(item, place);
                    } else if !self.stays(place, None, item) {
                        self.count(item, place.path);
                        *item = Value::Null;
                    }
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, map: &mut Map<String, Value>, place: &Place<'_>) {
        let keys: Vec<Reading> = map.keys().map(|name| Key::of(name, &place.key.plain)).collect();
        let members = || keys.iter().map(|key| &**key).zip(map.values());
        let label = Label::of(members());
        let entities: Vec<String> = members().filter_map(|(key, value)| shared_entity(key, value)).collect();
        let mut read = keys.iter();
        map.retain(|name, value| {
            let key = read.next().expect("every member's key was read, in the same order");
            self.keeps_member((name, key), value, place, label.as_ref(), &entities)
        });
    }

    /// Strips a member; false if it goes.
    fn keeps_member(
        &mut self,
        (name, key): (&str, &Key),
        value: &mut Value,
        place: &Place<'_>,
        label: Option<&Label>,
        entities: &[String],
    ) -> bool {
        let named_after_somebody = key.surely_somebody || (key.perhaps_somebody && !place.key.is_coded());
        let path = Path { name, named_after_somebody, above: Some(place.path) };
        let inner = Place { mode: place.mode, key, parent: &place.key.plain, path: &path };
        let own_entity = || key.plain.strip_suffix("entityid").is_some_and(|stem| !entities.iter().any(|e| e == stem));
        let goes = named_after_somebody
            || match value {
                Value::Null | Value::Bool(_) => false,
                Value::Object(_) | Value::Array(_) => self.goes_whole(&inner, value),
                _ => own_entity() || !self.stays(&inner, label, value),
            };
        if !goes {
            let mode = within(&inner, value);
            self.value(value, &Place { mode, ..inner });
            return true;
        }
        self.count(value, &path);
        // A brand's own field keeps its name where the name is the key.
        let keeps_name = place.mode == Mode::Brand && label.is_none() && !named_after_somebody;
        if keeps_name {
            *value = Value::Null;
        }
        keeps_name
    }

    /// An object or list that is taken out whole.
    fn goes_whole(&self, place: &Place<'_>, value: &Value) -> bool {
        if place.key.is_person() || place.key.is_brand_defined() || place.key.is_open_ended() {
            return false;
        }
        if place.key.plain == "identifiers" {
            // Those of an activity are pairs of bill and transaction ids; those of a profile name somebody.
            let of_activity =
                |item: &Value| item.as_object().is_some_and(|pair| Label::of_pair(pair).is_some_and(|l| !l.of_person));
            return !value.as_array().is_some_and(|items| items.iter().all(of_activity));
        }
        place.key.is_identifiers() || place.key.is_personal(place.parent)
    }

    /// A text or number that may stay.
    fn stays(&self, place: &Place<'_>, label: Option<&Label>, value: &Value) -> bool {
        let key = place.key;
        if value.is_null() || value.is_boolean() {
            return true;
        }
        let (effective, valued) = match label {
            Some(label) if label.is_value(&key.plain) => (&*label.key, true),
            _ => (key, false),
        };
        if effective.is_personal(if valued { "" } else { place.parent }) || key.is_doer() || key.is_identifiers() {
            return false;
        }
        let kept_by_name = match place.mode {
            Mode::Person => key.stays_of_a_person(),
            Mode::Brand => label.is_some_and(|label| !label.is_value(&key.plain) && Label::is_name(&key.plain)),
            _ if valued => match label {
                Some(label) if label.of_update => label.key.is_harmless_update(),
                _ => effective.is_harmless(),
            },
            Mode::Strict => effective.is_harmless() || label.is_some() && Label::is_name(&key.plain) || key.is_reason(),
            // A bare name at the top is nobody's but the customer's. Where it names a value beside it, it is a field's.
            Mode::Open if key.plain == "name" && place.path.is_at_the_top() => false,
            Mode::Open => label.is_some() || !key.is_name_of_anybody(place.parent),
        };
        kept_by_name && !key.is_free_text(self.event) && looks_harmless(effective, value)
    }

    /// Counts every text and number in what goes.
    fn count(&mut self, value: &Value, path: &Path<'_>) {
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    self.count(value, &Path { name, named_after_somebody: false, above: Some(path) });
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.count(item, path)),
            Value::String(text) if text.trim().is_empty() => {}
            Value::String(_) | Value::Number(_) => {
                let mut written = String::with_capacity(PATH_LENGTH);
                path.write(&mut written);
                let end = written.floor_char_boundary(PATH_LENGTH);
                written.drain(end..);
                if self.counts.len() >= PATH_LIMIT && !self.counts.contains_key(&written) {
                    written = "data.*".into();
                }
                *self.counts.entry(written).or_default() += 1;
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

/// How much is trusted inside an object or list.
fn within(place: &Place<'_>, value: &Value) -> Mode {
    if !value.is_object() && !value.is_array() {
        return place.mode;
    }
    match place.mode {
        Mode::Person | Mode::Brand => place.mode,
        _ if place.key.is_person() => Mode::Person,
        _ if place.key.is_brand_defined() => Mode::Brand,
        _ if place.key.is_open_ended() => Mode::Strict,
        mode => mode,
    }
}

/// The last question, asked of every value that its name would let stay.
fn looks_harmless(key: &Key, value: &Value) -> bool {
    match value {
        Value::String(text) if key.is_reason() => is_code(text),
        Value::String(text) if key.is_coded() => !lookalike::surely(text),
        Value::String(text) => !lookalike::perhaps(text),
        Value::Number(number) => key.is_coded() || !lookalike::perhaps_number(number),
        _ => true,
    }
}

/// `INCORRECT_REDEMPTION`, `656`: from a list, not typed.
fn is_code(text: &str) -> bool {
    let shouted = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let number = text.len() <= 6 && text.bytes().all(|b| b.is_ascii_digit());
    shouted && text.len() <= 64 && (number || text.contains('_'))
}

/// What names a value in the same object: `{key, value}`, `{fieldName, previousValue, currentValue}`.
struct Label {
    key: Reading,
    of_update: bool,
    of_person: bool,
}

impl Label {
    fn is_name(plain: &str) -> bool {
        matches!(plain, "key" | "name" | "fieldname" | "fieldtype" | "identifiertype")
    }

    fn is_value(&self, plain: &str) -> bool {
        plain.ends_with("value") || plain == "values"
    }

    fn of_pair(map: &Map<String, Value>) -> Option<Self> {
        let keys: Vec<Reading> = map.keys().map(|name| Key::of(name, "")).collect();
        Self::of(keys.iter().map(|key| &**key).zip(map.values()))
    }

    fn of<'m>(members: impl Iterator<Item = (&'m Key, &'m Value)>) -> Option<Self> {
        let mut named: Option<(&str, &str)> = None;
        let mut valued = false;
        for (key, value) in members {
            let key = key.plain.as_str();
            valued |= key == "value" || key == "values" || key.ends_with("fieldvalue") || key == "identifiervalue";
            valued |= matches!(key, "previousvalue" | "currentvalue");
            if let Value::String(text) = value
                && key != "fieldtype"
                && Self::is_name(key)
            {
                named = Some((text, key));
            }
        }
        let (text, key) = named.filter(|_| valued)?;
        Some(Self { key: Key::of(text, ""), of_update: key == "fieldname", of_person: key == "identifiertype" })
    }
}

/// For `entityType: USERGROUP2` the stem of the matching `entityId`, which may stay: a group, a till or a store is nobody.
fn shared_entity(key: &Key, value: &Value) -> Option<String> {
    let stem = key.plain.strip_suffix("entitytype")?.to_owned();
    let kind = plain(value.as_str()?);
    let shared =
        ["usergroup", "till", "store", "zone", "concept", "org", "program"].iter().any(|k| kind.starts_with(k));
    shared.then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn stripped(event: &str, mut data: Value) -> (Value, BTreeMap<String, u64>) {
        let counts = strip(event, &mut data);
        (data, counts)
    }

    #[test]
    fn each_kind_of_place_keeps_only_what_names_nobody() {
        // What comes, what stays.
        let cases = [
            (
                "identifiers",
                json!({"customerIdentifiers": {"customerId": 7, "instore": {"mobile": "m"}}, "transferReceivingCustomerIdentifiers": {}, "amount": 5}),
                json!({"amount": 5}),
            ),
            (
                "names of people",
                json!({"firstName": "A", "lastName": "B", "name": "A B", "primaryMember": {"firstName": "A", "role": "HEAD", "id": 4}, "groupName": "B family"}),
                json!({"primaryMember": {"role": "HEAD"}}),
            ),
            (
                "names of things",
                json!({"loyaltyProgramDetails": {"name": "Gold Club", "tiers": [{"tierName": "Silver"}]}, "enteredBy": {"id": 3, "till": {"code": "t", "name": "Till 4"}, "store": {"code": "s", "name": "City Mall", "externalId": "4711", "externalId1": ""}, "user": {"username": "ravi"}}}),
                json!({"loyaltyProgramDetails": {"name": "Gold Club", "tiers": [{"tierName": "Silver"}]}, "enteredBy": {"id": 3, "till": {"code": "t", "name": "Till 4"}, "store": {"code": "s", "name": "City Mall", "externalId": "4711", "externalId1": ""}, "user": {}}}),
            ),
            (
                "names of anybody",
                json!({"billingName": "A", "shippingName": "A", "guestName": "A", "passengerName": "A", "displayName": "A", "fname": "A", "lname": "A", "spouse": "A", "nominee": "A", "beneficiary": "A", "referredBy": "A", "street": "A", "landmark": "A", "aadhar": "1", "ip": "1.2.3.4", "geo": "1,2", "instagram": "a", "gift": {"name": "A", "message": "A", "wrap": "red"}, "passengers": [{"name": "A", "seat": "12A"}], "guests": ["A"], "passengerNames": ["A", "B"], "storeNames": ["S"]}),
                json!({"gift": {"wrap": "red"}, "passengers": [{"seat": "12A"}], "guests": ["A"], "storeNames": ["S"]}),
            ),
            (
                "names of things, written otherwise",
                json!({"store_name": "s", "productName": "p", "brandName": "b", "programName": "g", "tierName": "t", "categoryName": "c", "couponSeriesName": "x", "lineItems": [{"name": "Shirt"}], "cityName": "Pune", "product": {"name": "Shirt"}}),
                json!({"store_name": "s", "productName": "p", "brandName": "b", "programName": "g", "tierName": "t", "categoryName": "c", "couponSeriesName": "x", "lineItems": [{"name": "Shirt"}], "cityName": "Pune", "product": {"name": "Shirt"}}),
            ),
            (
                "updated fields",
                json!({"updatedFields": [{"fieldName": "status", "previousVal ue": "PENDING", "currentValue": "REJECTED"}, {"fieldName": "first_name", "previousVal ue": "A", "currentValue": "B", "source": "INSTORE"}]}),
                json!({"updatedFields": [{"fieldName": "status", "previousVal ue": "PENDING", "currentValue": "REJECTED"}, {"fieldName": "first_name", "source": "INSTORE"}]}),
            ),
            (
                "brand-defined fields",
                json!({"customFields": [{"key": "city", "value": "Pune"}], "transactionCustomFields": {"name": "Asha", "gift": {"to": "Ravi"}}, "currentExtendedFields": [{"name": "car", "value": "Fiat"}], "extendedFields": ["Asha"]}),
                json!({"customFields": [{"key": "city"}], "transactionCustomFields": {"name": null, "gift": {"to": null}}, "currentExtendedFields": [{"name": "car"}], "extendedFields": [null]}),
            ),
            (
                "activity identifiers",
                json!({"triggeringActivity": {"name": "TransactionAdd", "identifiers": [{"key": "bill Id", "value": "5645177874"}, {"key": "billNumber", "value": "9876543210"}, {"key": "mobile", "value": "x"}, {"key": "who", "value": "Asha"}], "additionalAttributes": [{"key": "giftFor", "value": "Asha"}, {"key": "points", "value": 5}]}}),
                json!({"triggeringActivity": {"name": "TransactionAdd", "identifiers": [{"key": "bill Id", "value": "5645177874"}, {"key": "billNumber", "value": "9876543210"}, {"key": "mobile"}, {"key": "who"}], "additionalAttributes": [{"key": "giftFor"}, {"key": "points", "value": 5}]}}),
            ),
            (
                "entities",
                json!({"entityInformation": {"entityType": "USER", "entityId": 7}, "groupEntity": {"entityType": "USERGROUP2", "entityId": 8}, "body": {"earningEntityType": "CUSTOMER", "earningEntityId": 9}, "x": {"entityId": 10}}),
                json!({"entityInformation": {"entityType": "USER"}, "groupEntity": {"entityType": "USERGROUP2", "entityId": 8}, "body": {"earningEntityType": "CUSTOMER"}, "x": {}}),
            ),
            (
                "requests",
                json!({"requesterId": 4, "checkerId": 5, "comment": "ok Asha", "reason": "Asha asked", "requestAttributes": {"queryParams": {"identifierName": "mobile", "identifierValue": "x", "source": "INSTORE", "who": "Asha"}, "body": {"customerId": 3, "id": 3, "customers": [1, {"id": 2}], "programId": 4, "root": {"redeem": {"points_redeemed": "100", "customer": {"mobile": "x"}, "notes": "n", "transaction_number": "98765432101"}}}}}),
                json!({"requestAttributes": {"queryParams": {"source": "INSTORE"}, "body": {"customers": [null, {}], "programId": 4, "root": {"redeem": {"points_redeemed": "100", "customer": {}, "transaction_number": "98765432101"}}}}}),
            ),
            (
                "reasons",
                json!({"reason": "VENDOR_FULFILMENT_FAILURE", "rejectionReason": "656", "customerStatus": {"currentLabel": "Deleted", "reason": "asked by Asha"}, "actor": "BRAND_OPERATOR", "updatedBy": "ravi"}),
                json!({"reason": "VENDOR_FULFILMENT_FAILURE", "rejectionReason": "656", "customerStatus": {"currentLabel": "Deleted"}, "actor": "BRAND_OPERATOR"}),
            ),
            (
                "looks",
                json!({"description": "mail asha@example.com", "promotionName": "call 9876543210", "extra": 9876543210_i64, "list": ["Gold", "+919876543210", 919876543210_i64], "billNumber": "9876543210", "couponCode": "+919876543210", "createdOn": 1796364264697_i64, "amount": 9876543210.0, "919876543210": 1, "asha@example.com": {"a": "b"}}),
                json!({"list": ["Gold", null, null], "billNumber": "9876543210", "createdOn": 1796364264697_i64, "amount": 9876543210.0}),
            ),
            (
                "profiles",
                json!({"wechat": "wx", "profiles": [{"source": "INSTORE", "accountId": "a1", "identifiers": {"mobile": "x"}}]}),
                json!({"profiles": [{"source": "INSTORE", "accountId": "a1"}]}),
            ),
        ];
        for (what, comes, stays) in cases {
            assert_eq!(stripped("customerUpdated", comes).0, stays, "{what}");
        }
    }

    #[test]
    fn the_engine_s_notes_about_tiers_stay_and_typed_notes_go() {
        assert_eq!(stripped("tierUpgraded", json!({"notes": "Upgrading"})).0, json!({"notes": "Upgrading"}));
        assert_eq!(stripped("pointsRedeemed", json!({"notes": "for Asha"})).0, json!({}));
    }

    #[test]
    fn counts_name_fields_and_never_values_or_positions() {
        let (_, counts) = stripped(
            "x",
            json!({
            "coupons": [{"customerIdentifiers": {"customerId": 1}}, {"customerIdentifiers": {"customerId": 2, "instore": {"cards": {"cardnumber": "a", "cardnumber1": "b"}, "email": " "}}}],
            "firstName": "Asha", "asha@example.com": "x", "9876543210": "y"}),
        );
        let table: String = counts.iter().map(|(path, count)| format!("{path} {count}\n")).collect();
        insta::assert_snapshot!(table, @r"
        data.* 2
        data.coupons.customerIdentifiers.customerId 2
        data.coupons.customerIdentifiers.instore.cards.cardnumber 2
        data.firstName 1
        ");
    }

    #[test]
    fn a_name_that_a_brand_made_up_is_counted_and_not_shown() {
        let (_, counts) = stripped(
            "x",
            json!({"customFields": {"Asha Rao": "a", "Kiran": {"email": "b"}}, "customer_profile": {"mobile": "c", "E_Mail": "d"}, "firstName": "e"}),
        );
        let table: String = counts.iter().map(|(path, count)| format!("{path} {count}\n")).collect();
        insta::assert_snapshot!(table, @r"
        data.*.email 1
        data.*.mobile 1
        data.customFields.* 1
        data.customFields.*.email 1
        data.firstName 1
        ");
    }

    #[test]
    fn the_number_and_length_of_counted_paths_is_bounded() {
        let many: Map<String, Value> =
            (0..500).map(|i| (format!("email{}x", "e".repeat(i % 39)), json!("a"))).collect();
        let mixed: Map<String, Value> =
            (0..500).map(|i| (format!("{}mobile{}", "k".repeat(i % 30), "z".repeat(i / 30)), json!("a"))).collect();
        let (_, counts) = stripped("x", json!({"deep": {"deeper": {"deepest": {"andOn": many, "andOnAgain": mixed}}}}));
        assert!(counts.len() <= PATH_LIMIT + 1 && counts.keys().all(|path| path.len() <= PATH_LENGTH), "{counts:?}");
    }
}
