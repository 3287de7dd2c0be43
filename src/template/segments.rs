//! What an SMS costs: alphabet and segments.
//!
//! GSM 03.38 (3GPP TS 23.038) in 7 bits: 160 septets alone, 153 a part; characters of the extension table take two septets and are
//! never cut in half. Any other character makes the whole text UCS-2: 70 code units alone, 67 a part; surrogate pairs are never cut.
//! National shift tables are not counted on: gateways offer them only as options.
//! Never: a change to the text.

use crate::personal::Personal;

const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
const EXTENSION: &str = "^{}\\[~]|€\u{c}";

/// How a text is encoded on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Seven bits a character, or fourteen.
    Gsm7,
    /// Sixteen bits a character, or thirty-two.
    Ucs2,
}

/// What a text costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// How it is encoded.
    pub encoding: Encoding,
    /// How many messages it is billed as; 0 for an empty text.
    pub count: usize,
    /// Septets or code units it has.
    pub units: usize,
    /// The first character outside the GSM alphabet: the one that makes it UCS-2.
    pub forced_by: Option<char>,
}

/// Counts a text.
pub fn count(text: &str) -> Segments {
    let forced_by = text.chars().find(|c| septets(*c).is_none());
    let (encoding, alone, part) = match forced_by {
        None => (Encoding::Gsm7, 160, 153),
        Some(_) => (Encoding::Ucs2, 70, 67),
    };
    let cost = |c: char| match encoding {
        Encoding::Gsm7 => septets(c).unwrap_or(1),
        Encoding::Ucs2 => c.len_utf16(),
    };
    let units: usize = text.chars().map(cost).sum();
    if units <= alone {
        return Segments { encoding, count: usize::from(units > 0), units, forced_by };
    }
    let (mut count, mut used) = (1, 0);
    for cost in text.chars().map(cost) {
        if used + cost > part {
            count += 1;
            used = 0;
        }
        used += cost;
    }
    Segments { encoding, count, units, forced_by }
}

/// How many messages the text of a message is billed as.
pub fn billed(text: &Personal) -> u32 {
    u32::try_from(count(text.expose()).count).unwrap_or(u32::MAX)
}

/// Septets of a character; `None` outside the alphabet.
fn septets(c: char) -> Option<usize> {
    if BASIC.contains(c) {
        Some(1)
    } else if EXTENSION.contains(c) {
        Some(2)
    } else {
        None
    }
}

/// A character of the GSM alphabet to write instead, for reports.
pub fn substitute(c: char) -> Option<&'static str> {
    Some(match c {
        '‘' | '’' | '`' | '´' => "'",
        '“' | '”' | '«' | '»' => "\"",
        '–' | '—' | '−' => "-",
        '…' => "...",
        '\u{a0}' | '\u{202f}' | '\u{2009}' | '\t' => " ",
        '•' | '·' => "*",
        '₹' => "Rs.",
        '×' => "x",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn borders_fall_where_the_standard_says() {
        let cases: [(String, Encoding, usize); 12] = [
            (String::new(), Encoding::Gsm7, 0),
            ("a".repeat(160), Encoding::Gsm7, 1),
            ("a".repeat(161), Encoding::Gsm7, 2),
            ("a".repeat(306), Encoding::Gsm7, 2),
            ("a".repeat(307), Encoding::Gsm7, 3),
            ("€".repeat(80), Encoding::Gsm7, 1),
            // 152 septets and a pair: the pair goes to the next part whole, so 306 septets need three parts.
            (format!("{}€{}", "a".repeat(152), "a".repeat(152)), Encoding::Gsm7, 3),
            ("अ".repeat(70), Encoding::Ucs2, 1),
            ("अ".repeat(71), Encoding::Ucs2, 2),
            ("अ".repeat(134), Encoding::Ucs2, 2),
            ("अ".repeat(135), Encoding::Ucs2, 3),
            ("😀".repeat(35), Encoding::Ucs2, 1),
        ];
        for (text, encoding, expected) in cases {
            let got = count(&text);
            assert_eq!((got.encoding, got.count), (encoding, expected), "{} characters", text.chars().count());
        }
    }

    #[test]
    fn a_surrogate_pair_is_not_cut() {
        // 67 units a part: 66 and a pair do not fit.
        let text = format!("{}😀{}", "अ".repeat(66), "अ".repeat(66));
        assert_eq!(text.encode_utf16().count(), 134);
        assert_eq!(count(&text).count, 3);
    }

    #[test]
    fn the_guilty_character_is_named() {
        assert_eq!(count("It’s here").forced_by, Some('’'));
        assert_eq!(substitute('’'), Some("'"));
        assert_eq!(count("plain").forced_by, None);
    }
}
