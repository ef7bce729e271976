//! The example `collector`, on a free loopback port, with its directory; ended on drop.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use super::{Peer, example::example};

pub struct Collector {
    pub address: SocketAddr,
    pub directory: PathBuf,
    lines: Receiver<String>,
    _process: Peer,
}

impl Collector {
    /// Takes documents into this new directory, on a port of its own choice.
    pub fn start(directory: &Path, more: &[&str]) -> Self {
        Self::start_on(directory, "127.0.0.1:0", more)
    }

    /// On a port that a test has chosen before, for a collector that comes back.
    pub fn start_on(directory: &Path, address: &str, more: &[&str]) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let mut command = Command::new(example("collector"));
        command
            .args(["--listen", address, "--directory"])
            .arg(directory)
            .args(more);
        command.stdout(Stdio::piped()).stdin(Stdio::null());
        let mut process = Peer::spawn(&mut command, "(the example is built by cargo)");
        let mut said = BufReader::new(process.0.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let first = said.next().unwrap_or_default();
        let address = first
            .strip_prefix("ready ")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("the collector did not start: {first:?}"));
        let (sender, lines) = channel();
        thread::spawn(move || said.try_for_each(|line| sender.send(line)));
        Collector {
            address,
            directory: directory.to_owned(),
            lines,
            _process: process,
        }
    }

    /// What it says of the next connection: `taken DOCID SEQUENCE RECORDS OCTETS PEER` or `refused: …`.
    #[track_caller]
    pub fn line(&self) -> String {
        self.lines
            .recv_timeout(Duration::from_secs(20))
            .expect("the collector says what it took")
    }

    /// The sequence number of the next document that it took.
    #[track_caller]
    pub fn taken(&self) -> u64 {
        let line = self.line();
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(words[0], "taken", "{line}");
        words[2].parse().unwrap()
    }

    /// Whether it has something to say.
    pub fn is_silent(&self) -> bool {
        self.lines.try_recv().is_err()
    }
}
