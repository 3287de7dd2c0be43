//! Requests that two readers would cut differently: what one takes for a body is the next request to the other.
//!
//! Promises: the second request that hides in each of them, with the right key, never becomes an event; what is acknowledged is
//! journalled, and nothing else; a connection whose framing is in doubt goes on for nobody.
//! Never: a shape that only looks odd: each has a second request, or would have one for somebody.

use super::speak::{POST, agree, is_known, peace, relay, request, say, whole};
use crate::canary::{EMAIL, FIRST};
use crate::support::KEY;

/// Each name, what is said (`HIDDEN` is where the second request stands), and every answer on the connection.
fn shapes() -> Vec<(&'static str, String, &'static [u16])> {
    let post = |headers: &str, body: &str| request(POST, headers, body);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let length = "HIDDEN".len();
    vec![
        // The coding wins, as RFC 9112 (6.3) says, and the connection ends behind it (6.1): an empty body, kept as one that cannot be read.
        ("CL.TE", post(&format!("Content-Length: LENGTH5\r\n{chunked}"), "0\r\n\r\nHIDDEN"), &[200]),
        ("TE before CL", post(&format!("{chunked}Content-Length: LENGTH5\r\n"), "0\r\n\r\nHIDDEN"), &[200]),
        ("TE.CL", post(&format!("Content-Length: 4\r\n{chunked}"), "SIZE\r\nHIDDEN\r\n0\r\n\r\n"), &[200]),
        ("TE with a length that is none", post(&format!("{chunked}Content-Length: x\r\n"), "0\r\n\r\nHIDDEN"), &[200]),
        // No coding but chunked, once and last.
        ("chunked, identity", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\nHIDDEN"), &[400]),
        ("identity", post("Transfer-Encoding: identity\r\nContent-Length: 5\r\n", "0\r\n\r\nHIDDEN"), &[400]),
        ("xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\nHIDDEN"), &[400]),
        ("quoted", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\nHIDDEN"), &[400]),
        ("tab in the coding", post("Transfer-Encoding: chun\tked\r\n", "0\r\n\r\nHIDDEN"), &[400]),
        ("vertical tab", post("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\nHIDDEN"), &[400]),
        ("two codings", post(&format!("{chunked}Transfer-Encoding: identity\r\n"), "0\r\n\r\nHIDDEN"), &[400]),
        ("HTTP/1.0 with a coding", request("POST /v1/events/capillary HTTP/1.0", chunked, "0\r\n\r\nHIDDEN"), &[400]),
        // Names and lines that another reader would mend.
        ("space before the colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\nHIDDEN"), &[400]),
        ("space before the name", post(" Transfer-Encoding: chunked\r\n", "0\r\n\r\nHIDDEN"), &[400]),
        ("folded line", post("X-A: b\r\n Transfer-Encoding: chunked\r\n", "0\r\n\r\nHIDDEN"), &[400]),
        ("folded value", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\nHIDDEN"), &[400]),
        ("NUL in a value", post("X-A: b\0c\r\nContent-Length: LENGTH\r\n", "HIDDEN"), &[400]),
        ("NUL in a name", post("Content\0-Length: LENGTH\r\n", "HIDDEN"), &[400]),
        ("bare CR", post("X-A: b\rContent-Length: 0\r\nContent-Length: LENGTH\r\n", "HIDDEN"), &[400]),
        ("high bytes in a name", post("Cöntent-Length: LENGTH\r\n", "HIDDEN"), &[400]),
        // Two lengths.
        ("two lengths", post("Content-Length: 0\r\nContent-Length: LENGTH\r\n", "HIDDEN"), &[400]),
        ("lengths in a list", post("Content-Length: 0, LENGTH\r\n", "HIDDEN"), &[400]),
        // Chunks.
        ("no size", post(chunked, "\r\nHIDDEN"), &[408]),
        ("size in words", post(chunked, "zz\r\nHIDDEN"), &[408]),
        ("negative size", post(chunked, "-1\r\nHIDDEN"), &[408]),
        ("0x", post(chunked, "0x0\r\n\r\nHIDDEN"), &[408]),
        ("size beyond 64 bits", post(chunked, "1FFFFFFFFFFFFFFFF0\r\nHIDDEN"), &[408]),
        ("bare LF behind a size", post(chunked, "0\n\r\nHIDDEN"), &[408]),
        ("bare LF in an extension", post(chunked, "2;\nxx\r\nHIDDEN\r\n0\r\n\r\n"), &[408]),
        ("a chunk longer than its size", post(chunked, "3\r\nabcd\r\n0\r\n\r\nHIDDEN"), &[408]),
        ("extension", post(chunked, "SIZE;a=b\r\nHIDDEN\r\n0\r\n\r\nEND"), &[200]),
        ("endless extension", post(chunked, &format!("SIZE;{}\r\nHIDDEN\r\n0\r\n\r\n", "x".repeat(20_000))), &[408]),
        ("trailers", post(chunked, "SIZE\r\nHIDDEN\r\n0\r\nContent-Length: 5\r\nX-Sealpost-Key: x\r\n\r\nEND"), &[200]),
        ("endless trailers", post(chunked, &format!("0\r\n{}\r\nHIDDEN", "X-A: b\r\n".repeat(4_000))), &[408]),
        // Bodies that nobody reads.
        (
            "body of a GET",
            request("GET /v1/events/capillary HTTP/1.1", "Content-Length: LENGTH\r\n", "HIDDENEND"),
            &[405],
        ),
        (
            "body of another path",
            request("POST /elsewhere HTTP/1.1", "Content-Length: LENGTH\r\n", "HIDDENEND"),
            &[404],
        ),
        (
            "body of a stranger",
            request("POST /v1/events/nobody HTTP/1.1", "Content-Length: LENGTH\r\n", "HIDDEN"),
            &[401],
        ),
        ("body that is too large", post(&format!("Content-Length: 9{length}99999\r\n"), "HIDDEN"), &[413]),
        // Other ways to address.
        ("CONNECT", "CONNECT relay:80 HTTP/1.1\r\nHost: relay\r\n\r\nHIDDEN".into(), &[404]),
        (
            "upgrade",
            post("Connection: upgrade, close\r\nUpgrade: websocket\r\nContent-Length: LENGTH\r\n", "HIDDEN"),
            &[200],
        ),
        (
            "absolute form",
            request("POST http://elsewhere/v1/events/capillary HTTP/1.1", "Content-Length: LENGTH\r\n", "HIDDENEND"),
            &[200],
        ),
        ("asterisk", request("OPTIONS * HTTP/1.1", "Content-Length: LENGTH\r\n", "HIDDENEND"), &[404]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_that_hides_in_another_becomes_an_event() {
    let relay = relay("header_timeout = \"1s\"\nbody_timeout = \"1s\"").await;
    let said = shapes().into_iter().enumerate().map(|(n, (name, shape, expected))| async move {
        let hidden = whole(&format!("hidden-{n}"));
        let end = format!("GET /{EMAIL}/{FIRST} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n");
        let expects_end = shape.contains("END") && !shape.ends_with("HIDDEN");
        let shape = shape
            .replace("LENGTH5", &(hidden.len() + 5).to_string())
            .replace("LENGTH", &hidden.len().to_string())
            .replace("SIZE", &format!("{:x}", hidden.len()))
            .replace("HIDDEN", &hidden)
            .replace("END", &end);
        (n, name, shape, expected, expects_end)
    });
    let (mut heard, mut wrong) = (Vec::new(), Vec::new());
    for said in said {
        let (n, name, shape, expected, expects_end) = said.await;
        let answer = say(relay.intake, shape.as_bytes(), false).await;
        // The connection goes on where the framing is beyond doubt, with the request that stands behind.
        let expected: Vec<u16> = expected.iter().copied().chain(expects_end.then_some(404)).collect();
        if answer.statuses() != expected {
            wrong.push(format!("{name} ({n}): {:?}, not {expected:?}", answer.statuses()));
        }
        heard.push(answer);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Two whole requests at once are two, and each is told so.
    let close = request(POST, "Connection: close\r\nContent-Length: 2\r\n", "{}");
    let both = say(relay.intake, format!("{}{close}", whole("pipelined")).as_bytes(), false).await;
    assert_eq!(both.statuses(), [200, 200], "{}", both.text);
    heard.push(both);

    agree(&relay, heard.iter().map(super::speak::Heard::acknowledged).sum()).await;
    assert!(is_known(&relay, "pipelined").await, "the search finds what is there");
    for n in 0..shapes().len() {
        assert!(!is_known(&relay, &format!("hidden-{n}")).await, "{} let its second request through", shapes()[n].0);
    }
    let log = peace(relay, &heard).await;
    assert!(!log.contains(KEY), "a key is in the log");
}
