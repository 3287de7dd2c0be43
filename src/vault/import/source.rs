//! The bytes of a file as text with one kind of line end, whatever wrapped or marked them.
//!
//! Promises: constant memory; gzip is told by its first bytes, so it needs no name and works on standard input; every
//! line ends with `\n`, the last one included; a UTF-16 file is refused as such and not as thousands of bad rows.
//! Never: a byte of the file in an error.

use std::io::{self, Read};

use flate2::read::MultiGzDecoder;

use super::ImportError;

const BUFFER: usize = 64 << 10;

/// How the rows of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A header line, then rows.
    Csv,
    /// One JSON object on each line.
    JsonLines,
}

/// Text with `\n` line ends.
pub(super) struct Text {
    inner: Box<dyn Read + Send>,
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
    /// The byte before, as it came.
    last: u8,
    ended: bool,
}

/// Looks at the beginning of the file: unpacks gzip, drops a byte-order mark, tells the format.
pub(super) fn open(mut inner: Box<dyn Read + Send>) -> Result<(Text, Format), ImportError> {
    let mut head = peek(&mut *inner)?;
    if head.starts_with(&[0x1f, 0x8b]) {
        inner = Box::new(MultiGzDecoder::new(io::Cursor::new(head).chain(inner)));
        head = peek(&mut *inner)?;
    }
    let mark = match head[..] {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, 0, _] | [_, 0, _, 0] => return Err(ImportError::Utf16),
        [0xef, 0xbb, 0xbf, ..] => 3,
        _ => 0,
    };
    head.drain(..mark);
    let inner = Box::new(io::Cursor::new(head).chain(inner));
    let buffer = vec![0; BUFFER].into_boxed_slice();
    let mut text = Text { inner, buffer, at: 0, end: 0, last: b'\n', ended: false };
    match text.fill()?.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err(ImportError::Empty),
        Some(b'{') => Ok((text, Format::JsonLines)),
        Some(b'[') => Err(ImportError::JsonArray),
        Some(_) => Ok((text, Format::Csv)),
    }
}

/// The first four bytes, or all there are.
fn peek(inner: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(4);
    inner.take(4).read_to_end(&mut head)?;
    Ok(head)
}

impl Text {
    /// What is at hand, at least a byte; nothing at the end of the file.
    pub(super) fn fill(&mut self) -> io::Result<&[u8]> {
        while self.at == self.end && !self.ended {
            let read = match self.inner.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            (self.at, self.end) = (0, self.normalise(read));
        }
        Ok(&self.buffer[self.at..self.end])
    }

    /// Takes `count` bytes of what [`Text::fill`] gave.
    pub(super) fn consume(&mut self, count: usize) {
        self.at = self.end.min(self.at + count);
    }

    /// Makes each `\r\n` and each lone `\r` a `\n`, in place; gives the new length.
    fn normalise(&mut self, read: usize) -> usize {
        if read == 0 {
            self.ended = true;
            let owed = !matches!(self.last, b'\n' | b'\r');
            self.buffer[0] = b'\n';
            return usize::from(owed);
        }
        let mut kept = 0;
        for at in 0..read {
            let byte = self.buffer[at];
            if !(byte == b'\n' && self.last == b'\r') {
                self.buffer[kept] = if byte == b'\r' { b'\n' } else { byte };
                kept += 1;
            }
            self.last = byte;
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(text).unwrap();
        packed.finish().unwrap()
    }

    fn all(bytes: Vec<u8>) -> Result<(Vec<u8>, Format), String> {
        let (mut text, format) = open(Box::new(io::Cursor::new(bytes))).map_err(|error| error.to_string())?;
        let mut whole = Vec::new();
        loop {
            let piece = text.fill().map_err(|error| error.to_string())?.to_vec();
            if piece.is_empty() {
                return Ok((whole, format));
            }
            text.consume(piece.len());
            whole.extend(piece);
        }
    }

    #[test]
    fn marks_packing_and_line_ends_make_no_difference() {
        let plain = b"card\n1\n\n2\n".to_vec();
        let cases: Vec<Vec<u8>> = vec![
            plain.clone(),
            b"\xef\xbb\xbfcard\r\n1\r\n\r\n2".to_vec(),
            b"card\r1\r\r2\r".to_vec(),
            b"card\r\n1\n\r2\r\n".to_vec(),
            gzip(&plain),
            gzip(b"\xef\xbb\xbfcard\r\n1\r\n\r\n2\r\n"),
            // Files packed one by one and put together are one file.
            [gzip(b"card\n1\n"), gzip(b"\n2\n")].concat(),
        ];
        for case in cases {
            assert_eq!(all(case.clone()).unwrap(), (plain.clone(), Format::Csv), "{case:?}");
        }
        assert_eq!(all(gzip(b"\n {\"card\":1}")).unwrap().1, Format::JsonLines);
    }

    #[test]
    fn a_file_that_is_not_utf_8_text_says_what_it_is() {
        let utf16 = |text: &str, mark: &[u8], big: bool| {
            let units = text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
            mark.iter().copied().chain(units).collect::<Vec<u8>>()
        };
        for bytes in [
            utf16("card\n1\n", b"\xff\xfe", false),
            utf16("card\n1\n", b"\xfe\xff", true),
            utf16("card\n1\n", b"", false),
            utf16("card\n1\n", b"", true),
            gzip(&utf16("card\n1\n", b"\xff\xfe", false)),
        ] {
            assert_eq!(all(bytes).unwrap_err(), ImportError::Utf16.to_string());
        }
        assert_eq!(all(b"[{\"card\":1}]".to_vec()).unwrap_err(), ImportError::JsonArray.to_string());
        assert_eq!(all(b" \r\n ".to_vec()).unwrap_err(), ImportError::Empty.to_string());
        assert_eq!(all(Vec::new()).unwrap_err(), ImportError::Empty.to_string());
    }

    #[test]
    fn a_gzip_file_that_was_cut_off_is_an_error_and_not_a_short_file() {
        let text = (0..10_000).map(|n| format!("{n}\n")).collect::<String>();
        let mut packed = gzip(format!("card\n{text}").as_bytes());
        packed.truncate(packed.len() / 2);
        assert!(all(packed).is_err());
    }
}
