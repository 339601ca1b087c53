//! Runs `ctx_hub::fuzzing::hub_answer` on what libFuzzer thinks up.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ctx_hub::fuzzing::hub_answer(bytes));
