//! Bodies of webhooks, made of decisions: the decoder's vocabulary, odd values, and people planted where they must not stay.
//!
//! Promises: a body can be written with its keys in any order, with white space, and in each of the four shapes.
//! Never: a body deeper than the decoder reads, however it is wrapped: a refusal for depth would differ by the shape.

use std::collections::BTreeSet;

use crate::choices::Choices;
use crate::event::Shape;

/// What must not survive, wherever it stands and whatever stands beside it.
pub(super) const CANARIES: [&str; 2] = ["qanarya@example.com", "+919876501234"];
/// What must not survive where a field says that it is somebody's name or address.
pub(super) const NAME_OF_A_PERSON: &str = "Qanarya";

pub(super) const NAMES: &[&str] = &[
    "pointsIssued",
    "customerAdded",
    "customerUpdated",
    "CouponIssue",
    "cardUpdated",
    "identifierReleased",
    "loyaltyCustomerMerge",
    "requestWorkflowEvent",
    "requestUpdated",
    "pointsTransferredReceived",
    "pointsTransferredInitiated",
    "groupCreated",
    "groupUpdated",
    "rewardRedeemed",
    "rewardCreated",
    "promotionUpdated",
    "transactionAdd",
    "tierUpgraded",
    "x",
];

const KEYS: &[&str] = &[
    "customerIdentifiers",
    "instore",
    "customerId",
    "externalId",
    "mobile",
    "email",
    "cardNumbers",
    "cards",
    "cardnumber1",
    "coupons",
    "couponCode",
    "code",
    "billNumber",
    "amount",
    "points",
    "entityInformation",
    "entityType",
    "entityId",
    "triggeringActivity",
    "identifiers",
    "key",
    "value",
    "name",
    "fieldName",
    "previousValue",
    "currentValue",
    "updatedFields",
    "customFields",
    "extendedFields",
    "profiles",
    "source",
    "requestAttributes",
    "queryParams",
    "identifierName",
    "identifierValue",
    "body",
    "root",
    "customer",
    "customers",
    "primaryMember",
    "memberAdded",
    "survivorCustomerIdentifiers",
    "victimCustomerIdentifiers",
    "userId",
    "transactionUpdates",
    "cardNumber",
    "reason",
    "notes",
    "description",
    "enteredBy",
    "till",
    "store",
    "customerStatus",
    "currentLabel",
    "createdOn",
    "list",
    "or gId",
    "Instore",
    "additionalAttributes",
    "earningEntityId",
    "earningEntityType",
    "contributingMember",
    "lineItems",
    "gift",
];

/// Fields that are a person's in every place.
const PERSONAL_KEYS: &[&str] = &["firstName", "lastName", "email", "mobile", "address", "middle_name", "dateOfBirth"];

const WORDS: &[&str] = &[
    "USER",
    "USERGROUP2",
    "Deleted",
    "mobile",
    "INSTORE",
    "Gold",
    "B-2026-1001",
    "GT0042",
    "null",
    "N/A",
    "firstName",
    "billNumber",
    "APPROVED",
    "2026-01-31",
    "INCORRECT_REDEMPTION",
];

/// A value as it will be written.
pub(super) enum Tree {
    /// `null`, a truth or a number, in the sender's own spelling.
    Raw(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

/// One event, before it is written.
pub(super) struct Body {
    pub(super) name: String,
    envelope: Vec<(String, Tree)>,
    data: Vec<(String, Tree)>,
}

/// How much room a writer takes.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Style {
    Plain,
    /// Keys in another order, white space wherever there may be some, letters as `\u` escapes.
    Loose,
}

impl Body {
    pub(super) fn make(choices: &mut Choices<'_>) -> Self {
        let name = if choices.one_in(8) { choices.text(NAMES) } else { choices.pick(NAMES).to_owned() };
        let mut envelope = Vec::new();
        for field in ["orgId", "createdAt", "eventId", "apiRequestId", "refId"] {
            let value = match choices.below(8) {
                0..=4 if field == "orgId" => Tree::Raw("41007".to_owned()),
                0..=4 if field == "createdAt" => Tree::Raw("1796162664080".to_owned()),
                0 => continue,
                1 => Tree::Text(
                    choices
                        .pick(&[
                            "e-1",
                            " 41007 ",
                            "1796162664080.0",
                            "1e3",
                            CANARIES[0],
                            CANARIES[1],
                            "to +919876501234",
                            "9876501234",
                        ])
                        .into(),
                ),
                2 => Tree::Raw(format!("{}.0", choices.number())),
                3 => leaf(choices),
                _ => Tree::Raw(choices.number().to_string()),
            };
            let spelling =
                if choices.one_in(16) { format!("{} {}", &field[..2], &field[2..]) } else { field.to_owned() };
            envelope.push((spelling, value));
        }
        Self { name, envelope, data: fields(choices, 0) }
    }

    pub(super) fn plant_customer(&mut self, id: i64) {
        self.plant("customerIdentifiers", Tree::Object(vec![("customerId".into(), Tree::Raw(id.to_string()))]));
        // An entity may stand in only where the identifiers have no customer id.
        self.data.retain(|(key, _)| !is(key, "entityInformation"));
    }

    pub(super) fn plant_coupon(&mut self, id: i64) {
        let who = Tree::Object(vec![("customerId".into(), Tree::Text(id.to_string()))]);
        self.plant(
            "coupons",
            Tree::List(vec![Tree::Raw("null".into()), Tree::Object(vec![("customerIdentifiers".into(), who)])]),
        );
    }

    pub(super) fn plant_group(&mut self, id: i64) {
        let kind = ("entityType".into(), Tree::Text("USERGROUP2".into()));
        self.plant("entityInformation", Tree::Object(vec![kind, ("entityId".into(), Tree::Raw(id.to_string()))]));
    }

    fn plant(&mut self, field: &str, value: Tree) {
        self.data.retain(|(key, _)| !is(key, field));
        self.data.push((field.into(), value));
    }

    pub(super) fn write(&self, style: Style, shape: Shape, order: &[u8]) -> String {
        let mut pen = Pen { out: String::new(), style, order, at: 0 };
        let (before, after) = match shape {
            Shape::Flat => ("", ""),
            Shape::Wrapped => (r#"{"attributes":"#, "}"),
            Shape::ApiStyle => (r#"{"data":"#, "}"),
            Shape::Capture => (r#"{"event":{"body":"#, "}}"),
        };
        pen.out.push_str(before);
        let name = Tree::Text(self.name.clone());
        let mut fields: Vec<(&str, &Tree)> = vec![("eventName", &name)];
        fields.extend(self.envelope.iter().map(|(key, value)| (key.as_str(), value)));
        pen.open('{');
        for (key, value) in pen.shuffled(&fields) {
            pen.member(key, value);
        }
        pen.key("data");
        pen.object(&self.data);
        pen.close('}');
        pen.out.push_str(after);
        pen.out
    }
}

fn is(key: &str, field: &str) -> bool {
    key.chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .eq(field.chars().flat_map(char::to_lowercase))
}

fn fields(choices: &mut Choices<'_>, depth: usize) -> Vec<(String, Tree)> {
    let mut fields = Vec::new();
    // Two spellings of one key are one key: which of them counts is another test's matter.
    let mut taken = BTreeSet::new();
    for _ in 0..choices.below(6) {
        let (key, value) = match choices.below(16) {
            0 => (choices.pick(PERSONAL_KEYS).to_owned(), Tree::Text(NAME_OF_A_PERSON.into())),
            1 => (choices.pick(&CANARIES).to_owned(), value(choices, depth + 1)),
            2 => (choices.text(KEYS), value(choices, depth + 1)),
            3 => {
                let pair = vec![
                    ("key".to_owned(), Tree::Text(choices.pick(PERSONAL_KEYS).into())),
                    ("value".to_owned(), Tree::Text(NAME_OF_A_PERSON.into())),
                ];
                (choices.pick(KEYS).to_owned(), Tree::List(vec![Tree::Object(pair)]))
            }
            _ => (choices.pick(KEYS).to_owned(), value(choices, depth + 1)),
        };
        if taken.insert(key.trim().to_owned()) {
            fields.push((key, value));
        }
    }
    fields
}

fn value(choices: &mut Choices<'_>, depth: usize) -> Tree {
    if depth > 6 || choices.is_over() {
        return leaf(choices);
    }
    match choices.below(6) {
        0 => Tree::List((0..choices.below(4)).map(|_| value(choices, depth + 1)).collect()),
        1 | 2 => Tree::Object(fields(choices, depth)),
        _ => leaf(choices),
    }
}

fn leaf(choices: &mut Choices<'_>) -> Tree {
    match choices.below(10) {
        0 => Tree::Raw("null".into()),
        1 => Tree::Raw(choices.pick(&["true", "false"]).into()),
        2 | 3 => Tree::Raw(choices.number().to_string()),
        4 => Tree::Raw(format!("{:?}", f64::from_bits(choices.word())).replace("inf", "1e300").replace("NaN", "-0.0")),
        5 => Tree::Raw(format!("{}.{}", choices.byte(), choices.byte())),
        6 => Tree::Text(format!("{} {} {}", choices.text(WORDS), choices.pick(&CANARIES), choices.text(WORDS))),
        7 => Tree::Text(choices.pick(&CANARIES).into()),
        8 => Tree::Text(choices.pick(WORDS).into()),
        _ => Tree::Text(choices.text(WORDS)),
    }
}

struct Pen<'o> {
    out: String,
    style: Style,
    order: &'o [u8],
    at: usize,
}

impl Pen<'_> {
    fn next(&mut self) -> usize {
        self.at += 1;
        self.order.get(self.at % self.order.len().max(1)).map_or(0, |byte| usize::from(*byte))
    }

    fn space(&mut self) {
        if self.style == Style::Loose {
            let space = ["", " ", "\n", "\t\r\n "][self.next() % 4];
            self.out.push_str(space);
        }
    }

    fn shuffled<'t>(&mut self, fields: &[(&'t str, &'t Tree)]) -> Vec<(&'t str, &'t Tree)> {
        let mut fields = fields.to_vec();
        if self.style == Style::Loose {
            for last in (1..fields.len()).rev() {
                fields.swap(last, self.next() % (last + 1));
            }
        }
        fields
    }

    fn open(&mut self, bracket: char) {
        self.space();
        self.out.push(bracket);
        self.space();
    }

    fn close(&mut self, bracket: char) {
        if self.out.ends_with(',') {
            self.out.pop();
        }
        self.space();
        self.out.push(bracket);
        self.space();
    }

    fn text(&mut self, text: &str) {
        let escape = self.style == Style::Loose && self.next().is_multiple_of(8);
        if escape {
            let units = text.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            self.out.push_str(&format!("\"{}\"", units.collect::<String>()));
        } else {
            self.out.push_str(&serde_json::Value::from(text).to_string());
        }
    }

    fn key(&mut self, key: &str) {
        self.text(key);
        self.space();
        self.out.push(':');
    }

    fn member(&mut self, key: &str, value: &Tree) {
        self.key(key);
        self.value(value);
        self.out.push(',');
    }

    fn object(&mut self, fields: &[(String, Tree)]) {
        let fields: Vec<(&str, &Tree)> = fields.iter().map(|(key, value)| (key.as_str(), value)).collect();
        self.open('{');
        for (key, value) in self.shuffled(&fields) {
            self.member(key, value);
        }
        self.close('}');
    }

    fn value(&mut self, value: &Tree) {
        match value {
            Tree::Raw(raw) => self.out.push_str(raw),
            Tree::Text(text) => self.text(text),
            Tree::Object(fields) => self.object(fields),
            Tree::List(items) => {
                self.open('[');
                for item in items {
                    self.value(item);
                    self.out.push(',');
                }
                self.close(']');
            }
        }
    }
}
