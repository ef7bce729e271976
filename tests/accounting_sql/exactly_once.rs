//! Databases that go away and come back.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use billdrop::{
    account::{
        event::EventKind::{Start, Stop},
        module::{Attempt, Module, Outcome},
        sql::SqlAcct,
    },
    config::{AccountingSql, SqlTls},
};

use crate::{
    Setup, event, failure, log,
    servers::{File, Server, each, fresh_mariadb, fresh_postgres},
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

/// The worst moment: COMMIT is carried out, and its answer gets lost.
#[test]
fn a_commit_whose_answer_is_lost_is_not_repeated() {
    for server in [&fresh_postgres() as &dyn Server, &fresh_mariadb()] {
        server.ask("CREATE TABLE t (sessid VARCHAR(50))");
        let relay = Relay::to(server.options().port.unwrap());
        let module = |table: &str| {
            let mut options = server.options();
            options.port = Some(relay.port);
            options.queries = vec![(Stop, "INSERT INTO t VALUES ('%s')".to_owned(), 1)];
            // Nobody would be alarmed by the alternative of a query that was carried out.
            options.alternatives = vec![(Stop, "INSERT INTO t VALUES ('%s')".to_owned(), 2)];
            let settings = AccountingSql {
                tls: SqlTls::Disable,
                marker_table: table.to_owned(),
                ..AccountingSql::default()
            };
            SqlAcct::new(&options, &crate::gatekeeper(), &settings, false).unwrap()
        };
        for (table, session, copies) in [("billdrop_accounting", "marked", "1"), ("", "unmarked", "2")] {
            let module = module(table);
            assert_eq!(log(&module, &event(Stop, "before")), Outcome::Ok);
            relay.lose_the_next_commit.store(true, Ordering::SeqCst);
            assert_eq!(log(&module, &event(Stop, session)), Outcome::Ok);
            assert!(!relay.lose_the_next_commit.load(Ordering::SeqCst), "no COMMIT was seen");
            let stored = server.ask(&format!("SELECT COUNT(*) FROM t WHERE sessid = '{session}'"));
            assert_eq!(stored, copies, "{session}");
        }
    }
}

/// Passes octets on to a server, until it is told to lose an answer.
struct Relay {
    port: u16,
    lose_the_next_commit: Arc<AtomicBool>,
}

impl Relay {
    fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Relay {
            port: listener.local_addr().unwrap().port(),
            lose_the_next_commit: Arc::default(),
        };
        let lose = relay.lose_the_next_commit.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(("127.0.0.1", port)).unwrap());
                let (back, forth) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let losing = Arc::new(AtomicBool::new(false));
                let (armed, silent) = (lose.clone(), losing.clone());
                std::thread::spawn(move || {
                    pass(client, forth, |octets| {
                        if octets.windows(6).any(|word| word == b"COMMIT") && armed.swap(false, Ordering::SeqCst) {
                            losing.store(true, Ordering::SeqCst);
                        }
                        true
                    })
                });
                std::thread::spawn(move || pass(server, back, |_| !silent.load(Ordering::SeqCst)));
            }
        });
        relay
    }
}

/// Until one side is at its end, or `go_on` says no to what has arrived.
fn pass(mut from: TcpStream, mut to: TcpStream, go_on: impl Fn(&[u8]) -> bool) {
    let mut octets = [0; 16384];
    while let Ok(count @ 1..) = from.read(&mut octets)
        && go_on(&octets[..count])
        && to.write_all(&octets[..count]).is_ok()
    {}
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}

const CALLS: usize = 10_000;

#[test]
fn postgresql_killed_and_restarted_in_the_middle_has_every_call_once() {
    let server = Mutex::new(Postgres::start());
    let module = module_of_many(&*server.lock().unwrap(), Duration::from_secs(60));
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
    let module = module_of_many(&*server.lock().unwrap(), Duration::from_secs(60));
    run_calls(&module, || {
        let mut server = server.lock().unwrap();
        server.crash();
        server.start_again();
    });
    all_there_once(&*server.lock().unwrap());
}

/// Nobody can restart SQLite; another process that locks it for longer than we wait is its outage.
#[test]
fn sqlite_locked_in_the_middle_has_every_call_once() {
    let server = File::new();
    server.ask("PRAGMA journal_mode = WAL");
    let module = module_of_many(&server, Duration::from_millis(100));
    run_calls(&module, || {
        let mut locker = rusqlite::Connection::open(&server.path).unwrap();
        locker.busy_timeout(Duration::from_secs(20)).unwrap();
        let transaction = locker
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .unwrap();
        transaction
            .execute("DELETE FROM calls WHERE sessid = 'nobody'", [])
            .unwrap();
        std::thread::sleep(Duration::from_millis(400));
        transaction.commit().unwrap();
    });
    all_there_once(&server);
}

fn module_of_many(server: &dyn Server, read_timeout: Duration) -> SqlAcct {
    server.ask("CREATE TABLE calls (sessid VARCHAR(50), who VARCHAR(50), duration INTEGER)");
    Setup::of(server)
        .query(Stop, "INSERT INTO calls VALUES ('%s', '%u', %d)")
        .pool(4)
        .read_timeout(read_timeout)
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
