//! A thousand documents of one record to a hundred thousand wait for a collector, and arrive: whole, in order, octet for octet.

mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use billdrop::{
    capture::RecordSink,
    config::{Config, Profile},
    document::{Body, DocId, Header},
    ledger::Tell,
    record::{DocumentInformation, INTERFACE_USAGE, Record, SourceState, SourceStatus, Text, Value},
    spool::{self, Draft, Lock, NamingRule, Spool},
};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{CertificateParams, KeyPair};
use sha2::Digest;
use support::{
    Peer,
    binary::{Place, names},
    collector::Collector,
    free_port, say, wait_until,
};

const DOCUMENTS: u64 = 1000;

#[test]
fn a_thousand_documents_of_all_sizes_arrive_in_order_over_tcp_and_over_tls() {
    let place = Place::new();
    let plain = Collector::start(&place.path().join("plain"), &[]);
    let configure = |primary: String| {
        place.configure(&format!(
            "[recorder]\nhostname = \"many\"\nmac = \"00-00-5E-00-53-21\"\n[archive]\nkeep = \"1day\"\n\
             [stream]\nretries = 0\nidle-timeout = \"10m\"\nprimary = {{ {primary} }}\n[[source]]\ntype = \"linux\"\ninclude = [\"lo\"]\n"
        ));
    };
    configure(format!("address = \"{}\", security = \"non-secure\"", plain.address));
    let records = let_wait(&place);
    let began = Instant::now();
    assert_eq!(
        place.run(&["stream", "--once"]).expect(0).stdout,
        "1001 documents sent\n"
    );
    say(&format!(
        "{DOCUMENTS} documents with {records} records over TCP: {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    arrived(&place, &plain, 1..=DOCUMENTS + 1);

    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let file = |name: &str, text: String| {
        let path = place.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (file("certificate", certificate.pem()), file("key", key.serialize_pem()));
    let secure = Collector::start(
        &place.path().join("secure"),
        &["--certificate", &certificate, "--key", &key],
    );
    configure(format!("address = \"{}\", tls-ca = {certificate:?}", secure.address));
    place.run(&["resend", &format!("1..{DOCUMENTS}")]).expect(0);
    let began = Instant::now();
    assert_eq!(
        place.run(&["stream", "--once"]).expect(0).stdout,
        "1001 documents sent\n"
    );
    say(&format!("and over TLS: {:.1} s", began.elapsed().as_secs_f64()));
    arrived(&place, &secure, (1..=DOCUMENTS).chain([DOCUMENTS + 2]));

    // Programs of others keep no documents apart: what they got is all of them, one behind the other.
    let got = place.path().join("got");
    let mut socat = Command::new("socat");
    let port = free_port();
    socat.arg("-u");
    socat.arg(format!("TCP-LISTEN:{port},bind=127.0.0.1,reuseaddr,fork"));
    socat.arg(format!("OPEN:{},creat,append", got.display()));
    configure(format!("address = \"127.0.0.1:{port}\", security = \"non-secure\""));
    taken_by_others(&place, &mut socat, "socat", port, &got);

    let got = place.path().join("got-secure");
    let mut openssl = Command::new("openssl");
    let port = free_port();
    openssl.args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{port}")]);
    openssl.args(["-cert", &certificate, "-key", &key]);
    openssl.stdout(fs::File::create(&got).unwrap());
    configure(format!("address = \"127.0.0.1:{port}\", tls-ca = {certificate:?}"));
    taken_by_others(&place, &mut openssl, "openssl", port, &got);
}

/// The thousand and a new one, octet for octet and in order.
fn taken_by_others(place: &Place, command: &mut Command, package: &str, port: u16, got: &Path) {
    let _peer = Peer::spawn(command.stdin(Stdio::piped()).stderr(Stdio::null()), package);
    let listening = format!(":{port:04X} 00000000:0000 0A");
    wait_until("it listens", Duration::from_secs(20), || {
        fs::read_to_string("/proc/net/tcp").unwrap().contains(&listening)
    });
    place.run(&["resend", &format!("1..{DOCUMENTS}")]).expect(0);
    let began = Instant::now();
    let ran = place.run(&["stream", "--once"]).expect(0);
    assert_eq!(ran.stdout, "1001 documents sent\n");
    say(&format!("and to {package}: {:.1} s", began.elapsed().as_secs_f64()));
    let history = place.run(&["history", "--json"]).expect(0).stdout;
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    let mut names: Vec<(u64, String)> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["sequence"].as_u64().unwrap(),
                row["name"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    names.sort();
    let last = names.len() as u64;
    let mut wanted = sha2::Sha256::new();
    for (_, name) in names.iter().filter(|(n, _)| *n <= DOCUMENTS || *n == last) {
        wanted.update(fs::read(place.state().join("archive").join(name)).unwrap());
    }
    let wanted: [u8; 32] = wanted.finalize().into();
    wait_until("all is written", Duration::from_secs(20), || digest(got) == wanted);
}

/// In this order, and the same octets as the copies in the archive.
fn arrived(place: &Place, collector: &Collector, wanted: impl Iterator<Item = u64>) {
    for sequence in wanted {
        assert_eq!(collector.taken(), sequence);
    }
    assert!(collector.is_silent());
    let archive = place.state().join("archive");
    let mut copies: Vec<_> = names(&archive).iter().map(|name| digest(&archive.join(name))).collect();
    let taken = names(&collector.directory);
    assert_eq!(taken.len() as u64, DOCUMENTS + 1);
    for name in taken {
        let digest = digest(&collector.directory.join(&name));
        let at = copies.iter().position(|copy| *copy == digest);
        copies.swap_remove(at.unwrap_or_else(|| panic!("{name} is not what the archive holds")));
    }
}

fn digest(file: &Path) -> [u8; 32] {
    sha2::Sha256::digest(fs::read(file).unwrap()).into()
}

/// Documents that were captured while no collector was there. Returns how many records they have.
fn let_wait(place: &Place) -> u64 {
    let configured = fs::read_to_string(place.path().join("billdrop.toml")).unwrap();
    let mut config: Config = toml::from_str(&configured).unwrap();
    config.spool.directory = place.spool();
    let spool = Spool::prepare(&config).unwrap();
    let lock = Lock::open(&spool.state).unwrap();
    let locked = lock.try_hold().unwrap().expect("nobody else is here");
    let begin = Utc::now() - TimeDelta::hours(2);
    let begin = DateTime::from_timestamp(begin.timestamp(), 0).unwrap();
    let mut ledger = spool::open_ledger(&spool, "many", &[], begin, &locked).unwrap();
    let naming = NamingRule::new("many", &config.spool);
    let mut all = 0;
    let mut before = None;
    for sequence in 1..=DOCUMENTS {
        let now = begin + Duration::from_secs(sequence);
        let records = match sequence {
            1 | 500 | 1000 => 100_000,
            n => [1, 2, 10, 100, 1000][n as usize % 5],
        };
        let mut body = Body::new(&spool.state);
        for index in 0..records {
            body.push(&record(now, index as u32)).unwrap();
        }
        let doc_id = DocId::new(now, sequence, [0, 0, 0x5E, 0, 0x53, 0x21]);
        let information = DocumentInformation {
            created: now,
            sequence,
            previous_doc_id: before,
            covers_from: None,
            covers_to: now,
            captures_skipped: 0,
            remark: None,
            sources: vec![SourceStatus {
                name: "linux".to_owned(),
                state: SourceState::Complete,
                records,
                reason: None,
            }],
        };
        let draft = Draft {
            name: naming.name(now, None),
            header: Header {
                doc_id,
                created: now,
                recorder: text("many"),
                profile: Profile::Full,
            },
            information: &information,
            checksum: true,
            gaps: &[],
            baselines: &[],
            tell: &Tell::nobody(),
            destinations: &config.destinations(),
        };
        spool::commit(&spool, &mut ledger, &draft, &mut body, &Tell::nobody(), &locked).unwrap();
        before = Some(*doc_id.as_bytes());
        all += records;
    }
    all
}

fn text(text: &str) -> Text {
    Text::lossy(text.as_bytes()).0
}

fn record(created: DateTime<Utc>, index: u32) -> Record {
    let [_, a, b, c] = index.to_be_bytes();
    let count = Value::UnsignedLong(u64::from(index));
    let mut values = vec![
        created.into(),
        text("linux").into(),
        text("many").into(),
        Value::UnsignedInt(index),
        text(&format!("ge-0/0/{index}")).into(),
        text("customer <A&B>").into(),
        Value::MacAddress([0, 0, 0x5E, a, b, c]),
        Value::Enum(1),
        Value::Enum(1),
    ];
    values.extend(std::iter::repeat_n(count, 8));
    values.push(Value::Enum(0));
    Record {
        definition: &INTERFACE_USAGE,
        values,
    }
}
