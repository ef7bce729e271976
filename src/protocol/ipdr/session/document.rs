//! The numbers of one document: which of its records exist, which may have reached somebody, which are acknowledged.
//! They belong to the document, not to a collector: whoever goes on with it goes on with them.

use std::collections::VecDeque;

use crate::protocol::ipdr::DocumentId;

/// The numbers of a document. `acknowledged` ≤ `sent` ≤ `records`, always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    id: DocumentId,
    /// Records that there are: their sequence numbers are below.
    records: u64,
    /// Sequence numbers below may have been sent to some collector.
    pub(super) sent: u64,
    /// Sequence numbers below need never be sent again.
    acknowledged: u64,
    dropped: u64,
    is_complete: bool,
    /// Records that cannot be read, ahead of what is acknowledged: from, and those before. In their order.
    gaps: VecDeque<(u64, u64)>,
}

impl Document {
    /// A document without records yet.
    pub fn new(id: DocumentId) -> Document {
        Document {
            id,
            records: 0,
            sent: 0,
            acknowledged: 0,
            dropped: 0,
            is_complete: false,
            gaps: VecDeque::new(),
        }
    }

    /// A document that has waited, and of which nothing was sent. `dropped` records before it were given up.
    pub fn waiting(id: DocumentId, records: u64, dropped: u64) -> Document {
        Document {
            records,
            dropped,
            ..Document::new(id)
        }
    }

    /// Goes on with a document after a restart. Which records were sent is not known any more, so all that had been made
    /// count as sent: a record that is marked as duplicate and is none does no harm, the reverse does.
    pub fn resumed(id: DocumentId, records: u64, acknowledged: u64, dropped: u64) -> Document {
        Document {
            id,
            records,
            sent: records,
            acknowledged: acknowledged.min(records),
            dropped,
            is_complete: false,
            gaps: VecDeque::new(),
        }
    }

    pub fn id(&self) -> DocumentId {
        self.id
    }

    pub fn records(&self) -> u64 {
        self.records
    }

    /// The first record that no collector has acknowledged, and the first that the next one gets.
    pub fn first_unacknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Records that were given up; their sequence numbers are missing.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Records below may have been sent to some collector.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// No record will follow, and all are acknowledged or given up.
    pub fn is_done(&self) -> bool {
        self.is_complete && self.acknowledged == self.records
    }

    /// There are so many more records. A document that is complete takes none.
    pub fn add(&mut self, records: u64) {
        if !self.is_complete {
            self.records = self.records.saturating_add(records);
        }
    }

    /// There will be no more records.
    pub fn complete(&mut self) {
        self.is_complete = true;
    }

    /// All records below this number are acknowledged. The caller has made sure that they were sent.
    pub(super) fn acknowledge(&mut self, below: u64) {
        debug_assert!(self.acknowledged <= below && below <= self.sent);
        self.acknowledged = below;
        self.pass_gaps();
    }

    /// The records from `from` on and before `to` cannot be sent. They count as dropped once all before them are
    /// acknowledged.
    pub(super) fn lose(&mut self, from: u64, to: u64) {
        let to = to.min(self.records);
        let from = from.max(self.gaps.back().map_or(self.acknowledged, |gap| gap.1));
        if from < to {
            self.gaps.push_back((from, to));
            self.sent = self.sent.max(to);
            self.pass_gaps();
        }
    }

    /// The first record from `sequence` on that can be sent.
    pub(super) fn behind_gaps(&self, sequence: u64) -> u64 {
        let pass = |sequence, gap: &(u64, u64)| {
            if gap.0 <= sequence {
                gap.1.max(sequence)
            } else {
                sequence
            }
        };
        self.gaps.iter().fold(sequence, pass)
    }

    fn pass_gaps(&mut self) {
        while let Some(&(from, to)) = self.gaps.front().filter(|gap| gap.0 <= self.acknowledged) {
            self.gaps.pop_front();
            let begin = from.max(self.acknowledged);
            if begin < to {
                self.acknowledged = to;
                self.dropped = self.dropped.saturating_add(to - begin);
            }
        }
    }

    /// Gives up the oldest records that are not acknowledged, and counts them.
    pub(super) fn give_up(&mut self, records: u64) -> u64 {
        let given_up = records.min(self.records - self.acknowledged);
        self.acknowledged += given_up;
        self.sent = self.sent.max(self.acknowledged);
        self.dropped = self.dropped.saturating_add(given_up);
        self.pass_gaps();
        given_up
    }
}
