//! Known answers, every way to be wrong, and a property.

use proptest::prelude::*;

use super::*;
use crate::config::SignedPiece::{Body, Id, Text, Timestamp};

const SECRET: &str = "plJ3nmyCDGBKInavdOK15jsl";
const AT: i64 = 1_731_705_121;
const BODY: &[u8] = br#"{"event_type":"ping","data":{"success":true}}"#;
const KNOWN: &str = "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=";

fn standard(secrets: &[&str]) -> Signature {
    let decode = |secret: &&str| Encoding::Base64.decode(secret).expect("base64").into();
    Signature::new(&Hmac {
        secrets: secrets.iter().map(decode).collect(),
        algorithm: HmacAlgorithm::Sha256,
        header: "webhook-signature".into(),
        prefix: "v1,".into(),
        encoding: Encoding::Base64,
        several: true,
        timestamp: Some(("webhook-timestamp".into(), Duration::from_secs(300))),
        id_header: Some("webhook-id".into()),
        signs: vec![Id, Text(".".into()), Timestamp, Text(".".into()), Body],
    })
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in pairs {
        map.append(*name, value.parse().expect("a header value"));
    }
    map
}

fn outcome(signature: &Signature, headers: &HeaderMap, now: i64, body: &[u8]) -> Result<(), Unsigned> {
    let claim = signature.claim(headers, Time::from_millis(now * 1_000))?;
    signature.verify(&claim, body)
}

#[test]
fn a_standard_webhook_opens_only_whole_and_in_time() {
    let id = ("webhook-id", "msg_loFOjxBNrRLzqYUf");
    let at = AT.to_string();
    let time = ("webhook-timestamp", at.as_str());
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let many = format!("v1a,abc {} v1,AAAA {KNOWN}", "v1,BBBB ".repeat(3));
    let too_many = format!("{} {KNOWN}", "v1,BBBB ".repeat(MOST_SIGNATURES));
    let sign = |value: &'static str| ("webhook-signature", value);
    let wrong = Err(Unsigned::Wrong);
    let missing = Err(Unsigned::Missing);
    for (what, secrets, given, now, body, expect) in [
        ("the known answer", vec![SECRET], vec![id, time, sign(KNOWN)], AT, BODY, Ok(())),
        ("rotated", vec![other, SECRET], vec![id, time, sign(KNOWN)], AT, BODY, Ok(())),
        ("the last second", vec![SECRET], vec![id, time, sign(KNOWN)], AT + 300, BODY, Ok(())),
        ("a second later", vec![SECRET], vec![id, time, sign(KNOWN)], AT + 301, BODY, Err(Unsigned::Stale)),
        ("of the future", vec![SECRET], vec![id, time, sign(KNOWN)], AT - 301, BODY, Err(Unsigned::Stale)),
        ("another secret", vec![other], vec![id, time, sign(KNOWN)], AT, BODY, wrong),
        ("no secret", vec![], vec![id, time, sign(KNOWN)], AT, BODY, wrong),
        ("another body", vec![SECRET], vec![id, time, sign(KNOWN)], AT, b"{}", wrong),
        ("another id", vec![SECRET], vec![("webhook-id", "x"), time, sign(KNOWN)], AT, BODY, wrong),
        ("no id", vec![SECRET], vec![time, sign(KNOWN)], AT, BODY, missing),
        ("no time", vec![SECRET], vec![id, sign(KNOWN)], AT, BODY, missing),
        ("no number", vec![SECRET], vec![id, ("webhook-timestamp", "soon"), sign(KNOWN)], AT, BODY, missing),
        ("two times", vec![SECRET], vec![id, time, time, sign(KNOWN)], AT, BODY, missing),
        ("no signature", vec![SECRET], vec![id, time], AT, BODY, missing),
        ("an empty one", vec![SECRET], vec![id, time, sign("v1,")], AT, BODY, missing),
        ("another version", vec![SECRET], vec![id, time, sign("v2,g0hM9SsE")], AT, BODY, missing),
        ("a beginning", vec![SECRET], vec![id, time, sign("v1,rAvf")], AT, BODY, wrong),
        ("among others", vec![SECRET], vec![id, time, ("webhook-signature", &many)], AT, BODY, Ok(())),
        ("behind too many", vec![SECRET], vec![id, time, ("webhook-signature", &too_many)], AT, BODY, wrong),
    ] {
        assert_eq!(outcome(&standard(&secrets), &headers(&given), now, body), expect, "{what}");
    }
}

#[test]
fn a_scheme_of_the_senders_own_is_what_is_configured() {
    let own = |algorithm, encoding, prefix: &str| {
        Signature::new(&Hmac {
            secrets: vec![b"key".to_vec().into()],
            algorithm,
            header: "X-Sign".into(),
            prefix: prefix.into(),
            encoding,
            several: false,
            timestamp: None,
            id_header: None,
            signs: vec![Body],
        })
    };
    // RFC-like known answers for key "key" and "The quick brown fox jumps over the lazy dog".
    let body = b"The quick brown fox jumps over the lazy dog";
    let hex = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
    let base64 = "97yD9DBThCSxMpjmqm+xQ+9NWaFJRhdZl0edvC0aPNg=";
    let long = "b42af09057bac1e2d41708e48a902e09b5ff7f12ab428a4fe86653c73dd248fb82f948a549f7b791a5b41915ee4d1ec3935357e4e2317250d0372afa2ebeeb3a";
    for (signature, given, expect) in [
        (own(HmacAlgorithm::Sha256, Encoding::Hex, "sha256="), format!("sha256={hex}"), Ok(())),
        (own(HmacAlgorithm::Sha256, Encoding::Hex, ""), hex.to_uppercase(), Ok(())),
        (own(HmacAlgorithm::Sha256, Encoding::Base64, ""), base64.into(), Ok(())),
        (own(HmacAlgorithm::Sha512, Encoding::Hex, ""), long.into(), Ok(())),
        (own(HmacAlgorithm::Sha512, Encoding::Hex, ""), hex.into(), Err(Unsigned::Wrong)),
        (own(HmacAlgorithm::Sha256, Encoding::Hex, "sha256="), hex.into(), Err(Unsigned::Missing)),
        (own(HmacAlgorithm::Sha256, Encoding::Hex, ""), format!("{hex} {hex}"), Err(Unsigned::Missing)),
        (own(HmacAlgorithm::Sha256, Encoding::Base64, ""), hex[..63].into(), Err(Unsigned::Missing)),
    ] {
        assert_eq!(outcome(&signature, &headers(&[("x-sign", &given)]), 0, body), expect, "{given}");
    }
}

#[test]
fn no_number_for_a_time_is_a_panic() {
    let signature = standard(&[SECRET]);
    for time in [i64::MIN, i64::MIN + 1, -1, i64::MAX].map(|time| time.to_string()) {
        let given = headers(&[("webhook-id", "a"), ("webhook-timestamp", &time), ("webhook-signature", KNOWN)]);
        assert!(outcome(&signature, &given, AT, BODY).is_err(), "{time}");
    }
}

/// What our own clock makes of a signature that was fine.
#[test]
fn a_clock_of_ours_that_is_set_refuses_what_it_takes_for_old_or_early_and_nothing_once_it_is_right() {
    let signature = standard(&[SECRET]);
    let at = AT.to_string();
    let given = headers(&[
        ("webhook-id", "msg_loFOjxBNrRLzqYUf"),
        ("webhook-timestamp", at.as_str()),
        ("webhook-signature", KNOWN),
    ]);
    for (now, expected) in
        [(AT, Ok(())), (AT - 3_600, Err(Unsigned::Stale)), (AT + 30 * 86_400, Err(Unsigned::Stale)), (AT + 1, Ok(()))]
    {
        assert_eq!(outcome(&signature, &given, now, BODY), expected, "{now}");
    }
}

#[test]
fn milliseconds_are_known_by_their_size() {
    for (text, expect) in
        [("1731705121", Some(AT * 1_000)), ("1731705121123", Some(AT * 1_000 + 123)), ("1.5", None), ("", None)]
    {
        assert_eq!(seconds_or_millis(&text.parse().expect("a header value")), expect, "{text}");
    }
}

proptest! {
    #[test]
    fn what_is_signed_opens_and_any_changed_bit_does_not(body in prop::collection::vec(any::<u8>(), 0..300), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &Encoding::Base64.decode(SECRET).unwrap());
        let mut signed = b"m.1731705121.".to_vec();
        signed.extend(&body);
        let tag = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, hmac::sign(&key, &signed));
        let given = headers(&[("webhook-id", "m"), ("webhook-timestamp", "1731705121"), ("webhook-signature", &format!("v1,{tag}"))]);
        prop_assert_eq!(outcome(&standard(&[SECRET]), &given, AT, &body), Ok(()));
        if !body.is_empty() {
            let mut changed = body.clone();
            changed[at.index(body.len())] ^= 1 << bit;
            prop_assert_eq!(outcome(&standard(&[SECRET]), &given, AT, &changed), Err(Unsigned::Wrong));
        }
    }
}
