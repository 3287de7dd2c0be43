//! What a contact must look like, and how one changes another.
//!
//! Promises: a stored mobile is E.164 and a stored mail address has the form of one; a fault names the field.
//! Never: a rule about identifiers, which are opaque; a value in a fault.

use super::{AddressMark, Contact, PutMode, VaultError};
use crate::event::{Alias, AliasKind, alias_hash};
use crate::id::{Channel, KeyedHasher, Namespace};
use crate::personal::{Customer, Personal};
use crate::seal::Keyring;

impl Contact {
    /// What a template may see of this person.
    pub fn customer(&self) -> Customer {
        let named = [
            ("first_name", &self.first_name),
            ("last_name", &self.last_name),
            ("email", &self.email),
            ("mobile", &self.mobile),
        ];
        let own = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
        let more = self.attributes.iter().map(|(name, value)| (format!("attributes.{name}"), value.clone()));
        Customer { fields: own.chain(more).collect(), locale: self.locale.clone(), time_zone: self.time_zone.clone() }
    }

    /// The address on a channel.
    pub fn address(&self, channel: Channel) -> Option<&Personal> {
        match channel {
            Channel::Email => self.email.as_ref(),
            Channel::Sms => self.mobile.as_ref(),
        }
    }
}

/// Longest field, in bytes, at every door.
pub(super) const FIELD_LIMIT: usize = 8 << 10;
const SHORT: &str = "of at most 8192 bytes";

/// Refuses fields that no import would take.
fn measure(contact: &Contact) -> Result<(), VaultError> {
    let named = [
        ("first_name", &contact.first_name),
        ("last_name", &contact.last_name),
        ("email", &contact.email),
        ("mobile", &contact.mobile),
    ];
    let texts = named.into_iter().filter_map(|(field, text)| Some((field, text.as_ref()?)));
    for (field, text) in texts.chain(contact.attributes.values().map(|text| ("attributes", text))) {
        if text.expose().len() > FIELD_LIMIT {
            return Err(VaultError::Invalid { field, expected: SHORT });
        }
    }
    Ok(())
}

/// Brings the fields into their stored form. Blank fields stay blank: in a patch they say "remove".
pub(super) fn normalise(mut contact: Contact) -> Result<Contact, VaultError> {
    measure(&contact)?;
    for name in [&mut contact.first_name, &mut contact.last_name].into_iter().flatten() {
        *name = Personal::new(name.expose().trim());
    }
    if let Some(mobile) = &mut contact.mobile {
        *mobile = normal_mobile(mobile).ok_or(VaultError::Invalid { field: "mobile", expected: MOBILE })?;
    }
    if let Some(email) = &mut contact.email {
        *email = normal_email(email).ok_or(VaultError::Invalid { field: "email", expected: EMAIL })?;
    }
    if let Some(locale) = &mut contact.locale {
        *locale = locale.trim().replace('_', "-");
        let letters = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
        if !locale.is_empty() && (locale.len() > 35 || !locale.split('-').all(letters)) {
            return Err(VaultError::Invalid { field: "locale", expected: "a language tag like en or ar-SA" });
        }
    }
    if let Some(zone) = &mut contact.time_zone {
        *zone = zone.trim().to_owned();
        if !zone.is_empty() && jiff::tz::TimeZone::get(zone).is_err() {
            return Err(VaultError::Invalid { field: "time_zone", expected: "an IANA time zone like Asia/Kolkata" });
        }
    }
    Ok(contact)
}

const MOBILE: &str = "E.164";
const EMAIL: &str = "a mail address";

fn normal_mobile(given: &Personal) -> Option<Personal> {
    if given.is_blank() {
        return Some(Personal::new(""));
    }
    let kept = |c: &char| !c.is_whitespace() && !matches!(c, '-' | '.' | '(' | ')' | '[' | ']');
    let number = Personal::new(given.expose().chars().filter(kept).collect::<String>());
    let digits = number.expose().strip_prefix('+')?;
    let fits =
        (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    fits.then_some(number)
}

fn normal_email(given: &Personal) -> Option<Personal> {
    if given.is_blank() {
        return Some(Personal::new(""));
    }
    let address = given.expose().trim();
    let (local, domain) = address.split_once('@')?;
    let odd = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '@' | '<' | '>' | '(' | ')' | '[' | ']' | ',' | ';' | ':' | '\\' | '"')
    };
    let dotted = |part: &str| !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    let fits = address.len() <= 254
        && (1..=64).contains(&local.len())
        && !domain.is_empty()
        && [local, domain].into_iter().all(|part| dotted(part) && !part.contains(odd));
    fits.then(|| Personal::new(address))
}

/// What is stored when `given` is put over `old`.
pub(super) fn put_over(old: Option<&Contact>, given: Contact, mode: PutMode) -> Contact {
    let mut new = match (old, mode) {
        (Some(old), PutMode::Patch) => Contact {
            first_name: given.first_name.or_else(|| old.first_name.clone()),
            last_name: given.last_name.or_else(|| old.last_name.clone()),
            email: given.email.or_else(|| old.email.clone()),
            mobile: given.mobile.or_else(|| old.mobile.clone()),
            locale: given.locale.or_else(|| old.locale.clone()),
            time_zone: given.time_zone.or_else(|| old.time_zone.clone()),
            attributes: old.attributes.clone().into_iter().chain(given.attributes).collect(),
            updated_at: given.updated_at,
            keep_until: given.keep_until,
        },
        _ => given,
    };
    let said = |field: Option<Personal>| field.filter(|value| !value.is_blank());
    new.first_name = said(new.first_name);
    new.last_name = said(new.last_name);
    new.email = said(new.email);
    new.mobile = said(new.mobile);
    new.locale = new.locale.filter(|value| !value.is_empty());
    new.time_zone = new.time_zone.filter(|value| !value.is_empty());
    new.attributes.retain(|_, value| !value.is_blank());
    new
}

/// True if storing one over the other would change nothing.
pub(super) fn same(one: &Contact, two: &Contact) -> bool {
    one.updated_at == two.updated_at
        && one.keep_until == two.keep_until
        && one.first_name == two.first_name
        && one.last_name == two.last_name
        && one.email == two.email
        && one.mobile == two.mobile
        && one.locale == two.locale
        && one.time_zone == two.time_zone
        && one.attributes == two.attributes
}

/// The shared aliases of the contact's own addresses.
pub(super) fn address_aliases(keys: &Keyring, namespace: &Namespace, contact: &Contact) -> Vec<Alias> {
    let own = [(AliasKind::Mobile, &contact.mobile), (AliasKind::Email, &contact.email)];
    let given = own.into_iter().filter_map(|(kind, address)| Some((kind, address.as_ref()?)));
    given.map(|(kind, address)| Alias { kind, hash: alias_hash(keys, namespace, kind, address.expose()) }).collect()
}

/// The keyed hash under which an address is marked as not to be used.
pub(super) fn address_mark(
    keys: &Keyring,
    namespace: &Namespace,
    contact: &Contact,
    channel: Channel,
) -> Option<AddressMark> {
    let normal = Personal::new(contact.address(channel)?.expose().to_lowercase());
    let parts = [namespace.as_str().as_bytes(), channel.as_str().as_bytes(), normal.expose().as_bytes()];
    Some(keys.keyed_hash("address", &parts))
}

/// The marks that the contact's present addresses could bear.
pub(super) fn address_marks(keys: &Keyring, namespace: &Namespace, contact: &Contact) -> Vec<(Channel, AddressMark)> {
    let mark = |channel| Some((channel, address_mark(keys, namespace, contact, channel)?));
    [Channel::Email, Channel::Sms].into_iter().filter_map(mark).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mobile_is_brought_to_e164_or_refused() {
        let cases = [
            ("+919812345678", Some("+919812345678")),
            (" +91 (98123) 456-78 ", Some("+919812345678")),
            ("+1.415.555.0100", Some("+14155550100")),
            ("+1234567", Some("+1234567")),
            ("  ", Some("")),
            ("919812345678", None),
            ("+123456", None),
            ("+1234567890123456", None),
            ("+0919812345678", None),
            ("+91981234567x", None),
            ("++919812345678", None),
            ("+٩١٩٨١٢٣٤٥٦٧٨", None),
            ("+", None),
        ];
        for (given, expected) in cases {
            let normal = normal_mobile(&Personal::new(given));
            assert_eq!(normal.as_ref().map(Personal::expose), expected, "{given:?}");
        }
    }

    #[test]
    fn a_mail_address_has_one_usable_at_and_no_trick_or_is_refused() {
        let cases = [
            ("asha@example.in", Some("asha@example.in")),
            ("  Asha.Rao+x@Example.IN ", Some("Asha.Rao+x@Example.IN")),
            ("आशा@उदाहरण.भारत", Some("आशा@उदाहरण.भारत")),
            ("", Some("")),
            ("asha", None),
            ("@example.in", None),
            ("asha@", None),
            ("a@b@c.in", None),
            ("asha@exa mple.in", None),
            ("asha@example.in\r\nBcc: x@y.z", None),
            ("a\u{0}@example.in", None),
            ("Asha <asha@example.in>", None),
            ("a@example.in,b@example.in", None),
            ("asha@.example.in", None),
            ("a..b@example.in", None),
        ];
        for (given, expected) in cases {
            let normal = normal_email(&Personal::new(given));
            assert_eq!(normal.as_ref().map(Personal::expose), expected, "{given:?}");
        }
        assert!(normal_email(&Personal::new(format!("{}@example.in", "a".repeat(65)))).is_none());
        assert!(normal_email(&Personal::new(format!("a@{}.in", "b".repeat(252)))).is_none());
    }

    #[test]
    fn a_template_sees_what_the_contact_has_and_nothing_else() {
        let contact = Contact {
            first_name: Some(Personal::new("Asha")),
            attributes: [("tier".into(), Personal::new("gold"))].into(),
            locale: Some("hi".into()),
            ..Contact::default()
        };
        let customer = contact.customer();
        assert_eq!(customer.fields.keys().collect::<Vec<_>>(), ["attributes.tier", "first_name"]);
        assert_eq!((customer.locale.as_deref(), customer.time_zone), (Some("hi"), None));
    }
}
