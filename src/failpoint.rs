//! Named points at which a test can have the process killed: what a crash at the worst moment leaves behind is then a fact and not a guess.
//!
//! Promises: nothing is armed unless `main` found a point in the environment; the one that is armed ends the process with SIGKILL the Nth
//! time it is passed, and says so in the log before; a build without them (a release without the feature `failpoints`) has nothing
//! where a point stands, and refuses to be given one.
//! Never: another effect than an end. A point cannot change what the relay does.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where `main` looks for a point: `name`, or `name:3` for the third time it is passed.
pub const VARIABLE: &str = "SEALPOST_FAILPOINT";

/// True if points are there at all.
pub const COMPILED_IN: bool = cfg!(any(debug_assertions, feature = "failpoints"));

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $point:ident = $name:literal,)+) => {
        /// A place in the way of an event, or of a start.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Point {
            $($(#[doc = $doc])+ $point,)+
        }

        impl Point {
            /// All of them, in the order of an event.
            pub const ALL: &[Self] = &[$(Self::$point,)+];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// A start has the ledger open and nothing else.
    LedgerOpened = "ledger_opened",
    /// A start has both stores open.
    VaultOpened = "vault_opened",
    /// A start has its listeners and serves nobody yet.
    Listening = "listening",
    /// A start has in hand what the last process left open, and has settled nothing of it.
    RecoveryBeforeCommit = "recovery_before_commit",
    /// A batch with deliveries is complete, and nothing of it is written.
    JournalBeforeWrite = "journal_before_write",
    /// It is written and synced, and nobody knows.
    JournalAfterSync = "journal_after_sync",
    /// The intake knows, and has not answered.
    IntakeBeforeAnswer = "intake_before_answer",
    /// Deliveries are decoded, what they taught is in the vault's memory, and nothing is synced.
    PlanBeforeVaultSync = "plan_before_vault_sync",
    /// The vault is about to sync.
    VaultBeforeSync = "vault_before_sync",
    /// sled has flushed, and the file is not synced.
    VaultFlushed = "vault_flushed",
    /// The vault has synced, and nobody knows.
    VaultAfterSync = "vault_after_sync",
    /// The vault is synced, and the planner's batch is not committed.
    PlanBeforeCommit = "plan_before_commit",
    /// The planner's batch is committed, and nobody was woken.
    PlanAfterCommit = "plan_after_commit",
    /// A notification is in hand.
    Leased = "leased",
    /// A message is made, and its attempt not recorded.
    AttemptBeforeCommit = "attempt_before_commit",
    /// The attempt is recorded, and the provider not asked.
    AttemptAfterCommit = "attempt_after_commit",
    /// No connection to the mail server yet.
    SmtpBeforeConnect = "smtp_before_connect",
    /// It stands, and its greeting is not read.
    SmtpConnected = "smtp_connected",
    /// The greeting is read.
    SmtpGreeted = "smtp_greeted",
    /// EHLO is answered.
    SmtpEhloAnswered = "smtp_ehlo_answered",
    /// MAIL is sent; where the server takes several commands at once, with RCPT and DATA.
    SmtpMailSent = "smtp_mail_sent",
    /// RCPT is answered.
    SmtpRcptAnswered = "smtp_rcpt_answered",
    /// The server waits for the message.
    SmtpDataAnswered = "smtp_data_answered",
    /// The whole message is sent, but for its final dot.
    SmtpBeforeDot = "smtp_before_dot",
    /// The final dot is sent, and its answer not read.
    SmtpAfterDot = "smtp_after_dot",
    /// The server has answered to it.
    SmtpDotAnswered = "smtp_dot_answered",
    /// The gateway is not asked yet.
    GatewayBeforeRequest = "gateway_before_request",
    /// The gateway has answered, and the answer is not judged.
    GatewayAfterRequest = "gateway_after_request",
    /// An address is known to be bad, and the outcome that says so is not recorded.
    AddressSuppressed = "address_suppressed",
    /// An outcome is known, and not recorded.
    OutcomeBeforeCommit = "outcome_before_commit",
    /// It is recorded.
    OutcomeAfterCommit = "outcome_after_commit",
    /// Outcomes are about to be posted to the webhook.
    WebhookBeforePost = "webhook_before_post",
    /// They were taken, and the place is not noted.
    WebhookAfterPost = "webhook_after_post",
    /// A daily file is written, and that it is is not noted.
    DailyBeforeNote = "daily_before_note",
}

/// A point that cannot be armed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum FailpointError {
    #[error("{VARIABLE}: no point is called {name}; known are {}", names())]
    Unknown { name: String },
    #[error("{VARIABLE}: how often a point is passed is a number from 1, as in {}:3", Point::ALL[0].name())]
    Count,
    #[error("{VARIABLE}: this build has no such points; unset it, or build with `--features failpoints` for a test")]
    Absent,
}

fn names() -> String {
    Point::ALL.iter().map(|point| point.name()).collect::<Vec<_>>().join(", ")
}

/// The one point at which this process ends.
#[derive(Debug)]
struct Armed {
    point: Point,
    left: AtomicU32,
}

/// Of the process, as its end is: whoever is killed takes every house in it along.
static ARMED: OnceLock<Armed> = OnceLock::new();

impl FromStr for Armed {
    type Err = FailpointError;

    fn from_str(text: &str) -> Result<Self, FailpointError> {
        let (name, count) = text.split_once(':').unwrap_or((text, "1"));
        let known = Point::ALL.iter().find(|point| point.name() == name);
        let point = *known.ok_or_else(|| FailpointError::Unknown { name: name.to_owned() })?;
        let count: NonZeroU32 = count.parse().map_err(|_| FailpointError::Count)?;
        Ok(Self { point, left: AtomicU32::new(count.get()) })
    }
}

impl Armed {
    fn comes(&self, point: Point) -> bool {
        self.point == point && self.left.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

/// Arms a point for the rest of this process. Once: a second call changes nothing.
///
/// # Errors
/// When there is no such point, or this build has none.
pub fn arm(text: &str) -> Result<(), FailpointError> {
    if !COMPILED_IN {
        return Err(FailpointError::Absent);
    }
    let armed: Armed = text.parse()?;
    let _ = ARMED.set(armed);
    Ok(())
}

/// A point. Ends the process if it is armed and this is the time.
#[inline]
pub fn at(point: Point) {
    if comes(point) {
        die(point);
    }
}

/// True if the process shall end at this point now: for a point that has to be prepared, and is then left to [`die`].
#[inline]
pub fn comes(point: Point) -> bool {
    COMPILED_IN && ARMED.get().is_some_and(|armed| armed.comes(point))
}

/// Ends the process as a crash does: no destructor runs, nothing is flushed.
pub fn die(point: Point) -> ! {
    tracing::error!(failpoint = point.name(), "fail point reached: the process kills itself");
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        // The signal ends all threads; this one must not go on until it does.
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_point_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }

    #[test]
    fn a_point_that_is_not_known_is_refused_with_those_that_are() {
        let refusal = "journal".parse::<Armed>().unwrap_err().to_string();
        for point in Point::ALL {
            assert!(refusal.contains(point.name()), "{refusal}");
        }
        for wrong in ["leased:0", "leased:", "leased:-1", "leased:two", "leased:1:2"] {
            assert_eq!(wrong.parse::<Armed>().unwrap_err(), FailpointError::Count, "{wrong}");
        }
    }

    #[test]
    fn a_point_comes_once_and_no_other_does() {
        let armed: Armed = "leased:3".parse().unwrap();
        let passed: Vec<bool> = (0..6).map(|_| armed.comes(Point::Leased)).collect();
        assert_eq!(passed, [false, false, true, false, false, false]);
        let armed: Armed = "leased".parse().unwrap();
        assert!(!armed.comes(Point::Listening) && armed.comes(Point::Leased) && !armed.comes(Point::Leased));
    }
}
