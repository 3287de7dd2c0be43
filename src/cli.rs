//! What people type.
//!
//! Promises: every command works while the daemon runs; a fault of the configuration ends with 78, a wrong command line with 64,
//! anything else that fails with 1, and always with a remedy on standard error.
//! Never: a decision that belongs to a room below.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use crate::config::{Config, Faults};

mod args;
mod check;
mod client;
mod daemon;
mod operate;
mod people;
mod print;
mod render;
mod support;

use args::{
    Args, BrakeCommand, Command, ConfigCommand, DeadCommand, EventsCommand, KeysCommand, NotificationsCommand,
    QuarantineCommand, VaultCommand,
};
use client::Client;
use support::Format;

/// The command line was not understood (sysexits `EX_USAGE`).
const USAGE: u8 = 64;
/// The configuration has faults (sysexits `EX_CONFIG`).
const CONFIG: u8 = 78;

/// What a command needs to know of its surroundings; read once, in `main`.
pub struct Surroundings {
    /// The command line, program name first.
    pub args: Vec<std::ffi::OsString>,
    /// The environment.
    pub env: BTreeMap<String, String>,
}

/// Reads the command line and carries it out.
pub fn run(surroundings: Surroundings) -> ExitCode {
    let args = match Args::try_parse_from(&surroundings.args) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are answers, not faults.
            let code = if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            let _ = error.print();
            return code;
        }
    };
    crate::tasks::install_panic_hook();
    daemon::forbid_core_dumps();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print::err(&format!("the runtime cannot be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(carry_out(args, &surroundings.env)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::err(&format!("error: {error:#}"));
            let faulty = error.chain().any(|cause| {
                cause.is::<Faults>()
                    || cause.downcast_ref::<crate::app::BuildError>().is_some_and(|e| e.is_of_the_configuration())
            });
            if faulty { ExitCode::from(CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

/// Where the configuration is, if nobody says.
const USUAL: &str = "/etc/sealpost/sealpost.toml";

fn file_of(given: Option<&Path>, env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let from_env = env.get("SEALPOST_CONFIG").map(PathBuf::from);
    let usual = Path::new(USUAL);
    given.map(Path::to_owned).or(from_env).or_else(|| usual.exists().then(|| usual.to_owned()))
}

/// The configuration as it is in effect.
fn load(given: Option<&Path>, env: &BTreeMap<String, String>) -> anyhow::Result<Arc<Config>> {
    let loaded = Config::load(file_of(given, env).as_deref(), env)?;
    Ok(Arc::new(loaded.config))
}

/// What is legal and still likely to be regretted: told where it can be acted on, not by every command.
fn warn(given: Option<&Path>, env: &BTreeMap<String, String>) -> anyhow::Result<()> {
    for warning in Config::load(file_of(given, env).as_deref(), env)?.warnings {
        print::err(&format!("warning: {warning}"));
    }
    Ok(())
}

async fn carry_out(args: Args, env: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let file = args.config.as_deref();
    let format = if args.json { Format::Json } else { Format::Text };
    let by = args.by.clone().or_else(|| env.get("USER").cloned()).unwrap_or_else(|| "operator".into());
    match args.command {
        Command::Run => {
            warn(file, env)?;
            return daemon::run(load(file, env)?).await;
        }
        Command::Demo { once, port } => return daemon::demo(once, port).await,
        Command::Check { templates } => return check::check(file, templates.as_deref(), env),
        Command::Config(ConfigCommand::Show) => return check::show(file, env),
        Command::Render(render) => return render::render(&render, load_for_render(file, env)),
        Command::Keys(KeysCommand::Init { file: key_file }) => {
            let path = match key_file {
                Some(path) => path,
                None => load(file, env)?.keys.file.clone(),
            };
            return daemon::init_keys(&path);
        }
        Command::Keys(KeysCommand::Status) => return daemon::key_status(&load(file, env)?.keys.file),
        // Needs no daemon and no store.
        Command::Vault(VaultCommand::Import(args)) if args.dry_run => return people::check(&args).await,
        Command::Probe { url } => {
            let address = url.map_or_else(|| load(file, env).map(|c| c.admin.listen.to_string()), Ok)?;
            return daemon::probe(&address).await;
        }
        _ => {}
    }
    // Without a daemon this process writes the audit lines.
    crate::telemetry::logs::init_logs("warn", false)?;
    let client = Client::connect(load(file, env)?).await?;
    let done = ask(&client, args.command, format, &by).await;
    client.close();
    done
}

/// A marketer's laptop has no configuration; then the first org of the defaults' example stands in.
fn load_for_render(file: Option<&Path>, env: &BTreeMap<String, String>) -> anyhow::Result<Option<Arc<Config>>> {
    match file {
        Some(_) => load(file, env).map(Some),
        None => Ok(None),
    }
}

async fn ask(client: &Client, command: Command, format: Format, by: &str) -> anyhow::Result<()> {
    match command {
        Command::Status => support::status(client, format).await,
        Command::Events(EventsCommand::Find(find)) => {
            let (what, value) = find.by();
            support::find(client, what, value, format).await
        }
        Command::Events(EventsCommand::List { limit }) => support::list_events(client, limit, format).await,
        Command::Events(EventsCommand::Show { key }) => support::show_event(client, &key, format).await,
        Command::Notifications(command) => match command {
            NotificationsCommand::List(which) => support::list_notifications(client, &which.into(), format).await,
            NotificationsCommand::Show { id } => support::show_notification(client, &id, format).await,
            NotificationsCommand::Cancel(which) => support::change(client, "cancel", &which.into(), by, format).await,
            NotificationsCommand::Requeue(which) => support::change(client, "requeue", &which.into(), by, format).await,
        },
        Command::DeadLetters(command) => match command {
            DeadCommand::List(which) => support::list_notifications(client, &which.dead(), format).await,
            DeadCommand::Requeue(which) => support::change(client, "requeue", &which.chosen_dead()?, by, format).await,
            DeadCommand::Cancel(which) => support::change(client, "cancel", &which.chosen_dead()?, by, format).await,
        },
        Command::Quarantine(command) => match command {
            QuarantineCommand::List => support::quarantine(client, format).await,
            QuarantineCommand::Show { seq, reveal } => support::quarantined(client, seq, reveal, by, format).await,
            QuarantineCommand::Redrive { seq } => support::redrive(client, seq, format).await,
            QuarantineCommand::Drop { seq } => support::drop_quarantined(client, seq, format).await,
        },
        Command::Vault(command) => match command {
            VaultCommand::Put { file, namespace, replace } => {
                people::put(client, &file, namespace.as_deref(), replace).await
            }
            VaultCommand::Get { customer, namespace } => people::get(client, &customer, namespace.as_deref(), by).await,
            VaultCommand::Find { phone, email, namespace } => {
                people::find(client, phone.as_deref(), email.as_deref(), namespace.as_deref(), by).await
            }
            VaultCommand::Delete { customer, namespace } => {
                people::delete(client, &customer, namespace.as_deref(), by).await
            }
            VaultCommand::Import(args) => people::import(client, &args).await,
            VaultCommand::Ndnc(args) => people::ndnc(client, &args, by).await,
            VaultCommand::Coverage { events } => people::coverage(client, events, format).await,
            VaultCommand::Stats => people::stats(client).await,
        },
        Command::Pause { scope } => operate::pause(client, &scope, by).await,
        Command::Resume { scope } => operate::resume(client, &scope, by).await,
        Command::Mode { mode, target } => operate::mode(client, mode.as_deref(), target.as_deref(), by).await,
        Command::Brake(BrakeCommand::List) => operate::brake(client).await,
        Command::Brake(BrakeCommand::Release { template }) => operate::release_brake(client, &template, by).await,
        Command::Run
        | Command::Demo { .. }
        | Command::Check { .. }
        | Command::Config(_)
        | Command::Render(_)
        | Command::Keys(_)
        | Command::Probe { .. } => unreachable!("carried out before a client is made"),
    }
}
