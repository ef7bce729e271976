//! The octets of an answer, up to a limit of size and of time.

use std::{
    io::{self, BufReader, Read},
    time::Instant,
};

use reqwest::blocking::Response;

/// Octets read at once.
const BUFFER: usize = 32 << 10;

/// Octets of an answer that is read into memory.
const SHORT: u64 = 1 << 20;

/// The body of an answer. A body that is longer than its limit, or not at its end when the deadline has passed, fails to
/// be read; one that breaks off does, too.
pub struct Body(BufReader<Bounded>);

struct Bounded {
    response: Response,
    limit: u64,
    left: u64,
    deadline: Instant,
}

/// More octets came than allowed.
#[derive(Debug, thiserror::Error)]
#[error("its answer is longer than {} MiB", limit >> 20)]
struct TooLong {
    limit: u64,
}

/// The deadline of the conversation passed while octets still came.
#[derive(Debug, thiserror::Error)]
#[error("the time is over")]
struct TooLate;

impl Body {
    pub(super) fn new(response: Response, limit: u64, deadline: Instant) -> Self {
        let bounded = Bounded {
            response,
            limit,
            left: limit,
            deadline,
        };
        Body(BufReader::with_capacity(BUFFER, bounded))
    }

    /// All of it in memory, up to [`SHORT`]: for faults and error pages. Many devices may send one at once.
    pub fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        self.0.by_ref().take(SHORT + 1).read_to_end(&mut octets)?;
        match octets.len() as u64 > SHORT {
            true => Err(too_long(SHORT)),
            false => Ok(octets),
        }
    }
}

impl Read for Body {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl io::BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.0.consume(amount);
    }
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if Instant::now() >= self.deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, TooLate));
        }
        let read = self.response.read(into)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(too_long(self.limit)),
        }
        Ok(read)
    }
}

fn too_long(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, TooLong { limit })
}

/// Whether the size limit was the reason.
pub(super) fn is_limit(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::FileTooLarge
}
