//! Records in their order, from any sequence number on.
//!
//! The place is found by the heads of blocks, which are small and far between. One block is in memory at a time.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

use super::{
    Shared, files,
    segment::{BLOCK_HEAD, BlockHead, Part, wrong},
};

/// Records of one document.
#[derive(Debug)]
pub struct Reader {
    shared: Arc<Shared>,
    number: u64,
    /// The record that comes next.
    next: u64,
    open: Option<Open>,
    /// Records of one block.
    block: Vec<u8>,
    /// Where the next record begins in it.
    at: usize,
}

/// The part that is being read.
#[derive(Debug)]
struct Open {
    part: Part,
    file: File,
    /// Where the next block begins, and the record that it begins with.
    at: u64,
    first: u64,
}

/// Records that cannot be read: `from`, and those before `to`. Those from `to` on can be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("records {from} to {} are lost: {reason}", to.saturating_sub(1))]
pub struct Damaged {
    pub from: u64,
    pub to: u64,
    pub reason: String,
}

/// What an error of [`Reader::next_record`] has lost, if it is damage and no failure of the disk.
pub fn damaged(error: &io::Error) -> Option<&Damaged> {
    error.get_ref()?.downcast_ref()
}

impl Reader {
    pub(super) fn new(shared: Arc<Shared>, number: u64, from: u64) -> Reader {
        Reader {
            shared,
            number,
            next: from,
            open: None,
            block: Vec::new(),
            at: 0,
        }
    }

    /// Sequence number of the record that comes next.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next record, without its length; [`None`]: there is none, or none yet.
    ///
    /// # Errors
    /// [`damaged`] says which records are lost; a new reader can go on behind them. Anything else: the disk could not be
    /// read. The same call again gives the same error, or what follows if it has passed.
    #[inline]
    pub fn next_record(&mut self) -> io::Result<Option<&[u8]>> {
        if self.at == self.block.len() && !self.next_block()? {
            return Ok(None);
        }
        let (begin, end) = self.bounds()?;
        self.at = end;
        self.next += 1;
        Ok(Some(&self.block[begin..end]))
    }

    /// Of the record at the place. The checksum was right, so this can fail only if who wrote it was wrong.
    #[inline]
    fn bounds(&self) -> io::Result<(usize, usize)> {
        let rest = &self.block[self.at..];
        let bounds = rest.split_first_chunk::<4>().and_then(|(length, rest)| {
            let length = u32::from_be_bytes(*length) as usize;
            (length <= rest.len()).then_some((self.at + 4, self.at + 4 + length))
        });
        bounds.ok_or_else(|| wrong("a record ends behind its block"))
    }

    /// Brings the block with the next record into memory, and goes to that record.
    #[cold]
    fn next_block(&mut self) -> io::Result<bool> {
        self.block.clear();
        self.at = 0;
        loop {
            if self.open.is_none() && !self.open_part()? {
                return Ok(false);
            }
            let Some(open) = &mut self.open else { return Ok(false) };
            if open.at >= open.part.blocks.1 {
                let end = open.part.first + open.part.records;
                if self.next < end {
                    let reason = "blocks are missing at its end".to_owned();
                    return Err(self.lost(end, reason));
                }
                self.open = None;
                continue;
            }
            let Some(head) = open.head()? else {
                let end = open.part.first + open.part.records;
                return Err(self.lost(end, "the head of a block is damaged".to_owned()));
            };
            let end = head.first + u64::from(head.records);
            if end <= self.next {
                open.step(head);
                continue;
            }
            self.block.resize(head.octets as usize, 0);
            let read = open.file.read_exact_at(&mut self.block, open.at + BLOCK_HEAD as u64);
            let is_right = read.is_ok() && crc32fast::hash(&self.block) == head.check;
            if let Err(e) = read {
                self.block.clear();
                return Err(e);
            }
            if !is_right {
                self.block.clear();
                return Err(self.lost(end, "the checksum of a block is wrong".to_owned()));
            }
            open.step(head);
            for _ in head.first..self.next {
                self.at = self.bounds()?.1;
            }
            return Ok(true);
        }
    }

    /// The part with the next record, if there is one.
    fn open_part(&mut self) -> io::Result<bool> {
        let part = {
            let inner = self.shared.lock();
            let parts = inner.documents.get(&self.number).map(|kept| kept.parts.as_slice());
            let is_in = |part: &&Part| part.first <= self.next && self.next < part.first + part.records;
            parts.and_then(|parts| parts.iter().find(is_in)).cloned()
        };
        let Some(part) = part else { return Ok(false) };
        let path = part.path(&self.shared.directory);
        let file = files::open(&path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))?;
        let (at, first) = (part.blocks.0, part.first);
        self.open = Some(Open { part, file, at, first });
        Ok(true)
    }

    #[cold]
    fn lost(&self, to: u64, reason: String) -> io::Error {
        let damaged = Damaged {
            from: self.next,
            to,
            reason,
        };
        if let Some(kept) = self.shared.lock().documents.get_mut(&self.number) {
            kept.is_damaged = true;
        }
        io::Error::new(io::ErrorKind::InvalidData, damaged)
    }
}

impl Open {
    /// [`None`]: it is damaged.
    fn head(&self) -> io::Result<Option<BlockHead>> {
        let mut octets = [0; BLOCK_HEAD];
        if self.part.blocks.1 - self.at < BLOCK_HEAD as u64 {
            return Ok(None);
        }
        self.file.read_exact_at(&mut octets, self.at)?;
        let left = self.part.blocks.1 - self.at - BLOCK_HEAD as u64;
        let behind = self.part.first + self.part.records;
        let is_here = |head: &BlockHead| {
            head.first == self.first
                && u64::from(head.octets) <= left
                && head.records > 0
                && u64::from(head.records) <= behind - self.first
        };
        Ok(BlockHead::read(&octets).filter(is_here))
    }

    fn step(&mut self, head: BlockHead) {
        self.at += BLOCK_HEAD as u64 + u64::from(head.octets);
        self.first += u64::from(head.records);
    }
}
