//! What is configured about the relay itself: its doors, stores, orgs and permissions.
//!
//! Promises: each field names its key and default; `config/default.toml` explains every one at length.
//! Never: how a value is read or checked (that is the loader's), or a secret in the clear.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::access::Token;
use super::{ChannelConfig, Hmac, Network};
use crate::clock::Time;
use crate::id::{Category, Channel, Namespace, OrgId, SenderRole, TemplateId, TokenName};
use crate::message::Mailbox;
use crate::policy::Mode;

/// `[relay]`: the whole relay.
pub struct Relay {
    /// `mode = "shadow" | "pilot" | "live"`; a fresh installation is in shadow. Changed at run time by `sealpost mode`.
    pub mode: Mode,
    /// `pilot = ["external_id:GT0042"]`: subjects that pilot mode may write to, as alias texts, by org namespace.
    pub pilot: Vec<String>,
    /// `drain_timeout = "20s"`: how long a stop waits for sends under way.
    pub drain_timeout: Duration,
    /// `dispatch_concurrency = 256`: notifications in hand at once, all channels.
    pub dispatch_concurrency: usize,
    /// `wait_for_contact = "3d"`: default of a rule.
    pub wait_for_contact: Duration,
    /// `expires_after = "5d"`: default of a rule.
    pub expires_after: Duration,
    /// `brake_per_hour = 1000`: default of a template.
    pub brake_per_hour: u64,
}

/// `[intake]`: the public listener.
pub struct Intake {
    /// `listen = "127.0.0.1:8080"`
    pub listen: SocketAddr,
    /// `[intake.tls]`: certificate and key; absent means plain HTTP.
    pub tls: Option<TlsFiles>,
    /// `max_body_bytes = 1048576`: 413 beyond.
    pub max_body_bytes: usize,
    /// `max_inflight_bytes = 67108864`: budget for all bodies in flight; 429 beyond.
    pub max_inflight_bytes: usize,
    /// `max_connections = 1024`
    pub max_connections: usize,
    /// `header_timeout = "10s"`
    pub header_timeout: Duration,
    /// `body_timeout = "20s"`
    pub body_timeout: Duration,
    /// `connection_max_age = "10m"`
    pub connection_max_age: Duration,
    /// `retry_after = "10s"`: what a 429 says.
    pub retry_after: Duration,
    /// `max_journal_backlog = 1000000`: unplanned deliveries before 429.
    pub max_journal_backlog: u64,
}

/// `[intake.tls]`
#[derive(Clone)]
pub struct TlsFiles {
    /// `cert_file`: PEM, the chain with the listener's own certificate first.
    pub cert_file: PathBuf,
    /// `key_file`: PEM.
    pub key_file: PathBuf,
}

/// `[source.<name>]`: a webhook sender and how it authenticates.
pub struct Source {
    /// `headers = { "X-Api-Key" = ["secret1", "secret2"] }`, or `headers_file` of the same shape with paths in place of
    /// values: each header with one or two valid values; all must match.
    pub headers: Vec<(String, Vec<SecretString>)>,
    /// `path_secret`: if set, the route is `/v1/events/{source}/{path_secret}`.
    pub path_secret: Option<SecretString>,
    /// `[source.<name>.hmac]`: the sender signs what it sends.
    pub hmac: Option<Hmac>,
    /// `allow_from = ["203.0.113.0/24"]`: networks it may come from; empty means any.
    pub allow_from: Vec<Network>,
    /// `auth = "none"`: allowed only when `intake.listen` is a loopback address.
    pub open: bool,
    /// `inbound_pii = "strip"`.
    pub inbound_pii: InboundPii,
    /// `orgs = [41007]`: events of other orgs from this source are kept but never planned to send; empty means any configured org.
    pub orgs: Vec<OrgId>,
}

/// What to do with personal values in payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundPii {
    /// Identifiers become aliases, other personal values are dropped, both are counted.
    Strip,
}

/// `[admin]`: people's doors.
pub struct Admin {
    /// `listen = "127.0.0.1:8081"`
    pub listen: SocketAddr,
    /// `[admin.token.<name>]`: who may ask over TCP, and what; without any only the probes and the local socket answer.
    pub tokens: BTreeMap<TokenName, Token>,
    /// `socket`: path of the local socket; default `<storage.dir>/admin.sock`.
    pub socket: PathBuf,
}

/// `[storage]`: where the stores live.
pub struct Storage {
    /// `dir = "/var/lib/sealpost"`
    pub dir: PathBuf,
    /// `min_free_bytes = "1GiB"`: below this the intake answers 429.
    pub min_free_bytes: u64,
    /// `vault_cache_bytes = 67108864`
    pub vault_cache_bytes: u64,
    /// `ledger_cache_bytes = 33554432`
    pub ledger_cache_bytes: u64,
    /// `keep_events = "45d"`: events, notifications, timelines and with them de-duplication; at least 31 days.
    pub keep_events: Duration,
    /// `keep_quarantine = "90d"`: deliveries that could not be decoded, bodies included.
    pub keep_quarantine: Duration,
}

/// `[keys]`
pub struct Keys {
    /// `file = "/etc/sealpost/keys"`; made by `sealpost keys init`.
    pub file: PathBuf,
}

/// `[org.<id>]`
#[derive(Clone)]
pub struct Org {
    /// `name = "Acme"`: brand name, shown in messages.
    pub name: String,
    /// `currency = "INR"`: ISO 4217, for events without one.
    pub currency: String,
    /// `time_zone = "Asia/Kolkata"`
    pub time_zone: jiff::tz::TimeZone,
    /// `locale = "en-IN"`: default where a contact has none.
    pub locale: String,
    /// `namespace = "default"`: whose people these are.
    pub namespace: Namespace,
    /// `[org.<id>.sender.<role>]`
    pub senders: BTreeMap<SenderRole, Sender>,
    /// `[org.<id>.channel.<name>]`: ways out of its own, with what it does not say filled in from `[channel.<name>]`.
    pub channels: BTreeMap<Channel, ChannelConfig>,
    /// `[org.<id>.links]`: named addresses for templates (`home`, `account`), https only.
    pub links: BTreeMap<String, String>,
}

/// `[org.<id>.sender.<role>]`: who a message is from.
#[derive(Clone)]
pub struct Sender {
    /// `email = "Acme Rewards <rewards@acme.example>"`
    pub email: Option<Mailbox>,
    /// `reply_to`
    pub reply_to: Option<Mailbox>,
    /// `sms = "ACMERW"`
    pub sms: Option<String>,
    /// `sms_entity_id`: registration of the sender (India: principal entity id).
    pub sms_entity_id: Option<String>,
}

/// `[templates]`
pub struct Templates {
    /// `dir`: folder of templates; absent means the embedded, shipped ones.
    pub dir: Option<PathBuf>,
    /// `[templates.allow.<template>]`: a template without an entry is disabled.
    pub allow: BTreeMap<TemplateId, Allow>,
    /// `message_id_domain = "mail.acme.example"`: right side of every Message-ID.
    pub message_id_domain: String,
}

/// `[templates.allow.<template>]`: what the platform lets a template do.
#[derive(Clone, Debug)]
pub struct Allow {
    /// `enabled = true`
    pub enabled: bool,
    /// `categories = ["transactional"]`
    pub categories: Vec<Category>,
    /// `reads = ["first_name"]`: the personal fields it may name.
    pub reads: Vec<String>,
    /// `senders = ["loyalty"]`
    pub senders: Vec<SenderRole>,
    /// `mode`: at most this mode for this template; default live (the relay's mode still rules).
    pub mode: Mode,
    /// `brake_per_hour`: overrides what the template asks for, downward only.
    pub brake_per_hour: Option<u64>,
    /// `live_from`: overrides the rules' own, later only.
    pub live_from: Option<Time>,
}

/// `[log]`
pub struct Log {
    /// `filter = "info"`: tracing filter directives.
    pub filter: String,
    /// `format = "json" | "text"`
    pub json: bool,
}
