//! From a matching rule to the notifications it asks for.
//!
//! Promises: deterministic ids, so that planning a delivery again after a crash makes the same notifications.
//! Never: an address or a name; whether somebody can be reached is decided when the time to send has come.

use crate::clock::Time;
use crate::config::{Org, Relay};
use crate::event::Event;
use crate::id::{Channel, KeyedHasher, NotificationId};
use crate::ledger::{Happening, Notification, State};
use crate::policy::WaitReason;
use crate::rules::{Match, Rule, Send};

use super::Planner;

impl Planner {
    /// Every notification that the rules ask for, each with its line for the timeline.
    pub(super) fn intents(
        &self,
        event: &Event,
        org: &Org,
        now: Time,
        note: &mut dyn FnMut(Time, Happening),
    ) -> Vec<(Notification, Happening)> {
        let verdict = self.rules.apply(event, &org.time_zone);
        for (rule, detail) in verdict.faults {
            tracing::error!(rule.id = %rule, event.key = %event.key, detail, "rule condition failed; it counts as not matching");
            note(now, Happening::RuleFaulted { rule, detail });
        }
        let planned: Vec<_> = verdict
            .matches
            .iter()
            .flat_map(|found| {
                sets(&found.rule.send).into_iter().filter_map(move |channels| self.intent(event, found, channels, now))
            })
            .collect();
        if planned.is_empty() {
            note(now, Happening::NoRuleMatched);
        }
        planned
    }

    fn intent(
        &self,
        event: &Event,
        found: &Match<'_>,
        channels: Vec<Channel>,
        now: Time,
    ) -> Option<(Notification, Happening)> {
        let rule = found.rule;
        // Rules are compiled from loaded templates only; a missing one would be a fault of the app.
        let template = self.templates.get(&rule.id.template)?;
        let Times { event_at, not_before, contact_deadline, expires_at } =
            Times::of(event, rule, found.expires_at, now, &self.config.relay);
        let due_at = not_before.max(now);
        let notification = Notification {
            id: notification_id(self.hasher(), event, found, &channels),
            event: event.key,
            event_name: event.name.clone(),
            org: event.org,
            rule: rule.id.clone(),
            template_version: template.version.clone(),
            category: template.category,
            subject: found.subject.clone(),
            role: found.role,
            channels: channels.clone(),
            items: found.items.clone(),
            event_at,
            planned_at: now,
            not_before,
            contact_deadline,
            expires_at,
            live_from: rule.live_from,
            attempts: 0,
            attempts_before: 0,
            brake_released: false,
            refused_by: None,
            freed_by: None,
            sent_as: None,
            state: State::Waiting { reason: WaitReason::DueLater, due_at },
        };
        Some((notification, Happening::Planned { rule: rule.id.clone(), channels, due_at }))
    }
}

/// The sets of channels that a rule asks a notification for.
pub(super) fn sets(send: &Send) -> Vec<Vec<Channel>> {
    match send {
        Send::All(channels) => channels.iter().map(|channel| vec![*channel]).collect(),
        Send::FirstOf(channels) => vec![channels.clone()],
    }
}

/// What a notification's id is made of, so that the same one is never made twice.
pub(super) fn notification_id(
    hasher: &dyn KeyedHasher,
    event: &Event,
    found: &Match<'_>,
    channels: &[Channel],
) -> NotificationId {
    let rule = found.rule.id.to_string();
    let subject = found.subject.aliases.first().map_or([0; 16], |alias| alias.hash.0);
    let channels: Vec<&str> = channels.iter().map(|c| c.as_str()).collect();
    let channels = channels.join(",");
    let parts: [&[u8]; 4] = [&event.key.0.0, rule.as_bytes(), &subject, channels.as_bytes()];
    NotificationId::new(event.created_at, hasher.keyed_hash("notification", &parts))
}

/// The clocks of a notification; all run from the event.
pub(super) struct Times {
    /// When the event was made.
    pub(super) event_at: Time,
    /// From then on it may be sent.
    pub(super) not_before: Time,
    /// Until then it waits for a contact.
    pub(super) contact_deadline: Time,
    /// Then it is too old.
    pub(super) expires_at: Time,
}

impl Times {
    pub(super) fn of(event: &Event, rule: &Rule, by_event: Option<Time>, now: Time, relay: &Relay) -> Self {
        // A sender's clock that is ahead must not delay a message.
        let event_at = event.created_at.min(now);
        let after_event = |own: Option<_>, default| event_at.plus(own.unwrap_or(default));
        let by_rule = after_event(rule.expires_after, relay.expires_after);
        Self {
            event_at,
            not_before: event_at.plus(rule.delay),
            contact_deadline: after_event(rule.wait_for_contact, relay.wait_for_contact),
            expires_at: by_event.map_or(by_rule, |by_event| by_event.min(by_rule)),
        }
    }
}
