//! People's doors: probes, metrics, and the API that every command and (later) every page uses.
//!
//! Promises: answers carry ids, names, codes and counts, never a person, but for the two audited exits (`vault get` and
//! `quarantine show --reveal`); every exit and every change is in the audit before it is answered; `/v1` needs the bearer
//! token, or the local socket, whose file only the daemon's user can open; a refusal never repeats what was typed.
//! Never: a search value in a URL (they end up in logs of proxies): searches are POST bodies. `/v1/customers/{alias}` takes
//! an identifier that a CRM chose, and no number or address.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;

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
mod shadow;
mod socket;
#[cfg(test)]
pub(crate) mod tests;
mod view;
mod window;

pub use bulk::Operate;
pub use desk::Desk;
pub use filter::{Filter, ReasonWord, StateWord};
pub use socket::bind_socket;

/// Largest request, bytes: a batch of an import with long attributes.
const MAX_BODY: usize = 64 << 20;
/// Longest request: people ask for bulk work, which takes as long as it takes.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Which door a request came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// TCP: `/v1` needs the bearer token.
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
            Self::Vault(fault) if fault.is_of_the_record() => StatusCode::BAD_REQUEST,
            Self::Ledger(_) | Self::Vault(_) | Self::AuditBefore(_) | Self::AuditAfter(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
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
        (status, Json(Body { error: self.to_string() })).into_response()
    }
}

/// An answer of the admin API.
pub(crate) type Answer<T> = Result<Json<T>, AdminError>;

/// Bounds of the listeners of people's doors: those of the intake, but for the time that a request may take.
pub fn limits(intake: Limits) -> Limits {
    Limits { body_timeout: PATIENCE, connection_max_age: PATIENCE, ..intake }
}

/// The routes behind one door.
pub fn router(desk: &Desk, door: Door) -> Router {
    let desk = Arc::new(desk.clone());
    let mut v1 = Router::new()
        .route("/v1/status", get(probe::status))
        .route("/v1/events", get(find::recent))
        .route("/v1/events/find", post(find::by_value))
        .route("/v1/events/{key}", get(find::event))
        .route("/v1/events/{key}/explain", get(rehearse::explain))
        .route("/v1/shadow", get(shadow::shadow))
        .route("/v1/replay", post(rehearse::replay))
        .route("/v1/notifications", get(find::notifications))
        .route("/v1/notifications/{id}", get(find::notification))
        .route("/v1/notifications/cancel", post(bulk::cancel))
        .route("/v1/notifications/requeue", post(bulk::requeue))
        .route("/v1/quarantine", get(quarantine::list))
        .route("/v1/quarantine/{seq}", get(quarantine::show).delete(quarantine::drop_one))
        .route("/v1/quarantine/{seq}/reveal", post(quarantine::reveal))
        .route("/v1/quarantine/{seq}/redrive", post(quarantine::redrive))
        .route("/v1/pauses", get(operate::pauses).post(operate::pause))
        .route("/v1/pauses/end", post(operate::resume))
        .route("/v1/mode", get(operate::modes).put(operate::set_mode))
        .route("/v1/brake", get(operate::brake))
        .route("/v1/brake/release", post(operate::release_brake))
        .route("/v1/vault/coverage", get(coverage::coverage))
        .route("/v1/vault/stats", get(people::stats))
        .route("/v1/vault/put", post(people::put))
        .route("/v1/vault/get", post(people::get))
        .route("/v1/vault/find", post(people::find))
        .route("/v1/vault/delete", post(people::delete))
        .route("/v1/vault/import", post(people::import))
        .route("/v1/vault/lists", get(lists::states).post(lists::begin))
        .route("/v1/vault/lists/numbers", post(lists::add))
        .route("/v1/vault/lists/finish", post(lists::finish))
        .route(
            "/v1/customers/{alias}",
            get(customers::get).put(customers::put).patch(customers::patch).delete(customers::delete),
        )
        .route("/v1/customers:bulk", post(customers::bulk));
    v1 = v1.layer(middleware::from_fn(move |request, next| caller::introduce(door, request, next)));
    if door == Door::Token {
        v1 = v1.layer(middleware::from_fn_with_state(desk.clone(), require_token));
    }
    Router::new()
        .route("/livez", get(probe::live))
        .route("/readyz", get(probe::ready))
        .route("/metrics", get(probe::metrics))
        .merge(v1)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(desk)
}

async fn require_token(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let token = given.and_then(|v| v.strip_prefix("Bearer "));
    let expected = desk.house.config.admin.token_sha256.as_deref();
    if token.zip(expected).is_some_and(|(token, expected)| token_matches(token, expected)) {
        return next.run(request).await;
    }
    tracing::warn!("admin request with a wrong or missing token");
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response()
}

/// Compares the hash of what was given, in constant time, with the configured hash in hexadecimal.
fn token_matches(token: &str, expected_hex: &str) -> bool {
    let hash = digest::digest(&digest::SHA256, token.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    verify_slices_are_equal(hex.as_bytes(), expected_hex.to_ascii_lowercase().as_bytes()).is_ok()
}
