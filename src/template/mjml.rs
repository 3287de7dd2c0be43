//! MJML into HTML, once, at load.
//!
//! Promises: the template's tags pass through as tokens and come back where they stood, each at least once, or the part is refused;
//! nesting is bounded before the converter (it is recursive); nothing is loaded from anywhere.
//! Never: MJML at render time.

use std::collections::{BTreeMap, HashMap};

use mrml::prelude::render::RenderOptions;

use super::markup::{Event, Place, Scanner};
use super::syntax::{Flat, Issue, Node, Pos, Positions, parse_at, tag_texts};

/// How deep elements may nest.
const MAX_NESTING: usize = 48;
const TOKEN: &str = "sptok";

/// Elements whose children are elements: a tag between them travels as a comment.
const STRUCTURE: [&str; 15] = [
    "mjml",
    "mj-head",
    "mj-attributes",
    "mj-body",
    "mj-section",
    "mj-column",
    "mj-wrapper",
    "mj-group",
    "mj-hero",
    "mj-social",
    "mj-navbar",
    "mj-carousel",
    "mj-accordion",
    "mj-accordion-element",
    "",
];

/// Elements that never close.
const VOID: [&str; 6] = ["br", "hr", "img", "meta", "link", "input"];

/// Converts an expanded MJML part; `pos` is the part's own place.
pub(super) fn to_html(nodes: &[Node], pos: &Pos) -> Result<Vec<Node>, Issue> {
    let mut flat = Vec::new();
    tag_texts(nodes, &mut flat);
    let (mjml, tags) = tokens(&flat, pos)?;
    let html = convert(&mjml, pos)?;
    if let Some(at) = html.find("<mj-") {
        let name: String = html[at + 1..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        return Err(Issue::new(pos, format!("`<{name}>` is not an MJML element, or stands in the wrong place")));
    }
    restore(&html, &tags, pos)
}

/// The converter itself. Its parser has panicked on odd text before, and a template must not end the daemon.
fn convert(mjml: &str, pos: &Pos) -> Result<String, Issue> {
    let run = || {
        let parsed = mrml::parse(mjml).map_err(|error| convert_issue(&error, mjml, pos))?;
        // Without its font list: it would have every reader's client call a font server.
        let options = RenderOptions { fonts: HashMap::new(), ..RenderOptions::default() };
        parsed.element.render(&options).map_err(|error| Issue::new(pos, format!("MJML cannot be converted: {error}")))
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run))
        .unwrap_or_else(|_| Err(Issue::new(pos, "MJML cannot be converted: the converter failed")))
}

struct Tag {
    text: String,
    pos: Pos,
}

/// Puts tokens where tags stand.
fn tokens(flat: &[Flat], pos: &Pos) -> Result<(String, Vec<Tag>), Issue> {
    let (mut out, mut tags) = (String::new(), Vec::new());
    let mut scanner = Scanner::new(true);
    let mut open: Vec<String> = Vec::new();
    for piece in flat {
        match piece {
            Flat::Text(text) => {
                if text.contains(TOKEN) {
                    return Err(Issue::new(pos, format!("the word `{TOKEN}` is reserved")));
                }
                for c in text.chars() {
                    let event = scanner.feed(c);
                    if event == Event::Char('>') && !out.is_char_boundary(out.len().saturating_sub(2)) {
                        // The converter's parser (htmlparser 0.2) cuts the text two bytes before a `>`, and panics inside a letter.
                        out.push_str("&gt;");
                    } else {
                        out.push(c);
                    }
                    match event {
                        Event::Opened if !scanner.self_closed() && !VOID.contains(&scanner.element.as_str()) => {
                            open.push(scanner.element.clone());
                        }
                        Event::Closed => {
                            if let Some(at) = open.iter().rposition(|o| *o == scanner.element) {
                                open.drain(at..);
                            }
                        }
                        _ => {}
                    }
                    if open.len() > MAX_NESTING {
                        return Err(Issue::new(pos, format!("elements nest deeper than {MAX_NESTING}")));
                    }
                }
            }
            Flat::Tag { text, pos } => {
                scanner.hole();
                let parent = open.last().map_or("", String::as_str);
                match scanner.place() {
                    Place::Text if STRUCTURE.contains(&parent) => {
                        out.push_str(&format!("<!--{TOKEN}{}x-->", tags.len()))
                    }
                    Place::Text | Place::Raw | Place::Quoted => out.push_str(&format!("{TOKEN}{}x", tags.len())),
                    Place::Comment => continue,
                    Place::Tag | Place::BetweenAttrs | Place::Unquoted => {
                        let issue = Issue::new(pos, "a tag stands inside an MJML element's `<…>`");
                        return Err(issue.hint("put values into quoted attributes, and blocks around whole elements"));
                    }
                }
                tags.push(Tag { text: text.clone(), pos: pos.clone() });
            }
        }
    }
    Ok((out, tags))
}

/// Puts tags where tokens stand, and reads the result.
fn restore(html: &str, tags: &[Tag], pos: &Pos) -> Result<Vec<Node>, Issue> {
    let mut out = String::with_capacity(html.len());
    let mut places = BTreeMap::new();
    let mut seen = vec![false; tags.len()];
    let mut rest = html;
    while let Some(at) = rest.find(TOKEN) {
        let digits: String = rest[at + TOKEN.len()..].chars().take_while(char::is_ascii_digit).collect();
        let mut end = at + TOKEN.len() + digits.len();
        let tag = digits.parse::<usize>().ok().and_then(|i| Some((i, tags.get(i)?)));
        let (Some((index, tag)), true) = (tag, rest[end..].starts_with('x')) else {
            return Err(Issue::new(pos, "MJML conversion tore a tag apart"));
        };
        end += 1;
        let mut start = at;
        if rest[..at].ends_with("<!--") && rest[end..].starts_with("-->") {
            start -= 4;
            end += 3;
        }
        out.push_str(&rest[..start]);
        places.insert(out.len(), tag.pos.clone());
        out.push_str(&tag.text);
        seen[index] = true;
        rest = &rest[end..];
    }
    out.push_str(rest);
    if let Some(lost) = seen.iter().position(|seen| !seen) {
        let issue = Issue::new(&tags[lost].pos, format!("`{}` gets lost when MJML is converted", tags[lost].text));
        return Err(issue
            .hint("MJML keeps tags in texts, in known attributes, and between sections, columns and their elements"));
    }
    parse_at(&out, &Positions::Made { tags: &places, otherwise: pos })
}

fn convert_issue(error: &mrml::prelude::parser::Error, mjml: &str, pos: &Pos) -> Issue {
    let text = error.to_string();
    // The converter counts bytes of the text with everything put in place; its lines are near the author's.
    let offset = text.split(|c: char| !c.is_ascii_digit()).find_map(|n| n.parse::<usize>().ok());
    let near =
        offset.and_then(|o| mjml.get(..o)).map(|before| before.lines().last().unwrap_or_default().trim().to_owned());
    let issue = Issue::new(pos, format!("MJML is not well formed: {text}"));
    match near {
        Some(near) if !near.is_empty() => issue.hint(format!("near `{}`", near.chars().take(60).collect::<String>())),
        _ => issue.hint("every element must be closed, and every attribute quoted"),
    }
}
