//! SQLAcct against real databases: what it stores, what counts as success, and that nothing is lost, doubled or executed.

mod support;

#[path = "accounting_sql/exactly_once.rs"]
mod exactly_once;
#[path = "accounting_sql/hostile.rs"]
mod hostile;
#[path = "accounting_sql/outcomes.rs"]
mod outcomes;
#[path = "accounting_sql/servers.rs"]
mod servers;
#[path = "accounting_sql/transport.rs"]
mod transport;

use std::time::Duration;

use billdrop::{
    account::{
        event::{Call, Event, EventKind, Moment, Subject, Text},
        module::{Attempt, Module, Outcome},
        sql::SqlAcct,
    },
    config::{AccountingSql, gatekeeper::Gatekeeper},
};

use servers::Server;

/// A module and the settings it is made of.
pub struct Setup<'a> {
    server: &'a dyn Server,
    queries: Vec<(EventKind, String, usize)>,
    alternatives: Vec<(EventKind, String, usize)>,
    pub settings: AccountingSql,
    pub pool: usize,
    pub read_timeout: Duration,
}

impl<'a> Setup<'a> {
    pub fn of(server: &'a dyn Server) -> Self {
        Setup {
            server,
            queries: Vec::new(),
            alternatives: Vec::new(),
            settings: AccountingSql::default(),
            pool: 1,
            read_timeout: Duration::from_secs(60),
        }
    }

    pub fn query(mut self, kind: EventKind, sql: &str) -> Self {
        self.queries.push((kind, sql.to_owned(), 1));
        self
    }

    pub fn alternative(mut self, kind: EventKind, sql: &str) -> Self {
        self.alternatives.push((kind, sql.to_owned(), 2));
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut AccountingSql)) -> Self {
        change(&mut self.settings);
        self
    }

    pub fn pool(mut self, size: usize) -> Self {
        self.pool = size;
        self
    }

    pub fn read_timeout(mut self, limit: Duration) -> Self {
        self.read_timeout = limit;
        self
    }

    pub fn module(self) -> SqlAcct {
        let mut options = self.server.options();
        options.queries = self.queries;
        options.alternatives = self.alternatives;
        options.read_timeout = self.read_timeout;
        (options.min_pool_size, options.max_pool_size) = (self.pool, self.pool);
        SqlAcct::new(&options, &gatekeeper(), &self.settings, false).unwrap_or_else(|problems| panic!("{problems:?}"))
    }
}

pub fn gatekeeper() -> Gatekeeper {
    Gatekeeper {
        name: "example-gk".to_owned(),
        home: Some([192, 0, 2, 1].into()),
        timestamp_format: "MySQL".to_owned(),
        update_interval: Duration::ZERO,
        cdr_timestamp_format: "RFC822".to_owned(),
        unconnected_cdr: false,
        called_station_id_to_dialed_ip: false,
        chain: Vec::new(),
        skipped: Vec::new(),
        file: None,
        radius: None,
        sql: None,
        status: None,
        syslog: None,
    }
}

/// An event of an answered call of ten seconds, cause 16.
pub fn event(kind: EventKind, session: &str) -> Event {
    Event {
        kind,
        uuid: None,
        time: moment(1_100_098_931),
        gatekeeper: None,
        gatekeeper_ip: None,
        subject: Subject::Call(Box::new(Call {
            session_id: session.into(),
            number: 1,
            user: "alice".into(),
            setup: Some(moment(1_100_098_915)),
            connect: Some(moment(1_100_098_921)),
            disconnect: Some(moment(1_100_098_931)),
            cause: 16,
            release_source: 1,
            caller_ip: "192.0.2.7".into(),
            caller_port: 1720,
            calling_station_id: "1001".into(),
            called_station_id: "2002".into(),
            ..Call::default()
        })),
    }
}

pub fn moment(seconds: i64) -> Moment {
    Moment {
        seconds,
        micros: 0,
        zone: Some((0, "UTC".to_owned())),
    }
}

/// The same with another caller.
pub fn event_of(user: &[u8], session: &str) -> Event {
    changed(event(EventKind::Stop, session), |call| call.user = Text(user.to_vec()))
}

pub fn changed(mut event: Event, change: impl FnOnce(&mut Call)) -> Event {
    if let Subject::Call(call) = &mut event.subject {
        change(call);
    }
    event
}

pub fn log(module: &SqlAcct, event: &Event) -> Outcome {
    let Subject::Call(call) = &event.subject else {
        panic!("a call")
    };
    let key = format!("example-gk|{}|{}", call.session_id, event.kind.name());
    module.log(
        event,
        &Attempt {
            key: &key,
            again: false,
        },
    )
}

/// Why it failed.
pub fn failure(outcome: Outcome) -> String {
    match outcome {
        Outcome::Fail(why) => why,
        Outcome::Ok => panic!("it did not fail"),
    }
}
