//! Looks for values in bytes, however they are written down.
//!
//! Promises: plain in any case, base64 (both alphabets, any alignment), hexadecimal, percent-encoded, UTF-16, and whole numbers as
//! eight bytes.
//! Never: a form that its own test does not find.

/// Values to look for, in every form.
pub struct Needles {
    /// Looked for in bytes as they are.
    exact: Vec<(String, Vec<u8>)>,
    /// In lower case; looked for in bytes in lower case.
    folded: Vec<(String, Vec<u8>)>,
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

impl Needles {
    /// Every form of these values.
    pub fn new(values: &[&str]) -> Self {
        let (mut exact, mut folded) = (Vec::new(), Vec::new());
        for value in values {
            let lower = value.to_ascii_lowercase();
            let hex = |text: &str, before: &str| -> Vec<u8> {
                text.bytes().flat_map(|b| format!("{before}{b:02x}").into_bytes()).collect()
            };
            let escaped: String = lower
                .bytes()
                .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02x}") })
                .collect();
            folded.push((format!("{value} in plain"), lower.clone().into_bytes()));
            folded.push((format!("{value} in UTF-16"), lower.bytes().flat_map(|b| [b, 0]).collect()));
            folded.push((format!("{value} percent-encoded"), escaped.into_bytes()));
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
        Self { exact, folded }
    }

    /// What is found, and in which form.
    pub fn find(&self, bytes: &[u8]) -> Vec<&str> {
        let lower = bytes.to_ascii_lowercase();
        let exact = self.exact.iter().filter(|(_, needle)| contains(bytes, needle));
        let folded = self.folded.iter().filter(|(_, needle)| contains(&lower, needle));
        exact.chain(folded).map(|(name, _)| name.as_str()).collect()
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
    ];
    for text in base64.iter().chain(&other) {
        assert!(!needles.find(text.as_bytes()).is_empty(), "{text}");
    }
    assert!(!needles.find(&[&b"xx"[..], &7_700_770_077_u64.to_le_bytes()].concat()).is_empty());
}
