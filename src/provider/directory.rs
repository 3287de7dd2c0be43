//! The brand's own directory of people, behind a circuit breaker: who is asked when somebody is not in the vault.
//!
//! Promises: one request per call; a directory that fails is left alone for a while, and tried with one request then.
//! Never: what was asked or answered in an error or a log; a person kept.

use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::Readiness;
use super::breaker::{Breaker, Health};
use super::post::{NotTaken, Post, PostError};
use crate::clock::Clock;
use crate::config::LookupConfig;
use crate::telemetry::{ByProvider, Metrics};

/// Bytes that one person's row may have, on average over a request; the vault takes no larger ones either.
const ROW_BYTES: usize = 32 << 10;

/// One directory.
pub struct Directory {
    post: Post,
    headers: Vec<(String, SecretString)>,
    breaker: Breaker,
}

impl Directory {
    /// Makes ready; connects to nothing. `name` is what metrics call it.
    ///
    /// # Errors
    /// What keeps it from being asked.
    pub fn build(name: &str, config: &LookupConfig, clock: Clock, metrics: &Metrics) -> Result<Self, PostError> {
        let (timeout, most) = (config.timeout, config.max_concurrency);
        let post = Post::build(&config.url, config.ca_file.as_ref(), timeout, most, clock.clone())?;
        let gauge = metrics.provider_open.get_or_create_owned(&ByProvider { provider: name.to_owned() });
        let breaker = Breaker::new(config.breaker_failures, config.breaker_open, clock, gauge);
        Ok(Self { post, headers: config.headers.clone(), breaker })
    }

    /// May it be asked now? Lets one trial through when the breaker's wait is over: ask only with a request at hand.
    pub fn readiness(&self) -> Readiness {
        self.breaker.readiness()
    }

    /// One try, for at most `people`.
    ///
    /// # Errors
    /// A code: the status, or a word such as `timeout`.
    pub async fn ask(&self, body: Vec<u8>, people: usize) -> Result<Zeroizing<Vec<u8>>, NotTaken> {
        let generation = self.breaker.generation();
        let headers: Vec<_> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.expose_secret().to_owned())).collect();
        let answer = self.post.ask(&headers, body, people.max(1) * ROW_BYTES).await;
        self.breaker.record(
            generation,
            match &answer {
                Ok(_) => Health::Good,
                Err(refused) if refused.is_refusal() => Health::Refusing,
                Err(_) => Health::Bad,
            },
        );
        answer
    }
}
