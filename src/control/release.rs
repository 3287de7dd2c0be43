//! Puts what was held back into the queue.
//!
//! Promises: a release walks what is held once, page by page, however many pauses cover it; what was released is judged
//! afresh by the dispatcher, which holds it again for whatever reason is left.
//! Never: more than one page in memory; a release of what another pause still covers.

use crate::id::NotificationId;
use crate::ledger::{Changes, Happening, Hold, LedgerError, Notification, Place, State, TimelineEntry};
use crate::policy::WaitReason;

use super::Control;

/// Notifications looked at, and changed in one commit.
const PAGE: usize = 256;

impl Control {
    /// Puts everything held for one reason back into the queue, in pages; returns how many. What a pause still covers stays
    /// held as paused. What is in somebody's hands is left to them: they look again after their own commit.
    ///
    /// # Errors
    /// When the ledger fails; what was released before stays released.
    pub async fn release(&self, hold: &Hold, by: &str) -> Result<usize, LedgerError> {
        let (mut released, mut place) = (0, None);
        loop {
            let page = self.0.ledger.held_after(hold, place.as_ref(), PAGE)?;
            released += self.release_page(hold, &page.ids, by).await?;
            place = page.next;
            if place.is_none() {
                return Ok(released);
            }
            // A page of which nothing goes commits nothing, and would give nobody else a turn.
            tokio::task::yield_now().await;
        }
    }

    async fn release_page(&self, hold: &Hold, ids: &[NotificationId], by: &str) -> Result<usize, LedgerError> {
        let now = self.0.clock.now();
        let mut changes = Changes::new();
        let mut leases = Vec::new();
        for id in ids {
            let Some(leased) = self.0.ledger.lease(*id)? else { continue };
            let old = &leased.notification;
            let is_held = matches!(old.place(), Place::Held(held, _) if hold.includes(&held));
            if !is_held || (*hold == Hold::Paused && self.stays_paused(old)) {
                continue;
            }
            let what = Happening::Released { by: by.into() };
            changes.add_timeline(old.event, TimelineEntry { at: now, notification: Some(*id), what });
            changes.update_notification(old, self.freed(old, hold));
            leases.push(leased);
        }
        self.0.ledger.commit(changes).await?;
        Ok(leases.len())
    }

    /// Frees one that was held for a cause that is gone by now.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn release_one(&self, id: NotificationId) -> Result<(), LedgerError> {
        let Some(leased) = self.0.ledger.lease(id)? else { return Ok(()) };
        let old = &leased.notification;
        let Place::Held(hold @ (Hold::Paused | Hold::Brake(_)), _) = old.place() else { return Ok(()) };
        let mut changes = Changes::new();
        changes.update_notification(old, self.freed(old, &hold));
        self.0.ledger.commit(changes).await
    }

    /// The first choice decides, as it does when the dispatcher looks: a pause of a later one holds a notification only
    /// once its contact is known to have no other way.
    fn stays_paused(&self, n: &Notification) -> bool {
        n.channels.first().is_some_and(|channel| self.is_paused(n.org, &n.rule.template, *channel))
    }

    fn freed(&self, old: &Notification, hold: &Hold) -> Notification {
        let mut new = old.clone();
        // One provider by name is asked for when it takes messages again; a person or a restart frees those of all.
        if let Hold::Misconfigured(Some(provider)) = hold {
            new.freed_by = Some(provider.clone());
        }
        new.brake_released |= matches!(old.place(), Place::Held(Hold::Brake(_), _));
        new.refused_by = None;
        new.state = State::Waiting { reason: WaitReason::DueLater, due_at: self.0.clock.now().max(old.not_before) };
        new
    }
}
