//! `[SQLAcct]`: the database, and the query for each event.

use std::time::Duration;

use super::{
    EventKind, Events, Link, LinkKind, SqlAcct, SqlDriver, password,
    reading::{Reading, hint, shortened},
};

const SECTION: &str = "SQLAcct";

/// More connections than any database wants from one client.
const MOST_CONNECTIONS: i64 = 1000;

/// A day: longest time-out, in seconds.
const LONGEST: i64 = 86_400;

/// Drivers of the gatekeeper's. The second four are not here.
const DRIVERS: [&str; 7] = ["MySQL", "PostgreSQL", "SQLite", "ODBC", "Firebird", "Oracle", "redis"];

/// Events that have a query of their own. `connect` has that of `update`.
const QUERIES: [(EventKind, &str); 8] = [
    (EventKind::Start, "StartQuery"),
    (EventKind::Update, "UpdateQuery"),
    (EventKind::Stop, "StopQuery"),
    (EventKind::Alert, "AlertQuery"),
    (EventKind::Register, "RegisterQuery"),
    (EventKind::Unregister, "UnregisterQuery"),
    (EventKind::On, "OnQuery"),
    (EventKind::Off, "OffQuery"),
];

const ALTERNATIVES: [(EventKind, &str); 2] = [(EventKind::Start, "StartQueryAlt"), (EventKind::Stop, "StopQueryAlt")];

/// [`None`] without a driver, which is a problem.
pub fn read(reading: &mut Reading<'_>, link: &Link) -> Option<SqlAcct> {
    let driver = driver(reading);
    let database = reading.text(SECTION, "Database");
    if database.is_empty() {
        let line = reading.line(SECTION, "Database");
        reading.wrong(
            line,
            "[SQLAcct] Database is not given (the gatekeeper has no default, and does not start)",
        );
    }
    let (host, port) = host(reading);
    let seconds = |reading: &mut Reading<'_>, key: &str| {
        Duration::from_secs(reading.number(SECTION, key, 0).min(LONGEST).unsigned_abs())
    };
    let queries = queries(reading, &QUERIES);
    missing(reading, link.events.and(LinkKind::SqlAcct.supported()), &queries);
    let (min_pool_size, max_pool_size) = pool(reading);
    let password = password::read(reading, SECTION, "Password");
    Some(SqlAcct {
        driver: driver?,
        host,
        port,
        database,
        username: reading.text(SECTION, "Username"),
        password,
        min_pool_size,
        max_pool_size,
        connect_timeout: seconds(reading, "ConnectTimeout"),
        read_timeout: seconds(reading, "ReadTimeout"),
        queries,
        alternatives: self::queries(reading, &ALTERNATIVES),
        timestamp_format: reading.optional(SECTION, "TimestampFormat"),
    })
}

fn driver(reading: &mut Reading<'_>) -> Option<SqlDriver> {
    let value = reading.value(SECTION, "Driver");
    let driver = match value.text.as_str() {
        "MySQL" => return Some(SqlDriver::MySql),
        "PostgreSQL" => return Some(SqlDriver::PostgreSql),
        "SQLite" => return Some(SqlDriver::Sqlite),
        other => other,
    };
    let line = reading.line(SECTION, "Driver");
    let here = "billdrop has MySQL, PostgreSQL and SQLite";
    reading.wrong(
        line,
        match driver {
            "" => format!("[SQLAcct] Driver is not given; {here}"),
            lacking if DRIVERS.contains(&lacking) => format!("[SQLAcct] Driver: billdrop has no {lacking}; {here}"),
            unknown => format!(
                "[SQLAcct] Driver: `{}` is not known{}; {here}",
                shortened(unknown),
                hint(unknown, DRIVERS)
            ),
        },
    );
    None
}

/// `HOST[:PORT]`, IPv6 in brackets where a port follows.
fn host(reading: &mut Reading<'_>) -> (String, Option<u16>) {
    let value = reading.value(SECTION, "Host");
    let text = value.text.as_str();
    let (host, port) = match text.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None if text.matches(':').count() == 1 => text.split_once(':').map_or((text, None), |(h, p)| (h, Some(p))),
        None => (text, None),
    };
    let read = port.map(|port| port.parse::<u16>().ok().filter(|port| *port > 0));
    if read == Some(None) {
        let what = format!(
            "[SQLAcct] Host: `{}` has no port from 1 to 65535 behind the colon",
            shortened(text)
        );
        reading.wrong(value.line, what);
    }
    let host = if host.is_empty() { "localhost" } else { host };
    (host.to_owned(), read.flatten())
}

fn pool(reading: &mut Reading<'_>) -> (usize, usize) {
    let least = reading.number(SECTION, "MinPoolSize", 1).min(MOST_CONNECTIONS);
    let most = match reading.optional(SECTION, "MaxPoolSize") {
        None => least,
        Some(_) => reading.number(SECTION, "MaxPoolSize", least).min(MOST_CONNECTIONS),
    };
    let size = |number: i64| usize::try_from(number).unwrap_or(1);
    (size(least), size(most))
}

/// What is not empty, with its line.
fn queries(reading: &mut Reading<'_>, keys: &[(EventKind, &str)]) -> Vec<(EventKind, String, usize)> {
    let mut queries = Vec::new();
    for (kind, key) in keys {
        let value = reading.value(SECTION, key);
        if !value.text.is_empty() {
            queries.push((*kind, value.text, value.line));
        }
    }
    queries
}

/// Without a query for some events the gatekeeper does not start; others fail each time.
fn missing(reading: &mut Reading<'_>, enabled: Events, queries: &[(EventKind, String, usize)]) {
    const NEEDED: [EventKind; 4] = [EventKind::Start, EventKind::Update, EventKind::Stop, EventKind::Connect];
    let line = reading.ini.section(SECTION).map_or(0, |section| section.line);
    for (kind, key) in QUERIES {
        let serves = match kind {
            EventKind::Update => [EventKind::Update, EventKind::Connect].as_slice(),
            _ => &[kind][..],
        };
        let wanted: Vec<EventKind> = serves.iter().copied().filter(|kind| enabled.contains(*kind)).collect();
        if wanted.is_empty() || queries.iter().any(|(of, _, _)| *of == kind) {
            continue;
        }
        let events: Events = wanted.iter().copied().collect();
        if wanted.iter().any(|kind| NEEDED.contains(kind)) {
            let text = format!(
                "[SQLAcct] {key} is not given, but the chain has SQLAcct log {events}: give the query, or list the events, such as \
                 `SQLAcct=optional;stop` (the gatekeeper does not start)"
            );
            reading.wrong(line, text);
        } else {
            let text =
                format!("[SQLAcct] {key} is not given: each {events} fails; list the events of SQLAcct in the chain");
            reading.notice(line, text);
        }
    }
}
