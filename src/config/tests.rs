//! Tests of loading: layers, secrets, origins. Faults as people read them are in `tests/faults.rs`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::*;
use crate::policy::Mode;

mod faults;

/// A configuration without faults or warnings.
const GOOD: &str = r#"
[source.capillary]
headers = { "X-Sealpost-Key" = ["0123456789abcdef0", "fedcba98765432100"] }
[org.41007]
name = "Acme"
currency = "INR"
time_zone = "Asia/Kolkata"
locale = "en-IN"
[org.41007.sender.loyalty]
email = "Acme Rewards <rewards@acme.example>"
sms = "ACMERW"
[provider.mail]
type = "smtp"
host = "127.0.0.1"
tls = "none"
username = "sealpost"
password = "from-the-file"
[channel.email]
providers = ["mail"]
[templates.allow.points-issued]
enabled = true
categories = ["transactional", "service"]
reads = ["first_name"]
senders = ["loyalty"]
live_from = 2027-01-01T00:00:00+05:30
"#;

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(text: &str, pairs: &[(&str, &str)]) -> Result<Loaded, Faults> {
    Config::from_text(Path::new("sealpost.toml"), text, &environment(pairs))
}

fn loaded(text: &str, pairs: &[(&str, &str)]) -> Loaded {
    load(text, pairs).unwrap_or_else(|faults| panic!("{faults}"))
}

fn smtp<'c>(config: &'c Config, name: &str) -> &'c Smtp {
    match &config.providers[&name.parse().unwrap()].kind {
        ProviderKind::Smtp(smtp) => smtp,
        _ => panic!("{name} is no SMTP provider"),
    }
}

fn gateway<'c>(config: &'c Config, name: &str) -> &'c HttpSms {
    match &config.providers[&name.parse().unwrap()].kind {
        ProviderKind::HttpSms(gateway) => gateway,
        _ => panic!("{name} is no gateway"),
    }
}

#[test]
fn a_source_that_does_not_sign_is_shown_without_a_signature() {
    let shown = |more: &str| loaded(&format!("{GOOD}{more}"), &[]).show();
    assert!(!shown("").contains("hmac"));
    let signed = shown("[source.signed.hmac]\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n");
    assert!(
        signed.contains("[source.signed.hmac]") && signed.contains("scheme = ") && !signed.contains("MfKQ"),
        "{signed}"
    );
}

#[test]
fn without_a_file_the_reference_is_in_force_and_nothing_is_sent() {
    let config = Config::load(None, &BTreeMap::new()).unwrap_or_else(|faults| panic!("{faults}")).config;
    assert_eq!(config.relay.mode, Mode::Shadow);
    assert_eq!(config.relay.drain_timeout, Duration::from_secs(20));
    assert_eq!(config.intake.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.storage.min_free_bytes, 1 << 30);
    assert_eq!(config.admin.socket, PathBuf::from("/var/lib/sealpost/admin.sock"));
    assert!(config.sources.is_empty() && config.orgs.is_empty() && config.providers.is_empty());
    assert_eq!(config.channels[&Channel::Email].ambiguous, AmbiguousPolicy::Retry);
    assert_eq!(config.channels[&Channel::Sms].ambiguous, AmbiguousPolicy::Hold);
    assert_eq!(config.channels[&Channel::Sms].retry.len(), 6);
}

#[test]
fn a_good_file_loads_without_a_warning() {
    let loaded = loaded(GOOD, &[]);
    assert_eq!(loaded.warnings, []);
    let config = &loaded.config;
    let source = &config.sources[&"capillary".parse().unwrap()];
    assert_eq!(source.headers.len(), 1);
    assert_eq!(source.headers[0].1.len(), 2);
    assert!(!source.open);
    let org = &config.orgs[&OrgId(41007)];
    assert_eq!(org.namespace.as_str(), "default");
    let sender = &org.senders[&"loyalty".parse().unwrap()];
    assert_eq!(sender.email.as_ref().unwrap().address, "rewards@acme.example");
    let allow = &config.templates.allow[&"points-issued".parse().unwrap()];
    assert_eq!(allow.live_from.unwrap().to_string(), "2026-12-31T18:30:00.000Z");
    assert_eq!(allow.mode, Mode::Live);
    assert_eq!(smtp(config, "mail").port, 587);
    assert_eq!(config.providers[&"mail".parse().unwrap()].max_concurrency, 8);
}

#[test]
fn the_environment_is_stronger_than_the_file_and_the_file_than_the_reference() {
    let file = format!("[relay]\nmode = \"pilot\"\npilot = [\"external_id:GT0042\"]\ndispatch_concurrency = 7\n{GOOD}");
    let loaded = loaded(&file, &[("SEALPOST__RELAY__MODE", "live"), ("SEALPOST__PROVIDER__MAIL__PORT", "2525")]);
    assert_eq!(loaded.config.relay.mode, Mode::Live);
    assert_eq!(loaded.config.relay.dispatch_concurrency, 7);
    assert_eq!(loaded.config.relay.brake_per_hour, 1000);
    assert_eq!(smtp(&loaded.config, "mail").port, 2525);
}

#[test]
fn a_secret_of_digits_from_the_environment_keeps_its_zeros() {
    let loaded = loaded(GOOD, &[("SEALPOST__PROVIDER__MAIL__PASSWORD", "00123")]);
    assert_eq!(smtp(&loaded.config, "mail").password.as_ref().unwrap().expose_secret(), "00123");
}

#[test]
fn lists_from_the_environment_are_comma_separated() {
    let loaded = loaded(
        GOOD,
        &[
            ("SEALPOST__CHANNEL__EMAIL__RETRY", "1s, 2m,3h"),
            ("SEALPOST__SOURCE__CAPILLARY__ORGS", "41007"),
            ("SEALPOST__TEMPLATES__ALLOW__POINTS_ISSUED__READS", ""),
        ],
    );
    let waits: Vec<u64> = loaded.config.channels[&Channel::Email].retry.iter().map(Duration::as_secs).collect();
    assert_eq!(waits, [1, 120, 10_800]);
    assert_eq!(loaded.config.sources[&"capillary".parse().unwrap()].orgs, [OrgId(41007)]);
    // `_` stood for `-` in a name that the file chose.
    assert!(loaded.config.templates.allow[&"points-issued".parse().unwrap()].reads.is_empty());
}

#[test]
fn a_header_secret_from_the_environment_is_taken_whole_under_the_name_of_the_file() {
    let name = "SEALPOST__SOURCE__CAPILLARY__HEADERS__X_SEALPOST_KEY";
    let loaded = loaded(GOOD, &[(name, "a-long-secret,with-a-comma")]);
    let headers = &loaded.config.sources[&"capillary".parse().unwrap()].headers;
    assert_eq!(headers.len(), 1);
    assert_eq!(headers[0].0, "X-Sealpost-Key");
    assert_eq!(headers[0].1[0].expose_secret(), "a-long-secret,with-a-comma");
    assert_eq!(headers[0].1.len(), 1);
}

#[test]
fn a_secret_from_a_file_loses_one_line_break_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    for (text, expect) in [("0042 x \n", "0042 x "), ("secret\r\n", "secret"), ("secret", "secret")] {
        let path = secret_file(dir.path(), "password", text, 0o600);
        let loaded = loaded(GOOD, &[("SEALPOST__PROVIDER__MAIL__PASSWORD_FILE", &path)]);
        assert_eq!(smtp(&loaded.config, "mail").password.as_ref().unwrap().expose_secret(), expect);
        assert_eq!(loaded.warnings, []);
    }
}

#[test]
fn a_relative_secret_file_begins_in_the_credentials_directory() {
    let dir = tempfile::tempdir().unwrap();
    secret_file(dir.path(), "smtp", "from-systemd", 0o400);
    let text = GOOD.replace("password = \"from-the-file\"", "password_file = \"smtp\"");
    let loaded = loaded(&text, &[("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap())]);
    assert_eq!(smtp(&loaded.config, "mail").password.as_ref().unwrap().expose_secret(), "from-systemd");
}

#[test]
fn a_secret_file_that_others_may_read_is_a_warning_and_one_they_may_change_is_a_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = secret_file(dir.path(), "readable", "secret", 0o644);
    let warned = loaded(GOOD, &[("SEALPOST__PROVIDER__MAIL__PASSWORD_FILE", &path)]);
    assert_eq!(warned.warnings.len(), 1);
    assert!(warned.warnings[0].what.ends_with("everybody may read it"), "{}", warned.warnings[0]);
    let path = secret_file(dir.path(), "writable", "secret", 0o666);
    let faults = load(GOOD, &[("SEALPOST__PROVIDER__MAIL__PASSWORD_FILE", &path)]).err().unwrap();
    assert!(faults.to_string().contains("everybody may change it"), "{faults}");
}

#[test]
fn a_preset_stands_below_the_operators_own_table() {
    let text = format!(
        "{GOOD}[provider.text]\ntype = \"http_sms\"\npreset = \"twilio\"\ntimeout = \"3s\"\n\
         [provider.text.headers]\nauthorization = \"Bearer {{{{param.token}}}}\"\n\
         [provider.text.param]\naccount_sid = \"AC0042\"\n[provider.text.errors]\n20429 = \"permanent\"\n"
    );
    let loaded = loaded(&text, &[("SEALPOST__PROVIDER__TEXT__PARAM__AUTH_TOKEN", "0007")]);
    let text = gateway(&loaded.config, "text");
    assert!(text.url.starts_with("https://api.twilio.com/"));
    assert_eq!(text.timeout, Duration::from_secs(3));
    assert_eq!(text.errors["20429"], ErrorClass::Permanent);
    assert_eq!(text.errors["21211"], ErrorClass::BadAddress);
    assert_eq!(text.params["auth_token"].expose_secret(), "0007");
    assert_eq!(text.params["account_sid"].expose_secret(), "AC0042");
    // One header, whatever its case; the operator's wins.
    let sent: Vec<_> = text.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization")).collect();
    assert_eq!(sent, [(&"authorization".to_owned(), &"Bearer {{param.token}}".to_owned())]);
}

#[test]
fn implicit_tls_has_its_own_port() {
    let text = GOOD.replace("tls = \"none\"", "tls = \"implicit\"");
    assert_eq!(smtp(&loaded(&text, &[]).config, "mail").port, 465);
}

#[test]
fn the_socket_follows_the_stores() {
    let loaded = loaded(GOOD, &[("SEALPOST__STORAGE__DIR", "/data")]);
    assert_eq!(loaded.config.admin.socket, PathBuf::from("/data/admin.sock"));
}

#[test]
fn the_example_loads_with_secrets_from_files_and_warns_of_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = include_str!("../../config/example.toml").to_owned();
    for name in ["webhook", "smtp", "twilio"] {
        let path = secret_file(dir.path(), name, "0123456789abcdef0123456789abcdef\n", 0o600);
        let shipped = format!("/etc/sealpost/secrets/{name}");
        assert!(text.contains(&shipped), "{shipped}");
        text = text.replace(&shipped, &path);
    }
    let loaded = loaded(&text, &[]);
    assert_eq!(loaded.warnings, []);
    assert_eq!(loaded.config.relay.mode, Mode::Shadow);
    assert_eq!(loaded.config.channels[&Channel::Sms].providers.len(), 1);
    assert_eq!(gateway(&loaded.config, "text").params.len(), 2);
}

#[test]
fn what_is_shown_hides_secrets_names_origins_and_can_be_read_again() {
    let shown = loaded(
        &format!("[relay]\npilot = [\"external_id:GT0042\"]\n{GOOD}"),
        &[("SEALPOST__PROVIDER__MAIL__PASSWORD", "00123"), ("SEALPOST__LOG__FORMAT", "text")],
    )
    .show();
    for hidden in ["00123", "GT0042", "0123456789abcdef0", "from-the-file"] {
        assert!(!shown.contains(hidden), "{hidden} is shown");
    }
    for line in [
        "mode = \"shadow\"  # default",
        "format = \"text\"  # environment SEALPOST__LOG__FORMAT",
        "host = \"127.0.0.1\"  # sealpost.toml:16",
        "password = \"<hidden>\"  # environment SEALPOST__PROVIDER__MAIL__PASSWORD",
        "port = 587  # default",
        "[source.capillary.headers]",
        "live_from = \"2027-01-01T00:00:00+05:30\"  # sealpost.toml:27",
    ] {
        assert!(shown.lines().any(|l| l == line), "`{line}` is not in\n{shown}");
    }
    shown.parse::<toml::Table>().expect("what is shown is TOML");
}

fn secret_file(dir: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = dir.join(name);
    let _ = std::fs::remove_file(&path);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}
