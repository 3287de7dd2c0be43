//! Faults, permissions, versions, examples.

use std::collections::BTreeMap;

use super::kit::*;
use super::*;
use crate::policy::Mode;

#[test]
fn all_faults_come_at_once_with_file_line_key_and_hint() {
    let toml = "[templat]\n\n[template]\ncategory = \"marketing\"\nreads = [\"first name\", \"aadhaar\", \"attributes.\", 5]\nbrake_per_hours = 5\n\n\
        [email]\nsendr = \"x\"\n\n[sms]\nsender = \"Bad Role\"\ntext = \"x\"\n\n[[rule]]\nanything = \"goes\"\n";
    let report = faults(&[
        ("a/template.toml", toml),
        ("b/email.mjml.hbs", "x"),
        ("c/template.toml", "[template\n"),
        ("d/template.toml", "[template]\ncategory = \"service\"\n[email]\nsender = \"x\"\nsubject = \"s\"\n"),
        ("d/emial.mjml.hbs", "x"),
        ("d/german/email.txt.hbs", "x"),
        ("_partial/x.hbs", "x"),
        ("Bad Name/template.toml", ""),
    ]);
    insta::assert_snapshot!(report, @r#"
    Bad Name: `Bad Name` is not a template name; expected 1 to 64 of a-z, 0-9, `-` and `_`, the first a letter or digit
    _partial/x.hbs: stands in a folder that is not known
        hint: shared folders are `_layouts`, `_partials` and `_tables`
    a/template.toml:1: templat: is not a key that is known here
        hint: did you mean `template`?
    a/template.toml:4: template.category: `marketing` is not a category
        hint: expected `transactional`, `service` or `promotional`
    a/template.toml:5: template.reads: `aadhaar` is not a personal field
        hint: expected first_name, last_name, email, mobile, or `attributes.<name>`
    a/template.toml:5: template.reads: `attributes.` is not a personal field
        hint: expected first_name, last_name, email, mobile, or `attributes.<name>`
    a/template.toml:5: template.reads: `first name` is not a personal field
        hint: did you mean `first_name`?
    a/template.toml:5: template.reads[3]: is integer; expected a text
    a/template.toml:6: template.brake_per_hours: is not a key that is known here
        hint: did you mean `brake_per_hour`?
    a/template.toml:8: email.sender: is missing
        hint: name a sender role of the configuration, such as `sender = "loyalty"`
    a/template.toml:8: email.subject: is missing
    a/template.toml:9: email.sendr: is not a key that is known here
        hint: did you mean `sender`?
    a/template.toml:12: sms.sender: `Bad Role` is not a sender role; expected 1 to 64 of a-z, 0-9, `-` and `_`, the first a letter or digit
    b/template.toml: is missing
        hint: every template has a `template.toml`
    c/template.toml:1: is not TOML: unclosed table, expected `]`
    d/emial.mjml.hbs: `emial.mjml.hbs` is not a part
        hint: did you mean `email.mjml.hbs`?
    d/german/email.txt.hbs: `german` is not a locale
        hint: folders of a template are locales (`hi`, `ar-SA`) and `examples`
    d/template.toml:3: email: the mail has no part
        hint: add `email.mjml.hbs`, `email.html.hbs` or `email.txt.hbs`
    "#);
}

#[test]
fn mjml_is_converted_once_and_its_faults_name_the_part() {
    let toml = format!("{HEAD}[email]\nsender = \"loyalty\"\nsubject = \"x\"\n");
    let mjml = |body: &str| faults(&[("t/template.toml", &toml), ("t/email.mjml.hbs", body)]);
    for (body, expected) in [
        ("<mjml><mj-body><mj-section></mj-body></mjml>", "MJML is not well formed"),
        ("hello", "MJML is not well formed"),
        ("<mjml><mj-body><mj-sektion></mj-sektion></mj-body></mjml>", "`<mj-sektion>` is not an MJML element"),
        ("<mjml><mj-body><mj-include path=\"./x.mjml\" /></mj-body></mjml>", "MJML"),
        (
            "<mjml><mj-body><mj-section {{#if event.id}}padding=\"0\"{{/if}}></mj-section></mj-body></mjml>",
            "inside an MJML element",
        ),
        (
            "<mjml><mj-body><mj-section><mj-column><mj-text unknown=\"{{event.id}}\">x</mj-text></mj-column></mj-section></mj-body></mjml>",
            "gets lost",
        ),
    ] {
        let fault = mjml(body);
        assert!(fault.contains(expected) && fault.contains("t/email.mjml.hbs"), "{body}: {fault}");
    }
    let whole = "<mjml><mj-body>{{#if event.id}}<mj-section><mj-column>{{#each items}}<mj-text>{{code}}</mj-text>{{else}}<mj-text>none</mj-text>{{/each}}\
        <mj-button href=\"{{org.links.home}}\">{{event.id}}</mj-button><mj-table>{{#each items}}<tr><td>{{code}}</td></tr>{{/each}}</mj-table>\
        <mj-raw>{{#if event.name}}</mj-raw><mj-text>raw</mj-text><mj-raw>{{/if}}</mj-raw>\
        </mj-column></mj-section>{{/if}}</mj-body></mjml>";
    assert_eq!(mjml(whole), "");
    // The converter's parser panics on this; it never sees it.
    let odd = "<mjml><mj-body><mj-section><mj-column><mj-text>अंक> 5 é> 😀/> a > b</mj-text></mj-column></mj-section></mj-body></mjml>";
    assert_eq!(mjml(odd), "");
}

#[test]
fn the_line_of_a_fault_in_mjml_is_the_authors() {
    let toml = format!("{HEAD}[email]\nsender = \"loyalty\"\nsubject = \"x\"\n");
    let body = "<mjml>\n<mj-body><mj-section><mj-column>\n<mj-text>\n{{customer.last_name}}</mj-text>\n</mj-column></mj-section></mj-body></mjml>";
    let fault = faults(&[("t/template.toml", &toml), ("t/email.mjml.hbs", body)]);
    assert!(fault.contains("t/email.mjml.hbs:4: email.mjml.hbs: `customer.last_name` is not in `reads`"), "{fault}");
}

fn allow(categories: Vec<Category>, reads: &[&str], senders: &[&str], enabled: bool) -> Allow {
    Allow {
        enabled,
        categories,
        reads: reads.iter().map(|r| (*r).to_owned()).collect(),
        senders: senders.iter().map(|s| s.parse().unwrap()).collect(),
        mode: Mode::Live,
        brake_per_hour: None,
        live_from: None,
    }
}

#[test]
fn a_template_does_only_what_the_platform_allows() {
    let good = format!("{HEAD}[sms]\nsender = \"loyalty\"\ntext = \"x\"\n");
    let dir = folder(&[
        ("good/template.toml", &good),
        ("draft/template.toml", "nonsense"),
        ("off/template.toml", "nonsense"),
    ]);
    let source = TemplateSource::Dir(dir.path().into());
    let with = |allow: BTreeMap<TemplateId, Allow>| TemplateSet::load(&source, Some(&allow));
    let fine = allow(vec![Category::Transactional], &["first_name", "email"], &["loyalty"], true);
    let off = Allow { enabled: false, ..fine.clone() };
    let set = with([(id("good"), fine.clone()), (id("off"), off)].into()).unwrap_or_else(|f| panic!("{f:?}"));
    assert_eq!(set.all().iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), ["good"]);
    assert!(with(BTreeMap::new()).unwrap_or_else(|f| panic!("{f:?}")).all().is_empty());

    let strict = allow(vec![Category::Service], &[], &["alerts"], true);
    let faults = with([(id("good"), strict), (id("goood"), fine)].into()).err().unwrap();
    let text: Vec<String> =
        faults.iter().map(|f| format!("{}: {} / {}", f.key, f.what, f.hint.as_deref().unwrap_or(""))).collect();
    insta::assert_snapshot!(text.join("\n"), @r#"
    template.category: category `transactional` is not allowed for this template / the platform allows it by adding "transactional" to `templates.allow.good.categories` of the configuration
    template.reads: personal field `first_name` is not allowed for this template / the platform allows it by adding "first_name" to `templates.allow.good.reads` of the configuration
    sms.sender: sender `loyalty` is not allowed for this template / the platform allows it by adding "loyalty" to `templates.allow.good.senders` of the configuration
    templates.allow.goood: no template has this name / did you mean `good`?
"#);
}

#[test]
fn the_version_follows_everything_that_a_message_is_made_of() {
    let toml = format!("{HEAD}[sms]\nsender = \"loyalty\"\n");
    let version = |part: &str, used: &str, unused: &str, example: &str| {
        let set = load(&[
            ("_partials/used.hbs", used),
            ("_partials/unused.hbs", unused),
            ("t/template.toml", &toml),
            ("t/sms.txt.hbs", part),
            ("t/examples/a.json", example),
        ]);
        set.unwrap_or_else(|f| panic!("{f:?}")).get(&id("t")).unwrap().version.clone()
    };
    let first = version("a {{> used}}", "x", "y", "{}");
    assert!(first.len() == 16 && first.bytes().all(|b| b.is_ascii_hexdigit()), "{first}");
    assert_eq!(version("a {{> used}}", "x", "other", "{\"event\":{}}"), first);
    assert_ne!(version("a {{> used}}", "z", "y", "{}"), first);
    assert_ne!(version("b {{> used}}", "x", "y", "{}"), first);
}

fn examples(text: &str, examples: &[(&str, &str)]) -> String {
    let set = sms_set(text, examples).unwrap_or_else(|f| panic!("{f:?}"));
    set.check_examples().iter().map(|f| format!("{}: {}", f.key, f.what)).collect::<Vec<_>>().join("\n")
}

#[test]
fn examples_find_what_handlebars_hides() {
    let example = |customer: &str, expect: &str| {
        format!(
            "{{\"event\":{{\"eventName\":\"x\",\"orgId\":1,\"createdAt\":1,\"data\":{{\"points\":5}}}},\"customer\":{customer},\"expect\":{expect}}}"
        )
    };
    let asha = example("{\"first_name\":\"Asha\"}", "{}");
    let one = |text: &str, example: &str| examples(text, &[("t/examples/a.json", example)]);
    assert_eq!(one("Dear {{customer.first_name}}, {{event.data.points}}.", &asha), "");
    // Misspelt names are silently false.
    assert!(
        one("{{#if event.data.pionts}}{{event.data.points}}{{/if}}x", &asha)
            .contains("no example has `event.data.pionts`")
    );
    // A gap where a value may be missing.
    let gap = one("Dear {{#if customer.first_name}}{{customer.first_name}}{{/if}}, hello", &asha);
    assert!(gap.contains("sms (en, without `customer.first_name`): text has a gap"), "{gap}");
    let gap = one("You have {{#if event.data.points}}{{event.data.points}}{{/if}} . Bye", &asha);
    assert!(gap.contains("without `event.data.points`"), "{gap}");
    // Expectations.
    let wrong = example("{\"first_name\":\"Asha\"}", "{\"sms\":\"Dear Bob\",\"sms_contains\":[\"Dear\",\"7\"]}");
    let said = one("Dear {{customer.first_name}} {{event.data.points}}", &wrong);
    assert!(said.contains("expect.sms: expected \"Dear Bob\"") && said.contains("expected \"7\""), "{said}");
    let none = example("{\"first_name\":\"NA\"}", "{\"missing\":\"customer.first_name\"}");
    let text = "Dear {{customer.first_name}}";
    assert_eq!(examples(text, &[("t/examples/a.json", &none), ("t/examples/b.json", &asha)]), "");
    let sent = example("{\"first_name\":\"Asha\"}", "{\"missing\":\"customer.first_name\"}");
    assert!(
        examples(text, &[("t/examples/a.json", &sent), ("t/examples/b.json", &asha)]).contains("the message is sent")
    );
    // Files.
    assert!(examples("x", &[]).contains("has no example"));
    assert!(one("x", "{").contains("is not JSON"));
    assert!(one("x", "{\"evnt\":{}}").contains("`evnt` is not known"));
}

#[test]
fn an_example_says_for_which_brand_it_expects_words() {
    let example = |org: &str, words: &str| {
        format!(
            "{{\"event\":{{\"eventName\":\"x\",\"orgId\":1,\"createdAt\":1,\"data\":{{\"worth\":5}}}},\"customer\":{{}},{org}\"expect\":{{\"sms\":\"{words}\"}}}}"
        )
    };
    let one = |example: &str| {
        examples("{{event.data.worth}} {{org.currency}} {{org.name}}", &[("t/examples/a.json", example)])
    };
    assert_eq!(one(&example("", "5 INR Your Brand")), "");
    assert_eq!(one(&example("\"org\":{\"currency\":\"EUR\",\"name\":\"Lotus\"},", "5 EUR Lotus")), "");
    assert!(one(&example("\"org\":{\"curency\":\"EUR\"},", "x")).contains("`org.curency` is not known"));
    assert!(one(&example("\"org\":{\"currency\":7},", "x")).contains("`org.currency` is of another kind"));
}
