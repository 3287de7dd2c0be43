//! Builds the house from the configuration, owns every task, and drains it in order.
//!
//! Promises: nothing listens before everything is checked; on a stop: not ready, no new requests, no new leases, sends under
//! way finish, stores close, and whatever is still running when patience ends is named.
//! Never: a global; two houses can live in one process (the demo and the tests do that).

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::{self, Desk};
use crate::clock::Clock;
use crate::config::{Config, Faults};
use crate::control::{Control, Waker};
use crate::dispatch::Dispatcher;
use crate::failpoint::{self, Point};
use crate::feed::Webhook;
use crate::id::TemplateId;
use crate::intake::Intake;
use crate::ledger::{Health, Ledger, LedgerOptions};
use crate::lookup::{Asker, Lookup, Stores};
use crate::plan::Planner;
use crate::provider::Providers;
use crate::rules::RuleSet;
use crate::seal::Keyring;
use crate::serve::{self, Certificate, Crowd, Limits, Listener};
use crate::tasks::Tasks;
use crate::telemetry::Metrics;
use crate::template::{TemplateSet, TemplateSource};
use crate::vault::Vault;

mod error;
mod feeds;
mod missing;
mod upkeep;

pub use error::{BuildError, RunError};
pub use upkeep::refresh as refresh_certificate;

/// The stores and everything checked, without a listener or a task: what commands need when no daemon runs.
#[derive(Clone)]
pub struct House {
    /// The configuration.
    pub config: Arc<Config>,
    /// The keys.
    pub keys: Keyring,
    /// Everything but people.
    pub ledger: Ledger,
    /// People.
    pub vault: Vault,
    /// Templates.
    pub templates: Arc<TemplateSet>,
    /// Rules.
    pub rules: Arc<RuleSet>,
    /// Modes, pauses, brake.
    pub control: Control,
    /// Time.
    pub clock: Clock,
    /// Counters.
    pub metrics: Metrics,
}

impl House {
    /// Reads keys and templates and opens the stores.
    ///
    /// # Errors
    /// All faults of templates and rules at once, or the first store that does not open.
    pub fn open(config: Arc<Config>, clock: Clock, metrics: Metrics) -> Result<Self, BuildError> {
        let keys = Keyring::load(&config.keys.file)?;
        Self::open_with_keys(config, keys, clock, metrics)
    }

    /// The same with keys in hand (the demo and tests make their own).
    ///
    /// # Errors
    /// As [`House::open`].
    pub fn open_with_keys(
        config: Arc<Config>,
        keys: Keyring,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, BuildError> {
        let (templates, rules) = load_templates(&config)?;
        let dir = &config.storage.dir;
        make_private_dir(dir).map_err(|source| BuildError::Storage { path: dir.clone(), source })?;
        let options = LedgerOptions {
            cache_bytes: config.storage.ledger_cache_bytes,
            stuck_after: Duration::from_secs(10),
            places_in_memory: 100_000,
        };
        let ledger = Ledger::open(&dir.join("ledger"), &keys, clock.clone(), metrics.clone(), options)?;
        failpoint::at(Point::LedgerOpened);
        let vault = Vault::open(&dir.join("vault"), &keys, config.storage.vault_cache_bytes)?;
        failpoint::at(Point::VaultOpened);
        let control = Control::open(ledger.clone(), &keys, config.clone(), clock.clone(), metrics.clone())?;
        let (templates, rules) = (Arc::new(templates), Arc::new(rules));
        Ok(Self { config, keys, ledger, vault, templates, rules, control, clock, metrics })
    }

    /// Closes both stores, durably.
    pub fn close(&self) {
        if let Err(error) = self.vault.close() {
            tracing::error!(%error, "vault did not close cleanly");
        }
        self.ledger.close();
    }

    /// The desk that answers people's questions.
    pub fn desk(&self) -> Desk {
        Desk::new(self.clone())
    }
}

/// Loads templates and compiles their rules.
///
/// # Errors
/// Every fault of every template and rule.
pub fn load_templates(config: &Config) -> Result<(TemplateSet, RuleSet), Faults> {
    let source = template_source(config);
    let templates = match TemplateSet::load(&source, Some(&config.templates.allow)) {
        Ok(templates) => templates,
        Err(mut faults) => {
            // Where permissions alone are at fault, the senders of what loads without them can be told as well.
            if let Ok(all) = TemplateSet::load(&source, None) {
                faults.extend(missing::senders(config, &all));
            }
            return Err(config.places.locate_all(Faults(faults)));
        }
    };
    let mut faults = missing::parts(config, &templates);
    match compile_rules(&templates) {
        Ok(rules) if faults.is_empty() => Ok((templates, rules)),
        Ok(_) => Err(config.places.locate_all(Faults(faults))),
        Err(Faults(found)) => {
            faults.extend(found);
            Err(config.places.locate_all(Faults(faults)))
        }
    }
}

/// The configured folder of templates, else the shipped ones.
pub fn template_source(config: &Config) -> TemplateSource {
    config.templates.dir.clone().map_or(TemplateSource::Embedded, TemplateSource::Dir)
}

/// The templates of a source that the configuration does not enable: there, and never sent.
pub fn not_allowed(config: &Config, source: &TemplateSource) -> Vec<TemplateId> {
    let allowed = |id: &TemplateId| config.templates.allow.get(id).is_some_and(|allow| allow.enabled);
    TemplateSet::manifests(source).into_iter().map(|(id, ..)| id).filter(|id| !allowed(id)).collect()
}

/// The rules of loaded templates, compiled.
///
/// # Errors
/// Every fault of every rule.
pub fn compile_rules(templates: &TemplateSet) -> Result<RuleSet, Faults> {
    let (mut rules, mut faults) = (Vec::new(), Vec::new());
    for info in templates.all() {
        match RuleSet::parse(&info.id, &info.file, &info.toml) {
            Ok(parsed) => rules.extend(parsed),
            Err(found) => faults.extend(found),
        }
    }
    match RuleSet::compile(rules) {
        Ok(rules) if faults.is_empty() => Ok(rules),
        Ok(_) => Err(Faults(faults)),
        Err(found) => {
            faults.extend(found);
            Err(Faults(faults))
        }
    }
}

/// A house with its listeners bound and its workers ready to start.
pub struct App {
    house: House,
    providers: Arc<Providers>,
    lookup: Lookup,
    askers: Vec<Asker>,
    webhook: Option<Webhook>,
    tasks: Tasks,
    intake: Intake,
    intake_listener: TcpListener,
    certificate: Option<Certificate>,
    admin_listener: TcpListener,
    socket: tokio::net::UnixListener,
}

impl App {
    /// Opens everything and binds the listeners; answers nobody yet.
    ///
    /// # Errors
    /// What cannot be built, with its remedy.
    pub async fn build(house: House) -> Result<Self, BuildError> {
        let config = &house.config;
        let providers = Providers::build(&config.providers, house.clock.clone(), house.metrics.clone())
            .map_err(|faults| config.places.locate_all(faults))?;
        let (lookup, askers) = Lookup::build(config, &house.stores())?;
        let webhook = house.webhook()?;
        let intake = Intake::new(
            &config.intake,
            &config.sources,
            house.ledger.clone(),
            house.clock.clone(),
            house.metrics.clone(),
        );
        let tls = config.intake.tls.as_ref();
        let certificate = tls.map(|files| Certificate::load(&files.cert_file, &files.key_file)).transpose()?;
        let intake_listener = bind(config.intake.listen)?;
        let admin_listener = bind(config.admin.listen)?;
        let socket = admin::bind_socket(&config.admin.socket)
            .map_err(|source| BuildError::Socket { path: config.admin.socket.clone(), source })?;
        failpoint::at(Point::Listening);
        let tasks = Tasks::new();
        Ok(Self {
            providers: Arc::new(providers),
            lookup,
            askers,
            webhook,
            house,
            tasks,
            intake,
            intake_listener,
            certificate,
            admin_listener,
            socket,
        })
    }

    /// Where the intake listens (port 0 in the configuration means: any).
    ///
    /// # Panics
    /// Never: a bound listener has an address.
    pub fn intake_address(&self) -> SocketAddr {
        self.intake_listener.local_addr().expect("a bound listener has an address")
    }

    /// Where the admin listener listens.
    ///
    /// # Panics
    /// Never: a bound listener has an address.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_listener.local_addr().expect("a bound listener has an address")
    }

    /// The certificate of the public listener, if it has one.
    pub fn certificate(&self) -> Option<Certificate> {
        self.certificate.clone()
    }

    /// Runs until `stop`, then drains: intake first, then the planner and the dispatcher, then the stores.
    ///
    /// # Errors
    /// A task that failed, or what was still running when the drain timeout ended.
    pub async fn run(self, stop: CancellationToken) -> Result<(), RunError> {
        let Self { house, providers, lookup, askers, webhook, tasks, intake, .. } = self;
        let (intake_listener, admin_listener, socket) = (self.intake_listener, self.admin_listener, self.socket);
        let certificate = self.certificate;
        let House { config, ledger, vault, clock, .. } = house.clone();
        let workers = tasks.stop_token();
        let doors = CancellationToken::new();
        let wanted = Limits::from(&config.intake);
        let limits = wanted.within(open_files());
        if limits.max_connections < wanted.max_connections {
            tracing::warn!(
                wanted = wanted.max_connections,
                allowed = limits.max_connections,
                "fewer connections than intake.max_connections: this process may not open more files; raise its limit (LimitNOFILE, ulimit -n)"
            );
        }
        let patient = admin::limits(limits);
        let desk = house.desk().with_intake(intake.clone());

        let waker = Waker::new(ledger.clone(), clock.clone());
        let look = vault.clone();
        tasks.spawn_fallible("wake_known", async move { waker.wake_known(&look).await.map(drop) });
        let planner = house.planner();
        tasks.spawn_fallible("plan", planner.run(workers.clone()));
        for asker in askers {
            tasks.spawn_fallible("lookups", asker.run(tasks.clone(), workers.clone()));
        }
        let dispatcher = house.dispatcher(providers.clone(), lookup, tasks.clone());
        tasks.spawn_fallible("dispatch", dispatcher.run(workers.clone()));
        upkeep::spawn(&house, &intake, &tasks, &workers);
        feeds::spawn(&house, &desk, webhook, &tasks, &workers);
        let public = match certificate {
            Some(certificate) => {
                upkeep::watch_certificate(&house, certificate.clone(), &tasks, &workers);
                Listener::Tls(intake_listener, certificate)
            }
            None => Listener::Tcp(intake_listener),
        };
        let metrics = &house.metrics;
        let crowd = Crowd { open: metrics.connections.clone(), given_up: metrics.connections_given_up.clone() };
        serve::serve_counted(public, intake.router(), limits, crowd, &tasks, doors.clone());
        serve::serve(
            Listener::Tcp(admin_listener),
            serve::to_the_end(admin::router(&desk, admin::Door::Token), &tasks),
            patient,
            &tasks,
            workers.clone(),
        );
        serve::serve(
            Listener::Unix(socket),
            serve::to_the_end(admin::router(&desk, admin::Door::Socket), &tasks),
            patient,
            &tasks,
            workers.clone(),
        );
        tracing::info!(mode = %house.control.relay_mode(), "ready");

        let failed = tokio::select! {
            () = stop.cancelled() => None,
            name = tasks.failed() => Some(RunError::TaskFailed(name)),
            cause = lost(ledger.health(), STUCK_PATIENCE) => Some(RunError::StoreFailed(format!("ledger: {cause}"))),
            () = vault.poisoned() => Some(RunError::StoreFailed("vault: a write or a sync failed".into())),
        };
        // A task that stumbled over a failed store is not the news.
        let failed = failed.map(|error| match &*ledger.health().borrow() {
            Health::Poisoned(cause) => RunError::StoreFailed(format!("ledger: {cause}")),
            Health::Stuck => RunError::StoreFailed("ledger: a commit is stuck".into()),
            Health::Well if !vault.is_healthy() => RunError::StoreFailed("vault: a write or a sync failed".into()),
            Health::Well => error,
        });
        if let Some(error) = &failed {
            tracing::error!(%error, "the relay ends");
        }
        tracing::info!("draining: no new requests, no new sends");
        intake.drain();
        doors.cancel();
        workers.cancel();
        let drained = tasks.drain(config.relay.drain_timeout).await;
        providers.close().await;
        if let Err(error) = house.control.save_brake().await {
            tracing::error!(%error, "the brake's count could not be made durable");
        }
        house.close();
        admin::remove_socket(&config.admin.socket);
        match (failed, drained) {
            (Some(error), _) => Err(error),
            (None, Err(running)) => Err(RunError::DrainIncomplete(
                running.iter().map(|(name, n)| format!("{n} × {name}")).collect::<Vec<_>>().join(", "),
            )),
            (None, Ok(())) => Ok(()),
        }
    }
}

impl House {
    fn planner(&self) -> Planner {
        Planner {
            ledger: self.ledger.clone(),
            vault: self.vault.clone(),
            rules: self.rules.clone(),
            templates: self.templates.clone(),
            keys: self.keys.clone(),
            config: self.config.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
        }
    }

    fn stores(&self) -> Stores {
        let Self { ledger, vault, clock, metrics, .. } = self.clone();
        Stores { ledger, vault, clock, metrics }
    }

    fn dispatcher(&self, providers: Arc<Providers>, lookup: Lookup, tasks: Tasks) -> Dispatcher {
        Dispatcher {
            ledger: self.ledger.clone(),
            vault: self.vault.clone(),
            templates: self.templates.clone(),
            providers,
            control: self.control.clone(),
            lookup,
            config: self.config.clone(),
            clock: self.clock.clone(),
            metrics: self.metrics.clone(),
            tasks,
        }
    }
}

/// How long a commit may hang before the process gives up: fjall waits for ever when its workers cannot write.
const STUCK_PATIENCE: Duration = Duration::from_secs(60);

/// Waits until the ledger is lost to this process: a poisoned one never heals, and one that was stuck for so long will not
/// either. A restart by the supervisor reopens it.
async fn lost(mut health: watch::Receiver<Health>, patience: Duration) -> String {
    loop {
        let found = health.borrow_and_update().clone();
        let changed = match found {
            Health::Poisoned(cause) => return cause,
            Health::Well => health.changed().await,
            Health::Stuck => match tokio::time::timeout(patience, health.changed()).await {
                Ok(changed) => changed,
                Err(_) => return format!("a commit has been stuck for {patience:?}"),
            },
        };
        if changed.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The most files that this process may have open.
fn open_files() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Connections that the kernel keeps at the door, if it may (net.core.somaxconn): beyond them a client tries again after a second.
const AT_THE_DOOR: u32 = 4096;

fn bind(address: SocketAddr) -> Result<TcpListener, BuildError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        // As `TcpListener::bind` does: a restart need not wait for old connections to be forgotten.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(AT_THE_DOOR)
    };
    listen().map_err(|source| BuildError::Listen { address: address.to_string(), source })
}

/// Makes a directory that only its owner may enter, and its name durable: whatever becomes durable below it is lost with it.
fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let made: Vec<&Path> = dir.ancestors().take_while(|path| !path.exists()).collect();
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let sync = |dir: &Path| {
        let named = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::File::open(named).and_then(|parent| parent.sync_all())
    };
    if made.is_empty() {
        // A run before us may have been killed between the two. Whoever made it for us may keep its parent to himself.
        _ = sync(dir);
    }
    made.into_iter().try_for_each(sync)
}

#[cfg(test)]
pub(crate) mod tests;
