//! The identity of this host towards SNMP version 3 (RFC 3411, RFC 3414).

/// The engine of version 3 that notifications come from: its id and how often it was started.
///
/// A manager refuses a trap whose `boots` is lower than one it has seen, or whose time went back within the same
/// `boots`. Since the engine's time begins at zero in each process, every process that sends traps needs a `boots`
/// of its own, one more than the last, stored before the first trap leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// 5 to 32 octets, neither all 00 nor all FF (RFC 3411, `SnmpEngineID`).
    pub id: Vec<u8>,
    /// 1 to 2147483646 (RFC 3414, section 2.2.2: at 2147483647 the engine has worn out and needs another id).
    pub boots: u32,
}

/// Highest number of boots that an engine may have and still be heard.
pub(super) const MAX_BOOTS: u32 = i32::MAX as u32 - 1;

impl Engine {
    /// The engine id of this host when none is configured: net-snmp's enterprise number, format "MAC address".
    pub fn id_from_mac(mac: [u8; 6]) -> Vec<u8> {
        const NET_SNMP: [u8; 4] = (0x8000_0000 | 8072_u32).to_be_bytes();
        const FORMAT_MAC: u8 = 3;
        [&NET_SNMP[..], &[FORMAT_MAC], &mac].concat()
    }

    /// Reads an engine id in hexadecimal, with or without `0x` in front, octets apart by colons or not at all.
    pub fn parse_id(text: &str) -> Result<Vec<u8>, String> {
        let wrong = |why: &str| {
            format!(
                "{text:?} is not an SNMP engine id: {why}; write 5 to 32 octets in hexadecimal, like 0x80001f8803525400c0ffee"
            )
        };
        let digits = text
            .strip_prefix("0x")
            .or_else(|| text.strip_prefix("0X"))
            .unwrap_or(text);
        let id = match digits.contains(':') {
            true => digits.split(':').map(octet).collect::<Option<Vec<u8>>>(),
            false => digits
                .as_bytes()
                .chunks(2)
                .map(|pair| std::str::from_utf8(pair).ok().and_then(octet))
                .collect(),
        }
        .ok_or_else(|| wrong("not pairs of hexadecimal digits"))?;
        check_id(&id).map_err(wrong)?;
        Ok(id)
    }

    /// The id as operators write it: in `createUser -e` of snmptrapd and in `engine-id` of the configuration.
    pub fn id_text(&self) -> String {
        let digits: String = self.id.iter().map(|octet| format!("{octet:02x}")).collect();
        format!("0x{digits}")
    }

    /// Whether notifications can be sent in the name of this engine.
    pub(super) fn check(&self) -> Result<(), String> {
        check_id(&self.id).map_err(|why| format!("the SNMP engine id {} cannot be used: {why}", self.id_text()))?;
        match self.boots {
            1..=MAX_BOOTS => Ok(()),
            0 => Err("the SNMP engine was never started: its boots must be at least 1".to_owned()),
            _ => Err(format!(
                "the SNMP engine {} was started too often; give it another engine-id",
                self.id_text()
            )),
        }
    }
}

fn octet(pair: &str) -> Option<u8> {
    let digits = pair.len() == 2 && pair.bytes().all(|b| b.is_ascii_hexdigit());
    u8::from_str_radix(pair, 16).ok().filter(|_| digits)
}

fn check_id(id: &[u8]) -> Result<(), &'static str> {
    match id {
        _ if id.len() < 5 => Err("too short"),
        _ if id.len() > 32 => Err("too long"),
        _ if id.iter().all(|octet| *octet == 0) => Err("all octets are 00"),
        _ if id.iter().all(|octet| *octet == 0xFF) => Err("all octets are FF"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_engine_id_is_made_from_the_mac() {
        let id = Engine::id_from_mac([0x52, 0x54, 0x00, 0xC0, 0xFF, 0xEE]);
        let engine = Engine { id, boots: 1 };
        assert_eq!(engine.id_text(), "0x80001f8803525400c0ffee");
        assert_eq!(Engine::parse_id(&engine.id_text()).unwrap(), engine.id);
    }

    #[test]
    fn an_engine_id_is_read_in_the_usual_spellings_and_refused_in_others() {
        let id = vec![0x80, 0x00, 0x1F, 0x88, 0x03];
        for text in ["0x80001f8803", "80001F8803", "80:00:1f:88:03"] {
            assert_eq!(Engine::parse_id(text).unwrap(), id, "{text}");
        }
        let long = "ab".repeat(33);
        for text in [
            "",
            "0x",
            "80001f88",
            "80001f880",
            "80001f880x",
            "8:00:1f:88:03",
            "+0001f8803",
            "é0001f880",
            &long,
        ] {
            assert!(Engine::parse_id(text).is_err(), "{text}");
        }
        assert!(
            Engine::parse_id("0000000000")
                .unwrap_err()
                .contains("all octets are 00")
        );
        assert!(Engine::parse_id("ffffffffff").is_err());
    }

    #[test]
    fn an_engine_that_no_manager_would_hear_is_refused() {
        let engine = |id: &[u8], boots| Engine { id: id.to_vec(), boots };
        assert!(engine(b"12345", 1).check().is_ok());
        assert!(engine(b"1234", 1).check().is_err());
        assert!(engine(b"12345", 0).check().is_err());
        assert!(engine(b"12345", MAX_BOOTS + 1).check().is_err());
    }
}
