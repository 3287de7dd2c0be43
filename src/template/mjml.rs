//! MJML into HTML, once, at load.
//!
//! Promises: the template's tags pass through as tokens and come back where they stood, each at least once, or the part is refused;
//! nesting is bounded before the converter (it is recursive); nothing is loaded from anywhere.
//! Never: MJML at render time.

use std::collections::HashMap;

use mrml::prelude::render::RenderOptions;

use super::markup::{Event, Place, Scanner, VOID};
use super::syntax::{Flat, Issue, Node, Pos, tag_texts};
use super::tokens::{As, Tags, Torn};

/// How deep elements may nest.
const MAX_NESTING: usize = 48;

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
    tags.restore(&html, pos).map_err(|error| torn(error, pos))
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

/// Puts tokens where tags stand.
fn tokens(flat: &[Flat], pos: &Pos) -> Result<(String, Tags), Issue> {
    let (mut out, mut tags) = (String::new(), Tags::default());
    let mut scanner = Scanner::new(true);
    let mut open: Vec<String> = Vec::new();
    for piece in flat {
        match piece {
            Flat::Text(text) => {
                Tags::refuse_own(text, pos)?;
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
                let how = match scanner.place() {
                    Place::Text if STRUCTURE.contains(&parent) => As::Comment,
                    Place::Text | Place::Raw | Place::Quoted => As::Word,
                    Place::Comment => continue,
                    Place::Tag | Place::BetweenAttrs | Place::Unquoted => {
                        let issue = Issue::new(pos, "a tag stands inside an MJML element's `<…>`");
                        return Err(issue.hint("put values into quoted attributes, and blocks around whole elements"));
                    }
                };
                tags.put(text, pos, how, &mut out);
            }
        }
    }
    Ok((out, tags))
}

fn torn(torn: Torn<'_>, pos: &Pos) -> Issue {
    match torn {
        Torn::Apart => Issue::new(pos, "MJML conversion tore a tag apart"),
        Torn::Lost(tag) => Issue::new(&tag.pos, format!("`{}` gets lost when MJML is converted", tag.text))
            .hint("MJML keeps tags in texts, in known attributes, and between sections, columns and their elements"),
        Torn::Unreadable(issue) => issue,
    }
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
