use super::*;
use crate::config::gatekeeper::EventKind;

const U1: &str = "061fcb16-eee4-f111-91e3-02fc00000001";
const U2: &str = "161fcb16-eee4-f111-91e3-02fc00000001";
/// Made on another host.
const FOREIGN: &str = "261fcb16-eee4-f111-91e3-02fcdeadbeef";
const GREETING: &[u8] =
    b"\xff\xfd\x03\xff\xfb\x05\xff\xfe\x01Version:\r\nGatekeeper(GNU) Version(5.15.0) Ext()\r\n;\r\n";

fn recordings() -> Vec<(String, Vec<u8>)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/gnugk");
    let mut recordings: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect();
    recordings.sort();
    assert!(recordings.len() >= 10, "recordings are missing");
    recordings
}

fn recording(name: &str) -> Vec<u8> {
    recordings().into_iter().find(|(each, _)| each == name).unwrap().1
}

fn read(octets: &[u8]) -> Vec<Item> {
    read_pieces([octets])
}

fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Item> {
    let (mut reader, mut items) = (Reader::new(), Vec::new());
    for piece in pieces {
        reader.take(piece, &mut items);
    }
    reader.finish(&mut items);
    items
}

fn records(items: &[Item]) -> Vec<&Record> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Record(record) => Some(&**record),
            _ => None,
        })
        .collect()
}

fn damages(items: &[Item]) -> Vec<&Damaged> {
    items
        .iter()
        .filter_map(|item| match item {
            Item::Damaged(damaged) => Some(damaged),
            _ => None,
        })
        .collect()
}

/// After the greeting.
fn read_events(octets: &[u8]) -> Vec<Item> {
    read(&[GREETING, octets].concat()).split_off(3)
}

/// A stop as the gatekeeper would write it, with all fixed fields empty and `alias` for `%u`.
fn stop(uuid: &str, alias: &str) -> String {
    let mut text = format!("BD1|stop|{uuid}|{}", "|".repeat(CALL_FIELDS.len()));
    for name in CALL_TEXTS {
        text += uuid;
        text += if name == "u" { alias } else { "" };
    }
    text + uuid + ".\r\n"
}

#[test]
fn recorded_octets_give_the_same_items_wherever_they_are_split() {
    for (name, octets) in recordings() {
        let whole = read(&octets);
        assert_eq!(read_pieces(octets.chunks(1)), whole, "{name}, octet by octet");
        // The text of one record is as good as that of the next: the first ones, and every place up to there.
        let most = octets.len().min(4500);
        for at in 0..most {
            let (one, other) = octets.split_at(at);
            assert!(read_pieces([one, other]) == whole, "{name}, split at {at}");
        }
        for size in [2, 3, 7, 64, 1400, 4096] {
            assert!(read_pieces(octets.chunks(size)) == whole, "{name}, in pieces of {size}");
        }
    }
}

#[test]
fn a_recorded_feed_has_each_event_live_and_once_more_in_the_backlog() {
    for (name, octets) in recordings() {
        let items = read(&octets);
        assert_eq!(damages(&items), Vec::<&Damaged>::new(), "{name}");
        let records = records(&items);
        if !name.starts_with("feed-") {
            assert!(records.is_empty(), "{name}");
            continue;
        }
        let live = if name == "feed-register-unregister.bin" {
            records.len()
        } else {
            records.len() / 2
        };
        assert!(live >= 2, "{name}");
        if live < records.len() {
            assert_eq!(records[..live], records[live..], "{name}");
        }
    }
}

#[test]
fn a_bar_and_a_carriage_return_in_an_alias_are_text() {
    for (name, user, src_info) in [
        (
            "feed-answered-pipe-in-alias.bin",
            "al|ice",
            "al|ice:h323_ID=1001:dialedDigits",
        ),
        (
            "feed-answered-cr-in-alias.bin",
            "a\r",
            "a\r:h323_ID=b:h323_ID=1001:dialedDigits",
        ),
    ] {
        let octets = recording(name);
        let items = read(&octets);
        let records = records(&items);
        let stop = records.iter().find(|record| record.kind == EventKind::Stop).unwrap();
        assert_eq!(stop.value("u"), user.as_bytes());
        assert_eq!(stop.value("src-info"), src_info.as_bytes());
        assert_eq!(stop.value("d"), b"12");
        assert_eq!(stop.value("c"), b"16");
        assert_eq!(stop.value("g"), b"example-gk");
        assert_eq!(stop.value("encryption"), b"Off");
        assert_eq!(stop.value("callee-audio-codec"), b"G711A");
        assert_eq!(stop.value("gkip"), b"127.0.0.1");
        assert!(
            items
                .iter()
                .any(|item| matches!(item, Item::Cdr(line) if line.ends_with(b"|example-gk;")))
        );
    }
}

#[test]
fn an_endpoint_has_its_own_fields() {
    let items = read(&recording("feed-register-unregister.bin"));
    let records = records(&items);
    let kinds: Vec<_> = records.iter().map(|record| record.kind).collect();
    assert_eq!(kinds, [EventKind::Register, EventKind::Unregister]);
    assert_eq!(records[1].value("aliases"), b"bob,2002");
    assert_eq!(records[1].value("endpoint-port"), b"11820");
    assert_eq!(records[1].value("event-time"), b"1795357495.470 +0100 CET");
    assert_eq!(records[1].value("caller-ip"), b"");
}

#[test]
fn the_greeting_says_that_the_client_is_let_in() {
    let items = read(&recording("status-default-templates.bin"));
    assert!(matches!(&items[1], Item::Version(line) if line.starts_with(b"Gatekeeper(GNU) Version(5.15.0)")));
    assert_eq!(items[2], Item::Startup(b"Sun, 22 Nov 2026 14:42:32 +01:00".to_vec()));
    assert_eq!(items[3], Item::End);
}

#[test]
fn a_login_is_asked_for_and_refused() {
    let octets =
        b"\xff\xfd\x03\xff\xfb\x05\xff\xfe\x01\r\nexample-gk login: \xff\xfb\x01Password: \r\n\xff\xfc\x01\r\n\
                   example-gk login: \xff\xfb\x01Password: \r\n\xff\xfc\x01\r\nAccess forbidden!\r\n";
    let expected = [
        Item::LoginPrompt,
        Item::PasswordPrompt,
        Item::LoginPrompt,
        Item::PasswordPrompt,
        Item::Forbidden,
    ];
    for size in 1..=octets.len() {
        assert_eq!(read_pieces(octets.chunks(size)), expected, "in pieces of {size}");
    }
}

#[test]
fn statistics_tell_how_many_calls_there_were() {
    let items = read_events(
        b"-- Call Statistics --\r\nTotal Calls: 17  Successful: 1  From Neighbor: 0\r\n\
          Startup: Sun, 22 Nov 2026 14:42:32 +01:00   Running: 0 days 00:01:45\r\n;\r\n",
    );
    assert_eq!(items[1], Item::TotalCalls(17));
    assert_eq!(items[2], Item::Startup(b"Sun, 22 Nov 2026 14:42:32 +01:00".to_vec()));
}

#[test]
fn a_record_in_an_alias_is_text() {
    let inner = stop(U2, "nobody");
    let alias = format!("x\r\n{inner}2026-11-22 15:24:26: {inner}CDR|1|;\r\nfull stop .\r\n");
    let items = read_events(stop(U1, &alias).as_bytes());
    assert_eq!(damages(&items), Vec::<&Damaged>::new());
    let records = records(&items);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].uuid, U1);
    assert_eq!(records[0].value("u"), alias.as_bytes());
}

#[test]
fn an_unset_parameter_of_an_older_release_is_empty() {
    let text = stop(U1, "%u").replacen("||", "|%{connect-time}|", 1);
    let items = read_events(text.as_bytes());
    assert_eq!(records(&items)[0].value("u"), b"");
    // It stands in the place of event-time here, where it is no placeholder.
    assert_eq!(records(&items)[0].value("event-time"), b"%{connect-time}");
}

#[test]
fn a_record_with_another_number_of_fields_or_texts_is_damaged() {
    let good = stop(U1, "alice");
    for bad in [
        good.replacen("|||", "||", 1),
        good.replacen("||", "|||", 1),
        good.replacen(U1, &format!("{U1}|{U1}"), 2),
        good.replace(".\r\n", ",\r\n"),
        good.replace(".\r\n", ".\n"),
        good.replace(".\r\n", &format!("{U1}.\r\n")),
        good.replace("stop", "on"),
        good.replace("stop", "register"),
    ] {
        let items = read_events(format!("{bad}{}", stop(U2, "bob")).as_bytes());
        assert_eq!(damages(&items).len(), 1, "{bad}");
        assert_eq!(damages(&items)[0].uuid.as_deref(), Some(U1));
        let records = records(&items);
        assert_eq!(records.len(), 1, "{bad}");
        assert_eq!(records[0].uuid, U2);
    }
}

#[test]
fn what_follows_a_record_without_end_is_found_again() {
    let short = read_events(format!("{}\r\n{}", &stop(U1, "alice")[..60], stop(U2, "bob")).as_bytes());
    assert_eq!((damages(&short).len(), records(&short).len()), (1, 1));
    let cut = &stop(U1, "alice")[..300];
    let cut = format!("{cut}\r\n");
    let next = stop(U2, "bob");
    let backlog = format!("2026-11-22 15:24:26: {next}");
    for follows in [&next, &backlog] {
        // Its end is overdue.
        let (mut reader, mut items) = (Reader::new(), Vec::new());
        reader.take(GREETING, &mut items);
        reader.take(cut.as_bytes(), &mut items);
        reader.take(follows.as_bytes(), &mut items);
        assert!(reader.is_within());
        assert!(records(&items).is_empty());
        reader.give_up(&mut items);
        assert!(!reader.is_within());
        assert_eq!(records(&items)[0].uuid, U2);
        assert_eq!(damages(&items).len(), 1);
        // The connection ends.
        let items = read_events(format!("{cut}{follows}").as_bytes());
        assert_eq!(records(&items)[0].uuid, U2);
        assert_eq!(damages(&items)[0].uuid.as_deref(), Some(U1));
    }
    // It becomes too long: none of the many behind it is lost.
    let many: Vec<String> = (0..200)
        .map(|n| stop(&format!("{n:08x}-eee4-f111-91e3-02fc00000001"), "bob"))
        .collect();
    let items = read_events(format!("{cut}{}", many.concat()).as_bytes());
    assert_eq!(records(&items).len(), 200);
    assert_eq!(damages(&items).len(), 1);
}

#[test]
fn a_party_cannot_get_a_record_in_by_making_its_own_too_long() {
    let alias = format!("x\r\n{}{}", stop(FOREIGN, "forged"), "y\r\n".repeat(LIMIT / 3));
    let items = read_events(format!("{}{}", stop(U1, &alias), stop(U2, "bob")).as_bytes());
    let records = records(&items);
    assert!(records.iter().all(|record| record.uuid != FOREIGN));
    assert!(
        damages(&items)
            .iter()
            .any(|damaged| damaged.uuid.as_deref() == Some(FOREIGN))
    );
    assert_eq!(records.last().unwrap().uuid, U2);
}

#[test]
fn a_line_without_a_uuid_is_no_record() {
    for line in [
        "BD1|stop|%{event-uuid}|1|",
        "BD1|stop|061FCB16-eee4-f111-91e3-02fc00000001|",
        "BD1|",
        "BD1|stop|",
    ] {
        let items = read_events(format!("{line}\r\n").as_bytes());
        assert_eq!(items, [Item::Line(line.as_bytes().to_vec())]);
    }
}

#[test]
fn a_cdr_line_goes_on_to_its_semicolon() {
    let items = read_events(b"CDR|1|a\r\nb|gk;\r\nCDR|2|c\r\n2026-11-22 15:24:26: CDR|3|gk;\r\n");
    let expected = [Item::Cdr(b"CDR|1|a\r\nb|gk;".to_vec())];
    assert_eq!(items[..1], expected);
    // The second has no end, so the third is a part of it: as text that is no CDR line, it cannot be billed.
    assert_eq!(items.len(), 2);
    let items = read_events(format!("CDR|1|a\r\n{}", stop(U1, "alice")).as_bytes());
    assert_eq!(damages(&items).len(), 1);
    assert_eq!(records(&items).len(), 1);
}

#[test]
fn lines_without_end_cost_no_memory() {
    let (mut reader, mut items) = (Reader::new(), Vec::new());
    reader.take(GREETING, &mut items);
    items.clear();
    let lines: [(&[u8], &[u8]); 4] = [
        (b"", b"A"),
        (b"BD1|stop|061fcb16-eee4-f111-91e3-02fc00000001|", b"A"),
        (
            b"BD1|stop|061fcb16-eee4-f111-91e3-02fc00000001|061fcb16-eee4-f111-91e3-02fc00000001\r\n",
            b"A",
        ),
        (b"CDR|1|", b"A\r\n"),
    ];
    for (first, more) in lines {
        reader.take(first, &mut items);
        let more = more.repeat(4096);
        for _ in 0..100 {
            reader.take(&more, &mut items);
        }
        reader.take(b"\r\n", &mut items);
        reader.give_up(&mut items);
        assert!(!damages(&items).is_empty());
        items.retain(|item| !matches!(item, Item::Damaged(_) | Item::Line(_)));
        assert!(items.is_empty(), "{items:?}");
    }
    reader.take(stop(U1, "alice").as_bytes(), &mut items);
    assert_eq!(records(&items).len(), 1);
}

#[test]
fn record_starts_without_end_cost_no_more_than_their_octets() {
    let flood: String = (0..6_000)
        .map(|n| format!("BD1|stop|{n:08x}-eee4-f111-91e3-02fc00000001|{n:08x}-eee4-f111-91e3-02fc00000001\r\n"))
        .collect();
    let begin = std::time::Instant::now();
    let items = read_events(flood.as_bytes());
    assert!(records(&items).is_empty());
    assert!(
        begin.elapsed().as_secs() < 20,
        "half a megabyte took {:?}",
        begin.elapsed()
    );
}

#[test]
fn the_feed_to_paste_is_what_the_reader_reads() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/gatekeeper/statusacct-feed.ini");
    let ini = std::fs::read_to_string(path).unwrap();
    let section: Vec<_> = ini.split("[StatusAcct]\n").nth(1).unwrap().lines().collect();
    let mut keys = Vec::new();
    for line in section {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        keys.push(key);
        if key == "TimestampFormat" {
            assert_eq!(value, "%s.%u %z %Z");
            continue;
        }
        let event = key.strip_suffix("Event").unwrap().to_lowercase();
        let kind = EventKind::ALL.into_iter().find(|kind| kind.name() == event).unwrap();
        assert_eq!(value, template(kind).unwrap(), "{key}");
    }
    keys.sort_unstable();
    let events = ["Alert", "Connect", "MediaFail", "Register", "Reject", "Start", "Stop"];
    let mut expected: Vec<String> = events.iter().map(|event| format!("{event}Event")).collect();
    expected.extend(["TimestampFormat", "UnregisterEvent", "UpdateEvent"].map(str::to_owned));
    assert_eq!(keys, expected);
    assert!(ini.contains("\nStatusEventBacklogRegex=^BD1\\|\n"));
    assert!(ini.contains("\n[Gatekeeper::Acct]\nStatusAcct=optional\n"));
}
