//! Writes documents.

use std::io::{self, Write};

use chrono::{DateTime, Utc};
use quick_xml::events::attributes::Attribute;
use sha2::{Digest, Sha256};

use super::encoder::Encoder;
use super::{Body, CHECKSUM_BEGIN, CHECKSUM_END, CISCO_SCHEMA, DocId, NAMESPACE, SCHEMA, VERSION, hex, lexical};
use crate::config::Profile;
use crate::record::{DocumentInformation, Record, Text};

/// Octets that are gathered before they are handed on.
pub(super) const FLUSH: usize = 64 << 10;

/// What stands in the first lines of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub doc_id: DocId,
    /// When the document was begun; the docId says the same, to the second.
    pub created: DateTime<Utc>,
    /// Name of the host that wrote it (`IPDRRecorderInfo`).
    pub recorder: Text,
    pub profile: Profile,
}

/// What [`write()`] has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Number of IPDR records, the document information record included.
    pub count: u64,
    /// Octets of the whole document, its last line included.
    pub octets: u64,
    /// Of the same octets.
    pub sha256: [u8; 32],
}

/// Writes a whole document: header, document information record, the records of `body`, end, and with `checksum` a
/// last line with the SHA-256 of everything before it. In profile `cisco-samis` the document information record and
/// the last line are left out.
///
/// `out` is best unbuffered: it gets pieces of about 64 KiB. It is not flushed.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] and nothing written when the parts contradict each other, so that [`super::verify`]
/// would refuse the document, or when a time cannot be written; otherwise what `out` or the file behind `body` returned, and what was written is of no
/// use.
pub fn write<W: Write>(
    out: W,
    header: &Header,
    information: Option<&DocumentInformation>,
    body: &mut Body,
    end_time: DateTime<Utc>,
    checksum: bool,
) -> io::Result<Written> {
    let information = information.filter(|_| header.profile == Profile::Full);
    check(header, information, body).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))?;

    time(end_time)?;
    let mut writer = Writer::begin(Sealing::new(out), header)?;
    if let Some(information) = information {
        writer.record(&information.to_record())?;
    }
    writer.records_of(body)?;
    let (mut out, count) = writer.end(end_time)?;
    if checksum && header.profile == Profile::Full {
        let digest = hex(&out.digest.clone().finalize());
        out.write_all(format!("{CHECKSUM_BEGIN}{digest}{CHECKSUM_END}").as_bytes())?;
    }
    Ok(Written {
        count,
        octets: out.octets,
        sha256: out.digest.finalize().into(),
    })
}

/// What [`super::verify`] would find fault with must not be written.
fn check(header: &Header, information: Option<&DocumentInformation>, body: &Body) -> Result<(), String> {
    if !header.doc_id.is_of(header.created) {
        return Err(format!(
            "docId {} does not carry the creation time {}",
            header.doc_id, header.created
        ));
    }
    let Some(information) = information else {
        return match header.profile {
            Profile::Full => Err("a document of profile full needs a document information record".to_owned()),
            Profile::CiscoSamis | Profile::CiscoSamis35 => Ok(()),
        };
    };
    if information.sequence != header.doc_id.sequence() {
        return Err(format!(
            "document {} cannot have the sequence number {}",
            header.doc_id, information.sequence
        ));
    }
    let counted = information
        .sources
        .iter()
        .try_fold(0u64, |sum, source| sum.checked_add(source.records));
    if counted != Some(body.count()) {
        return Err(format!(
            "the sources count {} records, but there are {}",
            counted.map_or("too many".to_owned(), |sum| sum.to_string()),
            body.count()
        ));
    }
    Ok(())
}

/// Writes a document piece by piece: header, any number of records, end. It checks each record by itself; what the
/// records say together is the caller's business. For documents that go to the spool use [`write()`].
///
/// After an I/O error the document is broken: drop the writer.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    encoder: Encoder,
    buffer: Vec<u8>,
    count: u64,
}

impl<W: Write> Writer<W> {
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] when the year is not within 1 and 9999.
    pub fn begin(out: W, header: &Header) -> io::Result<Self> {
        let created = time(header.created)?;
        let doc_id = header.doc_id.to_string();
        let schema_location = match header.profile {
            Profile::Full => format!("{NAMESPACE} {SCHEMA}"),
            Profile::CiscoSamis | Profile::CiscoSamis35 => CISCO_SCHEMA.to_owned(),
        };
        // Collectors know by it which names the elements have, whatever the header of a uBR says (IPDR 0.41 of CPAN).
        let version = match header.profile {
            Profile::Full | Profile::CiscoSamis => VERSION,
            Profile::CiscoSamis35 => "3.5",
        };
        let attributes = [
            ("xmlns", NAMESPACE),
            ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance"),
            ("xsi:schemaLocation", &schema_location),
            ("docId", &doc_id),
            ("creationTime", &created),
            ("IPDRRecorderInfo", header.recorder.as_str()),
            ("version", version),
        ];
        let mut buffer = Vec::with_capacity(FLUSH + FLUSH / 4);
        buffer.extend_from_slice(b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<IPDRDoc");
        for (name, value) in attributes {
            let attribute = Attribute::from((name, value));
            write!(buffer, "\n{name}=\"{}\"", attribute.value)?;
        }
        buffer.extend_from_slice(b">\n");
        Ok(Writer {
            out,
            encoder: Encoder::default(),
            buffer,
            count: 0,
        })
    }

    /// # Errors
    /// [`io::ErrorKind::InvalidData`] with the names of definition and field when the record does not fit its
    /// definition. Nothing of the record is written then, and the writer can go on.
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        self.encoder.append(&mut self.buffer, record)?;
        self.count += 1;
        if self.buffer.len() >= FLUSH {
            self.flush()?;
        }
        Ok(())
    }

    fn records_of(&mut self, body: &mut Body) -> io::Result<()> {
        self.flush()?;
        body.copy_to(|piece| self.out.write_all(piece))?;
        self.count += body.count();
        Ok(())
    }

    /// Writes the end and everything that still waits. Returns `out`, not flushed, and the number of records.
    pub fn end(mut self, end_time: DateTime<Utc>) -> io::Result<(W, u64)> {
        let end_time = time(end_time)?;
        write!(
            self.buffer,
            "<IPDRDoc.End count=\"{}\" endTime=\"{end_time}\"/>\n</IPDRDoc>\n",
            self.count
        )?;
        self.flush()?;
        Ok((self.out, self.count))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

fn time(time: DateTime<Utc>) -> io::Result<String> {
    lexical::time(time).map_err(|misfit| io::Error::new(io::ErrorKind::InvalidData, misfit.to_string()))
}

/// Counts and digests what goes through.
struct Sealing<W> {
    out: W,
    octets: u64,
    digest: Sha256,
}

impl<W> Sealing<W> {
    fn new(out: W) -> Self {
        Sealing {
            out,
            octets: 0,
            digest: Sha256::new(),
        }
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let written = self.out.write(octets)?;
        self.digest.update(&octets[..written]);
        self.octets += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
