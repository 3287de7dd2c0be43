//! Operating: pause, resume, modes, the brake.
//!
//! Promises: what is not known, not paused, not set or not tripped is refused, with the nearest name that is; every change is audited.
//! Never: success for an end, a release or a taking back that changed nothing. A pause of what is paused stands, with its first name.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};

use crate::clock::Time;
use crate::config::nearest::nearest;
use crate::id::{Channel, IdError, TemplateId};
use crate::ledger::Hold;
use crate::policy::Mode;
use crate::policy::modes::{Modes, Target};
use crate::policy::pause::Scope;

use super::audit::{Action, Entry};
use super::caller::{Caller, calls_themselves};
use super::find::not_an_id;
use super::read::{Asked, Read};
use super::view::as_text;
use super::{AdminError, Answer, Desk};

/// Held notifications counted for one template; more are not counted one by one.
const MOST_COUNTED: usize = 10_000;
/// Longest reason of a pause, characters.
const LONGEST_REASON: usize = 200;

/// A pause.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseBody {
    scope: String,
    #[serde(default)]
    by: String,
    reason: Option<String>,
}

/// The end of a pause.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResumeBody {
    scope: String,
    #[serde(default)]
    by: String,
}

/// What is stopped, since when, by whom and why.
#[derive(Serialize)]
pub(super) struct PauseView {
    scope: Scope,
    #[serde(serialize_with = "as_text")]
    since: Time,
    by: String,
    reason: Option<String>,
}

/// How many a release freed.
#[derive(Serialize)]
pub(super) struct Released {
    released: usize,
}

pub(super) async fn pauses(State(desk): State<Arc<Desk>>) -> Answer<Vec<PauseView>> {
    Ok(Json(desk.pauses()))
}

pub(super) async fn pause(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(body): Read<PauseBody>,
) -> Answer<Vec<PauseView>> {
    let scope = read_id::<Scope>(&body.scope)?;
    desk.known_scope(&scope)?;
    let reason = body.reason.map(|reason| reason.chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect());
    let entry = Entry::new(Action::Paused, &caller, &body.by).about("scope", &scope);
    let pausing = async {
        desk.house.control.pause(scope, &calls_themselves(&body.by), reason).await?;
        Ok((desk.pauses(), 1))
    };
    desk.audited(entry, pausing).await.map(Json)
}

pub(super) async fn resume(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(body): Read<ResumeBody>,
) -> Answer<Released> {
    let scope = read_id::<Scope>(&body.scope)?;
    let paused: Vec<String> = desk.house.control.pauses().iter().map(|(scope, _)| scope.to_string()).collect();
    let is_paused = paused.contains(&scope.to_string());
    // Resuming the relay also frees what waits for a mended configuration, paused or not.
    if !is_paused && scope != Scope::Relay {
        return Err(unknown("this scope is not paused", &scope.to_string(), &paused, "paused"));
    }
    let entry = Entry::new(Action::Resumed, &caller, &body.by).about("scope", &scope);
    let resuming = async {
        let released = desk.house.control.resume(&scope, &calls_themselves(&body.by)).await?;
        if released == 0 && !is_paused {
            return Err(unknown("the relay is not paused, and nothing waits for it", "relay", &paused, "paused"));
        }
        Ok((Released { released }, released))
    };
    desk.audited(entry, resuming).await.map(Json)
}

/// The mode of the relay, what was set at run time, and what comes out for each rule.
#[derive(Serialize)]
pub(super) struct ModesView {
    relay: Mode,
    set: Modes,
    rules: BTreeMap<String, Mode>,
}

pub(super) async fn modes(State(desk): State<Arc<Desk>>) -> Answer<ModesView> {
    Ok(Json(desk.modes()))
}

/// A mode, or the word that takes a setting back.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ModeWord {
    Shadow,
    Pilot,
    Live,
    /// As if it had never been set: the relay as configured, a template or rule as the relay.
    Default,
}

impl ModeWord {
    fn mode(self) -> Option<Mode> {
        match self {
            Self::Shadow => Some(Mode::Shadow),
            Self::Pilot => Some(Mode::Pilot),
            Self::Live => Some(Mode::Live),
            Self::Default => None,
        }
    }
}

/// A change of mode.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModeBody {
    mode: ModeWord,
    /// `relay` (if not given), `template:<name>` or `rule:<template>/<number>`.
    target: Option<String>,
    #[serde(default)]
    by: String,
}

pub(super) async fn set_mode(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(body): Read<ModeBody>,
) -> Answer<ModesView> {
    let target = body.target.as_deref().map_or(Ok(Target::Relay), read_id::<Target>)?;
    let mode = body.mode.mode();
    let set: Vec<String> = desk.house.control.modes().iter().map(|(target, _)| target.to_string()).collect();
    match mode {
        Some(_) => desk.known_target(&target)?,
        // What was set for a template that is gone by now can still be taken back.
        None if !set.contains(&target.to_string()) => {
            return Err(unknown("no mode is set for this target", &target.to_string(), &set, "set for"));
        }
        None => {}
    }
    let entry = Entry::new(Action::ModeSet, &caller, &body.by)
        .about("target", &target)
        .about("mode", mode.map_or("default", Mode::as_str));
    let setting = async {
        desk.house.control.set_mode(target, mode, &calls_themselves(&body.by)).await?;
        Ok((desk.modes(), 1))
    };
    desk.audited(entry, setting).await.map(Json)
}

/// The brake of one template.
#[derive(Serialize)]
pub(super) struct BrakeView {
    template: TemplateId,
    tripped: bool,
    /// When it tripped.
    since: Option<String>,
    /// Messages an hour.
    limit: u64,
    /// Let through in the hour before it tripped, or before now.
    count: u64,
    /// Notifications it holds.
    held: usize,
    /// True if it holds more than `held`, which were not counted.
    held_more: bool,
    released_at: Option<String>,
    released_by: Option<String>,
}

/// Which brakes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Brakes {
    /// Those that have not tripped, too.
    #[serde(default)]
    all: bool,
}

pub(super) async fn brake(State(desk): State<Arc<Desk>>, Asked(which): Asked<Brakes>) -> Answer<Vec<BrakeView>> {
    desk.brakes(which.all).map(Json)
}

/// A release of a template's brake.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseBody {
    template: String,
    #[serde(default)]
    by: String,
}

pub(super) async fn release_brake(
    State(desk): State<Arc<Desk>>,
    caller: Caller,
    Read(body): Read<ReleaseBody>,
) -> Answer<Released> {
    let template = read_id::<TemplateId>(&body.template)?;
    let brake = desk.house.control.brake();
    let tripped: Vec<String> = brake.tripped().iter().map(|(template, _)| template.to_string()).collect();
    let is_tripped = brake.is_tripped(&template);
    // A release that a failing disk broke off is finished by asking again.
    if !is_tripped && desk.house.ledger.held(&Hold::Brake(template.clone()), 1)?.is_empty() {
        return Err(unknown("this template's brake has not tripped", template.as_str(), &tripped, "tripped"));
    }
    let entry = Entry::new(Action::BrakeReleased, &caller, &body.by).about("template", &template);
    let releasing = async {
        let released = desk.house.control.release_brake(&template, &calls_themselves(&body.by)).await?;
        Ok((Released { released }, released))
    };
    desk.audited(entry, releasing).await.map(Json)
}

impl Desk {
    /// Every pause, widest first.
    pub(super) fn pauses(&self) -> Vec<PauseView> {
        let pauses = self.house.control.pauses();
        pauses
            .iter()
            .map(|(scope, pause)| PauseView {
                scope: scope.clone(),
                since: pause.since,
                by: pause.by.clone(),
                reason: pause.reason.clone(),
            })
            .collect()
    }

    fn modes(&self) -> ModesView {
        let house = &self.house;
        let rules = house.rules.iter().map(|rule| (rule.id.to_string(), house.control.mode(&rule.id))).collect();
        ModesView { relay: house.control.relay_mode(), set: house.control.modes(), rules }
    }

    /// The brakes that have tripped, or all.
    pub(super) fn brakes(&self, all: bool) -> Result<Vec<BrakeView>, AdminError> {
        let brake = self.house.control.brake();
        let tripped: BTreeMap<_, _> =
            brake.tripped().into_iter().map(|(id, trip)| (id.clone(), trip.clone())).collect();
        let mut names: Vec<TemplateId> = tripped.keys().cloned().collect();
        if all {
            names.extend(self.house.templates.all().into_iter().map(|info| info.id.clone()));
            names.sort();
            names.dedup();
        }
        let view = |template: TemplateId| {
            let trip = tripped.get(&template);
            let held = self.house.ledger.held(&Hold::Brake(template.clone()), MOST_COUNTED + 1)?.len();
            let release = brake.last_release(&template);
            Ok(BrakeView {
                tripped: trip.is_some(),
                since: trip.map(|trip| trip.at.to_string()),
                limit: trip.map_or_else(|| self.brake_limit(&template), |trip| trip.limit),
                count: brake.admitted(&template, trip.map_or_else(|| self.house.clock.now(), |trip| trip.at)),
                held: held.min(MOST_COUNTED),
                held_more: held > MOST_COUNTED,
                released_at: release.map(|release| release.at.to_string()),
                released_by: release.map(|release| release.by.clone()),
                template,
            })
        };
        names.into_iter().map(view).collect()
    }

    fn brake_limit(&self, template: &TemplateId) -> u64 {
        let config = &self.house.config;
        let wanted = self.house.templates.get(template).and_then(|info| info.brake_per_hour);
        let allowed = config.templates.allow.get(template).and_then(|allow| allow.brake_per_hour);
        let wanted = wanted.unwrap_or(config.relay.brake_per_hour);
        allowed.map_or(wanted, |allowed| allowed.min(wanted))
    }

    fn known_scope(&self, scope: &Scope) -> Result<(), AdminError> {
        match scope {
            Scope::Relay => Ok(()),
            Scope::Channel(channel) => {
                let config = &self.house.config;
                let all = || config.orgs.values().map(|org| &org.channels).chain([&config.channels]);
                let has_way_out =
                    |channel: &Channel| all().any(|c| c.get(channel).is_some_and(|c| !c.providers.is_empty()));
                if has_way_out(channel) {
                    return Ok(());
                }
                let names: Vec<String> =
                    config.channels.keys().filter(|c| has_way_out(c)).map(ToString::to_string).collect();
                Err(unknown("no provider is configured for this channel", channel.as_str(), &names, "configured"))
            }
            Scope::Org(org) if self.house.config.orgs.contains_key(org) => Ok(()),
            Scope::Org(org) => {
                let orgs: Vec<String> = self.house.config.orgs.keys().map(ToString::to_string).collect();
                Err(unknown("no org has this id", &org.to_string(), &orgs, "configured"))
            }
            Scope::Template(template) => self.known_template(template),
        }
    }

    fn known_target(&self, target: &Target) -> Result<(), AdminError> {
        match target {
            Target::Relay => Ok(()),
            Target::Template(template) => self.known_template(template),
            Target::Rule(rule) if self.house.rules.get(rule).is_some() => Ok(()),
            Target::Rule(rule) => {
                let rules: Vec<String> = self.house.rules.iter().map(|rule| rule.id.to_string()).collect();
                Err(unknown("no rule has this name", &rule.to_string(), &rules, "loaded"))
            }
        }
    }

    fn known_template(&self, template: &TemplateId) -> Result<(), AdminError> {
        if self.house.templates.get(template).is_some() {
            return Ok(());
        }
        let names: Vec<String> = self.house.templates.all().into_iter().map(|info| info.id.to_string()).collect();
        Err(unknown("no template that is allowed to send has this name", template.as_str(), &names, "loaded"))
    }
}

/// A refusal with the nearest known name, else with all of them. Known names are ours; what was typed is not repeated.
fn unknown(what: &str, typed: &str, known: &[String], state: &str) -> AdminError {
    AdminError::Unknown(match nearest(typed, known.iter().map(String::as_str)) {
        Some(near) => format!("{what}; did you mean `{near}`?"),
        None if known.is_empty() => format!("{what}; nothing is {state}"),
        None => format!("{what}; {state}: {}", known.join(", ")),
    })
}

fn read_id<T: std::str::FromStr<Err = IdError>>(text: &str) -> Result<T, AdminError> {
    text.parse().map_err(|error| not_an_id(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::{ORG, TestHouse};

    #[tokio::test]
    async fn a_pause_of_what_is_not_configured_is_refused() {
        let test = TestHouse::open_bare("[channel.email]\nproviders = [\"mail\"]\n");
        let desk = Arc::new(Desk::new(test.house.clone()));
        for (scope, known) in [
            ("relay", true),
            (&*format!("org:{ORG}"), true),
            ("org:1", false),
            ("template:welcome", true),
            ("template:welcom", false),
            ("channel:email", true),
            ("channel:sms", false),
            ("channel:fax", false),
        ] {
            let body = PauseBody { scope: scope.into(), by: "asha".into(), reason: None };
            let answer = pause(State(desk.clone()), Caller::of_the_house("test"), Read(body)).await;
            assert_eq!(answer.is_ok(), known, "{scope}");
            assert_eq!(test.house.control.pauses().iter().any(|(set, _)| set.to_string() == scope), known, "{scope}");
        }
    }
}
