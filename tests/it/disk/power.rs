//! Power cuts: the real binary on a disk that is taped, and started again on what each cut could have left.
//!
//! Promises: whatever the relay said before a cut (a 200, an exit code, an answer of its API) is still true after it, and
//! it opens by itself; also when the cut came while it was opening after another cut.
//! Never: a file system that is kinder than POSIX promises.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};

use crate::process::Installation;
use crate::support::{self, KEY, Setup, customer_added, points_issued, seed};

use super::model::{Kept, LOG, Model};
use super::shim::Shim;
use super::tape::{self, Record};

/// Lives of one relay, one on the ruins of the other.
const LIVES: u32 = 2;
/// Power cuts in each. The last one of a life is what the next begins with.
const CUTS: usize = 7;
/// People of one life who get messages.
const PEOPLE: u32 = 24;
const FIRST_OTHER: u32 = 10_000;
/// People of one life who only come with a file, twice, so that the vault's pages are written anew.
const OTHERS: u32 = 600;

/// What the relay has said, and where the tape was when it had.
struct Said {
    at: u64,
    what: Fact,
}

#[derive(Clone)]
enum Fact {
    /// `keys init` ended well.
    Keys,
    /// A person was put, or imported.
    Person(u32),
    /// An event was acknowledged.
    Event(String),
    /// All of an event's messages were told to be sent: its timeline.
    Told(String, Value),
}

/// Everything that was said, in order.
#[derive(Default)]
struct Book(Vec<Said>);

impl Book {
    fn note(&mut self, shim: &Shim, what: Fact) {
        self.0.push(Said { at: shim.place(), what });
    }

    fn before(&self, cut: u64) -> Vec<&Fact> {
        self.0.iter().filter(|said| said.at <= cut).map(|said| &said.what).collect()
    }
}

fn csv(people: Range<u32>, again: &str) -> String {
    let mut csv = String::from("external_id,first_name,last_name,email,mobile\n");
    for n in people {
        let _ = writeln!(csv, "EXT{n:04},Givenname{n}{again},Familyname{n},person{n}@example.com,+9199000{n:05}");
    }
    csv
}

async fn deliver(relay: &Installation, shim: &Shim, book: &mut Book, id: String, body: &[u8]) {
    let (status, said) = support::deliver(relay.intake, KEY, body).await.expect("the intake answers");
    assert_eq!(status, 200, "{said}");
    book.note(shim, Fact::Event(id));
}

/// One life: people by file and one by one, registrations that teach who is who, points that need what they taught, and
/// bodies so large that tables are written and journals begun anew.
async fn live(relay: &mut Installation, shim: &Shim, book: &mut Book, life: u32) {
    let people = life * PEOPLE..(life + 1) * PEOPLE;
    let half = people.start + PEOPLE / 2;
    let others = FIRST_OTHER + life * OTHERS..FIRST_OTHER + (life + 1) * OTHERS;
    std::fs::write(relay.dir.path().join("people.csv"), csv(people.start..half, "")).expect("a file can be written");
    std::fs::write(relay.dir.path().join("others.csv"), csv(others.clone(), "")).expect("a file can be written");
    relay.must(&["vault", "import", "others.csv"]);
    relay.must(&["vault", "import", "people.csv"]);
    (people.start..half).for_each(|n| book.note(shim, Fact::Person(n)));
    others.clone().step_by(29).for_each(|n| book.note(shim, Fact::Person(n)));
    let large = vec![b'x'; 900 << 10];
    for n in people.clone() {
        if n >= half {
            let contact = json!({ "contact": { "external_id": format!("EXT{n:04}"), "first_name": format!("Givenname{n}"),
                "email": format!("person{n}@example.com"), "mobile": format!("+9199000{n:05}") } });
            let (status, said) = relay.ask("POST", "/v1/vault/put", Some(contact)).await;
            assert_eq!(status, 200, "{said}");
            book.note(shim, Fact::Person(n));
        }
        let id = format!("registered-{n}");
        deliver(relay, shim, book, id.clone(), customer_added(&id, n).to_string().as_bytes()).await;
        if n.is_multiple_of(2) {
            let (status, _) = support::deliver(relay.intake, KEY, &large).await.expect("the intake answers");
            assert_eq!(status, 200);
        }
        let id = format!("points-{n}");
        deliver(relay, shim, book, id.clone(), points_issued(&id, n, 5.0).to_string().as_bytes()).await;
        if n.is_multiple_of(5) {
            let found = relay.settled(&id).await;
            if sent(&found) {
                book.note(shim, Fact::Told(id, found["timeline"].clone()));
            }
        }
        if n == half {
            std::fs::write(relay.dir.path().join("others.csv"), csv(others.clone(), "again")).expect("written");
            relay.must(&["vault", "import", "others.csv"]);
        }
    }
}

fn sent(found: &Value) -> bool {
    found["notifications"].as_array().is_some_and(|all| !all.is_empty() && all.iter().all(|one| one["state"] == "sent"))
}

/// Everything that was said is true.
async fn check(relay: &mut Installation, facts: &[&Fact], of: &str) {
    relay.start().await;
    for fact in facts {
        match fact {
            Fact::Keys => {}
            Fact::Person(n) => {
                let who = json!({ "customer": format!("external_id:EXT{n:04}") });
                let (status, text) = relay.ask("POST", "/v1/vault/get", Some(who)).await;
                assert!(status == 200 && text.contains(&format!("Givenname{n}")), "person {n} is gone: {text} ({of})");
            }
            Fact::Event(id) => {
                let found = relay.settled(id).await;
                let all = found["notifications"].as_array().expect("a timeline lists notifications");
                // What was under way when the power went may or may not have gone: a text waits for a person.
                let right = |one: &Value| one["state"] == "sent" || one["reason"] == "ambiguous_hold";
                assert!(all.len() == 2 && all.iter().all(right), "{id} ({of}): {found:#}");
            }
            Fact::Told(id, timeline) => {
                let found = relay.settled(id).await;
                assert_eq!(found["timeline"], *timeline, "{id} was sent, and that was forgotten ({of})");
            }
        }
    }
    let (_, metrics) = relay.ask("GET", "/metrics", None).await;
    let corrupt = metrics.lines().find(|line| line.starts_with("sealpost_corrupt_records_total"));
    assert_eq!(corrupt, None, "half a record ({of})");
}

fn wipe(dir: &Path) {
    for entry in std::fs::read_dir(dir).expect("a directory can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            std::fs::remove_dir_all(path).expect("a directory can be removed");
        } else if path.file_name().is_some_and(|name| name != LOG) {
            std::fs::remove_file(path).expect("a file can be removed");
        }
    }
}

/// A place to cut: right after something was said, between any two records, or while the relay opened.
fn cut(book: &Book, records: &[Record<'_>], opened: Range<u64>, chance: &mut fastrand::Rng) -> u64 {
    let said = book.0.iter().map(|said| said.at).filter(|at| *at > opened.end);
    let any = records.iter().map(|record| record.to).filter(|to| *to > opened.start);
    let opening = any.clone().filter(|to| *to < opened.end);
    let places: Vec<u64> = match chance.u8(..3) {
        0 => said.collect(),
        1 => any.collect(),
        _ => opening.collect(),
    };
    chance.choice(places).expect("a relay writes while it opens, and afterwards")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_is_true_after_a_power_cut() {
    let seed = seed();
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut relay = Installation::new(Setup { allow: vec!["welcome", "points-issued"], ..Setup::default() }).await;
    let dir = relay.dir.path().to_owned();
    std::fs::remove_file(dir.join("keys")).expect("they are made again, on tape");
    let mut book = Book::default();
    for life in 0..LIVES {
        std::fs::write(dir.join("people.csv"), "").expect("a file can be written");
        let base = Model::of(&dir);
        let shim = Shim::below(&mut relay, true);
        // What earlier lives said is on the disk that this one begins with.
        book.0.iter_mut().for_each(|said| said.at = 0);
        if life == 0 {
            relay.must(&["keys", "init"]);
            book.note(&shim, Fact::Keys);
        }
        let begin = shim.place();
        relay.start().await;
        let opened = begin..shim.place();
        live(&mut relay, &shim, &mut book, life).await;
        if chance.bool() {
            assert_eq!(relay.terminate().await.code(), Some(0));
        } else {
            relay.kill();
        }
        let tape = shim.tape();
        let records = tape::read(&tape);
        relay.environment.clear();
        for number in 0..CUTS {
            let cut = cut(&book, &records, opened.clone(), &mut chance);
            let kept = match chance.u8(..3) {
                0 => Kept::Nothing,
                1 => Kept::Some(chance.f64()),
                _ => Kept::Everything,
            };
            let of = format!("life {life}, cut at {cut} of {}, {kept:?} kept, seed {seed}", tape.len());
            let mut model = base.clone();
            records.iter().take_while(|record| record.to <= cut).for_each(|record| model.play(record));
            wipe(&dir);
            model.rebuild(&dir, kept, &mut chance);
            if number + 1 == CUTS && life + 1 < LIVES {
                // The next life begins on these ruins, so that its cuts meet a relay that mends them.
                book.0.retain(|said| said.at <= cut);
                break;
            }
            check(&mut relay, &book.before(cut), &of).await;
            relay.kill();
        }
    }
}

/// That the tape can be believed: played to its end it gives the very files that are there.
#[tokio::test(flavor = "multi_thread")]
async fn the_tape_holds_everything_that_the_stores_write() {
    let mut relay = Installation::new(Setup { allow: vec!["welcome", "points-issued"], ..Setup::default() }).await;
    let dir = relay.dir.path().to_owned();
    std::fs::write(dir.join("people.csv"), csv(0..PEOPLE / 2, "")).expect("a file can be written");
    let mut model = Model::of(&dir);
    let shim = Shim::below(&mut relay, true);
    relay.start().await;
    live(&mut relay, &shim, &mut Book::default(), 0).await;
    assert_eq!(relay.terminate().await.code(), Some(0));
    let tape = shim.tape();
    tape::read(&tape).iter().for_each(|record| model.play(record));
    let played = tempfile::tempdir().expect("a temporary directory");
    model.rebuild(played.path(), Kept::Everything, &mut fastrand::Rng::new());
    let (real, played) = (relay.storage(), played.path().join("data"));
    let (real, played) = (files(&real, &real), files(&played, &played));
    let names = |all: &[(String, Vec<u8>)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&real), names(&played));
    for ((name, real), (_, played)) in real.iter().zip(&played) {
        assert!(real == played, "{name} holds something that is not on the tape");
    }
}

/// All files below a directory, by name.
fn files(root: &Path, dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(root, &path));
        } else if path.is_file() {
            let name = path.strip_prefix(root).expect("it is below").display().to_string();
            all.push((name, std::fs::read(&path).expect("a file can be read")));
        }
    }
    all.sort();
    all
}
