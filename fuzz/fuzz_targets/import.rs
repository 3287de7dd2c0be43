//! `sealpost::fuzzing` has the target.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sealpost::fuzzing::run("import", bytes));
