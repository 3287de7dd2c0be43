//! What CRM people type: `vault put|get|find|delete|import|ndnc|coverage|stats`.
//!
//! Promises: files are read, not copied.
//! Never: a person on the terminal but for `vault get`, which is audited.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use serde_json::{Value, json};

use super::client::Client;
use super::print;
use super::said::Said;

mod checkpoint;
mod import;
mod ndnc;
mod reader;
mod report;

pub(crate) use import::{ImportArgs, check, import};
pub(crate) use ndnc::{NdncArgs, ndnc};

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

/// `vault find`
pub(crate) async fn find(
    client: &Client,
    phone: Option<&str>,
    email: Option<&str>,
    namespace: Option<&str>,
    by: &str,
) -> anyhow::Result<Said> {
    let body = json!({ "namespace": namespace, "phone": phone, "email": email, "by": by });
    let found = client.post("/v1/vault/find", &body).await?;
    if found["people"].as_array().is_none_or(Vec::is_empty) {
        let hint = phone.map_or("", |_| "; a number is given with its country code, as +919812345678");
        let why = anyhow!("nobody is known by this{hint}");
        return Ok(Said::failed(found, why));
    }
    Ok(Said::new(found, found_text))
}

fn found_text(found: &Value) -> String {
    let line = |person: &Value| {
        let named = person["identifiers"].as_array().map_or(&[][..], Vec::as_slice);
        let names: Vec<String> = named.iter().map(identifier).collect();
        let since = if person["current"] == true { "" } else { "  (from an event; not in the contact)" };
        format!("{}{since}", names.join("  "))
    };
    let people = found["people"].as_array().map_or(&[][..], Vec::as_slice);
    let more = (found["more"] == true).then(|| "and more".to_owned());
    people.iter().map(line).chain(more).collect::<Vec<_>>().join("\n")
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
pub(crate) async fn delete(client: &Client, customer: &str, namespace: Option<&str>, by: &str) -> anyhow::Result<Said> {
    let body = json!({ "namespace": namespace, "customer": customer, "by": by });
    let done = client.post("/v1/vault/delete", &body).await?;
    if done["deleted"] != true {
        return Ok(Said::failed(done, anyhow::anyhow!("nobody is known by this alias")));
    }
    Ok(Said::new(done, |_| "deleted; only keyed hashes remain, so that an old file does not bring them back".into()))
}

/// `vault coverage`
pub(crate) async fn coverage(client: &Client, events: usize) -> anyhow::Result<Said> {
    let found = client.get(&format!("/v1/vault/coverage?events={events}")).await?;
    Ok(Said::new(found, |found| coverage_text(found).trim_end().to_owned()))
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
pub(crate) async fn stats(client: &Client) -> anyhow::Result<Said> {
    let stats = client.get("/v1/vault/stats").await?;
    Ok(Said::new(stats, |stats| {
        format!(
            "{} contacts, {} aliases, {} bytes on disk",
            stats["contacts"], stats["aliases"], stats["bytes_on_disk"]
        )
    }))
}

/// Refuses to write over a file that is read or written for something else, by whatever name.
fn refuse_same(read: &Path, option: &str, written: Option<&Path>) -> anyhow::Result<()> {
    let id = |path: &Path| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    let read_id = id(if read.as_os_str() == "-" { Path::new("/dev/stdin") } else { read });
    match written {
        Some(written) if read == written || (read_id.is_some() && id(written) == read_id) => {
            bail!("{option} {} would be written over {}; name another file", written.display(), read.display())
        }
        _ => Ok(()),
    }
}

fn open(file: &Path) -> anyhow::Result<Box<dyn Read + Send>> {
    if file.as_os_str() == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    Ok(Box::new(File::open(file).with_context(|| format!("{} cannot be opened", file.display()))?))
}
