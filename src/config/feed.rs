//! `[feed]`: what the relay tells other systems by itself.
//!
//! Promises: each field names its key; without its key a feed is off.
//! Never: how a feed is made.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

/// The words of outcomes, as the ledger's log has them.
pub const OUTCOMES: [&str; 7] = ["sent", "ambiguous", "dead_letter", "waiting", "expired", "cancelled", "suppressed"];

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableFormat {
    /// RFC 4180, with a head.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl TableFormat {
    /// Its words, which are also the ends of file names.
    pub const WORDS: [&str; 2] = ["csv", "jsonl"];

    /// The format of a word.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "csv" => Some(Self::Csv),
            "jsonl" => Some(Self::Jsonl),
            _ => None,
        }
    }

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

/// `[feed]`
pub struct Feed {
    /// The daily file, if `feed.dir` is set.
    pub daily: Option<DailyFeed>,
    /// The webhook, if `feed.webhook.url` is set.
    pub webhook: Option<WebhookFeed>,
}

/// `[feed]`: the daily file.
#[derive(Clone)]
pub struct DailyFeed {
    /// `dir = "/var/spool/sealpost"`
    pub dir: PathBuf,
    /// `at = "02:00"`: when the day before is written, in each org's own time zone.
    pub at: jiff::civil::Time,
    /// `keep = "90d"`: files of older days are removed.
    pub keep: Duration,
    /// `unreachable = false`: also a list of people who could not be reached.
    pub unreachable: bool,
    /// `format = "csv" | "jsonl"`
    pub format: TableFormat,
}

/// `[feed.webhook]`: outcomes as they happen.
pub struct WebhookFeed {
    /// `url = "https://data.acme.example/sealpost"`
    pub url: String,
    /// `secret = "whsec_…"`, or two while it is changed: what bodies are signed with.
    pub secrets: Vec<SecretString>,
    /// `events = ["sent", …]`: which outcomes; words of [`OUTCOMES`].
    pub events: Vec<String>,
    /// `timeout = "10s"`: of one post.
    pub timeout: Duration,
    /// `ca_file`: roots to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// A webhook that cannot be set up. Says what to do.
#[derive(Debug, thiserror::Error)]
#[error("feed.webhook: {0}")]
pub struct WebhookFeedError(pub String);

/// The key of a secret of Standard Webhooks: `whsec_` and base64 of 24 to 64 bytes.
pub fn signing_key(secret: &SecretString) -> Option<Zeroizing<Vec<u8>>> {
    let text = secret.expose_secret().strip_prefix("whsec_")?;
    let key = Zeroizing::new(STANDARD.decode(text).ok()?);
    (24..=64).contains(&key.len()).then_some(key)
}
