//! Reading requests: bodies, queries, numbers in paths.
//!
//! Promises: one way for every handler; a fault names the field and what was expected.
//! Never: what was typed. It may be a person, and answers end up in logs and tickets: parsers quote what they stumble over,
//! so of their messages only the part that this program wrote itself is passed on.

use std::fmt::Write as _;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path as FieldPath, Segment};

use super::AdminError;

/// Words that a path may show: the fields of requests. Anything else in a path was chosen by whoever typed it.
const FIELDS: &[&str] = &[
    "after",
    "all",
    "asker",
    "attributes",
    "by",
    "card",
    "card_external_id",
    "contact",
    "customer",
    "customer_id",
    "day",
    "email",
    "external_id",
    "filter",
    "first_name",
    "how",
    "ids",
    "last_name",
    "limit",
    "locale",
    "mobile",
    "mode",
    "namespace",
    "org",
    "reason",
    "rows",
    "scope",
    "since",
    "state",
    "target",
    "template",
    "templates",
    "time_zone",
    "to",
    "updated_at",
    "value",
];

/// A JSON body; an empty one says nothing, as `{}` does.
pub(super) struct Read<T>(pub(super) T);

/// A body as it came, for who reads it piece by piece.
pub(super) struct Raw(pub(super) Bytes);

/// The words behind the `?` of an address.
pub(super) struct Asked<T>(pub(super) T);

/// A number in an address.
pub(super) struct Number(pub(super) u64);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Read<T> {
    type Rejection = AdminError;
    async fn from_request(request: Request, state: &S) -> Result<Self, AdminError> {
        let Raw(body) = Raw::from_request(request, state).await?;
        parse(if body.is_empty() { b"{}" } else { &body }).map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = AdminError;
    async fn from_request(request: Request, state: &S) -> Result<Self, AdminError> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|rejection| match rejection.into_response().status() {
            StatusCode::PAYLOAD_TOO_LARGE => AdminError::TooLarge,
            _ => AdminError::Invalid("the body broke off before its end".into()),
        })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = AdminError;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, AdminError> {
        type Fault = serde_path_to_error::Error<serde::de::value::Error>;
        Query::try_from_uri(&parts.uri).map(|Query(asked)| Self(asked)).map_err(|rejection| {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&rejection);
            while let Some(error) = cause {
                if let Some(fault) = error.downcast_ref::<Fault>() {
                    return AdminError::Invalid(describe(fault.path(), &fault.inner().to_string()));
                }
                cause = error.source();
            }
            AdminError::Invalid("the words behind `?` are not understood".into())
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = AdminError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let number = Path::<u64>::from_request_parts(parts, state).await;
        number
            .map(|Path(number)| Self(number))
            .map_err(|_| AdminError::Invalid("the last part of the address is not a number".into()))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, AdminError> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut json);
    let value = read.map_err(|fault: serde_path_to_error::Error<serde_json::Error>| {
        let error = fault.inner();
        match error.classify() {
            serde_json::error::Category::Data => AdminError::Invalid(describe(fault.path(), &error.to_string())),
            _ => not_json(error),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> AdminError {
    AdminError::Invalid(format!("body is not JSON: line {}, column {}", error.line(), error.column()))
}

fn describe(path: &FieldPath, message: &str) -> String {
    let place = place(path);
    // Names of fields that are missing are ours.
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        let place = if place.is_empty() { field.to_owned() } else { format!("{place}.{field}") };
        return format!("field `{place}` is missing");
    }
    let subject = if place.is_empty() { "the request".to_owned() } else { format!("field `{place}`") };
    let fault = if message.starts_with("unknown field ") { "has a field that is not known" } else { "does not fit" };
    match expectation(message) {
        Some(expected) => format!("{subject} {fault}; expected {expected}"),
        None => format!("{subject} {fault}"),
    }
}

fn place(path: &FieldPath) -> String {
    let mut text = String::new();
    for segment in path.iter() {
        // Writing into a String cannot fail.
        let _ = match segment {
            Segment::Seq { index } => write!(text, "[{index}]"),
            Segment::Map { key } if FIELDS.contains(&key.as_str()) => {
                write!(text, "{}{key}", if text.is_empty() { "" } else { "." })
            }
            Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown => {
                text.write_str(if text.is_empty() { "…" } else { ".…" })
            }
        };
    }
    text
}

/// The part of a parser's message that the program wrote. It stands behind the last "expected", because what was typed is quoted
/// before it; messages of any other form are not passed on at all.
fn expectation(message: &str) -> Option<&str> {
    const QUOTING: [&str; 5] =
        ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant ", "unknown field "];
    let message = message.rsplit_once(" at line ").map_or(message, |(text, _)| text);
    if QUOTING.iter().any(|form| message.starts_with(form)) {
        return message.rsplit_once(", expected ").map(|(_, expected)| expected);
    }
    // `IdError` quotes the id and ends with its grammar.
    let is_id_error = message.starts_with('`') && message.contains("` is not a ");
    is_id_error.then(|| message.rsplit_once("; expected ").map(|(_, expected)| expected)).flatten()
}

#[cfg(test)]
mod tests {
    use axum::http::Request as HttpRequest;
    use serde::Deserialize;

    use super::*;
    use crate::id::TemplateId;
    use crate::policy::Mode;

    const TYPED: &str = "asha@example.com";

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Body {
        #[expect(dead_code, reason = "only read")]
        template: TemplateId,
        #[expect(dead_code, reason = "only read")]
        mode: Option<Mode>,
        #[expect(dead_code, reason = "only read")]
        limit: Option<u32>,
        #[serde(default)]
        #[expect(dead_code, reason = "only read")]
        attributes: std::collections::BTreeMap<String, bool>,
    }

    fn fault(body: &str) -> String {
        parse::<Body>(body.as_bytes()).err().expect("refused").to_string()
    }

    #[test]
    fn a_fault_names_the_field_and_what_was_expected() {
        for (body, says) in [
            (r#"{"template": 7}"#, "field `template` does not fit; expected a string"),
            (r#"{"mode": "live"}"#, "field `template` is missing"),
            (
                r#"{"template": "x", "mode": "lvie"}"#,
                "field `mode` does not fit; expected one of `shadow`, `pilot`, `live`",
            ),
            (r#"{"template": "x", "limit": -1}"#, "field `limit` does not fit; expected u32"),
            (r#"{"template": "x", "attributes": {"a": 1}}"#, "field `attributes.…` does not fit; expected a boolean"),
            (r#"{"template": "x""#, "body is not JSON: line 1, column 16"),
            (r#"{"template": "x"} y"#, "body is not JSON: line 1, column 19"),
            ("[]", "field `template` does not fit"),
        ] {
            if body == "[]" {
                assert!(!fault(body).is_empty());
                continue;
            }
            assert_eq!(fault(body), says, "{body}");
        }
    }

    #[test]
    fn what_was_typed_is_never_repeated() {
        for body in [
            format!(r#"{{"template": "{TYPED}"}}"#),
            format!(r#"{{"template": "{TYPED}; expected {TYPED}"}}"#),
            format!(r#"{{"template": "x", "mode": "{TYPED}"}}"#),
            format!(r#"{{"template": "x", "mode": "x, expected {TYPED}"}}"#),
            format!(r#"{{"template": "x", "limit": "{TYPED}"}}"#),
            format!(r#"{{"template": "x", "{TYPED}": 1}}"#),
            format!(r#"{{"template": "x", "attributes": {{"{TYPED}": "{TYPED}"}}}}"#),
            format!(r#""{TYPED}""#),
            format!(r#"{{"template": {TYPED}}}"#),
            format!("{TYPED} at line 1 column 1"),
        ] {
            let said = fault(&body);
            assert!(!said.contains("asha") && !said.contains("example.com"), "{body}: {said}");
        }
    }

    #[tokio::test]
    async fn the_words_of_an_address_are_not_repeated_either() {
        let asked = async |query: &str| {
            let request = HttpRequest::builder().uri(format!("/v1/x?{query}")).body(()).expect("an address");
            let (mut parts, ()) = request.into_parts();
            match Asked::<Body>::from_request_parts(&mut parts, &()).await {
                Ok(_) => panic!("{query} is taken"),
                Err(error) => error.to_string(),
            }
        };
        let said = asked(&format!("template={TYPED}")).await;
        insta::assert_snapshot!(said, @"field `template` does not fit; expected 1 to 64 of a-z, 0-9, `-` and `_`, the first a letter or digit");
        let said = asked(&format!("template=x&{TYPED}=1")).await;
        assert!(!said.contains("asha"), "{said}");
        let said = asked(&format!("template=x&limit={TYPED}")).await;
        insta::assert_snapshot!(said, @"field `limit` does not fit");
    }
}
