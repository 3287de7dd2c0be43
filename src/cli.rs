//! What people type.
//!
//! Promises: every command works while the daemon runs; a fault of configuration or keys ends with 78, a wrong command line with 64,
//! stores that somebody else has for the moment with 75, anything else that fails with 1, and always with a remedy on standard error.
//! Never: a decision that belongs to a room below.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;

use crate::app::BuildError;
use crate::clock::Clock;
use crate::config::{Config, Faults, Loaded};
use crate::failpoint;
use crate::seal::KeyError;

mod args;
mod check;
mod client;
mod daemon;
mod explain;
mod operate;
mod people;
mod print;
mod rehearse;
mod render;
mod report;
mod said;
mod status;
mod support;
mod token;

use args::{
    Args, BrakeCommand, Command, ConfigCommand, DeadCommand, EventsCommand, KeysCommand, NotificationsCommand,
    QuarantineCommand, TokenCommand, VaultCommand,
};
use client::Client;
use said::{Format, Said};

/// The command line was not understood (sysexits `EX_USAGE`).
const USAGE: u8 = 64;
/// Whoever has the stores will let go of them (sysexits `EX_TEMPFAIL`).
const TRY_AGAIN: u8 = 75;
/// Configuration, rules, templates or keys have faults (sysexits `EX_CONFIG`).
const CONFIG: u8 = 78;
/// Anything else.
const FAILED: u8 = 1;

/// What a command needs to know of its surroundings; read once, in `main`.
pub struct Surroundings {
    /// The command line, program name first.
    pub args: Vec<std::ffi::OsString>,
    /// The environment.
    pub env: BTreeMap<String, String>,
}

/// Reads the command line and carries it out.
pub fn run(surroundings: Surroundings) -> ExitCode {
    let args = match parse(&surroundings.args) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are answers, not faults.
            let code = if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            let _ = error.print();
            return code;
        }
    };
    if let Some(Err(error)) = surroundings.env.get(failpoint::VARIABLE).map(|point| failpoint::arm(point)) {
        print::err(&format!("error: {error}"));
        return ExitCode::from(CONFIG);
    }
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
            print::err(&format!("error: {}", print::chain(&error)));
            ExitCode::from(exit_code(&error))
        }
    }
}

/// Reads a command line, program name first, and carries nothing out: what unit files and documents say is held to it.
///
/// # Errors
/// What is wrong with it, or the help if that is what it asks for.
pub fn understand(args: &[std::ffi::OsString]) -> Result<(), String> {
    parse(args).map(drop).map_err(|error| error.to_string())
}

fn parse(args: &[std::ffi::OsString]) -> Result<Args, clap::Error> {
    let args = Args::try_parse_from(args)?;
    if args.json && !args.command.has_json() {
        let what = "this command has no JSON answer; leave --json out\n";
        return Err(clap::Error::raw(clap::error::ErrorKind::ArgumentConflict, what));
    }
    Ok(args)
}

/// The first cause that is known decides.
fn exit_code(error: &anyhow::Error) -> u8 {
    let of_cause = |cause: &(dyn std::error::Error + 'static)| {
        if let Some(error) = cause.downcast_ref::<BuildError>() {
            return match error {
                error if error.is_of_the_configuration() => Some(CONFIG),
                error if error.is_of_the_moment() => Some(TRY_AGAIN),
                _ => None,
            };
        }
        if let Some(error) = cause.downcast_ref::<KeyError>() {
            // A file that `keys init` leaves alone is no fault of the configuration.
            return (!matches!(error, KeyError::Exists { .. })).then_some(CONFIG);
        }
        let wrong = cause.is::<Faults>();
        wrong.then_some(CONFIG).or_else(|| cause.is::<client::Leaving>().then_some(TRY_AGAIN))
    };
    error.chain().find_map(of_cause).unwrap_or(FAILED)
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
fn warn(loaded: &Loaded) {
    let ended = token::ended(&loaded.config, Clock::system().now());
    for warning in loaded.warnings.iter().map(ToString::to_string).chain(ended) {
        print::err(&format!("warning: {warning}"));
    }
}

async fn carry_out(args: Args, env: &BTreeMap<String, String>) -> anyhow::Result<()> {
    let file = args.config.as_deref();
    let format = if args.json { Format::Json } else { Format::Text };
    let by = args.by.clone().or_else(|| env.get("USER").cloned()).unwrap_or_else(|| "operator".into());
    match args.command {
        Command::Run => {
            let loaded = Config::load(file_of(file, env).as_deref(), env)?;
            warn(&loaded);
            return daemon::run(Arc::new(loaded.config)).await;
        }
        Command::Demo { once, port } => return daemon::demo(once, port).await,
        Command::Bench(bench) => return daemon::bench(&bench).await?.print(format),
        Command::BenchPart { part } => return daemon::bench_part(&part).await,
        Command::Check { templates } => return check::check(file, templates.as_deref(), env)?.print(format),
        Command::Config(ConfigCommand::Show) => return check::show(file, env),
        Command::Token(TokenCommand::New(new)) => return token::new(&new, args.json)?.print(format),
        Command::Render(render) => return render::render(&render, load_for_render(file, env)),
        Command::Explain(args::Explain { event: Some(event), templates, .. }) => {
            return explain::of_file(&event, templates.as_deref(), load_for_render(file, env)?)?.print(format);
        }
        Command::Keys(KeysCommand::Init { file: key_file }) => {
            let path = match key_file {
                Some(path) => path,
                None => load(file, env)?.keys.file.clone(),
            };
            return daemon::init_keys(&path)?.print(format);
        }
        Command::Keys(KeysCommand::Status) => {
            return daemon::key_status(&load(file, env)?.keys.file)?.print(format);
        }
        // Needs no daemon and no store.
        Command::Vault(VaultCommand::Import(args)) if args.dry_run => return people::check(&args).await?.print(format),
        Command::Probe { url } => {
            let address = url.map_or_else(|| load(file, env).map(|c| c.admin.listen.to_string()), Ok)?;
            return daemon::probe(&address).await?.print(format);
        }
        _ => {}
    }
    // Without a daemon this process writes the log lines of the audit.
    crate::telemetry::logs::init_logs("warn", false)?;
    let client = Client::connect(load(file, env)?, may_make_stores(&args.command)).await?;
    let said = ask(&client, args.command, &by).await;
    client.close();
    said?.print(format)
}

/// The configuration that every other command would take; a marketer's laptop has none, and needs none.
fn load_for_render(file: Option<&Path>, env: &BTreeMap<String, String>) -> anyhow::Result<Option<Arc<Config>>> {
    file_of(file, env).map(|file| load(Some(&file), env)).transpose()
}

async fn ask(client: &Client, command: Command, by: &str) -> anyhow::Result<Said> {
    match command {
        Command::Status => status::status(client).await,
        Command::Shadow { since } => rehearse::shadow(client, &since).await,
        Command::Replay(trial) => rehearse::replay(client, &trial.templates, &trial.since, trial.all).await,
        Command::Explain(which) => explain::of_stored(client, &which.key.unwrap_or_default()).await,
        Command::Events(command) => match command {
            EventsCommand::Find(find) => {
                let (what, value) = find.by();
                support::find(client, what, value, find.namespace.as_deref(), by).await
            }
            EventsCommand::List { limit } => support::list_events(client, limit).await,
            EventsCommand::Show { key } => support::show_event(client, &key).await,
        },
        Command::Notifications(command) => match command {
            NotificationsCommand::List(which) => support::list_notifications(client, &which.into()).await,
            NotificationsCommand::Show { id } => support::show_notification(client, &id).await,
            NotificationsCommand::Cancel(which) => support::change(client, "cancel", &which.try_into()?, by).await,
            NotificationsCommand::Requeue(which) => support::change(client, "requeue", &which.try_into()?, by).await,
        },
        Command::DeadLetters(command) => match command {
            DeadCommand::List(which) => support::list_notifications(client, &which.into()).await,
            DeadCommand::Requeue(which) => support::change(client, "requeue", &which.try_into()?, by).await,
            DeadCommand::Cancel(which) => support::change(client, "cancel", &which.try_into()?, by).await,
        },
        Command::Quarantine(command) => match command {
            QuarantineCommand::List => support::quarantine(client).await,
            QuarantineCommand::Show { seq, reveal } => support::quarantined(client, seq, reveal, by).await,
            QuarantineCommand::Redrive { seq } => support::redrive(client, seq, by).await,
            QuarantineCommand::Drop { seq } => support::drop_quarantined(client, seq, by).await,
        },
        Command::Report(what) => report::report(client, what, by).await,
        Command::Vault(command) => ask_vault(client, command, by).await,
        Command::Pause { scope, reason } => operate::pause(client, &scope, reason.as_deref(), by).await,
        Command::Pauses => operate::pauses(client).await,
        Command::Resume { scope } => operate::resume(client, &scope, by).await,
        Command::Mode { mode, target } => operate::mode(client, mode.as_deref(), target.as_deref(), by).await,
        Command::Brake(BrakeCommand::List { all }) => operate::brakes(client, all).await,
        Command::Brake(BrakeCommand::Release { template }) => operate::release_brake(client, &template, by).await,
        Command::Run
        | Command::Demo { .. }
        | Command::Bench(_)
        | Command::BenchPart { .. }
        | Command::Check { .. }
        | Command::Config(_)
        | Command::Render(_)
        | Command::Keys(_)
        | Command::Token(_)
        | Command::Probe { .. } => unreachable!("carried out before a client is made"),
    }
}

async fn ask_vault(client: &Client, command: VaultCommand, by: &str) -> anyhow::Result<Said> {
    match command {
        VaultCommand::Put { file, namespace, replace } => {
            people::put(client, &file, namespace.as_deref(), replace, by).await
        }
        VaultCommand::Get { customer, namespace } => people::get(client, &customer, namespace.as_deref(), by).await,
        VaultCommand::Delete { customer, namespace } => {
            people::delete(client, &customer, namespace.as_deref(), by).await
        }
        VaultCommand::Find { phone, email, namespace } => {
            people::find(client, phone.as_deref(), email.as_deref(), namespace.as_deref(), by).await
        }
        VaultCommand::Import(args) => people::import(client, &args, by).await,
        VaultCommand::Ndnc(args) => people::ndnc(client, &args, by).await,
        VaultCommand::Coverage { events } => people::coverage(client, events).await,
        VaultCommand::Stats => people::stats(client).await,
    }
}

/// True for what may be the first thing ever done with a relay; anything else finds nothing in stores that do not exist.
fn may_make_stores(command: &Command) -> bool {
    let fills =
        matches!(command, Command::Vault(VaultCommand::Put { .. } | VaultCommand::Import(_) | VaultCommand::Ndnc(_)));
    fills || matches!(command, Command::Pause { .. } | Command::Mode { mode: Some(_), .. })
}

#[cfg(test)]
mod tests;
