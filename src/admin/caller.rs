//! Who asks: as the door knows them, not as they call themselves; and what they may.
//!
//! Promises: for the local socket the kernel's word (a user id) and every scope, for TCP the name and the scopes of the token;
//! a token is compared with every hash there is, each in constant time; nothing of `/v1` is answered before it is known who asks.
//! Never: a name that the request itself brought; a word about a token that is not known.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::config::{Access, Token};
use crate::id::TokenName;
use crate::serve::Peer;

use super::audit::{Action, Entry};
use super::routes::Route;
use super::{AdminError, Desk, Door};

/// Longest name that a caller may give themselves, in characters.
const LONGEST_NAME: usize = 64;

/// Who asks, for the audit, and what they may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) who: String,
    scopes: BTreeSet<Access>,
}

impl Caller {
    /// Somebody who may do everything: the door was their test.
    pub(super) fn of_the_house(who: impl Into<String>) -> Self {
        Self { who: who.into(), scopes: Access::ALL.into() }
    }

    fn with_token(name: &TokenName, token: &Token) -> Self {
        Self { who: format!("admin token {name}"), scopes: token.scopes.clone() }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let unknown = || Self { who: "unknown door".into(), scopes: BTreeSet::new() };
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_else(unknown))
    }
}

/// Notes on a request who asks; turns away who is not known.
pub(super) async fn introduce(
    State((desk, door)): State<(Arc<Desk>, Door)>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match (door, request.extensions().get::<Peer>()) {
        (Door::Token, _) => match desk.holder(&request) {
            Ok(caller) => caller,
            Err(error) => return error.into_response(),
        },
        (Door::Socket, Some(peer)) => Caller::of_the_house(format!("local socket uid {}", peer.uid)),
        // Without a daemon a command asks the desk in its own process.
        (Door::Socket, None) => Caller::of_the_house(format!("own process uid {}", rustix::process::getuid().as_raw())),
    };
    request.extensions_mut().insert(caller);
    next.run(request).await
}

impl Desk {
    /// Who holds the token of a request.
    fn holder(&self, request: &Request) -> Result<Caller, AdminError> {
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let text = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let Some((name, token)) = known(&self.house.config.admin.tokens, text) else {
            tracing::warn!("admin request with a wrong or missing token");
            return Err(AdminError::NoToken);
        };
        if token.is_expired(self.house.clock.now()) {
            tracing::warn!(token = %name, "admin request with a token that has expired");
            return Err(AdminError::Expired(name.clone()));
        }
        Ok(Caller::with_token(name, token))
    }

    /// Lets a caller through who has the scope of a route. Who has not, and wanted more than to look, is in the audit.
    pub(super) async fn permit(&self, caller: &Caller, route: &Route) -> Result<(), AdminError> {
        if caller.scopes.contains(&route.access) {
            return Ok(());
        }
        let refusal = AdminError::Forbidden { who: caller.who.clone(), needs: route.access };
        if route.access == Access::Read {
            tracing::warn!(who = caller.who, scope = %route.access, "admin request without the scope that it needs");
            return Err(refusal);
        }
        let entry = Entry::new(Action::WithoutScope, caller, "")
            .about("method", &route.method)
            .about("path", route.path)
            .about("scope", route.access);
        self.audited(entry, async { Err::<((), usize), _>(refusal) }).await
    }
}

/// The token that a text is. Nothing here ends early: how long it takes tells neither which token fits nor how nearly.
fn known<'t>(tokens: &'t BTreeMap<TokenName, Token>, text: &str) -> Option<(&'t TokenName, &'t Token)> {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut found = None;
    for (name, token) in tokens {
        for expected in &token.sha256 {
            let fits = verify_slices_are_equal(hex.as_bytes(), expected.as_bytes()).is_ok();
            found = found.or(fits.then_some((name, token)));
        }
    }
    found
}

/// The name that somebody gives themselves, bounded and on one line; `operator` for none.
pub(super) fn calls_themselves(by: &str) -> String {
    let name: String = by.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    if name.trim().is_empty() { "operator".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    // printf %s open-sesame | sha256sum
    const HASH: &str = "d7ecdf25eaf3deba0f2628771dbdd22d4138ab6cf38f91ed02a2ca0dec7c8ab7";
    // printf %s close-sesame | sha256sum
    const OTHER: &str = "30a6420e9fb589b3fcc65d1a26b3a15cb7a6d7a42ab87ffd631ce741ceff3ef1";

    #[test]
    fn a_name_is_bounded_and_stays_on_one_line() {
        for (given, kept) in [("asha", "asha"), ("", "operator"), (" \n", "operator"), ("a\nb", "ab")] {
            assert_eq!(calls_themselves(given), kept, "{given:?}");
        }
        assert_eq!(calls_themselves(&"ä".repeat(500)).chars().count(), 64);
    }

    #[test]
    fn a_token_is_known_by_any_of_its_hashes_and_by_nothing_else() {
        let token = |hashes: &[&str]| Token {
            sha256: hashes.iter().map(|hash| (*hash).to_owned()).collect(),
            scopes: BTreeSet::new(),
            not_after: None,
        };
        let none = "0".repeat(64);
        let tokens = BTreeMap::from([
            ("a".parse().expect("a name"), token(&[&none])),
            ("crm".parse().expect("a name"), token(&[&none, HASH])),
            ("desk".parse().expect("a name"), token(&[OTHER])),
        ]);
        let name = |text: &str| known(&tokens, text).map(|(name, _)| name.to_string());
        assert_eq!(name("open-sesame").as_deref(), Some("crm"));
        assert_eq!(name("close-sesame").as_deref(), Some("desk"));
        for wrong in ["open-sesame ", "Open-sesame", HASH, "", "open"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        assert!(known(&BTreeMap::new(), "open-sesame").is_none());
    }
}
