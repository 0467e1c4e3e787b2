//! A shim; the body is `samanea_sim::fuzz_bodies::rain`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| samanea_sim::fuzz_bodies::rain(bytes));
