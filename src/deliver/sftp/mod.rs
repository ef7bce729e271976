//! SFTP: a temporary name, then a rename that never replaces.

mod client;
mod packet;

use std::time::{Duration, Instant, SystemTime};

use sha2::{Digest, Sha256};

use self::client::{Client, Handle, Status};
use super::{
    DeliveryError, Destination, Failure, Link, Receipt, Result, Shipment, Verified,
    local::{self, Comparison, Likeness, Local, conflict},
    pace::Pace,
    partial_name, shell,
    ssh::{self, Ssh},
};

/// Up to this size, in octets, reading a file back is cheaper than running a command.
const READ_BACK: u64 = 64 << 10;

pub fn connect(destination: &Destination) -> Result<Box<dyn Link>> {
    let mut ssh = ssh::connect(destination)?;
    let client = Client::start(ssh.subsystem("sftp")?, destination.timeout)?;
    // With a program each command would be one more login.
    let asks_shell = ssh.is_one_connection();
    Ok(Box::new(Sftp {
        client,
        ssh,
        asks_shell,
        directory: destination.endpoint.directory.clone(),
        mode: destination.mode,
        timeout: destination.timeout,
        pace: destination.pace(),
    }))
}

struct Sftp {
    /// Before the connection that it uses, since fields are dropped in order.
    client: Client,
    ssh: Box<dyn Ssh>,
    asks_shell: bool,
    directory: String,
    mode: Option<u32>,
    timeout: Duration,
    pace: Pace,
}

impl Link for Sftp {
    fn put(&mut self, shipment: &Shipment<'_>, progress: &mut dyn FnMut(u64)) -> Result<Receipt> {
        let begin = Instant::now();
        let name = shipment.remote_name;
        let path = format!("{}{name}", self.directory);
        let partial = format!("{}{}", self.directory, partial_name(name));
        let mut receipt = Receipt {
            octets: shipment.octets,
            verified: Verified::Size,
            renamed: true,
            attributes: true,
            found: false,
            elapsed: Duration::ZERO,
        };
        if let Some(verified) = self.is_there(&path, shipment)? {
            progress(shipment.octets);
            receipt.found = true;
            receipt.verified = verified;
            receipt.elapsed = begin.elapsed();
            return Ok(receipt);
        }
        match self.write(&partial, shipment, progress) {
            Ok(attributes) => receipt.attributes = attributes,
            Err(e) => {
                if e.failure() != Failure::Interrupted {
                    // It would only take the space that is missing. If it stays, the next run removes it.
                    let _ = self.client.remove(&partial);
                }
                return Err(e);
            }
        }
        if self.is_same_by_checksum(&partial, shipment)? {
            receipt.verified = Verified::Sha256;
        }
        if let Err(status) = self.client.rename(&partial, &path)? {
            return Err(self.not_renamed(&partial, &path, shipment, status)?);
        }
        receipt.elapsed = begin.elapsed();
        Ok(receipt)
    }
}

impl Sftp {
    /// Whether an earlier run has brought it already. An error, if the name is taken by something else.
    fn is_there(&mut self, path: &str, shipment: &Shipment<'_>) -> Result<Option<Verified>> {
        let found = self.client.look(path)?;
        // Who may not look may still write: into a directory that cannot be searched nothing will be renamed.
        let Ok(Some(found)) = found else { return Ok(None) };
        if !found.is_file() || found.size.is_some_and(|size| size != shipment.octets) {
            return Err(conflict(shipment.remote_name));
        }
        match self.compare(path, shipment)? {
            Some(Likeness::Same) => Ok(Some(Verified::Sha256)),
            Some(_) => Err(conflict(shipment.remote_name)),
            // Two documents may well be of one length; they are not of one second.
            None if found.modified == Some(seconds(shipment.modified)) => Ok(Some(Verified::Size)),
            None => Err(conflict(shipment.remote_name)),
        }
    }

    /// Reads a file back. `None`: we may not.
    fn compare(&mut self, path: &str, shipment: &Shipment<'_>) -> Result<Option<Likeness>> {
        let Ok(handle) = self.client.open(path, packet::FOR_READING)? else {
            return Ok(None);
        };
        let mut comparison = Comparison::with(shipment)?;
        let mut offset = 0;
        loop {
            match self.client.read(&handle, offset)? {
                Ok(Some(data)) => {
                    offset += data.len() as u64;
                    if !comparison.piece(&data)? {
                        break;
                    }
                }
                Ok(None) => break,
                Err(status) => return Err(status.while_doing("reading back what is there")),
            }
        }
        let _ = self.client.close(handle)?;
        comparison.end().map(Some)
    }

    /// Brings the octets under the temporary name. Returns whether mode and time could be kept.
    fn write(&mut self, partial: &str, shipment: &Shipment<'_>, progress: &mut dyn FnMut(u64)) -> Result<bool> {
        // A small file is read back, and a shell compares: else nobody but us can find our own copy damaged.
        let mut local = match shipment.octets > READ_BACK && !self.asks_shell {
            true => Local::open_checking(shipment)?,
            false => Local::open(shipment)?,
        };
        let doing = format!("writing {}", shipment.remote_name);
        // Whatever an earlier run left: exclusively, so that nobody's symbolic link is followed.
        let _ = self.client.remove(partial)?;
        let flags = packet::FOR_WRITING | packet::CREATE | packet::EXCLUSIVE;
        let handle = match self.client.open(partial, flags)? {
            Ok(handle) => handle,
            Err(status) => return Err(self.refused(status, &doing, shipment.octets)?),
        };
        let mut buffer = vec![0; self.pace.piece(self.client.piece)];
        let mut offset = 0;
        while local.left() > 0 {
            let piece = local.fill(&mut buffer)?;
            self.pace.take(piece);
            if let Err(status) = self.client.write(&handle, offset, &buffer[..piece])? {
                return Err(self.refused(status, &doing, local.left() + piece as u64)?);
            }
            offset += piece as u64;
            progress(offset);
        }
        if let Err(status) = self.client.settle()? {
            return Err(self.refused(status, &doing, shipment.octets)?);
        }
        self.client.patience(shell::patience(self.timeout, shipment.octets));
        let attributes = self.finish(&handle, &doing, shipment)?;
        if let Err(status) = self.client.close(handle)? {
            return Err(self.refused(status, &doing, shipment.octets)?);
        }
        self.client.patience(self.timeout);
        Ok(attributes)
    }

    fn finish(&mut self, handle: &Handle, doing: &str, shipment: &Shipment<'_>) -> Result<bool> {
        let mode = self.mode.unwrap_or(shipment.mode) & 0o7777;
        let kept = self
            .client
            .set_attributes(handle, mode, seconds(shipment.modified))?
            .is_ok();
        if self.client.has("fsync@openssh.com")
            && let Err(status) = self.client.sync(handle)?
            && status.code != packet::PERMISSION_DENIED
        {
            return Err(self.refused(status, doing, shipment.octets)?);
        }
        let size = self.client.attributes(handle)?.map_or(None, |found| found.size);
        match size {
            Some(size) if size != shipment.octets => Err(DeliveryError::new(
                Failure::Damaged,
                format!(
                    "{} has {size} octets there, {} were sent; it was not given its name",
                    shipment.remote_name, shipment.octets
                ),
            )),
            _ => Ok(kept),
        }
    }

    /// SFTP cannot say that a disk is full; the free space can.
    fn refused(&mut self, status: Status, doing: &str, octets: u64) -> Result<DeliveryError> {
        if status.code == packet::FAILURE {
            // The file system of the directory, or of where the login begins.
            let directory = if self.directory.is_empty() {
                "."
            } else {
                self.directory.as_str()
            };
            let directory = directory.to_owned();
            if let Some(free) = self.client.free(&directory)?.filter(|free| *free < octets) {
                let reason =
                    format!("the disk there is full while {doing}: {free} octets are free, {octets} are missing");
                return Ok(DeliveryError::new(Failure::RemoteFull, reason));
            }
        }
        Ok(status.while_doing(doing))
    }

    /// Reads a small file back; else by `sha256sum`, where the account may run commands, too, and sees the same files.
    fn is_same_by_checksum(&mut self, partial: &str, shipment: &Shipment<'_>) -> Result<bool> {
        let sum = match shipment.octets {
            ..=READ_BACK => self.read_back(partial, shipment.octets)?,
            _ => self.ask_shell(partial, shipment)?,
        };
        match sum {
            Some(sum) if sum == shipment.sha256 => Ok(true),
            Some(_) => {
                let _ = self.client.remove(partial)?;
                local::check(shipment)?;
                let reason = format!(
                    "{} arrived damaged: its SHA-256 is another; it was removed",
                    shipment.remote_name
                );
                Err(DeliveryError::new(Failure::Damaged, reason))
            }
            None => local::check(shipment).map(|()| false).inspect_err(|_| {
                let _ = self.client.remove(partial);
            }),
        }
    }

    /// No further than the file should be long: what comes then is another.
    fn read_back(&mut self, partial: &str, octets: u64) -> Result<Option<String>> {
        let Ok(handle) = self.client.open(partial, packet::FOR_READING)? else {
            return Ok(None);
        };
        let (mut hash, mut offset) = (Sha256::new(), 0);
        while offset <= octets
            && let Some(data) = match self.client.read(&handle, offset)? {
                Ok(data) => data,
                // We may open it, and not read.
                Err(status) if status.code == packet::PERMISSION_DENIED => {
                    let _ = self.client.close(handle)?;
                    return Ok(None);
                }
                Err(status) => return Err(status.while_doing("reading back what has arrived")),
            }
        {
            offset += data.len() as u64;
            hash.update(&data);
        }
        let _ = self.client.close(handle)?;
        Ok(Some(hash.finalize().iter().map(|b| format!("{b:02x}")).collect()))
    }

    fn ask_shell(&mut self, partial: &str, shipment: &Shipment<'_>) -> Result<Option<String>> {
        if !self.asks_shell {
            return Ok(None);
        }
        let patience = shell::patience(self.timeout, shipment.octets);
        let answer = shell::ask(self.ssh.as_mut(), &shell::checksum(partial), patience);
        self.client.patience(self.timeout);
        let sum = answer.ok().flatten().and_then(|lines| shell::found(&lines).1);
        self.asks_shell = sum.is_some();
        Ok(sum)
    }

    /// Somebody else may have taken the name meanwhile, or renaming is not allowed.
    fn not_renamed(
        &mut self,
        partial: &str,
        path: &str,
        shipment: &Shipment<'_>,
        status: Status,
    ) -> Result<DeliveryError> {
        let taken = matches!(self.client.look(path)?, Ok(Some(_)));
        let _ = self.client.remove(partial)?;
        Ok(match taken {
            true => conflict(shipment.remote_name),
            false => status.while_doing(&format!("renaming to {}", shipment.remote_name)),
        })
    }
}

/// SFTP has 32 bits.
fn seconds(time: SystemTime) -> u32 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    u32::try_from(since).unwrap_or(u32::MAX)
}
