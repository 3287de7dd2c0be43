//! The bare SMTP client: the relay's own session sending a mail that is already made, over and over.
//!
//! Promises: the same provider settings as the relay's; every mail must be accepted.
//! Never: a journal, a queue, a vault or a template.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;

use crate::clock::Clock;
use crate::id::{KeyedHash, NotificationId, ProviderId};
use crate::message::{Body, Email, Mailbox, Message};
use crate::personal::Personal;
use crate::provider::{Outcome, Providers};
use crate::telemetry::Metrics;

use super::child::Child;
use super::event::Kind;
use super::setup::Site;

/// As many as the relay's dispatcher may have in hand for one provider.
const SENDERS: usize = 64;

/// Sends `mails` mails to the catcher; how many a second.
#[expect(clippy::cast_precision_loss, reason = "a count of mails is far below 2^52")]
pub(super) async fn mails_per_second(site: &Site, sink: &mut Child, mails: u64) -> anyhow::Result<f64> {
    let clock = Clock::system();
    let providers = Arc::new(Providers::build(&site.loaded.providers, clock.clone(), Metrics::new())?);
    let provider: ProviderId = "mail".parse().context("a provider's name")?;
    let before = sink.caught(Kind::Mail).await?;
    let (started, next) = (Instant::now(), AtomicU64::new(0));
    try_join_all((0..SENDERS).map(|_| async {
        while next.fetch_add(1, Ordering::Relaxed) < mails {
            let permit = providers.permit(&provider).await;
            let outcome = providers.send(permit, &message(&clock)).await;
            ensure!(matches!(outcome, Outcome::Sent { .. }), "a mail was not taken: {outcome:?}");
        }
        Ok(())
    }))
    .await?;
    let took = started.elapsed();
    providers.close().await;
    let caught = sink.caught(Kind::Mail).await? - before;
    ensure!(caught == mails, "{caught} of {mails} mails arrived");
    Ok(mails as f64 / took.as_secs_f64())
}

/// About as large as a rendered mail: 3 KB of HTML and its text.
fn message(clock: &Clock) -> Message {
    let id = NotificationId::new(clock.now(), KeyedHash([0; 16]));
    let line = "<tr><td style=\"padding:8px 0\">You earned 43 points at Oakfield Store.</td></tr>\r\n";
    Message {
        id,
        body: Body::Email(Email {
            from: Mailbox { name: Some("Marigold".into()), address: "circle@marigold.example".into() },
            reply_to: None,
            to: Personal::new("customer@example.com"),
            to_name: None,
            subject: Personal::new("You earned 43 points"),
            html: Some(Personal::new(format!("<html><body><table>{}</table></body></html>", line.repeat(38)))),
            text: Personal::new("You earned 43 points at Oakfield Store. Your balance is now 120.\r\n".repeat(6)),
            message_id: format!("<{id}@mail.marigold.example>"),
            headers: vec![],
        }),
    }
}
