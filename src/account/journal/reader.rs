//! Reads the journal, beside whoever writes it.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use super::{
    record::{self, Body, Found, HEAD},
    segment::{self, HEADER, Segment},
};

/// Octets that are read at once.
const WINDOW: usize = 256 << 10;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub position: u64,
    /// Position of what follows.
    pub next: u64,
    /// Number of the event that it is, or is about; of a checkpoint: the first event that it does not speak of.
    pub number: u64,
    pub body: Body,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Record(Record),
    /// Octets that are no record, with records behind them, or a later segment. In the segment that starts there.
    Damage {
        segment: u64,
        from: u64,
        to: u64,
    },
    /// Octets at the end that no record follows: torn, or being written at this moment.
    Torn {
        from: u64,
    },
}

/// Records from a position on, up to what had been written when it was opened.
#[derive(Debug)]
pub struct Reader {
    segments: Vec<Segment>,
    /// Which of them is open.
    open: Option<(usize, File)>,
    index: usize,
    at: u64,
    /// Where the last segment ended when it was opened.
    end: u64,
    window: Vec<u8>,
    window_at: u64,
    /// The segment that single records were looked up in.
    aside: Option<(usize, File)>,
}

impl Reader {
    /// From the first record at or behind `from`, which is a record's position, or 0.
    pub fn open(directory: &Path, from: u64) -> io::Result<Self> {
        let segments = segment::list(directory)?;
        let index = segments
            .partition_point(|segment| segment.start <= from)
            .saturating_sub(1);
        let mut reader = Reader {
            at: segments.get(index).map_or(from, |segment| segment.start.max(from)),
            end: 0,
            segments,
            open: None,
            index,
            window: Vec::new(),
            window_at: 0,
            aside: None,
        };
        if let Some(last) = reader.segments.last() {
            reader.end = end_of(last)?;
        }
        Ok(reader)
    }

    /// The same for a journal that is to be on the disk as far as it is read.
    pub fn open_synced(directory: &Path, from: u64) -> io::Result<Self> {
        let reader = Self::open(directory, from)?;
        for segment in &reader.segments[reader.index..] {
            segment.read()?.sync_data()?;
        }
        Ok(reader)
    }

    /// Position of the oldest record that there is.
    pub fn oldest(&self) -> Option<u64> {
        self.segments.first().map(|segment| segment.start)
    }

    /// Which journal it is, if the oldest segment says so.
    pub fn journal(&self) -> io::Result<Option<u64>> {
        self.segments.first().map_or(Ok(None), Segment::journal)
    }

    /// Position of what would be read next.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// [`None`] at the end.
    pub fn next_item(&mut self) -> io::Result<Option<Item>> {
        loop {
            let Some(segment) = self.segments.get(self.index) else {
                return Ok(None);
            };
            let start = segment.start;
            let is_last = self.index + 1 == self.segments.len();
            let limit = match self.segments.get(self.index + 1) {
                Some(next) => next.start,
                None => self.end,
            };
            if self.at >= limit {
                if is_last {
                    return Ok(None);
                }
                self.index += 1;
                self.at = limit;
                continue;
            }
            if let Some(record) = self.record(limit)? {
                return Ok(Some(Item::Record(record)));
            }
            let from = self.at;
            let item = match self.next_record_after(from, limit)? {
                Some(to) => {
                    self.at = to;
                    Item::Damage {
                        segment: start,
                        from,
                        to,
                    }
                }
                None if is_last => {
                    self.at = limit;
                    Item::Torn { from }
                }
                None => {
                    self.at = limit;
                    Item::Damage {
                        segment: start,
                        from,
                        to: limit,
                    }
                }
            };
            return Ok(Some(item));
        }
    }

    /// The record at the place, if there is one.
    fn record(&mut self, limit: u64) -> io::Result<Option<Record>> {
        let mut wanted = HEAD;
        loop {
            let position = self.at;
            let octets = self.octets(position, limit, wanted)?;
            match record::look(octets, position) {
                Found::Record { kind, number, length } => {
                    let Some(body) = Body::from_octets(kind, &octets[HEAD..length]) else {
                        return Ok(None);
                    };
                    self.at = position + length as u64;
                    return Ok(Some(Record {
                        position,
                        next: self.at,
                        number,
                        body,
                    }));
                }
                Found::Short(length) if length > wanted && limit - position >= length as u64 => wanted = length,
                Found::Short(_) | Found::None => return Ok(None),
            }
        }
    }

    fn next_record_after(&mut self, from: u64, limit: u64) -> io::Result<Option<u64>> {
        for position in from + 1..limit {
            self.at = position;
            if self.record(limit)?.is_some() {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }

    /// Octets from `position` on, at least `wanted` where the file has them.
    fn octets(&mut self, position: u64, limit: u64, wanted: usize) -> io::Result<&[u8]> {
        let behind = position.checked_sub(self.window_at).map(|n| n as usize);
        let has = behind.and_then(|n| self.window.get(n..)).map_or(0, <[u8]>::len);
        let wanted = wanted.min((limit - position) as usize);
        let is_open = self.open.as_ref().is_some_and(|(index, _)| *index == self.index);
        if !is_open || has < wanted {
            if !is_open {
                self.open = Some((self.index, self.segments[self.index].read()?));
            }
            let (_, file) = self.open.as_ref().expect("it was opened above");
            let length = ((limit - position) as usize).min(WINDOW.max(wanted));
            self.window.resize(length, 0);
            let offset = HEADER + (position - self.segments[self.index].start);
            let read = read_at(file, &mut self.window, offset)?;
            self.window.truncate(read);
            self.window_at = position;
        }
        Ok(&self.window[(position - self.window_at) as usize..])
    }

    /// The record at this position, if it is still there.
    pub fn record_at(&mut self, position: u64) -> io::Result<Option<Record>> {
        const PIECE: usize = 4096;
        let index = match self.segments.partition_point(|segment| segment.start <= position) {
            0 => return Ok(None),
            n => n - 1,
        };
        if self.aside.as_ref().is_none_or(|(open, _)| *open != index) {
            self.aside = Some((index, self.segments[index].read()?));
        }
        let Some((_, file)) = &self.aside else { return Ok(None) };
        let offset = HEADER + (position - self.segments[index].start);
        let mut octets = vec![0; PIECE];
        loop {
            let read = read_at(file, &mut octets, offset)?;
            match record::look(&octets[..read], position) {
                Found::Record { kind, number, length } => {
                    let body = Body::from_octets(kind, &octets[HEAD..length]);
                    return Ok(body.map(|body| Record {
                        position,
                        next: position + length as u64,
                        number,
                        body,
                    }));
                }
                Found::Short(length) if length > octets.len() => octets.resize(length, 0),
                Found::Short(_) | Found::None => return Ok(None),
            }
        }
    }
}

/// Position behind the last octet of a segment.
fn end_of(segment: &Segment) -> io::Result<u64> {
    let octets = segment.read()?.metadata()?.len();
    Ok(segment.start + octets.saturating_sub(HEADER))
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}
