//! The three databases under one name.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use billdrop::config::{
    Secret,
    gatekeeper::{SqlAcct, SqlDriver},
};

use crate::support::{
    mariadb::{self, Mariadb},
    postgres::{self, Postgres},
};

pub trait Server: Sync {
    fn options(&self) -> SqlAcct;
    /// A line a row, `|` between columns.
    fn ask(&self, sql: &str) -> String;
    /// The octets of a text column in hexadecimal, capitals.
    fn hex(&self, column: &str) -> String;
    /// A table's name as a statement has it: `call` is a reserved word of MySQL.
    fn table(&self, name: &str) -> String {
        name.to_owned()
    }
    fn tables(&self) -> String;
}

/// Every database, one after the other. Servers are shared by the tests that run at the same time.
pub fn each(test: impl Fn(&dyn Server)) {
    test(&File::new());
    test(&fresh_postgres());
    test(&fresh_mariadb());
}

/// A database in a server that runs.
pub struct Fresh<S> {
    server: Arc<S>,
    name: String,
}

pub fn fresh_postgres() -> Fresh<Postgres> {
    static RUNNING: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
    let server = shared(&RUNNING, Postgres::start);
    let name = name();
    server.sql(&format!("CREATE DATABASE {name}"));
    Fresh { server, name }
}

pub fn fresh_mariadb() -> Fresh<Mariadb> {
    static RUNNING: Mutex<Weak<Mariadb>> = Mutex::new(Weak::new());
    let server = shared(&RUNNING, Mariadb::start);
    let name = name();
    server.sql(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
    Fresh { server, name }
}

/// The last one that uses it ends it.
fn shared<S>(running: &Mutex<Weak<S>>, start: impl FnOnce() -> S) -> Arc<S> {
    let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
    running.upgrade().unwrap_or_else(|| {
        let server = Arc::new(start());
        *running = Arc::downgrade(&server);
        server
    })
}

fn name() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("fresh{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

fn options(driver: SqlDriver, host: &str, port: u16, user: &str, password: &str) -> SqlAcct {
    SqlAcct {
        driver,
        host: host.to_owned(),
        port: Some(port),
        database: "billing".to_owned(),
        username: user.to_owned(),
        password: Secret::Text(password.to_owned()),
        min_pool_size: 1,
        max_pool_size: 1,
        connect_timeout: Duration::from_secs(10),
        read_timeout: Duration::from_secs(60),
        queries: Vec::new(),
        alternatives: Vec::new(),
        timestamp_format: None,
    }
}

impl Server for Fresh<Postgres> {
    fn options(&self) -> SqlAcct {
        SqlAcct {
            database: self.name.clone(),
            ..self.server.options()
        }
    }

    fn ask(&self, sql: &str) -> String {
        self.server.sql_in(&self.name, sql)
    }

    fn hex(&self, column: &str) -> String {
        self.server.hex(column)
    }

    fn tables(&self) -> String {
        self.ask(POSTGRES_TABLES)
    }
}

impl Server for Fresh<Mariadb> {
    fn options(&self) -> SqlAcct {
        SqlAcct {
            database: self.name.clone(),
            ..self.server.options()
        }
    }

    fn ask(&self, sql: &str) -> String {
        self.server.sql_in(&self.name, sql).replace('\t', "|")
    }

    fn hex(&self, column: &str) -> String {
        self.server.hex(column)
    }

    fn table(&self, name: &str) -> String {
        self.server.table(name)
    }

    fn tables(&self) -> String {
        self.ask("SHOW TABLES")
    }
}

const POSTGRES_TABLES: &str = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1";

impl Server for Postgres {
    fn options(&self) -> SqlAcct {
        options(
            SqlDriver::PostgreSql,
            "127.0.0.1",
            self.port,
            postgres::USER,
            postgres::PASSWORD,
        )
    }

    fn ask(&self, sql: &str) -> String {
        self.sql(sql)
    }

    fn hex(&self, column: &str) -> String {
        format!("upper(encode(convert_to({column}, 'UTF8'), 'hex'))")
    }

    fn tables(&self) -> String {
        self.sql(POSTGRES_TABLES)
    }
}

impl Server for Mariadb {
    fn options(&self) -> SqlAcct {
        options(
            SqlDriver::MySql,
            "127.0.0.1",
            self.port,
            mariadb::USER,
            mariadb::PASSWORD,
        )
    }

    fn ask(&self, sql: &str) -> String {
        self.sql(sql).replace('\t', "|")
    }

    fn hex(&self, column: &str) -> String {
        format!("HEX({column})")
    }

    fn table(&self, name: &str) -> String {
        format!("`{name}`")
    }

    fn tables(&self) -> String {
        self.sql("SHOW TABLES")
    }
}

pub struct File {
    pub path: PathBuf,
    _directory: tempfile::TempDir,
}

impl File {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        File {
            path: directory.path().join("calls.db"),
            _directory: directory,
        }
    }
}

impl Server for File {
    fn options(&self) -> SqlAcct {
        SqlAcct {
            database: self.path.display().to_string(),
            port: None,
            ..options(SqlDriver::Sqlite, "localhost", 0, "", "")
        }
    }

    fn ask(&self, sql: &str) -> String {
        let connection = rusqlite::Connection::open(&self.path).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        let mut lines = Vec::new();
        for statement in sql.split(';').filter(|statement| !statement.trim().is_empty()) {
            let mut statement = connection.prepare(statement).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let cell = |at| match row.get_ref(at).unwrap() {
                    rusqlite::types::ValueRef::Null => String::new(),
                    rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                    rusqlite::types::ValueRef::Real(number) => number.to_string(),
                    rusqlite::types::ValueRef::Text(text) | rusqlite::types::ValueRef::Blob(text) => {
                        String::from_utf8_lossy(text).into_owned()
                    }
                };
                lines.push((0..columns).map(cell).collect::<Vec<_>>().join("|"));
            }
        }
        lines.join("\n")
    }

    fn hex(&self, column: &str) -> String {
        format!("hex({column})")
    }

    fn tables(&self) -> String {
        self.ask("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")
    }
}
