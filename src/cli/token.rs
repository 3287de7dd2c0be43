//! `token new`, and which tokens have ended.
//!
//! Promises: a token is made of 256 random bits and printed once, on standard output and alone, so that it can be piped into a
//! store of secrets; the lines for the configuration go to standard error and hold its hash only.
//! Never: a token in a file, a log or an argument.

#![allow(clippy::doc_markdown, reason = "help texts are read on a terminal")]

use std::fmt::Write as _;

use anyhow::anyhow;
use aws_lc_rs::{digest, rand};
use clap::Args;
use serde_json::json;

use crate::clock::Time;
use crate::config::{Access, Config};
use crate::id::TokenName;

use super::print;
use super::said::Said;

/// So that a scanner for leaked secrets can know ours.
const PREFIX: &str = "sealpost_";

/// What a new token is for.
#[derive(Args)]
pub(super) struct NewToken {
    /// Whose it is: the name that the audit and refusals tell
    #[arg(long, default_value = "reader")]
    pub(super) name: TokenName,
    /// What it may do, comma separated: read, operate, pii, templates
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', default_value = "read", value_parser = scope)]
    pub(super) scopes: Vec<Access>,
    /// From when on it is refused, as 2027-12-31T00:00:00Z [default: it does not end]
    #[arg(long, value_name = "TIME")]
    pub(super) not_after: Option<jiff::Timestamp>,
}

fn scope(word: &str) -> Result<Access, String> {
    Access::of(word).ok_or_else(|| format!("expected some of {}", Access::WORDS.join(", ")))
}

/// `token new`
pub(super) fn new(asked: &NewToken, as_json: bool) -> anyhow::Result<Said> {
    let mut random = [0; 32];
    rand::fill(&mut random).map_err(|_| anyhow!("the system gives no random bytes"))?;
    let token = format!("{PREFIX}{}", hex(&random));
    let sha256 = hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    let lines = lines(&asked.name, &sha256, &asked.scopes, asked.not_after.map(Time::from));
    if !as_json {
        print::err(&lines);
    }
    let answer = json!({ "token": token, "name": asked.name, "sha256": sha256, "configuration": lines });
    Ok(Said::new(answer, |_| token))
}

/// What the configuration says of a token.
fn lines(name: &TokenName, sha256: &str, scopes: &[Access], not_after: Option<Time>) -> String {
    let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
    let mut text = format!("[admin.token.{name}]\nsha256 = \"{sha256}\"\nscopes = {scopes:?}");
    if let Some(end) = not_after {
        // Writing into a String cannot fail.
        let _ = write!(text, "\nnot_after = {end}");
    }
    text
}

/// A line for each token that is refused from now on.
pub(super) fn ended(config: &Config, now: Time) -> Vec<String> {
    let tokens = config.admin.tokens.iter().filter(|(_, token)| token.is_expired(now));
    tokens.map(|(name, _)| format!("admin.token.{name}.not_after: has passed, so this token is refused")).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;

    fn made(not_after: Option<&str>) -> (String, Config) {
        let asked = NewToken {
            name: "crm".parse().expect("a name"),
            scopes: vec![Access::Read, Access::Pii],
            not_after: not_after.map(|text| text.parse().expect("a time")),
        };
        let said = new(&asked, true).unwrap_or_else(|error| panic!("{error}"));
        let lines = said.json["configuration"].as_str().expect("lines");
        let loaded = Config::from_text(Path::new("x"), lines, &BTreeMap::new());
        (said.text, loaded.unwrap_or_else(|faults| panic!("{faults}")).config)
    }

    #[test]
    fn the_lines_of_a_new_token_are_a_configuration_that_knows_it() {
        let (token, config) = made(Some("2027-01-31T00:00:00Z"));
        let known = &config.admin.tokens[&"crm".parse().expect("a name")];
        assert_eq!(known.sha256, [hex(digest::digest(&digest::SHA256, token.as_bytes()).as_ref())]);
        assert_eq!(known.scopes, [Access::Read, Access::Pii].into());
        assert!(token.starts_with(PREFIX) && token.len() == PREFIX.len() + 64 && !token.contains('\n'));
        assert_ne!(made(None).0, token, "no two are the same");
    }

    #[test]
    fn a_token_that_has_ended_is_told() {
        let (_, config) = made(Some("2027-01-31T00:00:00Z"));
        let at = |text: &str| Time::from(text.parse::<jiff::Timestamp>().expect("a time"));
        assert!(ended(&config, at("2027-01-30T23:59:59Z")).is_empty());
        let told = ended(&config, at("2027-01-31T00:00:00Z"));
        assert_eq!(told, ["admin.token.crm.not_after: has passed, so this token is refused"]);
    }
}
