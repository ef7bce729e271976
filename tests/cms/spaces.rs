//! Spaces: all of them, each once, as the server has them, however its pages behave.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    site::Site,
    support::{binary::ran, poll},
};

const NO_HISTORY: &str = "[cms]\nlicense-history = \"off\"\n";

#[track_caller]
fn each_once(ids: &[String], count: usize) {
    let distinct: BTreeSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (count, count));
}

/// KiB of memory that a capture takes at its peak.
fn peak_of_capture(site: &Site) -> u64 {
    let mut command = site.place.command(&["capture"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let peak = || {
        let status = fs::read_to_string(&status).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    let mut highest = 0;
    let ended = poll(Duration::from_secs(240), || {
        highest = highest.max(peak().unwrap_or(0));
        child.try_wait().unwrap()
    });
    let ended = ended.unwrap_or_else(|| {
        child.kill().unwrap();
        panic!("the capture takes too long")
    });
    assert!(ended.success(), "{ended}");
    highest
}

#[test]
fn fifty_thousand_spaces_in_pages_of_twenty_are_all_there_in_little_memory() {
    const LIMIT: u64 = 60 << 10;
    for (details, count) in [("false", 50_000), ("true", 50_000)] {
        let toml = format!("timeout = \"4min\"\n{NO_HISTORY}details = {details}\n");
        let site = Site::new(&["cms:page=20,spaces=50000"], &toml);
        let peak = peak_of_capture(&site);
        assert!(peak > 1000 && peak < LIMIT, "details {details}: {peak} KiB");
        let name = site.place.listing().remove(0);
        let text = fs::read_to_string(site.place.spool().join(name)).unwrap();
        let ids: BTreeSet<&str> = text
            .split("<coSpaceId>")
            .skip(1)
            .map(|after| after.split('<').next().unwrap())
            .collect();
        assert_eq!((text.matches("<coSpaceId>").count(), ids.len()), (count, count));
        assert!(text.contains("<state>complete</state>"));
        assert_eq!(text.contains("<ownerJid>owner49999@"), details == "true");
    }
}

#[test]
fn the_servers_page_size_and_ours_do_not_matter() {
    for (server, ours, spaces) in [
        (20, 100, 50),
        (3, 100, 50),
        (2, 100, 50),
        (100, 2, 50),
        (100, 1, 9),
        (1, 100, 1),
        (20, 100, 0),
        (20, 100, 20),
        (20, 100, 21),
        (20, 100, 39),
    ] {
        let device = format!("cms:page={server},spaces={spaces}");
        let site = Site::new(&[&device], &format!("{NO_HISTORY}page-size = {ours}\n"));
        let document = site.capture(0);
        document.is_complete();
        each_once(&document.spaces(), spaces);
    }
}

/// Where every page has one item, nobody sees whether the items moved.
#[test]
fn a_list_that_comes_one_by_one_is_not_believed() {
    let site = Site::new(&["cms:page=1,spaces=5"], NO_HISTORY);
    let document = site.capture(69);
    document.is_incomplete("it gives one a page");
    each_once(&document.spaces(), 5);
}

/// A space went and another came between two pages: the total was as before, and as many came, but one was left out
/// without a word.
#[test]
fn spaces_that_move_once_are_all_there() {
    for quirk in [
        "moving-once=1",
        "moving-once=7",
        "moving-once=19",
        "moving-once=1*3",
        "moving-once=4*30",
        "shrinking-once=1",
        "shrinking-once=5",
        "shrinking-once=2*3",
    ] {
        let site = Site::new(&[&format!("cms:page=20,spaces=400,{quirk}")], NO_HISTORY);
        let moved = site.capture(0);
        moved.is_complete();
        // Nothing moves any more.
        let settled = site.capture(0);
        let moved: BTreeSet<String> = moved.spaces().into_iter().collect();
        let settled: BTreeSet<String> = settled.spaces().into_iter().collect();
        assert!(settled.len() > 300 && settled.is_subset(&moved), "{quirk}");
    }
}

#[test]
fn spaces_that_go_on_moving_make_the_source_incomplete() {
    for quirk in ["moving=1", "moving=3", "moving=2*5", "shrinking=1", "shrinking=4"] {
        let site = Site::new(&[&format!("cms:page=20,spaces=400,{quirk}")], NO_HISTORY);
        let document = site.capture(69);
        document.is_incomplete("spaces changed while they were read, also the second time");
        let ids = document.spaces();
        each_once(&ids, ids.len());
        assert!(ids.len() > 300, "{quirk}: {}", ids.len());
    }
}

#[test]
fn a_total_that_lies_is_told_and_costs_no_space() {
    for total in [500, 51, 49, 10, 0] {
        let site = Site::new(&[&format!("cms:page=20,spaces=50,total={total}")], NO_HISTORY);
        let document = site.capture(69);
        document.is_incomplete(&format!(
            "spaces: the CMS counts {total}, and 50 different ones came, also the second time"
        ));
        each_once(&document.spaces(), 50);
        assert!(site.asked().len() < 20, "{:?}", site.asked().len());
    }
}

#[test]
fn a_server_that_always_gives_the_same_page_is_left() {
    let site = Site::new(&["cms:page=20,spaces=50,total=1000000,stuck"], NO_HISTORY);
    let document = site.capture(69);
    document.is_incomplete("the same ones page after page; the CMS counts 1000000, and 20 different ones came");
    each_once(&document.spaces(), 20);
    assert!(site.asked().len() < 50, "{}", site.asked().len());
    let honest = Site::new(&["cms:page=20,spaces=20,stuck"], NO_HISTORY);
    honest.capture(0).is_complete();
}

#[test]
fn a_server_that_goes_on_for_ever_is_stopped() {
    let site = Site::new(&["cms:huge=1GB"], NO_HISTORY);
    let ran = site.try_capture().expect(69);
    assert!(
        ran.stderr.contains("its answer is longer than 16 MiB"),
        "{}",
        ran.stderr
    );
}

const NAMES: [Option<&str>; 8] = [
    Some("R&D Atrium 0"),
    Some("Café Nord 1: planning, weekly"),
    None,
    Some("Lena O'Hara <space> 3"),
    None,
    Some("first line 5\nsecond: line, \"quoted\""),
    Some("Zoë & Co 6"),
    Some("Room 7"),
];

#[test]
fn names_arrive_unchanged_in_every_form() {
    let site = Site::new(&["cms"], NO_HISTORY);
    let ran = site.place.run(&["capture"]).expect(0);
    let file = site.place.path().join(ran.stdout.trim_end());
    let expected: Vec<String> = NAMES.map(|name| name.unwrap_or_default().to_owned()).into();
    assert_eq!(in_xml(&file), expected);
    let json = site.place.shown(&file);
    let spaces = json["records"].as_array().unwrap().iter();
    let json: Vec<String> = spaces
        .filter(|record| record["recordType"] == "ConferenceSpace-Type")
        .map(|record| record["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(json, expected);
    assert_eq!(in_csv(&site, &file), expected);
    let table = site.place.run(&["show", file.to_str().unwrap()]).expect(0).stdout;
    for name in NAMES.into_iter().flatten() {
        // Of a text with a line end the table shows the line end as a character.
        let shown = name.split('\n').next().unwrap();
        assert!(table.contains(shown), "{shown}: {table}");
    }
    let names = table.lines().filter(|line| line.contains("-0000-4000-8000-")).count();
    assert_eq!(names, 8, "a row for each: {table}");
}

/// As xmllint reads them.
fn in_xml(file: &Path) -> Vec<String> {
    (1..=8)
        .map(|n| {
            let record = format!("//*[local-name()='IPDR'][*[local-name()='coSpaceId']][{n}]");
            let mut command = Command::new("xmllint");
            command.args(["--xpath", &format!("string({record}/*[local-name()='name'])")]);
            let text = ran(command.arg(file)).expect(0).stdout;
            text.strip_suffix('\n').unwrap_or(&text).to_owned()
        })
        .collect()
}

fn in_csv(site: &Site, file: &Path) -> Vec<String> {
    let shown = site.place.run(&["show", "--format", "csv", file.to_str().unwrap()]);
    let text = shown.expect(0).stdout;
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let header = rows.iter().find(|row| row.iter().any(|cell| cell == "coSpaceId"));
    let column = header.unwrap().iter().position(|cell| cell == "name").unwrap();
    rows.iter()
        .filter(|row| &row[0] == "ConferenceSpace-Type")
        .map(|row| row[column].to_owned())
        .collect()
}

#[test]
fn details_are_asked_for_of_each_space_that_is_still_there() {
    let toml = format!("{NO_HISTORY}details = true\n");
    let site = Site::new(&["cms:spaces=30,deleted=4"], &toml);
    let document = site.capture(0);
    document.remarks("spaces that were deleted after they were listed have no details: 8");
    each_once(&document.spaces(), 30);
    for space in document.of("ConferenceSpace") {
        let id = space["coSpaceId"].as_str().unwrap();
        let number: usize = id.rsplit('-').next().unwrap().parse().unwrap();
        let expected = (!number.is_multiple_of(4)).then(|| format!("owner{number}@example.com"));
        assert_eq!(space["ownerJid"].as_str(), expected.as_deref(), "{space}");
        assert_eq!(
            space["name"].as_str(),
            NAMES[number % 8].map(|name| name_of(name, number)).as_deref()
        );
    }
}

/// The name of a space in the shape of one of the first eight.
fn name_of(shape: &str, number: usize) -> String {
    shape.replacen(&(number % 8).to_string(), &number.to_string(), 1)
}

#[test]
fn details_that_are_refused_make_the_source_incomplete() {
    let toml = format!("{NO_HISTORY}details = true\n");
    let site = Site::new(&["cms:refuse=400/somethingNew@cospaces/"], &toml);
    let document = site.capture(69);
    document.is_incomplete("the details of spaces are refused, of 8 (HTTP 400, somethingNew)");
    each_once(&document.spaces(), 8);
}

#[test]
fn ids_are_what_they_are() {
    let toml = format!("{NO_HISTORY}details = true\n");
    let site = Site::new(&["cms:spaces=10,odd-ids"], &toml);
    let document = site.capture(69);
    document.is_incomplete("the details of spaces are refused, of 1 (its id cannot be asked for)");
    let owners: BTreeMap<String, String> = document
        .spaces()
        .into_iter()
        .zip(document.texts("ConferenceSpace", "ownerJid"))
        .collect();
    let expected = [
        ("..", ""),
        ("../system/status?a=b#1", "owner1@example.com"),
        ("a b+c%202", "owner2@example.com"),
        ("case", "owner3@example.com"),
        ("CASE", "owner4@example.com"),
        ("11111111-0000-4000-8000-00000000000A", "owner5@example.com"),
        ("11111111-0000-4000-8000-00000000000a", "owner6@example.com"),
        ("Zoë/7:,;", "owner7@example.com"),
        (&"x".repeat(255), "owner8@example.com"),
        ("-", "owner9@example.com"),
    ];
    let expected = expected.map(|(id, owner)| (id.to_owned(), owner.to_owned()));
    assert_eq!(owners, expected.into());
}
