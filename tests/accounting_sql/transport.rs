//! The way to the server: certificates, passwords, time limits.

use std::time::{Duration, Instant};

use billdrop::{
    account::{event::EventKind::Stop, module::Outcome, sql::SqlAcct},
    config::{AccountingSql, Secret, SqlTls},
};

use crate::{
    Setup, event, failure, gatekeeper, log,
    servers::{Server, fresh_mariadb, fresh_postgres},
    support::{mariadb::Mariadb, postgres::Postgres},
};

/// What tells a session of its encryption; empty or false: none.
const POSTGRES_TLS: &str = "INSERT INTO t SELECT '%s', ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
const MARIADB_TLS: &str = "INSERT INTO t SELECT '%s', VARIABLE_VALUE FROM information_schema.SESSION_STATUS \
                           WHERE VARIABLE_NAME = 'Ssl_version'";

#[test]
fn postgresql_is_believed_by_its_certificate_and_refused_with_another_ca() {
    let server = Postgres::start();
    let path = server.path().to_owned();
    certificates(&server, &path, POSTGRES_TLS, "true", "false");
}

#[test]
fn mariadb_is_believed_by_its_certificate_and_refused_with_another_ca() {
    let server = Mariadb::start();
    let path = server.path().to_owned();
    certificates(&server, &path, MARIADB_TLS, "TLSv1.3", "");
    // Over its socket there is nothing to encrypt.
    server.sql("CREATE USER billing@localhost IDENTIFIED BY 'b1-s3cret'; GRANT ALL ON billing.* TO billing@localhost");
    let module = Setup::of(&server)
        .query(Stop, MARIADB_TLS)
        .with(|s| s.socket = Some(server.socket()))
        .module();
    assert_eq!(log(&module, &event(Stop, "socket")), Outcome::Ok);
}

fn certificates(server: &dyn Server, path: &std::path::Path, query: &str, encrypted: &str, plain: &str) {
    server.ask("CREATE TABLE t (sessid VARCHAR(50), tls VARCHAR(50))");
    let (ca, stranger) = (path.join("ca.pem"), path.join("stranger.pem"));
    for (name, tls, file, expected) in [
        ("disable", SqlTls::Disable, None, Some(plain)),
        ("prefer", SqlTls::Prefer, None, Some(encrypted)),
        ("require", SqlTls::Require, None, Some(encrypted)),
        ("ca", SqlTls::VerifyCa, Some(&ca), Some(encrypted)),
        ("full", SqlTls::VerifyFull, Some(&ca), Some(encrypted)),
        ("stranger, ca", SqlTls::VerifyCa, Some(&stranger), None),
        ("stranger, full", SqlTls::VerifyFull, Some(&stranger), None),
        ("system", SqlTls::VerifyFull, None, None),
    ] {
        let module = Setup::of(server)
            .query(Stop, query)
            .with(|settings| (settings.tls, settings.ca_file) = (tls, file.cloned()))
            .module();
        let outcome = log(&module, &event(Stop, name));
        match expected {
            Some(expected) => {
                assert_eq!(outcome, Outcome::Ok, "{name}");
                assert_eq!(
                    server.ask(&format!("SELECT tls FROM t WHERE sessid = '{name}'")),
                    expected,
                    "{name}"
                );
            }
            None => {
                let why = failure(outcome);
                assert!(why.contains("TLS") && why.contains("ca-file"), "{name}: {why}");
                assert_eq!(
                    server.ask(&format!("SELECT COUNT(*) FROM t WHERE sessid = '{name}'")),
                    "0"
                );
            }
        }
    }
    // The certificate is made out for 127.0.0.1 alone.
    for (tls, believed) in [(SqlTls::VerifyCa, true), (SqlTls::VerifyFull, false)] {
        let mut options = server.options();
        options.host = "localhost".to_owned();
        options.queries = vec![(Stop, query.to_owned(), 1)];
        let settings = AccountingSql {
            tls,
            ca_file: Some(ca.clone()),
            ..AccountingSql::default()
        };
        let module = SqlAcct::new(&options, &gatekeeper(), &settings, false).unwrap();
        let outcome = log(&module, &event(Stop, &format!("other name {tls:?}")));
        assert_eq!(outcome == Outcome::Ok, believed, "{tls:?}: {outcome:?}");
    }
    let mut options = server.options();
    options.queries = vec![(Stop, query.to_owned(), 1)];
    let settings = AccountingSql {
        tls: SqlTls::VerifyFull,
        ca_file: Some(path.join("nosuch.pem")),
        ..AccountingSql::default()
    };
    let problems = SqlAcct::new(&options, &gatekeeper(), &settings, false).err().unwrap();
    assert!(problems[0].message.contains("nosuch.pem"), "{problems:?}");
}

#[test]
fn a_wrong_password_is_said_and_not_shown() {
    for server in [&fresh_postgres() as &dyn Server, &fresh_mariadb()] {
        let mut options = server.options();
        options.password = Secret::Text("wr0ng-s3cret".to_owned());
        options.queries = vec![(Stop, "SELECT 1".to_owned(), 1)];
        assert!(!format!("{options:?}").contains("s3cret"));
        let module = SqlAcct::new(&options, &gatekeeper(), &AccountingSql::default(), false).unwrap();
        let why = module.probe().unwrap_err();
        assert!(
            why.contains("billing") && why.contains(&options.port.unwrap().to_string()),
            "{why}"
        );
        assert!(why.contains("password") || why.contains("Access denied"), "{why}");
        assert!(!why.contains("s3cret") && !why.contains("db error"), "{why}");
    }
}

#[test]
fn a_server_that_hangs_is_given_up_after_the_time_limit() {
    for server in [&fresh_postgres() as &dyn Server, &fresh_mariadb()] {
        let sleep = match server.options().driver {
            billdrop::config::gatekeeper::SqlDriver::MySql => "SELECT SLEEP(20)",
            _ => "SELECT pg_sleep(20)",
        };
        let mut options = server.options();
        options.read_timeout = Duration::from_millis(500);
        options.queries = vec![(Stop, sleep.to_owned(), 1)];
        let module = SqlAcct::new(&options, &gatekeeper(), &AccountingSql::default(), false).unwrap();
        let began = Instant::now();
        let why = failure(log(&module, &event(Stop, "slow")));
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{:?}: {why}",
            began.elapsed()
        );
        assert!(why.contains("StopQuery"), "{why}");
    }
}

#[test]
fn a_server_that_never_answers_is_given_up_and_not_asked_by_each_event() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    for server in [&fresh_postgres() as &dyn Server, &fresh_mariadb()] {
        let mut options = server.options();
        options.port = Some(silent.local_addr().unwrap().port());
        (options.connect_timeout, options.read_timeout) = (Duration::from_millis(500), Duration::from_millis(500));
        options.queries = vec![(Stop, "SELECT 1".to_owned(), 1)];
        let module = SqlAcct::new(&options, &gatekeeper(), &AccountingSql::default(), false).unwrap();
        failure(log(&module, &event(Stop, "1")));
        let began = Instant::now();
        let why = failure(log(&module, &event(Stop, "2")));
        assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
        assert!(why.contains("not tried again yet"), "{why}");
    }
}

/// The gatekeeper ends when its database is down at the start (`fixtures/gnugk/sql-startup-failures.tsv`).
#[test]
fn a_database_that_is_down_at_the_start_is_no_reason_not_to_start() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for server in [&fresh_postgres() as &dyn Server, &fresh_mariadb()] {
        let mut options = server.options();
        options.port = Some(closed);
        options.queries = vec![(Stop, "SELECT 1".to_owned(), 1)];
        let module = SqlAcct::new(&options, &gatekeeper(), &AccountingSql::default(), false).unwrap();
        let why = failure(log(&module, &event(Stop, "1")));
        assert!(why.contains("refused") && why.contains(&closed.to_string()), "{why}");
    }
}
