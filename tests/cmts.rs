//! A CMTS is read by SNMP: every table, every counter as the agent has it. The agent is net-snmp's.

#[path = "cmts/agent.rs"]
mod agent;
mod document_support;
mod support;

use std::{
    collections::BTreeMap,
    fs,
    process::Command,
    time::{Duration, Instant},
};

use agent::Agent;
use billdrop::{
    capture::{
        Asked, RecordSink, Source, SourceError,
        cmts::{
            family::Family,
            join::{Flow, Poll, join},
            snmp::{self, Credentials, Settings},
            source::Cmts,
            usage::{Kind, Options},
        },
    },
    config::{AuthProtocol, PrivacyProtocol, Profile},
    record::{Record, Value},
};
use chrono::{DateTime, TimeDelta, Utc};

const FIRST: &str = "uptime-600000.snmprec";
const SECOND: &str = "uptime-600900.snmprec";

fn settings(port: u16, credentials: Credentials) -> Settings {
    Settings {
        host: "127.0.0.1".to_owned(),
        port,
        credentials,
        answer_within: Duration::from_secs(10),
        retries: 2,
        limit: Duration::from_secs(120),
        requests_per_second: Some(1000),
        in_flight: 4,
        most_repetitions: 36,
        records: Kind::Docsis,
        cpes: true,
    }
}

fn v2c() -> Credentials {
    Credentials::V2c {
        community: agent::COMMUNITY.to_owned(),
    }
}

fn v3(auth_password: &str) -> Credentials {
    Credentials::V3 {
        user: agent::USER.to_owned(),
        auth_protocol: AuthProtocol::Sha256,
        auth_password: auth_password.to_owned(),
        privacy_protocol: PrivacyProtocol::Aes128,
        privacy_password: agent::PRIVACY_PASSWORD.to_owned(),
    }
}

fn poll(settings: &Settings, family: Family) -> Poll {
    let answer = snmp::poll(settings, Some(family)).unwrap();
    assert_eq!(answer.tables.family, family);
    assert_eq!(answer.tables.unusable, 0, "{:?}", answer.tables.first_unusable);
    assert_eq!(answer.host_name, b"cmts1.example.net");
    let poll = join(&answer.tables, answer.span).unwrap();
    assert_eq!(poll.missing(), None);
    poll
}

/// The cells below `root` in a file, by the last number of their index.
fn column(file: &str, root: &str) -> BTreeMap<u32, u64> {
    let text = fs::read_to_string(agent::fixture(file)).unwrap();
    let cell = |line: &str| {
        let (oid, value) = line.strip_prefix(root)?.strip_prefix('.')?.split_once('|')?;
        let index = oid.rsplit('.').next()?.parse().ok()?;
        Some((index, value.split_once('|')?.1.parse().ok()?))
    };
    text.lines().filter_map(cell).collect()
}

fn assert_counters(file: &str, poll: &Poll, root: &str) {
    let is_flow = |flow: &&Flow| flow.key.id < 8192;
    let counter = |of: fn(&Flow) -> u64| {
        let live = poll.live.iter().filter(is_flow);
        live.map(|flow| (flow.key.id, of(flow))).collect::<BTreeMap<_, _>>()
    };
    let table = |number: u32| {
        let mut column = column(file, &format!("{root}.4.1.{number}"));
        column.remove(&MULTICAST);
        column
    };
    assert!(table(2).len() > 30);
    assert_eq!(counter(|flow| flow.packets), table(1));
    assert_eq!(counter(|flow| flow.octets), table(2));
    assert_eq!(counter(|flow| flow.created_ticks.into()), table(3));
    assert_eq!(counter(|flow| flow.active_seconds.into()), table(4));
    assert_eq!(counter(|flow| flow.drops.into()), table(6));
    assert_eq!(counter(|flow| flow.delays.into()), table(7));
    let ended: BTreeMap<_, _> = poll.ended.iter().map(|flow| (flow.key.id, flow.octets)).collect();
    let log_sfids = column(file, &format!("{root}.7.1.3"));
    let log_octets = column(file, &format!("{root}.7.1.6"));
    let log = log_sfids
        .iter()
        .map(|(index, sfid)| (u32::try_from(*sfid).unwrap(), log_octets[index]));
    assert_eq!(ended, log.collect());
}

/// The SFID of a flow of many, which no modem owns.
const MULTICAST: u32 = 7001;

const ROOTS: [(Family, &str); 3] = [
    (Family::Draft, "1.3.6.1.2.1.10.127.7.1"),
    (Family::Ietf, "1.3.6.1.2.1.127.1"),
    (Family::Qos3, "1.3.6.1.4.1.4491.2.1.21.1"),
];

#[test]
fn every_counter_of_every_family_is_the_agents_with_both_versions() {
    let agent = Agent::start(FIRST, "");
    for (file, credentials) in [(FIRST, v2c()), (SECOND, v3(agent::AUTH_PASSWORD))] {
        agent.show(file);
        let settings = settings(agent.port, credentials);
        for (family, root) in ROOTS {
            let poll = poll(&settings, family);
            assert_counters(file, &poll, root);
            assert_eq!(poll.modems.len(), 20);
            let with_cpes = poll.modems.values().filter(|modem| modem.cpes.len() == 1).count();
            assert_eq!(with_cpes, 19, "all but the modem that is offline");
        }
    }
}

#[test]
fn an_agent_that_answers_at_most_a_few_values_is_read_to_the_end() {
    let agent = Agent::start(FIRST, "maxGetbulkResponses 15");
    let poll = poll(&settings(agent.port, v2c()), Family::Qos3);
    assert_counters(FIRST, &poll, ROOTS[2].1);
}

#[test]
fn no_more_requests_are_sent_in_a_second_than_configured() {
    let agent = Agent::start(FIRST, "");
    let mut settings = settings(agent.port, v2c());
    settings.requests_per_second = Some(40);
    let start = Instant::now();
    let answer = snmp::poll(&settings, None).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    let most = 1.0 + seconds * 40.0;
    assert!(
        answer.requests as f64 <= most,
        "{} requests in {seconds} s",
        answer.requests
    );
}

#[test]
fn wrong_credentials_and_time_that_is_up_are_failures() {
    let agent = Agent::start(FIRST, "");
    let mut quick = settings(agent.port, v3("another password"));
    (quick.answer_within, quick.retries) = (Duration::from_millis(500), 1);
    let refused = snmp::poll(&quick, None).unwrap_err();
    assert!(!refused.to_string().contains("another password"), "{refused}");
    let mut slow = settings(agent.port, v2c());
    (slow.requests_per_second, slow.limit) = (Some(1), Duration::from_secs(2));
    let late = snmp::poll(&slow, None).unwrap_err();
    assert!(
        matches!(&late, SourceError::Unavailable(why) if why.contains("within 2 s")),
        "{late}"
    );
}

#[test]
fn a_view_that_hides_the_flows_is_a_failure_and_no_zero() {
    let view = "com2sec narrow 127.0.0.1 narrow\ngroup narrow v2c narrow\nview seen included .1\n\
                view seen excluded .1.3.6.1.4.1.4491.2.1.21\nview seen excluded .1.3.6.1.2.1.127\n\
                view seen excluded .1.3.6.1.2.1.10.127.7\nview seen excluded .1.3.6.1.2.1.10.127.1.3.4\n\
                access narrow \"\" any noauth exact seen none none";
    let agent = Agent::start(FIRST, view);
    let credentials = Credentials::V2c {
        community: "narrow".to_owned(),
    };
    let answer = snmp::poll(&settings(agent.port, credentials), None).unwrap();
    let hidden = join(&answer.tables, answer.span).unwrap_err();
    assert!(hidden.to_string().contains("not visible"), "{hidden}");
}

/// Of each record RecType, SFID, octets, and all of its fields.
#[derive(Default)]
struct Records(Vec<(i32, u32, u64)>, Vec<Record>);

impl RecordSink for Records {
    fn push(&mut self, record: &Record) -> std::io::Result<()> {
        let field = |name: &str| record.definition.field(name).map(|(place, _)| &record.values[place]);
        let number = |name: &str, of_samis: &str| field(name).or(field(of_samis)).unwrap();
        let fields = (
            number("RecType", "RecType"),
            number("serviceIdentifier", "ServiceIdentifier"),
            number("serviceOctetsPassed", "ServiceOctetsPassed"),
        );
        let (Value::Int(kind), Value::UnsignedInt(sfid), Value::UnsignedLong(octets)) = fields else {
            panic!("{fields:?}");
        };
        self.0.push((*kind, *sfid, *octets));
        self.1.push(record.clone());
        Ok(())
    }
}

fn source(port: u16, records: Kind) -> Cmts {
    let mut settings = settings(port, v2c());
    settings.records = records;
    Cmts {
        name: "cmts1".to_owned(),
        settings,
        options: Options {
            records,
            ..Options::default()
        },
        address: None,
        address6: None,
    }
}

fn begin() -> DateTime<Utc> {
    "2026-01-08T00:00:00Z".parse().unwrap()
}

#[test]
fn records_of_docsis_3_0_have_what_its_tables_tell() {
    const QOS3: &str = "1.3.6.1.4.1.4491.2.1.21.1";
    let agent = Agent::start(FIRST, "");
    for kind in [Kind::SamisType1, Kind::SamisType2] {
        let asked = Asked {
            now: begin(),
            recorder: "recorder",
            baseline: None,
        };
        let mut records = Records::default();
        let captured = source(agent.port, kind).capture(&asked, &mut records).unwrap();
        assert_eq!(captured.incomplete, None);
        let live = records.0.iter().filter(|(kind, sfid, _)| *kind == 1 && *sfid < 8192);
        let octets: BTreeMap<_, _> = live.map(|(_, sfid, octets)| (*sfid, *octets)).collect();
        assert_eq!(octets, column(FIRST, &format!("{QOS3}.4.1.2")), "with the flow of many");
        let sets = column(FIRST, &format!("{QOS3}.3.1.10"));
        let apps = column(FIRST, &format!("{QOS3}.2.1.30"));
        for ((kind, sfid, _), record) in records.0.iter().zip(&records.1) {
            let value = |name: &str| &record.values[record.definition.field(name).unwrap().0];
            let channels: &[u8] = match sets.get(sfid) {
                _ if *kind == 2 => &[],
                None => &[],
                Some(260) => &[1, 2],
                Some(300) => &[3, 4, 7, 8],
                Some(channel) => &[*channel as u8],
            };
            let expected = match channels {
                [] => Value::Absent,
                _ => Value::Octets(channels.to_vec()),
            };
            assert_eq!(value("ServiceFlowChSet"), &expected, "{sfid}");
            let app = apps.get(sfid).copied().unwrap_or(0);
            assert_eq!(value("ServiceAppId"), &Value::UnsignedInt(app as u32), "{sfid}");
            assert_eq!(
                value("ServiceDsMulticast"),
                &Value::Boolean(*sfid == MULTICAST),
                "{sfid}"
            );
        }
        assert_valid(&records.1);
    }
}

/// xmllint finds nothing wrong in a document of these records.
fn assert_valid(records: &[Record]) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("document.xml");
    fs::write(&path, document_support::document(Profile::CiscoSamis, false, records)).unwrap();
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/schema/billdrop.xsd");
    let said = Command::new("xmllint")
        .args(["--nonet", "--noout", "--schema", schema])
        .arg(&path)
        .output()
        .expect("xmllint is needed: apt-get install libxml2-utils");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
}

#[test]
fn a_flow_that_ends_has_exactly_one_stop_record_in_three_documents() {
    let agent = Agent::start(FIRST, "");
    let source = source(agent.port, Kind::Docsis);
    let mut baseline = None;
    let mut stops = Vec::new();
    for (file, seconds) in [(FIRST, 0), (SECOND, 900), (SECOND, 901)] {
        agent.show(file);
        let asked = Asked {
            now: begin() + TimeDelta::seconds(seconds),
            recorder: "recorder",
            baseline: baseline.as_deref(),
        };
        let mut records = Records::default();
        let captured = source.capture(&asked, &mut records).unwrap();
        assert_eq!(captured.incomplete, None, "{file}");
        let mut octets = column(file, "1.3.6.1.4.1.4491.2.1.21.1.4.1.2");
        octets.remove(&MULTICAST);
        let live = records.0.iter().filter(|(kind, sfid, _)| *kind == 1 && *sfid < 8192);
        assert_eq!(
            live.map(|(_, sfid, octets)| (*sfid, *octets))
                .collect::<BTreeMap<_, _>>(),
            octets
        );
        stops.extend(records.0.into_iter().filter(|(kind, ..)| *kind == 2));
        baseline = captured.baseline;
    }
    let sfids = column(SECOND, "1.3.6.1.4.1.4491.2.1.21.1.7.1.3");
    let octets = column(SECOND, "1.3.6.1.4.1.4491.2.1.21.1.7.1.6");
    let mut expected: Vec<_> = sfids
        .iter()
        .map(|(index, sfid)| (2, *sfid as u32, octets[index]))
        .collect();
    expected.sort_unstable();
    stops.sort_unstable();
    assert_eq!(stops, expected);
}
