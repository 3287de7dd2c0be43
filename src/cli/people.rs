//! What CRM people type: `vault put|get|find|delete|import|ndnc|coverage|stats`.
//!
//! Promises: files are read, not copied.
//! Never: a person on the terminal but for `vault get`, which is logged by the daemon.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::client::Client;
use super::print;
use super::support::Format;

mod checkpoint;
mod import;
mod ndnc;
mod reader;
mod report;

pub(crate) use import::{ImportArgs, check, import};
pub(crate) use ndnc::{NdncArgs, ndnc};

/// `vault put`: a JSON object from a file or standard input.
pub(crate) async fn put(client: &Client, file: &Path, namespace: Option<&str>, replace: bool) -> anyhow::Result<()> {
    let mut text = String::new();
    open(file)?.read_to_string(&mut text).context("contact cannot be read")?;
    let contact: Value = serde_json::from_str(&text)
        .map_err(|e| anyhow::anyhow!("contact is not JSON: line {}, column {}", e.line(), e.column()))?;
    let how = if replace { "replace" } else { "patch" };
    let body = json!({ "namespace": namespace, "how": how, "contact": contact });
    let done = client.post("/v1/vault/put", &body).await?;
    print::out(&format!("stored; {} aliases linked, {} waiting notifications woken", done["linked"], done["woken"]));
    Ok(())
}

/// `vault get`
pub(crate) async fn get(client: &Client, customer: &str, namespace: Option<&str>, by: &str) -> anyhow::Result<()> {
    let body = json!({ "namespace": namespace, "customer": customer, "by": by });
    print::out(&print::json(&client.post("/v1/vault/get", &body).await?));
    Ok(())
}

/// `vault find`
pub(crate) async fn find(
    client: &Client,
    phone: Option<&str>,
    email: Option<&str>,
    namespace: Option<&str>,
    by: &str,
) -> anyhow::Result<()> {
    let body = json!({ "namespace": namespace, "phone": phone, "email": email, "by": by });
    let found = client.post("/v1/vault/find", &body).await?;
    let people = found["people"].as_array().map_or(&[][..], Vec::as_slice);
    if people.is_empty() {
        bail!("nobody is known by this; a number is given with its country code, as +919812345678");
    }
    for person in people {
        let named = person["identifiers"].as_array().map_or(&[][..], Vec::as_slice);
        let names: Vec<String> = named.iter().map(identifier).collect();
        let since = if person["current"] == true { "" } else { "  (from an event; not in the contact)" };
        print::out(&format!("{}{since}", names.join("  ")));
    }
    if found["more"] == true {
        print::out("and more");
    }
    Ok(())
}

/// `external_id:GT0042`, or the hash where the identifier itself was never told.
fn identifier(named: &Value) -> String {
    let kind = named["kind"].as_str().unwrap_or("-");
    match named["value"].as_str() {
        Some(value) => format!("{kind}:{value}"),
        None => format!("{kind}#{}", named["hash"].as_str().unwrap_or("-")),
    }
}

/// `vault delete`
pub(crate) async fn delete(client: &Client, customer: &str, namespace: Option<&str>, by: &str) -> anyhow::Result<()> {
    let body = json!({ "namespace": namespace, "customer": customer, "by": by });
    let done = client.post("/v1/vault/delete", &body).await?;
    if done["deleted"] != true {
        bail!("nobody is known by this alias");
    }
    print::out("deleted; only keyed hashes remain, so that an old file does not bring them back");
    Ok(())
}

/// `vault coverage`
pub(crate) async fn coverage(client: &Client, events: usize, format: Format) -> anyhow::Result<()> {
    let found = client.get(&format!("/v1/vault/coverage?events={events}")).await?;
    match format {
        Format::Json => print::out(&print::json(&found)),
        Format::Text => print::out(&coverage_text(&found)),
    }
    Ok(())
}

fn coverage_text(found: &Value) -> String {
    const LACKS: [&str; 7] = ["all", "no_alias", "no_contact", "no_address", "no_name", "several", "erased"];
    let rows = |of: &str, name: &str| -> Vec<Value> {
        let named = found[of].as_object().into_iter().flatten().map(|(key, counts)| {
            let mut row = counts.clone();
            row[name] = key.as_str().into();
            row
        });
        named.collect()
    };
    let mut text = format!("{} events since {}\n", found["events"], found["since"].as_str().unwrap_or("-"));
    for (of, name, first) in
        [("orgs", "org", &["org", "events", "about_nobody"][..]), ("templates", "template", &["template"])]
    {
        text.push('\n');
        text.push_str(&print::table(&rows(of, name), &[first, &LACKS].concat()));
    }
    text
}

/// `vault stats`
pub(crate) async fn stats(client: &Client) -> anyhow::Result<()> {
    let stats = client.get("/v1/vault/stats").await?;
    print::out(&format!(
        "{} contacts, {} aliases, {} bytes on disk",
        stats["contacts"], stats["aliases"], stats["bytes_on_disk"]
    ));
    Ok(())
}

fn open(file: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    Ok(Box::new(File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?))
}
