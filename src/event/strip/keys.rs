//! What the name of a field says about its value.
//!
//! Promises: a name is compared with the [`lists`] without case, underscores and stray spaces.
//! Never: a name that keeps a value which another list calls personal: the personal lists are asked first.

mod lists;
mod vocabulary;

use std::collections::HashMap;
use std::sync::LazyLock;

use super::super::names::plain;
use super::lookalike;
use lists::*;
use vocabulary::FIELDS;

/// What a field's name says.
pub(super) struct Key {
    /// Lower case, letters and digits only.
    pub(super) plain: String,
    /// Is itself a mail address or a phone number, for sure or by its looks.
    pub(super) surely_somebody: bool,
    pub(super) perhaps_somebody: bool,
    personal: bool,
    /// Personal unless it stands in a store, a till or a catalogue thing: those have external ids too.
    outside: bool,
    person: bool,
    stays_of_a_person: bool,
    identifiers: bool,
    doer: bool,
    brand_defined: bool,
    open_ended: bool,
    free_text: bool,
    note: bool,
    reason: bool,
    coded: bool,
    harmless: bool,
    harmless_update: bool,
    /// Just `name`: what it stands in says whose.
    bare_name: bool,
}

/// A key that was read before, or one of its own.
pub(super) enum Reading {
    Documented(&'static Key),
    Other(Box<Key>),
}

impl std::ops::Deref for Reading {
    type Target = Key;
    fn deref(&self) -> &Key {
        match self {
            Self::Documented(key) => key,
            Self::Other(key) => key,
        }
    }
}

/// Every event has the same few hundred names in it.
static DOCUMENTED: LazyLock<HashMap<&'static str, Key>> =
    LazyLock::new(|| FIELDS.iter().map(|name| (*name, Key::read(name, ""))).collect());

impl Key {
    /// What a name says. `parent` helps where a name alone says little (`transaction.number`).
    pub(super) fn of(key: &str, parent: &str) -> Reading {
        match DOCUMENTED.get(key) {
            Some(known) => Reading::Documented(known),
            None => Reading::Other(Box::new(Self::read(key, parent))),
        }
    }

    fn read(key: &str, parent: &str) -> Self {
        let name = plain(key);
        // A stray space may stand inside a word or between two: read it both ways.
        let joined: String = key.chars().filter(|c| !c.is_whitespace()).collect();
        let mut words = split(&joined);
        if joined.len() != key.len() {
            words.extend(split(key));
        }
        if matches!(name.as_str(), "number" | "no") {
            words.splice(0..0, split(parent));
        }
        Words { name: key, plain: &name, words: &words }.judge()
    }

    /// Something of a person, by its name. `parent` is plain.
    pub(super) fn is_personal(&self, parent: &str) -> bool {
        let of_place =
            || ["store", "till", "zone", "concept", "reward", "product"].iter().any(|thing| parent.contains(thing));
        self.personal || (self.outside && !of_place())
    }

    /// Just `name`, in something that is not known to be a thing: it may be a person's.
    pub(super) fn is_name_of_anybody(&self, parent: &str) -> bool {
        self.bare_name && !has_name(parent)
    }

    pub(super) fn is_person(&self) -> bool {
        self.person
    }

    pub(super) fn stays_of_a_person(&self) -> bool {
        self.stays_of_a_person
    }

    pub(super) fn is_identifiers(&self) -> bool {
        self.identifiers
    }

    pub(super) fn is_doer(&self) -> bool {
        self.doer
    }

    /// Fields that each brand defines for itself: any of them may be personal (reference 5).
    pub(super) fn is_brand_defined(&self) -> bool {
        self.brand_defined
    }

    /// Objects that take whatever a caller put into an API call.
    pub(super) fn is_open_ended(&self) -> bool {
        self.open_ended
    }

    /// `notes` are typed by people, except the engine's own about tiers.
    pub(super) fn is_free_text(&self, event: &str) -> bool {
        self.free_text || (self.note && !event.starts_with("tier"))
    }

    /// Either a code from a list or a sentence somebody typed: the value tells.
    pub(super) fn is_reason(&self) -> bool {
        self.reason
    }

    /// Ten or more digits in it are no phone number.
    pub(super) fn is_coded(&self) -> bool {
        self.coded
    }

    /// Stays where only known harmless fields stay. A bare `id` there may be anybody's.
    pub(super) fn is_harmless(&self) -> bool {
        self.harmless
    }

    pub(super) fn is_harmless_update(&self) -> bool {
        self.harmless_update
    }
}

/// A field's name as it may be shown to anybody: from our lists, without the number that tells one card from the next. A brand's own
/// name may be somebody's, and there is no end of them.
pub(super) fn known_name(name: &str) -> Option<&'static str> {
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if name.len() > 40 {
        return None;
    }
    if let Some((known, _)) = DOCUMENTED.get_key_value(name) {
        return Some(known);
    }
    let plain = plain(name);
    let lists = [PERSONAL_PARTS, PERSONAL_WORDS, PERSONAL_NAMES, PERSONS, IDENTIFIERS, DOERS, FREE_TEXT];
    lists.iter().flat_map(|list| list.iter()).find(|known| **known == plain).copied()
}

/// A name taken apart.
struct Words<'w> {
    name: &'w str,
    plain: &'w str,
    words: &'w [String],
}

impl Words<'_> {
    fn judge(&self) -> Key {
        let name = self.plain;
        let is = |list: &[&str]| list.contains(&name);
        let ends = |list: &[&str]| list.iter().any(|end| name.ends_with(end));
        let coded = self.is_coded();
        Key {
            plain: name.to_owned(),
            surely_somebody: lookalike::surely(self.name),
            perhaps_somebody: lookalike::perhaps(self.name),
            personal: has_personal_part(name)
                || is(PERSONAL_NAMES)
                || self.any(PERSONAL_WORDS)
                || name
                    .strip_suffix("name")
                    .or(name.strip_suffix("names"))
                    .is_some_and(|whose| !whose.is_empty() && !has_name(whose)),
            outside: name.starts_with("externalid") && name != "externalidentifier",
            person: is(PERSONS),
            stays_of_a_person: is(PERSON_KEEPS),
            identifiers: name.ends_with("customeridentifiers") || is(IDENTIFIERS),
            doer: is(DOERS),
            brand_defined: ends(&["customfields", "extendedfields", "customfield", "extendedfield"]),
            open_ended: is(&[
                "requestattributes",
                "additionalattributes",
                "behavioraleventattributes",
                "profiles",
                "accounts",
            ]),
            free_text: is(FREE_TEXT),
            note: is(&["note", "notes"]),
            reason: ends(&["reason", "reasonnote"]) || name == "actor",
            coded,
            harmless: name != "id" && (coded || self.any(HARMLESS)),
            harmless_update: is(HARMLESS_UPDATES),
            bare_name: name == "name",
        }
    }

    fn any(&self, list: &[&str]) -> bool {
        self.words.iter().any(|word| list.contains(&word.as_str()))
    }

    fn is_coded(&self) -> bool {
        let number = ["number", "no", "num"].iter().any(|end| self.plain.ends_with(end));
        let small = ["id", "ids", "code", "date", "time", "millis", "identifier"];
        self.any(CODED)
            || small.iter().any(|end| self.plain.ends_with(end))
            || self.words.last().is_some_and(|word| CODED_LAST.contains(&word.as_str()))
            || (number && (self.any(NUMBERED) || NUMBERED.iter().any(|thing| self.plain.starts_with(thing))))
            || (self.words.len() > 1 && self.words.last().is_some_and(|word| word == "value"))
    }
}

/// True for what is known to be a thing that has a name: `tier`, `targetgroup`, `loyaltyprogramdetails`.
fn has_name(plain: &str) -> bool {
    NAMED.iter().any(|thing| plain.contains(thing)) || NAMED_WHOLE.contains(&plain)
}

/// [`PERSONAL_PARTS`] by their first letter: every field of every event is asked, and most letters begin few parts.
static PARTS_BY_LETTER: LazyLock<[Vec<&'static [u8]>; 26]> = LazyLock::new(|| {
    let mut parts = [const { Vec::new() }; 26];
    for part in PERSONAL_PARTS.iter().map(|part| part.as_bytes()) {
        parts[usize::from(part[0] - b'a')].push(part);
    }
    parts
});

fn has_personal_part(name: &str) -> bool {
    let name = name.as_bytes();
    name.iter()
        .enumerate()
        .filter(|(_, letter)| letter.is_ascii_lowercase())
        .any(|(at, letter)| PARTS_BY_LETTER[usize::from(letter - b'a')].iter().any(|part| name[at..].starts_with(part)))
}

/// `redeemedPointsCurrencyValue`, `points_redeemed`, `pointAwardedRefID`: words, lower case.
fn split(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let chars: Vec<char> = name.chars().collect();
    let mut fresh = true;
    for (i, c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            fresh = true;
            continue;
        }
        let previous = i.checked_sub(1).map(|p| chars[p]);
        let hump = c.is_uppercase() && previous.is_some_and(|p| p.is_lowercase() || p.is_numeric());
        let end_of_capitals = c.is_uppercase()
            && previous.is_some_and(char::is_uppercase)
            && chars.get(i + 1).is_some_and(|next| next.is_lowercase());
        match words.last_mut() {
            Some(word) if !fresh && !hump && !end_of_capitals => word.extend(c.to_lowercase()),
            _ => words.push(c.to_lowercase().collect()),
        }
        fresh = false;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_personal_part_is_found_at_either_end_and_starts_with_a_letter() {
        for part in PERSONAL_PARTS {
            assert!(part.starts_with(|c: char| c.is_ascii_lowercase()), "{part}");
            for name in [format!("x{part}"), format!("{part}9"), (*part).to_owned()] {
                assert!(has_personal_part(&name), "{name}");
            }
        }
        assert!(!has_personal_part("totalpointsissued") && !has_personal_part("") && !has_personal_part("मोबाइल"));
    }

    #[test]
    fn names_fall_into_words() {
        let cases: [(&str, &[&str]); 5] = [
            ("redeemedPointsCurrencyValue", &["redeemed", "points", "currency", "value"]),
            ("points_redeemed", &["points", "redeemed"]),
            ("pointAwardedRefID", &["point", "awarded", "ref", "id"]),
            ("IDCode", &["id", "code"]),
            ("tierName2Next", &["tier", "name2", "next"]),
        ];
        for (name, words) in cases {
            assert_eq!(split(name), words, "{name}");
        }
    }

    #[test]
    fn no_documented_name_needs_its_parent_to_be_understood() {
        for name in FIELDS {
            let (alone, within) = (Key::read(name, ""), Key::read(name, "transaction"));
            assert_eq!((alone.plain, alone.coded), (within.plain, within.coded), "{name}");
        }
    }

    #[test]
    fn a_name_says_whether_it_is_personal_and_whether_digits_may_stay() {
        // name, parent, personal, coded
        let cases = [
            ("firstName", "data", true, false),
            ("CustomerMobileNo", "data", true, false),
            ("alternate_number", "data", false, false),
            ("billNumber", "data", false, true),
            ("bill Number", "data", false, true),
            ("number", "transaction", false, true),
            ("number", "home", false, false),
            ("transaction_number", "redeem", false, true),
            ("valid_till", "coupons", false, true),
            ("enteredAt", "data", false, true),
            ("promotionIdentifier", "data", false, true),
            ("externalId", "store", false, true),
            ("externalId1", "store", false, false),
            ("externalId", "data", true, true),
            ("rewardExternalId", "data", false, true),
            ("membershipNumber", "customerPartnerProgramDetails", true, false),
            ("totalPointsIssued", "data", false, true),
            ("averageValue", "data", false, true),
            ("value", "data", false, false),
            ("age", "data", true, false),
            ("pageCount", "data", false, true),
            ("description", "data", false, false),
            ("targetName", "data", false, false),
            ("groupName", "data", true, false),
            ("targetGroupName", "data", false, false),
            ("billingName", "data", true, false),
            ("guest_name", "data", true, false),
            ("fname", "data", true, false),
            ("displayName", "data", true, false),
            ("storeName", "data", false, false),
            ("product_name", "data", false, false),
            ("brandName", "data", false, false),
            ("nomineeOf", "data", true, false),
            ("street2", "data", true, false),
            ("zip", "data", true, false),
        ];
        for (name, parent, personal, coded) in cases {
            let key = Key::of(name, parent);
            assert_eq!((key.is_personal(&plain(parent)), key.is_coded()), (personal, coded), "{parent}.{name}");
        }
    }
}
