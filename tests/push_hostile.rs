//! Servers that are broken or hostile: nothing that they say makes a push hang, grow, or believe in what is not there.

mod support;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::PathBuf,
    sync::mpsc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use billdrop::config::Push;
use billdrop::deliver::{self, DeliveryError, Destination, Failure, Receipt, Shipment};
use sha2::{Digest, Sha256};

const MODIFIED: u64 = 1_795_363_651;

/// No test waits longer for a push that hangs.
const LIMIT: Duration = Duration::from_secs(20);

struct Document {
    directory: tempfile::TempDir,
    content: Vec<u8>,
}

impl Document {
    fn new(octets: usize) -> Self {
        let content: Vec<u8> = (0..octets).map(|n| (n * 31 % 251) as u8).collect();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("document"), &content).unwrap();
        Document { directory, content }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("document")
    }

    /// Brings it there, in a thread that may hang.
    fn put(&self, destination: Destination) -> Result<Receipt, DeliveryError> {
        let (file, content) = (self.file(), self.content.clone());
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let sha256: String = Sha256::digest(&content).iter().map(|b| format!("{b:02x}")).collect();
            let shipment = Shipment {
                file: &file,
                remote_name: "a.xml",
                octets: content.len() as u64,
                sha256: &sha256,
                mode: 0o640,
                modified: SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED),
            };
            let put = deliver::connect(&destination).and_then(|mut link| link.put(&shipment, &mut |_| ()));
            let _ = tell.send(put);
        });
        told.recv_timeout(LIMIT).expect("a push that hangs")
    }
}

fn destination(url: &str, more: &str) -> Destination {
    let text = format!("name = \"billing\"\nurl = {url:?}\n{more}\n");
    let push: Push = toml::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    Destination::new(&push).unwrap_or_else(|e| panic!("{e}\n{text}"))
}

/// By a program that is this script in place of ssh(1).
fn by_script(script: &str) -> Destination {
    let command = format!("command = [\"bash\", \"-c\", {script:?}]\ntimeout = \"1s\"");
    destination("sftp://bill@127.0.0.1/in/", &command)
}

// --- SFTP, version 3, as far as a push needs it ---

const LSTAT: u8 = 7;
const OPEN: u8 = 3;
const READ: u8 = 5;
const WRITE: u8 = 6;
const FSTAT: u8 = 8;
const RENAME: u8 = 18;
const NO_SUCH_FILE: u32 = 2;
const PERMISSION_DENIED: u32 = 3;
const FAILURE: u32 = 4;

/// One request: its type and its number.
struct Request {
    kind: u8,
    id: u32,
}

impl Request {
    fn status(&self, code: u32) -> Vec<u8> {
        let rest = [code.to_be_bytes().as_slice(), &[0; 8]].concat();
        packet(101, self.id, &rest)
    }

    fn attributes(&self, size: u64, modified: u32) -> Vec<u8> {
        let mut rest = (1u32 | 4 | 8).to_be_bytes().to_vec();
        rest.extend(size.to_be_bytes());
        rest.extend(0o100_640u32.to_be_bytes());
        rest.extend(modified.to_be_bytes());
        rest.extend(modified.to_be_bytes());
        packet(105, self.id, &rest)
    }

    fn data(&self, octets: &[u8]) -> Vec<u8> {
        let rest = [(octets.len() as u32).to_be_bytes().as_slice(), octets].concat();
        packet(103, self.id, &rest)
    }

    /// What a server answers that has an empty directory.
    fn honest(&self, octets: u64) -> Vec<u8> {
        match self.kind {
            LSTAT => self.status(NO_SUCH_FILE),
            OPEN => packet(102, self.id, &[0, 0, 0, 1, b'h']),
            FSTAT => self.attributes(octets, MODIFIED as u32),
            READ => self.status(PERMISSION_DENIED),
            _ => self.status(0),
        }
    }
}

fn packet(kind: u8, id: u32, rest: &[u8]) -> Vec<u8> {
    let length = (5 + rest.len()) as u32;
    [length.to_be_bytes().as_slice(), &[kind], &id.to_be_bytes(), rest].concat()
}

/// A server for one connection, and the destination that it is. What `answer` returns is sent as it is.
fn sftp(mut answer: impl FnMut(&Request, &mut TcpStream) -> Vec<u8> + Send + 'static) -> Destination {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 9];
        while stream.read_exact(&mut head).is_ok() {
            let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
            let mut rest = vec![0; length - 5];
            stream.read_exact(&mut rest).unwrap();
            let request = Request {
                kind: head[4],
                id: u32::from_be_bytes(head[5..].try_into().unwrap()),
            };
            let answer = match request.kind {
                1 => packet(2, 3, &[]),
                _ => answer(&request, &mut stream),
            };
            if stream.write_all(&answer).is_err() {
                return;
            }
        }
    });
    by_script(&format!("exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3 & exec cat >&3"))
}

#[test]
fn a_stand_in_that_behaves_gets_the_document() {
    let document = Document::new(100_000);
    let octets = document.content.len() as u64;
    let receipt = document.put(sftp(move |request, _| request.honest(octets))).unwrap();
    assert!(receipt.renamed && !receipt.found);
}

#[test]
fn a_file_that_is_read_back_without_end_is_another() {
    let document = Document::new(1000);
    let error = document
        .put(sftp(|request, _| match request.kind {
            READ => request.data(&[b'x'; 30_000]),
            _ => request.honest(1000),
        }))
        .unwrap_err();
    assert_eq!(error.failure(), Failure::Damaged, "{error}");
}

#[test]
fn an_answer_counts_for_its_own_request_only() {
    // Of a write that is answered twice, the second answer would pass for that to the rename, which is refused.
    let document = Document::new(1000);
    let error = document
        .put(sftp(|request, _| match request.kind {
            WRITE => [request.status(0), request.status(0)].concat(),
            RENAME => request.status(FAILURE),
            _ => request.honest(1000),
        }))
        .unwrap_err();
    assert_eq!(error.failure(), Failure::Remote, "{error}");
    let error = document
        .put(sftp(|request, _| {
            let mut answer = request.honest(1000);
            answer[8] ^= 1;
            answer
        }))
        .unwrap_err();
    assert_eq!(error.failure(), Failure::Remote, "{error}");
}

#[test]
fn writes_may_be_answered_in_any_order() {
    let document = Document::new(100_000);
    let mut held = Vec::new();
    let receipt = document.put(sftp(move |request, _| match request.kind {
        WRITE => {
            held.push(request.status(0));
            match held.len() {
                4 => std::mem::take(&mut held).into_iter().rev().flatten().collect(),
                _ => Vec::new(),
            }
        }
        _ => request.honest(100_000),
    }));
    receipt.unwrap();
}

#[test]
fn an_answer_that_comes_octet_by_octet_has_one_time_limit() {
    let document = Document::new(1000);
    let begun = Instant::now();
    let error = document
        .put(sftp(|request, stream| {
            for octet in request.honest(1000) {
                if stream.write_all(&[octet]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(400));
            }
            Vec::new()
        }))
        .unwrap_err();
    assert_eq!(error.failure(), Failure::Interrupted, "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn what_may_not_be_read_back_is_ours_only_if_its_time_is_too() {
    for (modified, is_ours) in [(MODIFIED as u32, true), (MODIFIED as u32 + 7, false)] {
        let put = Document::new(1000).put(sftp(move |request, _| match request.kind {
            LSTAT => request.attributes(1000, modified),
            OPEN => request.status(PERMISSION_DENIED),
            _ => request.honest(1000),
        }));
        match is_ours {
            true => assert!(put.unwrap().found),
            false => assert_eq!(put.unwrap_err().failure(), Failure::Conflict),
        }
    }
}

#[test]
fn a_server_that_cannot_read_a_file_back_is_in_trouble_and_that_is_no_conflict() {
    let error = Document::new(1000)
        .put(sftp(|request, _| match request.kind {
            LSTAT => request.attributes(1000, MODIFIED as u32),
            READ => request.status(FAILURE),
            _ => request.honest(1000),
        }))
        .unwrap_err();
    assert_eq!(error.failure(), Failure::Remote, "{error}");
}

#[test]
fn lengths_and_handles_that_make_no_sense_are_errors() {
    let document = Document::new(1000);
    let with = |kind: u8, answer: fn(u32) -> Vec<u8>| {
        let error = document.put(sftp(move |request, _| match request.kind == kind {
            true => answer(request.id),
            false => request.honest(1000),
        }));
        let error = error.unwrap_err();
        assert!(
            matches!(error.failure(), Failure::Remote | Failure::Interrupted),
            "{kind}: {error}"
        );
    };
    with(OPEN, |_| vec![0xff; 64]);
    with(OPEN, |_| vec![0; 64]);
    with(OPEN, |id| packet(102, id, &[0xff; 8]));
    with(OPEN, |id| packet(102, id, &[0; 3]));
    with(OPEN, |id| {
        packet(102, id, &[[0, 0, 2, 0].as_slice(), &[b'h'; 512]].concat())
    });
    with(WRITE, |id| packet(103, id, &[0, 0, 0, 1, b'x']));
    with(WRITE, |id| packet(101, id, &[]));
    with(RENAME, |id| packet(104, id, &[0; 9]));
}

// --- programs in place of ssh(1) ---

#[test]
fn a_program_that_talks_without_end_or_leaves_something_behind_is_ended() {
    for script in [
        "yes",
        "exec </dev/zero; cat",
        "yes >&2",
        "sleep 30 </dev/null >/dev/null & exit 1",
        "sleep 30 </dev/null 2>/dev/null & exit 1",
    ] {
        let begun = Instant::now();
        let error = Document::new(1000).put(by_script(script)).unwrap_err();
        assert!(
            begun.elapsed() < Duration::from_secs(8),
            "{script}: {:?}",
            begun.elapsed()
        );
        assert!(
            matches!(
                error.failure(),
                Failure::Remote | Failure::Unreachable | Failure::Interrupted
            ),
            "{script}: {error}"
        );
    }
}

// --- hosts that speak no SSH ---

#[test]
fn a_host_that_says_lines_without_end_is_no_ssh_server() {
    for scheme in ["sftp", "scp"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(&b"welcome to this host\r\n".repeat(100)).is_ok() {}
        });
        let url = format!("{scheme}://bill@127.0.0.1:{port}/in/");
        let begun = Instant::now();
        let error = Document::new(10)
            .put(destination(&url, "password = \"x\"\ntimeout = \"1s\""))
            .unwrap_err();
        assert_eq!(error.failure(), Failure::Unreachable, "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}

// --- TFTP ---

/// A server that answers from one port; what `answer` returns is sent as it is.
fn tftp(mut answer: impl FnMut(&[u8], SocketAddr, &UdpSocket) -> Vec<Vec<u8>> + Send + 'static) -> Destination {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    thread::spawn(move || {
        let mut buffer = vec![0; 70_000];
        while let Ok((octets, from)) = socket.recv_from(&mut buffer) {
            for datagram in answer(&buffer[..octets], from, &socket) {
                let _ = socket.send_to(&datagram, from);
            }
        }
    });
    destination(&format!("tftp://127.0.0.1:{port}/in/"), "timeout = \"6s\"")
}

const NOT_FOUND: &[u8] = b"\0\x05\0\x01no such file\0";

fn kind(datagram: &[u8]) -> u8 {
    datagram.get(1).copied().unwrap_or_default()
}

fn oack(options: &[(&str, u64)]) -> Vec<u8> {
    let mut datagram = b"\0\x06".to_vec();
    for (name, value) in options {
        datagram.extend(format!("{name}\0{value}\0").bytes());
    }
    datagram
}

fn ack_of(data: &[u8]) -> Vec<u8> {
    [&[0, 4], &data[2..4]].concat()
}

#[test]
fn a_server_gets_no_larger_blocks_and_no_wider_window_than_it_was_offered() {
    for options in [&[("blksize", 65464), ("windowsize", 65535)][..], &[("windowsize", 17)]] {
        let reply = oack(options);
        // All of it would lie in memory.
        let error = Document::new(20_000_000)
            .put(tftp(move |datagram, _, _| match kind(datagram) {
                1 => vec![NOT_FOUND.to_vec()],
                2 => vec![reply.clone()],
                _ => Vec::new(),
            }))
            .unwrap_err();
        assert_eq!(error.failure(), Failure::Remote, "{error}");
        assert!(error.to_string().contains("was not offered"), "{error}");
    }
}

#[test]
fn a_block_that_was_lost_is_sent_again_whatever_the_server_repeats_meanwhile() {
    let document = Document::new(1000);
    let mut lost = false;
    let begun = Instant::now();
    let receipt = document.put(tftp(move |datagram, from, socket| match kind(datagram) {
        1 => vec![NOT_FOUND.to_vec()],
        2 => {
            let socket = socket.try_clone().unwrap();
            thread::spawn(move || {
                for _ in 0..60 {
                    let _ = socket.send_to(b"\0\x04\0\0", from);
                    thread::sleep(Duration::from_millis(200));
                }
            });
            Vec::new()
        }
        3 if !std::mem::replace(&mut lost, true) => Vec::new(),
        3 => vec![ack_of(datagram)],
        _ => Vec::new(),
    }));
    assert!(receipt.is_ok(), "{receipt:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

#[test]
fn an_acknowledgement_that_was_lost_is_sent_again_when_the_block_is() {
    let document = Document::new(600);
    let content = document.content.clone();
    let blocks: Vec<Vec<u8>> = [(1u8, &content[..512]), (2, &content[512..])]
        .map(|(number, octets)| [&[0, 3, 0, number], octets].concat())
        .to_vec();
    let mut acknowledged = 0;
    let begun = Instant::now();
    let receipt = document.put(tftp(move |datagram, from, socket| {
        match (kind(datagram), datagram.get(3)) {
            (1, _) => {
                let (socket, first) = (socket.try_clone().unwrap(), blocks[0].clone());
                thread::spawn(move || {
                    for _ in 0..10 {
                        let _ = socket.send_to(&first, from);
                        thread::sleep(Duration::from_millis(200));
                    }
                });
                Vec::new()
            }
            (4, Some(1)) => {
                acknowledged += 1;
                // The first one was lost.
                if acknowledged < 2 {
                    Vec::new()
                } else {
                    vec![blocks[1].clone()]
                }
            }
            _ => Vec::new(),
        }
    }));
    assert!(receipt.unwrap().found);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn what_is_no_packet_does_not_take_the_place_of_the_server() {
    let document = Document::new(100);
    let receipt = document.put(tftp(|datagram, from, _| {
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        other.send_to(b"hello", from).unwrap();
        other.send_to(b"\0\x06blksize\0nonsense\0", from).unwrap();
        thread::sleep(Duration::from_millis(50));
        match kind(datagram) {
            1 => vec![NOT_FOUND.to_vec()],
            2 => vec![b"\0\x04\0\0".to_vec()],
            3 => vec![ack_of(datagram)],
            _ => Vec::new(),
        }
    }));
    assert!(receipt.is_ok(), "{receipt:?}");
}
