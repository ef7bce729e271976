//! Values of a gatekeeper's ini: what each is read as, what is told, and what can never happen whatever stands there.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use billdrop::config::Secret;
use billdrop::config::gatekeeper::{self, Gatekeeper, Leniency, Notice, Problems, RadAcct, Rotate};
use billdrop::exit::{Error, Exit};
use billdrop::protocol::fuzz;
use proptest::prelude::*;

fn parse(text: &[u8], leniency: Leniency) -> Result<(Gatekeeper, Vec<Notice>), Problems> {
    gatekeeper::parse(text, Path::new("gk.ini"), leniency)
}

fn told(notices: &[Notice]) -> String {
    notices.iter().map(|notice| format!("{notice}\n")).collect()
}

#[track_caller]
fn good(text: &str) -> (Gatekeeper, String) {
    let (gatekeeper, notices) = parse(text.as_bytes(), Leniency::Strict).unwrap_or_else(|e| panic!("{e}\n{text}"));
    (gatekeeper, told(&notices))
}

#[track_caller]
fn refused(text: &str) -> String {
    match parse(text.as_bytes(), Leniency::Strict) {
        Ok((_, notices)) => panic!("not refused: {text}\n{}", told(&notices)),
        Err(problems) => problems.to_string(),
    }
}

/// `[RadAcct]` begins in line 3.
fn radius(keys: &str) -> String {
    format!("[Gatekeeper::Acct]\nRadAcct=optional\n[RadAcct]\n{keys}\n")
}

#[track_caller]
fn radius_of(keys: &str) -> (RadAcct, String) {
    let (gatekeeper, notices) = good(&radius(keys));
    (gatekeeper.radius.unwrap(), notices)
}

fn file(keys: &str) -> String {
    format!("[Gatekeeper::Acct]\nFileAcct=required\n[FileAcct]\nDetailFile=/c\n{keys}\n")
}

/// `[SQLAcct]` begins in line 3.
fn sql(keys: &str) -> String {
    format!("[Gatekeeper::Acct]\nSQLAcct=optional;stop\n[SQLAcct]\n{keys}\n")
}

const DATABASE: &str = "Driver=PostgreSQL\nDatabase=billing\nStopQuery=UPDATE";

#[test]
fn servers_are_read_in_every_form() {
    let keys = "Servers=a b:1 , c:1:2;d:1:2:s3,,[2001:db8::1]:1:2:s5 ;[::1] g::1813 192.0.2.7:::5:6\nSharedSecret=all\nDefaultAcctPort=99";
    let (radius, notices) = radius_of(keys);
    let servers: Vec<(String, u16, String)> = radius
        .servers
        .iter()
        .map(|server| (server.host.clone(), server.acct_port, server.secret.reveal().unwrap()))
        .collect();
    let expected = [
        ("a", 99, "all"),
        ("b", 99, "all"),
        ("c", 2, "all"),
        ("d", 2, "s3"),
        ("2001:db8::1", 2, "s5"),
        ("::1", 99, "all"),
        ("g", 99, "all"),
        ("192.0.2.7", 6, "all"),
    ];
    assert_eq!(
        servers,
        expected.map(|(host, port, secret)| (host.to_owned(), port, secret.to_owned()))
    );
    assert_eq!(notices.lines().count(), 2, "{notices}");
    assert!(
        notices.contains("the only port of b is that for authentication; accounting goes to port 99"),
        "{notices}"
    );
    assert!(notices.contains("the only port of g"), "{notices}");
}

#[test]
fn servers_that_cannot_be_right_are_refused_without_their_secrets() {
    for servers in [
        "h:1:2:se:cret",
        "h:0:2:secret",
        "h:1:secret",
        "2001:db8::5ec",
        ":::",
        "[::1:1:2:secret",
        "h:70000",
    ] {
        let said = refused(&radius(&format!("Servers={servers}")));
        assert!(
            said.starts_with("gk.ini:4: [RadAcct] Servers, server 1: "),
            "{servers}: {said}"
        );
        assert!(
            !said.contains("secret") || said.contains("a secret cannot have a colon") && !said.contains("se:cret"),
            "{said}"
        );
        assert!(!said.contains(":secret"), "{said}");
        assert!(parse(radius(&format!("Servers={servers}")).as_bytes(), Leniency::Lenient).is_err());
    }
    assert!(
        radius_of("Servers=h")
            .1
            .contains("h has no secret, and there is no SharedSecret")
    );
    assert!(
        refused(&radius(""))
            .starts_with("gk.ini:3: [RadAcct] Servers names no server; the gatekeeper fails each event")
    );
}

#[test]
fn ports_interfaces_and_times_are_read_as_the_gatekeeper_reads_them() {
    let (radius, notices) = radius_of(
        "Servers=h:1:2:s\nRadiusPortRange=11000-10000\nLocalInterface=[2001:db8::1]\nIdCacheTimeout=2999\nRequestTimeout=500\n\
         RequestRetransmissions=1\nFixedUsername=gk\nTimestampFormat=",
    );
    assert_eq!(notices, "");
    assert_eq!(radius.port_range, (10000, 11000));
    assert_eq!(radius.local_interface, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(
        (radius.id_cache_timeout, radius.request_timeout),
        (Duration::from_secs(2), Duration::from_millis(500))
    );
    assert_eq!(
        (radius.transmissions, radius.fixed_username.as_deref()),
        (1, Some("gk"))
    );
    assert_eq!(radius.timestamp_format, None);

    let (radius, notices) =
        radius_of("Servers=h:1:2:s\nRequestTimeout=\nSocketDeleteTimeout=-5\nLocalInterface=nowhere.invalid");
    assert_eq!(
        (radius.request_timeout, radius.socket_delete_timeout),
        (Duration::ZERO, Duration::ZERO)
    );
    assert_eq!(radius.local_interface, None);
    for says in [
        "gk.ini:5: [RadAcct] RequestTimeout: `` is not a number; the gatekeeper reads it as 0",
        "gk.ini:6: [RadAcct] SocketDeleteTimeout: -5 is less than 0; billdrop takes 0",
        "gk.ini:7: [RadAcct] LocalInterface: `nowhere.invalid` is no address",
    ] {
        assert!(notices.contains(says), "{notices}");
    }
    let said = refused(&radius_text("RadiusPortRange=10000"));
    assert!(
        said.contains("`10000` is not a range of ports such as 10000-11000; the gatekeeper takes any port"),
        "{said}"
    );
    assert!(refused(&radius_text("RequestRetransmissions=0")).contains("nothing is ever sent"));
    assert!(refused(&radius_text("DefaultAcctPort=65536")).contains("65536 is not a port"));
}

fn radius_text(key: &str) -> String {
    radius(&format!("Servers=h:1:2:s\n{key}"))
}

#[test]
fn booleans_that_are_read_otherwise_than_they_look_are_told() {
    for (text, letter, number, is_told) in [
        ("on", false, false, (true, true)),
        ("enabled", false, false, (true, true)),
        ("2", false, true, (true, false)),
        ("", false, false, (true, true)),
        ("yes", true, true, (false, false)),
        ("0", false, false, (false, false)),
        ("accept", true, false, (false, true)),
        ("tomorrow", true, true, (true, true)),
    ] {
        let (radius, notices) = radius_of(&format!(
            "Servers=h:1:2:s\nAppendCiscoAttributes={text}\nRoundRobinServers={text}"
        ));
        assert_eq!(
            (radius.append_cisco_attributes, radius.round_robin),
            (letter, number),
            "{text}"
        );
        assert_eq!(
            notices.contains("gk.ini:5: [RadAcct] AppendCiscoAttributes"),
            is_told.0,
            "{text}: {notices}"
        );
        assert_eq!(
            notices.contains("gk.ini:6: [RadAcct] RoundRobinServers"),
            is_told.1,
            "{text}: {notices}"
        );
    }
}

#[test]
fn rotations_are_read_as_in_the_samples_and_what_is_rejected_there_is_told() {
    let at = |hour, minute| Rotate::Daily { hour, minute };
    let weekly = |day| Rotate::Weekly {
        day,
        hour: 0,
        minute: 59,
    };
    let monthly = |day, hour, minute| Rotate::Monthly { day, hour, minute };
    for (keys, rotate, is_told) in [
        ("", Rotate::Never, ""),
        ("Rotate=hourly\nRotateTime=45", Rotate::Hourly { minute: 45 }, ""),
        ("Rotate=hourly", Rotate::Hourly { minute: 59 }, ""),
        (
            "Rotate=hourly\nRotateTime=75",
            Rotate::Hourly { minute: 15 },
            "RotateTime: `75`",
        ),
        (
            "Rotate=hourly\nRotateTime=-5",
            Rotate::Hourly { minute: 55 },
            "RotateTime: `-5`",
        ),
        (
            "Rotate=hourly\nRotateTime=abc",
            Rotate::Hourly { minute: 0 },
            "RotateTime: `abc`",
        ),
        ("Rotate=hourly\nRotateTime=07", Rotate::Hourly { minute: 7 }, ""),
        ("Rotate=daily\nRotateTime=23:00", at(23, 0), ""),
        ("Rotate=Daily\nRotateTime=23", at(23, 0), ""),
        ("Rotate=daily", at(0, 59), ""),
        ("Rotate=daily\nRotateTime=25:00", at(0, 59), "RotateTime: `25:00`"),
        ("Rotate=weekly\nRotateTime=00:59\nRotateDay=Sun", weekly(0), ""),
        ("Rotate=weekly\nRotateDay=SUNDAY", weekly(0), ""),
        ("Rotate=weekly\nRotateDay=3", weekly(3), ""),
        ("Rotate=weekly\nRotateDay=sat", weekly(6), ""),
        ("Rotate=weekly\nRotateDay=Foo", weekly(0), "RotateDay: `Foo`"),
        ("Rotate=weekly\nRotateDay=7", weekly(0), "RotateDay: `7`"),
        ("Rotate=monthly\nRotateTime=23:00\nRotateDay=31", monthly(31, 23, 0), ""),
        ("Rotate=monthly", monthly(1, 0, 59), ""),
        ("Rotate=monthly\nRotateDay=32", monthly(1, 0, 59), "RotateDay: `32`"),
        ("Rotate=yearly", Rotate::Never, "Rotate: `yearly`"),
        ("Rotate=L10000", Rotate::Lines(10_000), ""),
        ("Rotate=l10k", Rotate::Lines(10_000), ""),
        ("Rotate=L2m", Rotate::Lines(2_000_000), ""),
        ("Rotate=S10k", Rotate::Octets(10_240), ""),
        ("Rotate=s1M", Rotate::Octets(1 << 20), ""),
        ("Rotate=L0", Rotate::Never, "Rotate: `L0`"),
        ("Rotate=S", Rotate::Never, "Rotate: `S`"),
        ("Rotate=S99999999999999999999", Rotate::Never, "Rotate: `S9"),
        ("Rotate=ß", Rotate::Never, "Rotate: `ß`"),
        ("Rotate=Lß", Rotate::Never, "Rotate: `Lß`"),
    ] {
        let (gatekeeper, notices) = good(&file(keys));
        assert_eq!(gatekeeper.file.unwrap().rotate, rotate, "{keys}");
        assert_eq!(notices.is_empty(), is_told.is_empty(), "{keys}: {notices}");
        assert!(notices.contains(is_told), "{keys}: {notices}");
    }
}

#[test]
fn a_template_turns_the_standard_line_off_unless_that_is_said() {
    let read = |keys: &str| {
        let (gatekeeper, notices) = good(&file(keys));
        (gatekeeper.file.unwrap().standard_format, notices)
    };
    assert_eq!(read(""), (true, String::new()));
    assert_eq!(read("CDRString=%s"), (false, String::new()));
    let (standard, notices) = read("CDRString=%s\nStandardCDRFormat=1");
    assert!(standard && notices.contains("CDRString is not used"), "{notices}");
    assert!(
        refused(&file("StandardCDRFormat=0")).contains("each stop would fail; the gatekeeper has no line to write")
    );
    let without = "[Gatekeeper::Acct]\nFileAcct=required\n";
    assert!(refused(without).contains("DetailFile names no file"));
    let (gatekeeper, _) = parse(without.as_bytes(), Leniency::Lenient).unwrap();
    assert_eq!(gatekeeper.file.unwrap().detail_file, Path::new(""));
}

#[test]
fn a_database_without_what_it_needs_is_refused_whatever_the_leniency() {
    for (keys, says) in [
        (
            "Database=d\nStopQuery=q",
            "gk.ini:3: [SQLAcct] Driver is not given; billdrop has MySQL, PostgreSQL and SQLite",
        ),
        (
            "Driver=mysql\nDatabase=d\nStopQuery=q",
            "gk.ini:4: [SQLAcct] Driver: `mysql` is not known (did you mean MySQL?)",
        ),
        (
            "Driver=Oracle\nDatabase=d\nStopQuery=q",
            "gk.ini:4: [SQLAcct] Driver: billdrop has no Oracle",
        ),
        (
            "Driver=SQLite\nStopQuery=q",
            "gk.ini:3: [SQLAcct] Database is not given",
        ),
        (
            "Driver=SQLite\nDatabase=d",
            "gk.ini:3: [SQLAcct] StopQuery is not given, but the chain has SQLAcct log stop",
        ),
        (
            "Driver=SQLite\nDatabase=d\nStopQuery=q\nHost=h:x",
            "gk.ini:7: [SQLAcct] Host: `h:x` has no port",
        ),
    ] {
        let said = refused(&sql(keys));
        assert!(said.starts_with(says), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(parse(sql(keys).as_bytes(), Leniency::Lenient).is_err(), "{keys}");
    }
    let all = sql(DATABASE).replace("optional;stop", "required");
    let said = refused(&all);
    assert!(
        said.contains("StartQuery is not given")
            && said.contains("UpdateQuery is not given, but the chain has SQLAcct log update, connect")
    );
    let (_, notices) = good(&format!("{all}StartQuery=a\nUpdateQuery=b\n"));
    assert!(
        notices.contains("AlertQuery is not given: each alert fails"),
        "{notices}"
    );
}

#[test]
fn hosts_and_pools_are_read() {
    let read = |keys: &str| good(&sql(&format!("{DATABASE}\n{keys}"))).0.sql.unwrap();
    for (host, expected) in [
        ("", ("localhost", None)),
        ("Host=", ("localhost", None)),
        ("Host=db.example.com", ("db.example.com", None)),
        ("Host=db:3306", ("db", Some(3306))),
        ("Host=[2001:db8::1]:5432", ("2001:db8::1", Some(5432))),
        ("Host=2001:db8::1", ("2001:db8::1", None)),
    ] {
        let sql = read(host);
        assert_eq!((sql.host.as_str(), sql.port), expected, "{host}");
    }
    for (keys, expected) in [
        ("", (1, 1)),
        ("MinPoolSize=3", (3, 3)),
        ("MaxPoolSize=5", (1, 5)),
        ("MinPoolSize=4\nMaxPoolSize=2", (4, 4)),
        ("MinPoolSize=0", (1, 1)),
        ("MinPoolSize=99999999999", (1000, 1000)),
    ] {
        let sql = read(keys);
        assert_eq!((sql.min_pool_size, sql.max_pool_size), expected, "{keys}");
    }
}

#[test]
fn encrypted_passwords_are_read_and_wrong_ones_refused_without_a_trace_of_them() {
    let main = "[Gatekeeper::Main]\nEncryptAllPasswords=1\n";
    let (gatekeeper, notices) = good(&format!(
        "{main}{}SharedSecret=tXH7IogzSbh7RkEEqCtxJQ==\n",
        radius("Servers=h:1:2")
    ));
    assert_eq!(
        gatekeeper.radius.unwrap().servers[0].secret.reveal().unwrap(),
        "s3cr3t-radius"
    );
    assert_eq!(notices, "");
    let section = radius("Servers=h:1:2\nKeyFilled=1\nSharedSecret=8q0hymdZlYbs6xkzEWuveg==");
    assert_eq!(
        good(&section).0.radius.unwrap().servers[0].secret.reveal().unwrap(),
        "s3cr3t-radius"
    );
    // `on` is false at the gatekeeper, so the text itself would be the secret.
    let on = format!(
        "[Gatekeeper::Main]\nEncryptAllPasswords=on\n{}SharedSecret=tXH7IogzSbh7RkEEqCtxJQ==\n",
        radius("Servers=h:1:2\nKeyFilled=-1x")
    );
    let (gatekeeper, notices) = good(&on);
    assert_eq!(
        gatekeeper.radius.unwrap().servers[0].secret.reveal().unwrap(),
        "tXH7IogzSbh7RkEEqCtxJQ=="
    );
    for says in [
        "gk.ini:2: [Gatekeeper::Main] EncryptAllPasswords: the gatekeeper reads `on` as false",
        "gk.ini:7: [RadAcct] KeyFilled: `-1x` is not a number; the gatekeeper reads it as -1",
        "gk.ini:8: [RadAcct] SharedSecret looks encrypted, but is taken as it stands",
    ] {
        assert!(notices.contains(says), "{notices}");
    }
    // Secrets in Servers are never encrypted.
    let (gatekeeper, _) = good(&format!("{main}{}", radius("Servers=h:1:2:secret")));
    assert_eq!(gatekeeper.radius.unwrap().servers[0].secret.reveal().unwrap(), "secret");
    let (gatekeeper, _) = good(&format!("{main}{}", sql(DATABASE)));
    assert_eq!(gatekeeper.sql.unwrap().password, Secret::Text(String::new()));

    let wrong = format!("{main}{}", sql(&format!("{DATABASE}\nPassword=hunter2")));
    let said = refused(&wrong);
    assert!(
        said.starts_with("gk.ini:9: [SQLAcct] Password cannot be decrypted"),
        "{said}"
    );
    assert!(
        said.contains("billdrop addpasswd") && !said.contains("hunter2"),
        "{said}"
    );
    let (gatekeeper, notices) = parse(wrong.as_bytes(), Leniency::Lenient).unwrap();
    assert_eq!(gatekeeper.sql.unwrap().password, Secret::Text(String::new()));
    assert!(told(&notices).contains("billdrop takes an empty one") && !told(&notices).contains("hunter2"));
}

#[test]
fn no_secret_is_in_a_message_or_in_debug() {
    let keys = format!("{DATABASE}\nPassword=hunter2\nPasword=hunter2\nPassword2 hunter2\nKeyFilled=-1");
    let text = format!(
        "{}[RadAcct]\nServers=h:1:2:hunter2\nSharedSecret=hunter2\n",
        sql(&keys).replace("stop\n", "stop\nRadAcct=optional\n")
    );
    let (gatekeeper, notices) = good(&text);
    assert!(
        notices.contains("[SQLAcct] Pasword: unknown key (did you mean Password?)"),
        "{notices}"
    );
    assert!(!notices.contains("hunter2"), "{notices}");
    assert!(!format!("{gatekeeper:?}").contains("hunter2"));
}

#[test]
fn what_nobody_reads_is_told_with_its_line() {
    let text = "x=1\n[Gatekeeper::Main]\nTimestampFormt=MySQL\nFourtytwo=42\n[SQLConfig]\nDriver=MySQL\n[RadAcct]\nServers=h\n\
                [FileAct]\n[Gatekeeper::Acct]\nFileAcct=required\n[FileAcct]\nDetailfile=/c\nCDRString=%s\n|%g\nRotat=daily\nIncludeX=1\n\
                CDRString=%n\n[RadAuth]\nServers\n[SQLAuth]\n[Gatekeeper::Auth]\n";
    let (gatekeeper, notices) = good(text);
    assert_eq!(gatekeeper.file.unwrap().cdr_string, "%s\n%n");
    let expected = [
        "gk.ini:1: this line stands before the first section",
        "gk.ini:3: [Gatekeeper::Main] TimestampFormt: unknown key (did you mean TimestampFormat?)",
        "gk.ini:5: [SQLConfig]: the gatekeeper takes parts of its configuration from a database",
        "gk.ini:7: [RadAcct] is not used",
        "gk.ini:9: [FileAct] is not a section of accounting (did you mean [FileAcct]?)",
        "gk.ini:15: no `KEY=` begins this line",
        "gk.ini:16: [FileAcct] Rotat: unknown key (did you mean Rotate?)",
        "gk.ini:17: [FileAcct] IncludeX: unknown key",
        "gk.ini:18: [FileAcct] CDRString stands in line 14 already",
    ];
    let lines: Vec<&str> = notices.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{notices}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_lines() {
    let text = "\u{FEFF}[SQLAcct] ; x\nDriver=x\n[SQLAcct]\nDriver=y\n[Gatekeeper::Acct]\nFileAcct=requird\nSQLAcct=optional;stp\nX=1\n";
    let said = refused(text);
    let lines: Vec<&str> = said.lines().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "gk.ini", "gk.ini:1", "gk.ini:3", "gk.ini:4", "gk.ini:6", "gk.ini:7", "gk.ini:8"
        ],
        "{said}"
    );
    let bracket = refused("[FileAcct] ; x\nDetailFile=/c\n[Gatekeeper::Acct]\nSpoolAcct=required;stop\n");
    assert!(
        bracket.starts_with("gk.ini:1: [FileAcct] ; x: nothing may follow the bracket"),
        "{bracket}"
    );
}

#[test]
fn octets_that_are_not_text_matter_only_where_they_are_used() {
    let text = b"; \xff\n[Other]\nx=\xff\0\n[Gatekeeper::Acct]\nFileAcct=required\n[FileAcct]\nDetailFile=/c\n";
    assert!(parse(text, Leniency::Strict).is_ok());
    for (value, says) in [
        (&b"\xfc"[..], "is not UTF-8; save the file as UTF-8"),
        (b"a\0b", "has a NUL in it; remove it"),
    ] {
        let text = [text, &b"CDRString="[..], value, b"\n"].concat();
        for leniency in [Leniency::Strict, Leniency::Lenient] {
            let said = parse(&text, leniency).unwrap_err().to_string();
            assert_eq!(said, format!("gk.ini:8: [FileAcct] CDRString: {says}"));
        }
    }
}

#[test]
fn a_file_that_cannot_be_trusted_or_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gk.ini");
    let load = || gatekeeper::load(&path, Leniency::Strict);
    let exit = |problems: Problems| Error::from(problems).exit();
    let missing = load().unwrap_err();
    assert!(
        missing.to_string().contains("cannot read the gatekeeper's ini"),
        "{missing}"
    );
    assert_eq!(exit(missing), Exit::Configuration);

    fs::write(&path, radius("Servers=192.0.2.1:1:2:s\nLocalInterface=localhost")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let (gatekeeper, notices) = load().unwrap();
    assert!(
        told(&notices).contains("everybody can read it (mode 0644): chmod o-r"),
        "{notices:?}"
    );
    assert!(
        gatekeeper.radius.unwrap().local_interface.unwrap().is_loopback(),
        "names are looked up"
    );
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert!(load().unwrap().1.is_empty());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let open = load().unwrap_err();
    assert!(
        open.to_string()
            .contains("everybody may change to whom calls are told; chmod o-w"),
        "{open}"
    );
    assert_eq!(exit(open), Exit::Denied);
    assert!(
        gatekeeper::load(directory.path(), Leniency::Strict)
            .unwrap_err()
            .to_string()
            .contains("is not a file")
    );
    let long = vec![b'\n'; (1 << 20) + 1];
    assert!(
        parse(&long, Leniency::Strict)
            .unwrap_err()
            .to_string()
            .contains("longer than 1048576 octets")
    );
}

#[test]
fn a_mebibyte_of_anything_is_read_in_moments() {
    let begin = Instant::now();
    let lines = |line: &dyn Fn(usize) -> String| -> String {
        (0..)
            .map(line)
            .scan(0, |sum, line| {
                *sum += line.len();
                (*sum < 1 << 20).then_some(line)
            })
            .collect()
    };
    for text in [
        lines(&|n| format!("[{n}]\n")),
        lines(&|n| format!("[RadAct{n}]\n")),
        format!("[RadAcct]\n{}", lines(&|n| format!("Server{n}=\n"))),
        format!("[RadAcct]\n{}", lines(&|_| "Servers=h\n".to_owned())),
        format!("[Gatekeeper::Acct]\n{}", lines(&|n| format!("FilAct{n}=x\n"))),
        format!("[Gatekeeper::Acct]\nFileAcct=x{}", lines(&|_| ",stpo".to_owned())),
        format!(
            "[Gatekeeper::Acct]\nRadAcct=x\n[RadAcct]\nServers={}",
            lines(&|_| ":".to_owned())
        ),
        format!(
            "[Gatekeeper::Acct]\nRadAcct=x\n[RadAcct]\nServers={}",
            lines(&|_| "h:1 ".to_owned())
        ),
        lines(&|_| "x\n".to_owned()),
        lines(&|_| "[[[[".to_owned()),
    ] {
        assert!(text.len() > 1 << 19);
        for leniency in [Leniency::Strict, Leniency::Lenient] {
            if let Err(problems) = parse(&text.as_bytes()[..text.len().min(1 << 20)], leniency) {
                assert!(problems.to_string().lines().count() <= 51);
            }
        }
    }
    assert!(begin.elapsed() < Duration::from_secs(200), "{:?}", begin.elapsed());
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "\n",
        "\n",
        "\n",
        "=",
        ";",
        ",",
        " ",
        "[Gatekeeper::Acct]\n",
        "[RadAcct]\n",
        "[FileAcct]\n",
        "[SQLAcct]\n",
        "[StatusAcct]\n",
        "[SyslogAcct]\n",
        "[CallTable]\n",
        "[Gatekeeper::Main]\n",
        "RadAcct=",
        "FileAcct=",
        "SQLAcct=",
        "SpoolAcct=",
        "StatusAcct=",
        "default=",
        "accept",
        "required",
        "optional",
        "sufficient",
        "alternative",
        "start",
        "stop",
        "on",
        "update",
        "Servers=h:1:2:s\n",
        "DetailFile=/c\n",
        "Driver=SQLite\nDatabase=d\nStopQuery=q\n",
        "StartQuery=q\nUpdateQuery=q\n",
        "Password=",
        "KeyFilled=0\n",
        "Rotate=",
        "L10k",
        "RotateTime=",
        "RotateDay=",
        "CDRString=",
        "RadiusPortRange=",
        "-",
        "SharedSecret=",
        "\u{FEFF}",
        "é",
    ]);
    prop_oneof![
        20 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_file_is_a_panic_and_what_is_good_is_good_for_the_lenient(pieces in prop::collection::vec(piece(), 0..40)) {
        fuzz::gatekeeper_ini(&pieces.concat());
    }

    #[test]
    fn garbage_is_no_panic(octets in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz::gatekeeper_ini(&octets);
    }
}
