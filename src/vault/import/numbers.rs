//! Files of phone numbers: one on each line, or a column of a CSV.
//!
//! Promises: what [`super::Import`] promises of files; numbers come out in E.164 or are faults.
//! Never: a number in a fault.

use std::io::Read;

use super::records::{Found, Rows};
use super::{Fault, ImportError, RowFault, source};
use crate::personal::Personal;

/// Headers that mean the number.
const HEADERS: [&str; 6] = ["phone", "mobile", "number", "msisdn", "phone_number", "mobile_number"];

/// Numbers of a file, one at a time.
pub struct Numbers {
    rows: Rows,
    country: Option<String>,
    at: usize,
    /// True if the row at hand is the first one, and no header.
    held: Option<u64>,
    line: u64,
    done: bool,
}

impl Numbers {
    /// `column` names the header of the numbers where it is not a usual one; `country` is the code of numbers that are
    /// written without one, such as `91`.
    ///
    /// # Errors
    /// When the file cannot be read, or no column is known to hold numbers.
    pub fn open(
        reader: impl Read + Send + 'static,
        column: Option<&str>,
        country: Option<String>,
    ) -> Result<Self, ImportError> {
        let (text, format) = source::open(Box::new(reader))?;
        if format != source::Format::Csv {
            return Err(ImportError::BadHeader);
        }
        let mut rows = Rows::new(text);
        let Found::Record { line } = rows.read()? else { return Err(ImportError::BadHeader) };
        let header: Vec<String> = rows.fields().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect();
        let means_number = |name: &String| match column {
            Some(wanted) => name == wanted,
            None => HEADERS.contains(&name.to_lowercase().as_str()),
        };
        let (at, held) = match header.iter().position(means_number) {
            Some(at) => (at, None),
            None if let Some(wanted) = column => {
                return Err(ImportError::MissingColumn { header: wanted.to_owned() });
            }
            None if header.len() == 1 && normal(&header[0], country.as_deref()).is_some() => (0, Some(line)),
            // A header would not be a number if only it were known of which country.
            None if header.len() == 1 && normal(&header[0], Some("1")).is_some() => return Err(ImportError::NoCountry),
            None => return Err(ImportError::NoNumbers),
        };
        Ok(Self { rows, country, at, held, line, done: false })
    }

    fn number(&self) -> Result<Personal, Fault> {
        let field = self.rows.fields().nth(self.at).ok_or_else(|| Fault::row("has no number"))?;
        let text = std::str::from_utf8(field).ok();
        text.and_then(|text| normal(text, self.country.as_deref()))
            .ok_or_else(|| Fault::of("phone", "is not a number with its country code (see --country)"))
    }
}

impl Iterator for Numbers {
    type Item = Result<Personal, RowFault>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(line) = self.held.take() {
            return Some(self.number().map_err(|fault| RowFault { line, fault }));
        }
        if self.done {
            return None;
        }
        let (line, fault) = match self.rows.read() {
            Ok(Found::Record { line }) => {
                self.line = line;
                return Some(self.number().map_err(|fault| RowFault { line, fault }));
            }
            Ok(Found::TooLong { line, .. }) => {
                return Some(Err(RowFault { line, fault: Fault::row("is longer than a row may be") }));
            }
            Ok(Found::End) => {
                self.done = true;
                return None;
            }
            Ok(Found::Lost { line }) => (line, "has a quote that is not closed; reading ends here".to_owned()),
            Err(error) => (self.line, format!("after this line the file cannot be read: {error}")),
        };
        self.done = true;
        Some(Err(RowFault { line, fault: Fault::row(fault) }))
    }
}

/// Writes a number as JSON does, for the way through the local socket.
pub fn push_quoted(text: &mut String, number: &Personal) {
    // Digits and a plus: nothing to escape.
    text.push('"');
    text.push_str(number.expose());
    text.push('"');
}

/// The number in E.164. Up to ten digits are a number within the country; trunk zeros before it go.
fn normal(text: &str, country: Option<&str>) -> Option<Personal> {
    let text = text.trim();
    let odd = |c: char| !(c.is_ascii_digit() || c.is_whitespace() || matches!(c, '-' | '.' | '(' | ')'));
    let (plus, rest) = text.strip_prefix('+').map_or((false, text), |rest| (true, rest));
    if rest.contains(odd) {
        return None;
    }
    let digits = Personal::new(rest.chars().filter(char::is_ascii_digit).collect::<String>());
    let digits = digits.expose();
    let abroad = digits.strip_prefix("00").filter(|rest| !plus && rest.len() > 10);
    let short = digits.trim_start_matches('0');
    let whole = match (abroad, country) {
        (Some(rest), _) => rest.to_owned(),
        (None, _) if plus => digits.to_owned(),
        (None, Some(country)) if short.len() <= 10 => format!("{country}{short}"),
        (None, _) if digits.len() > 10 => digits.to_owned(),
        _ => return None,
    };
    let fits = (7..=15).contains(&whole.len()) && !whole.starts_with('0');
    fits.then(|| Personal::new(format!("+{whole}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, column: Option<&str>, country: Option<&str>) -> Vec<String> {
        match Numbers::open(std::io::Cursor::new(text.to_owned()), column, country.map(str::to_owned)) {
            Err(error) => vec![error.to_string()],
            Ok(numbers) => numbers.map(|n| n.map_or_else(|f| f.to_string(), |n| n.expose().to_owned())).collect(),
        }
    }

    #[test]
    fn a_number_is_told_with_its_country_or_gets_the_one_given() {
        let cases = [
            ("+91 98123-45678", None, Some("+919812345678")),
            ("919812345678", None, Some("+919812345678")),
            ("00919812345678", None, Some("+919812345678")),
            ("9812345678", Some("91"), Some("+919812345678")),
            ("09812345678", Some("91"), Some("+919812345678")),
            ("919812345678", Some("91"), Some("+919812345678")),
            ("+14155550100", Some("91"), Some("+14155550100")),
            ("9812345678", None, None),
            ("98123x5678", Some("91"), None),
            ("", Some("91"), None),
            ("+0123456789", None, None),
            ("1234567890123456", None, None),
        ];
        for (text, country, expected) in cases {
            assert_eq!(normal(text, country).as_ref().map(Personal::expose), expected, "{text:?} {country:?}");
        }
    }

    #[test]
    fn the_column_is_found_by_its_name_or_is_the_only_one() {
        assert_eq!(read("9812345678\r\n9812345679", None, Some("91")), ["+919812345678", "+919812345679"]);
        assert_eq!(read("\u{feff}Phone,Type\n9812345678,A\n", None, Some("91")), ["+919812345678"]);
        assert_eq!(read("a,MSISDN\nx,+919812345678\n", None, None), ["+919812345678"]);
        assert_eq!(read("a,b\nx,+919812345678\n", Some("b"), None), ["+919812345678"]);
        assert_eq!(read("a,b\n", Some("c"), None), ["column `c` is mapped and not in the header line"]);
        assert!(read("a,b\n", None, None)[0].starts_with("no column is known to hold numbers"));
        assert!(read("9812345678\n", None, None)[0].ends_with("--country 91"));
        let faults = read("phone\ncanary\n+919812345678\n", None, None);
        assert_eq!(faults[0], "line 2: field `phone` is not a number with its country code (see --country)");
        assert_eq!(faults[1], "+919812345678");
    }
}
