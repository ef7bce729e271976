//! What all collectors of a test got and acknowledged, in one place, and what the exporter did against the rules.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use super::message::{Data, SessionBlock, SessionStart, Template};

#[derive(Clone, Default)]
pub struct Log(Arc<(Mutex<Seen>, Condvar)>);

/// Everything that was seen.
#[derive(Default)]
pub struct Seen {
    /// In the order of their first SESSION_START.
    pub documents: Vec<Document>,
    /// What the exporter did against the rules.
    pub faults: Vec<String>,
    /// What happened, but for records and acknowledgements.
    pub notes: Vec<String>,
    began: Option<Instant>,
    /// By collector and session.
    states: HashMap<(String, u8), State>,
    /// By session.
    pub templates: HashMap<u8, (u16, Vec<Template>)>,
    /// As they were offered last.
    pub offered: Vec<SessionBlock>,
    /// Numbers of general and session ERRORs.
    pub errors: Vec<u16>,
    /// Connections that got an answer to CONNECT.
    pub connections: u64,
    pub keep_alives: u64,
    pub acks: u64,
}

/// Where a session of a collector is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    Away,
    Connected,
    FlowStarted,
    Ready,
    Active,
}

pub struct Document {
    pub session: u8,
    pub id: [u8; 16],
    /// By sequence number.
    pub records: Vec<Record>,
    pub starts: Vec<(String, SessionStart)>,
    /// Collector and reason.
    pub stops: Vec<(String, u16)>,
    /// How many from the first on are acknowledged without a gap.
    pub acknowledged: u64,
    /// Records that came, and how many of them were flagged.
    pub received: u64,
    pub duplicates: u64,
}

#[derive(Default, Clone)]
pub struct Record {
    pub body: Box<[u8]>,
    /// How often it came, and how often without the duplicate flag.
    pub received: u32,
    pub unflagged: u32,
    pub is_acknowledged: bool,
}

impl Document {
    /// SESSION_STOP for the end of the document was seen.
    pub fn is_over(&self) -> bool {
        self.stops.iter().any(|(_, reason)| matches!(reason, 0 | 6))
    }

    /// Every record that came is acknowledged.
    pub fn is_taken(&self) -> bool {
        self.acknowledged == self.records.len() as u64
    }
}

impl Seen {
    /// The document that the next record of this session belongs to.
    pub fn started(&mut self, who: &str, session: u8, start: &SessionStart) -> usize {
        self.note(who, format!("session {session}: {start:?}"));
        let known = self
            .documents
            .iter()
            .position(|known| known.session == session && known.id == start.document);
        let index = known.unwrap_or_else(|| {
            self.documents.push(Document {
                session,
                id: start.document,
                records: Vec::new(),
                starts: Vec::new(),
                stops: Vec::new(),
                acknowledged: 0,
                received: 0,
                duplicates: 0,
            });
            self.documents.len() - 1
        });
        let document = &mut self.documents[index];
        let acknowledged = document.acknowledged;
        document.starts.push((who.to_owned(), start.clone()));
        if start.first_sequence > acknowledged && start.dropped == 0 {
            self.fault(
                who,
                format!("begins at {}, acknowledged are {acknowledged}", start.first_sequence),
            );
        }
        if self.documents[index + 1..].iter().any(|later| later.session == session) {
            self.fault(who, "begins a document again that another has followed".to_owned());
        }
        index
    }

    pub fn received(&mut self, who: &str, index: usize, data: Data) {
        let document = &mut self.documents[index];
        let at = data.sequence as usize;
        if document.records.len() <= at {
            document.records.resize_with(at + 1, Record::default);
        }
        let record = &mut document.records[at];
        let mut fault = None;
        if record.received == 0 {
            record.body = data.record.into_boxed_slice();
        } else if *record.body != *data.record {
            fault = Some("is another one than before");
        }
        record.received += 1;
        record.unflagged += u32::from(!data.is_duplicate);
        // The first copy may be read after the second one, by another collector.
        if record.unflagged > 1 && !data.is_duplicate {
            fault = Some("comes again without the duplicate flag");
        }
        document.received += 1;
        document.duplicates += u64::from(data.is_duplicate);
        if let Some(fault) = fault {
            self.fault(who, format!("record {at} of document {index} {fault}"));
        }
    }

    /// Records of a document that one collector has received, and acknowledges now.
    pub fn acknowledged(&mut self, index: usize, records: std::ops::Range<u64>) {
        let document = &mut self.documents[index];
        for at in records {
            document.records[at as usize].is_acknowledged = true;
        }
        let from = document.acknowledged as usize;
        let more = document.records[from..]
            .iter()
            .take_while(|record| record.is_acknowledged)
            .count();
        document.acknowledged += more as u64;
        self.acks += 1;
    }

    pub fn note(&mut self, who: &str, text: String) {
        let at = self.began.get_or_insert_with(Instant::now).elapsed().as_millis();
        self.notes.push(format!("{who}: {text} ({at} ms)"));
    }

    pub fn fault(&mut self, who: &str, text: String) {
        self.note(who, format!("FAULT {text}"));
        self.faults.push(format!("{who}: {text}"));
    }

    pub fn enter(&mut self, who: &str, session: u8, state: State) {
        self.note(who, format!("session {session} is {state:?}"));
        self.states.insert((who.to_owned(), session), state);
    }

    pub fn away(&mut self, who: &str, why: &str) {
        self.note(who, format!("is away: {why}"));
        self.states.retain(|(name, _), _| name != who);
    }

    pub fn state(&self, who: &str, session: u8) -> State {
        self.states
            .get(&(who.to_owned(), session))
            .copied()
            .unwrap_or(State::Away)
    }

    /// The collectors that have the session now.
    pub fn active(&self, session: u8) -> Vec<&str> {
        let active = |(key, state): (&'_ (String, u8), &State)| key.1 == session && *state == State::Active;
        self.states
            .iter()
            .filter(|entry| active(*entry))
            .map(|((name, _), _)| name.as_str())
            .collect()
    }

    /// So many documents of the session are over, and every record of them is acknowledged.
    pub fn are_taken(&self, session: u8, documents: usize) -> bool {
        let of_session = || self.documents.iter().filter(|document| document.session == session);
        of_session().count() >= documents && of_session().all(|document| document.is_over() && document.is_taken())
    }

    pub fn summary(&self) -> String {
        let mut text = String::new();
        for (index, document) in self.documents.iter().enumerate() {
            let _ = writeln!(
                text,
                "document {index}, session {}: {} records, {} acknowledged, {} flagged, starts {:?}, stops {:?}",
                document.session,
                document.records.len(),
                document.acknowledged,
                document.duplicates,
                document
                    .starts
                    .iter()
                    .map(|(who, start)| (who, start.first_sequence))
                    .collect::<Vec<_>>(),
                document.stops,
            );
        }
        let _ = writeln!(text, "states {:?}\nfaults {:#?}", self.states, self.faults);
        for note in &self.notes[self.notes.len().saturating_sub(300)..] {
            let _ = writeln!(text, "  {note}");
        }
        text
    }
}

impl Log {
    pub fn new() -> Self {
        Log::default()
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Changes what is seen, and wakes those who wait for it.
    pub fn tell<T>(&self, change: impl FnOnce(&mut Seen) -> T) -> T {
        let changed = change(&mut self.seen());
        self.0.1.notify_all();
        changed
    }

    /// Waits for it; panics with everything that was seen after two minutes.
    #[track_caller]
    pub fn wait(&self, what: &str, mut ready: impl FnMut(&Seen) -> bool) {
        let (seen, timeout) = self
            .0
            .1
            .wait_timeout_while(self.seen(), Duration::from_secs(120), |seen| !ready(seen))
            .unwrap();
        assert!(!timeout.timed_out(), "{what}: did not come\n{}", seen.summary());
    }

    /// Fails with the first of the rules that the exporter did not keep to.
    #[track_caller]
    pub fn assert_no_faults(&self) {
        let seen = self.seen();
        assert!(seen.faults.is_empty(), "{}", seen.summary());
    }

    /// Every record of the documents of a session once: so many in each, with the bodies that `body` makes of the number of
    /// the document and the record's.
    #[track_caller]
    pub fn assert_taken(&self, session: u8, records: &[u64], body: impl Fn(u64, u64) -> Vec<u8>) {
        self.assert_no_faults();
        let seen = self.seen();
        let taken: Vec<&Document> = seen
            .documents
            .iter()
            .filter(|document| document.session == session)
            .collect();
        assert_eq!(taken.len(), records.len(), "documents\n{}", seen.summary());
        for (document, (taken, wanted)) in (0..).zip(taken.iter().zip(records)) {
            assert_eq!(
                taken.records.len() as u64,
                *wanted,
                "records of {document}\n{}",
                seen.summary()
            );
            assert_eq!(
                taken.acknowledged,
                *wanted,
                "of document {document}\n{}",
                seen.summary()
            );
            for (at, record) in (0..).zip(&taken.records) {
                assert_eq!(*record.body, *body(document, at), "record {at} of document {document}");
                assert!(record.unflagged <= 1, "record {at} of document {document}");
            }
        }
    }
}
