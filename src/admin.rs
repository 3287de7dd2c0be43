//! People's doors: probes, metrics, and the API that every command and (later) every page uses.
//!
//! Promises: answers carry ids, names, codes and counts, never a person, but for the two audited exits (`vault get` and
//! `quarantine show --reveal`); every exit and every change is in the audit before it is answered; `/v1` needs a bearer token
//! with the scope of the route, or the local socket, whose file only the daemon's user can open; a refusal never repeats what
//! was typed.
//! Never: a search value in a URL (they end up in logs of proxies): searches are POST bodies. `/v1/customers/{alias}` takes
//! an identifier that a CRM chose, and no number or address.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::config::Access;
use crate::id::TokenName;
use crate::serve::Limits;

mod audit;
mod bulk;
mod caller;
mod coverage;
mod customers;
mod desk;
mod filter;
mod find;
mod lists;
mod operate;
mod people;
mod probe;
mod quarantine;
mod read;
mod rehearse;
mod reports;
mod routes;
mod shadow;
mod socket;
#[cfg(test)]
pub(crate) mod tests;
mod view;
mod window;

pub use bulk::Operate;
pub use desk::Desk;
pub use filter::{Filter, ReasonWord, StateWord};
pub use socket::{bind_socket, is_there as socket_is_there, remove_socket};

use routes::Routes;

/// Largest request, bytes: a batch of an import with long attributes.
const MAX_BODY: usize = 64 << 20;
/// Longest request: people ask for bulk work, which takes as long as it takes.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Which door a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// TCP: `/v1` needs a bearer token with the scope of the route.
    Token,
    /// The local socket: the file's mode is the guard.
    Socket,
}

/// Why a request at the admin door was not carried out.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum AdminError {
    #[error("{0}")]
    Invalid(String),
    #[error("{0} not found")]
    NotFound(&'static str),
    #[error("{0}")]
    Unknown(String),
    #[error("the request is larger than 64 MiB; send it in parts")]
    TooLarge,
    #[error("audit.log in storage.dir cannot be written ({0}), so nothing was done; mend its disk or its mode")]
    AuditBefore(std::io::ErrorKind),
    #[error("it is done, but audit.log in storage.dir could not be told how it ended ({0}); mend its disk or its mode")]
    AuditAfter(std::io::ErrorKind),
    #[error("{0}")]
    Conflict(String),
    #[error("the bearer token is missing or not known; `sealpost token new` makes one")]
    NoToken,
    #[error("admin token {0} has expired; put a later not_after into the configuration, or make a new one")]
    Expired(TokenName),
    #[error("{who} lacks the scope `{needs}`, which this needs; scopes are given in the relay's configuration")]
    Forbidden { who: String, needs: Access },
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
    #[error(transparent)]
    Vault(#[from] crate::vault::VaultError),
    #[error(transparent)]
    Contact(#[from] crate::vault::json::ContactJsonError),
}

impl AdminError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::Contact(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) | Self::Unknown(_) => StatusCode::NOT_FOUND,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::NoToken | Self::Expired(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::Vault(fault) if fault.is_of_the_record() => StatusCode::BAD_REQUEST,
            Self::Ledger(_) | Self::Vault(_) | Self::AuditBefore(_) | Self::AuditAfter(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

impl AdminError {
    /// What programs read of a refusal at the door (RFC 6750 3).
    fn challenge(&self) -> Option<String> {
        match self {
            Self::NoToken => Some("Bearer".into()),
            Self::Expired(_) => Some("Bearer error=\"invalid_token\"".into()),
            Self::Forbidden { needs, .. } => Some(format!("Bearer error=\"insufficient_scope\", scope=\"{needs}\"")),
            _ => None,
        }
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let status = self.status();
        #[derive(Serialize)]
        struct Body {
            error: String,
        }
        let challenge = self.challenge();
        let mut response = (status, Json(Body { error: self.to_string() })).into_response();
        if let Some(challenge) = challenge.and_then(|text| text.parse().ok()) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// An answer of the admin API.
pub(crate) type Answer<T> = Result<Json<T>, AdminError>;

/// Connections at once of each of people's doors.
const MOST_CONNECTIONS: usize = 128;

/// Bounds of the listeners of people's doors: those of the intake, but for the time that a request may take, and fewer connections.
pub fn limits(intake: Limits) -> Limits {
    let max_connections = intake.max_connections.min(MOST_CONNECTIONS);
    Limits { body_timeout: PATIENCE, connection_max_age: PATIENCE, max_connections, ..intake }
}

/// The routes behind one door.
pub fn router(desk: &Desk, door: Door) -> Router {
    let desk = Arc::new(desk.clone());
    let v1 = Routes::of(&desk).router;
    let v1 = v1.layer(middleware::from_fn_with_state((desk.clone(), door), caller::introduce));
    Router::new()
        .route("/livez", get(probe::live))
        .route("/readyz", get(probe::ready))
        .route("/metrics", get(probe::metrics))
        .merge(v1)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(desk)
}
