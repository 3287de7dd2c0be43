//! Gateways against a small HTTP server: what is sent, and what each answer or failure comes to.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;
use crate::config::{ErrorClass, GatewayTest, HttpSms};
use crate::id::ProviderId;
use crate::provider::fixture;

/// What the server does once it has read a request.
enum Reply {
    Answer(String),
    Close,
    /// Says nothing until the client is gone.
    Hang,
    /// Says this and then nothing until the client is gone.
    Begin(String),
}

/// Serves one connection for each reply; gives back the requests.
fn serve(replies: Vec<Reply>) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for reply in replies {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let mut request = Vec::new();
            while !is_whole(&request) {
                let mut chunk = [0; 4096];
                let n = socket.read(&mut chunk).unwrap();
                assert!(n > 0, "the request broke off");
                request.extend_from_slice(&chunk[..n]);
            }
            requests.push(String::from_utf8(request).unwrap());
            match reply {
                Reply::Answer(text) => socket.write_all(text.as_bytes()).unwrap(),
                Reply::Close => {}
                Reply::Hang => drop(socket.read_to_end(&mut Vec::new())),
                Reply::Begin(text) => {
                    // The client may leave in the middle of a long answer.
                    let _ = socket.write_all(text.as_bytes());
                    drop(socket.read_to_end(&mut Vec::new()));
                }
            }
        }
        requests
    });
    (port, thread)
}

/// The requests. Waits on another thread: the client closes its connections on this one.
async fn joined(server: JoinHandle<Vec<String>>) -> Vec<String> {
    tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap()
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    body.len() >= length.parse().unwrap()
}

fn http(status: &str, headers: &str, body: &str) -> Reply {
    let length = body.len();
    Reply::Answer(format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"))
}

/// A shipped declaration, as configuration will hand it over.
fn preset(text: &str, params: &[(&str, &str)]) -> HttpSms {
    let table: toml::Table = text.parse().unwrap();
    let text = |key: &str| table[key].as_str().unwrap().to_owned();
    let success = table["success"].as_table().unwrap();
    let word = |key: &str| success.get(key).map(|v| v.as_str().unwrap().to_owned());
    let known = ["method", "url", "content_type", "body", "id_pointer", "error_pointer", "idempotent", "timeout"];
    let tables = ["headers", "success", "errors"];
    assert!(table.keys().all(|key| known.contains(&key.as_str()) || tables.contains(&key.as_str())));
    assert_eq!(text("timeout"), "20s");
    HttpSms {
        method: text("method"),
        url: text("url"),
        headers: table["headers"].clone().try_into().unwrap(),
        content_type: text("content_type"),
        body: text("body"),
        params: params.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        success: GatewayTest {
            status: success["status"].clone().try_into().unwrap(),
            json: word("pointer").zip(word("equals")),
        },
        id_pointer: Some(text("id_pointer")),
        error_pointer: Some(text("error_pointer")),
        errors: table["errors"].clone().try_into::<BTreeMap<String, ErrorClass>>().unwrap(),
        idempotent: table["idempotent"].as_bool().unwrap(),
        timeout: Duration::from_secs(20),
        ca_file: None,
    }
}

fn twilio(port: u16) -> HttpSms {
    let text = include_str!("../../../config/presets/twilio.toml");
    let config = preset(text, &[("account_sid", "AC1"), ("auth_token", "t0ken")]);
    HttpSms { url: config.url.replace("https://api.twilio.com", &format!("http://127.0.0.1:{port}")), ..config }
}

fn msg91(port: u16) -> HttpSms {
    let config = preset(include_str!("../../../config/presets/msg91.toml"), &[("authkey", "k3y")]);
    HttpSms { url: config.url.replace("https://control.msg91.com", &format!("http://localhost:{port}")), ..config }
}

fn try_build(config: &HttpSms) -> Result<Gateway, Vec<String>> {
    let id: ProviderId = "sms".parse().unwrap();
    let mut faults = vec![];
    let clock = Clock::manual(Time::from_millis(1_795_392_000_000));
    let built = Gateway::build(config, 4, clock, &mut Report { id: &id, faults: &mut faults });
    built.ok_or_else(|| faults.iter().map(ToString::to_string).collect())
}

async fn send(config: &HttpSms) -> Verdict {
    try_build(config).unwrap().send(&NotificationId([0; 16]), &fixture::sms()).await
}

#[tokio::test]
async fn twilio_gets_a_form_and_gives_its_sid() {
    let (port, server) = serve(vec![http("201 Created", "", r#"{"sid":"SM12","status":"queued"}"#)]);
    let outcome = send(&twilio(port)).await.outcome;
    assert_eq!(outcome, Outcome::Sent { code: "201".into(), provider_ref: Some("SM12".into()) });
    let request = joined(server).await.remove(0);
    assert!(request.starts_with("POST /2010-04-01/Accounts/AC1/Messages.json HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Basic QUMxOnQwa2Vu\r\n"), "{request}");
    assert!(request.contains("content-type: application/x-www-form-urlencoded\r\n"), "{request}");
    let body = "\r\n\r\nTo=%2B919812345678&From=ACMERW&Body=Dear%20Asha%2C%20you%20earned%2025%20points.";
    assert!(request.ends_with(body), "{request}");
}

#[tokio::test]
async fn twilio_gets_the_messaging_service_instead_of_the_sender_where_one_is_set() {
    let (port, server) = serve(vec![http("201 Created", "", "{}")]);
    let mut config = twilio(port);
    config.params.insert("messaging_service_sid".into(), "MG1".into());
    assert!(matches!(send(&config).await.outcome, Outcome::Sent { .. }));
    let request = joined(server).await.remove(0);
    assert!(request.contains("&MessagingServiceSid=MG1&Body=") && !request.contains("From="), "{request}");
}

#[tokio::test]
async fn msg91_gets_the_variables_and_its_errors_come_with_200() {
    let (port, server) = serve(vec![
        http("200 OK", "", r#"{"type":"success","message":"3061fa"}"#),
        http("200 OK", "", r#"{"type":"error","message":"invalid 919812345678","code":"202"}"#),
        http("200 OK", "", r#"{"type":"error","message":"key","code":"207"}"#),
    ]);
    let config = msg91(port);
    let sent = Outcome::Sent { code: "200".into(), provider_ref: Some("3061fa".into()) };
    assert_eq!(send(&config).await.outcome, sent);
    assert_eq!(send(&config).await.outcome, Outcome::Permanent { code: "200 202".into(), bad_address: true });
    assert_eq!(send(&config).await.outcome, Outcome::Misconfigured { code: "200 207".into() });
    let request = joined(server).await.remove(0);
    assert!(request.contains("authkey: k3y\r\n"), "{request}");
    let body: serde_json::Value = serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap();
    insta::assert_snapshot!(body, @r#"{"recipients":[{"VAR1":"Asha","VAR2":"25","mobiles":"919812345678"}],"sender":"ACMERW","short_url":"0","template_id":"65f0a"}"#);
}

#[tokio::test]
async fn failures_are_transient_before_the_request_and_ambiguous_after_it() {
    let ambiguous = |code: &str| Outcome::Ambiguous { code: code.into() };
    let transient = |code: &str| Outcome::Transient { code: code.into(), retry_after: None };
    let cut = "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"sid\":";
    let flood = format!("HTTP/1.1 201 Created\r\n\r\n{}", " ".repeat(2 * MAX_ANSWER));
    let sent = Outcome::Sent { code: "201".into(), provider_ref: None };
    let table = [
        ("hung up", Reply::Close, ambiguous("after_request_closed"), transient("after_request_closed")),
        ("silent", Reply::Hang, ambiguous("after_request_timeout"), transient("after_request_timeout")),
        (
            "not http",
            Reply::Answer("what?\r\n\r\n".into()),
            ambiguous("after_request_closed"),
            transient("after_request_closed"),
        ),
        ("500", http("500 No", "", "{}"), ambiguous("500"), transient("500")),
        ("half an answer", Reply::Begin(cut.into()), sent.clone(), sent.clone()),
        ("an endless answer", Reply::Begin(flood), sent.clone(), sent),
    ];
    for (name, reply, expected, idempotent) in table {
        let again = match &reply {
            Reply::Answer(text) => Reply::Answer(text.clone()),
            Reply::Begin(text) => Reply::Begin(text.clone()),
            Reply::Close => Reply::Close,
            Reply::Hang => Reply::Hang,
        };
        let (port, server) = serve(vec![reply, again]);
        let config = HttpSms { timeout: Duration::from_millis(300), ..twilio(port) };
        assert_eq!(send(&config).await.outcome, expected, "{name}");
        assert_eq!(send(&HttpSms { idempotent: true, ..config }).await.outcome, idempotent, "{name}");
        joined(server).await;
    }
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(send(&twilio(port)).await.outcome, transient("connect_failed"));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_wait_is_passed_on() {
    let (port, server) = serve(vec![
        http("302 Found", "Location: http://127.0.0.1:1/\r\n", ""),
        http("429 Slow", "Retry-After: 17\r\n", r#"{"code":20429}"#),
        http("429 Slow", "Retry-After: Mon, 23 Nov 2026 00:01:00 GMT\r\n", ""),
        http("429 Slow", "Retry-After: 99999999999\r\n", ""),
        http("429 Slow", "Retry-After: soon\r\n", ""),
        http("400 Bad", "", r#"{"code":21211,"message":"The 'To' number +919812345678 is not valid"}"#),
    ]);
    let config = twilio(port);
    let wait =
        |code: &str, seconds| Outcome::Transient { code: code.into(), retry_after: Some(Duration::from_secs(seconds)) };
    assert_eq!(send(&config).await.outcome, Outcome::Misconfigured { code: "302".into() });
    assert_eq!(send(&config).await.outcome, wait("429 20429", 17));
    assert_eq!(send(&config).await.outcome, wait("429", 60));
    assert_eq!(send(&config).await.outcome, wait("429", 86_400));
    assert_eq!(send(&config).await.outcome, Outcome::Transient { code: "429".into(), retry_after: None });
    assert_eq!(send(&config).await.outcome, Outcome::Permanent { code: "400 21211".into(), bad_address: true });
    joined(server).await;
}

#[tokio::test]
async fn a_message_without_its_registration_is_not_sent_and_blames_no_provider() {
    let mut sms = fixture::sms();
    sms.registration.clear();
    let verdict = try_build(&msg91(1)).unwrap().send(&NotificationId([0; 16]), &sms).await;
    assert_eq!(verdict.outcome, Outcome::Misconfigured { code: "missing_registration_template_id".into() });
    assert_eq!(verdict.health, Health::Unknown);
}

#[test]
fn a_declaration_with_many_faults_names_them_all_and_no_secret() {
    let mut config = twilio(1);
    config.method = "GET".into();
    config.url = "http://sms.example.com/{{to}}".into();
    config.headers = BTreeMap::from([
        ("Content-Type".into(), "text/plain".into()),
        ("X-Key".into(), "{{param.nothing}}".into()),
        ("a b".into(), "x".into()),
        ("X-Line".into(), "{{param.auth_token}}".into()),
    ]);
    config.params.insert("auth_token".into(), "t0ken\nX-Evil: 1".into());
    config.content_type = "application/json".into();
    config.body = r#"{"text":{{text}}}"#.into();
    config.success.status = vec![];
    config.id_pointer = Some("sid".into());
    config.timeout = Duration::ZERO;
    let faults = try_build(&config).err().unwrap().join("\n");
    insta::assert_snapshot!(faults, @r#"
    configuration: provider.sms.method: is neither POST nor PUT
        hint: a number and a text belong into a body, not into a URL
    configuration: provider.sms.url: line 1: `to` may not stand in a URL: access logs keep those; put it into the body
        hint: names: to, to_digits, text, sender, id, param.x, registration.x; blocks: #if, #unless, #each vars
    configuration: provider.sms.headers.Content-Type: is set by the relay
        hint: remove it; `content_type` is a key of its own
    configuration: provider.sms.headers.X-Key: line 1: `param.nothing` is not set, and not inside `{{#if param.nothing}}`
        hint: names: to, to_digits, text, sender, id, param.x, registration.x; blocks: #if, #unless, #each vars
    configuration: provider.sms.headers.X-Line: cannot be written as a header
        hint: check the parameters it uses for line breaks
    configuration: provider.sms.headers: has a name that is not a header name
        hint: use letters, digits and `-`
    configuration: provider.sms.body: is not JSON when a message has 0 variables
        hint: put each value into quotes, and commas only between elements
    configuration: provider.sms.success.status: must list at least one status, each from 200 to 299
        hint: often [200] or [201]
    configuration: provider.sms.id_pointer: is not a JSON pointer
        hint: write it as /data/0/id (RFC 6901)
    configuration: provider.sms.timeout: must be above zero
        hint: set it to "20s"
    "#);
    assert!(!faults.contains("t0ken"));
}

#[test]
fn the_host_is_fixed_and_plain_http_stays_here() {
    let hosts = [
        ("https://{{param.account_sid}}.example.com/x", "has no fixed host"),
        ("https://user:pass@sms.example.com/x", "has no fixed host"),
        ("sms.example.com/x", "has no fixed host"),
        ("http://sms.example.com/x", "is plain http to another machine"),
        ("ftp://sms.example.com/x", "is not an https address"),
        ("https:///x y", "is not an https address"),
    ];
    for (url, expected) in hosts {
        let faults = try_build(&HttpSms { url: url.into(), ..twilio(1) }).err().unwrap_or_default().join("\n");
        assert!(faults.contains(expected), "{url}: {faults}");
    }
    let here = ["http://localhost:1/x", "http://[::1]:1/x", "http://127.0.0.1/{{param.account_sid}}?r={{id}}"];
    for url in here {
        assert!(try_build(&HttpSms { url: url.into(), ..twilio(1) }).is_ok(), "{url}");
    }
}
