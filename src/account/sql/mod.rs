//! SQLAcct: call events into the operator's own tables, by the operator's own queries.
//!
//! The ini's queries are read once, when we start ([`script`]); the parameters in them become bound values, so that
//! nothing a caller sends is ever a part of a statement. Which query an event runs, and what counts as success, is the
//! gatekeeper's rule: the first query fails on an SQL error and where it changes or returns no row; then the
//! alternative is run, if there is one, and is a success if it runs without error.
//!
//! An event is one transaction: the query, the alternative if it was wanted, and a row in a table of ours that says that
//! the event is stored ([`marker`]). An event that failed leaves nothing behind, and one that comes again, since nobody
//! knows what became of it, is not stored twice.
//!
//! A failure is an [`Outcome::Fail`] with the place and the database's own words; whoever called us tries again later.

pub mod driver;
mod marker;
mod mysql;
mod pool;
mod postgres;
mod script;
mod sqlite;
mod tls;
mod value;
mod words;

use std::{
    collections::HashMap,
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use self::{
    driver::{Connection, Driver, Failure, Kind, Rows},
    marker::Marker,
    pool::{Lease, Pool},
    script::Script,
    value::Value,
};
use super::{
    event::{Event, EventKind, Events},
    module::{Attempt, Module, Outcome},
    parameters::Context,
    timestamp::TimestampFormat,
    uuid,
};
use crate::config::{
    AccountingSql,
    gatekeeper::{Gatekeeper, SqlAcct as Options, SqlDriver},
};

/// How often two transactions may get in each other's way.
const CONFLICTS: u32 = 5;

/// The module.
pub struct SqlAcct {
    dialect: SqlDriver,
    queries: HashMap<EventKind, Vec<Query>>,
    timestamps: TimestampFormat,
    gatekeeper: String,
    home: String,
    pool: Pool,
    marker: Marker,
    told_of_characters: AtomicBool,
}

/// One query of the ini.
struct Query {
    /// `StopQueryAlt`
    key: String,
    script: Script,
    /// Success even where no row is changed.
    alternative: bool,
}

/// Something in `[SQLAcct]` that cannot work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In the ini, from 1; [`None`] where no single line is meant.
    pub line: Option<usize>,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl SqlAcct {
    /// Reads the queries and makes ready what is needed to connect; the database may be down.
    ///
    /// `lenient`: what SQLite itself forgives is taken (texts in double quotes).
    ///
    /// # Errors
    /// All that is wrong with the queries, and a CA file that cannot be read.
    pub fn new(
        options: &Options,
        gatekeeper: &Gatekeeper,
        settings: &AccountingSql,
        lenient: bool,
    ) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut queries: HashMap<EventKind, Vec<Query>> = HashMap::new();
        let all = options.queries.iter().map(|query| (query, false));
        for ((kind, sql, line), alternative) in all.chain(options.alternatives.iter().map(|query| (query, true))) {
            let key = key_of(*kind, alternative);
            match Script::parse(sql, *kind, options.driver, lenient) {
                Ok(script) => {
                    if script.own_transactions && !settings.marker_table.is_empty() {
                        tracing::warn!(
                            "line {line}: {key} begins or ends transactions itself: after a broken connection its \
                             event may be stored twice"
                        );
                    }
                    queries.entry(*kind).or_default().push(Query {
                        key,
                        script,
                        alternative,
                    });
                }
                Err(whys) => problems.extend(whys.into_iter().map(|why| Problem {
                    line: Some(*line),
                    message: format!("{key}: {why}"),
                })),
            }
        }
        let format = options
            .timestamp_format
            .as_deref()
            .unwrap_or(&gatekeeper.timestamp_format);
        let timestamps = TimestampFormat::parse(format).map_err(|why| {
            problems.push(Problem {
                line: None,
                message: format!("TimestampFormat: {why}"),
            })
        });
        let driver: Result<Box<dyn Driver>, String> = match options.driver {
            SqlDriver::Sqlite => Ok(Box::new(sqlite::Sqlite::new(&options.database, options.read_timeout))),
            SqlDriver::PostgreSql => postgres::PostgreSql::new(options, settings).map(|d| Box::new(d) as _),
            SqlDriver::MySql => mysql::MySql::new(options, settings).map(|d| Box::new(d) as _),
        };
        let driver = driver.map_err(|message| problems.push(Problem { line: None, message }));
        let (Ok(timestamps), Ok(driver), true) = (timestamps, driver, problems.is_empty()) else {
            return Err(problems);
        };
        let patience = (options.connect_timeout + options.read_timeout).max(Duration::from_secs(1));
        Ok(SqlAcct {
            dialect: options.driver,
            queries,
            timestamps,
            gatekeeper: gatekeeper.name.clone(),
            home: gatekeeper.home.map(|home| home.to_string()).unwrap_or_default(),
            pool: Pool::new(driver, options.min_pool_size, options.max_pool_size, patience),
            marker: Marker::new(settings, options.driver),
            told_of_characters: AtomicBool::new(false),
        })
    }

    /// Connects, and says why it cannot.
    pub fn probe(&self) -> Result<(), String> {
        let mut lease = self.pool.take()?;
        match self.marker.ready(lease.connection()) {
            Ok(_) => Ok(()),
            Err(failure) => {
                lease.broken();
                Err(format!("{}: {}", self.pool.place(), failure.why))
            }
        }
    }

    fn store(&self, queries: &[Query], event: &Event, key: &str) -> Result<(), String> {
        let mut values = self.values(queries, event, key);
        let mut lease = self.pool.take()?;
        let mut from = 0;
        let mut conflicts = 0;
        let mut in_ascii = false;
        loop {
            let broken = match self.transaction(&mut lease, &queries[from..], &values[from..], key) {
                Ok(Done::Stored) => {
                    self.marker.prune(lease.connection());
                    return Ok(());
                }
                Ok(Done::NoRow) => return Err(format!("{}: {} changed no row", self.pool.place(), queries[from].key)),
                Err(broken) => broken,
            };
            let at = from + broken.query;
            let why = format!("{}: {}: {}", self.pool.place(), queries[at].key, broken.failure.why);
            match broken.failure.kind {
                Kind::Conflict if conflicts < CONFLICTS => {
                    conflicts += 1;
                    continue;
                }
                Kind::Characters if !in_ascii => {
                    in_ascii = true;
                    self.tell_of_characters(&why);
                    for value in values.iter_mut().flatten().flatten() {
                        *value = value.in_ascii();
                    }
                    continue;
                }
                _ => {}
            }
            let lost = broken.failure.is_lost();
            if lost {
                lease.broken();
                // The gatekeeper does not come back to a lost event, and only an alternative is tried on a new
                // connection. Whether COMMIT was carried out is asked there.
                if at + 1 == queries.len() && !broken.committing {
                    return Err(why);
                }
                lease = self.pool.take().map_err(|again| format!("{why}; then {again}"))?;
            }
            if at + 1 < queries.len() {
                from = at + 1;
                continue;
            }
            if lost && self.marks(queries, key) {
                return match self.marker.is_marked(lease.connection(), key) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(why),
                    Err(failure) => {
                        if failure.is_lost() {
                            lease.broken();
                        }
                        Err(why)
                    }
                };
            }
            return Err(why);
        }
    }

    /// Runs the queries until one succeeds, and keeps what they did only then.
    fn transaction(
        &self,
        lease: &mut Lease<'_>,
        queries: &[Query],
        values: &[Vec<Vec<Value>>],
        key: &str,
    ) -> Result<Done, Broken> {
        let connection = lease.connection();
        let at = |query: usize| {
            move |failure| Broken {
                query,
                committing: false,
                failure,
            }
        };
        let own = queries.iter().any(|query| query.script.own_transactions);
        for (statement, values) in queries
            .iter()
            .zip(values)
            .flat_map(|(q, v)| q.script.statements.iter().zip(v))
        {
            connection.prepare(&statement.text, values).map_err(at(0))?;
        }
        let marks = self.marks(queries, key) && self.marker.ready(connection).map_err(at(0))?;
        if own {
            let done = self.run(connection, queries, values, |_| Ok(()));
            if !matches!(&done, Err(broken) if broken.failure.is_lost()) {
                // In case it has left one open.
                connection.rollback().map_err(at(0))?;
            }
            return done;
        }
        connection.begin().map_err(at(0))?;
        let done = match marks.then(|| self.marker.mark(connection, key)) {
            Some(Ok(false)) => {
                connection.rollback().map_err(at(0))?;
                return Ok(Done::Stored);
            }
            Some(Err(failure)) => Err(at(0)(failure)),
            Some(Ok(true)) | None => self.run(connection, queries, values, |connection| connection.commit()),
        };
        match done {
            Ok(Done::Stored) => Ok(Done::Stored),
            Err(broken) if broken.failure.is_lost() => Err(broken),
            other => {
                connection.rollback().map_err(at(0))?;
                other
            }
        }
    }

    fn run(
        &self,
        connection: &mut dyn Connection,
        queries: &[Query],
        values: &[Vec<Vec<Value>>],
        commit: impl Fn(&mut dyn Connection) -> Result<(), Failure>,
    ) -> Result<Done, Broken> {
        for (at, (query, values)) in queries.iter().zip(values).enumerate() {
            let broken = |failure| Broken {
                query: at,
                committing: false,
                failure,
            };
            let rows = self.statements(connection, query, values).map_err(broken)?;
            if query.alternative || rows >= 1 {
                commit(connection).map_err(|failure| Broken {
                    query: at,
                    committing: true,
                    failure,
                })?;
                return Ok(Done::Stored);
            }
        }
        Ok(Done::NoRow)
    }

    /// Runs one query, and counts rows as the gatekeeper's driver does.
    fn statements(
        &self,
        connection: &mut dyn Connection,
        query: &Query,
        values: &[Vec<Value>],
    ) -> Result<u64, Failure> {
        let mut all = Vec::new();
        for (statement, values) in query.script.statements.iter().zip(values) {
            match connection.execute(&statement.text, values) {
                Ok(rows) => all.push(rows),
                // The gatekeeper sees the first result only.
                Err(failure)
                    if self.dialect == SqlDriver::MySql && !all.is_empty() && failure.kind == Kind::Statement =>
                {
                    tracing::warn!("SQLAcct: a later statement of {} failed: {}", query.key, failure.why);
                    break;
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(counted(self.dialect, &all))
    }

    fn values(&self, queries: &[Query], event: &Event, key: &str) -> Vec<Vec<Vec<Value>>> {
        let uuid = uuid::of(event, key);
        let context = Context {
            gatekeeper: &self.gatekeeper,
            home: &self.home,
            timestamps: &self.timestamps,
            uuid: &uuid,
            // An event that is caught up later happened when it happened.
            now: event.time.clone(),
        };
        let of_statement = |statement: &script::Statement| {
            statement
                .bindings
                .iter()
                .map(|binding| Value::of(binding, event, &context, self.dialect))
                .collect()
        };
        queries
            .iter()
            .map(|query| query.script.statements.iter().map(of_statement).collect())
            .collect()
    }

    fn marks(&self, queries: &[Query], key: &str) -> bool {
        !key.is_empty() && !queries.iter().any(|query| query.script.own_transactions)
    }

    fn tell_of_characters(&self, why: &str) {
        if !self.told_of_characters.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "SQLAcct: {why}. What is not ASCII is stored as question marks in such events; a column with all of \
                 Unicode (UTF8; utf8mb4) could hold it"
            );
        }
    }
}

impl Module for SqlAcct {
    fn name(&self) -> &'static str {
        "SQLAcct"
    }

    fn supported(&self) -> Events {
        use EventKind::{Alert, Connect, Off, On, Register, Start, Stop, Unregister, Update};
        [On, Off, Start, Stop, Update, Connect, Alert, Register, Unregister]
            .into_iter()
            .collect()
    }

    fn log(&self, event: &Event, attempt: &Attempt<'_>) -> Outcome {
        let kind = of_query(event.kind);
        let Some(queries) = self.queries.get(&kind).filter(|queries| !queries[0].alternative) else {
            return Outcome::Fail(format!("SQLAcct: there is no {} in the ini", key_of(kind, false)));
        };
        match self.store(queries, event, attempt.key) {
            Ok(()) => Outcome::Ok,
            Err(why) => Outcome::Fail(format!("SQLAcct: {why}")),
        }
    }

    fn can_never_log(&self, kind: EventKind) -> bool {
        let queries = self.queries.get(&of_query(kind));
        queries.is_none_or(|queries| queries[0].alternative)
    }
}

enum Done {
    Stored,
    /// Nothing is kept of it.
    NoRow,
}

/// Where a transaction ended.
struct Broken {
    /// Which of the queries.
    query: usize,
    /// In COMMIT: everything before it went well.
    committing: bool,
    failure: Failure,
}

/// Affected or returned rows of a whole query, by the rule of the gatekeeper's driver.
fn counted(dialect: SqlDriver, all: &[Rows]) -> u64 {
    let of = |rows: &Rows| rows.changed.unwrap_or(0).max(rows.returned);
    match dialect {
        SqlDriver::MySql => all.first().map_or(0, of),
        SqlDriver::PostgreSql => all.last().map_or(0, of),
        SqlDriver::Sqlite => {
            let changed = all.iter().rev().find_map(|rows| rows.changed).unwrap_or(0);
            changed.max(all.iter().map(|rows| rows.returned).sum())
        }
    }
}

/// UpdateQuery serves connect, too.
fn of_query(kind: EventKind) -> EventKind {
    if kind == EventKind::Connect {
        EventKind::Update
    } else {
        kind
    }
}

/// As the ini calls it.
fn key_of(kind: EventKind, alternative: bool) -> String {
    let mut name = of_query(kind).name().to_owned();
    name[..1].make_ascii_uppercase();
    format!("{name}Query{}", if alternative { "Alt" } else { "" })
}
