//! The desk: what every door's handlers work with.
//!
//! Promises: the same code answers the TCP listener, the local socket and a command without a daemon.
//! Never: a listener or a task of its own.

use crate::app::House;
use crate::control::Waker;
use crate::intake::Intake;

use super::audit::Audit;

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub(super) house: House,
    pub(super) intake: Option<Intake>,
    pub(super) waker: Waker,
    pub(super) audit: Audit,
}

impl Desk {
    /// A desk in an open house.
    pub fn new(house: House) -> Self {
        let waker = Waker::new(house.ledger.clone(), house.clock.clone());
        let audit = Audit::new(&house.config.storage.dir);
        Self { house, intake: None, waker, audit }
    }

    /// With the intake whose readiness `/readyz` tells.
    #[must_use]
    pub fn with_intake(self, intake: Intake) -> Self {
        Self { intake: Some(intake), ..self }
    }
}
