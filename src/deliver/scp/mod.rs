//! SCP: `scp -pt` at the other side, in the protocol of BSD's rcp.
//!
//! We send a line with the times, a line with mode, size and name, the octets, and a zero octet. Each is answered by a
//! zero octet, or by 1 or 2 and a line that says what is wrong. Only the answer to the last one means success.
//!
//! One scp on a directory takes many files. Where the account has a shell, each comes under a temporary name, is compared there and linked to its final name;
//! else it is written straight under its final name, as every scp does.

mod wire;

use std::{
    io::{self, Read, Write},
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use self::wire::{PIECE, Sender, line, start};
use super::{
    DeliveryError, Destination, Failure, Link, Receipt, Result, Shipment, TEST_NAME, Verified,
    beside::{self, Need},
    error::{classify, said},
    local::{self, Comparison, Likeness, conflict},
    partial_name,
    shell::{self, Hashing, Shell, quoted},
    ssh::{self, Conversation, Ssh},
};

pub fn connect(destination: &Destination) -> Result<Box<dyn Link>> {
    let mut ssh = ssh::connect(destination)?;
    let shell = Shell::start(ssh.as_mut())?;
    Ok(Box::new(Scp {
        shell,
        sink: None,
        fast_sink: None,
        fast: None,
        is_fast_tried: false,
        ssh,
        directory: destination.endpoint.directory.clone(),
        timeout: destination.timeout,
        sender: Sender {
            mode: destination.mode,
            timeout: destination.timeout,
            pace: destination.pace(),
        },
    }))
}

struct Scp {
    /// Before the connections that they use, since fields are dropped in order.
    shell: Option<Shell>,
    /// `scp -t` on the directory, which takes one file after the other.
    sink: Option<Box<dyn Conversation>>,
    /// The same over the second connection.
    fast_sink: Option<Box<dyn Conversation>>,
    /// For large documents. None where there is no such way, or it has failed.
    fast: Option<Box<dyn Ssh>>,
    is_fast_tried: bool,
    ssh: Box<dyn Ssh>,
    directory: String,
    timeout: Duration,
    sender: Sender,
}

impl Link for Scp {
    fn put(&mut self, shipment: &Shipment<'_>, progress: &mut dyn FnMut(u64)) -> Result<Receipt> {
        let begin = Instant::now();
        let mut receipt = match self.shell.take() {
            Some(mut shell) => {
                let receipt = self.put_and_rename(&mut shell, shipment, progress)?;
                self.shell = Some(shell);
                receipt
            }
            None => self.put_straight(shipment, progress)?,
        };
        receipt.elapsed = begin.elapsed();
        Ok(receipt)
    }

    fn remove_test(&mut self) -> Result<bool> {
        let Some(shell) = &mut self.shell else { return Ok(false) };
        let path = format!("{}{TEST_NAME}", self.directory);
        let lines = shell.ask(&shell::remove(&path), self.timeout)?;
        Ok(lines.iter().all(String::is_empty))
    }
}

impl Scp {
    fn put_and_rename(
        &mut self,
        shell: &mut Shell,
        shipment: &Shipment<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Receipt> {
        let name = partial_name(shipment.remote_name);
        let path = format!("{}{}", self.directory, shipment.remote_name);
        let partial = format!("{}{name}", self.directory);
        let patience = shell::patience(self.timeout, shipment.octets);
        let lines = shell.ask(&shell::look(&path, &partial), patience)?;
        if lines.last().is_none_or(|last| last != shell::FREE) {
            let receipt = found(&lines, shipment).ok_or_else(|| conflict(shipment.remote_name))?;
            progress(shipment.octets);
            return Ok(receipt);
        }
        let is_sent = match self.fast_sink(shipment) {
            Some(sink) => self.send_fast(sink, shell, &partial, shipment, progress),
            None => Ok(None),
        };
        let outcome = is_sent.and_then(|sent| match sent {
            Some(has_sum) => Ok(has_sum),
            None => self.send_into_directory(&name, shipment, progress).map(|()| false),
        });
        let has_sum = match outcome {
            Ok(has_sum) => has_sum,
            Err(e) => {
                if e.failure() != Failure::Interrupted {
                    // It would only take the space that is missing. Whether that works or not, the next run removes it.
                    let _ = shell.ask(&shell::remove(&partial), self.timeout);
                }
                return Err(e);
            }
        };
        let lines = shell.ask(
            &shell::finish(&partial, &path, shipment.octets, shipment.sha256, has_sum),
            patience,
        )?;
        if lines.last().is_none_or(|last| last != "renamed") {
            // Where it arrived damaged, it may be damaged here.
            local::check(shipment)?;
            return Err(shell::unfinished(&lines, shipment.remote_name));
        }
        let verified = verified(shell::found(&lines).1, shipment);
        if verified < Verified::Sha256 {
            local::check(shipment)?;
        }
        Ok(Receipt {
            renamed: true,
            ..sent(shipment, verified)
        })
    }

    fn send_into_directory(
        &mut self,
        name: &str,
        shipment: &Shipment<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let command = self.command_for_directory();
        let mut sink = match self.sink.take() {
            Some(sink) => sink,
            None => start(self.ssh.as_mut(), &command)?,
        };
        self.sender.send(sink.as_mut(), name, shipment, progress)?;
        self.sink = Some(sink);
        Ok(())
    }

    fn command_for_directory(&self) -> String {
        let directory = match self.directory.as_str() {
            "" => ".",
            directory => directory,
        };
        format!("scp -ptd -- {}", quoted(directory))
    }

    fn fast_sink(&mut self, shipment: &Shipment<'_>) -> Option<Box<dyn Conversation>> {
        match self.fast_sink.take() {
            Some(sink) if shipment.octets >= beside::LARGE => Some(sink),
            sink => {
                self.fast_sink = sink;
                self.fast(&self.command_for_directory(), shipment)
            }
        }
    }

    /// A command over the second connection, for a large document.
    fn fast(&mut self, command: &str, shipment: &Shipment<'_>) -> Option<Box<dyn Conversation>> {
        if shipment.octets < beside::LARGE {
            return None;
        }
        if !self.is_fast_tried {
            self.is_fast_tried = true;
            self.fast = self.ssh.faster();
        }
        match start(self.fast.as_mut()?.as_mut(), command) {
            Ok(talk) => Some(talk),
            Err(e) => {
                tracing::info!("there is no faster connection: {e}");
                self.fast = None;
                None
            }
        }
    }

    /// Over the second connection. The shell of the first one brings to the disk what has arrived. Returns whether its
    /// SHA-256 has been found to be the right one; None if the second one has failed, and the first one is well.
    fn send_fast(
        &mut self,
        mut sink: Box<dyn Conversation>,
        shell: &mut Shell,
        partial: &str,
        shipment: &Shipment<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Option<bool>> {
        let name = partial_name(shipment.remote_name);
        let patience = shell::patience(self.timeout, shipment.octets);
        let mut hashing = None;
        let (outcome, kept) = beside::beside(
            |need| {
                let Need::Sync(sent) = need else {
                    return shell.ask(":", patience).map(drop);
                };
                if hashing.is_none() {
                    hashing = Some(Hashing::start(self.ssh.as_mut(), partial)?);
                }
                if let Some(hashing) = &mut hashing {
                    hashing.there_are(sent.saturating_sub(beside::ON_THE_WAY));
                }
                shell.ask(&shell::sync(partial), patience).map(drop)
            },
            |sent| {
                self.sender.send(sink.as_mut(), &name, shipment, &mut |octets| {
                    sent.store(octets, Ordering::Relaxed);
                    progress(octets);
                })
            },
        )?;
        kept?;
        match outcome {
            Ok(()) => {
                self.fast_sink = Some(sink);
                let sum = match hashing {
                    Some(hashing) => hashing.end(shipment.octets, patience)?,
                    None => None,
                };
                Ok(Some(sum.is_some_and(|sum| sum == shipment.sha256)))
            }
            Err(e) if e.failure() == Failure::Interrupted => {
                // Else what still runs there could write into what comes now.
                shell.ask(&shell::remove(partial), self.timeout)?;
                self.given_up(&e);
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn given_up(&mut self, error: &DeliveryError) {
        tracing::info!("the faster connection has failed ({error}); going on without");
        self.fast = None;
    }

    fn put_straight(&mut self, shipment: &Shipment<'_>, progress: &mut dyn FnMut(u64)) -> Result<Receipt> {
        let path = format!("{}{}", self.directory, shipment.remote_name);
        match self.look(&path, shipment)? {
            Some(Likeness::Same) => {
                progress(shipment.octets);
                return Ok(Receipt {
                    found: true,
                    ..sent(shipment, Verified::Sha256)
                });
            }
            Some(Likeness::Different) => return Err(conflict(shipment.remote_name)),
            // What a cut connection has left is completed from its begin.
            Some(Likeness::Beginning) | None => {}
        }
        // There is no taking back what lies under its final name.
        local::check(shipment)?;
        let command = format!("scp -pt -- {}", quoted(&path));
        let talk = match self.fast(&command, shipment) {
            Some(talk) => self.send_straight_fast(talk, shipment, progress)?,
            None => None,
        };
        let talk = match talk {
            Some(talk) => talk,
            None => {
                let mut talk = start(self.ssh.as_mut(), &command)?;
                self.sender
                    .send(talk.as_mut(), shipment.remote_name, shipment, progress)?;
                talk
            }
        };
        let ended = talk.end();
        if let Some(status @ 1..) = ended.status {
            let words = said(&ended.words);
            let reason = format!("scp there ended with status {status}: {words}");
            return Err(DeliveryError::new(classify(&words), reason));
        }
        let verified = match self.size_of(&path)? {
            None => Verified::Nothing,
            Some(octets) if octets == shipment.octets => Verified::Size,
            Some(octets) => {
                let reason = format!(
                    "{} has {octets} octets there, {} were sent; it was overwritten or cut",
                    shipment.remote_name, shipment.octets
                );
                return Err(DeliveryError::new(Failure::Damaged, reason));
            }
        };
        Ok(sent(shipment, verified))
    }

    /// None if the second connection has failed, and the first one is well.
    fn send_straight_fast(
        &mut self,
        mut talk: Box<dyn Conversation>,
        shipment: &Shipment<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Option<Box<dyn Conversation>>> {
        let (outcome, kept) = beside::beside(
            |_| self.ssh.show_life(),
            |_| {
                self.sender
                    .send(talk.as_mut(), shipment.remote_name, shipment, progress)
            },
        )?;
        kept?;
        match outcome {
            Ok(()) => Ok(Some(talk)),
            Err(e) if e.failure() == Failure::Interrupted => {
                self.ssh.show_life()?;
                self.given_up(&e);
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Reads back what has the final name already. `None`: nothing has, or the server does not say.
    fn look(&mut self, path: &str, shipment: &Shipment<'_>) -> Result<Option<Likeness>> {
        let Some((mut talk, octets)) = self.source(path)? else {
            return Ok(None);
        };
        let mut comparison = Comparison::with(shipment)?;
        let mut left = octets;
        let doing = "reading back what is there";
        let mut buffer = vec![0; PIECE];
        talk.write_all(&[0]).map_err(|e| DeliveryError::wire(doing, &e))?;
        while left > 0 {
            let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
            let piece = talk
                .read(&mut buffer[..most])
                .map_err(|e| DeliveryError::wire(doing, &e))?;
            if piece == 0 {
                return Err(DeliveryError::wire(doing, &io::ErrorKind::UnexpectedEof.into()));
            }
            left -= piece as u64;
            if !comparison.piece(&buffer[..piece])? {
                break;
            }
        }
        comparison.end().map(Some)
    }

    fn size_of(&mut self, path: &str) -> Result<Option<u64>> {
        Ok(self.source(path)?.map(|(_, octets)| octets))
    }

    /// `scp -pf`, up to the size that it announces.
    fn source(&mut self, path: &str) -> Result<Option<(Box<dyn Conversation>, u64)>> {
        let mut talk = self.ssh.run(&format!("scp -pf -- {}", quoted(path)))?;
        // Whatever else runs in its place may have gone by now.
        for _ in 0..3 {
            if talk.write_all(&[0]).is_err() {
                return Ok(None);
            }
            let Ok(line) = line(talk.as_mut()) else { return Ok(None) };
            match line.first() {
                Some(b'T') => {}
                Some(b'C') => {
                    let size = std::str::from_utf8(&line)
                        .ok()
                        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
                    return Ok(size.map(|size| (talk, size)));
                }
                _ => return Ok(None),
            }
        }
        Ok(None)
    }
}

fn sent(shipment: &Shipment<'_>, verified: Verified) -> Receipt {
    Receipt {
        octets: shipment.octets,
        verified,
        renamed: false,
        attributes: true,
        found: false,
        elapsed: Duration::ZERO,
    }
}

fn verified(sum: Option<String>, shipment: &Shipment<'_>) -> Verified {
    match sum.is_some_and(|sum| sum == shipment.sha256) {
        true => Verified::Sha256,
        false => Verified::Size,
    }
}

/// A receipt, if what is there already is ours: an earlier run died after it had brought it.
fn found(lines: &[String], shipment: &Shipment<'_>) -> Option<Receipt> {
    let (size, sum) = shell::found(lines);
    let same = size == Some(shipment.octets) && sum.as_ref().is_none_or(|sum| sum == shipment.sha256);
    same.then(|| Receipt {
        renamed: true,
        found: true,
        ..sent(shipment, verified(sum, shipment))
    })
}
