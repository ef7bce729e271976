//! SCP: `scp -pt` at the other side, in the protocol of BSD's rcp.
//!
//! We send a line with the times, a line with mode, size and name, the octets, and a zero octet. Each is answered by a
//! zero octet, or by 1 or 2 and a line that says what is wrong. Only the answer to the last one means success.
//!
//! One scp on a directory takes many files. Where the account has a shell, each comes under a temporary name, is compared there and linked to its final name;
//! else it is written straight under its final name, as every scp does.

use std::{
    io::{self, Read, Write},
    time::{Duration, Instant, SystemTime},
};

use super::{
    DeliveryError, Destination, Failure, Link, Receipt, Result, Shipment, Verified,
    error::{classify, said},
    local::{self, Comparison, Likeness, Local, conflict},
    pace::Pace,
    partial_name,
    shell::{self, Shell, quoted},
    ssh::{self, Conversation, Ssh},
};

/// Octets in one piece. More make no difference.
const PIECE: usize = 256 << 10;

/// Longest line that a server may send, and how long it may take from its first octet on.
const LONGEST_LINE: usize = 4096;
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

pub fn connect(destination: &Destination) -> Result<Box<dyn Link>> {
    let mut ssh = ssh::connect(destination)?;
    let shell = Shell::start(ssh.as_mut())?;
    Ok(Box::new(Scp {
        shell,
        sink: None,
        ssh,
        directory: destination.endpoint.directory.clone(),
        mode: destination.mode,
        timeout: destination.timeout,
        pace: destination.pace(),
    }))
}

struct Scp {
    /// Before the connection that they use, since fields are dropped in order.
    shell: Option<Shell>,
    /// `scp -t` on the directory, which takes one file after the other.
    sink: Option<Box<dyn Conversation>>,
    ssh: Box<dyn Ssh>,
    directory: String,
    mode: Option<u32>,
    timeout: Duration,
    pace: Pace,
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
        let mut sink = match self.sink.take() {
            Some(sink) => sink,
            None => {
                let directory = if self.directory.is_empty() {
                    "."
                } else {
                    &self.directory
                };
                self.start(&format!("scp -ptd -- {}", quoted(directory)))?
            }
        };
        if let Err(e) = self.send(sink.as_mut(), &name, shipment, progress) {
            if e.failure() != Failure::Interrupted {
                // It would only take the space that is missing. Whether that works or not, the next run removes it.
                let _ = shell.ask(&shell::remove(&partial), self.timeout);
            }
            return Err(e);
        }
        self.sink = Some(sink);
        let lines = shell.ask(
            &shell::finish(&partial, &path, shipment.octets, shipment.sha256),
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

    /// Starts the receiving side of scp, which says that it is ready.
    fn start(&mut self, command: &str) -> Result<Box<dyn Conversation>> {
        let mut talk = self.ssh.run(command)?;
        match first_answer(talk.as_mut())? {
            First::Ready => Ok(talk),
            First::Error(words) => Err(refused(&words)),
            First::Words(words) => Err(refused(&complaint(talk, &words))),
        }
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
        let mut talk = self.start(&format!("scp -pt -- {}", quoted(&path)))?;
        self.send(talk.as_mut(), shipment.remote_name, shipment, progress)?;
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

    /// One file, from the line with its times to the answer that means success.
    fn send(
        &mut self,
        talk: &mut dyn Conversation,
        name: &str,
        shipment: &Shipment<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<()> {
        let mut local = Local::open(shipment)?;
        let mode = self.mode.unwrap_or(shipment.mode) & 0o7777;
        let seconds = seconds(shipment.modified);
        talk.patience(self.timeout);
        say(talk, &format!("T{seconds} 0 {seconds} 0\n"))?;
        say(talk, &format!("C{mode:04o} {} {name}\n", shipment.octets))?;
        let mut buffer = vec![0; self.pace.piece(PIECE)];
        let mut done = 0;
        while local.left() > 0 {
            let piece = local.fill(&mut buffer)?;
            self.pace.take(piece);
            talk.write_all(&buffer[..piece]).map_err(|e| cut(talk, &e))?;
            done += piece as u64;
            progress(done);
        }
        talk.write_all(&[0]).map_err(|e| cut(talk, &e))?;
        // Its disk may take a while to swallow what is in its memory.
        talk.patience(shell::patience(self.timeout, shipment.octets));
        answer(talk)
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

/// What comes first.
enum First {
    /// A zero octet: scp waits for our file.
    Ready,
    Error(String),
    /// Something else than scp.
    Words(String),
}

fn first_answer(talk: &mut dyn Conversation) -> Result<First> {
    let mut line = Vec::new();
    let doing = "starting scp there";
    let mut octet = [0];
    match talk.read(&mut octet).map_err(|e| DeliveryError::wire(doing, &e))? {
        0 => return Ok(First::Words(String::new())),
        _ if octet[0] == 0 => return Ok(First::Ready),
        _ => line.push(octet[0]),
    }
    talk.take(LONGEST_LINE as u64)
        .read_to_end(&mut line)
        .map_err(|e| DeliveryError::wire(doing, &e))?;
    if line[0] <= 2 {
        return Ok(First::Error(said(&line[1..])));
    }
    Ok(First::Words(said(&line)))
}

/// What stood on standard error, or on standard output, of something that is not scp.
fn complaint(talk: Box<dyn Conversation>, instead: &str) -> String {
    let ended = talk.end();
    match said(&ended.words) {
        words if words.is_empty() => format!("no scp there: {instead}"),
        words => words,
    }
}

fn refused(words: &str) -> DeliveryError {
    DeliveryError::new(classify(words), format!("the server refuses the file: {words}"))
}

fn say(talk: &mut dyn Conversation, line: &str) -> Result<()> {
    talk.write_all(line.as_bytes()).map_err(|e| cut(talk, &e))?;
    answer(talk)
}

fn answer(talk: &mut dyn Conversation) -> Result<()> {
    match line(talk) {
        Ok(line) if line == [0] => Ok(()),
        Ok(line) if line.first().is_some_and(|first| *first <= 2) => Err(refused(&said(&line[1..]))),
        Ok(line) => Err(refused(&format!("not an answer of scp: {}", said(&line)))),
        Err(e) => Err(DeliveryError::wire("waiting for the answer of scp", &e)),
    }
}

/// One answer: a zero octet, or a line.
fn line(talk: &mut dyn Conversation) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut octet = [0];
    talk.read_exact(&mut octet)?;
    let begun = Instant::now();
    loop {
        if !line.is_empty() {
            talk.read_exact(&mut octet)?;
        }
        // Each read has its limit, but a line may come octet by octet.
        if begun.elapsed() > LONGEST_ANSWER {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match octet[0] {
            b'\n' => return Ok(line),
            0 if line.is_empty() => return Ok(vec![0]),
            _ if line.len() > LONGEST_LINE => return Err(io::ErrorKind::InvalidData.into()),
            octet => line.push(octet),
        }
    }
}

/// A write failed. scp may have said why before it ended.
fn cut(talk: &mut dyn Conversation, error: &io::Error) -> DeliveryError {
    if error.kind() != io::ErrorKind::TimedOut
        && let Ok(line) = line(talk)
        && matches!(line.first(), Some(1 | 2))
    {
        return refused(&said(&line[1..]));
    }
    DeliveryError::wire("sending the file", error)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_the_epoch_is_the_epoch() {
        assert_eq!(seconds(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(seconds(SystemTime::UNIX_EPOCH + Duration::from_millis(1999)), 1);
    }
}
