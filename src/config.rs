//! The configuration: its sections, and how it is read.
//!
//! Promises: unknown keys are errors; all faults come at once with file, line, key, expectation and
//! hint; defaults are `config/default.toml`, compiled in; a secret's value is never in a message.
//! Never: reads the environment itself (it is given a map), or starts anything.

use std::collections::BTreeMap;
use std::path::Path;

use self::layer::{Layer, Origin, Rank};
use self::report::Report;
use self::settings::Settings;
use crate::id::{Channel, Namespace, OrgId, ProviderId, SourceId};

pub mod access;
mod build;
mod checks;
mod environment;
pub mod fault;
mod feed;
mod inherit;
mod kind;
mod layer;
mod lookup;
pub mod nearest;
mod network;
mod outgoing;
mod places;
mod preset;
mod report;
mod schema;
mod secrets;
mod sections;
mod settings;
mod show;
mod signed;
#[cfg(test)]
mod tests;
pub mod value;

pub use access::{Access, Token};
pub use fault::{Fault, Faults};
pub use feed::{DailyFeed, Feed, OUTCOMES, TableFormat, WebhookFeed, WebhookFeedError, signing_key};
pub use lookup::LookupConfig;
pub use network::Network;
pub use outgoing::{
    AmbiguousPolicy, ChannelConfig, ErrorClass, GatewayTest, HttpSms, Provider, ProviderKind, Smtp, SmtpTls,
};
pub use places::{Known, Places};
pub use sections::{
    Admin, Allow, InboundPii, Intake, Keys, Log, Org, Relay, Sender, Source, Storage, Templates, TlsFiles,
};
pub use signed::{Encoding, Hmac, HmacAlgorithm, SignedPiece};
pub use value::{format_duration, parse_bytes, parse_duration, parse_mailbox};

/// The reference of every key, and the defaults.
pub const DEFAULT_TOML: &str = include_str!("../config/default.toml");

/// Everything the daemon needs to know, checked.
pub struct Config {
    /// `[relay]`
    pub relay: Relay,
    /// `[intake]`
    pub intake: Intake,
    /// `[source.<name>]`
    pub sources: BTreeMap<SourceId, Source>,
    /// `[admin]`
    pub admin: Admin,
    /// `[storage]`
    pub storage: Storage,
    /// `[keys]`
    pub keys: Keys,
    /// `[org.<id>]`; an org that is not here never sends.
    pub orgs: BTreeMap<OrgId, Org>,
    /// `[templates]`
    pub templates: Templates,
    /// `[provider.<name>]`
    pub providers: BTreeMap<ProviderId, Provider>,
    /// `[channel.email]`, `[channel.sms]`: ordered providers, retry schedule, ambiguity. Both are always here; one without
    /// providers has no way out.
    pub channels: BTreeMap<Channel, ChannelConfig>,
    /// `[lookup.<namespace>]`: who is asked for people that the vault does not know.
    pub lookups: BTreeMap<Namespace, LookupConfig>,
    /// `[feed]`
    pub feed: Feed,
    /// `[log]`
    pub log: Log,
    /// Where each value was given, for faults that are found later.
    pub places: Places,
}

/// A configuration that was read, and what is odd about it.
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What works and is probably not meant; worth a log line each.
    pub warnings: Vec<Fault>,
    settings: Settings,
}

impl Config {
    /// The ways out of an org's channel: its own, or everybody's.
    pub fn channel(&self, org: OrgId, channel: Channel) -> Option<&ChannelConfig> {
        let own = self.orgs.get(&org).and_then(|org| org.channels.get(&channel));
        own.or_else(|| self.channels.get(&channel))
    }

    /// Reads the layers: `config/default.toml`, then `file`, then the variables `SEALPOST__SECTION__KEY` of `environment`.
    ///
    /// Secrets may be given as `<key>_file`; a relative path there begins in `$CREDENTIALS_DIRECTORY` if the file exists there.
    ///
    /// # Errors
    /// Every fault of all layers at once, sorted by file and line; a file that cannot be read is one of them.
    pub fn load(file: Option<&Path>, environment: &BTreeMap<String, String>) -> Result<Loaded, Faults> {
        Self::examine(file, environment).map_err(|(faults, _)| faults)
    }

    /// As [`Config::load`]; with the faults comes what can be known all the same, unless the file is not TOML.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn examine(
        file: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<Loaded, (Faults, Option<Box<Known>>)> {
        let Some(path) = file else { return Self::read(Path::new(""), "", environment) };
        match std::fs::read_to_string(path) {
            Ok(text) => Self::read(path, &text, environment),
            Err(error) => {
                let fault = Fault {
                    file: path.to_owned(),
                    line: None,
                    key: String::new(),
                    what: format!("cannot be read: {error}"),
                    hint: Some("name another file with --config FILE or SEALPOST_CONFIG".into()),
                };
                Err((Faults(vec![fault]), None))
            }
        }
    }

    /// As [`Config::load`], with the text of the file in hand; `name` is for messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_text(name: &Path, text: &str, environment: &BTreeMap<String, String>) -> Result<Loaded, Faults> {
        Self::read(name, text, environment).map_err(|(faults, _)| faults)
    }

    fn read(
        name: &Path,
        text: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Loaded, (Faults, Option<Box<Known>>)> {
        let mut report = Report::default();
        let top = Vec::new();
        let defaults = Layer::read(DEFAULT_TOML, &top, &Origin::new(Rank::Default, "config/default.toml"), &mut report);
        let file = Layer::read(text, &top, &Origin::new(Rank::File, name.display().to_string()), &mut report);
        if file.is_broken {
            // Every name the file chose would be missed, and reported, by what comes next.
            return Err((report.into_faults(), None));
        }
        let written = merge(&[&file], &mut report);
        let variables = environment::read(environment, &written, &mut report);

        // Names, types and presets are known only now; what they imply stands below the file.
        let asked = merge(&[&file, &variables], &mut report);
        let presets = preset::layers(&asked, &mut report);
        let implied = preset::defaults(&asked);
        let inherited = inherit::layers(&asked, &mut report);
        let weaker = [&defaults, &implied].into_iter().chain(&presets).chain(&inherited);
        let layers: Vec<&Layer> = weaker.chain([&file, &variables]).collect();
        let settings = merge(&layers, &mut report).in_file(&name.display().to_string());

        let credentials = environment.get("CREDENTIALS_DIRECTORY").map(Path::new);
        let secrets = secrets::Secrets::read(&settings, credentials, &mut report);
        checks::run(&settings, &secrets, &mut report);
        let built = if report.is_faulty() { None } else { build::config(&settings, &secrets) };
        let Some(config) = built else {
            if !report.is_faulty() {
                let what = "a key passed its checks and could not be read";
                let hint = "this is a fault of ours, please report it".to_owned();
                report.fault(&Origin::new(Rank::Default, ""), "", what, Some(hint));
            }
            let defaults = merge(&[&defaults], &mut report);
            let faults = report.into_faults();
            let known = Known::of(&settings, &defaults, &secrets, &faults);
            return Err((faults, known.map(Box::new)));
        };
        Ok(Loaded { config, warnings: report.finish().unwrap_or_default(), settings })
    }
}

impl Loaded {
    /// The effective configuration as TOML: secrets hidden, the origin of each value as a comment.
    pub fn show(&self) -> String {
        show::show(&self.settings)
    }
}

fn merge(layers: &[&Layer], report: &mut Report) -> Settings {
    Settings::merge(layers).unwrap_or_else(|error| {
        report.fault(&Origin::new(Rank::Default, ""), "", format!("layers cannot be merged: {error}"), None);
        Settings::empty()
    })
}
