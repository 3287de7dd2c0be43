//! Faults and warnings as an operator reads them: one a case, and a whole file of them at once.

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;

mod outlets;

fn faults_of(text: &str, pairs: &[(&str, &str)]) -> String {
    match load(text, pairs) {
        Ok(_) => "no fault".into(),
        Err(faults) => faults.to_string(),
    }
}

/// The faults of the good file with one text exchanged.
fn faults_with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    faults_of(&GOOD.replacen(from, to, 1), &[])
}

/// The faults of the good file with text at its end.
fn faults_after(more: &str) -> String {
    faults_of(&format!("{GOOD}{more}"), &[])
}

fn warnings_of(text: &str, pairs: &[(&str, &str)]) -> String {
    Faults(loaded(text, pairs).warnings).to_string()
}

#[test]
fn an_unknown_key_names_the_nearest_one() {
    assert_snapshot!(faults_after("[intake]\nlistn = \"127.0.0.1:1\"\n"), @r"
    sealpost.toml:27: intake.listn: unknown key
        hint: did you mean `listen`?
    ");
    assert_snapshot!(faults_after("[intak]\nlisten = \"127.0.0.1:1\"\n"), @r"
    sealpost.toml:26: intak: unknown section
        hint: did you mean `intake`?
    ");
    assert_snapshot!(faults_after("[relay]\nmax_connections = 5\n"), @r"
    sealpost.toml:27: relay.max_connections: unknown key
        hint: did you mean `intake.max_connections`?
    ");
    assert_snapshot!(faults_after("[channel.whatsapp]\nproviders = []\n"), @r"
    sealpost.toml:26: channel.whatsapp: unknown key
        hint: known here: `email`, `sms`
    ");
    assert_snapshot!(faults_of(GOOD, &[("SEALPOST__INTAKE__LISTN", "127.0.0.1:1")]), @r"
    environment: SEALPOST__INTAKE__LISTN: unknown key
        hint: did you mean `listen`?
    ");
}

#[test]
fn a_value_of_the_wrong_type_says_what_was_expected() {
    assert_snapshot!(faults_after("[intake]\nlisten = 8080\n"), @r#"sealpost.toml:27: intake.listen: `8080` is not an IP address and port such as "127.0.0.1:8080""#);
    assert_snapshot!(faults_after("[relay]\ndrain_timeout = 20\n"), @r#"
    sealpost.toml:27: relay.drain_timeout: `20` is not a duration such as "10s", "5m", "1h30m" or "3d"
        hint: give the unit, such as "20s"
    "#);
    assert_snapshot!(faults_after("[relay]\ndispatch_concurrency = \"256\"\n"), @r"
    sealpost.toml:27: relay.dispatch_concurrency: `256` is not a whole number from 1 to 100000
        hint: write the number without quotes
    ");
    assert_snapshot!(faults_after("[relay]\nmode = \"shadows\"\n"), @r#"
    sealpost.toml:27: relay.mode: `shadows` is not one of "shadow", "pilot", "live"
        hint: did you mean "shadow"?
    "#);
    assert_snapshot!(faults_after("[intake]\nmax_body_bytes = \"1MB!\"\n"), @r#"sealpost.toml:27: intake.max_body_bytes: `1MB!` is not a size of at least 1024 bytes, such as 1048576 or "64MiB""#);
    assert_snapshot!(faults_after("[intake]\nmax_connections = 99999999999999999999\n"), @r"sealpost.toml:27: intake.max_connections: `99999999999999999999` is not a whole number, at least 1");
    assert_snapshot!(faults_with("providers = [\"mail\"]", "providers = \"mail\""), @r#"
    sealpost.toml:19: channel.email.providers: `mail` is not a list, each item a name of 1 to 64 of a-z, 0-9, `-` and `_`, the first a letter or digit
        hint: put it into brackets: ["…"]
    "#);
    assert_snapshot!(faults_after("[log]\nfilter = \"info,=\"\n"), @r#"sealpost.toml:27: log.filter: `info,=` is not log filter directives such as "info" or "info,sealpost::dispatch=debug""#);
    assert_snapshot!(faults_of("intake = 5\n", &[]), @r"
    sealpost.toml:1: intake: a number is not a table
        hint: write [intake] with keys such as listen
    ");
    assert_snapshot!(faults_of(GOOD, &[("SEALPOST__RELAY__BRAKE_PER_HOUR", "many")]), @r"environment: SEALPOST__RELAY__BRAKE_PER_HOUR: `many` is not a whole number, at least 1");
    assert_snapshot!(faults_of(GOOD, &[("SEALPOST__RELAY", "live")]), @r"
    environment: SEALPOST__RELAY: a table cannot be given by a variable
        hint: name the key too: SEALPOST__RELAY__…
    ");
}

#[test]
fn an_org_that_cannot_be_is_refused() {
    assert_snapshot!(faults_with("\"INR\"", "\"inr\""), @r#"
    sealpost.toml:6: org.41007.currency: `inr` is not a currency code of three capital letters such as "INR"
        hint: use capital letters
    "#);
    assert_snapshot!(faults_with("\"Asia/Kolkata\"", "\"Asia/Calcuta\""), @r#"sealpost.toml:7: org.41007.time_zone: `Asia/Calcuta` is not an IANA time zone such as "Asia/Kolkata""#);
    assert_snapshot!(faults_with("\"en-IN\"", "\"en_IN\""), @r#"
    sealpost.toml:8: org.41007.locale: `en_IN` is not a language tag such as "en-IN"
        hint: write `-` for `_`
    "#);
    assert_snapshot!(faults_with("name = \"Acme\"\n", ""), @r"
    sealpost.toml:4: org.41007.name: missing
        hint: add `name = …`: one line of UTF-8 text
    ");
    assert_snapshot!(faults_with("Acme Rewards <rewards@acme.example>", "rewards at acme"), @r#"sealpost.toml:10: org.41007.sender.loyalty.email: `rewards at acme` is not a mailbox such as "Acme Rewards <rewards@acme.example>""#);
    assert_snapshot!(faults_with("[org.41007]\n", "[org.acme]\n"), @r#"
    sealpost.toml:4: org.acme: `acme` is not a Capillary org id such as 41007
    sealpost.toml:9: org.41007.currency: missing
        hint: add `currency = …`: a currency code of three capital letters such as "INR"
    sealpost.toml:9: org.41007.locale: missing
        hint: add `locale = …`: a language tag such as "en-IN"
    sealpost.toml:9: org.41007.name: missing
        hint: add `name = …`: one line of UTF-8 text
    sealpost.toml:9: org.41007.time_zone: missing
        hint: add `time_zone = …`: an IANA time zone such as "Asia/Kolkata"
    "#);
    assert_snapshot!(faults_after("[org.41007.sender.store]\nreply_to = \"a@acme.example\"\n"), @r#"
    sealpost.toml:26: org.41007.sender.store: has neither email nor sms
        hint: add `email = "Acme <rewards@acme.example>"` or `sms`
    "#);
    assert_snapshot!(faults_after("[org.41007.links]\nhome = \"http://acme.example/\"\n"), @r"sealpost.toml:27: org.41007.links.home: `http://acme.example/` is not an address that begins with https://");
}

#[test]
fn an_open_door_stays_on_this_machine() {
    let open = GOOD.replacen(
        "headers = { \"X-Sealpost-Key\" = [\"0123456789abcdef0\", \"fedcba98765432100\"] }",
        "auth = \"none\"",
        1,
    );
    assert_snapshot!(faults_of(&open, &[]), @r"no fault");
    assert_snapshot!(faults_of(&open, &[("SEALPOST__INTAKE__LISTEN", "0.0.0.0:8080")]), @r"
    sealpost.toml:3: source.capillary.auth: intake.listen is reachable from other machines
        hint: set headers, or listen on 127.0.0.1
    ");
    assert_snapshot!(faults_of(&open.replace("auth = \"none\"", ""), &[]), @r#"
    sealpost.toml:2: source.capillary: does not say how it authenticates
        hint: add `headers = { "X-Sealpost-Key" = "…" }`, headers_file, path_secret or hmac.secret
    "#);
    assert_snapshot!(faults_after("[admin]\nlisten = \"0.0.0.0:9000\"\n"), @r"
    sealpost.toml:27: admin.listen: reachable from other machines without a token
        hint: make one with `sealpost token new`, or listen on 127.0.0.1
    ");
    assert_snapshot!(faults_after("[admin]\nlisten = \"127.0.0.1:8080\"\n"), @r"
    sealpost.toml:27: admin.listen: the port of intake.listen
        hint: people's doors stay apart from the public one: take another port
    ");
}

#[test]
fn a_socket_that_the_system_would_refuse_is_a_fault() {
    let dir = format!("/{}", "d".repeat(100));
    assert_snapshot!(faults_of(GOOD, &[("SEALPOST__STORAGE__DIR", &dir)]), @r"
    sealpost.toml: admin.socket: longer than 100 bytes
        hint: name a shorter path, such as /run/sealpost/admin.sock
    ");
    assert_snapshot!(faults_after("[intake]\nretry_after = \"100ms\"\n"), @r"
    sealpost.toml:27: intake.retry_after: shorter than 1s
        hint: Retry-After counts whole seconds (RFC 9110 10.2.3)
    ");
}

#[test]
fn nothing_leaves_in_plaintext_by_accident() {
    assert_snapshot!(faults_with("host = \"127.0.0.1\"", "host = \"10.0.0.1\""), @r#"
    sealpost.toml: templates.message_id_domain: not a domain of yours
        hint: every Message-ID ends with it: name one, such as mail.acme.example
    sealpost.toml:15: provider.mail.tls: plaintext to another machine
        hint: use "starttls" or "implicit"; if the network itself is trusted, set dangerously_plaintext = true
    "#);
    let meant = GOOD.replacen("host = \"127.0.0.1\"", "host = \"10.0.0.1\"\ndangerously_plaintext = true", 1);
    let meant = meant.replacen("username = \"sealpost\"\npassword = \"from-the-file\"\n", "", 1);
    let named = format!("{meant}[templates]\nmessage_id_domain = \"mail.acme.example\"\n");
    assert_snapshot!(warnings_of(&named, &[]), @r"
    sealpost.toml:16: provider.mail.tls: mails cross the network in plaintext
        hint: take out dangerously_plaintext as soon as you can
    ");
    assert_snapshot!(
        faults_after("[provider.text]\ntype = \"http_sms\"\nurl = \"http://sms.example/x\"\nbody = \"x\"\n"),
        @r"
    sealpost.toml:28: provider.text.url: plaintext to another machine
        hint: use https://
    "
    );
}

#[test]
fn a_channel_names_providers_that_fit_it() {
    assert_snapshot!(faults_with("providers = [\"mail\"]", "providers = [\"mial\"]"), @r#"
    sealpost.toml:19: channel.email.providers: there is no provider `mial`
        hint: did you mean "mail"?
    "#);
    assert_snapshot!(faults_after("[channel.sms]\nproviders = [\"mail\"]\n"), @r#"
    sealpost.toml:27: channel.sms.providers: provider `mail` is of type "smtp", which cannot carry sms
        hint: name one of type "http_sms"
    "#);
    assert_snapshot!(faults_with("providers = [\"mail\"]", "providers = [\"mail\"]\nretry = []"), @r#"
    sealpost.toml:20: channel.email.retry: empty, so the first refusal would be final
        hint: add waits such as ["1m", "5m", "30m"]
    "#);
    assert_snapshot!(faults_with("tls = \"none\"", "tls = \"none\"\nurl = \"https://x.example/\""), @r#"
    sealpost.toml:16: provider.mail.url: belongs to type "http_sms", this provider is "smtp"
        hint: take it out
    "#);
    assert_snapshot!(faults_with("type = \"smtp\"\n", ""), @r#"
    sealpost.toml:12: provider.mail.type: missing
        hint: add `type = …`: one of "smtp", "http_sms", "file"
    "#);
    assert_snapshot!(faults_after("[provider.text]\ntype = \"http_sms\"\npreset = \"twillio\"\n"), @r#"
    sealpost.toml:28: provider.text.preset: `twillio` is not one of "twilio", "msg91"
        hint: did you mean "twilio"?
    "#);
    assert_snapshot!(faults_with("username = \"sealpost\"\n", ""), @r"
    sealpost.toml:16: provider.mail.password: given without a username
        hint: add username
    ");
}

#[test]
fn an_address_with_credentials_is_refused_without_being_quoted() {
    assert_snapshot!(
        faults_after("[provider.text]\ntype = \"http_sms\"\nurl = \"https://me:secret@sms.example/x\"\nbody = \"x\"\n"),
        @r#"sealpost.toml:28: provider.text.url: what is given is not an address such as "https://gateway.example/messages" without credentials in it"#
    );
}

#[test]
fn events_are_remembered_longer_than_capillary_can_repeat_them() {
    assert_snapshot!(faults_after("[storage]\nkeep_events = \"30d\"\n"), @r"
    sealpost.toml:27: storage.keep_events: shorter than 31d
        hint: Capillary can repeat events of the last 30 days, and a forgotten one would be sent again
    ");
}

#[test]
fn a_secret_is_never_in_a_fault() {
    assert_snapshot!(faults_with("\"from-the-file\"", "12345678"), @r"
    sealpost.toml:17: provider.mail.password: a number is not one line of UTF-8 text
        hint: put it into quotes
    ");
    assert_snapshot!(faults_with("password = ", "password_file = \"/nowhere\"\npassword = "), @r"
    sealpost.toml:18: provider.mail.password: given twice: also as provider.mail.password_file
        hint: keep one of the two
    ");
    assert_snapshot!(faults_with("password = \"from-the-file\"", "password_file = \"/nowhere\""), @r"sealpost.toml:17: provider.mail.password_file: /nowhere: cannot be read: No such file or directory (os error 2)");
    assert_snapshot!(faults_with("[\"0123456789abcdef0\", \"fedcba98765432100\"]", "[\"one-secret\", \"two-secret\", \"three-secret\"]"), @r"sealpost.toml:3: source.capillary.headers.X-Sealpost-Key: this list is not a text, or a list of one or two texts");
    assert_snapshot!(faults_of(GOOD, &[("SEALPOST__ADMIN__TOKEN__CRM__SHA256", "my-token-itself")]), @r"environment: SEALPOST__ADMIN__TOKEN__CRM__SHA256: `<hidden>` is not the 64 hexadecimal digits of a SHA-256, or a list of one or two of them");
    assert_snapshot!(faults_after("[relay]\npilot = [\"GT0042\"]\n"), @r"sealpost.toml:27: relay.pilot: `<hidden>` is not an identifier as `kind:value`, the kind one of customer_id, external_id, card, card_external_id, mobile, email");
    // The line that is broken holds the secret; the message quotes none of it.
    assert_snapshot!(faults_with("\"from-the-file\"", "\"from-the-file"), @r#"sealpost.toml:17: not TOML: invalid basic string, expected `"`"#);
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    assert_snapshot!(warnings_of(&GOOD.replace("0123456789abcdef0", "short"), &[]), @r"
    sealpost.toml:3: source.capillary.headers.X-Sealpost-Key: shorter than 16 characters
        hint: make a long one: openssl rand -hex 32
    ");
    assert_snapshot!(warnings_of(&format!("{GOOD}[relay]\nexpires_after = \"2h\"\n"), &[]), @r"
    sealpost.toml: channel.email.retry: the waits take 20h36m, longer than relay.expires_after (2h)
        hint: the last attempts are never made
    sealpost.toml: channel.sms.retry: the waits take 20h36m, longer than relay.expires_after (2h)
        hint: the last attempts are never made
    sealpost.toml: relay.wait_for_contact: longer than relay.expires_after (2h)
        hint: a contact that comes after the expiry cannot be written to any more
    ");
    assert_snapshot!(warnings_of(GOOD, &[("SEALPOST_RELAY__MODE", "live"), ("SEALPOST_PORT", "1"), ("SEALPOST_CONFIG", "x")]), @r"
    environment: SEALPOST_RELAY__MODE: not read as a setting
        hint: settings begin with SEALPOST__
    ");
    assert_snapshot!(warnings_of(GOOD, &[("SEALPOST__RELAY__MODE", "pilot"), ("SEALPOST__RELAY__DRAIN_TIMEOUT", "1s")]), @r#"
    environment: SEALPOST__RELAY__DRAIN_TIMEOUT: shorter than most sends
        hint: sends that a stop cuts off become ambiguous; 20s fits most platforms
    sealpost.toml: relay.pilot: empty, so pilot mode writes to nobody
        hint: list people as "external_id:GT0042"
    "#);
    assert_snapshot!(warnings_of(GOOD, &[("SEALPOST__SOURCE__CAPILLARY__ORGS", "5"), ("SEALPOST__KEYS__FILE", "/var/lib/sealpost/keys")]), @r"
    environment: SEALPOST__KEYS__FILE: lies inside storage.dir
        hint: a copy of the stores would carry the key that opens them
    environment: SEALPOST__SOURCE__CAPILLARY__ORGS: org 5 is not configured, so it never sends
        hint: add [org.5]
    ");
    assert_snapshot!(warnings_of("", &[]), @r"
    sealpost.toml: org: no org is configured, so nothing is ever sent
        hint: add [org.<id>]
    sealpost.toml: source: no source is configured, so no event can come in
        hint: add [source.<name>]
    ");
}

#[test]
fn ten_faults_come_at_once_sorted_by_file_and_line() {
    let text = r#"[relay]
mode = "lively"
drain_timeout = 20
[intake]
listn = "127.0.0.1:8080"
listen = "localhost:8080"
[source.capillary]
path_secret = 42
[storage]
keep_events = "1w"
[org.41007]
name = "Acme"
currency = "Rs"
time_zone = "Asia/Kolkata"
locale = "en-IN"
[provider.mail]
type = "smtp"
tls = "none"
host = "smtp.acme.example"
[channel.email]
providers = ["main"]
"#;
    let pairs = [("SEALPOST__RELAY__BRAKE_PER_HOUR", "0"), ("SEALPOST__PROVIDER__MAIL__PORT", "65536")];
    assert_snapshot!(faults_of(text, &pairs), @r#"
    environment: SEALPOST__PROVIDER__MAIL__PORT: `65536` is not a whole number from 1 to 65535
    environment: SEALPOST__RELAY__BRAKE_PER_HOUR: `0` is not a whole number, at least 1
    sealpost.toml: templates.message_id_domain: not a domain of yours
        hint: every Message-ID ends with it: name one, such as mail.acme.example
    sealpost.toml:2: relay.mode: `lively` is not one of "shadow", "pilot", "live"
        hint: did you mean "live"?
    sealpost.toml:3: relay.drain_timeout: `20` is not a duration such as "10s", "5m", "1h30m" or "3d"
        hint: give the unit, such as "20s"
    sealpost.toml:5: intake.listn: unknown key
        hint: did you mean `listen`?
    sealpost.toml:6: intake.listen: `localhost:8080` is not an IP address and port such as "127.0.0.1:8080"
        hint: write 127.0.0.1 for localhost
    sealpost.toml:8: source.capillary.path_secret: a number is not one line of UTF-8 text
        hint: put it into quotes
    sealpost.toml:10: storage.keep_events: shorter than 31d
        hint: Capillary can repeat events of the last 30 days, and a forgotten one would be sent again
    sealpost.toml:13: org.41007.currency: `Rs` is not a currency code of three capital letters such as "INR"
    sealpost.toml:18: provider.mail.tls: plaintext to another machine
        hint: use "starttls" or "implicit"; if the network itself is trusted, set dangerously_plaintext = true
    sealpost.toml:21: channel.email.providers: there is no provider `main`
        hint: did you mean "mail"?
    "#);
}

#[test]
fn a_file_that_is_not_there_is_a_fault_like_any_other() {
    let faults = Config::load(Some(Path::new("/nowhere/sealpost.toml")), &BTreeMap::new()).err().unwrap();
    assert_snapshot!(faults, @r"
    /nowhere/sealpost.toml: cannot be read: No such file or directory (os error 2)
        hint: name another file with --config FILE or SEALPOST_CONFIG
    ");
}

/// Every secret, and the one person, of a configuration.
const CANARY: &str = "kanarienvogel";

fn with_canaries() -> String {
    let text = format!("[relay]\npilot = [\"external_id:{CANARY}\"]\n[admin.token.crm]\nsha256 = \"{CANARY}\"\n{GOOD}")
        .replace("0123456789abcdef0", CANARY)
        .replace("fedcba98765432100", CANARY)
        .replace("from-the-file", CANARY);
    format!(
        "{text}[provider.text]\ntype = \"http_sms\"\npreset = \"twilio\"\nheaders = {{ X-Key = \"{CANARY}\" }}\n\
         param = {{ account_sid = \"{CANARY}\", auth_token = \"{CANARY}\" }}\n"
    )
}

/// Everything that may be printed of a configuration.
fn printed(text: &str, pairs: &[(&str, &str)]) -> String {
    match load(text, pairs) {
        Ok(loaded) => loaded.show() + &Faults(loaded.warnings.clone()).to_string(),
        Err(faults) => faults.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_typing_mistake_anywhere_shows_no_secret(at in 0_usize..1_500, cut in 0_usize..3, typed in "[\\PC\n]{0,2}") {
        let text = with_canaries();
        let at = at.min(text.len());
        let (start, end) = (text.floor_char_boundary(at), text.floor_char_boundary((at + cut).min(text.len())));
        let broken = format!("{}{typed}{}", &text[..start], &text[end..]);
        // A mistake inside the canary itself leaves a shorter one behind.
        let printed = printed(&broken, &[("SEALPOST__PROVIDER__MAIL__PASWORD", CANARY), ("SEALPOST__ADMIN", CANARY)]);
        prop_assert!(!printed.contains(&CANARY[..8]) && !printed.contains(&CANARY[5..]), "{printed}");
    }

    #[test]
    fn no_text_and_no_variable_makes_the_loader_panic(
        lines in proptest::collection::vec("(\\[[a-z.\"\\*]{0,12}\\]|[a-z_.\"]{0,8} = [\"0-9a-z\\[\\]{},. ]{0,10})", 0..6),
        names in proptest::collection::vec("SEALPOST__[A-Z_]{0,20}", 0..3),
    ) {
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x,1")).collect();
        let _ = printed(&lines.join("\n"), &pairs);
    }
}

#[test]
fn a_signature_that_could_never_fit_is_a_fault() {
    let hmac = |keys: &str| faults_after(&format!("[source.signed.hmac]\n{keys}"));
    assert_snapshot!(hmac("secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLwSw\"\n"), @r#"no fault"#);
    assert_snapshot!(hmac("secret = [\"whsec_not base64\", \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLwSw\"]\nheader = \"X-Sign\"\n"), @r#"
    sealpost.toml:27: source.signed.hmac.secret: `<hidden>` is not written in its encoding
        hint: Standard Webhooks: `whsec_` and base64
    sealpost.toml:28: source.signed.hmac.header: is fixed by Standard Webhooks
        hint: take it out, or set scheme = "custom"
    "#);
    assert_snapshot!(hmac("scheme = \"custom\"\n"), @r#"
    sealpost.toml:26: source.signed: does not say how it authenticates
        hint: add `headers = { "X-Sealpost-Key" = "…" }`, headers_file, path_secret or hmac.secret
    sealpost.toml:27: source.signed.hmac.scheme: stands without a secret
        hint: add hmac.secret or hmac.secret_file
    "#);
    assert_snapshot!(hmac("scheme = \"custom\"\nsecret = \"0123456789abcdefx\"\nsecret_encoding = \"hex\"\nsigns = \"{url}\"\n"), @r#"
    sealpost.toml:26: source.signed.hmac.header: is missing
        hint: name the header that holds the signature
    sealpost.toml:28: source.signed.hmac.secret: `<hidden>` is not written in its encoding
        hint: look at hmac.secret_encoding
    sealpost.toml:30: source.signed.hmac.signs: is not read
        hint: write {body}, and {timestamp} and {id} where they are signed too
    "#);
    assert_snapshot!(hmac("scheme = \"custom\"\nsecret = \"0123456789abcdef\"\nheader = \"X-Sign\"\nsigns = \"{timestamp}{body}\"\nid_header = \"X-Id\"\n"), @r#"
    sealpost.toml:30: source.signed.hmac.signs: signs a value that no header brings: timestamp_header is not set
        hint: set timestamp_header
    sealpost.toml:31: source.signed.hmac.id_header: is not signed, so anybody could change it
        hint: add it to `signs`, or take it out
    "#);
    let overheard = format!(
        "{GOOD}[source.signed.hmac]\nscheme = \"custom\"\nsecret = \"0123456789abcdef\"\nheader = \"X-Sign\"\n"
    );
    assert_snapshot!(warnings_of(&overheard, &[]), @r#"
    sealpost.toml: source.signed.hmac.signs: no time is signed
        hint: what was overheard once can be sent again for ever; events are de-duplicated by their own ids
    "#);
    assert_snapshot!(faults_after("[source.near]\npath_secret = \"0123456789abcdef\"\nallow_from = [\"10.1.2.3/8\"]\n"), @r#"sealpost.toml:28: source.near.allow_from: `10.1.2.3/8` is not an IP address or network such as "10.0.0.0/8" or "2001:db8::/32""#);
}

#[test]
fn a_child_org_inherits_and_circles_and_strangers_are_faults() {
    let child = "[org.41008]\nparent = 41007\nname = \"Kids\"\n[org.41008.sender.loyalty]\nsms = \"KIDS\"\n";
    let shown = loaded(&format!("{GOOD}{child}"), &[]).show();
    let lines: Vec<_> = shown.lines().skip_while(|line| *line != "[org.41008]").take(13).collect();
    assert_snapshot!(lines.join("\n"), @r#"
    [org.41008]
    parent = 41007  # sealpost.toml:27
    name = "Kids"  # sealpost.toml:28
    currency = "INR"  # inherited from org.41007
    time_zone = "Asia/Kolkata"  # inherited from org.41007
    locale = "en-IN"  # inherited from org.41007
    namespace = "default"  # default

    [org.41008.sender.loyalty]
    email = "Acme Rewards <rewards@acme.example>"  # inherited from org.41007
    sms = "KIDS"  # sealpost.toml:30

    [templates]
    "#);
    assert_snapshot!(faults_after("[org.41008]\nparent = 99\n"), @r#"
    sealpost.toml:26: org.41008.currency: missing
        hint: add `currency = …`: a currency code of three capital letters such as "INR"
    sealpost.toml:26: org.41008.locale: missing
        hint: add `locale = …`: a language tag such as "en-IN"
    sealpost.toml:26: org.41008.name: missing
        hint: add `name = …`: one line of UTF-8 text
    sealpost.toml:26: org.41008.time_zone: missing
        hint: add `time_zone = …`: an IANA time zone such as "Asia/Kolkata"
    sealpost.toml:27: org.41008.parent: org 99 is not configured
        hint: add [org.99]
    "#);
    assert_snapshot!(faults_after("[org.1]\nparent = 2\n[org.2]\nparent = 1\n"), @r#"
    sealpost.toml:26: org.1.currency: missing
        hint: add `currency = …`: a currency code of three capital letters such as "INR"
    sealpost.toml:26: org.1.locale: missing
        hint: add `locale = …`: a language tag such as "en-IN"
    sealpost.toml:26: org.1.name: missing
        hint: add `name = …`: one line of UTF-8 text
    sealpost.toml:26: org.1.time_zone: missing
        hint: add `time_zone = …`: an IANA time zone such as "Asia/Kolkata"
    sealpost.toml:27: org.1.parent: leads back to itself
        hint: an org at the top has no parent
    sealpost.toml:28: org.2.currency: missing
        hint: add `currency = …`: a currency code of three capital letters such as "INR"
    sealpost.toml:28: org.2.locale: missing
        hint: add `locale = …`: a language tag such as "en-IN"
    sealpost.toml:28: org.2.name: missing
        hint: add `name = …`: one line of UTF-8 text
    sealpost.toml:28: org.2.time_zone: missing
        hint: add `time_zone = …`: an IANA time zone such as "Asia/Kolkata"
    sealpost.toml:29: org.2.parent: leads back to itself
        hint: an org at the top has no parent
    "#);
    assert_snapshot!(faults_after("[org.41008]\nparent = 41007\n[org.41008.channel.sms]\nproviders = [\"mail\"]\n"), @r#"
    sealpost.toml:29: org.41008.channel.sms.providers: provider `mail` is of type "smtp", which cannot carry sms
        hint: name one of type "http_sms"
    "#);
    assert_snapshot!(warnings_of(&format!("{GOOD}[provider.spare]\ntype = \"smtp\"\nhost = \"127.0.0.1\"\ntls = \"none\"\n"), &[]), @r#"
    sealpost.toml:26: provider.spare: no channel uses it
        hint: name it in [channel.<name>] or [org.<id>.channel.<name>], or take it out
    "#);
}
