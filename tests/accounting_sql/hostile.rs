//! What callers send is stored, or refused with a reason; it is never a part of a statement.

use billdrop::{
    account::{event::EventKind::Stop, module::Outcome},
    config::gatekeeper::SqlDriver,
};

use crate::{
    Setup, event_of, failure, log,
    servers::{File, Server, each, fresh_mariadb, fresh_postgres},
};

/// Names that have done harm elsewhere, and what could slip through a lexer.
const NAMES: [&str; 28] = [
    "Robert'); DROP TABLE call;--",
    "'; DROP TABLE calls; --",
    "\"; DROP TABLE calls; --",
    "\\'; DROP TABLE calls; --",
    "\\",
    "\\\\'",
    "'",
    "''",
    "\"",
    "`",
    "$$; DROP TABLE calls; $$",
    "$1",
    "?",
    "?1",
    ":name",
    "%s",
    "%{src-info}",
    "%%",
    "100%",
    "_",
    "/* */",
    "*/",
    "-- ",
    "#",
    "NULL",
    "' || (SELECT 1) || '",
    "Größe 名 𝄞 \u{202e}",
    "a\r\nb\tc",
];

#[test]
fn no_name_is_executed_and_each_is_stored_as_it_came() {
    each(|server| {
        server.ask("CREATE TABLE calls (quoted TEXT, mixed TEXT, bare TEXT)");
        let module = Setup::of(server)
            .query(Stop, "INSERT INTO calls VALUES ('%u', 'x %u y', %u)")
            .module();
        let sqlite = server.options().driver == SqlDriver::Sqlite;
        assert_eq!(log(&module, &event_of(b"first", "first")), Outcome::Ok);
        let tables = server.tables();
        for (at, name) in NAMES.iter().enumerate() {
            let outcome = log(&module, &event_of(name.as_bytes(), &format!("name {at}")));
            assert_eq!(outcome, Outcome::Ok, "{name}");
            let stored = server.ask(&format!(
                "SELECT {}, {}, {} FROM calls WHERE quoted <> 'first'",
                server.hex("quoted"),
                server.hex("mixed"),
                server.hex("bare")
            ));
            // The gatekeeper's rule for SQLite: no line ends.
            let name = if sqlite {
                name.replace(['\r', '\n'], "")
            } else {
                name.to_string()
            };
            assert_eq!(
                stored,
                format!("{}|{}|{}", hex(&name), hex(&format!("x {name} y")), hex(&name)),
                "{name}"
            );
            server.ask("DELETE FROM calls WHERE quoted <> 'first'");
        }
        assert_eq!(server.tables(), tables);
        assert_eq!(server.ask("SELECT COUNT(*) FROM calls"), "1");
    });
}

#[test]
fn octets_that_no_text_can_have_keep_no_call_out() {
    each(|server| {
        server.ask("CREATE TABLE calls (who TEXT)");
        let module = Setup::of(server)
            .query(Stop, "INSERT INTO calls VALUES ('%u')")
            .module();
        let expected = |name: &[u8]| -> String {
            match (server.options().driver, name) {
                (SqlDriver::PostgreSql, b"a\0b") => hex("a\u{fffd}b"),
                (SqlDriver::MySql, b"a\0b") => "610062".to_owned(),
                (SqlDriver::Sqlite, b"a\0b") => hex("ab"),
                (SqlDriver::Sqlite, other) => other.iter().map(|octet| format!("{octet:02X}")).collect(),
                (_, other) => hex(&other.iter().map(|&octet| char::from(octet)).collect::<String>()),
            }
        };
        for (at, name) in [
            &b"a\0b"[..],
            b"M\xfcller",
            b"\xff\xfe",
            b"\xc3",
            b"\xed\xa0\x80",
            b"x\xf0\x9f",
        ]
        .iter()
        .enumerate()
        {
            assert_eq!(
                log(&module, &event_of(name, &format!("octets {at}"))),
                Outcome::Ok,
                "{name:?}"
            );
            let stored = server.ask(&format!("SELECT {} FROM calls", server.hex("who")));
            assert_eq!(stored, expected(name), "{name:?}");
            server.ask("DELETE FROM calls");
        }
    });
}

#[test]
fn a_text_of_64_kb_is_stored_where_it_fits_and_refused_where_it_does_not() {
    each(|server| {
        let (long, short) = match server.options().driver {
            SqlDriver::MySql => ("LONGTEXT", "VARCHAR(50)"),
            _ => ("TEXT", "VARCHAR(50)"),
        };
        server.ask(&format!(
            "CREATE TABLE calls (sessid VARCHAR(50), who {long}); CREATE TABLE narrow (who {short})"
        ));
        let name = "ü'\"\\".repeat(64 * 1024 / 5 + 1);
        let module = Setup::of(server)
            .query(Stop, "INSERT INTO calls VALUES ('%s', '%u')")
            .module();
        assert_eq!(log(&module, &event_of(name.as_bytes(), "long")), Outcome::Ok);
        let stored = server.ask(&format!("SELECT {} FROM calls", server.hex("who")));
        assert!(stored == hex(&name), "{} octets came back", stored.len() / 2);

        let narrow = Setup::of(server)
            .query(Stop, "INSERT INTO narrow VALUES ('%u')")
            .module();
        let outcome = log(&narrow, &event_of(name.as_bytes(), "narrow"));
        if server.options().driver == SqlDriver::Sqlite {
            assert_eq!(outcome, Outcome::Ok); // SQLite's lengths are remarks
        } else {
            let why = failure(outcome);
            assert!(why.contains("too long") && why.len() < 500, "{why}");
            assert_eq!(server.ask("SELECT COUNT(*) FROM narrow"), "0");
        }
    });
}

/// A character that the column cannot hold must not keep the call out of the records.
#[test]
fn a_small_character_set_stores_question_marks() {
    let server = fresh_mariadb();
    server.ask("CREATE TABLE calls (who VARCHAR(50) CHARACTER SET utf8mb3)");
    let module = Setup::of(&server)
        .query(Stop, "INSERT INTO calls VALUES ('%u')")
        .module();
    assert_eq!(log(&module, &event_of("Grüße 𝄞".as_bytes(), "1")), Outcome::Ok);
    assert_eq!(log(&module, &event_of("Grüße".as_bytes(), "2")), Outcome::Ok);
    assert_eq!(server.ask("SELECT who FROM calls ORDER BY who DESC"), "Grüße\nGr??e ?");

    let server = fresh_postgres();
    server.ask("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0");
    let mut options = server.options();
    options.database = "latin".to_owned();
    options.queries = vec![(Stop, "SELECT '%u' || who FROM (VALUES ('x')) AS t (who)".to_owned(), 1)];
    let module =
        billdrop::account::sql::SqlAcct::new(&options, &crate::gatekeeper(), &Default::default(), false).unwrap();
    assert_eq!(log(&module, &event_of("名".as_bytes(), "1")), Outcome::Ok);
}

/// `fixtures/gnugk/sql-escaping.tsv`. The gatekeeper doubles `"` inside single quotes for SQLite; that is not repeated.
#[test]
fn quotes_are_stored_as_the_caller_sent_them() {
    let value = "o'br\"x";
    for server in [&File::new() as &dyn Server, &fresh_postgres()] {
        server.ask("CREATE TABLE calls (who TEXT)");
        let module = Setup::of(server)
            .query(Stop, "INSERT INTO calls VALUES ('%u')")
            .module();
        assert_eq!(log(&module, &event_of(value.as_bytes(), "1")), Outcome::Ok);
        assert_eq!(server.ask("SELECT who FROM calls"), value);
    }
}

fn hex(text: &str) -> String {
    text.bytes().map(|octet| format!("{octet:02X}")).collect()
}
