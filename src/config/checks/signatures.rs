//! Checks of `[source.<name>.hmac]`.
//!
//! Promises: a signature that could never fit is a fault before the first webhook.
//! Never: a secret's value in a message.

use secrecy::ExposeSecret;

use super::Check;
use crate::config::Encoding;
use crate::config::schema::KeyPath;
use crate::config::secrets::join;
use crate::config::signed::{SignedPiece, pieces, standard_secret};

/// Keys that only a scheme of the sender's own has.
const CUSTOM: [&str; 8] =
    ["secret_encoding", "algorithm", "header", "prefix", "encoding", "signs", "timestamp_header", "id_header"];

pub(super) fn check(check: &mut Check<'_>, place: &KeyPath, has_secret: bool) {
    let key = |name: &str| join(place, name);
    let given: Vec<_> = CUSTOM
        .iter()
        .chain(&["scheme", "tolerance"])
        .map(|name| key(name))
        .filter(|key| check.settings.is_given(key))
        .collect();
    if !has_secret {
        if let Some(first) = given.first() {
            check.fault(first, "stands without a secret", "add hmac.secret or hmac.secret_file");
        }
        return;
    }
    let custom = check.settings.text(&key("scheme")) == Some("custom");
    let secret = key("secret");
    let encoding = match check.settings.text(&key("secret_encoding")) {
        Some("hex") => Encoding::Hex,
        Some("base64") => Encoding::Base64,
        _ => Encoding::Text,
    };
    let fits = |text: &str| if custom { encoding.decode(text).is_some() } else { standard_secret(text).is_some() };
    if !check.secrets.all(&secret).iter().all(|secret| fits(secret.expose_secret())) {
        let hint = if custom { "look at hmac.secret_encoding" } else { "Standard Webhooks: `whsec_` and base64" };
        check.fault(&secret, "`<hidden>` is not written in its encoding", hint);
    }
    if !custom {
        for key in given.iter().filter(|key| key.last().is_some_and(|name| CUSTOM.contains(&name.as_str()))) {
            check.fault(key, "is fixed by Standard Webhooks", "take it out, or set scheme = \"custom\"");
        }
        return;
    }
    if check.settings.get(&key("header")).is_none() {
        check.fault(&key("header"), "is missing", "name the header that holds the signature");
    }
    let signs = key("signs");
    let Some(pieces) = check.settings.text(&signs).and_then(pieces) else {
        check.fault(&signs, "is not read", "write {body}, and {timestamp} and {id} where they are signed too");
        return;
    };
    for (piece, name) in [(SignedPiece::Timestamp, "timestamp_header"), (SignedPiece::Id, "id_header")] {
        let named = check.settings.get(&key(name)).is_some();
        if pieces.contains(&piece) && !named {
            check.fault(
                &signs,
                format!("signs a value that no header brings: {name} is not set"),
                format!("set {name}"),
            );
        }
        if !pieces.contains(&piece) && named {
            check.fault(&key(name), "is not signed, so anybody could change it", "add it to `signs`, or take it out");
        }
    }
    if !pieces.contains(&SignedPiece::Timestamp) {
        let hint = "what was overheard once can be sent again for ever; events are de-duplicated by their own ids";
        check.warn(&signs, "no time is signed", hint);
    }
}
