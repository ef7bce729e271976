//! Agents that do not do as they should: the records are the same all the same, or they are marked, or there are none
//! and the failure says why. Always in time, and never a mixture.

#[allow(dead_code, reason = "the bench uses more of it")]
#[path = "../contrib/bench/cmts_agent.rs"]
mod cmts_agent;

#[path = "cmts_quirks/agent.rs"]
mod agent;
#[path = "cmts_quirks/hostile.rs"]
mod hostile;
#[path = "cmts_quirks/operated.rs"]
mod operated;
#[path = "cmts_quirks/release.rs"]
mod release;
mod support;
#[path = "cmts_quirks/timeliness.rs"]
mod timeliness;

use std::{
    sync::LazyLock,
    time::{Duration, Instant},
};

use agent::{Act, Agent, Reply, arcs, right};
use billdrop::{
    capture::{
        Asked, Captured, RecordSink, Source, SourceError,
        cmts::{
            snmp::{Credentials, Settings},
            source::Cmts,
            usage::{Kind, Options},
        },
    },
    record::Record,
};
use cmts_agent::{GET, GET_BULK, Request, Rows};

const UPTIME: &str = "1.3.6.1.2.1.1.3.0";
const QOS3: &str = "1.3.6.1.4.1.4491.2.1.21.1";

/// A sound CMTS: 20 modems, one of DOCSIS 1.0.
static ROWS: LazyLock<Rows> = LazyLock::new(|| agent::rows("uptime-600000.snmprec"));
/// What is said of its first document.
const SAID: &str = "2 service flows had ended before this first document, some perhaps long before; they have their Stop \
                    record in it; 1 multicast flows are nobody's usage";
/// What is captured of it.
static WHOLE: LazyLock<Vec<String>> = LazyLock::new(|| {
    let (captured, records) = capture(|request: &Request<'_>, _| vec![Reply::Here(right(&ROWS, request))]);
    let captured = captured.unwrap();
    assert_eq!((captured.incomplete, captured.remark.as_deref()), (None, Some(SAID)));
    assert!(records.len() > 30);
    records
});

fn settings(port: u16) -> Settings {
    Settings {
        host: "127.0.0.1".to_owned(),
        port,
        credentials: Credentials::V2c {
            community: "cmts".to_owned(),
        },
        answer_within: Duration::from_millis(250),
        retries: 2,
        limit: Duration::from_secs(30),
        requests_per_second: None,
        in_flight: 4,
        most_repetitions: 25,
        records: Kind::Docsis,
        cpes: true,
    }
}

#[derive(Default)]
struct Records(Vec<String>);

impl RecordSink for Records {
    fn push(&mut self, record: &Record) -> std::io::Result<()> {
        // Without the time of the record, which is that of the reading.
        self.0.push(format!("{:?}", &record.values[1..]));
        Ok(())
    }
}

fn capture(act: impl Act) -> (Result<Captured, SourceError>, Vec<String>) {
    let agent = Agent::start(act);
    capture_with(settings(agent.port))
}

fn capture_with(settings: Settings) -> (Result<Captured, SourceError>, Vec<String>) {
    let limit = settings.limit;
    let source = Cmts {
        name: "cmts1".to_owned(),
        settings,
        options: Options::default(),
        address: None,
        address6: None,
    };
    let asked = Asked {
        now: "2026-01-08T00:00:00Z".parse().unwrap(),
        recorder: "recorder",
        baseline: None,
    };
    let mut records = Records::default();
    let start = Instant::now();
    let captured = source.capture(&asked, &mut records);
    let elapsed = start.elapsed();
    assert!(elapsed < limit + Duration::from_secs(2), "it took {elapsed:?}");
    (captured, records.0)
}

/// The quirk costs nothing: all records are there, and nothing is said of it.
fn assert_harmless(act: impl Act) {
    let (captured, records) = capture(act);
    let captured = captured.unwrap();
    assert_eq!((captured.incomplete, captured.remark.as_deref()), (None, Some(SAID)));
    assert_whole(&records);
}

fn assert_whole(records: &[String]) {
    assert_eq!(records.len(), WHOLE.len());
    if let Some((record, whole)) = records.iter().zip(&*WHOLE).find(|(record, whole)| record != whole) {
        panic!("{record} in place of {whole}");
    }
}

/// There are no records, and the failure says why.
fn refused(act: impl Act) -> SourceError {
    let (captured, records) = capture(act);
    assert_eq!(records, Vec::<String>::new());
    captured.unwrap_err()
}

fn assert_unavailable(error: &SourceError, why: &str) {
    assert!(
        matches!(error, SourceError::Unavailable(text) if text.contains(why)),
        "{error:?}"
    );
}

fn assert_bad_data(error: &SourceError, why: &str) {
    assert!(
        matches!(error, SourceError::BadData(text) if text.contains(why)),
        "{error:?}"
    );
}

fn assert_denied(error: &SourceError, why: &str) {
    assert!(
        matches!(error, SourceError::Denied(text) if text.contains(why)),
        "{error:?}"
    );
}

/// Whether it asks for the columns of this table.
fn is_of(request: &Request<'_>, table: &str) -> bool {
    let root = arcs(&format!("{QOS3}.{table}"));
    request.pdu == GET_BULK && request.names.len() > 1 && request.names[1].starts_with(&root)
}

/// Whether it does not ask for the first rows, but goes on.
fn goes_on(request: &Request<'_>) -> bool {
    request
        .names
        .last()
        .is_some_and(|name| name.len() > QOS3.split('.').count() + 3)
}

fn without(hidden: &[&str]) -> Rows {
    let hidden: Vec<_> = hidden.iter().map(|root| arcs(root)).collect();
    let mut rows = ROWS.clone();
    rows.retain(|name| !hidden.iter().any(|root| name.starts_with(root)));
    rows
}

/// With another value for sysUpTime, or for another number.
fn with(name: &str, value: cmts_agent::Value<'_>) -> Rows {
    let mut rows = without(&[name]);
    rows.push(arcs(name), value);
    rows.sort();
    rows
}

fn usual(rows: Rows) -> impl Act {
    move |request: &Request<'_>, _| vec![Reply::Here(right(&rows, request))]
}

#[test]
fn at_most_ten_repetitions_are_enough() {
    assert_harmless(|request: &Request<'_>, _| {
        let asked = Request {
            second: request.second.min(10),
            ..request.clone()
        };
        vec![Reply::Here(right(&ROWS, &asked))]
    });
}

#[test]
fn one_row_in_an_answer_is_enough() {
    assert_harmless(|request: &Request<'_>, _| {
        let asked = Request {
            second: request.second.min(1),
            ..request.clone()
        };
        vec![Reply::Here(right(&ROWS, &asked))]
    });
}

#[test]
fn every_tenth_packet_may_be_lost() {
    assert_harmless(|request: &Request<'_>, number| match number % 10 {
        0 => Vec::new(),
        _ => vec![Reply::Here(right(&ROWS, request))],
    });
}

#[test]
fn an_agent_for_which_most_answers_are_too_big_is_asked_for_less() {
    for status in [TOO_BIG, GEN_ERR] {
        assert_harmless(move |request: &Request<'_>, _| {
            let cells = request.second * (request.names.len() as i64 - 1);
            let too_big = request.pdu == GET_BULK && request.second > 1 && cells > 8;
            vec![Reply::Here(match too_big {
                true => request.response(status, 0, &[]),
                false => right(&ROWS, request),
            })]
        });
    }
}

const TOO_BIG: u8 = 1;
const GEN_ERR: u8 = 5;
const NO_ACCESS: u8 = 6;
const AUTHORIZATION_ERROR: u8 = 16;

#[test]
fn an_agent_that_can_answer_nothing_is_a_failure() {
    for (status, name) in [(TOO_BIG, "tooBig"), (GEN_ERR, "genErr")] {
        let error = refused(move |request: &Request<'_>, _| vec![Reply::Here(request.response(status, 0, &[]))]);
        assert_bad_data(&error, name);
    }
    // It answers all that is a single object, and no table.
    for (status, name) in [(TOO_BIG, "tooBig"), (GEN_ERR, "genErr")] {
        let error = refused(move |request: &Request<'_>, _| {
            vec![Reply::Here(match request.pdu {
                GET => right(&ROWS, request),
                _ => request.response(status, 2, &[]),
            })]
        });
        assert_bad_data(&error, name);
    }
}

#[test]
fn an_agent_that_refuses_us_is_named_as_such() {
    for status in [AUTHORIZATION_ERROR, NO_ACCESS] {
        let error = refused(move |request: &Request<'_>, number| {
            vec![Reply::Here(match number {
                0..6 => right(&ROWS, request),
                _ => request.response(status, 1, &[]),
            })]
        });
        assert_denied(&error, "refused");
    }
}

#[test]
fn a_loop_of_names_is_found_out() {
    // Behind the fifth row the first one comes again.
    let error = refused(|request: &Request<'_>, _| {
        let mut asked = request.clone();
        if is_of(request, "4") {
            asked.names.iter_mut().skip(1).for_each(|name| name.truncate(15));
        }
        vec![Reply::Here(right(&ROWS, &asked))]
    });
    assert_bad_data(&error, "cannot be walked");
}

#[test]
fn names_that_do_not_increase_are_found_out() {
    let error = refused(|request: &Request<'_>, _| {
        if !(is_of(request, "4") && goes_on(request)) {
            return vec![Reply::Here(right(&ROWS, request))];
        }
        // The same rows as were asked from.
        let same = Request {
            pdu: GET,
            names: std::iter::once(arcs(UPTIME))
                .chain(request.names[1..].iter().cloned())
                .collect(),
            ..request.clone()
        };
        vec![Reply::Here(right(&ROWS, &same))]
    });
    assert_bad_data(&error, "cannot be walked");
}

/// From the second request for the flows on there is nothing any more, as if the table ended.
fn ends_early(request: &Request<'_>, outside: &[u32], value: &[u8]) -> Option<Vec<u8>> {
    (is_of(request, "4") && goes_on(request)).then(|| {
        let uptime = Request {
            pdu: GET,
            names: vec![arcs(UPTIME)],
            ..request.clone()
        };
        let mut varbinds = ROWS.answer(&uptime, agent::UNFRAGMENTED).unwrap();
        for name in &request.names[1..] {
            let name = if outside.is_empty() { name } else { outside };
            varbinds.extend(cmts_agent::varbind(name, value));
        }
        request.response(0, 0, &varbinds)
    })
}

#[test]
fn a_walk_that_leaves_the_table_in_the_middle_costs_no_record() {
    let (captured, records) = capture(|request: &Request<'_>, _| {
        let early = ends_early(request, &[1, 3, 6, 1, 6, 99, 1], &[2, 1, 7]);
        vec![Reply::Here(early.unwrap_or_else(|| right(&ROWS, request)))]
    });
    // The flows of many, which nobody reads again, are not counted: they are nobody's usage.
    assert_eq!(captured.unwrap().incomplete, None);
    assert_whole(&records);
}

#[test]
fn an_end_of_the_view_in_the_middle_costs_no_record() {
    let (captured, records) = capture(|request: &Request<'_>, _| {
        let early = ends_early(request, &[], &[0x82, 0]);
        vec![Reply::Here(early.unwrap_or_else(|| right(&ROWS, request)))]
    });
    // The flows of many, which nobody reads again, are not counted: they are nobody's usage.
    assert_eq!(captured.unwrap().incomplete, None);
    assert_whole(&records);
}

#[test]
fn flows_that_the_agent_shows_in_no_way_are_counted_in_the_document() {
    let (captured, records) = capture(|request: &Request<'_>, _| {
        let early = ends_early(request, &[], &[0x82, 0]);
        // All but the scalars of the begin and the end.
        if request.pdu == GET && request.names.len() > 3 {
            let nothing = Rows::default();
            return vec![Reply::Here(right(&nothing, request))];
        }
        vec![Reply::Here(early.unwrap_or_else(|| right(&ROWS, request)))]
    });
    let incomplete = captured.unwrap().incomplete.unwrap();
    assert!(incomplete.contains("have a modem but no counters"), "{incomplete}");
    assert!(!records.is_empty() && records.len() < WHOLE.len());
    assert!(records.iter().all(|record| WHOLE.contains(record)));
}

#[test]
fn a_restart_in_the_middle_leaves_no_record() {
    let after = with(UPTIME, cmts_agent::Value::TimeTicks(300));
    let error = refused(move |request: &Request<'_>, number| {
        vec![Reply::Here(right(if number < 12 { &ROWS } else { &after }, request))]
    });
    assert_unavailable(&error, "restarted");
}

#[test]
fn a_restart_that_only_the_boots_tell_of_leaves_no_record() {
    let after = with("1.3.6.1.6.3.10.2.1.2.0", cmts_agent::Value::Integer(2));
    let error = refused(move |request: &Request<'_>, number| {
        vec![Reply::Here(right(if number < 12 { &ROWS } else { &after }, request))]
    });
    assert_unavailable(&error, "restarted");
}

#[test]
fn counters_of_32_bits_are_marked_as_such() {
    let (captured, records) = capture(usual(without(&[QOS3, "1.3.6.1.2.1.127"])));
    let captured = captured.unwrap();
    assert_eq!(captured.incomplete, None);
    assert!(captured.remark.unwrap().contains("32 bits"));
    assert_eq!(records.len(), WHOLE.len());
}

#[test]
fn a_column_that_is_needed_and_not_shown_is_a_failure_that_names_it() {
    for (column, name) in [
        ("3.1.7", "Direction"),
        ("4.1.1", "Packets"),
        ("4.1.3", "Created"),
        ("4.1.4", "Active"),
        ("11.1.3", "Owner"),
    ] {
        let error = refused(usual(without(&[&format!("{QOS3}.{column}")])));
        assert_denied(&error, name);
    }
}

#[test]
fn a_column_that_can_be_done_without_is_told_of() {
    for (column, name) in [("4.1.6", "Drops"), ("2.1.4", "ClassName")] {
        let (captured, records) = capture(usual(without(&[&format!("{QOS3}.{column}")])));
        let captured = captured.unwrap();
        assert_eq!(captured.incomplete, None);
        let remark = captured.remark.unwrap();
        assert!(remark.contains("not visible") && remark.contains(name), "{remark}");
        assert_eq!(records.len(), WHOLE.len());
    }
}

#[test]
fn answers_that_always_come_too_late_are_a_failure_within_the_time_of_all_tries() {
    let mut late = None;
    let start = Instant::now();
    let error = refused(move |request: &Request<'_>, _| {
        // The answer to the request before: that one has been given up.
        let before = late.replace(Reply::Here(right(&ROWS, request)));
        before.into_iter().collect()
    });
    assert_unavailable(&error, "sent 3 times");
    // 250, 500 and 1000 ms.
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn an_agent_that_falls_silent_is_a_failure_and_the_time_limit_holds() {
    let silent = |request: &Request<'_>, number| match number {
        0..12 => vec![Reply::Here(right(&ROWS, request))],
        _ => Vec::new(),
    };
    assert_unavailable(&refused(silent), "no answer");
    let agent = Agent::start(silent);
    let mut patient = settings(agent.port);
    (patient.answer_within, patient.limit) = (Duration::from_secs(60), Duration::from_secs(1));
    let (captured, records) = capture_with(patient);
    assert_unavailable(&captured.unwrap_err(), "within 1 s");
    assert!(records.is_empty());
}

#[test]
fn a_table_without_end_is_given_up_when_the_time_is_up() {
    let agent = Agent::start(|request: &Request<'_>, _| {
        if !is_of(request, "11") {
            return vec![Reply::Here(right(&ROWS, request))];
        }
        // One owner after the other, for ever.
        let name = request.names.last().unwrap();
        let root = arcs(&format!("{QOS3}.11.1.3"));
        let mut next = name[root.len()..].to_vec();
        next.resize(7, 0);
        let uptime = Request {
            pdu: GET,
            names: vec![arcs(UPTIME)],
            ..request.clone()
        };
        let mut varbinds = ROWS.answer(&uptime, agent::UNFRAGMENTED).unwrap();
        for _ in 0..request.second {
            next[6] += 1;
            varbinds.extend(cmts_agent::varbind(&[&root[..], &next].concat(), &[2, 1, 7]));
        }
        vec![Reply::Here(request.response(0, 0, &varbinds))]
    });
    let mut short = settings(agent.port);
    short.limit = Duration::from_secs(2);
    let (captured, _) = capture_with(short);
    assert_unavailable(&captured.unwrap_err(), "within 2 s");
}

#[test]
fn answers_that_come_twice_are_taken_once() {
    assert_harmless(|request: &Request<'_>, _| {
        let answer = right(&ROWS, request);
        vec![Reply::Here(answer.clone()), Reply::Here(answer)]
    });
}

/// The right answer, but to another request.
fn foreign(request: &Request<'_>) -> Vec<u8> {
    let mut id = request.id.to_vec();
    *id.last_mut().unwrap() ^= 0x55;
    let varbinds = ROWS.answer(request, agent::UNFRAGMENTED).unwrap();
    cmts_agent::response(request.community, &id, 0, 0, &varbinds)
}

#[test]
fn answers_to_a_request_that_nobody_made_are_not_taken() {
    assert_harmless(|request: &Request<'_>, _| vec![Reply::Here(foreign(request)), Reply::Here(right(&ROWS, request))]);
    let error = refused(|request: &Request<'_>, _| vec![Reply::Here(foreign(request))]);
    assert_unavailable(&error, "no answer");
}

#[test]
fn answers_from_another_port_are_not_taken() {
    // They say that there is nothing.
    assert_harmless(|request: &Request<'_>, _| {
        let nothing = right(&Rows::default(), request);
        vec![Reply::Elsewhere(nothing), Reply::Here(right(&ROWS, request))]
    });
    let error = refused(|request: &Request<'_>, _| vec![Reply::Elsewhere(right(&ROWS, request))]);
    assert_unavailable(&error, "no answer");
}

#[test]
fn answers_with_another_community_are_not_taken() {
    let other = |request: &Request<'_>| {
        let varbinds = ROWS.answer(request, agent::UNFRAGMENTED).unwrap();
        cmts_agent::response(b"other", request.id, 0, 0, &varbinds)
    };
    let error = refused(move |request: &Request<'_>, _| vec![Reply::Here(other(request))]);
    assert_unavailable(&error, "no answer");
}

#[test]
fn no_more_requests_are_in_flight_or_sent_in_a_second_than_configured() {
    let begin = Instant::now();
    let (sender, times) = std::sync::mpsc::channel();
    let agent = Agent::start(move |request: &Request<'_>, number| {
        sender.send(begin.elapsed()).unwrap();
        // What is sent again counts, too.
        match number % 7 {
            0 => Vec::new(),
            _ => vec![Reply::Here(right(&ROWS, request))],
        }
    });
    let mut gentle = settings(agent.port);
    gentle.requests_per_second = Some(50);
    let (captured, records) = capture_with(gentle);
    captured.unwrap();
    assert_whole(&records);
    let times: Vec<Duration> = times.try_iter().collect();
    assert!(times.len() > 30);
    assert_eq!(times.len() as u64, agent.requests());
    // In any half of a second, with two of tolerance for a clock that is read later than the packet was sent.
    for (number, time) in times.iter().enumerate() {
        let within = times[number..]
            .iter()
            .take_while(|later| **later < *time + Duration::from_millis(500));
        assert!(within.count() <= 25 + 2, "{times:?}");
    }
}

#[test]
fn a_counter_that_its_type_cannot_hold_is_not_cut_to_it() {
    let values: [(&str, &[u8]); 4] = [
        ("4.1.2", &[0x46, 0]),
        ("4.1.4", &[0x41, 6, 1, 0, 0, 0, 0, 5]),
        ("4.1.3", &[0x43, 6, 1, 0, 0, 0, 0, 5]),
        ("3.1.7", &[2, 5, 1, 0, 0, 0, 1]),
    ];
    for (column, value) in values {
        let cell = format!("{QOS3}.{column}.536870914.1001");
        let error = refused(usual(with(&cell, cmts_agent::Value::Raw(value))));
        assert_bad_data(&error, "cannot hold");
    }
}

#[test]
fn modems_that_are_missing_in_their_table_are_counted() {
    let hidden = ["1.3.6.1.2.1.10.127.1.3.3", "1.3.6.1.4.1.4491.2.1.20"];
    // All columns of one modem, that with the MAC 02-00-5E-00-00-01.
    let columns = [2, 3, 4, 5, 18, 20, 21].map(|column| format!("1.3.6.1.2.1.10.127.1.3.3.1.{column}.5505027"));
    let one: Vec<&str> = columns
        .iter()
        .map(String::as_str)
        .chain(["1.3.6.1.4.1.4491.2.1.20.1.3.1.2.2"])
        .collect();
    for (hidden, sentence) in [
        (&hidden[..], "ModemMac"),
        (&one, "1 modems have flows but stand in no table"),
    ] {
        let (captured, records) = capture(usual(without(hidden)));
        let captured = captured.unwrap();
        let remark = captured.remark.unwrap();
        assert!(remark.contains(sentence), "{remark}");
        assert!(!records.is_empty());
    }
}
