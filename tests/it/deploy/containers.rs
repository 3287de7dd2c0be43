//! The image and the manifests, held to the defaults, the grammar and each other.
//!
//! Promises: a command, port, path, time, user or version that is wrong in them fails by name.
//! Never: a value that the code or the defaults could be asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use sealpost::config::{Config, parse_duration};

use super::read::{self, commands, file, files, list};
use super::unit::{UNIT, directive, directives};
use super::{RUNBOOK, defaults, loaded, manifests, secrets, understood};

const DOCKERFILE: &str = "deploy/Dockerfile";
const KUBERNETES_TOML: &str = "deploy/kubernetes/sealpost.toml";

#[test]
fn every_command_that_platforms_run_is_understood() {
    let mut found = directives("ExecStart").iter().flat_map(|line| commands(line)).collect::<Vec<_>>();
    let word = |prefix: &str| {
        let line = file(DOCKERFILE).lines().find(|line| line.trim_start().starts_with(prefix)).map(str::to_owned);
        let line = line.unwrap_or_else(|| panic!("the image has no {prefix}"));
        list(&line[line.find('[').expect("in the form that needs no shell")..]).expect("a list")
    };
    found.push([word("ENTRYPOINT"), word("CMD")].concat());
    let health = file(DOCKERFILE)
        .lines()
        .find_map(|line| line.split_once("HEALTHCHECK")?.1.split_once("CMD").map(|c| c.1.to_owned()));
    found.push(list(&health.expect("the image has a health check")).expect("a list"));
    for (path, values) in manifests() {
        for (place, value) in &values {
            let items = |name: &str| {
                let below = format!("{}.{name}.", place.rsplit_once('.').map_or("", |(above, _)| above));
                values
                    .range(below.clone()..)
                    .take_while(|(p, _)| p.starts_with(&below))
                    .map(|(_, v)| v.clone())
                    .collect::<Vec<_>>()
            };
            if place.ends_with(".image")
                && Path::new(value).file_name().is_some_and(|n| n.to_string_lossy().starts_with("sealpost"))
            {
                found.push([vec!["sealpost".to_owned()], items("args")].concat());
                assert_eq!(found.last().map(Vec::len), Some(2), "{path}: {place} has no arguments");
            }
            if place.ends_with(".command.0") {
                let above = place.trim_end_matches(".0");
                found.push(
                    values
                        .range(format!("{above}.")..)
                        .take_while(|(p, _)| p.starts_with(above))
                        .map(|(_, v)| v.clone())
                        .collect(),
                );
            }
        }
    }
    for words in &found {
        assert!(words.len() > 1, "{words:?}");
        understood(words).unwrap_or_else(|why| panic!("{words:?}: {why}"));
    }
    assert_eq!(found.len(), 7, "{found:?}");
}

#[test]
fn platforms_wait_longer_than_the_drain() {
    let drain = defaults().relay.drain_timeout;
    let enough = |what: &str, wait: Duration| {
        assert!(
            wait >= drain + Duration::from_secs(15),
            "{what} waits {wait:?}, the drain takes {drain:?} and the stores must close"
        );
    };
    enough(UNIT, parse_duration(&directive("TimeoutStopSec")).expect("a duration"));
    let graces =
        manifests().into_iter().flat_map(|(path, values)| values.into_iter().map(move |value| (path.clone(), value)));
    let graces: Vec<_> = graces.filter(|(_, (place, _))| place.ends_with("terminationGracePeriodSeconds")).collect();
    assert_eq!(graces.len(), 2);
    for (path, (_, seconds)) in graces {
        enough(&path, Duration::from_secs(seconds.parse().expect("seconds")));
    }
    let runs: Vec<String> = [file(RUNBOOK), file(DOCKERFILE)]
        .iter()
        .flat_map(|text| {
            text.split("--stop-timeout ")
                .skip(1)
                .map(|rest| rest.split_whitespace().next().unwrap_or("").trim_end_matches('.').to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(runs.len(), 2);
    for seconds in runs {
        enough("docker", Duration::from_secs(seconds.parse().expect("seconds")));
    }
    let said = format!("`relay.drain_timeout` ({}s)", drain.as_secs());
    assert!(file(RUNBOOK).contains(&said), "the runbook does not say {said}");
}

#[test]
fn ports_are_those_of_the_defaults() {
    let config = defaults();
    let (intake, admin) = (config.intake.listen.port(), config.admin.listen.port());
    let ours = BTreeSet::from([intake, admin]);
    let exposed =
        file(DOCKERFILE).lines().find_map(|line| line.strip_prefix("EXPOSE ").map(str::to_owned)).expect("EXPOSE");
    assert_eq!(exposed.split(' ').map(|port| port.parse().expect("a port")).collect::<BTreeSet<u16>>(), ours);
    let mut seen = 0;
    for (path, values) in manifests() {
        for (place, value) in &values {
            let Some((above, "port" | "containerPort")) = place.rsplit_once('.') else { continue };
            let wanted = match values.get(&format!("{above}.name")).map(String::as_str) {
                Some("intake") => vec![intake],
                Some("admin") => vec![admin],
                // Of the network policy: in, our own; out, those of names, mail and HTTPS.
                None if above.contains("ingress") => vec![intake, admin],
                None if above.contains("egress") => vec![53, 587, 465, 443],
                None => {
                    assert_eq!(value, "admin", "{path}: {place}");
                    continue;
                }
                Some(_) => continue,
            };
            seen += 1;
            assert!(
                wanted.contains(&value.parse().expect("a port")),
                "{path}: {place} is {value}, not one of {wanted:?}"
            );
        }
    }
    assert_eq!(seen, 11);
    // In prose, commands and comments: whatever looks like one of ours is one of ours.
    let texts = files("deploy", "").into_iter().chain(["README.md".into()]);
    for path in texts {
        for word in file(&path).split(|c: char| !c.is_ascii_digit()).filter(|w| w.len() == 4 && w.starts_with("80")) {
            assert!(ours.contains(&word.parse().expect("four digits")), "{path}: port {word}");
        }
    }
}

#[test]
fn the_manifests_configuration_loads_from_what_they_mount() {
    let text = file(KUBERNETES_TOML);
    let (_guard, dir) = secrets(&["webhook", "smtp", "twilio", "admin-token-sha256"]);
    let loaded = loaded(&text.replace("/run/secrets/sealpost/", &format!("{}/", dir.display())), &BTreeMap::new());
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    let keys = config.keys.file.parent().expect("a folder").display().to_string();
    let storage = config.storage.dir.display().to_string();
    let mut relays = 0;
    for (path, values) in manifests() {
        let mounts: BTreeSet<&str> =
            values.iter().filter(|(place, _)| place.ends_with(".mountPath")).map(|(_, value)| value.as_str()).collect();
        if mounts.is_empty() {
            continue;
        }
        relays += 1;
        assert_eq!(
            mounts,
            BTreeSet::from([storage.as_str(), "/etc/sealpost", "/run/secrets/sealpost", keys.as_str()]),
            "{path}"
        );
        for (place, name) in
            values.iter().filter(|(place, name)| place.contains(".env.") && name.starts_with("SEALPOST"))
        {
            let value = values[&place.replace(".name", ".value")].clone();
            let environment = BTreeMap::from([(name.clone(), value)]);
            assert_eq!(Config::from_text(Path::new(""), "", &environment).err().map(|f| f.to_string()), None, "{path}");
        }
    }
    assert_eq!(relays, 2);
    let made = file(RUNBOOK);
    for name in ["webhook", "smtp", "twilio", "admin-token-sha256", "keys"] {
        assert!(made.contains(&format!("--from-file={name}")), "the runbook does not make {name}");
    }
}

#[test]
fn containers_have_no_rights_to_lose() {
    let user = file(DOCKERFILE).lines().find_map(|line| line.strip_prefix("USER ").map(str::to_owned)).expect("USER");
    let user = user.split(':').next().expect("a user").to_owned();
    let mut relays = 0;
    for (path, values) in
        manifests().into_iter().filter(|(_, values)| values.keys().any(|place| place.ends_with(".mountPath")))
    {
        relays += 1;
        let at = |end: &str| {
            let found = values.iter().find(|(place, _)| place.ends_with(end)).map(|(_, value)| value.as_str());
            found.unwrap_or_else(|| panic!("{path} has no {end}"))
        };
        assert_eq!((at("runAsUser"), at("fsGroup")), (user.as_str(), user.as_str()), "{path}");
        assert_eq!((at("runAsNonRoot"), at("readOnlyRootFilesystem")), ("true", "true"), "{path}");
        assert_eq!((at("allowPrivilegeEscalation"), at("capabilities.drop.0")), ("false", "ALL"), "{path}");
        assert_eq!((at("spec.replicas"), at("automountServiceAccountToken")), ("1", "false"), "{path}");
        assert!(
            values.iter().filter(|(place, _)| place.ends_with("defaultMode")).all(|(_, mode)| mode == "0440"),
            "{path}"
        );
        if values["kind"] == "Deployment" {
            assert_eq!((at("initContainers.0.restartPolicy"), at("strategy.type")), ("Always", "Recreate"), "{path}");
        }
        for (place, route) in values.iter().filter(|(place, _)| place.ends_with("httpGet.path")) {
            assert!(file("src/admin.rs").contains(&format!("\"{route}\"")), "{path}: {place}");
            assert!(!place.contains("livenessProbe") || route == "/livez", "{path}: a restart mends no full disk");
        }
    }
    assert_eq!(relays, 2);
}

#[test]
fn the_image_is_of_this_version_and_made_of_what_it_may_copy() {
    let (dockerfile, ignored) = (file(DOCKERFILE), file(".dockerignore"));
    let toolchain: toml::Table = file("rust-toolchain.toml").parse().expect("TOML");
    let channel = toolchain["toolchain"]["channel"].as_str().expect("a channel");
    assert!(dockerfile.contains(&format!("/rust:{channel}-")), "the image is built with another Rust than {channel}");
    let mut copied = 0;
    for line in dockerfile.lines().filter_map(|line| line.strip_prefix("COPY ")).filter(|line| !line.starts_with("--"))
    {
        let words: Vec<&str> = line.split(' ').collect();
        for source in &words[..words.len() - 1] {
            copied += 1;
            assert!(
                read::root().join(source).exists() && ignored.contains(&format!("\n!{source}\n")),
                "{source} cannot be copied"
            );
        }
    }
    assert_eq!(copied, ignored.lines().filter(|line| line.starts_with('!')).count());
    let version = env!("CARGO_PKG_VERSION");
    let tags = [(DOCKERFILE, "sealpost:"), (RUNBOOK, "sealpost:"), ("deploy/kubernetes/sidecar.yaml", "/sealpost:")];
    for (path, name) in tags {
        let text = file(path);
        let tags = text.split(name).skip(1).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let wrong: Vec<&str> = tags.filter(|rest| !rest.starts_with(version)).collect();
        assert!(wrong.is_empty() && text.contains(&format!("{name}{version}")), "{path}: {wrong:?}");
    }
    let (_, kustomization) =
        manifests().into_iter().find(|(_, values)| values["kind"] == "Kustomization").expect("there");
    assert_eq!(kustomization["images.0.newTag"], version);
    for (_, resource) in
        kustomization.iter().filter(|(place, _)| place.starts_with("resources.") || place.contains(".files."))
    {
        assert!(read::root().join("deploy/kubernetes").join(resource).exists(), "{resource}");
    }
}
