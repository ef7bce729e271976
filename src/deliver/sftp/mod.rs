//! SFTP: a temporary name, then a rename that never replaces.

mod client;
mod packet;
mod writing;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};

use self::{
    client::{Client, Status},
    writing::{Syncing, Target, Writing, seconds},
};
use super::{
    DeliveryError, Destination, Failure, Link, Receipt, Result, Shipment, TEST_NAME, Verified, beside,
    local::{self, Comparison, Likeness, conflict},
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
        fast: Fast::Untried,
        ssh,
        fast_ssh: None,
        asks_shell,
        target: Target {
            directory: destination.endpoint.directory.clone(),
            mode: destination.mode,
            timeout: destination.timeout,
        },
        pace: destination.pace(),
    }))
}

struct Sftp {
    /// Before the connections that they use, since fields are dropped in order.
    client: Client,
    fast: Fast,
    ssh: Box<dyn Ssh>,
    fast_ssh: Option<Box<dyn Ssh>>,
    asks_shell: bool,
    target: Target,
    pace: Pace,
}

/// What is known of a document that is whole under its temporary name.
struct Written {
    /// Whether mode and time could be kept.
    attributes: bool,
    /// Whether its SHA-256 has been found to be the right one.
    has_sum: bool,
}

/// A second connection, for large documents.
enum Fast {
    Untried,
    There(Client),
    /// There is none, or it has failed.
    No,
}

impl Link for Sftp {
    fn put(&mut self, shipment: &Shipment<'_>, progress: &mut dyn FnMut(u64)) -> Result<Receipt> {
        let begin = Instant::now();
        let name = shipment.remote_name;
        let path = format!("{}{name}", self.target.directory);
        let partial = format!("{}{}", self.target.directory, partial_name(name));
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
        let has_sum = match self.write(&partial, shipment, progress) {
            Ok(written) => {
                receipt.attributes = written.attributes;
                written.has_sum
            }
            Err(e) => {
                if e.failure() != Failure::Interrupted {
                    // It would only take the space that is missing. If it stays, the next run removes it.
                    let _ = self.client.remove(&partial);
                }
                return Err(e);
            }
        };
        if has_sum || self.is_same_by_checksum(&partial, shipment)? {
            receipt.verified = Verified::Sha256;
        }
        if let Err(status) = self.client.rename(&partial, &path)? {
            return Err(self.not_renamed(&partial, &path, shipment, status)?);
        }
        receipt.elapsed = begin.elapsed();
        Ok(receipt)
    }

    fn remove_test(&mut self) -> Result<bool> {
        let path = format!("{}{TEST_NAME}", self.target.directory);
        Ok(self.client.remove(&path)?.is_ok())
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

    /// A small file is read back, and a shell compares: else nobody but us can find our own copy damaged.
    fn nobody_compares(&self, shipment: &Shipment<'_>) -> bool {
        shipment.octets > READ_BACK && !self.asks_shell
    }

    /// Brings the octets under the temporary name.
    ///
    /// Where the second connection cannot be had, or breaks while the first one is well, the first one does it.
    fn write(&mut self, partial: &str, shipment: &Shipment<'_>, progress: &mut dyn FnMut(u64)) -> Result<Written> {
        if shipment.octets >= beside::LARGE
            && let Some(mut fast) = self.fast()
        {
            match self.write_fast(&mut fast, partial, shipment, progress)? {
                Ok(written) => {
                    self.fast = Fast::There(fast);
                    return Ok(written);
                }
                Err(e) if e.failure() == Failure::Interrupted => {
                    tracing::info!("the faster connection has failed ({e}); going on without");
                }
                Err(e) => return Err(e),
            }
        }
        let checks = self.nobody_compares(shipment);
        let mut writing = Writing {
            client: &mut self.client,
            target: &self.target,
            pace: &mut self.pace,
            checks,
        };
        let (handle, attributes) = writing.bring(partial, shipment, progress)?;
        writing.sync(&handle, shipment)?;
        writing.close(handle, shipment)?;
        Ok(Written {
            attributes,
            has_sum: false,
        })
    }

    /// Over the second connection. The first one brings to the disk what has arrived. The inner error is one of the second
    /// connection.
    fn write_fast(
        &mut self,
        fast: &mut Client,
        partial: &str,
        shipment: &Shipment<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Result<Written>> {
        self.client
            .patience(shell::patience(self.target.timeout, shipment.octets));
        let checks = self.nobody_compares(shipment);
        let mut writing = Writing {
            client: fast,
            target: &self.target,
            pace: &mut self.pace,
            checks,
        };
        let mut syncing = Syncing {
            client: &mut self.client,
            partial,
            handle: None,
            ssh: match self.asks_shell {
                true => Some(self.ssh.as_mut()),
                false => None,
            },
            hashing: None,
        };
        let (sent, kept) = beside::beside(
            |need| syncing.keep(need, &self.target, shipment),
            |sent| {
                let (handle, attributes) = writing.bring(partial, shipment, &mut |octets| {
                    sent.store(octets, Ordering::Relaxed);
                    progress(octets);
                })?;
                writing.close(handle, shipment)?;
                Ok(attributes)
            },
        )?;
        kept?;
        let (is_there, has_sum) = match sent {
            Ok(_) => syncing.end(&self.target, shipment)?,
            Err(_) => (false, false),
        };
        drop(syncing);
        self.client.patience(self.target.timeout);
        if sent.is_err() {
            // Is the first one well?
            let _ = self.client.look(partial)?;
        }
        Ok(sent.and_then(|attributes| match is_there {
            true => Ok(Written { attributes, has_sum }),
            false => Err(DeliveryError::new(
                Failure::Interrupted,
                "what was sent over it is not there",
            )),
        }))
    }

    /// The second connection, if it can be had.
    fn fast(&mut self) -> Option<Client> {
        let mut ssh = match std::mem::replace(&mut self.fast, Fast::No) {
            Fast::There(client) => return Some(client),
            Fast::No => return None,
            Fast::Untried => self.ssh.faster()?,
        };
        match ssh
            .subsystem("sftp")
            .and_then(|talk| Client::start(talk, self.target.timeout))
        {
            Ok(client) => {
                self.fast_ssh = Some(ssh);
                Some(client)
            }
            Err(e) => {
                tracing::info!("there is no faster connection: {e}");
                None
            }
        }
    }

    /// Reads a small file back; else by `sha256sum`, where the account may run commands, too, and sees the same files.
    fn is_same_by_checksum(&mut self, partial: &str, shipment: &Shipment<'_>) -> Result<bool> {
        let is_checked = self.nobody_compares(shipment);
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
            // Its octets were looked at while they were sent.
            None if is_checked => Ok(false),
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
        let patience = shell::patience(self.target.timeout, shipment.octets);
        let answer = shell::ask(self.ssh.as_mut(), &shell::checksum(partial), patience);
        self.client.patience(self.target.timeout);
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
