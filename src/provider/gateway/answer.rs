//! What a gateway's answer means, by its declaration.
//!
//! Promises: the success test decides first, whatever the status; then the gateway's own error code, then the HTTP
//! status, as declared; then the defaults below. What may have gone is `Ambiguous`.
//! Never: the body in an outcome. A code or id is taken only if it is short, plain and has not the person's number in it.
//!
//! | not declared | means | because |
//! |---|---|---|
//! | 429 | `Transient`, with Retry-After | refused before it was taken |
//! | 401, 402, 403, 404, 405, 407, 3xx | `Misconfigured` | credentials, balance or address: all would be refused |
//! | 408, 5xx | `Ambiguous`, or `Transient` where `idempotent` | it may have been taken before the failure |
//! | other 4xx, or a readable refusal in a 2xx | `Permanent` | this message, as it is |
//! | a 2xx that cannot be read | `Ambiguous` | the gateway seems to have taken something |

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::config::{ErrorClass, GatewayTest};
use crate::provider::{Outcome, Verdict};

/// The part of a declaration that reads answers.
pub(super) struct Rules {
    pub(super) success: GatewayTest,
    pub(super) id_pointer: Option<String>,
    pub(super) error_pointer: Option<String>,
    pub(super) errors: BTreeMap<String, ErrorClass>,
    pub(super) idempotent: bool,
}

/// An answer as it came. No `Debug`: its body may quote the number.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// Absent if it broke off or was too long.
    pub(super) body: Option<Vec<u8>>,
}

impl Rules {
    /// `digits` are those of the person's number.
    pub(super) fn judge(&self, answer: &Answer, digits: &str) -> Verdict {
        let json: Option<Value> = answer.body.as_deref().and_then(|body| serde_json::from_slice(body).ok());
        let at =
            |pointer: &Option<String>, longest| plain(json.as_ref()?.pointer(pointer.as_deref()?)?, longest, digits);
        let test = self.success.json.as_ref().map(|(pointer, expected)| {
            json.as_ref().and_then(|json| json.pointer(pointer)).map(|value| scalar(value).as_deref() == Some(expected))
        });
        let status_fits = self.success.status.contains(&answer.status);
        if status_fits && matches!(test, None | Some(Some(true))) {
            return Verdict::sent(answer.status.to_string(), at(&self.id_pointer, 128));
        }
        let error = at(&self.error_pointer, 40);
        let status = answer.status.to_string();
        let code = match &error {
            Some(error) if *error != status => format!("{status} {error}"),
            _ => status.clone(),
        };
        // A gateway's code 202 is not HTTP's: a success status is never looked up.
        let by_status = || self.errors.get(&status).filter(|_| answer.status >= 300);
        let declared = error.as_ref().and_then(|error| self.errors.get(error)).or_else(by_status);
        let mut verdict = match (declared, answer.status) {
            (Some(ErrorClass::Transient), _) => Verdict::transient(code),
            (Some(ErrorClass::Permanent), _) => Verdict::permanent(code, false),
            (Some(ErrorClass::BadAddress), _) => Verdict::permanent(code, true),
            (Some(ErrorClass::Misconfigured), _) => Verdict::misconfigured(code),
            (None, 429) => Verdict::transient(code),
            (None, 401..=405 | 407 | 300..=399) => Verdict::misconfigured(code),
            (None, 408 | 500..=599) => self.unclear(code),
            (None, 400..=499) => Verdict::permanent(code, false),
            // The test's value is there and says no, or there is an error code: a refusal. Else nobody can tell.
            (None, 200..=299) if test == Some(Some(false)) || error.is_some() => Verdict::permanent(code, false),
            (None, _) => self.unclear(code),
        };
        if let Outcome::Transient { retry_after, .. } = &mut verdict.outcome {
            *retry_after = answer.retry_after;
        }
        verdict
    }

    /// It may have gone; harmless to repeat only where the gateway refuses our id a second time.
    pub(super) fn unclear(&self, code: impl Into<String>) -> Verdict {
        if self.idempotent { Verdict::transient(code) } else { Verdict::ambiguous(code) }
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A value that can be shown: some gateways answer with the number, or with a sentence that quotes it.
fn plain(value: &Value, longest: usize, digits: &str) -> Option<String> {
    let text = scalar(value)?;
    let fits = !text.is_empty()
        && text.len() <= longest
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'));
    // The national number alone names the person as well as the whole does.
    let tail = &digits[digits.len().saturating_sub(8)..];
    let quotes = tail.len() >= 6 && text.contains(tail);
    (fits && !quotes).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::breaker::Health;

    fn rules() -> Rules {
        Rules {
            success: GatewayTest { status: vec![200, 201], json: Some(("/type".into(), "success".into())) },
            id_pointer: Some("/message".into()),
            error_pointer: Some("/code".into()),
            errors: BTreeMap::from([
                ("202".into(), ErrorClass::BadAddress),
                ("301".into(), ErrorClass::Misconfigured),
                ("311".into(), ErrorClass::Transient),
                ("310".into(), ErrorClass::Permanent),
                ("503".into(), ErrorClass::Transient),
            ]),
            idempotent: false,
        }
    }

    fn judge(rules: &Rules, status: u16, body: &str) -> Verdict {
        let answer = Answer { status, retry_after: Some(Duration::from_secs(7)), body: Some(body.into()) };
        rules.judge(&answer, "919812345678")
    }

    #[test]
    fn the_success_test_decides_first_then_the_declared_codes_then_the_defaults() {
        let transient =
            |code: &str| Outcome::Transient { code: code.into(), retry_after: Some(Duration::from_secs(7)) };
        let permanent = |code: &str, bad_address| Outcome::Permanent { code: code.into(), bad_address };
        let ours = |code: &str| Outcome::Misconfigured { code: code.into() };
        let unclear = |code: &str| Outcome::Ambiguous { code: code.into() };
        let sent = |id: Option<&str>| Outcome::Sent { code: "200".into(), provider_ref: id.map(Into::into) };
        let table = [
            (200, r#"{"type":"success","message":"r-1"}"#, sent(Some("r-1"))),
            (200, r#"{"type":"success","message":42}"#, sent(Some("42"))),
            (200, r#"{"type":"success"}"#, sent(None)),
            (200, r#"{"type":"success","message":"sent to 919812345678"}"#, sent(None)),
            (200, r#"{"type":"success","message":"id-9812345678"}"#, sent(None)),
            (200, r#"{"type":"error","code":"202"}"#, permanent("200 202", true)),
            (200, r#"{"type":"error","code":202}"#, permanent("200 202", true)),
            (200, r#"{"type":"error","code":"301"}"#, ours("200 301")),
            (200, r#"{"type":"error","code":"311"}"#, transient("200 311")),
            (400, r#"{"type":"error","code":"310"}"#, permanent("400 310", false)),
            (200, r#"{"type":"error","code":"999"}"#, permanent("200 999", false)),
            (200, r#"{"type":"error","code":"no such number 919812345678"}"#, permanent("200", false)),
            (200, r#"{"code":"999"}"#, permanent("200 999", false)),
            (200, "{}", unclear("200")),
            (200, "<html>", unclear("200")),
            (200, "", unclear("200")),
            (202, r#"{"type":"success"}"#, unclear("202")),
            (204, "", unclear("204")),
            (302, "", ours("302")),
            (400, "", permanent("400", false)),
            (401, "", ours("401")),
            (403, "", ours("403")),
            (404, "", ours("404")),
            (408, "", unclear("408")),
            (413, "", permanent("413", false)),
            (429, "", transient("429")),
            (500, r#"{"type":"success","message":"x"}"#, unclear("500")),
            (502, "", unclear("502")),
            (503, "", transient("503")),
            (101, "", unclear("101")),
        ];
        for (status, body, expected) in table {
            assert_eq!(judge(&rules(), status, body).outcome, expected, "{status} {body}");
        }
    }

    #[test]
    fn where_the_gateway_knows_our_id_a_failure_can_be_repeated() {
        let rules = Rules { idempotent: true, ..rules() };
        for status in [500, 502, 408, 200] {
            assert!(matches!(judge(&rules, status, "").outcome, Outcome::Transient { .. }), "{status}");
        }
    }

    #[test]
    fn a_success_whose_body_broke_off_is_sent_only_where_no_body_is_tested() {
        let answer = Answer { status: 201, retry_after: None, body: None };
        assert!(matches!(rules().judge(&answer, "").outcome, Outcome::Ambiguous { .. }));
        let untested = Rules { success: GatewayTest { status: vec![201], json: None }, ..rules() };
        assert_eq!(untested.judge(&answer, "").outcome, Outcome::Sent { code: "201".into(), provider_ref: None });
    }

    #[test]
    fn a_refused_recipient_is_no_fault_of_the_gateway() {
        assert_eq!(judge(&rules(), 200, r#"{"type":"error","code":"202"}"#).health, Health::Good);
        assert_eq!(judge(&rules(), 401, "").health, Health::Refusing);
        assert_eq!(judge(&rules(), 429, "").health, Health::Bad);
    }
}
