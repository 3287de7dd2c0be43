//! Replays every corpus, so that what was once found stays mended.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

/// Longest file of a corpus, and most files of one: every `cargo test` reads them all.
const MOST_BYTES: u64 = 4 << 10;
const MOST_FILES: usize = 160;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}

fn names_in(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Runs every file of a corpus; names the file of a promise that is broken.
fn replay(target: &str) {
    let corpus = root().join("tests/corpora").join(target);
    let files = names_in(&corpus);
    assert!((10..=MOST_FILES).contains(&files.len()), "{target} has {} files; minimise them", files.len());
    for file in files {
        let path = corpus.join(&file);
        assert!(fs::metadata(&path).unwrap().len() <= MOST_BYTES, "{} is long; minimise it", path.display());
        let bytes = fs::read(&path).unwrap();
        if std::panic::catch_unwind(|| run(target, &bytes)).is_err() {
            panic!("tests/corpora/{target}/{file} breaks a promise: see the panic above");
        }
    }
}

macro_rules! corpora {
    ($($target:ident),+ $(,)?) => {
        mod corpus_of {
            $(#[test]
            fn $target() {
                super::replay(stringify!($target));
            })+
        }

        /// Those that are replayed above.
        const REPLAYED: &[&str] = &[$(stringify!($target)),+];
    };
}

corpora!(
    envelope,
    people,
    condition,
    template,
    ledger_records,
    vault_records,
    smtp,
    mail,
    import,
    numbers,
    gateway,
    signature,
);

#[test]
fn every_target_is_replayed_and_can_be_fuzzed() {
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(targets, REPLAYED);
    let all: BTreeSet<String> = targets.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(names_in(&root().join("tests/corpora")), all);
    let thin: BTreeSet<String> = names_in(&root().join("fuzz/fuzz_targets"))
        .iter()
        .map(|file| file.trim_end_matches(".rs").to_owned())
        .collect();
    assert_eq!(thin, all);
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for target in targets {
        assert!(
            manifest.contains(&format!("name = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"")),
            "{target} is not built"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Where no fuzzer can be had, this looks at a little more each time.
    #[test]
    fn any_bytes_keep_every_promise(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }
}
