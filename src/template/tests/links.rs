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

/// Every way that was thought of to name the person without naming the person, or to put the halves of a link into two places.
#[test]
fn no_detour_leads_a_person_into_a_link() {
    let link = r#"<a href="https://a.example/?q={{urlencode X}}">x</a>"#;
    let linked = |way: &str, name: &str| way.replace("LINK", &link.replace('X', name));
    for html in [
        // What is all around, reached as an element of it.
        linked("{{#with event.data}}{{#each ../this}}LINK{{/each}}{{/with}}", "first_name"),
        linked("{{#with event.data}}{{#with ../this}}LINK{{/with}}{{/with}}", "this.customer.first_name"),
        linked("{{#with event.data}}{{#each ../this as |v|}}LINK{{/each}}{{/with}}", "v.first_name"),
        linked(
            "{{#with event.data}}{{#each ../this as |v k|}}{{#if (eq k \"customer\")}}LINK{{/if}}{{/each}}{{/with}}",
            "v.first_name",
        ),
        linked("{{#with event.data}}LINK{{/with}}", "../this.customer.first_name"),
        linked("{{#with event.data}}LINK{{/with}}", "../customer.first_name"),
        linked("{{#with event.data}}LINK{{/with}}", "../[customer].first_name"),
        linked("{{#with event.data}}LINK{{/with}}", "../first_name"),
        linked("{{#with event.data}}LINK{{/with}}", "(lookup ../this \"customer\")"),
        linked("{{#with event.data}}{{#each ..}}LINK{{/each}}{{/with}}", "first_name"),
        linked("{{#with event.data}}{{#each this}}{{#each ../../this}}LINK{{/each}}{{/each}}{{/with}}", "first_name"),
        linked("{{#each event.data}}{{else}}{{#each this}}LINK{{/each}}{{/each}}", "first_name"),
        linked("{{#each this}}LINK{{/each}}", "first_name"),
        linked("{{#each .}}LINK{{/each}}", "first_name"),
        linked("{{#each @root}}LINK{{/each}}", "first_name"),
        linked("{{#with @root}}LINK{{/with}}", "this.customer.first_name"),
        linked("LINK", "@root.customer.first_name"),
        linked("LINK", "@root/customer/first_name"),
        linked("LINK", "[@root].customer.first_name"),
        linked("{{#with event.data}}LINK{{/with}}", "event/../customer/first_name"),
        // The person under another name.
        linked("{{#with customer}}LINK{{/with}}", "first_name"),
        linked("{{#with customer as |c|}}LINK{{/with}}", "c.first_name"),
        linked("{{#each customer}}LINK{{/each}}", "this"),
        linked("{{#with customer.first_name as |n|}}LINK{{/with}}", "n"),
        linked("{{#with (default customer.first_name \"x\") as |n|}}LINK{{/with}}", "n"),
        linked("{{#each event.data as |event|}}LINK{{/each}}", "event"),
        linked("LINK", "(lookup customer \"first_name\")"),
        linked("LINK", "(default event.data.x (upper customer.first_name))"),
        linked("LINK", "(find items \"code\" customer.first_name \"id\")"),
        linked("LINK", "(plural 1 \"a\" zero=customer.first_name)"),
        // The halves of a link in two places.
        "{{#if event.id}}x{{else}}https://a.example/{{/if}}{{customer.first_name}}".into(),
        "https://a.example/{{#if event.id}} {{/if}}{{customer.first_name}}".into(),
        "{{#if event.id}}www{{else}}a{{/if}}.a.example/{{customer.first_name}}".into(),
        "{{#each event.data.l}}{{@root.customer.first_name}}{{/each}}".into(),
        "{{#each event.data.l}}{{customer.first_name}} https://a.example/{{/each}}".into(),
        "https://a.example/<b>{{customer.first_name}}</b>".into(),
        "shop.example/{{customer.first_name}}".into(),
        "see {{org.name}}.example/?n={{customer.first_name}}".into(),
        r#"<a href="https://a.example/?q={{#if event.id}}1{{else if customer.first_name}}2{{/if}}">x</a>"#.into(),
        r#"<img lowsrc="https://a.example/{{urlencode customer.first_name}}">"#.into(),
        r#"<p style="{{#if event.id}}{{else}}background:url({{/if}}{{event.data.x}}">x</p>"#.into(),
    ] {
        assert!(!with_html(&format!("{html}<p>x</p>")).is_empty(), "{html}");
    }
    for (text, vars) in [
        ("See https://a.example/{{1}}", "['{{customer.first_name}}']"),
        ("See {{1}}{{2}}", "['https://a.example/', '{{customer.first_name}}']"),
        ("See {{1}}{{2}}", "['{{org.links.home}}', '{{customer.first_name}}']"),
        ("See {{1}}", "['{{url customer.first_name}}']"),
        ("See bit.ly/{{1}}", "['{{customer.first_name}}']"),
    ] {
        let toml = format!("{HEAD}[sms]\nsender = \"loyalty\"\ntext = \"{text}\"\nvars = {vars}\n");
        assert!(!faults(&[("t/template.toml", &toml)]).is_empty(), "{text} {vars}");
    }
}

#[test]
fn what_looks_like_a_detour_and_is_none_is_fine() {
    for html in [
        "{{#each event.data.l}}{{#each this.k}}{{../name}} {{@index}}{{/each}}{{/each}}",
        "{{#with event.data}}{{#each this.l as |e|}}{{e.a}} {{../b}} {{event.id}}{{/each}}{{/with}}",
        "<p>Dear {{customer.first_name}}/{{event.id}}, 24.5/30, and/or, e.g./{{customer.first_name}}</p>",
        "{{#each event.data.l}}<p>{{customer.first_name}}</p><p>https://a.example/</p>{{/each}}",
        "<p>{{#if event.id}}a{{else}}b{{/if}} {{customer.first_name}}</p><p>See shop.example/now</p>",
    ] {
        assert_eq!(with_html(html), "", "{html}");
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
    for way in [
        r#"{{#with event.data}}{{> button to=../this.customer.first_name label="Go"}}{{/with}}"#,
        r#"{{#with event.data}}{{#each ../this}}{{> button to=first_name label="Go"}}{{/each}}{{/with}}"#,
        r#"{{#with event.data}}{{> button to=(lookup ../this "customer") label="Go"}}{{/with}}"#,
        r#"{{#with event.data}}{{> button to=.. label="Go"}}{{/with}}"#,
    ] {
        assert!(!files(way).is_empty(), "{way}");
    }
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
        ("<p>x</p><!-- <p>y</p>", "ends inside a tag, comment"),
        ("<noscript>x</noscript>", "`<noscript>` is not allowed"),
        ("<p title=\u{a0}\"x\">x</p>", "U+00A0"),
    ] {
        let fault = with_html(html);
        assert!(fault.contains(expected), "{html}: {fault}");
    }
}

/// Each of these is a link for a reader of HTML, and was text, a comment or a quoted value for us.
#[test]
fn a_link_cannot_hide_behind_odd_markup() {
    let link = "<a href=\"javascript:x\">y</a>";
    for (before, after) in [
        ("<", ""),
        ("<<", ""),
        ("<!-- > <a title=\" -->", "\">"),
        ("<!-- > <a title=\" --!>", "<!-- \"> -->"),
        ("<!-->", "<!-- -->"),
        ("<style></style x>", "<style></style>"),
        ("<style></style/>", "<style></style>"),
        ("<style></styl</style>", "<style></style>"),
        ("<style><</style>", "<style></style>"),
        ("<style></x title=\"</style>", "\"<style></style>"),
        ("<title></title >", ""),
    ] {
        let fault = with_html(&format!("{before}{link}{after}"));
        assert!(fault.contains("not a full https address"), "{before}: {fault}");
        let named = link.replace("javascript:x", "https://a.example/?n={{urlencode customer.first_name}}");
        let fault = with_html(&format!("{before}{named}{after}"));
        assert!(fault.contains("stands inside a link"), "{before}: {fault}");
    }
    // Here the quote that hides it begins in a tag that closes.
    let fault = with_html("<p>x</p x=\"><a title=\"><a href='javascript:x'>y</a>\">");
    assert!(fault.contains("not a full https address"), "{fault}");
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
