//! People by phone and mail, against the plainest thing that means the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::vault::find::Reach;

const WHO: [&str; 4] = ["e1", "e2", "e3", "e4"];
/// One number, one address, each as somebody may write it.
const PHONES: [[&str; 3]; 2] =
    [["+919812345678", "91 98123-45678", "0091 (98123) 45678"], ["+14155550100", "1 415 555 0100", "+1.415.555.0100"]];
const MAILS: [[&str; 2]; 2] = [["Asha@Example.in", "asha@example.IN"], ["ravi@example.in", "RAVI@example.in"]];

#[derive(Clone, Debug)]
enum Op {
    Put { who: &'static str, phone: Option<usize>, mail: Option<usize>, replace: bool },
    Clear(&'static str),
    Delete(&'static str),
    Merge(&'static str, &'static str),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let who = || prop::sample::select(&WHO[..]);
    let pick = || prop::option::of(0..2usize);
    prop_oneof![
        6 => (who(), pick(), pick(), any::<bool>())
            .prop_map(|(who, phone, mail, replace)| Op::Put { who, phone, mail, replace }),
        1 => who().prop_map(Op::Clear),
        2 => who().prop_map(Op::Delete),
        1 => (who(), who()).prop_map(|(survivor, victim)| Op::Merge(survivor, victim)),
        1 => Just(Op::Reopen),
    ]
}

fn with(phone: Option<&str>, mail: Option<&str>, at: i64) -> Contact {
    let text = |value: Option<&str>| value.map(Personal::new);
    Contact { mobile: text(phone), email: text(mail), ..contact("Somebody", at) }
}

impl World {
    fn reached(&self, reach: &Reach) -> BTreeSet<ContactId> {
        let (found, more) = self.vault().find(&namespace(), reach, 10).unwrap();
        assert!(!more);
        found.into_iter().filter(|reached| reached.current).map(|reached| reached.id).collect()
    }
}

/// Phone and mail by person; names of one person share a number.
#[derive(Default)]
struct Model {
    bearer: BTreeMap<&'static str, usize>,
    people: BTreeMap<usize, (Option<usize>, Option<usize>)>,
    next: usize,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_number_leads_to_everybody_who_has_it_now_and_to_nobody_else(ops in prop::collection::vec(op(), 1..25)) {
        let mut world = World::new();
        let mut model = Model::default();
        for (step, op) in ops.into_iter().enumerate() {
            let at = 100 + step as i64;
            match op {
                Op::Put { who, phone, mail, replace } => {
                    let mode = if replace { PutMode::Replace } else { PutMode::Patch };
                    let contact = with(phone.map(|n| PHONES[n][0]), mail.map(|n| MAILS[n][0]), at);
                    world.put(&[who], contact, mode).unwrap();
                    let id = *model.bearer.entry(who).or_insert_with(|| { model.next += 1; model.next });
                    let old = model.people.get(&id).filter(|_| !replace).copied().unwrap_or_default();
                    model.people.insert(id, (phone.or(old.0), mail.or(old.1)));
                }
                Op::Clear(who) => {
                    world.put(&[who], with(Some(""), Some(""), at), PutMode::Patch).unwrap();
                    let id = *model.bearer.entry(who).or_insert_with(|| { model.next += 1; model.next });
                    model.people.insert(id, (None, None));
                }
                Op::Delete(who) => {
                    world.delete(who, at);
                    if let Some(id) = model.bearer.get(who).copied() {
                        model.bearer.retain(|_, of| *of != id);
                        model.people.remove(&id);
                    }
                }
                Op::Merge(survivor, victim) => {
                    if let (Some(into), Some(from)) = (model.bearer.get(survivor).copied(), model.bearer.get(victim).copied())
                        && into != from
                    {
                        world.merge(&[survivor], &[victim], at);
                        model.people.remove(&from);
                        model.bearer.values_mut().filter(|id| **id == from).for_each(|id| *id = into);
                    }
                }
                Op::Reopen => world.reopen(),
            }
            let bearers = |ids: Vec<usize>| -> BTreeSet<ContactId> {
                let word = |id: usize| model.bearer.iter().find(|(_, of)| **of == id).map(|(word, _)| *word).unwrap();
                ids.into_iter().map(|id| world.id(word(id))).collect()
            };
            for n in 0..2 {
                let has_phone = model.people.iter().filter(|(_, (phone, _))| *phone == Some(n)).map(|(id, _)| *id);
                let expected = bearers(has_phone.collect());
                for form in PHONES[n] {
                    prop_assert_eq!(&world.reached(&Reach::Phone(Personal::new(form))), &expected, "{} at {}", form, step);
                }
                let has_mail = model.people.iter().filter(|(_, (_, mail))| *mail == Some(n)).map(|(id, _)| *id);
                let expected = bearers(has_mail.collect());
                for form in MAILS[n] {
                    prop_assert_eq!(&world.reached(&Reach::Email(Personal::new(form))), &expected, "{} at {}", form, step);
                }
            }
            world.check_whole();
        }
    }
}

#[test]
fn what_an_event_said_of_a_number_is_found_too_and_told_apart() {
    let world = World::new();
    world.put(&["e1"], with(Some("+919812345678"), None, 10), PutMode::Patch).unwrap();
    world.learn(&["e2", "m:919812345678"], 10);
    let phone = Reach::Phone(Personal::new("+91 98123 45678"));
    let (found, _) = world.vault().find(&namespace(), &phone, 10).unwrap();
    let mut told: Vec<bool> = found.iter().map(|reached| reached.current).collect();
    told.sort_unstable();
    assert_eq!(told, [false, true]);
    let (found, more) = world.vault().find(&namespace(), &phone, 1).unwrap();
    assert_eq!((found.len(), more), (1, true));
    let shown = world.vault().identifiers_json(world.id("e1")).unwrap().unwrap().to_string();
    assert!(shown.contains("e1") && !shown.contains("98123") && !shown.contains("Somebody"), "{shown}");
    for nothing in ["", "  ", "+", "call me"] {
        assert!(world.vault().find(&namespace(), &Reach::Phone(Personal::new(nothing)), 10).unwrap().0.is_empty());
    }
}

#[test]
fn the_brands_own_ids_come_from_the_vault_and_else_from_the_event() {
    let world = World::new();
    world.put(&["c7", "e1"], contact("Asha", 1), PutMode::Patch).unwrap();
    let ids = |subject: &Subject| world.vault().brand_ids(subject).unwrap();
    // An event knows only the customer id; the vault knows the other.
    let known = ids(&world.subject(&["c7"])).unwrap();
    let external = known["external_id"].as_str().unwrap();
    assert_eq!(ids(&world.subject(&["e1"])).unwrap(), known);
    assert!(known["customer_id"].is_string() && !external.is_empty());
    let mut stranger = world.subject(&["c9"]);
    stranger.customer_id = None;
    assert_eq!(ids(&stranger), None, "nothing is known by which the brand could know them");
    stranger.customer_id = Some(Personal::new("4711"));
    assert_eq!(ids(&stranger).unwrap(), serde_json::json!({"external_id": null, "customer_id": "4711"}));
    // Only a number is known, and one person has it.
    world.put(&["c7"], with(Some("+919812345678"), None, 2), PutMode::Patch).unwrap();
    assert_eq!(ids(&world.subject(&["m:+919812345678"])).unwrap(), known);
    assert_eq!(ids(&world.subject(&["m:+919812345679"])), None);
}
