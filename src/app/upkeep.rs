//! The house's own chores: free disk space, gauges, retention.
//!
//! Promises: below the disk floor the intake answers 429 before the stores meet a full disk.
//! Never: removes anything that still waits.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::intake::Intake;
use crate::policy::WaitReason;
use crate::tasks::Tasks;
use crate::telemetry::Reason;

use super::House;

const DISK_LOOK: Duration = Duration::from_secs(5);
const RETENTION_LOOK: Duration = Duration::from_secs(600);
/// Events removed between two breaths, so that retention never holds up the queue.
const RETENTION_BATCH: usize = 500;

/// Starts every chore.
pub(super) fn spawn(house: &House, intake: &Intake, tasks: &Tasks, stop: &CancellationToken) {
    let (this, gate, token) = (house.clone(), intake.clone(), stop.clone());
    tasks.spawn("upkeep", async move {
        loop {
            gate.set_disk_low(disk_is_low(&this.config.storage.dir, this.config.storage.min_free_bytes));
            show_waiting(&this);
            if let Err(error) = this.control.save_brake().await {
                tracing::error!(%error, "the brake's count could not be made durable");
            }
            if pause(&this, &token, DISK_LOOK).await {
                return;
            }
        }
    });
    let (this, token) = (house.clone(), stop.clone());
    tasks.spawn("retention", async move {
        loop {
            let before = this.clock.now().minus(this.config.storage.keep_events);
            match this.ledger.expire_before(before, RETENTION_BATCH).await {
                Ok(RETENTION_BATCH..) => {}
                Ok(_) => {
                    if pause(&this, &token, RETENTION_LOOK).await {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "retention failed; it is tried again");
                    if pause(&this, &token, RETENTION_LOOK).await {
                        return;
                    }
                }
            }
        }
    });
}

/// True when it is time to stop.
async fn pause(house: &House, stop: &CancellationToken, wait: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => true,
        () = house.clock.sleep_until(house.clock.now().plus(wait)) => false,
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

fn show_waiting(house: &House) {
    let counts = house.ledger.waiting_counts();
    for reason in WaitReason::ALL {
        let count = counts.get(reason.as_str()).copied().unwrap_or(0);
        let gauge = house.metrics.waiting.get_or_create(&Reason { reason: reason.as_str() });
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
