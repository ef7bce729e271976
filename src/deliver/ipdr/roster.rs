//! Who may connect, and which collector it is.

use std::net::{IpAddr, Ipv4Addr};

use super::{PriorityOrder, SessionSetting, Settings, choice::Rank};
use crate::config::Network;

/// Collectors that nobody configured, at a time.
const MOST_GUESTS: usize = 8;

/// Those after the configured collectors are guests.
#[derive(Debug)]
pub(super) struct Roster {
    known: Vec<(IpAddr, Option<Ipv4Addr>)>,
    allow: Vec<Network>,
    any_collector: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Known(usize),
    Guest,
}

impl Roster {
    pub(super) fn new(settings: &Settings) -> Roster {
        let known = |collector: &super::CollectorSetting| (collector.address.to_canonical(), collector.initiator);
        Roster {
            known: settings.collectors.iter().map(known).collect(),
            allow: settings.allow.clone(),
            any_collector: settings.any_collector,
        }
    }

    pub(super) fn guests(&self) -> usize {
        if self.any_collector { MOST_GUESTS } else { 0 }
    }

    /// Whether somebody at this address may connect, and ask for versions.
    pub(super) fn lets_in(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.known.iter().any(|(known, _)| *known == address)
            || self.allow.iter().any(|network| network.contains(address))
            || (self.any_collector && self.allow.is_empty())
    }

    /// The address that a connection comes from counts before the one that CONNECT names: some put anything there.
    pub(super) fn identify(
        &self,
        address: IpAddr,
        initiator: [u8; 4],
        is_connected: impl Fn(usize) -> bool,
    ) -> Option<Who> {
        let address = address.to_canonical();
        let initiator = Some(Ipv4Addr::from(initiator));
        let all = || self.known.iter().enumerate();
        let here: Vec<usize> = all()
            .filter(|(_, known)| known.0 == address)
            .map(|(index, _)| index)
            .collect();
        let by_source = match here.as_slice() {
            [] => None,
            [only] => Some(*only),
            several => {
                let named = several.iter().find(|index| self.known[**index].1 == initiator);
                let unnamed = || several.iter().filter(|index| self.known[**index].1.is_none());
                named
                    .or_else(|| unnamed().find(|index| !is_connected(**index)))
                    .or_else(|| unnamed().next())
                    .copied()
            }
        };
        let by_name = || all().find(|(_, known)| known.1 == initiator).map(|(index, _)| index);
        match by_source {
            Some(index) => Some(Who::Known(index)),
            None if !here.is_empty() || !self.lets_in(address) => None,
            None => by_name()
                .map(Who::Known)
                .or_else(|| self.any_collector.then_some(Who::Guest)),
        }
    }

    /// The ranks of all collectors in a session, guests included.
    pub(super) fn ranks(&self, settings: &Settings, session: &SessionSetting) -> Vec<Option<Rank>> {
        let rank = |priority: u32| match settings.order {
            PriorityOrder::Ascending => Rank::from(priority),
            PriorityOrder::Descending => Rank::from(u32::MAX - priority),
        };
        let mut ranks: Vec<Option<Rank>> = match &session.collectors {
            None => settings.collectors.iter().map(|one| Some(rank(one.priority))).collect(),
            Some(chosen) => {
                let of = |index| chosen.iter().find(|(one, _)| *one == index);
                let all = 0..settings.collectors.len();
                all.map(|index| of(index).map(|(_, priority)| rank(*priority)))
                    .collect()
            }
        };
        ranks.resize(self.known.len() + self.guests(), Some(Rank::MAX));
        ranks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::ipdr::CollectorSetting;

    fn collector(address: &str, initiator: Option<[u8; 4]>) -> CollectorSetting {
        CollectorSetting {
            name: address.to_owned(),
            address: address.parse().unwrap(),
            initiator: initiator.map(Ipv4Addr::from),
            priority: 1,
            dial: None,
        }
    }

    fn roster(any_collector: bool) -> Roster {
        Roster::new(&Settings {
            collectors: vec![
                collector("192.0.2.1", None),
                collector("192.0.2.2", Some([10, 0, 0, 1])),
                collector("192.0.2.2", Some([10, 0, 0, 2])),
                collector("192.0.2.3", None),
                collector("192.0.2.3", None),
            ],
            allow: vec!["198.51.100.0/24".parse().unwrap()],
            any_collector,
            ..Settings::default()
        })
    }

    fn identify(roster: &Roster, address: &str, initiator: [u8; 4], connected: &[usize]) -> Option<Who> {
        roster.identify(address.parse().unwrap(), initiator, |index| connected.contains(&index))
    }

    #[test]
    fn the_source_address_counts_first() {
        let roster = roster(false);
        for address in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert_eq!(identify(&roster, address, [10, 0, 0, 2], &[]), Some(Who::Known(0)));
        }
    }

    #[test]
    fn collectors_of_one_address_are_told_apart() {
        let roster = roster(false);
        assert_eq!(identify(&roster, "192.0.2.2", [10, 0, 0, 2], &[]), Some(Who::Known(2)));
        assert_eq!(identify(&roster, "192.0.2.2", [10, 0, 0, 9], &[]), None);
        // Nothing tells these apart but that one is connected already.
        for (connected, expected) in [(vec![], 3), (vec![3], 4), (vec![3, 4], 3)] {
            let who = identify(&roster, "192.0.2.3", [0; 4], &connected);
            assert_eq!(who, Some(Who::Known(expected)));
        }
    }

    #[test]
    fn from_an_allowed_address_the_name_counts() {
        let roster = roster(false);
        assert_eq!(
            identify(&roster, "198.51.100.7", [10, 0, 0, 1], &[]),
            Some(Who::Known(1))
        );
        assert_eq!(identify(&roster, "198.51.100.7", [10, 0, 0, 9], &[]), None);
        assert_eq!(identify(&roster, "203.0.113.1", [10, 0, 0, 1], &[]), None);
        assert!(roster.lets_in("198.51.100.7".parse().unwrap()));
        assert!(!roster.lets_in("203.0.113.1".parse().unwrap()));
    }

    #[test]
    fn a_stranger_is_a_guest_only_where_any_collector_may_come() {
        let mut roster = roster(true);
        assert_eq!(identify(&roster, "198.51.100.7", [10, 0, 0, 9], &[]), Some(Who::Guest));
        assert_eq!(identify(&roster, "203.0.113.1", [10, 0, 0, 9], &[]), None);
        roster.allow.clear();
        assert_eq!(identify(&roster, "203.0.113.1", [10, 0, 0, 9], &[]), Some(Who::Guest));
    }
}
