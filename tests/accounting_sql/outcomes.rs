//! Which query runs, and what counts as success: the gatekeeper's results.

use std::{collections::BTreeMap, path::Path};

use billdrop::{
    account::{
        event::EventKind::{self, Connect, Start, Stop, Update},
        module::{Module, Outcome},
        sql::SqlAcct,
    },
    config::gatekeeper::SqlDriver::{MySql, PostgreSql, Sqlite},
};

use crate::{
    Setup, changed, event, failure, gatekeeper, log,
    servers::{File, Server, each, fresh_mariadb, fresh_postgres},
};

/// The queries of the manual's chapter on SQLAcct.
#[test]
fn the_queries_of_the_manual_work_as_they_stand() {
    each(|server| {
        let table = server.table("call");
        let columns = "gkname VARCHAR(50), sessid VARCHAR(50), username VARCHAR(50), calling VARCHAR(50), \
                       called VARCHAR(50), duration INTEGER, dtime TIMESTAMP NULL";
        server.ask(&format!("CREATE TABLE {table} ({columns})"));
        let written = |sql: &str| sql.replace(" call ", &format!(" {table} "));
        let module = Setup::of(server)
            .query(
                Start,
                &written(
                    "INSERT INTO call (gkname, sessid, username, calling, called) VALUES ('%g', '%s', '%u', \
                     '%{Calling-Station-Id}', '%{Called-Station-Id}')",
                ),
            )
            .query(
                Update,
                &written("UPDATE call SET duration = %d WHERE gkname = '%g' AND sessid = '%s'"),
            )
            .query(
                Stop,
                &written(
                    "UPDATE call SET duration = %d, dtime = '%{disconnect-time}' WHERE gkname = '%g' AND sessid = '%s'",
                ),
            )
            .alternative(
                Stop,
                &written(
                    "INSERT INTO call (gkname, sessid, username, calling, called, duration) VALUES ('%g', '%s', '%u', \
                     '%{Calling-Station-Id}', '%{Called-Station-Id}', %d)",
                ),
            )
            .module();
        for kind in [Start, Connect, Update, Stop] {
            let event = changed(event(kind, "6b02f31700000001"), |call| {
                if kind == Update {
                    call.duration = Some(5);
                }
            });
            // MySQL counts rows that change: the update after the connect must change something.
            assert_eq!(log(&module, &event), Outcome::Ok, "{kind:?}");
        }
        // Of this one only the end is known.
        assert_eq!(log(&module, &event(Stop, "6b02f31700000002")), Outcome::Ok);
        let stored = server.ask(&format!("SELECT * FROM {table} ORDER BY sessid"));
        assert_eq!(
            stored.replace("NULL", ""),
            "example-gk|6b02f31700000001|alice|1001|2002|10|2004-11-10 15:02:11\n\
             example-gk|6b02f31700000002|alice|1001|2002|10|"
        );
    });
}

#[test]
fn a_table_named_call_is_refused_by_mysql_itself_unless_it_is_quoted() {
    let server = fresh_mariadb();
    server.ask("CREATE TABLE `call` (sessid VARCHAR(50))");
    let module = Setup::of(&server)
        .query(Stop, "INSERT INTO call (sessid) VALUES ('%s')")
        .module();
    let why = failure(log(&module, &event(Stop, "1")));
    assert!(why.contains("SQL syntax") && why.contains("StopQuery"), "{why}");
    outcomes_of_multiple_statements(&server);
    unchanged_rows_do_not_count(&server);
}

/// `fixtures/gnugk/sql-query-outcomes.tsv`: what the real gatekeeper made of each statement.
#[test]
fn each_statement_counts_as_the_gatekeeper_counted_it() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gnugk/sql-query-outcomes.tsv");
    let text = std::fs::read_to_string(fixture).unwrap();
    let mut scenarios: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let cells: Vec<&str> = line.split('\t').collect();
        scenarios.entry(cells[0]).or_default().push(cells);
    }
    assert_eq!(scenarios.len(), 4);
    each(|server| {
        let table = server.table("call");
        for (name, rows) in &scenarios {
            server.ask(&format!("DROP TABLE IF EXISTS {table}"));
            server.ask(&format!(
                "CREATE TABLE {table} (gk VARCHAR(50), sessid VARCHAR(50), u VARCHAR(50), src VARCHAR(50), dur INTEGER, \
                 cause INTEGER, note VARCHAR(50))"
            ));
            let session = name.split(' ').next().unwrap().to_owned() + "-outcomes";
            let mut setup = Setup::of(server);
            let mut expected: Vec<(EventKind, bool)> = Vec::new();
            for row in rows {
                let kind = [Start, Connect, Stop]
                    .into_iter()
                    .find(|kind| kind.name() == row[1])
                    .unwrap();
                let (sql, ok) = (template(row[3], &table), row[5] == "ok");
                match row[2] {
                    "UpdateQuery" => setup = setup.query(Update, &sql),
                    query if query.ends_with("Alt") => {
                        setup = setup.alternative(kind, &sql);
                        expected.pop();
                    }
                    _ => setup = setup.query(kind, &sql),
                }
                expected.push((kind, ok));
            }
            let module = setup.module();
            for (kind, ok) in expected {
                let outcome = log(&module, &event(kind, &session));
                assert_eq!(
                    outcome == Outcome::Ok,
                    ok,
                    "{name}, {kind:?} at {}: {outcome:?}",
                    server.tables()
                );
            }
        }
    });
}

/// The statement as the ini had it: the values are those of the recorded call.
fn template(statement: &str, table: &str) -> String {
    let mut sql = statement
        .replace(" call", &format!(" {table}"))
        .replace("'example-gk'", "'%g'");
    while let Some(at) = sql.find("'6b02f3") {
        sql.replace_range(at..at + 18, "'%s'");
    }
    sql
}

#[test]
fn several_statements_count_as_each_driver_counts_them() {
    outcomes_of_multiple_statements(&fresh_postgres());
    outcomes_of_multiple_statements(&File::new());
}

fn outcomes_of_multiple_statements(server: &dyn Server) {
    let dialect = server.options().driver;
    server.ask("CREATE TABLE t (sessid VARCHAR(50), n INTEGER); CREATE TABLE empty (n INTEGER)");
    let insert = "INSERT INTO t VALUES ('%s', %d)";
    let nothing = "UPDATE t SET n = 1 WHERE sessid = 'nobody'";
    for (name, sql, ok) in [
        (
            "last",
            format!("{nothing}; {insert}"),
            [PostgreSql, Sqlite].contains(&dialect),
        ),
        ("first", format!("{insert}; {nothing};"), dialect == MySql),
        ("own-transaction", format!("BEGIN; {insert}; COMMIT"), dialect == Sqlite),
        ("rows", "SELECT '%s'".to_owned(), true),
        ("no-rows", "SELECT n FROM empty WHERE n > %d".to_owned(), false),
        (
            "changed-then-asked",
            format!("{insert}; SELECT n FROM empty"),
            [MySql, Sqlite].contains(&dialect),
        ),
    ] {
        let module = Setup::of(server).query(Stop, &sql).module();
        let outcome = log(&module, &event(Stop, name));
        assert_eq!(outcome == Outcome::Ok, ok, "{name} at {dialect:?}: {outcome:?}");
    }
    // What failed has left nothing, unless it committed itself.
    let stored = server.ask("SELECT sessid FROM t ORDER BY sessid");
    let expected = match dialect {
        MySql => "changed-then-asked\nfirst\nown-transaction",
        PostgreSql => "last\nown-transaction",
        Sqlite => "changed-then-asked\nlast\nown-transaction",
    };
    assert_eq!(stored, expected);
}

fn unchanged_rows_do_not_count(server: &dyn Server) {
    server.ask("CREATE TABLE u (sessid VARCHAR(50), n INTEGER); INSERT INTO u VALUES ('same', 10)");
    let module = Setup::of(server)
        .query(Stop, "UPDATE u SET n = %d WHERE sessid = '%s'")
        .module();
    let why = failure(log(&module, &event(Stop, "same")));
    assert!(why.contains("StopQuery changed no row"), "{why}");
}

#[test]
fn an_event_without_a_query_fails_and_says_which_is_missing() {
    let server = File::new();
    let module = Setup::of(&server)
        .query(Start, "SELECT 1")
        .alternative(Stop, "SELECT 1")
        .module();
    for (kind, key) in [
        (Connect, "UpdateQuery"),
        (EventKind::Alert, "AlertQuery"),
        (Stop, "StopQuery"),
    ] {
        let why = failure(log(&module, &event(kind, "1")));
        assert!(why.contains(&format!("no {key} in the ini")), "{why}");
    }
    assert!(!module.supported().contains(EventKind::Reject) && module.supported().contains(EventKind::On));
}

#[test]
fn a_query_that_cannot_be_bound_is_refused_with_its_line() {
    let mut options = File::new().options();
    options.queries = vec![
        (Start, "INSERT INTO call_%g VALUES (1)".to_owned(), 17),
        (Stop, "SELECT 'it is never closed".to_owned(), 18),
    ];
    let problems = SqlAcct::new(&options, &gatekeeper(), &Default::default(), false)
        .err()
        .unwrap();
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(
        said[0].starts_with("17: StartQuery: a parameter is a part of a name"),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("18: StopQuery: the string that begins with ' is never closed"),
        "{said:?}"
    );
}

/// As at the gatekeeper: an unset time is an empty text, which is no time, and the alternative is what helps.
#[test]
fn an_unset_time_is_an_error_where_times_are_checked_and_the_alternative_stores_the_call() {
    each(|server| {
        server.ask("CREATE TABLE t (sessid VARCHAR(50), at TIMESTAMP NULL)");
        let insert = "INSERT INTO t VALUES ('%s', '%{connect-time}')";
        let never = |session: &str| changed(event(Stop, session), |call| call.connect = None);
        let alone = Setup::of(server).query(Stop, insert).module();
        let outcome = log(&alone, &never("never-1"));
        let checked = server.options().driver != Sqlite;
        assert_eq!(outcome != Outcome::Ok, checked, "{outcome:?}");
        let helped = Setup::of(server)
            .query(Stop, insert)
            .alternative(Stop, "INSERT INTO t (sessid) VALUES ('%s')")
            .module();
        assert_eq!(log(&helped, &never("never-2")), Outcome::Ok);
        assert_eq!(log(&helped, &event(Stop, "answered")), Outcome::Ok);
        let when = server.ask("SELECT at FROM t WHERE sessid = 'answered'");
        assert_eq!(when, "2004-11-10 15:02:01");
        // As the manual page advises.
        let cast = if server.options().driver == PostgreSql {
            "::timestamp"
        } else {
            ""
        };
        let advised = Setup::of(server)
            .query(
                Stop,
                &format!("INSERT INTO t VALUES ('%s', NULLIF('%{{connect-time}}', ''){cast})"),
            )
            .module();
        assert_eq!(log(&advised, &never("never-3")), Outcome::Ok);
        assert_eq!(log(&advised, &event(Stop, "answered-3")), Outcome::Ok);
        let set = "SELECT COUNT(at) FROM t WHERE sessid IN ('never-3', 'answered-3')";
        assert_eq!(server.ask(set), "1");
    });
}

#[test]
fn numbers_and_times_keep_their_types() {
    each(|server| {
        server.ask("CREATE TABLE t (sessid VARCHAR(50), a INTEGER, b VARCHAR(50), c NUMERIC(8,2))");
        server.ask("CREATE TABLE times (sessid VARCHAR(50), a TIMESTAMP NULL, b DATE)");
        let text = |number: &str| match server.options().driver {
            PostgreSql => format!("({number})::text"),
            MySql => number.to_owned(),
            Sqlite => format!("CAST({number} AS TEXT)"),
        };
        let module = Setup::of(server)
            // 10 s and cause 16: as texts, "9" would be more than "10".
            .query(
                Stop,
                &format!(
                    "INSERT INTO t SELECT '%s', %d + 1, {}, %d / 4.0 WHERE %d > 9 AND %c > %d",
                    text("%r")
                ),
            )
            .query(Update, "UPDATE t SET a = a + %d, b = %c WHERE sessid = '%s'")
            .module();
        assert_eq!(log(&module, &event(Stop, "n")), Outcome::Ok);
        assert_eq!(server.ask("SELECT * FROM t").trim_end_matches('0'), "n|11|1|2.5");
        assert_eq!(log(&module, &event(Update, "n")), Outcome::Ok);
        assert_eq!(server.ask("SELECT a, b FROM t"), "21|16");
        let times = match server.options().driver {
            PostgreSql => {
                "INSERT INTO times VALUES ('%s', timestamp '%{connect-time}' + %d * interval '1 second' \
                 + interval '%d seconds', DATE'%{connect-time}')"
            }
            MySql => {
                "INSERT INTO times VALUES ('%s', TIMESTAMP '%{connect-time}' + INTERVAL %d SECOND \
                 + INTERVAL '%d' SECOND, DATE(\"%{connect-time}\"))"
            }
            Sqlite => {
                "INSERT INTO times VALUES ('%s', datetime('%{connect-time}', '+%d seconds', '%d seconds'), \
                 date('%{connect-time}'))"
            }
        };
        let module = Setup::of(server).query(Stop, times).module();
        assert_eq!(log(&module, &event(Stop, "t")), Outcome::Ok);
        assert_eq!(server.ask("SELECT * FROM times"), "t|2004-11-10 15:02:21|2004-11-10");
    });
}
