//! `[lookup.<namespace>]`: the brand's own directory of people, asked when somebody is not in the vault.
//!
//! Promises: each field names its key and default; without its table nobody is asked.
//! Never: how it is asked, or a secret in the clear.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// `[lookup.<namespace>]`
#[derive(Clone)]
pub struct LookupConfig {
    /// `url = "https://crm.acme.example/sealpost"`
    pub url: String,
    /// `headers = { Authorization = "Bearer …" }`, or `headers_file` with paths in place of values.
    pub headers: Vec<(String, SecretString)>,
    /// `batch = 100`: people asked for in one request.
    pub batch: usize,
    /// `max_concurrency = 4`: requests at once.
    pub max_concurrency: usize,
    /// `keep = "1d"`: how long what was found stays in the vault.
    pub keep: Duration,
    /// `again_after = "15m"`: when somebody who was not found, or could not be asked for, is asked for again.
    pub again_after: Duration,
    /// `timeout = "10s"`: of one request.
    pub timeout: Duration,
    /// `breaker_failures = 5`: consecutive failures that open the circuit.
    pub breaker_failures: u32,
    /// `breaker_open = "30s"`: first wait before a trial; doubles up to ten times this.
    pub breaker_open: Duration,
    /// `ca_file`: roots to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
}
