//! What became of a day's messages, in figures.
//!
//! Promises: by org, template, channel, sender, provider, outcome and reason: how many, and how many segments gateways bill; a message
//! that was parked, requeued and sent is in each figure once, on the day of each.
//! Never: a person.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::id::{Channel, OrgId, ProviderId, TemplateId};
use crate::ledger::{Ledger, LedgerError, OutcomeRecord, OutcomeWord};

use super::day::Days;

/// Columns of the report.
pub const COLUMNS: &[&str] =
    &["day", "org", "template", "channel", "sender", "provider", "outcome", "reason", "messages", "segments"];

/// One figure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "names say it; docs/feeds.md explains each")]
pub struct Row {
    /// The org's own date.
    pub day: String,
    pub org: OrgId,
    pub template: TemplateId,
    pub channel: Option<Channel>,
    /// The mailbox or sender id it went out as, where a provider was asked.
    pub sender: Option<String>,
    pub provider: Option<ProviderId>,
    pub outcome: OutcomeWord,
    pub reason: Option<String>,
    pub messages: u64,
    /// Of text messages that were taken, or may have been.
    pub segments: u64,
}

/// What is counted together, in the order of the report.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    org: OrgId,
    template: TemplateId,
    channel: Option<&'static str>,
    sender: Option<String>,
    provider: Option<ProviderId>,
    outcome: OutcomeWord,
    reason: Option<String>,
}

impl Group {
    fn of(outcome: &OutcomeRecord) -> Self {
        Self {
            org: outcome.org,
            template: outcome.template.clone(),
            channel: outcome.channel.map(Channel::as_str),
            sender: outcome.sender.clone(),
            provider: outcome.provider.clone(),
            outcome: outcome.outcome,
            reason: outcome.reason.clone(),
        }
    }
}

#[derive(Default)]
struct Figures {
    channel: Option<Channel>,
    messages: u64,
    segments: u64,
}

/// Counts a day.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn outcomes(ledger: &Ledger, days: &Days) -> Result<Vec<Row>, LedgerError> {
    let mut groups: BTreeMap<Group, Figures> = BTreeMap::new();
    let count = |outcome: OutcomeRecord| {
        let figures = groups.entry(Group::of(&outcome)).or_default();
        figures.channel = outcome.channel;
        figures.messages += 1;
        figures.segments += u64::from(outcome.segments.unwrap_or(0));
    };
    days.walk(ledger, count).await?;
    let day = days.date.to_string();
    let row = |(group, figures): (Group, Figures)| Row {
        day: day.clone(),
        org: group.org,
        template: group.template,
        channel: figures.channel,
        sender: group.sender,
        provider: group.provider,
        outcome: group.outcome,
        reason: group.reason,
        messages: figures.messages,
        segments: figures.segments,
    };
    Ok(groups.into_iter().map(row).collect())
}
