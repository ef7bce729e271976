//! Why a delivery failed, in a sentence for the operator.

use std::{fmt, io, path::Path};

use super::Destination;
use crate::exit::{self, Exit};

/// What kind of failure it is, for whoever decides whether and when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection could be made.
    Unreachable,
    /// The connection was cut, or the other side fell silent.
    Interrupted,
    /// The host's key is in no list of known hosts.
    UnknownHost,
    /// The host has another key than the one that is known. Nothing was sent to it.
    ChangedHost,
    /// The server let nobody in with what is configured.
    Login,
    /// The server refused an operation for want of rights.
    Denied,
    /// A directory is missing there.
    Missing,
    RemoteFull,
    /// The name is taken by another file, which is never overwritten.
    Conflict,
    /// What arrived is not what was sent.
    Damaged,
    /// Anything else that the server complained of.
    Remote,
    /// The file cannot be read here, or has changed.
    Local,
    /// Something that the configuration names does not work: a key file, a password file.
    Configuration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryError {
    failure: Failure,
    message: String,
    next: Option<String>,
    exit: Exit,
}

impl DeliveryError {
    pub(super) fn new(failure: Failure, message: impl Into<String>) -> Self {
        DeliveryError {
            failure,
            message: message.into(),
            next: None,
            exit: failure.exit(),
        }
    }

    pub(super) fn local(doing: &str, path: &Path, error: &io::Error) -> Self {
        DeliveryError {
            exit: exit::exit_of(error),
            ..Self::new(Failure::Local, format!("cannot {doing} {}: {error}", path.display()))
        }
    }

    /// The connection failed while something was being done.
    pub(super) fn wire(doing: &str, error: &io::Error) -> Self {
        let message = match error.kind() {
            io::ErrorKind::TimedOut => format!("no answer in time while {doing}"),
            io::ErrorKind::UnexpectedEof => format!("the connection was closed while {doing}"),
            _ => format!("the connection failed while {doing}: {error}"),
        };
        Self::new(Failure::Interrupted, message)
    }

    #[must_use]
    pub(super) fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    #[must_use]
    pub(super) fn at(mut self, destination: &Destination) -> Self {
        self.message = format!("{destination}: {}", self.message);
        self
    }

    /// The reason in one line, without what to do about it.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub fn failure(&self) -> Failure {
        self.failure
    }

    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl Failure {
    /// Whether the host's key or the log-in was refused: by them, or by us.
    pub fn is_refusal(self) -> bool {
        matches!(self, Failure::UnknownHost | Failure::ChangedHost | Failure::Login)
    }

    /// Whether only a person can help, so that trying again soon is of no use.
    pub fn needs_a_person(self) -> bool {
        self.is_refusal() || matches!(self, Failure::Configuration | Failure::Conflict)
    }

    fn exit(self) -> Exit {
        match self {
            Failure::Unreachable | Failure::Interrupted => Exit::Unavailable,
            Failure::UnknownHost | Failure::ChangedHost | Failure::Login | Failure::Denied => Exit::Denied,
            Failure::Missing | Failure::RemoteFull | Failure::Conflict => Exit::CannotCreate,
            Failure::Damaged | Failure::Remote | Failure::Local => Exit::Io,
            Failure::Configuration => Exit::Configuration,
        }
    }
}

impl fmt::Display for DeliveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.next {
            Some(step) => write!(f, "\n  {step}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DeliveryError {}

impl From<DeliveryError> for exit::Error {
    fn from(error: DeliveryError) -> Self {
        let whole = exit::Error::new(error.exit, error.message);
        match error.next {
            Some(step) => whole.next(step),
            None => whole,
        }
    }
}

/// What a server said, fit for one line of a log: the rest of the world is hostile.
pub(super) fn said(words: &[u8]) -> String {
    const LONGEST: usize = 300;
    let text = String::from_utf8_lossy(words);
    let mut line = String::new();
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.extend(word.chars().take(LONGEST));
        }
        if line.len() > LONGEST {
            while line.len() > LONGEST {
                line.pop();
            }
            line.push('…');
            break;
        }
    }
    line
}

/// The last line that a program wrote: the reason stands at the end.
pub(super) fn said_last(words: &[u8]) -> String {
    let mut lines = words.split(|b| *b == b'\n').map(said);
    lines.rfind(|line: &String| !line.is_empty()).unwrap_or_default()
}

/// What the words of a server mean. There are no codes in SCP, and SFTP has only "failure" for a full disk.
pub(super) fn classify(words: &str) -> Failure {
    let lower = words.to_ascii_lowercase();
    let has = |part: &str| lower.contains(part);
    if has("no space left") || has("quota exceeded") || has("disk full") {
        Failure::RemoteFull
    } else if has("permission denied") || has("operation not permitted") || has("read-only file system") {
        Failure::Denied
    } else if has("no such file") || has("not a directory") {
        Failure::Missing
    } else {
        Failure::Remote
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_stays_on_one_line_and_is_not_endless() {
        assert_eq!(said(b"scp:  /in:\x1b[31m no\r\n"), "scp: /in: [31m no");
        let long = said("ä".repeat(10_000).as_bytes());
        assert!(long.len() < 400 && long.ends_with('…'), "{long}");
    }

    #[test]
    fn words_tell_a_full_disk_from_missing_rights() {
        assert_eq!(classify("scp: /in/x: No space left on device"), Failure::RemoteFull);
        assert_eq!(classify("scp: /in/x: Permission denied"), Failure::Denied);
        assert_eq!(classify("scp: /in/x: No such file or directory"), Failure::Missing);
        assert_eq!(classify("scp: protocol error"), Failure::Remote);
    }
}
