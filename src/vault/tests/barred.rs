//! Lists of numbers: what counts, when, and what is left of a list that was replaced.

use super::*;

const NOW: Time = Time::from_millis(1_800_000_000_000);

fn numbers(given: &[&str]) -> Vec<Personal> {
    given.iter().map(|number| Personal::new(*number)).collect()
}

impl World {
    fn barred(&self, number: &str) -> bool {
        self.vault().is_barred(&Personal::new(number)).unwrap()
    }
}

#[test]
fn a_list_that_is_replaced_counts_until_the_new_one_is_whole() {
    let mut world = World::new();
    let old = world.vault().begin_list("ndnc", false, NOW).unwrap();
    let given = numbers(&["+919812345678", "+919812345679", "+919812345678"]);
    assert_eq!(world.vault().add_to_list("ndnc", old, &given, NOW).unwrap(), 2);
    assert_eq!(world.vault().add_to_list("ndnc", old, &given, NOW).unwrap(), 0, "again changes nothing");
    assert!(world.barred("+919812345678") && !world.barred("+919812345670") && !world.barred("nobody"));

    let new = world.vault().begin_list("ndnc", true, NOW).unwrap();
    world.vault().add_to_list("ndnc", new, &numbers(&["+14155550100"]), NOW).unwrap();
    assert!(world.barred("+919812345678") && !world.barred("+14155550100"), "not whole yet");
    assert_eq!(world.vault().finish_list("ndnc", new, NOW).unwrap(), 1);
    world.reopen();
    assert!(!world.barred("+919812345678") && world.barred("+14155550100"));
    let left = world.vault().0.store.all_keys().into_iter().filter(|key| key[0] == store::Table::Barred as u8);
    assert_eq!(left.count(), 1, "the old list is gone");
    assert_eq!(world.vault().list_states().unwrap()["ndnc"].numbers, 1);
    assert!(fault(world.vault().add_to_list("ndnc", old, &given, NOW)).contains("being filled"));
}

#[test]
fn a_replacement_that_was_begun_again_has_nothing_of_the_first() {
    let world = World::new();
    let half = world.vault().begin_list("ndnc", true, NOW).unwrap();
    world.vault().add_to_list("ndnc", half, &numbers(&["+919812345678"]), NOW).unwrap();
    let next = world.vault().begin_list("ndnc", true, NOW).unwrap();
    assert_ne!(next, half);
    let left = world.vault().0.store.all_keys().into_iter().filter(|key| key[0] == store::Table::Barred as u8);
    assert_eq!(left.count(), 0);
    assert!(fault(world.vault().finish_list("ndnc", half, NOW)).contains("being filled"));
}

#[test]
fn any_list_bars_and_bad_names_and_numbers_are_refused_without_values() {
    let world = World::new();
    for name in ["ndnc", "own"] {
        let edition = world.vault().begin_list(name, false, NOW).unwrap();
        let number = if name == "own" { "+919800000001" } else { "+919800000002" };
        world.vault().add_to_list(name, edition, &numbers(&[number]), NOW).unwrap();
        let refused = fault(world.vault().add_to_list(name, edition, &numbers(&["9800canary"]), NOW));
        assert_eq!(refused, "field `numbers` is not E.164");
    }
    assert!(world.barred("+919800000001") && world.barred("+919800000002"));
    for name in ["", "NDNC", "a b", &"x".repeat(33)] {
        assert!(fault(world.vault().begin_list(name, false, NOW)).starts_with("field `list` is not"));
    }
}

#[test]
fn a_number_on_a_list_is_nowhere_in_the_files() {
    let mut world = World::new();
    let edition = world.vault().begin_list("ndnc", false, NOW).unwrap();
    world.vault().add_to_list("ndnc", edition, &numbers(&["+919812345678"]), NOW).unwrap();
    world.vault().sync_blocking().unwrap();
    world.reopen();
    let db = std::fs::read(world.path().join("db")).unwrap();
    assert!(!db.windows(10).any(|window| window == b"9812345678"));
}
