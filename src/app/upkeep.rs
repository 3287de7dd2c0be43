//! The house's own chores: free disk space, gauges, retention.
//!
//! Promises: below the disk floor the intake answers 429 before the stores meet a full disk.
//! Never: removes anything that still waits.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::intake::Intake;
use crate::ledger::LedgerError;
use crate::policy::WaitReason;
use crate::serve::Certificate;
use crate::tasks::Tasks;
use crate::telemetry::Reason;
use crate::vault::VaultError;

use super::House;

const DISK_LOOK: Duration = Duration::from_secs(5);
const CERTIFICATE_LOOK: Duration = Duration::from_secs(60);
const RETENTION_LOOK: Duration = Duration::from_secs(600);
/// Events, and deliveries in quarantine, removed between two breaths, so that retention never holds up the queue.
const RETENTION_BATCH: usize = 500;

/// Starts every chore.
pub(super) fn spawn(house: &House, intake: &Intake, tasks: &Tasks, stop: &CancellationToken) {
    let (this, gate, token) = (house.clone(), intake.clone(), stop.clone());
    tasks.spawn("upkeep", async move {
        let mut given_up = 0;
        loop {
            tell_of_given_up(&this, &mut given_up);
            gate.set_disk_low(disk_is_low(&this.config.storage.dir, this.config.storage.min_free_bytes));
            show_waiting(&this);
            if let Err(error) = this.control.save_brake().await {
                tracing::error!(%error, "the brake's count could not be made durable");
            }
            if pause(&this, &token, DISK_LOOK).await {
                tell_of_given_up(&this, &mut given_up);
                return;
            }
        }
    });
    let (this, token) = (house.clone(), stop.clone());
    tasks.spawn("retention", async move {
        loop {
            let more = sweep(&this).await.unwrap_or_else(|error| {
                tracing::error!(%error, "retention failed; it is tried again");
                false
            });
            let more = forget_stale(&this).await || more;
            if !more && pause(&this, &token, RETENTION_LOOK).await {
                return;
            }
        }
    });
}

/// Looks for a new certificate, so that whoever renews it need not tell us.
pub(super) fn watch_certificate(house: &House, certificate: Certificate, tasks: &Tasks, stop: &CancellationToken) {
    let (this, token) = (house.clone(), stop.clone());
    tasks.spawn("certificate", async move {
        while !pause(&this, &token, CERTIFICATE_LOOK).await {
            refresh(&certificate);
        }
    });
}

/// Reads the certificate again and says what came of it.
pub fn refresh(certificate: &Certificate) {
    match certificate.refresh() {
        Ok(true) => tracing::info!("a new certificate is in force for new connections of the intake"),
        Ok(false) => {}
        Err(error) => tracing::error!(%error, "the new certificate cannot be used; the old one stays in force"),
    }
}

/// Removes a batch of what is kept no longer; true if there may be more.
pub(super) async fn sweep(house: &House) -> Result<bool, LedgerError> {
    let (now, storage) = (house.clock.now(), &house.config.storage);
    let events = house.ledger.expire_before(now.minus(storage.keep_events), RETENTION_BATCH).await?;
    let quarantined =
        house.ledger.expire_quarantined_before(now.minus(storage.keep_quarantine), RETENTION_BATCH).await?;
    let outcomes = house.ledger.expire_outcomes_before(now.minus(storage.keep_events), RETENTION_BATCH).await?;
    if quarantined > 0 {
        tracing::info!(
            count = quarantined,
            "quarantined deliveries were older than storage.keep_quarantine and are gone"
        );
    }
    Ok([events, quarantined, outcomes].iter().any(|removed| *removed >= RETENTION_BATCH))
}

/// Forgets contacts that were only looked up and whose time is over; true if there may be more.
pub(super) async fn forget_stale(house: &House) -> bool {
    let forgetting = async {
        let forgotten = house.vault.forget_all_stale(house.clock.now(), RETENTION_BATCH)?;
        house.vault.sync().await?;
        Ok::<_, VaultError>(forgotten >= RETENTION_BATCH)
    };
    forgetting.await.unwrap_or_else(|error| {
        tracing::error!(%error, "looked-up contacts could not be forgotten; it is tried again");
        false
    })
}

/// True when it is time to stop.
async fn pause(house: &House, stop: &CancellationToken, wait: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => true,
        () = house.clock.sleep(wait) => false,
    }
}

fn disk_is_low(dir: &Path, floor: u64) -> bool {
    match rustix::fs::statvfs(dir) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize) < floor,
        Err(error) => {
            tracing::error!(%error, "free disk space cannot be read");
            false
        }
    }
}

/// Idle connections lost their places to others since the last look: somebody opens them for no good, or there are too few.
fn tell_of_given_up(house: &House, before: &mut u64) {
    let now = house.metrics.connections_given_up.get();
    let count = now - std::mem::replace(before, now);
    if count > 0 {
        tracing::warn!(
            count,
            "idle connections of the intake were closed because all places (intake.max_connections) were taken"
        );
    }
}

fn show_waiting(house: &House) {
    let counts = house.ledger.waiting_counts();
    for reason in WaitReason::ALL {
        let count = counts.get(reason.as_str()).copied().unwrap_or(0);
        let gauge = house.metrics.waiting.get_or_create(&Reason { reason: reason.as_str() });
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
