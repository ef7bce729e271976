//! What managers are told.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One thing to tell, with all that its varbinds say. Kept in the ledger as JSON until it has been told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// `ccmtrCollectionNotification` of CISCO-CABLE-METERING-MIB: a document is there, or could not be written.
    Collection {
        status: CollectionStatus,
        /// File name, or `filesystem:name`, of 1 to 80 octets. `ccmtrCollectionDestination`.
        destination: String,
        at: DateTime<Utc>,
    },
    /// `billdropBlocked`: a document waits for its pickup for longer than allowed; no other can be offered.
    Blocked {
        document: String,
        sequence: u64,
        since: DateTime<Utc>,
        captures_skipped: u32,
    },
    /// `billdropSourceFailed`: a source gave no records, or not all.
    SourceFailed {
        source: String,
        reason: String,
        at: DateTime<Utc>,
    },
    /// `billdropGap`: something of the record is missing for good, or was moved aside by hand.
    Gap {
        sequence: u64,
        reason: String,
        at: DateTime<Utc>,
    },
    /// `billdropArchiveGaveWay`: copies of retrieved documents were removed before their time, to make room.
    ArchiveGaveWay {
        /// The last document of those.
        sequence: u64,
        reason: String,
        at: DateTime<Utc>,
    },
    /// `billdropDestinationFailed`: documents could not be brought to a destination, not for the first time.
    DestinationFailed {
        destination: String,
        /// Documents that it is still to get.
        pending: u32,
        reason: String,
        at: DateTime<Utc>,
    },
    /// `billdropDestinationRecovered`: it takes documents again.
    DestinationRecovered { destination: String, at: DateTime<Utc> },
    /// `billdropCollectorSwitched`: another collector has an IPDR session now.
    CollectorSwitched {
        session: String,
        /// Who has it now.
        collector: String,
        reason: String,
        at: DateTime<Utc>,
    },
    /// `billdropTest`: sent by `billdrop notify --test`.
    Test { recorder: String, at: DateTime<Utc> },
}

/// `CcmtrStatus` of CISCO-CABLE-METERING-MIB, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CollectionStatus {
    Unknown = 1,
    Success = 2,
    DeviceFull = 3,
    WriteError = 4,
    FileNotExist = 5,
    ConnectionTimeout = 6,
    DataIncomplete = 7,
}

impl CollectionStatus {
    /// The label in the MIB.
    pub fn label(self) -> &'static str {
        match self {
            CollectionStatus::Unknown => "unknown",
            CollectionStatus::Success => "success",
            CollectionStatus::DeviceFull => "deviceFull",
            CollectionStatus::WriteError => "writeError",
            CollectionStatus::FileNotExist => "fileNotExist",
            CollectionStatus::ConnectionTimeout => "connectionTimeout",
            CollectionStatus::DataIncomplete => "dataIncomplete",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ledger keeps the label, the varbind the number, `status` shows the label: one and the same.
    #[test]
    fn a_collection_status_has_one_label_everywhere() {
        use CollectionStatus::*;
        let all = [
            Unknown,
            Success,
            DeviceFull,
            WriteError,
            FileNotExist,
            ConnectionTimeout,
            DataIncomplete,
        ];
        for (number, status) in (1..).zip(all) {
            assert_eq!(status as i32, number);
            assert_eq!(serde_json::to_value(status).unwrap(), status.label());
        }
    }
}
