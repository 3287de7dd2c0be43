//! `[feed]`: what the relay tells other systems by itself.
//!
//! Promises: each field names its key; without its key a feed is off.
//! Never: how a feed is made.

use std::path::PathBuf;
use std::time::Duration;

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
