//! Appends records, and sees to it that the disk has them.

use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    hash::{BuildHasher, RandomState},
    io::{self, Write},
    mem,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use serde::Deserialize;

use super::{
    reader::{Item, Reader},
    record::{self, Body},
    segment::{self, HEADER, Segment},
};

/// When the disk has an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// Before it is answered.
    #[default]
    Each,
    /// At the latest after `sync-interval`: a power failure costs what was answered since. A killed process nothing.
    Group,
    /// When the system writes it.
    None,
}

/// The disk did not take what was written. Final: see the head of [`super`].
#[derive(Debug, Clone)]
pub struct Failed {
    pub doing: &'static str,
    pub path: PathBuf,
    pub kind: io::ErrorKind,
    pub reason: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.doing, self.path.display(), self.reason)
    }
}

impl Failed {
    fn new(doing: &'static str, path: &Path, error: &io::Error) -> Self {
        Failed {
            doing,
            path: path.to_owned(),
            kind: error.kind(),
            reason: error.to_string(),
        }
    }
}

/// Where a record was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the event, counted from 0 since the journal began.
    pub number: u64,
    pub position: u64,
    /// Position of what follows.
    pub end: u64,
}

/// The journal of the process that writes it.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    /// Tells it from one that lies in its place later.
    identity: u64,
    durability: Durability,
    /// Octets of a segment from which on a new one is begun.
    segment_octets: u64,
    inner: Mutex<Inner>,
    synced: Condvar,
}

#[derive(Debug)]
struct Inner {
    file: Arc<File>,
    segments: VecDeque<Segment>,
    /// Records that have not been written yet; they end at `end`.
    buffer: Vec<u8>,
    end: u64,
    number: u64,
    written: u64,
    durable: u64,
    /// Somebody syncs at this moment.
    is_syncing: bool,
    failed: Option<Failed>,
}

/// Notes that nobody waits for are written at once when there are so many octets of them.
const MOST_BUFFERED: usize = 1 << 20;

impl Journal {
    /// Opens the journal to write behind what is there. `number` is that of the next event.
    ///
    /// The octets that a crash has torn at the end are cut off; behind damage a new segment is begun.
    pub fn open(directory: &Path, durability: Durability, segment_octets: u64, number: u64) -> Result<Self, Failed> {
        let failed = |doing| move |e: io::Error| Failed::new(doing, directory, &e);
        segment::prepare(directory).map_err(failed("make"))?;
        let mut segments: VecDeque<Segment> = segment::list(directory).map_err(failed("list"))?.into();
        let (mut end, mut begins_anew) = (0, segments.is_empty());
        let identity = segments.iter().find_map(|segment| segment.journal().ok()?);
        let identity = identity.unwrap_or_else(|| RandomState::new().hash_one(std::process::id()));
        if let Some(last) = segments.back().cloned() {
            let file = last.append().map_err(|e| Failed::new("open", &last.path, &e))?;
            let length = file
                .metadata()
                .map_err(|e| Failed::new("look at", &last.path, &e))?
                .len();
            if length < HEADER {
                // Died while it was made: there was never anything in it.
                last.remove(false).map_err(|e| Failed::new("remove", &last.path, &e))?;
                segments.pop_back();
                (end, begins_anew) = (last.start, true);
            } else {
                let (whole, is_sound) = end_of_records(directory, last.start).map_err(failed("read"))?;
                let kept = HEADER + (whole - last.start);
                if kept < length {
                    tracing::info!(
                        "{} torn octets at the end of {} are cut off",
                        length - kept,
                        last.path.display()
                    );
                    file.set_len(kept).map_err(|e| Failed::new("shorten", &last.path, &e))?;
                }
                file.sync_all().map_err(|e| Failed::new("sync", &last.path, &e))?;
                (end, begins_anew) = (whole, !is_sound && whole > last.start);
            }
        }
        if begins_anew {
            let segment = Segment::at(directory, end);
            segment
                .create(identity)
                .map_err(|e| Failed::new("make", &segment.path, &e))?;
            segments.push_back(segment);
        }
        let last = segments.back().expect("there is one by now");
        let file = last.append().map_err(|e| Failed::new("open", &last.path, &e))?;
        Ok(Journal {
            directory: directory.to_owned(),
            identity,
            durability,
            segment_octets,
            inner: Mutex::new(Inner {
                file: Arc::new(file),
                segments,
                buffer: Vec::new(),
                end,
                number,
                written: end,
                durable: end,
                is_syncing: false,
                failed: None,
            }),
            synced: Condvar::new(),
        })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same for all segments of one journal.
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// Appends an event. It is written, and on the disk if that is wanted, when [`Journal::commit`] has returned.
    pub fn event(&self, received: i64, lane: u64, key: &str, json: &[u8]) -> Result<Place, Failed> {
        let body = record::event_body(received, lane, key, json);
        let check = record::check(&body);
        let mut inner = self.inner()?;
        let (number, position) = (inner.number, inner.end);
        inner.number += 1;
        inner.append(1, number, &body, check);
        let end = inner.end;
        if self.durability != Durability::Each {
            self.write(&mut inner)?;
        }
        Ok(Place { number, position, end })
    }

    /// Appends what nobody waits for. It goes with the next event, or with [`Journal::flush`]. Returns its position.
    pub fn note(&self, number: u64, body: &Body) -> Result<u64, Failed> {
        let octets = body.to_octets();
        let check = record::check(&octets);
        let mut inner = self.inner()?;
        let position = inner.end;
        inner.append(body.kind(), number, &octets, check);
        if inner.buffer.len() > MOST_BUFFERED {
            self.write(&mut inner)?;
        }
        Ok(position)
    }

    /// Waits until everything up to this position is written, and on the disk if the journal is one that syncs each.
    pub fn commit(&self, end: u64) -> Result<(), Failed> {
        match self.durability {
            Durability::Each => self.sync_up_to(end),
            Durability::Group | Durability::None => {
                let mut inner = self.inner()?;
                match inner.written >= end {
                    true => Ok(()),
                    false => self.write(&mut inner),
                }
            }
        }
    }

    /// Writes what is buffered.
    pub fn flush(&self) -> Result<(), Failed> {
        let mut inner = self.inner()?;
        self.write(&mut inner)
    }

    /// Writes and syncs everything.
    pub fn sync(&self) -> Result<(), Failed> {
        let end = self.inner()?.end;
        self.sync_up_to(end)
    }

    /// Whoever comes first syncs for all who have come until then; the others wait, and the first of them is next.
    fn sync_up_to(&self, end: u64) -> Result<(), Failed> {
        let mut inner = self.inner()?;
        loop {
            if let Some(failed) = &inner.failed {
                return Err(failed.clone());
            }
            if inner.durable >= end {
                return Ok(());
            }
            if inner.is_syncing {
                inner = self.synced.wait(inner).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            self.write(&mut inner)?;
            let (written, file) = (inner.written, Arc::clone(&inner.file));
            if inner.durable >= end {
                continue;
            }
            inner.is_syncing = true;
            drop(inner);
            let synced = file.sync_data();
            inner = self.lock();
            inner.is_syncing = false;
            match synced {
                // A new segment may have been begun in between, which syncs the one before.
                Ok(()) => inner.durable = inner.durable.max(written),
                Err(e) => inner.fail("sync", &e),
            }
            self.synced.notify_all();
        }
    }

    fn write(&self, inner: &mut MutexGuard<'_, Inner>) -> Result<(), Failed> {
        if let Some(failed) = &inner.failed {
            return Err(failed.clone());
        }
        if inner.buffer.is_empty() {
            return Ok(());
        }
        let written = self.try_write(inner);
        if let Err((doing, e)) = written {
            inner.fail(doing, &e);
            self.synced.notify_all();
        }
        inner.failed.clone().map_or(Ok(()), Err)
    }

    fn try_write(&self, inner: &mut Inner) -> Result<(), (&'static str, io::Error)> {
        let last = inner.segments.back().map_or(0, |segment| segment.start);
        if inner.written - last >= self.segment_octets {
            inner.file.sync_data().map_err(|e| ("sync", e))?;
            inner.durable = inner.written;
            let next = Segment::at(&self.directory, inner.written);
            inner.file = Arc::new(next.create(self.identity).map_err(|e| ("make", e))?);
            inner.segments.push_back(next);
            self.synced.notify_all();
        }
        let mut buffer = mem::take(&mut inner.buffer);
        (&*inner.file).write_all(&buffer).map_err(|e| ("write to", e))?;
        inner.written = inner.end;
        buffer.clear();
        inner.buffer = buffer;
        Ok(())
    }

    /// Why nothing is taken any more.
    pub fn failed(&self) -> Option<Failed> {
        self.lock().failed.clone()
    }

    /// Number of the next event, and the position before which all others lie.
    pub fn next(&self) -> (u64, u64) {
        let inner = self.lock();
        (inner.number, inner.end)
    }

    /// Position of the oldest record, and how many octets there are.
    pub fn extent(&self) -> (u64, u64) {
        let inner = self.lock();
        let oldest = inner.segments.front().map_or(0, |segment| segment.start);
        (oldest, inner.written - oldest)
    }

    /// Nothing is taken any more, because of what has happened elsewhere: something that an answer promises cannot be
    /// kept.
    pub fn give_up(&self, doing: &'static str, path: &Path, error: &io::Error) -> Failed {
        let failed = Failed::new(doing, path, error);
        self.lock().failed.get_or_insert_with(|| failed.clone());
        self.synced.notify_all();
        failed
    }

    /// All segments, the oldest first; the last one is being written.
    pub fn segments(&self) -> Vec<Segment> {
        self.lock().segments.iter().cloned().collect()
    }

    /// Removes the oldest segment, never the last one.
    pub fn remove_oldest(&self, is_damaged: bool) -> Result<(), Failed> {
        let oldest = {
            let mut inner = self.lock();
            if inner.segments.len() < 2 {
                return Ok(());
            }
            inner.segments.pop_front()
        };
        match oldest {
            Some(oldest) => oldest
                .remove(is_damaged)
                .map_err(|e| Failed::new("remove", &oldest.path, &e)),
            None => Ok(()),
        }
    }

    /// A panic of another thread while it appended has left nothing half done that matters: the buffer is whole records.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inner(&self) -> Result<MutexGuard<'_, Inner>, Failed> {
        let inner = self.lock();
        match &inner.failed {
            Some(failed) => Err(failed.clone()),
            None => Ok(inner),
        }
    }
}

impl Inner {
    fn append(&mut self, kind: u8, number: u64, body: &[u8], check: u32) {
        record::write(&mut self.buffer, self.end, kind, number, body, check);
        self.end += (record::HEAD + body.len()) as u64;
    }

    fn fail(&mut self, doing: &'static str, e: &io::Error) {
        let path = self.segments.back().map_or(PathBuf::new(), |last| last.path.clone());
        self.failed.get_or_insert_with(|| Failed::new(doing, &path, e));
    }
}

/// Where the records of the last segment end, and whether there is nothing but records before.
fn end_of_records(directory: &Path, start: u64) -> io::Result<(u64, bool)> {
    let mut reader = Reader::open(directory, start)?;
    let (mut end, mut is_sound) = (start, true);
    while let Some(item) = reader.next_item()? {
        match item {
            Item::Record(record) => end = record.next,
            Item::Damage { .. } => is_sound = false,
            Item::Torn { .. } => break,
        }
    }
    Ok((end, is_sound))
}
