//! One time that the sources of a session are asked: encoded, stored, remembered.
//!
//! The rename in the store is the commit of the records and of the sources' baselines. The ledger hears of it at once, under
//! the same lock; what it has missed through a kill it is brought by the next start. Calls are kept from the other modes
//! meanwhile: each is in one document of whatever mode.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, PoisonError},
};

use chrono::{DateTime, Utc};

use super::super::{
    gather::{Asking, Gathered, Known, gather},
    progress::Tally,
};
use super::{encode::Encoding, session::Worker};
use crate::{
    capture::{self, Source},
    deliver::ipdr::{
        Encoding as Exported,
        store::{Baseline, Meta, Remembered, Writing},
    },
    document::Body,
    exit::{Error, Exit, Result},
    ledger::{Gap, Ledger},
    protocol::ipdr::{DocumentId, DocumentIdForm, RecordEncoder},
    record::SourceState,
};

pub struct Round<'a> {
    pub worker: &'a Worker,
    /// What the document is called by.
    pub begin: DateTime<Utc>,
    pub now: DateTime<Utc>,
    /// A document of its own, which is made without records, too; else a part of one.
    pub is_whole: bool,
}

/// What came of it.
pub struct Came {
    pub is_sealed: bool,
    pub records: u64,
    pub gaps: Vec<Gap>,
}

/// Records that are written and not sealed, and what their sources are to remember.
struct Written {
    writing: Writing,
    baselines: Vec<Baseline>,
}

impl Round<'_> {
    pub fn run(&self) -> Result<Came> {
        let (memory, limit) = (&self.worker.common.memory, self.worker.limit());
        if self.worker.sources.iter().any(|source| source.name() == capture::CALLS) {
            return memory.with(limit, |ledger| {
                let known = self.known(ledger)?;
                let (written, mut came) = self.write(&known)?;
                if let Some(written) = written {
                    self.commit(ledger, written)?;
                    came.is_sealed = true;
                }
                Ok(came)
            });
        }
        let known = memory.with(limit, |ledger| self.known(ledger))?;
        let (written, mut came) = self.write(&known)?;
        if let Some(written) = written {
            memory.with(limit, |ledger| self.commit(ledger, written))?;
            came.is_sealed = true;
        }
        Ok(came)
    }

    /// The rename, then the ledger. What that cannot take now it is brought by the next round.
    fn commit(&self, ledger: &mut Ledger, written: Written) -> Result<()> {
        let worker = self.worker;
        let stored = written.writing.seal(self.is_whole, &written.baselines)?;
        tracing::info!(
            "session {}: document {} has {} records",
            worker.name(),
            stored.number,
            stored.records
        );
        let Some(place) = worker.store.place() else {
            return Ok(());
        };
        if let Err(e) = ledger.note_streamed(worker.name(), place, &written.baselines) {
            tracing::error!("session {}: the document is stored, but: {e}", worker.name());
            worker
                .unnoted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(Remembered {
                    place,
                    baselines: written.baselines,
                });
        }
        Ok(())
    }

    /// Calls have one baseline for all modes; everything else one for each session.
    fn key(&self, source: &str) -> String {
        match source {
            capture::CALLS => source.to_owned(),
            source => format!("ipdr/{}/{source}", self.worker.name()),
        }
    }

    fn known(&self, ledger: &mut Ledger) -> Result<HashMap<String, Known>> {
        let mut unnoted = self.worker.unnoted.lock().unwrap_or_else(PoisonError::into_inner);
        for one in unnoted.iter() {
            ledger.note_streamed(self.worker.name(), one.place, &one.baselines)?;
        }
        unnoted.clear();
        let known = |source: &Arc<dyn Source>| {
            let kept = ledger.baseline(&self.key(source.name()));
            let kept = kept.map_err(|e| format!("what was delivered of it is not known, so it was not asked: {e}"));
            (source.name().to_owned(), kept)
        };
        Ok(self.worker.sources.iter().map(known).collect())
    }

    fn ask(&self, encoding: &Exported, known: &HashMap<String, Known>) -> Result<(Vec<Arc<Encoding>>, Gathered)> {
        let (worker, setting) = (self.worker, &self.worker.common.setting);
        let directory = setting.config.state_directory();
        let plan = &worker.planned.setting;
        let encoder = RecordEncoder::new(plan.definition, plan.id, encoding.config_id, &encoding.template)
            .map_err(|e| Error::new(Exit::Internal, e.to_string()))?;
        let encoder = Arc::new(encoder);
        let encodings: Vec<Arc<Encoding>> = worker
            .sources
            .iter()
            .map(|source| Arc::new(Encoding::new(source, &encoder, &directory)))
            .collect();
        let sources: Vec<Arc<dyn Source>> = encodings
            .iter()
            .map(|encoding| Arc::clone(encoding) as Arc<dyn Source>)
            .collect();
        let baseline = |source: &str| known.get(source).cloned().unwrap_or(Ok(None));
        let tally = Tally::new(setting.audience, &sources);
        let asking = Asking {
            now: self.now,
            recorder: &setting.hostname,
            concurrency: setting.config.capture.concurrency.into(),
            directory: &directory,
            lines: None,
            baseline: &baseline,
            tally: &tally,
            is_told: false,
        };
        let gathered = gather(&sources, &asking, &mut Body::new(&directory))
            .map_err(|e| Error::file("keep records in", &directory, &e))?;
        Ok((encodings, gathered))
    }

    /// Asks the sources and writes what came. [`None`]: nothing is to be sealed.
    fn write(&self, known: &HashMap<String, Known>) -> Result<(Option<Written>, Came)> {
        let worker = self.worker;
        let encoding = worker.common.handle.encoding(worker.index).ok_or_else(not_ready)?;
        let (encodings, mut gathered) = self.ask(&encoding, known)?;
        let mut kept = Vec::new();
        for (status, encoding) in gathered.statuses.iter_mut().zip(encodings) {
            let Some(records) = encoding.take().filter(|_| status.state != SourceState::Failed) else {
                continue;
            };
            status.records = records.records;
            for (definition, count) in &records.others {
                let (source, session) = (&status.name, worker.name());
                tracing::info!("session {session}: {count} records {definition} of source {source} are not of it");
            }
            kept.push(records);
        }
        self.log(&gathered);
        let came = Came {
            is_sealed: false,
            records: kept.iter().map(|kept| kept.records).sum(),
            gaps: gathered.gaps(self.now),
        };
        if came.records == 0 && (!self.is_whole || !came.gaps.is_empty()) {
            return Ok((None, came));
        }
        let mut writing = self.begin_or_extend(&encoding)?;
        for mut kept in kept {
            let directory = worker.common.setting.config.state_directory();
            let broken = |e: io::Error| Error::file("read records in", &directory, &e);
            kept.each(|record| writing.push(record).map_err(Error::from), broken)?;
        }
        let baselines = gathered.baselines.into_iter();
        let baselines = baselines.map(|(source, blob)| (self.key(&source), blob)).collect();
        Ok((Some(Written { writing, baselines }), came))
    }

    fn begin_or_extend(&self, encoding: &Exported) -> Result<Writing> {
        let store = &self.worker.store;
        if let Some(open) = store
            .newest()
            .filter(|document| !self.is_whole && !document.is_complete)
        {
            if open.config_id == encoding.config_id {
                return Ok(store.extend(open.number)?);
            }
            // All records of a document are of one template.
            store.complete(open.number)?;
        }
        Ok(store.begin(self.meta(encoding))?)
    }

    fn log(&self, gathered: &Gathered) {
        for status in &gathered.statuses {
            let reason = status.reason.as_deref().unwrap_or("");
            match status.state {
                SourceState::Complete => tracing::info!("source {}: {} records {reason}", status.name, status.records),
                state => tracing::error!("source {} is {}: {reason}", status.name, state.token()),
            }
        }
    }

    fn meta(&self, encoding: &Exported) -> Meta {
        let last = self.worker.store.last();
        let form = DocumentIdForm::from(self.worker.common.ipdr.document_id);
        Meta {
            id: document_id(form, self.begin, last, self.worker.common.mac),
            created: self.begin,
            config_id: encoding.config_id,
            template: Arc::clone(&encoding.template),
        }
    }
}

/// Never that of the document before, whatever the clock says.
fn document_id(
    form: DocumentIdForm,
    begin: DateTime<Utc>,
    last: Option<(u64, DocumentId)>,
    mac: [u8; 6],
) -> DocumentId {
    let seconds = u32::try_from(begin.timestamp().max(0)).unwrap_or(u32::MAX);
    let Some((number, last)) = last else {
        return form.make(seconds, 1, mac);
    };
    let [a, b, c, d, ..] = *last.as_bytes();
    let after = u32::from_be_bytes([a, b, c, d]).saturating_add(1);
    let number = number.saturating_add(1);
    match form {
        DocumentIdForm::TimeMac => form.make(seconds.max(after), number, mac),
        DocumentIdForm::TimeNumberMac => form.make(seconds, number, mac),
    }
}

fn not_ready() -> Error {
    Error::new(Exit::Internal, "the exporter does not know the session yet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_documents_have_the_same_identifier() {
        let mac = [0, 1, 0x5c, 0x85, 0x1c, 0];
        let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let make = |at, last| document_id(DocumentIdForm::TimeMac, time(at), last, mac);
        let first = make("2026-11-22T10:15:00Z", None);
        assert_eq!(first, DocumentIdForm::TimeMac.make(1_795_342_500, 1, mac));
        let again = make("2026-11-22T10:15:00Z", Some((1, first)));
        assert_ne!(again, first);
        assert_ne!(
            make("2026-11-22T10:00:00Z", Some((2, again))),
            first,
            "the clock was set back"
        );
        let later = make("2026-11-22T10:30:00Z", Some((2, again)));
        assert_eq!(later, DocumentIdForm::TimeMac.make(1_795_343_400, 3, mac));
    }
}
