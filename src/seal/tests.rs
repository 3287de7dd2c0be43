//! Formats pinned by vectors made elsewhere, and the properties of sealing.

use std::os::unix::fs::PermissionsExt;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

static RING: LazyLock<Keyring> = LazyLock::new(|| Keyring::generate().add_epoch());

fn hex_in(text: &str) -> Vec<String> {
    text.split('"').filter(|part| part.len() == 64).map(String::from).collect()
}

proptest! {
    #[test]
    fn what_was_sealed_opens_as_the_same_record(plain: Vec<u8>, table: Vec<u8>, key: Vec<u8>) {
        let sealer = RING.sealer("vault");
        let sealed = sealer.seal(&[&table, &key], &plain);
        prop_assert_eq!(sealed.len(), plain.len() + Sealer::OVERHEAD);
        prop_assert_eq!(Sealer::epoch_of(&sealed), Ok(2));
        let opened = sealer.open(&[&table, &key], &sealed).unwrap();
        prop_assert_eq!(opened.as_slice(), plain.as_slice());
    }

    #[test]
    fn any_changed_byte_keeps_a_value_shut(plain: Vec<u8>, at: prop::sample::Index, by in 1u8..) {
        let sealer = RING.sealer("vault");
        let mut sealed = sealer.seal(&[b"a"], &plain);
        let at = at.index(sealed.len());
        sealed[at] ^= by;
        prop_assert!(sealer.open(&[b"a"], &sealed).is_err());
    }

    #[test]
    fn any_other_record_name_keeps_a_value_shut(
        name in prop::collection::vec("[ab]{0,3}", 0..4),
        other in prop::collection::vec("[ab]{0,3}", 0..4),
    ) {
        prop_assume!(name != other);
        let parts = |name: &'_ [String]| name.iter().map(|p| p.clone().into_bytes()).collect::<Vec<_>>();
        let (name, other) = (parts(&name), parts(&other));
        let slices = |name: &'static [Vec<u8>]| name.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let (name, other): (&'static _, &'static _) = (name.leak(), other.leak());
        let sealer = RING.sealer("vault");
        let sealed = sealer.seal(&slices(name), b"plain");
        prop_assert_eq!(sealer.open(&slices(other), &sealed).err(), Some(OpenError::Unauthentic));
        prop_assert_ne!(RING.keyed_hash("alias", &slices(name)), RING.keyed_hash("alias", &slices(other)));
    }

    #[test]
    fn opening_any_bytes_is_an_error_and_never_a_panic(mut bytes: Vec<u8>, versioned: bool) {
        if versioned && bytes.len() > 4 {
            bytes[..5].copy_from_slice(&[1, 0, 0, 0, 1]);
        }
        prop_assert!(RING.sealer("vault").open(&[b"a"], &bytes).is_err());
    }
}

#[test]
fn a_value_cut_short_anywhere_does_not_open() {
    let sealer = RING.sealer("vault");
    let sealed = sealer.seal(&[b"a"], b"plain");
    for end in 0..sealed.len() {
        assert!(sealer.open(&[b"a"], &sealed[..end]).is_err(), "{end} bytes opened");
    }
}

#[test]
fn two_seals_of_the_same_value_differ_from_salt_to_tag() {
    let sealer = RING.sealer("vault");
    let (one, two) = (sealer.seal(&[b"a"], &[7; 64]), sealer.seal(&[b"a"], &[7; 64]));
    assert_eq!(one[..5], two[..5]);
    for part in [5..29, 29..61, 61..93, 93..109] {
        assert_ne!(one[part.clone()], two[part]);
    }
}

#[test]
fn a_value_opens_in_its_own_store_only() {
    let sealed = RING.sealer("vault").seal(&[b"a"], b"plain");
    assert_eq!(RING.sealer("ledger").open(&[b"a"], &sealed).err(), Some(OpenError::Unauthentic));
}

#[test]
fn a_value_opens_with_its_own_ring_only() {
    let sealed = RING.sealer("vault").seal(&[b"a"], b"plain");
    let other = Keyring::generate().add_epoch();
    assert_eq!(other.sealer("vault").open(&[b"a"], &sealed).err(), Some(OpenError::Unauthentic));
}

#[test]
fn a_value_opens_for_as_long_as_its_epoch_is_in_the_ring() {
    let first = Keyring::generate();
    let sealed = first.sealer("vault").seal(&[b"a"], b"plain");
    let second = first.add_epoch();
    assert_eq!((second.epochs(), second.current_epoch()), (vec![1, 2], 2));
    assert_eq!(second.sealer("vault").open(&[b"a"], &sealed).unwrap().as_slice(), b"plain");
    assert!(second.without_epoch(2).is_none() && second.without_epoch(3).is_none());
    let rotated = second.without_epoch(1).unwrap();
    assert_eq!(rotated.sealer("vault").open(&[b"a"], &sealed).err(), Some(OpenError::UnknownEpoch(1)));
    assert_eq!(rotated.keyed_hash("alias", &[b"x"]), first.keyed_hash("alias", &[b"x"]));
    // The next epoch never takes a number that was used before.
    assert_eq!(rotated.add_epoch().epochs(), [2, 3]);
}

#[test]
fn a_value_does_not_open_under_another_epochs_number() {
    let ring = Keyring::generate().add_epoch();
    let mut sealed = ring.sealer("vault").seal(&[b"a"], b"plain");
    sealed[4] = 1;
    assert_eq!(ring.sealer("vault").open(&[b"a"], &sealed).err(), Some(OpenError::Unauthentic));
}

#[test]
fn keyed_hashes_differ_by_domain_part_border_and_ring() {
    let hash = |domain, parts: &[&[u8]]| RING.keyed_hash(domain, parts);
    assert_eq!(hash("alias", &[b"ab", b"c"]), hash("alias", &[b"ab", b"c"]));
    assert_ne!(hash("alias", &[b"ab", b"c"]), hash("alias", &[b"a", b"bc"]));
    assert_ne!(hash("alias", &[b"ab", b"c"]), hash("event", &[b"ab", b"c"]));
    assert_ne!(hash("alias", &[b"ab"]), Keyring::generate().keyed_hash("alias", &[b"ab"]));
    // More domains than are kept give the same answers all the same.
    let many = || (0..2 * KEPT_DOMAINS).map(|n| RING.keyed_hash(&format!("domain {n}"), &[b"x"])).collect::<Vec<_>>();
    assert_eq!(many(), many());
}

#[test]
fn the_formats_on_disk_are_the_ones_that_were_published() {
    // Computed apart from this code (RFC 5869 and RFC 2104 with Python's hmac): a change here orphans every store.
    let epochs = BTreeMap::from([(1, EpochKey { created: Time::from_millis(0), key: Zeroizing::new([1; 32]) })]);
    let ring = Keyring::from_parts(epochs, Zeroizing::new([2; 32]));
    assert_eq!(
        ring.keyed_hash("alias", &[b"main", b"customer_id", b"42"]).to_string(),
        "34655ebe7677bd245699d5233f0b237c"
    );
    let sealed: Vec<u8> =
        (0..SEALED.len() / 2).map(|i| u8::from_str_radix(&SEALED[2 * i..2 * i + 2], 16).unwrap()).collect();
    assert_eq!(ring.sealer("vault").open(&[b"person", b"\x01"], &sealed).unwrap().as_slice(), b"hello");
}

const SEALED: &str =
    "0100000001000102030405060708090a0b0c0d0e0f10111213141516178ffcc3087c57a3afa49e6b759e5d6956a4b64ef938";

#[test]
fn a_ring_survives_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    RING.create(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let loaded = Keyring::load(&path).unwrap();
    assert_eq!(loaded.epochs(), RING.epochs());
    assert_eq!(loaded.epoch_created(1), RING.epoch_created(1));
    assert_eq!(loaded.keyed_hash("alias", &[b"x"]), RING.keyed_hash("alias", &[b"x"]));
    let sealed = RING.sealer("vault").seal(&[b"a"], b"plain");
    assert_eq!(loaded.sealer("vault").open(&[b"a"], &sealed).unwrap().as_slice(), b"plain");
}

#[test]
fn a_key_file_is_never_written_over_but_can_be_replaced_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    RING.create(&path).unwrap();
    assert!(matches!(Keyring::generate().create(&path), Err(KeyError::Exists { .. })));
    assert_eq!(Keyring::load(&path).unwrap().epochs(), [1, 2]);

    std::fs::write(dir.path().join("keys.new"), "left by a rotation that was killed").unwrap();
    RING.add_epoch().replace_file(&path).unwrap();
    assert_eq!(Keyring::load(&path).unwrap().epochs(), [1, 2, 3]);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_key_file_that_others_may_read_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    RING.create(&path).unwrap();
    for (mode, fits) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false), (0o601, false)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        match Keyring::load(&path) {
            Ok(_) => assert!(fits, "{mode:o} was accepted"),
            Err(error) => {
                assert!(!fits, "{mode:o} was refused: {error}");
                let remedy = format!("(mode {mode:04o}); run `chmod 600 {}`", path.display());
                assert!(error.to_string().ends_with(&remedy), "{error}");
            }
        }
    }
}

#[test]
fn a_key_file_that_root_hands_to_us_by_its_group_is_taken() {
    let (root, us, stranger) = (0, 65_532, 1_000);
    for (mode, owner, own, refused) in [
        (0o440, root, us, false),
        (0o640, root, us, false),
        (0o440, root, root, true),
        (0o440, us, us, true),
        (0o440, stranger, us, true),
        (0o460, root, us, true),
        (0o444, root, us, true),
        (0o400, root, us, false),
        (0o600, us, us, false),
    ] {
        assert_eq!(key_file::others_may_use(mode, owner, own), refused, "{mode:o} of {owner}, read by {own}");
    }
}

#[test]
fn a_damaged_key_file_is_refused_by_name_and_never_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    RING.create(&path).unwrap();
    let whole = std::fs::read_to_string(&path).unwrap();
    let secrets = hex_in(&whole);
    assert_eq!(secrets.len(), 3);
    let (index, first, second) = (&secrets[0], &secrets[1], &secrets[2]);
    let cases: &[(String, &str)] = &[
        (whole.replace("version = 1", "version = 2"), " is of version 2, this program reads version 1"),
        (whole.replace("version = 1\n", ""), "line 1: expected TOML with `version = 1`"),
        (whole.replace("number = 2", "number = 1"), ": epoch 1 stands there twice"),
        (whole.replace(second.as_str(), first), ": the key of epoch 2 stands there twice"),
        (whole.replace(first.as_str(), index), ": the key of epoch 1 stands there twice"),
        (whole.replace(first.as_str(), &first[..62]), ": key of epoch 1 is not 64 hexadecimal digits"),
        (
            whole.replace(index.as_str(), &index.replace(&index[..1], "g")),
            ": key of index is not 64 hexadecimal digits",
        ),
        (whole.replace(&format!("\"{second}\""), second), "line 16: expected TOML"),
        (whole.replace("key = ", "kex = "), "expected `index`, and `number`"),
        (whole.replace("created = \"2", "created = \"x2"), "line 10: expected a time like"),
        (whole[..whole.find("[[epoch]]").unwrap()].into(), " has no [[epoch]]"),
        (String::new(), "line 1: expected TOML"),
    ];
    for (text, expected) in cases {
        std::fs::write(&path, text).unwrap();
        let error = Keyring::load(&path).expect_err(expected);
        let said = error.to_string();
        assert!(said.contains(expected), "expected {expected:?}, got {said:?}");
        for shown in [said, format!("{error:?}")] {
            assert!(secrets.iter().all(|secret| !shown.contains(&secret[..12])), "key material in {shown:?}");
        }
    }
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(Keyring::load(&path), Err(KeyError::Syntax { .. })));
    assert!(matches!(Keyring::load(&dir.path().join("none")), Err(KeyError::Missing { .. })));
    assert!(Keyring::load(dir.path()).is_err());
}

#[test]
fn debug_of_a_ring_redacts_the_keys() {
    insta::assert_snapshot!(format!("{:?}", *RING), @r#"Keyring { epochs: [1, 2], keys: "redacted" }"#);
}
