//! What becomes of CSS, seen in rendered mails.

use serde_json::json;

use super::super::tests::kit::{HEAD, customer, event, id, load, org};
use super::super::{Content, RenderInput, TemplateSet};
use super::*;
use crate::clock::Time;
use crate::id::Channel;
use crate::template::syntax::parse;

const STYLE: &str = "<style>.a { color: red } .b { color: blue } a:hover { color: green } \
    @media (max-width: 400px) { .a { width: 100% !important } }</style>";

fn set(html: &str) -> TemplateSet {
    let toml = format!("{HEAD}[email]\nsender = \"loyalty\"\nsubject = \"Hello\"\n");
    load(&[("t/template.toml", &toml), ("t/email.html.hbs", html)]).unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn mail(html: &str, data: serde_json::Value) -> String {
    let (event, org, customer) = (event(data), org(), customer(&[("first_name", "Asha")], "en-IN"));
    let now = Time::from_millis(1_798_920_664_080);
    let input = RenderInput { channel: Channel::Email, event: &event, items: &[], customer: &customer, org: &org, now };
    match set(html).render(&id("t"), &input).unwrap() {
        Content::Email { html: Some(html), .. } => html.expose().to_owned(),
        _ => panic!("a mail with HTML"),
    }
}

fn css(html: &str) -> Css {
    let file = "t/email.html.hbs".into();
    at_load(&parse(&file, html).unwrap(), &Pos { file, line: 1 }).unwrap()
}

fn page(style: &str, body: &str) -> String {
    format!("<!DOCTYPE html><html><head>{style}</head><body>{body}</body></html>")
}

#[test]
fn a_part_without_css_is_left_as_it_was_written() {
    let html =
        "<table><tr>{{#if event.data.x}}<td style=\"color:red\">{{event.data.x}}</td>{{/if}}</tr></table><p>no end";
    assert!(matches!(css(html), Css::None));
    assert_eq!(
        mail(html, json!({"x": "1"})),
        html.replace("{{#if event.data.x}}", "").replace("{{/if}}", "").replace("{{event.data.x}}", "1")
    );
}

#[test]
fn rules_come_into_attributes_at_load_and_what_cannot_stays() {
    let body = "<table><tr>{{#if event.data.x}}<td class=\"a\">{{event.data.x}}</td>{{else}}<td class=\"b\">-</td>{{/if}}</tr></table>";
    let html = page(STYLE, body);
    assert!(matches!(css(&html), Css::AtLoad(_)));
    let with = mail(&html, json!({"x": "1"}));
    insta::assert_snapshot!(with, @r#"
    <!DOCTYPE html><html><head><style>a:hover { color: green; }
    @media (max-width: 400px) { .a { width: 100% !important } }</style></head><body><table><tbody><tr><td class="a" style="color: red;">1</td></tr></tbody></table></body></html>
    "#);
    let without = mail(&html, json!({}));
    assert!(without.contains("<tr><td class=\"b\" style=\"color: blue;\">-</td></tr>"), "{without}");
}

#[test]
fn what_depends_on_data_is_inlined_after_rendering() {
    let body = |inside: &str| page(STYLE, inside);
    for (why, html) in [
        ("a class of data", body("<p class=\"{{#if event.data.x}}a{{else}}b{{/if}}\">x</p>")),
        ("a style of data", body("<p class=\"a\" style=\"{{#if event.data.x}}top: 0{{/if}}\">x</p>")),
        ("an attribute of data", body("<p {{#if event.data.x}}class=\"a\"{{/if}}>x</p>")),
        ("a block that tears", body("{{#if event.data.x}}<p class=\"a\">{{else}}<p class=\"b\">{{/if}}x</p>")),
        (
            "neighbours",
            page(
                "<style>p:first-child { color: red }</style>",
                "<div>{{#if event.data.y}}<b>y</b>{{/if}}<p>x</p></div>",
            ),
        ),
        ("a rule of data", page("<style>{{#if event.data.x}}p{color:red}{{/if}}</style>", "<p>x</p>")),
        (
            "an attribute that a rule asks for",
            page("<style>[title=\"1\"] { color: red }</style>", "<p title=\"{{event.data.x}}\">x</p>"),
        ),
    ] {
        assert!(matches!(css(&html), Css::AtRender), "{why}");
        let mail = mail(&html, json!({"x": "1"}));
        let styled = mail.split("<p").nth(1).unwrap_or_default();
        assert!(styled.contains("color: red"), "{why}: {mail}");
    }
}

#[test]
fn inlined_at_load_and_inlined_after_rendering_are_the_same_mail() {
    for body in [
        "<p class=\"a\">{{event.data.x}}</p>",
        "<ul>{{#each event.data.list as |i|}}<li class=\"b\">{{i}}</li>{{/each}}</ul>",
        "<table><tbody><tr>{{#if event.data.none}}<td class=\"a\">1</td>{{else}}<td class=\"b\">2</td>{{/if}}</tr></tbody></table>",
        "<a class=\"a\" href=\"https://acme.example/?q={{urlencode event.data.x}}\">&amp; &lt;b&gt;</a>",
        "<!--[if mso]><td width=\"1\">{{event.data.x}}</td><![endif]--><b class=\"a\">b</b>",
    ] {
        let html = page(STYLE, body);
        assert!(matches!(css(&html), Css::AtLoad(_)), "{body}");
        // A class that data could decide sends the same mail the other way.
        let late = page(STYLE, &format!("{body}<i class=\"{{{{event.data.x}}}}\"></i>"));
        assert!(matches!(css(&late), Css::AtRender), "{body}");
        let data = json!({"x": "a<b", "list": ["1", "2"]});
        let late = mail(&late, data.clone()).replace("<i class=\"a<b\"></i>", "");
        // Rules that met no element of this one mail may stay in `<style>`; they are nobody's then.
        let body_of = |mail: &str| mail.split_once("<body>").expect("a page has a body").1.to_owned();
        assert_eq!(body_of(&mail(&html, data)), body_of(&late), "{body}");
    }
}

#[test]
fn a_value_stays_a_value_when_css_is_inlined_after_rendering() {
    let html = page(STYLE, "<p class=\"{{event.data.c}}\" title=\"{{event.data.x}}\">{{event.data.x}}</p>");
    let mail = mail(&html, json!({"c": "a", "x": "\" onclick=\"x()\" <b>&amp;</b><style>p{color:blue}</style>"}));
    let body = mail.split_once("<body>").unwrap().1;
    insta::assert_snapshot!(body, @r#"<p class="a" title="&quot; onclick=&quot;x()&quot; <b>&amp;amp;</b><style>p{color:blue}</style>" style="color: red;">" onclick="x()" &lt;b&gt;&amp;amp;&lt;/b&gt;&lt;style&gt;p{color:blue}&lt;/style&gt;</p></body></html>"#);
}
