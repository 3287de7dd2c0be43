//! Who is who, as scripts of facts in every order.

use super::*;

/// Runs a script: facts, one a line, and what is then so. `->` compares what the vault says it did.
pub(super) fn run(name: &str, script: &str) {
    let world = World::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (fact, told) = line.split_once(" -> ").unwrap_or((line, ""));
        let words: Vec<&str> = fact.split_whitespace().collect();
        let at = words.last().and_then(|word| word.strip_prefix('@')).map_or(0, |at| at.parse().unwrap());
        let middle = || words[1..words.len() - 1].to_vec();
        let learned = match words[0] {
            "learn" => world.learn(&middle(), at),
            "put" => {
                let (aliases, rest): (Vec<&str>, Vec<&str>) = middle()
                    .into_iter()
                    .partition(|word| word.as_bytes()[1].is_ascii_digit() && !word.starts_with('+'));
                let mut new = contact(rest[0], at);
                new.mobile = rest.iter().find(|word| word.starts_with('+')).map(|word| Personal::new(*word));
                new.email = rest[1..].iter().find(|word| word.contains('@')).map(|word| Personal::new(*word));
                world.put(&aliases, new, PutMode::Replace).unwrap()
            }
            "merge" => {
                let words = middle();
                let (survivor, victim) = words.split_at(words.iter().position(|word| *word == "<-").unwrap());
                world.merge(survivor, &victim[1..], at)
            }
            "delete" => {
                assert_eq!(world.delete(words[1], at).to_string(), told, "{name}: {line}");
                continue;
            }
            _ => {
                let is = words.iter().position(|word| *word == "is").expect(line);
                let of_now = !words.last().is_some_and(|word| word.starts_with('@'));
                let at = if of_now { Time::MAX } else { Time::from_millis(at) };
                assert_eq!(world.who_at(&words[..is], at), words[is + 1], "{name}: {line}");
                continue;
            }
        };
        world.check_whole();
        for part in told.split(", ").filter(|part| !part.is_empty()) {
            let (what, rest) = part.split_once(' ').unwrap_or((part, ""));
            match what {
                "woken" => {
                    let expected: BTreeSet<_> = rest.split_whitespace().map(|word| world.alias(word)).collect();
                    let woken: BTreeSet<_> = learned.woken.iter().copied().collect();
                    assert_eq!(woken.len(), learned.woken.len(), "{name}: {line}: woken twice");
                    assert_eq!(woken, expected, "{name}: {line}");
                }
                "linked" => assert_eq!(learned.linked.to_string(), rest, "{name}: {line}"),
                "conflicts" => assert_eq!(learned.conflicts.to_string(), rest, "{name}: {line}"),
                "clean" => assert!(!learned.dirty, "{name}: {line}: something was written"),
                "dirty" => assert!(learned.dirty, "{name}: {line}: nothing was written"),
                "erased" => assert!(learned.erased, "{name}: {line}"),
                _ => panic!("{name}: {line}: {what}?"),
            }
        }
    }
    world.check_whole();
}

#[test]
fn late_mixed_up_merged_and_renamed_people_are_who_they_should_be() {
    let cases = [
        (
            "an alias learned before the contact wakes when the contact comes",
            "
            learn c1 e1 @5 -> linked 2, woken, dirty
            c1 is unknown
            put e1 Asha @10 -> woken c1 e1
            c1 is Asha",
        ),
        (
            "an alias learned after the contact wakes at once, and only that one",
            "
            put e1 Asha @10 -> woken e1, dirty
            learn c1 e1 @20 -> woken c1, linked 1, dirty
            c1 is Asha",
        ),
        (
            "saying it again writes nothing, whenever it is said",
            "
            learn c1 e1 @5
            learn c1 e1 @5 -> clean, linked 0
            learn e1 c1 @99 -> clean
            put e1 Asha @10
            put e1 Asha @10 -> clean, woken
            learn c1 e1 @3 -> clean",
        ),
        (
            "a single name teaches nothing",
            "
            learn c1 @5 -> clean
            learn m:+919812345678 a:x@y.in @5 -> clean",
        ),
        (
            "facts in any order end in one person",
            "
            put k1 Asha @50
            learn c1 e1 @10
            learn e1 k1 @5 -> woken c1 e1, conflicts 0
            c1 is Asha",
        ),
        (
            "chains of stubs become one",
            "
            learn c1 e1 @1
            learn k1 x1 @2
            learn e1 k1 @3 -> linked 0, dirty
            put x1 Asha @4 -> woken c1 e1 k1 x1",
        ),
        (
            "an older contact changes nothing but still links",
            "
            put e1 New @20
            put e1 c1 Old @10 -> woken c1, linked 1
            c1 is New",
        ),
        (
            "a card that goes to somebody else follows the newer fact",
            "
            put c1 k1 Asha @10
            put c2 Ravi @10
            learn c2 k1 @20 -> conflicts 1, dirty, woken
            k1 is Ravi
            c1 is Asha
            learn c1 k1 @15 -> conflicts 1, clean
            k1 is Ravi",
        ),
        (
            "the customer id decides who somebody is",
            "
            put c1 e1 Asha @10
            put e2 k2 Ravi @10
            learn k2 c1 @20 -> conflicts 1
            k2 is Asha
            e2 is Ravi",
        ),
        (
            "a put for a customer whom events know reaches all their names",
            "
            learn c1 e1 k1 @1
            put k1 x9 Asha @5 -> woken c1 e1 x9 k1
            x9 is Asha
            put k1 e9 Ravi @9 -> conflicts 1, woken e9
            c1 is Asha",
        ),
        (
            "a merge leads the victim to the survivor, whose contact stays",
            "
            put c1 e1 Asha @10
            put c2 e2 k2 Ghost @90
            merge c1 <- c2 @50 -> woken, dirty
            c2 is Asha
            k2 is Asha
            merge c1 <- c2 @50 -> clean",
        ),
        (
            "a merge into somebody without a contact keeps the victim's",
            "
            put c2 e2 Ghost @10
            merge c1 <- c2 @50 -> woken c1
            c1 is Ghost
            put c1 Asha @60
            e2 is Asha",
        ),
        (
            "a merge of two unknown people is remembered",
            "
            merge c1 <- c2 @5 -> dirty, woken
            put c1 Asha @9 -> woken c1 c2",
        ),
        (
            "a merge leaves a card to whom it went since",
            "
            put c2 k2 Ghost @10
            put c1 Asha @10
            put c3 Ravi @10
            learn c3 k2 @80
            merge c1 <- c2 k2 @50 -> conflicts 1
            k2 is Ravi
            c2 is Asha",
        ),
        (
            "an erased person is erased by every name, and for old facts for good",
            "
            put e1 c1 Asha +919812345678 @10
            learn c1 k1 @12
            delete k1 @20 -> true
            e1 is erased
            c1 is erased
            c1 is erased @30
            m:+919812345678 is erased @20
            m:+919812345678 is unknown @21
            delete e1 @21 -> false
            put e1 Asha @20 -> erased, clean
            learn c1 k1 @15 -> clean, erased
            learn c1 k9 @15 -> clean, erased
            merge c1 <- c7 @15 -> clean
            k9 is unknown
            put e9 k1 Asha @15 -> erased, clean
            e9 is unknown",
        ),
        (
            "a newer registration brings an erased person back, but nothing older does",
            "
            put e1 c1 Asha @10
            delete e1 @20 -> true
            c1 is erased @30
            learn c1 e1 @30 -> dirty, woken
            c1 is unknown @30
            c1 is erased @20
            put e1 Asha @19 -> erased, clean
            put e1 Asha @31 -> woken c1 e1
            c1 is Asha
            c1 is Asha @21
            c1 is erased @20
            put e1 Zombie @15 -> erased, clean
            e1 is Asha",
        ),
        (
            "the erasure is as late as the newest thing that was erased",
            "
            put e1 Asha @100
            delete e1 @50 -> true
            put e1 Asha @100 -> erased, clean
            e1 is erased",
        ),
        (
            "an erasure that comes before the person holds against older facts",
            "
            delete c1 @20 -> false
            put c1 Asha @10 -> erased, clean
            c1 is erased
            put c1 Asha @30 -> woken c1",
        ),
        (
            "an old row about an erased person does not write over who bears the card now",
            "
            put e1 Asha @10
            delete e1 @20 -> true
            put k1 Ravi @5
            put e1 k1 Asha @15 -> erased, clean
            k1 is Ravi",
        ),
    ];
    for (name, script) in cases {
        run(name, script);
    }
}

#[test]
fn shared_phones_and_mails_name_one_person_or_nobody() {
    let cases = [
        (
            "a phone of the contact is found with and without the plus",
            "
            put e1 Asha +919812345678 @10 -> woken e1 m:+919812345678 m:919812345678
            m:+919812345678 is Asha
            m:919812345678 is Asha",
        ),
        (
            "a mail address is found as written and in small letters",
            "
            put e1 Asha Asha@Example.in @10
            a:asha@example.in is Asha
            a:Asha@Example.in is Asha",
        ),
        (
            "a family phone names several, and the mail tells them apart",
            "
            put e1 Asha +919812345678 asha@example.in @10
            put e2 Ravi +919812345678 ravi@example.in @10 -> woken e2 a:ravi@example.in m:+919812345678 m:919812345678
            m:+919812345678 is several
            m:+919812345678 a:ravi@example.in is Ravi
            a:asha@example.in a:ravi@example.in is several
            delete m:+919812345678 @20 -> false
            e1 is Asha
            delete e1 @20 -> true
            m:+919812345678 is Ravi",
        ),
        (
            "a unique name comes first",
            "
            put e1 Asha +919812345678 @10
            put e2 Ravi @10
            e2 m:+919812345678 is Ravi",
        ),
        (
            "whoever is named by an identifier of their own is not found by a phone that somebody shares",
            "
            put e1 Asha +919812345678 @10
            c9 m:+919812345678 is unknown
            k9 m:+919812345678 is unknown
            learn c9 m:+919812345678 @20 -> linked 2, woken
            c9 m:+919812345678 is unknown
            m:+919812345678 is Asha
            e1 m:+919812345678 is Asha
            learn c9 e1 @30 -> woken c9
            c9 m:+919812345678 is Asha",
        ),
        (
            "the tombstone of whoever had the phone before says nothing of somebody new",
            "
            put e1 c1 Asha +919812345678 @10
            delete e1 @20 -> true
            learn c2 m:+919812345678 @15
            c2 m:+919812345678 is unknown @15
            learn c2 m:+919812345678 @30
            c2 m:+919812345678 is unknown @30
            put c2 Ravi @40 -> woken c2 m:+919812345678
            c2 m:+919812345678 is Ravi @30
            c1 m:+919812345678 is erased @15",
        ),
        (
            "everybody who comes to share a phone wakes those who wait for it",
            "
            put e1 Asha +919812345678 @10 -> woken e1 m:+919812345678 m:919812345678
            learn c2 m:+919812345678 @20 -> woken
            put c2 Ravi @30 -> woken c2 m:+919812345678
            put c2 Ravi @31 -> woken
            put e3 Mira @30 -> woken e3
            learn e3 m:+919812345678 @40 -> woken m:+919812345678",
        ),
        (
            "a message to the erased does not go to who shares the phone",
            "
            put e1 c1 Asha +919812345678 @10
            put e2 Ravi +919812345678 @10
            delete e1 @20 -> true
            c1 m:+919812345678 is erased",
        ),
        (
            "a changed phone is found, the former one is not",
            "
            put e1 Asha +919812345678 @10
            put e1 Asha +919800000000 @20 -> woken m:+919800000000 m:919800000000
            m:+919812345678 is unknown
            m:+919800000000 is Asha",
        ),
        (
            "a phone that an event teaches leads to the person",
            "
            learn c1 m:+919812345678 @5
            m:+919812345678 is unknown
            put c1 Asha @10 -> woken c1 m:+919812345678
            m:+919812345678 is Asha",
        ),
    ];
    for (name, script) in cases {
        run(name, script);
    }
}

#[test]
fn a_patch_keeps_what_it_does_not_name_and_a_replace_does_not() {
    let world = World::new();
    let mut full = contact("Asha", 10);
    full.last_name = Some(Personal::new(" Rao "));
    full.attributes = [("tier".to_owned(), Personal::new("gold")), ("shop".to_owned(), Personal::new("Pune"))].into();
    world.put(&["e1"], full, PutMode::Replace).unwrap();

    let mut patch = contact("", 20);
    patch.mobile = Some(Personal::new("+91 98123-45678"));
    patch.locale = Some("hi_IN".into());
    patch.attributes = [("tier".to_owned(), Personal::new("")), ("age".to_owned(), Personal::new("40"))].into();
    world.put(&["e1"], patch, PutMode::Patch).unwrap();
    let now = world.vault().contact(world.id("e1")).unwrap().unwrap();
    insta::assert_snapshot!(json::contact_json(&now), @r#"{"attributes":{"age":"40","shop":"Pune"},"last_name":"Rao","locale":"hi-IN","mobile":"+919812345678","updated_at":"1970-01-01T00:00:00.020Z"}"#);

    world.put(&["e1"], contact("Asha", 30), PutMode::Replace).unwrap();
    let now = world.vault().contact(world.id("e1")).unwrap().unwrap();
    insta::assert_snapshot!(json::contact_json(&now), @r#"{"attributes":{},"first_name":"Asha","updated_at":"1970-01-01T00:00:00.030Z"}"#);
}

#[test]
fn a_contact_that_cannot_be_used_is_refused_by_field_and_never_quoted() {
    let world = World::new();
    type Change = fn(&mut Contact);
    let cases: &[(Change, &str)] = &[
        (|c| c.mobile = Some(Personal::new("98123canary")), "field `mobile` is not E.164"),
        (|c| c.email = Some(Personal::new("canary")), "field `email` is not a mail address"),
        (
            |c| c.time_zone = Some("Canary/Nowhere".into()),
            "field `time_zone` is not an IANA time zone like Asia/Kolkata",
        ),
        (|c| c.locale = Some("canary!".into()), "field `locale` is not a language tag like en or ar-SA"),
        (|c| c.last_name = Some(Personal::new("c".repeat(8_193))), "field `last_name` is not of at most 8192 bytes"),
        (
            |c| drop(c.attributes.insert("a".into(), Personal::new("c".repeat(8_193)))),
            "field `attributes` is not of at most 8192 bytes",
        ),
        (
            |c| c.attributes = (0..5).map(|n| (n.to_string(), Personal::new("c".repeat(8_000)))).collect(),
            "contact would take 40088 bytes; at most 32723 fit",
        ),
    ];
    for (change, expected) in cases {
        let mut given = contact("Asha", 10);
        change(&mut given);
        assert_eq!(fault(world.put(&["e1"], given, PutMode::Patch)), *expected);
    }
    let nameless = fault(world.put(&["m:+919812345678"], contact("Asha", 10), PutMode::Patch));
    assert!(nameless.starts_with("field `aliases` is not given: one of customer_id"), "{nameless}");
    assert_eq!(world.who(&["e1"]), "unknown");
    world.check_whole();
}

#[test]
fn a_mark_holds_for_one_address_and_goes_with_it() {
    let world = World::new();
    let with = |mail: &str, at| Contact { email: Some(Personal::new(mail)), ..contact("Asha", at) };
    world.put(&["e1"], with("Asha@example.in", 10), PutMode::Replace).unwrap();
    let id = world.id("e1");
    let suppressed = |channel| world.vault().address_suppressed(id, channel).unwrap();
    world.vault().suppress_address(id, Channel::Sms, Time::from_millis(11)).unwrap();
    world.vault().suppress_address(id, Channel::Email, Time::from_millis(11)).unwrap();
    assert!(suppressed(Channel::Email) && !suppressed(Channel::Sms));

    world.put(&["e1"], with("asha@example.in", 20), PutMode::Replace).unwrap();
    assert!(suppressed(Channel::Email), "the same mailbox in other letters");
    world.put(&["e1"], with("new@example.in", 30), PutMode::Replace).unwrap();
    assert!(!suppressed(Channel::Email));
    world.put(&["e1"], with("asha@example.in", 40), PutMode::Replace).unwrap();
    assert!(!suppressed(Channel::Email), "a changed address clears the mark for good");

    let nobody = ContactId([9; 16]);
    world.vault().suppress_address(nobody, Channel::Email, Time::from_millis(50)).unwrap();
    assert!(!world.vault().address_suppressed(nobody, Channel::Email).unwrap());
}

#[test]
fn somebody_with_too_many_names_keeps_the_newest() {
    let world = World::new();
    world.put(&["c1"], contact("Till", 0), PutMode::Replace).unwrap();
    let cards: Vec<String> = (0..100).map(|n| format!("k{n}")).collect();
    for (at, card) in (1..).zip(&cards) {
        world.learn(&["c1", card], at);
    }
    world.check_whole();
    assert_eq!(world.who(&["k99"]), "Till");
    assert_eq!(world.who(&["k0"]), "unknown");
    assert_eq!(world.vault().stats().unwrap().aliases, draft::MAX_ALIASES as u64);
}

#[test]
fn an_alias_that_leads_to_a_missing_person_leads_nowhere_and_heals() {
    let world = World::new();
    world.put(&["e1"], contact("Asha", 10), PutMode::Replace).unwrap();
    let id = world.id("e1");
    let mut half = world.vault().0.store.batch();
    half.remove(store::Table::Person, &id.0);
    half.remove(store::Table::Contact, &id.0);
    half.apply().unwrap();
    assert_eq!(world.who(&["e1"]), "unknown");
    assert!(!world.delete("e9", 1));
    world.put(&["e1"], contact("Asha", 20), PutMode::Replace).unwrap();
    assert_eq!(world.who(&["e1"]), "Asha");
}

#[test]
fn everything_stored_of_a_person_can_be_shown_to_them() {
    let world = World::new();
    world.learn(&["c1", "e1", "k1"], 5);
    let mail = Contact { email: Some(Personal::new("asha@example.in")), ..contact("Asha", 10) };
    world.put(&["e1"], mail, PutMode::Replace).unwrap();
    let id = world.id("e1");
    world.vault().suppress_address(id, Channel::Email, Time::from_millis(11)).unwrap();
    let mut shown = world.vault().person_json(id).unwrap().unwrap();
    for identifier in shown["identifiers"].as_array_mut().unwrap() {
        identifier.as_object_mut().unwrap().remove("hash").unwrap();
    }
    insta::assert_snapshot!(shown, @r#"{"contact":{"attributes":{},"email":"asha@example.in","first_name":"Asha","updated_at":"1970-01-01T00:00:00.010Z"},"identifiers":[{"at":"1970-01-01T00:00:00.005Z","kind":"customer_id","value":"c1"},{"at":"1970-01-01T00:00:00.005Z","kind":"external_id","value":"e1"},{"at":"1970-01-01T00:00:00.005Z","kind":"card","value":null}],"kept_until":null,"namespace":"main","suppressed":[{"at":"1970-01-01T00:00:00.011Z","channel":"email"}]}"#);
    assert!(world.vault().person_json(ContactId([9; 16])).unwrap().is_none());
}
