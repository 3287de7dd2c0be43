//! Disks as they fail: power cut at any moment, full, read-only, slow, hanging, gone, under the real binary.
//!
//! Promises: what was told to anybody (an acknowledgement, an exit code, an answer) is there after every power cut that the
//! tape of the disk allows; on a disk that fails, senders get 429 and never a false 200.
//! Never: a fault that the relay's own code helps to make.

mod model;
mod power;
mod shim;
mod tape;
mod trouble;
