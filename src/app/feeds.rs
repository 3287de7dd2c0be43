//! The house's feeds: what tells other systems, as tasks of their own.
//!
//! Promises: a feed that is not configured is not there; none is in the way of a send or of a stop; the list of people goes into the
//! daily file through the desk, which audits it.
//! Never: a task that outlives the workers' stop.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::admin::Desk;
use crate::config::WebhookFeedError;
use crate::feed::{Daily, People, Webhook};
use crate::tasks::Tasks;

use super::House;

/// Starts every feed.
pub(super) fn spawn(house: &House, desk: &Desk, webhook: Option<Webhook>, tasks: &Tasks, stop: &CancellationToken) {
    if let Some(webhook) = webhook {
        tasks.spawn_fallible("webhook", webhook.run(stop.clone()));
    }
    tasks.spawn("feed", house.daily(desk).run(stop.clone()));
}

impl House {
    /// The webhook, if one is configured.
    pub(super) fn webhook(&self) -> Result<Option<Webhook>, WebhookFeedError> {
        let Some(config) = &self.config.feed.webhook else { return Ok(None) };
        Webhook::build(config, self.ledger.clone(), self.clock.clone(), self.metrics.clone()).map(Some)
    }

    fn daily(&self, desk: &Desk) -> Daily {
        let desk = desk.clone();
        let people: People = Arc::new(move |days| {
            let desk = desk.clone();
            Box::pin(async move { desk.unreachable_for_the_file(days).await.map_err(|refusal| refusal.to_string()) })
        });
        Daily { ledger: self.ledger.clone(), config: self.config.clone(), clock: self.clock.clone(), people }
    }
}
