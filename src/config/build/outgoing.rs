//! From checked settings to typed providers, channels and look-ups.
//!
//! Promises and nevers: those of its parent.

use std::collections::BTreeMap;

use crate::config::schema::KeyPath;
use crate::config::secrets::{Secrets, join};
use crate::config::settings::{Settings, at};
use crate::config::value::parse_duration;
use crate::config::{
    AmbiguousPolicy, ChannelConfig, ErrorClass, GatewayTest, HttpSms, LookupConfig, Provider, ProviderKind, Smtp,
    SmtpTls,
};
use crate::id::Channel;

pub(super) fn provider(settings: &Settings, secrets: &Secrets, place: &KeyPath) -> Option<Provider> {
    let kind = match settings.text(&join(place, "type"))? {
        "smtp" => ProviderKind::Smtp(smtp(settings, secrets, place)?),
        "http_sms" => ProviderKind::HttpSms(gateway(settings, secrets, place)?),
        "file" => ProviderKind::File { dir: settings.path(&join(place, "dir"))? },
        _ => return None,
    };
    Some(Provider {
        kind,
        max_concurrency: settings.count(&join(place, "max_concurrency"))?,
        rate_per_second: settings.rate(&join(place, "rate_per_second")),
        breaker_failures: settings.count(&join(place, "breaker_failures"))?,
        breaker_open: settings.span(&join(place, "breaker_open"))?,
    })
}

fn smtp(settings: &Settings, secrets: &Secrets, place: &KeyPath) -> Option<Smtp> {
    let key = |name: &str| join(place, name);
    Some(Smtp {
        host: settings.text(&key("host"))?.trim_matches(['[', ']']).to_owned(),
        port: settings.count(&key("port"))?,
        tls: match settings.text(&key("tls"))? {
            "starttls" => SmtpTls::StartTls,
            "implicit" => SmtpTls::Implicit,
            "none" => SmtpTls::None,
            _ => return None,
        },
        dangerously_plaintext: settings.flag(&key("dangerously_plaintext"))?,
        ca_file: settings.path(&key("ca_file")),
        username: settings.text(&key("username")).map(str::to_owned),
        password: secrets.one(&key("password")).cloned(),
        hello_name: settings.text(&key("hello_name"))?.to_owned(),
        connect_timeout: settings.span(&key("connect_timeout"))?,
        command_timeout: settings.span(&key("command_timeout"))?,
        data_timeout: settings.span(&key("data_timeout"))?,
        max_mails_per_connection: settings.count(&key("max_mails_per_connection"))?,
        idle_timeout: settings.span(&key("idle_timeout"))?,
    })
}

fn gateway(settings: &Settings, secrets: &Secrets, place: &KeyPath) -> Option<HttpSms> {
    let key = |name: &str| join(place, name);
    let text = |name: &str| settings.text(&key(name)).map(str::to_owned);
    let (params, success, errors) = (key("param"), key("success"), key("errors"));
    let json = settings.text(&join(&success, "pointer")).zip(settings.text(&join(&success, "equals")));
    let class = |name: String| {
        let class = match settings.text(&join(&errors, &name))? {
            "transient" => ErrorClass::Transient,
            "permanent" => ErrorClass::Permanent,
            "bad_address" => ErrorClass::BadAddress,
            "misconfigured" => ErrorClass::Misconfigured,
            _ => return None,
        };
        Some((name, class))
    };
    Some(HttpSms {
        method: text("method")?,
        url: text("url")?,
        headers: headers(settings, &key("headers"))?,
        content_type: text("content_type")?,
        body: text("body")?,
        params: secrets
            .below(&params)
            .filter_map(|name| Some((name.to_owned(), secrets.one(&join(&params, name))?.clone())))
            .collect(),
        success: GatewayTest {
            status: settings.counts(&join(&success, "status"))?,
            json: json.map(|(pointer, equals)| (pointer.to_owned(), equals.to_owned())),
        },
        id_pointer: text("id_pointer"),
        error_pointer: text("error_pointer"),
        errors: settings.names(&errors).into_iter().map(class).collect::<Option<_>>()?,
        idempotent: settings.flag(&key("idempotent"))?,
        timeout: settings.span(&key("timeout"))?,
        ca_file: settings.path(&key("ca_file")),
    })
}

pub(super) fn lookup(settings: &Settings, secrets: &Secrets, place: &KeyPath) -> Option<LookupConfig> {
    let key = |name: &str| join(place, name);
    let headers = key("headers");
    let header = |name: &str| Some((name.to_owned(), secrets.one(&join(&headers, name))?.clone()));
    Some(LookupConfig {
        url: settings.text(&key("url"))?.to_owned(),
        headers: secrets.below(&headers).map(header).collect::<Option<_>>()?,
        batch: settings.count(&key("batch"))?,
        max_concurrency: settings.count(&key("max_concurrency"))?,
        keep: settings.span(&key("keep"))?,
        again_after: settings.span(&key("again_after"))?,
        timeout: settings.span(&key("timeout"))?,
        breaker_failures: settings.count(&key("breaker_failures"))?,
        breaker_open: settings.span(&key("breaker_open"))?,
        ca_file: settings.path(&key("ca_file")),
    })
}

/// Header names differ only in case between a preset and the operator's file: the stronger layer's value is sent, once.
fn headers(settings: &Settings, table: &KeyPath) -> Option<BTreeMap<String, String>> {
    let mut names: Vec<String> = settings.names(table).into_iter().collect();
    names.sort_by_key(|name| settings.origin(&join(table, name)).rank);
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for name in names {
        let value = settings.text(&join(table, &name))?.to_owned();
        headers.retain(|other, _| !other.eq_ignore_ascii_case(&name));
        headers.insert(name, value);
    }
    Some(headers)
}

const CHANNELS: [(Channel, &str); 2] = [(Channel::Email, "email"), (Channel::Sms, "sms")];

/// `[channel.<name>]`
pub(super) fn channels(settings: &Settings) -> Option<BTreeMap<Channel, ChannelConfig>> {
    let place = |name: &str, key: &str| at(&["channel", name, key]);
    channels_at(settings, &CHANNELS, place)
}

/// `[org.<id>.channel.<name>]`, for the channels that the org says something about.
pub(super) fn channels_of(settings: &Settings, org: &KeyPath) -> Option<BTreeMap<Channel, ChannelConfig>> {
    let own = join(org, "channel");
    let named = settings.names(&own);
    let said: Vec<_> = CHANNELS.into_iter().filter(|(_, name)| named.contains(*name)).collect();
    channels_at(settings, &said, |name, key| {
        let place = join(&join(&own, name), key);
        if settings.get(&place).is_some() { place } else { at(&["channel", name, key]) }
    })
}

fn channels_at(
    settings: &Settings,
    channels: &[(Channel, &str)],
    place: impl Fn(&str, &str) -> KeyPath,
) -> Option<BTreeMap<Channel, ChannelConfig>> {
    channels
        .iter()
        .map(|(channel, name)| {
            let key = |key: &str| place(name, key);
            let retry = settings.parsed_items::<String>(&key("retry"))?;
            let config = ChannelConfig {
                providers: settings.parsed_items(&key("providers"))?,
                retry: retry.iter().map(|text| parse_duration(text).ok()).collect::<Option<_>>()?,
                ambiguous: match settings.text(&key("ambiguous"))? {
                    "retry" => AmbiguousPolicy::Retry,
                    "hold" => AmbiguousPolicy::Hold,
                    _ => return None,
                },
            };
            Some((*channel, config))
        })
        .collect()
}
