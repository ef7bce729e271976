#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| billdrop::account::fuzz::account_event(octets));
