//! Says whether a document is what was written.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, BufReader, Read};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{CHECKSUM_BEGIN, CHECKSUM_END, DocId, Limits, ReadError, Reader, hex};
use crate::config::Profile;
use crate::record::{DOCUMENT_INFORMATION, Record, Text, Value, find};
use crate::xml::Place;

/// Octets of the last line of a document with a checksum.
const CHECKSUM_LINE: usize = CHECKSUM_BEGIN.len() + 64 + CHECKSUM_END.len();

/// Octets that are read and digested at once.
const PIECE: usize = 64 << 10;

/// What a document says of itself, after everything in it was found right.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    pub doc_id: DocId,
    pub created: DateTime<Utc>,
    pub recorder: Text,
    pub profile: Profile,
    /// The number within the docId; the same as that of the document information record, where there is one.
    pub sequence: u64,
    /// IPDR records, the document information record included.
    pub records: u64,
    pub end_time: DateTime<Utc>,
    /// The document information record.
    pub information: Option<Record>,
    /// Of the whole file, for the caller to compare with what the ledger says. So is `sha256`.
    pub octets: u64,
    pub sha256: [u8; 32],
    /// Whether the document carries a checksum (it is right then). A file that was cut exactly before its last line
    /// looks like a document that was written without one: only the ledger can tell.
    pub has_checksum: bool,
}

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Line and column, both from 1. [`None`] when it is about the document as a whole.
    pub place: Option<(u64, u64)>,
    pub message: String,
    /// The operating system's reason when the file could not be read: nothing is known of the document then.
    pub io: Option<io::ErrorKind>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Checks a whole document in one pass (`input` needs no buffer): it is well-formed; each record is valid by its definition; the count is that
/// of the records; docId and creation time agree; the checksum, where there is one, is right. In profile `full`
/// besides: the document information record is the first and the only one, its sequence number is that of the docId,
/// its sources count the records that are there, and nothing stands behind the document but the checksum.
///
/// # Errors
/// All that was found, in the order of the document. After octets that are not XML or not a valid record nothing
/// further is looked for.
pub fn verify(input: impl Read, limits: Limits) -> Result<Verified, Vec<Finding>> {
    let input = BufReader::with_capacity(PIECE, Digesting::new(input));
    let mut reader = Reader::new(input, limits).map_err(|error| vec![error.into()])?;
    let mut census = Census::default();
    loop {
        match reader.next_record() {
            Ok(Some(record)) => census.count(record, reader.place()),
            Ok(None) => break,
            Err(error) => {
                census.findings.push(error.into());
                return Err(census.findings);
            }
        }
    }
    let header = reader.header().clone();
    let (records, octets) = (reader.records(), reader.octets());
    let Some(end) = reader.end() else {
        return Err(vec![Finding::whole("the document has no end")]);
    };
    let (seal, digests) = reader.into_input().into_inner().finish();

    if header.profile == Profile::Full || census.information.is_some() {
        census.check_information(records, header.doc_id);
    }
    let mut findings = census.findings;
    let mut check = |is_right: bool, message: String| {
        if !is_right {
            findings.push(Finding::whole(message));
        }
    };
    check(
        end.count == records,
        format!("IPDRDoc.End counts {} records, but there are {records}", end.count),
    );
    check(
        header.doc_id.is_of(header.created),
        format!(
            "docId {} is of another time than the creation time {}",
            header.doc_id, header.created
        ),
    );
    if let Seal::Wrong { said, is } = &seal {
        check(
            false,
            format!("octets were changed: the checksum says {said}, but it is {is}"),
        );
    }
    // Ours is known to the last octet: the line end of the last tag, then at most the checksum.
    let own_end = octets + 1 + if seal == Seal::None { 0 } else { CHECKSUM_LINE as u64 };
    if header.profile == Profile::Full && digests.octets != own_end {
        check(
            false,
            "the octets behind the document are not those that were written".to_owned(),
        );
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    Ok(Verified {
        doc_id: header.doc_id,
        created: header.created,
        recorder: header.recorder,
        profile: header.profile,
        sequence: header.doc_id.sequence(),
        records,
        end_time: end.end_time,
        information: census.information,
        octets: digests.octets,
        sha256: digests.sha256,
        has_checksum: seal == Seal::Right,
    })
}

/// What the records say about each other.
#[derive(Default)]
struct Census {
    information: Option<Record>,
    /// For each source that the document information record names: records it promises, records that bear its name.
    sources: HashMap<String, (u64, u64)>,
    records: u64,
    /// Records that bear the name of no such source, and the first such name.
    strangers: u64,
    stranger: Option<String>,
    /// Records that bear no name.
    nameless: u64,
    findings: Vec<Finding>,
}

impl Census {
    fn count(&mut self, record: Record, place: Place) {
        self.records += 1;
        if *record.definition == DOCUMENT_INFORMATION {
            if self.records != 1 {
                // One finding is enough, however many there are.
                let message = "a document information record stands elsewhere than first";
                if !self.findings.iter().any(|finding| finding.message == message) {
                    self.findings.push(Finding::at(place, message));
                }
                return;
            }
            self.expect(&record);
            self.information = Some(record);
            return;
        }
        match text(&record.values, record.definition.fields, "sourceName") {
            None => self.nameless += 1,
            Some(name) => match self.sources.get_mut(name) {
                Some((_, found)) => *found += 1,
                None => {
                    self.strangers += 1;
                    self.stranger.get_or_insert_with(|| name.to_owned());
                }
            },
        }
    }

    fn expect(&mut self, information: &Record) {
        let fields = DOCUMENT_INFORMATION.fields;
        let Some((index, field)) = find(fields, "sourceStatus") else {
            return;
        };
        let (crate::record::Kind::Structs(children), Value::Structs(items)) = (field.kind, &information.values[index])
        else {
            return;
        };
        for item in items {
            if let (Some(name), Some(records)) = (
                text(item, children, "sourceName"),
                number(item, children, "recordCount"),
            ) && self.sources.insert(name.to_owned(), (records, 0)).is_some()
            {
                self.findings
                    .push(Finding::whole(format!("the source {name} is named twice")));
            }
        }
    }

    fn check_information(&mut self, records: u64, doc_id: DocId) {
        let Some(information) = &self.information else {
            self.findings.push(Finding::whole(
                "the first record is not the document information record",
            ));
            return;
        };
        let sequence = number(&information.values, DOCUMENT_INFORMATION.fields, "sequenceNumber");
        if sequence != Some(doc_id.sequence()) {
            self.findings.push(Finding::whole(format!(
                "the sequence number is {}, but the docId {doc_id} says {}",
                sequence.unwrap_or_default(),
                doc_id.sequence()
            )));
        }
        let promised = self
            .sources
            .values()
            .try_fold(0u64, |sum, (records, _)| sum.checked_add(*records));
        let usage = records - 1;
        if promised != Some(usage) {
            self.findings.push(Finding::whole(format!(
                "the sources count {} records, but there are {usage}",
                promised.map_or("too many".to_owned(), |sum| sum.to_string())
            )));
        }
        let mut sources: Vec<_> = self.sources.iter().collect();
        sources.sort();
        for (name, (promised, found)) in sources {
            // Records without the name of their source may be of any source.
            if found > promised || found + self.nameless < *promised {
                self.findings.push(Finding::whole(format!(
                    "the source {name} counts {promised} records, but {found} bear its name"
                )));
            }
        }
        if let Some(name) = &self.stranger {
            self.findings.push(Finding::whole(format!(
                "{} records are of sources that the document does not name: {name}",
                self.strangers
            )));
        }
    }
}

fn text<'a>(values: &'a [Value], fields: &'static [crate::record::Field], name: &str) -> Option<&'a str> {
    match &values[find(fields, name)?.0] {
        Value::Text(text) => Some(text.as_str()),
        _ => None,
    }
}

fn number(values: &[Value], fields: &'static [crate::record::Field], name: &str) -> Option<u64> {
    match values[find(fields, name)?.0] {
        Value::UnsignedLong(number) => Some(number),
        _ => None,
    }
}

impl Finding {
    fn at(place: Place, message: impl Into<String>) -> Self {
        Finding {
            place: Some((place.line, place.column)),
            message: message.into(),
            io: None,
        }
    }

    fn whole(message: impl Into<String>) -> Self {
        Finding {
            place: None,
            message: message.into(),
            io: None,
        }
    }
}

impl From<ReadError> for Finding {
    fn from(error: ReadError) -> Self {
        Finding {
            place: Some((error.line, error.column)),
            message: error.message,
            io: error.io,
        }
    }
}

/// Digests what the reader takes. The last octets are held back, because the checksum does not cover itself.
struct Digesting<R> {
    input: R,
    digest: Sha256,
    tail: Vec<u8>,
    octets: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Seal {
    None,
    Right,
    Wrong { said: String, is: String },
}

struct Digests {
    octets: u64,
    sha256: [u8; 32],
}

impl<R> Digesting<R> {
    fn new(input: R) -> Self {
        Digesting {
            input,
            digest: Sha256::new(),
            tail: Vec::with_capacity(2 * CHECKSUM_LINE),
            octets: 0,
        }
    }

    fn finish(mut self) -> (Seal, Digests) {
        let seal = match checksum(&self.tail) {
            None => Seal::None,
            Some(said) => {
                let is = hex(&self.digest.clone().finalize());
                if is.as_bytes() == said {
                    Seal::Right
                } else {
                    let said = String::from_utf8_lossy(said).into_owned();
                    Seal::Wrong { said, is }
                }
            }
        };
        self.digest.update(&self.tail);
        let digests = Digests {
            octets: self.octets,
            sha256: self.digest.finalize().into(),
        };
        (seal, digests)
    }
}

/// What stands between the fixed octets of a checksum line.
fn checksum(line: &[u8]) -> Option<&[u8]> {
    if line.len() != CHECKSUM_LINE {
        return None;
    }
    line.strip_prefix(CHECKSUM_BEGIN.as_bytes())?
        .strip_suffix(CHECKSUM_END.as_bytes())
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let amount = self.input.read(into)?;
        let octets = &into[..amount];
        // What comes before the last octets of these is not the last line.
        let sure = amount.saturating_sub(CHECKSUM_LINE);
        if sure > 0 {
            self.digest.update(&self.tail);
            self.digest.update(&octets[..sure]);
            self.tail.clear();
        }
        self.tail.extend_from_slice(&octets[sure..]);
        let excess = self.tail.len().saturating_sub(CHECKSUM_LINE);
        self.digest.update(&self.tail[..excess]);
        self.tail.drain(..excess);
        self.octets += amount as u64;
        Ok(amount)
    }
}
