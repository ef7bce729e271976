use super::*;
use SqlDriver::{MySql, PostgreSql, Sqlite};

fn script(sql: &str, dialect: SqlDriver) -> Script {
    Script::parse(sql, EventKind::Stop, dialect, false).unwrap_or_else(|problems| panic!("{sql}: {problems:?}"))
}

/// The text of the only statement, and its bindings as the ini writes them; numbers with a star.
fn bound(sql: &str, dialect: SqlDriver) -> (String, Vec<String>) {
    let mut script = script(sql, dialect);
    assert_eq!(script.statements.len(), 1, "{sql}");
    let statement = script.statements.remove(0);
    (statement.text, statement.bindings.iter().map(shown).collect())
}

fn shown(binding: &Binding) -> String {
    let mut text = if binding.number { "*".to_owned() } else { String::new() };
    for piece in &binding.pieces {
        match piece {
            Piece::Literal(octets) => text.push_str(std::str::from_utf8(octets).unwrap()),
            Piece::Value(parameter) => text.push_str(&format!("<{}>", parameter.name())),
        }
    }
    text
}

fn refused(sql: &str, dialect: SqlDriver) -> String {
    match Script::parse(sql, EventKind::Stop, dialect, false) {
        Ok(script) => panic!("{sql} is taken: {script:?}"),
        Err(problems) => problems.join("; "),
    }
}

#[test]
fn a_parameter_in_quotes_and_one_without_are_bound() {
    let sql = "UPDATE call SET duration = %d, who='%u' WHERE gkname = '%g' AND note='100%%'";
    let bindings: Vec<String> = ["*<d>", "<u>", "<g>"].map(String::from).to_vec();
    assert_eq!(
        bound(sql, PostgreSql),
        (
            "UPDATE call SET duration = $1, who=$2 WHERE gkname = $3 AND note='100%'".to_owned(),
            bindings.clone()
        )
    );
    assert_eq!(
        bound(sql, MySql),
        (
            "UPDATE call SET duration = ?, who=? WHERE gkname = ? AND note='100%'".to_owned(),
            bindings.clone()
        )
    );
    assert_eq!(
        bound(sql, Sqlite),
        (
            "UPDATE call SET duration = ?1, who=?2 WHERE gkname = ?3 AND note='100%'".to_owned(),
            bindings
        )
    );
}

#[test]
fn what_an_event_does_not_have_stays_as_it_was_typed() {
    let script = Script::parse(
        "INSERT INTO t VALUES ('%g', '%s %{src-info}')",
        EventKind::On,
        MySql,
        false,
    )
    .unwrap();
    assert_eq!(script.statements[0].text, "INSERT INTO t VALUES (?, '%s %{src-info}')");
}

#[test]
fn a_string_with_text_and_parameters_is_one_value() {
    let (text, bindings) = bound(
        "INSERT INTO t VALUES ('it''s %u, %{caller-ip}:%{caller-port}')",
        PostgreSql,
    );
    assert_eq!(text, "INSERT INTO t VALUES ($1)");
    assert_eq!(bindings, ["it's <u>, <caller-ip>:<caller-port>"]);
}

#[test]
fn backslashes_are_read_as_each_driver_reads_them() {
    let (text, bindings) = bound(r"INSERT INTO t VALUES ('a\'%u\n', '%g')", MySql);
    assert_eq!(
        (text.as_str(), bindings),
        (
            "INSERT INTO t VALUES (?, ?)",
            vec!["a'<u>\n".to_owned(), "<g>".to_owned()]
        )
    );
    let (text, bindings) = bound(r"INSERT INTO t VALUES (E'a\'%u\n', 'C:\', '%g')", PostgreSql);
    assert_eq!(text, r"INSERT INTO t VALUES ($1, 'C:\', $2)");
    assert_eq!(bindings, ["a'<u>\n", "<g>"]);
    let (text, bindings) = bound(r"INSERT INTO t VALUES ('C:\', '\%u')", Sqlite);
    assert_eq!(
        (text.as_str(), bindings),
        (r"INSERT INTO t VALUES ('C:\', ?1)", vec![r"\<u>".to_owned()])
    );
    assert!(refused(r"INSERT INTO t VALUES ('\%u')", MySql).contains("backslash"));
    assert!(refused(r"INSERT INTO t VALUES (E'\x41 %u')", PostgreSql).contains("escape"));
    assert!(refused(r"INSERT INTO t VALUES (E'%u \x41')", PostgreSql).contains("escape"));
    let (text, _) = bound(r"INSERT INTO t VALUES (E'\x41', '%u')", PostgreSql);
    assert_eq!(text, r"INSERT INTO t VALUES (E'\x41', $1)");
}

#[test]
fn double_quotes_are_strings_in_mysql_and_names_elsewhere() {
    assert_eq!(
        bound(r#"INSERT INTO t VALUES ("say ""%u""")"#, MySql).1,
        [r#"say "<u>""#]
    );
    for dialect in [PostgreSql, Sqlite] {
        assert!(refused(r#"INSERT INTO t VALUES ("%u")"#, dialect).contains("single quotes"));
        assert_eq!(bound(r#"INSERT INTO "a '"" b" VALUES ('%u')"#, dialect).1, ["<u>"]);
    }
    let lenient = Script::parse(r#"INSERT INTO t VALUES ("%u")"#, EventKind::Stop, Sqlite, true).unwrap();
    assert_eq!(lenient.statements[0].text, "INSERT INTO t VALUES (?1)");
    assert!(Script::parse(r#"INSERT INTO t VALUES ("%u")"#, EventKind::Stop, PostgreSql, true).is_err());
    assert!(refused("INSERT INTO `a%g` VALUES (1)", MySql).contains("name"));
    assert!(refused("INSERT INTO [a%g] VALUES (1)", Sqlite).contains("name"));
}

#[test]
fn dollar_quotes_are_strings() {
    let (text, bindings) = bound("SELECT $$it's %u$$, $x$ $$ '%g' $x$, '%s', $$plain$$", PostgreSql);
    assert_eq!(text, "SELECT $1, $2, $3, $$plain$$");
    assert_eq!(bindings, ["it's <u>", " $$ '<g>' ", "<s>"]);
    assert_eq!(bound("SELECT a$b, '%u'", PostgreSql).0, "SELECT a$b, $1");
    assert!(refused("SELECT $1, '%u'", PostgreSql).contains("number"));
    assert!(refused("DO $$ BEGIN PERFORM f('%u'); END $$", PostgreSql).contains("no parameters in DO"));
    assert_eq!(
        script("DO $$ BEGIN PERFORM f(); END $$", PostgreSql).statements.len(),
        1
    );
}

#[test]
fn what_cannot_be_bound_is_refused() {
    for dialect in [PostgreSql, MySql, Sqlite] {
        for sql in [
            "INSERT INTO call_%g VALUES (1)",
            "INSERT INTO %g VALUES (1)",
            "UPDATE %g SET a = 1",
            "SELECT %d%c",
            "SELECT t.%u",
            "SELECT %d.5",
            "SELECT 1 -- %u",
            "SELECT 1 /* %u */",
            "SELECT X'%u'",
            "SELECT 'never closed %u",
            "SELECT /* never closed",
            "",
            " ; -- nothing\n",
        ] {
            assert!(!refused(sql, dialect).is_empty());
        }
    }
    assert!(refused("SELECT U&'%u'", PostgreSql).contains("U&"));
    assert!(refused("SELECT _utf8'%u'", MySql).contains("_utf8"));
    assert!(refused("SELECT 1 # %u", MySql).contains("comment"));
    assert!(refused("SELECT ?, '%u'", MySql).contains("question mark"));
    assert!(refused("NOTIFY calls, '%u'", PostgreSql).contains("pg_notify"));
}

#[test]
fn comments_hide_quotes_and_are_kept() {
    assert_eq!(
        bound("SELECT '%u' -- it's\n, '%g'", PostgreSql).0,
        "SELECT $1 -- it's\n, $2"
    );
    assert_eq!(
        bound("SELECT '%u' /* it's /* nested ' */ */, '%g'", PostgreSql).0,
        "SELECT $1 /* it's /* nested ' */ */, $2"
    );
    assert_eq!(bound("SELECT 5--3, '%u'", MySql).0, "SELECT 5--3, ?");
    assert_eq!(bound("SELECT 1 # it's\n, '%u'", MySql).0, "SELECT 1 # it's\n, ?");
}

#[test]
fn literals_with_a_type_become_casts() {
    let (text, _) = bound(
        "INSERT INTO t VALUES (timestamp '%{connect-time}', DATE'%{connect-time}')",
        PostgreSql,
    );
    assert_eq!(text, "INSERT INTO t VALUES (CAST($1 AS timestamp), CAST($2 AS DATE))");
    let (text, _) = bound(
        "SELECT timestamp  WITH time zone '%{connect-time}', interval '%d seconds'",
        PostgreSql,
    );
    assert_eq!(
        text,
        "SELECT CAST($1 AS timestamp with time zone), CAST($2 AS interval)"
    );
    let (text, _) = bound("INSERT INTO t VALUES (TIMESTAMP '%{connect-time}')", MySql);
    assert_eq!(text, "INSERT INTO t VALUES (CAST(? AS DATETIME(6)))");
    let (text, _) = bound(
        "SELECT * FROM t WHERE date = '%{connect-time}' AND a LIKE'%u'AND b = 1",
        PostgreSql,
    );
    assert_eq!(text, "SELECT * FROM t WHERE date = $1 AND a LIKE $2 AND b = 1");
}

#[test]
fn statements_are_taken_apart_where_they_end() {
    let script = script(
        "INSERT INTO t VALUES (';%u'); UPDATE t SET a = %d;; -- done",
        PostgreSql,
    );
    let texts: Vec<&str> = script.statements.iter().map(|s| s.text.as_str()).collect();
    assert_eq!(texts, ["INSERT INTO t VALUES ($1)", "UPDATE t SET a = $1"]);
    assert!(!script.own_transactions);
}

#[test]
fn transactions_of_the_operator_are_seen() {
    let own = |sql: &str, dialect| script(sql, dialect).own_transactions;
    for dialect in [PostgreSql, MySql, Sqlite] {
        assert!(own("BEGIN; INSERT INTO t VALUES ('%u'); COMMIT", dialect));
        assert!(!own("INSERT INTO t VALUES ('begin;commit')", dialect));
    }
    assert!(own(
        "CREATE TABLE IF NOT EXISTS t (a INT); INSERT INTO t VALUES (%d)",
        MySql
    ));
    assert!(!own(
        "CREATE TABLE IF NOT EXISTS t (a INT); INSERT INTO t VALUES (%d)",
        PostgreSql
    ));
}

proptest::proptest! {
    /// Whatever an operator writes, it is taken or refused, and no parameter's place is left in the text.
    #[test]
    fn no_text_makes_it_stumble(sql in r#"([a-z ]|'|"|`|\$|\$\$|\\|%u|%d|%%|%|;|--|#|/\*|\*/|\[|\]|\?|E|\n|ü|[0-9.]){0,40}"#) {
        for dialect in [PostgreSql, MySql, Sqlite] {
            let Ok(script) = Script::parse(&sql, EventKind::Stop, dialect, false) else { continue };
            for statement in script.statements {
                let marks = statement.bindings.len();
                if dialect == PostgreSql && marks > 0 {
                    let last = format!("${marks}");
                    proptest::prop_assert!(statement.text.contains(&last));
                }
            }
        }
    }
}
