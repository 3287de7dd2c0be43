//! `vault ndnc`: files of numbers that must not get promotional SMS.
//!
//! Promises: memory does not grow with the file; a replaced list counts until the new one is whole; a command that was
//! killed is typed again.
//! Never: a number on the terminal or in the fault file.

use std::path::PathBuf;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::vault::import::Numbers;

use super::super::client::Client;
use super::super::said::Said;
use super::import::progress;
use super::report::Report;
use super::{open, refuse_same};

/// Numbers in one request.
const AT_ONCE: usize = 10_000;

/// Options of `vault ndnc`.
#[derive(Args)]
pub(crate) struct NdncArgs {
    /// One number on each line, or a CSV with a column `phone` (also gzipped; `-`: standard input); without it, show the lists
    file: Option<PathBuf>,
    /// Which list
    #[arg(long, default_value = "ndnc")]
    list: String,
    /// The file is the whole list: what is not in it is allowed again
    #[arg(long)]
    replace: bool,
    /// Header of the column of numbers, if it is another
    #[arg(long)]
    column: Option<String>,
    /// Country code of numbers that are written without one, as 91
    #[arg(long, value_parser = country)]
    country: Option<String>,
    /// Write every fault to this file, as lines of JSON, without values
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

fn country(text: &str) -> Result<String, String> {
    let digits = text.trim_start_matches('+');
    let fits =
        (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    if fits { Ok(digits.to_owned()) } else { Err("expected one to three digits, as 91".into()) }
}

/// `vault ndnc`
pub(crate) async fn ndnc(client: &Client, args: &NdncArgs, by: &str) -> anyhow::Result<Said> {
    let Some(file) = &args.file else { return show(client).await };
    refuse_same(file, "--faults", args.faults.as_deref())?;
    let bar = progress(file);
    let numbers = Numbers::open(bar.wrap_read(open(file)?), args.column.as_deref(), args.country.clone())
        .with_context(|| file.display().to_string())?;
    let begun =
        client.post("/v1/vault/lists", &json!({ "list": args.list, "replace": args.replace, "by": by })).await?;
    let mut report = Report::open(bar.clone(), args.faults.as_deref(), None)?;
    let mut body = Body::new(&args.list, &begun["edition"], by);
    let (mut rows, mut added, mut refused) = (0u64, 0, 0u64);
    for number in numbers {
        match number {
            Err(fault) => {
                refused += 1;
                report.refused(&fault)?;
                continue;
            }
            Ok(number) => body.add(&number),
        }
        rows += 1;
        if body.held == AT_ONCE {
            added += body.send(client).await?;
            bar.set_message(format!("{rows} numbers"));
        }
    }
    added += body.send(client).await?;
    let finish = json!({ "list": args.list, "edition": begun["edition"], "by": by });
    bar.finish_and_clear();
    report.close()?;
    if refused > 0 && args.replace {
        bail!("{refused} lines were refused, so the list was not replaced; correct them and load the file again");
    }
    let done = client.post("/v1/vault/lists/finish", &finish).await?;
    let text = format!("{rows} numbers read, {added} new, {refused} refused; {} on the list", done["numbers"]);
    let failed = (refused > 0).then(|| anyhow!("{refused} lines were refused; correct them and load the file again"));
    let json = json!({ "rows": rows, "added": added, "refused": refused, "numbers": done["numbers"] });
    Ok(Said { json, text, failed })
}

async fn show(client: &Client) -> anyhow::Result<Said> {
    let lists = client.get("/v1/vault/lists").await?;
    Ok(Said::new(lists, |lists| {
        if lists.as_object().is_none_or(serde_json::Map::is_empty) {
            return "no list was loaded; `sealpost vault ndnc FILE` loads one".into();
        }
        let line = |(name, list): (&String, &Value)| {
            let at = crate::clock::Time::from_millis(list["updated_at"].as_i64().unwrap_or_default());
            format!("{name}: {} numbers, changed {at}", list["numbers"])
        };
        lists.as_object().into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
    }))
}

/// One request that fills up.
struct Body {
    head: String,
    numbers: String,
    held: usize,
}

impl Body {
    fn new(list: &str, edition: &Value, by: &str) -> Self {
        let head = json!({ "list": list, "edition": edition, "by": by }).to_string();
        Self { head: head.trim_end_matches('}').to_owned(), numbers: String::new(), held: 0 }
    }

    fn add(&mut self, number: &crate::personal::Personal) {
        if self.held > 0 {
            self.numbers.push(',');
        }
        self.held += 1;
        crate::vault::import::push_quoted(&mut self.numbers, number);
    }

    async fn send(&mut self, client: &Client) -> anyhow::Result<u64> {
        if self.held == 0 {
            return Ok(0);
        }
        let body = format!("{},\"numbers\":[{}]}}", self.head, self.numbers);
        self.held = 0;
        self.numbers.clear();
        let done = client.ask_bytes(axum::http::Method::POST, "/v1/vault/lists/numbers", body.into_bytes()).await?;
        Ok(done["added"].as_u64().unwrap_or(0))
    }
}
