//! Runs `ctx_hub::fuzzing::token` on what libFuzzer thinks up.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ctx_hub::fuzzing::token(bytes));
