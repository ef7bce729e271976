#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| billdrop::capture::cmts::snmp::fuzz::snmp_answer(octets));
