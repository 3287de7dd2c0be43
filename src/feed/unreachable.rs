//! Who could not be reached on a day, by the brand's own ids: the one list of people among the feeds.
//!
//! Promises: one line for each person and reason, with identifiers only; bounded; whoever asks for it does so through an audited door.
//! Never: a name, a number, an address; a file or an answer without an audit line before it.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;

use crate::id::{Channel, NotificationId, OrgId};
use crate::ledger::{Ledger, OutcomeRecord, OutcomeWord};
use crate::vault::Vault;

use super::{Days, FeedError};

/// Columns of the list.
pub const COLUMNS: &[&str] = &["day", "org", "external_id", "customer_id", "channel", "reason"];

/// Most outcomes of a day that are looked at: a day on which more people cannot be reached has one reason, and it is not theirs.
const MOST: usize = 200_000;
/// People looked up between two turns of others.
const TURN: usize = 100;

/// The list of a day.
#[derive(Default, Serialize)]
pub struct Unreachable {
    /// Lines with [`COLUMNS`].
    pub rows: Vec<Value>,
    /// Of whom nothing is known by which the brand could know them.
    pub unnamed: u64,
    /// True if the day has more than were looked at.
    pub more: bool,
}

/// Somebody, and why.
struct Missed {
    org: OrgId,
    notification: NotificationId,
    channel: Option<Channel>,
    reason: &'static str,
}

/// Lists a day. Only for doors that audit.
///
/// # Errors
/// When a store cannot be read.
pub async fn unreachable(ledger: &Ledger, vault: &Vault, days: &Days) -> Result<Unreachable, FeedError> {
    let (mut missed, mut list) = (Vec::new(), Unreachable::default());
    let note = |outcome: OutcomeRecord| {
        let Some((reason, by_channel)) = reason_of(&outcome) else { return };
        if missed.len() == MOST {
            list.more = true;
            return;
        }
        let channel = outcome.channel.filter(|_| by_channel);
        missed.push(Missed { org: outcome.org, notification: outcome.notification, channel, reason });
    };
    days.walk(ledger, note).await?;
    let (day, mut seen) = (days.date.to_string(), BTreeSet::new());
    for (count, missed) in missed.into_iter().enumerate() {
        if count % TURN == 0 {
            tokio::task::yield_now().await;
        }
        let known = match ledger.notification(missed.notification)? {
            Some(notification) => vault.brand_ids(&notification.subject)?,
            None => None,
        };
        let Some(ids) = known else {
            list.unnamed += 1;
            continue;
        };
        let (external, customer) = (&ids["external_id"], &ids["customer_id"]);
        let channel = missed.channel.map(Channel::as_str);
        if seen.insert((missed.org, external.to_string(), customer.to_string(), channel, missed.reason)) {
            list.rows.push(serde_json::json!({
                "day": day, "org": missed.org, "external_id": external, "customer_id": customer,
                "channel": channel, "reason": missed.reason,
            }));
        }
    }
    Ok(list)
}

/// Why somebody could not be reached, and whether that is true of one channel only; `None` if it was not for something of theirs.
fn reason_of(outcome: &OutcomeRecord) -> Option<(&'static str, bool)> {
    let reason = outcome.reason.as_deref().unwrap_or_default();
    match (outcome.outcome, reason) {
        (OutcomeWord::DeadLetter, "contact_unknown") => Some(("no_contact", false)),
        (OutcomeWord::DeadLetter, "several_people") => Some(("several_people", false)),
        (OutcomeWord::DeadLetter, "missing_value") => Some(("missing_value", false)),
        (OutcomeWord::DeadLetter, "no_address") => Some(("no_address", true)),
        (OutcomeWord::DeadLetter, "refused") if outcome.bad_address => Some(("address_refused", true)),
        (OutcomeWord::Suppressed, "address_suppressed") => Some(("address_refused", true)),
        _ => None,
    }
}
