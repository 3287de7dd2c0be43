//! Signatures as Standard Webhooks ask for them: HMAC-SHA-256 over id, timestamp and body.
//!
//! Promises: with two secrets there are two signatures, so that a receiver may change at any time.
//! Never: a secret in an error.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

use crate::config::signing_key;

/// A key that bodies are signed with.
pub(super) struct Key(hmac::Key);

impl Key {
    /// Reads `whsec_…`.
    pub(super) fn read(secret: &SecretString) -> Option<Self> {
        Some(Self(hmac::Key::new(hmac::HMAC_SHA256, &signing_key(secret)?)))
    }
}

/// The header's value: a signature by each key.
pub(super) fn signature(keys: &[Key], id: &str, timestamp: i64, body: &str) -> String {
    let text = format!("{id}.{timestamp}.{body}");
    let one = |key: &Key| format!("v1,{}", STANDARD.encode(hmac::sign(&key.0, text.as_bytes())));
    keys.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn a_signature_is_that_of_the_standard() {
        let key = Key::read(&SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).expect("a secret");
        let signed = signature(&[key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_sign_twice() {
        let key = |text: &str| Key::read(&SecretString::from(text)).expect("a secret");
        let one = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let both = signature(&[one, key("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")], "id", 1, "{}");
        assert_eq!(both.split(' ').filter(|part| part.starts_with("v1,")).count(), 2);
        assert!(Key::read(&SecretString::from("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).is_none());
    }
}
