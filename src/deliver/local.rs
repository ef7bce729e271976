//! The file here: read once, and compared with what is at the destination already.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest, Sha256};

use super::{DeliveryError, Failure, Result, Shipment};
use crate::document;

/// The file of a shipment, from its begin to exactly its size.
pub struct Local<'a> {
    file: File,
    path: &'a Path,
    left: u64,
    /// Where nobody else compares the octets with what was promised.
    hash: Option<(Sha256, &'a str)>,
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
            hash: None,
        })
    }

    /// The same, and the last piece is given only if all of them are what was promised: a copy that was damaged here must
    /// not arrive as if it were right, where the server cannot tell.
    pub fn open_checking(shipment: &Shipment<'a>) -> Result<Self> {
        Ok(Local {
            hash: Some((Sha256::new(), shipment.sha256)),
            ..Local::open(shipment)?
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
        if let Some((hash, _)) = &mut self.hash {
            hash.update(&buffer[..wanted]);
        }
        if self.left == 0
            && let Some((hash, promised)) = self.hash.take()
            && document::hex(&hash.finalize()) != promised
        {
            return Err(DeliveryError::new(
                Failure::Local,
                format!("{} is damaged: its SHA-256 is another", self.path.display()),
            ));
        }
        Ok(wanted)
    }
}

/// Reads the whole file: an error, if it is not what was promised.
pub fn check(shipment: &Shipment<'_>) -> Result<()> {
    let mut local = Local::open_checking(shipment)?;
    let mut piece = vec![0; 256 << 10];
    while local.left() > 0 {
        local.fill(&mut piece)?;
    }
    Ok(())
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
    shipment: Shipment<'a>,
    local: Local<'a>,
    buffer: Vec<u8>,
    differs: bool,
}

impl<'a> Comparison<'a> {
    pub fn with(shipment: &Shipment<'a>) -> Result<Self> {
        Ok(Comparison {
            shipment: *shipment,
            local: Local::open_checking(shipment)?,
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

    /// An error, if it is our own file that is not what it should be.
    pub fn end(self) -> Result<Likeness> {
        match (self.differs, self.local.left()) {
            (true, _) => check(&self.shipment).map(|()| Likeness::Different),
            (false, 0) => Ok(Likeness::Same),
            (false, _) => Ok(Likeness::Beginning),
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
