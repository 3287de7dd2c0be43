//! Where in an HTML text something stands: in text, in a tag, in which attribute.
//!
//! Promises: takes one character at a time, never fails, never looks back; good enough to say that a value lands inside an address.
//! Never: a tree, or a repair of broken HTML.

/// What a character did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Nothing that matters.
    None,
    /// Visible text.
    Char(char),
    /// A new attribute's value begins; its name is in [`Scanner::attr`].
    ValueStart,
    /// A character of an attribute's value.
    ValueChar(char),
    /// An attribute's value ends.
    ValueEnd,
    /// `>` of an opening tag; its name is in [`Scanner::element`].
    Opened,
    /// `>` of a closing tag; its name is in [`Scanner::element`].
    Closed,
}

/// Where the scanner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Text,
    /// Inside `<style>`, `<script>` or `<title>`.
    Raw,
    /// Inside `<…>` but not in a value.
    Tag,
    /// Between attributes, where `{{#if}}` around a whole attribute is fine.
    BetweenAttrs,
    /// In a quoted value.
    Quoted,
    /// In a value without quotes.
    Unquoted,
    /// In a comment, when comments are skipped.
    Comment,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Text,
    Raw,
    /// After `<`.
    Less,
    /// After `<` inside a raw element.
    RawLess,
    Name,
    CloseName,
    Between,
    AttrName,
    AfterAttrName,
    BeforeValue,
    Quoted(char),
    Unquoted,
    /// `<!…>`
    Declaration,
    Comment,
}

/// The scanner.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    state: State,
    /// Name of the present or last tag, in lower case.
    pub(super) element: String,
    /// Name of the present or last attribute, in lower case.
    pub(super) attr: String,
    raw: String,
    /// True while a tag is read that closes an element.
    closing: bool,
    /// The last characters, to know `<!--`, `-->` and `--!>`.
    tail: [char; 4],
    /// Skip comments; otherwise look inside (Outlook reads conditional comments as HTML).
    skip_comments: bool,
}

/// Elements that never close.
pub(super) const VOID: [&str; 13] =
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"];

const RAW: [&str; 4] = ["style", "script", "title", "textarea"];

impl Scanner {
    pub(super) fn new(skip_comments: bool) -> Self {
        Self {
            state: State::Text,
            element: String::new(),
            attr: String::new(),
            raw: String::new(),
            closing: false,
            tail: ['\0'; 4],
            skip_comments,
        }
    }

    /// True if what stands in comments is not looked at.
    pub(super) fn skips_comments(&self) -> bool {
        self.skip_comments
    }

    /// Name of the raw element that is open (`style`, `script`, `title`), or nothing.
    pub(super) fn raw(&self) -> &str {
        &self.raw
    }

    pub(super) fn place(&self) -> Place {
        match self.state {
            State::Text => Place::Text,
            State::Raw | State::RawLess => Place::Raw,
            State::Between => Place::BetweenAttrs,
            State::Quoted(_) => Place::Quoted,
            State::Unquoted | State::BeforeValue => Place::Unquoted,
            State::Comment => Place::Comment,
            State::Declaration if self.skip_comments => Place::Comment,
            // Looking into comments: `<!--[if mso]>` is over at its `>`.
            State::Declaration => Place::Text,
            State::Less | State::Name | State::CloseName | State::AttrName | State::AfterAttrName => Place::Tag,
        }
    }

    /// After [`Event::Opened`]: true for `<x/>`.
    pub(super) fn self_closed(&self) -> bool {
        self.tail[2] == '/'
    }

    /// Takes one character.
    pub(super) fn feed(&mut self, c: char) -> Event {
        self.tail = [self.tail[1], self.tail[2], self.tail[3], c];
        match self.state {
            State::Text if c == '<' => self.go(State::Less),
            State::Text => Event::Char(c),
            State::Raw if c == '<' => self.go(State::RawLess),
            State::Raw => Event::None,
            State::RawLess if c == '/' => self.name(State::CloseName),
            State::RawLess if c == '<' => Event::None,
            State::RawLess => self.go(State::Raw),
            State::Less => match c {
                // The one before is text: `<<a href=…>` is a link.
                '<' => Event::Char(c),
                '/' => self.name(State::CloseName),
                '!' | '?' => self.go(State::Declaration),
                _ if c.is_ascii_alphabetic() => {
                    self.name(State::Name);
                    self.element.push(c.to_ascii_lowercase());
                    Event::None
                }
                _ => {
                    self.state = State::Text;
                    Event::Char(c)
                }
            },
            State::Name => match c {
                '>' => self.opened(),
                '/' => self.go(State::Between),
                _ if c.is_whitespace() => self.go(State::Between),
                _ => {
                    self.element.push(c.to_ascii_lowercase());
                    Event::None
                }
            },
            State::CloseName => match c {
                '>' => self.closed(),
                // Inside a raw element only its own name closes; all else goes on as its text.
                '<' if !self.raw.is_empty() => self.go(State::RawLess),
                _ if !self.raw.is_empty() && !c.is_ascii_alphabetic() && self.element != self.raw => {
                    self.go(State::Raw)
                }
                '/' => self.go(State::Between),
                _ if c.is_whitespace() => self.go(State::Between),
                _ => {
                    self.element.push(c.to_ascii_lowercase());
                    Event::None
                }
            },
            State::Between | State::AfterAttrName => match c {
                '>' => self.opened(),
                '=' if self.state == State::AfterAttrName => self.go(State::BeforeValue),
                '/' => self.go(State::Between),
                _ if c.is_whitespace() => Event::None,
                _ => {
                    self.attr.clear();
                    self.attr.push(c.to_ascii_lowercase());
                    self.go(State::AttrName)
                }
            },
            State::AttrName => match c {
                '=' => self.go(State::BeforeValue),
                '>' => self.opened(),
                '/' => self.go(State::Between),
                _ if c.is_whitespace() => self.go(State::AfterAttrName),
                _ => {
                    self.attr.push(c.to_ascii_lowercase());
                    Event::None
                }
            },
            State::BeforeValue => match c {
                '"' | '\'' => {
                    self.state = State::Quoted(c);
                    Event::ValueStart
                }
                '>' => self.opened(),
                _ if c.is_whitespace() => Event::None,
                // The first character is lost to `ValueStart`; unquoted addresses are refused anyway.
                _ => {
                    self.state = State::Unquoted;
                    Event::ValueStart
                }
            },
            State::Quoted(quote) if c == quote => {
                self.state = State::Between;
                Event::ValueEnd
            }
            State::Quoted(_) => Event::ValueChar(c),
            State::Unquoted => match c {
                '>' => self.opened(),
                _ if c.is_whitespace() => {
                    self.state = State::Between;
                    Event::ValueEnd
                }
                _ => Event::ValueChar(c),
            },
            State::Declaration => {
                if self.skip_comments && self.tail == ['<', '!', '-', '-'] {
                    self.state = State::Comment;
                } else if c == '>' {
                    self.state = State::Text;
                }
                Event::None
            }
            State::Comment => {
                if self.tail[1..] == ['-', '-', '>'] || self.tail == ['-', '-', '!', '>'] {
                    self.state = State::Text;
                }
                Event::None
            }
        }
    }

    /// A tag of the template stands here: whatever the last characters were, they are no longer the last.
    pub(super) fn hole(&mut self) {
        self.tail = ['\0'; 4];
        match self.state {
            State::Less => self.state = State::Text,
            State::RawLess => self.state = State::Raw,
            _ => {}
        }
    }

    fn go(&mut self, state: State) -> Event {
        self.state = state;
        Event::None
    }

    fn name(&mut self, state: State) -> Event {
        self.element.clear();
        self.closing = state == State::CloseName;
        self.go(state)
    }

    /// `>` of a tag.
    fn opened(&mut self) -> Event {
        if self.closing {
            return self.closed();
        }
        self.state = State::Text;
        if RAW.contains(&self.element.as_str()) {
            self.raw.clone_from(&self.element);
            self.state = State::Raw;
        }
        Event::Opened
    }

    fn closed(&mut self) -> Event {
        if !self.raw.is_empty() && self.element != self.raw {
            self.state = State::Raw;
            return Event::None;
        }
        self.raw.clear();
        self.state = State::Text;
        Event::Closed
    }
}
