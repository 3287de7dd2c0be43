//! An author who knows the language and writes what comes to mind.
//!
//! Promises: nearly valid templates from few bytes; nothing here is a marker of values, so that what is found of them came from values.
//! Never: a rule of the language copied here.

use crate::choices::Choices;

/// The files of one folder.
pub(super) fn files(choices: &mut Choices<'_>, reads_name: bool) -> Vec<(String, String)> {
    let reads = if reads_name { "\"first_name\"" } else { "" };
    let mut toml = format!("[template]\ncategory = \"transactional\"\nreads = [{reads}]\n");
    let mut files =
        vec![("_partials/a.hbs".to_owned(), text(choices, 2)), ("_partials/b.hbs".to_owned(), text(choices, 2))];
    if choices.one_in(4) {
        files.push((
            "_tables/stores.csv".into(),
            format!("code,name,sender\nS1,{},x\n", choices.text(&["Mall"]).replace(['\n', '\r', '"', '\u{202e}'], "")),
        ));
    }
    let quoted = |text: String| toml::Value::from(text.replace(|c: char| c.is_control(), " ")).to_string();
    let kind = choices.below(4);
    if kind != 3 {
        toml.push_str(&format!("[email]\nsender = \"x\"\nsubject = {}\n", quoted(text(choices, 1))));
        match kind {
            0 => files.push(("t/email.html.hbs".into(), html(choices))),
            1 => {
                let body = html(choices);
                let mjml = format!(
                    "<mjml><mj-body><mj-section><mj-column><mj-text>{body}</mj-text></mj-column></mj-section></mj-body></mjml>"
                );
                files.push(("t/email.mjml.hbs".into(), mjml));
            }
            _ => files.push(("t/email.txt.hbs".into(), text(choices, 0))),
        }
    }
    match choices.below(3) {
        0 => {
            toml.push_str("[sms]\nsender = \"x\"\n");
            files.push(("t/sms.txt.hbs".into(), text(choices, 0)));
        }
        1 => {
            let vars: Vec<String> = (0..choices.below(3)).map(|_| quoted(text(choices, 1))).collect();
            let holes: String = (1..=vars.len()).map(|n| format!(" {{{{{n}}}}}")).collect();
            toml.push_str(&format!("[sms]\nsender = \"x\"\ntext = \"Dear{holes}.\"\nvars = [{}]\n", vars.join(", ")));
        }
        _ => {}
    }
    if choices.one_in(4) {
        toml.push_str(&format!("[texts]\nt = {}\n", quoted(text(choices, 2))));
    }
    if choices.one_in(8) {
        toml.push_str(&choices.text(&["[locale.hi.email]\nsubject = \"x\"\n", "[[rule]]\n", "locale = \"hi\"\n"]));
    }
    files.push(("t/template.toml".into(), toml));
    files
}

const TAGS: [&str; 16] = [
    "<p>",
    "</p>",
    "<b>",
    "</b>",
    "<br>",
    "<!-- ",
    " -->",
    "<style>p{color:red}</style>",
    "<table><tr><td>",
    "</td></tr></table>",
    "<",
    ">",
    "\"",
    "&#106;",
    "<script>",
    "</a>",
];

fn html(choices: &mut Choices<'_>) -> String {
    let mut out = String::new();
    for _ in 0..=choices.below(6) {
        match choices.below(6) {
            0 => out.push_str(choices.pick(&TAGS)),
            1 => {
                out.push_str(choices.pick(&[
                    "<a href=\"",
                    "<img src=\"",
                    "<p title=\"",
                    "<p style=\"color:",
                    "<a href='",
                    "<p class=",
                    "<a href=",
                ]));
                out.push_str(choices.pick(&[
                    "",
                    "https://acme.example/",
                    "javascript:",
                    "mailto:",
                    "{{org.links.home}}?x=",
                ]));
                out.push_str(&text(choices, 2));
                out.push_str(choices.pick(&["\">", "'>", ">", "\"/>"]));
            }
            _ => out.push_str(&text(choices, 1)),
        }
    }
    out
}

fn path(choices: &mut Choices<'_>) -> &'static str {
    choices.pick(&[
        "event.data.x",
        "event.data.a",
        "event.data.b.n",
        "event.data.n",
        "event.data.d",
        "event.data",
        "customer.first_name",
        "customer.mobile",
        "item.x",
        "item",
        "org.name",
        "org.links.home",
        "event.created_at",
        "this",
        "x",
        "p.x",
        "store.name",
        "now",
        "@index",
        "../x",
        "texts.t",
        "event.data.[0]",
    ])
}

fn call(choices: &mut Choices<'_>, depth: usize) -> String {
    if depth > 3 || choices.is_over() {
        return path(choices).to_owned();
    }
    let inner = |of: &mut Choices<'_>| match of.below(3) {
        0 => format!("({})", call(of, depth + 1)),
        _ => path(of).to_owned(),
    };
    match choices.below(10) {
        0..=2 => path(choices).to_owned(),
        3 => {
            format!("default {} {}", inner(choices), choices.pick(&["\"there\"", "\"\"", "0", "(number event.data.n)"]))
        }
        4 => format!(
            "{} {}",
            choices.pick(&[
                "number",
                "money",
                "date",
                "upper",
                "lower",
                "title",
                "url",
                "urlencode",
                "len",
                "is_date",
                "not"
            ]),
            inner(choices)
        ),
        5 => format!(
            "date {} {}",
            inner(choices),
            choices.pick(&["\"long\"", "\"time\"", "\"datetime\"", "\"dd-Mon-yy\"", "\"dd Mon\""])
        ),
        6 => format!(
            "{} {} {}",
            choices.pick(&["eq", "ne", "gt", "lte", "and", "or", "lookup", "truncate"]),
            inner(choices),
            inner(choices)
        ),
        7 => format!("plural {} \"point\" \"points\"", inner(choices)),
        8 => format!("find event.data.a \"n\" {} \"x\"", inner(choices)),
        _ => format!("number {} decimals={}", inner(choices), choices.pick(&["2", "0", "99", "\"x\""])),
    }
}

fn text(choices: &mut Choices<'_>, depth: usize) -> String {
    let mut out = String::new();
    for _ in 0..=choices.below(4) {
        match choices.below(10) {
            0 | 1 => out.push_str(choices.pick(&["Dear ", "points", "\n", " ", "\u{20b9}", "नमस्ते", "{", "}", "\\"])),
            2..=4 => out.push_str(&format!("{{{{{}}}}}", call(choices, 0))),
            5 if depth < 3 => {
                let word = choices.pick(&["if", "unless", "each", "with"]);
                let params = choices.pick(&["", "", " as |p|", " as |p i|"]);
                let condition =
                    if choices.one_in(2) { format!("({})", call(choices, 0)) } else { path(choices).to_owned() };
                let other =
                    if choices.one_in(2) { format!("{{{{else}}}}{}", text(choices, depth + 1)) } else { String::new() };
                out.push_str(&format!(
                    "{{{{#{word} {condition}{params}}}}}{}{other}{{{{/{word}}}}}",
                    text(choices, depth + 1)
                ));
            }
            6 => out.push_str(choices.pick(&[
                "{{> a}}",
                "{{> b x=event.data.x}}",
                "{{#> b}}in{{/b}}",
                "{{> @partial-block}}",
                "{{!-- note --}}",
                "{{~event.data.x~}}",
                "{{{event.data.x}}}",
                "{{&event.data.x}}",
            ])),
            7 => out.push_str(choices.pick(&[
                "{{",
                "}}",
                "{{#if ",
                "{{/if}}",
                "{{else}}",
                "{{/each}}",
                "{{> ",
                "\"",
                "(",
                ")",
                "[",
                "|",
            ])),
            _ => out.push_str(&choices.text(&["{{event.data.x}}", "<b>", "Hello "])),
        }
    }
    // An author may turn the reading direction; what is checked is that no value does.
    out.replace('\u{202e}', "")
}
