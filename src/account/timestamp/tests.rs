use std::fs;

use super::*;

fn berlin() -> Zone {
    Zone::named("Europe/Berlin").expect("apt-get install tzdata")
}

fn moment(seconds: i64, micros: u32, zone: &Zone) -> Moment {
    let (offset, name) = zone.at(seconds);
    Moment {
        seconds,
        micros,
        zone: Some((offset, name.to_string())),
    }
}

fn rows(file: &str) -> Vec<(String, String, String)> {
    let text = fs::read_to_string(format!("{}/fixtures/gnugk/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let mut utc = false;
    let mut rows = Vec::new();
    for line in text.lines() {
        utc |= line == "# Zone UTC";
        let columns: Vec<&str> = line.split('\t').collect();
        match columns.as_slice() {
            ["format", ..] => {}
            [format, epoch, output] => {
                let zone = if utc { "UTC " } else { "" };
                rows.push((format.to_string(), format!("{zone}{epoch}"), output.to_string()));
            }
            _ => assert!(line.starts_with('#'), "{line}"),
        }
    }
    rows
}

#[test]
fn every_format_of_the_real_gatekeeper_and_of_glibc_gives_the_same_text() {
    let (berlin, utc) = (berlin(), Zone::named("UTC0").unwrap());
    let (mut seen, mut wrong) = (0, Vec::new());
    for file in ["timestamps.tsv", "strftime.tsv"] {
        for (format, epoch, output) in rows(file) {
            let (zone, epoch) = match epoch.strip_prefix("UTC ") {
                Some(epoch) => (&utc, epoch.to_string()),
                None => (&berlin, epoch.clone()),
            };
            let (seconds, micros) = epoch.split_once('.').unwrap_or((&epoch, "0"));
            let moment = moment(seconds.parse().unwrap(), micros.parse().unwrap(), zone);
            let text = TimestampFormat::parse(&format).unwrap().text(&moment);
            let text = String::from_utf8(text).unwrap();
            if text != output {
                wrong.push(format!("{format} of {epoch}: {text:?}, not {output:?}"));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 250, "{seen}");
}

#[test]
fn names_of_formats_are_read_in_any_case() {
    let moment = moment(1_100_098_921, 0, &berlin());
    for name in ["rfc822", "RFC822", "Rfc822"] {
        let text = TimestampFormat::parse(name).unwrap().text(&moment);
        assert_eq!(text, b"Wed, 10 Nov 2004 16:02:01 +01:00");
    }
}

#[test]
fn an_empty_or_too_long_result_is_replaced() {
    let moment = moment(1_100_098_921, 604_017, &berlin());
    let instead = "16:02:01.604 +01:00 Wed Nov 10 2004";
    for format in ["", "%999999999999999999999Y", &"x".repeat(128), &"%c".repeat(6)] {
        let text = TimestampFormat::parse(format).unwrap().text(&moment);
        assert_eq!(String::from_utf8(text).unwrap(), instead, "{format}");
    }
    let longest = "x".repeat(127);
    assert_eq!(
        TimestampFormat::parse(&longest).unwrap().text(&moment),
        longest.as_bytes()
    );
    assert!(TimestampFormat::parse("%Y\0").is_err());
}

#[test]
fn a_time_without_a_zone_is_written_in_that_of_this_host() {
    let (offset, name) = Zone::local().at(1_100_098_921);
    let mut here = moment(1_100_098_921, 0, &berlin());
    here.zone = Some((offset, name.to_string()));
    let unzoned = Moment {
        zone: None,
        ..here.clone()
    };
    for format in ["RFC822", "Cisco", "%s %z %Z"] {
        let format = TimestampFormat::parse(format).unwrap();
        assert_eq!(format.text(&unzoned), format.text(&here));
    }
}

proptest::proptest! {
    #[test]
    fn no_format_and_no_time_is_a_fault(format in "[^\0]{0,40}", percent in "(%[-_0^#]{0,2}[0-9]{0,3}[EO]?.){0,5}", seconds: i64, micros: u32, offset: i32) {
        let moment = Moment { seconds, micros, zone: Some((offset, "X".into())) };
        for format in [&format, &percent] {
            if let Ok(format) = TimestampFormat::parse(format) {
                let text = format.text(&moment);
                proptest::prop_assert!((1..=LONGEST).contains(&text.len()));
            }
        }
    }

    #[test]
    fn dates_and_days_are_each_others_inverse(days in -3_000_000_i64..3_000_000) {
        let (year, month, day) = strftime::date_of(days);
        proptest::prop_assert_eq!(strftime::days_before(year, month, day), days);
    }
}
