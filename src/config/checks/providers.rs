//! Checks of providers and channels: the ways out.
//!
//! Promises: nothing leaves this machine in plaintext unless somebody wrote `dangerously_plaintext`.
//! Never: a connection.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Check;
use crate::config::schema::KeyPath;
use crate::config::secrets::join;
use crate::config::settings::at;
use crate::config::value::{format_duration, is_loopback_host, parse_duration, parse_web_address};

pub(super) fn check(check: &mut Check<'_>) {
    for provider in check.names(&["provider"]) {
        let place = at(&["provider", &provider]);
        match check.settings.text(&join(&place, "type")) {
            Some("smtp") => check_smtp(check, &place),
            Some("http_sms") => check_gateway(check, &place),
            _ => {}
        }
    }
    let mut used = BTreeSet::new();
    for (channel, fitting) in [("email", ["smtp", "file"]), ("sms", ["http_sms", "file"])] {
        check_channel(check, &at(&["channel", channel]), channel, &fitting, &mut used);
        for org in check.names(&["org"]) {
            let own = at(&["org", &org, "channel", channel]);
            // What it does not say is checked where it is said.
            if check.settings.get(&own).is_some() {
                check_channel(check, &own, channel, &fitting, &mut used);
            }
        }
    }
    for provider in check.names(&["provider"]).into_iter().filter(|name| !used.contains(name)) {
        let hint = "name it in [channel.<name>] or [org.<id>.channel.<name>], or take it out";
        check.warn(&at(&["provider", &provider]), "no channel uses it", hint);
    }
}

fn check_smtp(check: &mut Check<'_>, place: &KeyPath) {
    let (host, tls) = (join(place, "host"), join(place, "tls"));
    let is_foreign = check.settings.text(&host).is_some_and(|h| !is_loopback_host(h.trim_matches(['[', ']'])));
    let allowed = check.settings.flag(&join(place, "dangerously_plaintext")).unwrap_or_default();
    if is_foreign && check.settings.text(&tls) == Some("none") {
        if allowed {
            check.warn(
                &tls,
                "mails cross the network in plaintext",
                "take out dangerously_plaintext as soon as you can",
            );
        } else {
            check.fault(
                &tls,
                "plaintext to another machine",
                "use \"starttls\" or \"implicit\"; if the network itself is trusted, set dangerously_plaintext = true",
            );
        }
    }
    let username = join(place, "username");
    let password = join(place, "password");
    let has_password =
        check.settings.get(&password).is_some() || check.settings.get(&join(place, "password_file")).is_some();
    if is_foreign && check.settings.text(&tls) == Some("none") && allowed && has_password {
        check.fault(
            &username,
            "a password never leaves this machine in clear",
            "set tls, or take username and password out",
        );
    }
    match (check.settings.get(&username).is_some(), has_password) {
        (true, false) => check.fault(&username, "given without a password", "add password_file"),
        (false, true) => check.fault(&password, "given without a username", "add username"),
        _ => {}
    }
    let domain = at(&["templates", "message_id_domain"]);
    if is_foreign && check.settings.text(&domain).is_some_and(|d| d == "invalid" || d.ends_with(".invalid")) {
        check.fault(
            &domain,
            "not a domain of yours",
            "every Message-ID ends with it: name one, such as mail.acme.example",
        );
    }
}

fn check_gateway(check: &mut Check<'_>, place: &KeyPath) {
    let url = join(place, "url");
    let is_plain = check
        .settings
        .text(&url)
        .and_then(|text| parse_web_address(text).ok())
        .is_some_and(|address| !address.secure && !is_loopback_host(address.host));
    if is_plain {
        check.fault(&url, "plaintext to another machine", "use https://");
    }
    let success = join(place, "success");
    let (pointer, equals) = (join(&success, "pointer"), join(&success, "equals"));
    match (check.settings.get(&pointer).is_some(), check.settings.get(&equals).is_some()) {
        (true, false) => {
            check.fault(&pointer, "given without equals", "add `equals = \"…\"`: what stands there on success")
        }
        (false, true) => check.fault(&equals, "given without pointer", "add `pointer = \"/…\"`: where it stands"),
        _ => {}
    }
    let status = join(&success, "status");
    if check.settings.items(&status).is_some_and(<[_]>::is_empty) {
        check.fault(&status, "empty, so no answer would ever be a success", "add `status = [200, 201]`");
    }
}

fn check_channel(check: &mut Check<'_>, place: &KeyPath, channel: &str, fitting: &[&str], used: &mut BTreeSet<String>) {
    let (providers, retry, ambiguous) = (join(place, "providers"), join(place, "retry"), join(place, "ambiguous"));
    let named = check.settings.parsed_items::<String>(&providers).unwrap_or_default();
    used.extend(named.iter().cloned());
    let known = check.names(&["provider"]);
    let is_live = check.settings.text(&at(&["relay", "mode"])) == Some("live");
    let may_repeat = check.settings.text(&ambiguous) == Some("retry");
    for (position, name) in named.iter().enumerate() {
        if named[..position].contains(name) {
            check.fault(&providers, format!("names `{name}` twice"), "keep one");
            continue;
        }
        if !known.contains(name) {
            let near = crate::config::schema::nearest(name, known.iter().map(String::as_str));
            let hint = match near {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("add [provider.{name}]"),
            };
            check.fault(&providers, format!("there is no provider `{name}`"), hint);
            continue;
        }
        let kind = check.settings.text(&at(&["provider", name, "type"])).unwrap_or_default().to_owned();
        if !kind.is_empty() && !fitting.contains(&kind.as_str()) {
            let what = format!("provider `{name}` is of type \"{kind}\", which cannot carry {channel}");
            check.fault(&providers, what, format!("name one of type \"{}\"", fitting[0]));
        }
        if kind == "file" && is_live {
            let what = format!("`{name}` writes people's messages into files");
            check.warn(&providers, what, "a file provider is for trials; keep its folder empty and closed");
        }
        let is_idempotent = check.settings.flag(&at(&["provider", name, "idempotent"])).unwrap_or_default();
        if kind == "http_sms" && may_repeat && !is_idempotent {
            let what = format!("gateway `{name}` would send a message twice");
            check.warn(&ambiguous, what, "use \"hold\", or set idempotent = true if the gateway refuses repeated ids");
        }
    }
    let Some(waits) = check.settings.parsed_items::<String>(&retry) else { return };
    if waits.is_empty() {
        check.fault(
            &retry,
            "empty, so the first refusal would be final",
            "add waits such as [\"1m\", \"5m\", \"30m\"]",
        );
    }
    let total: Duration =
        waits.iter().filter_map(|text| parse_duration(text).ok()).fold(Duration::ZERO, Duration::saturating_add);
    if let Some(expiry) = check.settings.span(&at(&["relay", "expires_after"]))
        && total > expiry
    {
        let what = format!(
            "the waits take {}, longer than relay.expires_after ({})",
            format_duration(total),
            format_duration(expiry)
        );
        check.warn(&retry, what, "the last attempts are never made");
    }
}
