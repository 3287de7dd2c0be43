//! What people set while the relay runs: modes, pauses, the brake; and releases of what is held or waits for somebody.
//!
//! Promises: every change is durable before it is answered; a restart remembers it.
//! Never: a change nobody asked for, but for the brake, which trips by itself and is released by a person only.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::{Clock, Time};
use crate::config::{Allow, Config};
use crate::event::{Alias, AliasKind, Subject, alias_hash};
use crate::id::{Channel, OrgId, ProviderId, RuleId, TemplateId};
use crate::ledger::{Changes, Hold, Ledger, LedgerError};
use crate::policy::Mode;
use crate::policy::brake::{Admit, Brake};
use crate::policy::modes::{Modes, Target};
use crate::policy::pause::{Pause, Pauses, Scope};
use crate::seal::Keyring;
use crate::telemetry::{MessageOutcome, Metrics};

mod release;
mod wake;

pub use wake::{WakeError, Waker};

/// Run-time controls. Cheap to clone.
#[derive(Clone)]
pub struct Control(Arc<Inner>);

struct Inner {
    ledger: Ledger,
    clock: Clock,
    metrics: Metrics,
    config: Arc<Config>,
    pilot: BTreeSet<Alias>,
    state: Mutex<Settings>,
    // Held from reading a setting until its successor is durable: changes come one after the other.
    changing: tokio::sync::Mutex<()>,
    // Providers for whose mending something may wait.
    misconfigured: Mutex<BTreeSet<ProviderId>>,
}

#[derive(Default)]
struct Settings {
    modes: Modes,
    pauses: Pauses,
    brake: Brake,
}

impl Control {
    /// Reads what was set before the last stop.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn open(
        ledger: Ledger,
        keys: &Keyring,
        config: Arc<Config>,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, LedgerError> {
        fn read<T: serde::de::DeserializeOwned + Default>(
            ledger: &Ledger,
            name: &'static str,
        ) -> Result<T, LedgerError> {
            let Some(value) = ledger.state(name)? else { return Ok(T::default()) };
            serde_json::from_value(value).map_err(|e| LedgerError::Read(format!("run-time state `{name}`: {e}")))
        }
        let state = Settings {
            modes: read(&ledger, "modes")?,
            pauses: read(&ledger, "pauses")?,
            brake: read(&ledger, "brake")?,
        };
        let pilot = pilot_aliases(&config, keys);
        let misconfigured = Mutex::default();
        let (state, changing) = (Mutex::new(state), tokio::sync::Mutex::new(()));
        Ok(Self(Arc::new(Inner { ledger, clock, metrics, config, pilot, state, changing, misconfigured })))
    }

    fn settings(&self) -> MutexGuard<'_, Settings> {
        // Settings are replaced whole, so a panic elsewhere cannot have left them half changed.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The strictest mode that covers a rule: relay, platform's permission, and what was set at run time.
    pub fn mode(&self, rule: &RuleId) -> Mode {
        let config = &self.0.config;
        let allowed = config.templates.allow.get(&rule.template).map_or(Mode::Shadow, |allow: &Allow| allow.mode);
        self.settings().modes.effective(config.relay.mode, allowed, rule)
    }

    /// The relay's own mode.
    pub fn relay_mode(&self) -> Mode {
        self.settings().modes.relay(self.0.config.relay.mode)
    }

    /// What was set at run time.
    pub fn modes(&self) -> Modes {
        self.settings().modes.clone()
    }

    /// Sets the mode of the relay, a template or a rule; `None` takes the setting back.
    ///
    /// # Errors
    /// When it could not be made durable; then it is not set.
    pub async fn set_mode(&self, target: Target, mode: Option<Mode>, by: &str) -> Result<(), LedgerError> {
        let _changing = self.0.changing.lock().await;
        let mut modes = self.modes();
        match mode {
            Some(mode) => drop(modes.set(target, mode, by, self.0.clock.now())),
            None => drop(modes.clear(&target)),
        }
        self.save("modes", &modes).await?;
        self.settings().modes = modes;
        Ok(())
    }

    /// True if a pause covers this way of sending.
    pub fn is_paused(&self, org: OrgId, template: &TemplateId, channel: Channel) -> bool {
        self.settings().pauses.covers(org, template, channel)
    }

    /// Every pause.
    pub fn pauses(&self) -> Pauses {
        self.settings().pauses.clone()
    }

    /// Stops sending within a scope; what is due waits.
    ///
    /// # Errors
    /// When it could not be made durable; then it is not paused.
    pub async fn pause(&self, scope: Scope, by: &str, reason: Option<String>) -> Result<(), LedgerError> {
        let _changing = self.0.changing.lock().await;
        let mut pauses = self.pauses();
        pauses.pause(scope, Pause { since: self.0.clock.now(), by: by.to_owned(), reason });
        self.save("pauses", &pauses).await?;
        self.settings().pauses = pauses;
        Ok(())
    }

    /// Ends a pause and frees what it held; returns how many. What another pause covers stays held.
    ///
    /// # Errors
    /// When the ledger fails; the pause then stands.
    pub async fn resume(&self, scope: &Scope, by: &str) -> Result<usize, LedgerError> {
        {
            let _changing = self.0.changing.lock().await;
            let mut pauses = self.pauses();
            pauses.resume(scope);
            self.save("pauses", &pauses).await?;
            self.settings().pauses = pauses;
        }
        let paused = self.release(&Hold::Paused, by).await?;
        Ok(paused + self.release(&Hold::Misconfigured(None), by).await?)
    }

    /// Counts one message against a template's hourly brake.
    ///
    /// # Errors
    /// When a trip could not be made durable.
    pub async fn brake_admits(&self, template: &TemplateId, limit: u64, now: Time) -> Result<bool, LedgerError> {
        let tripped = match self.settings().brake.admit(template, limit, now) {
            Admit::Go => return Ok(true),
            Admit::Tripped { first } => first,
        };
        if tripped {
            tracing::error!(template.id = %template, limit, "brake tripped: more messages in an hour than allowed; the rest is \
                held. Release with `sealpost brake release {template}`, or cancel with `sealpost notifications cancel --template {template} --reason brake --all`");
            let label = MessageOutcome { channel: "any", template: template.to_string(), outcome: "brake" };
            self.0.metrics.brake_tripped.get_or_create(&label).inc();
            self.save_brake().await?;
        }
        Ok(false)
    }

    /// Makes what the brake counted durable, so that a restart grants no new hour.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn save_brake(&self) -> Result<(), LedgerError> {
        let _changing = self.0.changing.lock().await;
        let brake = self.settings().brake.clone();
        self.save("brake", &brake).await
    }

    /// True if a template's brake has tripped and nobody released it yet.
    pub fn brake_is_tripped(&self, template: &TemplateId) -> bool {
        self.settings().brake.is_tripped(template)
    }

    /// The templates whose brake has tripped.
    pub fn brake(&self) -> Brake {
        self.settings().brake.clone()
    }

    /// Releases a template's brake and frees what it held; returns how many. They do not count again.
    ///
    /// # Errors
    /// When the ledger fails.
    pub async fn release_brake(&self, template: &TemplateId, by: &str) -> Result<usize, LedgerError> {
        self.settings().brake.release(template, by, self.0.clock.now());
        self.save_brake().await?;
        self.release(&Hold::Brake(template.clone()), by).await
    }

    /// True if any of the subject's aliases is on the pilot list. A person on it may have come under another alias: the vault knows.
    pub fn in_pilot(&self, subject: &Subject) -> bool {
        subject.aliases.iter().any(|alias| self.0.pilot.contains(alias))
    }

    /// The pilot list.
    pub fn pilot(&self) -> impl Iterator<Item = &Alias> {
        self.0.pilot.iter()
    }

    /// Remembers that something waits until this provider is mended.
    pub fn note_misconfigured(&self, provider: &ProviderId) {
        self.misconfigured().insert(provider.clone());
    }

    /// Takes that memory back; true if there was one.
    pub fn take_misconfigured(&self, provider: &ProviderId) -> bool {
        self.misconfigured().remove(provider)
    }

    fn misconfigured(&self) -> MutexGuard<'_, BTreeSet<ProviderId>> {
        // A set of names is whole at every step.
        self.0.misconfigured.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn save<T: serde::Serialize>(&self, name: &'static str, value: &T) -> Result<(), LedgerError> {
        let mut changes = Changes::new();
        let value = serde_json::to_value(value).expect("settings are maps with text keys");
        changes.set_state(name, value);
        self.0.ledger.commit(changes).await
    }
}

/// The pilot list as keyed hashes, in the namespace of every org: the list says who, not of which brand.
fn pilot_aliases(config: &Config, keys: &Keyring) -> BTreeSet<Alias> {
    let namespaces: BTreeSet<_> = config.orgs.values().map(|org| &org.namespace).collect();
    config
        .relay
        .pilot
        .iter()
        .filter_map(|text| AliasKind::split(text))
        .flat_map(|(kind, value)| {
            namespaces.iter().map(move |ns| Alias { kind, hash: alias_hash(keys, ns, kind, value) })
        })
        .collect()
}

#[cfg(test)]
mod tests;
