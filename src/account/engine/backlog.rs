//! Events that a module has not logged yet: which, in what order, of which calls. Millions may wait: an event costs a bit,
//! the rest is of fixed size, and the events themselves are in the journal.

use std::collections::{BTreeMap, HashMap};

/// Events whose bits lie together.
const CHUNK: u64 = 1024;

/// Counters of the filter: 1 MiB in all.
const COUNTERS: usize = 1 << 19;

/// Events that are known one by one, so that those of a call can be logged right before its next event.
const MOST_NEAR: usize = 50_000;

/// The events that wait for one module.
#[derive(Debug, Default)]
pub struct Backlog {
    chunks: BTreeMap<u64, Chunk>,
    count: u64,
    /// Events by call, roughly: a counter may serve several calls. Empty while nothing waits.
    calls: Vec<u16>,
    near: HashMap<u64, Vec<Waiting>>,
    near_count: usize,
}

#[derive(Debug)]
struct Chunk {
    bits: [u64; (CHUNK / 64) as usize],
    count: u32,
    /// No event of the chunk that waits lies before this position.
    from: u64,
}

/// An event that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    pub number: u64,
    pub position: u64,
}

/// What is known of a call's events that wait.
#[derive(Debug, PartialEq, Eq)]
pub enum OfCall {
    /// None.
    None,
    /// These, in order, and no others.
    These(Vec<Waiting>),
    /// Perhaps some.
    Perhaps,
}

impl Backlog {
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn contains(&self, number: u64) -> bool {
        let (chunk, word, bit) = place(number);
        self.chunks.get(&chunk).is_some_and(|chunk| chunk.bits[word] & bit != 0)
    }

    pub fn add(&mut self, waiting: Waiting, call: u64) {
        let (chunk, word, bit) = place(waiting.number);
        let chunk = self.chunks.entry(chunk).or_insert(Chunk {
            bits: [0; (CHUNK / 64) as usize],
            count: 0,
            from: waiting.position,
        });
        if chunk.bits[word] & bit != 0 {
            return;
        }
        chunk.bits[word] |= bit;
        chunk.count += 1;
        chunk.from = chunk.from.min(waiting.position);
        self.count += 1;
        if self.calls.is_empty() {
            self.calls = vec![0; COUNTERS];
        }
        let counter = &mut self.calls[counter(call)];
        *counter = counter.saturating_add(1);
        if self.near_count < MOST_NEAR {
            let near = self.near.entry(call).or_default();
            near.push(waiting);
            near.sort_unstable();
            self.near_count += 1;
        }
    }

    /// The module has it now.
    pub fn remove(&mut self, number: u64, call: u64) {
        let (index, word, bit) = place(number);
        let Some(chunk) = self.chunks.get_mut(&index).filter(|chunk| chunk.bits[word] & bit != 0) else {
            return;
        };
        chunk.bits[word] &= !bit;
        chunk.count -= 1;
        if chunk.count == 0 {
            self.chunks.remove(&index);
        }
        self.count -= 1;
        if let Some(counter) = self.calls.get_mut(counter(call)).filter(|n| **n < u16::MAX) {
            *counter = counter.saturating_sub(1);
        }
        if let Some(near) = self.near.get_mut(&call) {
            let before = near.len();
            near.retain(|waiting| waiting.number != number);
            self.near_count -= before - near.len();
            if near.is_empty() {
                self.near.remove(&call);
            }
        }
        if self.count == 0 {
            *self = Backlog::default();
        }
    }

    /// The event cannot be read any more; whose it was is not known.
    pub fn forget(&mut self, number: u64) {
        let (index, word, bit) = place(number);
        if let Some(chunk) = self.chunks.get_mut(&index).filter(|chunk| chunk.bits[word] & bit != 0) {
            chunk.bits[word] &= !bit;
            chunk.count -= 1;
            self.count -= 1;
            if chunk.count == 0 {
                self.chunks.remove(&index);
            }
        }
        if self.count == 0 {
            *self = Backlog::default();
        }
    }

    pub fn of_call(&self, call: u64) -> OfCall {
        let counted = self.calls.get(counter(call)).copied().unwrap_or(0);
        match self.near.get(&call) {
            _ if counted == 0 => OfCall::None,
            Some(near) if near.len() == usize::from(counted) => OfCall::These(near.clone()),
            // Complete as long as every event that waits is known one by one.
            near if self.near_count as u64 == self.count => match near {
                Some(near) => OfCall::These(near.clone()),
                None => OfCall::None,
            },
            _ => OfCall::Perhaps,
        }
    }

    /// Number of the first event that waits, from this number on, and a position before which it does not lie.
    pub fn first_from(&self, number: u64) -> Option<Waiting> {
        self.chunks.range(number / CHUNK..).find_map(|(index, chunk)| {
            let base = index * CHUNK;
            let found = (base.max(number)..base + CHUNK).find(|n| {
                let (_, word, bit) = place(*n);
                chunk.bits[word] & bit != 0
            })?;
            Some(Waiting {
                number: found,
                position: chunk.from,
            })
        })
    }

    /// No event that waits lies before this position.
    pub fn from(&self) -> Option<u64> {
        self.chunks.values().map(|chunk| chunk.from).min()
    }
}

fn place(number: u64) -> (u64, usize, u64) {
    let within = number % CHUNK;
    (number / CHUNK, (within / 64) as usize, 1 << (within % 64))
}

fn counter(call: u64) -> usize {
    (call >> 12) as usize % COUNTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(number: u64) -> Waiting {
        Waiting {
            number,
            position: number * 100,
        }
    }

    #[test]
    fn events_come_back_in_order_and_leave_nothing() {
        let mut backlog = Backlog::default();
        for number in [5000, 3, 1024, 1023, 70_000] {
            backlog.add(waiting(number), number << 12);
        }
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(first) = backlog.first_from(from) {
            assert!(first.position <= first.number * 100);
            found.push(first.number);
            from = first.number + 1;
        }
        assert_eq!(found, [3, 1023, 1024, 5000, 70_000]);
        assert_eq!(backlog.from(), Some(300));
        for number in found {
            backlog.remove(number, number << 12);
            backlog.remove(number, number << 12);
        }
        assert_eq!((backlog.count(), backlog.from()), (0, None));
        assert_eq!(backlog.of_call(3 << 12), OfCall::None);
    }

    #[test]
    fn the_events_of_a_call_are_known_in_order() {
        let mut backlog = Backlog::default();
        for number in [9, 7, 8] {
            backlog.add(waiting(number), 1 << 12);
        }
        backlog.add(waiting(10), 2 << 12);
        let these = [7, 8, 9].map(waiting).to_vec();
        assert_eq!(backlog.of_call(1 << 12), OfCall::These(these));
        assert_eq!(backlog.of_call(3 << 12), OfCall::None);
        // Another call with the same counter.
        let twin = (COUNTERS as u64 + 1) << 12;
        assert_eq!(backlog.of_call(twin), OfCall::None);
    }

    #[test]
    fn ten_million_waiting_events_cost_a_bit_each() {
        let mut backlog = Backlog::default();
        for number in 0..1_000_000 {
            backlog.add(waiting(number), number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        }
        assert_eq!(backlog.near_count, MOST_NEAR);
        assert!(backlog.chunks.len() <= 977);
        assert_eq!(
            backlog.of_call(999_999_u64.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            OfCall::Perhaps
        );
    }
}
