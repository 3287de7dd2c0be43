//! Nothing that an author writes or an event carries can crash, hang or flood.

use std::fmt::Write as _;

use serde_json::json;

use super::kit::*;
use super::*;
use crate::clock::Time;

fn partials(text: &str, partials: &[(&str, &str)]) -> String {
    sms_set(text, partials).err().map(|f| f[0].to_string()).unwrap_or_default()
}

#[test]
fn partials_that_include_each_other_are_refused_before_anything_runs() {
    let fault = partials("hi", &[("_partials/a.hbs", "{{> b}}"), ("_partials/b.hbs", "x\n{{> a}}")]);
    assert!(fault.contains("partials include each other: `a` includes `b` includes `a`"), "{fault}");
    assert!(fault.contains("b.hbs:2"), "{fault}");
    let fault = partials("hi", &[("_partials/a.hbs", "{{> a}}")]);
    assert!(fault.contains("`a` includes `a`"), "{fault}");
    let fault =
        partials("hi", &[("_partials/a.hbs", "{{#> b}}{{> a}}{{/b}}"), ("_partials/b.hbs", "{{> @partial-block}}")]);
    assert!(fault.contains("include each other"), "{fault}");
}

#[test]
fn a_chain_of_partials_ends_at_eight() {
    let files: Vec<(String, String)> =
        (0..12).map(|i| (format!("_partials/p{i}.txt.hbs"), format!("{{{{> p{}}}}}", i + 1))).collect();
    let mut files: Vec<(&str, &str)> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    files.push(("_partials/p12.txt.hbs", "end"));
    assert!(partials("{{> p0}}", &files).contains("nest deeper than 8"));
}

#[test]
fn partials_cannot_swell_without_end() {
    let wide = |next: &str| format!("{{{{> {next}}}}}").repeat(40);
    let (a, b, c) = (wide("b"), wide("c"), wide("d"));
    let fault = partials(
        "{{> a}}",
        &[("_partials/a.hbs", &a), ("_partials/b.hbs", &b), ("_partials/c.hbs", &c), ("_partials/d.hbs", "x")],
    );
    assert!(fault.contains("grows beyond 20000 pieces"), "{fault}");
}

#[test]
fn includes_have_fixed_names_that_exist() {
    for (text, expected) in [
        ("{{> (lookup event.data \"p\")}}", "cannot be computed"),
        ("{{> footr}}", "did you mean `footer`?"),
        ("{{> @partial-block}}", "outside a layout"),
        ("{{#*inline \"x\"}}y{{/inline}}", "inline partials are not available"),
        ("{{* x}}", "decorators"),
        ("{{{event.name}}}", "three braces"),
        ("{{&event.name}}", "without escaping"),
        ("{{{{raw}}}}x{{{{/raw}}}}", "three braces"),
        ("{{log event.name}}", "helper `log` does not exist"),
        ("{{#raw}}x{{/raw}}", "not a block"),
    ] {
        let fault = partials(text, &[("_partials/footer.hbs", "x")]);
        assert!(fault.contains(expected), "{text}: {fault}");
    }
}

#[test]
fn loops_nest_twice_at_most_also_through_partials() {
    let three = "{{#each items}}{{#each this.a}}{{#each this.b}}{{/each}}{{/each}}{{/each}}";
    assert!(partials(three, &[]).contains("loops nest deeper than 2"));
    let fault = partials(
        "{{#each items}}{{#each this.a}}{{> inner}}{{/each}}{{/each}}",
        &[("_partials/inner.hbs", "{{#each this.b}}{{/each}}")],
    );
    assert!(fault.contains("loops nest deeper than 2"), "{fault}");
}

#[test]
fn loops_run_out_of_fuel_not_of_time() {
    let set = sms_set("{{#each event.data.a}}{{#each @root.event.data.a}}{{/each}}{{/each}}x", &[]);
    assert!(set.is_err(), "@root is not for authors");
    let set = sms_set("{{#each event.data.a}}{{#each event.data.a}}{{/each}}{{/each}}x", &[]).ok().unwrap();
    let nobody = customer(&[], "en");
    let long = json!({"a": vec![1; 900]});
    let error = sms(&set, long, &nobody).unwrap_err();
    assert!(matches!(&error, RenderError::Failed { detail, .. } if detail.contains("steps")), "{error}");
    assert_eq!(sms(&set, json!({"a": vec![1; 300]}), &nobody).unwrap(), "x");
}

#[test]
fn output_is_capped() {
    let text = "{{#each event.data.a}}{{this}}{{/each}}";
    let data = json!({"a": vec!["0123456789"; 300]});
    assert_eq!(say(text, data.clone()), Err(RenderError::TooLarge { part: "sms.txt.hbs".into(), limit: 2048 }));

    let toml = format!("{HEAD}[email]\nsender = \"loyalty\"\nsubject = \"{text}\"\n");
    let big = "x".repeat(1500);
    let body = format!("{{{{#each event.data.a}}}}{big}{{{{/each}}}}");
    let set = load(&[("t/template.toml", &toml), ("t/email.html.hbs", &body)]).unwrap_or_else(|f| panic!("{f:?}"));
    let limits = |data: serde_json::Value| {
        let (event, org, nobody) = (event(data), org(), customer(&[], "en"));
        let input = RenderInput {
            channel: Channel::Email,
            event: &event,
            items: &[],
            customer: &nobody,
            org: &org,
            now: Time::from_millis(0),
        };
        set.render(&id("t"), &input).err()
    };
    assert_eq!(limits(data), Some(RenderError::TooLarge { part: "email.subject".into(), limit: 998 }));
    let many = json!({"a": vec![""; 990].into_iter().map(|_| "").collect::<Vec<_>>()});
    assert!(limits(many).is_some());
    assert_eq!(
        limits(json!({"a": vec![1; 900]})),
        Some(RenderError::TooLarge { part: "email.html.hbs".into(), limit: 1_048_576 })
    );
}

#[test]
fn deep_nesting_is_refused_not_run() {
    let mut deep = String::new();
    for _ in 0..5_000 {
        let _ = write!(deep, "{{{{#if event.id}}}}");
    }
    assert!(partials(&deep, &[]).contains("nest deeper than"));
    let parens = format!("{{{{upper {}event.id{}}}}}", "(upper ".repeat(3_000), ")".repeat(3_000));
    assert!(partials(&parens, &[]).contains("nest deeper than"));
    let elses = format!("{{{{#if event.id}}}}{}{{{{/if}}}}", "{{else if event.id}}".repeat(3_000));
    assert!(partials(&elses, &[]).contains("more than"));
    let toml = format!("{HEAD}[email]\nsender = \"loyalty\"\nsubject = \"x\"\n");
    let mjml = format!("<mjml><mj-body>{}</mj-body></mjml>", "<div>".repeat(20_000));
    assert!(faults(&[("t/template.toml", &toml), ("t/email.mjml.hbs", &mjml)]).contains("elements nest deeper than"));
    let path = format!("{{{{event{}}}}}", ".a".repeat(2_000));
    assert!(partials(&path, &[]).contains("is not a variable"));
}

#[test]
fn values_cannot_break_lines_headers_or_direction() {
    let out = say("A {{event.data.x}} B", json!({"x": "1\r\nBcc: x\u{0}\u{202e}y\u{2066}\u{2028}z"})).unwrap();
    assert_eq!(out, "A 1  Bcc: x y z B");
}
