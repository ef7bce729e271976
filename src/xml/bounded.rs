//! Input with a budget, so that hostile input cannot fill the memory, and with line and column.

use std::io::{self, BufRead, Read};

/// A place in the input, both numbers from 1. The column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub line: u64,
    pub column: u64,
}

/// Lets through only so many octets for each event of the parser.
#[derive(Debug)]
pub(crate) struct Bounded<R> {
    input: R,
    left: usize,
    octets: u64,
    place: Place,
}

impl<R> Bounded<R> {
    pub(crate) fn new(input: R) -> Self {
        Bounded {
            input,
            left: 0,
            octets: 0,
            place: Place { line: 1, column: 1 },
        }
    }

    /// The next event may have this many octets.
    pub(crate) fn allow(&mut self, octets: usize) {
        self.left = octets;
    }

    /// Whether the last failure was that of the budget.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.left == 0
    }

    pub(crate) fn place(&self) -> Place {
        self.place
    }

    /// Octets taken since the beginning.
    pub(crate) fn octets(&self) -> u64 {
        self.octets
    }

    pub(crate) fn into_inner(self) -> R {
        self.input
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let octets = self.input.fill_buf()?;
        if self.left == 0 && !octets.is_empty() {
            return Err(io::Error::other("more octets than allowed"));
        }
        Ok(&octets[..octets.len().min(self.left)])
    }

    fn consume(&mut self, amount: usize) {
        // What is consumed lies in the buffer still, so this reads nothing.
        if let Ok(octets) = self.input.fill_buf() {
            self.place.pass(&octets[..amount.min(octets.len())]);
        }
        self.input.consume(amount);
        self.left = self.left.saturating_sub(amount);
        self.octets += amount as u64;
    }
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let amount = self.fill_buf()?.read(into)?;
        self.consume(amount);
        Ok(amount)
    }
}

impl Place {
    /// Moves behind these octets.
    pub(crate) fn pass(&mut self, octets: &[u8]) {
        let mut line = octets;
        if let Some(last) = octets.iter().rposition(|octet| *octet == b'\n') {
            self.line += octets[..=last].iter().filter(|octet| **octet == b'\n').count() as u64;
            self.column = 1;
            line = &octets[last + 1..];
        }
        // The octets 10xxxxxx go on with a character that has begun before.
        self.column += line.iter().filter(|octet| **octet & 0xC0 != 0x80).count() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_however_the_octets_come() {
        let text = "a\nbä𝄞c\n\nd".as_bytes();
        for size in 1..text.len() {
            let mut bounded = Bounded::new(io::BufReader::with_capacity(size, text));
            bounded.allow(text.len());
            io::copy(&mut bounded, &mut io::sink()).unwrap();
            assert_eq!(bounded.place(), Place { line: 4, column: 2 });
            assert_eq!(bounded.octets(), text.len() as u64);
        }
    }

    #[test]
    fn no_more_octets_come_than_are_allowed() {
        let mut bounded = Bounded::new(&b"0123456789"[..]);
        bounded.allow(4);
        assert_eq!(bounded.fill_buf().unwrap(), b"0123");
        bounded.consume(4);
        assert!(bounded.fill_buf().is_err() && bounded.is_exhausted());
        bounded.allow(6);
        assert_eq!(bounded.fill_buf().unwrap(), b"456789");
        bounded.consume(6);
        assert_eq!(bounded.fill_buf().unwrap(), b"", "the end is no excess");
    }
}
