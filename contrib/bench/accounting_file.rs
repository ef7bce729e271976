//! Logs stop events to a file: `accounting-file DIRECTORY [COUNT]`, with one caller and with 64, and compares with a loop of
//! plain `write(2)` of the same lines. Then events to JSON and back, microseconds each.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    thread,
    time::Instant,
};

use billdrop::account::event::{Call, Event, EventKind, Moment, Subject};
use billdrop::account::file::{FileAcct, Main};
use billdrop::account::json::{from_json, to_json};
use billdrop::account::module::{Attempt, Module, Outcome};
use billdrop::config::gatekeeper::{self, Rotate};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("accounting-file DIRECTORY [COUNT]")?;
    let count: u64 = arguments.next().map_or(Ok(1_000_000), |count| count.parse())?;
    let path = Path::new(&directory).join("accounting-file.log");
    let options = gatekeeper::FileAcct {
        detail_file: path.clone(),
        standard_format: true,
        cdr_string: String::new(),
        timestamp_format: None,
        rotate: Rotate::Never,
    };
    let main = Main {
        name: "example-gk",
        home: "192.0.2.1",
        timestamp_format: "Cisco",
    };
    let line = FileAcct::open(&options, main)?.line(&stop(1), "").ok_or("no line")?;
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let line = [line.as_slice(), b"\n"].concat();
    let begin = Instant::now();
    for _ in 0..count {
        file.write_all(&line)?;
    }
    let plain = count as f64 / begin.elapsed().as_secs_f64();
    fs::remove_file(&path)?;
    println!("plain write(2)\t{plain:.0} lines/s");
    for callers in [1, 64] {
        let module = FileAcct::open(&options, main)?;
        let begin = Instant::now();
        thread::scope(|scope| {
            for caller in 0..callers {
                let module = &module;
                scope.spawn(move || {
                    let event = stop(caller);
                    let attempt = Attempt { key: "", again: false };
                    for _ in 0..count / callers {
                        assert_eq!(module.log(&event, &attempt), Outcome::Ok);
                    }
                });
            }
        });
        let rate = (count / callers * callers) as f64 / begin.elapsed().as_secs_f64();
        let lines = fs::read(&path)?.iter().filter(|octet| **octet == b'\n').count() as u64;
        assert_eq!(lines, count / callers * callers);
        fs::remove_file(&path)?;
        println!(
            "{callers} callers\t{rate:.0} lines/s\t{:.2} of plain write(2)",
            rate / plain
        );
    }
    let event = stop(7);
    let json = to_json(&event);
    let begin = Instant::now();
    for _ in 0..count {
        std::hint::black_box(to_json(std::hint::black_box(&event)));
    }
    let to = begin.elapsed().as_secs_f64() * 1e6 / count as f64;
    let begin = Instant::now();
    for _ in 0..count {
        std::hint::black_box(from_json(std::hint::black_box(&json))?);
    }
    let from = begin.elapsed().as_secs_f64() * 1e6 / count as f64;
    println!(
        "JSON of {} octets\t{to:.2} us to write\t{from:.2} us to read",
        json.len()
    );
    Ok(())
}

fn stop(number: u64) -> Event {
    let at = |seconds, micros| Moment {
        seconds,
        micros,
        zone: Some((3600, "CET".into())),
    };
    Event {
        kind: EventKind::Stop,
        uuid: Some("54d55669-e8e4-f111-9f5c-02fc00000001".into()),
        time: at(1_795_355_027, 604_017),
        gatekeeper: Some("example-gk".into()),
        gatekeeper_ip: Some("192.0.2.1".into()),
        subject: Subject::Call(Box::new(Call {
            session_id: "6b02f14800000001".into(),
            number,
            user: "alice".into(),
            call_id: Some([0x18; 16]),
            conf_id: Some([0x22; 16]),
            setup: Some(at(1_795_355_007, 0)),
            connect: Some(at(1_795_355_007, 0)),
            disconnect: Some(at(1_795_355_027, 0)),
            cause: 16,
            caller_ip: "192.0.2.7".into(),
            caller_port: 48818,
            callee_ip: "192.0.2.8".into(),
            callee_port: 11820,
            src_info: "alice:h323_ID=1001:dialedDigits".into(),
            dest_info: "2002:dialedDigits".into(),
            calling_station_id: "1001".into(),
            called_station_id: "2002".into(),
            dialed_number: "2002".into(),
            caller_epid: "3158602467_endp".into(),
            callee_epid: "1043948383_endp".into(),
            last_cdr: 1,
            caller_vendor: "H323Plus simple 1.28.0 (H323plus v1.28.0)".into(),
            callee_vendor: "H323Plus simple 1.28.0 (H323plus v1.28.0)".into(),
            bandwidth: 100_000,
            caller_audio_codec: "G711A".into(),
            ..Call::default()
        })),
    }
}
