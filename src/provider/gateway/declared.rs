//! Checks a gateway's declaration before anything is sent by it.
//!
//! Promises: all faults at once; the host is fixed by configuration; a JSON body is tried with awkward values, so
//! a placeholder outside quotes is found here and not in production.
//! Never: a parameter's value in a fault.

use std::collections::BTreeMap;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use reqwest::{Method, Url};
use secrecy::SecretString;

use super::answer::Rules;
use super::body::{Place, Template, Values};
use crate::config::HttpSms;
use crate::id::NotificationId;
use crate::message::Sms;
use crate::personal::Personal;
use crate::provider::{Report, tls};

/// A declaration without faults.
pub(super) struct Declared {
    pub(super) method: Method,
    pub(super) url_template: Template,
    /// As it is with a made-up id.
    pub(super) url: Url,
    pub(super) headers: Vec<(HeaderName, Template)>,
    pub(super) content_type: HeaderValue,
    pub(super) body: Template,
    pub(super) rules: Rules,
}

/// Reports every fault; `None` if there was one.
pub(super) fn check(config: &HttpSms, report: &mut Report<'_>) -> Option<Declared> {
    let before = report.faults.len();
    let method = match config.method.as_str() {
        "POST" => Some(Method::POST),
        "PUT" => Some(Method::PUT),
        _ => {
            report.fault("method", "is neither POST nor PUT", "a number and a text belong into a body, not into a URL");
            None
        }
    };
    let place = match config.content_type.split(';').next().unwrap_or_default().trim() {
        "application/json" => Some(Place::Json),
        "application/x-www-form-urlencoded" => Some(Place::Form),
        _ => {
            report.fault(
                "content_type",
                "is not a type that values can be escaped for",
                "use application/json or application/x-www-form-urlencoded",
            );
            None
        }
    };
    let content_type = HeaderValue::from_str(&config.content_type).ok();
    let url = url(config, report);
    let headers = headers(config, report);
    let body = place.and_then(|place| parse(&config.body, place, "body", config, report));
    if let Some(body) = &body {
        try_body(body, config, report);
    }
    answers(config, report);
    if report.faults.len() > before {
        return None;
    }
    let (url_template, url) = url?;
    let rules = Rules {
        success: config.success.clone(),
        id_pointer: config.id_pointer.clone(),
        error_pointer: config.error_pointer.clone(),
        errors: config.errors.clone(),
        idempotent: config.idempotent,
    };
    Some(Declared { method: method?, url_template, url, headers, content_type: content_type?, body: body?, rules })
}

const NAMES: &str = "names: to, to_digits, text, sender, id, param.x, registration.x; blocks: #if, #unless, #each vars";

fn parse(source: &str, place: Place, key: &str, config: &HttpSms, report: &mut Report<'_>) -> Option<Template> {
    match Template::parse(source, place, &config.params) {
        Ok(template) => Some(template),
        Err(faults) => {
            for fault in faults {
                report.fault(key, fault, NAMES);
            }
            None
        }
    }
}

fn url(config: &HttpSms, report: &mut Report<'_>) -> Option<(Template, Url)> {
    let authority = config.url.split_once("://").map(|(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(rest));
    if authority.is_none_or(|authority| authority.contains("{{") || authority.contains('@')) {
        report.fault("url", "has no fixed host", "write scheme and host out; credentials belong into `headers`");
        return None;
    }
    let template = parse(&config.url, Place::Url, "url", config, report)?;
    let rendered = with_sample(&config.params, 0, &BTreeMap::new(), |values| template.render(values));
    let url = rendered.ok().and_then(|text| Url::parse(&text).ok());
    match url.as_ref().map(|url| (url.scheme(), url.host_str().unwrap_or_default())) {
        Some(("https", host)) if !host.is_empty() => {}
        Some(("http", host)) if tls::is_loopback(host) => {}
        Some(("http", _)) => report.fault("url", "is plain http to another machine", "use https"),
        _ => report.fault("url", "is not an https address", "write it as https://host/path"),
    }
    Some((template, url?))
}

fn headers(config: &HttpSms, report: &mut Report<'_>) -> Vec<(HeaderName, Template)> {
    let mut headers = Vec::new();
    for (name, source) in &config.headers {
        let key = format!("headers.{name}");
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            report.fault("headers", "has a name that is not a header name", "use letters, digits and `-`");
            continue;
        };
        if [CONTENT_TYPE, CONTENT_LENGTH, HOST, TRANSFER_ENCODING].contains(&parsed) {
            report.fault(&key, "is set by the relay", "remove it; `content_type` is a key of its own");
            continue;
        }
        if source.chars().any(char::is_control) {
            report.fault(&key, "has a control character", "write the value on one line");
            continue;
        }
        let Some(template) = parse(source, Place::Header, &key, config, report) else { continue };
        if with_sample(&config.params, 0, &BTreeMap::new(), |values| template.render(values)).is_err() {
            report.fault(&key, "cannot be written as a header", "check the parameters it uses for line breaks");
        }
        headers.push((parsed, template));
    }
    headers
}

/// Writes the body with no, one and three variables, with all registration ids and with none.
fn try_body(body: &Template, config: &HttpSms, report: &mut Report<'_>) {
    if body.place != Place::Json {
        return;
    }
    let all: BTreeMap<String, String> = body.registrations().into_iter().map(|key| (key, AWKWARD.to_owned())).collect();
    for registration in [all, BTreeMap::new()] {
        for vars in [0, 1, 3] {
            let written = with_sample(&config.params, vars, &registration, |values| body.render(values));
            // Without registration ids a body may rightly fail; with all of them it cannot.
            let Ok(text) = written else { continue };
            if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err() {
                let what = format!("is not JSON when a message has {vars} variables");
                report.fault("body", what, "put each value into quotes, and commas only between elements");
                return;
            }
        }
    }
}

/// Outside of quotes this is no JSON, whatever stands around it.
const AWKWARD: &str = "a\"b\\c";

fn with_sample<T>(
    params: &BTreeMap<String, SecretString>,
    vars: usize,
    registration: &BTreeMap<String, String>,
    then: impl FnOnce(&Values<'_>) -> T,
) -> T {
    let sms = Sms {
        sender: "SENDER".into(),
        to: Personal::new("+000000000000"),
        text: Personal::new(AWKWARD),
        vars: vec![Personal::new(AWKWARD); vars],
        registration: registration.clone(),
    };
    then(&Values::new(&NotificationId([0; 16]), &sms, params))
}

fn answers(config: &HttpSms, report: &mut Report<'_>) {
    if config.success.status.is_empty() || !config.success.status.iter().all(|s| (200..300).contains(s)) {
        report.fault("success.status", "must list at least one status, each from 200 to 299", "often [200] or [201]");
    }
    let pointers = [
        ("success.pointer", config.success.json.as_ref().map(|(pointer, _)| pointer)),
        ("id_pointer", config.id_pointer.as_ref()),
        ("error_pointer", config.error_pointer.as_ref()),
    ];
    for (key, pointer) in pointers {
        if pointer.is_some_and(|pointer| !pointer.starts_with('/')) {
            report.fault(key, "is not a JSON pointer", "write it as /data/0/id (RFC 6901)");
        }
    }
    if config.timeout.is_zero() {
        report.fault("timeout", "must be above zero", "set it to \"20s\"");
    }
}
