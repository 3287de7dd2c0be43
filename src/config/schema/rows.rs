//! The table of keys itself, in the order of `config/default.toml`.
//!
//! Promises: names and kinds are those of the structs in `config::sections` and `config::outgoing`.
//! Never: two rows for one path.

use super::super::access::Access;
use super::super::feed::{OUTCOMES, TableFormat};
use super::super::kind::Kind::{
    Address, AliasText, Bytes, Count, Currency, Digests, Domain, Filter, Flag, Host, HttpsAddress, Instant, Line, List,
    Locale, Mailbox, Name, Network, Path, Paths, Pointer, Rate, Secret, Secrets, Span, Text, TimeOfDay, WebAddress,
    Word, Zone,
};
use super::super::kind::{Kind, Names};
use super::Row;

const MODES: Kind = Word(&["shadow", "pilot", "live"]);
const SOME: Kind = Count { min: 1, max: u32::MAX as u64 };
const SMTP: &[&str] = &["smtp"];
const HTTP: &[&str] = &["http_sms"];
const FILE: &[&str] = &["file"];

const fn key(path: &'static str, kind: Kind) -> Row {
    Row { path, kind, required: false, hidden: false, types: &[], default: None }
}

impl Row {
    const fn required(mut self) -> Self {
        self.required = true;
        self
    }
    const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }
    const fn of(mut self, types: &'static [&'static str]) -> Self {
        self.types = types;
        self
    }
    const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }
}

/// Every key there is.
pub(in crate::config) const ROWS: &[Row] = &[
    key("relay.mode", MODES).required(),
    key("relay.pilot", List(&AliasText)).required().hidden(),
    key("relay.drain_timeout", Span).required(),
    key("relay.dispatch_concurrency", Count { min: 1, max: 100_000 }).required(),
    key("relay.wait_for_contact", Span).required(),
    key("relay.expires_after", Span).required(),
    key("relay.brake_per_hour", SOME).required(),
    key("intake.listen", Address).required(),
    key("intake.max_body_bytes", Bytes { min: 1024 }).required(),
    key("intake.max_inflight_bytes", Bytes { min: 1024 }).required(),
    key("intake.max_connections", SOME).required(),
    key("intake.header_timeout", Span).required(),
    key("intake.body_timeout", Span).required(),
    key("intake.connection_max_age", Span).required(),
    key("intake.retry_after", Span).required(),
    key("intake.max_journal_backlog", SOME).required(),
    key("intake.tls.cert_file", Path),
    key("intake.tls.key_file", Path),
    key("source.*.headers.*", Secrets).hidden(),
    key("source.*.headers_file.*", Paths),
    key("source.*.path_secret", Secret).hidden(),
    key("source.*.path_secret_file", Path),
    key("source.*.hmac.scheme", Word(&["standard-webhooks", "custom"])).or("\"standard-webhooks\""),
    key("source.*.hmac.secret", Secrets).hidden(),
    key("source.*.hmac.secret_file", Paths),
    key("source.*.hmac.secret_encoding", Word(&["text", "hex", "base64"])).or("\"text\""),
    key("source.*.hmac.algorithm", Word(&["sha256", "sha512"])).or("\"sha256\""),
    key("source.*.hmac.header", Name(Names::Header)),
    key("source.*.hmac.prefix", Line),
    key("source.*.hmac.encoding", Word(&["hex", "base64"])).or("\"hex\""),
    key("source.*.hmac.signs", Line).or("\"{body}\""),
    key("source.*.hmac.timestamp_header", Name(Names::Header)),
    key("source.*.hmac.id_header", Name(Names::Header)),
    key("source.*.hmac.tolerance", Span).or("\"5m\""),
    key("source.*.allow_from", List(&Network)).or("[]"),
    key("source.*.auth", Word(&["none"])),
    key("source.*.inbound_pii", Word(&["strip"])).or("\"strip\""),
    key("source.*.orgs", List(&Name(Names::Org))).or("[]"),
    key("admin.listen", Address).required(),
    key("admin.token.*.sha256", Digests).hidden(),
    key("admin.token.*.sha256_file", Paths),
    key("admin.token.*.scopes", List(&Word(&Access::WORDS))).or("[]"),
    key("admin.token.*.not_after", Instant),
    key("admin.socket", Path),
    key("storage.dir", Path).required(),
    key("storage.min_free_bytes", Bytes { min: 0 }).required(),
    key("storage.vault_cache_bytes", Bytes { min: 1 << 20 }).required(),
    key("storage.ledger_cache_bytes", Bytes { min: 1 << 20 }).required(),
    key("storage.keep_events", Span).required(),
    key("storage.keep_quarantine", Span).required(),
    key("keys.file", Path).required(),
    key("org.*.parent", Name(Names::Org)),
    key("org.*.name", Line).required(),
    key("org.*.currency", Currency).required(),
    key("org.*.time_zone", Zone).required(),
    key("org.*.locale", Locale).required(),
    key("org.*.namespace", Name(Names::Word)).or("\"default\""),
    key("org.*.sender.*.email", Mailbox),
    key("org.*.sender.*.reply_to", Mailbox),
    key("org.*.sender.*.sms", Line),
    key("org.*.sender.*.sms_entity_id", Line),
    key("org.*.links.*", HttpsAddress),
    key("org.*.channel.email.providers", List(&Name(Names::Word))),
    key("org.*.channel.email.retry", List(&Span)),
    key("org.*.channel.email.ambiguous", Word(&["retry", "hold"])),
    key("org.*.channel.sms.providers", List(&Name(Names::Word))),
    key("org.*.channel.sms.retry", List(&Span)),
    key("org.*.channel.sms.ambiguous", Word(&["retry", "hold"])),
    key("templates.dir", Path),
    key("templates.message_id_domain", Domain).required(),
    key("templates.allow.*.enabled", Flag).or("false"),
    key("templates.allow.*.categories", List(&Word(&["transactional", "service", "promotional"]))).required(),
    key("templates.allow.*.reads", List(&Line)).or("[]"),
    key("templates.allow.*.senders", List(&Name(Names::Word))).required(),
    key("templates.allow.*.mode", MODES).or("\"live\""),
    key("templates.allow.*.brake_per_hour", SOME),
    key("templates.allow.*.live_from", Instant),
    key("provider.*.type", Word(&["smtp", "http_sms", "file"])).required(),
    key("provider.*.max_concurrency", Count { min: 1, max: 10_000 }).or("8"),
    key("provider.*.rate_per_second", Rate),
    key("provider.*.breaker_failures", SOME).or("5"),
    key("provider.*.breaker_open", Span).or("\"30s\""),
    key("provider.*.host", Host).required().of(SMTP),
    key("provider.*.port", Count { min: 1, max: 65_535 }).of(SMTP),
    key("provider.*.tls", Word(&["starttls", "implicit", "none"])).or("\"starttls\"").of(SMTP),
    key("provider.*.dangerously_plaintext", Flag).or("false").of(SMTP),
    key("provider.*.username", Line).of(SMTP),
    key("provider.*.password", Secret).hidden().of(SMTP),
    key("provider.*.password_file", Path).of(SMTP),
    key("provider.*.hello_name", Host).or("\"[127.0.0.1]\"").of(SMTP),
    key("provider.*.connect_timeout", Span).or("\"10s\"").of(SMTP),
    key("provider.*.command_timeout", Span).or("\"30s\"").of(SMTP),
    key("provider.*.data_timeout", Span).or("\"120s\"").of(SMTP),
    key("provider.*.max_mails_per_connection", SOME).or("100").of(SMTP),
    key("provider.*.idle_timeout", Span).or("\"20s\"").of(SMTP),
    key("provider.*.ca_file", Path).of(&["smtp", "http_sms"]),
    key("provider.*.preset", Word(super::super::preset::NAMES)).of(HTTP),
    key("provider.*.method", Word(&["POST", "PUT"])).or("\"POST\"").of(HTTP),
    key("provider.*.url", WebAddress).required().of(HTTP),
    key("provider.*.headers.*", Line).hidden().of(HTTP),
    key("provider.*.content_type", Word(&["application/json", "application/x-www-form-urlencoded"]))
        .or("\"application/json\"")
        .of(HTTP),
    key("provider.*.body", Text).required().of(HTTP),
    key("provider.*.param.*_file", Path).of(HTTP),
    key("provider.*.param.*", Secret).hidden().of(HTTP),
    key("provider.*.success.status", List(&Count { min: 100, max: 599 })).or("[200, 201]").of(HTTP),
    key("provider.*.success.pointer", Pointer).of(HTTP),
    key("provider.*.success.equals", Line).of(HTTP),
    key("provider.*.id_pointer", Pointer).of(HTTP),
    key("provider.*.error_pointer", Pointer).of(HTTP),
    key("provider.*.errors.*", Word(&["transient", "permanent", "bad_address", "misconfigured"])).of(HTTP),
    key("provider.*.idempotent", Flag).or("false").of(HTTP),
    key("provider.*.timeout", Span).or("\"20s\"").of(HTTP),
    key("provider.*.dir", Path).required().of(FILE),
    key("channel.email.providers", List(&Name(Names::Word))).required(),
    key("channel.email.retry", List(&Span)).required(),
    key("channel.email.ambiguous", Word(&["retry", "hold"])).required(),
    key("channel.sms.providers", List(&Name(Names::Word))).required(),
    key("channel.sms.retry", List(&Span)).required(),
    key("channel.sms.ambiguous", Word(&["retry", "hold"])).required(),
    key("lookup.*.url", WebAddress).required(),
    key("lookup.*.headers.*", Secret).hidden(),
    key("lookup.*.headers_file.*", Path),
    key("lookup.*.batch", Count { min: 1, max: 1000 }).or("100"),
    key("lookup.*.max_concurrency", Count { min: 1, max: 100 }).or("4"),
    key("lookup.*.keep", Span).or("\"1d\""),
    key("lookup.*.again_after", Span).or("\"15m\""),
    key("lookup.*.timeout", Span).or("\"10s\""),
    key("lookup.*.breaker_failures", SOME).or("5"),
    key("lookup.*.breaker_open", Span).or("\"30s\""),
    key("lookup.*.ca_file", Path),
    key("feed.dir", Path),
    key("feed.at", TimeOfDay).required(),
    key("feed.keep", Span).required(),
    key("feed.unreachable", Flag).required(),
    key("feed.format", Word(&TableFormat::WORDS)).required(),
    key("feed.webhook.url", WebAddress),
    key("feed.webhook.secret", Secrets).hidden(),
    key("feed.webhook.secret_file", Paths),
    key("feed.webhook.events", List(&Word(&OUTCOMES))).required(),
    key("feed.webhook.timeout", Span).required(),
    key("feed.webhook.ca_file", Path),
    key("log.filter", Filter).required(),
    key("log.format", Word(&["json", "text"])).required(),
];
