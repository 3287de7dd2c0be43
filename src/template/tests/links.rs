//! No person in a link, no script in a mail.

use serde_json::json;

use super::kit::*;
use super::*;

#[test]
fn a_person_never_stands_in_an_address() {
    for html in [
        r#"<a href="https://a.example/?n={{customer.first_name}}">x</a>"#,
        r#"<a href="https://a.example/?n={{urlencode customer.first_name}}">x</a>"#,
        r#"<a href='{{url customer.first_name}}'>x</a>"#,
        r#"<img src="https://a.example/{{#if customer.first_name}}a{{/if}}.png">"#,
        r#"<img alt="" SRC = "https://a.example/{{default customer.first_name "x"}}">"#,
        r#"<td background="https://a.example/{{customer.first_name}}">"#,
        r#"<!--[if mso]><a href="https://a.example/{{customer.first_name}}">x</a><![endif]-->"#,
        r#"<a href="https://a.example/{{#with event.data}}{{#with ../../customer}}{{/with}}{{/with}}">x</a>"#,
        "see https://a.example/{{customer.first_name}}",
        "see www.a.example/{{customer.first_name}}",
        "see {{org.links.home}}{{customer.first_name}}",
        "see {{customer.first_name}}.example.com",
        "see {{customer.first_name}}@a.example",
        r#"<p style="color: {{customer.first_name}}">"#,
    ] {
        let fault = with_html(&format!("{html}<p>x</p>"));
        assert!(fault.contains("stands inside a link") || fault.contains("is not allowed"), "{html}: {fault}");
    }
}

#[test]
fn a_person_does_not_reach_an_address_through_a_partial() {
    let toml = format!("{HEAD}[email]\nsender = \"loyalty\"\nsubject = \"x\"\n");
    let files = |html: &'static str| {
        faults(&[
            ("_partials/button.html.hbs", r#"<a href="https://a.example/?q={{urlencode to}}">{{label}}</a>"#),
            ("t/template.toml", toml.as_str()),
            ("t/email.html.hbs", html),
        ])
    };
    assert!(files(r#"{{> button to=customer.first_name label="Go"}}"#).contains("stands inside a link"));
    assert!(files(r#"{{> button to=(upper customer.first_name) label="Go"}}"#).contains("stands inside a link"));
    assert_eq!(files(r#"{{> button to=event.id label=customer.first_name}}"#), "");
}

#[test]
fn a_person_in_plain_words_is_fine() {
    for html in [
        "<p>Dear {{customer.first_name}}, see <a href=\"{{org.links.home}}\">here</a>.</p>",
        "<p>Dear {{customer.first_name}}. Welcome. https://a.example/ is ours.</p>",
        r#"<img alt="{{customer.first_name}}" src="https://a.example/x.png">"#,
        r##"<a href="#top">up</a><a href="mailto:help@a.example">help</a><a href="{{org.links.home}}?e={{urlencode event.id}}">x</a>"##,
        r#"<a href="https://a.example/x?{{#if event.data.q}}q={{urlencode event.data.q}}{{/if}}">x</a>"#,
        r#"<td {{#if event.id}}class="a"{{/if}} bgcolor="{{event.data.color}}">x</td>"#,
    ] {
        assert_eq!(with_html(html), "", "{html}");
    }
}

#[test]
fn scripts_and_unsafe_addresses_are_refused() {
    for (html, expected) in [
        (r#"<a href="javascript:alert(1)">x</a>"#, "not a full https address"),
        (r#"<a href=" java&#115;cript:alert(1)">x</a>"#, "not a full https address"),
        ("<a href=\"java\tscript&colon;alert(1)\">x</a>", "not a full https address"),
        (r#"<img src="data:image/png;base64,AAAA">"#, "not a full https address"),
        (r#"<a href="http://a.example">x</a>"#, "not a full https address"),
        (r#"<a href="/shop">x</a>"#, "not a full https address"),
        (r#"<a href="{{event.data.link}}">x</a>"#, "begins with a value"),
        (r#"<a href="{{#if event.id}}{{event.data.link}}{{/if}}">x</a>"#, "begins with a value"),
        (
            r#"<a href="{{#if event.id}}https://a.example/{{else}}javascript:x{{/if}}">x</a>"#,
            "a block stands at the beginning",
        ),
        (r#"<a href="{{#if event.id}}https://a.example/{{/if}}javascript:x">x</a>"#, "a block stands at the beginning"),
        (r#"<a href="https://a{{#if event.id}}.evil{{/if}}.example/">x</a>"#, "a block stands at the beginning"),
        (
            r#"<meta http-equiv="refresh" content="0;url=https://a.example/{{customer.first_name}}">"#,
            "stands inside a link",
        ),
        (r#"<a href="https://{{event.data.host}}/">x</a>"#, "urlencode"),
        (r#"<a href="https://{{urlencode event.data.host}}/">x</a>"#, "the host of an address is a value"),
        (r#"<a href="https://a.example/?q={{event.data.q}}">x</a>"#, "urlencode"),
        (r#"<a href={{org.links.home}}>x</a>"#, "no quotes"),
        (r#"<p onclick="x()">x</p>"#, "is a script"),
        ("<script>1</script>", "`<script>` is not allowed"),
        ("<style>p { color: {{event.data.color}} }</style>", "inside `<style>`"),
        (r#"<p style="background: url({{event.data.x}})">x</p>"#, "inside an address"),
        ("<p {{event.data.attrs}}>x</p>", "inside an HTML tag"),
        ("<p class=\"a{{#if event.id}}\">{{/if}}x</p>", "different places"),
        ("<p title=\"x", "ends inside a tag"),
    ] {
        let fault = with_html(html);
        assert!(fault.contains(expected), "{html}: {fault}");
    }
}

#[test]
fn the_url_helper_lets_only_plain_https_through() {
    let url = |value: &str| say("go {{url event.data.u}}", json!({"u": value}));
    assert_eq!(url("https://a.example/x?y=1&z=2"), Ok("go https://a.example/x?y=1&z=2".into()));
    for bad in [
        "http://a.example",
        "javascript:alert(1)",
        "https://",
        "https://a b.example",
        "https://user@a.example/",
        "//a.example",
    ] {
        assert!(matches!(url(bad), Err(RenderError::Failed { .. })), "{bad}");
    }
    assert_eq!(say("{{urlencode event.data.u}}", json!({"u": "a b&c=ü/"})), Ok("a%20b%26c%3D%C3%BC%2F".into()));
}

#[test]
fn html_is_escaped_in_html_and_nowhere_else() {
    let toml = format!("{HEAD}[email]\nsender = \"loyalty\"\nsubject = \"{{{{event.data.x}}}} & more\"\n");
    let html = r#"<p title="{{event.data.x}}">{{event.data.x}} &amp; {{upper event.data.x}}</p>"#;
    let set = load(&[("t/template.toml", &toml), ("t/email.html.hbs", html)]).unwrap_or_else(|f| panic!("{f:?}"));
    let (event, org, nobody) = (event(json!({"x": "<b>\"T&J\"</b>"})), org(), customer(&[], "en"));
    let now = crate::clock::Time::from_millis(0);
    let input = RenderInput { channel: Channel::Email, event: &event, items: &[], customer: &nobody, org: &org, now };
    let Ok(Content::Email { subject, html: Some(html), text }) = set.render(&id("t"), &input) else {
        panic!("no mail")
    };
    assert_eq!(subject.expose(), "<b>\"T&J\"</b> & more");
    assert_eq!(text.expose(), "<b>\"T&J\"</b> & <B>\"T&J\"</B>");
    assert_eq!(
        html.expose(),
        "<p title=\"&lt;b&gt;&quot;T&amp;J&quot;&lt;/b&gt;\">&lt;b&gt;&quot;T&amp;J&quot;&lt;/b&gt; &amp; &lt;B&gt;&quot;T&amp;J&quot;&lt;/B&gt;</p>"
    );
}
