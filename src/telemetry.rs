//! Metrics and log set-up. Metrics are a value that is passed on, not a global.
//!
//! Promises: label values come from configuration, from code or from the closed lists of
//! Capillary's event names, so their number is bounded; no label and no log field names a person.
//! Never: an address, a name, a customer id, a payload value or a reply text.

pub mod logs;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Most different places of personal values that are counted apart. The names come from closed lists, their order does not.
const MOST_PLACES: usize = 512;

/// One label set for all families: up to two bounded words. Empty ones are left out by name.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct SourceOutcome {
    /// The configured source, or `unknown`.
    pub source: String,
    /// What became of it.
    pub outcome: &'static str,
}
/// By payload field path (array positions removed), for inbound personal values.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct FieldPath {
    /// The configured source.
    pub source: String,
    /// The path of the field, as `data.firstName`: names from a closed list, else `*`.
    pub path: String,
}
/// By channel, template and outcome.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct MessageOutcome {
    /// `email` or `sms`.
    pub channel: &'static str,
    /// The template.
    pub template: String,
    /// `sent`, `transient`, `suppressed`, …
    pub outcome: &'static str,
}
/// By a single reason word.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Reason {
    /// The reason.
    pub reason: &'static str,
}
/// By provider.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct ByProvider {
    /// The configured provider.
    pub provider: String,
}

/// Every metric of the relay. Cheap to clone.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

/// The families themselves; see each name's help text in [`Metrics::new`].
#[expect(missing_docs, reason = "each family's help text, in Metrics::new, is its documentation")]
pub struct Inner {
    registry: Registry,
    pub deliveries: Family<SourceOutcome, Counter>,
    pub events: Family<Reason, Counter>,
    pub inbound_pii: Family<FieldPath, Counter>,
    places: Mutex<HashSet<FieldPath>>,
    pub quarantined: Family<Reason, Counter>,
    pub messages: Family<MessageOutcome, Counter>,
    pub waiting: Family<Reason, Gauge>,
    pub journal_backlog: Gauge,
    pub provider_open: Family<ByProvider, Gauge>,
    pub brake_tripped: Family<MessageOutcome, Counter>,
    pub alias_conflicts: Counter,
    pub corrupt_records: Family<Reason, Counter>,
    pub store_stuck: Gauge,
    pub lookups: Family<Reason, Counter>,
    pub webhook_backlog: Gauge,
    pub webhook_lag_seconds: Gauge,
    pub connections: Gauge,
    pub connections_given_up: Counter,
}

impl std::ops::Deref for Metrics {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every family once.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("sealpost");
        macro_rules! register {
            ($($name:ident: $help:literal),+ $(,)?) => {{
                $(let $name = Default::default(); register_one(&mut registry, stringify!($name), $help, &$name);)+
                Inner { registry, places: Mutex::default(), $($name),+ }
            }};
        }
        fn register_one<M: prometheus_client::registry::Metric + Clone>(
            registry: &mut Registry,
            name: &str,
            help: &str,
            metric: &M,
        ) {
            registry.register(name, help, metric.clone());
        }
        Self(Arc::new(register! {
            deliveries: "Webhook requests by source and outcome",
            events: "Decoded events by what planning made of them",
            inbound_pii: "Personal values found in payloads, by field path",
            quarantined: "Deliveries that could not be decoded, by reason",
            messages: "Notifications by channel, template and outcome",
            waiting: "Notifications waiting now, by reason",
            journal_backlog: "Deliveries durable but not yet planned",
            provider_open: "1 while a provider's circuit breaker is open",
            brake_tripped: "Times a template's hourly brake tripped",
            alias_conflicts: "Identifiers that two people were said to have; the newer fact won",
            corrupt_records: "Stored records that could not be opened or read, by store",
            store_stuck: "1 while a store is poisoned or a commit is stuck",
            lookups: "People asked for at the brand's own directory, by what came of it",
            webhook_backlog: "Outcomes that the webhook's receiver has not taken yet",
            webhook_lag_seconds: "Age of the oldest of them when it was last tried",
            connections: "Open connections of the intake",
            connections_given_up: "Idle connections of the intake that were closed because somebody needed their place",
        }))
    }

    /// Counts personal values that a payload held at a place. Of more than [`MOST_PLACES`] places the rest of a source is one.
    pub fn count_personal_values(&self, source: &str, path: &str, count: u64) {
        let mut place = FieldPath { source: source.into(), path: path.into() };
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        if !places.contains(&place) {
            if places.len() < MOST_PLACES {
                places.insert(place.clone());
            } else {
                place.path = "data.*".into();
            }
        }
        self.0.inbound_pii.get_or_create(&place).inc_by(count);
    }

    /// The text for `/metrics`, in the `OpenMetrics` format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.0.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_personal_values_are_bounded_and_none_is_lost() {
        let metrics = Metrics::new();
        for n in 0..10_000 {
            metrics.count_personal_values("capillary", &format!("data.{n}"), 1);
        }
        metrics.count_personal_values("capillary", "data.7", 1);
        let text = metrics.encode();
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("sealpost_inbound_pii_total{")).collect();
        assert_eq!(lines.len(), MOST_PLACES + 1);
        let count = |line: &&str| line.rsplit(' ').next().and_then(|n| n.parse::<usize>().ok()).expect("a count");
        assert_eq!(lines.iter().map(count).sum::<usize>(), 10_001);
    }
}
