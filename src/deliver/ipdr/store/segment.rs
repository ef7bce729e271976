//! Parts of documents as octets.
//!
//! ```text
//! head     "bdipdr1\n", length of its body (u32), CRC-32 of its body, body
//! blocks   length of the body (u32), records (u32), sequence number of the first (u64), CRC-32 of the body,
//!          CRC-32 of these 20 octets; body: records, each with its length (u32) before it
//! trailer  what the part holds, and the baselines of its sources
//! foot     place of the trailer (u64), CRC-32 of the trailer, "bdipdr$\n"
//! ```
//!
//! Numbers are in network order, as in the records. The head of a block has a checksum of its own, so that a damaged block
//! can be stepped over.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use chrono::{DateTime, Utc};

use super::files;
use crate::protocol::ipdr::{Defect, DocumentId, FieldDescriptor, Input, Template};

/// Longest record in octets. A message of IPDR/SP could hold more; no collector would.
pub const LONGEST_RECORD: usize = 16 << 20;

/// Octets of records after which a block ends.
pub(super) const BLOCK: usize = 128 << 10;

/// What stands before the records of a block.
pub(super) const BLOCK_HEAD: usize = 24;

/// Longest body of a block: one short of its end, and then the longest record.
pub(super) const LONGEST_BLOCK: usize = BLOCK + 4 + LONGEST_RECORD;

const MAGIC: &[u8; 8] = b"bdipdr1\n";
const END: &[u8; 8] = b"bdipdr$\n";
const HEAD: usize = 16;
const FOOT: usize = 20;

/// Names and fields of a template, and little else.
const LONGEST_HEAD: usize = 16 << 20;
/// Baselines of all sources: each is as long as what a device can be remembered by.
const LONGEST_TRAILER: u64 = 1 << 30;

/// What a source is to remember: its key, and a blob of its own.
pub type Baseline = (String, Vec<u8>);

/// A part of a document on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub number: u64,
    pub index: u32,
    /// Sequence number of its first record.
    pub first: u64,
    pub records: u64,
    /// Of the file.
    pub octets: u64,
    /// Where its blocks begin and end.
    pub blocks: (u64, u64),
}

/// What a part begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub number: u64,
    pub part: u32,
    pub first: u64,
    pub id: DocumentId,
    pub created: DateTime<Utc>,
    pub config_id: u16,
    pub template: Arc<Template>,
}

/// What a part ends with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trailer {
    pub records: u64,
    pub is_complete: bool,
    pub baselines: Vec<Baseline>,
}

/// What stands before the records of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockHead {
    pub octets: u32,
    pub records: u32,
    pub first: u64,
    pub check: u32,
}

pub(super) fn path(directory: &Path, number: u64, part: u32) -> PathBuf {
    directory.join(format!("{number:020}-{part:06}.ipdr"))
}

/// Document and part of a file with this name.
pub(super) fn parse_name(name: &str) -> Option<(u64, u32)> {
    let (number, part) = name.strip_suffix(".ipdr")?.split_once('-')?;
    let is_ours =
        number.len() == 20 && part.len() >= 6 && (number.bytes().chain(part.bytes())).all(|b| b.is_ascii_digit());
    is_ours.then_some(())?;
    Some((number.parse().ok()?, part.parse().ok()?))
}

impl Part {
    pub fn path(&self, directory: &Path) -> PathBuf {
        path(directory, self.number, self.index)
    }
}

impl Head {
    pub fn to_octets(&self) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend_from_slice(&self.number.to_be_bytes());
        body.extend_from_slice(&self.part.to_be_bytes());
        body.extend_from_slice(&self.first.to_be_bytes());
        body.extend_from_slice(self.id.as_bytes());
        body.extend_from_slice(&self.created.timestamp_millis().to_be_bytes());
        body.extend_from_slice(&self.config_id.to_be_bytes());
        put_template(&mut body, &self.template);
        let mut octets = MAGIC.to_vec();
        octets.extend_from_slice(&(body.len() as u32).to_be_bytes());
        octets.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
        octets.append(&mut body);
        octets
    }

    fn read(body: &[u8]) -> Result<Head, Defect> {
        let mut input = Input::new(body);
        let (number, part, first) = (input.u64("number")?, input.u32("part")?, input.u64("first record")?);
        let id = DocumentId::from_bytes(input.array("documentId")?);
        let milliseconds = i64::from_be_bytes(input.array("time")?);
        Ok(Head {
            number,
            part,
            first,
            id,
            created: DateTime::from_timestamp_millis(milliseconds).unwrap_or_default(),
            config_id: input.u16("configId")?,
            template: Arc::new(read_template(&mut input)?),
        })
    }
}

impl Trailer {
    /// With the foot behind it, at the place `at` of the file.
    pub fn to_octets(&self, at: u64) -> Vec<u8> {
        let mut octets = Vec::new();
        octets.extend_from_slice(&self.records.to_be_bytes());
        octets.push(self.is_complete.into());
        octets.extend_from_slice(&(self.baselines.len() as u32).to_be_bytes());
        for (key, blob) in &self.baselines {
            put(&mut octets, key.as_bytes());
            put(&mut octets, blob);
        }
        let check = crc32fast::hash(&octets);
        octets.extend_from_slice(&at.to_be_bytes());
        octets.extend_from_slice(&check.to_be_bytes());
        octets.extend_from_slice(END);
        octets
    }

    fn read(octets: &[u8]) -> Result<Trailer, Defect> {
        let mut input = Input::new(octets);
        let records = input.u64("records")?;
        let is_complete = input.boolean("end")?;
        let count = input.count(8, "baselines")?;
        let baseline =
            |_| -> Result<Baseline, Defect> { Ok((input.text("source")?, input.opaque("baseline")?.to_vec())) };
        let baselines = (0..count).map(baseline).collect::<Result<_, _>>()?;
        Ok(Trailer {
            records,
            is_complete,
            baselines,
        })
    }
}

impl BlockHead {
    pub fn to_octets(self) -> [u8; BLOCK_HEAD] {
        let mut octets = [0; BLOCK_HEAD];
        octets[..4].copy_from_slice(&self.octets.to_be_bytes());
        octets[4..8].copy_from_slice(&self.records.to_be_bytes());
        octets[8..16].copy_from_slice(&self.first.to_be_bytes());
        octets[16..20].copy_from_slice(&self.check.to_be_bytes());
        let check = crc32fast::hash(&octets[..20]);
        octets[20..].copy_from_slice(&check.to_be_bytes());
        octets
    }

    /// [`None`]: these octets are not the head of a block.
    pub fn read(octets: &[u8; BLOCK_HEAD]) -> Option<BlockHead> {
        let mut input = Input::new(octets);
        let head = BlockHead {
            octets: input.u32("").ok()?,
            records: input.u32("").ok()?,
            first: input.u64("").ok()?,
            check: input.u32("").ok()?,
        };
        let is_sound = input.u32("").ok()? == crc32fast::hash(&octets[..20]);
        (is_sound && head.octets as usize <= LONGEST_BLOCK).then_some(head)
    }
}

/// The head of a part, its trailer without the baselines' contents, and where its blocks lie.
pub(super) fn inspect(path: &Path) -> io::Result<(Head, Trailer, Part)> {
    let file = files::open(path)?;
    let octets = file.metadata()?.len();
    let (head, begin) = read_head(&file)?;
    let (end, mut trailer) = trailer_of(&file, octets)?;
    trailer.baselines.clear();
    if end < begin {
        return Err(wrong("its trailer lies in its head"));
    }
    let part = Part {
        number: head.number,
        index: head.part,
        first: head.first,
        records: trailer.records,
        octets,
        blocks: (begin, end),
    };
    Ok((head, trailer, part))
}

pub(super) fn read_trailer(path: &Path) -> io::Result<Trailer> {
    let file = files::open(path)?;
    let octets = file.metadata()?.len();
    trailer_of(&file, octets).map(|(_, trailer)| trailer)
}

fn read_head(file: &File) -> io::Result<(Head, u64)> {
    let mut fixed = [0; HEAD];
    file.read_exact_at(&mut fixed, 0)?;
    let (magic, rest) = fixed.split_at(8);
    if magic != MAGIC {
        return Err(wrong("it does not begin as a part of a document"));
    }
    let mut input = Input::new(rest);
    let (Ok(length), Ok(check)) = (input.u32(""), input.u32("")) else {
        return Err(wrong("its head is cut off"));
    };
    let length = length as usize;
    if length > LONGEST_HEAD {
        return Err(wrong("its head is too long"));
    }
    let mut body = vec![0; length];
    file.read_exact_at(&mut body, HEAD as u64)?;
    if crc32fast::hash(&body) != check {
        return Err(wrong("the checksum of its head is wrong"));
    }
    let head = Head::read(&body).map_err(|e| wrong(&format!("its head: {e}")))?;
    Ok((head, (HEAD + length) as u64))
}

fn trailer_of(file: &File, octets: u64) -> io::Result<(u64, Trailer)> {
    let mut foot = [0; FOOT];
    let foot_at = octets.checked_sub(FOOT as u64).ok_or_else(|| wrong("it is cut off"))?;
    file.read_exact_at(&mut foot, foot_at)?;
    if &foot[12..] != END {
        return Err(wrong("it does not end as a part of a document"));
    }
    let mut input = Input::new(&foot);
    let (Ok(at), Ok(check)) = (input.u64(""), input.u32("")) else {
        return Err(wrong("it is cut off"));
    };
    let length = foot_at
        .checked_sub(at)
        .filter(|length| *length <= LONGEST_TRAILER)
        .ok_or_else(|| wrong("its trailer lies outside of it"))?;
    let mut trailer = vec![0; length as usize];
    file.read_exact_at(&mut trailer, at)?;
    if crc32fast::hash(&trailer) != check {
        return Err(wrong("the checksum of its trailer is wrong"));
    }
    let trailer = Trailer::read(&trailer).map_err(|e| wrong(&format!("its trailer: {e}")))?;
    Ok((at, trailer))
}

fn put_template(out: &mut Vec<u8>, template: &Template) {
    out.extend_from_slice(&template.template_id.to_be_bytes());
    put(out, template.schema_name.as_bytes());
    put(out, template.type_name.as_bytes());
    out.extend_from_slice(&(template.fields.len() as u32).to_be_bytes());
    for field in &template.fields {
        out.extend_from_slice(&field.type_id.to_be_bytes());
        out.extend_from_slice(&field.field_id.to_be_bytes());
        put(out, field.name.as_bytes());
        out.push(field.is_enabled.into());
    }
}

fn read_template(input: &mut Input<'_>) -> Result<Template, Defect> {
    const SMALLEST_FIELD: usize = 13;
    let template_id = input.u16("templateId")?;
    let (schema_name, type_name) = (input.text("schema")?, input.text("type")?);
    let count = input.count(SMALLEST_FIELD, "fields")?;
    let field = |_| {
        Ok(FieldDescriptor {
            type_id: input.u32("type of a field")?,
            field_id: input.u32("number of a field")?,
            name: input.text("name of a field")?,
            is_enabled: input.boolean("field")?,
        })
    };
    Ok(Template {
        template_id,
        schema_name,
        type_name,
        fields: (0..count).map(field).collect::<Result<_, Defect>>()?,
    })
}

/// Everything here is far shorter than a length can say; what is not is cut, and its checksum stays right.
fn put(out: &mut Vec<u8>, octets: &[u8]) {
    let octets = &octets[..octets.len().min(LONGEST_TRAILER as usize)];
    out.extend_from_slice(&(octets.len() as u32).to_be_bytes());
    out.extend_from_slice(octets);
}

#[cold]
pub(super) fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
