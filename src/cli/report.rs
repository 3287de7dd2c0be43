//! `report`: a day's figures as a table, on standard output or in a file.
//!
//! Promises: the columns of the daily file; a file is complete before it has its name.
//! Never: a list of people in a file that anybody but its owner may read.

#![allow(clippy::doc_markdown, reason = "help texts are read on a terminal")]

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::feed::{self, Format};

use super::client::Client;
use super::print::{self, encoded, rows};
use super::said::Said;

/// What can be reported.
#[derive(Subcommand)]
pub(super) enum ReportCommand {
    /// What became of a day's messages, in figures: by org, template, channel, sender, provider, outcome and reason
    Outcomes(Table),
    /// Who could not be reached on a day, by their external ids, with the reason (audited)
    Unreachable(Table),
}

/// Which day, and where to.
#[derive(Args)]
pub(super) struct Table {
    /// The day, in each org's own time zone, as 2026-11-22
    #[arg(long, value_name = "DATE")]
    pub(super) day: String,
    /// Of one org only
    #[arg(long, value_name = "ID")]
    pub(super) org: Option<i64>,
    /// Write it to a file (`-`: standard output)
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(super) out: PathBuf,
    /// csv or jsonl
    #[arg(long, default_value = "csv", value_parser = format)]
    pub(super) format: Format,
}

fn format(word: &str) -> Result<Format, String> {
    Format::of(word).ok_or_else(|| format!("expected one of {}", Format::WORDS.join(", ")))
}

/// `report …`
pub(super) async fn report(client: &Client, command: ReportCommand, by: &str) -> anyhow::Result<Said> {
    match command {
        ReportCommand::Outcomes(asked) => {
            let answer = client.get(&asked.address("outcomes")).await?;
            asked.say(answer, feed::COLUMNS, 0o640)
        }
        ReportCommand::Unreachable(asked) => {
            let address = format!("{}&by={}", asked.address("unreachable"), encoded(by));
            let answer = client.get(&address).await?;
            left_out(&answer).iter().for_each(|line| print::err(line));
            asked.say(answer, feed::UNREACHABLE_COLUMNS, 0o600)
        }
    }
}

/// Who is not on a list of people: on standard error, because the list is read by a program.
fn left_out(answer: &Value) -> Vec<String> {
    let unnamed = answer["unnamed"].as_u64().filter(|count| *count > 0);
    let unnamed = unnamed.map(|count| {
        format!("note: {count} more could not be reached of whom no id is known; see `dead-letters list`")
    });
    let more =
        (answer["more"] == true).then(|| "note: the day has more than were looked at; the list was cut".to_owned());
    unnamed.into_iter().chain(more).collect()
}

impl Table {
    fn address(&self, what: &str) -> String {
        let org = self.org.map(|org| format!("&org={org}")).unwrap_or_default();
        format!("/v1/reports/{what}?day={}{org}", encoded(&self.day))
    }

    fn say(&self, answer: Value, columns: &[&str], mode: u32) -> anyhow::Result<Said> {
        let text = feed::table(columns, rows(&answer["rows"]), self.format);
        if self.out == Path::new("-") {
            return Ok(Said::new(answer, |_| text));
        }
        let path = self.out.display();
        feed::write_atomically(&self.out, &text, mode).with_context(|| format!("{path} cannot be written"))?;
        let count = rows(&answer["rows"]).len();
        let said = format!("{count} {} in {path}", if count == 1 { "row" } else { "rows" });
        Ok(Said::new(answer, |_| said))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whoever_is_not_on_the_list_is_told_of() {
        assert_eq!(left_out(&json!({"rows": [], "unnamed": 0, "more": false})), [""; 0]);
        let said = left_out(&json!({"rows": [], "unnamed": 2, "more": true}));
        assert!(said[0].starts_with("note: 2 more could not be reached") && said[1].contains("was cut"), "{said:?}");
    }
}
