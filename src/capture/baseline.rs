//! The counters of the last document, and whether those of now can be compared with them.
//!
//! The source gives the baseline to the ledger as octets and gets it back at the next capture. Octets that cannot be
//! read mean that nothing can be compared: every interface counts as new. They never stop a capture.
//!
//! Layout, integers in LEB128 unless their size is given: version (1 octet); 1 and boot id (16 octets), or 0; 1 and
//! inode of the namespace, or 0; then for each interface length of its name (not 0), name, ifIndex and eight counters;
//! 0 at the end. An interface of low traffic takes some 30 octets.

use std::collections::HashMap;

use super::netlink::Counters;
use crate::record::Discontinuity;

const VERSION: u8 = 1;

/// Where counters come from. What is not known is never the same as anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// `/proc/sys/kernel/random/boot_id`
    pub boot: Option<[u8; 16]>,
    /// Inode number of the network namespace. The kernel may give it again after the namespace has ended.
    pub namespace: Option<u64>,
}

impl Place {
    pub fn is_known(&self) -> bool {
        self.boot.is_some() && self.namespace.is_some()
    }
}

/// One interface with its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    pub index: u32,
    pub counters: Counters,
}

/// Whether an interface's counters can be compared with those that its name had in the document before.
///
/// The first line that fits counts:
///
/// | in the document before | boot id   | namespace | ifIndex   | counters             | result       |
/// |------------------------|-----------|-----------|-----------|----------------------|--------------|
/// | no                     |           |           |           |                      | new          |
/// | yes                    | differs   |           |           |                      | reboot       |
/// | yes                    | same      | differs   |           |                      | recreated    |
/// | yes                    | same      | same      | differs   |                      | recreated    |
/// | yes                    | same      | same      | same      | one of them is lower | counterLower |
/// | yes                    | same      | same      | same      | none is lower        | none         |
pub fn discontinuity(before: Option<(Place, Reading)>, place: Place, now: Reading) -> Discontinuity {
    let Some((place_before, before)) = before else {
        return Discontinuity::New;
    };
    if !same(place_before.boot, place.boot) {
        Discontinuity::Reboot
    } else if !same(place_before.namespace, place.namespace) || before.index != now.index {
        Discontinuity::Recreated
    } else if went_back(&before.counters, &now.counters) {
        Discontinuity::CounterLower
    } else {
        Discontinuity::None
    }
}

fn same<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    a.is_some() && a == b
}

fn went_back(before: &Counters, now: &Counters) -> bool {
    list(before).iter().zip(list(now)).any(|(before, now)| now < *before)
}

/// The baseline of the last document.
#[derive(Debug, Default)]
pub struct Before<'a> {
    pub place: Place,
    readings: HashMap<&'a [u8], Kept>,
}

#[derive(Debug)]
struct Kept {
    reading: Reading,
    still_there: bool,
}

/// The baseline cannot be read: it was damaged, or written by another release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the counters kept of the last document cannot be read")]
pub struct Unreadable;

impl<'a> Before<'a> {
    pub fn read(octets: &'a [u8]) -> Result<Self, Unreadable> {
        let mut input = Input { rest: octets };
        if input.octet()? != VERSION {
            return Err(Unreadable);
        }
        let place = Place {
            boot: input.optional(|input| Ok(*input.octets(16)?.first_chunk().ok_or(Unreadable)?))?,
            namespace: input.optional(Input::number)?,
        };
        let mut readings = HashMap::new();
        loop {
            let length = input.number()?;
            if length == 0 {
                break;
            }
            let name = input.octets(usize::try_from(length).map_err(|_| Unreadable)?)?;
            let reading = Reading {
                index: u32::try_from(input.number()?).map_err(|_| Unreadable)?,
                counters: input.counters()?,
            };
            let kept = Kept {
                reading,
                still_there: false,
            };
            readings.insert(name, kept);
        }
        match input.rest {
            [] => Ok(Before { place, readings }),
            _ => Err(Unreadable),
        }
    }

    /// What the name had in the document before. Remembers that the name is still there.
    pub fn take(&mut self, name: &[u8]) -> Option<(Place, Reading)> {
        let kept = self.readings.get_mut(name)?;
        kept.still_there = true;
        Some((self.place, kept.reading))
    }

    /// The interfaces that were not taken, by ifIndex.
    pub fn not_taken(&self) -> Vec<(&'a [u8], Reading)> {
        let mut gone: Vec<_> = self
            .readings
            .iter()
            .filter(|(_, kept)| !kept.still_there)
            .map(|(name, kept)| (*name, kept.reading))
            .collect();
        gone.sort_unstable_by_key(|(name, reading)| (reading.index, *name));
        gone
    }
}

/// The baseline for the next document, while it grows.
pub struct After {
    octets: Vec<u8>,
}

impl After {
    pub fn new(place: Place) -> Self {
        let mut after = After { octets: vec![VERSION] };
        after.octets.push(u8::from(place.boot.is_some()));
        after.octets.extend(place.boot.iter().flatten());
        after.octets.push(u8::from(place.namespace.is_some()));
        if let Some(inode) = place.namespace {
            after.number(inode);
        }
        after
    }

    /// A name of no octets is not kept: it is the mark of the end.
    pub fn push(&mut self, name: &[u8], reading: Reading) {
        if name.is_empty() {
            return;
        }
        self.number(name.len() as u64);
        self.octets.extend(name);
        self.number(reading.index.into());
        for counter in list(&reading.counters) {
            self.number(counter);
        }
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.number(0);
        self.octets
    }

    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.octets.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.octets.push(value as u8);
    }
}

/// In the order in which they are kept.
fn list(counters: &Counters) -> [u64; 8] {
    [
        counters.in_octets,
        counters.out_octets,
        counters.in_packets,
        counters.out_packets,
        counters.in_errors,
        counters.out_errors,
        counters.in_discards,
        counters.out_discards,
    ]
}

struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn octets(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Unreadable)?;
        self.rest = rest;
        Ok(taken)
    }

    fn octet(&mut self) -> Result<u8, Unreadable> {
        Ok(self.octets(1)?[0])
    }

    fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Unreadable>) -> Result<Option<T>, Unreadable> {
        match self.octet()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Unreadable),
        }
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let octet = self.octet()?;
            let bits = u64::from(octet & 0x7f);
            if bits << shift >> shift != bits {
                return Err(Unreadable);
            }
            value |= bits << shift;
            if octet < 0x80 {
                return Ok(value);
            }
        }
        Err(Unreadable)
    }

    fn counters(&mut self) -> Result<Counters, Unreadable> {
        Ok(Counters {
            in_octets: self.number()?,
            out_octets: self.number()?,
            in_packets: self.number()?,
            out_packets: self.number()?,
            in_errors: self.number()?,
            out_errors: self.number()?,
            in_discards: self.number()?,
            out_discards: self.number()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: Place = Place {
        boot: Some([7; 16]),
        namespace: Some(4_026_531_840),
    };

    fn reading(index: u32, each_counter: u64) -> Reading {
        let n = each_counter;
        Reading {
            index,
            counters: Counters {
                in_octets: n,
                out_octets: n,
                in_packets: n,
                out_packets: n,
                in_errors: n,
                out_errors: n,
                in_discards: n,
                out_discards: n,
            },
        }
    }

    #[test]
    fn a_name_that_was_not_there_is_new() {
        assert_eq!(discontinuity(None, HERE, reading(2, 5)), Discontinuity::New);
    }

    #[test]
    fn another_boot_id_is_a_reboot_whatever_else_differs() {
        let other = Place {
            boot: Some([8; 16]),
            namespace: Some(1),
        };
        let result = discontinuity(Some((other, reading(9, 100))), HERE, reading(2, 5));
        assert_eq!(result, Discontinuity::Reboot);
    }

    #[test]
    fn another_namespace_or_another_index_is_another_interface() {
        let other = Place {
            namespace: Some(1),
            ..HERE
        };
        let result = discontinuity(Some((other, reading(2, 5))), HERE, reading(2, 5));
        assert_eq!(result, Discontinuity::Recreated);
        let result = discontinuity(Some((HERE, reading(3, 5))), HERE, reading(2, 5));
        assert_eq!(result, Discontinuity::Recreated);
    }

    #[test]
    fn each_of_the_eight_counters_that_went_back_is_seen() {
        let lowered: [fn(&mut Counters); 8] = [
            |c| c.in_octets = 4,
            |c| c.out_octets = 4,
            |c| c.in_packets = 4,
            |c| c.out_packets = 4,
            |c| c.in_errors = 4,
            |c| c.out_errors = 4,
            |c| c.in_discards = 4,
            |c| c.out_discards = 4,
        ];
        for lower in lowered {
            let mut now = reading(2, 5);
            lower(&mut now.counters);
            let result = discontinuity(Some((HERE, reading(2, 5))), HERE, now);
            assert_eq!(result, Discontinuity::CounterLower);
        }
    }

    #[test]
    fn counters_that_stand_or_grow_can_be_compared() {
        for now in [5, 6, u64::MAX] {
            let result = discontinuity(Some((HERE, reading(2, 5))), HERE, reading(2, now));
            assert_eq!(result, Discontinuity::None);
        }
    }

    #[test]
    fn what_is_not_known_is_not_the_same() {
        let nowhere = Place::default();
        let result = discontinuity(Some((nowhere, reading(2, 5))), nowhere, reading(2, 5));
        assert_eq!(result, Discontinuity::Reboot);
    }

    #[test]
    fn names_that_were_not_taken_are_told_by_index() {
        let mut after = After::new(HERE);
        for (index, name) in [(9, "ppp9"), (2, "ppp2"), (3, "ppp3")] {
            after.push(name.as_bytes(), reading(index, 1));
        }
        let octets = after.finish();
        let mut before = Before::read(&octets).unwrap();
        assert_eq!(before.take(b"ppp3"), Some((HERE, reading(3, 1))));
        assert_eq!(before.take(b"ppp4"), None);
        let gone: Vec<_> = before.not_taken().into_iter().map(|(name, _)| name).collect();
        assert_eq!(gone, [b"ppp2", b"ppp9"]);
    }

    #[test]
    fn a_baseline_of_another_release_or_cut_off_anywhere_is_not_read() {
        let mut after = After::new(HERE);
        after.push(b"eth0", reading(2, u64::MAX));
        let octets = after.finish();
        assert!(Before::read(&octets).is_ok());
        for end in 0..octets.len() {
            assert_eq!(Before::read(&octets[..end]).unwrap_err(), Unreadable, "cut at {end}");
        }
        let longer = [octets.as_slice(), &[0]].concat();
        assert!(Before::read(&longer).is_err());
        let mut newer = octets;
        newer[0] = VERSION + 1;
        assert!(Before::read(&newer).is_err());
    }

    #[test]
    fn a_number_that_64_bits_cannot_hold_is_not_read() {
        let mut input = Input {
            rest: &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
        };
        assert_eq!(input.number(), Err(Unreadable));
    }

    proptest! {
        #[test]
        fn what_was_kept_is_read_again(
            boot: Option<[u8; 16]>, namespace: Option<u64>,
            name in proptest::collection::vec(any::<u8>(), 1..200), index: u32, each: u64,
        ) {
            let place = Place { boot, namespace };
            let mut after = After::new(place);
            after.push(&name, reading(index, each));
            let octets = after.finish();
            prop_assert_eq!(Before::read(&octets).unwrap().take(&name), Some((place, reading(index, each))));
        }

        #[test]
        fn no_octets_make_the_reader_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Before::read(&octets);
            let _ = Before::read(&[&[VERSION, 0, 0], octets.as_slice()].concat());
        }
    }
}
