//! Checks of look-ups: who is asked for people.
//!
//! Promises: ids of people leave this machine in no plaintext; nobody is asked for people whom no org writes to.
//! Never: a secret in a message.

use super::Check;
use crate::config::secrets::join;
use crate::config::settings::at;
use crate::config::value::{is_loopback_host, parse_web_address};

pub(super) fn check(check: &mut Check<'_>) {
    let orgs = check.names(&["org"]);
    let spaces: Vec<String> =
        orgs.iter().filter_map(|org| check.settings.text(&at(&["org", org, "namespace"]))).map(str::to_owned).collect();
    for name in check.names(&["lookup"]) {
        let place = at(&["lookup", &name]);
        if !orgs.is_empty() && !spaces.contains(&name) {
            let hint = format!("the table's name is a namespace; orgs have {}", spaces.join(", "));
            check.fault(&place, "no org has this namespace", hint);
        }
        let url = join(&place, "url");
        let plain = |text: &str| parse_web_address(text).is_ok_and(|a| !a.secure && !is_loopback_host(a.host));
        if check.settings.text(&url).is_some_and(plain) {
            check.fault(&url, "plain HTTP to another machine", "use https");
        }
        let headers = join(&place, "headers");
        for header in check.secrets.below(&headers).map(str::to_owned).collect::<Vec<_>>() {
            if header.eq_ignore_ascii_case("content-type") || header.eq_ignore_ascii_case("content-length") {
                check.fault(&join(&headers, &header), "is set by the relay itself", "take it out");
            }
        }
        let again = join(&place, "again_after");
        let (after, wait) = (check.settings.span(&again), check.settings.span(&at(&["relay", "wait_for_contact"])));
        if after.zip(wait).is_some_and(|(after, wait)| after >= wait) {
            check.warn(&again, "not shorter than relay.wait_for_contact, so nobody is asked for twice", "shorten it");
        }
    }
}
