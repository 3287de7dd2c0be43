//! Whatever is written or sent: a template or faults, a message or an error, never a panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::kit::*;
use super::*;
use crate::clock::Time;

/// Pieces that together make nearly valid templates.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{{".to_owned()),
        Just("}}".to_owned()),
        Just("{{{".to_owned()),
        Just("{{#if ".to_owned()),
        Just("{{/if}}".to_owned()),
        Just("{{else}}".to_owned()),
        Just("{{#each items as |a|}}".to_owned()),
        Just("{{/each}}".to_owned()),
        Just("{{> ".to_owned()),
        Just("{{> a}}".to_owned()),
        Just("{{#> b}}".to_owned()),
        Just("{{/b}}".to_owned()),
        Just("{{else if ".to_owned()),
        Just("event.data.x".to_owned()),
        Just("customer.first_name".to_owned()),
        Just("(default ".to_owned()),
        Just(")".to_owned()),
        Just("\"".to_owned()),
        Just("'".to_owned()),
        Just("\\".to_owned()),
        Just("[0]".to_owned()),
        Just("../".to_owned()),
        Just("@index".to_owned()),
        Just(" | ".to_owned()),
        Just("=".to_owned()),
        Just("~".to_owned()),
        Just("{{!-- ".to_owned()),
        Just(" --}}".to_owned()),
        Just("<a href=\"".to_owned()),
        Just("\">".to_owned()),
        Just("<!--".to_owned()),
        Just("-->".to_owned()),
        Just("<style>".to_owned()),
        Just("&#106;".to_owned()),
        Just("\n".to_owned()),
        Just("number ".to_owned()),
        Just("{{number event.data.x}}".to_owned()),
        Just("<mj-section><mj-column><mj-text>".to_owned()),
        Just("</mj-text></mj-column></mj-section>".to_owned()),
        Just("<mj-".to_owned()),
        Just("/>".to_owned()),
        Just("<br>".to_owned()),
        Just("{{event.data.x}}".to_owned()),
        Just("éअ😀".to_owned()),
        "[ -~]{0,6}",
        "\\PC{0,3}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..24).prop_map(|p| p.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9:.]{0,12})?".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[abxdn]", inner, 0..4).prop_map(|m| json!(m)),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_in_any_part_loads_or_is_refused(body in text(), partial in text(), line in text()) {
        let quoted = toml::Value::from(line.replace(|c: char| c.is_control(), " ")).to_string();
        let toml = format!("{HEAD}[email]\nsender = \"x\"\nsubject = {quoted}\n[sms]\nsender = \"x\"\n[texts]\nt = {quoted}\n");
        for html in ["email.html.hbs", "email.mjml.hbs"] {
            let wrapped = if html.contains("mjml") { format!("<mjml><mj-body>{body}</mj-body></mjml>") } else { body.clone() };
            let (part, b) = (format!("t/{html}"), format!("{partial}{{{{> @partial-block}}}}"));
            let _ = load(&[
                ("_partials/a.hbs", &partial), ("_partials/b.hbs", &b), ("t/template.toml", &toml),
                (part.as_str(), &wrapped), ("t/sms.txt.hbs", &body),
            ]);
        }
    }

    #[test]
    fn any_toml_is_read_or_refused(text in "(\\[(template|email|sms|locale.hi.sms|org.1.sms)\\]\n|(category|reads|sender|subject|text|vars|locale) = (\"\\PC{0,8}\"|[0-9]{1,3}|\\[.{0,5}\\])\n|\\PC{0,6}){0,12}") {
        let _ = load(&[("t/template.toml", &text), ("t/sms.txt.hbs", "x"), ("_tables/stores.csv", &text)]);
    }

    #[test]
    fn any_data_renders_or_is_an_error(data in value(), item in value(), name in "\\PC{0,10}", locale in "[a-zA-Z_-]{0,8}", zone in "\\PC{0,8}") {
        let event = json!({"name": "x", "id": "e", "org": 1, "created_at": 0, "data": data});
        let (mut org, mut who) = (org(), customer(&[("first_name", &name)], &locale));
        who.time_zone = Some(zone);
        org.locale = locale;
        let items = [item];
        let set = SET.with(std::rc::Rc::clone);
        for channel in [Channel::Email, Channel::Sms] {
            let input = RenderInput { channel, event: &event, items: &items, customer: &who, org: &org, now: Time::from_millis(0) };
            for template in set.all() {
                if let Ok(Content::Email { subject, .. }) = set.render(&template.id, &input) {
                    prop_assert!(!subject.expose().chars().any(char::is_control));
                }
            }
        }
    }
}

thread_local! {
    static SET: std::rc::Rc<TemplateSet> = std::rc::Rc::new({
        let all = "{{#each event.data.a}}{{@index}}{{#with this}}{{default x \"-\"}}{{/with}}{{/each}}{{default event.data.x (number event.data.n) (money event.data.n) \
            (date event.data.d \"long\") (find event.data.a \"x\" event.data.b \"d\") (lookup event.data.a event.data.n) \"none\"}}\
            {{#if (or (gt event.data.n event.data.x) (is_date event.data.d))}}{{plural event.data.n \"a\" \"b\"}}{{/if}}\
            {{default (truncate (title event.data.x) 5) (url event.data.b) \"x\"}}{{urlencode (default item.x customer.first_name \"q\")}}{{len event.data}}";
        let toml = format!("{HEAD}[email]\nsender = \"x\"\nsubject = '{all}'\n[sms]\nsender = \"x\"\n");
        let strict = format!("{HEAD}[sms]\nsender = \"x\"\ntext = \"{{{{1}}}} {{{{2}}}} {{{{3}}}}\"\nvars = ['{{{{number event.data.n}}}}', '{{{{date event.data.d}}}}', '{{{{money event.data.x}}}}']\n");
        load(&[("t/template.toml", &toml), ("t/email.html.hbs", all), ("t/sms.txt.hbs", all), ("u/template.toml", &strict)])
            .unwrap_or_else(|f| panic!("{f:?}"))
    });
}
