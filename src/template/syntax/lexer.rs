//! Text into tags, and tags into words.
//!
//! Promises: linear time; every byte of the source belongs to exactly one piece.
//! Never: a decision about what a tag means.

/// A piece of a part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'s> {
    /// Text between tags, with its offset.
    Text(&'s str, usize),
    /// The inside of `{{…}}` without braces and `~`, with the offset of its first brace.
    Tag { inner: &'s str, at: usize, trim_before: bool, trim_after: bool },
    /// A tag that cannot be read: what is wrong, and where.
    Broken(&'static str, usize),
}

/// Cuts a source into pieces. Comments vanish.
pub(super) fn pieces(source: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let mut rest = 0;
    while let Some(found) = source[rest..].find("{{") {
        let at = rest + found;
        if at > rest {
            out.push(Piece::Text(&source[rest..at], rest));
        }
        if source[..at].ends_with('\\') {
            out.push(Piece::Broken("a backslash stands before `{{`; remove it", at));
            return out;
        }
        let after = &source[at + 2..];
        if after.starts_with('{') {
            out.push(Piece::Broken("three braces print a value without escaping it; use two", at));
            return out;
        }
        let (inner_at, trim_before) = if after.starts_with('~') { (at + 3, true) } else { (at + 2, false) };
        let inner = &source[inner_at..];
        if inner.starts_with('!') {
            let end = if inner.starts_with("!--") { "--}}" } else { "}}" };
            // `{{!--~}}` and `{{!-- a --~}}` are the two spellings that hold a `~`.
            let Some(stop) = inner.find(end).map(|i| i + end.len()).or_else(|| inner.find("--~}}").map(|i| i + 5))
            else {
                out.push(Piece::Broken("a comment is never closed", at));
                return out;
            };
            let trim_after = inner[..stop].ends_with("~}}");
            if trim_before || trim_after {
                out.push(Piece::Tag { inner: "!", at, trim_before, trim_after });
            }
            rest = inner_at + stop;
            // A comment alone on its line takes the line with it.
            if source[..at].ends_with('\n') && source[rest..].starts_with('\n') {
                rest += 1;
            }
            continue;
        }
        let Some(stop) = close(inner) else {
            out.push(Piece::Broken("a tag is never closed; expected `}}`", at));
            return out;
        };
        let body = &inner[..stop];
        let (body, trim_after) = body.strip_suffix('~').map_or((body, false), |b| (b, true));
        out.push(Piece::Tag { inner: body, at, trim_before, trim_after });
        rest = inner_at + stop + 2;
    }
    if rest < source.len() {
        out.push(Piece::Text(&source[rest..], rest));
    }
    out
}

/// The offset of the `}}` that ends a tag, strings skipped.
fn close(inner: &str) -> Option<usize> {
    let bytes = inner.as_bytes();
    let (mut i, mut quote) = (0, None);
    while i < bytes.len() {
        match (quote, bytes[i]) {
            (Some(_), b'\\') => i += 1,
            (Some(q), b) if b == q => quote = None,
            (Some(_), _) => {}
            (None, b @ (b'"' | b'\'')) => quote = Some(b),
            (None, b'}') if bytes.get(i + 1) == Some(&b'}') => return Some(i),
            (None, b'{') if bytes.get(i + 1) == Some(&b'{') => return None,
            (None, _) => {}
        }
        i += 1;
    }
    None
}

/// A word of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// `event.data.x`, `if`, `12`: anything without white space.
    Bare(String),
    /// A quoted text, quotes and escapes removed.
    Quoted(String),
    Open,
    Close,
    Equals,
    Bar,
}

/// True for a character that may stand in a name.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | ':') || (!c.is_ascii() && c.is_alphanumeric())
}

/// Splits the inside of a tag into words.
pub(super) fn words(inner: &str) -> Result<Vec<Word>, String> {
    let mut out = Vec::new();
    let mut chars = inner.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            _ if c.is_whitespace() => drop(chars.next()),
            '(' => drop((chars.next(), out.push(Word::Open))),
            ')' => drop((chars.next(), out.push(Word::Close))),
            '=' => drop((chars.next(), out.push(Word::Equals))),
            '|' => drop((chars.next(), out.push(Word::Bar))),
            '"' | '\'' => {
                chars.next();
                out.push(Word::Quoted(quoted(&mut chars, c)?));
            }
            _ if is_word(c) || matches!(c, '.' | '/' | '[') => {
                let mut word = String::new();
                while let Some(&c) = chars.peek() {
                    if c == '[' {
                        loop {
                            match chars.next() {
                                Some(']') => break word.push(']'),
                                Some(c) => word.push(c),
                                None => return Err("`[` is never closed".into()),
                            }
                        }
                    } else if is_word(c) || matches!(c, '.' | '/') {
                        word.push(c);
                        chars.next();
                    } else {
                        break;
                    }
                }
                out.push(Word::Bare(word));
            }
            other => return Err(format!("`{}` cannot stand in a tag", other.escape_default())),
        }
    }
    Ok(out)
}

fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, quote: char) -> Result<String, String> {
    let mut text = String::new();
    loop {
        match chars.next() {
            Some(c) if c == quote => return Ok(text),
            Some('\\') => match chars.next() {
                Some(c @ ('\\' | '"' | '\'')) => text.push(c),
                Some('n') => text.push('\n'),
                Some(c) => return Err(format!("`\\{}` is not an escape; use \\\" or \\\\", c.escape_default())),
                None => return Err("a text is never closed".into()),
            },
            Some(c) => text.push(c),
            None => return Err("a text is never closed".into()),
        }
    }
}
