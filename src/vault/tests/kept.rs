//! Contacts that were only looked up.

use super::*;

fn looked_up(name: &str, at: i64, until: i64) -> Contact {
    Contact {
        mobile: Some(Personal::new("+919812345678")),
        keep_until: Some(Time::from_millis(until)),
        ..contact(name, at)
    }
}

fn forget(world: &World, now: i64) -> usize {
    world.vault().forget_all_stale(Time::from_millis(now), 10).unwrap()
}

#[test]
fn a_contact_that_was_looked_up_is_gone_after_its_time_and_who_is_who_stays() {
    let mut world = World::new();
    world.learn(&["c1", "e1"], 5);
    world.put(&["e1"], looked_up("Asha", 10, 100), PutMode::Replace).unwrap();
    assert_eq!((world.who(&["c1"]), world.who(&["m:+919812345678"])), ("Asha".into(), "Asha".into()));
    assert_eq!(forget(&world, 99), 0);
    world.reopen();
    assert_eq!(forget(&world, 100), 1);
    world.check_whole();
    assert_eq!(world.who(&["c1"]), "unknown");
    assert_eq!(world.who(&["m:+919812345678"]), "unknown", "its address goes with it");
    // Who is who is known still: the next look-up finds both names.
    let woken = world.put(&["e1"], looked_up("Asha", 101, 200), PutMode::Replace).unwrap().woken;
    assert!(woken.contains(&world.alias("c1")) && woken.contains(&world.alias("e1")));
    world.check_whole();
}

#[test]
fn only_a_stale_one_is_forgotten_when_it_is_asked_for() {
    let world = World::new();
    world.put(&["e1"], looked_up("Asha", 10, 100), PutMode::Replace).unwrap();
    world.put(&["e2"], contact("Ben", 10), PutMode::Replace).unwrap();
    let gone = |word: &str, now| world.vault().forget_stale(world.id(word), Time::from_millis(now)).unwrap();
    assert!(!gone("e1", 99) && !gone("e2", 1_000_000) && gone("e1", 100));
    assert_eq!((world.who(&["e1"]), world.who(&["e2"])), ("unknown".into(), "Ben".into()));
}

#[test]
fn looking_up_again_keeps_it_longer_and_only_that_long() {
    let world = World::new();
    world.put(&["e1"], looked_up("Asha", 10, 100), PutMode::Replace).unwrap();
    world.put(&["e1"], looked_up("Asha", 10, 150), PutMode::Replace).unwrap();
    world.check_whole();
    assert_eq!((forget(&world, 149), forget(&world, 150)), (0, 1));
    world.check_whole();
}

#[test]
fn what_the_brand_put_itself_stands_above_what_was_looked_up_whichever_is_newer() {
    let world = World::new();
    world.put(&["e1"], contact("Told", 10), PutMode::Replace).unwrap();
    world.put(&["e1"], looked_up("Found", 20, 100), PutMode::Replace).unwrap();
    assert_eq!(world.who(&["e1"]), "Told");
    world.put(&["e2"], looked_up("Found", 20, 100), PutMode::Replace).unwrap();
    world.put(&["e2"], contact("Told", 10), PutMode::Patch).unwrap();
    assert_eq!(world.who(&["e2"]), "Told");
    world.check_whole();
    assert_eq!(forget(&world, 1_000_000), 0, "what the brand told is not forgotten");
}

#[test]
fn an_erasure_and_a_merge_leave_nothing_to_be_forgotten_later() {
    let world = World::new();
    world.put(&["e1"], looked_up("Asha", 10, 100), PutMode::Replace).unwrap();
    assert!(world.delete("e1", 20));
    world.check_whole();
    world.put(&["e2"], looked_up("Ben", 10, 100), PutMode::Replace).unwrap();
    world.merge(&["e3"], &["e2"], 20);
    world.check_whole();
    assert_eq!((world.who(&["e3"]), forget(&world, 100)), ("Ben".into(), 1));
    world.check_whole();
}

#[test]
fn an_address_that_bounced_is_not_used_again_because_it_was_looked_up_again() {
    let world = World::new();
    let marked = || world.vault().address_suppressed(world.id("e1"), Channel::Sms).unwrap();
    world.put(&["e1"], looked_up("Asha", 10, 100), PutMode::Replace).unwrap();
    world.vault().suppress_address(world.id("e1"), Channel::Sms, Time::from_millis(20)).unwrap();
    assert_eq!(forget(&world, 100), 1);
    world.put(&["e1"], looked_up("Asha", 110, 200), PutMode::Replace).unwrap();
    assert!(marked());
    let other = Contact { mobile: Some(Personal::new("+919812345679")), ..looked_up("Asha", 120, 200) };
    world.put(&["e1"], other, PutMode::Replace).unwrap();
    assert!(!marked(), "another address is another matter");
}
