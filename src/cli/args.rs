//! The grammar of the command line; the doc comments are its help.
//!
//! Promises: one word, one meaning, the words of the glossary.
//! Never: a default that changes or sends anything.

#![allow(clippy::doc_markdown, reason = "doc comments are printed as help, where backticks would show")]

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

mod choose;

pub(super) use choose::{DeadCommand, NotificationsCommand};

/// A relay that turns loyalty events into email and SMS without the customer's identity ever leaving the brand.
///
/// Exit codes: 0 done; 1 failed; 64 command line not understood; 75 the daemon is stopping or another process has the stores: try
/// again; 78 configuration, rules, templates or keys have faults.
#[derive(Parser)]
#[command(name = "sealpost", version, propagate_version = true, max_term_width = 100)]
pub(super) struct Args {
    /// Configuration file [default: $SEALPOST_CONFIG, else /etc/sealpost/sealpost.toml if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Who asks, for the timeline and the audit [default: $USER]
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) by: Option<String>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// Run the daemon
    Run,
    /// The whole relay on loopback, with made-up customers and catchers for its messages
    Demo {
        /// Play the story, print what happened, exit 0 only if all is as it should be
        #[arg(long)]
        once: bool,
        /// Port of the page with the caught messages (0: any) [default: 8025, or any if that is taken]
        #[arg(long)]
        port: Option<u16>,
    },
    /// Measure the relay on this machine, with its own load and catchers, on loopback
    Bench(Bench),
    /// A helper process of the bench
    #[command(hide = true)]
    BenchPart {
        /// Which
        #[arg(value_parser = ["sink", "bare"])]
        part: String,
    },
    /// Find every fault of configuration, rules and templates
    ///
    /// Without a configuration it checks templates alone, on a laptop without keys or vault.
    Check {
        /// Folder of templates to check instead of the configured ones
        #[arg(long, value_name = "DIR")]
        templates: Option<PathBuf>,
    },
    /// The configuration in effect
    #[command(subcommand)]
    Config(ConfigCommand),
    /// One message as it would go out
    Render(Render),
    /// Why each rule does or does not fire for an event
    ///
    /// An event in a file needs no keys, vault or daemon; a stored event is looked up by its key.
    Explain(Explain),
    /// What would have been sent: what only the shadow kept back, by template, org, channel and hour
    Shadow {
        /// How far back (at most 31d)
        #[arg(long, value_name = "DURATION", default_value = "24h")]
        since: String,
    },
    /// Hold changed rules against what was planned for stored events; plans and sends nothing
    Replay(Replay),
    /// What became of a day's messages, as a table for other systems
    #[command(subcommand)]
    Report(super::report::ReportCommand),
    /// Keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Tokens of the admin API
    #[command(subcommand)]
    Token(TokenCommand),
    /// People: the PII store
    #[command(subcommand)]
    Vault(VaultCommand),
    /// What happened to an event
    #[command(subcommand)]
    Events(EventsCommand),
    /// Messages planned, waiting, sent and not sent
    #[command(subcommand)]
    Notifications(NotificationsCommand),
    /// Messages parked for a person
    #[command(subcommand)]
    DeadLetters(DeadCommand),
    /// Webhook bodies that could not be decoded
    #[command(subcommand)]
    Quarantine(QuarantineCommand),
    /// Stop sending within a scope: relay, org:ID, template:NAME, channel:email
    Pause {
        /// The scope
        scope: String,
        /// Why, for whoever finds it later
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// List what is paused: since when, by whom, why
    Pauses,
    /// End a pause and send what it held
    Resume {
        /// The scope
        scope: String,
    },
    /// Show or set the mode: shadow, pilot, live; `default` takes back what was set
    Mode {
        /// The mode to set
        #[arg(value_parser = ["shadow", "pilot", "live", "default"])]
        mode: Option<String>,
        /// What to set it for: relay, template:NAME, rule:NAME/NUMBER [default: relay]
        #[arg(long = "for", value_name = "TARGET", requires = "mode")]
        target: Option<String>,
    },
    /// The hourly brake of templates
    #[command(subcommand)]
    Brake(BrakeCommand),
    /// The relay on one screen
    Status,
    /// Ask the daemon whether it takes events, for container health checks
    Probe {
        /// Address of the admin listener [default: from the configuration]
        #[arg(long, value_name = "HOST:PORT")]
        url: Option<String>,
    },
}

#[derive(ClapArgs)]
pub(super) struct Bench {
    /// Made-up customers in the vault
    #[arg(long, default_value_t = 100_000)]
    pub(super) contacts: u32,
    /// Events that become a mail each, and as many that become a text message
    #[arg(long, default_value_t = 50_000)]
    pub(super) messages: u64,
    /// Connections that post events at once
    #[arg(long, default_value_t = 64)]
    pub(super) clients: usize,
    /// Seconds of each phase without messages
    #[arg(long, default_value_t = 5)]
    pub(super) seconds: u64,
    /// Requests a second of the phase with its own pace
    #[arg(long, default_value_t = 1_000)]
    pub(super) rate: u32,
    /// Also measure a peer: a command as in benches/peers/README.md
    #[arg(long, value_name = "COMMAND", conflicts_with = "flood")]
    pub(super) peer: Vec<String>,
    /// Instead of all that: so many events at once against the brake of a template
    #[arg(long, value_name = "EVENTS", conflicts_with_all = ["messages", "seconds", "rate"])]
    pub(super) flood: Option<u64>,
    /// Messages that the brake lets through in a flood
    #[arg(long, default_value_t = 1_000, requires = "flood")]
    pub(super) brake: u64,
}

impl Command {
    /// True if it answers with facts; what runs, or prints a text of its own making, has no other form.
    pub(super) fn has_json(&self) -> bool {
        !matches!(self, Self::Run | Self::Demo { .. } | Self::Config(_) | Self::Render(_))
    }
}

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Print it with the origin of every value; secrets are hidden
    Show,
}

#[derive(ClapArgs)]
pub(super) struct Render {
    /// The template
    pub(super) template: String,
    /// An event as Capillary sends it (JSON file)
    #[arg(long, value_name = "FILE")]
    pub(super) event: PathBuf,
    /// A made-up customer (JSON file: first_name, locale, …)
    #[arg(long, value_name = "FILE")]
    pub(super) customer: PathBuf,
    /// The channel
    #[arg(long, default_value = "email", value_parser = ["email", "sms"])]
    pub(super) channel: String,
    /// The customer's locale, over the file's
    #[arg(long)]
    pub(super) locale: Option<String>,
    /// Folder of templates [default: the configured ones, else the shipped ones]
    #[arg(long, value_name = "DIR")]
    pub(super) templates: Option<PathBuf>,
    /// Print the HTML part of a mail instead of its text
    #[arg(long)]
    pub(super) html: bool,
}

#[derive(ClapArgs)]
#[group(id = "which", required = true, multiple = false, args = ["event", "key"])]
pub(super) struct Explain {
    /// An event as Capillary sends it (JSON file)
    #[arg(long, value_name = "FILE")]
    pub(super) event: Option<PathBuf>,
    /// A stored event, by the key that `events find` shows
    #[arg(long, value_name = "KEY")]
    pub(super) key: Option<String>,
    /// Folder of templates [default: the configured ones, else the shipped ones]
    #[arg(long, value_name = "DIR", conflicts_with = "key")]
    pub(super) templates: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub(super) struct Replay {
    /// Folder of the changed templates
    #[arg(long, value_name = "DIR")]
    pub(super) templates: PathBuf,
    /// How far back (at most 31d)
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    pub(super) since: String,
    /// Also rules of templates that the configuration does not allow, as if it did
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Make the key file (mode 0600, never over an existing one)
    Init {
        /// Where [default: keys.file of the configuration]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Which key epochs there are
    Status,
}

#[derive(Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token: itself on standard output, the lines for the configuration on standard error
    New(super::token::NewToken),
}

#[derive(Subcommand)]
pub(super) enum VaultCommand {
    /// Store one contact from a JSON file (`-`: standard input)
    Put {
        /// The file
        file: PathBuf,
        /// Whose people [default: the only namespace]
        #[arg(long)]
        namespace: Option<String>,
        /// Remove fields that are not given
        #[arg(long)]
        replace: bool,
    },
    /// Show a contact, as external_id:GT0042 (audited)
    Get {
        /// The customer
        customer: String,
        /// Whose people
        #[arg(long)]
        namespace: Option<String>,
    },
    /// Who has a phone number or mail address: their identifiers, nothing else (audited)
    #[command(group(clap::ArgGroup::new("reach").required(true)))]
    Find {
        /// With its country code, as +919812345678
        #[arg(long, group = "reach")]
        phone: Option<String>,
        /// The address
        #[arg(long, group = "reach")]
        email: Option<String>,
        /// Whose people
        #[arg(long)]
        namespace: Option<String>,
    },
    /// Remove a person for good
    Delete {
        /// The customer
        customer: String,
        /// Whose people
        #[arg(long)]
        namespace: Option<String>,
    },
    /// Load contacts, or aliases only, from CSV or lines of JSON (also gzipped; `-`: standard input)
    Import(super::people::ImportArgs),
    /// Load numbers that must not get promotional SMS, or show the lists there are
    Ndnc(super::people::NdncArgs),
    /// How many people in recent events lack an alias, a contact, an address, a name; counts only
    Coverage {
        /// How many of the newest events to look at
        #[arg(long, default_value_t = 1_000)]
        events: usize,
    },
    /// Counts
    Stats,
}

#[derive(Subcommand)]
pub(super) enum EventsCommand {
    /// Find by any id that support has in hand
    Find(Find),
    /// The newest events
    List {
        /// At most this many
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// One event by its key
    Show {
        /// The key
        key: String,
    },
}

#[derive(ClapArgs)]
#[group(id = "any_id", required = true, multiple = false, args = ["event_id", "request_id", "ref_id", "bill", "coupon", "customer", "notification"])]
pub(super) struct Find {
    /// Capillary's event id
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// Capillary's API request id
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Capillary's reference id
    #[arg(long, alias = "reference-id", value_name = "ID")]
    ref_id: Option<String>,
    /// A bill number
    #[arg(long, value_name = "NUMBER")]
    bill: Option<String>,
    /// A coupon code
    #[arg(long, value_name = "CODE")]
    coupon: Option<String>,
    /// A customer, as external_id:GT0042
    #[arg(long, value_name = "KIND:VALUE")]
    customer: Option<String>,
    /// Whose customer [default: the only namespace]
    #[arg(long, requires = "customer")]
    pub(super) namespace: Option<String>,
    /// A notification id, as in a Message-ID
    #[arg(long, value_name = "ID")]
    notification: Option<String>,
}

impl Find {
    /// The one that was given.
    pub(super) fn by(&self) -> (&'static str, &str) {
        [
            ("event_id", &self.event_id),
            ("request_id", &self.request_id),
            ("ref_id", &self.ref_id),
            ("bill", &self.bill),
            ("coupon", &self.coupon),
            ("customer", &self.customer),
            ("notification", &self.notification),
        ]
        .into_iter()
        .find_map(|(name, value)| Some((name, value.as_deref()?)))
        .unwrap_or(("event_id", ""))
    }
}

#[derive(Subcommand)]
pub(super) enum QuarantineCommand {
    /// List
    List,
    /// One, without its body
    Show {
        /// Its number
        seq: u64,
        /// Show the body too (audited: it may name a person)
        #[arg(long)]
        reveal: bool,
    },
    /// Decode it again
    Redrive {
        /// Its number
        seq: u64,
    },
    /// Remove it for good
    Drop {
        /// Its number
        seq: u64,
    },
}

#[derive(Subcommand)]
pub(super) enum BrakeCommand {
    /// Which have tripped: since when, at what limit, and what they hold
    List {
        /// Those that have not tripped, too
        #[arg(long)]
        all: bool,
    },
    /// Send what a tripped brake holds
    Release {
        /// The template
        template: String,
    },
}
