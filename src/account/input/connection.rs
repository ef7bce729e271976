//! One caller: JSON lines in, answers out, in the same order.

use std::{
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError},
    },
    thread,
    time::Duration,
};

use super::workers::{Answered, Workers};
use crate::account::{engine::Answer, json};

/// Longest reason in an answer, in characters.
const LONGEST_REASON: usize = 1000;

/// What one caller may have.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events without an answer. When there are more, reading waits.
    pub pending: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { pending: 1024 }
    }
}

/// An answer that may not be there yet.
enum Pending {
    Soon(Receiver<Answered>),
    Refused(String),
}

/// Serves one caller.
pub struct Connection {
    pub workers: Arc<Workers>,
    /// Nothing more is read from then on; what was read is answered.
    pub is_ending: Arc<AtomicBool>,
    pub limits: Limits,
}

impl Connection {
    /// Returns when the caller has ended and everything is answered, or when the answers cannot be written.
    ///
    /// A thread of its own reads. If it is stuck in reading when the program is to end, it is left behind.
    pub fn serve(self, input: impl Read + Send + 'static, output: impl Write) -> io::Result<()> {
        let (give, take) = mpsc::sync_channel(self.limits.pending);
        let is_ending = Arc::clone(&self.is_ending);
        thread::Builder::new()
            .name("caller".into())
            .spawn(move || read(input, &self.workers, &self.is_ending, &give))?;
        write(output, &take, &is_ending)
    }
}

fn read(input: impl Read, workers: &Workers, is_ending: &AtomicBool, give: &SyncSender<Pending>) {
    let mut input = BufReader::with_capacity(json::LONGEST_LINE, input);
    let mut line = Vec::new();
    loop {
        let next = match next_line(&mut input, &mut line) {
            // A line without its end is not whole: the caller died while it wrote.
            Ok(Line::End) | Err(_) => return,
            Ok(Line::TooLong) => Err(format!("the line is longer than {} octets", json::LONGEST_LINE)),
            Ok(Line::Whole) => json::from_json(&line),
        };
        if is_ending.load(Ordering::Acquire) {
            return;
        }
        let pending = match next {
            Ok(event) => Pending::Soon(workers.submit(event)),
            Err(reason) => Pending::Refused(reason),
        };
        if give.send(pending).is_err() {
            return;
        }
    }
}

enum Line {
    Whole,
    TooLong,
    End,
}

/// The next line without its end. What is too long is passed over up to its end.
fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut is_too_long = false;
    loop {
        let octets = match input.fill_buf() {
            Ok(octets) => octets,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        if octets.is_empty() {
            return Ok(Line::End);
        }
        let end = octets.iter().position(|octet| *octet == b'\n');
        let part = &octets[..end.unwrap_or(octets.len())];
        is_too_long |= line.len() + part.len() > json::LONGEST_LINE;
        if !is_too_long {
            line.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        input.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(if is_too_long { Line::TooLong } else { Line::Whole });
        }
    }
}

/// Answers leave together when several are there, and at once when there is nothing more to wait for.
fn write(output: impl Write, take: &Receiver<Pending>, is_ending: &AtomicBool) -> io::Result<()> {
    const LOOK: Duration = Duration::from_millis(100);
    let mut output = BufWriter::new(output);
    loop {
        let pending = match take.try_recv() {
            Ok(pending) => pending,
            Err(TryRecvError::Disconnected) => return output.flush(),
            Err(TryRecvError::Empty) => {
                output.flush()?;
                match take.recv_timeout(LOOK) {
                    Ok(pending) => pending,
                    Err(RecvTimeoutError::Timeout) if is_ending.load(Ordering::Acquire) => return output.flush(),
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return output.flush(),
                }
            }
        };
        let answered = match pending {
            Pending::Refused(reason) => Err(reason),
            Pending::Soon(answer) => {
                let answered = match answer.try_recv() {
                    Ok(answered) => Ok(answered),
                    Err(TryRecvError::Disconnected) => Err(mpsc::RecvError),
                    Err(TryRecvError::Empty) => {
                        output.flush()?;
                        answer.recv()
                    }
                };
                match answered {
                    Ok(Ok(Answer::Ok)) => Ok(()),
                    Ok(Ok(Answer::Fail(reason))) => Err(reason),
                    Ok(Err(failed)) => Err(failed.to_string()),
                    Err(_) => Err("the program ends".to_owned()),
                }
            }
        };
        match answered {
            Ok(()) => output.write_all(b"ok\n")?,
            Err(reason) => {
                let reason: String = reason
                    .chars()
                    .take(LONGEST_REASON)
                    .map(|c| if c.is_control() { ' ' } else { c })
                    .collect();
                writeln!(output, "fail {reason}")?;
            }
        }
    }
}
