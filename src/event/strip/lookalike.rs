//! Does a text look like a mail address or a phone number, whatever its field is called?
//!
//! Promises: linear time, no allocation; digits of every script count.
//! Never: a verdict about a bill number: the caller decides by the field's name whether bare digits may stay.

/// Fewest and most digits of a phone number without a plus sign (E.164 allows 15; national numbers start at 10).
const BARE: std::ops::RangeInclusive<usize> = 10..=15;
/// The same after a plus sign.
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 8..=15;

/// True if it can be nothing else: a mail address (or a payment handle, which has the same form), or a number in E.164.
pub(in crate::event) fn surely(text: &str) -> bool {
    is_mail(text) || has_digits(text) && runs(text).any(|run| run.is_international)
}

/// True if it may be a phone number: 10 to 15 digits in a row, also with spaces, dots, hyphens or brackets between.
pub(in crate::event) fn perhaps(text: &str) -> bool {
    surely(text) || has_digits(text) && runs(text).any(|run| run.is_bare || BARE.contains(&run.digits))
}

/// Could there be a phone number at all? Most texts are told apart from one by this alone; digits of other scripts have
/// no byte below 0x80.
fn has_digits(text: &str) -> bool {
    text.bytes().filter(|byte| byte.is_ascii_digit() || !byte.is_ascii()).count() >= *INTERNATIONAL.start()
}

/// The same question of a JSON number.
pub(super) fn perhaps_number(number: &serde_json::Number) -> bool {
    match number.as_i64().map(i64::unsigned_abs).or(number.as_u64()) {
        Some(whole) => (1_000_000_000..1_000_000_000_000_000).contains(&whole),
        None => number.as_f64().is_some_and(|float| float.fract() == 0.0 && (1e9..1e15).contains(&float.abs())),
    }
}

/// Something on both sides of an `@`, also where it is written wide or percent-encoded.
fn is_mail(text: &str) -> bool {
    if !text.bytes().any(|byte| matches!(byte, b'@' | b'%') || !byte.is_ascii()) {
        return false;
    }
    let around = |at: usize, length: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + length..].chars().next();
        before.zip(after).is_some_and(|(b, a)| b.is_alphanumeric() && a.is_alphanumeric())
    };
    ["@", "\u{ff20}", "%40"].iter().any(|sign| text.match_indices(sign).any(|(at, sign)| around(at, sign.len())))
}

/// Digits in a row, perhaps with separators between, not inside a word.
struct Run {
    digits: usize,
    plus: bool,
    /// A plus sign, and as many digits as a number has, before the end or a separator: what stands behind may be an amount.
    is_international: bool,
    /// As many digits in a row, without separators, among others.
    is_bare: bool,
}

impl Run {
    /// Digits end here, `group` of them in a row.
    fn ends(&mut self, group: usize) {
        self.is_international |= self.plus && INTERNATIONAL.contains(&self.digits);
        self.is_bare |= BARE.contains(&group);
    }
}

fn runs(text: &str) -> impl Iterator<Item = Run> {
    let mut rest = text;
    let mut before = None;
    std::iter::from_fn(move || {
        loop {
            let start = rest.find(|c: char| c.is_numeric() || c == '+')?;
            before = rest[..start].chars().next_back().or(before);
            rest = &rest[start..];
            if let Some(length) = date_length(rest) {
                rest = &rest[length..];
                before = Some('0');
                continue;
            }
            let (run, length) = measure(rest);
            let after = rest[length..].chars().next();
            let inside_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let alone = !inside_word(before) && !inside_word(after);
            before = rest[..length].chars().next_back();
            rest = &rest[length..];
            if alone || run.plus {
                return Some(run);
            }
        }
    })
}

/// Reads one run from a digit or a plus sign on: its digits, and how many bytes it takes.
fn measure(text: &str) -> (Run, usize) {
    let mut run = Run { digits: 0, plus: false, is_international: false, is_bare: false };
    let (mut length, mut separators, mut group) = (0, 0, 0);
    for (at, c) in text.char_indices() {
        if c.is_numeric() {
            run.digits += 1;
            group += 1;
            separators = 0;
            length = at + c.len_utf8();
        } else if at == 0 && c == '+' {
            run.plus = true;
            length = 1;
        } else if matches!(c, ' ' | '.' | '-' | '(' | ')' | '\u{a0}' | '/') && separators < 2 {
            run.ends(group);
            (separators, group) = (separators + 1, 0);
        } else {
            break;
        }
    }
    run.ends(group);
    (run, length)
}

/// Length of a date or date-time at the start (`2026-10-04`, `2026-10-04 14:17:38.0`, `2026-10-04T…`), which has as many
/// digits as a phone number.
fn date_length(text: &str) -> Option<usize> {
    let shape = |text: &str, pattern: &str| {
        text.len() >= pattern.len()
            && text.bytes().zip(pattern.bytes()).all(|(byte, wanted)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'T' => byte == b'T' || byte == b' ',
                exact => byte == exact,
            })
    };
    if !shape(text, "0000-00-00") || !matches!(text.as_bytes()[0], b'1' | b'2') {
        return None;
    }
    let mut length = 10;
    if text.is_char_boundary(length) && shape(&text[length..], "T00:00") {
        length += 6;
        while let Some(c) = text[length..].chars().next().filter(|c| c.is_ascii_digit() || matches!(c, ':' | '.' | '+'))
        {
            length += c.len_utf8();
        }
    }
    // Eight digits in date form and two more in a row are no date.
    let continues = text[length..].starts_with(|c: char| c.is_numeric());
    (!continues).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_and_numbers_are_seen_and_business_texts_are_not() {
        let sure = [
            "asha@example.com",
            "mail asha.rao@shop.in now",
            "asha@okbank",
            "asha\u{ff20}example.com",
            "asha%40example.com",
            "+919900076942",
            "call +91 99000 76942",
            "+1 (555) 010-9999",
            "tel:+4930123456",
            "+919900076942 1000 points",
            "+919900076942 2026-01-31",
        ];
        for text in sure {
            assert!(surely(text) && perhaps(text), "{text}");
        }
        let maybe = [
            "919900076942",
            "9900076942",
            "99000 76942",
            "call 990-007-6942 today",
            "(990) 007-6942",
            "٠٥٥١٢٣٤٥٦٧",
            "2026-10-0412",
            "on 2026-10-04 9900076942",
            "1000 9900076942 2000",
        ];
        for text in maybe {
            assert!(perhaps(text) && !surely(text), "{text}");
        }
        let fine = [
            "",
            "@",
            "2 @ 100",
            "Gold",
            "2026-10-04",
            "2026-10-04 14:17:38",
            "2025-09-15 00:00:00.0",
            "2026-03-14T12:03:11.252+0530",
            "2025-10-07_4",
            "8_2569_46277147_2988",
            "b83ee9ef-70d9-4648-b414-93c175791c45",
            "45885269.3",
            "Upgrading to Slab : Slab[2]: Name [GOLD]",
            "1 and 2 transaction streak_2",
            "a9900076942b",
            "100.00",
            "C&P hhvz 61",
            "12345678901234567890",
        ];
        for text in fine {
            assert!(!perhaps(text), "{text}");
        }
    }

    #[test]
    fn a_number_of_ten_to_fifteen_digits_may_be_a_phone() {
        let number = |text: &str| serde_json::from_str::<serde_json::Number>(text).unwrap();
        for text in ["9900076942", "919900076942", "9900076942.0", "1e12", "-9900076942"] {
            assert!(perhaps_number(&number(text)), "{text}");
        }
        for text in ["990007694", "1000000000000000", "9900076942.5", "1e300", "0", "18446744073709551615"] {
            assert!(!perhaps_number(&number(text)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_gets_an_answer(text in "\\PC{0,80}") {
            let _ = perhaps(&text);
        }

        #[test]
        fn a_number_in_any_company_is_found(before in "[a-z ]{0,9} ", digits in "[1-9][0-9]{9,14}", after in "[ ,;a-z]{0,9}") {
            let text = format!("{before}{digits}, {after}");
            prop_assert!(perhaps(&text));
        }
    }
}
