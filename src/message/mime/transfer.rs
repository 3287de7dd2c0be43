//! A text as the body of a part: line ends and transfer encoding (RFC 2045, section 6).
//!
//! Promises: every line ends in CRLF and is at most 76 bytes long, whatever the text; what a reader decodes is the text, with
//! its line ends as CRLF and without other control characters but the tab; a text that is mostly ASCII stays readable.
//! Never: 8-bit bytes, which a hop without 8BITMIME would change under a signature.

use lettre::message::Body;
use lettre::message::header::ContentTransferEncoding;

/// RFC 2045 section 6.7, rule 5: the longest encoded line, without its CRLF and with its soft break.
const LINE: usize = 76;

/// One byte in so many may need an escape before base64, which is far shorter by then, takes the place of quoted-printable.
const BYTES_FOR_AN_ESCAPE: usize = 3;

/// The text, encoded.
pub(super) fn body(text: &str) -> Body {
    let text = crlf(text);
    if text.is_ascii() && lines(&text).all(|line| line.len() <= LINE) {
        return Body::dangerous_pre_encoded(text.into_bytes(), ContentTransferEncoding::SevenBit);
    }
    let escaped = text.bytes().filter(|b| is_escaped(*b)).count();
    if escaped <= text.len() / BYTES_FOR_AN_ESCAPE {
        // lettre can do this too, in ten times the time: a third of what a mail costs.
        return Body::dangerous_pre_encoded(quoted_printable(&text), ContentTransferEncoding::QuotedPrintable);
    }
    Body::new_with_encoding(text, ContentTransferEncoding::Base64).expect("anything can be written as base64")
}

/// Line ends become CRLF; other control characters but the tab are left out.
///
/// Done here although lettre does it too: lettre keeps a lone CR, and inserts each CR in place (quadratic in the text).
fn crlf(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 32);
    let mut rest = text;
    while let Some((at, length)) = first_control(rest.as_bytes()) {
        out.push_str(&rest[..at]);
        let control = rest.as_bytes()[at];
        rest = &rest[at + length..];
        if control == b'\r' {
            rest = rest.strip_prefix('\n').unwrap_or(rest);
        }
        if matches!(control, b'\r' | b'\n') {
            out.push_str("\r\n");
        }
    }
    out.push_str(rest);
    out
}

/// Where the first control character but the tab begins, and its length: C0 and DEL are one byte, C1 is two.
fn first_control(text: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    loop {
        at += text.get(at..)?.iter().position(|b| (*b < b' ' && *b != b'\t') || matches!(b, 0x7f | 0xc2))?;
        match (text[at], text.get(at + 1)) {
            (0xc2, Some(0x80..=0x9f)) => return Some((at, 2)),
            // U+00A0 to U+00BF, which are no controls.
            (0xc2, _) => at += 2,
            _ => return Some((at, 1)),
        }
    }
}

/// What quoted-printable writes in another way, of a line that [`crlf`] made: its own sign, and what is not ASCII.
fn is_escaped(byte: u8) -> bool {
    byte == b'=' || !byte.is_ascii()
}

/// How many bytes from the start go as they are. By whole words of the processor, because a mail is mostly that.
fn plain_run(bytes: &[u8]) -> usize {
    let run = &bytes[..memchr::memchr(b'=', bytes).unwrap_or(bytes.len())];
    if run.is_ascii() { run.len() } else { run.iter().take_while(|b| b.is_ascii()).count() }
}

/// The lines of a text whose line ends are CRLF, the last one too if it is empty. Looks for one byte, not for two.
fn lines(text: &str) -> impl Iterator<Item = &[u8]> {
    text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line).as_bytes())
}

/// RFC 2045 section 6.7, of a text whose line ends are CRLF. Copies runs, because a mail is mostly that.
fn quoted_printable(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 8 + 16);
    for (number, line) in lines(text).enumerate() {
        if number > 0 {
            out.extend_from_slice(b"\r\n");
        }
        encode_line(line, &mut out);
    }
    out
}

/// One line, in as many as it takes.
fn encode_line(line: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    // Rule 3: white space at the end of a line may be taken off on the way.
    let (line, white) = match line {
        [line @ .., white @ (b' ' | b'\t')] => (line, Some(*white)),
        line => (line, None),
    };
    let escape = |byte: u8| [b'=', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
    let (mut rest, mut column) = (line, 0);
    let break_before = |width: usize, last: bool, column: &mut usize, out: &mut Vec<u8>| {
        // The soft break wants a place too, unless the line ends here.
        if *column + width > LINE - usize::from(!last) {
            out.extend_from_slice(b"=\r\n");
            *column = 0;
        }
    };
    while let Some(first) = rest.first() {
        let run = plain_run(&rest[..rest.len().min(LINE - 1 - column)]);
        if run > 0 {
            out.extend_from_slice(&rest[..run]);
            (rest, column) = (&rest[run..], column + run);
            continue;
        }
        let last = rest.len() == 1 && white.is_none();
        if !is_escaped(*first) {
            break_before(1, last, &mut column, out);
            out.push(*first);
            column += 1;
        } else {
            break_before(3, last, &mut column, out);
            out.extend_from_slice(&escape(*first));
            column += 3;
        }
        rest = &rest[1..];
    }
    if let Some(white) = white {
        break_before(3, true, &mut column, out);
        out.extend_from_slice(&escape(white));
    }
}

#[cfg(test)]
mod tests {
    use mail_parser::decoders::quoted_printable::quoted_printable_decode;
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &str) -> (String, String) {
        let body = body(text);
        let name = format!("{:?}", body.encoding());
        (name, String::from_utf8(body.into_vec()).unwrap())
    }

    #[test]
    fn what_is_plain_goes_as_it_is_and_the_rest_as_fits_it() {
        let long = "x".repeat(77);
        let cases = [
            ("", "SevenBit", ""),
            ("one\ntwo\rthree\r\n\r\nfour", "SevenBit", "one\r\ntwo\r\nthree\r\n\r\nfour"),
            ("a\0b\u{7f}c\u{85}d\te", "SevenBit", "abcd\te"),
            (
                "one cup of caf\u{e9} = 1\u{a0}\u{20b9} \nend",
                "QuotedPrintable",
                "one cup of caf=C3=A9 =3D 1=C2=A0=E2=82=B9=20\r\nend",
            ),
            (&long, "QuotedPrintable", &format!("{}=\r\nxx", "x".repeat(75))),
            ("नमस्ते", "Base64", "4KSo4KSu4KS44KWN4KSk4KWH"),
        ];
        for (text, encoding, is) in cases {
            assert_eq!(encoded(text), (encoding.to_owned(), is.to_owned()), "{text:?}");
        }
    }

    #[test]
    fn a_line_may_be_full_to_the_last_place() {
        for (text, is) in [
            ("x".repeat(76) + "\n\u{e9}", format!("{}\r\n=C3=A9", "x".repeat(76))),
            ("x".repeat(73) + "=\n\u{e9}", format!("{}=3D\r\n=C3=A9", "x".repeat(73))),
            ("x".repeat(74) + "=\n\u{e9}", format!("{}=\r\n=3D\r\n=C3=A9", "x".repeat(74))),
            ("x".repeat(75) + " \n\u{e9}", format!("{}=\r\n=20\r\n=C3=A9", "x".repeat(75))),
        ] {
            assert_eq!(encoded(&text).1, is);
        }
    }

    proptest! {
        #[test]
        fn a_reader_decodes_what_was_written(text in "[a-z =.\\t\\r\\n\u{e9}\u{80}-\u{9f}]{0,400}|[\\s\\S]{0,200}") {
            let meant = crlf(&text);
            prop_assert!(!meant.replace("\r\n", "").chars().any(|c| c.is_control() && c != '\t'));
            let out = quoted_printable(&meant);
            prop_assert!(out.is_ascii());
            for line in out.split(|b| *b == b'\n') {
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                prop_assert!(line.len() <= LINE && !line.ends_with(b" ") && !line.ends_with(b"\t"));
            }
            prop_assert_eq!(quoted_printable_decode(&out).unwrap(), meant.into_bytes());
        }
    }
}
