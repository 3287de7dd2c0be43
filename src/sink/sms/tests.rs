//! The catcher as a gateway's client sees it.

use super::*;

const SOON: Duration = Duration::from_secs(10);

/// Sends bytes and reads until the other side closes.
async fn talk(sink: &SmsSink, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(sink.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut off also ends the answer.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(body: &str) -> Vec<u8> {
    format!(
        "POST /send?x=1 HTTP/1.1\r\nHost: s\r\nAuthkey: k\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[tokio::test]
async fn a_request_is_kept_whole_and_answered() {
    let sink = SmsSink::start(SmsScript::new()).await.unwrap();
    let answer = talk(&sink, &post("to=1")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(r#"{"status":"accepted"}"#), "{answer}");
    sink.wait_for(1, SOON).await.unwrap();
    let caught = &sink.messages()[0];
    assert_eq!(
        (caught.method.as_str(), caught.path.as_str(), caught.header("authkey")),
        ("POST", "/send?x=1", Some("k"))
    );
    assert_eq!(caught.body, b"to=1");
    sink.stop().await;
}

#[tokio::test]
async fn several_requests_share_a_connection_and_chunks_are_joined() {
    let sink = SmsSink::start(SmsScript::new()).await.unwrap();
    let two =
        b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n\
        GET /b HTTP/1.1\r\nConnection: close\r\n\r\n";
    let answer = talk(&sink, two).await;
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 2, "{answer}");
    let bodies: Vec<(String, Vec<u8>)> = sink.messages().into_iter().map(|sms| (sms.path, sms.body)).collect();
    assert_eq!(bodies, [("/a".to_owned(), b"abcde".to_vec()), ("/b".to_owned(), Vec::new())]);
    assert_eq!(sink.connections(), 1);
}

#[tokio::test]
async fn an_expectation_is_met_before_the_body_comes() {
    let sink = SmsSink::start(SmsScript::new()).await.unwrap();
    let answer =
        talk(&sink, b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")
            .await;
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn the_script_sees_the_request_and_how_many_came_before() {
    let script = SmsScript::new().behave(|sms, nth| match (nth, sms.body.as_slice()) {
        (0, _) => SmsAct::Answer(Answer::new(429, "").header("retry-after", "7")),
        (_, b"bad") => SmsAct::After(Duration::from_millis(1), Box::new(SmsAct::answer(400, r#"{"code":"E1"}"#))),
        _ => SmsAct::redirect(307, "http://elsewhere.invalid/"),
    });
    let sink = SmsSink::start(script).await.unwrap();
    let first = talk(&sink, &post("x")).await;
    assert!(first.starts_with("HTTP/1.1 429 ") && first.contains("retry-after: 7\r\n"), "{first}");
    assert!(talk(&sink, &post("bad")).await.starts_with("HTTP/1.1 400 "));
    let moved = talk(&sink, &post("x")).await;
    assert!(moved.starts_with("HTTP/1.1 307 ") && moved.contains("location: http://elsewhere.invalid/\r\n"), "{moved}");
}

#[tokio::test]
async fn each_misbehaviour_looks_as_it_says() {
    let wrong = SmsAct::WrongLength { claimed: 100, answer: Answer::new(200, "{}") };
    type Looks = fn(&str) -> bool;
    let cases: [(&str, SmsAct, Looks); 4] = [
        ("drop", SmsAct::Drop, str::is_empty),
        ("wrong length", wrong, |a| a.contains("content-length: 100\r\n") && a.ends_with("\r\n\r\n{}")),
        ("garbage", SmsAct::Raw(b"\x16\x03\x01 no".to_vec()), |a| a.ends_with(" no") && !a.contains("HTTP")),
        ("huge", SmsAct::HugeBody(3 * 1024 * 1024 + 5), |a| {
            a.bytes().filter(|b| *b == b'x').count() >= 3 * 1024 * 1024 + 5
        }),
    ];
    for (what, act, looks) in cases {
        let sink = SmsSink::start(SmsScript::new().always(act)).await.unwrap();
        let answer = talk(&sink, &post("q")).await;
        assert!(looks(&answer), "{what}");
        assert_eq!(sink.received(), 1, "{what}: it was read");
    }
}

#[tokio::test]
async fn a_connection_dropped_at_the_door_is_not_a_request() {
    let sink = SmsSink::start(SmsScript::new().drop_connections(|connection| connection == 0)).await.unwrap();
    assert_eq!(talk(&sink, b"").await, "");
    assert_eq!(sink.received(), 0);
    assert!(talk(&sink, &post("x")).await.contains(" 200 "));
    assert_eq!((sink.received(), sink.connections()), (1, 2));
}

#[tokio::test]
async fn a_hanging_gateway_says_nothing_and_still_stops() {
    let sink = SmsSink::start(SmsScript::new().always(SmsAct::Hang)).await.unwrap();
    let mut stream = TcpStream::connect(sink.address()).await.unwrap();
    stream.write_all(&post("x")).await.unwrap();
    sink.wait_for(1, SOON).await.unwrap();
    let mut byte = [0];
    assert!(tokio::time::timeout(Duration::from_millis(30), stream.read(&mut byte)).await.is_err());
    sink.stop().await;
    assert!(matches!(stream.read(&mut byte).await, Ok(0) | Err(_)));
}

#[tokio::test]
async fn a_torn_or_oversized_request_is_not_kept() {
    let sink = SmsSink::start(SmsScript::new()).await.unwrap();
    let mut stream = TcpStream::connect(sink.address()).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc").await.unwrap();
    drop(stream);
    assert_eq!(talk(&sink, b"POST / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n").await, "");
    assert_eq!(talk(&sink, b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n").await, "");
    assert_eq!(talk(&sink, b"nonsense\r\n\r\n").await, "");
    assert_eq!(sink.received(), 0);
}
