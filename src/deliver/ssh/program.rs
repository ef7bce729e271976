//! An SSH connection by a program such as ssh(1): for what libssh2 cannot, as jump hosts and keys in hardware, in place of
//! it; and beside it for OpenSSH's speed.
//!
//! The program has its own configuration; what ours says goes before it. It is started for each command; an SFTP link is
//! one.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Read, Write},
    net::SocketAddr,
    os::fd::AsFd,
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};
use tempfile::NamedTempFile;

use super::{Conversation, Ended, LONGEST_ERROR, Ssh, known_hosts};
use crate::{
    config::Endpoint,
    deliver::{DeliveryError, Destination, Failure, Result},
};

/// What the host is called in a list of host keys that has no other.
const ALIAS: &str = "billdrop-destination";

pub struct Program {
    command: Vec<String>,
    /// The host key that the library has checked, as long as the program may read it.
    _checked: Option<NamedTempFile>,
    /// What stands in our configuration, in the words of ssh(1).
    options: Vec<OsString>,
    endpoint: Endpoint,
    timeout: Duration,
}

impl Program {
    pub fn new(destination: &Destination) -> Self {
        Program {
            command: destination.command.clone(),
            _checked: None,
            options: options(destination),
            endpoint: destination.endpoint.clone(),
            timeout: destination.timeout,
        }
    }

    /// ssh(1) as a second way to a host that the library is connected with, under this address. It believes this host
    /// key and no other, logs in as the library did, and has no configuration of its own.
    pub fn beside(program: &str, destination: &Destination, address: SocketAddr, key: &[u8]) -> io::Result<Self> {
        let mut checked = tempfile::Builder::new().prefix("billdrop-host.").tempfile()?;
        let kind = known_hosts::kind_of(key);
        writeln!(checked, "{ALIAS} {kind} {}", BASE64_STANDARD.encode(key))?;
        let mut options: Vec<OsString> = [
            format!("-oHostKeyAlias={ALIAS}"),
            "-oGlobalKnownHostsFile=none".to_owned(),
            "-oStrictHostKeyChecking=yes".to_owned(),
            "-oUpdateHostKeys=no".to_owned(),
            "-oPreferredAuthentications=publickey".to_owned(),
        ]
        .map(OsString::from)
        .into();
        options.push(with("-oUserKnownHostsFile=", checked.path().as_os_str()));
        match &destination.identity {
            Some(identity) => options.extend([
                with("-oIdentityFile=", identity.as_os_str()),
                "-oIdentitiesOnly=yes".into(),
            ]),
            None => options.push("-oIdentityFile=none".into()),
        }
        if !destination.agent {
            options.push("-oIdentityAgent=none".into());
        }
        if has_aes() {
            options.push("-oCiphers=^aes128-gcm@openssh.com,aes256-gcm@openssh.com".into());
        }
        if let Some(bind) = destination.bind {
            options.push(format!("-oBindAddress={bind}").into());
        }
        let host = match address {
            SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("{}%{}", v6.ip(), v6.scope_id()),
            address => address.ip().to_string(),
        };
        Ok(Program {
            command: [program, "-F", "none"].map(str::to_owned).into(),
            _checked: Some(checked),
            options,
            endpoint: Endpoint {
                host,
                ..destination.endpoint.clone()
            },
            timeout: destination.timeout,
        })
    }

    fn start(&self, before: &[&str], what: &str) -> Result<Box<dyn Conversation>> {
        let Endpoint { user, host, port, .. } = &self.endpoint;
        let program = &self.command[0];
        let connect = format!("-oConnectTimeout={}", self.timeout.as_secs().max(1));
        let mut child = Command::new(program)
            .args(&self.command[1..])
            .args(["-oBatchMode=yes", "-oServerAliveInterval=15", &connect, "-x", "-T"])
            .args(&self.options)
            .args(["-p", &port.to_string(), "-l", user])
            .args(before)
            .args(["--", host, what])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| DeliveryError::new(Failure::Configuration, format!("command: cannot start {program}: {e}")))?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(DeliveryError::new(Failure::Configuration, "command: no pipes"));
        };
        let mut talk = Talk {
            child,
            input: Some(input),
            output,
            errors: None,
            timeout: self.timeout,
        };
        talk.prepare(errors)
            .map_err(|e| DeliveryError::wire(&format!("starting {program}"), &e))?;
        Ok(Box::new(talk))
    }
}

/// An option and its value.
fn with(option: &str, value: &OsStr) -> OsString {
    let mut whole = OsString::from(option);
    whole.push(value);
    whole
}

/// Whether AES is an instruction here. Where it is not, ChaCha20, OpenSSH's own first choice, is faster.
fn has_aes() -> bool {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

fn options(destination: &Destination) -> Vec<OsString> {
    let mut options = Vec::new();
    if let Some(identity) = &destination.identity {
        options.extend([
            with("-oIdentityFile=", identity.as_os_str()),
            "-oIdentitiesOnly=yes".into(),
        ]);
    }
    if let Some(known) = &destination.known_hosts {
        options.push(with("-oUserKnownHostsFile=", known.as_os_str()));
        options.push("-oGlobalKnownHostsFile=none".into());
    }
    options.push(match destination.accept_new {
        true => "-oStrictHostKeyChecking=accept-new".into(),
        false => "-oStrictHostKeyChecking=yes".into(),
    });
    if let Some(bind) = destination.bind {
        options.push(format!("-oBindAddress={bind}").into());
    }
    options
}

impl Ssh for Program {
    fn run(&mut self, command: &str) -> Result<Box<dyn Conversation>> {
        self.start(&[], command)
    }

    fn subsystem(&mut self, name: &str) -> Result<Box<dyn Conversation>> {
        self.start(&["-s"], name)
    }

    fn is_one_connection(&self) -> bool {
        false
    }

    fn faster(&self) -> Option<Box<dyn Ssh>> {
        None
    }

    /// The program does that.
    fn show_life(&mut self) -> Result<()> {
        Ok(())
    }
}

struct Talk {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
    errors: Option<Receiver<Vec<u8>>>,
    timeout: Duration,
}

/// How long we wait for what it has written to standard error, once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How much more of its output is thrown away before it is ended by force.
const LONGEST_REST: usize = 64 << 10;

/// Octets that may wait for the program to take them: as many as are written at once, else it is woken for each part.
const PIPE: usize = 256 << 10;

impl Talk {
    /// Both pipes never block, so that each wait has a limit. Standard error is read all the time, or the program stops.
    fn prepare(&mut self, errors: ChildStderr) -> io::Result<()> {
        if let Some(input) = &self.input {
            rustix::io::ioctl_fionbio(input, true)?;
            // It goes slower without, no more.
            let _ = rustix::pipe::fcntl_setpipe_size(input, PIPE);
        }
        rustix::io::ioctl_fionbio(&self.output, true)?;
        let reader = thread::Builder::new().name("ssh errors".to_owned());
        let (tell, told) = mpsc::channel();
        reader.spawn(move || words_of(errors, &tell))?;
        self.errors = Some(told);
        Ok(())
    }
}

/// Tells what comes, piece by piece: something that the program has left behind may keep the pipe open.
fn words_of(mut errors: ChildStderr, tell: &Sender<Vec<u8>>) {
    let mut piece = [0; 1024];
    let mut left = LONGEST_ERROR as usize;
    while let Ok(octets @ 1..) = errors.read(&mut piece) {
        let told = octets.min(left);
        left -= told;
        if told > 0 {
            let _ = tell.send(piece[..told].to_vec());
        }
    }
}

/// Repeats a call that would block until it does not, or the time is over.
fn patiently<T>(
    fd: &impl AsFd,
    flags: PollFlags,
    limit: Duration,
    mut call: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        match call() {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            other => return other,
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let time = left
            .try_into()
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        match poll(&mut [PollFd::new(fd, flags)], Some(&time)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

impl Read for Talk {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let fd = self.output.as_fd().try_clone_to_owned()?;
        patiently(&fd, PollFlags::IN, self.timeout, || self.output.read(buffer))
    }
}

impl Write for Talk {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        let fd = input.as_fd().try_clone_to_owned()?;
        patiently(&fd, PollFlags::OUT, self.timeout, || input.write(octets))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Conversation for Talk {
    fn patience(&mut self, limit: Duration) {
        self.timeout = limit;
    }

    fn end_input(&mut self) -> io::Result<()> {
        self.input = None;
        Ok(())
    }

    fn end(mut self: Box<Self>) -> Ended {
        self.input = None;
        let mut rest = [0; 4096];
        let (begun, mut left) = (Instant::now(), LONGEST_REST);
        // Its output ends when it ends, unless it has left something behind.
        while left > 0 && begun.elapsed() < self.timeout {
            match self.read(&mut rest) {
                Ok(octets @ 1..) => left = left.saturating_sub(octets),
                _ => break,
            }
        }
        let ended = self.child.try_wait().ok().flatten();
        if ended.is_none() {
            let _ = self.child.kill();
        }
        let status = self.child.wait().ok().and_then(|status| status.code());
        let mut words = Vec::new();
        if let Some(told) = self.errors.take() {
            let until = Instant::now() + LAST_WORDS;
            while let Ok(piece) = told.recv_timeout(until.saturating_duration_since(Instant::now())) {
                words.extend(piece);
            }
        }
        Ended { status, words }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
