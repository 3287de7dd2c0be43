//! Every request that people can make, and the scope it belongs to.
//!
//! Promises: a route without a scope cannot be written down here, and `/v1` has no other; the scope is asked before the handler
//! reads a word of the request; the table can be walked (`docs/openapi.json` is held to it).
//! Never: a route of two scopes: what differs by method is two lines.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, on};

use crate::config::Access;
use crate::config::Access::{Operate, Pii, Read, Templates};

use super::caller::Caller;
use super::{
    Desk, bulk, coverage, customers, find, lists, operate, people, probe, quarantine, rehearse, reports, shadow,
};

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// One request that can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// What a token needs for it.
    pub(super) access: Access,
    pub(super) method: Method,
    /// With the names of its parts, as `/v1/events/{key}`.
    pub(super) path: &'static str,
}

/// Routes with their scopes.
pub(super) struct Routes {
    desk: Arc<Desk>,
    /// What `/v1` answers.
    pub(super) router: Router<Arc<Desk>>,
    /// The same, to be walked.
    pub(super) table: Vec<Route>,
}

impl Routes {
    /// The API of a desk.
    pub(super) fn of(desk: &Arc<Desk>) -> Self {
        let none = Self { desk: desk.clone(), router: Router::new(), table: Vec::new() };
        none.on(Read, GET, "/v1/status", probe::status)
            .on(Read, GET, "/v1/events", find::recent)
            .on(Read, POST, "/v1/events/find", find::by_value)
            .on(Read, GET, "/v1/events/{key}", find::event)
            .on(Read, GET, "/v1/events/{key}/explain", rehearse::explain)
            .on(Read, GET, "/v1/shadow", shadow::shadow)
            .on(Templates, POST, "/v1/replay", rehearse::replay)
            .on(Read, GET, "/v1/notifications", find::notifications)
            .on(Read, GET, "/v1/notifications/{id}", find::notification)
            .on(Operate, POST, "/v1/notifications/cancel", bulk::cancel)
            .on(Operate, POST, "/v1/notifications/requeue", bulk::requeue)
            .on(Read, GET, "/v1/quarantine", quarantine::list)
            .on(Read, GET, "/v1/quarantine/{seq}", quarantine::show)
            .on(Operate, DELETE, "/v1/quarantine/{seq}", quarantine::drop_one)
            .on(Pii, POST, "/v1/quarantine/{seq}/reveal", quarantine::reveal)
            .on(Operate, POST, "/v1/quarantine/{seq}/redrive", quarantine::redrive)
            .on(Read, GET, "/v1/pauses", operate::pauses)
            .on(Operate, POST, "/v1/pauses", operate::pause)
            .on(Operate, POST, "/v1/pauses/end", operate::resume)
            .on(Read, GET, "/v1/mode", operate::modes)
            .on(Operate, PUT, "/v1/mode", operate::set_mode)
            .on(Read, GET, "/v1/brake", operate::brake)
            .on(Operate, POST, "/v1/brake/release", operate::release_brake)
            .on(Read, GET, "/v1/reports/outcomes", reports::outcomes)
            .people()
    }

    fn people(self) -> Self {
        self.on(Read, GET, "/v1/vault/coverage", coverage::coverage)
            .on(Read, GET, "/v1/vault/stats", people::stats)
            .on(Pii, POST, "/v1/vault/put", people::put)
            .on(Pii, POST, "/v1/vault/get", people::get)
            .on(Pii, POST, "/v1/vault/find", people::find)
            .on(Pii, POST, "/v1/vault/delete", people::delete)
            .on(Pii, POST, "/v1/vault/import", people::import)
            .on(Read, GET, "/v1/vault/lists", lists::states)
            .on(Pii, POST, "/v1/vault/lists", lists::begin)
            .on(Pii, POST, "/v1/vault/lists/numbers", lists::add)
            .on(Pii, POST, "/v1/vault/lists/finish", lists::finish)
            .on(Pii, GET, "/v1/reports/unreachable", reports::unreachable)
            .on(Pii, GET, "/v1/customers/{alias}", customers::get)
            .on(Pii, PUT, "/v1/customers/{alias}", customers::put)
            .on(Pii, PATCH, "/v1/customers/{alias}", customers::patch)
            .on(Pii, DELETE, "/v1/customers/{alias}", customers::delete)
            .on(Pii, POST, "/v1/customers:bulk", customers::bulk)
    }

    /// One more: the only way in.
    fn on<H, T>(mut self, access: Access, method: Method, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, Arc<Desk>>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).expect("every method here is one of HTTP's own");
        let route = Arc::new(Route { access, method, path });
        self.table.push(Route::clone(&route));
        let desk = self.desk.clone();
        let guard = middleware::from_fn(move |caller: Caller, request: Request, next: Next| {
            let (desk, route) = (desk.clone(), route.clone());
            async move {
                match desk.permit(&caller, &route).await {
                    Ok(()) => next.run(request).await,
                    Err(refusal) => refusal.into_response(),
                }
            }
        });
        self.router = self.router.route(path, on(filter, handler).route_layer(guard));
        self
    }
}
