//! The ids of an event that people look for: what of them may be kept and shown as it came.
//!
//! Promises: an id that is too long for one, or looks like a person, is kept as its keyed hash, which is the same for every copy and every
//! search; no id is a reason to refuse an event.
//! Never: a change of the de-duplication key, which is made of what was sent.

use super::strip::lookalike;
use crate::id::KeyedHasher;

/// Capillary's ids have 36 characters and fewer.
const LONGEST: usize = 128;

/// An id as it is kept: as it came, or `hash:…` in its place.
pub fn kept_id(hasher: &dyn KeyedHasher, id: &str) -> String {
    let id = id.trim();
    // Words between blanks are somebody's sentence, whatever it says.
    let is_plain = id.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain && id.len() <= LONGEST && !lookalike::perhaps(id) {
        return id.to_owned();
    }
    format!("hash:{}", hasher.keyed_hash("id", &[id.as_bytes()]))
}

/// True for what may be the name of an event: no person's number or address, and nothing that a terminal obeys.
pub(super) fn is_event_name(name: &str) -> bool {
    !name.contains(char::is_control) && !lookalike::perhaps(name)
}
