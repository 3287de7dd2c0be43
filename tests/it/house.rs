//! Rules of the house, checked over the text of `src`.
//!
//! Promises: a room uses what stands below it, never above or beside; each engine stays in its room; only the named rooms
//! expose a person; every file opens with its purpose and stays a room.
//! Never: a rule that is written down and not checked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Floors from the ground up; a room may use any lower floor.
const FLOORS: &[&[&str]] = &[
    &["id", "personal", "clock", "telemetry", "tasks", "serve", "call", "failpoint", "choices"],
    &["event", "seal", "message", "policy", "sink"],
    &["config"],
    &["rules", "ledger", "vault", "template", "provider"],
    &["control"],
    &["intake", "plan", "feed", "lookup"],
    &["dispatch"],
    &["app", "admin"],
    &["demo", "bench"],
    &["cli", "fuzzing"],
    &["main"],
];

/// On the ground and in the workers' floor a few rooms lean on a neighbour; each has its reason.
const NEIGHBOURS: &[(&str, &str, &str)] = &[
    ("id", "clock", "a notification id carries a time"),
    ("choices", "id", "it hashes for tests what the key ring hashes"),
    ("serve", "tasks", "an accept loop spawns its connections"),
    ("app", "admin", "the app serves the admin's router"),
    ("admin", "app", "the desk works in an open house"),
];

fn sources() -> BTreeMap<PathBuf, String> {
    fn walk(dir: &Path, found: &mut BTreeMap<PathBuf, String>) {
        for entry in fs::read_dir(dir).expect("src can be read") {
            let path = entry.expect("entry can be read").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&path).expect("source is text");
                found.insert(path, text);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found
}

/// The room a file belongs to: `ledger` for `src/ledger.rs` and `src/ledger/committer.rs`.
fn room(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("under src");
    let first = inside.components().next().expect("not empty").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// Code without comments and without the tests at its foot.
fn code(text: &str) -> String {
    text.lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

fn is_test_file(path: &Path) -> bool {
    path.file_stem().is_some_and(|stem| stem == "tests") || path.components().any(|c| c.as_os_str() == "tests")
}

fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&room))
}

#[test]
fn every_room_stands_on_a_floor() {
    for path in sources().keys() {
        let room = room(path);
        assert!(room == "lib" || floor_of(&room).is_some(), "{} is on no floor", path.display());
    }
}

#[test]
fn a_room_uses_only_what_stands_below_it() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let room = room(&path);
        if room == "lib" || is_test_file(&path) {
            continue;
        }
        let own = floor_of(&room).expect("checked above");
        let code = code(&text);
        for (other_floor, rooms) in FLOORS.iter().enumerate() {
            for other in rooms.iter().filter(|other| **other != room && other_floor >= own) {
                let allowed = NEIGHBOURS.iter().any(|(from, to, _)| *from == room && to == other);
                let used = [format!("crate::{other}::"), format!("crate::{other};"), format!("crate::{other} ")];
                if !allowed && used.iter().any(|use_| code.contains(use_.as_str())) {
                    wrong.push(format!("{} uses crate::{other}", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "rooms that look up or sideways:\n{}", wrong.join("\n"));
}

#[test]
fn each_engine_stays_in_its_room() {
    let homes: &[(&str, &[&str])] = &[
        ("sled::", &["vault"]),
        ("fjall::", &["ledger"]),
        ("lettre::", &["provider", "message"]),
        ("cel::", &["rules"]),
        ("handlebars::", &["template"]),
    ];
    for (path, text) in sources() {
        let room = room(&path);
        for (engine, allowed) in homes {
            let used = code(&text).lines().any(|line| {
                line.match_indices(engine)
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
            });
            assert!(!used || allowed.contains(&room.as_str()), "{} uses {engine}", path.display());
        }
    }
}

#[test]
fn only_the_named_rooms_expose_a_person() {
    // `demo` and `bench` make their own people; `cli` prints what an audited exit answered and holds no `Personal`.
    let allowed = ["personal", "event", "vault", "template", "message", "provider"];
    for (path, text) in sources() {
        if is_test_file(&path) || !code(&text).contains(".expose()") {
            continue;
        }
        assert!(allowed.contains(&room(&path).as_str()), "{} exposes a person", path.display());
    }
}

#[test]
fn every_file_says_what_it_is_for_and_stays_a_room() {
    for (path, text) in sources() {
        assert!(text.starts_with("//!"), "{} does not open with its purpose", path.display());
        let lines = text.lines().count();
        assert!(lines <= 500, "{} has {lines} lines: one room, or several?", path.display());
    }
}

#[test]
fn no_type_that_may_hold_a_person_can_be_printed_or_stored() {
    let holders = ["Personal", "Customer", "Contact", "NamedAlias", "Message", "Email", "Sms", "Content"];
    for (path, text) in sources() {
        if !["personal", "vault", "message", "template"].contains(&room(&path).as_str()) {
            continue;
        }
        let code = code(&text);
        for holder in holders {
            for kind in ["struct", "enum"] {
                let Some(at) = [" ", "(", "<"].iter().find_map(|end| code.find(&format!("pub {kind} {holder}{end}")))
                else {
                    continue;
                };
                let derives = code[..at].rfind("\n\n").map_or(&code[..at], |from| &code[from..at]);
                for forbidden in ["Debug", "Serialize"] {
                    assert!(!derives.contains(forbidden), "{}: {holder} derives {forbidden}", path.display());
                }
            }
        }
        for holder in holders {
            for forbidden in ["fmt::Debug", "Debug", "fmt::Display", "Display", "Serialize"] {
                assert!(
                    !code.contains(&format!("impl {forbidden} for {holder} ")),
                    "{}: {holder} has {forbidden}",
                    path.display()
                );
            }
        }
    }
}
