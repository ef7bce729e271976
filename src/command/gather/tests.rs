use std::sync::{Condvar, Mutex};

use super::*;
use crate::{
    command::progress::Audience,
    document::{Header, Limits, Reader},
    record::{DEVICE_USAGE, DeviceHead, DeviceUsage, Location, Target, Text, Value},
};

type Does = dyn Fn(&DeviceHead, &mut dyn RecordSink) -> Result<Captured, SourceError> + Send + Sync;

/// A source that does what a test tells it.
struct Told {
    name: String,
    limit: Option<Duration>,
    does: Box<Does>,
}

impl Source for Told {
    fn name(&self) -> &str {
        &self.name
    }

    fn time_limit(&self) -> Option<Duration> {
        self.limit
    }

    fn capture(&self, asked: &Asked<'_>, records: &mut dyn RecordSink) -> Result<Captured, SourceError> {
        let head = DeviceHead {
            created: asked.now,
            source_name: self.name.clone(),
            contract: "12345678".to_owned(),
            target: Target::Cucm,
            serv_cnt: self.name.clone(),
            location: Location::Local,
            address: "192.0.2.1".to_owned(),
            device_time: None,
        };
        (self.does)(&head, records)
    }
}

fn source(
    name: &str,
    does: impl Fn(&DeviceHead, &mut dyn RecordSink) -> Result<Captured, SourceError> + Send + Sync + 'static,
) -> Arc<dyn Source> {
    Arc::new(Told {
        name: name.to_owned(),
        limit: Some(Duration::from_secs(60)),
        does: Box::new(does),
    })
}

/// Has this many records and says that it is done.
fn good(name: &str, count: u64) -> Arc<dyn Source> {
    source(name, move |head, records| {
        push(head, records, count)?;
        Ok(Captured {
            baseline: Some(head.source_name.clone().into_bytes()),
            ..Captured::default()
        })
    })
}

fn push(head: &DeviceHead, records: &mut dyn RecordSink, count: u64) -> Result<(), SourceError> {
    for device_count in 0..count {
        let usage = DeviceUsage {
            ccm_version: None,
            device_class: Some("Phone"),
            device_model: None,
            device_count,
        };
        records.push(&usage.to_record(head))?;
    }
    Ok(())
}

/// Opened once, by the test.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        drop(self.1.wait_while(self.0.lock().unwrap(), |open| !*open).unwrap());
    }
}

/// What asking came to.
struct Outcome {
    gathered: io::Result<Gathered>,
    body: Body,
    summary: String,
}

fn gathered(sources: &[Arc<dyn Source>], concurrency: usize) -> Outcome {
    let directory = std::env::temp_dir();
    gathered_in(&directory, sources, concurrency)
}

fn gathered_in(directory: &Path, sources: &[Arc<dyn Source>], concurrency: usize) -> Outcome {
    let tally = Tally::new(Audience::nobody(), sources);
    let mut body = Body::new(directory);
    let asking = Asking {
        now: now(),
        recorder: "recorder1",
        concurrency,
        directory,
        lines: Some((Format::Text, "document-1")),
        baseline: &|name| Ok(Some(format!("before {name}").into_bytes())),
        tally: &tally,
        is_told: true,
    };
    let gathered = gather(sources, &asking, &mut body);
    Outcome {
        gathered,
        body,
        summary: tally.conclude(),
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_768_469_400, 0).unwrap()
}

/// Source and count of each record, in the order of the document.
fn records(body: &mut Body) -> Vec<(String, u64)> {
    let header = Header {
        doc_id: crate::document::DocId::new(now(), 0, [0; 6]),
        created: now(),
        recorder: Text::default(),
        profile: crate::config::Profile::CiscoSamis,
    };
    let mut octets = Vec::new();
    crate::document::write(&mut octets, &header, None, body, now(), false).unwrap();
    let mut reader = Reader::new(&octets[..], Limits::default()).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        let value = |name| &record.values[DEVICE_USAGE.field(name).unwrap().0];
        if let (Value::Text(source), Value::UnsignedLong(count)) = (value("sourceName"), value("deviceCount")) {
            records.push((source.as_str().to_owned(), *count));
        }
    }
    records
}

fn states(gathered: &Gathered) -> Vec<(&str, SourceState, u64)> {
    let statuses = gathered.statuses.iter();
    statuses
        .map(|status| (&*status.name, status.state, status.records))
        .collect()
}

#[test]
fn records_and_statuses_come_in_the_order_of_the_configuration() {
    let gate = Arc::new(Gate::default());
    let (opens, waits) = (Arc::clone(&gate), gate);
    let sources = [
        // Ends last: the gate is opened by the one that is configured last.
        source("first", move |head, records| {
            push(head, records, 1)?;
            waits.wait();
            push(head, records, 1)?;
            Ok(Captured::default())
        }),
        good("second", 1),
        good("third", 2000),
        source("fourth", move |head, records| {
            push(head, records, 1)?;
            opens.open();
            Ok(Captured::default())
        }),
    ];
    let mut result = gathered(&sources, 4);
    let gathered = result.gathered.unwrap();
    use SourceState::Complete;
    assert_eq!(
        states(&gathered),
        [
            ("first", Complete, 2),
            ("second", Complete, 1),
            ("third", Complete, 2000),
            ("fourth", Complete, 1)
        ]
    );
    let mut expected = vec![
        ("first".to_owned(), 0),
        ("first".to_owned(), 0),
        ("second".to_owned(), 0),
    ];
    expected.extend((0..2000).map(|count| ("third".to_owned(), count)));
    expected.push(("fourth".to_owned(), 0));
    assert_eq!(records(&mut result.body), expected);
    let baselines = [("second", "second"), ("third", "third")].map(|(s, b)| (s.to_owned(), b.as_bytes().to_vec()));
    assert_eq!(gathered.baselines, baselines);
    assert!(
        result
            .summary
            .starts_with("4 devices asked, 4 answered, 0 failed, 2004 records in "),
        "{}",
        result.summary
    );
}

#[test]
fn a_source_that_hangs_costs_only_itself() {
    let gate = Arc::new(Gate::default());
    let waits = Arc::clone(&gate);
    let (told, hears) = mpsc::channel();
    let told = Mutex::new(told);
    let hanging: Arc<dyn Source> = Arc::new(Told {
        name: "hanging".to_owned(),
        limit: Some(Duration::from_millis(10)),
        does: Box::new(move |head, records| {
            push(head, records, 3)?;
            waits.wait();
            // It wakes up when nobody asks for it any more.
            let late = push(head, records, 1);
            told.lock().unwrap().send(late.is_err()).unwrap();
            Ok(Captured::default())
        }),
    });
    let begun = Instant::now();
    let mut result = gathered(&[good("before", 1), hanging, good("behind", 1)], 2);
    assert!(begun.elapsed() < Duration::from_secs(20));
    let gathered = result.gathered.unwrap();
    assert_eq!(
        states(&gathered),
        [
            ("before", SourceState::Complete, 1),
            ("hanging", SourceState::Failed, 0),
            ("behind", SourceState::Complete, 1)
        ]
    );
    assert_eq!(
        gathered.statuses[1].reason.as_deref(),
        Some("has not ended within its time limit (10ms)")
    );
    assert_eq!(
        records(&mut result.body),
        [("before".to_owned(), 0), ("behind".to_owned(), 0)]
    );
    gate.open();
    assert_eq!(hears.recv(), Ok(true), "what comes late is not taken");
}

#[test]
fn a_queue_behind_hanging_sources_goes_on() {
    let gate = Arc::new(Gate::default());
    let mut sources: Vec<Arc<dyn Source>> = Vec::new();
    for index in 0..4 {
        let waits = Arc::clone(&gate);
        sources.push(Arc::new(Told {
            name: format!("hanging{index}"),
            limit: Some(Duration::ZERO),
            does: Box::new(move |_, _| {
                waits.wait();
                Ok(Captured::default())
            }),
        }));
    }
    // A time limit counts from the start: this one is queued for longer than it may take.
    sources.push(Arc::new(Told {
        name: "patient".to_owned(),
        limit: Some(Duration::ZERO),
        does: Box::new(|head, records| push(head, records, 1).map(|()| Captured::default())),
    }));
    let begun = Instant::now();
    let gathered = gathered(&sources, 2).gathered.unwrap();
    assert!(
        begun.elapsed() >= 2 * GRACE && begun.elapsed() < 10 * GRACE,
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(states(&gathered)[4], ("patient", SourceState::Complete, 1));
    assert_eq!(gathered.failures().count(), 4);
    gate.open();
}

#[test]
fn no_more_sources_are_asked_at_once_than_allowed() {
    let at_once = Arc::new(AtomicU64::new(0));
    let most = Arc::new(AtomicU64::new(0));
    let sources: Vec<_> = (0..40)
        .map(|index| {
            let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
            source(&format!("s{index}"), move |head, records| {
                most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                push(head, records, 50)?;
                at_once.fetch_sub(1, Ordering::SeqCst);
                Ok(Captured::default())
            })
        })
        .collect();
    let result = gathered(&sources, 3);
    assert_eq!(result.body.count(), 2000);
    assert!(most.load(Ordering::SeqCst) <= 3);
}

#[test]
fn a_source_that_panics_costs_only_itself() {
    let panics = |head: &DeviceHead, records: &mut dyn RecordSink| -> Result<Captured, SourceError> {
        push(head, records, 5)?;
        panic!("index {} is out of range", 7)
    };
    let mut result = gathered(&[good("before", 1), source("broken", panics), good("behind", 1)], 8);
    let gathered = result.gathered.unwrap();
    assert_eq!(states(&gathered)[1], ("broken", SourceState::Failed, 0));
    assert_eq!(
        gathered.statuses[1].reason.as_deref(),
        Some("internal error: index 7 is out of range; please report it")
    );
    assert_eq!(
        records(&mut result.body),
        [("before".to_owned(), 0), ("behind".to_owned(), 0)]
    );

    // Also the only one, which is asked by this thread.
    let alone: Arc<dyn Source> = Arc::new(Told {
        name: "alone".to_owned(),
        limit: None,
        does: Box::new(panics),
    });
    let mut result = self::gathered(&[alone], 8);
    assert_eq!(states(&result.gathered.unwrap())[0], ("alone", SourceState::Failed, 0));
    assert_eq!(records(&mut result.body), []);
}

#[test]
fn records_of_a_source_that_fails_are_taken_back() {
    let fails = |head: &DeviceHead, records: &mut dyn RecordSink| -> Result<Captured, SourceError> {
        push(head, records, 2000)?;
        Err(SourceError::Unavailable("the answer was cut off".to_owned()))
    };
    let incomplete = |head: &DeviceHead, records: &mut dyn RecordSink| -> Result<Captured, SourceError> {
        push(head, records, 1)?;
        Ok(Captured {
            incomplete: Some("the rest was refused".to_owned()),
            ..Captured::default()
        })
    };
    let mut result = gathered(&[source("fails", fails), source("incomplete", incomplete)], 2);
    let gathered = result.gathered.unwrap();
    assert_eq!(
        states(&gathered),
        [
            ("fails", SourceState::Failed, 0),
            ("incomplete", SourceState::Incomplete, 1)
        ]
    );
    assert_eq!(records(&mut result.body), [("incomplete".to_owned(), 0)]);
    let mut lines = Vec::new();
    gathered
        .lines
        .unwrap()
        .copy_to(|piece| {
            lines.extend_from_slice(piece);
            Ok(())
        })
        .unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert_eq!(
        lines.lines().count(),
        1,
        "the log tells of what is in the document: {lines}"
    );
    assert!(
        lines.starts_with("2026-01-15T09:30:00.000Z INFO document=document-1 type=DeviceUsage-Type "),
        "{lines}"
    );
}

#[test]
fn a_record_that_no_document_can_hold_is_the_failure_of_its_source() {
    let too_long = |head: &DeviceHead, records: &mut dyn RecordSink| -> Result<Captured, SourceError> {
        let usage = DeviceUsage {
            ccm_version: None,
            device_class: Some(&"x".repeat(5000)),
            device_model: None,
            device_count: 1,
        };
        records.push(&usage.to_record(head))?;
        Ok(Captured::default())
    };
    let gathered = gathered(&[good("good", 1), source("long", too_long)], 2)
        .gathered
        .unwrap();
    let status = &gathered.statuses[1];
    assert_eq!(status.state, SourceState::Failed);
    assert!(
        status.reason.as_deref().unwrap().contains("field deviceClass"),
        "{status:?}"
    );
}

#[test]
fn a_disk_of_our_own_that_fails_stops_the_capture() {
    let directory = tempfile::tempdir().unwrap();
    let gone = directory.path().join("gone");
    let result = gathered_in(&gone, &[good("small", 1), good("large", 10_000)], 2);
    assert_eq!(result.gathered.unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn records_that_wait_for_a_slow_source_do_not_wait_in_memory() {
    // Alone in a process: the memory of other tests is not meant.
    const ALONE: &str = "BILLDROP_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        const NAME: &str = "command::gather::tests::records_that_wait_for_a_slow_source_do_not_wait_in_memory";
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args([NAME, "--exact"])
            .env(ALONE, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let gate = Arc::new(Gate::default());
    let waits = Arc::clone(&gate);
    let slow = source("slow", move |head, records| {
        waits.wait();
        push(head, records, 1)?;
        Ok(Captured::default())
    });
    let large = source("large", move |head, records| {
        // Much more than the memory for a document's body.
        push(head, records, 60_000)?;
        let kib = resident_kib();
        gate.open();
        Ok(Captured {
            remark: Some(kib.to_string()),
            ..Captured::default()
        })
    });
    let before = resident_kib();
    let result = gathered(&[slow, large], 2);
    let gathered = result.gathered.unwrap();
    let octets = result.body.octets();
    let grown = gathered.statuses[1]
        .reason
        .as_deref()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        .saturating_sub(before);
    assert!(octets > 16 << 20, "{octets}");
    assert!(grown < 12 << 10, "{grown} KiB for {octets} octets");
}

#[test]
fn a_source_that_hangs_does_not_let_any_number_of_answers_wait() {
    let started = Arc::new((Mutex::new(0), Condvar::new()));
    let seen = Arc::clone(&started);
    let slow = source("slow", move |head, records| {
        // Nothing may happen, so there is nothing to wait for but time.
        let too_many = |count: &mut usize| *count <= 3 + 2;
        let count = seen.0.lock().unwrap();
        let limit = Duration::from_millis(300);
        let (count, _) = seen.1.wait_timeout_while(count, limit, too_many).unwrap();
        push(head, records, 1)?;
        Ok(Captured {
            remark: Some(count.to_string()),
            ..Captured::default()
        })
    });
    let mut sources = vec![slow];
    sources.extend((0..20).map(|n| {
        let started = Arc::clone(&started);
        source(&format!("quick{n}"), move |head, records| {
            *started.0.lock().unwrap() += 1;
            started.1.notify_all();
            push(head, records, 1)?;
            Ok(Captured::default())
        })
    }));
    let directory = std::env::temp_dir();
    let tally = Tally::new(Audience::nobody(), &sources);
    let mut body = Body::new(&directory);
    let asking = Asking {
        is_told: true,
        now: now(),
        recorder: "recorder1",
        concurrency: 2,
        directory: &directory,
        lines: None,
        baseline: &|_| Ok(None),
        tally: &tally,
    };
    let mut gathered = Gathered::default();
    let mut round = Round::new(&sources, &asking);
    round.most_early = 3;
    round.run(&mut gathered, &mut body).unwrap();
    assert_eq!(body.count(), 21);
    let started: usize = gathered.statuses[0].reason.as_deref().unwrap().parse().unwrap();
    assert_eq!(started, 3);
    assert_eq!(most_early(1024, 64), 160);
    assert_eq!((most_early(128, 64), most_early(u64::MAX, 64)), (64, 4096));
}

#[test]
fn a_source_cannot_fill_our_disk() {
    let directory = std::env::temp_dir();
    let mut sink = Sink {
        body: Body::of_one_of_many(&directory),
        lines: None,
        pushed: Arc::default(),
        room: 1 << 20,
        is_given_up: Arc::default(),
    };
    let endless = source("endless", |head, records| {
        push(head, records, 100_000)?;
        Ok(Captured::default())
    });
    let asked = Asked {
        now: now(),
        recorder: "recorder1",
        baseline: None,
    };
    let error = endless.capture(&asked, &mut sink).unwrap_err();
    assert_eq!(error.to_string(), "the source gives more than 1 MiB of records");
    assert!(sink.body.octets() < (1 << 20) + 1000, "{}", sink.body.octets());
}

#[test]
fn a_source_whose_baseline_cannot_be_read_is_not_asked() {
    for limit in [None, Some(Duration::from_secs(60))] {
        let directory = std::env::temp_dir();
        let source: Arc<dyn Source> = Arc::new(Told {
            name: "known".to_owned(),
            limit,
            does: Box::new(|_, _| panic!("it was asked")),
        });
        let sources = [source];
        let tally = Tally::new(Audience::nobody(), &sources);
        let asking = Asking {
            is_told: true,
            now: now(),
            recorder: "recorder1",
            concurrency: 2,
            directory: &directory,
            lines: None,
            baseline: &|_| Err("the ledger is damaged".to_owned()),
            tally: &tally,
        };
        let gathered = gather(&sources, &asking, &mut Body::new(&directory)).unwrap();
        assert_eq!(states(&gathered), [("known", SourceState::Failed, 0)]);
        assert_eq!(gathered.statuses[0].reason.as_deref(), Some("the ledger is damaged"));
        assert!(gathered.baselines.is_empty());
    }
}

/// Memory of this process. The tests of other modules run beside, so it is a bound for all of them.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
