//! Numbers and money, by decimal digits: what Capillary sends as a double is never printed as one.

use std::cmp::Ordering;

use serde_json::{Number, Value};

use super::locale::{self, Numbers};
use super::{Answer, Args};
use crate::template::engine::Run;

/// A decimal number as digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    /// At least one digit, no leading zeros.
    whole: String,
    /// No trailing zeros.
    fraction: String,
}

impl Decimal {
    /// A JSON number, or a text that is one (`"1250.50"`).
    pub(super) fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Number(n) => Self::of_number(n),
            Value::String(s) if s.trim().len() <= 40 => Self::parse(s.trim()),
            _ => None,
        }
    }

    pub(super) fn of_number(number: &Number) -> Option<Self> {
        match number.as_f64() {
            // `Display` of a double is its shortest decimal, never with an exponent.
            Some(double) if number.is_f64() => Self::parse(&format!("{double}")),
            _ => Self::parse(&number.to_string()),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |d| (true, d));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let only_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !only_digits(whole) || !only_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        Some(Self {
            negative: negative && (whole != "0" || !fraction.is_empty()),
            whole: whole.into(),
            fraction: fraction.into(),
        })
    }

    /// Without grouping, with a point.
    pub(super) fn plain(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        if self.fraction.is_empty() {
            format!("{sign}{}", self.whole)
        } else {
            format!("{sign}{}.{}", self.whole, self.fraction)
        }
    }

    pub(super) fn compare(&self, other: &Self) -> Ordering {
        let size = |a: &Self, b: &Self| {
            a.whole
                .len()
                .cmp(&b.whole.len())
                .then_with(|| a.whole.cmp(&b.whole))
                .then_with(|| a.fraction.cmp(&b.fraction))
        };
        match (self.negative, other.negative) {
            (false, false) => size(self, other),
            (true, true) => size(other, self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }

    /// Rounded half away from zero, as shops do.
    fn round(&self, places: usize) -> Self {
        if self.fraction.len() <= places {
            return self.clone();
        }
        let up = self.fraction.as_bytes().get(places).is_some_and(|d| *d >= b'5');
        let mut digits: Vec<u8> = self.whole.bytes().chain(self.fraction.bytes().take(places)).collect();
        let mut carry = up;
        for digit in digits.iter_mut().rev() {
            if !carry {
                break;
            }
            carry = *digit == b'9';
            *digit = if carry { b'0' } else { *digit + 1 };
        }
        if carry {
            digits.insert(0, b'1');
        }
        let text: String = digits.into_iter().map(char::from).collect();
        let (whole, fraction) = text.split_at(text.len() - places);
        let sign = if self.negative { "-" } else { "" };
        let fraction = if fraction.is_empty() { "0" } else { fraction };
        Self::parse(&format!("{sign}{whole}.{fraction}")).unwrap_or_else(|| self.clone())
    }

    /// In a locale's way; without sign. `fixed` keeps trailing zeros.
    fn show(&self, places: usize, fixed: bool, style: Numbers) -> String {
        let rounded = self.round(places);
        let mut fraction = rounded.fraction.clone();
        while fixed && fraction.len() < places {
            fraction.push('0');
        }
        let mut out = group(&rounded.whole, style);
        if !fraction.is_empty() {
            out.push_str(style.decimal);
            out.push_str(&fraction);
        }
        out
    }

    fn is_negative_at(&self, places: usize) -> bool {
        self.round(places).negative
    }
}

fn group(whole: &str, style: Numbers) -> String {
    let mut out = String::with_capacity(whole.len() * 2);
    for (i, digit) in whole.chars().enumerate() {
        let left = whole.len() - i;
        let here = if style.indian { left == 3 || (left > 3 && left % 2 == 1) } else { left.is_multiple_of(3) };
        if i > 0 && here {
            out.push_str(style.group);
        }
        out.push(digit);
    }
    out
}

fn decimals(args: &Args<'_, '_>) -> Result<Option<usize>, String> {
    match args.named("decimals") {
        None => Ok(None),
        Some(value) => match value.as_u64().and_then(|n| usize::try_from(n).ok()) {
            Some(n) if n <= 6 => Ok(Some(n)),
            _ => Err("`decimals` is not a number from 0 to 6".into()),
        },
    }
}

fn decimal(args: &Args<'_, '_>, helper: &str) -> Result<Option<Decimal>, String> {
    match args.get(0) {
        None => Ok(None),
        Some(value) => {
            Decimal::of(value).map(Some).ok_or_else(|| format!("`{helper}` got a value that is not a number"))
        }
    }
}

/// `{{number x}}`: up to two decimals; `decimals=2`: exactly two.
pub(super) fn number(args: &Args<'_, '_>, run: &Run) -> Answer {
    let fixed = decimals(args)?;
    let Some(value) = decimal(args, "number")? else { return Ok(None) };
    let places = fixed.unwrap_or(2);
    let sign = if value.is_negative_at(places) { "-" } else { "" };
    let text = value.show(places, fixed.is_some(), locale::numbers(&run.locale));
    Ok(Some(Value::from(format!("{sign}{text}"))))
}

/// `{{money amount}}`, `{{money amount "USD"}}`: the currency is the one given, else the event's, else the org's.
pub(super) fn money(args: &Args<'_, '_>, run: &Run) -> Answer {
    let fixed = decimals(args)?;
    let Some(value) = decimal(args, "money")? else { return Ok(None) };
    let code = args.text(1).unwrap_or_else(|| run.currency.clone()).trim().to_ascii_uppercase();
    if code.len() != 3 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err("`money` got a currency that is not an ISO 4217 code".into());
    }
    let (symbol, digits) = locale::currency(&code);
    let symbol = if run.sms { locale::sms_symbol(&code) } else { symbol };
    let places = fixed.unwrap_or(digits);
    let style = locale::numbers(&run.locale);
    let amount = value.show(places, true, style);
    let sign = if value.is_negative_at(places) { "-" } else { "" };
    Ok(Some(Value::from(match symbol {
        _ if style.currency_last => format!("{sign}{amount}\u{a0}{}", symbol.unwrap_or(&code)),
        Some(symbol) if symbol.ends_with('.') => format!("{sign}{symbol}\u{a0}{amount}"),
        Some(symbol) => format!("{sign}{symbol}{amount}"),
        None => format!("{sign}{code}\u{a0}{amount}"),
    })))
}

/// `{{plural n "point" "points"}}`, with `zero= two= few= many=` for languages that have them.
pub(super) fn plural(args: &Args<'_, '_>, run: &Run) -> Answer {
    let Some(n) = decimal(args, "plural")? else { return Ok(None) };
    let whole = if n.fraction.is_empty() { n.whole.parse::<u64>().ok() } else { None };
    let form = whole.map_or("other", |n| locale::plural_form(&run.locale, n));
    let (one, other) = (args.get(1).cloned(), args.get(2).or_else(|| args.get(1)).cloned());
    Ok(match form {
        "one" => one,
        "other" => other,
        named => args.named(named).cloned().or(other),
    })
}
