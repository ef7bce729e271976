//! Exit statuses and the error that every command ends with.
//!
//! A library function returns a type of its own where the caller has a decision to take. What reaches the operator is
//! an [`Error`]: what failed, on what, why, what to do next, and with which status the program ends.

use std::{fmt, io, path::Path};

/// Exit statuses of `billdrop`, those of `sysexits.h` where one fits. The man page's table is made from this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done = 0,
    Internal = 1,
    Usage = 64,
    BadData = 65,
    Unavailable = 69,
    CannotCreate = 73,
    Io = 74,
    Blocked = 75,
    Denied = 77,
    Configuration = 78,
}

impl Exit {
    /// Every status with its meaning, in the words of the man page.
    pub const ALL: &[(Exit, &str)] = &[
        (Exit::Done, "Done."),
        (Exit::Internal, "Internal error: please report it."),
        (Exit::Usage, "The command line was used wrongly."),
        (Exit::BadData, "A document or another input is damaged or not valid."),
        (
            Exit::Unavailable,
            "A source or peer was unavailable. What could be captured is in the document.",
        ),
        (
            Exit::CannotCreate,
            "A file could not be created: no space, a read-only file system, or a file in the way.",
        ),
        (Exit::Io, "Reading or writing failed."),
        (
            Exit::Blocked,
            "Blocked: the last document has not been retrieved yet, or another capture is running. Try again later.",
        ),
        (Exit::Denied, "Permission or authentication was refused."),
        (Exit::Configuration, "The configuration is wrong."),
    ];

    /// The number given to the shell.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// A failure as the operator sees it.
#[derive(Debug)]
pub struct Error {
    exit: Exit,
    message: String,
    next: Option<String>,
    already_told: bool,
    disk_full: bool,
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `message` names the thing (host, file, line, key) and the reason.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Error {
            exit,
            message: message.into(),
            next: None,
            already_told: false,
            disk_full: false,
        }
    }

    /// An operation on a file failed. The exit status follows from the operating system's reason.
    pub fn file(doing: &str, path: &Path, error: &io::Error) -> Self {
        Error::new(exit_of(error), format!("cannot {doing} {}: {error}", path.display())).full_if(is_full(error))
    }

    /// A file that is to be read is not there, or cannot be read.
    pub fn reading(path: &Path, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Io,
        };
        Error::new(exit, format!("cannot read {}: {error}", path.display()))
    }

    /// Notes that a full disk is the reason: managers are told `deviceFull`.
    #[must_use]
    pub fn full_if(mut self, disk_full: bool) -> Self {
        self.disk_full = disk_full;
        self
    }

    /// What the operator can do about it, as a sentence.
    #[must_use]
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    /// For failures that were logged when they happened: only the exit status is left to give.
    pub fn already_told(exit: Exit) -> Self {
        Error {
            already_told: true,
            ..Error::new(exit, "")
        }
    }

    pub fn exit(&self) -> Exit {
        self.exit
    }

    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn is_disk_full(&self) -> bool {
        self.disk_full
    }

    pub fn is_already_told(&self) -> bool {
        self.already_told
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.next {
            Some(step) => write!(f, "\n  {step}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// The status for an error of the operating system.
pub fn exit_of(error: &io::Error) -> Exit {
    use io::ErrorKind::*;
    match error.kind() {
        PermissionDenied => Exit::Denied,
        StorageFull | QuotaExceeded | ReadOnlyFilesystem | AlreadyExists | NotFound | NotADirectory => {
            Exit::CannotCreate
        }
        _ => Exit::Io,
    }
}

/// Whether there is no room: `deviceFull` of CISCO-CABLE-METERING-MIB.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_for_the_manual_has_every_status_once_and_in_order() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 64, 65, 69, 73, 74, 75, 77, 78]);
    }
}
