//! Runs `ctx_hub::fuzzing::outbox_record` on what libFuzzer thinks up.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ctx_hub::fuzzing::outbox_record(bytes));
