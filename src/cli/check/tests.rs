//! Tests of `check`: every fault, all at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::admin::tests::configure;
use crate::seal::Keyring;

/// The faults of an installation, as texts with the directory's name left out.
fn faults(dir: &TempDir) -> Vec<String> {
    let file = dir.path().join("sealpost.toml");
    let said = check(Some(&file), None, &BTreeMap::new()).expect("checked");
    if let Some(error) = &said.failed {
        assert!(error.chain().any(|cause| cause.is::<Faults>()), "{error:#}");
    }
    texts(&said, dir)
}

fn texts(said: &Said, dir: &TempDir) -> Vec<String> {
    let faults = said.json["faults"].as_array().expect("a list");
    let text = |fault: &Value| {
        let what = format!("{}: {}", fault["key"].as_str().unwrap_or("-"), fault["what"].as_str().unwrap_or("-"));
        what.replace(&dir.path().display().to_string(), "DIR")
    };
    faults.iter().map(text).collect()
}

fn installation() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let config = configure(&dir);
    Keyring::generate().create(&config.keys.file).expect("keys can be written");
    dir
}

#[test]
fn a_good_installation_has_no_fault_and_nothing_is_made() {
    let dir = installation();
    assert_eq!(faults(&dir), [""; 0]);
    assert!(!dir.path().join("data").exists());
}

#[test]
fn the_key_file_is_looked_at() {
    let dir = installation();
    let keys = dir.path().join("keys");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o640)).expect("mode set");
    insta::assert_snapshot!(faults(&dir).join("\n"), @"keys.file: key file DIR/keys can be read by others (mode 0640); run `chmod 600 DIR/keys`");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o600)).expect("mode set");
    fs::write(&keys, "garbage").expect("written");
    insta::assert_snapshot!(faults(&dir).join("\n"), @"keys.file: key file DIR/keys, line 1: expected TOML with `version = 1`; restore it from its copy");
    fs::remove_file(&keys).expect("removed");
    insta::assert_snapshot!(faults(&dir).join("\n"), @"keys.file: key file DIR/keys does not exist; make one with `sealpost keys init`, or restore it");
}

#[test]
fn the_storage_directory_is_looked_at_with_the_keys() {
    let dir = installation();
    fs::write(dir.path().join("data"), "a file").expect("written");
    fs::remove_file(dir.path().join("keys")).expect("removed");
    insta::assert_snapshot!(faults(&dir).join("\n"), @r"
    storage.dir: DIR/data is not a directory
    keys.file: key file DIR/keys does not exist; make one with `sealpost keys init`, or restore it
    ");
}

#[test]
fn a_socket_that_would_stand_on_a_file_is_a_fault() {
    let dir = installation_with(&[("[relay]\n", "[admin]\nsocket = \"DIR/keys\"\n[relay]\n")]);
    let file = dir.path().join("sealpost.toml");
    let text = fs::read_to_string(&file).expect("read").replace("DIR", &dir.path().display().to_string());
    fs::write(&file, text).expect("written");
    insta::assert_snapshot!(faults(&dir).join("\n"), @"admin.socket: DIR/keys: something is there that is no socket, and it is left alone");
}

#[test]
fn a_folder_without_templates_is_a_fault() {
    let dir = tempfile::tempdir().expect("a directory");
    let said = check(None, Some(dir.path()), &BTreeMap::new()).expect("checked");
    assert_eq!(texts(&said, &dir), [": holds no template"]);
}

/// A template with a fault of its own and one of its rule.
fn faulty_template(dir: &std::path::Path) {
    let folder = dir.join("welcome");
    fs::create_dir_all(&folder).expect("made");
    let manifest = r#"
[[rule]]
on = ["customerAdded"]
when = "event.data. > 0"
send = ["email"]
live_from = 2026-01-01T00:00:00Z
[template]
category = "service"
reads = ["first_name"]
[email]
sender = "loyalty"
subject = "Welcome {{customer.first_nam}}"
"#;
    fs::write(folder.join("template.toml"), manifest).expect("written");
    fs::write(folder.join("email.html.hbs"), "<p>Hello</p>").expect("written");
}

#[test]
fn faults_of_rules_are_not_hidden_behind_faults_of_templates() {
    let dir = tempfile::tempdir().expect("a directory");
    faulty_template(dir.path());
    let said = check(None, Some(dir.path()), &BTreeMap::new()).expect("checked");
    let found = texts(&said, &dir);
    assert_eq!(found.iter().filter(|fault| fault.contains("first_nam")).count(), 1, "the template's: {found:?}");
    assert_eq!(found.iter().filter(|fault| fault.contains("when")).count(), 1, "the rule's: {found:?}");
}

#[test]
fn a_fault_that_two_looks_find_is_told_once_and_all_kinds_at_once() {
    let dir = installation();
    faulty_template(&dir.path().join("mine"));
    let file = dir.path().join("sealpost.toml");
    let text = fs::read_to_string(&file).expect("read");
    let mine = format!("[templates]\ndir = {:?}\n", dir.path().join("mine").display().to_string());
    fs::write(&file, text.replace("[templates]\n", &mine)).expect("written");
    fs::remove_file(dir.path().join("keys")).expect("removed");
    let found = faults(&dir);
    for (what, times) in [("first_nam", 1), ("when", 1), ("keys.file", 1), ("no template has this name", 1)] {
        let told = found.iter().filter(|fault| fault.contains(what)).count();
        assert_eq!(told, times, "{what}: {found:#?}");
    }
}

/// An installation with one thing of its configuration written otherwise.
fn installation_with(changes: &[(&str, &str)]) -> TempDir {
    let dir = installation();
    let file = dir.path().join("sealpost.toml");
    let mut text = fs::read_to_string(&file).expect("read");
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    fs::write(&file, text).expect("written");
    dir
}

#[test]
fn a_brand_of_another_currency_and_zone_has_no_fault() {
    for (currency, zone, locale) in [
        ("EUR", "Europe/Paris", "fr-FR"),
        ("USD", "America/New_York", "en-US"),
        ("SAR", "Asia/Riyadh", "ar-SA"),
        ("SGD", "Asia/Singapore", "en-SG"),
    ] {
        let dir = installation_with(&[("INR", currency), ("Asia/Kolkata", zone), ("en-IN", locale)]);
        assert_eq!(faults(&dir), [""; 0], "{currency}");
    }
}

/// A template whose mail has a link that the brand must have.
const LINKED: &str =
    "[template]\ncategory = \"service\"\nreads = []\n[email]\nsender = \"loyalty\"\nsubject = \"Hello\"\n";

#[test]
fn an_allowed_template_that_needs_a_link_names_the_org_that_lacks_it() {
    let dir = installation_with(&[
        ("account = \"https://marigold.example/account\"\n", ""),
        ("[templates]\n", "[templates]\ndir = \"DIR/mine\"\n"),
    ]);
    let place = dir.path().display().to_string();
    let file = dir.path().join("sealpost.toml");
    let text = fs::read_to_string(&file).expect("read").replace("DIR", &place);
    fs::write(&file, text).expect("written");
    for (name, part) in [
        ("welcome", r#"<a href="{{org.links.account}}">Yours</a>"#),
        ("points-issued", r#"<a href="{{org.links.home}}">Ours</a>"#),
        ("not-allowed", r#"<a href="{{org.links.account}}">Yours</a>"#),
    ] {
        let folder = dir.path().join("mine").join(name);
        fs::create_dir_all(folder.join("examples")).expect("made");
        fs::write(folder.join("template.toml"), LINKED).expect("written");
        fs::write(folder.join("email.html.hbs"), part).expect("written");
        fs::write(folder.join("examples/a.json"), r#"{"event": {"eventName": "x", "orgId": 1}}"#).expect("written");
    }
    insta::assert_snapshot!(faults(&dir).join("\n"), @"email: needs `org.links.account`, which org 41007 does not have");
}

#[test]
fn the_configuration_that_the_readme_shows_has_no_fault() {
    let readme = include_str!("../../../README.md");
    let section = readme.split("\n## ").find(|part| part.starts_with("Put it beside")).expect("the section is there");
    let blocks: Vec<&str> = section.split("```toml\n").skip(1).filter_map(|block| block.split("```").next()).collect();
    assert!(blocks.len() >= 3, "SMTP, SMS and Capillary");
    let dir = tempfile::tempdir().expect("a directory");
    let (data, keys, secret) = (dir.path().join("data"), dir.path().join("keys"), dir.path().join("secret"));
    Keyring::generate().create(&keys).expect("keys can be written");
    fs::write(&secret, "s3cret").expect("written");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).expect("mode set");
    let toml = blocks.join("\n").replace("/run/secrets/smtp", "SECRET").replace("/run/secrets/twilio", "SECRET");
    let toml = toml.replace("SECRET", &secret.display().to_string());
    let places =
        format!("[storage]\ndir = {:?}\n[keys]\nfile = {:?}\n", data.display().to_string(), keys.display().to_string());
    fs::write(dir.path().join("sealpost.toml"), format!("{places}{toml}")).expect("written");
    assert_eq!(faults(&dir), [""; 0]);
}

/// Each fault as `line key: what`.
fn located(dir: &TempDir) -> String {
    let file = dir.path().join("sealpost.toml");
    let said = check(Some(&file), None, &BTreeMap::new()).expect("checked");
    let rows = said.json["faults"].as_array().expect("a list").iter().map(|fault| {
        let file = fault["file"].as_str().expect("a file");
        let at = if file.ends_with("sealpost.toml") { fault["line"].to_string() } else { file.to_owned() };
        format!("{at} {}: {}", fault["key"].as_str().unwrap_or("-"), fault["what"].as_str().unwrap_or("-"))
    });
    rows.collect::<Vec<_>>().join("\n").replace(&dir.path().display().to_string(), "DIR")
}

/// Faults of providers, templates, keys and senders, and none of the file itself.
fn faulty_all_over() -> TempDir {
    let dir = installation_with(&[
        ("providers = [\"text\"]", "providers = [\"text\", \"gate\"]"),
        (
            "[provider.text]",
            "[provider.gate]\ntype = \"http_sms\"\nurl = \"https://gate.example/\"\nbody = \"{{no_such}}\"\n[provider.text]",
        ),
        (
            "[templates.allow.welcome]",
            "[templates.allow.no-such]\nenabled = true\ncategories = [\"service\"]\nsenders = [\"loyalty\"]\n[templates.allow.welcome]",
        ),
        ("sms = \"MRGOLD\"\n", ""),
    ]);
    fs::remove_file(dir.path().join("keys")).expect("removed");
    dir
}

#[test]
fn faults_that_are_found_after_the_merge_name_file_and_line() {
    let dir = faulty_all_over();
    insta::assert_snapshot!(located(&dir), @r"
    5 keys.file: key file DIR/keys does not exist; make one with `sealpost keys init`, or restore it
    27 provider.gate.body: line 1: `no_such` is not a name that a template sees
    37 templates.allow.no-such: no template has this name
    41 templates.allow.welcome: sends text messages as `loyalty`, whose `sms` org 41007 lacks
    46 templates.allow.points-issued: sends text messages as `loyalty`, whose `sms` org 41007 lacks
    ");
}

#[test]
fn a_fault_of_the_file_hides_none_of_the_others_that_can_be_known() {
    let dir = faulty_all_over();
    let before = located(&dir);
    let file = dir.path().join("sealpost.toml");
    let text = fs::read_to_string(&file).expect("read");
    // At the end, so that lines stay.
    fs::write(
        &file,
        format!(
            "{text}\n[intake]\nlissten = \"127.0.0.1:1\"\n[provider.mail2]\ntype = \"smtp\"\nhost = \"u:s3cret@h\"\n"
        ),
    )
    .expect("written");
    let found = located(&dir);
    for line in before.lines() {
        assert!(found.contains(line), "{line}\n--\n{found}");
    }
    for new in ["intake.lissten: unknown key", "provider.mail2.host: what is given is not a host name"] {
        assert_eq!(found.matches(new).count(), 1, "{new}: {found}");
    }
    assert!(!found.contains("s3cret"), "{found}");
    assert_eq!(
        found.lines().count(),
        before.lines().count() + 2,
        "nothing is told that follows from another:\n{found}"
    );
}
