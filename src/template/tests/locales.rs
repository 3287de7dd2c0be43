//! Languages: fallback, texts, direction.

use serde_json::json;

use super::kit::*;
use super::*;
use crate::clock::Time;

fn subject(set: &TemplateSet, locale: Option<&str>, org_locale: &str) -> String {
    let (mut org, event, mut who) = (org(), event(json!({})), customer(&[], "en"));
    org.locale = org_locale.into();
    who.locale = locale.map(str::to_owned);
    let now = Time::from_millis(0);
    let input = RenderInput { channel: Channel::Email, event: &event, items: &[], customer: &who, org: &org, now };
    match set.render(&id("t"), &input) {
        Ok(Content::Email { subject, .. }) => subject.expose().to_owned(),
        _ => panic!("no mail"),
    }
}

const TOML: &str = "[template]\ncategory = \"service\"\nlocale = \"en\"\n[email]\nsender = \"x\"\nsubject = \"root\"\n\
    [locale.ar.email]\nsubject = \"ar\"\n[locale.ar-EG.email]\nsubject = \"ar-EG\"\n[locale.hi.email]\nsubject = \"hi\"\n\
    [locale.hi.texts]\nword = \"नमस्ते\"\n[texts]\nword = \"hello\"\n";

#[test]
fn a_locale_falls_back_to_its_language_then_the_orgs_then_the_root() {
    let set = load(&[
        ("t/template.toml", TOML),
        ("t/email.txt.hbs", "{{texts.word}}"),
        ("t/ar/email.txt.hbs", "ar"),
        ("t/ar_eg/email.txt.hbs", "eg"),
    ])
    .unwrap_or_else(|f| panic!("{f:?}"));
    for (wish, org, expected) in [
        (Some("ar-SA"), "en", "ar"),
        (Some("ar-EG"), "en", "ar-EG"),
        (Some("AR_eg"), "en", "ar-EG"),
        (Some("hi-IN"), "en", "hi"),
        (Some("en-GB"), "hi", "root"),
        (Some("fr"), "hi-IN", "hi"),
        (Some("fr"), "de", "root"),
        (None, "ar-AE", "ar"),
        (Some(""), "en-IN", "root"),
    ] {
        assert_eq!(subject(&set, wish, org), expected, "{wish:?} {org}");
    }
    assert_eq!(set.get(&id("t")).unwrap().locales, ["en", "ar", "ar-eg", "hi"]);
}

#[test]
fn a_half_translated_mail_is_a_fault() {
    let toml = "[template]\ncategory = \"service\"\n[email]\nsender = \"x\"\nsubject = \"root\"\n";
    let fault = faults(&[("t/template.toml", toml), ("t/email.txt.hbs", "x"), ("t/hi/email.txt.hbs", "y")]);
    assert!(fault.contains("locale.hi.email.subject: is missing"), "{fault}");
    let both = format!("{toml}[locale.hi.email]\nsubject = \"hi\"\n");
    let fault = faults(&[("t/template.toml", &both), ("t/email.txt.hbs", "x")]);
    assert!(fault.contains("nothing of the mail is"), "{fault}");
    let texts = format!(
        "{toml}[texts]\na = \"A\"\nb = \"B\"\n[locale.hi.texts]\na = \"क\"\n[locale.hi.email]\nsubject = \"hi\"\n"
    );
    let fault = faults(&[("t/template.toml", &texts), ("t/email.txt.hbs", "{{texts.a}}{{texts.b}}")]);
    assert!(fault.contains("text `b` does not exist in this locale"), "{fault}");
}

#[test]
fn texts_are_words_not_markup_and_may_hold_tags() {
    let toml = "[template]\ncategory = \"service\"\n[texts]\nt = \"Tom & <Jerry> {{event.data.x}}\"\n[email]\nsender = \"x\"\nsubject = \"{{texts.t}}\"\n";
    let set = load(&[
        ("t/template.toml", toml),
        ("t/email.html.hbs", "<p dir=\"{{dir}}\" align=\"{{start}}\">{{texts.t}}</p>"),
    ]);
    let set = set.unwrap_or_else(|f| panic!("{f:?}"));
    let (org, event, who) = (org(), event(json!({"x": "&"})), customer(&[], "en"));
    let now = Time::from_millis(0);
    let input = RenderInput { channel: Channel::Email, event: &event, items: &[], customer: &who, org: &org, now };
    let Ok(Content::Email { subject, html: Some(html), .. }) = set.render(&id("t"), &input) else { panic!("no mail") };
    assert_eq!(subject.expose(), "Tom & <Jerry> &");
    assert_eq!(html.expose(), "<p dir=\"ltr\" align=\"left\">Tom &amp; &lt;Jerry&gt; &amp;</p>");
}
