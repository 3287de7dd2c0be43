//! Faults and forms of `[[rule]]`, as people read them.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::config::Faults;

fn template() -> TemplateId {
    "points-issued".parse().unwrap()
}

fn read(text: &str) -> Result<Vec<Rule>, String> {
    let file = Path::new("templates/points-issued/template.toml");
    parse(&template(), file, text).map_err(|faults| Faults(faults).to_string())
}

#[test]
fn a_duration_beyond_a_year_is_a_fault() {
    for (text, fits) in [("366d", true), ("367d", false), ("1mo", false), ("1h30m", true)] {
        let toml = format!(
            "[[rule]]\non = [\"pointsIssued\"]\nsend = [\"email\"]\nexpires_after = \"{text}\"\nlive_from = 2026-01-01T00:00:00Z\n"
        );
        assert_eq!(read(&toml).is_ok(), fits, "{text}");
    }
}

#[test]
fn a_rule_with_every_key_is_read() {
    let rules = read(
        r#"
        [[rule]]
        on = ["pointsIssued", "issuedPointsReversed"]
        when = 'event.data.totalPointsIssued > 0'
        recipients = "survivor"
        send = ["email", "sms"]
        group = "points"
        priority = 10
        delay = "2m"
        wait_for_contact = "3d"
        expires_after = "36h"
        expires_at = "data.validTill"
        live_from = 2027-01-01T00:00:00+05:30

        [[rule]]
        on = ["CouponIssue"]
        each = "data.coupons"
        first_of = ["sms", "email"]
        live_from = 2027-01-01 00:00:00Z

        [template]
        category = "transactional"
        "#,
    )
    .unwrap();
    let [first, second] = rules.as_slice() else { panic!("{} rules", rules.len()) };
    assert_eq!(first.id.to_string(), "points-issued/0");
    assert_eq!(first.on, ["pointsIssued", "issuedPointsReversed"]);
    assert_eq!(first.when.as_deref(), Some("event.data.totalPointsIssued > 0"));
    assert_eq!(first.recipients, Recipients::Role(Role::Survivor));
    assert_eq!(first.send, Send::All(vec![Channel::Email, Channel::Sms]));
    assert_eq!((first.group.as_deref(), first.priority), (Some("points"), 10));
    assert_eq!(first.delay, Duration::from_secs(120));
    assert_eq!(first.wait_for_contact, Some(Duration::from_secs(259_200)));
    assert_eq!(first.expires_after, Some(Duration::from_secs(129_600)));
    assert_eq!(first.expires_at.as_deref(), Some("data.validTill"));
    assert_eq!(first.live_from.to_string(), "2026-12-31T18:30:00.000Z");

    assert_eq!(second.id.to_string(), "points-issued/1");
    assert_eq!(second.recipients, Recipients::Each("data.coupons".into()));
    assert_eq!(second.send, Send::FirstOf(vec![Channel::Sms, Channel::Email]));
    assert_eq!((second.when.as_deref(), second.group.as_deref(), second.priority), (None, None, 0));
    assert_eq!((second.delay, second.wait_for_contact, second.expires_after), (Duration::ZERO, None, None));
    assert_eq!(second.live_from.to_string(), "2027-01-01T00:00:00.000Z");
}

#[test]
fn a_template_without_rules_has_none() {
    assert_eq!(read("[template]\ncategory = \"service\"\n").unwrap().len(), 0);
}

#[test]
fn every_role_word_is_one() {
    for word in ROLES {
        let role: Role = serde_json::from_value(word.into()).unwrap();
        let text = format!(
            "[[rule]]\non = [\"x\"]\nsend = [\"sms\"]\nrecipients = \"{word}\"\nlive_from = 2027-01-01T00:00:00Z"
        );
        assert_eq!(read(&text).unwrap()[0].recipients, Recipients::Role(role), "{word}");
    }
}

#[test]
fn all_faults_come_at_once_with_line_key_expectation_and_hint() {
    let faults = read(
        r#"[[rule]]
on = "pointsIssued"
wen = "true"
recipients = "customers"
each = "data.coupons"
send = ["email", "fax", "email"]
first_of = []
priority = "high"
delay = "3d"
expires_after = "2 moons"
live_from = 2027-01-01

[[rule]]
on = ["couponIssue", "points issued"]
when = 'event.data.x > 0 && custmer.name == "x"'
expires_at = "valid_till"
delay = "2d"
expires_after = "1d"
group = "Points!"

[[rule]]
on = ["x"]
recipients = "data.coupons"
send = ["sms"]
wait_for_contact = 3
each = "coupons"
live_from = "2027-01-01T00:00:00Z"
"#,
    )
    .unwrap_err();
    assert_snapshot!(faults, @r#"
    templates/points-issued/template.toml:2: rule[0].on: expected a list of texts, found a text
        hint: write `on = ["pointsIssued"]`
    templates/points-issued/template.toml:3: rule[0].wen: is not a key of a rule
        hint: did you mean `when`?
    templates/points-issued/template.toml:4: rule[0].recipients: names the unknown role `customers`
        hint: did you mean `customer`?
    templates/points-issued/template.toml:5: rule[0].each: excludes `recipients`
        hint: keep one of the two
    templates/points-issued/template.toml:6: rule[0].send: names `email` twice
        hint: known channels are "email" and "sms"
    templates/points-issued/template.toml:6: rule[0].send: names the unknown channel `fax`
        hint: known channels are "email" and "sms"
    templates/points-issued/template.toml:7: rule[0].first_of: excludes `send`
        hint: keep one of the two
    templates/points-issued/template.toml:7: rule[0].first_of: is empty
        hint: known channels are "email" and "sms"
    templates/points-issued/template.toml:8: rule[0].priority: expected a whole number, found a text
        hint: write `priority = 10`; higher wins
    templates/points-issued/template.toml:10: rule[0].expires_after: `2 moons`: expected a duration such as "10s", "5m", "1h30m" or "3d"
        hint: a day, "1d", is 24 hours
    templates/points-issued/template.toml:11: rule[0].live_from: expected a date and time with an offset, found a date without an offset
        hint: write it without quotes and with an offset, as `2027-01-01T00:00:00Z` or `2027-01-01T00:00:00+05:30`
    templates/points-issued/template.toml:13: rule[1].live_from: is missing
        hint: say from when on it may send, as `live_from = 2027-01-01T00:00:00Z`; older events are not sent
    templates/points-issued/template.toml:13: rule[1].send: is missing
        hint: name the channels, as `send = ["email"]`, or `first_of = ["sms", "email"]`
    templates/points-issued/template.toml:14: rule[1].on: names `couponIssue`
        hint: Capillary writes `CouponIssue`
    templates/points-issued/template.toml:14: rule[1].on: `points issued` is not an event name
        hint: names have no spaces: `pointsIssued`
    templates/points-issued/template.toml:15: rule[1].when: names the unknown variable `custmer`
        hint: a condition sees event.name, event.id, event.org, event.created_at, event.data
    templates/points-issued/template.toml:16: rule[1].expires_at: `valid_till`: expected a path such as "item.valid_till" or "data.tierExpiryDate"
        hint: for a duration use `expires_after`
    templates/points-issued/template.toml:18: rule[1].expires_after: ends before it may be sent
        hint: make it longer than `delay`
    templates/points-issued/template.toml:19: rule[1].group: `Points!` is not a name of a-z, 0-9, `-` and `_`
        hint: write a short name, as `group = "points"`; of its rules that match, only the highest priority sends
    templates/points-issued/template.toml:23: rule[2].recipients: names the unknown role `data.coupons`
        hint: for the people in a list, write `each = "data.coupons"`
    templates/points-issued/template.toml:25: rule[2].wait_for_contact: expected a text, found a whole number
        hint: write a duration in quotes, as "2m", "36h" or "3d"
    templates/points-issued/template.toml:26: rule[2].each: excludes `recipients`
        hint: keep one of the two
    templates/points-issued/template.toml:26: rule[2].each: `coupons` is not the path of a list
        hint: write the path of a list in the event, as `each = "data.coupons"`
    templates/points-issued/template.toml:27: rule[2].live_from: expected a date and time with an offset, found a text
        hint: write it without quotes and with an offset, as `2027-01-01T00:00:00Z` or `2027-01-01T00:00:00+05:30`
    "#);
}

#[test]
fn broken_toml_names_its_line() {
    assert_snapshot!(read("[[rule]]\non = [\"x\"\nsend = \"sms\"\n\n[sms]\ntext = 5x\n").unwrap_err(), @"templates/points-issued/template.toml:3: is not TOML: missing comma between array elements, expected `,`");
    assert_snapshot!(read("[rule]\non = [\"x\"]\n").unwrap_err(), @r#"
    templates/points-issued/template.toml:1: rule: is not a list of rules
        hint: write `[[rule]]`, with two brackets on each side, before each rule
    "#);
    assert_snapshot!(read("rule = [1]\n").unwrap_err(), @r#"
    templates/points-issued/template.toml:1: rule[0]: is not a table
        hint: write `[[rule]]` and its keys below
    "#);
}

#[test]
fn a_condition_too_large_to_run_is_refused_where_it_stands() {
    let when = vec!["event.data.x > 1"; 5_000].join(" && ");
    let text = format!("[[rule]]\non = [\"x\"]\nsend = [\"sms\"]\nwhen = '{when}'\nlive_from = 2027-01-01T00:00:00Z");
    assert_snapshot!(read(&text).unwrap_err(), @r#"
    templates/points-issued/template.toml:4: rule[0].when: is 99996 bytes long; at most 2000 are allowed
        hint: split it into several rules, or use a list: `event.data.x in ["a", "b"]`
    "#);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,80}", key in prop::sample::select(KEYS.to_vec()), value in "\\PC{0,20}|\"\\PC{0,20}\"|[-0-9:TZ.]{0,25}") {
        let _ = read(&text);
        let _ = read(&format!("[[rule]]\n{key} = {value}\n"));
    }
}
