//! What a template may say, and what no value can make it say.

use proptest::prelude::*;

use super::*;
use crate::personal::Personal;
use crate::provider::fixture;

fn params() -> BTreeMap<String, SecretString> {
    BTreeMap::from([("user".to_owned(), "AC1".into()), ("password".to_owned(), "to\"k&n".into())])
}

fn render(source: &str, place: Place, sms: &Sms) -> Result<String, RenderError> {
    let template = Template::parse(source, place, &params()).map_err(|e| e.join("; ")).unwrap();
    template.render(&Values::new(&NotificationId([0; 16]), sms, &params())).map(|text| text.to_string())
}

#[test]
fn values_are_escaped_for_their_place() {
    let mut sms = fixture::sms();
    sms.text = Personal::new("a\"b\\c\n&=é+ {{to}}");
    let table = [
        ("{\"t\":\"{{text}}\"}", Place::Json, r#"{"t":"a\"b\\c\n&=é+ {{to}}"}"#),
        ("t={{ text }}&To={{to}}", Place::Form, "t=a%22b%5Cc%0A%26%3D%C3%A9%2B%20%7B%7Bto%7D%7D&To=%2B919812345678"),
        ("{{to_digits}}/{{sender}}/{{id}}", Place::Form, "919812345678/ACMERW/00000000000000000000000000"),
        ("/{{param.password}}/", Place::Url, "/to%22k%26n/"),
        ("Basic {{basic param.user param.password}}", Place::Header, "Basic QUMxOnRvImsmbg=="),
        (
            "{{#each vars}}{{#unless @first}},{{/unless}}\"VAR{{@number}}\":\"{{this}}\"{{/each}}",
            Place::Json,
            r#""VAR1":"Asha","VAR2":"25""#,
        ),
        ("{{#each vars}}{{@index}}={{this}}{{#if @first}}&{{/if}}{{/each}}", Place::Form, "0=Asha&1=25"),
        (
            "{{#if registration.entity_id}}e={{registration.entity_id}}{{/if}}{{#if registration.x}}x={{registration.x}}{{/if}}",
            Place::Form,
            "e=1101",
        ),
        ("{{#if param.other}}{{param.other}}{{/if}}{{#unless param.other}}none{{/unless}}", Place::Form, "none"),
        ("{\"a\":{\"b\":\"{{sender}}\"}}", Place::Json, r#"{"a":{"b":"ACMERW"}}"#),
        ("", Place::Json, ""),
    ];
    for (source, place, expected) in table {
        assert_eq!(render(source, place, &sms).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn every_fault_of_a_template_is_named_with_its_line() {
    let source = "{{to}\n{{nobody}}\n{{#if}}";
    let table: [(&str, Place, &str); 17] = [
        ("{{to", Place::Form, "line 1: `{{` without `}}`"),
        ("a\nto}}", Place::Form, "line 2: `}}` without `{{`"),
        ("{{name}}", Place::Form, "line 1: `name` is not a name that a template sees"),
        ("{{vars}}", Place::Form, "line 1: `vars` is not a name that a template sees"),
        ("{{{text}}}", Place::Json, "line 1: a tag that is not a name"),
        ("{{pass$word}}", Place::Form, "line 1: a tag that is not a name"),
        ("{{this}}", Place::Form, "line 1: `this` and `@…` stand only inside `{{#each vars}}`"),
        (
            "{{#each recipients}}",
            Place::Form,
            "line 1: a tag that is neither a name, `basic a b`, `#if`, `#unless` nor `#each vars`",
        ),
        ("\n{{#each vars}}", Place::Form, "line 2: `{{#each}}` is never closed"),
        ("{{/if}}", Place::Form, "line 1: `{{/if}}` closes nothing"),
        ("{{#if id}}{{/each}}{{/if}}", Place::Form, "line 1: `{{/each}}` closes nothing"),
        ("{{#each vars}}{{#each vars}}{{/each}}{{/each}}", Place::Form, "line 1: `{{#each vars}}` inside another"),
        ("{{#each vars}}{{@first}}{{/each}}", Place::Form, "line 1: `@first` is for `#if` and `#unless` only"),
        ("{{param.tokn}}", Place::Form, "line 1: `param.tokn` is not set, and not inside `{{#if param.tokn}}`"),
        ("{{to}}", Place::Url, "line 1: `to` may not stand in a URL: access logs keep those; put it into the body"),
        ("{{text}}", Place::Header, "line 1: `text` may not stand in a header; put it into the body"),
        ("{{#each vars}}{{/each}}", Place::Header, "line 1: `vars` may only stand in the body"),
    ];
    for (source, place, expected) in table {
        let faults = Template::parse(source, place, &params()).err().unwrap_or_default();
        assert_eq!(faults, [expected], "{source}");
    }
    assert!(Template::parse(source, Place::Form, &params()).err().unwrap().len() >= 2, "all faults at once");
}

#[test]
fn nesting_is_bounded() {
    let deep = "{{#if id}}".repeat(100_000) + &"{{/if}}".repeat(100_000);
    assert!(Template::parse(&deep, Place::Form, &params()).is_err());
}

#[test]
fn a_missing_registration_is_an_error_and_not_an_empty_string() {
    let got = render("{{registration.flow_id}}", Place::Json, &fixture::sms());
    assert_eq!(got, Err(RenderError::Missing("registration.flow_id".into())));
}

#[test]
fn a_value_cannot_add_a_header() {
    let mut sms = fixture::sms();
    for evil in ["a\r\nX: y", "a\nb", "a\0", "é", "\u{2028}"] {
        sms.sender = evil.into();
        assert_eq!(render("{{sender}}", Place::Header, &sms), Err(RenderError::NotForHeader("sender".into())));
    }
}

proptest! {
    #[test]
    fn no_value_can_leave_its_json_string(text in "[\\s\\S]{0,60}", vars in prop::collection::vec("[\\s\\S]{0,20}", 0..5)) {
        let mut sms = fixture::sms();
        sms.text = Personal::new(text.clone());
        sms.vars = vars.iter().cloned().map(Personal::new).collect();
        let source = r#"{"text":"{{text}}","vars":[{{#each vars}}{{#unless @first}},{{/unless}}"{{this}}"{{/each}}]}"#;
        let written = render(source, Place::Json, &sms).unwrap();
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        prop_assert_eq!(read, serde_json::json!({"text": text, "vars": vars}));
    }

    #[test]
    fn no_value_can_leave_its_form_field(text in "[\\s\\S]{0,60}") {
        let mut sms = fixture::sms();
        sms.text = Personal::new(text.clone());
        let written = render("a=1&text={{text}}&b=2", Place::Form, &sms).unwrap();
        let url = reqwest::Url::parse(&format!("http://localhost/?{written}")).unwrap();
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        prop_assert_eq!(pairs, [("a".into(), "1".into()), ("text".into(), text), ("b".into(), "2".to_string())]);
    }

    #[test]
    fn any_template_is_read_or_refused_without_a_panic(source in "([{}#/@]|if|each|vars|this|to|param\\.user| |\\n|é){0,30}") {
        for place in [Place::Url, Place::Header, Place::Json, Place::Form] {
            if let Ok(template) = Template::parse(&source, place, &params()) {
                let sms = fixture::sms();
                let params = params();
                let _ = template.render(&Values::new(&NotificationId([0; 16]), &sms, &params));
                let _ = template.registrations();
            }
        }
    }
}
