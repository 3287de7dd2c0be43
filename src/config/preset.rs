//! The declarations of gateways that ship, and the defaults inside named tables.
//!
//! Promises: both stand below the operator's file, key by key, so a preset can be corrected without being copied.
//! Never: a secret; presets name their parameters only.

use std::collections::BTreeMap;

use ::config::ValueKind;
use toml::Value as Toml;

use super::layer::{Layer, Origin, Rank};
use super::report::Report;
use super::schema::ROWS;
use super::settings::{Settings, at};

/// The names of the presets.
pub(super) const NAMES: &[&str] = &["twilio", "msg91"];

/// The text of a preset.
pub(super) fn text(name: &str) -> Option<&'static str> {
    match name {
        "twilio" => Some(include_str!("../../config/presets/twilio.toml")),
        "msg91" => Some(include_str!("../../config/presets/msg91.toml")),
        _ => None,
    }
}

/// The presets that the providers ask for, each below its provider's name.
pub(super) fn layers(settings: &Settings, report: &mut Report) -> Vec<Layer> {
    let mut layers = Vec::new();
    for provider in settings.names(&at(&["provider"])) {
        let preset = settings.text(&at(&["provider", &provider, "preset"])).map(str::to_owned);
        if let Some(preset) = preset
            && let Some(text) = text(&preset)
        {
            let origin = Origin::new(Rank::Preset, preset);
            let mut layer = Layer::read(text, &at(&["provider", &provider]), &origin, report);
            // For what is missing, the operator's own table is the place to look at.
            layer.tables.clear();
            layers.push(layer);
        }
    }
    layers
}

/// The defaults of every named table there is.
pub(super) fn defaults(settings: &Settings) -> Layer {
    let mut layer = Layer::empty();
    let origin = Origin::new(Rank::Default, "");
    for (row, default) in ROWS.iter().filter_map(|row| row.default.map(|text| (row, text))) {
        // The last name is fixed: only the tables above it have chosen names.
        for path in settings.places_of(row) {
            if settings.has_type(row, &path)
                && let Some(kind) = parse_default(default)
            {
                layer.insert(&path, kind, &origin);
            }
        }
    }
    for provider in settings.names(&at(&["provider"])) {
        if settings.text(&at(&["provider", &provider, "type"])) == Some("smtp") {
            let implicit = settings.text(&at(&["provider", &provider, "tls"])) == Some("implicit");
            // RFC 8314 3.3 and RFC 6409 3.1.
            let port = if implicit { 465 } else { 587 };
            layer.insert(&at(&["provider", &provider, "port"]), ValueKind::I64(port), &origin);
        }
    }
    layer
}

/// The TOML text of a default as a value.
pub(super) fn parse_default(text: &str) -> Option<ValueKind> {
    let mut document: BTreeMap<String, Toml> = toml::from_str(&format!("value = {text}")).ok()?;
    plain(document.remove("value")?)
}

fn plain(value: Toml) -> Option<ValueKind> {
    Some(match value {
        Toml::String(text) => ValueKind::String(text),
        Toml::Integer(n) => ValueKind::I64(n),
        Toml::Float(n) => ValueKind::Float(n),
        Toml::Boolean(flag) => ValueKind::Boolean(flag),
        Toml::Array(items) => ValueKind::Array(
            items
                .into_iter()
                .map(|item| plain(item).map(|kind| ::config::Value::new(None, kind)))
                .collect::<Option<_>>()?,
        ),
        Toml::Datetime(_) | Toml::Table(_) => return None,
    })
}
