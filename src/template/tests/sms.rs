//! Text messages: fixed text, ordered variables, registrations.

use serde_json::{Value, json};

use super::kit::*;
use super::*;
use crate::clock::Time;

fn toml(sms: &str) -> String {
    format!("{HEAD}[sms]\nsender = \"loyalty\"\n{sms}")
}

fn fault(sms: &str) -> String {
    faults(&[("t/template.toml", &toml(sms))])
}

#[test]
fn numbers_and_variables_must_agree() {
    for (sms, expected) in [
        ("text = \"Hi {{1}} {{2}}\"\nvars = [\"{{event.id}}\"]", "holds a tag that is none of `{{1}}` to `{{1}}`"),
        ("text = \"Hi {{1}}\"\nvars = [\"{{event.id}}\", \"{{event.name}}\"]", "has no `{{2}}` after `{{1}}`"),
        ("text = \"Hi {{2}} {{1}}\"\nvars = [\"{{event.id}}\", \"{{event.name}}\"]", "has no `{{2}}` after `{{1}}`"),
        ("text = \"Hi {{1}} {{1}}\"\nvars = [\"{{event.id}}\"]", "holds a tag"),
        ("text = \"Hi {{customer.first_name}}\"", "put the tag into `vars`"),
        ("vars = [\"{{event.id}}\"]", "the SMS has no text"),
        ("text = \"see https://a.example/{{1}}\"\nvars = [\"{{customer.first_name}}\"]", "stands inside a link"),
        ("text = \"Hi {{1}}\"\nvars = [\"{{event.idd}}\"]", "`event.idd` does not exist"),
        ("text = \"Hi\"\ndlt_template_id = 1107160000000000001", "expected a text"),
    ] {
        let fault = fault(sms);
        assert!(fault.contains(expected), "{sms}: {fault}");
        assert!(fault.contains("t/template.toml:"), "{fault}");
    }
}

struct Got {
    text: String,
    vars: Vec<String>,
    registration: Vec<(String, String)>,
}

fn get(set: &TemplateSet, org_id: i64, locale: &str, data: Value) -> Result<Got, RenderError> {
    let (org, who) = (org(), customer(&[("first_name", "Asha")], locale));
    let event = json!({"name": "x", "id": "e", "org": org_id, "created_at": 0, "data": data});
    let now = Time::from_millis(0);
    let input = RenderInput { channel: Channel::Sms, event: &event, items: &[], customer: &who, org: &org, now };
    match set.render(&id("t"), &input)? {
        Content::Sms { text, vars, registration } => Ok(Got {
            text: text.expose().into(),
            vars: vars.iter().map(|v| v.expose().to_owned()).collect(),
            registration: registration.into_iter().collect(),
        }),
        Content::Email { .. } => panic!("asked for an SMS"),
    }
}

#[test]
fn the_text_matches_its_registration_by_construction() {
    let toml = toml(
        "text = \"Dear {{1}}, {{2}} points. Acme\"\nvars = [\"{{customer.first_name}}\", \"{{number event.data.p}}\"]\n\
         dlt_template_id = \"1107160000000000001\"\n\
         [locale.hi.sms]\ntext = \"प्रिय {{1}}, {{2}} अंक\"\ndlt_template_id = \"1107160000000000002\"\n\
         [org.7.sms]\ndlt_template_id = \"1107160000000000007\"\n\
         [org.7.locale.hi.sms]\ndlt_template_id = \"1107160000000000008\"\n",
    );
    let set = load(&[("t/template.toml", &toml)]).unwrap_or_else(|f| panic!("{f:?}"));
    for (org, locale, text, registration) in [
        (1, "en-IN", "Dear Asha, 1,250 points. Acme", "1107160000000000001"),
        (1, "hi-IN", "प्रिय Asha, 1,250 अंक", "1107160000000000002"),
        (7, "en", "Dear Asha, 1,250 points. Acme", "1107160000000000007"),
        (7, "hi", "प्रिय Asha, 1,250 अंक", "1107160000000000008"),
    ] {
        let got = get(&set, org, locale, json!({"p": 1250.0})).unwrap();
        assert_eq!(got.text, text);
        assert_eq!(got.vars, ["Asha", "1,250"]);
        assert_eq!(got.registration, [("template_id".to_owned(), registration.to_owned())]);
    }
}

#[test]
fn a_variable_that_is_too_long_or_blank_stops_the_message() {
    let toml = toml("text = \"{{1}}.\"\nvars = [\"{{event.data.x}}\"]\nmax_var_chars = 5\n");
    let set = load(&[("t/template.toml", &toml)]).unwrap_or_else(|f| panic!("{f:?}"));
    assert_eq!(get(&set, 1, "en", json!({"x": "ab\n c"})).map(|g| g.text), Ok("ab c.".into()));
    let error = get(&set, 1, "en", json!({"x": "अंकअंकअं"})).map(|g| g.text).unwrap_err();
    assert_eq!(
        error,
        RenderError::Failed { part: "sms.vars[0]".into(), detail: "has 8 characters; 5 are allowed".into() }
    );
    assert_eq!(
        get(&set, 1, "en", json!({})).map(|g| g.text),
        Err(RenderError::Missing { field: "event.data.x".into() })
    );
}

#[test]
fn free_text_keeps_its_lines_and_loses_costly_spaces() {
    assert_eq!(say("Hi\n{{event.data.x}}\n", json!({"x": "a\u{a0}b"})), Ok("Hi\na b".into()));
}

#[test]
fn a_template_without_the_channel_says_so() {
    let set = sms_set("x", &[]).ok().unwrap();
    let (org, event, who) = (org(), event(json!({})), customer(&[], "en"));
    let now = Time::from_millis(0);
    let input = RenderInput { channel: Channel::Email, event: &event, items: &[], customer: &who, org: &org, now };
    assert_eq!(set.render(&id("t"), &input).err(), Some(RenderError::NoPart(Channel::Email)));
    assert_eq!(set.render(&id("none"), &input).err(), Some(RenderError::NoPart(Channel::Email)));
}
