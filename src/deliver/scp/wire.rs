//! The sending side of scp: one file, and what is said about it.

use std::{
    io,
    time::{Duration, Instant, SystemTime},
};

use crate::deliver::{
    DeliveryError, Result, Shipment,
    error::{classify, said},
    local::Local,
    pace::Pace,
    shell,
    ssh::{self, Conversation, Ssh},
};

/// Octets in one piece. More make no difference.
pub const PIECE: usize = 256 << 10;

/// Longest line that a server may send, and how long it may take from its first octet on.
const LONGEST_LINE: usize = 4096;
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// Starts the receiving side of scp, which says that it is ready.
pub fn start(ssh: &mut dyn Ssh, command: &str) -> Result<Box<dyn Conversation>> {
    let mut talk = ssh.run(command)?;
    match first_answer(talk.as_mut())? {
        First::Ready => Ok(talk),
        First::Error(words) => Err(refused(&words)),
        First::Words(words) => Err(refused(&complaint(talk, &words))),
    }
}

/// How files are sent.
pub struct Sender {
    pub mode: Option<u32>,
    pub timeout: Duration,
    pub pace: Pace,
}

impl Sender {
    /// One file, from the line with its times to the answer that means success.
    pub fn send(
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
    line.extend(ssh::read_rest(talk, LONGEST_LINE, LONGEST_ANSWER).map_err(|e| DeliveryError::wire(doing, &e))?);
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
pub fn line(talk: &mut dyn Conversation) -> io::Result<Vec<u8>> {
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
