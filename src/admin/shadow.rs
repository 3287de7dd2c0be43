//! What would have been sent: the notifications that only the shadow kept back.
//!
//! Promises: counts by template, org, channel and hour (UTC) of everything that came as far as the provider; a page looks at a bounded number
//! of records.
//! Never: a person, not even by hash.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::id::{Channel, KeyedHash, NotificationId, OrgId, TemplateId};
use crate::ledger::{Notification, State as Stand};
use crate::policy::SuppressReason;

use super::read::Asked;
use super::view::as_text;
use super::window::Window;
use super::{Answer, Desk};

/// Ids sort by when their event was made; older events than this before the window are not looked at, unless a rule lets them live longer.
const OLDEST: Duration = Duration::from_secs(31 * 24 * 3_600);
const HOUR: i64 = 3_600_000;

/// Which part of the past.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    since: Option<String>,
    to: Option<String>,
    after: Option<NotificationId>,
}

/// One page of counts; pages add up.
#[derive(Serialize)]
pub(super) struct Shadow {
    #[serde(serialize_with = "as_text")]
    from: Time,
    /// Give this as `to` for the next page.
    #[serde(serialize_with = "as_text")]
    to: Time,
    rows: Vec<Row>,
    /// Give this as `after` for the next page.
    next: Option<NotificationId>,
}

#[derive(Serialize)]
struct Row {
    #[serde(serialize_with = "as_text")]
    hour: Time,
    template: TemplateId,
    org: OrgId,
    /// In order of preference: the first that the contact has an address for.
    channels: Vec<Channel>,
    messages: u64,
}

/// What is counted together.
type Slot = (Time, TemplateId, OrgId, Vec<&'static str>);

pub(super) async fn shadow(State(desk): State<Arc<Desk>>, Asked(page): Asked<Page>) -> Answer<Shadow> {
    let house = &desk.house;
    let window = Window::read(page.since.as_deref(), page.to.as_deref(), house.clock.now())?;
    let longest =
        house.rules.iter().filter_map(|rule| rule.expires_after).chain([house.config.relay.expires_after, OLDEST]);
    let oldest = window.from.minus(longest.max().unwrap_or(OLDEST));
    let start = page.after.unwrap_or_else(|| NotificationId::new(oldest, KeyedHash([0; 16])));
    let counts: RefCell<BTreeMap<Slot, (u64, Vec<Channel>)>> = RefCell::default();
    // Everything is counted while it is looked at, and nothing is kept.
    let count = |n: &Notification| {
        if let Some(hour) = shadowed(n, window) {
            let words = n.channels.iter().map(|channel| channel.as_str()).collect();
            let slot = (hour, n.rule.template.clone(), n.org, words);
            counts.borrow_mut().entry(slot).or_insert_with(|| (0, n.channels.clone())).0 += 1;
        }
        false
    };
    let (_, next) = house.ledger.notifications(Some(start), 1, &count)?;
    let rows = counts.into_inner().into_iter();
    let rows =
        rows.map(|((hour, template, org, _), (messages, channels))| Row { hour, template, org, channels, messages });
    Ok(Json(Shadow { from: window.from, to: window.to, rows: rows.collect(), next }))
}

/// The hour in which a notification would have been sent, if only the shadow kept it back, within the window.
fn shadowed(n: &Notification, window: Window) -> Option<Time> {
    let Stand::Suppressed { reason: SuppressReason::Shadow, at } = n.state else { return None };
    let hour = at.as_millis().div_euclid(HOUR).saturating_mul(HOUR);
    window.holds(at).then_some(Time::from_millis(hour))
}
