//! The catcher as a mail client sees it.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;
use crate::sink::Keep;

const SOON: Duration = Duration::from_secs(10);
const CERT: &[u8] = include_bytes!("../../../tests/fixtures/tls/loopback.cert.der");
const KEY: &[u8] = include_bytes!("../../../tests/fixtures/tls/loopback.key.der");

fn server_tls() -> Arc<ServerConfig> {
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(KEY));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![CertificateDer::from(CERT)], key);
    Arc::new(config.expect("the fixture's key fits its certificate"))
}

/// A client that sends lines and reads replies.
struct Client<S>(BufReader<S>);

impl Client<TcpStream> {
    async fn connect(sink: &SmtpSink) -> Self {
        Self(BufReader::new(TcpStream::connect(sink.address()).await.unwrap()))
    }

    async fn secure(self) -> Client<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(CERT)).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, self.0.into_inner()).await.unwrap();
        Client(BufReader::new(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).await.unwrap();
        self.0.get_mut().flush().await.unwrap();
    }

    /// A whole reply; empty if the connection ended.
    async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            match self.0.read_line(&mut reply).await {
                Ok(0) | Err(_) => return reply,
                Ok(_) if reply.as_bytes().get(start + 3) != Some(&b'-') => return reply,
                Ok(_) => {}
            }
        }
    }

    async fn ask(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n")).await;
        self.reply().await
    }

    /// Greeting, EHLO, and a message to one recipient; the reply to the dot.
    async fn mail(&mut self, to: &str) -> String {
        self.reply().await;
        self.ask("EHLO me").await;
        self.another_mail(to).await
    }

    async fn another_mail(&mut self, to: &str) -> String {
        self.ask("MAIL FROM:<from@shop.example>").await;
        self.ask(&format!("RCPT TO:<{to}>")).await;
        self.ask("DATA").await;
        self.ask("Subject: x\r\n\r\nhello\r\n.").await
    }
}

async fn sink(script: SmtpScript) -> SmtpSink {
    SmtpSink::start(script, None).await.unwrap()
}

#[tokio::test]
async fn a_pipelined_mail_is_kept_as_it_was_sent() {
    let sink = sink(SmtpScript::new()).await;
    let mut client = Client::connect(&sink).await;
    assert!(client.reply().await.starts_with("220 "));
    let offer = client.ask("EHLO me").await;
    for word in ["PIPELINING", "8BITMIME", "SIZE ", "250 "] {
        assert!(offer.contains(word), "{offer}");
    }
    assert!(!offer.contains("STARTTLS") && !offer.contains("AUTH"), "{offer}");
    client.send("MAIL FROM:<a@b> SIZE=9 BODY=8BITMIME\r\nRCPT TO:<c@d>\r\nrcpt to:<e@f>\r\nDATA\r\n").await;
    for code in ["250", "250", "250", "354"] {
        assert!(client.reply().await.starts_with(code));
    }
    client.send("Subject: x\r\n\r\n..dot\r\nbare\n.\nfeed\r\n.\r\nRSET\r\nQUIT\r\n").await;
    for code in ["250", "250", "221"] {
        assert!(client.reply().await.starts_with(code));
    }
    let mails = sink.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(
        (mails[0].envelope_from.as_str(), mails[0].rcpt.as_slice()),
        ("a@b", ["c@d".to_owned(), "e@f".to_owned()].as_slice())
    );
    assert_eq!(mails[0].raw, b"Subject: x\r\n\r\n.dot\r\nbare\n.\nfeed\r\n");
    assert!(!mails[0].tls && !mails[0].authenticated);
    sink.stop().await;
}

#[tokio::test]
async fn a_message_that_arrives_byte_by_byte_is_the_same() {
    let sink = sink(SmtpScript::new()).await;
    let mut client = Client::connect(&sink).await;
    client.reply().await;
    for byte in "EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\r\n..x\r\n.\r\n".chars() {
        client.send(&byte.to_string()).await;
        tokio::task::yield_now().await;
    }
    sink.wait_for(1, SOON).await.unwrap();
    let mail = &sink.mails()[0];
    assert_eq!((mail.envelope_from.as_str(), mail.raw.as_slice()), ("", b"\r\r\n.x\r\n".as_slice()));
}

#[tokio::test]
async fn a_client_out_of_step_is_told() {
    let sink = sink(SmtpScript::new().size_limit(100)).await;
    let mut client = Client::connect(&sink).await;
    client.reply().await;
    let exchange = [
        ("MAIL FROM:<a@b>", "503"),
        ("EHLO me", "250"),
        ("RCPT TO:<a@b>", "503"),
        ("DATA", "503"),
        ("MAIL FROM:a@b", "501"),
        ("MAIL FROM:<a@b> SIZE=101", "552"),
        ("MAIL FROM:<a@b> SMTPUTF8", "555"),
        ("MAIL FROM:<jürgen@b>", "501"),
        ("MAIL FROM:<a@b>", "250"),
        ("MAIL FROM:<a@b>", "503"),
        ("RCPT TO:<>", "501"),
        ("RCPT TO:<c@d>", "250"),
        ("AUTH PLAIN", "502"),
        ("STARTTLS", "502"),
        ("FLY", "500"),
        ("NOOP", "250"),
        ("DATA", "354"),
    ];
    for (line, code) in exchange {
        let reply = client.ask(line).await;
        assert!(reply.starts_with(code), "{line}: {reply}");
    }
    assert!(client.ask(&format!("{}\r\n.", "x".repeat(200))).await.starts_with("552"));
    assert_eq!(sink.accepted(), 0);
    assert!(client.another_mail("c@d").await.starts_with("250"));
}

#[tokio::test]
async fn starttls_makes_a_new_session_and_forgets_what_was_sent_in_clear() {
    let sink = SmtpSink::start(SmtpScript::new(), Some(server_tls())).await.unwrap();
    let mut client = Client::connect(&sink).await;
    client.reply().await;
    assert!(client.ask("EHLO me").await.contains("STARTTLS"));
    // Stuffed by the client: must not count in the secured session.
    client.send("STARTTLS\r\nEHLO me\r\nMAIL FROM:<evil@x>\r\n").await;
    assert!(client.reply().await.starts_with("220"));
    let mut client = client.secure().await;
    assert!(client.ask("MAIL FROM:<a@b>").await.starts_with("503"));
    assert!(!client.ask("EHLO me").await.contains("STARTTLS"));
    assert!(client.another_mail("c@d").await.starts_with("250"));
    assert!(sink.mails()[0].tls);
}

#[tokio::test]
async fn tls_from_the_start_greets_inside() {
    let sink = SmtpSink::start(SmtpScript::new().implicit_tls(), Some(server_tls())).await.unwrap();
    let mut client = Client::connect(&sink).await.secure().await;
    assert!(client.mail("c@d").await.starts_with("250"));
    assert!(client.ask("QUIT").await.starts_with("221"));
    assert!(sink.mails()[0].tls);
}

#[tokio::test]
async fn starttls_can_be_stripped_refused_and_stuffed() {
    let start = async |script: SmtpScript| {
        let sink = SmtpSink::start(script, Some(server_tls())).await.unwrap();
        let mut client = Client::connect(&sink).await;
        client.reply().await;
        let offer = client.ask("EHLO me").await;
        (sink, client, offer)
    };
    let (_sink, mut client, offer) = start(SmtpScript::new().without_starttls()).await;
    assert!(!offer.contains("STARTTLS") && client.ask("STARTTLS").await.starts_with("502"));

    let (_sink, mut client, _) = start(SmtpScript::new().at(Phase::StartTls, Act::Reply(454, "4.7.0 no".into()))).await;
    assert!(client.ask("STARTTLS").await.starts_with("454") && client.ask("NOOP").await.starts_with("250"));

    let stuffing = Act::Stuffed(b"250-sink\r\n250 AUTH PLAIN\r\n".to_vec());
    let (_sink, mut client, _) = start(SmtpScript::new().at(Phase::StartTls, stuffing)).await;
    assert!(client.ask("STARTTLS").await.starts_with("220"));
    assert_eq!(client.reply().await, "250-sink\r\n250 AUTH PLAIN\r\n");
    assert!(client.secure().await.ask("EHLO me").await.starts_with("250"));
}

#[tokio::test]
async fn logins_are_checked_and_may_be_required() {
    let script = SmtpScript::new().login("me", "secret", true);
    let sink = SmtpSink::start(script.clone(), None).await.unwrap();
    let mut client = Client::connect(&sink).await;
    client.reply().await;
    assert!(client.ask("EHLO me").await.contains("AUTH PLAIN LOGIN"));
    assert!(client.ask("MAIL FROM:<a@b>").await.starts_with("530"));
    assert!(client.ask("AUTH PLAIN AG1lAHdyb25n").await.starts_with("535"));
    assert!(client.ask("AUTH CRAM-MD5").await.starts_with("501"));
    assert!(client.ask("AUTH LOGIN").await.starts_with("334 VXNlcm5hbWU6"));
    assert!(client.ask("*").await.starts_with("501"));
    assert!(client.ask("AUTH LOGIN").await.starts_with("334"));
    assert!(client.ask("bWU=").await.starts_with("334 UGFzc3dvcmQ6"));
    assert!(client.ask("c2VjcmV0").await.starts_with("235"));
    assert!(client.another_mail("c@d").await.starts_with("250"));
    assert!(sink.mails()[0].authenticated);
    assert_eq!(sink.reached(Phase::Auth), 2);

    let sink = SmtpSink::start(script.login_only_over_tls(), Some(server_tls())).await.unwrap();
    let mut client = Client::connect(&sink).await;
    client.reply().await;
    assert!(!client.ask("EHLO me").await.contains("AUTH"));
    assert!(client.ask("AUTH PLAIN AG1lAHNlY3JldA==").await.starts_with("503"));
    client.ask("STARTTLS").await;
    let mut client = client.secure().await;
    assert!(client.ask("EHLO me").await.contains("AUTH"));
    assert!(client.ask("AUTH PLAIN").await.starts_with("334"));
    assert!(client.ask("AG1lAHNlY3JldA==").await.starts_with("235"));
}

#[tokio::test]
async fn one_recipient_may_be_refused_and_the_others_still_get_it() {
    let script = SmtpScript::new().behave(|moment| match moment.phase {
        Phase::Rcpt if moment.recipients == ["gone@d"] => Act::Reply(550, "5.1.1 gone@d\nis gone".into()),
        _ => Act::Usual,
    });
    let sink = sink(script).await;
    let mut client = Client::connect(&sink).await;
    client.reply().await;
    client.send("EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nRCPT TO:<gone@d>\r\nDATA\r\n").await;
    let mut replies = Vec::new();
    for _ in 0..5 {
        replies.push(client.reply().await);
    }
    assert_eq!(replies[3], "550-5.1.1 gone@d\r\n550 is gone\r\n");
    assert!(client.ask(".").await.starts_with("250"));
    assert_eq!(sink.mails()[0].rcpt, ["c@d"]);
}

#[tokio::test]
async fn a_refusal_at_any_phase_keeps_nothing_and_the_next_try_can_go_well() {
    for phase in [Phase::Mail, Phase::Rcpt, Phase::Data, Phase::Dot] {
        let script = SmtpScript::new().behave(move |moment| {
            if moment.phase == phase && moment.nth == 0 { Act::Reply(451, "4.3.0 later".into()) } else { Act::Usual }
        });
        let sink = sink(script).await;
        let mut client = Client::connect(&sink).await;
        client.reply().await;
        client.ask("EHLO me").await;
        for line in ["MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "x\r\n."] {
            if client.ask(line).await.starts_with("451") {
                break;
            }
        }
        assert_eq!(sink.accepted(), 0, "{phase:?}");
        client.ask("RSET").await;
        assert!(client.another_mail("c@d").await.starts_with("250"), "{phase:?}");
        assert_eq!((sink.accepted(), sink.reached(phase)), (1, 2), "{phase:?}");
    }
}

#[tokio::test]
async fn a_connection_can_be_dropped_at_every_phase_and_the_message_kept_only_on_purpose() {
    let cases = [
        (Phase::Greeting, Act::Drop, 0),
        (Phase::Ehlo, Act::Drop, 0),
        (Phase::Mail, Act::Drop, 0),
        (Phase::Rcpt, Act::Drop, 0),
        (Phase::Data, Act::Drop, 0),
        (Phase::Content, Act::Drop, 0),
        (Phase::Dot, Act::Drop, 0),
        (Phase::Dot, Act::KeepAndDrop, 1),
    ];
    for (phase, act, kept) in cases {
        let sink = sink(SmtpScript::new().at(phase, act.clone())).await;
        let mut client = Client::connect(&sink).await;
        let mut last = client.reply().await;
        for line in ["EHLO me", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "x\r\n."] {
            if last.is_empty() {
                break;
            }
            last = client.ask(line).await;
        }
        assert_eq!(last, "", "{phase:?}");
        assert_eq!((sink.accepted(), sink.reached(phase)), (kept, 1), "{phase:?} {act:?}");
    }
}

#[tokio::test]
async fn a_stalled_session_says_nothing_and_stops_with_the_sink() {
    for phase in [Phase::Greeting, Phase::Mail, Phase::Content, Phase::Dot] {
        let sink = sink(SmtpScript::new().at(phase, Act::Stall)).await;
        let mut client = Client::connect(&sink).await;
        client.send("EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n").await;
        let all = async { while !client.reply().await.is_empty() {} };
        assert!(tokio::time::timeout(Duration::from_millis(30), all).await.is_err(), "{phase:?} ended");
        assert_eq!((sink.accepted(), sink.open_connections()), (0, 1), "{phase:?}");
        tokio::time::timeout(SOON, sink.stop()).await.expect("a stalled connection does not hold up the stop");
    }
}

#[tokio::test]
async fn a_slow_rejection_waits_and_refuses_and_a_slow_acceptance_keeps() {
    let wait = Duration::from_millis(20);
    let script = SmtpScript::new().behave(move |moment| match (moment.phase, moment.nth) {
        (Phase::Dot, 0) => Act::slow_rejection(wait),
        (Phase::Dot, _) => Act::After(wait, Box::new(Act::Usual)),
        _ => Act::Usual,
    });
    let sink = sink(script).await;
    let mut client = Client::connect(&sink).await;
    let started = std::time::Instant::now();
    assert!(client.mail("c@d").await.starts_with("554"));
    assert!(started.elapsed() >= wait);
    assert_eq!(sink.accepted(), 0);
    assert!(client.another_mail("c@d").await.starts_with("250"));
    assert_eq!(sink.accepted(), 1);
}

#[tokio::test]
async fn replies_can_dribble_and_never_end() {
    let dribbling = sink(SmtpScript::new().at(Phase::Dot, Act::Dribble(Duration::from_millis(1)))).await;
    assert_eq!(Client::connect(&dribbling).await.mail("c@d").await, "250 2.0.0 queued\r\n");
    assert_eq!(dribbling.accepted(), 1);
    for (act, line_ends) in [(Act::EndlessLine, false), (Act::Flood, true)] {
        let sink = sink(SmtpScript::new().at(Phase::Ehlo, act)).await;
        let mut client = Client::connect(&sink).await;
        client.reply().await;
        client.send("EHLO me\r\n").await;
        let mut much = vec![0; 200_000];
        client.0.read_exact(&mut much).await.unwrap();
        assert!(much.starts_with(b"250-"));
        assert_eq!(much.contains(&b'\n'), line_ends);
    }
}

#[tokio::test]
async fn a_counting_sink_keeps_nothing_and_a_small_one_the_newest() {
    for (keep, left) in [(Keep::Count, vec![]), (Keep::Newest(2), vec!["b@d", "c@d"])] {
        let sink = sink(SmtpScript::new().keep(keep)).await;
        let mut client = Client::connect(&sink).await;
        client.mail("a@d").await;
        client.another_mail("b@d").await;
        client.another_mail("c@d").await;
        sink.wait_for(3, SOON).await.unwrap();
        assert_eq!(sink.mails().into_iter().flat_map(|mail| mail.rcpt).collect::<Vec<_>>(), left);
        let short = sink.wait_for(4, Duration::from_millis(1)).await.unwrap_err();
        assert_eq!((short.wanted, short.seen), (4, 3));
        sink.clear();
        assert_eq!((sink.mails().len(), sink.accepted(), sink.connections()), (0, 3, 1));
    }
}

#[tokio::test]
async fn a_dropped_sink_closes_its_port() {
    let sink = sink(SmtpScript::new()).await;
    let address = sink.address();
    assert!(address.ip().is_loopback());
    let mut client = Client::connect(&sink).await;
    client.reply().await;
    drop(sink);
    assert_eq!(client.reply().await, "");
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(SOON, closed).await.expect("nobody listens any more");
}
