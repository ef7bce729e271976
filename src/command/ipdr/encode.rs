//! Records of a source as they stand in DATA, kept until it is known whether the source came to its end.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    capture::{Asked, Captured, RecordSink, Source, SourceError},
    protocol::ipdr::RecordEncoder,
    record::Record,
    spill::{PIECE, Spill},
};

/// Octets of records that one device may give.
const ROOM: u64 = 1 << 30;

/// How long after its time limit what a source still says is not wanted any more.
const GRACE: Duration = Duration::from_secs(2);

/// A source whose records are encoded as they come. It hands none on: they are in its [`Kept`].
pub struct Encoding {
    source: Arc<dyn Source>,
    encoder: Arc<RecordEncoder>,
    directory: PathBuf,
    kept: Arc<Mutex<Option<Kept>>>,
}

/// What a source gave.
pub struct Kept {
    octets: Spill,
    pub records: u64,
    /// Records of other definitions, which belong to other sessions.
    pub others: BTreeMap<&'static str, u64>,
    unsendable: u64,
    /// Why the first of those cannot be sent.
    reason: String,
    limit: u64,
    deadline: Option<Instant>,
}

impl Encoding {
    pub fn new(source: &Arc<dyn Source>, encoder: &Arc<RecordEncoder>, directory: &Path) -> Encoding {
        Encoding {
            source: Arc::clone(source),
            encoder: Arc::clone(encoder),
            directory: directory.to_owned(),
            kept: Arc::default(),
        }
    }

    /// What it gave, once it was asked to the end. [`None`]: it was not.
    pub fn take(&self) -> Option<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Source for Encoding {
    fn name(&self) -> &str {
        self.source.name()
    }

    fn time_limit(&self) -> Option<Duration> {
        self.source.time_limit()
    }

    fn capture(&self, asked: &Asked<'_>, _: &mut dyn RecordSink) -> Result<Captured, SourceError> {
        let time_limit = self.source.time_limit();
        let mut sink = Sink {
            encoder: &self.encoder,
            kept: Kept {
                octets: Spill::new(&self.directory, PIECE),
                records: 0,
                others: BTreeMap::new(),
                unsendable: 0,
                reason: String::new(),
                limit: time_limit.map_or(u64::MAX, |_| ROOM),
                deadline: time_limit.and_then(|limit| Instant::now().checked_add(limit + GRACE)),
            },
        };
        let mut captured = self.source.capture(asked, &mut sink)?;
        let kept = sink.kept;
        if kept.unsendable > 0 {
            let reason = format!(
                "{} records cannot be sent, the first because: {}",
                kept.unsendable, kept.reason
            );
            captured.incomplete = Some(match captured.incomplete {
                Some(other) => format!("{other}; {reason}"),
                None => reason,
            });
        }
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        Ok(captured)
    }
}

struct Sink<'a> {
    encoder: &'a RecordEncoder,
    kept: Kept,
}

impl RecordSink for Sink<'_> {
    fn push(&mut self, record: &Record) -> io::Result<()> {
        let kept = &mut self.kept;
        if kept.deadline.is_some_and(|deadline| Instant::now() > deadline) {
            return Err(io::Error::other("the source was given up"));
        }
        if kept.octets.octets() >= kept.limit {
            let text = format!("the source gives more than {} MiB of records", kept.limit >> 20);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        if record.definition.name != self.encoder.definition().name {
            *kept.others.entry(record.definition.name).or_default() += 1;
            return Ok(());
        }
        let out = kept.octets.buffer();
        let begin = out.len();
        out.extend_from_slice(&[0; 4]);
        match self.encoder.append_values(out, record) {
            Ok(()) => {
                // A record of 4 GiB would have been refused above.
                let length = u32::try_from(out.len() - begin - 4).unwrap_or(u32::MAX);
                out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
                kept.records += 1;
                kept.octets.settle()
            }
            Err(e) => {
                out.truncate(begin);
                if kept.unsendable == 0 {
                    kept.reason = e.to_string();
                }
                kept.unsendable += 1;
                Ok(())
            }
        }
    }
}

impl Kept {
    /// Hands the records on, in their order.
    pub fn each<E>(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
        broken: impl FnOnce(io::Error) -> E,
    ) -> Result<(), E> {
        let mut left: Vec<u8> = Vec::new();
        let mut failed = None;
        let copied = self.octets.copy_to(|piece| {
            left.extend_from_slice(piece);
            let mut at = 0;
            while let Some((length, rest)) = left[at..].split_first_chunk::<4>() {
                let Some(record) = rest.get(..u32::from_be_bytes(*length) as usize) else {
                    break;
                };
                if let Err(e) = take(record) {
                    failed = Some(e);
                    return Err(io::Error::other("not taken"));
                }
                at += 4 + record.len();
            }
            left.drain(..at);
            Ok(())
        });
        match (failed, copied) {
            (Some(e), _) => Err(e),
            (None, copied) => copied.map_err(broken),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        protocol::ipdr::{Template, TemplateNames},
        record::{CALL_DETAIL, INTERFACE_USAGE, Value},
    };

    struct Some2 {
        good: u64,
    }

    fn record(definition: &'static crate::record::ServiceDefinition) -> Record {
        let mut record = Record {
            definition,
            values: vec![Value::Absent; definition.fields.len()],
        };
        for (field, value) in definition.fields.iter().zip(&mut record.values) {
            if let crate::record::Kind::Text { .. } = field.kind {
                *value = Value::Text(crate::record::Text::lossy(b"x").0);
            }
        }
        record
    }

    impl Source for Some2 {
        fn name(&self) -> &str {
            "some"
        }

        fn capture(&self, _: &Asked<'_>, records: &mut dyn RecordSink) -> Result<Captured, SourceError> {
            for _ in 0..self.good {
                records.push(&record(&CALL_DETAIL))?;
            }
            records.push(&record(&INTERFACE_USAGE))?;
            Ok(Captured::default())
        }
    }

    #[test]
    fn records_of_other_definitions_are_counted_and_those_that_cannot_be_sent_are_told() {
        let names = TemplateNames::of(&CALL_DETAIL);
        let template = Template::of(&CALL_DETAIL, 1, names).unwrap();
        let encoder = Arc::new(RecordEncoder::new(&CALL_DETAIL, 1, 0, &template).unwrap());
        let directory = tempfile::tempdir().unwrap();
        let source: Arc<dyn Source> = Arc::new(Some2 { good: 3 });
        let encoding = Encoding::new(&source, &encoder, directory.path());
        let asked = Asked {
            now: chrono::Utc::now(),
            recorder: "edge7",
            baseline: None,
        };
        struct Nobody;
        impl RecordSink for Nobody {
            fn push(&mut self, _: &Record) -> io::Result<()> {
                panic!("nothing is handed on");
            }
        }
        let captured = encoding.capture(&asked, &mut Nobody).unwrap();
        let kept = encoding.take().unwrap();
        assert_eq!(kept.others, BTreeMap::from([("InterfaceUsage-Type", 1)]));
        assert_eq!(kept.records + kept.unsendable, 3);
        assert_eq!(captured.incomplete.is_some(), kept.unsendable > 0);
    }

    #[test]
    fn records_come_back_in_their_order_wherever_the_pieces_are_cut() {
        let directory = tempfile::tempdir().unwrap();
        let mut kept = Kept {
            octets: Spill::new(directory.path(), 1000),
            records: 0,
            others: BTreeMap::new(),
            unsendable: 0,
            reason: String::new(),
            limit: u64::MAX,
            deadline: None,
        };
        let record = |n: u32| vec![n as u8; (n as usize * 7919) % 3000];
        for n in 0..500 {
            let record = record(n);
            let out = kept.octets.buffer();
            out.extend_from_slice(&(record.len() as u32).to_be_bytes());
            out.extend_from_slice(&record);
            kept.octets.settle().unwrap();
        }
        let mut n = 0;
        kept.each(
            |octets| -> io::Result<()> {
                assert_eq!(octets, record(n));
                n += 1;
                Ok(())
            },
            |e| e,
        )
        .unwrap();
        assert_eq!(n, 500);
    }
}
