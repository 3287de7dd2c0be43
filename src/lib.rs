//! Sealpost: a communication relay that knows events by id and people only in memory.
//!
//! The modules follow the way of an event. A room may use what stands below it in this list,
//! never what stands above it or beside it on its own floor (`tests/it/house.rs` checks).

#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;

pub mod cli;

pub mod bench;
pub mod demo;

pub mod app;

pub mod admin;
pub mod dispatch;
pub mod feed;
pub mod intake;
pub mod plan;

pub mod control;

pub mod ledger;
pub mod lookup;
pub mod provider;
pub mod rules;
pub mod template;
pub mod vault;

pub mod config;
pub mod event;
pub mod message;
pub mod policy;
pub mod seal;
pub mod sink;

pub mod call;
#[cfg(any(test, feature = "fuzzing"))]
mod choices;
pub mod failpoint;
pub mod serve;
pub mod tasks;

pub mod clock;
pub mod id;
pub mod personal;
pub mod telemetry;
