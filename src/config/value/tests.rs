//! Tests of the texts that settings are written in.

use proptest::prelude::*;

use super::*;

#[test]
fn durations_are_numbers_with_units_the_larger_first() {
    for (text, millis) in [
        ("10s", 10_000),
        ("250ms", 250),
        ("5m", 300_000),
        ("3d", 259_200_000),
        ("1h30m", 5_400_000),
        ("1w", 604_800_000),
        ("2m500ms", 120_500),
        ("0s", 0),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "10", "s", "10 s", "-1s", "1.5h", "30m1h", "1h1h", "10S", "10sec", "99999999999999999999s", "१s"]
    {
        assert!(parse_duration(text).is_err(), "{text}");
    }
    assert!(parse_duration("18446744073709551615w").is_err(), "too large to count");
}

#[test]
fn sizes_are_bytes_or_have_a_unit() {
    for (text, bytes) in [
        ("0", 0),
        ("1048576", 1 << 20),
        ("64MiB", 64 << 20),
        ("1 GiB", 1 << 30),
        ("5kB", 5_000),
        ("2TB", 2_000_000_000_000),
    ] {
        assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
    }
    for text in ["", "MiB", "64mib", "64M", "-1", "1.5GiB", "99999999TiB"] {
        assert!(parse_bytes(text).is_err(), "{text}");
    }
}

#[test]
fn mailboxes_have_one_address_and_no_way_to_add_a_header() {
    let mailbox = |name: Option<&str>, address: &str| Mailbox { name: name.map(Into::into), address: address.into() };
    for (text, expect) in [
        ("Acme Rewards <rewards@acme.example>", mailbox(Some("Acme Rewards"), "rewards@acme.example")),
        ("rewards@acme.example", mailbox(None, "rewards@acme.example")),
        ("\"Acme, Inc.\" <a.b+c@acme.example>", mailbox(Some("Acme, Inc."), "a.b+c@acme.example")),
        ("<a@acme.example>", mailbox(None, "a@acme.example")),
    ] {
        assert_eq!(parse_mailbox(text), Ok(expect), "{text}");
    }
    for text in [
        "",
        "Acme",
        "a@b@c.example",
        "a@",
        "@b.example",
        "Acme <a@b.example",
        "a b@c.example",
        "A\r\nBcc: x <a@b.example>",
        "Acme <a@b.example>, <c@d.example>",
        "a@b_c.example",
    ] {
        assert!(parse_mailbox(text).is_err(), "{text}");
    }
}

#[test]
fn locales_have_the_shape_of_a_language_tag() {
    for text in ["en", "en-IN", "zh-Hant-TW", "sr-Latn", "de-1996", "es-419", "fil"] {
        assert!(is_locale(text), "{text}");
    }
    for text in ["", "e", "english", "en_IN", "en-", "-IN", "en-toolongtag", "e1"] {
        assert!(!is_locale(text), "{text}");
    }
}

#[test]
fn a_web_address_has_a_fixed_host() {
    for (text, secure, host) in [
        ("https://api.twilio.com/2010/{{param.sid}}/x.json", true, "api.twilio.com"),
        ("http://127.0.0.1:8080/x", false, "127.0.0.1"),
        ("https://[::1]:9/x", true, "::1"),
        ("https://gateway.example?x=1", true, "gateway.example"),
    ] {
        assert_eq!(parse_web_address(text), Ok(WebAddress { secure, host }), "{text}");
    }
    for text in [
        "",
        "ftp://x.example",
        "https://",
        "https://{{param.host}}/x",
        "https://user:pass@x.example/",
        "x.example",
        "https://x.example:port/",
        "https://[::1/x",
        "https://x.example/\r\nHost: y",
    ] {
        assert!(parse_web_address(text).is_err(), "{text}");
    }
    assert!(is_loopback_host("localhost") && is_loopback_host("127.8.8.8") && is_loopback_host("::1"));
    assert!(!is_loopback_host("localhost.example") && !is_loopback_host("10.0.0.1"));
}

proptest! {
    #[test]
    fn a_duration_written_is_read_back_the_same(millis in 0..u64::MAX) {
        let duration = Duration::from_millis(millis);
        prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,40}") {
        let _ = (parse_duration(&text), parse_bytes(&text), is_locale(&text));
        let _ = parse_mailbox(&text).is_ok();
        let _ = parse_web_address(&text).is_ok();
    }
}
