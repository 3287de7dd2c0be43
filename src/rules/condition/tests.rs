//! Conditions by table and by property: what they mean, what they refuse, what they cost.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;

fn facts(data: &Json) -> Facts<'_> {
    Facts { name: "pointsIssued", id: Some("e-1"), org: 41_007, created_at: 1_793_092_797_616, data }
}

/// `yes`, `no`, `unknown: path` or `fault: where and why`.
fn run(text: &str, data: &Json) -> String {
    let condition = Condition::compile(text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
    match condition.holds(facts(data)) {
        Answer::Yes => "yes".into(),
        Answer::No => "no".into(),
        Answer::Unknown(place) => format!("unknown: {place}"),
        Answer::Fault(fault) => format!("fault: {fault}"),
    }
}

fn table(data: &Json, rows: &[(&str, &str)]) {
    for (text, expected) in rows {
        assert_eq!(run(text, data), *expected, "{text}");
    }
}

#[test]
fn numbers_are_by_value_however_they_are_written() {
    let data = json!({"whole": 8, "float": 8.0, "half": 7.5, "negative": -3, "big": 18_446_744_073_709_551_615_u64, "text": "12"});
    table(
        &data,
        &[
            ("event.data.whole > 0", "yes"),
            ("event.data.float > 0", "yes"),
            ("event.data.half > 7", "yes"),
            ("event.data.negative < 0.5", "yes"),
            ("event.data.whole == 8.0 && event.data.float == 8", "yes"),
            ("event.data.whole == event.data.float", "yes"),
            ("event.data.whole + 1 == 9", "yes"),
            ("event.data.float + 1 == 9", "yes"),
            ("event.data.whole + event.data.half == 15.5", "yes"),
            ("-event.data.half < -7", "yes"),
            ("event.data.whole / 3 == 2 && event.data.float / 3 == 2", "yes"),
            ("event.data.whole / 3.0 > 2.6", "yes"),
            ("event.data.whole % 3 == 2 && event.data.float % 3 == 2", "yes"),
            ("event.data.big > 9223372036854775807", "yes"),
            ("int(event.data.text) + 1 == 13 && double(\"8.5\") == 8.5 && string(8) == \"8\"", "yes"),
            ("event.data.half in [7, 7.5]", "yes"),
            ("event.data.whole in [1, 8.0]", "yes"),
            ("9223372036854775807 + event.data.whole > 0", "fault: `… + event.data.whole`: the result is too large"),
            ("event.data.whole / 0 > 1", "fault: `event.data.whole / …`: divides by zero"),
            ("event.data.half % 2 == 1", "fault: `event.data.half % …`: needs whole numbers"),
            ("int(event.data.text + \"x\") > 1", "fault: `int`: the text is not a number"),
        ],
    );
}

#[test]
fn a_missing_field_has_a_total_meaning() {
    let data = json!({"y": 2, "object": {"a": 1}, "list": [{"x": 1}, {}], "flag": true});
    table(
        &data,
        &[
            ("event.data.x > 0", "unknown: event.data.x"),
            ("event.data.a.b > 0", "unknown: event.data.a"),
            ("event.data.x == 1", "unknown: event.data.x"),
            ("event.data.x != 1", "unknown: event.data.x"),
            ("event.data.x == null", "unknown: event.data.x"),
            ("!(event.data.x == 1)", "unknown: event.data.x"),
            ("event.data.x in [1, 2]", "unknown: event.data.x"),
            ("event.data.x + 1 > 0", "unknown: event.data.x"),
            ("size(event.data.x) == 0", "unknown: event.data.x"),
            ("event.data.x.contains(\"a\")", "unknown: event.data.x"),
            ("event.data.x", "unknown: event.data.x"),
            ("event.data.list[7].x > 0", "unknown: event.data.list[7]"),
            ("event.data[\"x\"] > 0", "unknown: event.data[\"x\"]"),
            ("event.data.object[\"a\"] == 1", "yes"),
            ("has(event.data.x)", "no"),
            ("has(event.data.x.y.z)", "no"),
            ("has(event.data.y.z)", "no"),
            ("!has(event.data.x)", "yes"),
            ("has(event.data.object.a)", "yes"),
            ("has(event.data.list[0].x) && !has(event.data.list[1].x)", "yes"),
            ("has(event.data.x) || event.data.y > 1", "yes"),
            ("event.data.x > 1 || event.data.y > 1", "yes"),
            ("event.data.y > 1 || event.data.x > 1", "yes"),
            ("event.data.x > 1 || event.data.y > 5", "unknown: event.data.x"),
            ("event.data.x > 1 && event.data.y > 5", "no"),
            ("!(event.data.x > 1 && event.data.y > 5)", "yes"),
            ("event.data.x > 1 && event.data.y > 1", "unknown: event.data.x"),
            ("has(event.data.x) && event.data.x > 1", "no"),
            ("has(event.data.x) ? event.data.x > 1 : event.data.y > 1", "yes"),
            ("event.data.x ? true : true", "unknown: event.data.x"),
            ("event.data.list.exists(e, e.x == 1)", "yes"),
            ("event.data.list.exists(e, e.x == 2)", "unknown: e.x"),
            ("event.data.list.all(e, e.x == 2)", "no"),
            ("event.data.list.all(e, e.x == 1)", "unknown: e.x"),
            ("event.data.list.all(e, !has(e.x) || e.x == 1)", "yes"),
            ("size(event.data.list.filter(e, e.x == 1)) == 1", "unknown: e.x"),
            ("size(event.data.list.filter(e, has(e.x) && e.x == 1)) == 1", "yes"),
            ("event.data.list.exists_one(e, has(e.x))", "yes"),
            ("event.data.list.map(e, e.x) == [1]", "unknown: e.x"),
            ("event.data.nothing.all(e, false)", "unknown: event.data.nothing"),
        ],
    );
}

#[test]
fn null_is_there_but_has_no_size_order_or_content() {
    let data = json!({"n": null, "y": 2});
    table(
        &data,
        &[
            ("has(event.data.n)", "yes"),
            ("has(event.data.n.deeper)", "no"),
            ("event.data.n == null", "yes"),
            ("event.data.n != null", "no"),
            ("event.data.y != null && event.data.y > 1", "yes"),
            ("event.data.n != null && event.data.n > 1", "no"),
            ("event.data.n == 1", "no"),
            ("event.data.n != 1", "yes"),
            ("event.data.n > 0", "unknown: event.data.n"),
            ("event.data.n.deeper == 1", "unknown: event.data.n"),
            ("event.data.n", "unknown: event.data.n"),
            ("event.data.n.exists(e, true)", "unknown: event.data.n"),
        ],
    );
}

#[test]
fn texts_lists_and_the_envelope_can_be_asked() {
    let data = json!({"billType": "Regular", "store": {"code": " IN-07 "}, "tags": ["gold", "new"],
        "coupons": [{"code": "A1", "value": 10}, {"code": "B2", "value": 500.0}], "x": {"a": [1, 2.0]}, "y": {"a": [1.0, 2]}});
    table(
        &data,
        &[
            ("event.data.billType.lowerAscii() == 'regular'", "yes"),
            ("event.data.billType.upperAscii() == \"REGULAR\"", "yes"),
            ("event.data.store.code.trim().startsWith(\"IN\")", "yes"),
            ("event.data.store.code.endsWith(\"07\")", "no"),
            ("event.data.billType.contains(\"gul\")", "yes"),
            ("event.data.billType.size() == 7 && size(event.data.tags) == 2", "yes"),
            ("\"gold\" in event.data.tags && !(\"silver\" in event.data.tags)", "yes"),
            ("\"code\" in event.data.store", "yes"),
            ("event.data.coupons.exists(c, c.value > 100)", "yes"),
            ("event.data.coupons.exists_one(c, c.value > 5)", "no"),
            ("event.data.coupons.map(c, c.code) == [\"A1\", \"B2\"]", "yes"),
            ("event.data.coupons.map(c, c.value > 100, c.code) == [\"B2\"]", "yes"),
            ("event.data.coupons.filter(c, c.value > 100)[0].code == \"B2\"", "yes"),
            ("event.data.coupons.all(c, event.data.tags.exists(t, t != c.code))", "yes"),
            ("event.data.tags + [\"old\"] == [\"gold\", \"new\", \"old\"]", "yes"),
            ("event.data.x == event.data.y", "yes"),
            ("event.data.x != event.data.store", "yes"),
            ("event.data.billType < \"Z\" && event.data.billType + \"!\" == \"Regular!\"", "yes"),
            ("event.name == \"pointsIssued\" && event.id == \"e-1\" && event.org == 41007", "yes"),
            ("event.created_at > 1700000000000 && has(event.id) && has(event.data)", "yes"),
            ("event.data.tags[0] == \"gold\" // the first", "yes"),
            ("event.data.billType == 5", "no"),
            ("event.data.billType != 5", "yes"),
        ],
    );
}

#[test]
fn a_wrong_type_is_a_fault_that_names_fields_and_types_only() {
    let data = json!({"text": "secret", "number": 5, "list": [1], "flag": true, "object": {}});
    table(
        &data,
        &[
            ("event.data.text > 0", "fault: `event.data.text > …`: a text and a number have no order"),
            ("event.data.number", "fault: `event.data.number`: expected true or false, found a number"),
            ("!event.data.text", "fault: `event.data.text`: expected true or false, found a text"),
            ("event.data.number.deeper == 1", "fault: `event.data.number`: expected an object, found a number"),
            ("event.data.number.contains(\"5\")", "fault: `event.data.number`: expected a text, found a number"),
            ("event.data.text - 1 == 0", "fault: `event.data.text - …`: does not work on a text and a number"),
            ("event.data.flag + 1 == 2", "fault: `event.data.flag + …`: does not work on true or false and a number"),
            ("event.data.text.all(e, true)", "fault: `event.data.text`: expected a list, found a text"),
            ("event.data.list[\"a\"] == 1", "fault: `event.data.list[\"a\"]`: does not work on a list and a text"),
            (
                "size(event.data.number) == 1",
                "fault: `event.data.number`: expected a text, list or object, found a number",
            ),
            ("event.data.text > 0 || event.data.flag", "yes"),
            ("event.data.text > 0 && !event.data.flag", "no"),
            (
                "event.data.text > 0 && event.data.missing",
                "fault: `event.data.text > …`: a text and a number have no order",
            ),
            (
                "event.data.missing && event.data.text > 0",
                "fault: `event.data.text > …`: a text and a number have no order",
            ),
        ],
    );
}

#[test]
fn what_is_not_on_the_list_is_refused_at_load_with_a_hint() {
    let refused = |text: &str| {
        let problem = Condition::compile(text).err().unwrap_or_else(|| panic!("accepted: {text}"));
        format!("{} | {}", problem.what, problem.hint.unwrap_or_default())
    };
    for (text, expected) in [
        ("data.x > 0", "names the unknown variable `data`"),
        ("evnt.data.x > 0", "did you mean `event`?"),
        ("customer.first_name == 'a'", "names the unknown variable `customer`"),
        ("event", "uses `event` as a value"),
        ("event.totalPoints > 0", "payload fields stand under data: `event.data.totalPoints`"),
        ("event.dat.x > 0", "did you mean `event.data`?"),
        ("event.data.x.lowerAsci() == 'a'", "did you mean `lowerAscii`?"),
        ("event.data.x.matches('a+')", "patterns are not supported"),
        ("now() > 1", "calls the unknown function `now`"),
        ("contains(event.data.x, 'a')", "write `event.data.field.contains(\"text\")`"),
        ("event.data.x.int() > 0", "write `int(event.data.field)`"),
        ("event.data.list.all(x)", "write `event.data.list.all(x, x.field > 0)`"),
        ("event.data.list.all(event, true)", "already means something else"),
        ("event.data.list.all(x, x.all(x, true))", "already means something else"),
        ("event.data.list.all(a, a.all(b, b.all(c, true)))", "deeper than 2"),
        ("{'a': 1}.a == 1", "makes an object"),
        ("event.data.x == 5u", "write 5 for 5u"),
        ("event.data.x = 5", "column"),
        ("event.data.x >", "column"),
        ("event.data.x > 0 é", "column 18"),
        ("has(event)", "column"),
        ("  ", "leave `when` out"),
    ] {
        let problem = refused(text);
        assert!(problem.contains(expected), "{text}: {problem}");
    }
}

#[test]
fn conditions_that_would_overflow_the_parser_are_refused_before_it_sees_them() {
    let terms = vec!["event.data.x > 1"; 5_000].join(" && ");
    let short_terms = vec!["1"; 900].join("+");
    for (name, text) in [
        ("5,000 terms", terms),
        ("900 additions", short_terms),
        ("nested brackets", format!("{}1{}", "(".repeat(900), ")".repeat(900))),
        ("nested lists", format!("{}1{}", "[".repeat(900), "]".repeat(900))),
        ("nots", format!("{}true", "!-".repeat(900))),
        ("a long path", format!("event{}", ".a".repeat(900))),
        ("choices", "true?1:".repeat(250)),
        ("macros", format!("event.data.x{}", ".all(a,".repeat(250))),
        ("400 minus signs before a choice", format!("{}1", "!-".repeat(240))),
        ("240 choices", format!("{}1", "1?1:".repeat(120))),
        ("a tree of 70 additions", vec!["1"; 70].join("+")),
        ("a path of 100 steps", format!("event.data{} > 0", ".a".repeat(100))),
    ] {
        assert!(Condition::compile(&text).is_err(), "{name}");
    }
    // What fits is fine, on the small stack of a test thread.
    let chain = vec!["event.data.x > 1"; 55].join(" && ");
    assert_eq!(run(&chain, &json!({"x": 2})), "yes");
}

#[test]
fn work_is_bounded_however_large_the_event() {
    let long: Vec<Json> = (0..1_001).map(|i| json!({ "n": i })).collect();
    let thousand: Vec<Json> = long[..1_000].to_vec();
    let data = json!({"long": long, "list": thousand, "text": "x".repeat(900_000)});
    table(
        &data,
        &[
            ("event.data.list.all(e, e.n >= 0)", "yes"),
            (
                "event.data.long.all(e, e.n >= 0)",
                "fault: `event.data.long`: the list has 1001 elements; at most 1000 are looked at",
            ),
            ("event.data.list.all(a, event.data.list.all(b, b.n + a.n >= 0))", "fault: takes more than 200000 steps"),
            (
                "event.data.list.all(a, event.data.list.all(b, b.n + a.n >= 0)) || true",
                "fault: takes more than 200000 steps",
            ),
            ("event.data.list.all(a, event.data.text.lowerAscii() != 'y')", "fault: takes more than 200000 steps"),
            (
                "event.data.list.exists(a, event.data.text.contains(event.data.text) && false)",
                "fault: takes more than 200000 steps",
            ),
            (
                "size(event.data.list.map(a, event.data.text + event.data.text)) > 0",
                "fault: takes more than 200000 steps",
            ),
            // A text that the condition made is paid for each time that it is taken out of a list.
            (
                "[[event.data.text + event.data.text]].all(t, event.data.list.all(a, t[0] != 1))",
                "fault: takes more than 200000 steps",
            ),
            ("event.data.list.all(a, [event.data.text + ''] + [1] != [a])", "fault: takes more than 200000 steps"),
            ("event.data.list.all(a, event.data.list == event.data.list)", "fault: takes more than 200000 steps"),
            ("event.data.list.all(a, !(a in event.data.long) || true)", "fault: takes more than 200000 steps"),
        ],
    );
}

/// The same JSON for `cel`'s own interpreter, with its traps taken out: whole numbers as Int.
fn for_cel(json: &Json) -> cel::Value {
    match json {
        Json::Null => cel::Value::Null,
        Json::Bool(bool) => cel::Value::Bool(*bool),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => cel::Value::Int(whole),
            None => cel::Value::Float(number.as_f64().unwrap()),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(for_cel).collect::<Vec<_>>().into(),
        Json::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.as_str(), for_cel(value)))
            .collect::<std::collections::HashMap<_, _>>()
            .into(),
    }
}

fn number() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (-9_i64..10).prop_map(|n| if n < 0 { format!("({n})") } else { n.to_string() }),
        Just("event.data.i".to_owned()),
        Just("event.data.l[1]".to_owned()),
        Just("size(event.data.t)".to_owned()),
        Just("event.data.l.size()".to_owned()),
        Just("int(\"7\")".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        (inner.clone(), prop::sample::select(vec!["+", "-", "*", "/", "%"]), inner)
            .prop_map(|(a, operator, b)| format!("({a} {operator} {b})"))
    })
}

fn truth() -> impl Strategy<Value = String> {
    let order = prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]);
    let leaf = prop_oneof![
        (number(), order.clone(), number()).prop_map(|(a, operator, b)| format!("{a} {operator} {b}")),
        (number(), order.clone()).prop_map(|(a, operator)| format!("{a} {operator} event.data.d")),
        (order.clone(), "[a-c]{0,2}").prop_map(|(operator, b)| format!("event.data.t {operator} '{b}'")),
        "[a-c]{0,2}".prop_map(|b| format!("event.data.t.contains('{b}')")),
        number().prop_map(|n| format!("{n} in event.data.l")),
        Just("event.data.b".to_owned()),
        Just("has(event.data.b)".to_owned()),
        Just("has(event.data.nothing)".to_owned()),
        (order.clone(), number()).prop_map(|(operator, n)| format!("event.data.l.exists(e, e {operator} {n})")),
        (order.clone(), number()).prop_map(|(operator, n)| format!("event.data.l.all(e, e {operator} {n})")),
        (order.clone(), number()).prop_map(|(operator, n)| format!("event.data.l.exists_one(e, e {operator} {n})")),
        (order.clone(), number())
            .prop_map(|(operator, n)| format!("event.data.l.filter(e, e {operator} {n}).size() > 1")),
        (order, number()).prop_map(|(operator, n)| format!("event.data.l.map(e, e + 1).exists(e, e {operator} {n})")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) && ({b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) || ({b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner).prop_map(|(a, b, c)| format!("(({a}) ? ({b}) : ({c}))")),
        ]
    })
}

fn json_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "\\PC{0,8}".prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-e]", inner, 0..4).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Where nothing is missing and every type fits, we and `cel` agree, also on which calculations fail.
    #[test]
    fn we_mean_what_cel_means(text in truth(), i in -9_i64..10, d in -9.0_f64..9.0, t in "[a-c]{0,3}", b: bool,
                              l in prop::collection::vec(-9_i64..10, 2..5)) {
        let data = json!({"i": i, "d": d, "t": t, "b": b, "l": l});
        let Ok(ours) = Condition::compile(&text) else {
            // Only the bounds may refuse what this grammar makes.
            prop_assert!(text.len() > MAX_BYTES / 2 || text.matches(['(', '[']).count() > MAX_BRACKETS, "{}", text);
            return Ok(());
        };
        let mut context = cel::Context::default();
        context.add_variable_from_value("event", for_cel(&json!({"data": data})));
        let theirs = cel::Program::compile(&text).unwrap().execute(&context);
        match (ours.holds(facts(&data)), theirs) {
            (Answer::Yes, Ok(cel::Value::Bool(true))) | (Answer::No, Ok(cel::Value::Bool(false))) => {}
            (Answer::Fault(_), Err(_)) => {}
            (ours, theirs) => {
                let ours = match ours {
                    Answer::Yes => "yes".to_owned(),
                    Answer::No => "no".to_owned(),
                    Answer::Unknown(place) => format!("unknown {place}"),
                    Answer::Fault(fault) => format!("fault {fault}"),
                };
                prop_assert!(false, "{}: ours {}, theirs {:?}", text, ours, theirs);
            }
        }
    }

    #[test]
    fn no_text_panics_or_hangs(text in "\\PC{0,60}|[-!(){}\\[\\].,?:a-e0-9'\"<>=&|+*/% ]{0,200}") {
        if let Ok(condition) = Condition::compile(&text) {
            let _ = condition.holds(facts(&json!({})));
        }
    }

    #[test]
    fn no_event_panics(text in truth(), data in json_value()) {
        if let Ok(condition) = Condition::compile(&text) {
            let _ = condition.holds(facts(&data));
        }
    }

    #[test]
    fn no_operator_panics_on_any_pair_of_values(a in json_value(), b in json_value()) {
        let data = json!({"a": a, "b": b});
        for text in ["event.data.a < event.data.b", "event.data.a == event.data.b", "event.data.a in event.data.b",
            "event.data.a + event.data.b == 0", "event.data.a - event.data.b == 0", "event.data.a * event.data.b == 0",
            "event.data.a / event.data.b == 0", "event.data.a % event.data.b == 0", "event.data.a[event.data.b] == 0",
            "event.data.a.exists(x, x == event.data.b)", "-event.data.a == event.data.b", "int(event.data.a) == 0",
            "string(event.data.a) == event.data.b", "has(event.data.a.b)", "event.data.a.contains(event.data.b)",
            "event.data.a && event.data.b"] {
            let _ = run(text, &data);
        }
        prop_assert_eq!(run("event.data.a == event.data.a", &data), "yes");
    }
}
