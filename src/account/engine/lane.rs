//! What is kept in order: the events of one call pass one after the other, those of different calls beside each other.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// So many that callers seldom meet in one by chance.
const LANES: usize = 4096;

/// Keys that a lane remembers at least, and twice as many at most: half a million in all lanes.
const KEYS: usize = 64;

/// Calls whose last update a lane remembers.
const CALLS: usize = 64;

/// All lanes.
pub struct Lanes {
    lanes: Box<[Mutex<Lane>]>,
    hasher: RandomState,
}

/// Keys are hashes already, with a secret of this process.
type Plain = BuildHasherDefault<Low>;

#[derive(Debug, Default)]
struct Low(u64);

impl Hasher for Low {
    fn write(&mut self, octets: &[u8]) {
        self.0 = octets.first_chunk().map_or(0, |low| u64::from_le_bytes(*low));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The calls that share a lane, one event at a time.
#[derive(Debug, Default)]
pub struct Lane {
    /// Verdicts by key, and those of the generation before.
    known: HashMap<u64, bool, Plain>,
    older: HashMap<u64, bool, Plain>,
    /// When the last update of a call was logged, in seconds since 1970.
    updates: HashMap<u64, i64>,
}

impl Lanes {
    pub fn new() -> Self {
        Lanes {
            lanes: (0..LANES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The lane of a call. Whoever has it is the only one to log an event of this call.
    pub fn enter(&self, lane: u64) -> MutexGuard<'_, Lane> {
        let index = (lane % self.lanes.len() as u64) as usize;
        self.lanes[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when every event that was under way is through.
    pub fn sweep(&self) {
        for lane in &self.lanes {
            drop(lane.lock());
        }
    }

    /// A key is compared with the 128 of its lane at most, so two different ones are taken for the same once in 10¹⁷ events;
    /// and nobody outside can find two such.
    pub fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }
}

impl Lane {
    /// The verdict on the event of this key, if it was seen lately.
    pub fn verdict(&self, key: u64) -> Option<bool> {
        self.known.get(&key).or_else(|| self.older.get(&key)).copied()
    }

    pub fn remember(&mut self, key: u64, verdict: bool) {
        if self.known.len() >= KEYS {
            std::mem::swap(&mut self.older, &mut self.known);
            self.known.clear();
        }
        self.known.insert(key, verdict);
    }

    /// Whether an update comes too early after the one before, or after the call's creation: GnuGk logs none then. Else it
    /// counts as logged.
    pub fn is_early(&mut self, call: u64, created: Option<i64>, now: i64, interval: i64) -> bool {
        let last = self.updates.get(&call).copied().or(created);
        if last.is_some_and(|last| now.saturating_sub(last) < interval) {
            return true;
        }
        self.updated(call, now);
        false
    }

    /// An update of the call was logged.
    pub fn updated(&mut self, call: u64, at: i64) {
        if self.updates.len() >= CALLS
            && let Some(oldest) = self.updates.iter().min_by_key(|(_, at)| **at).map(|(call, _)| *call)
        {
            self.updates.remove(&oldest);
        }
        self.updates.insert(call, at);
    }

    pub fn ended(&mut self, call: u64) {
        self.updates.remove(&call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_remembers_its_latest_keys_and_is_bounded() {
        let mut lane = Lane::default();
        for key in 0..1000 {
            lane.remember(key, key % 2 == 0);
        }
        assert!((0..KEYS as u64).all(|back| lane.verdict(999 - back) == Some((999 - back) % 2 == 0)));
        assert!(lane.known.len() + lane.older.len() <= 2 * KEYS);
        assert_eq!(lane.verdict(0), None);
    }

    #[test]
    fn updates_come_no_sooner_than_the_interval() {
        let mut lane = Lane::default();
        assert!(lane.is_early(1, Some(1000), 1059, 60));
        assert!(!lane.is_early(1, Some(1000), 1060, 60));
        assert!(lane.is_early(1, Some(1000), 1119, 60));
        assert!(!lane.is_early(1, Some(1000), 1121, 60));
        lane.ended(1);
        assert!(!lane.is_early(1, None, 1122, 60), "a call that nobody knows is logged");
    }
}
