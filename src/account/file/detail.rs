//! The file under its name: appended to, left when it was moved, renamed when it is time.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rustix::fs::{AtFlags, CWD, RenameFlags};

use super::combine::Incomplete;
use super::open::{FilePosition, Open};
use super::{cannot, schedule};
use crate::account::strftime::{Civil, digits};
use crate::account::zone::Zone;
use crate::config::gatekeeper::Rotate;

/// How long a rotation that failed is not tried again.
const PAUSE_SECONDS: i64 = 60;

/// How long a name is believed to be still that of the open file: looking costs as much as writing a line.
const SEEN: Duration = Duration::from_millis(1);

pub(super) struct Detail {
    path: Arc<Path>,
    rotate: Rotate,
    zone: Zone,
    open: Option<Open>,
    /// When the clock says that the file is to be rotated.
    next: Option<i64>,
    /// A rotation failed: not before.
    paused_until: i64,
    /// Files that were left since the last checkpoint, and whether names changed.
    left: Vec<File>,
    renamed: bool,
    told: Told,
}

/// What has been said and need not be said with each line.
#[derive(Default)]
struct Told {
    not_open: bool,
    stranger: bool,
}

impl Detail {
    pub(super) fn open(path: &Path, rotate: Rotate, zone: Zone, now: i64) -> Detail {
        let mut detail = Detail {
            path: Arc::from(path),
            rotate,
            next: schedule::next(rotate, now, &zone),
            zone,
            open: None,
            paused_until: i64::MIN,
            left: Vec::new(),
            renamed: false,
            told: Told::default(),
        };
        if let Err(reason) = detail.be_open(true) {
            tracing::error!("{reason}; until then every stop event fails");
        } else if detail.missed(now) {
            detail.next = Some(now);
        }
        detail
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn opened(&mut self) -> Result<(), String> {
        self.be_open(true).map(drop)
    }

    /// Appends lines, each of which ends where `ends` says. What is not in the file whole is not in it at all.
    pub(super) fn append(&mut self, lines: &[u8], ends: &[usize], now: i64) -> Result<(), Incomplete> {
        self.rotate_by_clock(now);
        let (mut from, mut written) = (0, 0);
        while written < ends.len() {
            let incomplete = |reason| Incomplete { written, reason };
            let rotate = self.rotate;
            let path = self.path.clone();
            let open = self.be_open(false).map_err(incomplete)?;
            let count = open.until_full(&ends[written..], from, rotate);
            let to = ends[written + count - 1];
            open.append(&lines[from..to], &path).map_err(incomplete)?;
            open.lines += count as u64;
            from = to;
            written += count;
            let full = open.is_full(rotate);
            if full && now >= self.paused_until {
                self.rotate(now);
            }
        }
        Ok(())
    }

    pub(super) fn rotate_by_clock(&mut self, now: i64) {
        if self.next.is_none_or(|next| now < next) {
            return;
        }
        self.next = schedule::next(self.rotate, now, &self.zone);
        if let Err(reason) = self.be_open(true) {
            tracing::error!("{reason}; it was not rotated");
            return;
        }
        self.rotate(now);
    }

    /// What a checkpoint has to wait for, without the file being held meanwhile.
    pub(super) fn unsynced(&mut self) -> Result<Unsynced, String> {
        let path = self.path.clone();
        let open = self.be_open(true)?;
        let position = open.position();
        let file = open.file.try_clone().map_err(|e| cannot("keep open", &path, &e))?;
        let mut files = std::mem::take(&mut self.left);
        files.push(file);
        let directory = std::mem::take(&mut self.renamed).then(|| directory_of(&path).to_path_buf());
        Ok(Unsynced {
            files,
            directory,
            path,
            position,
        })
    }

    /// What could not be made durable is tried again at the next checkpoint.
    pub(super) fn still_unsynced(&mut self, unsynced: Unsynced) {
        self.left.extend(unsynced.files);
        self.renamed = true;
    }

    /// The open file, which is the one of that name: opens it if it is not. Looks at the name again if `now`.
    fn be_open(&mut self, now: bool) -> Result<&mut Open, String> {
        if let Some(open) = self.open.as_mut().filter(|open| now || open.seen.elapsed() > SEEN) {
            match fs::metadata(&self.path) {
                Ok(found) if (found.dev(), found.ino()) == (open.device, open.inode) => {
                    open.seen = Instant::now();
                    if found.len() != open.size && open.spoilt == 0 {
                        self.look_again(found.len());
                    }
                }
                Ok(_) => self.leave("is another file now"),
                Err(e) if e.kind() == ErrorKind::NotFound => self.leave("was moved away"),
                // Still open, and perhaps still there.
                Err(_) => {}
            }
        }
        if self.open.is_none() {
            match Open::at(&self.path, self.rotate) {
                Ok((open, is_new)) => {
                    self.renamed |= is_new;
                    self.told.not_open = false;
                    self.open = Some(open);
                }
                Err(e) => {
                    let reason = cannot("open", &self.path, &e);
                    if !std::mem::replace(&mut self.told.not_open, true) {
                        tracing::error!("{reason}");
                    }
                    return Err(reason);
                }
            }
        }
        self.open.as_mut().ok_or_else(|| "FileAcct has no file".to_string())
    }

    fn leave(&mut self, why: &str) {
        tracing::info!("{} {why}: it is begun anew", self.path.display());
        self.put_aside();
    }

    /// The file is not written any more.
    fn put_aside(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        if let Err(reason) = open.take_back(&self.path) {
            tracing::error!("{reason}: its last line is damaged");
        }
        self.left.push(open.file);
    }

    /// Another program has written to the file, or made it shorter.
    fn look_again(&mut self, size: u64) {
        if !std::mem::replace(&mut self.told.stranger, true) {
            tracing::warn!(
                "another program writes to {}: it has {size} octets; let only one program write there",
                self.path.display()
            );
        }
        self.measure();
    }

    /// The file was changed.
    pub(super) fn measure(&mut self) {
        let rotate = self.rotate;
        if let Some(Err(e)) = self.open.as_mut().map(|open| open.look(rotate)) {
            tracing::error!("{}", cannot("read", &self.path, &e));
        }
    }

    /// Whether lines are from before the last occurrence: nobody ran then.
    fn missed(&self, now: i64) -> bool {
        let Some(open) = &self.open else { return false };
        let Some(last) = schedule::last(self.rotate, now, &self.zone) else {
            return false;
        };
        let modified = open.file.metadata().and_then(|found| found.modified());
        let modified = modified
            .ok()
            .map(|at| at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        let last = Duration::from_secs(u64::try_from(last).unwrap_or(0));
        open.size > 0 && modified.is_some_and(|modified| modified < last)
    }

    /// Gives the file a name of its own and begins a new one. If that fails it goes on as it is.
    fn rotate(&mut self, now: i64) {
        match self.rename(now) {
            Ok(to) => {
                tracing::info!("{} is {} now", self.path.display(), to.display());
                self.renamed = true;
                self.put_aside();
                if let Err(reason) = self.be_open(true) {
                    tracing::error!("{reason}");
                    return;
                }
                // The kernel's own time may be a little behind the clock, and then it would look as if this rotation had
                // been missed.
                let at = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(now).unwrap_or(0));
                if let Some(open) = self.open.as_ref().filter(|open| open.size == 0) {
                    let _ = open.file.set_modified(at);
                }
            }
            Err(e) => {
                tracing::error!("{}; it goes on, and is tried again", cannot("rotate", &self.path, &e));
                self.paused_until = now.saturating_add(PAUSE_SECONDS);
                // By the clock, too.
                if schedule::is_by_clock(self.rotate) {
                    self.next = Some(self.next.map_or(self.paused_until, |next| next.min(self.paused_until)));
                }
            }
        }
    }

    fn rename(&self, now: i64) -> io::Result<PathBuf> {
        const MOST: u32 = 10_000;
        let civil = Civil::local(now, &self.zone);
        let mut name = self.path.as_os_str().as_bytes().to_vec();
        name.push(b'.');
        digits(civil.year, 4, &mut name);
        digits(civil.month.into(), 2, &mut name);
        digits(civil.day.into(), 2, &mut name);
        name.push(b'-');
        for number in [civil.hour, civil.minute, civil.second] {
            digits(number.into(), 2, &mut name);
        }
        for number in 0..MOST {
            let mut to = name.clone();
            if number > 0 {
                to.extend_from_slice(format!(".{number}").as_bytes());
            }
            let to = PathBuf::from(OsString::from_vec(to));
            match rename_to_unused(&self.path, &to) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
                Ok(()) => return Ok(to),
            }
        }
        Err(io::Error::other("ten thousand files have the name that it would get"))
    }
}

fn rename_to_unused(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty())?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    }
}

/// What is not known to be on the disk yet.
pub(super) struct Unsynced {
    files: Vec<File>,
    directory: Option<PathBuf>,
    path: Arc<Path>,
    position: FilePosition,
}

impl Unsynced {
    pub(super) fn position(&self) -> FilePosition {
        self.position
    }

    pub(super) fn sync(&self) -> Result<(), String> {
        let failed = |e: io::Error| cannot("make durable", &self.path, &e);
        for file in &self.files {
            file.sync_data().map_err(failed)?;
        }
        if let Some(directory) = &self.directory {
            File::open(directory)
                .and_then(|directory| directory.sync_all())
                .map_err(failed)?;
        }
        Ok(())
    }
}
