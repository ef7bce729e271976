//! SFTP version 3, octet by octet: asks for what no client program would ask for.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use crate::support::accounts::Host;

const OPEN: u8 = 3;
pub const WRITE: u8 = 6;
pub const SETSTAT: u8 = 9;
pub const FSETSTAT: u8 = 10;
pub const MKDIR: u8 = 14;
pub const RMDIR: u8 = 15;
pub const RENAME: u8 = 18;
pub const READLINK: u8 = 19;
pub const SYMLINK: u8 = 20;
pub const EXTENDED: u8 = 200;

pub const READ_FLAG: u32 = 1;
const WRITE_FLAG: u32 = 2;
const APPEND: u32 = 4;
pub const CREATE: u32 = 8;
const TRUNCATE: u32 = 0x10;
pub const EXCLUSIVE: u32 = 0x20;
pub const OPEN_FLAGS_THAT_CHANGE: [u32; 8] = [
    WRITE_FLAG,
    READ_FLAG | WRITE_FLAG,
    WRITE_FLAG | APPEND,
    READ_FLAG | CREATE,
    READ_FLAG | CREATE | EXCLUSIVE,
    READ_FLAG | TRUNCATE,
    READ_FLAG | CREATE | TRUNCATE,
    READ_FLAG | WRITE_FLAG | CREATE | TRUNCATE,
];

const STATUS: u8 = 101;
const HANDLE: u8 = 102;

#[derive(Debug, PartialEq)]
pub enum Answer {
    Status(u32),
    Handle(Vec<u8>),
    Other(u8),
}

impl Answer {
    /// No such file, permission denied, failure, or not supported.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Answer::Status(2 | 3 | 4 | 8))
    }
}

pub struct Sftp {
    process: Child,
    to: ChildStdin,
    from: ChildStdout,
    next: u32,
    /// Names of the extensions that the server offers.
    pub extensions: Vec<String>,
}

impl Sftp {
    pub fn connect(host: &Host, account: &str) -> Self {
        let mut ssh = host.client("ssh", &["-s", &format!("{account}@host"), "sftp"]);
        let mut process = ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (to, from) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut sftp = Sftp {
            process,
            to,
            from,
            next: 0,
            extensions: Vec::new(),
        };
        sftp.send(&[1, 0, 0, 0, 3]);
        let hello = sftp.receive();
        assert_eq!(hello[..5], [2, 0, 0, 0, 3], "version 3");
        let mut rest = &hello[5..];
        while !rest.is_empty() {
            let name = take_string(&mut rest);
            take_string(&mut rest);
            sftp.extensions.push(String::from_utf8(name).unwrap());
        }
        sftp
    }

    /// Opens a file; the flags are those of SFTP.
    pub fn open(&mut self, path: &str, flags: u32) -> Answer {
        self.ask(OPEN, &[&string(path.as_bytes()), &flags.to_be_bytes(), &[0; 4]])
    }

    pub fn ask(&mut self, kind: u8, parts: &[&[u8]]) -> Answer {
        self.next += 1;
        let id = self.next.to_be_bytes();
        self.send(&[&[kind], &id[..], &parts.concat()].concat());
        let answer = self.receive();
        assert_eq!(answer[1..5], id, "the answer to this request");
        let mut rest = &answer[5..];
        match answer[0] {
            STATUS => Answer::Status(u32::from_be_bytes(rest[..4].try_into().unwrap())),
            HANDLE => Answer::Handle(take_string(&mut rest)),
            kind => Answer::Other(kind),
        }
    }

    fn send(&mut self, message: &[u8]) {
        self.to.write_all(&string(message)).unwrap();
    }

    fn receive(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.from.read_exact(&mut length).expect("the server answers");
        let mut message = vec![0; u32::from_be_bytes(length) as usize];
        self.from.read_exact(&mut message).unwrap();
        message
    }
}

impl Drop for Sftp {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn string(octets: &[u8]) -> Vec<u8> {
    [&(octets.len() as u32).to_be_bytes()[..], octets].concat()
}

fn take_string(from: &mut &[u8]) -> Vec<u8> {
    let (length, rest) = from.split_at(4);
    let (text, rest) = rest.split_at(u32::from_be_bytes(length.try_into().unwrap()) as usize);
    *from = rest;
    text.to_vec()
}
