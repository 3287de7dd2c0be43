//! Who asks: as the door knows them, not as they call themselves.
//!
//! Promises: for the local socket the kernel's word (a user id), for TCP the token; every request of `/v1` has one.
//! Never: a name that the request itself brought.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;

use crate::serve::Peer;

use super::Door;

/// Longest name that a caller may give themselves, in characters.
const LONGEST_NAME: usize = 64;

/// Who asks, for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller(pub(super) String);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(|| Self("unknown door".into())))
    }
}

/// Notes on a request who asks.
pub(super) async fn introduce(door: Door, mut request: Request, next: Next) -> Response {
    let caller = match (door, request.extensions().get::<Peer>()) {
        (Door::Token, _) => "admin token".to_owned(),
        (Door::Socket, Some(peer)) => format!("local socket uid {}", peer.uid),
        // Without a daemon a command asks the desk in its own process.
        (Door::Socket, None) => format!("own process uid {}", rustix::process::getuid().as_raw()),
    };
    request.extensions_mut().insert(Caller(caller));
    next.run(request).await
}

/// The name that somebody gives themselves, bounded and on one line; `operator` for none.
pub(super) fn calls_themselves(by: &str) -> String {
    let name: String = by.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    if name.trim().is_empty() { "operator".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::calls_themselves;

    #[test]
    fn a_name_is_bounded_and_stays_on_one_line() {
        for (given, kept) in [("asha", "asha"), ("", "operator"), (" \n", "operator"), ("a\nb", "ab")] {
            assert_eq!(calls_themselves(given), kept, "{given:?}");
        }
        assert_eq!(calls_themselves(&"ä".repeat(500)).chars().count(), 64);
    }
}
