//! `kill -9` of the real binary, again and again, under load: at random moments, and at every named point of its code.
//!
//! Promises: what was acknowledged is told; what is told twice is on the timeline as ambiguous and has the same Message-ID; timelines,
//! counts and reports agree with a book that the relay never sees; each named point was reached, or the test fails.
//! Never: a kill at a moment that was chosen to be kind.

mod agree;
mod book;
mod campaign;
mod load;
mod peace;
mod senders;
mod told;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sealpost::failpoint::{self, Point};

use crate::process::Installation;
use crate::support::{Setup, seed};
use campaign::campaign;

const TEMPLATE: &str = "welcome";
/// Kills in the test: one at each point, the rest at random.
const KILLS: usize = 51;
/// Kills of one installation in a soak, and of all.
const SOAK_KILLS: (usize, usize) = (125, 500);
/// Deliveries of a round, and a few more by the one sender that goes on.
const ROUND: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_kill_meets_every_acknowledged_event_leads_to_exactly_its_messages() {
    let seed = seed();
    campaign(seed, KILLS).await.with_context(|| format!("seed {seed}")).unwrap_or_else(|error| panic!("{error:?}"));
}

/// `just soak`: the same, for as many kills as `SEALPOST_SOAK_KILLS` says.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a quarter of an hour: `just soak`"]
async fn soak_kills() {
    let (each, all) = (SOAK_KILLS.0, from_environment("SEALPOST_SOAK_KILLS").unwrap_or(SOAK_KILLS.1 as u64));
    let all = usize::try_from(all).expect("a number of kills");
    let first = seed();
    for (seed, done) in (first..).zip((0..all).step_by(each)) {
        let ran = campaign(seed, each.min(all - done).max(Point::ALL.len())).await;
        ran.with_context(|| format!("seed {seed}")).unwrap_or_else(|error| panic!("{error:?}"));
    }
}

#[tokio::test]
async fn a_point_that_nobody_knows_is_refused_with_those_that_are_known() {
    let mut relay = Installation::new(Setup::default()).await;
    relay.launch(&[(failpoint::VARIABLE, "journal")]);
    let ended = relay.ready_or_ended().await.expect("it does not start");
    assert_eq!(ended.code(), Some(78));
    let said = std::fs::read_to_string(relay.log()).unwrap();
    assert!(Point::ALL.iter().all(|point| said.contains(point.name())), "{said}");
}

#[expect(clippy::disallowed_methods, reason = "a test has no main to be given its environment by")]
pub fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[expect(clippy::print_stdout, reason = "what was seen, for whoever runs it by hand or looks at a failure")]
fn say(text: &str) {
    println!("{text}");
}

/// The one template that is used here, as it ships but for its brake: whoever drives on ends at it, as an accident would.
fn templates(dir: &Path) -> PathBuf {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).expect("a folder can be made");
        for entry in fs::read_dir(from).expect("templates ship").map(|entry| entry.expect("a folder can be read")) {
            let (path, copied) = (entry.path(), to.join(entry.file_name()));
            match path.is_dir() {
                true => copy(&path, &copied),
                false => _ = fs::copy(path, copied).expect("a file can be copied"),
            }
        }
    }
    let (shipped, own) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"), dir.join("templates"));
    for name in ["_layouts", "_partials", "_tables", TEMPLATE] {
        copy(&shipped.join(name), &own.join(name));
    }
    let file = own.join(TEMPLATE).join("template.toml");
    let toml = fs::read_to_string(&file).expect("a template has its file");
    let braked = toml.lines().find(|line| line.starts_with("brake_per_hour")).expect("it has a brake");
    fs::write(&file, toml.replace(braked, "brake_per_hour = 4000000000")).expect("a file can be written");
    own
}

/// How a life of the relay ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// By its own hand, the Nth time that it comes to this point.
    At(Point, u32),
    /// After so many acknowledgements.
    After(usize),
    /// The same, while a mail is between its dot and its answer.
    BeforeAnswer(usize),
}

/// Every point once, then kills at random. A few points have their time.
fn plan(kills: usize, chance: &mut fastrand::Rng) -> Vec<End> {
    let is_early = |point: &Point| *point == Point::DailyBeforeNote;
    let after_another = |point: &Point| *point == Point::RecoveryBeforeCommit;
    let mut points: Vec<Point> = Point::ALL.iter().copied().filter(|p| !is_early(p) && !after_another(p)).collect();
    chance.shuffle(&mut points);
    // Only the first day of a new installation is over when it starts.
    points.insert(0, Point::DailyBeforeNote);
    let mut ends = Vec::new();
    for point in points {
        ends.push(End::At(point, chance.u32(1..=most(point))));
        if point == Point::AttemptAfterCommit {
            // What this leaves open is there to be recovered for sure.
            ends.push(End::At(Point::RecoveryBeforeCommit, 1));
        }
    }
    while ends.len() < kills {
        let wanted = chance.usize(1..ROUND);
        let end = if chance.bool() { End::BeforeAnswer(wanted) } else { End::After(wanted) };
        ends.insert(chance.usize(ends.len() / 2..=ends.len()), end);
    }
    // Nothing may stand between the two that belong together.
    let at = |wanted| ends.iter().position(|end| matches!(end, End::At(point, _) if *point == wanted));
    if let (Some(first), Some(second)) = (at(Point::AttemptAfterCommit), at(Point::RecoveryBeforeCommit)) {
        let recovery = ends.remove(second);
        ends.insert(first + 1, recovery);
    }
    ends
}

/// What comes once in a life, or once in a while, is not waited for three times.
fn most(point: Point) -> u32 {
    match point {
        Point::LedgerOpened | Point::VaultOpened | Point::Listening | Point::DailyBeforeNote => 1,
        // A connection that stands carries a hundred mails.
        Point::SmtpBeforeConnect | Point::SmtpConnected | Point::SmtpGreeted | Point::SmtpEhloAnswered => 1,
        Point::AddressSuppressed | Point::WebhookBeforePost | Point::WebhookAfterPost => 1,
        Point::JournalBeforeWrite | Point::JournalAfterSync | Point::PlanBeforeCommit | Point::PlanAfterCommit => 2,
        Point::PlanBeforeVaultSync | Point::VaultBeforeSync | Point::VaultFlushed | Point::VaultAfterSync => 2,
        _ => 8,
    }
}
