//! `[accounting.gatekeeper]`, and who may read the status port that billdrop offers.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, de};

use super::{Secret, Size, Span};

/// `[accounting.gatekeeper]`: what all inputs `status:HOST:PORT` have in common.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct StatusInput {
    /// User at the status port, where its `[GkStatus::Auth]` asks for one.
    pub user: Option<String>,
    pub password: Option<Secret>,
    /// Whether a CDR line counts as the stop event of its call where the feed has told none.
    pub cdr_lines: bool,
    /// How often the gatekeeper is asked for a sign of life.
    pub heartbeat: Span,
}

impl Default for StatusInput {
    fn default() -> Self {
        StatusInput {
            user: None,
            password: None,
            cdr_lines: true,
            heartbeat: Span::seconds(30),
        }
    }
}

/// `[accounting.status]`: the status port that billdrop offers at `[accounting] status-listen`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct StatusOutput {
    /// Addresses and networks that may connect.
    pub allowed: Vec<Network>,
    pub max_clients: usize,
    /// What may wait for one client before it is cut off.
    pub queue: Size,
}

impl Default for StatusOutput {
    fn default() -> Self {
        StatusOutput {
            allowed: vec![
                Network::of([127, 0, 0, 0].into(), 8),
                Network::of(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]), 128),
            ],
            max_clients: 20,
            queue: Size::mebibytes(1),
        }
    }
}

/// An address, or a network as in `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    const fn of(address: IpAddr, prefix: u8) -> Self {
        Network { address, prefix }
    }

    /// An IPv4 address that came by an IPv6 socket counts as what it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let shift = 32_u32.saturating_sub(self.prefix.into());
                network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let shift = 128_u32.saturating_sub(self.prefix.into());
                network.to_bits().checked_shr(shift) == address.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("{text:?} is neither an address nor a network; write it like \"192.0.2.7\" or \"192.0.2.0/24\"");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        match prefix.unwrap_or(longest) {
            prefix if prefix <= longest => Ok(Network { address, prefix }),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_addresses_that_begin_like_it() {
        let network: Network = "192.0.2.0/24".parse().unwrap();
        assert!(network.contains("192.0.2.255".parse().unwrap()));
        assert!(network.contains("::ffff:192.0.2.1".parse().unwrap()));
        assert!(!network.contains("192.0.3.0".parse().unwrap()));
        assert!(!network.contains("2001:db8::1".parse().unwrap()));
        let everybody: Network = "0.0.0.0/0".parse().unwrap();
        assert!(everybody.contains("192.0.3.0".parse().unwrap()));
        assert!(!everybody.contains("::1".parse().unwrap()));
        let one: Network = "2001:db8::7".parse().unwrap();
        assert!(one.contains("2001:db8::7".parse().unwrap()));
        assert!(!one.contains("2001:db8::8".parse().unwrap()));
        for wrong in ["", "192.0.2.0/33", "192.0.2/24", "example.net", "::/129", "192.0.2.0/"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn at_first_only_this_host_may_read() {
        let allowed = StatusOutput::default().allowed;
        let may = |address: &str| allowed.iter().any(|network| network.contains(address.parse().unwrap()));
        assert!(may("127.0.0.1") && may("::1"));
        assert!(!may("192.0.2.1") && !may("2001:db8::1"));
    }

    #[test]
    fn keys_are_read_and_unknown_ones_refused() {
        let input: StatusInput = toml::from_str("user = 'op'\npassword = { env = 'GK' }\nheartbeat = '10s'").unwrap();
        assert_eq!(input.user.as_deref(), Some("op"));
        assert!(input.cdr_lines);
        assert!(toml::from_str::<StatusInput>("passwort = 'x'").is_err());
        let output: StatusOutput = toml::from_str("allowed = ['192.0.2.0/24']\nmax-clients = 3").unwrap();
        assert_eq!(output.allowed.len(), 1);
        assert!(toml::from_str::<StatusOutput>("allowed = ['here']").is_err());
    }
}
