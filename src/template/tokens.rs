//! Tags of a template as words that HTML tools leave alone, and back.
//!
//! Promises: every tag comes back at least once and whole, or its loss is told; a tag knows its place in the author's file all the
//! way.
//! Never: a guess where a lost tag may have stood.

use std::collections::BTreeMap;

use super::syntax::{Issue, Node, Pos, Positions, parse_at};

const TOKEN: &str = "sptok";

/// How a tag travels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum As {
    /// A word, in texts and values.
    Word,
    /// A comment, where HTML allows no text.
    Comment,
}

/// A tag that stands aside.
pub(super) struct Tag {
    pub(super) text: String,
    pub(super) pos: Pos,
}

/// The tags of one part, by number.
#[derive(Default)]
pub(super) struct Tags(Vec<Tag>);

/// Why tags did not come back.
pub(super) enum Torn<'t> {
    /// A token is no longer one.
    Apart,
    /// A token is gone.
    Lost(&'t Tag),
    /// They came back in an order that cannot be read.
    Unreadable(Issue),
}

impl Tags {
    /// Refuses text that looks like a token.
    pub(super) fn refuse_own(text: &str, pos: &Pos) -> Result<(), Issue> {
        if text.contains(TOKEN) {
            return Err(Issue::new(pos, format!("the word `{TOKEN}` is reserved")));
        }
        Ok(())
    }

    /// Writes a token for a tag.
    pub(super) fn put(&mut self, text: &str, pos: &Pos, how: As, out: &mut String) {
        let token = format!("{TOKEN}{}x", self.0.len());
        match how {
            As::Word => out.push_str(&token),
            As::Comment => out.push_str(&format!("<!--{token}-->")),
        }
        self.0.push(Tag { text: text.to_owned(), pos: pos.clone() });
    }

    /// Puts tags where tokens stand, and reads the result; `pos` is the place of everything that is no tag.
    pub(super) fn restore(&self, html: &str, pos: &Pos) -> Result<Vec<Node>, Torn<'_>> {
        let mut out = String::with_capacity(html.len());
        let mut places = BTreeMap::new();
        let mut seen = vec![false; self.0.len()];
        let mut rest = html;
        while let Some(at) = rest.find(TOKEN) {
            let digits: String = rest[at + TOKEN.len()..].chars().take_while(char::is_ascii_digit).collect();
            let mut end = at + TOKEN.len() + digits.len();
            let tag = digits.parse::<usize>().ok().and_then(|i| Some((i, self.0.get(i)?)));
            let (Some((index, tag)), true) = (tag, rest[end..].starts_with('x')) else { return Err(Torn::Apart) };
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
            return Err(Torn::Lost(&self.0[lost]));
        }
        parse_at(&out, &Positions::Made { tags: &places, otherwise: pos }).map_err(Torn::Unreadable)
    }
}
