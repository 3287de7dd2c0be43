//! What the configuration promises and the templates do not keep, and the other way round.
//!
//! Promises: every org with every allowed template, at once.
//! Never: a fault for a template that is not allowed.

use crate::config::{Config, Fault, Org};
use crate::id::{Channel, OrgId, SenderRole, TemplateId};
use crate::template::TemplateSet;

/// What the configuration promises and the templates folder does not keep.
pub(super) fn parts(config: &Config, templates: &TemplateSet) -> Vec<Fault> {
    let absent = enabled(config).filter(|id| templates.get(id).is_none());
    let what = "is allowed but there is no such template";
    let mut faults: Vec<Fault> = absent.map(|id| fault(id, what, "remove the entry, or add the folder")).collect();
    faults.extend(senders(config, templates));
    faults
}

/// Allowed templates that send as somebody whom an org does not have.
pub(super) fn senders(config: &Config, templates: &TemplateSet) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (id, info) in enabled(config).filter_map(|id| Some((id, templates.get(id)?))) {
        for (org_id, org) in &config.orgs {
            for (channel, role) in &info.channels {
                faults.extend(sender(id, *channel, role, *org_id, org));
            }
        }
    }
    faults.extend(variants(config, templates));
    faults
}

fn enabled(config: &Config) -> impl Iterator<Item = &TemplateId> {
    config.templates.allow.iter().filter(|(_, allow)| allow.enabled).map(|(id, _)| id)
}

/// A store that asks for a variant of a sender which no org has: a slip of the finger, and its messages would go out as from any other store.
fn variants(config: &Config, templates: &TemplateSet) -> Vec<Fault> {
    let has = |variant: &str| {
        let roles = config.orgs.values().flat_map(|org| org.senders.keys());
        roles.map(ToString::to_string).any(|role| role.strip_suffix(variant).is_some_and(|role| role.ends_with('-')))
    };
    let missing = templates.sender_variants().into_iter().filter(|variant| !config.orgs.is_empty() && !has(variant));
    missing
        .map(|variant| Fault {
            file: "_tables/stores.csv".into(),
            line: None,
            key: "sender".into(),
            what: format!("asks for the senders `…-{variant}`, and no org has one"),
            hint: Some(format!("add [org.<id>.sender.<role>-{variant}], or mend the table")),
        })
        .collect()
}

fn sender(id: &TemplateId, channel: Channel, role: &SenderRole, org_id: OrgId, org: &Org) -> Option<Fault> {
    let hint = format!("add [org.{org_id}.sender.{role}] with `{channel} = \"…\"`");
    let what = match org.senders.get(role) {
        None => format!("sends as `{role}`, which org {org_id} does not have"),
        Some(sender) => match channel {
            Channel::Email if sender.email.is_none() => {
                format!("sends mail as `{role}`, whose `email` org {org_id} lacks")
            }
            Channel::Sms if sender.sms.is_none() => {
                format!("sends text messages as `{role}`, whose `sms` org {org_id} lacks")
            }
            Channel::Email | Channel::Sms => return None,
        },
    };
    Some(fault(id, &what, &hint))
}

fn fault(id: &TemplateId, what: &str, hint: &str) -> Fault {
    Fault {
        file: "configuration".into(),
        line: None,
        key: format!("templates.allow.{id}"),
        what: what.into(),
        hint: Some(hint.into()),
    }
}
