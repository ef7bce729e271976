//! A gatekeeper's ini: read as the gatekeeper reads it, refused where that cannot have been meant.

use std::path::Path;

use billdrop::account::chain::verdict;
use billdrop::config::gatekeeper::known::{Kind, OPTIONS, Otherwise};
use billdrop::config::gatekeeper::{
    self, Control, EventKind, Events, Gatekeeper, Leniency, Link, LinkKind, Notice, Problems, Rotate, SqlDriver,
};

const MATRIX: &str = include_str!("../fixtures/gnugk/chain-control-matrix.tsv");

/// What each module needs to be read at all.
const SECTIONS: &str = "
[FileAcct]
DetailFile=/var/log/gk/cdr.log
[RadAcct]
Servers=192.0.2.1:1812:1813:testing123
[SQLAcct]
Driver=SQLite
Database=/var/lib/gk/acct.db
StartQuery=INSERT 1
UpdateQuery=UPDATE 1
StopQuery=UPDATE 2
AlertQuery=UPDATE 3
RegisterQuery=INSERT 2
UnregisterQuery=INSERT 3
OnQuery=INSERT 4
OffQuery=INSERT 5
";

fn parse(text: &str, leniency: Leniency) -> Result<(Gatekeeper, Vec<Notice>), Problems> {
    gatekeeper::parse(text.as_bytes(), Path::new("gk.ini"), leniency)
}

/// An ini with this chain. The first of its lines is line 2.
fn with_chain(chain: &str) -> String {
    format!("[Gatekeeper::Acct]\n{chain}\n{SECTIONS}")
}

#[track_caller]
fn good(text: &str) -> (Gatekeeper, String) {
    let (gatekeeper, notices) = parse(text, Leniency::Strict).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    (gatekeeper, told(&notices))
}

fn told(notices: &[Notice]) -> String {
    notices.iter().map(|notice| format!("{notice}\n")).collect()
}

#[track_caller]
fn refused(text: &str) -> String {
    match parse(text, Leniency::Strict) {
        Ok((_, notices)) => panic!("not refused: {text}\n{}", told(&notices)),
        Err(problems) => problems.to_string(),
    }
}

/// Who is asked and what they say, as the samples write it; and the verdict.
fn run(links: &[Link], kind: EventKind, says: impl Fn(LinkKind) -> bool) -> (bool, String) {
    let mut asked = Vec::new();
    let verdict = verdict(
        links,
        |link| link.kind.supported(),
        kind,
        |link| {
            let ok = says(link.kind);
            asked.push(format!("{}:{}", link.kind.name(), if ok { "ok" } else { "fail" }));
            ok
        },
    );
    (verdict.ok, asked.join(" "))
}

#[test]
fn all_63_chains_of_the_matrix_give_what_the_gatekeeper_gave() {
    let mut count = 0;
    for row in MATRIX.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let cells: Vec<&str> = row.split('\t').collect();
        let [typed, expected, executed, masks, skipped] = cells[..] else {
            panic!("{row}");
        };
        // HttpAcct, which billdrop lacks, fails in all rows as RadAcct does, and stands in none together with it.
        let renamed = |text: &str| text.replace("HttpAcct", "RadAcct").replace("httpacct", "radacct");
        assert!(!typed.contains("HttpAcct") || !typed.contains("RadAcct"));
        let text = with_chain(&renamed(typed).replace(" & ", "\n"));
        let (gatekeeper, notices) =
            parse(&text, Leniency::Lenient).unwrap_or_else(|problems| panic!("{row}: {problems}"));
        let (ok, asked) = run(&gatekeeper.chain, EventKind::On, |kind| {
            matches!(kind, LinkKind::SqlAcct | LinkKind::Default(true))
        });
        assert_eq!(if ok { "ok" } else { "fail" }, expected, "{row}");
        assert_eq!(asked, renamed(executed), "{row}");
        let mask = |link: &Link| match link.events {
            Events::ALL => format!("{}:all", link.kind.name()),
            Events(bits) => format!("{}:{bits:x}", link.kind.name()),
        };
        let read: Vec<String> = gatekeeper.chain.iter().map(mask).collect();
        assert_eq!(read.join(" "), renamed(masks), "{row}");
        if !skipped.is_empty() {
            assert!(told(&notices).contains(&renamed(skipped)), "{row}: {notices:?}");
        }
        count += 1;
    }
    assert_eq!(count, 63);
}

#[test]
fn what_the_gatekeeper_misreads_silently_in_the_matrix_is_refused_with_its_line() {
    for (chain, line, says) in [
        (
            "RadAcct=bogus",
            2,
            "`bogus` is not a control word; write one of required",
        ),
        (
            "SQLAcct=required\nRadAcct=optinal",
            3,
            "`optinal` is not a control word (did you mean optional?)",
        ),
        ("SQLAcct=", 2, "SQLAcct: no control word"),
        (
            "sqlacct=required",
            2,
            "sqlacct is not the name of a module (did you mean SQLAcct?)",
        ),
        (
            "Default=accept",
            2,
            "Default is not the name of a module (did you mean default?)",
        ),
        ("NoSuchAcct=required", 2, "NoSuchAcct is not the name of a module"),
        ("SQLAcct=optional;nosuch", 2, "`nosuch` is not an event"),
        (
            "SQLAcct=optional;strat,stop",
            2,
            "`strat` is not an event (did you mean start?)",
        ),
        ("SQLAcct=optional;", 2, "the list of events is empty"),
        (
            "SQLAcct=optional ; a comment",
            2,
            "nothing that follows a value is a comment",
        ),
        (
            "RadAcct=optional\nSQLAcct=required\nRadAcct=required",
            4,
            "RadAcct stands in line 2 already",
        ),
        (
            "RadAcct=optional\nSQLAcct=required\nradacct=required",
            4,
            "RadAcct stands in line 2 already",
        ),
        ("default=;on", 2, "default: no word; write accept or fail"),
        ("default=acept", 2, "takes it for `accept`"),
        ("default=ok", 2, "takes it for `fail`"),
        ("FileAcct=required;start", 2, "FileAcct can log stop, and not start"),
        ("", 1, "names no module"),
    ] {
        let said = refused(&with_chain(chain));
        assert!(said.starts_with(&format!("gk.ini:{line}: ")), "{chain}: {said}");
        assert!(said.contains(says), "{chain}: {said}");
        assert_eq!(said.lines().count(), 1, "{chain}: {said}");
        let (_, notices) = parse(&with_chain(chain), Leniency::Lenient).unwrap();
        assert!(
            told(&notices).contains("as the gatekeeper does, billdrop"),
            "{chain}: {notices:?}"
        );
    }
}

#[test]
fn blanks_around_words_do_not_matter_but_it_is_told_that_they_do_to_the_gatekeeper() {
    for (chain, control, events, does) in [
        (
            "SQLAcct=optional, on",
            Control::Optional,
            0x8,
            "reads it as optional for no event",
        ),
        (
            "SQLAcct=optional ;on",
            Control::Optional,
            0x8,
            "reads it as required for on",
        ),
        (
            "SQLAcct = alternative ; on , stop",
            Control::Alternative,
            0xa,
            "reads it as required for no event",
        ),
        (
            "SQLAcct=optional;stop, start",
            Control::Optional,
            0x3,
            "reads it as optional for stop",
        ),
    ] {
        let (gatekeeper, notices) = good(&with_chain(chain));
        let link = &gatekeeper.chain[0];
        assert_eq!((link.control, link.events), (control, Events(events)), "{chain}");
        assert!(
            notices.starts_with("gk.ini:2: ") && notices.contains(does),
            "{chain}: {notices}"
        );
    }
    let (_, notices) = good(&with_chain("SQLAcct = optional;on"));
    assert!(
        !notices.contains("gk.ini:2"),
        "blanks around the first = are nobody's business: {notices}"
    );
}

/// For each outcome of RADIUS and of the file: the verdict, and whether the file was asked.
fn outcomes(gatekeeper: &Gatekeeper, kind: EventKind) -> Vec<(bool, bool, bool, bool)> {
    let both = [(true, true), (true, false), (false, true), (false, false)];
    both.into_iter()
        .map(|(radius, file)| {
            let (ok, asked) = run(&gatekeeper.chain, kind, |kind| match kind {
                LinkKind::RadAcct => radius,
                LinkKind::FileAcct => file,
                kind => kind.always().unwrap(),
            });
            (radius, file, ok, asked.contains("FileAcct"))
        })
        .collect()
}

#[test]
fn the_first_example_logs_to_radius_and_always_writes_the_file() {
    let (gatekeeper, _) = good(&with_chain("RadAcct=optional;start,stop\nFileAcct=required"));
    for (radius, file, ok, asked) in outcomes(&gatekeeper, EventKind::Stop) {
        assert!(asked && ok == file, "{radius} {file}");
    }
    for (radius, _, ok, asked) in outcomes(&gatekeeper, EventKind::Start) {
        assert!(
            !asked && ok == radius,
            "an optional module that is the last one decides"
        );
    }
    assert_eq!(
        run(&gatekeeper.chain, EventKind::Update, |_| false),
        (true, String::new())
    );
}

#[test]
fn the_second_example_writes_the_file_only_if_radius_fails_and_lets_every_call_start() {
    let (gatekeeper, _) = good(&with_chain(
        "RadAcct=alternative;start,stop\nFileAcct=sufficient;stop\ndefault=accept",
    ));
    for (radius, file, ok, asked) in outcomes(&gatekeeper, EventKind::Stop) {
        assert_eq!((asked, ok), (!radius, radius || file));
    }
    for (_, _, ok, asked) in outcomes(&gatekeeper, EventKind::Start) {
        assert!(ok && !asked);
    }
}

#[test]
fn the_third_example_refuses_a_call_that_radius_does_not_know_of() {
    let (gatekeeper, _) = good(&with_chain(
        "RadAcct=alternative;start,stop\nFileAcct=sufficient;stop\ndefault=fail;start",
    ));
    for (radius, file, ok, asked) in outcomes(&gatekeeper, EventKind::Stop) {
        assert_eq!((asked, ok), (!radius, radius || file));
    }
    for (radius, _, ok, asked) in outcomes(&gatekeeper, EventKind::Start) {
        assert!(ok == radius && !asked);
    }
}

#[test]
fn an_ini_with_every_module_is_read_with_all_its_options_and_defaults() {
    let octets = include_bytes!("../fixtures/gnugk/gatekeeper-all-modules.ini");
    let (gatekeeper, notices) = gatekeeper::parse(octets, Path::new("gk.ini"), Leniency::Strict).unwrap();
    assert_eq!(told(&notices), "", "nothing in it is doubtful");
    assert_eq!(
        (gatekeeper.name.as_str(), gatekeeper.home),
        ("example-gk", Some([127, 0, 0, 1].into()))
    );
    assert_eq!(
        (
            gatekeeper.timestamp_format.as_str(),
            gatekeeper.cdr_timestamp_format.as_str()
        ),
        ("Cisco", "RFC822")
    );
    assert_eq!(gatekeeper.update_interval.as_secs(), 10);
    assert!(gatekeeper.unconnected_cdr && !gatekeeper.called_station_id_to_dialed_ip);
    let kinds: Vec<LinkKind> = gatekeeper.chain.iter().map(|link| link.kind).collect();
    assert_eq!(
        kinds,
        [
            LinkKind::FileAcct,
            LinkKind::SqlAcct,
            LinkKind::RadAcct,
            LinkKind::StatusAcct,
            LinkKind::SyslogAcct,
            LinkKind::Default(true),
        ]
    );
    let file = gatekeeper.file.unwrap();
    assert!(!file.standard_format && file.cdr_string.ends_with("end%") && file.timestamp_format.is_none());
    assert_eq!(file.rotate, Rotate::Lines(3));
    let radius = gatekeeper.radius.unwrap();
    assert_eq!(
        (radius.servers[0].host.as_str(), radius.servers[0].acct_port),
        ("127.0.0.1", 18130)
    );
    assert_eq!(radius.servers[0].secret.reveal().unwrap(), "testing123");
    assert_eq!(radius.local_interface, Some([127, 0, 0, 1].into()));
    assert_eq!(
        (radius.port_range, radius.transmissions, radius.round_robin),
        ((1024, 65535), 2, true)
    );
    let times = [
        radius.request_timeout,
        radius.id_cache_timeout,
        radius.socket_delete_timeout,
    ];
    assert_eq!(times.map(|time| time.as_millis()), [1000, 9000, 60000]);
    assert!(radius.append_cisco_attributes && !radius.use_dialed_number && radius.fixed_username.is_none());
    let sql = gatekeeper.sql.unwrap();
    assert_eq!(
        (sql.driver, sql.host.as_str(), sql.port),
        (SqlDriver::Sqlite, "localhost", None)
    );
    assert_eq!((sql.min_pool_size, sql.max_pool_size), (1, 1));
    assert_eq!((sql.connect_timeout.as_secs(), sql.read_timeout.as_secs()), (10, 60));
    assert_eq!(sql.timestamp_format.as_deref(), Some("MySQL"));
    assert_eq!((sql.queries.len(), sql.alternatives.len()), (8, 1));
    assert_eq!((sql.alternatives[0].0, sql.alternatives[0].2), (EventKind::Stop, 46));
    let status = gatekeeper.status.unwrap();
    assert_eq!(status.templates.len(), 9);
    let default = "CALL|Start|%{caller-ip}:%{caller-port}|%{callee-ip}:%{callee-port}|%{CallId}";
    assert_eq!(status.templates[0], (EventKind::Start, default.to_owned()));
    let syslog = gatekeeper.syslog.unwrap();
    assert_eq!((syslog.facility, syslog.level, syslog.templates.len()), (1, 6, 4));
}

/// Section, key, type and default of each `@key` of the manual page.
fn explained() -> Vec<(String, String, String, String)> {
    let page = include_str!("../man/parts/billdrop-accounting.5");
    let mut section = String::new();
    let mut keys = Vec::new();
    for line in page.lines() {
        if let Some(heading) = line.strip_prefix(".SS [") {
            section = heading.trim_end_matches(']').to_owned();
        }
        if let Some((key, rest)) = line.strip_prefix("@key ").and_then(|line| line.split_once(" = ")) {
            let (kind, default) = rest.split_once("; ").unwrap();
            keys.push((section.clone(), key.to_owned(), kind.to_owned(), default.to_owned()));
        }
    }
    keys
}

#[test]
fn the_manual_has_every_key_with_its_type_and_default_and_no_other() {
    let page = include_str!("../man/parts/billdrop-accounting.5");
    let known: Vec<_> = OPTIONS
        .iter()
        .map(|known| {
            let default = match known.otherwise {
                Otherwise::Is(value) if known.kind == Kind::Template => {
                    let event = value.split('|').nth(1).unwrap();
                    let line = value.replacen(event, "EVENT", 1);
                    assert!(page.lines().any(|shown| shown == line), "{line}");
                    format!("default the line above with {event}")
                }
                Otherwise::Is(value) | Otherwise::Told(value) => format!("default {value}"),
                Otherwise::Unset => "no default".to_owned(),
            };
            let kind = known.kind.word().to_owned();
            (known.section.to_owned(), known.key.to_owned(), kind, default)
        })
        .collect();
    assert!(known.len() > 70, "{}", known.len());
    assert_eq!(explained(), known);
}

/// A chain with every module, and what none of them can be without.
fn everything() -> String {
    let chain = "FileAcct=optional\nSQLAcct=optional\nRadAcct=optional\nStatusAcct=optional\nSyslogAcct=optional";
    with_chain(chain)
}

#[test]
fn with_every_default_written_out_the_options_are_those_without_any() {
    let without = good(&everything()).0;
    for known in OPTIONS {
        let Otherwise::Is(default) = known.otherwise else {
            continue;
        };
        let text = format!("{}[{}]\n{}={default}\n", everything(), known.section, known.key);
        let (with, _) = good(&text);
        assert_eq!(with, without, "[{}] {}", known.section, known.key);
    }
}

#[test]
fn every_key_that_is_used_changes_something() {
    let without = good(&everything()).0;
    for known in OPTIONS {
        let value = match (known.kind, known.key) {
            (Kind::Unused, _) => "1",
            (Kind::Flag | Kind::Truth, key) => match key {
                "AppendCiscoAttributes" | "RoundRobinServers" | "StandardCDRFormat" => "0",
                _ => "1",
            },
            (Kind::Number("port"), _) => "1999",
            (Kind::Number(_), "AcctUpdateInterval") => "60",
            (Kind::Number(_), "KeyFilled") => "-1",
            (Kind::Number(_), _) => "7000",
            (_, "Driver") => "MySQL",
            (_, "RadiusPortRange") => "10000-11000",
            (_, "Home" | "LocalInterface") => "127.0.0.1",
            (_, "Rotate") => "daily",
            (_, "RotateTime" | "RotateDay") => "3",
            (_, "SyslogFacility") => "LOG_LOCAL3",
            (_, "SyslogLevel") => "LOG_ERR",
            (_, "Servers") => "192.0.2.9",
            _ => "something",
        };
        // Keys that the text has already would be appended to.
        let already = format!("{}=", known.key);
        let mut base: String = everything()
            .lines()
            .filter(|line| !(line.starts_with(&already) && known.section != "Gatekeeper::Acct"))
            .map(|line| format!("{line}\n"))
            .collect();
        match known.key {
            "StandardCDRFormat" => base += "[FileAcct]\nCDRString=x\nStandardCDRFormat=1\n",
            "SharedSecret" => base = base.replace("Servers=192.0.2.1:1812:1813:testing123", "Servers=192.0.2.1"),
            "DefaultAcctPort" => base = base.replace("Servers=192.0.2.1:1812:1813:testing123", "Servers=192.0.2.1"),
            "RotateTime" => base += "[FileAcct]\nRotate=hourly\n",
            "RotateDay" => base += "[FileAcct]\nRotate=weekly\n",
            _ => {}
        }
        if known.key == "StandardCDRFormat" {
            let on = good(&base).0.file.unwrap().standard_format;
            let off = good(&base.replace("StandardCDRFormat=1", "StandardCDRFormat=0"))
                .0
                .file
                .unwrap()
                .standard_format;
            assert!(on && !off);
            continue;
        }
        if matches!(known.key, "EncryptAllPasswords" | "KeyFilled") {
            continue; // what they do is tested with the passwords
        }
        let before = parse(&base, Leniency::Lenient).map(|(gatekeeper, _)| gatekeeper);
        let text = format!("{base}[{}]\n{}={value}\n", known.section, known.key);
        let after = parse(&text, Leniency::Lenient)
            .unwrap_or_else(|problems| panic!("{problems}"))
            .0;
        let is_same = before.as_ref().is_ok_and(|before| *before == after);
        assert_eq!(is_same, known.kind == Kind::Unused, "[{}] {}", known.section, known.key);
        let told = told(&parse(&text, Leniency::Lenient).unwrap().1);
        assert!(!told.contains("unknown key"), "{told}");
    }
    assert!(without.chain.len() == 5);
}
