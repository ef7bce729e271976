//! A log file that gives way to a new one when it is full.
//!
//! file-rotate renames the files and deletes the oldest; when that is due, where lines go, and what a failure is, is decided
//! here, because file-rotate goes on silently when it cannot open a file, and panics about files that are in its way.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use file_rotate::{ContentLimit, FileRotate, compression::Compression, suffix::AppendCount};
use rustix::fs::OFlags;

use super::Settings;

const FILE_MODE: u32 = 0o640;
const DIRECTORY_MODE: u32 = 0o750;

/// A log, made when the first line is written.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    size: u64,
    keep: usize,
    open: Option<(File, u64)>,
}

impl Rotating {
    pub(super) fn new(settings: &Settings, name: &str) -> Rotating {
        Rotating {
            path: settings.directory.join(name),
            size: settings.size.max(1),
            keep: settings.keep.max(1),
            open: None,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line with its line end; first the file gives way to a new one if the line would make it too large.
    ///
    /// # Errors
    /// When the line is not in the file: nothing of it is.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let (mut file, mut octets) = match self.open.take() {
            Some(open) => open,
            None => self.open()?,
        };
        if octets > 0 && octets.saturating_add(line.len() as u64) > self.size {
            drop(file);
            self.rotate()?;
            (file, octets) = self.open()?;
        }
        if let Err(e) = file.write_all(line) {
            // A disk is full: half a line would spoil the next one too.
            let _ = file.set_len(octets);
            return Err(e);
        }
        self.open = Some((file, octets + line.len() as u64));
        Ok(())
    }

    /// The file and its octets.
    fn open(&self) -> io::Result<(File, u64)> {
        if let Some(directory) = self.path.parent().filter(|path| !path.as_os_str().is_empty()) {
            make_directory(directory)?;
        }
        let mut options = options();
        let file = match options.create_new(true).open(&self.path) {
            Ok(file) => {
                // The process masks more than logs need.
                file.set_permissions(Permissions::from_mode(FILE_MODE))?;
                file
            }
            Err(e) if e.kind() == ErrorKind::AlreadyExists => options.create_new(false).open(&self.path)?,
            Err(e) => return Err(e),
        };
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
        }
        Ok((file, found.len()))
    }

    /// Moves the file and the older ones on, and deletes the oldest.
    fn rotate(&self) -> io::Result<()> {
        self.refuse_what_is_in_the_way()?;
        let rotated = catch_unwind(AssertUnwindSafe(|| {
            let mut files = FileRotate::new(
                &self.path,
                AppendCount::new(self.keep - 1),
                ContentLimit::None,
                Compression::None,
                Some(options()),
            );
            files.rotate()
        }));
        rotated.unwrap_or_else(|_| Err(io::Error::other("its older files changed while they were moved on")))?;
        // file-rotate opens the new file and does not tell when it cannot.
        match fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_file() && found.len() == 0 => {
                fs::set_permissions(&self.path, Permissions::from_mode(FILE_MODE))
            }
            Ok(_) => Err(io::Error::other("it could not be moved on")),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Names that file-rotate would take for older files of this log and stumble over.
    fn refuse_what_is_in_the_way(&self) -> io::Result<()> {
        let directory = self.path.parent().filter(|path| !path.as_os_str().is_empty());
        let own = self.path.file_name().unwrap_or_default().to_string_lossy();
        for entry in fs::read_dir(directory.unwrap_or(Path::new(".")))? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let Some(suffix) = name.strip_prefix(&*own).and_then(|rest| rest.strip_prefix('.')) else {
                continue;
            };
            let packed = suffix.strip_suffix(".gz");
            let Ok(number) = packed.unwrap_or(suffix).parse::<usize>() else {
                continue;
            };
            let is_usual = packed.is_none()
                && number.to_string() == suffix
                && (1..=usize::from(u16::MAX)).contains(&number)
                && entry.file_type()?.is_file();
            if !is_usual {
                return Err(io::Error::other(format!("{name} is in the way of its older files")));
            }
        }
        Ok(())
    }
}

/// Symbolic links are not followed, and nothing waits for a reader.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options
        .append(true)
        .create(true)
        .mode(FILE_MODE)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    options
}

/// Only the last component is made: a missing parent is rather a disk that is not mounted.
fn make_directory(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(directory) {
        Ok(()) => fs::set_permissions(directory, Permissions::from_mode(DIRECTORY_MODE)),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}
