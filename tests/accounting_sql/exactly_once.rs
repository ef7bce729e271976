//! Databases that go away and come back.

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use billdrop::account::{
    event::EventKind::{Start, Stop},
    module::{Attempt, Module, Outcome},
    sql::SqlAcct,
};

use crate::{
    Setup, event, failure, log,
    servers::{File, Server, each, fresh_postgres},
    support::{mariadb::Mariadb, postgres::Postgres, say},
};

/// `fixtures/gnugk/sql-database-outage.tsv`: the verdict of each call is the gatekeeper's. What it lost is stored when it
/// comes again, and only then.
#[test]
fn an_outage_gives_the_gatekeepers_results_and_loses_nothing() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gnugk/sql-database-outage.tsv");
    let text = std::fs::read_to_string(fixture).unwrap();
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|l| !l.starts_with('#'))
        .skip(1)
        .map(|line| line.split('\t').collect())
        .collect();
    let mut server = Postgres::start();
    for (outage, alternative) in [
        ("down", "no"),
        ("down", "yes"),
        ("restarted", "no"),
        ("restarted", "yes"),
    ] {
        server.sql("DROP TABLE IF EXISTS t; CREATE TABLE t (sessid TEXT, way TEXT)");
        let mut setup = Setup::of(&server).query(Stop, "INSERT INTO t VALUES ('%s', 'query')");
        if alternative == "yes" {
            setup = setup.alternative(Stop, "INSERT INTO t VALUES ('%s', 'alternative')");
        }
        let module = setup.module();
        for row in rows.iter().filter(|row| row[0] == outage && row[1] == alternative) {
            let call = row[2];
            if call == "2" {
                server.crash();
                if outage == "restarted" {
                    server.start_again();
                }
            }
            let event = event(Stop, &format!("{outage} {alternative} {call}"));
            let stored = row[6].starts_with("yes");
            let outcome = log(&module, &event);
            assert_eq!(outcome == Outcome::Ok, stored, "{row:?}: {outcome:?}");
            if call == "2" && outage == "down" {
                server.start_again();
            }
            if !stored {
                let key = format!("example-gk|{outage} {alternative} {call}|stop");
                assert_eq!(
                    module.log(&event, &Attempt { key: &key, again: true }),
                    Outcome::Ok,
                    "{row:?}"
                );
            }
        }
        let ways = server.sql("SELECT way, COUNT(*) FROM t GROUP BY way ORDER BY way");
        let expected = match (outage, alternative) {
            ("restarted", "no") => "query|3",
            ("restarted", "yes") => "alternative|1\nquery|2",
            _ => "query|4",
        };
        assert_eq!(ways, expected, "{outage} {alternative}");
    }
}

#[test]
fn an_event_that_comes_again_is_not_stored_again() {
    each(|server| {
        server.ask("CREATE TABLE t (sessid VARCHAR(50))");
        let insert = "INSERT INTO t VALUES ('%s')";
        let module = Setup::of(server).query(Stop, insert).query(Start, insert).module();
        let again = |module: &SqlAcct, key: &str| module.log(&event(Stop, "1"), &Attempt { key, again: true });
        assert_eq!(log(&module, &event(Stop, "1")), Outcome::Ok);
        // Keys compare octet by octet, whatever the database's rule for texts is.
        for key in [
            "example-gk|1|stop",
            "example-gk|1|stop",
            "EXAMPLE-gk|1|stop",
            "example-gk|1|stop ",
        ] {
            assert_eq!(again(&module, key), Outcome::Ok);
        }
        assert_eq!(log(&module, &event(Start, "1")), Outcome::Ok);
        assert_eq!(server.ask("SELECT COUNT(*) FROM t"), "4");

        let without = Setup::of(server)
            .query(Stop, insert)
            .with(|s| s.marker_table = String::new())
            .module();
        assert_eq!(again(&without, "example-gk|1|stop"), Outcome::Ok);
        assert_eq!(server.ask("SELECT COUNT(*) FROM t"), "5");

        // A failure leaves no mark behind.
        let failing = Setup::of(server)
            .query(Stop, "INSERT INTO nosuch VALUES ('%s')")
            .module();
        let why = failure(log(&failing, &event(Stop, "2")));
        assert!(why.contains("nosuch"), "{why}");
        assert_eq!(log(&module, &event(Stop, "2")), Outcome::Ok);
        assert_eq!(server.ask("SELECT COUNT(*) FROM t WHERE sessid = '2'"), "1");

        // Somebody drops the table of marks.
        server.ask("DROP TABLE billdrop_accounting");
        assert_eq!(log(&module, &event(Stop, "3")), Outcome::Ok);
        assert_eq!(server.ask("SELECT COUNT(*) FROM billdrop_accounting"), "1");
    });
}

#[test]
fn old_marks_go_and_new_ones_stay() {
    each(|server| {
        server.ask("CREATE TABLE t (sessid VARCHAR(50))");
        let module = || Setup::of(server).query(Stop, "INSERT INTO t VALUES ('%s')").module();
        assert_eq!(log(&module(), &event(Stop, "1")), Outcome::Ok);
        server.ask("INSERT INTO billdrop_accounting (event_key, at) VALUES ('old', 1000000000)");
        // The next run looks for old ones after its first event.
        assert_eq!(log(&module(), &event(Stop, "2")), Outcome::Ok);
        let left = server.ask("SELECT event_key FROM billdrop_accounting ORDER BY event_key");
        assert_eq!(left, "example-gk|1|stop\nexample-gk|2|stop");
    });
}

#[test]
fn an_account_that_may_not_make_tables_stores_all_the_same() {
    let server = fresh_postgres();
    server.ask("CREATE TABLE t (sessid TEXT); CREATE ROLE poor LOGIN PASSWORD 'poor'; GRANT INSERT ON t TO poor");
    let module = || {
        let mut options = server.options();
        options.username = "poor".to_owned();
        options.password = billdrop::config::Secret::Text("poor".to_owned());
        options.queries = vec![(Stop, "INSERT INTO t VALUES ('%s')".to_owned(), 1)];
        SqlAcct::new(&options, &crate::gatekeeper(), &Default::default(), false).unwrap()
    };
    let poor = module();
    assert_eq!(log(&poor, &event(Stop, "1")), Outcome::Ok);
    assert_eq!(log(&poor, &event(Stop, "1")), Outcome::Ok);
    assert_eq!(server.ask("SELECT COUNT(*) FROM t"), "2");
    // Once somebody has made the table for it, it is used.
    server.ask(
        "CREATE TABLE billdrop_accounting (event_key text PRIMARY KEY, at bigint NOT NULL); \
         GRANT SELECT, INSERT ON billdrop_accounting TO poor",
    );
    let poor = module();
    for _ in 0..2 {
        assert_eq!(log(&poor, &event(Stop, "2")), Outcome::Ok);
    }
    assert_eq!(server.ask("SELECT COUNT(*) FROM t"), "3");
}

const CALLS: usize = 10_000;

#[test]
fn postgresql_killed_and_restarted_in_the_middle_has_every_call_once() {
    let server = Mutex::new(Postgres::start());
    let module = module_of_many(&*server.lock().unwrap());
    run_calls(&module, || {
        let mut server = server.lock().unwrap();
        server.crash();
        server.start_again();
    });
    all_there_once(&*server.lock().unwrap());
}

#[test]
fn mariadb_killed_and_restarted_in_the_middle_has_every_call_once() {
    let server = Mutex::new(Mariadb::start());
    let module = module_of_many(&*server.lock().unwrap());
    run_calls(&module, || {
        let mut server = server.lock().unwrap();
        server.crash();
        server.start_again();
    });
    all_there_once(&*server.lock().unwrap());
}

/// Nobody can restart SQLite; another process that locks it is its outage.
#[test]
fn sqlite_locked_in_the_middle_has_every_call_once() {
    let server = File::new();
    server.ask("PRAGMA journal_mode = WAL");
    let module = module_of_many(&server);
    run_calls(&module, || {
        let mut locker = rusqlite::Connection::open(&server.path).unwrap();
        locker.busy_timeout(Duration::from_secs(20)).unwrap();
        let transaction = locker
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .unwrap();
        transaction
            .execute("DELETE FROM calls WHERE sessid = 'nobody'", [])
            .unwrap();
        transaction.commit().unwrap();
    });
    all_there_once(&server);
}

fn module_of_many(server: &dyn Server) -> SqlAcct {
    server.ask("CREATE TABLE calls (sessid VARCHAR(50), who VARCHAR(50), duration INTEGER)");
    // The gatekeeper's usual pair: an update of the row that the start has made, or else a row of its own.
    Setup::of(server)
        .query(Stop, "INSERT INTO calls VALUES ('%s', '%u', %d)")
        .pool(4)
        .module()
}

/// Logs the calls with four workers; what failed comes again until it is stored, as from the spool. `outage` happens
/// three times.
fn run_calls(module: &SqlAcct, outage: impl Fn() + Sync) {
    let (next, stored, failed) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let call = next.fetch_add(1, Ordering::SeqCst);
                    if call >= CALLS {
                        return;
                    }
                    let session = format!("{call:016x}");
                    let (event, key) = (event(Stop, &session), format!("example-gk|{session}|stop"));
                    let mut again = false;
                    while let Outcome::Fail(why) = module.log(&event, &Attempt { key: &key, again }) {
                        failed.fetch_add(1, Ordering::SeqCst);
                        assert!(!why.contains("b1-s3cret"), "{why}");
                        again = true;
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    stored.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for share in [CALLS / 5, CALLS / 2, CALLS * 4 / 5] {
            while stored.load(Ordering::SeqCst) < share {
                std::thread::sleep(Duration::from_millis(1));
            }
            outage();
        }
    });
    say(&format!(
        "{} attempts failed and came again",
        failed.load(Ordering::SeqCst)
    ));
}

fn all_there_once(server: &dyn Server) {
    let counts = server.ask("SELECT COUNT(*), COUNT(DISTINCT sessid), SUM(duration) FROM calls");
    assert_eq!(counts, format!("{CALLS}|{CALLS}|{}", CALLS * 10));
}
