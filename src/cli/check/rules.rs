//! Rules held against the examples that stand beside them.
//!
//! Promises: an example's event is decoded as the relay would, so that a rule that looks for something else than Capillary sends
//! shows here; only examples that say `expect.fires` are judged.
//! Never: an event's value in a fault.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde_json::Value;

use crate::config::Fault;
use crate::event::{self, Event};
use crate::id::{Namespace, TemplateId};
use crate::rules::{Rule, RuleSet};
use crate::seal::Keyring;
use crate::template::{Example, TemplateSet};

/// The examples of all templates whose `expect.fires` the template's own `rules` do not meet.
pub(super) fn check(templates: &TemplateSet, rules: &[Rule], zone: &TimeZone) -> Vec<Fault> {
    let mut faults = Vec::new();
    for info in templates.all() {
        let own = rules.iter().filter(|rule| rule.id.template == info.id).cloned().collect();
        // What does not compile is reported by whoever compiles all of them.
        let Ok(own) = RuleSet::compile(own) else { continue };
        for example in templates.examples(&info.id) {
            let Some(expected) = example.fires else { continue };
            let found = people(&own, &example, zone);
            let what = match (expected, found) {
                (_, Err(why)) => why,
                (true, Ok(0)) => "no rule of the template answers this event".to_owned(),
                (false, Ok(1..)) => "a rule of the template answers this event".to_owned(),
                _ => continue,
            };
            faults.push(Fault {
                file: file(&info.file, &info.id, &example),
                line: None,
                key: "expect.fires".into(),
                what,
                hint: Some("ask `sealpost explain` with the event".into()),
            });
        }
    }
    faults
}

/// To how many people the rules send for an example's event.
pub(super) fn people(rules: &RuleSet, example: &Example, zone: &TimeZone) -> Result<usize, String> {
    let event = decode(&example.event)?;
    let verdict = rules.apply(&event, zone);
    match verdict.faults.into_iter().next() {
        Some((rule, fault)) => Err(format!("rule {rule}: {fault}")),
        None => Ok(verdict.matches.len()),
    }
}

/// The event as the relay would see it.
pub(super) fn decode(event: &Value) -> Result<Event, String> {
    let namespace: Namespace = "example".parse().expect("a word is a namespace");
    // Keys of the moment: nothing is stored, nothing is compared.
    let decoded = event::decode(event.to_string().as_bytes(), &Keyring::generate(), &|_| namespace.clone());
    Ok(decoded.map_err(|refusal| refusal.to_string())?.event)
}

/// The template's own file stands in its folder.
fn file(template: &Path, id: &TemplateId, example: &Example) -> PathBuf {
    let folder = template.parent().map_or_else(|| PathBuf::from(id.as_str()), Path::to_owned);
    folder.join("examples").join(format!("{}.json", example.name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::event::Role;
    use crate::template::TemplateSource;

    fn shipped() -> (TemplateSet, Vec<Rule>) {
        let templates = TemplateSet::load(&TemplateSource::Embedded, None).unwrap_or_else(|_| panic!("they load"));
        let parse = |(id, file, text): &(TemplateId, PathBuf, String)| RuleSet::parse(id, file, text).expect("read");
        let rules = TemplateSet::manifests(&TemplateSource::Embedded).iter().flat_map(parse).collect();
        (templates, rules)
    }

    #[test]
    fn every_shipped_example_is_answered_unless_it_says_otherwise() {
        let (templates, rules) = shipped();
        // Whoever is issued a coupon is told of it, whatever it is.
        let quiet: BTreeSet<&str> = ["welcome", "coupon-issued"].into();
        for info in templates.all() {
            let own = rules.iter().filter(|rule| rule.id.template == info.id).cloned().collect();
            let own = RuleSet::compile(own).unwrap_or_else(|_| panic!("they compile"));
            let examples = templates.examples(&info.id);
            for example in &examples {
                let found = people(&own, example, &TimeZone::UTC).unwrap_or_else(|why| panic!("{}: {why}", info.id));
                assert_eq!(found > 0, example.fires != Some(false), "{} {}", info.id, example.name);
            }
            let is_silent = examples.iter().any(|example| example.fires == Some(false));
            assert!(is_silent || quiet.contains(info.id.as_str()), "{} shows no event that it leaves alone", info.id);
        }
    }

    #[test]
    fn nobody_gets_two_messages_of_shipped_templates_for_one_event() {
        let (templates, rules) = shipped();
        let rules = RuleSet::compile(rules).unwrap_or_else(|_| panic!("they compile"));
        for info in templates.all() {
            for example in templates.examples(&info.id) {
                let event = decode(&example.event).expect("an event");
                let mut told = BTreeSet::new();
                for found in rules.apply(&event, &TimeZone::UTC).matches {
                    let again = !told.insert(found.subject.aliases.first().map(|alias| alias.hash));
                    assert!(!again, "{} {}: {}", info.id, example.name, found.rule.id);
                }
            }
        }
    }

    #[test]
    fn each_event_of_a_transfer_writes_to_one_of_the_two_people_it_names() {
        let (templates, rules) = shipped();
        let rules = RuleSet::compile(rules).unwrap_or_else(|_| panic!("they compile"));
        for (template, role) in [("points-sent", Role::Sender), ("points-received", Role::Receiver)] {
            let examples = templates.examples(&template.parse().expect("a name"));
            let example = examples.iter().find(|example| example.name == "regular").expect("an example");
            let event = decode(&example.event).expect("an event");
            assert_eq!(event.people.len(), 2, "{template}");
            let told: Vec<Role> = rules.apply(&event, &TimeZone::UTC).matches.iter().map(|found| found.role).collect();
            assert_eq!(told, [role], "{template}");
        }
    }

    #[test]
    fn an_example_that_a_rule_does_not_meet_is_a_fault() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |path: &str, text: &str| {
            let path = dir.path().join("t").join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        let rule = "[[rule]]\non = [\"pointsIssued\"]\nwhen = \"event.data.totalPointsIssued > 0\"\nsend = [\"sms\"]\n\
                    live_from = 2026-01-01T00:00:00Z\n";
        let head = "[template]\ncategory = \"service\"\nreads = []\n[sms]\nsender = \"loyalty\"\ntext = \"Points.\"\n";
        write("template.toml", &format!("{rule}{head}"));
        for (name, points, fires) in [("a", 5, "true"), ("b", 0, "true"), ("c", 5, "false"), ("d", 0, "false")] {
            let data = format!(r#"{{"customerIdentifiers": {{"customerId": 7}}, "totalPointsIssued": {points}}}"#);
            let event = format!(
                r#"{{"eventName": "pointsIssued", "eventId": "e", "orgId": 1, "createdAt": 1798920664080, "data": {data}}}"#
            );
            write(
                &format!("examples/{name}.json"),
                &format!(r#"{{"event": {event}, "expect": {{"fires": {fires}}}}}"#),
            );
        }
        write("examples/e.json", r#"{"event": {"eventName": "pointsIssued"}, "expect": {"fires": true}}"#);
        let source = TemplateSource::Dir(dir.path().into());
        let templates = TemplateSet::load(&source, None).unwrap_or_else(|_| panic!("it loads"));
        let (id, file, text) = TemplateSet::manifests(&source).remove(0);
        let rules = RuleSet::parse(&id, &file, &text).expect("a rule");
        let faults = check(&templates, &rules, &TimeZone::UTC);
        let told: Vec<String> = faults
            .iter()
            .map(|f| format!("{}: {}", f.file.strip_prefix(dir.path()).unwrap_or(&f.file).display(), f.what))
            .collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        t/examples/b.json: no rule of the template answers this event
        t/examples/c.json: a rule of the template answers this event
        t/examples/e.json: envelope field `orgId` is missing
        ");
    }
}
