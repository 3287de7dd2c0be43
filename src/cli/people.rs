//! What CRM people type: `vault put|get|delete|import|stats`.
//!
//! Promises: files are read, not copied; an import goes on past bad rows and reports each by line, without values.
//! Never: a person on the terminal but for `vault get`, which is audited.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::vault::import::{Import, ImportKind, RowFault};
use crate::vault::json::row_json;

use super::client::Client;
use super::print;
use super::said::Said;

/// Rows in one request: large enough to share a sync, small enough to bound memory.
const BATCH: usize = 1_000;
/// Faults printed one by one; beyond that they are counted.
const SHOWN_FAULTS: usize = 20;

/// `vault put`: a JSON object from a file or standard input.
pub(crate) async fn put(
    client: &Client,
    file: &Path,
    namespace: Option<&str>,
    replace: bool,
    by: &str,
) -> anyhow::Result<Said> {
    let mut text = String::new();
    open(file)?.read_to_string(&mut text).context("contact cannot be read")?;
    let contact: Value = serde_json::from_str(&text)
        .map_err(|e| anyhow::anyhow!("contact is not JSON: line {}, column {}", e.line(), e.column()))?;
    let how = if replace { "replace" } else { "patch" };
    let body = json!({ "namespace": namespace, "how": how, "contact": contact, "by": by });
    let answer = client.post("/v1/vault/put", &body).await?;
    Ok(Said::new(answer, |done| match done["erased"].as_u64() {
        Some(1..) => "left out: the person was erased; only a newer `updated_at` brings them back".into(),
        _ => format!("stored; {} aliases linked, {} waiting notifications woken", done["linked"], done["woken"]),
    }))
}

/// `vault get`
pub(crate) async fn get(client: &Client, customer: &str, namespace: Option<&str>, by: &str) -> anyhow::Result<Said> {
    let body = json!({ "namespace": namespace, "customer": customer, "by": by });
    Ok(Said::new(client.post("/v1/vault/get", &body).await?, print::json))
}

/// `vault delete`
pub(crate) async fn delete(client: &Client, customer: &str, namespace: Option<&str>, by: &str) -> anyhow::Result<Said> {
    let body = json!({ "namespace": namespace, "customer": customer, "by": by });
    let done = client.post("/v1/vault/delete", &body).await?;
    if done["deleted"] != true {
        return Ok(Said::failed(done, anyhow::anyhow!("nobody is known by this alias")));
    }
    Ok(Said::new(done, |_| "deleted; only keyed hashes remain, so that an old file does not bring them back".into()))
}

/// `vault stats`
pub(crate) async fn stats(client: &Client) -> anyhow::Result<Said> {
    let stats = client.get("/v1/vault/stats").await?;
    Ok(Said::new(stats, |stats| {
        format!(
            "{} contacts, {} aliases, {} bytes on disk",
            stats["contacts"], stats["aliases"], stats["bytes_on_disk"]
        )
    }))
}

#[derive(Default, Serialize)]
struct Tally {
    /// Stored.
    rows: u64,
    refused: u64,
    linked: u64,
    conflicts: u64,
    woken: u64,
    erased: u64,
}

/// `vault import`: a CSV of contacts, or of aliases only.
pub(crate) async fn import(
    client: &Client,
    file: &Path,
    namespace: Option<&str>,
    replace: bool,
    aliases_only: bool,
    by: &str,
) -> anyhow::Result<Said> {
    let size = std::fs::metadata(file).map(|m| m.len()).unwrap_or(0);
    let bar = progress(size);
    let reader = bar.wrap_read(open(file)?);
    let (kind, how) = match (aliases_only, replace) {
        (true, _) => (ImportKind::Aliases, "aliases"),
        (false, true) => (ImportKind::Contacts, "replace"),
        (false, false) => (ImportKind::Contacts, "patch"),
    };
    let rows = Import::open(reader, kind, Clock::system().now()).with_context(|| file.display().to_string())?;
    let how = if rows.has_identifiers_only() { "aliases" } else { how };
    let mut tally = Tally::default();
    let mut batch: Vec<(u64, Value)> = Vec::with_capacity(BATCH);
    for row in rows {
        match row {
            Ok(row) => batch.push((row.line, row_json(&row))),
            Err(fault) => refuse(&bar, &mut tally, &fault),
        }
        if batch.len() == BATCH {
            send(client, &Asked { namespace, how, by }, &mut batch, &mut tally, &bar).await?;
        }
    }
    send(client, &Asked { namespace, how, by }, &mut batch, &mut tally, &bar).await?;
    bar.finish_and_clear();
    let failed = (tally.refused > 0).then(|| {
        anyhow::anyhow!(
            "{} rows were refused; correct them and import the file again: rows that are stored already change nothing",
            tally.refused
        )
    });
    let text = format!(
        "{} rows stored, {} refused; {} aliases linked, {} pointed to somebody else before, {} waiting notifications woken; \
         {} left out because the person was erased",
        tally.rows, tally.refused, tally.linked, tally.conflicts, tally.woken, tally.erased
    );
    Ok(Said { json: serde_json::to_value(&tally)?, text, failed })
}

/// What every request of an import says.
struct Asked<'a> {
    namespace: Option<&'a str>,
    how: &'a str,
    by: &'a str,
}

async fn send(
    client: &Client,
    asked: &Asked<'_>,
    batch: &mut Vec<(u64, Value)>,
    tally: &mut Tally,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    if batch.is_empty() {
        return Ok(());
    }
    let (lines, rows): (Vec<u64>, Vec<Value>) = batch.drain(..).unzip();
    let Asked { namespace, how, by } = asked;
    let body = json!({ "namespace": namespace, "how": how, "rows": rows, "by": by });
    let done = client.post("/v1/vault/import", &body).await?;
    let count = |name: &str| done[name].as_u64().unwrap_or(0);
    let faults = done["faults"].as_array().cloned().unwrap_or_default();
    tally.rows += count("rows") - faults.len() as u64;
    tally.linked += count("linked");
    tally.conflicts += count("conflicts");
    tally.woken += count("woken");
    tally.erased += count("erased");
    for fault in faults {
        let at = fault["row"].as_u64().and_then(|row| lines.get(usize::try_from(row).ok()?)).copied().unwrap_or(0);
        let what = fault["fault"].as_str().unwrap_or("refused").to_owned();
        refuse(bar, tally, &RowFault { line: at, what });
    }
    Ok(())
}

fn refuse(bar: &ProgressBar, tally: &mut Tally, fault: &RowFault) {
    tally.refused += 1;
    if tally.refused <= SHOWN_FAULTS as u64 {
        bar.suspend(|| print::err(&fault.to_string()));
    }
}

fn progress(size: u64) -> ProgressBar {
    let bar = ProgressBar::new(size);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left") {
        bar.set_style(style);
    }
    bar
}

fn open(file: &Path) -> anyhow::Result<Box<dyn Read>> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    Ok(Box::new(File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?))
}
