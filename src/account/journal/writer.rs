//! Appends records, and sees to it that the disk has them.

use std::{
    cell::Cell,
    collections::VecDeque,
    fmt,
    fs::File,
    hash::{BuildHasher, RandomState},
    hint,
    io::{self, Write},
    mem,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use serde::Deserialize;

use super::{
    reader::{Item, Reader},
    record::{self, Body},
    segment::{self, HEADER, Segment},
};
use crate::trust;

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
    /// The same as in there, for those who only look.
    written: AtomicU64,
    /// Changed under the lock only.
    is_writing: AtomicBool,
    changed: Condvar,
}

/// The segment that was begun, if one was; or what was being done when it failed.
type WrittenInto = Result<Option<(Segment, Arc<File>)>, (&'static str, io::Error)>;

#[derive(Debug)]
struct Inner {
    file: Arc<File>,
    /// Segments that are full, and not synced.
    full: Vec<Arc<File>>,
    segments: VecDeque<Segment>,
    /// Records that have not been written yet; they end at `end`.
    buffer: Vec<u8>,
    /// The buffer that was written last, to be used again.
    spare: Vec<u8>,
    end: u64,
    number: u64,
    written: u64,
    durable: u64,
    /// Somebody syncs at this moment.
    is_syncing: bool,
    /// Who sleeps until something changes.
    waiting: usize,
    failed: Option<Failed>,
}

thread_local! {
    /// Where a thread puts its events together.
    static BODY: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Notes that nobody waits for are written at once when there are so many octets of them.
const MOST_BUFFERED: usize = 1 << 20;

impl Journal {
    /// Opens the journal to write behind what is there. `number` is that of the next event.
    ///
    /// The octets that a crash has torn at the end are cut off; behind damage a new segment is begun.
    pub fn open(directory: &Path, durability: Durability, segment_octets: u64, number: u64) -> Result<Self, Failed> {
        let failed = |doing| move |e: io::Error| Failed::new(doing, directory, &e);
        trust::private_directory(directory).map_err(failed("make"))?;
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
                .create(identity, true)
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
                full: Vec::new(),
                segments,
                buffer: Vec::new(),
                spare: Vec::new(),
                end,
                number,
                written: end,
                durable: end,
                is_syncing: false,
                waiting: 0,
                failed: None,
            }),
            written: AtomicU64::new(end),
            is_writing: AtomicBool::new(false),
            changed: Condvar::new(),
        })
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The same for all segments of one journal.
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// Appends an event, whose JSON `write` writes. It is written, and on the disk if that is wanted, when
    /// [`Journal::commit`] has returned.
    pub fn event(
        &self,
        received: i64,
        lane: u64,
        key: &str,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Place, Failed> {
        /// Octets of a buffer that is kept for the thread's next event.
        const KEPT: usize = 64 << 10;
        let mut body = BODY.take();
        body.clear();
        record::begin_event(received, lane, key, &mut body);
        write(&mut body);
        let check = record::check(&body);
        let place = self.inner().map(|mut inner| {
            let (number, position) = (inner.number, inner.end);
            inner.number += 1;
            inner.append(1, number, &body, check);
            let end = inner.end;
            Place { number, position, end }
        });
        if body.capacity() <= KEPT {
            BODY.set(body);
        }
        place
    }

    /// Appends what nobody waits for. It goes with the next event, or with [`Journal::flush`]. Returns its position.
    pub fn note(&self, number: u64, body: &Body) -> Result<u64, Failed> {
        let octets = body.to_octets();
        let check = record::check(&octets);
        let mut inner = self.inner()?;
        let position = inner.end;
        inner.append(body.kind(), number, &octets, check);
        let (end, is_much) = (inner.end, inner.buffer.len() > MOST_BUFFERED);
        drop(inner);
        if is_much {
            self.write(end)?;
        }
        Ok(position)
    }

    /// Waits until everything up to this position is written, and on the disk if the journal is one that syncs each.
    pub fn commit(&self, end: u64) -> Result<(), Failed> {
        match self.durability {
            Durability::Each => self.sync_up_to(end),
            Durability::Group | Durability::None => self.write(end),
        }
    }

    /// Writes what is buffered.
    pub fn flush(&self) -> Result<(), Failed> {
        let end = self.inner()?.end;
        self.write(end)
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
                inner = self.wait(inner);
                continue;
            }
            inner.is_syncing = true;
            let all = inner.end;
            drop(inner);
            let written = self.write(all);
            inner = self.lock();
            // A new segment may have been begun, which syncs the one before.
            let (upto, file) = (inner.written, Arc::clone(&inner.file));
            let needs_sync = written.is_ok() && inner.durable < end;
            drop(inner);
            let synced = match needs_sync {
                true => self.sync_full().and_then(|()| file.sync_data()),
                false => Ok(()),
            };
            inner = self.lock();
            inner.is_syncing = false;
            match synced {
                Ok(()) if needs_sync => inner.durable = inner.durable.max(upto),
                Ok(()) => {}
                Err(e) => inner.fail("sync", &e),
            }
            self.wake(&inner);
        }
    }

    /// Brings segments that are full to the disk, where they were not when the next was begun.
    pub fn sync_old(&self) -> Result<(), Failed> {
        let synced = self.sync_full();
        let mut inner = self.inner()?;
        if let Err(e) = synced {
            inner.fail("sync", &e);
        }
        inner.failed.clone().map_or(Ok(()), Err)
    }

    fn sync_full(&self) -> io::Result<()> {
        let full = mem::take(&mut self.lock().full);
        if full.is_empty() {
            return Ok(());
        }
        for file in full {
            file.sync_data()?;
        }
        segment::sync_directory(&self.directory)
    }

    /// Whoever comes first writes for all who have come until then. A write takes less time than putting a thread to sleep, so
    /// the others look again a few times before they sleep.
    fn write(&self, end: u64) -> Result<(), Failed> {
        const LOOKS: usize = 200;
        const YIELDS: usize = 4;
        for turn in 0..LOOKS + YIELDS {
            if self.written.load(Ordering::Acquire) >= end {
                return Ok(());
            }
            if !self.is_writing.load(Ordering::Relaxed) {
                break;
            }
            match turn < LOOKS {
                true => hint::spin_loop(),
                false => thread::yield_now(),
            }
        }
        let mut inner = self.inner()?;
        loop {
            if let Some(failed) = &inner.failed {
                return Err(failed.clone());
            }
            if inner.written >= end {
                return Ok(());
            }
            if !self.is_writing.load(Ordering::Relaxed) {
                break;
            }
            inner = self.wait(inner);
        }
        self.is_writing.store(true, Ordering::Relaxed);
        let spare = mem::take(&mut inner.spare);
        let mut buffer = mem::replace(&mut inner.buffer, spare);
        let (begin, upto, file) = (inner.written, inner.end, Arc::clone(&inner.file));
        let segment = inner.segments.back().map_or(0, |segment| segment.start);
        drop(inner);

        let written = self.write_octets(&buffer, begin, segment, file);
        let mut inner = self.lock();
        self.is_writing.store(false, Ordering::Relaxed);
        match written {
            Ok(begun) => {
                if let Some((segment, file)) = begun {
                    inner.segments.push_back(segment);
                    let full = mem::replace(&mut inner.file, file);
                    match self.durability {
                        Durability::None => inner.full.push(full),
                        _ => inner.durable = inner.durable.max(begin),
                    }
                }
                inner.written = upto;
                self.written.store(upto, Ordering::Release);
                buffer.clear();
                inner.spare = buffer;
            }
            Err((doing, e)) => inner.fail(doing, &e),
        }
        self.wake(&inner);
        inner.failed.clone().map_or(Ok(()), Err)
    }

    /// Writes octets that belong to `begin`, into a new segment if the last one is full; that one is synced before.
    fn write_octets(&self, octets: &[u8], begin: u64, segment: u64, file: Arc<File>) -> WrittenInto {
        if begin - segment < self.segment_octets {
            (&*file).write_all(octets).map_err(|e| ("write to", e))?;
            return Ok(None);
        }
        let next = Segment::at(&self.directory, begin);
        // Without sync nobody is to wait for 64 MiB; they are brought to the disk soon all the same.
        let is_synced = self.durability != Durability::None;
        if is_synced {
            file.sync_data().map_err(|e| ("sync", e))?;
        }
        let file = next.create(self.identity, is_synced).map_err(|e| ("make", e))?;
        (&file).write_all(octets).map_err(|e| ("write to", e))?;
        Ok(Some((next, Arc::new(file))))
    }

    fn wait<'a>(&'a self, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        inner.waiting += 1;
        let mut inner = self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner);
        inner.waiting -= 1;
        inner
    }

    fn wake(&self, inner: &Inner) {
        if inner.waiting > 0 {
            self.changed.notify_all();
        }
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
        self.changed.notify_all();
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
