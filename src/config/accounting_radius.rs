//! `[accounting.radius]`: what the gatekeeper's ini has no keys for.

use serde::Deserialize;

use super::Span;

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AccountingRadius {
    /// Whether requests carry a Message-Authenticator, and replies must.
    pub message_authenticator: MessageAuthenticator,
    /// What becomes of interim updates.
    pub updates: Updates,
    /// Which age of an event Acct-Delay-Time tells.
    pub delay_time: DelayTime,
    /// How long a server that answered nothing is asked after all others; zero: the listed order each time, as the gatekeeper.
    pub dead_time: Span,
}

/// `never` is the default. The attack known as Blast-RADIUS (CVE-2024-3596) is on Access-Requests, whose authenticator is
/// random; that of an Accounting-Request is a checksum of the whole request with the secret, so there is nothing to be
/// mended. RFC 2869 §5.14 speaks of Access-Requests only, and the gatekeeper sends none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MessageAuthenticator {
    #[default]
    Never,
    /// Sent, as the first attribute; a reply may have one or not.
    Send,
    /// Sent, and a reply without one is refused.
    Require,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Updates {
    /// Like all other requests: acknowledged, with all servers and repetitions.
    #[default]
    Acknowledged,
    /// As the gatekeeper: sent once to the first server, and no reply is awaited.
    Unacknowledged,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DelayTime {
    /// At each transmission. A repetition with another value is a request of its own (RFC 2866 §5.2): new identifier, new
    /// authenticator.
    #[default]
    Transmission,
    /// At the first transmission: repetitions are the same packet, which servers recognise.
    Attempt,
}

impl Default for AccountingRadius {
    fn default() -> Self {
        AccountingRadius {
            message_authenticator: MessageAuthenticator::default(),
            updates: Updates::default(),
            delay_time: DelayTime::default(),
            dead_time: Span::seconds(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_default_and_unknown_ones_are_refused() {
        assert_eq!(toml::from_str::<AccountingRadius>(""), Ok(AccountingRadius::default()));
        let all =
            "message-authenticator = 'require'\nupdates = 'unacknowledged'\ndelay-time = 'attempt'\ndead-time = '1m'";
        let read = toml::from_str::<AccountingRadius>(all).unwrap();
        assert_eq!(read.message_authenticator, MessageAuthenticator::Require);
        assert_eq!(read.updates, Updates::Unacknowledged);
        assert_eq!(read.delay_time, DelayTime::Attempt);
        assert_eq!(read.dead_time, Span::seconds(60));
        assert!(toml::from_str::<AccountingRadius>("dead = '1m'").is_err());
        assert!(toml::from_str::<AccountingRadius>("updates = 'never'").is_err());
    }
}
