//! CSS of hand-written HTML mails into `style` attributes, because many mail clients drop `<style>`.
//!
//! Promises: a part without `<style>` is left as it was written; rules that cannot stand in an attribute (`@media`, `:hover`) stay
//! in `<style>`; it is done once, at load, where the outcome cannot depend on data, and else after each rendering; nothing is
//! loaded from anywhere.
//! Never: a stylesheet of the reader's choice, or a tag of the template moved to another place.

use css_inline::{CSSInliner, InlineOptions};

use super::markup::{Event, Place, Scanner, VOID};
use super::syntax::{Flat, Issue, Node, Pos, tag_texts};
use super::tokens::{As, Tags, Torn};

/// What is to be done about a part's CSS.
#[derive(Debug)]
pub(super) enum Css {
    /// Nothing: there is none.
    None,
    /// It is in the attributes already.
    AtLoad(Vec<Node>),
    /// Which rule meets which element is known only when the tags are filled.
    AtRender,
}

/// Selectors that look at neighbours, which a block may take away.
const NEIGHBOURS: [&str; 8] = [":first-", ":last-", ":nth-", ":only-", ":empty", ":has(", "+", "~"];

/// Inlines the CSS of an expanded HTML part if that can be done before rendering; `pos` is the part's own place.
pub(super) fn at_load(nodes: &[Node], pos: &Pos) -> Result<Css, Issue> {
    let mut flat = Vec::new();
    tag_texts(nodes, &mut flat);
    let Some(survey) = Survey::of(&flat, pos)? else { return Ok(Css::None) };
    if survey.depends_on_data() {
        return Ok(Css::AtRender);
    }
    let html = inlined(&survey.html).ok_or_else(|| {
        Issue::new(pos, "its CSS cannot be inlined").hint("look for a `<style>` that is not closed or is no CSS")
    })?;
    match survey.tags.restore(&html, pos) {
        Ok(nodes) => Ok(Css::AtLoad(nodes)),
        // The parser moved what it could not accept where the tags stand; with values in their place it may accept it.
        Err(Torn::Apart | Torn::Lost(_) | Torn::Unreadable(_)) => Ok(Css::AtRender),
    }
}

/// Inlines the CSS of a rendered mail; `None` if that fails.
pub(super) fn after_render(html: &str) -> Option<String> {
    inlined(html)
}

fn inlined(html: &str) -> Option<String> {
    let options = InlineOptions { keep_style_tags: true, load_remote_stylesheets: false, ..InlineOptions::default() };
    let inliner: CSSInliner<'_> = options.remove_inlined_selectors(true).build();
    // A parser of other people's texts: whatever it does on odd input must not end the daemon.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| inliner.inline(html).ok())).ok().flatten()
}

/// A part with tokens for tags, and what may make its CSS depend on data.
struct Survey {
    html: String,
    tags: Tags,
    css: String,
    /// A tag in an attribute that rules ask for, in CSS, or among attributes.
    tag_decides: bool,
    /// A tag in any attribute.
    tag_in_attribute: bool,
    /// A block around elements.
    block_around: bool,
    /// A block that opens what it does not close.
    block_tears: bool,
}

impl Survey {
    /// `None` if there is no CSS.
    fn of(flat: &[Flat], pos: &Pos) -> Result<Option<Self>, Issue> {
        let mut survey = Self {
            html: String::new(),
            tags: Tags::default(),
            css: String::new(),
            tag_decides: false,
            tag_in_attribute: false,
            block_around: false,
            block_tears: false,
        };
        let (mut scanner, mut elements) = (Scanner::new(true), Elements::default());
        for piece in flat {
            match piece {
                Flat::Text(text) => {
                    Tags::refuse_own(text, pos)?;
                    survey.html.push_str(text);
                    for c in text.chars() {
                        let event = scanner.feed(c);
                        elements.note(event, &scanner);
                        if scanner.raw() == "style" {
                            survey.css.push(c);
                        }
                    }
                }
                Flat::Tag { text, pos } => {
                    scanner.hole();
                    survey.tag(text, pos, &scanner, &mut elements);
                }
            }
        }
        survey.block_tears = elements.torn;
        Ok((!survey.css.is_empty()).then_some(survey))
    }

    fn tag(&mut self, text: &str, pos: &Pos, scanner: &Scanner, elements: &mut Elements) {
        let how = match scanner.place() {
            Place::Text => As::Comment,
            Place::Raw | Place::Comment | Place::Quoted => As::Word,
            Place::Tag | Place::BetweenAttrs | Place::Unquoted => {
                self.tag_decides = true;
                As::Word
            }
        };
        self.tag_decides |= scanner.place() == Place::Raw && scanner.raw() == "style";
        if scanner.place() == Place::Quoted {
            self.tag_in_attribute = true;
            self.tag_decides |= ["class", "id", "style"].contains(&scanner.attr.as_str());
        }
        if text.starts_with("{{#") {
            self.block_around |= scanner.place() == Place::Text;
            elements.enter();
        } else if text.starts_with("{{else") {
            elements.turn();
        } else if text.starts_with("{{/") {
            elements.leave();
        }
        self.tags.put(text, pos, how, &mut self.html);
    }

    fn depends_on_data(&self) -> bool {
        let neighbours = || NEIGHBOURS.iter().any(|selector| self.css.contains(selector));
        self.tag_decides
            || self.block_tears
            || (self.tag_in_attribute && self.css.contains('['))
            || (self.block_around && neighbours())
    }
}

/// How deep elements stand, and whether each arm of each block closes what it opens.
#[derive(Default)]
struct Elements {
    open: Vec<String>,
    blocks: Vec<usize>,
    torn: bool,
}

impl Elements {
    fn note(&mut self, event: Event, scanner: &Scanner) {
        match event {
            Event::Opened if !VOID.contains(&scanner.element.as_str()) => self.open.push(scanner.element.clone()),
            Event::Closed => {
                let floor = self.blocks.last().copied().unwrap_or(0);
                if self.open.len() <= floor || self.open.pop().as_ref() != Some(&scanner.element) {
                    self.torn |= !self.blocks.is_empty();
                }
            }
            _ => {}
        }
    }

    fn enter(&mut self) {
        self.blocks.push(self.open.len());
    }

    fn turn(&mut self) {
        self.torn |= self.blocks.last().is_some_and(|floor| *floor != self.open.len());
    }

    fn leave(&mut self) {
        self.turn();
        self.blocks.pop();
    }
}

#[cfg(test)]
mod tests;
