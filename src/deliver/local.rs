//! The file here: read once, and compared with what is at the destination already.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::{DeliveryError, Failure, Result, Shipment};

/// The file of a shipment, from its begin to exactly its size.
pub struct Local<'a> {
    file: File,
    path: &'a Path,
    left: u64,
}

impl<'a> Local<'a> {
    /// Refuses a file that has not the size that it is said to have.
    pub fn open(shipment: &Shipment<'a>) -> Result<Self> {
        let path = shipment.file;
        let open = || {
            let file = File::open(path)?;
            let found = file.metadata()?;
            Ok((file, found))
        };
        let (file, found) = open().map_err(|e: io::Error| DeliveryError::local("read", path, &e))?;
        if !found.is_file() {
            return Err(DeliveryError::new(
                Failure::Local,
                format!("{} is not a file", path.display()),
            ));
        }
        if found.len() != shipment.octets {
            return Err(changed(path, shipment.octets, found.len()));
        }
        Ok(Local {
            file,
            path,
            left: shipment.octets,
        })
    }

    /// How much has not been read yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Fills as much of the buffer as there is; 0 at the end.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        self.file
            .read_exact(&mut buffer[..wanted])
            .map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => DeliveryError::new(
                    Failure::Local,
                    format!("{} became shorter while it was being sent", self.path.display()),
                ),
                _ => DeliveryError::local("read", self.path, &e),
            })?;
        self.left -= wanted as u64;
        Ok(wanted)
    }
}

fn changed(path: &Path, should: u64, is: u64) -> DeliveryError {
    DeliveryError::new(
        Failure::Local,
        format!(
            "{} has {is} octets, {should} were expected: it has changed",
            path.display()
        ),
    )
}

/// How a file at the destination compares with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    Same,
    /// Shorter, and the same so far: what a cut connection leaves.
    Beginning,
    Different,
}

/// Is told the octets of the other file one piece after the other.
pub struct Comparison<'a> {
    local: Local<'a>,
    buffer: Vec<u8>,
    differs: bool,
}

impl<'a> Comparison<'a> {
    pub fn with(shipment: &Shipment<'a>) -> Result<Self> {
        Ok(Comparison {
            local: Local::open(shipment)?,
            buffer: Vec::new(),
            differs: false,
        })
    }

    /// Returns whether it makes sense to go on.
    pub fn piece(&mut self, theirs: &[u8]) -> Result<bool> {
        if !self.differs {
            self.buffer.resize(theirs.len(), 0);
            let ours = self.local.fill(&mut self.buffer)?;
            self.differs = self.buffer[..ours] != *theirs;
        }
        Ok(!self.differs)
    }

    pub fn end(self) -> Likeness {
        match (self.differs, self.local.left()) {
            (true, _) => Likeness::Different,
            (false, 0) => Likeness::Same,
            (false, _) => Likeness::Beginning,
        }
    }
}

/// The name is taken by something else. It may be the only copy of another document.
pub fn conflict(what: &str) -> DeliveryError {
    DeliveryError::new(
        Failure::Conflict,
        format!("{what} is there already with other content; nothing was overwritten"),
    )
    .next("Move it away there, or give this destination a remote-name of its own.")
}
