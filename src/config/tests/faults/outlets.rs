//! Faults of tokens and feeds, as an operator reads them.

use insta::assert_snapshot;

use super::*;

#[test]
fn a_token_that_opens_nothing_or_is_somebody_elses_is_told() {
    let hash = "0123456789abcdef".repeat(4);
    let token = |name: &str, lines: &str| format!("[admin.token.{name}]\n{lines}\n");
    assert_snapshot!(faults_after(&token("crm", "scopes = [\"read\"]")), @r"
    sealpost.toml:26: admin.token.crm: has no sha256, so nothing would open it
        hint: `sealpost token new` prints a token and these lines
    ");
    assert_snapshot!(faults_after(&token("Crm", &format!("sha256 = \"{hash}\"\nscopes = [\"reed\"]"))), @r#"
    sealpost.toml:26: admin.token.Crm: `Crm` is not a name of 1 to 64 of a-z, 0-9, `-` and `_`, the first a letter or digit
        hint: use small letters
    sealpost.toml:28: admin.token.Crm.scopes: `reed` is not one of "read", "operate", "pii", "templates"
    "#);
    assert_snapshot!(faults_after(&token("crm", "sha256 = [\"abc\"]\nscopes = [\"read\"]")), @r"sealpost.toml:27: admin.token.crm.sha256: this list is not the 64 hexadecimal digits of a SHA-256, or a list of one or two of them");
    let twice = token("crm", &format!("sha256 = [\"{hash}\", \"{hash}\"]\nscopes = [\"read\"]"));
    assert_snapshot!(warnings_of(&format!("{GOOD}{twice}"), &[]), @r"
    sealpost.toml:27: admin.token.crm.sha256: the same hash twice
        hint: two are for the time in which a token is changed
    ");
    let one = token("crm", &format!("sha256 = [\"{hash}\"]\nscopes = [\"pii\"]"));
    let other = token("desk", &format!("sha256 = \"{}\"", hash.to_uppercase()));
    let loaded = load(&format!("{GOOD}{one}{other}"), &[]).unwrap_or_else(|faults| panic!("{faults}"));
    assert_snapshot!(Faults(loaded.warnings), @r"
    sealpost.toml: admin.token.desk.scopes: empty, so this token opens nothing
        hint: list what it is for: read, operate, pii, templates
    sealpost.toml:30: admin.token.desk.sha256: the hash of admin.token.crm.sha256 again: one token with two names
        hint: give each holder a token of their own, so that the audit tells them apart
    ");
}

#[test]
fn a_webhook_is_signed_and_never_leaves_this_machine_in_plaintext() {
    let good = "secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";
    let hook = |url: &str, more: &str| faults_after(&format!("[feed.webhook]\nurl = \"{url}\"\n{more}"));
    assert_snapshot!(hook("https://a.example/x", good), @"no fault");
    assert_snapshot!(hook("http://127.0.0.1:1/x", good), @"no fault");
    assert_snapshot!(hook("http://a.example/x", good), @r"
    sealpost.toml:27: feed.webhook.url: plain HTTP to another machine
        hint: use https
    ");
    assert_snapshot!(hook("https://a.example/x", ""), @r#"
    sealpost.toml:27: feed.webhook.url: has no secret, so its receiver could not tell our posts from anybody's
        hint: make one: echo "whsec_$(openssl rand -base64 32)"
    "#);
    assert_snapshot!(hook("https://a.example/x", "secret = \"kanarienvogel\"\nevents = [\"send\"]\n"), @r#"
    sealpost.toml:28: feed.webhook.secret: `<hidden>` is not whsec_ and base64 of 24 to 64 bytes
        hint: make one: echo "whsec_$(openssl rand -base64 32)"
    sealpost.toml:29: feed.webhook.events: `send` is not one of "sent", "ambiguous", "dead_letter", "waiting", "expired", "cancelled", "suppressed"
    "#);
    assert_snapshot!(faults_after(&format!("[feed.webhook]\n{good}")), @r"
    sealpost.toml:27: feed.webhook.secret: given without a url
        hint: add feed.webhook.url, or take it out
    ");
}

#[test]
fn a_directory_is_of_a_namespace_that_an_org_has_and_never_asked_in_plaintext() {
    let lookup = |name: &str, lines: &str| faults_after(&format!("[lookup.{name}]\n{lines}\n"));
    let secret = "headers = { X-Key = \"kanarienvogel\" }";
    assert_snapshot!(lookup("default", &format!("url = \"https://crm.example/x\"\n{secret}")), @r#"no fault"#);
    assert_snapshot!(lookup("default", "url = \"http://127.0.0.1:1/x\""), @r#"no fault"#);
    assert_snapshot!(lookup("default", secret), @r#"
    sealpost.toml:26: lookup.default.url: missing
        hint: add `url = …`: an address such as "https://gateway.example/messages" without credentials in it
    "#);
    assert_snapshot!(lookup("acme", &format!("url = \"http://crm.example/x\"\nkeep = \"0s\"\nbatch = 0\n{secret}")), @r#"
    sealpost.toml:26: lookup.acme: no org has this namespace
        hint: the table's name is a namespace; orgs have default
    sealpost.toml:27: lookup.acme.url: plain HTTP to another machine
        hint: use https
    sealpost.toml:28: lookup.acme.keep: `0s` is not a duration such as "10s", "5m", "1h30m" or "3d"
    sealpost.toml:29: lookup.acme.batch: `0` is not a whole number from 1 to 1000
    "#);
    let typed = "headers = { Content-Type = \"kanarienvogel\" }";
    assert_snapshot!(lookup("default", &format!("url = \"https://crm.example/x\"\n{typed}")), @r#"
    sealpost.toml:28: lookup.default.headers.Content-Type: is set by the relay itself
        hint: take it out
    "#);
    let slow = format!("{GOOD}[lookup.default]\nurl = \"https://crm.example/x\"\nagain_after = \"30d\"\n");
    assert_snapshot!(warnings_of(&slow, &[]), @r#"
    sealpost.toml:28: lookup.default.again_after: not shorter than relay.wait_for_contact, so nobody is asked for twice
        hint: shorten it
    "#);
}

#[test]
fn a_daily_file_has_a_time_of_the_day() {
    assert_snapshot!(faults_after("[feed]\nat = \"25:00\"\n"), @r#"sealpost.toml:27: feed.at: `25:00` is not a time of the day such as "02:00""#);
    assert_snapshot!(faults_after("[feed]\nat = \"2:00\"\n"), @r#"sealpost.toml:27: feed.at: `2:00` is not a time of the day such as "02:00""#);
    assert!(loaded(GOOD, &[]).config.feed.daily.is_none(), "without a folder there is no daily file");
    let daily = loaded(&format!("{GOOD}[feed]\ndir = \"/x\"\nat = \"23:30\"\n"), &[]).config.feed.daily.unwrap();
    assert_eq!(daily.at, jiff::civil::time(23, 30, 0, 0));
}

#[test]
fn the_hashes_of_a_token_can_come_from_two_files() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let (old, new) = (file("old", &"AB".repeat(32)), file("new", &format!("{}\n", "cd".repeat(32))));
    let text = |paths: &[&String]| format!("{GOOD}[admin.token.crm]\nsha256_file = {paths:?}\nscopes = [\"pii\"]\n");
    let token = &loaded(&text(&[&old, &new]), &[]).config.admin.tokens[&"crm".parse().unwrap()];
    assert_eq!(token.sha256, ["ab".repeat(32), "cd".repeat(32)]);
    let token_itself = file("itself", CANARY);
    let faults = faults_of(&text(&[&old, &token_itself]), &[]);
    assert!(faults.contains("sha256_file: `<hidden>` is not") && !faults.contains(CANARY), "{faults}");
}

#[test]
fn a_password_never_leaves_this_machine_in_clear() {
    let meant = GOOD.replacen("host = \"127.0.0.1\"", "host = \"10.0.0.1\"\ndangerously_plaintext = true", 1);
    assert_snapshot!(faults_of(&format!("{meant}[templates]\nmessage_id_domain = \"mail.acme.example\"\n"), &[]), @r"
    sealpost.toml:17: provider.mail.username: a password never leaves this machine in clear
        hint: set tls, or take username and password out
    ");
}
