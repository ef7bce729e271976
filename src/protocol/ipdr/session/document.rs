//! The numbers of one document: which of its records exist, which may have reached somebody, which are acknowledged.
//! They belong to the document, not to a collector: whoever goes on with it goes on with them.

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
    }

    /// Gives up the oldest records that are not acknowledged, and counts them.
    pub(super) fn give_up(&mut self, records: u64) -> u64 {
        let given_up = records.min(self.records - self.acknowledged);
        self.acknowledged += given_up;
        self.sent = self.sent.max(self.acknowledged);
        self.dropped = self.dropped.saturating_add(given_up);
        given_up
    }
}
