//! What is configured about the ways out: providers and channels.
//!
//! Promises: each field names its key and default; `config/default.toml` explains every one at length.
//! Never: how a value is read or checked (that is the loader's), or a secret in the clear.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use crate::id::ProviderId;

/// `[provider.<name>]`: a way out.
pub struct Provider {
    /// `type` and what belongs to it.
    pub kind: ProviderKind,
    /// `max_concurrency = 8`
    pub max_concurrency: usize,
    /// `rate_per_second = 50.0`; absent means unlimited. Buckets start empty.
    pub rate_per_second: Option<f64>,
    /// `breaker_failures = 5`: consecutive failures that open the circuit.
    pub breaker_failures: u32,
    /// `breaker_open = "30s"`: first wait before a trial; doubles up to ten times this.
    pub breaker_open: Duration,
}

/// The kinds of providers.
pub enum ProviderKind {
    /// `type = "smtp"`
    Smtp(Smtp),
    /// `type = "http_sms"`: a gateway declared in configuration.
    HttpSms(HttpSms),
    /// `type = "file"`: writes messages as files; a named, audited exit for tests and trials.
    File {
        /// `dir`
        dir: PathBuf,
    },
}

/// How an SMTP connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// `tls = "starttls"`: required; the default.
    StartTls,
    /// `tls = "implicit"`
    Implicit,
    /// `tls = "none"`: to loopback only, unless `dangerously_plaintext = true`.
    None,
}

/// `type = "smtp"`
pub struct Smtp {
    /// `host`
    pub host: String,
    /// `port`; default 587, or 465 for implicit TLS.
    pub port: u16,
    /// `tls`
    pub tls: SmtpTls,
    /// `dangerously_plaintext = false`: lets `tls = "none"` leave this machine.
    pub dangerously_plaintext: bool,
    /// `ca_file`: PEM roots to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// `username`
    pub username: Option<String>,
    /// `password` or `password_file`
    pub password: Option<SecretString>,
    /// `hello_name = "[127.0.0.1]"`: what EHLO says. The default is an address literal, which RFC 5321 4.1.3 asks of a
    /// client that does not know its name.
    pub hello_name: String,
    /// `connect_timeout = "10s"`
    pub connect_timeout: Duration,
    /// `command_timeout = "30s"`: greeting, EHLO, MAIL, RCPT, DATA each.
    pub command_timeout: Duration,
    /// `data_timeout = "120s"`: after the final dot.
    pub data_timeout: Duration,
    /// `max_mails_per_connection = 100`
    pub max_mails_per_connection: u32,
    /// `idle_timeout = "20s"`
    pub idle_timeout: Duration,
}

/// `type = "http_sms"`: an SMS gateway declared in configuration (or by `preset = "twilio" | "msg91"`, then overridden).
pub struct HttpSms {
    /// `method = "POST"`
    pub method: String,
    /// `url`: may use `{{param.x}}`; host fixed by configuration; https, or http to loopback.
    pub url: String,
    /// `headers`: name to value template; secrets come by `{{param.x}}`.
    pub headers: BTreeMap<String, String>,
    /// `content_type`: `application/json` or `application/x-www-form-urlencoded`; decides how values are escaped.
    pub content_type: String,
    /// `body`: Handlebars text; sees `to`, `sender`, `text`, `vars`, `id`, `param.*`, `registration.*`.
    pub body: String,
    /// `[provider.x.param]`: account ids and secrets (also `x_file`).
    pub params: BTreeMap<String, SecretString>,
    /// `success`: all must hold.
    pub success: GatewayTest,
    /// `id_pointer = "/sid"`: JSON pointer of the gateway's message id.
    pub id_pointer: Option<String>,
    /// `error_pointer = "/code"`: JSON pointer of the gateway's error code.
    pub error_pointer: Option<String>,
    /// `[provider.x.errors]`: error code or HTTP status to class.
    pub errors: BTreeMap<String, ErrorClass>,
    /// `idempotent = false`: true if the gateway refuses a second message with our own id.
    pub idempotent: bool,
    /// `timeout = "20s"`
    pub timeout: Duration,
    /// `ca_file`
    pub ca_file: Option<PathBuf>,
}

/// When an answer means that the gateway took the message.
#[derive(Clone, Debug)]
pub struct GatewayTest {
    /// `status = [200, 201]`
    pub status: Vec<u16>,
    /// `pointer = "/type"` and `equals = "success"`: a JSON value that must match, if set.
    pub json: Option<(String, String)>,
}

/// What an error of a gateway means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Again later.
    Transient,
    /// Never; this message only.
    Permanent,
    /// Never; the address does not exist: suppress it.
    BadAddress,
    /// Our account or configuration.
    Misconfigured,
}

/// `[channel.<name>]`
#[derive(Clone)]
pub struct ChannelConfig {
    /// `providers = ["main", "backup"]`: in order; the next is used while the first is open or down.
    pub providers: Vec<ProviderId>,
    /// `retry = ["1m", "5m", "30m", "2h", "6h", "12h"]`: waits between attempts, jittered by a fifth; then dead letter.
    pub retry: Vec<Duration>,
    /// `ambiguous = "retry" | "hold"`
    pub ambiguous: AmbiguousPolicy,
}

/// What to do with a message that may or may not have gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmbiguousPolicy {
    /// Send again with the same id.
    Retry,
    /// Wait for a person.
    Hold,
}
