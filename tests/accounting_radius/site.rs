//! A module with its servers, and events for it.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime, UNIX_EPOCH},
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
};

use crate::support::radius::SECRET;

/// Longer than any test: what ends sooner did not end by time.
pub const LONG: Duration = Duration::from_secs(120);

/// The gatekeeper's defaults, but for the timeout.
pub fn options(servers: &[SocketAddr]) -> gatekeeper::RadAcct {
    let servers = servers.iter().map(|address| server(*address, SECRET));
    gatekeeper::RadAcct {
        servers: servers.collect(),
        local_interface: None,
        port_range: (1024, 65535),
        request_timeout: LONG,
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

pub fn server(address: SocketAddr, secret: &str) -> RadiusServer {
    RadiusServer {
        host: address.ip().to_string(),
        acct_port: address.port(),
        secret: Secret::Text(secret.to_owned()),
    }
}

pub fn module(options: &gatekeeper::RadAcct) -> RadAcct {
    module_with(options, AccountingRadius::default())
}

pub fn module_with(options: &gatekeeper::RadAcct, more: AccountingRadius) -> RadAcct {
    let identity = Identity {
        name: "example-gk".into(),
        home: Some("127.0.0.1".parse().unwrap()),
        timestamp_format: "Cisco".into(),
    };
    RadAcct::new(options, &more, &identity).unwrap()
}

pub fn log(module: &RadAcct, event: &Event) -> Outcome {
    let attempt = Attempt {
        key: "a key",
        again: false,
    };
    module.log(event, &attempt)
}

/// Why the event could not be logged.
#[track_caller]
pub fn failure(module: &RadAcct, event: &Event) -> String {
    match log(module, event) {
        Outcome::Fail(reason) => reason,
        Outcome::Ok => panic!("the event was logged"),
    }
}

/// An event of the gatekeeper itself, which has no Acct-Delay-Time.
pub fn on() -> Event {
    event(EventKind::On, Subject::Gatekeeper, Duration::ZERO)
}

pub fn start() -> Event {
    call(EventKind::Start, "6b02fada00000001", Duration::ZERO)
}

pub fn stop(session: &str) -> Event {
    call(EventKind::Stop, session, Duration::ZERO)
}

/// An event of a call, which happened some time ago.
pub fn call(kind: EventKind, session: &str, ago: Duration) -> Event {
    let at = |seconds| {
        Some(Moment {
            seconds,
            micros: 0,
            zone: Some((3600, "CET".into())),
        })
    };
    let call = Call {
        session_id: session.into(),
        user: "alice".into(),
        conf_id: Some(0x021DAFF2_EDE4F111_81FC02FC_00000001_u128.to_be_bytes()),
        call_id: Some(0xF81CAFF2_EDE4F111_81FC02FC_00000001_u128.to_be_bytes()),
        setup: at(1_795_357_405),
        connect: at(1_795_357_405),
        disconnect: at(1_795_357_417).filter(|_| kind == EventKind::Stop),
        duration: Some(12).filter(|_| kind == EventKind::Stop),
        cause: 16,
        release_source: 1,
        caller_ip: "127.0.0.1".into(),
        callee_ip: "127.0.0.1".into(),
        calling_station_id: "1001".into(),
        called_station_id: "2002".into(),
        caller_audio_codec: "G711A".into(),
        ..Call::default()
    };
    event(kind, Subject::Call(Box::new(call)), ago)
}

fn event(kind: EventKind, subject: Subject, ago: Duration) -> Event {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - ago;
    Event {
        kind,
        uuid: None,
        time: Moment {
            seconds: time.as_secs() as i64,
            micros: time.subsec_micros(),
            zone: None,
        },
        gatekeeper: None,
        gatekeeper_ip: None,
        subject,
    }
}
