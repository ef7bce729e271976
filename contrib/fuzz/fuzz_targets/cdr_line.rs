#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| billdrop::account::fuzz::cdr_line(octets));
