//! When which records are acknowledged.

use std::{
    collections::VecDeque,
    ops::Range,
    time::{Duration, Instant},
};

use super::{message::SessionStart, script::Acks};

/// One SESSION_START and what follows it.
pub struct Run {
    /// Index in the log.
    pub document: usize,
    /// The number of the record that is to come.
    pub next: u64,
    pub is_stopped: bool,
    acks: Acks,
    /// Records below are acknowledged, and those from `next` on are not there.
    acknowledged: u64,
    first: u64,
    count: u64,
    interval: Duration,
    /// When the first record came that is not acknowledged.
    since: Option<Instant>,
    /// Numbers that are to be acknowledged, and when.
    waiting: VecDeque<(Instant, u64)>,
    timer: Instant,
    /// How often something was due.
    dues: u64,
}

impl Run {
    pub fn new(document: usize, start: &SessionStart, acks: Acks) -> Self {
        Run {
            document,
            next: start.first_sequence,
            is_stopped: false,
            acks,
            acknowledged: start.first_sequence,
            first: start.first_sequence,
            count: u64::from(start.ack_sequence.max(1)),
            interval: Duration::from_secs(u64::from(start.ack_time)),
            since: None,
            waiting: VecDeque::new(),
            timer: Instant::now(),
            dues: 0,
        }
    }

    /// A record has come.
    pub fn take(&mut self) {
        self.next += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    /// The numbers to acknowledge now, in this order. `all`: the exporter has asked for it, or ended the document.
    pub fn due(&mut self, all: bool) -> Vec<u64> {
        let mut numbers = Vec::new();
        if self.acks == Acks::ZeroOnTimer && self.timer.elapsed() > Duration::from_millis(20) {
            self.timer = Instant::now();
            numbers.push(0);
        }
        if self.acks == Acks::AfterStop && self.is_stopped && all && self.next > self.first {
            numbers.extend([self.next - 1, self.next - 1]);
            return numbers;
        }
        // The first number that was queued and not the first that was sent: acknowledgements that wait are due once.
        let queued = self
            .waiting
            .back()
            .map_or(self.acknowledged, |(_, number)| (number + 1).max(self.acknowledged));
        let outstanding = self.next.saturating_sub(queued);
        let is_time = self.since.is_some_and(|since| since.elapsed() >= self.interval);
        let full = match self.acks {
            Acks::Each => outstanding > 0,
            _ => outstanding >= self.count,
        };
        if outstanding == 0 || !(full || is_time || all) {
            if all {
                self.flush(&mut numbers);
            }
            return self.ripe(numbers);
        }
        self.since = None;
        let last = self.next - 1;
        match self.acks {
            Acks::Orderly | Acks::Each | Acks::ZeroOnTimer => numbers.push(last),
            Acks::Twice => numbers.extend([last, last]),
            Acks::Silly => numbers.extend([self.first, u64::MAX, last, last + 1_000_000_000, i64::MAX as u64, 0]),
            Acks::Late(by) => {
                // With a window of one record, each of them late would take for ever.
                let is_late = self.dues.is_multiple_of(16_384);
                let due = Instant::now() + if is_late { by } else { Duration::ZERO };
                self.waiting.push_back((due, last));
            }
            Acks::OutOfOrder if self.count < 4 => numbers.extend([last, last.saturating_sub(3), last]),
            Acks::OutOfOrder => {
                self.waiting.push_back((Instant::now(), last));
                if self.waiting.len() >= 4 || is_time {
                    self.flush(&mut numbers);
                }
            }
            // One is kept back for the end, as long as the exporter is not kept from sending on.
            Acks::AfterStop if self.count > 1 => numbers.extend((outstanding > 1).then(|| last - 1)),
            Acks::AfterStop => numbers.push(last),
            Acks::Stuck => numbers.push(self.first),
            Acks::Never => {}
        }
        self.dues += 1;
        if all {
            self.flush(&mut numbers);
        }
        self.ripe(numbers)
    }

    /// Those that have waited long enough.
    fn ripe(&mut self, mut numbers: Vec<u64>) -> Vec<u64> {
        if let Acks::Late(_) = self.acks {
            while self.waiting.front().is_some_and(|(due, _)| *due <= Instant::now()) {
                numbers.extend(self.waiting.pop_front().map(|(_, number)| number));
            }
        }
        numbers
    }

    fn flush(&mut self, numbers: &mut Vec<u64>) {
        if self.acks == Acks::OutOfOrder {
            let mut waiting: Vec<u64> = self.waiting.drain(..).map(|(_, number)| number).collect();
            // The last goes out before the first.
            waiting.reverse();
            if waiting.len() > 2 {
                waiting.swap(0, 1);
            }
            numbers.extend(waiting);
        }
    }

    /// The records that an acknowledgement with this number is right about; it says more when it is silly.
    pub fn acknowledge(&mut self, number: u64) -> Option<Range<u64>> {
        let records = self.acknowledged..number.saturating_add(1).min(self.next);
        (!records.is_empty() && number < self.next).then(|| {
            self.acknowledged = records.end;
            records
        })
    }
}
