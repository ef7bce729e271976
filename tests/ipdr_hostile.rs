//! Strangers at the exporter's port while its collector is served: that one notices nothing.

mod support;

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use rustix::{
    net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with},
    process::{Resource, Rlimit, getrlimit, setrlimit},
};
use support::{
    ipdr::{
        Collector, Log, Script, State,
        exporter::{Keys, NAME, QUICK, SESSION, Setup, body},
        message::{number, string, write},
        octets::octets,
    },
    say,
};

/// May connect, and is no collector.
const STRANGER: &str = "127.0.0.9";

/// Is a collector of lower priority; may have lost its mind.
const OTHER: &str = "127.0.0.3";

const OPEN_TO_STRANGERS: Keys<'static> = Keys {
    ipdr: "hold-down = \"0s\"\nwait-for-best = \"0s\"\nallow = [\"127.0.0.9/32\"]\n",
    ..QUICK
};

fn dial(source: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let source: IpAddr = source.parse().unwrap();
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    bind(&socket, &SocketAddr::new(source, 0))?;
    connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

/// Serves one collector from the begin to the end of `attack`, and then the rest of its documents.
fn served_during(keys: &Keys<'_>, documents: usize, attack: impl FnOnce(&Setup, &Log) + Send) {
    let setup = Setup::new(&[("a", "127.0.0.2", 1), ("b", OTHER, 2)], keys);
    let records = vec![20_000; documents];
    setup.store(NAME, 0, &records);
    let log = Log::new();
    let _collector = Collector::dial(&log, "a", "127.0.0.2", setup.address, Script::default());
    let exporter = setup.start();
    log.wait("the first records", |seen| !seen.documents.is_empty());
    attack(&setup, &log);
    log.wait("all documents", |seen| seen.are_taken(SESSION, documents));
    log.assert_taken(SESSION, &records, body);
    let seen = log.seen();
    assert_eq!(seen.connections, 1, "{}\n{}", seen.summary(), setup.said());
    let status = std::fs::read_to_string(format!("/proc/{}/status", exporter.0.id())).unwrap();
    let peak: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap();
    say(&format!("largest memory of the exporter: {peak} kB"));
    assert!(peak < 50_000, "{peak} kB");
}

#[test]
fn ten_thousand_connections_that_say_nothing_do_not_keep_the_collector_from_its_records() {
    const WANTED: u64 = 10_000;
    raise_limit(WANTED + 1000);
    served_during(&OPEN_TO_STRANGERS, 20, |setup, _| {
        let mut open = Vec::new();
        let mut refused = 0;
        for _ in 0..WANTED {
            match dial(STRANGER, setup.address) {
                Ok(socket) => open.push(socket),
                Err(_) => refused += 1,
            }
        }
        say(&format!("{} connections made, {refused} refused", open.len()));
        // A collector that comes only now gets in nevertheless.
        assert!(open.len() > 9000);
        let log = Log::new();
        let late = Collector::dial(&log, "b", OTHER, setup.address, Script::default());
        log.wait("an answer among ten thousand", |seen| {
            seen.state("b", SESSION) == State::Ready
        });
        drop(late);
        drop(open);
    });
}

#[test]
fn garbage_of_every_sort_does_not_keep_the_collector_from_its_records() {
    let refused = AtomicU64::new(0);
    served_during(&OPEN_TO_STRANGERS, 5, |setup, _| {
        let all: Vec<_> = garbage()
            .into_iter()
            .flat_map(|octets| [(STRANGER, octets.clone()), (OTHER, octets)])
            .collect();
        for (index, (from, garbage)) in all.iter().enumerate() {
            let mut socket = match dial(from, setup.address) {
                Ok(socket) => socket,
                Err(error) => panic!("garbage {index}: {error}"),
            };
            let _ = socket.write_all(garbage);
            let _ = socket.shutdown(std::net::Shutdown::Write);
            socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            let mut answer = Vec::new();
            // The connection ends, whatever is answered before.
            match socket.read_to_end(&mut answer) {
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
                Err(error) => panic!("garbage {index} is borne: {error}\n{}", setup.said()),
            }
            refused.fetch_add(1, Ordering::Relaxed);
        }
    });
    say(&format!("{} connections with garbage", refused.into_inner()));
}

/// What a stranger may say, and a collector after CONNECT.
fn garbage() -> Vec<Vec<u8>> {
    let connect = write(
        number::CONNECT,
        0,
        &[
            &[127, 0, 0, 9],
            &4737u16.to_be_bytes(),
            &2u32.to_be_bytes(),
            &60u32.to_be_bytes(),
            &string("x"),
        ],
    );
    let mut all = vec![
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        octets("16030100f8010000f40303"),
        // Another version; CRANE.
        octets("0105000000000008"),
        octets("ff05000000000008"),
        // Lengths that cannot be.
        octets("0205000000000000"),
        octets("0205000000000007"),
        octets("02050000ffffffff"),
        octets("020500007fffffff"),
        octets("0205000000100001"),
        // vendorId of four gigabytes, of an indefinite length.
        octets("0205000000000021 7f000009 1281 00000002 0000003c ffffffff \"IPDRx\" 0000"),
        // Messages before CONNECT.
        octets("0201010000000008"),
        octets("0221010000000012 0000 0000000000000000"),
        // CONNECT twice.
        [connect.clone(), connect.clone()].concat(),
    ];
    let after = |message: Vec<u8>| [connect.clone(), message].concat();
    for id in 0..=255 {
        all.push(after(write(id, 1, &[])));
        all.push(after(write(id, 200, &[&[0xff; 40]])));
    }
    // A template with four billion fields.
    all.push(after(octets("021a01000000000f 0000 00 ffffffff")));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for length in 0..200 {
        let mut noise = vec![2, 5];
        for _ in 0..length * 7 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            noise.push(state as u8);
        }
        all.push(noise);
    }
    all
}

/// One octet now and then, on a hundred connections, of a CONNECT that never ends.
#[test]
fn connections_that_dawdle_do_not_keep_the_collector_from_its_records() {
    let keys = Keys {
        ipdr: "hold-down = \"0s\"\nwait-for-best = \"0s\"\nallow = [\"127.0.0.9/32\"]\nconnect-timeout = \"1s\"\n",
        ..QUICK
    };
    let (over, sent_away) = (AtomicBool::new(false), AtomicU64::new(0));
    let dawdle = |address: SocketAddr| {
        let message = octets("0205000000001000 7f000009 1281 00000002 0000003c 00000fe0");
        while !over.load(Ordering::Relaxed) {
            let Ok(mut socket) = dial(STRANGER, address) else {
                continue;
            };
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            for octet in message.iter().cycle() {
                let is_closed = socket.write_all(&[*octet]).is_err()
                    || match socket.read(&mut [0; 64]) {
                        Ok(0) => true,
                        Ok(_) => false,
                        Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
                    };
                if is_closed {
                    sent_away.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
        }
    };
    thread::scope(|scope| {
        served_during(&keys, 10, |setup, _| {
            let (dawdle, address) = (&dawdle, setup.address);
            for _ in 0..100 {
                scope.spawn(move || dawdle(address));
            }
            while sent_away.load(Ordering::Relaxed) < 300 {
                thread::yield_now();
            }
            over.store(true, Ordering::Relaxed);
        });
    });
    say(&format!("{} dawdlers were sent away", sent_away.into_inner()));
}

/// An address that is neither a collector's nor allowed hears nothing.
#[test]
fn an_unknown_address_is_sent_away_without_a_word() {
    served_during(&QUICK, 1, |setup, _| {
        let mut socket = dial("127.0.0.77", setup.address).unwrap();
        let _ = socket.write_all(&octets(
            "0205000000000021 0a010101 1e8d 00000001 0000003c \"IPDR Client\"",
        ));
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{answer:02x?}");
    });
}

/// The version is told to who asks, at the address that it asked from.
#[test]
fn discovery_answers_the_asker_and_nobody_else() {
    let port = support::free_port();
    let keys = format!("{}discovery = \"127.0.0.1:{port}\"\n", QUICK.ipdr);
    served_during(&Keys { ipdr: &keys, ..QUICK }, 1, |setup, _| {
        let victim = UdpSocket::bind("127.0.0.8:0").unwrap();
        victim.set_nonblocking(true).unwrap();
        let asker = UdpSocket::bind("127.0.0.2:0").unwrap();
        asker.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut answer = [0; 100];
        // The address inside is the victim's.
        asker
            .send_to(&octets("7f000008 5da8bea8 \"IPDR\""), ("127.0.0.1", port))
            .unwrap();
        let (length, from) = asker.recv_from(&mut answer).unwrap();
        assert_eq!(from.port(), port);
        let answer = &answer[..length];
        assert_eq!(answer[..8], octets("00000001 00000002"));
        assert_eq!(answer[8..10], setup.address.port().to_be_bytes());
        assert!(length >= 16 && (length - 16).is_multiple_of(12), "{answer:02x?}");
        // No answer for what is no question; the next real one is answered first.
        for no_question in ["", "\"IPDR\"", "7f000008 5da8bea8 \"XXXX\""] {
            asker.send_to(&octets(no_question), ("127.0.0.1", port)).unwrap();
        }
        asker
            .send_to(&octets("7f000008 00000001 \"IPDR\""), ("127.0.0.1", port))
            .unwrap();
        let mut again = [0; 100];
        let (length, _) = asker.recv_from(&mut again).unwrap();
        assert_eq!(&again[..length], answer);
        assert!(victim.recv_from(&mut [0; 1]).is_err());
    });
}

fn raise_limit(wanted: u64) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < wanted) {
        let maximum = maximum.map(|maximum| maximum.max(wanted));
        let limit = Rlimit {
            current: Some(wanted),
            maximum,
        };
        setrlimit(Resource::Nofile, limit)
            .unwrap_or_else(|error| panic!("{wanted} open files are needed: {error}; ulimit -n {wanted}"));
    }
}
