//! The octets of one document, from here under its temporary name there, and to the disk there.

use std::time::{Duration, SystemTime};

use super::{
    client::{Client, Handle, Status},
    packet,
};
use crate::deliver::{
    DeliveryError, Failure, Result, Shipment,
    beside::{self, Need},
    local::Local,
    pace::Pace,
    shell::{self, Hashing},
    ssh::Ssh,
};

/// What the configuration says of the place there.
pub struct Target {
    pub directory: String,
    pub mode: Option<u32>,
    pub timeout: Duration,
}

pub struct Writing<'a> {
    pub client: &'a mut Client,
    pub target: &'a Target,
    pub pace: &'a mut Pace,
    /// Whether the file here is compared with what was promised while it is sent.
    pub checks: bool,
}

impl Writing<'_> {
    /// Everything but the sync. Returns the open file, and whether mode and time could be kept.
    pub fn bring(
        &mut self,
        partial: &str,
        shipment: &Shipment<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Handle, bool)> {
        let mut local = match self.checks {
            true => Local::open_checking(shipment)?,
            false => Local::open(shipment)?,
        };
        // Whatever an earlier run left: exclusively, so that nobody's symbolic link is followed.
        let _ = self.client.remove(partial)?;
        let flags = packet::FOR_WRITING | packet::CREATE | packet::EXCLUSIVE;
        let handle = match self.client.open(partial, flags)? {
            Ok(handle) => handle,
            Err(status) => return Err(self.refused(status, shipment, shipment.octets)?),
        };
        let mut buffer = vec![0; self.pace.piece(self.client.piece)];
        let mut offset = 0;
        while local.left() > 0 {
            let piece = local.fill(&mut buffer)?;
            self.pace.take(piece);
            if let Err(status) = self.client.write(&handle, offset, &buffer[..piece])? {
                return Err(self.refused(status, shipment, local.left() + piece as u64)?);
            }
            offset += piece as u64;
            progress(offset);
        }
        if let Err(status) = self.client.settle()? {
            return Err(self.refused(status, shipment, shipment.octets)?);
        }
        self.client
            .patience(shell::patience(self.target.timeout, shipment.octets));
        let mode = self.target.mode.unwrap_or(shipment.mode) & 0o7777;
        let kept = self
            .client
            .set_attributes(&handle, mode, seconds(shipment.modified))?
            .is_ok();
        let size = self.client.attributes(&handle)?.map_or(None, |found| found.size);
        match size {
            Some(size) if size != shipment.octets => Err(DeliveryError::new(
                Failure::Damaged,
                format!(
                    "{} has {size} octets there, {} were sent; it was not given its name",
                    shipment.remote_name, shipment.octets
                ),
            )),
            _ => Ok((handle, kept)),
        }
    }

    /// To the disk there, where the server can.
    pub fn sync(&mut self, handle: &Handle, shipment: &Shipment<'_>) -> Result<()> {
        match sync(self.client, handle)? {
            Ok(()) => Ok(()),
            Err(status) => Err(self.refused(status, shipment, shipment.octets)?),
        }
    }

    pub fn close(&mut self, handle: Handle, shipment: &Shipment<'_>) -> Result<()> {
        if let Err(status) = self.client.close(handle)? {
            return Err(self.refused(status, shipment, shipment.octets)?);
        }
        self.client.patience(self.target.timeout);
        Ok(())
    }

    fn refused(&mut self, status: Status, shipment: &Shipment<'_>, octets: u64) -> Result<DeliveryError> {
        refused(self.client, self.target, status, shipment, octets)
    }
}

/// What is done by the first connection for a document that comes over the second one.
pub struct Syncing<'a> {
    pub client: &'a mut Client,
    pub partial: &'a str,
    /// The same file. There is none where the server cannot sync, or does not let us.
    pub handle: Option<Handle>,
    /// Where the account has a shell.
    pub ssh: Option<&'a mut dyn Ssh>,
    pub hashing: Option<Hashing>,
}

impl Syncing<'_> {
    pub fn keep(&mut self, need: Need, target: &Target, shipment: &Shipment<'_>) -> Result<()> {
        match need {
            Need::Life => {
                self.client.patience(target.timeout);
                self.client.look(self.partial).map(drop)
            }
            Need::Sync(sent) => {
                self.hash(sent.saturating_sub(beside::ON_THE_WAY))?;
                self.sync(target, shipment)
            }
        }
    }

    fn hash(&mut self, octets: u64) -> Result<()> {
        if let Some(ssh) = self.ssh.take() {
            self.hashing = Some(Hashing::start(ssh, self.partial)?);
        }
        if let Some(hashing) = &mut self.hashing {
            hashing.there_are(octets);
        }
        Ok(())
    }

    fn sync(&mut self, target: &Target, shipment: &Shipment<'_>) -> Result<()> {
        // Starting and ending the checksum sets another limit.
        self.client.patience(shell::patience(target.timeout, shipment.octets));
        if self.handle.is_none() && self.client.has("fsync@openssh.com") {
            self.handle = self.client.open(self.partial, packet::FOR_WRITING)?.ok();
        }
        let Some(handle) = &self.handle else {
            return self.client.look(self.partial).map(drop);
        };
        match sync(self.client, handle)? {
            Ok(()) => Ok(()),
            Err(status) => Err(refused(self.client, target, status, shipment, shipment.octets)?),
        }
    }

    /// The rest. Returns whether what is there can be what was sent, for another host behind the same address has nothing;
    /// and whether it has been found to be so by its SHA-256.
    pub fn end(&mut self, target: &Target, shipment: &Shipment<'_>) -> Result<(bool, bool)> {
        if let Some(hashing) = &mut self.hashing {
            hashing.there_are(shipment.octets);
        }
        self.sync(target, shipment)?;
        let sum = match self.hashing.take() {
            Some(hashing) => hashing.end(shipment.octets, shell::patience(target.timeout, shipment.octets))?,
            None => None,
        };
        self.client.patience(target.timeout);
        if let Some(handle) = self.handle.take() {
            let _ = self.client.close(handle)?;
        }
        let is_there = match self.client.look(self.partial)? {
            Ok(found) => found.and_then(|found| found.size) == Some(shipment.octets),
            // Who may not look may still write.
            Err(_) => true,
        };
        Ok((is_there, sum.is_some_and(|sum| sum == shipment.sha256)))
    }
}

/// Not an error where we may not, or the server cannot.
fn sync(client: &mut Client, handle: &Handle) -> Result<std::result::Result<(), Status>> {
    if !client.has("fsync@openssh.com") {
        return Ok(Ok(()));
    }
    Ok(match client.sync(handle)? {
        Err(status) if status.code == packet::PERMISSION_DENIED => Ok(()),
        other => other,
    })
}

/// SFTP cannot say that a disk is full; the free space can.
fn refused(
    client: &mut Client,
    target: &Target,
    status: Status,
    shipment: &Shipment<'_>,
    octets: u64,
) -> Result<DeliveryError> {
    let doing = format!("writing {}", shipment.remote_name);
    if status.code == packet::FAILURE {
        // The file system of the directory, or of where the login begins.
        let directory = match target.directory.as_str() {
            "" => ".",
            directory => directory,
        };
        if let Some(free) = client.free(directory)?.filter(|free| *free < octets) {
            let reason = format!("the disk there is full while {doing}: {free} octets are free, {octets} are missing");
            return Ok(DeliveryError::new(Failure::RemoteFull, reason));
        }
    }
    Ok(status.while_doing(&doing))
}

/// SFTP has 32 bits.
pub fn seconds(time: SystemTime) -> u32 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    u32::try_from(since).unwrap_or(u32::MAX)
}
