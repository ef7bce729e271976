//! Numbers, texts and lists as octets: XDR in network order without its padding (IPDR/SP 2.1 §2.4).

/// A length of a string that is told later. Only files have it; in a message it is refused.
const INDEFINITE: u32 = u32::MAX;

/// Why octets could not be read. The message that they stand in is named by who calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    #[error("it ends within {0}")]
    CutOff(&'static str),
    #[error("{what} has {length} octets or items, {left} octets are left")]
    TooLong {
        what: &'static str,
        length: u32,
        left: usize,
    },
    #[error("the length of {0} is indefinite")]
    Indefinite(&'static str),
    #[error("{what} has {length} octets, {expected} are expected")]
    WrongLength {
        what: &'static str,
        length: u32,
        expected: &'static str,
    },
    #[error("{0} octets are left over")]
    LeftOver(usize),
    #[error("a field has the type {0:#x}, which is not known")]
    Type(u32),
}

/// What has not been read yet.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    octets: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(octets: &'a [u8]) -> Input<'a> {
        Input { octets }
    }

    pub fn left(&self) -> usize {
        self.octets.len()
    }

    pub fn take(&mut self, length: usize, what: &'static str) -> Result<&'a [u8], Defect> {
        let (taken, rest) = self.octets.split_at_checked(length).ok_or(Defect::CutOff(what))?;
        self.octets = rest;
        Ok(taken)
    }

    pub fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Defect> {
        let (taken, rest) = self.octets.split_first_chunk().ok_or(Defect::CutOff(what))?;
        self.octets = rest;
        Ok(*taken)
    }

    pub fn u8(&mut self, what: &'static str) -> Result<u8, Defect> {
        self.array(what).map(u8::from_be_bytes)
    }

    pub fn u16(&mut self, what: &'static str) -> Result<u16, Defect> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub fn u32(&mut self, what: &'static str) -> Result<u32, Defect> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub fn u64(&mut self, what: &'static str) -> Result<u64, Defect> {
        self.array(what).map(u64::from_be_bytes)
    }

    /// Everything but 0 is true.
    pub fn boolean(&mut self, what: &'static str) -> Result<bool, Defect> {
        self.u8(what).map(|octet| octet != 0)
    }

    /// A number of octets, then as many octets.
    pub fn opaque(&mut self, what: &'static str) -> Result<&'a [u8], Defect> {
        let length = self.u32(what)?;
        if length == INDEFINITE {
            return Err(Defect::Indefinite(what));
        }
        let left = self.left();
        usize::try_from(length)
            .ok()
            .and_then(|octets| self.take(octets, what).ok())
            .ok_or(Defect::TooLong { what, length, left })
    }

    /// A text. What is not UTF-8 becomes U+FFFD.
    pub fn text(&mut self, what: &'static str) -> Result<String, Defect> {
        self.opaque(what).map(lossy)
    }

    /// The text at the end of a message, also from peers that leave its length out: if the length does not fit, all
    /// that is left is the text.
    pub fn last_text(&mut self, what: &'static str) -> Result<String, Defect> {
        let whole = *self;
        match self.text(what) {
            Err(Defect::CutOff(_) | Defect::TooLong { .. }) => {
                self.octets = &[];
                Ok(lossy(whole.octets))
            }
            read => read,
        }
    }

    /// The number of items of a list, each of which takes at least `smallest` octets: memory for more than can be there
    /// is never asked for.
    pub fn count(&mut self, smallest: usize, what: &'static str) -> Result<usize, Defect> {
        let length = self.u32(what)?;
        let left = self.left();
        usize::try_from(length)
            .ok()
            .filter(|count| *count <= left / smallest)
            .ok_or(Defect::TooLong { what, length, left })
    }
}

fn lossy(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

/// A text, a record or a list has more octets or items than 32 bits can count, or a message would be longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of IPDR/SP cannot be longer than 4294967295 octets")]
pub struct TooLong;

pub(super) fn put_opaque(out: &mut Vec<u8>, octets: &[u8]) -> Result<(), TooLong> {
    put_count(out, octets.len())?;
    out.extend_from_slice(octets);
    Ok(())
}

/// [`u32::MAX`] is not a number but the indefinite length.
pub(super) fn put_count(out: &mut Vec<u8>, count: usize) -> Result<(), TooLong> {
    let count = u32::try_from(count).ok().filter(|count| *count != INDEFINITE);
    out.extend_from_slice(&count.ok_or(TooLong)?.to_be_bytes());
    Ok(())
}
