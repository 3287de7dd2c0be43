//! Looks for values in bytes, however they are written down.
//!
//! Promises: plain in any case, base64 (both alphabets, any alignment), hexadecimal, percent-encoded, quoted-printable, escaped as JSON
//! may, UTF-16 in both orders, and whole numbers as eight bytes; in a log also what was split over fields that follow one
//! another, or written with something between.
//! Never: a form that its own test does not find.

use serde_json::Value;

/// Values to look for, in every form.
pub struct Needles {
    /// Looked for in bytes as they are.
    exact: Vec<(String, Vec<u8>)>,
    /// In lower case; looked for in bytes in lower case.
    folded: Vec<(String, Vec<u8>)>,
    /// Letters and digits alone, in lower case; looked for in lines of a log, of which no more than these is left.
    squeezed: Vec<(String, Vec<u8>)>,
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Needles {
    /// Every form of these values.
    pub fn new(values: &[&str]) -> Self {
        let (mut exact, mut folded, mut squeezed) = (Vec::new(), Vec::new(), Vec::new());
        for value in values {
            let lower = value.to_ascii_lowercase();
            let hex = |text: &str, before: &str| -> Vec<u8> {
                text.bytes().flat_map(|b| format!("{before}{b:02x}").into_bytes()).collect()
            };
            folded.push((format!("{value} in plain"), lower.clone().into_bytes()));
            folded.push((format!("{value} in UTF-16"), lower.bytes().flat_map(|b| [b, 0]).collect()));
            folded.push((format!("{value} in UTF-16, big end first"), lower.bytes().flat_map(|b| [0, b]).collect()));
            squeezed.push((format!("{value} in pieces"), squeeze(lower.as_bytes())));
            if lower.bytes().any(|b| !b.is_ascii_alphanumeric()) {
                for (how, before) in [("percent-encoded", "%"), ("quoted-printable", "="), ("escaped", "\\u00")] {
                    folded.push((format!("{value} {how}"), escaped(&lower, before)));
                }
            }
            for text in [value, lower.as_str()] {
                folded.push((format!("{value} in hexadecimal"), hex(text, "")));
                folded.push((format!("{value} percent-encoded throughout"), hex(text, "%")));
                for shift in 0..3 {
                    let standard = base64_within(text.as_bytes(), shift);
                    let url = standard.iter().map(|b| match b {
                        b'+' => b'-',
                        b'/' => b'_',
                        other => *other,
                    });
                    exact.push((format!("{value} in base64 for URLs"), url.collect()));
                    exact.push((format!("{value} in base64"), standard));
                }
            }
            if let Ok(number) = value.parse::<u64>() {
                exact.push((format!("{value} as a number"), number.to_le_bytes().to_vec()));
                exact.push((format!("{value} as a number"), number.to_be_bytes().to_vec()));
            }
        }
        Self { exact, folded, squeezed }
    }

    /// What is found, and in which form.
    pub fn find(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = self.find_as_it_is(bytes);
        if contains(bytes, b"=\n") || contains(bytes, b"=\r\n") {
            found.extend(self.find_as_it_is(&without_soft_breaks(bytes)));
        }
        found
    }

    fn find_as_it_is(&self, bytes: &[u8]) -> Vec<&str> {
        let lower = bytes.to_ascii_lowercase();
        let exact = self.exact.iter().filter(|(_, needle)| contains(bytes, needle));
        let folded = self.folded.iter().filter(|(_, needle)| contains(&lower, needle));
        exact.chain(folded).map(|(name, _)| name.as_str()).collect()
    }

    /// The same of a log, whose fields may hold a value between them.
    pub fn find_in_log(&self, log: &[u8]) -> Vec<&str> {
        let mut found = self.find(log);
        for line in log.split(|b| *b == b'\n') {
            let values = squeeze(&values_of(line));
            found.extend(
                self.squeezed.iter().filter(|(_, needle)| contains(&values, needle)).map(|(name, _)| name.as_str()),
            );
        }
        found
    }
}

/// Everything but letters and digits, behind a mark and in hexadecimal.
fn escaped(text: &str, before: &str) -> Vec<u8> {
    let one = |b: u8| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("{before}{b:02x}") };
    text.bytes().map(one).collect::<String>().into_bytes()
}

/// Letters and digits, in lower case.
fn squeeze(text: &[u8]) -> Vec<u8> {
    text.iter().filter(|b| b.is_ascii_alphanumeric()).map(u8::to_ascii_lowercase).collect()
}

fn without_soft_breaks(bytes: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, others)) = rest.split_first() {
        rest = match others {
            [b'\r', b'\n', after @ ..] | [b'\n', after @ ..] if *first == b'=' => after,
            others => {
                whole.push(*first);
                others
            }
        };
    }
    whole
}

/// A line of a log, JSON or `key=value`, without its keys.
fn values_of(line: &[u8]) -> Vec<u8> {
    match serde_json::from_slice::<Value>(line) {
        Ok(value) => {
            let mut values = Vec::new();
            collect(&value, &mut values);
            values
        }
        Err(_) => {
            let word = |word: &[u8]| word.iter().position(|b| *b == b'=').map_or(0, |at| at + 1);
            line.split(|b| *b == b' ').flat_map(|text| text[word(text)..].to_vec()).collect()
        }
    }
}

fn collect(value: &Value, into: &mut Vec<u8>) {
    match value {
        Value::Object(fields) => fields.values().for_each(|value| collect(value, into)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, into)),
        Value::String(text) => into.extend_from_slice(text.as_bytes()),
        other => into.extend_from_slice(other.to_string().as_bytes()),
    }
}

/// The digits of base64 that depend on `text` alone when it stands `shift` bytes after a group of three began.
fn base64_within(text: &[u8], shift: usize) -> Vec<u8> {
    let bits = text.len() * 8;
    // The first digit that begins inside the text, and every further one that also ends there.
    let first = (6 - (shift * 8) % 6) % 6;
    let digit = |at: usize| {
        let value = (at..at + 6).fold(0, |value, bit| value << 1 | (text[bit / 8] >> (7 - bit % 8)) & 1);
        BASE64[usize::from(value)]
    };
    (first..).step_by(6).take_while(|at| at + 6 <= bits).map(digit).collect()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(bytes, needle).is_some()
}

#[test]
fn a_value_is_found_in_every_form() {
    let needles = Needles::new(&["Zyx@Canary", "7700770077"]);
    for clean in ["", "nobody is here", "7700770078", "Zyx@Canar"] {
        assert!(needles.find(clean.as_bytes()).is_empty(), "{clean}");
    }
    // printf %s 'Zyx@Canary' | base64; the same behind one, two and three other bytes, and in lower case.
    let base64 =
        ["Wnl4QENhbmFyeQ==", "LVp5eEBDYW5hcnk=", "LS1aeXhAQ2FuYXJ5", "LS0tWnl4QENhbmFyeQ==", "enl4QGNhbmFyeQ=="];
    let other = [
        "a ZYX@canary b",
        "zyx%40canary",
        "Zyx%40Canary",
        "5A79784043616E617279",
        "5a79784043616e617279",
        "%5A%79%78%40%43%61%6e%61%72%79",
        "..7700770077..",
        "z\0y\0x\0@\0c\0a\0n\0a\0r\0y\0",
        "\0z\0y\0x\0@\0c\0a\0n\0a\0r\0y",
        "Zyx=40Canary",
        "Zyx=40Ca=\r\nnary",
        "Zy=\nx@Canary",
        r"Zyx\u0040Canary",
    ];
    for text in base64.iter().chain(&other) {
        assert!(!needles.find(text.as_bytes()).is_empty(), "{text}");
    }
    assert!(!needles.find(&[&b"xx"[..], &7_700_770_077_u64.to_le_bytes()].concat()).is_empty());
}

#[test]
fn a_value_in_pieces_is_found_in_a_log() {
    let needles = Needles::new(&["Zyx@Canary", "7700770077"]);
    let clean = [
        r#"{"level":"INFO","user":"zyx","place":"can"}"#,
        "2027-01-31T08:00:00Z INFO relay: ready zyx=1 canary=2",
        "Zyx@\nCanary",
    ];
    for line in clean {
        assert!(needles.find_in_log(line.as_bytes()).is_empty(), "{line}");
    }
    let dirty = [
        r#"{"a":"Zyx","b":{"domain":"canary"}}"#,
        r#"{"a":77007,"b":[70077]}"#,
        "INFO relay: sent user=zyx domain=canary",
        "INFO relay: called number=\"77007 70-077\"",
        "first\nZ.y.x @ canary",
    ];
    for line in dirty {
        assert!(!needles.find_in_log(line.as_bytes()).is_empty(), "{line}");
    }
}
