//! What conditions are held to, whatever a marketer writes and a sender sends: the target `condition`.
//!
//! Promises: texts are made of the language's own grammar, or are any text at all; an answer is asked for twice, and in other words that must
//! mean the same.
//! Never: a second interpreter; `tests` holds ours against `cel`'s.

use serde_json::{Map, Value as Json};

use super::{Answer, Condition, Facts, MAX_BYTES};
use crate::choices::Choices;

/// Stands in events only: a fault or a missing field's name that has it has told a value.
const CANARY: &str = "qanarya";
const CANARY_NUMBER: i64 = 7_771_234_567;

/// A text and an event.
pub(crate) fn condition(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let data = Json::Object(object(&mut choices, 0));
    let text = if choices.one_in(4) {
        String::from_utf8_lossy(choices.rest()).into_owned()
    } else {
        let mut text = String::new();
        truth(&mut choices, 0, &mut text);
        text
    };
    let facts =
        Facts { name: "pointsIssued", id: Some("e-1"), org: 41_007, created_at: 1_793_092_797_616, data: &data };
    let first = Condition::compile(&text);
    match (&first, Condition::compile(&text)) {
        (Ok(_), Ok(_)) => {}
        (Err(first), Err(second)) => assert_eq!(*first, second, "refused differently the second time"),
        _ => panic!("read differently the second time"),
    }
    let Ok(condition) = first else { return };
    assert!(text.len() <= MAX_BYTES);
    let answer = said(&condition, facts);
    assert_eq!(answer, said(&condition, facts), "answers differently the second time");
    assert!(!answer.contains(CANARY) && !answer.contains(&CANARY_NUMBER.to_string()), "a value of the event is told");
    let _ = condition.first_false(facts);
    let opposite = match answer.as_str() {
        "yes" => "no",
        "no" => "yes",
        other => other,
    };
    // Nothing is said of what outgrows the limits.
    for (more, expected) in [
        (format!("!({text})"), opposite),
        (format!("({text}) && true"), &answer),
        (format!("false || ({text})"), &answer),
        (format!("({text}) ? true : false"), &answer),
        (format!("({text}) || true"), "yes"),
        (format!("({text}) && false"), "no"),
    ] {
        if let Ok(more) = Condition::compile(&more) {
            let got = said(&more, facts);
            let spent = "fault: takes more than";
            assert!(got == expected || got.starts_with(spent) || answer.starts_with(spent), "{got}, not {expected}");
        }
    }
}

fn said(condition: &Condition, facts: Facts<'_>) -> String {
    match condition.holds(facts) {
        Answer::Yes => "yes".into(),
        Answer::No => "no".into(),
        Answer::Unknown(place) => format!("unknown: {place}"),
        Answer::Fault(fault) => format!("fault: {fault}"),
    }
}

fn object(choices: &mut Choices<'_>, depth: usize) -> Map<String, Json> {
    (0..choices.below(6))
        .map(|_| (choices.pick(&["a", "b", "c", "d", "é", "null"]).to_owned(), json(choices, depth + 1)))
        .collect()
}

fn json(choices: &mut Choices<'_>, depth: usize) -> Json {
    match choices.below(if depth > 4 { 7 } else { 9 }) {
        0 => Json::Null,
        1 => Json::Bool(choices.one_in(2)),
        2 => choices.number().into(),
        3 => choices.word().into(),
        4 => f64::from_bits(choices.word()).into(),
        5 => CANARY_NUMBER.into(),
        6 => choices
            .text(&["", "1", "1e999", "a", "A", CANARY, " 7 ", "nan"])
            .repeat(choices.pick(&[1, 1, 1, 3_000]))
            .into(),
        7 => {
            let item = json(choices, depth + 1);
            let more: Vec<Json> = (0..choices.below(4)).map(|_| json(choices, depth + 1)).collect();
            let times = choices.pick(&[0, 1, 1, 2, 1_000, 1_001]);
            // A long list of large elements would only be slow to make.
            let times = if item.is_object() || item.is_array() { times.min(2) } else { times };
            std::iter::repeat_n(item, times).chain(more).collect::<Vec<_>>().into()
        }
        _ => object(choices, depth + 1).into(),
    }
}

fn path(choices: &mut Choices<'_>, out: &mut String) {
    out.push_str(choices.pick(&[
        "event.data",
        "event.data.a",
        "event.data.b",
        "e",
        "f",
        "event.org",
        "event.id",
        "event.created_at",
        "event.name",
    ]));
    for _ in 0..choices.below(3) {
        out.push_str(choices.pick(&[
            ".a",
            ".b",
            ".c",
            ".d",
            "[0]",
            "[1]",
            "[\"a\"]",
            "[-1]",
            "[1.5]",
            "[e]",
            "[event.data.a]",
            "[9223372036854775807]",
        ]));
    }
}

fn operand(choices: &mut Choices<'_>, depth: usize, out: &mut String) {
    if depth > 6 || choices.is_over() {
        out.push('1');
        return;
    }
    match choices.below(12) {
        0 => out.push_str(choices.pick(&[
            "0",
            "1",
            "-1",
            "2.5",
            "9223372036854775807",
            "-9223372036854775808",
            "1e308",
            "true",
            "null",
            "\"a\"",
            "''",
            "[]",
        ])),
        1..=4 => path(choices, out),
        5 => {
            out.push('(');
            operand(choices, depth + 1, out);
            out.push_str(choices.pick(&[" + ", " - ", " * ", " / ", " % "]));
            operand(choices, depth + 1, out);
            out.push(')');
        }
        6 => {
            out.push_str(choices.pick(&["size(", "int(", "double(", "string(", "-("]));
            operand(choices, depth + 1, out);
            out.push(')');
        }
        7 => {
            operand(choices, depth + 1, out);
            out.push_str(choices.pick(&[".lowerAscii()", ".upperAscii()", ".trim()", ".size()"]));
        }
        8 => {
            out.push('[');
            for _ in 0..choices.below(4) {
                operand(choices, depth + 1, out);
                out.push(',');
            }
            operand(choices, depth + 1, out);
            out.push(']');
        }
        9 => {
            path(choices, out);
            out.push_str(choices.pick(&[".map(e, ", ".map(f, ", ".filter(e, true || "]));
            operand(choices, depth + 1, out);
            out.push(')');
        }
        10 => {
            out.push('(');
            truth(choices, depth + 1, out);
            out.push_str(" ? ");
            operand(choices, depth + 1, out);
            out.push_str(" : ");
            operand(choices, depth + 1, out);
            out.push(')');
        }
        _ => {
            out.push('"');
            out.push_str(&choices.text(&["a"]).replace(['"', '\\', '\n', '\r'], ""));
            out.push('"');
        }
    }
}

fn truth(choices: &mut Choices<'_>, depth: usize, out: &mut String) {
    if depth > 6 || choices.is_over() {
        out.push_str("true");
        return;
    }
    match choices.below(8) {
        0 => path(choices, out),
        1 => {
            out.push_str("has(");
            path(choices, out);
            out.push(')');
        }
        2 => {
            out.push_str("!(");
            truth(choices, depth + 1, out);
            out.push(')');
        }
        3 => {
            out.push('(');
            truth(choices, depth + 1, out);
            out.push_str(choices.pick(&[" && ", " || "]));
            truth(choices, depth + 1, out);
            out.push(')');
        }
        4 => {
            operand(choices, depth + 1, out);
            out.push_str(choices.pick(&[".all(e, ", ".exists(e, ", ".exists_one(e, ", ".all(f, ", ".exists(f, "]));
            truth(choices, depth + 1, out);
            out.push(')');
        }
        5 => {
            operand(choices, depth + 1, out);
            out.push_str(choices.pick(&[".contains(", ".startsWith(", ".endsWith("]));
            operand(choices, depth + 1, out);
            out.push(')');
        }
        _ => {
            operand(choices, depth + 1, out);
            out.push_str(choices.pick(&[" == ", " != ", " < ", " <= ", " > ", " >= ", " in "]));
            operand(choices, depth + 1, out);
        }
    }
}
