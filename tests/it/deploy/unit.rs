//! The systemd unit, held to the defaults, the example and the exit codes.
//!
//! Promises: a path, credential, code or right that is wrong in the unit fails by name.
//! Never: a value that the code or the defaults could be asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::read::{file, files, unit};
use super::{RUNBOOK, defaults, loaded, secrets};

/// The unit.
pub(super) const UNIT: &str = "deploy/sealpost.service";

/// Every directive of the unit with this name.
pub(super) fn directives(name: &str) -> Vec<String> {
    unit(&file(UNIT)).into_iter().filter(|(n, _)| n == name).map(|(_, value)| value).collect()
}

pub(super) fn directive(name: &str) -> String {
    directives(name).pop().unwrap_or_else(|| panic!("the unit has no {name}"))
}

#[test]
fn the_unit_hands_over_every_secret_of_the_example_and_nothing_else() {
    let credentials: BTreeMap<String, String> = directives("LoadCredential")
        .iter()
        .map(|value| {
            value.split_once(':').map(|(id, path)| (id.to_owned(), path.to_owned())).expect("an id and a path")
        })
        .collect();
    assert_eq!(credentials.get("keys"), Some(&defaults().keys.file.display().to_string()));
    let (_guard, dir) = secrets(&credentials.keys().map(String::as_str).collect::<Vec<_>>());
    let environment: BTreeMap<String, String> = directives("Environment")
        .iter()
        .map(|value| value.split_once('=').expect("a variable and its value"))
        .map(|(name, value)| (name.to_owned(), value.replace("%d", &dir.display().to_string())))
        .collect();
    let used: BTreeSet<_> =
        environment.values().map(|path| path.rsplit('/').next().expect("a name").to_owned()).collect();
    assert_eq!(
        used,
        credentials.keys().cloned().collect(),
        "each credential has its variable, each variable its credential"
    );
    // None of the example's own paths exists here: it loads only because every one of them is replaced.
    let example = file("config/example.toml");
    let loaded = loaded(&example, &environment);
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.keys.file, dir.join("keys"));
    for path in credentials.values().filter(|path| path.contains("/secrets/")) {
        assert!(example.contains(path.as_str()), "{path} is not in the example");
    }
}

#[test]
fn the_unit_stands_where_the_defaults_say() {
    let storage = Path::new("/var/lib").join(directive("StateDirectory"));
    assert_eq!(storage, defaults().storage.dir);
    assert_eq!(directive("StateDirectoryMode"), "0700");
    let start = directive("ExecStart");
    let usual = start.split(" --config ").nth(1).expect("the unit names its configuration");
    assert!(file("src/cli.rs").contains(&format!("const USUAL: &str = {usual:?};")), "{usual}");
    let families = directive("RestrictAddressFamilies");
    for family in ["AF_INET", "AF_INET6", "AF_UNIX"] {
        assert!(families.split(' ').any(|word| word == family), "the relay speaks {family}");
    }
    // Waiting for a message that nobody sends would end every start.
    let notifies = files("src", ".rs").iter().any(|path| file(path).contains("NOTIFY_SOCKET"));
    assert_eq!(directive("Type").starts_with("notify") || !directives("WatchdogSec").is_empty(), notifies);
}

#[test]
fn every_line_of_the_unit_has_its_reason() {
    let text = file(UNIT);
    let (mut above, mut told) = ("", 0);
    for line in text.lines().filter(|line| !line.starts_with("Description=")) {
        let name = line.split_once('=').filter(|_| !line.starts_with('#')).map(|(name, _)| name);
        if let Some(name) = name {
            // A second one of the same name goes on with what the first began.
            assert!(above.starts_with('#') || above.starts_with(&format!("{name}=")), "no reason stands above {line}");
            told += 1;
        }
        above = line;
    }
    assert_eq!(told + 1, unit(&text).len(), "all but the description");
    for (name, value) in
        [("ProtectSystem", "strict"), ("LimitCORE", "0"), ("NoNewPrivileges", "yes"), ("User", "sealpost")]
    {
        assert_eq!(directive(name), value, "{name}");
    }
}

/// Exit codes by their names in `src/cli.rs`.
fn exit_codes() -> BTreeMap<String, String> {
    let text = file("src/cli.rs");
    let constants =
        text.lines().filter_map(|line| line.strip_prefix("const ")?.strip_suffix(';')?.split_once(": u8 = "));
    constants.map(|(name, code)| (name.to_owned(), code.to_owned())).collect()
}

#[test]
fn exit_codes_are_those_of_the_code() {
    let codes = exit_codes();
    let told: BTreeSet<String> = file(RUNBOOK)
        .lines()
        .filter_map(|line| {
            line.strip_prefix("| ")?.split(" |").next().filter(|first| first.parse::<u8>().is_ok()).map(str::to_owned)
        })
        .collect();
    let real = codes.values().cloned().chain(["0".to_owned()]).collect::<BTreeSet<_>>();
    assert_eq!(told, real, "the runbook's table");
    let hopeless: BTreeSet<String> = directive("RestartPreventExitStatus").split(' ').map(str::to_owned).collect();
    assert_eq!(hopeless, ["USAGE", "CONFIG"].map(|name| codes[name].clone()).into());
    assert_eq!(directive("Restart"), "on-failure");
}
