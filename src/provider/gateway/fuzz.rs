//! What the way to an HTTP gateway and back is held to: the target `gateway`.
//!
//! Promises: no answer makes a person's number, or a sentence, part of an outcome; no value leaves its place in a body, a form or a header.
//! Never: a socket.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::answer::{Answer, Rules};
use super::body::{Place, Template, Values};
use crate::choices::Choices;
use crate::config::{ErrorClass, GatewayTest};
use crate::id::NotificationId;
use crate::message::Sms;
use crate::personal::Personal;
use crate::provider::Outcome;

const DIGITS: &str = "919876501234";

/// An answer, or a template and a message.
pub(crate) fn gateway(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    if choices.one_in(2) { answer(&mut choices) } else { request(&mut choices) }
}

fn answer(choices: &mut Choices<'_>) {
    let rules = Rules {
        success: GatewayTest {
            status: vec![200, 201],
            json: choices.one_in(2).then(|| ("/type".into(), "success".into())),
        },
        id_pointer: choices.one_in(2).then(|| choices.pick(&["/id", "/a/0/id", "", "/"]).to_owned()),
        error_pointer: choices.one_in(2).then(|| "/code".into()),
        errors: BTreeMap::from([
            ("202".into(), ErrorClass::BadAddress),
            ("503".into(), ErrorClass::Transient),
            ("7".into(), ErrorClass::Misconfigured),
        ]),
        idempotent: choices.one_in(2),
    };
    let status = choices.pick(&[200, 201, 204, 202, 301, 400, 401, 404, 408, 429, 500, 503, 599, 999, 100]);
    let word = |of: &mut Choices<'_>| {
        Value::from(of.text(&["success", "202", "7", DIGITS, "9876501234", "no such number", "r-1", "200"])).to_string()
    };
    let body = if choices.one_in(4) {
        choices.rest().to_vec()
    } else {
        format!(
            "{{\"type\":{},\"id\":{},\"code\":{},\"a\":[{{\"id\":{}}}]}}",
            word(choices),
            word(choices),
            choices.pick(&["202", "7", "[]", "null", "\"919876501234\""]),
            word(choices)
        )
        .into_bytes()
    };
    let answer =
        Answer { status, retry_after: Some(Duration::from_secs(7)), body: Some(body).filter(|_| !choices.one_in(8)) };
    let verdict = rules.judge(&answer, DIGITS);
    let shown = match &verdict.outcome {
        Outcome::Sent { code, provider_ref } => {
            assert!(matches!(status, 200 | 201), "sent, and the gateway did not say so");
            format!("{code} {}", provider_ref.as_deref().unwrap_or_default())
        }
        Outcome::Transient { code, .. }
        | Outcome::Permanent { code, .. }
        | Outcome::Misconfigured { code }
        | Outcome::Ambiguous { code } => code.clone(),
    };
    assert!(!shown.contains("76501234"), "an outcome has the person's number");
    assert!(
        shown.len() <= 140 && shown.bytes().all(|b| b.is_ascii_graphic() || b == b' '),
        "an outcome quotes the gateway"
    );
    let doubtful = matches!(verdict.outcome, Outcome::Ambiguous { .. });
    assert!(!(doubtful && rules.idempotent), "in doubt, and repeating is harmless");
}

fn request(choices: &mut Choices<'_>) {
    let place = choices.pick(&[Place::Json, Place::Form, Place::Header, Place::Url]);
    let params = BTreeMap::from([("key".to_owned(), choices.text(&["secret"]).into())]);
    const PIECES: [&str; 20] = [
        "{{to}}",
        "{{to_digits}}",
        "{{text}}",
        "{{sender}}",
        "{{id}}",
        "{{param.key}}",
        "{{registration.template_id}}",
        "{{this}}",
        "{{@index}}",
        "{{@number}}",
        "{{#each vars}}",
        "{{/each}}",
        "{{#if text}}",
        "{{#unless @first}}",
        "{{/if}}",
        "{{/unless}}",
        "{{basic param.key id}}",
        ",",
        "&a=",
        "{{",
    ];
    let free = choices.one_in(2);
    let source =
        if free { (0..choices.below(12)).map(|_| choices.text(&PIECES)).collect() } else { whole(place).to_owned() };
    let values =
        |of: &mut Choices<'_>| Personal::new(of.text(&["\"", "\\", "&x=1", "\r\nX-Evil: 1", "}", "%00", "Asha"]));
    let sms = Sms {
        sender: choices.text(&["ACMEIN"]),
        to: Personal::new(format!("+{DIGITS}")),
        text: values(choices),
        vars: (0..choices.below(4)).map(|_| values(choices)).collect(),
        registration: BTreeMap::new(),
    };
    let Ok(template) = Template::parse(&source, place, &params) else {
        assert!(free, "a template that is fine is refused");
        return;
    };
    let Ok(written) = template.render(&Values::new(&NotificationId([7; 16]), &sms, &params)) else { return };
    if place == Place::Header {
        // What the declaration writes itself was checked with it; values must add no control characters of their own.
        let controls = |text: &str| text.chars().filter(|c| c.is_control()).count();
        assert!(controls(&written) <= controls(&source), "a value begins a header of its own");
    }
    if free {
        return;
    }
    match place {
        Place::Json => {
            let read: Value = serde_json::from_str(&written).expect("values stay inside their quotes");
            assert_eq!(read["text"], sms.text.expose());
            let vars: Vec<&str> = sms.vars.iter().map(Personal::expose).collect();
            assert_eq!(read["vars"], Value::from(vars));
        }
        Place::Form => {
            let pairs: Vec<_> = written.split('&').collect();
            assert_eq!(pairs.len(), 2, "a value adds a field of its own");
            let text = pairs[1].strip_prefix("text=").expect("the second field");
            assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        }
        Place::Header | Place::Url => {}
    }
}

/// A declaration as one would write it.
fn whole(place: Place) -> &'static str {
    match place {
        Place::Json => {
            r#"{"to":"{{to}}","text":"{{text}}","vars":[{{#each vars}}{{#unless @first}},{{/unless}}"{{this}}"{{/each}}]}"#
        }
        Place::Form => "To={{to}}&text={{text}}",
        Place::Header => "Bearer {{param.key}} {{sender}}",
        Place::Url => "/accounts/{{param.key}}/{{id}}",
    }
}
