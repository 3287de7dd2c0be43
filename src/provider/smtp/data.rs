//! A message as DATA carries it: dot-stuffed, ended by the final dot (RFC 5321 section 4.5.2).
//!
//! Promises: the end mark occurs once, at the end; every line end is CRLF, so no server can see another end
//! ("SMTP smuggling" lives on bare CR and LF).
//! Never: a change to the message's own lines.

use zeroize::Zeroizing;

/// The message with its final dot, for one write.
pub(super) fn terminated(message: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(message.len() + message.len() / 64 + 8));
    let mut rest = message;
    while !rest.is_empty() {
        let end = memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        if line.starts_with(b".") {
            out.push(b'.');
        }
        out.extend_from_slice(line);
        out.extend_from_slice(b"\r\n");
        rest = behind.strip_prefix(b"\r\n").or_else(|| behind.get(1..)).unwrap_or_default();
    }
    out.extend_from_slice(b".\r\n");
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a server makes of it: lines up to the lone dot, one leading dot removed; and what is left behind it.
    fn received(data: &[u8]) -> (Vec<Vec<u8>>, usize) {
        let text: Vec<&[u8]> = data.split_inclusive(|b| *b == b'\n').collect();
        let mut lines = vec![];
        for (i, line) in text.iter().enumerate() {
            let line = line.strip_suffix(b"\r\n").unwrap();
            if line == b"." {
                return (lines, text.len() - i - 1);
            }
            lines.push(line.strip_prefix(b".").unwrap_or(line).to_vec());
        }
        panic!("no final dot");
    }

    #[test]
    fn dots_are_doubled_only_where_a_line_begins() {
        let table: [(&str, &str); 8] = [
            ("", ".\r\n"),
            ("a", "a\r\n.\r\n"),
            ("a\r\n", "a\r\n.\r\n"),
            (".", "..\r\n.\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a.b\r\n..c\r\n", "a.b\r\n...c\r\n.\r\n"),
            ("a\r\n.\r\nMAIL FROM:<x>\r\n", "a\r\n..\r\nMAIL FROM:<x>\r\n.\r\n"),
            ("a\n.\rb\r.\n", "a\r\n..\r\nb\r\n..\r\n.\r\n"),
        ];
        for (message, expected) in table {
            assert_eq!(String::from_utf8_lossy(&terminated(message.as_bytes())), expected, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn the_server_gets_the_same_lines_and_nothing_behind_the_dot(message in prop::collection::vec(
            prop_oneof![Just(b'.'), Just(b'\r'), Just(b'\n'), any::<u8>()], 0..200))
        {
            let data = terminated(&message);
            let (lines, behind) = received(&data);
            prop_assert_eq!(behind, 0);
            let mut expected: Vec<Vec<u8>> = vec![vec![]];
            let mut bytes = message.iter().peekable();
            while let Some(b) = bytes.next() {
                match b {
                    b'\r' => { if bytes.peek() == Some(&&b'\n') { bytes.next(); } expected.push(vec![]); }
                    b'\n' => expected.push(vec![]),
                    b => expected.last_mut().unwrap().push(*b),
                }
            }
            if expected.last().unwrap().is_empty() { expected.pop(); }
            prop_assert_eq!(lines, expected);
        }
    }
}
