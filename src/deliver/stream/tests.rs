//! Collectors that behave, and those that do not. Servers of others are in `tests/stream.rs`.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use rustls::{ServerConfig, ServerConnection, pki_types::PrivateKeyDer};

use super::*;

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(20),
    idle: Duration::from_secs(20),
    total: Duration::from_secs(60),
};

/// More than the buffers of both systems hold.
const MUCH: usize = 32 << 20;

struct Server<T> {
    port: u16,
    thread: JoinHandle<T>,
}

/// Serves one connection.
fn server<T: Send + 'static>(serve: impl FnOnce(TcpStream) -> T + Send + 'static) -> Server<T> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    Server {
        port: listener.local_addr().unwrap().port(),
        thread: thread::spawn(move || serve(listener.accept().unwrap().0)),
    }
}

fn collector(port: u16) -> Collector {
    Collector {
        host: "127.0.0.1".to_owned(),
        port,
        tls: None,
        source: None,
        limits: LIMITS,
    }
}

fn stream(collector: &Collector, octets: usize) -> Result<Taken, StreamError> {
    let mut sending = Sending::connect(collector)?;
    let piece = vec![b'x'; 100_000];
    let mut left = octets;
    while left > 0 {
        let now = left.min(piece.len());
        sending.send(&piece[..now])?;
        left -= now;
    }
    sending.finish()
}

fn read_all(mut stream: impl Read) -> usize {
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).unwrap();
    octets.len()
}

#[test]
fn a_document_is_taken_when_the_collector_has_read_it_and_closed() {
    let server = server(read_all);
    let taken = stream(&collector(server.port), MUCH).unwrap();
    assert_eq!(taken.octets, MUCH as u64);
    assert_eq!(server.thread.join().unwrap(), MUCH);
}

/// One known collector names itself at once; unread, that would end the connection with a reset.
#[test]
fn what_the_collector_says_is_read_and_thrown_away() {
    let server = server(|mut stream| {
        stream.write_all(b"AcmeBilling\n").unwrap();
        let read = read_all(&stream);
        stream.write_all(&[b'!'; 100_000]).unwrap();
        read
    });
    stream(&collector(server.port), MUCH).unwrap();
    assert_eq!(server.thread.join().unwrap(), MUCH);
}

#[test]
fn one_that_closes_half_way_has_not_got_it() {
    for octets in [MUCH, 200_000] {
        let server = server(|mut stream| {
            let mut some = [0; 100_000];
            stream.read_exact(&mut some).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            // Until the other side gives up.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let mut sending = Sending::connect(&collector(server.port)).unwrap();
        let mut sent = Ok(());
        for _ in 0..octets / 100_000 {
            sent = sent.and_then(|()| sending.send(&[b'x'; 100_000]));
        }
        if octets < MUCH {
            // Its end is on the way; it has to be here before ours leaves.
            sending.wire.wait_for_anything();
        }
        let error = sent.and_then(|()| sending.finish()).unwrap_err();
        assert_eq!(error.kind, Kind::Incomplete);
        assert!(
            error.reason().contains("closed the connection before the end"),
            "{error}"
        );
        server.thread.join().unwrap();
    }
}

#[test]
fn one_that_leaves_a_tail_unread_has_not_got_it() {
    for octets in [MUCH, 200_000] {
        let server = server(|mut stream| {
            let mut some = [0; 100_000];
            stream.read_exact(&mut some).unwrap();
            // Until the rest is here, so that it is closed with something unread.
            stream.peek(&mut some).unwrap();
        });
        let error = stream(&collector(server.port), octets).unwrap_err();
        assert_eq!(error.kind, Kind::Incomplete);
        server.thread.join().unwrap();
    }
}

#[test]
fn one_that_does_not_read_or_does_not_close_is_given_up_when_its_time_is_over() {
    let limits = Limits {
        idle: Duration::from_millis(100),
        ..LIMITS
    };
    for (octets, words) in [(MUCH, "takes nothing more"), (1000, "has not closed the connection")] {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let server = server(move |stream| {
            let _ = ended.recv();
            drop(stream);
        });
        let collector = Collector {
            limits,
            ..collector(server.port)
        };
        let error = stream(&collector, octets).unwrap_err();
        assert_eq!(error.kind, Kind::Incomplete);
        assert!(error.to_string().contains(words), "{error}");
        drop(end);
        server.thread.join().unwrap();
    }
}

#[test]
fn one_that_reads_slowly_has_a_limit_for_all() {
    let server = server(|mut stream| {
        let mut octet = [0];
        while stream.read_exact(&mut octet).is_ok() {
            thread::yield_now();
        }
    });
    let collector = Collector {
        limits: Limits {
            total: Duration::from_millis(300),
            ..LIMITS
        },
        ..collector(server.port)
    };
    let error = stream(&collector, 4 * MUCH).unwrap_err();
    assert!(error.to_string().contains("the time for a document is over"), "{error}");
    server.thread.join().unwrap();
}

/// Whoever talks is listened to, but not for ever: neither when it has everything nor when it takes nothing more.
#[test]
fn one_that_talks_without_end_is_given_up_when_its_time_is_over() {
    for (octets, reads) in [(1000, true), (MUCH, false)] {
        let server = server(move |mut stream| {
            if reads {
                stream.read_exact(&mut [0; 1000]).unwrap();
            }
            while stream.write_all(&[b'!'; 65536]).is_ok() {}
        });
        let limits = Limits {
            idle: Duration::from_millis(200),
            ..LIMITS
        };
        let collector = Collector {
            limits,
            ..collector(server.port)
        };
        let began = Instant::now();
        let error = stream(&collector, octets).unwrap_err();
        assert_eq!(error.kind, Kind::Incomplete);
        assert!(error.to_string().contains("for 200ms"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        server.thread.join().unwrap();
    }
}

#[test]
fn nobody_there_is_told_from_somebody_who_does_not_take_it() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = stream(&collector(port), 1).unwrap_err();
    assert_eq!(error.kind, Kind::NotConnected);
    assert_eq!(error.kind.status(), CollectionStatus::ConnectionTimeout);
    assert_eq!(
        error.to_string(),
        format!("127.0.0.1:{port}: nobody listens there: connection refused")
    );
}

/// A document that is given up half way must not look like one that has ended.
#[test]
fn what_is_given_up_ends_with_a_reset() {
    let server = server(|mut stream| {
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets).map(|_| ())
    });
    let mut sending = Sending::connect(&collector(server.port)).unwrap();
    sending.send(b"<IPDRDoc>").unwrap();
    drop(sending);
    let error = server.thread.join().unwrap().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

mod secure {
    use super::*;

    fn secure(port: u16) -> (Collector, Arc<ServerConfig>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        use sha2::Digest;
        let trust = config::Tls {
            fingerprint: Some(sha2::Sha256::digest(certificate.der()).into()),
            ..config::Tls::default()
        };
        let collector = Collector {
            tls: Some(Security { trust, identity: None }),
            ..collector(port)
        };
        (collector, Arc::new(config))
    }

    fn tls_server<T: Send + 'static>(
        serve: impl FnOnce(rustls::StreamOwned<ServerConnection, TcpStream>) -> T + Send + 'static,
    ) -> (Collector, JoinHandle<T>) {
        let (mut collector, config) = secure(0);
        let server =
            server(move |stream| serve(rustls::StreamOwned::new(ServerConnection::new(config).unwrap(), stream)));
        collector.port = server.port;
        (collector, server.thread)
    }

    #[test]
    fn a_document_is_taken_over_tls_too() {
        let (collector, server) = tls_server(|mut stream| {
            let mut octets = Vec::new();
            stream.read_to_end(&mut octets).unwrap();
            octets.len()
        });
        stream(&collector, MUCH).unwrap();
        assert_eq!(server.join().unwrap(), MUCH);
    }

    #[test]
    fn one_that_goes_in_the_middle_has_not_got_it() {
        let (collector, server) = tls_server(|mut stream| {
            let mut some = [0; 100_000];
            stream.read_exact(&mut some).unwrap();
        });
        let error = stream(&collector, MUCH).unwrap_err();
        assert_eq!(error.kind, Kind::Incomplete);
        server.join().unwrap();
    }

    /// A CMTS calls this a success.
    #[test]
    fn plain_text_to_a_collector_with_tls_is_recognised() {
        let (collector, server) = tls_server(|mut stream| {
            let failed = stream.read_to_end(&mut Vec::new()).is_err();
            let _ = stream.conn.write_tls(&mut stream.sock);
            failed
        });
        let plain = Collector { tls: None, ..collector };
        let error = stream(&plain, MUCH).unwrap_err();
        assert_eq!(error.kind, Kind::Incomplete);
        assert!(server.join().unwrap());
    }

    /// Each octet is progress, and all of them have one limit.
    #[test]
    fn a_handshake_that_drips_is_given_up_when_its_time_is_over() {
        let server = server(|mut stream| {
            // A record of a handshake that is as long as can be.
            let record = [0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc];
            let mut octets = record.iter().copied().chain(std::iter::repeat(0));
            while let Some(octet) = octets.next()
                && stream.write_all(&[octet]).is_ok()
            {
                thread::sleep(Duration::from_millis(5));
            }
        });
        let (mut collector, _) = secure(server.port);
        collector.limits.connect = Duration::from_millis(300);
        let error = stream(&collector, 1).unwrap_err();
        assert_eq!(error.kind, Kind::NotConnected);
        assert!(error.to_string().contains("no TLS handshake within 300ms"), "{error}");
        server.thread.join().unwrap();
    }

    /// An alert, or half a record: something went wrong there, whatever is closed cleanly afterwards.
    #[test]
    fn one_that_ends_with_an_alert_or_half_a_record_before_our_end_has_not_got_it() {
        for last in [&[0x15, 3, 3, 0, 2, 2, 50][..], &[0x17, 3, 3, 0x20][..]] {
            let (collector, server) = tls_server(move |mut stream| {
                let mut some = [0; 100_000];
                stream.read_exact(&mut some).unwrap();
                stream.sock.write_all(last).unwrap();
                stream.sock.shutdown(std::net::Shutdown::Write).unwrap();
                while stream.sock.read(&mut some).is_ok_and(|read| read > 0) {}
            });
            let error = stream(&collector, MUCH).unwrap_err();
            assert_eq!(error.kind, Kind::Incomplete, "{error}");
            server.join().unwrap();
        }
    }

    #[test]
    fn tls_to_a_collector_without_is_recognised() {
        let server = server(|mut stream| {
            stream.write_all(b"AcmeBilling\n").unwrap();
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let (collector, _) = secure(server.port);
        let error = stream(&collector, MUCH).unwrap_err();
        assert_eq!(error.kind, Kind::NotConnected);
        assert!(error.to_string().contains("non-secure"), "{error}");
        server.thread.join().unwrap();
    }

    #[test]
    fn the_wrong_certificate_is_refused_before_anything_is_sent() {
        let (mut collector, server) = tls_server(|mut stream| {
            let mut octets = Vec::new();
            let _ = stream.read_to_end(&mut octets);
            octets.len()
        });
        collector.tls = Some(Security {
            trust: config::Tls {
                fingerprint: Some([0; 32]),
                ..config::Tls::default()
            },
            identity: None,
        });
        let error = stream(&collector, MUCH).unwrap_err();
        assert_eq!(error.kind, Kind::NotConnected);
        assert!(error.to_string().contains("another fingerprint"), "{error}");
        assert_eq!(server.join().unwrap(), 0);
    }
}
