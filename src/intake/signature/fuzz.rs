//! What signed doors are held to, whatever stands in the headers: the target `signature`.
//!
//! Promises: a claim that is made is of this request and within the tolerance; only the right tag opens.
//! Never: a key that is used anywhere else.

use std::time::Duration;

use aws_lc_rs::hmac;
use axum::http::{HeaderMap, HeaderValue};

use super::{Signature, Unsigned};
use crate::choices::Choices;
use crate::clock::Time;
use crate::config::{Encoding, Hmac, HmacAlgorithm, SignedPiece};

const KEY: &[u8] = b"made up for the fuzzer";
const TOLERANCE: Duration = Duration::from_secs(300);

/// Headers, and a body.
pub(crate) fn signature(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let encoding = choices.pick(&[Encoding::Hex, Encoding::Base64]);
    let prefix = choices.pick(&["", "v1,", "sha256="]);
    let config = Hmac {
        secrets: vec![KEY.to_vec().into()],
        algorithm: HmacAlgorithm::Sha256,
        header: "x-signature".into(),
        prefix: prefix.into(),
        encoding,
        several: choices.one_in(2),
        timestamp: choices.one_in(2).then(|| ("x-time".into(), TOLERANCE)),
        id_header: choices.one_in(2).then(|| "x-id".into()),
        signs: vec![
            SignedPiece::Id,
            SignedPiece::Text(".".into()),
            SignedPiece::Timestamp,
            SignedPiece::Text(".".into()),
            SignedPiece::Body,
        ],
    };
    let signature = Signature::new(&config);
    let now = Time::from_millis(choices.pick(&[1_796_162_664_080, 0, i64::MAX, i64::MIN]));
    let time = match choices.below(4) {
        0 => (now.as_millis() / 1_000).to_string(),
        1 => now.as_millis().to_string(),
        2 => choices.number().to_string(),
        _ => choices.text(&["1796162664", "+1", "1e9", " 7 "]),
    };
    let id = choices.text(&["msg_1"]);
    let body = choices.some(32);
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, KEY));
    let signed = |part: &str, is: bool| {
        HeaderValue::from_str(part).ok().filter(|_| is).map_or_else(Vec::new, |part| part.as_bytes().to_vec())
    };
    context.update(&signed(&id, config.id_header.is_some()));
    context.update(b".");
    context.update(&signed(&time, config.timestamp.is_some()));
    context.update(b".");
    context.update(body);
    let tag = context.sign();
    let right = choices.one_in(2);
    let tags: Vec<String> = (0..choices.below(12)).map(|_| choices.text(&[prefix, "v1,", "==", "00", "zz"])).collect();
    let mut given = tags.join(" ");
    if right {
        let written = match encoding {
            Encoding::Hex => tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            Encoding::Text | Encoding::Base64 => {
                base64::Engine::encode(&base64::prelude::BASE64_STANDARD, tag.as_ref())
            }
        };
        given = if config.several { format!("{prefix}{written} {given}") } else { format!("{prefix}{written}") };
    }
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-signature", &given), ("x-time", &time), ("x-id", &id)] {
        for _ in 0..choices.pick(&[1, 1, 1, 0, 2]) {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.append(name, value);
            }
        }
    }
    let once = |name: &str| headers.get_all(name).iter().count() == 1;
    match signature.claim(&headers, now) {
        Err(why) => assert!(why != Unsigned::Wrong, "judged before the body was there"),
        Ok(claim) => {
            assert!(once("x-signature"), "a signature that was not given, or twice");
            assert!(config.timestamp.is_none() || once("x-time"), "a time that was not given, or twice");
            assert!(config.id_header.is_none() || once("x-id"), "an id that was not given, or twice");
            let opens = signature.verify(&claim, body).is_ok();
            assert!(opens == right, "the wrong tag opens, or the right one does not");
            let mut other = body.to_vec();
            other.push(b' ');
            assert!(signature.verify(&claim, &other).is_err(), "another body is taken as the signed one");
        }
    }
}
