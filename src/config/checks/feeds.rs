//! Checks of feeds: what leaves this machine without being a message.
//!
//! Promises: nothing leaves it in plaintext, and nothing unsigned.
//! Never: a secret in a message.

use super::Check;
use crate::config::feed::signing_key;
use crate::config::settings::at;
use crate::config::value::{is_loopback_host, parse_web_address};

pub(super) fn check(check: &mut Check<'_>) {
    let key = |name: &str| at(&["feed", "webhook", name]);
    let (url, secret) = (key("url"), key("secret"));
    let given = check.settings.get(&secret).is_some() || check.settings.get(&key("secret_file")).is_some();
    let Some(address) = check.settings.text(&url).map(str::to_owned) else {
        if given && check.settings.get(&url).is_none() {
            check.fault(&secret, "given without a url", "add feed.webhook.url, or take it out");
        }
        return;
    };
    if parse_web_address(&address).is_ok_and(|address| !address.secure && !is_loopback_host(address.host)) {
        check.fault(&url, "plain HTTP to another machine", "use https");
    }
    let how = "make one: echo \"whsec_$(openssl rand -base64 32)\"";
    if !given {
        check.fault(&url, "has no secret, so its receiver could not tell our posts from anybody's", how);
    }
    if check.secrets.all(&secret).iter().any(|secret| signing_key(secret).is_none()) {
        check.fault(&secret, "`<hidden>` is not whsec_ and base64 of 24 to 64 bytes", how);
    }
    if check.settings.items(&key("events")).is_some_and(<[_]>::is_empty) {
        check.fault(&key("events"), "empty, so nothing would ever be told", "name outcomes, or take the url out");
    }
}
