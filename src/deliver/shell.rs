//! What can be asked and done where the account has a shell: comparing, and renaming without replacing.
//!
//! An account may have none (a forced command, internal-sftp). Then whatever runs in its place says something else than
//! what is expected here, and everything goes on without.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use super::{
    DeliveryError, Failure, Result,
    error::{said, said_last},
    ssh::{self, Conversation, Ssh},
};

/// Longest output of a script that is read.
const LONGEST_OUTPUT: usize = 16 << 10;

/// The first line of every answer.
const MARK: &str = "billdrop-answer";

/// The last line of an answer of [`Shell`].
const END: &str = "billdrop-end";

/// Says [`look`] of a name that nothing has.
pub const FREE: &str = "free";

/// What a slow disk gets through in a second: how long a checksum may take follows from it.
const SLOWEST_DISK: u64 = 10 << 20;

/// Prints the SHA-256 of standard input, whatever the program for it is called. That of OpenSSL is several times faster.
const SHA256: &str = "{ openssl dgst -sha256 || sha256sum || shasum -a 256 || sha256 || :; } 2>/dev/null";

/// A shell that stays: starting one for each question would take longer than a small file.
pub struct Shell {
    talk: Box<dyn Conversation>,
    received: Vec<u8>,
}

impl Shell {
    /// `None` if there is no shell.
    pub fn start(ssh: &mut dyn Ssh) -> Result<Option<Self>> {
        let mut shell = Shell {
            talk: ssh.run("exec sh")?,
            received: Vec::new(),
        };
        // A program that has been put in the shell's place may be gone already, or say something of its own.
        let _ = shell.talk.write_all(format!("echo {MARK}\n").as_bytes());
        let wanted = format!("{MARK}\n");
        while shell.received.len() < wanted.len() {
            if !wanted.as_bytes().starts_with(&shell.received) || !shell.more()? {
                break;
            }
        }
        if shell.received == wanted.as_bytes() {
            shell.received.clear();
            return Ok(Some(shell));
        }
        if shell.received.is_empty() {
            let ended = shell.talk.end();
            // ssh(1) itself has failed, not what it was to run.
            if ended.status == Some(255) {
                let reason = format!("no connection: {}", said_last(&ended.words));
                return Err(DeliveryError::new(Failure::Unreachable, reason));
            }
        }
        Ok(None)
    }

    /// The lines that a script says, whether on standard output or standard error.
    pub fn ask(&mut self, script: &str, patience: Duration) -> Result<Vec<String>> {
        let doing = "asking the shell there";
        self.talk.patience(patience);
        // In one piece: the answer to the first of several would wait to be acknowledged.
        let line = format!("said=$( ( {script} ) 2>&1 </dev/null ); printf '%s\\n{END}\\n' \"$said\"\n");
        self.talk
            .write_all(line.as_bytes())
            .map_err(|e| DeliveryError::wire(doing, &e))?;
        let end = format!("{END}\n");
        let begun = Instant::now();
        while !self.received.ends_with(end.as_bytes()) {
            // Each read has its limit, but an answer may come octet by octet.
            if begun.elapsed() > patience {
                return Err(DeliveryError::wire(doing, &std::io::ErrorKind::TimedOut.into()));
            }
            if !self.more()? {
                return Err(DeliveryError::wire(doing, &std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
        let answer = std::mem::take(&mut self.received);
        let text = String::from_utf8_lossy(&answer);
        Ok(text
            .lines()
            .filter(|line| *line != END)
            .map(|line| said(line.as_bytes()))
            .collect())
    }

    /// Returns whether there was more.
    fn more(&mut self) -> Result<bool> {
        let doing = "asking the shell there";
        let mut buffer = [0; 1024];
        let octets = self
            .talk
            .read(&mut buffer)
            .map_err(|e| DeliveryError::wire(doing, &e))?;
        self.received.extend(&buffer[..octets]);
        match self.received.len() > LONGEST_OUTPUT {
            true => Err(DeliveryError::new(Failure::Remote, "the shell there says too much")),
            false => Ok(octets > 0),
        }
    }
}

/// A checksum that is made there while the file still grows, so that nobody waits for it afterwards.
///
/// It is right only if what it was told to read was there by then. So one that is not the right one says nothing.
pub struct Hashing {
    talk: Box<dyn Conversation>,
    /// Blocks that it was told to read.
    told: u64,
}

/// Octets that are read there at once: head(1) takes pieces so small that it costs more than the checksum.
const BLOCK: u64 = 64 << 10;

impl Hashing {
    pub fn start(ssh: &mut dyn Ssh, path: &str) -> Result<Self> {
        let script = format!(
            "exec 3<{} || exit; echo {MARK}; \
             while read -r n; do dd bs={BLOCK} count=\"$n\" <&3 2>/dev/null; done | {SHA256}",
            quoted(path)
        );
        Ok(Hashing {
            talk: ssh.run(&command(&script))?,
            told: 0,
        })
    }

    /// So many octets of the file are there.
    pub fn there_are(&mut self, octets: u64) {
        self.read_up_to(octets / BLOCK);
    }

    fn read_up_to(&mut self, blocks: u64) {
        let more = blocks.saturating_sub(self.told);
        if more > 0 {
            // It may have ended: there may be no shell at all.
            let _ = self.talk.write_all(format!("{more}\n").as_bytes());
            self.told = blocks;
        }
    }

    /// The checksum, if there is one.
    pub fn end(mut self, octets: u64, patience: Duration) -> Result<Option<String>> {
        self.talk.patience(patience);
        // The last block is seldom a whole one.
        self.read_up_to(octets.div_ceil(BLOCK));
        Ok(answer_of(self.talk, patience)?.and_then(|lines| found(&lines).1))
    }
}

/// Runs a script of sh(1) there by itself and returns the lines of its answer; `None` if there is no shell.
pub fn ask(ssh: &mut dyn Ssh, script: &str, patience: Duration) -> Result<Option<Vec<String>>> {
    let mut talk = ssh.run(&command(script))?;
    talk.patience(patience);
    answer_of(talk, patience)
}

/// What a script says that has nothing more to read.
fn answer_of(mut talk: Box<dyn Conversation>, patience: Duration) -> Result<Option<Vec<String>>> {
    let doing = "asking the shell there";
    // A program that has been put in the shell's place may be gone already.
    let _ = talk.end_input();
    let output = ssh::read_rest(talk.as_mut(), LONGEST_OUTPUT, patience).map_err(|e| DeliveryError::wire(doing, &e))?;
    talk.end();
    let text = String::from_utf8_lossy(&output);
    let mut lines = text.lines();
    Ok(lines
        .any(|line| line == MARK)
        .then(|| lines.map(|line| said(line.as_bytes())).collect()))
}

/// The command that runs a script, whichever shell the account has.
pub fn command(script: &str) -> String {
    format!("sh -c {}", quoted(script))
}

/// As one word of sh(1).
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Time for reading so many octets from a disk there, on top of the usual limit.
pub fn patience(limit: Duration, octets: u64) -> Duration {
    limit + Duration::from_secs(octets / SLOWEST_DISK)
}

/// Says size and SHA-256 of what has the name, or `other`; if nothing has, removes what an earlier run has left under the
/// temporary name and says [`FREE`].
pub fn look(path: &str, partial: &str) -> String {
    let (path, partial) = (quoted(path), quoted(partial));
    format!(
        "if [ -f {path} ] && [ ! -h {path} ]; then wc -c <{path}; {SHA256} <{path}; \
         elif [ -e {path} ] || [ -h {path} ]; then echo other; else rm -f {partial}; echo {FREE}; fi"
    )
}

/// The SHA-256 of a file, and nothing else.
pub fn checksum(path: &str) -> String {
    format!("echo {MARK}; {SHA256} <{}", quoted(path))
}

/// Brings the octets to the disk and gives the file its final name, if it is what it should be. Says size and SHA-256,
/// then `renamed`, or what went wrong.
///
/// `has_sum`: its SHA-256 has been found to be the right one.
pub fn finish(partial: &str, path: &str, octets: u64, sha256: &str, has_sum: bool) -> String {
    let (partial, path) = (quoted(partial), quoted(path));
    let sum = match has_sum {
        true => sha256.to_owned(),
        false => format!("$({SHA256} <{partial})"),
    };
    // `ln` never replaces anything; where there are no hard links, `mv -n` does not.
    format!(
        "sync {partial} 2>/dev/null; size=$(wc -c <{partial}); sum={sum}; \
         echo $size; echo $sum; \
         [ \"$size\" -eq {octets} ] || {{ rm -f {partial}; echo damaged; exit; }}; \
         case \" $sum \" in *\" {sha256} \"* | '  ') ;; *) rm -f {partial}; echo damaged; exit ;; esac; \
         if [ -e {path} ] || [ -h {path} ]; then rm -f {partial}; echo taken; exit; fi; \
         if ln {partial} {path} 2>/dev/null && rm -f {partial}; then echo renamed; exit; fi; \
         if mv -n {partial} {path} && [ ! -e {partial} ]; then echo renamed; else rm -f {partial}; echo failed; fi 2>&1"
    )
}

/// Brings to the disk what has arrived, where the program for it can do so with one file.
pub fn sync(path: &str) -> String {
    format!("sync {} 2>/dev/null", quoted(path))
}

pub fn remove(path: &str) -> String {
    format!("rm -f {}", quoted(path))
}

/// Size and SHA-256 among the lines of an answer.
pub fn found(lines: &[String]) -> (Option<u64>, Option<String>) {
    let size = lines.first().and_then(|line| line.trim().parse().ok());
    let words = lines.iter().flat_map(|line| line.split(' '));
    let sum = words
        .map(str::to_ascii_lowercase)
        .find(|word| word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit()));
    (size, sum)
}

/// What [`finish`] said, if it did not rename.
pub fn unfinished(lines: &[String], name: &str) -> DeliveryError {
    match lines.last().map(String::as_str) {
        Some("damaged") => DeliveryError::new(
            Failure::Damaged,
            format!("{name} arrived damaged, and was removed: {}", lines.join(" ")),
        ),
        Some("taken") => super::local::conflict(name),
        _ => {
            let words = lines.get(2..).unwrap_or_default().join(" ");
            DeliveryError::new(
                super::error::classify(&words),
                format!("the server cannot give {name} its final name: {words}"),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document;
    use sha2::{Digest, Sha256};
    use std::process::Command;

    fn run(script: &str) -> String {
        let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    const SUM: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn a_whole_file_gets_its_name_and_nothing_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let (partial, path) = (at(".it's $(x).partial"), at("it's $(x)"));
        std::fs::write(&partial, "hello").unwrap();
        let said = run(&finish(&partial, &path, 5, SUM, false));
        assert!(
            said.starts_with("5\n") && said.contains(SUM) && said.ends_with("\nrenamed\n"),
            "{said}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "hello");

        let said = run(&look(&path, &partial));
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        assert_eq!(found(&lines), (Some(5), Some(SUM.to_owned())));
        std::fs::write(&partial, "left").unwrap();
        assert_eq!(run(&look(&at("other"), &partial)), "free\n");
        assert!(!std::path::Path::new(&partial).exists());
        assert_eq!(run(&look(directory.path().to_str().unwrap(), &partial)), "other\n");

        std::fs::write(&partial, "hello").unwrap();
        assert!(run(&finish(&partial, &path, 5, SUM, false)).ends_with("\ntaken\n"));
        std::fs::write(&partial, "hellO").unwrap();
        assert!(run(&finish(&partial, &at("new"), 5, SUM, false)).ends_with("\ndamaged\n"));
        std::fs::write(&partial, "hell").unwrap();
        assert!(run(&finish(&partial, &at("new"), 5, SUM, false)).ends_with("\ndamaged\n"));
        let names = std::fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(names, 1, "nothing is left behind");
    }

    /// A program in the place of ssh(1) that runs what it is asked to here.
    fn here(directory: &std::path::Path) -> Box<dyn Ssh> {
        use std::os::unix::fs::PermissionsExt;
        let program = directory.join("here");
        std::fs::write(&program, "#!/bin/sh\nfor last; do :; done\nexec sh -c \"$last\"\n").unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let push = format!("name = \"a\"\nurl = \"sftp://a@b/\"\ncommand = [{program:?}]");
        let destination = super::super::Destination::new(&toml::from_str(&push).unwrap()).unwrap();
        super::super::ssh::connect(&destination).unwrap()
    }

    #[test]
    fn a_checksum_is_made_while_the_file_grows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("it's growing");
        let path = path.to_str().unwrap();
        let all: Vec<u8> = (0..3 * BLOCK / 2).map(|i| (i % 251) as u8).collect();
        let sum = document::hex(&Sha256::digest(&all));
        let octets = all.len() as u64;
        let limit = Duration::from_secs(10);
        let mut ssh = here(directory.path());
        std::fs::write(path, &all[..BLOCK as usize + 1]).unwrap();
        let mut hashing = Hashing::start(ssh.as_mut(), path).unwrap();
        hashing.there_are(BLOCK + 1);
        let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
        file.write_all(&all[BLOCK as usize + 1..]).unwrap();
        assert_eq!(hashing.end(octets, limit).unwrap(), Some(sum.clone()));
        // What comes too late is not in it.
        std::fs::write(path, &all[..BLOCK as usize]).unwrap();
        let hashing = Hashing::start(ssh.as_mut(), path).unwrap();
        assert_ne!(hashing.end(octets, limit).unwrap(), Some(sum));
        let missing = Hashing::start(ssh.as_mut(), "/no/such").unwrap();
        assert_eq!(missing.end(octets, limit).unwrap(), None);
    }
}
