//! The join: the only place where a person meets an event.
//!
//! Promises: what is looked up lives until the attempt ends; nobody is guessed: several people, no contact, no address and
//! a missing value each have their own name.
//! Never: a person in the ledger, a log or an error.

use serde_json::Value;

use crate::clock::Time;
use crate::config::{Org, Sender};
use crate::id::{Channel, Namespace};
use crate::ledger::{DeadReason, Notification, State};
use crate::message::{Body, Email, Message, Sms};
use crate::policy::{SuppressReason, WaitReason};
use crate::template::{Content, RenderError, RenderInput, TemplateInfo};
use crate::vault::{Contact, ContactId, Resolution};

use super::{DispatchError, Dispatcher, Step};

/// Somebody who can be written to.
pub(super) struct Joined {
    pub(super) contact_id: ContactId,
    pub(super) contact: Contact,
    pub(super) channel: Channel,
}

impl Dispatcher {
    /// Finds the person and a channel. The inner error: nobody can be written to now, and why is recorded.
    pub(super) async fn join(&self, n: &Notification, now: Time) -> Result<Result<Joined, Step>, DispatchError> {
        let Some(org) = self.config.orgs.get(&n.org) else {
            self.finish(n, State::Suppressed { reason: SuppressReason::OrgNotConfigured, at: now }).await?;
            return Ok(Err(Step::Done));
        };
        let contact_id = match self.vault.resolve(&org.namespace, &n.subject.aliases, n.event_at)? {
            Resolution::Known(id) => id,
            Resolution::Unknown => {
                return self.wait_for_contact(n, &org.namespace, now).await.map(Err);
            }
            Resolution::Several => {
                self.dead(n, DeadReason::SeveralPeople).await?;
                return Ok(Err(Step::Done));
            }
            Resolution::Erased => {
                self.finish(n, State::Suppressed { reason: SuppressReason::Erased, at: now }).await?;
                return Ok(Err(Step::Done));
            }
        };
        let Some(contact) = self.vault.contact(contact_id)?.filter(|contact| !contact.is_stale(now)) else {
            // Only if it is there and stale; then the vault no longer says that it knows them.
            self.vault.forget_stale(contact_id, now)?;
            return self.wait_for_contact(n, &org.namespace, now).await.map(Err);
        };
        let mut suppressed = false;
        for channel in &n.channels {
            if contact.address(*channel).is_none() {
                continue;
            }
            if self.vault.address_suppressed(contact_id, *channel)? {
                suppressed = true;
                continue;
            }
            return Ok(Ok(Joined { contact_id, contact, channel: *channel }));
        }
        if suppressed {
            self.finish(n, State::Suppressed { reason: SuppressReason::AddressSuppressed, at: now }).await?;
        } else {
            self.dead(n, DeadReason::NoAddress).await?;
        }
        Ok(Err(Step::Done))
    }

    async fn wait_for_contact(
        &self,
        n: &Notification,
        namespace: &Namespace,
        now: Time,
    ) -> Result<Step, DispatchError> {
        if now >= n.contact_deadline {
            self.dead(n, DeadReason::ContactUnknown).await?;
            return Ok(Step::Done);
        }
        let look = self.lookup.next_look(namespace, n.planned_at, now).unwrap_or(n.contact_deadline);
        self.wait(n, WaitReason::ContactUnknown, look.min(n.contact_deadline)).await?;
        Ok(Step::WaitsForContact)
    }

    /// Renders and addresses. The inner error is the reason for a dead letter.
    pub(super) fn compose(
        &self,
        n: &Notification,
        template: &TemplateInfo,
        joined: &Joined,
        now: Time,
    ) -> Result<Result<Message, DeadReason>, DispatchError> {
        let Some(record) = self.ledger.event(n.event)? else { return Ok(Err(DeadReason::EventUnreadable)) };
        let Some(org) = self.config.orgs.get(&n.org) else { return Ok(Err(DeadReason::TemplateUnavailable)) };
        let items: Vec<Value> = n.items.iter().filter_map(|place| record.event.at(place).cloned()).collect();
        let view = record.event.into_view();
        let Some(sender) = self.sender(template, org, joined.channel, &view) else {
            return Ok(Err(DeadReason::TemplateUnavailable));
        };
        let customer = joined.contact.customer();
        let input = RenderInput { channel: joined.channel, event: &view, items: &items, customer: &customer, org, now };
        let content = match self.templates.render(&n.rule.template, &input) {
            Ok(content) => content,
            Err(RenderError::Missing { field }) => return Ok(Err(DeadReason::MissingValue { field })),
            Err(other) => return Ok(Err(DeadReason::RenderFailed { detail: other.to_string() })),
        };
        Ok(address_content(content, n, &joined.contact, sender, &self.config.templates.message_id_domain))
    }
}

impl Dispatcher {
    /// The store's own sender if the org has one that can send so, else the role's.
    fn sender<'o>(&self, template: &TemplateInfo, org: &'o Org, channel: Channel, event: &Value) -> Option<&'o Sender> {
        let roles = self.templates.sender_roles(template.channels.get(&channel)?, event);
        let can_send = |sender: &&Sender| match channel {
            Channel::Email => sender.email.is_some(),
            Channel::Sms => sender.sms.is_some(),
        };
        roles.iter().filter_map(|role| org.senders.get(role)).find(can_send)
    }
}

fn address_content(
    content: Content,
    n: &Notification,
    contact: &Contact,
    sender: &Sender,
    message_id_domain: &str,
) -> Result<Message, DeadReason> {
    let body = match content {
        Content::Email { subject, html, text } => Body::Email(Email {
            from: sender.email.clone().ok_or(DeadReason::TemplateUnavailable)?,
            reply_to: sender.reply_to.clone(),
            to: contact.email.clone().ok_or(DeadReason::NoAddress)?,
            // The name would travel in a header of every hop; the greeting is enough.
            to_name: None,
            subject,
            html,
            text,
            message_id: format!("<{}@{message_id_domain}>", n.id),
            headers: vec![],
        }),
        Content::Sms { text, vars, mut registration } => {
            if let Some(entity) = &sender.sms_entity_id {
                registration.insert("entity_id".into(), entity.clone());
            }
            Body::Sms(Sms {
                sender: sender.sms.clone().ok_or(DeadReason::TemplateUnavailable)?,
                to: contact.mobile.clone().ok_or(DeadReason::NoAddress)?,
                text,
                vars,
                registration,
            })
        }
    };
    Ok(Message { id: n.id, body })
}
