//! Putting many means what putting one by one means.

use proptest::prelude::*;

use super::*;
use crate::vault::many::{PutHow, PutRow};

const WORDS: [&str; 7] = ["c1", "c2", "c3", "e1", "e2", "e3", "k1"];

#[derive(Clone, Debug)]
struct Put {
    words: Vec<&'static str>,
    at: i64,
    dated: bool,
    phone: bool,
    bad: bool,
}

fn put() -> impl Strategy<Value = Put> {
    let words = prop::sample::subsequence(&WORDS[..], 1..=3).prop_shuffle();
    (words, 0..30i64, any::<bool>(), any::<bool>(), prop::bool::weighted(0.1))
        .prop_map(|(words, at, dated, phone, bad)| Put { words, at, dated, phone, bad })
}

impl World {
    fn row(&self, put: &Put, name: &str) -> PutRow {
        let mobile = put.phone.then(|| Personal::new(if put.bad { "98canary" } else { "+919812345678" }));
        PutRow {
            aliases: put.words.iter().map(|word| self.named(word)).collect(),
            contact: Contact { mobile, ..contact(name, put.at) },
            dated: put.dated,
        }
    }

    fn many(&self, rows: &[PutRow], how: PutHow) -> crate::vault::many::ManyPut {
        self.vault().put_many(&namespace(), rows, how).unwrap()
    }

    /// What can be seen of the world: whom each name leads to, who has the phone, the counts.
    fn seen(&self) -> Vec<String> {
        let mut seen: Vec<String> = WORDS.iter().map(|word| self.who(&[word])).collect();
        let stats = self.vault().stats().unwrap();
        seen.push(format!("{} {}", stats.contacts, stats.aliases));
        seen.push(self.who(&["m:+919812345678"]));
        seen
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn many_at_once_mean_what_one_by_one_means(
        before in prop::collection::vec(put(), 0..6),
        erased in prop::collection::vec((prop::sample::select(&WORDS[..]), 0..30i64), 0..3),
        puts in prop::collection::vec(put(), 1..12),
        how in prop::sample::select(vec![
            PutHow::Contact(PutMode::Patch), PutHow::Contact(PutMode::Replace), PutHow::Aliases,
        ]),
    ) {
        let (together, alone) = (World::new(), World::new());
        let name = |at: usize| format!("Put{at}");
        for world in [&together, &alone] {
            for (at, put) in before.iter().enumerate() {
                world.many(&[world.row(put, &name(100 + at))], PutHow::Contact(PutMode::Patch));
            }
            for (word, at) in &erased {
                world.delete(word, *at);
            }
        }
        let rows: Vec<_> = puts.iter().enumerate().map(|(at, put)| together.row(put, &name(at))).collect();
        let at_once = together.many(&rows, how);
        let mut woken = BTreeSet::new();
        for (at, put) in puts.iter().enumerate() {
            let one = alone.many(&[alone.row(put, &name(at))], how);
            woken.extend(one.woken.into_iter().map(|alias| WORDS.iter().position(|word| alone.alias(word) == alias)));
            let (expected, got) = (one.rows.into_iter().next().unwrap(), &at_once.rows[at]);
            let told = |end: &Result<Learned, VaultError>| match end {
                Ok(learned) => format!("{} {} {}", learned.linked, learned.conflicts, learned.erased),
                Err(fault) => fault.to_string(),
            };
            prop_assert_eq!(told(got), told(&expected), "row {}", at);
        }
        prop_assert_eq!(together.seen(), alone.seen());
        let woken_at_once: BTreeSet<_> =
            at_once.woken.iter().map(|alias| WORDS.iter().position(|word| together.alias(word) == *alias)).collect();
        prop_assert!(woken_at_once.is_subset(&woken), "woken: {woken_at_once:?}, one by one {woken:?}");
        together.check_whole();
    }
}

#[test]
fn a_thousand_are_put_and_the_same_again_changes_nothing() {
    let world = World::new();
    let rows: Vec<PutRow> = (0..1_000)
        .map(|n| PutRow {
            aliases: vec![NamedAlias { kind: AliasKind::ExternalId, value: Personal::new(format!("GT{n}")) }],
            contact: contact("Asha", 10),
            dated: true,
        })
        .collect();
    let put = world.many(&rows, PutHow::Contact(PutMode::Patch));
    assert!(
        put.dirty && put.woken.len() == 1_000 && put.rows.iter().all(|row| row.as_ref().is_ok_and(|l| l.linked == 1))
    );
    assert_eq!(world.vault().stats().unwrap().contacts, 1_000);
    let again = world.many(&rows, PutHow::Contact(PutMode::Patch));
    assert!(!again.dirty && again.woken.is_empty(), "the same again changes nothing");
}

#[test]
fn whoever_stands_in_several_batches_is_one_person() {
    // Batches are made ready while others are put: a name that led nowhere then may lead somewhere when its turn comes.
    let words = |n: i64| [format!("c{}", n % 300), format!("k{}", n / 300 * 300 + n % 7)];
    let (together, alone) = (World::new(), World::new());
    let row = |world: &World, n: i64| PutRow {
        aliases: words(n).iter().map(|word| world.named(word)).collect(),
        contact: contact(&format!("Put{n}"), 10 + n),
        dated: true,
    };
    let rows: Vec<PutRow> = (0..1_000).map(|n| row(&together, n)).collect();
    together.many(&rows, PutHow::Contact(PutMode::Patch));
    (0..1_000).for_each(|n| drop(alone.many(&[row(&alone, n)], PutHow::Contact(PutMode::Patch))));
    let seen = |world: &World| {
        let who: Vec<String> = (0..1_000).flat_map(words).map(|word| world.who(&[&word])).collect();
        let stats = world.vault().stats().unwrap();
        (who, stats.contacts, stats.aliases)
    };
    assert_eq!(seen(&together), seen(&alone));
    assert_eq!(together.vault().stats().unwrap().contacts, 300);
    together.check_whole();
}
