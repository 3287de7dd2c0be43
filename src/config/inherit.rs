//! Child orgs: what an org does not say itself, its parent says.
//!
//! Promises: key by key, the nearest ancestor first; a circle and a parent that is not there are faults.
//! Never: a value of the child replaced.

use super::layer::{Layer, Origin, Rank};
use super::report::Report;
use super::schema::{KeyPath, ROWS, dotted};
use super::secrets::join;
use super::settings::{Settings, at};

/// What the children inherit: weaker than what is written anywhere, the farthest ancestor first.
pub(super) fn layers(settings: &Settings, report: &mut Report) -> Vec<Layer> {
    let mut layers = Vec::new();
    for org in settings.names(&at(&["org"])) {
        let ancestors = ancestors(&org, settings, report);
        layers.extend(ancestors.iter().rev().map(|ancestor| inherited(&org, ancestor, settings)));
    }
    layers
}

/// From the parent on.
fn ancestors(org: &str, settings: &Settings, report: &mut Report) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    let mut child = org.to_owned();
    loop {
        let key = at(&["org", &child, "parent"]);
        let Some(parent) = settings.number_text(&key) else { return chain };
        let mut fault =
            |what: String, hint: String| report.fault(&settings.place(&key), dotted(&key), what, Some(hint));
        if settings.get(&at(&["org", &parent])).is_none() {
            // Told once, by the child itself.
            if child == org {
                fault(format!("org {parent} is not configured"), format!("add [org.{parent}]"));
            }
            return Vec::new();
        }
        if parent == org || chain.contains(&parent) {
            if parent == org {
                fault("leads back to itself".into(), "an org at the top has no parent".into());
            }
            return Vec::new();
        }
        chain.push(parent.clone());
        child = parent;
    }
}

fn inherited(org: &str, ancestor: &str, settings: &Settings) -> Layer {
    let mut layer = Layer::empty();
    let origin = Origin::new(Rank::Inherited, format!("org.{ancestor}"));
    for row in ROWS.iter().filter(|row| row.path.starts_with("org.") && row.path != "org.*.parent") {
        for from in settings.places_of(row).into_iter().filter(|place| place.get(1).is_some_and(|o| o == ancestor)) {
            let Some(value) = settings.get(&from) else { continue };
            let to: KeyPath = from.iter().skip(2).fold(at(&["org", org]), |place, name| join(&place, name));
            layer.insert(&to, value.kind.clone(), &origin);
        }
    }
    layer
}
