//! The document information record: the first record of every document, which says what the document is.
//!
//! A collector that reads only this record knows whether a document is missing (sequence number, previous docId),
//! which time it covers, and whether anything is known to be missing inside it.

use chrono::{DateTime, Utc};

use super::definition::Presence::{Optional, Required};
use super::{Field, Kind, Record, ServiceDefinition, Text, Value};

/// `DocumentInformation-Type`.
pub static DOCUMENT_INFORMATION: ServiceDefinition = ServiceDefinition {
    name: "DocumentInformation-Type",
    schema: "DocumentInformation.xsd",
    doc: "What this document is: its place in the sequence, the time it covers, and what is known to be missing. \
          The first record of every document, once.",
    fields: FIELDS,
};

const FIELDS: &[Field] = &[
    Field::new(
        "IPDRcreationTime",
        Kind::DateTimeMsec,
        Required,
        "When the capture began, by the recorder's clock.",
    ),
    Field::new(
        "sequenceNumber",
        Kind::UnsignedLong,
        Required,
        "Number of this document, counted by the recorder from 1 without holes. 0: written to standard output, not offered.",
    ),
    Field::new(
        "previousDocId",
        Kind::Uuid,
        Optional,
        "docId of the document before this one. Left out in the first.",
    ),
    Field::new(
        "coversFrom",
        Kind::DateTimeMsec,
        Optional,
        "Begin of the time this document covers: coversTo of the document before. Left out in the first.",
    ),
    Field::new(
        "coversTo",
        Kind::DateTimeMsec,
        Required,
        "End of the time this document covers.",
    ),
    Field::new(
        "closureReason",
        Kind::Enum(CLOSURE_REASONS),
        Required,
        "Why the document was closed, in the sense of 3GPP TS 32.297 (file closure trigger reason).",
    ),
    Field::new(
        "capturesSkipped",
        Kind::UnsignedInt,
        Required,
        "Captures that were refused since the document before, because a file was still waiting for its pickup.",
    ),
    Field::new(
        "remark",
        Kind::Text { max_chars: 1024 },
        Optional,
        "What an auditor must know besides: the ledger was rebuilt, the clock was set back.",
    ),
    Field::new(
        "recorderSoftware",
        Kind::Text { max_chars: 64 },
        Required,
        "Name and version of the program that wrote the document.",
    ),
    Field::new(
        "sourceStatus",
        Kind::Structs(SOURCE_STATUS),
        Optional,
        "One for each source that was asked.",
    ),
];

const SOURCE_STATUS: &[Field] = &[
    Field::new(
        "sourceName",
        Kind::Text { max_chars: 255 },
        Required,
        "Name of the source, as configured.",
    ),
    Field::new(
        "state",
        Kind::Enum(SOURCE_STATES),
        Required,
        "complete: every record is here. incomplete: some are missing. failed: none is here.",
    ),
    Field::new(
        "recordCount",
        Kind::UnsignedLong,
        Required,
        "Records of this source in this document.",
    ),
    Field::new(
        "reason",
        Kind::Text { max_chars: 1024 },
        Optional,
        "Why the source failed or is incomplete, or what was remarkable.",
    ),
];

/// Codes of 3GPP TS 32.297, clause 6.1.1.12 (file closure trigger reason).
const CLOSURE_REASONS: &[(i32, &str)] = &[
    (0, "normal"),
    (1, "fileSizeLimit"),
    (2, "fileOpenTimeLimit"),
    (3, "maximumRecords"),
    (4, "manualIntervention"),
    (5, "encodingChange"),
    (128, "abnormal"),
    (129, "fileSystemError"),
    (130, "fileSystemStorageExhausted"),
    (131, "fileIntegrityError"),
];

const SOURCE_STATES: &[(i32, &str)] = &[(1, "complete"), (2, "incomplete"), (3, "failed")];

/// Why a document was closed. Only the reasons that billdrop has; the schema names them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClosureReason {
    /// Every source was read to its end.
    Normal = 0,
    /// A source failed or is incomplete; what could be captured is in the document.
    Abnormal = 128,
}

/// What became of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    Complete = 1,
    Incomplete = 2,
    Failed = 3,
}

impl SourceState {
    /// The token that stands in documents, logs and `billdrop gaps`.
    pub fn token(self) -> &'static str {
        SOURCE_STATES[self as usize - 1].1
    }
}

/// One source's line in the document information record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    pub name: String,
    pub state: SourceState,
    pub records: u64,
    pub reason: Option<String>,
}

/// Everything that the document information record says.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentInformation {
    pub created: DateTime<Utc>,
    pub sequence: u64,
    pub previous_doc_id: Option<[u8; 16]>,
    pub covers_from: Option<DateTime<Utc>>,
    pub covers_to: DateTime<Utc>,
    pub captures_skipped: u32,
    pub remark: Option<String>,
    pub sources: Vec<SourceStatus>,
}

impl DocumentInformation {
    /// [`ClosureReason::Normal`] when every source is complete.
    pub fn closure_reason(&self) -> ClosureReason {
        if self.sources.iter().all(|s| s.state == SourceState::Complete) {
            ClosureReason::Normal
        } else {
            ClosureReason::Abnormal
        }
    }

    pub fn to_record(&self) -> Record {
        let sources = self.sources.iter().map(SourceStatus::values).collect();
        Record {
            definition: &DOCUMENT_INFORMATION,
            values: vec![
                self.created.into(),
                Value::UnsignedLong(self.sequence),
                self.previous_doc_id.map_or(Value::Absent, Value::Uuid),
                self.covers_from.into(),
                self.covers_to.into(),
                Value::Enum(self.closure_reason() as i32),
                Value::UnsignedInt(self.captures_skipped),
                self.remark.as_deref().map(|r| clipped(r, 1024)).into(),
                clipped(concat!("billdrop ", env!("CARGO_PKG_VERSION")), 64).into(),
                Value::Structs(sources),
            ],
        }
    }
}

impl SourceStatus {
    fn values(&self) -> Vec<Value> {
        vec![
            clipped(&self.name, 255).into(),
            Value::Enum(self.state as i32),
            Value::UnsignedLong(self.records),
            self.reason.as_deref().map(|r| clipped(r, 1024)).into(),
        ]
    }
}

/// Texts of errors come from anywhere: they are made fit for XML and cut to the field's length.
fn clipped(text: &str, max_chars: usize) -> Text {
    let cut = match text.char_indices().nth(max_chars) {
        Some((end, _)) => &text[..end],
        None => text,
    };
    Text::lossy(cut.as_bytes()).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_and_closure_reasons_have_the_tokens_of_their_numbers() {
        use SourceState::*;
        let states = [(Complete, "complete"), (Incomplete, "incomplete"), (Failed, "failed")];
        assert_eq!(states.map(|(code, token)| (code as i32, token)), SOURCE_STATES);
        assert!(states.iter().all(|(state, token)| state.token() == *token));
        for (reason, token) in [(ClosureReason::Normal, "normal"), (ClosureReason::Abnormal, "abnormal")] {
            assert!(CLOSURE_REASONS.contains(&(reason as i32, token)), "{reason:?}");
        }
    }
}
