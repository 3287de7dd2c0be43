//! From a matching rule to the notifications it asks for.
//!
//! Promises: deterministic ids, so that planning a delivery again after a crash makes the same notifications.
//! Never: an address or a name; whether somebody can be reached is decided when the time to send has come.

use crate::clock::Time;
use crate::config::Org;
use crate::event::Event;
use crate::id::{Channel, NotificationId};
use crate::ledger::{Happening, Notification, State};
use crate::policy::WaitReason;
use crate::rules::{Match, Send};

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
                match &found.rule.send {
                    Send::All(channels) => channels.iter().map(|c| vec![*c]).collect::<Vec<_>>(),
                    Send::FirstOf(channels) => vec![channels.clone()],
                }
                .into_iter()
                .filter_map(move |channels| self.intent(event, found, channels, now))
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
        // A sender's clock that is ahead must not delay a message.
        let created_at = event.created_at.min(now);
        let after_event = |own: Option<_>, default| created_at.plus(own.unwrap_or(default));
        let by_rule = after_event(rule.expires_after, self.config.relay.expires_after);
        let expires_at = found.expires_at.map_or(by_rule, |by_event| by_event.min(by_rule));
        let not_before = created_at.plus(rule.delay);
        let due_at = not_before.max(now);
        let notification = Notification {
            id: self.notification_id(event, found, &channels),
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
            event_at: created_at,
            planned_at: now,
            not_before,
            contact_deadline: after_event(rule.wait_for_contact, self.config.relay.wait_for_contact),
            expires_at,
            live_from: rule.live_from,
            attempts: 0,
            brake_released: false,
            refused_by: None,
            state: State::Waiting { reason: WaitReason::DueLater, due_at },
        };
        Some((notification, Happening::Planned { rule: rule.id.clone(), channels, due_at }))
    }

    fn notification_id(&self, event: &Event, found: &Match<'_>, channels: &[Channel]) -> NotificationId {
        let rule = found.rule.id.to_string();
        let subject = found.subject.aliases.first().map_or([0; 16], |alias| alias.hash.0);
        let channels: Vec<&str> = channels.iter().map(|c| c.as_str()).collect();
        let channels = channels.join(",");
        let parts: [&[u8]; 4] = [&event.key.0.0, rule.as_bytes(), &subject, channels.as_bytes()];
        NotificationId::new(event.created_at, self.hasher().keyed_hash("notification", &parts))
    }
}
