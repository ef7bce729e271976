use proptest::prelude::*;

use super::*;
use crate::config::COLUMNS;

const HEADER: &str = "contract,target,local_or_remote,ip_address,axlusr,axlpwd,serv_cnt";

fn parse(text: &str) -> Result<Vec<Device>, String> {
    let listed = parse_devices(text.as_bytes(), Path::new("etc/b.csv")).map_err(|problems| problems.to_string())?;
    Ok(listed.into_iter().map(|listed| listed.device).collect())
}

/// The only device of a list with these columns more.
#[track_caller]
fn with(columns: &str, cells: &str) -> Result<Device, String> {
    let text = format!("{HEADER},{columns}\n1,CUCM,local,192.0.2.1,u,p,N,{cells}\n");
    parse(&text).map(|mut devices| devices.remove(0))
}

#[test]
fn a_list_as_the_manual_shows_it_has_its_devices() {
    // Indented, and with one name spelt as people have spelt it.
    let text = "\
              contract,target,local_or_rmote,ip_address,axlusr,axlpwd,serv_cnt
              22222222,CUCM,local,127.0.0.1,SomeAXL,abc-DEfg!1,CUCM1
              33333333,CUCM,remote,127.0.0.1,SomeAXL,abc-DEfg!1,CUCM2
              77777777,CMS,local,127.0.0.1,SomeAXL,abc-DEfg!1,CMS1
              88888888,CMS,local,127.0.0.1,SomeAXL,abc-DEfg!1,CMS2
";
    let devices = parse(text).unwrap();
    let told: Vec<String> = devices
        .iter()
        .map(|d| {
            format!(
                "{} {} {} {} {} {}",
                d.name, d.contract, d.kind, d.location, d.address, d.port
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            "CUCM1 22222222 CUCM local 127.0.0.1 8443",
            "CUCM2 33333333 CUCM remote 127.0.0.1 8443",
            "CMS1 77777777 CMS local 127.0.0.1 443",
            "CMS2 88888888 CMS local 127.0.0.1 443",
        ]
    );
    for device in devices {
        assert_eq!(
            (device.user.as_str(), device.password.reveal().as_deref()),
            ("SomeAXL", Ok("abc-DEfg!1"))
        );
        assert_eq!(
            (device.tls, device.timeout, device.proxy),
            (Tls::default(), Span::seconds(60), None)
        );
    }
}

#[test]
fn columns_stand_in_any_order_under_names_in_any_case() {
    let text = "\u{FEFF}SERV_CNT, AxlPwd ,\"Target\",Timeout,ip_address,axlusr,Local_Or_Remote,contract\r\n\
                # none,of,these\r\n\r\n   # nor this\r\n,,,,,,,\r\n\
                A,p,cms,90,[2001:db8::1],u,REMOTE,7\r\n\
                B,p,Cucm,1h 30m,cucm.example.net,u,Local,8\r\n";
    let devices = parse(text).unwrap();
    assert_eq!(
        (devices[0].kind, devices[0].location),
        (DeviceKind::Cms, Location::Remote)
    );
    assert_eq!(
        (devices[0].address.as_str(), devices[0].timeout),
        ("2001:db8::1", Span::seconds(90))
    );
    assert_eq!(
        (devices[1].name.as_str(), devices[1].timeout),
        ("B", Span::seconds(5400))
    );
}

#[test]
fn a_password_is_exactly_what_stands_there() {
    for (cell, password) in [
        ("#a=b:c;d", "#a=b:c;d"),
        ("=1+1", "=1+1"),
        ("a\"b", "a\"b"),
        ("\" a,\"\"b\"\"\n#c \"", " a,\"b\"\n#c "),
        ("  \"a \"  ", "a "),
        ("pässwörd€", "pässwörd€"),
        ("file:x", "file:x"),
    ] {
        let text = format!("{HEADER}\n1,CUCM,local,192.0.2.1,u,{cell},N\n");
        let device = parse(&text).unwrap_or_else(|e| panic!("{e}")).remove(0);
        assert_eq!(device.password, Secret::Text(password.to_owned()));
    }
}

#[test]
fn a_password_may_stand_elsewhere() {
    let columns = "contract,target,local_or_remote,ip_address,axlusr,serv_cnt,axlpwd_from";
    let row = |name: &str, from: &str| format!("1,CMS,local,192.0.2.1,u,{name},{from}\n");
    let text = [
        format!("{columns}\n"),
        row("A", "file:keys/a"),
        row("B", "FILE:/keys/b"),
        row("C", "env: BILLDROP_C"),
    ]
    .concat();
    let secrets: Vec<Secret> = parse(&text).unwrap().into_iter().map(|d| d.password).collect();
    // Beside the list, like every path in it.
    assert_eq!(secrets[0], Secret::from_file(PathBuf::from("etc/keys/a")));
    assert_eq!(secrets[1], Secret::from_file(PathBuf::from("/keys/b")));
    assert_eq!(secrets[2], Secret::from_env("BILLDROP_C"));
}

#[test]
fn optional_columns_say_how_the_device_is_reached() {
    let device = with(
        "port,tls_ca,tls_fingerprint,tls_name,tls_insecure,timeout,proxy",
        &format!("445,ca.pem,{},cms.example.net,no,2m,http://[::1]:3128", "ab".repeat(32)),
    )
    .unwrap();
    assert_eq!(
        (device.port, device.timeout, device.proxy.as_deref()),
        (445, Span::seconds(120), Some("http://[::1]:3128"))
    );
    assert_eq!(
        device.tls,
        Tls {
            ca: Some(PathBuf::from("etc/ca.pem")),
            fingerprint: Some([0xab; 32]),
            name: Some("cms.example.net".to_owned()),
            any_name: false,
            insecure: false,
        }
    );
    for (cell, insecure) in [
        ("yes", true),
        ("TRUE", true),
        ("1", true),
        ("No", false),
        ("0", false),
        ("", false),
    ] {
        assert_eq!(with("tls_insecure", cell).unwrap().tls.insecure, insecure, "{cell}");
    }
    assert_eq!(with("port,timeout,proxy", ",,").unwrap().port, 8443);
}

/// Each with the row or rows below the usual header, and everything that is said.
#[test]
fn what_is_wrong_with_a_row_is_told_with_line_and_column() {
    for (rows, said) in [
        ("", "etc/b.csv: names no device"),
        ("\n# 1,CUCM,local,h,u,p,N\n", "etc/b.csv: names no device"),
        (",CUCM,local,h,u,p,N", "etc/b.csv:2: column contract: is empty"),
        ("1,,local,h,u,p,N", "etc/b.csv:2: column target: is empty"),
        ("1,VCS,local,h,u,p,N", "etc/b.csv:2: column target: must be CUCM or CMS"),
        (
            "1,CUCM,lokal,h,u,p,N",
            "etc/b.csv:2: column local_or_remote: must be local or remote",
        ),
        (
            "\n#\n1,CUCM,local,http://h/,u,p,N",
            "etc/b.csv:4: column ip_address: must be an address or a host name alone, without scheme and path",
        ),
        (
            "1,CUCM,local,h:8443,u,p,N",
            "etc/b.csv:2: column ip_address: has a port; give it as port",
        ),
        (
            "1,CUCM,local,10.0.0.256,u,p,N",
            "etc/b.csv:2: column ip_address: is neither an address nor a host name",
        ),
        ("1,CUCM,local,h,,p,N", "etc/b.csv:2: column axlusr: is empty"),
        (
            "1,CUCM,local,h,u:v,p,N",
            "etc/b.csv:2: column axlusr: has a colon, which a user of HTTP cannot have",
        ),
        ("1,CUCM,local,h,u,,N", "etc/b.csv:2: column axlpwd: is empty"),
        ("1,CUCM,local,h,u,\"\",N", "etc/b.csv:2: column axlpwd: is empty"),
        (
            "1,CUCM,local,h,u, p,N",
            "etc/b.csv:2: column axlpwd: has blanks around it; put it in quotes if they belong to it, else remove them",
        ),
        ("1,CUCM,local,h,u,p,", "etc/b.csv:2: column serv_cnt: is empty"),
        (
            "1,CUCM,local,h,u,p,N\n2,CMS,local,h,u,p,\" N\"",
            "etc/b.csv:3: column serv_cnt: is that of line 2, too; give each device its own",
        ),
        (
            "1,CUCM,local,h,u,p,p,N",
            "etc/b.csv:2: has 8 cells, the header has 7; a password with a comma must stand in quotes",
        ),
        (
            "1",
            "etc/b.csv:2: has 1 cell, the header has 7; a password with a comma must stand in quotes",
        ),
        (
            "1,CUCM,local,h,u,\"p\"p,N",
            "etc/b.csv:2: column axlpwd: something stands behind the closing quote; a quote inside quotes must be doubled",
        ),
        (
            "1,CUCM,local,h,u,p,N\n2,CMS,local,h,u,\"p,M\n3,CMS,local,h,u,p,O\n",
            "etc/b.csv:3: column axlpwd: a quote opens here and does not close",
        ),
        ("1,CUCM,local,h,u,\"p\n\n\",", "etc/b.csv:4: column serv_cnt: is empty"),
        (
            ",CUCM,local,,u,p,N\n1,CUCM,local,h,u,p,N",
            "etc/b.csv:2: column contract: is empty\n\
             etc/b.csv:2: column ip_address: is empty\n\
             etc/b.csv:3: column serv_cnt: is that of line 2, too; give each device its own",
        ),
    ] {
        assert_eq!(parse(&format!("{HEADER}\n{rows}")).unwrap_err(), said, "{rows:?}");
    }
}

#[test]
fn what_is_wrong_with_an_optional_column_is_told() {
    let file = (
        "axlpwd_from",
        "file:x",
        "axlpwd: must be empty where axlpwd_from says where the password is",
    );
    let span = "timeout: must be a span of time, 1s to 1day";
    for (columns, cells, said) in [
        file,
        ("axlpwd_from", "hunter2", "axlpwd_from: must be file:PATH or env:NAME"),
        ("port", "0", "port: must be a port, 1 to 65535"),
        ("port", "https", "port: must be a port, 1 to 65535"),
        (
            "tls_fingerprint",
            "abcd",
            "tls_fingerprint: must be the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons",
        ),
        ("tls_name", "a b", "tls_name: is neither an address nor a host name"),
        ("tls_insecure", "maybe", "tls_insecure: must be yes or no"),
        ("timeout", "soon", span),
        ("timeout", "1.5", span),
        ("timeout", "0", "timeout: must be 1s to 1day"),
        ("timeout", "2days", "timeout: must be 1s to 1day"),
        ("timeout", "99999999999999999999", span),
        ("proxy", "socks5://h", "proxy: must be http://HOST or http://HOST:PORT"),
        (
            "proxy",
            "http://u:p@h",
            "proxy: has a user or a password, which is not possible",
        ),
        (
            "tls_insecure,tls_ca",
            "yes,ca.pem",
            "tls_insecure: contradicts tls_ca: with it nothing is checked; remove one",
        ),
    ] {
        let problems = with(columns, cells).unwrap_err();
        let first = problems.lines().next().unwrap();
        assert_eq!(first, format!("etc/b.csv:2: column {said}"), "{columns}: {cells}");
    }
}

#[test]
fn what_is_wrong_with_the_header_is_told() {
    let all = HEADER.replace(',', ", ").replace(", ", ",");
    for (header, said) in [
        ("", "etc/b.csv: names no device".to_owned()),
        (
            "1,CUCM,local,h,u,p,N",
            format!("etc/b.csv:1: this is not a header; the first line names the columns: {all}"),
        ),
        (
            "contract;target;local_or_remote",
            "etc/b.csv:1: the columns are separated by semicolons; separate them by commas".to_owned(),
        ),
        (
            "contract\ttarget",
            "etc/b.csv:1: the columns are separated by tabs; separate them by commas".to_owned(),
        ),
        (
            "contract,target,local_or_remote,ip_address,axlusr,serv_cnt",
            "etc/b.csv:1: column axlpwd is missing".to_owned(),
        ),
        (
            "contract,target,local_or_remote,ip_adress,axlusr,axlpwd,serv_cnt,local_or_rmote",
            "etc/b.csv:1: column 4 has no known name; did you mean ip_address?\n\
             etc/b.csv:1: column local_or_remote stands twice, as column 3 and 8\n\
             etc/b.csv:1: column ip_address is missing"
                .to_owned(),
        ),
        (
            "contract,target,local_or_remote,ip_address,axlusr,axlpwd,serv_cnt,,remarks of the owner",
            format!(
                "etc/b.csv:1: column 8 has no name\n\
                 etc/b.csv:1: column 9 has no known name; there are {}",
                COLUMNS.join(", ")
            ),
        ),
        (
            "\"contract",
            "etc/b.csv:1: column 1: a quote opens here and does not close".to_owned(),
        ),
        (
            &"contract,".repeat(100),
            "etc/b.csv:1: has 101 columns; there are 15".to_owned(),
        ),
    ] {
        assert_eq!(parse(&format!("{header}\n")).unwrap_err(), said, "{header:?}");
    }
}

/// With the password in front, a device whose password begins with # was passed over as a comment.
#[test]
fn a_password_in_the_first_column_makes_no_device_a_comment() {
    let list = |row: &str| {
        parse(&format!(
            "axlpwd,contract,target,local_or_remote,ip_address,axlusr,serv_cnt\n# a real comment\n\
             p,1,CUCM,local,h,u,N\n{row}\n"
        ))
    };
    let refused = list("#p,1,CUCM,local,h,u,M").unwrap_err();
    assert!(
        refused.starts_with("etc/b.csv:4: is this a comment, or a password"),
        "{refused}"
    );
    assert_eq!(list("\"#p\",1,CUCM,local,h,u,M").unwrap().len(), 2);
}

#[test]
fn a_list_has_limits() {
    let octets = |octets: &[u8]| parse_devices(octets, Path::new("b.csv")).unwrap_err().to_string();
    let long = vec![b'#'; LIMIT + 1];
    assert_eq!(
        octets(&long),
        "b.csv: longer than 8388608 octets; this is not a list of devices"
    );
    assert_eq!(
        octets(b"contract\n\n# \xFF\n"),
        "b.csv:3: not UTF-8; save the file as UTF-8"
    );
    assert_eq!(octets(b"\xFF\xFEc\0"), "b.csv:1: not UTF-8; save the file as UTF-8");

    let row = |n: usize| format!("1,CUCM,local,h,u,p,N{n}\n");
    let rows: String = (0..MOST_ROWS).map(row).collect();
    assert_eq!(parse(&format!("{HEADER}\n{rows}")).unwrap().len(), MOST_ROWS);
    let refused = parse(&format!("{HEADER}\n{rows}{}", row(MOST_ROWS))).unwrap_err();
    assert_eq!(refused, "etc/b.csv: names more than 10000 devices");

    let password = "p".repeat(LONGEST_CELL);
    assert!(parse(&format!("{HEADER}\n1,CUCM,local,h,u,{password},N")).is_ok());
    let refused = parse(&format!("{HEADER}\n1,CUCM,local,h,u,{password}p,N")).unwrap_err();
    assert_eq!(refused, "etc/b.csv:2: column axlpwd: is longer than 4096 octets");

    let refused = parse(&format!("{HEADER}\n{}", "1\n".repeat(2000))).unwrap_err();
    assert_eq!(refused.lines().count(), 21);
    assert!(refused.ends_with("\netc/b.csv: and 1980 more"), "{refused}");
}

#[test]
fn no_problem_shows_what_stands_in_a_cell() {
    const CANARY: &str = "c4n4ry";
    let good = format!("1,CUCM,local,h,u,{CANARY},N");
    let mut lists = vec![
        // No header, a header that a row is glued to, another separator.
        good.clone(),
        format!("{HEADER},{good}\n"),
        format!("{}\n{}\n", HEADER.replace(',', ";"), good.replace(',', ";")),
        format!("{HEADER}\n{}\n", good.replace(',', ";")),
        format!("{}\n{good}\n", HEADER.replace("axlpwd", CANARY)),
        // Quotes.
        format!("{HEADER}\n1,CUCM,local,h,u,\"{CANARY},N\n{good}\n"),
        format!("{HEADER}\n1,CUCM,local,h,u,\"{CANARY}\"x,N\n"),
        format!("{HEADER}\n1,CUCM,local,h,u,{CANARY},{CANARY},N\n"),
        format!("{HEADER}\n{good}\n{good}\n"),
        // Too long, blanks around it.
        format!("{HEADER}\n1,CUCM,local,h,u,{},N\n", CANARY.repeat(1000)),
        format!("{HEADER}\n1,CUCM,local,h,u, {CANARY} ,N\n"),
        // Beside a reference to itself.
        format!("{HEADER},axlpwd_from\n{good},file:{CANARY}\n"),
        format!("{HEADER},axlpwd_from\n{good},{CANARY}:x\n"),
    ];
    // In each column, as it is when columns shift.
    let optional = COLUMNS[7..].join(",");
    for column in 0..COLUMNS.len() {
        let mut cells: Vec<String> = "1,CUCM,local,h,u,p,N,1,c,,,,,,".split(',').map(str::to_owned).collect();
        cells[column] = format!("{CANARY}:\u{1}/ {CANARY}");
        lists.push(format!("{HEADER},{optional}\n{0}\n{0}\n", cells.join(",")));
    }
    for list in lists {
        let problems = parse_devices(list.as_bytes(), Path::new("b.csv"));
        let problems = problems.expect_err(&list);
        assert!(!problems.to_string().contains(CANARY), "{list}\n{problems}");
    }
    let devices = parse(&format!("{HEADER}\n{good}\n")).unwrap();
    assert!(!format!("{devices:?}").contains(CANARY));
}

/// As a spreadsheet or a script writes it.
fn written(style: csv::QuoteStyle, password: &str) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new().quote_style(style).from_writer(Vec::new());
    writer.write_record(HEADER.split(',')).unwrap();
    writer
        .write_record(["1", "CUCM", "local", "192.0.2.1", "u", password, "N"])
        .unwrap();
    writer.into_inner().unwrap()
}

proptest! {
    #[test]
    fn a_password_that_another_program_wrote_comes_back_exactly(password in "\\PC{1,40}|[\",#\\n\\r\\t a=]{1,12}|.{1,40}") {
        let quoted = parse_devices(&written(csv::QuoteStyle::Always, &password), Path::new("b.csv"));
        prop_assert_eq!(&quoted.unwrap()[0].device.password, &Secret::Text(password.clone()));

        // Without quotes where none are needed for others: blanks around it are refused then, never lost.
        let plain = parse_devices(&written(csv::QuoteStyle::Necessary, &password), Path::new("b.csv"));
        match plain {
            Ok(listed) => prop_assert_eq!(&listed[0].device.password, &Secret::Text(password)),
            Err(_) => prop_assert_ne!(password.trim(), &password),
        }
    }

    #[test]
    fn no_octets_are_a_panic(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_devices(&octets, Path::new("b.csv"));
    }

    #[test]
    fn nothing_below_a_header_is_a_panic(rows in "([\",#\\r\\n a1:/.\\[\\]-]|CUCM|local|http://|é){0,60}") {
        let text = format!("{},{}\n{rows}", HEADER, COLUMNS[7..].join(","));
        if let Err(problems) = parse_devices(text.as_bytes(), Path::new("b.csv")) {
            prop_assert!(problems.to_string().lines().count() <= 21);
        }
    }
}
