//! Which versions of the protocol a side speaks: one question and one answer over UDP (IPDR/SP 2.1 §3).
//!
//! A question names an address to answer to. It must not be used: whoever sends a packet could have the answer sent to
//! somebody else. The answer goes where the packet came from.

use super::frame::VERSION;

const QUESTION: usize = 12;

/// The question of a collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionRequest {
    /// Of no use, see above.
    pub address: [u8; 4],
    /// Seconds since 1970.
    pub boot_time: u32,
    pub asks_for: Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `IPDR`: version 2.
    Ipdr,
    /// `CRAN`: version 1, which we do not speak.
    Crane,
}

impl VersionRequest {
    /// [`None`] for everything that is no question; it gets no answer.
    pub fn decode(datagram: &[u8]) -> Option<VersionRequest> {
        let datagram: &[u8; QUESTION] = datagram.try_into().ok()?;
        let asks_for = match &datagram[8..] {
            b"IPDR" => Asked::Ipdr,
            b"CRAN" => Asked::Crane,
            _ => return None,
        };
        let [a, b, c, d, e, f, g, h, ..] = *datagram;
        Some(VersionRequest {
            address: [a, b, c, d],
            boot_time: u32::from_be_bytes([e, f, g, h]),
            asks_for,
        })
    }
}

/// The answer of an exporter that listens on this TCP port, and has no other protocol.
pub fn version_response(port: u16) -> [u8; 16] {
    const TCP: u8 = 1;
    let [high, low] = port.to_be_bytes();
    [0, 0, 0, TCP, 0, 0, 0, VERSION, high, low, 0, 0, 0, 0, 0, 0]
}
