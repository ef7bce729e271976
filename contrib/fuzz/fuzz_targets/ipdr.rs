#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| billdrop::protocol::fuzz::ipdr(octets));
