//! The one way of making an HTTP client: for gateways and for the webhook.
//!
//! Promises: no redirect is followed, no proxy of the environment is used, nothing is tried again by the client itself.
//! Never: plain HTTP to another machine (who builds one has checked the address), or a switch that turns verification off.

use std::path::Path;
use std::time::Duration;

use reqwest::Client;

use super::tls::{self, TlsError};

/// Why there is no client.
pub(super) enum ClientError {
    Tls(TlsError),
    /// The client's own reasons.
    Client,
}

/// A client for one host.
pub(super) fn client(
    https: bool,
    ca_file: Option<&Path>,
    timeout: Duration,
    connections: usize,
) -> Result<Client, ClientError> {
    // reqwest sets up TLS even for plain HTTP to this machine, where the platform's roots may be absent.
    let tls = if https { tls::client(ca_file) } else { tls::nobody() };
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .http1_only()
        .user_agent("sealpost")
        .pool_max_idle_per_host(connections)
        // Shorter than servers keep theirs (Node: 5 s): a request that meets a closing connection is `Ambiguous`.
        .pool_idle_timeout(Duration::from_secs(4))
        // Less than the whole, so that a timeout of the connection is told from one of the answer.
        .connect_timeout((timeout / 2).min(Duration::from_secs(10)))
        .tls_backend_preconfigured(tls.map_err(ClientError::Tls)?)
        .build()
        .map_err(|_| ClientError::Client)
}
