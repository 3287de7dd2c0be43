//! The brand that goes with the examples.
//!
//! Promises: the same on every machine, so that what `expect` says of a message is true of the template and not of whoever checks it.
//! Never: a brand of the configuration.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::config::Org;

const KEYS: [&str; 5] = ["name", "currency", "time_zone", "locale", "links"];

/// A made-up brand: what the examples of a template are rendered for, and what stands in where nobody configured an org.
pub fn example_org() -> Org {
    Org {
        name: "Your Brand".into(),
        currency: "INR".into(),
        time_zone: TimeZone::UTC,
        locale: "en".into(),
        namespace: "example".parse().expect("a word is a namespace"),
        channels: BTreeMap::new(),
        senders: BTreeMap::new(),
        links: [("home", "https://example.com/"), ("account", "https://example.com/account")]
            .map(|(name, link)| (name.to_owned(), link.to_owned()))
            .into(),
    }
}

/// [`example_org`] with what an example changes of it; the error says what is wrong, without values.
pub(super) fn read(changes: Option<&Value>) -> Result<Org, String> {
    let mut org = example_org();
    let Some(changes) = changes else { return Ok(org) };
    for (key, value) in changes.as_object().ok_or("`org` is not an object")? {
        match (key.as_str(), value.as_str(), value.as_object()) {
            ("name", Some(text), _) => org.name = text.to_owned(),
            ("currency", Some(text), _) => org.currency = text.to_owned(),
            ("locale", Some(text), _) => org.locale = text.to_owned(),
            ("time_zone", Some(text), _) => {
                org.time_zone = TimeZone::get(text).map_err(|_| "`org.time_zone` is not a time zone")?;
            }
            ("links", _, Some(links)) => {
                let link = |(name, link): (&String, &Value)| Some((name.clone(), link.as_str()?.to_owned()));
                org.links =
                    links.iter().map(link).collect::<Option<_>>().ok_or("a value of `org.links` is not a text")?;
            }
            (key, ..) if KEYS.contains(&key) => return Err(format!("`org.{key}` is of another kind")),
            (key, ..) => return Err(format!("`org.{key}` is not known; it may have {}", KEYS.join(", "))),
        }
    }
    Ok(org)
}
