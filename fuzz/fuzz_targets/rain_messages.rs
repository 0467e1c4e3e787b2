//! A shim; the body is `samanea_sim::fuzz_bodies::rain_messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| samanea_sim::fuzz_bodies::rain_messages(bytes));
