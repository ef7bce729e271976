//! A TCP proxy that cuts the connection when so many octets have gone through to the server.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    thread,
};

/// Takes one connection after the other; `cut_after` octets of the client pass in each, then both sides are closed.
/// Returns the port.
pub fn cutting(upstream: u16, cut_after: u64) -> u16 {
    cutting_on(0, upstream, cut_after)
}

/// The same on a port that a test has chosen before.
pub fn cutting_on(port: u16, upstream: u16, cut_after: u64) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // It ends with the test's process: there is nothing to clean up.
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", upstream)) else {
                continue;
            };
            let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || pass(from, to, u64::MAX));
            thread::spawn(move || pass(client, server, cut_after));
        }
    });
    port
}

/// The first connection goes to the first of these, the next to the next; all others to the last. Returns the port.
pub fn changing(upstreams: &[u16]) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let upstreams = upstreams.to_owned();
    thread::spawn(move || {
        for (index, client) in listener.incoming().flatten().enumerate() {
            let upstream = upstreams[index.min(upstreams.len() - 1)];
            let server = TcpStream::connect(("127.0.0.1", upstream)).unwrap();
            let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || pass(from, to, u64::MAX));
            thread::spawn(move || pass(client, server, u64::MAX));
        }
    });
    port
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut left: u64) {
    let mut buffer = [0; 8192];
    while left > 0 {
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        match from.read(&mut buffer[..most]) {
            Ok(octets @ 1..) if to.write_all(&buffer[..octets]).is_ok() => left -= octets as u64,
            _ => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
