//! The little that messages need to know of languages.
//!
//! Digits are Latin everywhere, also in Arabic and Hindi: they are read everywhere and stay in registered SMS texts.
//! Grouping and separators follow Unicode CLDR 46 for the locales listed.

/// `hi` of `hi-IN`, in lower case.
pub(in crate::template) fn language(locale: &str) -> String {
    locale.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase()
}

/// True if both are of one language.
pub(in crate::template) fn same_language(a: &str, b: &str) -> bool {
    language(a) == language(b)
}

fn region(locale: &str) -> String {
    let mut parts = locale.split(['-', '_']).skip(1);
    parts.find(|p| p.len() == 2).unwrap_or_default().to_ascii_uppercase()
}

/// `rtl` or `ltr`.
pub(in crate::template) fn direction(locale: &str) -> &'static str {
    if matches!(language(locale).as_str(), "ar" | "he" | "fa" | "ur" | "ps" | "sd" | "yi" | "dv" | "ckb") {
        "rtl"
    } else {
        "ltr"
    }
}

/// How numbers look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) group: &'static str,
    pub(super) decimal: &'static str,
    /// 12,34,567 instead of 1,234,567.
    pub(super) indian: bool,
    /// `1.250,00 €` instead of `€1,250.00`.
    pub(super) currency_last: bool,
}

/// How numbers look in a locale.
pub(super) fn numbers(locale: &str) -> Numbers {
    let (language, region) = (language(locale), region(locale));
    let plain = Numbers { group: ",", decimal: ".", indian: false, currency_last: false };
    let indic = ["hi", "bn", "gu", "mr", "ta", "te", "kn", "ml", "pa", "or", "as", "ne"];
    match language.as_str() {
        _ if region == "CH" => Numbers { group: "’", ..plain },
        l if indic.contains(&l) => Numbers { indian: true, ..plain },
        "en" if matches!(region.as_str(), "IN" | "BD" | "NP" | "PK") => Numbers { indian: true, ..plain },
        "en" if region == "ZA" => Numbers { group: "\u{a0}", decimal: ",", ..plain },
        "es" if !matches!(region.as_str(), "" | "ES" | "AR" | "CO" | "CL" | "UY" | "VE" | "EC" | "BO" | "PY") => plain,
        "de" | "es" | "it" | "da" | "el" | "sl" | "hr" | "vi" | "ro" | "is" | "ca" => {
            Numbers { group: ".", decimal: ",", currency_last: true, ..plain }
        }
        "nl" | "id" | "tr" | "az" => Numbers { group: ".", decimal: ",", ..plain },
        "pt" if matches!(region.as_str(), "" | "BR") => Numbers { group: ".", decimal: ",", ..plain },
        "fr" | "pt" | "ru" | "uk" | "pl" | "cs" | "sk" | "bg" | "hu" | "sv" | "nb" | "no" | "fi" | "et" | "lt"
        | "lv" | "kk" => Numbers { group: "\u{a0}", decimal: ",", currency_last: true, ..plain },
        _ => plain,
    }
}

/// Symbol of a currency where it names only that one, and fraction digits (ISO 4217; CLDR where practice differs, as for IDR).
pub(super) fn currency(code: &str) -> (Option<&'static str>, usize) {
    let symbol = match code {
        "INR" => Some("₹"),
        "USD" => Some("$"),
        "EUR" => Some("€"),
        "GBP" => Some("£"),
        "JPY" => Some("¥"),
        "KRW" => Some("₩"),
        "VND" => Some("₫"),
        "IDR" => Some("Rp"),
        "MYR" => Some("RM"),
        "PHP" => Some("₱"),
        "THB" => Some("฿"),
        "NGN" => Some("₦"),
        "ZAR" => Some("R"),
        "BRL" => Some("R$"),
        "AUD" => Some("A$"),
        "CAD" => Some("CA$"),
        "SGD" => Some("S$"),
        "HKD" => Some("HK$"),
        "NZD" => Some("NZ$"),
        "TRY" => Some("₺"),
        "ILS" => Some("₪"),
        _ => None,
    };
    let digits = match code {
        "JPY" | "KRW" | "VND" | "CLP" | "ISK" | "UGX" | "XAF" | "XOF" | "XPF" | "PYG" | "RWF" | "BIF" | "DJF"
        | "GNF" | "KMF" | "VUV" | "IDR" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    };
    (symbol, digits)
}

/// What an SMS says instead of a symbol outside the GSM alphabet; `None` for the ISO code.
pub(super) fn sms_symbol(code: &str) -> Option<&'static str> {
    match code {
        "INR" => Some("Rs."),
        "USD" | "EUR" | "GBP" | "JPY" | "IDR" | "MYR" | "ZAR" | "BRL" | "AUD" | "CAD" | "SGD" | "HKD" | "NZD" => {
            currency(code).0
        }
        _ => None,
    }
}

/// The plural form of a whole number (CLDR cardinal rules of the shipped languages; one and other elsewhere).
pub(super) fn plural_form(locale: &str, n: u64) -> &'static str {
    match language(locale).as_str() {
        "ar" => match (n, n % 100) {
            (0, _) => "zero",
            (1, _) => "one",
            (2, _) => "two",
            (_, 3..=10) => "few",
            (_, 11..=99) => "many",
            _ => "other",
        },
        "hi" | "bn" | "gu" | "kn" | "fr" | "fa" if n <= 1 => "one",
        _ if n == 1 => "one",
        _ => "other",
    }
}
