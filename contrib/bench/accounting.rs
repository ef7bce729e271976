//! Stop events through `FileAcct=required`: `accounting DIRECTORY SYNC CALLERS EVENTS`, with SYNC as in `[accounting]`. Prints
//! events a second. `accounting DIRECTORY disk - EVENTS` writes as many octets with a sync after each, and nothing else.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use billdrop::{
    account::{
        engine::{Answer, Engine, Origin, Setup},
        event::{Call, Event, EventKind, Moment, Subject},
        modules::Modules,
    },
    config::{
        Config,
        gatekeeper::{self, Leniency},
    },
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, sync, callers, events] = arguments.as_slice() else {
        return Err("accounting DIRECTORY SYNC CALLERS EVENTS".into());
    };
    let (directory, events) = (Path::new(directory), events.parse::<u64>()?);
    let seconds = match sync.as_str() {
        "disk" => disk(directory, events)?,
        sync => account(directory, sync, callers.parse()?, events)?,
    };
    println!("{:.0}", events as f64 / seconds.as_secs_f64());
    Ok(())
}

/// What the disk can do for somebody who syncs each line.
fn disk(directory: &Path, events: u64) -> Result<Duration, Box<dyn std::error::Error>> {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("disk"))?;
    let begin = Instant::now();
    for _ in 0..events {
        file.write_all(&[b'x'; 800])?;
        file.sync_data()?;
    }
    Ok(begin.elapsed())
}

fn account(directory: &Path, sync: &str, callers: u64, events: u64) -> Result<Duration, Box<dyn std::error::Error>> {
    let ini = directory.join("gatekeeper.ini");
    let cdr = directory.join("cdr.log");
    fs::write(
        &ini,
        format!(
            "[Gatekeeper::Acct]\nFileAcct=required\n[FileAcct]\nDetailFile={}\n",
            cdr.display()
        ),
    )?;
    let config: Config = toml::from_str(&format!("[accounting]\nsync = {sync:?}\n"))?;
    let (gatekeeper, _) = gatekeeper::load(&ini, Leniency::Strict)?;
    let modules = Modules::new(&gatekeeper, &config.accounting, &ini).map_err(|problems| problems.join("\n"))?;
    let engine = Engine::open(Setup {
        directory: directory.join("calls"),
        durability: config.accounting.sync,
        sync_interval: config.accounting.sync_interval.0,
        segment_octets: 64 << 20,
        gatekeeper: gatekeeper.name.clone(),
        update_interval: Duration::ZERO,
        called_is_dialed_ip: false,
        links: modules.links,
        modules: modules.modules,
        file: modules.file,
        in_flight: 16,
        alarm_octets: u64::MAX,
        min_free: 0,
        billed: Box::new(|_| None),
        alarm: Box::new(|_| {}),
        observe: None,
    })
    .map_err(|failed| failed.to_string())?;
    let engine = Arc::new(engine);
    let begin = Instant::now();
    thread::scope(|scope| {
        for caller in 0..callers {
            let engine = &engine;
            scope.spawn(move || {
                // A caller has its events; what they cost it is not ours.
                let mut event = stop(0);
                for n in (caller..events).step_by(callers as usize) {
                    change(&mut event, n);
                    let answer = engine.submit(&event, Origin::Caller);
                    assert!(matches!(answer, Ok(Answer::Ok)), "{answer:?}");
                }
            });
        }
    });
    let taken = begin.elapsed();
    engine.close().map_err(|failed| failed.to_string())?;
    let lines = fs::read(&cdr)?.iter().filter(|octet| **octet == b'\n').count();
    match lines as u64 == events {
        true => Ok(taken),
        false => Err(format!("{lines} lines for {events} events").into()),
    }
}

/// Makes another call's event of it.
fn change(event: &mut Event, n: u64) {
    let Subject::Call(call) = &mut event.subject else {
        return;
    };
    call.session_id.0.truncate(8);
    let _ = write!(call.session_id.0, "{n:08x}");
    call.number = n + 1;
    call.call_id = Some((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) as u128).to_be_bytes());
    call.conf_id = Some((n as u128).to_be_bytes());
}

fn stop(n: u64) -> Event {
    let at = |seconds: i64| Moment {
        seconds: 1_800_000_000 + seconds,
        micros: 0,
        zone: Some((3600, "CET".to_owned())),
    };
    Event {
        kind: EventKind::Stop,
        uuid: None,
        time: at(70),
        gatekeeper: None,
        gatekeeper_ip: None,
        subject: Subject::Call(Box::new(Call {
            session_id: format!("6a03c5b1{n:08x}").as_str().into(),
            number: n + 1,
            call_id: Some((n.wrapping_mul(0x9e37_79b9_7f4a_7c15) as u128).to_be_bytes()),
            conf_id: Some((n as u128).to_be_bytes()),
            setup: Some(at(0)),
            alerting: Some(at(2)),
            connect: Some(at(8)),
            disconnect: Some(at(70)),
            cause: 16,
            caller_ip: "192.0.2.17".into(),
            caller_port: 1720,
            callee_ip: "198.51.100.4".into(),
            callee_port: 1720,
            src_info: "alice:h323_ID=1001:dialedDigits".into(),
            dest_info: "2002:dialedDigits".into(),
            calling_station_id: "1001".into(),
            called_station_id: "2002".into(),
            dialed_number: "2002".into(),
            caller_epid: "3158602467_endp".into(),
            callee_epid: "3158602468_endp".into(),
            caller_audio_codec: "G711A".into(),
            callee_audio_codec: "G711A".into(),
            ..Call::default()
        })),
    }
}
