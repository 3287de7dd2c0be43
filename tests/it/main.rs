//! One integration binary. A tour, in the order of an event:
//!
//! * `house`: the rules of the house that no compiler checks (who may use whom, who may expose a person);
//! * `support`: a whole relay on loopback, with scriptable catchers;
//! * `process`: the real binary, with catchers that survive it;
//! * `needle`: how people are looked for in bytes, which every installation does of itself at its end;
//! * `pipeline`: webhook in, message out: read this first;
//! * `feeds`: reports, daily files and the webhook of a whole relay;
//! * `lookup`: people who stay in the brand's own directory;
//! * `fixtures`: every documented event through the real intake;
//! * `outcomes`: every answer a provider can give;
//! * `doors`: TLS and signatures, as a sender has them;
//! * `senders`: who sends badly, much, slowly or in somebody's name, beside who sends well;
//! * `crash`: `kill -9` of the real binary, at every named point and at random, against a book of its own;
//! * `disk`: power cuts and failing disks under the real binary;
//! * `bench`: the bench itself, small;
//! * `commands`: exit codes of the real binary;
//! * `deploy`: documents, unit, image and manifests, held to the code;
//! * `canary`: a planted person, looked for in every byte the relay writes.

#![allow(unreachable_pub, reason = "nobody outside can reach a test")]

mod bench;
mod canary;
mod commands;
mod crash;
mod customers;
mod deploy;
mod disk;
mod doors;
mod feeds;
mod first_day;
mod fixtures;
mod house;
mod lookup;
mod needle;
mod orgs;
mod outcomes;
mod people;
mod pipeline;
mod process;
mod senders;
mod support;
