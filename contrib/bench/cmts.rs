//! What contrib/bench/cmts measures with: a CMTS of any size, and billdrop's walk of it.
//!
//! `cmts agent MODEMS FLOWS [MICROSECONDS]` prints its port and answers until it is killed; an answer is on its way for that time.
//! `cmts columns` prints the columns that a poll reads. `cmts poll PORT REPETITIONS IN-FLIGHT [REQUESTS-PER-SECOND]`
//! reads them: seconds, requests, modems, flows, and the most memory the process had, in MB.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "cmts_agent.rs"]
mod cmts_agent;

use std::{
    env, fs,
    io::Write,
    net::{SocketAddr, UdpSocket},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use billdrop::capture::cmts::{
    family::{Column, Family},
    join::join,
    snmp::{self, Credentials, Settings},
    usage::Kind,
};
use cmts_agent::{Request, Rows, Value};

const UPTIME: u32 = 60_000_000;
const DOMAIN: u32 = 0x2000_0002;
const LOG_ENTRIES: u32 = 500;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).map(|text| text.parse::<u32>().expect("a number"));
    match (arguments.first().map(String::as_str), number(1), number(2)) {
        (Some("agent"), Some(modems), Some(flows)) => serve(&rows(modems, flows), number(3).unwrap_or(0)),
        (Some("columns"), ..) => columns(),
        (Some("poll"), Some(port), Some(repetitions)) => poll(port, repetitions, number(3).unwrap_or(4), number(4)),
        _ => panic!("cmts agent MODEMS FLOWS | columns | poll PORT REPETITIONS IN-FLIGHT [REQUESTS-PER-SECOND]"),
    }
}

/// One request after the other. The answers are on their way for some time, as those of an agent that is far off.
fn serve(rows: &Rows, microseconds: u32) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    println!("{}", socket.local_addr().expect("an address").port());
    std::io::stdout().flush().expect("standard output");
    let (sender, answers) = mpsc::channel::<(Instant, Vec<u8>, SocketAddr)>();
    let way = socket.try_clone().expect("the same socket");
    thread::spawn(move || {
        for (due, answer, to) in answers {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let _ = way.send_to(&answer, to);
        }
    });
    let delay = Duration::from_micros(microseconds.into());
    let mut octets = [0; 65_536];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut octets) else {
            continue;
        };
        let arrived = Instant::now();
        let Some(request) = Request::read(&octets[..length]) else {
            continue;
        };
        let Some(varbinds) = rows.answer(&request, 65_000) else {
            continue;
        };
        let answer = request.response(0, 0, &varbinds);
        match delay.is_zero() {
            true => drop(socket.send_to(&answer, from)),
            false => drop(sender.send((arrived + delay, answer, from))),
        }
    }
}

/// The columns of a poll, without those that are asked for only where there are modems of DOCSIS 1.0.
fn all_columns() -> Vec<(Column, Vec<u32>)> {
    let mut groups = Family::Qos3.groups(Kind::Docsis, true);
    groups.push(Column::LOG);
    let columns = groups.into_iter().flatten();
    columns
        .filter_map(|column| Some((*column, Family::Qos3.oid(*column)?)))
        .collect()
}

fn columns() {
    for (_, root) in all_columns() {
        println!("{}", dotted(&root));
    }
}

fn dotted(name: &[u32]) -> String {
    name.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

fn poll(port: u32, repetitions: u32, in_flight: u32, requests_per_second: Option<u32>) {
    let settings = Settings {
        host: "127.0.0.1".to_owned(),
        port: port.try_into().expect("a port"),
        credentials: Credentials::V2c {
            community: "cmts".to_owned(),
        },
        answer_within: Duration::from_secs(5),
        retries: 2,
        limit: Duration::from_secs(3600),
        requests_per_second,
        in_flight: in_flight.try_into().expect("a number of requests"),
        most_repetitions: repetitions.try_into().expect("a number of rows"),
        records: Kind::Docsis,
        cpes: true,
    };
    let start = Instant::now();
    let answer = snmp::poll(&settings, None).expect("the poll");
    let seconds = start.elapsed().as_secs_f64();
    let poll = join(&answer.tables, answer.span).expect("nothing is hidden");
    assert_eq!(answer.tables.unusable, 0);
    assert_eq!(poll.missing(), None);
    let status = fs::read_to_string("/proc/self/status").expect("proc");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: f64 = peak.map_or(0.0, |peak| peak.trim().trim_end_matches(" kB").parse().unwrap_or(0.0));
    println!(
        "{seconds:.3} {} {} {} {:.1}",
        answer.requests,
        poll.modems.len(),
        poll.live.len() + poll.ended.len(),
        kilobytes / 1024.0
    );
}

/// A CMTS of DOCSIS 3.0 with so many modems and flows, the flows in turn upstream and downstream.
fn rows(modems: u32, flows: u32) -> Rows {
    let mut rows = Rows::default();
    let oid = |column| Family::Qos3.oid(column).expect("the family has all columns");
    let name = |column, index: &[u32]| [oid(column).as_slice(), index].concat();
    rows.push(vec![1, 3, 6, 1, 2, 1, 1, 3, 0], Value::TimeTicks(UPTIME));
    rows.push(vec![1, 3, 6, 1, 2, 1, 1, 5, 0], Value::Octets(b"cmts1.example.net"));
    rows.push(vec![1, 3, 6, 1, 6, 3, 10, 2, 1, 2, 0], Value::Integer(1));
    for (index, kind) in [(DOMAIN, 127), (990_728, 128), (721_433, 205)] {
        let text = format!("cable {index}");
        rows.push(name(Column::IfDescr, &[index]), Value::Octets(text.as_bytes()));
        rows.push(name(Column::IfType, &[index]), Value::Integer(kind));
        rows.push(name(Column::IfName, &[index]), Value::Octets(text.as_bytes()));
        rows.push(name(Column::IfDiscontinuity, &[index]), Value::TimeTicks(0));
    }
    let mac = |modem: u32| {
        let [_, a, b, c] = modem.to_be_bytes();
        [2, 0, 0x5e, a, b, c]
    };
    for modem in 0..modems {
        let status = [5_505_026 + modem];
        let [_, a, b, c] = modem.to_be_bytes();
        let cells = [
            (Column::ModemMac, Value::Octets(&mac(modem))),
            (Column::ModemIp, Value::IpAddress([10, a, b, c])),
            (Column::ModemDown, Value::Integer(990_728)),
            (Column::ModemUp, Value::Integer(721_433)),
            (Column::ModemRegMode, Value::Integer(2)),
            (Column::ModemInetType, Value::Integer(1)),
            (Column::ModemInet, Value::Octets(&[10, a, b, c])),
        ];
        cells
            .iter()
            .for_each(|(column, value)| rows.push(name(*column, &status), *value));
        rows.push(name(Column::RegMac, &[1 + modem]), Value::Octets(&mac(modem)));
        rows.push(name(Column::RegIpv4, &[1 + modem]), Value::Octets(&[10, a, b, c]));
        rows.push(name(Column::Cpe3, &[1 + modem, 1]), Value::Octets(&[11, a, b, c]));
    }
    for flow in 0..flows {
        let (id, seconds) = (1001 + flow, 500_000 - flow);
        let down = flow % 2 == 1;
        let cells = [
            (Column::Packets, Value::Counter64(u64::from(seconds) * 7)),
            (Column::Octets, Value::Counter64(u64::from(seconds) * 90_000)),
            (Column::Created, Value::TimeTicks(UPTIME - seconds * 100)),
            (Column::Active, Value::Counter32(seconds)),
            (Column::Drops, Value::Counter32(seconds / 5000)),
            (Column::Delays, Value::Counter32(seconds / 900)),
            (Column::Direction, Value::Integer(2 - i64::from(down))),
        ];
        cells
            .iter()
            .for_each(|(column, value)| rows.push(name(*column, &[DOMAIN, id]), *value));
        rows.push(
            name(Column::ClassName, &[DOMAIN, 1, id]),
            Value::Octets(if down { b"BronzeDS" } else { b"BronzeUS" }),
        );
        let owner: Vec<u32> = mac(flow % modems.max(1))
            .iter()
            .map(|octet| u32::from(*octet))
            .chain([id])
            .collect();
        rows.push(name(Column::Owner, &owner), Value::Integer(DOMAIN.into()));
    }
    for entry in 1..=LOG_ENTRIES {
        let cells = [
            (Column::LogDomain, Value::Integer(DOMAIN.into())),
            (Column::LogSfid, Value::Gauge32(1_000_000 + entry)),
            (Column::LogMac, Value::Octets(&mac(entry))),
            (Column::LogPackets, Value::Counter64(7_000)),
            (Column::LogOctets, Value::Counter64(9_000_000)),
            (Column::LogDeleted, Value::TimeTicks(UPTIME - 50_000)),
            (Column::LogCreated, Value::TimeTicks(UPTIME - 500_000)),
            (Column::LogActive, Value::Counter32(4500)),
            (Column::LogDirection, Value::Integer(1)),
            (Column::LogClassName, Value::Octets(b"VoiceDS")),
            (Column::LogDrops, Value::Counter32(0)),
            (Column::LogDelays, Value::Counter32(5)),
        ];
        cells
            .iter()
            .for_each(|(column, value)| rows.push(name(*column, &[entry]), *value));
    }
    rows.sort();
    rows
}
