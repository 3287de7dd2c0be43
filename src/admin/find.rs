//! Finding out: events by any of their ids, notifications by any of their words.
//!
//! Promises: bounded answers; a search value is hashed before it touches a store; whoever searches by a number or an address
//! knows a person, so that needs the scope of people and is audited.
//! Never: a person in an answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::Method;
use serde::{Deserialize, Serialize};

use crate::config::Access;
use crate::event::{AliasKind, alias_hash, kept_id};
use crate::id::{EventKey, IdError, Namespace, NotificationId};
use crate::ledger::FindBy;

use super::audit::{Action, Entry};
use super::caller::Caller;
use super::filter::Filter;
use super::read::{Asked, Read};
use super::routes::Route;
use super::view::{EventView, NotificationView, TimelineView};
use super::{AdminError, Answer, Desk};

/// Most events one search answers with.
const MOST: usize = 100;

/// What support has in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum By {
    /// Capillary's event id.
    EventId,
    /// Capillary's API request id.
    RequestId,
    /// Capillary's reference id.
    RefId,
    /// A bill number.
    Bill,
    /// A coupon code.
    Coupon,
    /// A customer, as `external_id:GT0042` or `customer_id:381003288`.
    Customer,
    /// A notification id (from a Message-ID or a gateway's reference).
    Notification,
}

/// A search.
#[derive(Deserialize)]
pub(super) struct Search {
    by: By,
    value: String,
    /// Whose customer, where several brands have their own.
    #[serde(default)]
    namespace: Option<Namespace>,
    /// The name that whoever asks gives themselves.
    #[serde(default)]
    asker: String,
}

/// The answer to a search.
#[derive(Serialize)]
pub(super) struct Found {
    found: Vec<TimelineView>,
    /// True if there is more than was answered.
    more: bool,
}

pub(super) async fn by_value(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(search): Read<Search>,
) -> Answer<Found> {
    let value = search.value.trim();
    let Some(reach) = (search.by == By::Customer).then(|| parse_alias(value)).transpose()?.and_then(reach_of) else {
        return desk.search(search.by, value, search.namespace).map(Json);
    };
    let needs = Route { access: Access::Pii, method: Method::POST, path: "/v1/events/find" };
    desk.permit(&caller, &needs).await?;
    let entry = Entry::new(Action::PeopleSearched, &caller, &search.asker).about("by", reach);
    let searching = async {
        let found = desk.search(search.by, value, search.namespace)?;
        let count = found.found.len();
        Ok((found, count))
    };
    desk.audited(entry, searching).await.map(Json)
}

/// The word for a number or an address: what more people than the brand know of somebody.
fn reach_of((kind, _): (AliasKind, &str)) -> Option<&'static str> {
    match kind {
        AliasKind::Mobile => Some("phone"),
        AliasKind::Email => Some("email"),
        AliasKind::CustomerId | AliasKind::ExternalId | AliasKind::Card | AliasKind::CardExternalId => None,
    }
}

pub(super) async fn event(State(desk): State<Arc<Desk>>, Path(key): Path<String>) -> Answer<TimelineView> {
    let key = EventKey(key.parse().map_err(|e| not_an_id(&e))?);
    desk.timeline(key)?.map(Json).ok_or(AdminError::NotFound("event"))
}

/// Bounds of a list.
#[derive(Deserialize)]
pub(super) struct Page {
    limit: Option<usize>,
}

pub(super) async fn recent(State(desk): State<Arc<Desk>>, Asked(page): Asked<Page>) -> Answer<Vec<EventView>> {
    let ledger = &desk.house.ledger;
    let limit = page.limit.unwrap_or(20).min(1_000);
    let keys = ledger.events_between(crate::clock::Time::from_millis(0), crate::clock::Time::MAX, limit)?;
    let mut events = Vec::with_capacity(keys.len());
    for key in keys {
        events.extend(ledger.event(key)?.as_ref().map(EventView::from));
    }
    Ok(Json(events))
}

/// A page of notifications.
#[derive(Serialize)]
pub(super) struct Notifications {
    notifications: Vec<NotificationView>,
    /// Give this as `after` for the next page.
    next: Option<NotificationId>,
}

pub(super) async fn notifications(
    State(desk): State<Arc<Desk>>,
    Asked(filter): Asked<Filter>,
) -> Answer<Notifications> {
    filter.check()?;
    let limit = filter.limit.unwrap_or(50).clamp(1, 1_000);
    let mut notifications = Vec::new();
    let mut next = filter.after;
    loop {
        // The ledger looks at a bounded number of records a page, so a page may be empty and not the last.
        let wanted = limit - notifications.len();
        let (found, after) = desk.house.ledger.notifications(next, wanted, &|n| filter.matches(n))?;
        notifications.extend(found.iter().map(NotificationView::from));
        next = after;
        if next.is_none() || notifications.len() >= limit {
            return Ok(Json(Notifications { notifications, next }));
        }
        // Other requests have their turn between pages.
        tokio::task::yield_now().await;
    }
}

pub(super) async fn notification(State(desk): State<Arc<Desk>>, Path(id): Path<String>) -> Answer<TimelineView> {
    let id: NotificationId = id.parse().map_err(|e| not_an_id(&e))?;
    let found = desk.house.ledger.notification(id)?.ok_or(AdminError::NotFound("notification"))?;
    desk.timeline(found.event)?.map(Json).ok_or(AdminError::NotFound("event"))
}

impl Desk {
    fn search(&self, by: By, value: &str, namespace: Option<Namespace>) -> Result<Found, AdminError> {
        let ledger = &self.house.ledger;
        let keys = match by {
            By::EventId => self.events_by_id(FindBy::EventId, value)?,
            By::RequestId => self.events_by_id(FindBy::RequestId, value)?,
            By::RefId => self.events_by_id(FindBy::RefId, value)?,
            By::Bill => ledger.find(FindBy::BillNumber, ledger.find_hash(FindBy::BillNumber, value), MOST + 1)?,
            By::Coupon => ledger.find(FindBy::CouponCode, ledger.find_hash(FindBy::CouponCode, value), MOST + 1)?,
            By::Customer => self.events_of(value, namespace)?,
            By::Notification => {
                let id: NotificationId = value.parse().map_err(|e| not_an_id(&e))?;
                ledger.notification(id)?.map(|n| n.event).into_iter().collect()
            }
        };
        let more = keys.len() > MOST;
        let found =
            keys.into_iter().take(MOST).filter_map(|key| self.timeline(key).transpose()).collect::<Result<_, _>>()?;
        Ok(Found { found, more })
    }

    /// By an id as it was sent, which need not be how it is kept.
    fn events_by_id(&self, by: FindBy, value: &str) -> Result<Vec<EventKey>, AdminError> {
        let ledger = &self.house.ledger;
        Ok(ledger.find(by, ledger.find_hash(by, &kept_id(&self.house.keys, value)), MOST + 1)?)
    }

    fn timeline(&self, key: EventKey) -> Result<Option<TimelineView>, AdminError> {
        Ok(self.house.ledger.look(key)?.map(|found| TimelineView {
            event: EventView::from(&found.event),
            timeline: found.timeline.into_iter().map(Into::into).collect(),
            notifications: found.notifications.iter().map(NotificationView::from).collect(),
        }))
    }

    /// Events of a person. One identifier may be two people of two brands, so with several the brand is named.
    fn events_of(&self, alias: &str, namespace: Option<Namespace>) -> Result<Vec<EventKey>, AdminError> {
        let (kind, value) = parse_alias(alias)?;
        let hash = alias_hash(&self.house.keys, &self.namespace(namespace)?, kind, value);
        Ok(self.house.ledger.find(FindBy::Subject, hash, MOST + 1)?)
    }
}

/// What is no id may be anything that support had in hand, an address too: it is not repeated.
pub(super) fn not_an_id(error: &IdError) -> AdminError {
    AdminError::Invalid(format!("this is not a {}; expected {}", error.what, error.expected))
}

/// Reads `external_id:GT0042`. The error does not repeat the value.
pub(super) fn parse_alias(text: &str) -> Result<(AliasKind, &str), AdminError> {
    AliasKind::split(text).ok_or_else(|| {
        AdminError::Invalid(
            "a customer is given as KIND:VALUE, with a kind of customer_id, external_id, card, \
            card_external_id, mobile or email"
                .into(),
        )
    })
}
