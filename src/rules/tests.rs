//! Whole rule sets on whole events: recipients, groups, lists, expiry.

use insta::assert_snapshot;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::{Alias, AliasKind, Person, Shape};
use crate::id::{EventKey, KeyedHash, OrgId};

/// Somebody known by one alias, made of a number.
fn subject(who: u8) -> Subject {
    Subject {
        aliases: vec![Alias { kind: AliasKind::CustomerId, hash: KeyedHash([who; 16]) }],
        customer_id: None,
        external_id: None,
    }
}

fn person(who: u8, role: Role, place: &str, is_default: bool) -> Person {
    Person { role, subject: subject(who), place: place.into(), is_default }
}

fn event(name: &str, data: Value, people: Vec<Person>) -> Event {
    Event {
        key: EventKey(KeyedHash([0; 16])),
        name: name.into(),
        event_id: Some("e-1".into()),
        org: OrgId(41_007),
        request_id: None,
        ref_id: None,
        created_at: Time::from_millis(1_793_092_797_616),
        shape: Shape::Flat,
        data,
        people,
        nobody: None,
    }
}

fn points(total: i64) -> Event {
    event("pointsIssued", json!({ "total": total }), vec![person(1, Role::Customer, "data", true)])
}

/// Two coupons for customer 1, with one for customer 2 between them.
fn coupons() -> Event {
    let place = |n: usize| format!("data.coupons.{n}");
    event(
        "CouponIssue",
        json!({"coupons": [
            {"code": "A", "valid_till": 1_795_612_546_934_i64},
            {"code": "B", "valid_till": "2026-12-31"},
            {"code": "C", "valid_till": "2121-04-27"},
        ]}),
        vec![
            person(1, Role::Customer, &place(0), true),
            person(2, Role::Customer, &place(1), true),
            person(1, Role::Customer, &place(2), true),
            person(9, Role::Actor, "data.addedBy", false),
        ],
    )
}

/// One template for each text; keys that every rule needs are added.
fn rules(templates: &[(&str, &[&str])]) -> RuleSet {
    let mut all = Vec::new();
    for (template, rules) in templates {
        let text: String = rules
            .iter()
            .map(|rule| format!("[[rule]]\nsend = [\"email\"]\nlive_from = 2026-01-01T00:00:00Z\n{rule}\n"))
            .collect();
        all.extend(RuleSet::parse(&template.parse().unwrap(), Path::new("template.toml"), &text).unwrap());
    }
    RuleSet::compile(all).unwrap()
}

/// `rule: who [items] expiry`, one a line.
fn said(rules: &RuleSet, event: &Event) -> String {
    let zone = TimeZone::get("Asia/Kolkata").unwrap();
    let verdict = rules.apply(event, &zone);
    let line = |found: &Match<'_>| {
        let who = found.subject.aliases[0].hash.0[0];
        let expiry = found.expires_at.map_or("-".to_owned(), |time| time.to_string());
        format!("{}: {who} {:?} {:?} {expiry}", found.rule.id, found.role, found.items)
    };
    let faults = verdict.faults.iter().map(|(rule, fault)| format!("{rule}: fault: {fault}"));
    verdict.matches.iter().map(line).chain(faults).collect::<Vec<_>>().join("\n")
}

fn explained(rules: &RuleSet, event: &Event) -> String {
    let line = |(rule, why): (RuleId, Explanation)| format!("{rule} {why}");
    rules.explain(event, &TimeZone::UTC).into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn only_rules_that_listen_and_whose_condition_holds_fire() {
    let rules = rules(&[(
        "points",
        &[
            "on = [\"pointsIssued\", \"pointsIssued2\"]\nwhen = 'event.data.total > 0'",
            "on = [\"pointsRedeemed\"]",
            "on = [\"pointsIssued\"]\nwhen = 'event.data.total > 100'",
            "on = [\"pointsIssued\"]\nwhen = 'event.data.missing > 100'",
            "on = [\"pointsIssued\"]\nwhen = 'event.data.total.contains(\"8\")'",
            "on = [\"pointsIssued\"]\nrecipients = \"receiver\"",
        ],
    )]);
    assert_snapshot!(said(&rules, &points(8)), @r#"
    points/0: 1 Customer [] -
    points/4: fault: when: `event.data.total`: expected a text, found a number
    "#);
    assert_snapshot!(explained(&rules, &points(8)), @r#"
    points/0 fires for 1
    points/1 listens to other events
    points/2 condition is false: `event.data.total > 100` does not hold
    points/3 condition needs `event.data.missing`, which the event does not have
    points/4 condition cannot be evaluated: `event.data.total`: expected a text, found a number
    points/5 condition holds, but the event names nobody it writes to
    "#);
    assert_eq!(said(&rules, &event("pointsissued", json!({}), Vec::new())), "");
}

#[test]
fn several_coupons_for_one_person_make_one_match_with_items() {
    let rules = rules(&[(
        "coupon",
        &[
            "on = [\"CouponIssue\"]\neach = \"data.coupons\"\nexpires_at = \"item.valid_till\"",
            "on = [\"CouponIssue\"]\nexpires_at = \"data.coupons.2.valid_till\"",
            "on = [\"CouponIssue\"]\neach = \"data.series\"",
            "on = [\"CouponIssue\"]\nrecipients = \"actor\"\nexpires_at = \"item.valid_till\"",
            "on = [\"CouponIssue\"]\nrecipients = \"customer\"\nexpires_at = \"data.coupons.0.code\"",
        ],
    )]);
    assert_snapshot!(said(&rules, &coupons()), @r#"
    coupon/0: 1 Customer ["data.coupons.0", "data.coupons.2"] 2026-11-25T13:15:46.934Z
    coupon/0: 2 Customer ["data.coupons.1"] 2026-12-31T18:30:00.000Z
    coupon/1: 1 Customer ["data.coupons.0", "data.coupons.2"] -
    coupon/1: 2 Customer ["data.coupons.1"] -
    coupon/3: 9 Actor [] -
    coupon/4: 1 Customer ["data.coupons.0", "data.coupons.2"] -
    coupon/4: 2 Customer ["data.coupons.1"] -
    coupon/4: fault: expires_at: `data.coupons.0.code` is neither epoch milliseconds nor a date
    "#);
    assert_snapshot!(explained(&rules, &coupons()), @r#"
    coupon/0 fires for 2
    coupon/1 fires for 2
    coupon/2 condition holds, but the event names nobody it writes to
    coupon/3 fires for 1
    coupon/4 fires for 2; expires_at: `data.coupons.0.code` is neither epoch milliseconds nor a date
    "#);
}

#[test]
fn the_copy_that_names_more_identifiers_is_kept() {
    let mut event = coupons();
    let external = Alias { kind: AliasKind::ExternalId, hash: KeyedHash([77; 16]) };
    event.people[2].subject.aliases.push(external);
    let rules = rules(&[("coupon", &["on = [\"CouponIssue\"]"])]);
    let verdict = rules.apply(&event, &TimeZone::UTC);
    assert_eq!(verdict.matches.len(), 2);
    assert_eq!(verdict.matches[0].subject.aliases.len(), 2);
}

#[test]
fn people_without_any_identifier_are_not_taken_for_one_another() {
    let mut event = coupons();
    event.people.iter_mut().for_each(|person| person.subject.aliases.clear());
    let rules = rules(&[("coupon", &["on = [\"CouponIssue\"]"])]);
    assert_eq!(rules.apply(&event, &TimeZone::UTC).matches.len(), 3);
}

#[test]
fn of_a_group_only_the_highest_priority_that_matches_fires_for_somebody() {
    let big = "on = [\"pointsIssued\"]\ngroup = \"points\"\npriority = 10\nwhen = 'event.data.total > 100'";
    let any = "on = [\"pointsIssued\"]\ngroup = \"points\"\npriority = 5";
    let low = "on = [\"pointsIssued\"]\ngroup = \"points\"\npriority = -1";
    let other = "on = [\"pointsIssued\"]\ngroup = \"other\"";
    let alone = "on = [\"pointsIssued\"]";
    let rules = rules(&[("b", &[low, any, any]), ("a", &[big, other, alone])]);
    let fired = |total| {
        let event = points(total);
        let verdict = rules.apply(&event, &TimeZone::UTC);
        verdict.matches.iter().map(|found| found.rule.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(fired(500), ["a/0", "a/1", "a/2"]);
    assert_eq!(fired(50), ["a/1", "a/2", "b/1"]);
    assert_snapshot!(explained(&rules, &points(50)), @r#"
    a/0 condition is false: `event.data.total > 100` does not hold
    a/1 fires for 1
    a/2 fires for 1
    b/0 condition holds, but b/1 of the same group goes first
    b/1 fires for 1
    b/2 condition holds, but b/1 of the same group goes first
    "#);
}

#[test]
fn a_group_is_decided_for_each_person_by_itself() {
    let event = event(
        "loyaltyCustomerMerge",
        json!({}),
        vec![
            person(1, Role::Survivor, "data", true),
            person(2, Role::Victim, "data", false),
            person(1, Role::Actor, "data", false),
        ],
    );
    let rules = rules(&[(
        "merge",
        &[
            "on = [\"loyaltyCustomerMerge\"]\ngroup = \"merge\"\npriority = 1\nrecipients = \"survivor\"",
            "on = [\"loyaltyCustomerMerge\"]\ngroup = \"merge\"\nrecipients = \"victim\"",
            "on = [\"loyaltyCustomerMerge\"]\ngroup = \"merge\"\nrecipients = \"actor\"",
        ],
    )]);
    assert_snapshot!(said(&rules, &event), @r#"
    merge/0: 1 Survivor [] -
    merge/1: 2 Victim [] -
    "#);
    assert_snapshot!(explained(&rules, &event), @r#"
    merge/0 fires for 1
    merge/1 fires for 1
    merge/2 condition holds, but merge/0 of the same group goes first
    "#);
}

#[test]
fn rules_made_by_hand_are_checked_too() {
    let one = rules(&[("a", &["on = [\"x\"]"])])
        .get(&"a".parse().map(|template| RuleId { template, index: 0 }).unwrap())
        .unwrap()
        .clone();
    let bad = Rule { when: Some("nonsense(".into()), expires_at: Some("till".into()), ..one.clone() };
    let faults = RuleSet::compile(vec![one, bad]).err().unwrap();
    assert_snapshot!(crate::config::Faults(faults), @r#"
    a/template.toml: rule[0].when: column 10: Syntax error: mismatched input <EOF> expecting ')'
        hint: write it like `event.data.totalPointsIssued > 0`
    a/template.toml: rule[0].expires_at: expected a path such as "item.valid_till" or "data.tierExpiryDate"
    a/template.toml: rule[0]: is there twice
        hint: load each template once
    "#);
}

#[test]
fn a_rule_is_found_by_its_name() {
    let rules = rules(&[("b", &["on = [\"x\"]", "on = [\"y\"]"]), ("a", &["on = [\"z\"]"])]);
    let name = |template: &str, index| RuleId { template: template.parse().unwrap(), index };
    assert_eq!(rules.get(&name("b", 1)).unwrap().on, ["y"]);
    assert!(rules.get(&name("b", 2)).is_none() && rules.get(&name("c", 0)).is_none());
    assert_eq!(rules.iter().map(|rule| rule.id.to_string()).collect::<Vec<_>>(), ["a/0", "b/0", "b/1"]);
}

proptest! {
    #[test]
    fn nobody_gets_two_messages_of_one_group_or_two_of_one_rule(
        people in prop::collection::vec((0_u8..4, 0_usize..3, any::<bool>()), 0..12),
        priorities in prop::collection::vec(-2_i64..3, 1..6),
    ) {
        let roles = [Role::Customer, Role::Sender, Role::Receiver];
        let people = people.iter().enumerate()
            .map(|(n, (who, role, is_default))| person(*who, roles[*role], &format!("data.list.{n}"), *is_default)).collect();
        let event = event("x", json!({}), people);
        let words = ["recipients = \"default\"", "recipients = \"sender\"", "each = \"data.list\""];
        let texts: Vec<String> = priorities.iter().enumerate()
            .map(|(n, priority)| format!("on = [\"x\"]\ngroup = \"g\"\npriority = {priority}\n{}", words[n % 3])).collect();
        let rules = rules(&[("t", &texts.iter().map(String::as_str).collect::<Vec<_>>())]);
        let verdict = rules.apply(&event, &TimeZone::UTC);
        let mut seen = std::collections::BTreeSet::new();
        for found in &verdict.matches {
            prop_assert!(seen.insert(found.subject.aliases[0]), "twice");
            prop_assert!(!found.items.is_empty());
        }
        // Whoever a rule of the group means hears from one of them.
        let meant = rules.iter().flat_map(|rule| recipients::of(&rule.recipients, &event)).map(|person| person.subject.aliases[0]);
        prop_assert_eq!(seen, meant.collect());
    }
}

#[test]
fn the_first_part_of_a_condition_that_is_false_is_named_as_the_rule_writes_it() {
    for (condition, clause) in [
        ("event.data.total > 10 && event.data.total < 20", "event.data.total > 10"),
        ("event.data.total > 1 && event.data.total < 2", "event.data.total < 2"),
        ("event.data.total == 5 && (event.name == 'a' && event.org == 1)", "event.name == \"a\""),
        ("event.data.total == 5 && !(event.org == 41007)", "!(event.org == 41007)"),
        ("event.data.missing > 1 && has(event.data.missing)", "has(event.data.missing)"),
        ("event.name in ['a', 'b']", "event.name in […]"),
        ("event.name.startsWith('x')", "startsWith(event.name)"),
    ] {
        let rules = rules(&[("t", &[&format!("on = [\"pointsIssued\"]\nwhen = '''{condition}'''")])]);
        let answer = rules.explain(&points(5), &TimeZone::UTC).remove(0).1;
        assert_eq!(answer, Explanation::ConditionFalse { clause: Some(clause.to_owned()) }, "{condition}");
    }
    let either = rules(&[("t", &["on = [\"pointsIssued\"]\nwhen = 'event.org == 1 || event.org == 2'"])]);
    let answer = either.explain(&points(5), &TimeZone::UTC).remove(0).1;
    assert_eq!(answer, Explanation::ConditionFalse { clause: None }, "neither side alone is the reason");
}
