//! What templates are held to, whatever an author writes and an event carries: the target `template`.
//!
//! Promises: parts are made of the language's own grammar, or are any text; each loads or is refused, the same each time; what is rendered
//! keeps within its bounds, and values keep within their places.
//! Never: a folder on a disk; a person who is not made up.

mod author;

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::load::load_files;
use super::source::Files;
use super::{Content, RenderError, RenderInput, TemplateSet, example_org};
use crate::choices::Choices;
use crate::clock::Time;
use crate::id::Channel;
use crate::personal::{Customer, Personal};

/// A value that would be markup, an attribute and an end of a line, if it were not escaped.
const MARKUP: &str = "<q1x onload=\"q2x\">'q3x'\r\nX-Evil: q4x\u{202e}";
/// The person's first name; only a template that reads it may show it, and no link may.
const NAME: &str = "Qanarya<q1x a=\"b\">";
/// A field of the contact that no template here declares.
const UNDECLARED: &str = "+919876501234";

const MAX_MAIL: usize = 1024 * 1024;
const MAX_SMS: usize = 2048;

/// One folder of templates, and an event.
pub(crate) fn template(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let data = data(&mut choices, 0);
    let reads_name = choices.one_in(2);
    let files = author::files(&mut choices, reads_name);
    let (set, again) = match (load(&files), load(&files)) {
        (Ok(set), Ok(again)) => (set, again),
        (Err(faults), Err(again)) => {
            assert!(!faults.is_empty() && faults == again, "refused differently the second time");
            return;
        }
        _ => panic!("loads only now and then"),
    };
    let event =
        json!({"name": "pointsIssued", "id": "e-1", "org": 41007, "created_at": choices.number(), "data": data});
    let items: Vec<Value> = (0..choices.below(3)).map(|_| self::data(&mut choices, 2)).collect();
    let mut org = example_org();
    org.locale = choices.pick(&["en-IN", "hi", "ar-SA", "fr", "de", "zz", ""]).to_owned();
    let customer = Customer {
        fields: [("first_name", NAME), ("mobile", UNDECLARED)]
            .map(|(name, value)| (name.to_owned(), Personal::new(value)))
            .into(),
        locale: Some(choices.pick(&["en-IN", "hi-IN", "ar", "x", ""]).to_owned()),
        time_zone: Some(choices.pick(&["Asia/Kolkata", "Europe/London", "nowhere"]).to_owned()),
    };
    for channel in [Channel::Email, Channel::Sms] {
        let now = Time::from_millis(1_798_920_664_080);
        let input = RenderInput { channel, event: &event, items: &items, customer: &customer, org: &org, now };
        for info in set.all() {
            let first = set.render(&info.id, &input);
            assert!(said(&first) == said(&again.render(&info.id, &input)), "renders differently the second time");
            match &first {
                Ok(content) => in_bounds(content, reads_name),
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        !["q1x", "q2x", "Qanarya", UNDECLARED].iter().any(|value| text.contains(value)),
                        "an error has a value"
                    );
                }
            }
        }
    }
}

fn load(files: &[(String, String)]) -> Result<TemplateSet, Vec<crate::config::Fault>> {
    let files: Files = files.iter().map(|(path, text)| (Arc::from(path.as_str()), text.clone())).collect();
    load_files((files, Vec::new()), PathBuf::from("templates"), None)
}

/// All that came out, as one text.
fn said(rendered: &Result<Content, RenderError>) -> String {
    match rendered {
        Ok(Content::Email { subject, html, text }) => {
            format!("{}\0{}\0{}", subject.expose(), html.as_ref().map_or("", Personal::expose), text.expose())
        }
        Ok(Content::Sms { text, vars, registration }) => {
            let vars: Vec<&str> = vars.iter().map(Personal::expose).collect();
            format!("{}\0{vars:?}\0{registration:?}", text.expose())
        }
        Err(error) => error.to_string(),
    }
}

fn in_bounds(content: &Content, reads_name: bool) {
    let line = |text: &str| !text.chars().any(char::is_control) && !text.contains('\u{202e}');
    match content {
        Content::Email { subject, html, text } => {
            assert!(
                line(subject.expose()) && subject.expose().len() <= 998 && !subject.is_blank(),
                "a subject that is none"
            );
            assert!(text.expose().len() <= MAX_MAIL && !text.is_blank());
            assert!(!["\nX-Evil", "\rX-Evil"].iter().any(|line| text.expose().contains(line)), "a value begins a line");
            if let Some(html) = html {
                assert!(html.expose().len() <= MAX_MAIL);
                page(html.expose());
            }
            own(&[Some(subject), html.as_ref(), Some(text)], reads_name);
        }
        Content::Sms { text, vars, .. } => {
            assert!(text.expose().len() <= MAX_SMS && !text.is_blank());
            assert!(
                !text.expose().contains("\nX-Evil") && !text.expose().contains('\u{202e}'),
                "a value begins a line"
            );
            assert!(vars.iter().all(|var| line(var.expose()) && !var.is_blank()), "a variable of more than a line");
            let parts: Vec<_> = vars.iter().chain([text]).map(Some).collect();
            own(&parts, reads_name);
        }
    }
}

/// No more of the person than was declared.
fn own(parts: &[Option<&Personal>], reads_name: bool) {
    for part in parts.iter().flatten() {
        assert!(!part.expose().contains("9876501234"), "an undeclared field is shown");
        assert!(
            reads_name || !part.expose().to_lowercase().contains("qanarya"),
            "a field is shown without being declared"
        );
    }
}

/// No value is markup, and no link says who the person is.
fn page(html: &str) {
    let lower = without_comments(&html.to_lowercase());
    assert!(!lower.contains("<q1x") && !lower.contains("\"q2x\"") && !lower.contains("'q3x'"), "a value is markup");
    for attribute in ["href=\"", "src=\"", "action=\"", "background=\"", "style=\""] {
        for (at, _) in lower.match_indices(attribute) {
            let value = lower[at + attribute.len()..].split('"').next().unwrap_or_default();
            assert!(!value.contains("qanarya"), "a link has the person's name");
            let scheme = value.trim_start();
            assert!(!scheme.starts_with("javascript:") && !scheme.starts_with("data:"), "a link is a script");
        }
    }
}

/// What an author puts into a comment is no link. Values cannot open or close one: they are escaped.
fn without_comments(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, comment)) = rest.split_once("<!--") {
        out.push_str(before);
        rest = comment.split_once("-->").map_or("", |(_, after)| after);
    }
    out + rest
}

fn data(choices: &mut Choices<'_>, depth: usize) -> Value {
    match choices.below(if depth > 3 { 8 } else { 12 }) {
        0 => MARKUP.into(),
        1 => Value::Null,
        2 => choices.number().into(),
        3 => f64::from_bits(choices.word()).into(),
        4 => choices
            .pick(&["javascript:alert(1)", "https://acme.example/?a=1&b=2", "data:text/html,x", " ", "NA"])
            .into(),
        5 => choices
            .pick(&["2024-02-29", "2026-03-29 01:30:00", "2026-02-30", "2121-04-27", "1767205800000", "12:00", "-1"])
            .into(),
        6 => choices.one_in(2).into(),
        7 => choices.text(&[MARKUP, "1250.50", "-0.0", "1e308"]).into(),
        8 => {
            let item = data(choices, depth + 1);
            let times =
                if item.is_string() || item.is_number() { choices.pick(&[1, 3, 1_001]) } else { choices.pick(&[1, 3]) };
            vec![item; times].into()
        }
        _ => {
            let fields = (0..choices.below(6))
                .map(|_| (choices.pick(&["a", "b", "n", "d", "x"]).to_owned(), data(choices, depth + 1)));
            Value::Object(fields.collect())
        }
    }
}
