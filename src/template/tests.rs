//! Templates as a whole: what loads, what does not, and what comes out.

use super::*;
use crate::config::Fault;

mod bounds;
pub(super) mod kit;
mod links;
mod loading;
mod locales;
mod random;
mod shipped;
mod sms;
mod values;
