//! AUTH PLAIN (RFC 4616) and AUTH LOGIN.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use super::wire::Wire;

/// User name and password, as the client sends them; `None` if they cannot be read.
pub(super) async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    rest: &str,
) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let (mechanism, initial) = rest.split_once(' ').unwrap_or((rest, ""));
    let initial = (!initial.is_empty()).then_some(initial.as_bytes());
    match mechanism.to_ascii_uppercase().as_str() {
        "PLAIN" => {
            let Some(response) = ask(wire, "334 ", initial).await? else { return Ok(None) };
            let mut parts = response.splitn(3, |byte| *byte == 0).skip(1);
            Ok(parts.next().zip(parts.next()).map(|(user, password)| (user.to_vec(), password.to_vec())))
        }
        "LOGIN" => {
            // "Username:" and "Password:", as every client expects them.
            let Some(user) = ask(wire, "334 VXNlcm5hbWU6", initial).await? else { return Ok(None) };
            Ok(ask(wire, "334 UGFzc3dvcmQ6", None).await?.map(|password| (user, password)))
        }
        _ => Ok(None),
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    challenge: &str,
    initial: Option<&[u8]>,
) -> io::Result<Option<Vec<u8>>> {
    if let Some(initial) = initial {
        return Ok(base64(initial));
    }
    wire.say(challenge);
    Ok(wire.line().await?.and_then(|line| base64(&line)))
}

/// RFC 4648, section 4; padding may be missing. `None` for anything else, `*` (cancel) included.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut held) = (0_u32, 0);
    for byte in text {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_reads_what_rfc_4648_lists() {
        let cases: [(&str, Option<&[u8]>); 8] = [
            ("", Some(b"")),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9vYmFy", Some(b"foobar")),
            ("AGEAYg", Some(b"\0a\0b")),
            ("*", None),
            ("Zm 9v", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(super::base64(text.as_bytes()).as_deref(), bytes, "{text}");
        }
    }
}
