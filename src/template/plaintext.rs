//! The text part of a mail, made of its HTML when the author wrote none.
//!
//! Promises: made once, at load, from the checked tree: tags of the template stay tags; links become `text (address)`; hidden
//! elements, styles and comments vanish; [`tidy`] after rendering leaves at most one empty line in a row.
//! Never: a second look at rendered HTML, where a value could pass for markup.

use super::markup::{Event, Place, Scanner};
use super::syntax::{Arm, Node, Pos};

const VOID: [&str; 13] =
    ["br", "hr", "img", "meta", "link", "input", "col", "area", "base", "source", "track", "wbr", "embed"];

/// Makes the text part of an HTML part.
pub(super) fn from_html(nodes: &[Node]) -> Vec<Node> {
    let mut convert = Convert {
        scanner: Scanner::new(true),
        raw: String::new(),
        open: Vec::new(),
        href: Vec::new(),
        style: String::new(),
        links: Vec::new(),
    };
    let mut out = Vec::new();
    convert.nodes(nodes, &mut out);
    out
}

struct Convert {
    scanner: Scanner,
    raw: String,
    /// Open elements and whether they are hidden.
    open: Vec<(String, bool)>,
    href: Vec<Node>,
    style: String,
    links: Vec<Vec<Node>>,
}

impl Convert {
    fn nodes(&mut self, nodes: &[Node], out: &mut Vec<Node>) {
        for node in nodes {
            match node {
                Node::Text { text, pos } => {
                    for c in text.chars() {
                        self.char(c, pos, out);
                    }
                    self.flush(pos, out);
                }
                Node::Value { pos, .. } => {
                    self.flush(pos, out);
                    self.scanner.hole();
                    if self.scanner.place() == Place::Text && !self.hidden() {
                        out.push(node.clone());
                    } else {
                        self.in_attribute(node);
                    }
                }
                Node::Block { call, params, body, arms, pos } => {
                    self.scanner.hole();
                    if self.scanner.place() == Place::Quoted {
                        self.in_attribute(node);
                        continue;
                    }
                    let (start, open) = (self.scanner.clone(), self.open.clone());
                    let mut inner = Vec::new();
                    self.nodes(body, &mut inner);
                    let (after, after_open) = (self.scanner.clone(), self.open.clone());
                    let arms = arms
                        .iter()
                        .map(|arm| {
                            (self.scanner, self.open) = (start.clone(), open.clone());
                            let mut body = Vec::new();
                            self.nodes(&arm.body, &mut body);
                            Arm { condition: arm.condition.clone(), body, pos: arm.pos.clone() }
                        })
                        .collect();
                    (self.scanner, self.open) = (after, after_open);
                    out.push(Node::Block {
                        call: call.clone(),
                        params: params.clone(),
                        body: inner,
                        arms,
                        pos: pos.clone(),
                    });
                }
                Node::Include { .. } => {}
            }
        }
    }

    fn hidden(&self) -> bool {
        self.open.iter().any(|(_, hidden)| *hidden)
    }

    fn in_attribute(&mut self, node: &Node) {
        if self.scanner.place() == Place::Quoted && self.scanner.attr == "href" {
            self.href.push(node.clone());
        }
    }

    fn char(&mut self, c: char, pos: &Pos, out: &mut Vec<Node>) {
        match self.scanner.feed(c) {
            Event::None => {}
            Event::Char(c) => self.raw.push(c),
            Event::ValueStart if self.scanner.attr == "href" => self.href.clear(),
            Event::ValueStart if self.scanner.attr == "style" => self.style.clear(),
            Event::ValueChar(c) if self.scanner.attr == "href" => push_text(&mut self.href, &c.to_string(), pos),
            Event::ValueChar(c) if self.scanner.attr == "style" && !c.is_whitespace() => {
                self.style.push(c.to_ascii_lowercase())
            }
            Event::ValueStart | Event::ValueChar(_) | Event::ValueEnd => {}
            Event::Opened => {
                self.flush(pos, out);
                self.opened(pos, out);
            }
            Event::Closed => {
                self.flush(pos, out);
                self.closed(pos, out);
            }
        }
    }

    fn flush(&mut self, pos: &Pos, out: &mut Vec<Node>) {
        let raw = std::mem::take(&mut self.raw);
        if raw.is_empty() || self.hidden() {
            return;
        }
        let mut text = String::with_capacity(raw.len());
        for c in decode_entities(&raw).chars() {
            // Spaces without width keep previews apart; a text part needs none.
            if matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '\u{34f}') {
                continue;
            }
            let c = if c.is_whitespace() { ' ' } else { c };
            if c != ' ' || !text.ends_with(' ') {
                text.push(c);
            }
        }
        // Braces from entities must not become a tag.
        push_text(out, &text.replace("{{", "{ {"), pos);
    }

    fn opened(&mut self, pos: &Pos, out: &mut Vec<Node>) {
        let name = self.scanner.element.clone();
        let style = std::mem::take(&mut self.style);
        let href = std::mem::take(&mut self.href);
        let hidden = matches!(name.as_str(), "head" | "style" | "script" | "title" | "template")
            || style.contains("display:none")
            || style.contains("mso-hide:all");
        if !VOID.contains(&name.as_str()) && !self.scanner.self_closed() {
            self.open.push((name.clone(), hidden));
            if name == "a" {
                self.links.push(href);
            }
        }
        if !self.hidden() {
            push_text(out, before(&name), pos);
        }
    }

    fn closed(&mut self, pos: &Pos, out: &mut Vec<Node>) {
        let name = self.scanner.element.clone();
        let hidden = self.hidden();
        if let Some(at) = self.open.iter().rposition(|(open, _)| *open == name) {
            self.open.drain(at..);
        }
        if name == "a"
            && let Some(href) = self.links.pop()
            && !hidden
        {
            let plain = if let [Node::Text { text, .. }] = href.as_slice() { text.as_str() } else { "" };
            if !href.is_empty() && !plain.starts_with(['#', 'm', 't']) {
                push_text(out, " (", pos);
                for node in href {
                    match node {
                        Node::Text { text, pos } => push_text(out, &decode_entities(&text).replace("{{", "{ {"), &pos),
                        other => out.push(other),
                    }
                }
                push_text(out, ")", pos);
            }
        }
        if !hidden {
            push_text(out, after(&name), pos);
        }
    }
}

/// A line ends here; any number of these in a row is one. Values cannot hold it: they have no control characters.
const LINE: &str = "\u{b}";
/// A paragraph ends here.
const PARAGRAPH: &str = "\u{c}";

fn before(name: &str) -> &'static str {
    match name {
        "br" => "\n",
        "div" | "tr" | "ul" | "ol" | "section" | "center" => LINE,
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "table" => PARAGRAPH,
        "hr" => "\u{b}---\u{b}",
        "li" => "\u{b}- ",
        "td" | "th" => " ",
        _ => "",
    }
}

fn after(name: &str) -> &'static str {
    match name {
        "div" | "tr" | "ul" | "ol" | "section" | "center" | "li" => LINE,
        "p" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6" | "blockquote" | "table" => PARAGRAPH,
        _ => "",
    }
}

fn push_text(out: &mut Vec<Node>, more: &str, pos: &Pos) {
    if more.is_empty() {
        return;
    }
    if let Some(Node::Text { text, .. }) = out.last_mut() {
        text.push_str(more);
    } else {
        out.push(Node::Text { text: more.into(), pos: pos.clone() });
    }
}

/// Decodes the entities that mails use; others stay as they are.
pub(super) fn decode_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = rest.char_indices().take(12).find(|(_, c)| *c == ';').map(|(i, _)| i);
        match end.and_then(|end| Some((entity(&rest[1..end])?, end))) {
            Some((c, end)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        "colon" => ':',
        "Tab" => '\t',
        "NewLine" => '\n',
        "zwnj" => '\u{200c}',
        "zwj" => '\u{200d}',
        "shy" => '\u{ad}',
        "copy" => '©',
        "reg" => '®',
        "trade" => '™',
        "hellip" => '…',
        "ndash" => '–',
        "mdash" => '—',
        "middot" => '·',
        "bull" => '•',
        "lsquo" => '‘',
        "rsquo" => '’',
        "ldquo" => '“',
        "rdquo" => '”',
        "rarr" => '→',
        "euro" => '€',
        "times" => '×',
        _ => return None,
    })
}

/// Turns the marks into line ends, joins spaces, and leaves at most one empty line in a row.
pub(super) fn tidy(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut breaks, mut space) = (0, false);
    for c in text.chars() {
        match c {
            '\u{c}' => breaks = 2,
            '\u{b}' => breaks = breaks.max(1),
            '\n' => breaks += 1,
            c if c.is_whitespace() => space = true,
            c => {
                if !out.is_empty() {
                    out.push_str(match (breaks, space) {
                        (0, false) => "",
                        (0, true) => " ",
                        (1, _) => "\n",
                        _ => "\n\n",
                    });
                }
                (breaks, space) = (0, false);
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::template::syntax::{Mode, parse, write};

    fn text(html: &str) -> String {
        let nodes = parse(&Arc::from("t"), html).unwrap_or_else(|i| panic!("{i:?}"));
        tidy(&write(&from_html(&nodes), Mode::Source).unwrap_or_else(|i| panic!("{i:?}")))
    }

    #[test]
    fn html_becomes_readable_text_and_tags_stay_tags() {
        for (html, expected) in [
            ("<p>Hello</p><p>World</p>", "Hello\n\nWorld"),
            ("a<br>b<br/><br>c", "a\nb\n\nc"),
            ("<ul><li>one</li><li>two</li></ul>", "- one\n- two"),
            ("<a href=\"https://a.example/?x=1&amp;y=2\">Go</a>!", "Go (https://a.example/?x=1&y=2)!"),
            (
                "<a href=\"{{org.links.home}}?e={{urlencode event.id}}\">Go</a>",
                "Go ({{org.links.home}}?e={{urlencode event.id}})",
            ),
            ("<a href=\"#top\">Up</a> <a href=\"mailto:x@a.example\">Write</a>", "Up Write"),
            ("<head><title>t</title><style>p{}</style></head><body>x</body>", "x"),
            ("<div style=\"display: none\">secret {{event.id}}</div>seen", "seen"),
            ("a<!-- {{event.id}} b -->c<!--[if mso]>d<![endif]-->e", "ace"),
            ("Tom &amp; Jerry&nbsp;&lt;3 &copy; &unknown; &#x41;&#66;", "Tom & Jerry <3 © &unknown; AB"),
            (
                "{{#if event.id}}<p>{{event.id}}</p>{{else}}<p>none</p>{{/if}}",
                "{{#if event.id}} {{event.id}} {{else}} none {{/if}}",
            ),
            ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td><td>d</td></tr></table>", "a b\nc d"),
            ("a &#123;&#123;b&#125;&#125;", "a { {b}}"),
        ] {
            // Paragraph marks around tags are line ends; here they only blur the comparison.
            let got = if html.contains("{{#if") {
                text(html).split_whitespace().collect::<Vec<_>>().join(" ")
            } else {
                text(html)
            };
            assert_eq!(got, expected, "{html}");
        }
    }
}
