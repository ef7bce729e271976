//! Stop events to a RADIUS server with many callers, and a server that does nothing but answer. See contrib/bench/radius.
//!
//!     radius log HOST:PORT SECRET EVENTS CALLERS     prints events, seconds, events a second
//!     radius answer SECRET                           prints its port and how long each run took, until it is killed
//!     radius requests EVENTS                         prints the same events for radclient(1)

use std::{
    env,
    error::Error,
    io::{self, Write},
    net::{SocketAddr, UdpSocket},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use billdrop::{
    account::{
        event::{Call, Event, EventKind, Moment, Subject},
        module::{Attempt, Module, Outcome},
        radius::{Identity, RadAcct},
    },
    config::{
        AccountingRadius, Secret,
        gatekeeper::{self, RadiusServer},
    },
    protocol::radius,
};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["log", server, secret, events, callers] => log(server, secret, events, callers),
        ["answer", secret] => answer(secret.as_bytes()),
        ["requests", events] => requests(events),
        _ => Err("log HOST:PORT SECRET EVENTS CALLERS | answer SECRET | requests EVENTS".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("radius: {e}");
            ExitCode::FAILURE
        }
    }
}

fn log(server: &str, secret: &str, events: &str, callers: &str) -> Result<(), Failure> {
    let (events, callers): (usize, usize) = (events.parse()?, callers.parse()?);
    let module = RadAcct::new(
        &options(server.parse()?, secret),
        &AccountingRadius::default(),
        &identity(),
    )?;
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= events {
                        return;
                    }
                    let attempt = Attempt { key: "", again: false };
                    if let Outcome::Fail(reason) = module.log(&stop(n), &attempt) {
                        eprintln!("radius: {reason}");
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let seconds = begin.elapsed().as_secs_f64();
    println!("{events} {seconds:.3} {:.0}", events as f64 / seconds);
    match failed.into_inner() {
        0 => Ok(()),
        failed => Err(format!("{failed} events failed").into()),
    }
}

/// The gatekeeper's defaults.
fn options(server: SocketAddr, secret: &str) -> gatekeeper::RadAcct {
    gatekeeper::RadAcct {
        servers: vec![RadiusServer {
            host: server.ip().to_string(),
            acct_port: server.port(),
            secret: Secret::Text(secret.to_owned()),
        }],
        local_interface: None,
        port_range: (1024, 65535),
        request_timeout: Duration::from_secs(2),
        transmissions: 2,
        round_robin: true,
        id_cache_timeout: Duration::from_secs(9),
        socket_delete_timeout: Duration::from_secs(60),
        append_cisco_attributes: true,
        use_dialed_number: false,
        fixed_username: None,
        timestamp_format: None,
    }
}

fn identity() -> Identity {
    Identity {
        name: "example-gk".into(),
        home: Some([127, 0, 0, 1].into()),
        timestamp_format: "Cisco".into(),
    }
}

fn stop(number: usize) -> Event {
    let at = |seconds| Moment {
        seconds,
        micros: 0,
        zone: Some((3600, "CET".into())),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let call = Call {
        session_id: format!("6b02fada{number:08x}").as_str().into(),
        user: "alice".into(),
        conf_id: Some(0x021DAFF2_EDE4F111_81FC02FC_00000001_u128.to_be_bytes()),
        call_id: Some(0xF81CAFF2_EDE4F111_81FC02FC_00000001_u128.to_be_bytes()),
        setup: Some(at(1_795_357_405)),
        connect: Some(at(1_795_357_405)),
        disconnect: Some(at(1_795_357_417)),
        cause: 16,
        release_source: 1,
        caller_ip: "127.0.0.1".into(),
        callee_ip: "127.0.0.1".into(),
        calling_station_id: "1001".into(),
        called_station_id: "2002".into(),
        caller_audio_codec: "G711A".into(),
        ..Call::default()
    };
    Event {
        kind: EventKind::Stop,
        uuid: None,
        time: at(now.as_secs() as i64),
        gatekeeper: None,
        gatekeeper_ip: None,
        subject: Subject::Call(Box::new(call)),
    }
}

/// Answers without looking at what it is asked. When nothing has come for a while, prints how many seconds what came before
/// has taken from the first packet to the last.
fn answer(secret: &[u8]) -> Result<(), Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    println!("{}", socket.local_addr()?.port());
    io::stdout().flush()?;
    // 128 requests at once are more than the usual buffer holds; as much as the host allows.
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4 << 20)?;
    socket.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut buffer = [0; radius::LONGEST_PACKET];
    let mut span: Option<(Instant, Instant)> = None;
    loop {
        // Nothing has come, or an asker is gone.
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            if let Some((first, last)) = span.take() {
                println!("{:.3}", (last - first).as_secs_f64());
                io::stdout().flush()?;
            }
            continue;
        };
        if length < radius::HEADER {
            continue;
        }
        let mut reply = [0; radius::HEADER];
        reply[0] = radius::ACCOUNTING_RESPONSE;
        reply[1] = buffer[1];
        let mut request = [0; 16];
        request.copy_from_slice(&buffer[4..radius::HEADER]);
        radius::sign_reply(&mut reply, &request, secret);
        let _ = socket.send_to(&reply, from);
        let now = Instant::now();
        span = Some((span.map_or(now, |(first, _)| first), now));
    }
}

/// The attributes of [`stop`], in the words of FreeRADIUS's dictionaries; those it has no word for by number.
fn requests(events: &str) -> Result<(), Failure> {
    let events: usize = events.parse()?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let plain = [
        "Acct-Status-Type = Stop",
        "NAS-IP-Address = 127.0.0.1",
        "NAS-Identifier = \"example-gk\"",
        "NAS-Port-Type = Virtual",
        "Service-Type = Login-User",
        "User-Name = \"alice\"",
        "Framed-IP-Address = 127.0.0.1",
        "Acct-Session-Time = 12",
        "Calling-Station-Id = \"1001\"",
        "Called-Station-Id = \"2002\"",
        "Acct-Delay-Time = 0",
    ];
    let cisco = [
        (24, "h323-conf-id=21DAFF2 EDE4F111 81FC02FC 1"),
        (33, "h323-gw-id=example-gk"),
        (26, "h323-call-origin=proxy"),
        (27, "h323-call-type=VoIP"),
        (25, "h323-setup-time=15:23:25.000 CET Sun Nov 22 2026"),
        (28, "h323-connect-time=15:23:25.000 CET Sun Nov 22 2026"),
        (29, "h323-disconnect-time=15:23:37.000 CET Sun Nov 22 2026"),
        (30, "h323-disconnect-cause=10"),
        (115, "release-source=1"),
        (116, "preferred-codec=G711A"),
        (117, "rewritten-e164-num=2002"),
        (1, "h323pddtime=0"),
        (1, "h323ringtime=0"),
        (1, "h323routeattempts=0"),
        (1, "h323_rtp_proxy=0"),
        (1, "RTP_source_IP=0.0.0.0"),
        (1, "RTP_destination_IP=0.0.0.0"),
        (1, "RTCP_source_packet_count=0"),
        (1, "RTCP_source_packet_lost=0"),
        (1, "RTCP_source_jitter=0|0|0"),
        (1, "RTCP_destination_packet_count=0"),
        (1, "RTCP_destination_packet_lost=0"),
        (1, "RTCP_destination_jitter=0|0|0"),
        (23, "h323-remote-address=127.0.0.1"),
        (1, "h323-ivr-out=h323-call-id:F81CAFF2 EDE4F111 81FC02FC 1"),
    ];
    for number in 0..events {
        writeln!(out, "Acct-Session-Id = \"6b02fada{number:08x}\"")?;
        for line in plain {
            writeln!(out, "{line}")?;
        }
        for (kind, text) in cisco {
            // What the dictionaries call by the names of its texts, and what they call otherwise.
            match (kind, text.split_once('=')) {
                (1, _) => writeln!(out, "Cisco-AVPair = \"{text}\"")?,
                (23..=33 | 115, Some((name, _))) => writeln!(out, "{name} = \"{text}\"")?,
                _ => {
                    let hex: String = text.bytes().map(|octet| format!("{octet:02x}")).collect();
                    writeln!(out, "Attr-26.9.{kind} = 0x{hex}")?;
                }
            }
        }
        writeln!(out)?;
    }
    out.flush()?;
    Ok(())
}
