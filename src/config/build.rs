//! From checked settings to the typed [`Config`].
//!
//! Promises: runs only when no fault was found, so every question has an answer; `None` here means that the schema and
//! the builder disagree, which the loader reports as a fault of ours.
//! Never: a default of its own (they are in `config/default.toml` and in the schema), except paths made from other paths.

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;

use super::places::Places;
use super::schema::{KeyPath, dotted};
use super::secrets::{Secrets, join};
use super::settings::{Settings, at};
use super::signed;
use super::value::parse_mailbox;
use super::{
    Access, Admin, Allow, Config, DailyFeed, Encoding, Feed, Hmac, HmacAlgorithm, InboundPii, Intake, Keys, Log, Org,
    Relay, Sender, Source, Storage, TableFormat, Templates, TlsFiles, Token, WebhookFeed,
};
use crate::clock::Time;
use crate::id::{Category, OrgId, SenderRole, TemplateId};
use crate::message::Mailbox;
use crate::policy::Mode;

mod outgoing;

/// Builds the whole.
pub(super) fn config(settings: &Settings, secrets: &Secrets) -> Option<Config> {
    let storage = storage(settings)?;
    Some(Config {
        relay: relay(settings)?,
        intake: intake(settings)?,
        sources: each(settings, &["source"], |name, place| {
            Some((name.parse().ok()?, source(settings, secrets, place)?))
        })?,
        admin: Admin {
            listen: settings.address(&at(&["admin", "listen"]))?,
            tokens: each(settings, &["admin", "token"], |name, place| {
                Some((name.parse().ok()?, token(settings, secrets, place)?))
            })?,
            socket: settings.path(&at(&["admin", "socket"])).unwrap_or_else(|| storage.dir.join("admin.sock")),
        },
        storage,
        keys: Keys { file: settings.path(&at(&["keys", "file"]))? },
        orgs: each(settings, &["org"], |id, place| Some((OrgId(id.parse().ok()?), org(settings, place)?)))?,
        templates: templates(settings)?,
        providers: each(settings, &["provider"], |name, place| {
            Some((name.parse().ok()?, outgoing::provider(settings, secrets, place)?))
        })?,
        channels: outgoing::channels(settings)?,
        lookups: each(settings, &["lookup"], |name, place| {
            Some((name.parse().ok()?, outgoing::lookup(settings, secrets, place)?))
        })?,
        feed: feed(settings, secrets)?,
        log: Log {
            filter: settings.text(&at(&["log", "filter"]))?.to_owned(),
            json: settings.text(&at(&["log", "format"]))? == "json",
        },
        places: Places::of(settings),
    })
}

/// What can be built of settings that have faults: sections and tables that are whole. What is not is as by default, or absent;
/// `is_faulty` says which tables an answer would be misleading for.
pub(super) fn known(
    settings: &Settings,
    defaults: &Settings,
    secrets: &Secrets,
    is_faulty: &dyn Fn(&str) -> bool,
) -> Option<Config> {
    let storage = storage(settings).or_else(|| storage(defaults))?;
    let templates = Templates {
        dir: settings.path(&at(&["templates", "dir"])),
        allow: whole(settings, &["templates", "allow"], is_faulty, |name, place| {
            Some((name.parse().ok()?, allow(settings, place)?))
        }),
        message_id_domain: settings.text(&at(&["templates", "message_id_domain"])).unwrap_or_default().to_owned(),
    };
    Some(Config {
        relay: relay(settings).or_else(|| relay(defaults))?,
        intake: intake(settings).or_else(|| intake(defaults))?,
        sources: BTreeMap::new(),
        admin: Admin {
            listen: settings
                .address(&at(&["admin", "listen"]))
                .or_else(|| defaults.address(&at(&["admin", "listen"])))?,
            tokens: BTreeMap::new(),
            socket: settings.path(&at(&["admin", "socket"])).unwrap_or_else(|| storage.dir.join("admin.sock")),
        },
        storage,
        keys: Keys { file: settings.path(&at(&["keys", "file"])).or_else(|| defaults.path(&at(&["keys", "file"])))? },
        orgs: whole(settings, &["org"], is_faulty, |id, place| Some((OrgId(id.parse().ok()?), org(settings, place)?))),
        templates,
        // A slip in one key of a provider says nothing about the others.
        providers: whole(settings, &["provider"], &|_| false, |name, place| {
            Some((name.parse().ok()?, outgoing::provider(settings, secrets, place)?))
        }),
        channels: outgoing::channels(settings).or_else(|| outgoing::channels(defaults))?,
        lookups: whole(settings, &["lookup"], &|_| false, |name, place| {
            Some((name.parse().ok()?, outgoing::lookup(settings, secrets, place)?))
        }),
        feed: feed(settings, secrets).or_else(|| feed(defaults, secrets))?,
        log: Log { filter: "info".into(), json: false },
        places: Places::of(settings),
    })
}

/// Builds every named table below a place that can be built and has no fault.
fn whole<K: Ord, V>(
    settings: &Settings,
    above: &[&str],
    is_faulty: &dyn Fn(&str) -> bool,
    mut build: impl FnMut(&str, &KeyPath) -> Option<(K, V)>,
) -> BTreeMap<K, V> {
    let above = at(above);
    let names = settings.names(&above);
    let places = names.iter().map(|name| (name, join(&above, name)));
    places.filter(|(_, place)| !is_faulty(&dotted(place))).filter_map(|(name, place)| build(name, &place)).collect()
}

fn token(settings: &Settings, secrets: &Secrets, place: &KeyPath) -> Option<Token> {
    let hashes = secrets.all(&join(place, "sha256")).iter();
    let words = settings.parsed_items::<String>(&join(place, "scopes"))?;
    Some(Token {
        sha256: hashes.map(|hash| hash.expose_secret().to_ascii_lowercase()).collect(),
        scopes: words.iter().map(|word| Access::of(word)).collect::<Option<_>>()?,
        not_after: settings.parsed::<jiff::Timestamp>(&join(place, "not_after")).map(Time::from),
    })
}

fn feed(settings: &Settings, secrets: &Secrets) -> Option<Feed> {
    let key = |name: &str| at(&["feed", name]);
    let daily = |dir| {
        Some(DailyFeed {
            dir,
            at: jiff::civil::Time::strptime("%H:%M", settings.text(&key("at"))?).ok()?,
            keep: settings.span(&key("keep"))?,
            unreachable: settings.flag(&key("unreachable"))?,
            format: TableFormat::of(settings.text(&key("format"))?)?,
        })
    };
    let daily = match settings.path(&key("dir")) {
        Some(dir) => Some(daily(dir)?),
        None => None,
    };
    let key = |name: &str| at(&["feed", "webhook", name]);
    let webhook = |url: &str| {
        Some(WebhookFeed {
            url: url.to_owned(),
            secrets: secrets.all(&key("secret")).to_vec(),
            events: settings.parsed_items(&key("events"))?,
            timeout: settings.span(&key("timeout"))?,
            ca_file: settings.path(&key("ca_file")),
        })
    };
    let webhook = match settings.text(&key("url")) {
        Some(url) => Some(webhook(url)?),
        None => None,
    };
    Some(Feed { daily, webhook })
}

/// Builds every named table below a place.
fn each<K: Ord, V>(
    settings: &Settings,
    above: &[&str],
    mut build: impl FnMut(&str, &KeyPath) -> Option<(K, V)>,
) -> Option<BTreeMap<K, V>> {
    let above = at(above);
    settings.names(&above).iter().map(|name| build(name, &join(&above, name))).collect()
}

fn relay(settings: &Settings) -> Option<Relay> {
    let key = |name: &str| at(&["relay", name]);
    Some(Relay {
        mode: mode(settings, &key("mode"))?,
        pilot: settings.parsed_items(&key("pilot"))?,
        drain_timeout: settings.span(&key("drain_timeout"))?,
        dispatch_concurrency: settings.count(&key("dispatch_concurrency"))?,
        wait_for_contact: settings.span(&key("wait_for_contact"))?,
        expires_after: settings.span(&key("expires_after"))?,
        brake_per_hour: settings.count(&key("brake_per_hour"))?,
    })
}

fn intake(settings: &Settings) -> Option<Intake> {
    let key = |name: &str| at(&["intake", name]);
    Some(Intake {
        listen: settings.address(&key("listen"))?,
        tls: tls(settings),
        max_body_bytes: settings.bytes(&key("max_body_bytes"))?,
        max_inflight_bytes: settings.bytes(&key("max_inflight_bytes"))?,
        max_connections: settings.count(&key("max_connections"))?,
        header_timeout: settings.span(&key("header_timeout"))?,
        body_timeout: settings.span(&key("body_timeout"))?,
        connection_max_age: settings.span(&key("connection_max_age"))?,
        retry_after: settings.span(&key("retry_after"))?,
        max_journal_backlog: settings.count(&key("max_journal_backlog"))?,
    })
}

fn source(settings: &Settings, secrets: &Secrets, place: &KeyPath) -> Option<Source> {
    let headers = join(place, "headers");
    let inbound_pii = match settings.text(&join(place, "inbound_pii"))? {
        "strip" => InboundPii::Strip,
        _ => return None,
    };
    Some(Source {
        headers: secrets
            .below(&headers)
            .map(|name| (name.to_owned(), secrets.all(&join(&headers, name)).to_vec()))
            .collect(),
        path_secret: secrets.one(&join(place, "path_secret")).cloned(),
        hmac: hmac(settings, secrets, &join(place, "hmac")),
        allow_from: settings.parsed_items(&join(place, "allow_from"))?,
        open: settings.text(&join(place, "auth")) == Some("none"),
        inbound_pii,
        orgs: settings.counts::<i64>(&join(place, "orgs"))?.into_iter().map(OrgId).collect(),
    })
}

/// Both files or neither: that was checked.
fn tls(settings: &Settings) -> Option<TlsFiles> {
    let file = |name: &str| settings.path(&at(&["intake", "tls", name]));
    Some(TlsFiles { cert_file: file("cert_file")?, key_file: file("key_file")? })
}

/// `None` without a secret; that all the rest fits was checked.
fn hmac(settings: &Settings, secrets: &Secrets, place: &KeyPath) -> Option<Hmac> {
    let texts = secrets.all(&join(place, "secret"));
    let text = |name: &str| settings.text(&join(place, name));
    let encoding = |name: &str| match text(name)? {
        "text" => Some(Encoding::Text),
        "hex" => Some(Encoding::Hex),
        _ => Some(Encoding::Base64),
    };
    let decoded = |decode: &dyn Fn(&str) -> Option<Vec<u8>>| {
        texts.iter().map(|secret| Some(decode(secret.expose_secret())?.into())).collect::<Option<Vec<_>>>()
    };
    let tolerance = settings.span(&join(place, "tolerance"))?;
    if texts.is_empty() {
        return None;
    }
    if text("scheme")? == "standard-webhooks" {
        return Some(Hmac {
            secrets: decoded(&signed::standard_secret)?,
            algorithm: HmacAlgorithm::Sha256,
            header: "webhook-signature".into(),
            prefix: "v1,".into(),
            encoding: Encoding::Base64,
            several: true,
            timestamp: Some(("webhook-timestamp".into(), tolerance)),
            id_header: Some("webhook-id".into()),
            signs: signed::pieces("{id}.{timestamp}.{body}")?,
        });
    }
    let secret_encoding = encoding("secret_encoding")?;
    Some(Hmac {
        secrets: decoded(&|secret| secret_encoding.decode(secret))?,
        algorithm: if text("algorithm")? == "sha512" { HmacAlgorithm::Sha512 } else { HmacAlgorithm::Sha256 },
        header: text("header")?.to_owned(),
        prefix: text("prefix").unwrap_or_default().to_owned(),
        encoding: encoding("encoding")?,
        several: false,
        timestamp: text("timestamp_header").map(|name| (name.to_owned(), tolerance)),
        id_header: text("id_header").map(str::to_owned),
        signs: signed::pieces(text("signs")?)?,
    })
}

fn storage(settings: &Settings) -> Option<Storage> {
    let key = |name: &str| at(&["storage", name]);
    Some(Storage {
        dir: settings.path(&key("dir"))?,
        min_free_bytes: settings.bytes(&key("min_free_bytes"))?,
        vault_cache_bytes: settings.bytes(&key("vault_cache_bytes"))?,
        ledger_cache_bytes: settings.bytes(&key("ledger_cache_bytes"))?,
        keep_events: settings.span(&key("keep_events"))?,
        keep_quarantine: settings.span(&key("keep_quarantine"))?,
    })
}

fn org(settings: &Settings, place: &KeyPath) -> Option<Org> {
    let text = |name: &str| settings.text(&join(place, name)).map(str::to_owned);
    let (senders, links) = (join(place, "sender"), join(place, "links"));
    let mailbox = |path: &KeyPath| -> Option<Mailbox> { parse_mailbox(settings.text(path)?).ok() };
    let sender = |role: &String| -> Option<(SenderRole, Sender)> {
        let place = join(&senders, role);
        let sender = Sender {
            email: mailbox(&join(&place, "email")),
            reply_to: mailbox(&join(&place, "reply_to")),
            sms: settings.text(&join(&place, "sms")).map(str::to_owned),
            sms_entity_id: settings.text(&join(&place, "sms_entity_id")).map(str::to_owned),
        };
        Some((role.parse().ok()?, sender))
    };
    Some(Org {
        name: text("name")?,
        currency: text("currency")?,
        time_zone: jiff::tz::TimeZone::get(settings.text(&join(place, "time_zone"))?).ok()?,
        locale: text("locale")?,
        namespace: settings.parsed(&join(place, "namespace"))?,
        channels: outgoing::channels_of(settings, place)?,
        senders: settings.names(&senders).iter().map(sender).collect::<Option<_>>()?,
        links: settings
            .names(&links)
            .into_iter()
            .map(|name| {
                let url = settings.text(&join(&links, &name))?.to_owned();
                Some((name, url))
            })
            .collect::<Option<_>>()?,
    })
}

fn allow(settings: &Settings, place: &KeyPath) -> Option<Allow> {
    let key = |name: &str| join(place, name);
    Some(Allow {
        enabled: settings.flag(&key("enabled"))?,
        categories: settings
            .parsed_items::<String>(&key("categories"))?
            .iter()
            .map(|word| category(word))
            .collect::<Option<_>>()?,
        reads: settings.parsed_items(&key("reads"))?,
        senders: settings.parsed_items(&key("senders"))?,
        mode: mode(settings, &key("mode"))?,
        brake_per_hour: settings.count(&key("brake_per_hour")),
        live_from: settings.parsed::<jiff::Timestamp>(&key("live_from")).map(Time::from),
    })
}

fn templates(settings: &Settings) -> Option<Templates> {
    let allow = |name: &str, place: &KeyPath| -> Option<(TemplateId, Allow)> {
        Some((name.parse().ok()?, allow(settings, place)?))
    };
    Some(Templates {
        dir: settings.path(&at(&["templates", "dir"])),
        allow: each(settings, &["templates", "allow"], allow)?,
        message_id_domain: settings.text(&at(&["templates", "message_id_domain"]))?.to_owned(),
    })
}

fn mode(settings: &Settings, path: &[String]) -> Option<Mode> {
    let word = settings.text(path)?;
    Mode::ALL.iter().copied().find(|mode| mode.as_str() == word)
}

fn category(word: &str) -> Option<Category> {
    match word {
        "transactional" => Some(Category::Transactional),
        "service" => Some(Category::Service),
        "promotional" => Some(Category::Promotional),
        _ => None,
    }
}
