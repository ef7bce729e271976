//! Documents shown as tables, JSON, CSV and bars.

mod document_support;

use std::path::Path;

use billdrop::config::Profile;
use billdrop::document::{self, ShowError, Writer, chart, csv, json, table};
use billdrop::record::*;
use document_support::*;
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

type Show = fn(document::Reader<std::io::Cursor<&[u8]>>, &mut Vec<u8>) -> Result<(), ShowError>;

fn shown(octets: &[u8], show: Show) -> String {
    let mut out = Vec::new();
    show(reader(octets), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn as_table(octets: &[u8]) -> String {
    shown(octets, |reader, out| table::write(reader, out).map(drop))
}

fn as_csv(octets: &[u8]) -> String {
    shown(octets, |reader, out| csv::write(reader, out))
}

fn as_json(octets: &[u8]) -> serde_json::Value {
    serde_json::from_str(&shown(octets, |reader, out| json::write(reader, out))).unwrap()
}

fn sample() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/documents/demo-cmts1-20260115-093000.xml");
    std::fs::read(path).unwrap()
}

#[test]
fn json_has_the_whole_document() {
    let octets = document(
        Profile::Full,
        true,
        &[interface(1, "lo", None), interface(2, "é\"\n", Some("<&>"))],
    );
    let document = as_json(&octets);
    assert_eq!(document["docId"], "ED133218-0000-0000-002A-00005E005310");
    assert_eq!(document["creationTime"], "2026-01-15T09:30:00Z");
    assert_eq!(document["recorder"], "recorder1");
    assert_eq!(document["end"]["count"], 3);
    assert_eq!(document["end"]["endTime"], "2026-01-15T09:30:01.250Z");
    let records = document["records"].as_array().unwrap();
    assert_eq!(records.len(), 3);
    assert_eq!(records[0]["recordType"], "DocumentInformation-Type");
    assert_eq!(records[0]["sequenceNumber"], 42);
    assert_eq!(records[0]["sourceStatus"][1]["state"], "failed");
    assert_eq!(records[0]["sourceStatus"][1]["recordCount"], 0);
    assert_eq!(records[1]["inOctets"], 1_000_000);
    assert_eq!(records[1]["ifPhysAddress"], "02-00-5E-00-53-01");
    assert!(records[1].get("ifAlias").is_none(), "what has no value is left out");
    assert_eq!(
        (&records[2]["ifName"], &records[2]["ifAlias"]),
        (&"é\"\n".into(), &"<&>".into())
    );
}

#[test]
fn json_of_a_cmts_and_of_nothing() {
    let cmts = as_json(&sample());
    assert_eq!(
        cmts["records"][0]["CMCPEipAddress"],
        serde_json::json!(["203.0.113.21"])
    );
    assert_eq!(cmts["records"][0]["serviceOctetsPassed"], 7_340_032_118u64);
    let empty = as_json(&document(Profile::CiscoSamis, false, &[]));
    assert_eq!(empty["records"], serde_json::json!([]));
}

#[test]
fn json_keeps_all_digits_of_a_counter() {
    let mut record = interface(1, "lo", None);
    record.values[INTERFACE_USAGE.field("inOctets").unwrap().0] = Value::UnsignedLong(u64::MAX);
    let text = shown(&document(Profile::CiscoSamis, false, &[record]), |reader, out| {
        json::write(reader, out)
    });
    assert!(text.contains("\"inOctets\":18446744073709551615,"));
}

#[test]
fn csv_names_the_columns_whenever_the_kind_changes() {
    let octets = document(
        Profile::Full,
        true,
        &[interface(1, "lo", None), interface(2, "a,\"b\"\n", Some("=1+2"))],
    );
    let text = as_csv(&octets);
    let mut rows = ::csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let rows: Vec<::csv::StringRecord> = rows.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 5);
    assert_eq!((&rows[0][0], &rows[0][2]), ("recordType", "sequenceNumber"));
    assert_eq!((&rows[1][0], &rows[1][2]), ("DocumentInformation-Type", "42"));
    let sources: serde_json::Value = serde_json::from_str(&rows[1][10]).unwrap();
    assert_eq!(sources[0]["recordCount"], 1 + 1);
    let names: Vec<&str> = INTERFACE_USAGE.fields.iter().map(|field| field.name).collect();
    assert_eq!(rows[2].iter().skip(1).collect::<Vec<_>>(), names);
    assert_eq!((&rows[3][5], &rows[3][6], &rows[3][10]), ("lo", "", "1000000"));
    assert_eq!(
        (&rows[4][5], &rows[4][6]),
        ("a,\"b\"\n", "=1+2"),
        "data are not changed"
    );
}

#[test]
fn csv_joins_lists_by_a_blank() {
    let two = String::from_utf8(sample())
        .unwrap()
        .replacen("203.0.113.21<", "203.0.113.21 203.0.113.22<", 1);
    let text = as_csv(two.as_bytes());
    assert!(text.lines().nth(1).unwrap().contains(",203.0.113.21 203.0.113.22,"));
}

#[test]
fn the_table_is_for_people() {
    let mut records = vec![
        interface(2, "eth0", None),
        interface(10, "größe", None),
        interface(11, "日本", None),
    ];
    records[0].values[INTERFACE_USAGE.field("ifPhysAddress").unwrap().0] = Value::Absent;
    let text = as_table(&document(Profile::Full, true, &records));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "docId         ED133218-0000-0000-002A-00005E005310");
    assert!(text.contains("\nsequenceNumber    42\n"), "{text}");
    assert!(text.contains("\nclosureReason     abnormal\n"), "{text}");
    assert!(
        text.contains("\ncmts1       failed              0  no answer <within> 5 s\n"),
        "{text}"
    );
    let title = lines.iter().position(|line| *line == "InterfaceUsage-Type").unwrap();
    assert!(lines[title + 1].starts_with("in every row: "), "{text}");
    let begin = lines.iter().position(|line| line.starts_with("ifIndex  ")).unwrap();
    assert!(
        lines[title + 1..begin].join("").contains("ifOperStatus lowerLayerDown"),
        "what all have in common stands above"
    );
    assert!(lines[title + 1..begin].iter().all(|line| line.width() <= 80), "{text}");
    let table = &lines[begin..begin + 4];
    assert!(!table[0].contains("ifOperStatus"), "{text}");
    assert!(
        !table[0].contains("ifAlias"),
        "a column that is empty in every row is left out"
    );
    assert!(table[0].contains("ifPhysAddress"));
    assert!(
        table[1].starts_with("      2  eth0  "),
        "numbers stand at the right: {}",
        table[1]
    );
    let widths: Vec<usize> = table[1..].iter().map(|line| line.width()).collect();
    assert_eq!(widths, [widths[0]; 3], "columns stand below each other");
    assert_eq!(
        *lines.last().unwrap(),
        "4 records with the document's information, ended 2026-01-15T09:30:01.250Z"
    );
}

/// What two clusters and two conference servers say, device by device, as a capture writes it.
fn devices() -> Vec<Record> {
    let mut records = Vec::new();
    for (cucm, address) in [("cucm-a", "192.0.2.11"), ("cucm-b", "192.0.2.12")] {
        let head = device(Target::Cucm, cucm, address);
        let rows = [
            ("CUWL Standard", "12"),
            ("Enhanced", "410"),
            ("Timestamp", "2026-01-15 02:00:07"),
        ];
        for (name, value) in rows {
            records.push(
                LicenseUsage {
                    ccm_version: Some("14.0.1.12900(7)"),
                    license_name: name,
                    license_count: value.parse().ok(),
                    license_value: Some(value),
                    user_value: None,
                    device_value: None,
                    license_tag: None,
                    license_status: None,
                    license_source: LicenseSource::LicenseTotals,
                }
                .to_record(&head),
            );
        }
        let devices = DeviceUsage {
            ccm_version: Some("14.0.1.12900(7)"),
            device_class: Some("Phone"),
            device_model: None,
            device_count: 525,
        };
        records.push(devices.to_record(&head));
    }
    for (cms, address) in [("cms-a", "192.0.2.21"), ("cms-b", "192.0.2.22")] {
        let head = device(Target::Cms, cms, address);
        let spaces = [
            ("1", Some("R&D Atrium")),
            (
                "2",
                Some("Caf\u{e9} Nord: planning,\nweekly, for everybody in the house"),
            ),
            ("3", None),
        ];
        for (digit, name) in spaces {
            let space = ConferenceSpace {
                co_space_id: &format!("11111111-0000-4000-8000-00000000000{digit}"),
                name,
                auto_generated: Some(digit == "3"),
                uri: Some("rd.atrium"),
                call_id: Some(&format!("70000{digit}")),
                ..ConferenceSpace::default()
            };
            records.push(space.to_record(&head));
        }
        let usage = ConferenceLicenseUsage {
            timestamp: Some(created()),
            users: Some(184),
            calls_active: Some(3),
            weighted_calls_active: Decimal::new(if cms == "cms-a" { "2.000" } else { "12.000" }),
            calls_without_personal_license: Some(1),
            weighted_calls_without_personal_license: Decimal::new("0.500"),
            capacity_unit_usage_without_personal_license: Decimal::new("0.025"),
            ..ConferenceLicenseUsage::default()
        };
        records.push(usage.to_record(&head));
    }
    records
}

#[test]
fn devices_are_shown_as_one_table_for_each_kind() {
    let text = as_table(&document(Profile::CiscoSamis, false, &devices()));
    let tables: Vec<&str> = text.split("\n\n").collect();
    let titles: Vec<&str> = tables.iter().map(|table| table.lines().next().unwrap()).collect();
    assert_eq!(
        titles[1..5],
        [
            "LicenseUsage-Type",
            "DeviceUsage-Type",
            "ConferenceSpace-Type",
            "ConferenceLicenseUsage-Type"
        ]
    );
    assert!(text.lines().all(|line| line.width() <= 120), "{text}");
    assert!(!text.contains("sourceName"), "it is the same as servCnt: {text}");
    let licenses: Vec<&str> = tables[1].lines().collect();
    let rows = licenses.iter().filter(|line| line.starts_with("cucm-"));
    assert_eq!(rows.count(), 6, "{text}");
    assert!(
        tables[2].contains("\ncucm-a   192.0.2.11          525\n"),
        "a count stands in each row, even if all are the same: {text}"
    );
    assert!(
        licenses[1].starts_with("in every row: IPDRcreationTime 2026-01-15T09:30:00Z, contract 12345678,"),
        "{text}"
    );
}

#[test]
fn columns_of_devices_line_up() {
    let text = as_table(&document(Profile::CiscoSamis, false, &devices()));
    let table = text
        .split("\n\n")
        .find(|table| table.starts_with("ConferenceSpace-Type"))
        .unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("cms-")).collect();
    let places: Vec<usize> = rows
        .iter()
        .map(|row| row[..row.find(" 70000").unwrap()].width())
        .collect();
    assert_eq!(places, [places[0]; 6], "{text}");
    assert!(
        table.contains("  Café Nord: planning,\\nweekly, for e…  "),
        "a line end is shown, and a long name is clipped: {text}"
    );

    let table = text
        .split("\n\n")
        .find(|table| table.starts_with("ConferenceLicenseUsage-Type"))
        .unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("cms-")).collect();
    assert!(rows[0].ends_with("   2.000") && rows[1].ends_with("  12.000"), "{text}");
}

#[test]
fn a_single_device_is_shown_line_by_line() {
    let head = device(Target::Cms, "cms-a", "192.0.2.21");
    let system = ConferenceSystem {
        host_id: Some("44444444-0000-4000-8000-000000000001"),
        cdr_correlator_index: Some(1293),
        ..ConferenceSystem::default()
    };
    let text = as_table(&document(Profile::CiscoSamis, false, &[system.to_record(&head)]));
    assert!(text.contains("\nservCnt             cms-a\n"), "{text}");
    assert!(
        text.contains("\nhostId              44444444-0000-4000-8000-000000000001\n"),
        "{text}"
    );
    assert!(text.contains("\ncdrCorrelatorIndex  1293\n"), "{text}");
}

#[test]
fn a_decimal_is_a_number_in_json_unless_digits_would_be_lost() {
    let head = device(Target::Cms, "cms-a", "192.0.2.21");
    let usage = ConferenceLicenseUsage {
        weighted_calls_active: Decimal::new("1.000"),
        capacity_unit_usage: Decimal::new("0.025"),
        weighted_calls_without_personal_license: Decimal::new("900719925474.0993"),
        ..ConferenceLicenseUsage::default()
    };
    let octets = document(Profile::CiscoSamis, false, &[usage.to_record(&head)]);
    let record = &as_json(&octets)["records"][0];
    assert_eq!(record["weightedCallsActive"], 1.0);
    assert_eq!(record["capacityUnitUsage"], 0.025);
    assert_eq!(record["weightedCallsWithoutPersonalLicense"], "900719925474.0993");
    assert!(as_csv(&octets).contains(",1.000,"), "everywhere else the digits stay");
}

#[test]
fn a_hostile_text_does_not_drive_the_terminal() {
    let alias = "tab\t line\nbell";
    let name = "\u{202E}gnp.exe\u{9B}31m";
    let octets = document(Profile::Full, true, &[interface(1, name, Some(alias))]);
    let text = as_table(&octets);
    assert!(
        text.contains("\\u{202e}gnp.exe\\u{9b}31m") && text.contains("tab\\t line\\nbell"),
        "{text}"
    );
    let mut chart = Vec::new();
    chart::write(reader(&octets), &mut chart, 100).unwrap();
    let chart = String::from_utf8(chart).unwrap();
    for text in [text, chart] {
        assert!(text.chars().all(|c| c == '\n' || (!c.is_control() && c != '\u{202E}')));
    }
}

#[test]
fn a_long_text_is_clipped_in_the_table_only() {
    let octets = document(Profile::Full, true, &[interface(1, "lo", Some(&"日".repeat(5000)))]);
    let text = as_table(&octets);
    assert!(text.contains(&format!("{}…  ", "日".repeat(29))));
    assert!(text.lines().all(|line| line.width() < 400));
    assert!(as_csv(&octets).contains(&"日".repeat(5000)));
    let marks = document(
        Profile::Full,
        true,
        &[interface(1, "lo", Some(&"\u{301}".repeat(60_000)))],
    );
    assert!(
        as_table(&marks).len() < 3000,
        "characters without a width are no way around it"
    );
    for fits in ["x".repeat(60), "日".repeat(30)] {
        assert!(as_table(&document(Profile::Full, true, &[interface(1, "lo", Some(&fits))])).contains(&fits));
    }
}

#[test]
fn long_tables_are_laid_out_in_blocks() {
    let records: Vec<Record> = (0..2500)
        .map(|index| interface(index, &format!("eth{}", index % 2), None))
        .collect();
    let text = as_table(&document(Profile::CiscoSamis, false, &records));
    assert_eq!(text.matches("InterfaceUsage-Type\n").count(), 3);
    assert_eq!(
        text.matches("  eth0  ").count() + text.matches("  eth1  ").count(),
        2500
    );
}

#[test]
fn the_chart_shows_the_twenty_with_most_octets() {
    let mut records: Vec<Record> = (0..50)
        .map(|index| interface(index, &format!("eth{index}"), None))
        .collect();
    records.push(interface(49, "twin", None));
    let octets = document(Profile::Full, true, &records);
    for width in [0, 40, 80, 200] {
        let mut out = Vec::new();
        chart::write(reader(&octets), &mut out, width).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 20);
        assert!(lines.iter().all(|line| line.width() <= width.max(40)), "{text}");
        assert!(
            lines[0].starts_with("router1 eth49 ") && lines[1].starts_with("router1 twin "),
            "{text}"
        );
        assert_eq!(lines[0].width(), width.max(40), "the greatest takes the whole width");
        assert!(lines[0].contains("  98.0 MB  "), "{text}");
        let bars: Vec<usize> = lines.iter().map(|line| line.matches('█').count()).collect();
        assert!(bars.is_sorted_by(|a, b| a >= b), "{text}");
    }
    let mut out = Vec::new();
    chart::write(reader(&sample()), &mut out, 80).unwrap();
    assert!(String::from_utf8(out).unwrap().starts_with("00-00-5E-00-53-21 3  "));
}

#[test]
fn what_is_wrong_is_told_and_what_cannot_be_written_too() {
    let good = String::from_utf8(document(Profile::Full, true, &[interface(1, "lo", None)])).unwrap();
    let bad = good.replace("<ifIndex>1<", "<ifIndex>x<");
    let shows: [Show; 4] = [
        |reader, out| table::write(reader, out).map(drop),
        |reader, out| json::write(reader, out),
        |reader, out| csv::write(reader, out),
        |reader, out| chart::write(reader, out, 80),
    ];
    for show in shows {
        let error = show(reader(bad.as_bytes()), &mut Vec::new()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("line 35, column 1: InterfaceUsage-Type: ifIndex"),
            "{error}"
        );
    }
    let full = || std::io::BufWriter::with_capacity(1, std::fs::File::create("/dev/full").unwrap());
    for error in [
        table::write(reader(good.as_bytes()), full()).map(drop),
        json::write(reader(good.as_bytes()), full()),
        csv::write(reader(good.as_bytes()), full()),
        chart::write(reader(good.as_bytes()), full(), 80),
    ] {
        let ShowError::Write(error) = error.unwrap_err() else {
            panic!()
        };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_records_can_be_shown(records in prop::collection::vec(any_record(), 0..6), width in 0usize..200) {
        let mut writer = Writer::begin(Vec::new(), &header(Profile::Full)).unwrap();
        for record in &records {
            writer.record(record).unwrap();
        }
        let (octets, _) = writer.end(created()).unwrap();
        let document = as_json(&octets);
        prop_assert_eq!(document["records"].as_array().unwrap().len(), records.len());
        for (json, record) in document["records"].as_array().unwrap().iter().zip(&records) {
            for (field, value) in record.definition.fields.iter().zip(&record.values) {
                match value {
                    Value::Absent => prop_assert!(json.get(field.name).is_none()),
                    Value::Text(text) => prop_assert_eq!(&json[field.name], text.as_str()),
                    Value::UnsignedLong(number) => prop_assert_eq!(&json[field.name], *number),
                    _ => prop_assert!(json.get(field.name).is_some()),
                }
            }
        }
        let table = as_table(&octets);
        prop_assert!(table.chars().all(|c| c == '\n' || !c.is_control()));
        let csv = as_csv(&octets);
        let mut rows = ::csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(csv.as_bytes());
        let rows = rows.records().map(Result::unwrap).filter(|row| &row[0] != "recordType");
        prop_assert_eq!(rows.count(), records.len());
        chart::write(reader(&octets), Vec::new(), width).unwrap();
    }
}
