//! Judging what comes back.

use std::fmt;

use md5::{Digest, Md5};

use super::{HEADER, LONGEST_PACKET, attributes, kind, message_authenticator};

/// What must be known of a request to judge replies to it.
#[derive(Clone, Copy)]
pub struct Sent<'a> {
    pub identifier: u8,
    pub authenticator: &'a [u8; 16],
    pub secret: &'a [u8],
    /// Whether a reply without Message-Authenticator is refused.
    pub message_authenticator: bool,
}

/// Why a reply is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyError {
    /// No reply to this request, or no packet at all: whoever sent it, it says nothing.
    Foreign(&'static str),
    /// Whoever sent it has another secret, or has not seen this request.
    Authenticator,
    MessageAuthenticator,
    NoMessageAuthenticator,
}

/// The code of a reply that is genuine. Attributes are looked at only for the Message-Authenticator.
///
/// Octets behind the packet's length are padding (RFC 2865 §3).
pub fn read_reply(octets: &[u8], sent: &Sent<'_>) -> Result<u8, ReplyError> {
    let &[code, identifier, high, low, ..] = octets else {
        return Err(ReplyError::Foreign("shorter than a packet's head"));
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !(HEADER..=LONGEST_PACKET).contains(&length) {
        return Err(ReplyError::Foreign("a length that no packet has"));
    }
    let packet = octets
        .get(..length)
        .ok_or(ReplyError::Foreign("shorter than its length says"))?;
    if identifier != sent.identifier {
        return Err(ReplyError::Foreign("another identifier"));
    }
    let (head, rest) = packet.split_at(HEADER);
    let right: [u8; 16] = Md5::new()
        .chain_update(&head[..4])
        .chain_update(sent.authenticator)
        .chain_update(rest)
        .chain_update(sent.secret)
        .finalize()
        .into();
    if head[4..] != right {
        return Err(ReplyError::Authenticator);
    }
    let found = attributes::parse(rest).map_err(ReplyError::Foreign)?;
    let mut codes = 0;
    let mut start = 0;
    for (kind, value) in found {
        if kind == kind::MESSAGE_AUTHENTICATOR {
            codes += 1;
            let (before, behind) = (&rest[..start + 2], &rest[start + 2 + value.len()..]);
            let right = |request: &[u8; 16]| {
                let parts = [&head[..4], request, before, &[0; 16], behind];
                value == message_authenticator(sent.secret, &parts)
            };
            // RFC 3579 has the request's authenticator in it. FreeRADIUS 3 has zeros in replies to accounting; that this is
            // the reply to this request, the other authenticator has shown.
            if codes > 1 || !(right(sent.authenticator) || right(&[0; 16])) {
                return Err(ReplyError::MessageAuthenticator);
            }
        }
        start += 2 + value.len();
    }
    match codes {
        0 if sent.message_authenticator => Err(ReplyError::NoMessageAuthenticator),
        _ => Ok(code),
    }
}

/// Makes the octets a packet of their own length with the authenticator of a genuine reply, as a server does. `false`: too short
/// or too long. For fakes and fuzzers.
#[doc(hidden)]
pub fn sign_reply(octets: &mut [u8], request: &[u8; 16], secret: &[u8]) -> bool {
    let Ok(length) = u16::try_from(octets.len()) else {
        return false;
    };
    if !(HEADER..=LONGEST_PACKET).contains(&octets.len()) {
        return false;
    }
    octets[2..4].copy_from_slice(&length.to_be_bytes());
    octets[4..HEADER].copy_from_slice(request);
    let authenticator = Md5::new().chain_update(&*octets).chain_update(secret).finalize();
    octets[4..HEADER].copy_from_slice(&authenticator);
    true
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReplyError::Foreign(why) => why,
            ReplyError::Authenticator => {
                "the reply has a wrong authenticator: the secrets differ, or somebody forges replies"
            }
            ReplyError::MessageAuthenticator => "the reply has a wrong Message-Authenticator: somebody forges replies",
            ReplyError::NoMessageAuthenticator => {
                "the reply has no Message-Authenticator, which [accounting.radius] message-authenticator requires"
            }
        })
    }
}
