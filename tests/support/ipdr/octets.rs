//! Octets of a message, taken from the front; big-endian, nothing is padded.

/// What is left of a message. Each method takes what it names, or says which value the message is too short for.
#[derive(Clone, Copy)]
pub struct Octets<'a>(pub &'a [u8]);

impl<'a> Octets<'a> {
    pub fn take(&mut self, octets: usize, what: &str) -> Result<&'a [u8], String> {
        let (taken, rest) = self
            .0
            .split_at_checked(octets)
            .ok_or_else(|| format!("{what}: {octets} octets wanted, {} left", self.0.len()))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        Ok(self.take(N, what)?.try_into().unwrap())
    }

    pub fn u8(&mut self, what: &str) -> Result<u8, String> {
        Ok(self.array::<1>(what)?[0])
    }

    pub fn u16(&mut self, what: &str) -> Result<u16, String> {
        self.array(what).map(u16::from_be_bytes)
    }

    pub fn u32(&mut self, what: &str) -> Result<u32, String> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub fn u64(&mut self, what: &str) -> Result<u64, String> {
        self.array(what).map(u64::from_be_bytes)
    }

    pub fn bool(&mut self, what: &str) -> Result<bool, String> {
        match self.u8(what)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(format!("{what}: the boolean {other}")),
        }
    }

    /// A length and as many octets.
    pub fn opaque(&mut self, what: &str) -> Result<&'a [u8], String> {
        let length = self.u32(what)?;
        self.take(length as usize, what)
    }

    pub fn string(&mut self, what: &str) -> Result<String, String> {
        let octets = self.opaque(what)?;
        match std::str::from_utf8(octets) {
            Ok(text) if text.contains('\0') => Err(format!("{what}: a NUL in {text:?}")),
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(format!("{what}: {error}")),
        }
    }

    pub fn fixed<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        self.array(what)
    }

    /// A count and as many elements.
    pub fn list<T>(
        &mut self,
        what: &str,
        mut element: impl FnMut(&mut Self) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let count = self.u32(what)?;
        (0..count).map(|_| element(self)).collect()
    }

    pub fn end(self, what: &str) -> Result<(), String> {
        match self.0.len() {
            0 => Ok(()),
            left => Err(format!("{what}: {left} octets too many")),
        }
    }
}

/// Octets from hexadecimal digits, blanks between them ignored, and texts in quotation marks.
pub fn octets(notation: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    for (index, piece) in notation.split('"').enumerate() {
        if index % 2 == 1 {
            octets.extend_from_slice(piece.as_bytes());
            continue;
        }
        let digits: Vec<u32> = piece.chars().filter_map(|digit| digit.to_digit(16)).collect();
        octets.extend(digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8));
    }
    octets
}
