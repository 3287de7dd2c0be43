//! The vault as a whole, against a model and against its own files.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;
use crate::id::KeyedHasher;

mod barred;
mod disk;
mod find;
mod kept;
mod many;
mod meaning;
mod mixed;
mod model;

/// A vault in a directory of its own, spoken to in short words: `c1 e1 k1 x1` are a customer id, an external id, a
/// card and a card's external id, `m:+91…` and `a:…` a shared phone and mail address, `@10` a time.
struct World {
    dir: tempfile::TempDir,
    keys: Keyring,
    vault: Option<Vault>,
}

impl World {
    fn new() -> Self {
        let mut world = Self { dir: tempfile::tempdir().unwrap(), keys: Keyring::generate(), vault: None };
        world.reopen();
        world
    }

    fn vault(&self) -> &Vault {
        self.vault.as_ref().unwrap()
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn reopen(&mut self) {
        self.vault = None;
        self.vault = Some(Vault::open(self.path(), &self.keys, 4 << 20).unwrap());
    }

    fn named(&self, word: &str) -> NamedAlias {
        let kind = match &word[..1] {
            "c" => AliasKind::CustomerId,
            "e" => AliasKind::ExternalId,
            "k" => AliasKind::Card,
            "x" => AliasKind::CardExternalId,
            "m" => AliasKind::Mobile,
            "a" => AliasKind::Email,
            _ => panic!("no alias: {word}"),
        };
        let value = if kind.is_unique() { word } else { word.split_once(':').unwrap().1 };
        NamedAlias { kind, value: Personal::new(value) }
    }

    fn alias(&self, word: &str) -> Alias {
        self.vault().alias(&namespace(), &self.named(word))
    }

    fn subject(&self, words: &[&str]) -> Subject {
        let raw = |first: &str| words.iter().find(|w| w.starts_with(first)).map(|w| Personal::new(*w));
        let aliases = words.iter().map(|word| self.alias(word)).collect();
        Subject { aliases, customer_id: raw("c"), external_id: raw("e") }
    }

    fn learn(&self, words: &[&str], at: i64) -> Learned {
        self.vault().learn(&namespace(), &self.subject(words), Time::from_millis(at)).unwrap()
    }

    fn put(&self, words: &[&str], contact: Contact, mode: PutMode) -> Result<Learned, VaultError> {
        let named: Vec<_> = words.iter().map(|word| self.named(word)).collect();
        self.vault().put(&namespace(), &named, contact, mode)
    }

    fn merge(&self, survivor: &[&str], victim: &[&str], at: i64) -> Learned {
        let (survivor, victim) = (self.subject(survivor), self.subject(victim));
        self.vault().merge(&namespace(), &survivor, &victim, Time::from_millis(at)).unwrap()
    }

    fn delete(&self, word: &str, at: i64) -> bool {
        self.vault().delete(&namespace(), self.alias(word), Time::from_millis(at)).unwrap()
    }

    /// The first name of whom the words name, or what else they are.
    fn who(&self, words: &[&str]) -> String {
        self.who_at(words, Time::MAX)
    }

    /// The same for a fact of that time.
    fn who_at(&self, words: &[&str], at: Time) -> String {
        let aliases: Vec<_> = words.iter().map(|word| self.alias(word)).collect();
        match self.vault().resolve(&namespace(), &aliases, at).unwrap() {
            Resolution::Known(id) => self.vault().contact(id).unwrap().unwrap().first_name.unwrap().expose().to_owned(),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    fn id(&self, word: &str) -> ContactId {
        match self.vault().resolve(&namespace(), &[self.alias(word)], Time::MAX).unwrap() {
            Resolution::Known(id) => id,
            other => panic!("{word} is {other:?}"),
        }
    }

    /// Index, alias lists and counters agree, and no contact stands behind no name.
    fn check_whole(&self) {
        let store = &self.vault().0.store;
        let mut listed = BTreeSet::new();
        let mut contacts = 0;
        for id in store.ids(store::Table::Person) {
            let person = store.person(id).unwrap().unwrap();
            assert!(person.aliases.len() <= draft::MAX_ALIASES);
            for entry in &person.aliases {
                assert!(listed.insert((entry.alias(), id)), "listed twice");
                if entry.kind.is_unique() {
                    assert_eq!(store.link(entry.hash).unwrap().map(|link| link.id), Some(id));
                } else {
                    assert!(store.sharers(entry.hash).unwrap().contains(&id));
                }
            }
        }
        for id in store.ids(store::Table::Contact) {
            contacts += 1;
            assert!(listed.iter().any(|(alias, of)| *of == id && alias.kind.is_unique()), "a contact without a name");
        }
        let until = |id: &ContactId| store.contact(*id).unwrap().and_then(|contact| contact.keep_until);
        let kept: Vec<_> =
            store.ids(store::Table::Contact).into_iter().filter_map(|id| Some((until(&id)?, id))).collect();
        let mut due: Vec<_> = store.ids(store::Table::Kept).into_iter().map(|id| (until(&id).unwrap(), id)).collect();
        due.sort();
        assert_eq!(
            due,
            {
                let mut kept = kept;
                kept.sort();
                kept
            },
            "the index of what is kept for a time only"
        );
        let indexed = store.ids(store::Table::Unique).len() + store.ids(store::Table::Shared).len();
        assert_eq!(indexed, listed.len(), "the index leads to somebody who does not know");
        let stats = self.vault().stats().unwrap();
        assert_eq!((stats.contacts, stats.aliases), (contacts, indexed as u64));
    }
}

impl Store {
    /// The last 16 bytes of every key of a table.
    fn ids(&self, table: store::Table) -> Vec<ContactId> {
        let keys = self.all_keys().into_iter().filter(|key| key[0] == table as u8);
        keys.map(|key| ContactId(*key.last_chunk().unwrap())).collect()
    }
}

fn namespace() -> Namespace {
    "main".parse().unwrap()
}

fn contact(name: &str, at: i64) -> Contact {
    Contact { first_name: Some(Personal::new(name)), updated_at: Time::from_millis(at), ..Contact::default() }
}

/// `Result::unwrap_err` would need a `Debug` that people do not have.
fn fault<T>(result: Result<T, VaultError>) -> String {
    result.err().expect("it was accepted").to_string()
}

#[test]
fn another_namespace_is_another_world() {
    let world = World::new();
    world.put(&["e1"], contact("Asha", 10), PutMode::Replace).unwrap();
    let other: Namespace = "other".parse().unwrap();
    let alias = world.vault().alias(&other, &world.named("e1"));
    assert_eq!(world.vault().resolve(&other, &[alias], Time::MAX).unwrap(), Resolution::Unknown);
    assert_ne!(world.keys.keyed_hash("alias", &[b"e1"]), alias.hash);
}
