//! The vault against the plainest thing that means the same.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const WORDS: [&str; 8] = ["c1", "c2", "c3", "e1", "e2", "e3", "k1", "k2"];

#[derive(Clone, Debug)]
enum Op {
    Learn(Vec<&'static str>, i64),
    Put(Vec<&'static str>, i64),
    Merge(&'static str, Vec<&'static str>, i64),
    Delete(&'static str, i64),
    Reopen,
}

#[derive(Default, Clone)]
struct Model {
    next: u32,
    /// Word to person and the time of the link.
    links: BTreeMap<&'static str, (u32, i64)>,
    /// Person to contact: a name that says which put made it, and its time.
    contacts: BTreeMap<u32, (String, i64)>,
    erased: BTreeMap<&'static str, i64>,
    merged: bool,
}

impl Model {
    fn is_erased(&self, word: &str, at: i64) -> bool {
        self.erased.get(word).is_some_and(|erased| *erased >= at)
    }

    fn fold(&mut self, from: u32, into: u32, newest: bool) {
        self.links.values_mut().filter(|(id, _)| *id == from).for_each(|(id, _)| *id = into);
        if let Some(theirs) = self.contacts.remove(&from) {
            match self.contacts.get(&into) {
                Some(ours) if !newest || ours.1 >= theirs.1 => {}
                _ => drop(self.contacts.insert(into, theirs)),
            }
        }
    }

    fn nameless(&self, person: u32) -> bool {
        !self.links.values().any(|(id, _)| *id == person)
    }

    fn count(&self, person: u32, kind: char) -> usize {
        self.links.iter().filter(|(word, (id, _))| *id == person && word.starts_with(kind)).count()
    }

    /// True if words of this kind are told, and the person bears others only.
    fn is_other(&self, person: u32, words: &[&str], kind: char) -> bool {
        let room = kind == 'e' && self.count(person, 'e') < self.count(person, 'c');
        let told: Vec<_> = words.iter().filter(|word| word.starts_with(kind)).collect();
        let bears = told.iter().any(|word| self.links.get(**word).is_some_and(|(id, _)| *id == person));
        !told.is_empty() && self.count(person, kind) > 0 && !room && !bears
    }

    fn fits(&self, person: u32, words: &[&str]) -> bool {
        !self.is_other(person, words, 'c') && !self.is_other(person, words, 'e')
    }

    fn may_be_one(&self, one: u32, two: u32) -> bool {
        let (c, e) = (|id| self.count(id, 'c'), |id| self.count(id, 'e'));
        (c(one) == 0 || c(two) == 0) && (e(one) == 0 || e(two) == 0 || e(one) + e(two) <= c(one) + c(two))
    }

    /// The person, and whether an erasure forbids to link.
    fn unite(&mut self, words: &[&'static str], at: i64, lonely: bool) -> (Option<u32>, bool) {
        let erased = words.iter().any(|word| self.is_erased(word, at));
        let customer = words.iter().find(|word| word.starts_with('c') && !self.is_erased(word, at));
        let words: Vec<_> = words
            .iter()
            .copied()
            .filter(|word| self.is_erased(word, at) || !word.starts_with('c') || Some(word) == customer)
            .collect();
        let known: Vec<_> = words.iter().filter_map(|w| self.links.get(w).map(|(id, when)| (*w, *id, *when))).collect();
        if erased {
            let first = words[0];
            let found = known.first().filter(|(word, ..)| *word == first && !self.is_erased(first, at));
            return (found.map(|(_, id, _)| *id), true);
        }
        let fitting: Vec<_> = known.iter().map(|(_, id, _)| *id).filter(|id| self.fits(*id, &words)).collect();
        let base = match fitting.iter().find(|id| self.contacts.contains_key(id)).or(fitting.first()) {
            Some(id) => *id,
            None => {
                let gained = words.len() - known.iter().filter(|(_, _, when)| at <= *when).count();
                if gained == 0 || (gained < 2 && !lonely) {
                    return (None, false);
                }
                self.next += 1;
                self.next
            }
        };
        for (word, id, when) in known {
            if self.links[word].0 == base {
            } else if !self.contacts.contains_key(&id) && self.fits(id, &words) && self.may_be_one(id, base) {
                self.fold(id, base, false);
            } else if at > when {
                self.links.insert(word, (base, at));
                if self.nameless(id) {
                    self.fold(id, base, true);
                }
            }
        }
        for word in words {
            self.links.entry(word).or_insert((base, at));
        }
        (Some(base), false)
    }

    fn put(&mut self, words: &[&'static str], name: String, at: i64) {
        let before = self.clone();
        let (Some(id), erased) = self.unite(words, at, true) else { return };
        let buried = self.links.iter().any(|(word, (of, _))| *of == id && self.is_erased(word, at));
        match self.contacts.get(&id) {
            None if erased || buried => *self = before,
            Some((_, stored)) if *stored > at => {}
            _ => drop(self.contacts.insert(id, (name, at))),
        }
    }

    fn merge(&mut self, survivor: &'static str, victim: &[&'static str], at: i64) {
        let (Some(base), false) = self.unite(&[survivor], at, true) else { return };
        self.merged = true;
        let mut decided = false;
        for word in victim {
            if self.is_erased(word, at) {
                continue;
            }
            match self.links.get(word).copied() {
                None => drop(self.links.insert(word, (base, at))),
                Some((id, _)) if id == base => decided = true,
                Some((id, _)) if !decided && !self.is_other(id, victim, 'c') => {
                    decided = true;
                    self.fold(id, base, false);
                }
                Some((id, when)) if at > when => {
                    self.links.insert(word, (base, at));
                    if self.nameless(id) {
                        self.fold(id, base, false);
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn delete(&mut self, word: &'static str, mut at: i64) {
        let mut words = vec![word];
        if let Some((id, _)) = self.links.get(word).copied() {
            at = at.max(self.contacts.remove(&id).map_or(at, |contact| contact.1));
            for (word, _) in self.links.clone().into_iter().filter(|(_, (of, _))| *of == id) {
                at = at.max(self.links.remove(word).unwrap().1);
                words.push(word);
            }
        }
        for word in words {
            let erased = self.erased.entry(word).or_insert(at);
            *erased = at.max(*erased);
        }
    }

    fn who(&self, word: &str) -> String {
        match self.links.get(word) {
            // Whatever links a name is newer than its erasure.
            Some((id, _)) => self.contacts.get(id).map_or("unknown", |(name, _)| name).into(),
            None if self.erased.contains_key(word) => "erased".into(),
            None => "unknown".into(),
        }
    }
}

fn words(least: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(&WORDS[..], least..=3)
}

fn op() -> impl Strategy<Value = Op> {
    let at = 0..30i64;
    prop_oneof![
        6 => (words(1), at.clone()).prop_map(|(words, at)| Op::Learn(words, at)),
        6 => (words(1).prop_shuffle(), at.clone()).prop_map(|(words, at)| Op::Put(words, at)),
        2 => (prop::sample::select(&WORDS[..3]), words(1), at.clone())
            .prop_map(|(survivor, victim, at)| Op::Merge(survivor, victim, at)),
        2 => (prop::sample::select(&WORDS[..]), at).prop_map(|(word, at)| Op::Delete(word, at)),
        1 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn the_vault_means_what_the_model_means(ops in prop::collection::vec(op(), 1..30)) {
        let mut world = World::new();
        let mut model = Model::default();
        let namespace = namespace();
        for (step, op) in ops.into_iter().enumerate() {
            let before = model.clone();
            let learned = match op {
                Op::Learn(words, at) => {
                    // What is known already is not learned again, erased or not.
                    let ids: BTreeSet<_> = words.iter().map(|w| model.links.get(w).map(|(id, _)| *id)).collect();
                    if words.len() > 1 && (ids.len() > 1 || ids.contains(&None)) {
                        model.unite(&words, at, false);
                    }
                    Some(world.learn(&words, at))
                }
                Op::Put(words, at) => {
                    let name = format!("Put{step}");
                    model.put(&words, name.clone(), at);
                    Some(world.put(&words, contact(&name, at), PutMode::Replace).unwrap())
                }
                Op::Merge(survivor, victim, at) => {
                    model.merge(survivor, &victim, at);
                    Some(world.merge(&[survivor], &victim, at))
                }
                Op::Delete(word, at) => {
                    let known = model.links.contains_key(word);
                    model.delete(word, at);
                    let found = world.vault().delete(&namespace, world.alias(word), Time::from_millis(at)).unwrap();
                    prop_assert_eq!(found, known);
                    None
                }
                Op::Reopen => {
                    world.reopen();
                    None
                }
            };
            world.check_whole();
            for word in WORDS {
                prop_assert_eq!(world.who(&[word]), model.who(word), "{} after step {}", word, step);
            }
            if !model.merged {
                let of = |word: &str| world.vault().0.store.link(world.alias(word).hash).unwrap().map(|link| link.id);
                let ids: Vec<_> = ["c1", "c2", "c3"].into_iter().filter_map(of).collect();
                prop_assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "two customers are one person");
            }
            let stats = world.vault().stats().unwrap();
            prop_assert_eq!(stats.contacts as usize, model.contacts.len());
            prop_assert_eq!(stats.aliases as usize, model.links.len());
            if let Some(learned) = learned {
                let led = |model: &Model, word: &str| model.links.get(word).is_some_and(|(id, _)| model.contacts.contains_key(id));
                let woken: BTreeSet<_> = WORDS.into_iter().filter(|w| led(&model, w) && !led(&before, w)).collect();
                let woken: BTreeSet<_> = woken.into_iter().map(|word| world.alias(word)).collect();
                prop_assert_eq!(learned.woken.into_iter().collect::<BTreeSet<_>>(), woken);
            }
        }
    }
}
