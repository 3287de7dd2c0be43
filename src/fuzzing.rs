//! What the readers of foreign bytes are held to: one target for each of them, fed by cargo-fuzz and by `cargo test`.
//!
//! A target makes a case out of bytes (a body, a template, a file and how it is cut into pieces), gives it to the code and checks what that
//! code promises. The targets stand beside the code they hold, in its `fuzz.rs`, because they need its inside; this is the list of them.
//! Corpora (`tests/corpora/<target>/`) are replayed through the same functions by a plain `cargo test`; `just fuzz TARGET` looks for more.
//!
//! Promises: the same bytes make the same case, in every build; no release has any of this (tests and the feature `fuzzing` only).
//! Never: a file, a socket or the time of day; a person who is not made up.

#[cfg(test)]
mod tests;

/// What takes the bytes of one input, and panics where a promise is broken.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("envelope", crate::event::fuzz::envelope),
    ("people", crate::event::fuzz::people),
    ("condition", crate::rules::fuzz::condition),
    ("template", crate::template::fuzz::template),
    ("ledger_records", crate::ledger::fuzz::ledger_records),
    ("vault_records", crate::vault::fuzz::vault_records),
    ("smtp", crate::provider::fuzz::smtp),
    ("mail", crate::message::mime::fuzz::mail),
    ("import", crate::vault::import::fuzz::import),
    ("numbers", crate::vault::import::fuzz::numbers),
    ("gateway", crate::provider::fuzz::gateway),
    ("signature", crate::intake::fuzz::signature),
];

/// Runs one target over one input.
///
/// # Panics
/// When a promise is broken, or no target has this name.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("the name is one of the list");
    target(bytes);
}
