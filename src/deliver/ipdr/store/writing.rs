//! A part of a document while it is written: records in, one rename at the end.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use super::{
    Kept, Result, Shared, StoreError, Stored, files,
    progress::Progress,
    segment::{BLOCK, Baseline, BlockHead, Head, LONGEST_RECORD, Part, Trailer, wrong},
};

/// A part that is not sealed. Dropped, it has never been.
#[derive(Debug)]
pub struct Writing {
    shared: Arc<Shared>,
    head: Head,
    path: PathBuf,
    file: File,
    /// Where the blocks begin.
    begin: u64,
    /// Octets that are in the file.
    at: u64,
    block: Vec<u8>,
    /// Records in the block, and in all before it.
    in_block: u32,
    records: u64,
    is_sealed: bool,
}

impl Writing {
    pub(super) fn create(shared: Arc<Shared>, head: Head) -> Result<Writing> {
        let path = files::new_path(&shared.directory);
        let octets = head.to_octets();
        let created = files::create(&path).and_then(|mut file| file.write_all(&octets).map(|()| file));
        let file = created.map_err(|e| StoreError::new("write", &path, e))?;
        let begin = octets.len() as u64;
        Ok(Writing {
            shared,
            head,
            path,
            file,
            begin,
            at: begin,
            block: Vec::with_capacity(BLOCK + BLOCK / 8),
            in_block: 0,
            records: 0,
            is_sealed: false,
        })
    }

    /// The number that the document has, or will have.
    pub fn number(&self) -> u64 {
        self.head.number
    }

    /// Records so far, in this part.
    pub fn records(&self) -> u64 {
        self.records + u64::from(self.in_block)
    }

    /// Octets so far, in this part.
    pub fn octets(&self) -> u64 {
        self.at + self.block.len() as u64
    }

    /// Appends a record: its values, as they stand in DATA.
    ///
    /// # Errors
    /// When it is longer than [`LONGEST_RECORD`] (it is left out, and others can follow), or the file cannot be written.
    #[inline]
    pub fn push(&mut self, record: &[u8]) -> Result<()> {
        if record.len() > LONGEST_RECORD {
            return Err(self.error("write", wrong("a record is longer than 16 MiB")));
        }
        // It is short, see above.
        self.block.extend_from_slice(&(record.len() as u32).to_be_bytes());
        self.block.extend_from_slice(record);
        self.in_block += 1;
        match self.block.len() < BLOCK {
            true => Ok(()),
            false => self.end_block(),
        }
    }

    fn end_block(&mut self) -> Result<()> {
        if self.in_block == 0 {
            return Ok(());
        }
        let head = BlockHead {
            octets: self.block.len() as u32,
            records: self.in_block,
            first: self.head.first + self.records,
            check: crc32fast::hash(&self.block),
        };
        let head = head.to_octets();
        let written = self
            .file
            .write_all(&head)
            .and_then(|()| self.file.write_all(&self.block));
        written.map_err(|e| self.error("write", e))?;
        self.at += (head.len() + self.block.len()) as u64;
        self.records += u64::from(self.in_block);
        self.in_block = 0;
        self.block.clear();
        // One long record does not cost its memory for ever.
        self.block.shrink_to(2 * BLOCK);
        Ok(())
    }

    /// Brings the part to the disk. When this returns, its records and the baselines of their sources are safe; after an
    /// error neither of them is, or, if the error is of the directory, a start will find both.
    pub fn seal(mut self, is_complete: bool, baselines: &[Baseline]) -> Result<Stored> {
        self.end_block()?;
        let trailer = Trailer {
            records: self.records,
            is_complete,
            baselines: baselines.to_vec(),
        };
        let octets = trailer.to_octets(self.at);
        let synced = self.file.write_all(&octets).and_then(|()| self.file.sync_all());
        synced.map_err(|e| self.error("write", e))?;
        let part = Part {
            number: self.head.number,
            index: self.head.part,
            first: self.head.first,
            records: self.records,
            octets: self.at + octets.len() as u64,
            blocks: (self.begin, self.at),
        };
        let path = part.path(&self.shared.directory);
        fs::rename(&self.path, &path).map_err(|e| StoreError::new("rename", &path, e))?;
        self.is_sealed = true;
        files::sync_directory(&self.shared.directory).map_err(|e| self.error("sync", e))?;
        self.enter(part, is_complete)
    }

    /// The store knows it from here on.
    fn enter(&self, part: Part, is_complete: bool) -> Result<Stored> {
        let (head, number) = (&self.head, self.head.number);
        let mut inner = self.shared.lock();
        if part.index == 0 {
            inner.last.number = number;
            inner.last.id = Some(head.id);
        }
        let kept = inner.documents.entry(number).or_insert_with(|| Kept {
            stored: Stored {
                number,
                id: head.id,
                records: 0,
                acknowledged: 0,
                dropped: 0,
                is_started: false,
                is_complete: false,
                created: head.created,
                config_id: head.config_id,
                template: Arc::clone(&head.template),
            },
            parts: Vec::new(),
            progress: Progress::default(),
            is_damaged: false,
        });
        kept.stored.records += part.records;
        kept.stored.is_complete = is_complete;
        kept.parts.push(part);
        let stored = kept.stored.clone();
        let dropped = inner.last.dropped;
        drop(inner);
        match dropped {
            0 => Ok(stored),
            dropped => self.tell_dropped(stored, dropped),
        }
    }

    /// Documents before this one were dropped, and none after them could tell.
    fn tell_dropped(&self, mut stored: Stored, dropped: u64) -> Result<Stored> {
        let store = super::Store {
            shared: Arc::clone(&self.shared),
        };
        stored.dropped = stored.dropped.saturating_add(dropped);
        store.note_acknowledged(stored.number, stored.acknowledged, stored.dropped)?;
        let mut inner = self.shared.lock();
        inner.last.dropped = 0;
        let last = inner.last.clone();
        drop(inner);
        files::write_last(&self.shared.directory, &last)?;
        Ok(stored)
    }

    fn error(&self, doing: &'static str, e: io::Error) -> StoreError {
        StoreError::new(doing, &self.path, e)
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.is_sealed
            && let Err(e) = fs::remove_file(&self.path)
        {
            tracing::warn!("cannot remove {}, the next start will: {e}", self.path.display());
        }
    }
}
