//! From a CMTS to a collector of IPDR/SP: what is read by SNMP arrives in the records of DOCSIS 3.0, as a document of file
//! mode has it.

#[path = "cmts/agent.rs"]
#[allow(dead_code)] // each test binary uses a part
mod agent;
mod support;

use std::{collections::BTreeMap, fs};

use agent::Agent;
use serde_json::Value as Json;
use support::{
    binary::Place,
    ipdr::{
        Collector, Log, Script, Value,
        exporter::{NAME, QUICK, SESSION, Setup},
        value::read_record,
    },
};

const FIRST: &str = "uptime-600000.snmprec";

/// What no two records of one document have in common.
const KEY: [&str; 4] = [
    "CmtsMdIfIndex",
    "ServiceIdentifier",
    "ServiceDirection",
    "ServiceTimeCreated",
];

fn source(agent: &Agent, kind: &str) -> String {
    format!(
        "[[source]]\ntype = \"cmts\"\nname = \"here\"\naddress = \"127.0.0.1\"\nport = {}\ncommunity = \"{}\"\n\
         records = \"samis-type-{kind}\"\n",
        agent.port,
        agent::COMMUNITY
    )
}

/// The records of the flows in a document of file mode.
fn in_a_file(agent: &Agent, kind: &str) -> Vec<Json> {
    let place = Place::new();
    place.configure(&source(agent, kind));
    let ran = place.run(&["capture"]).expect(0);
    let shown = place.shown(&place.path().join(ran.stdout.trim()));
    let mut records = shown["records"].as_array().unwrap().clone();
    let definition = format!("DOCSIS-SAMIS-TYPE-{kind}");
    records.retain(|record| record["recordType"] == definition.as_str());
    records
}

/// What a session of this CMTS brings to a collector that connects.
fn to_a_collector(agent: &Agent, kind: &str) -> Vec<Vec<(String, Value)>> {
    let setup = Setup::new(&[("a", "127.0.0.1", 1)], &QUICK);
    let configuration = fs::read_to_string(setup.place.path().join("billdrop.toml")).unwrap();
    let linux = "[[source]]\nname = \"here\"\ntype = \"linux\"\ninclude = [\"lo\"]\n";
    assert!(configuration.contains(linux), "{configuration}");
    let configuration = configuration.replace(linux, &source(agent, kind));
    let configuration = configuration.replace("kind = \"time-interval\"\ninterval = \"1day\"\n", "kind = \"ad-hoc\"\n");
    setup.place.configure(&configuration);
    let log = Log::new();
    let _exporter = setup.start();
    let _collector = Collector::dial(&log, "a", "127.0.0.1", setup.address, Script::default());
    log.wait("the document", |seen| seen.are_taken(SESSION, 1));
    let seen = log.seen();
    assert!(seen.faults.is_empty(), "{}", seen.summary());
    assert_eq!(seen.offered[0].name, NAME);
    let (_, templates) = &seen.templates[&SESSION];
    let fields = &templates[0].fields;
    let records = seen.documents[0].records.iter();
    records
        .map(|record| read_record(fields, &record.body).unwrap())
        .collect()
}

/// Whether both say the same; None for times, which are those of two captures, and for codes, which a document spells out.
fn are_the_same(json: &Json, value: &Value) -> Option<bool> {
    Some(match value {
        Value::Signed(number) => json.as_i64()? == *number,
        Value::Unsigned(number) => json.as_u64()? == *number,
        Value::Text(text) => json.as_str().unwrap_or_default() == text,
        Value::Address(address) => json.as_str()?.parse() == Ok(*address),
        Value::Mac(mac) => json.as_str()? == mac.map(|octet| format!("{octet:02X}")).join("-"),
        _ => return None,
    })
}

#[test]
fn the_records_of_a_cmts_arrive_as_a_document_has_them() {
    let agent = Agent::start(FIRST, "");
    for kind in ["1", "2"] {
        let file = in_a_file(&agent, kind);
        assert_eq!(file.len(), 43);
        let mut wanted: BTreeMap<_, _> = file
            .iter()
            .map(|record| (KEY.map(|name| record[name].as_u64().unwrap()), record))
            .collect();
        assert_eq!(wanted.len(), file.len(), "each flow has one record");
        let arrived = to_a_collector(&agent, kind);
        assert_eq!(arrived.len(), file.len());
        let mut compared: BTreeMap<String, usize> = BTreeMap::new();
        for record in &arrived {
            let of = |name: &str| &record.iter().find(|(field, _)| field == name).unwrap().1;
            let key = KEY.map(|name| of(name).as_u64());
            let wanted = wanted.remove(&key).expect("a flow of the document, once");
            for (name, value) in record {
                let Some(same) = are_the_same(&wanted[name], value) else {
                    continue;
                };
                assert!(
                    same || name == "CmtsSysUpTime",
                    "{name}: {} and {value:?}",
                    wanted[name]
                );
                *compared.entry(name.clone()).or_default() += 1;
            }
        }
        for name in [
            "CmMacAddr",
            "ServiceIdentifier",
            "ServiceOctetsPassed",
            "ServicePktsPassed",
            "ServiceTimeCreated",
        ] {
            assert_eq!(compared[name], file.len(), "{name}");
        }
        let octets: u64 = file
            .iter()
            .map(|record| record["ServiceOctetsPassed"].as_u64().unwrap())
            .sum();
        assert!(octets > 0);
    }
}
