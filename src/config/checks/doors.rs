//! Checks of the listeners and of the sources: who may come in.
//!
//! Promises: no open door is reachable from another machine.
//! Never: a secret's value in a message.

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::{Check, signatures};
use crate::config::schema::{KeyPath, dotted};
use crate::config::secrets::join;
use crate::config::settings::at;

mod tokens;

/// Linux takes 108 bytes with the final zero (unix(7)), other systems 104.
const MAX_SOCKET_PATH: usize = 100;

pub(super) fn check(check: &mut Check<'_>) {
    tokens::check(check);
    let (intake, admin) = (at(&["intake", "listen"]), at(&["admin", "listen"]));
    let (at_intake, at_admin) = (check.settings.address(&intake), check.settings.address(&admin));
    if let (Some(one), Some(other)) = (at_intake, at_admin)
        && one.port() == other.port()
        && one.port() != 0
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
    {
        check.fault(
            &admin,
            "the port of intake.listen",
            "people's doors stay apart from the public one: take another port",
        );
    }
    if at_admin.is_some_and(|address| !address.ip().is_loopback()) && check.names(&["admin", "token"]).is_empty() {
        check.fault(
            &admin,
            "reachable from other machines without a token",
            "make one with `sealpost token new`, or listen on 127.0.0.1",
        );
    }
    let socket = at(&["admin", "socket"]);
    let below = check.settings.path(&at(&["storage", "dir"])).map(|dir| dir.join("admin.sock"));
    if check.settings.path(&socket).or(below).is_some_and(|path| path.as_os_str().len() > MAX_SOCKET_PATH) {
        check.fault(&socket, "longer than 100 bytes", "name a shorter path, such as /run/sealpost/admin.sock");
    }
    let wait = at(&["intake", "retry_after"]);
    if check.settings.span(&wait).is_some_and(|wait| wait < Duration::from_secs(1)) {
        check.fault(&wait, "shorter than 1s", "Retry-After counts whole seconds (RFC 9110 10.2.3)");
    }
    let (body, flight) = (at(&["intake", "max_body_bytes"]), at(&["intake", "max_inflight_bytes"]));
    if let (Some(one), Some(all)) = (check.settings.bytes::<u64>(&body), check.settings.bytes::<u64>(&flight))
        && all < one
    {
        check.fault(&flight, "smaller than intake.max_body_bytes", "no body of full size could ever be taken");
    }
    let (cert, key) = (at(&["intake", "tls", "cert_file"]), at(&["intake", "tls", "key_file"]));
    for (given, missing) in [(&cert, &key), (&key, &cert)] {
        if check.settings.get(given).is_some() && check.settings.get(missing).is_none() {
            check.fault(missing, "missing", "a certificate and its key go together");
        }
    }
    for source in check.names(&["source"]) {
        check_source(check, &source, at_intake);
    }
}

fn check_source(check: &mut Check<'_>, source: &str, intake: Option<SocketAddr>) {
    let place = at(&["source", source]);
    let (headers, files) = (join(&place, "headers"), join(&place, "headers_file"));
    let (auth, secret) = (join(&place, "auth"), join(&place, "path_secret"));
    let named = !check.settings.names(&headers).is_empty() || !check.settings.names(&files).is_empty();
    let hmac = join(&place, "hmac");
    let given = |place: &KeyPath| check.settings.get(place).is_some();
    let signed = given(&join(&hmac, "secret")) || given(&join(&hmac, "secret_file"));
    let hidden = signed || given(&secret) || given(&join(&place, "path_secret_file"));
    match check.settings.text(&auth) {
        Some("none") if named || hidden => {
            check.fault(&auth, "contradicts the headers, path_secret or hmac beside it", "take one of the two out");
        }
        Some("none") if intake.is_some_and(|address| !address.ip().is_loopback()) => {
            check.fault(&auth, "intake.listen is reachable from other machines", "set headers, or listen on 127.0.0.1");
        }
        None if !named && !hidden && check.settings.get(&auth).is_none() => check.fault(
            &place,
            "does not say how it authenticates",
            "add `headers = { \"X-Sealpost-Key\" = \"…\" }`, headers_file, path_secret or hmac.secret",
        ),
        _ => {}
    }
    check_header_names(check, &headers, &files);
    signatures::check(check, &hmac, signed);
    let shown = check.secrets.below(&headers).map(|name| join(&headers, name));
    let keys: Vec<_> = shown.chain([secret.clone(), join(&hmac, "secret")]).collect();
    for key in keys {
        if check.secrets.is_weak(&key) {
            check.warn(&key, "shorter than 16 characters", "make a long one: openssl rand -hex 32");
        }
    }
    let in_url = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    if check.secrets.one(&secret).is_some_and(|s| !s.expose_secret().bytes().all(in_url)) {
        check.fault(
            &secret,
            "`<hidden>` has characters that a URL would change",
            "use letters, digits, `-`, `.`, `_`, `~`",
        );
    }
    let orgs = join(&place, "orgs");
    for org in check.settings.counts::<i64>(&orgs).unwrap_or_default() {
        if check.settings.get(&at(&["org", &org.to_string()])).is_none() {
            check.warn(&orgs, format!("org {org} is not configured, so it never sends"), format!("add [org.{org}]"));
        }
    }
}

/// Header names differ only in case: two would be one header that must have two values at once.
fn check_header_names(check: &mut Check<'_>, headers: &[String], files: &[String]) {
    let mut seen: Vec<String> = Vec::new();
    let places: Vec<_> = [headers, files]
        .into_iter()
        .flat_map(|table| check.settings.names(table).into_iter().map(|name| join(table, &name)))
        .collect();
    for path in places {
        let name = path.last().cloned().unwrap_or_default();
        match seen.iter().find(|other| **other != name && other.eq_ignore_ascii_case(&name)) {
            Some(other) => {
                let what = format!("the same header as {}", dotted(std::slice::from_ref(other)));
                check.fault(&path, what, "give two values as a list under one name");
            }
            None => seen.push(name),
        }
    }
}
