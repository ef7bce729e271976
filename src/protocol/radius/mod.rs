//! RADIUS accounting (RFC 2866) as octets: requests to send, replies to judge. No sockets, no clock.
//!
//! A request is made of [`Attributes`], which are the same for every server and every repetition, and of what belongs to one
//! transmission ([`Request`]): identifier, secret, Acct-Delay-Time, Message-Authenticator. A reply is believed only when its
//! authenticator shows that somebody answers who knows the secret and has seen this very request ([`read_reply`]).

mod attributes;
mod reply;
#[cfg(test)]
mod tests;

pub use attributes::{Attributes, Fit, parse};
pub use reply::{ReplyError, Sent, read_reply, sign_reply};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

/// Longest packet, header included (RFC 2865 §3).
pub const LONGEST_PACKET: usize = 4096;

/// Code, identifier, length, authenticator.
pub const HEADER: usize = 20;

/// Longest value of an attribute.
pub const LONGEST_VALUE: usize = 253;

pub const ACCOUNTING_REQUEST: u8 = 4;
pub const ACCOUNTING_RESPONSE: u8 = 5;

/// Enterprise number of Cisco, whose attributes gatekeepers use for calls.
pub const CISCO: u32 = 9;

/// Numbers of the attributes (RFC 2865, 2866, 2869, 3162, 6911).
pub mod kind {
    pub const USER_NAME: u8 = 1;
    pub const NAS_IP_ADDRESS: u8 = 4;
    pub const SERVICE_TYPE: u8 = 6;
    pub const FRAMED_IP_ADDRESS: u8 = 8;
    pub const CLASS: u8 = 25;
    pub const VENDOR_SPECIFIC: u8 = 26;
    pub const CALLED_STATION_ID: u8 = 30;
    pub const CALLING_STATION_ID: u8 = 31;
    pub const NAS_IDENTIFIER: u8 = 32;
    pub const ACCT_STATUS_TYPE: u8 = 40;
    pub const ACCT_DELAY_TIME: u8 = 41;
    pub const ACCT_SESSION_ID: u8 = 44;
    pub const ACCT_SESSION_TIME: u8 = 46;
    pub const NAS_PORT_TYPE: u8 = 61;
    pub const MESSAGE_AUTHENTICATOR: u8 = 80;
    pub const NAS_IPV6_ADDRESS: u8 = 95;
    pub const FRAMED_IPV6_ADDRESS: u8 = 168;
}

/// What belongs to one transmission of an Accounting-Request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub identifier: u8,
    /// Seconds since the event; the last attribute. [`None`]: without.
    pub delay: Option<u32>,
    /// Whether a Message-Authenticator (RFC 3579 §3.2) is sent, as the first attribute, where forged prefixes cannot reach it.
    pub message_authenticator: bool,
    pub secret: &'a [u8],
}

impl Request<'_> {
    /// Writes the whole packet over `packet` and returns its authenticator (RFC 2866 §3).
    pub fn write(&self, attributes: &Attributes, packet: &mut Vec<u8>) -> [u8; 16] {
        packet.clear();
        packet.extend_from_slice(&[ACCOUNTING_REQUEST, self.identifier, 0, 0]);
        packet.extend_from_slice(&[0; 16]);
        if self.message_authenticator {
            packet.extend_from_slice(&[kind::MESSAGE_AUTHENTICATOR, 18]);
            packet.extend_from_slice(&[0; 16]);
        }
        packet.extend_from_slice(attributes.octets());
        if let Some(seconds) = self.delay {
            packet.extend_from_slice(&[kind::ACCT_DELAY_TIME, 6]);
            packet.extend_from_slice(&seconds.to_be_bytes());
        }
        // Attributes keep room for both: the length always fits.
        let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
        packet[2..4].copy_from_slice(&length.to_be_bytes());
        if self.message_authenticator {
            // Over the packet with zeros for both authenticators; the request's own is made afterwards and covers this one.
            let code = message_authenticator(self.secret, &[packet]);
            packet[HEADER + 2..HEADER + 18].copy_from_slice(&code);
        }
        let authenticator: [u8; 16] = Md5::new()
            .chain_update(&packet)
            .chain_update(self.secret)
            .finalize()
            .into();
        packet[4..HEADER].copy_from_slice(&authenticator);
        authenticator
    }
}

/// HMAC-MD5 of all parts.
fn message_authenticator(secret: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    // An HMAC takes keys of every length.
    let mut code = Hmac::<Md5>::new_from_slice(secret).expect("an HMAC takes any key");
    for part in parts {
        code.update(part);
    }
    code.finalize().into_bytes().into()
}
