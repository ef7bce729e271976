//! The source `calls`: calls that have ended, from the journal of `billdrop account`.
//!
//! The baseline is a position in the journal: the last document has everything before it. What is read is on the disk
//! before it is delivered (the journal is synced here, too), so what a power failure takes from the journal was in no
//! document. Where the ledger and with it the baseline is lost, the journal's checkpoints know how far documents had come.
//!
//! A call is told by the record that says that SpoolAcct has it; the event itself lies before that.

use std::{io, path::PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Asked, Captured, RecordSink, Source, SourceError};
use crate::{
    account::{
        derived,
        event::{Call, Moment, Subject, Text},
        journal::{Body, EventRecord, Item, Reader, Record},
        json,
    },
    config, record,
    record::CallDetail,
};

/// Its name in documents, messages and the ledger.
pub const NAME: &str = "calls";

/// Finished calls.
pub struct Calls {
    directory: PathBuf,
    /// Of events that do not say it.
    gatekeeper: String,
}

/// What the ledger keeps.
#[derive(Debug, Serialize, Deserialize)]
struct Baseline {
    position: u64,
    /// Which journal it is a position of; [`None`]: there was none yet.
    journal: Option<u64>,
}

/// Up to where documents have the calls of this journal.
pub fn position(baseline: &[u8], journal: u64) -> Option<u64> {
    let baseline: Baseline = serde_json::from_slice(baseline).ok()?;
    Some(baseline.position).filter(|_| baseline.journal == Some(journal))
}

impl Calls {
    pub fn new(calls: &config::Calls) -> Self {
        Calls {
            directory: calls.directory.clone(),
            gatekeeper: calls.gatekeeper.clone(),
        }
    }

    fn broken(&self, e: &io::Error) -> SourceError {
        SourceError::Unavailable(format!("cannot read the journal {}: {e}", self.directory.display()))
    }

    /// Up to where documents have had the calls, as far as the journal knows.
    fn last_known(&self) -> Result<u64, SourceError> {
        let mut reader = Reader::open(&self.directory, 0).map_err(|e| self.broken(&e))?;
        let mut last = 0;
        while let Some(item) = reader.next_item().map_err(|e| self.broken(&e))? {
            if let Item::Record(Record {
                body: Body::Checkpoint { billed, .. },
                ..
            }) = item
            {
                last = last.max(billed);
            }
        }
        Ok(last)
    }
}

impl Source for Calls {
    fn name(&self) -> &str {
        NAME
    }

    fn capture(&self, asked: &Asked<'_>, records: &mut dyn RecordSink) -> Result<Captured, SourceError> {
        let mut missing = Vec::new();
        let kept = asked.baseline.map(serde_json::from_slice::<Baseline>).transpose();
        let kept = kept.map_err(|e| {
            SourceError::BadData(format!("what the last document had of the calls cannot be read: {e}"))
        })?;
        let journal = Reader::open(&self.directory, 0)
            .and_then(|reader| reader.journal())
            .map_err(|e| self.broken(&e))?;
        let from = match &kept {
            Some(kept) if kept.journal == journal => kept.position,
            Some(Baseline { journal: None, .. }) => 0,
            Some(_) => {
                missing.push(
                    "the journal is another one than at the last document; calls of that one may be missing".to_owned(),
                );
                0
            }
            None => self.last_known()?,
        };
        let mut reader = Reader::open_synced(&self.directory, from).map_err(|e| self.broken(&e))?;
        let mut end = from;
        if let Some(oldest) = reader.oldest().filter(|oldest| *oldest > from) {
            missing.push(format!(
                "the journal begins at {oldest}, and the last document ended at {from}"
            ));
            end = oldest;
        }
        while let Some(item) = reader.next_item().map_err(|e| self.broken(&e))? {
            match item {
                Item::Record(record) => {
                    end = record.next;
                    if let Body::Outcome(outcome) = record.body
                        && outcome.logged & SPOOLED != 0
                    {
                        match self.call(&mut reader, outcome.event)? {
                            Some(call) => records.push(&call)?,
                            None => missing.push(format!("call {} is in a damaged part of the journal", record.number)),
                        }
                    }
                }
                Item::Damage { from, to, .. } => {
                    end = to;
                    missing.push(format!("{} octets of the journal at {from} are damaged", to - from));
                }
                // Perhaps a record that is being written. The next capture sees.
                Item::Torn { .. } => break,
            }
        }
        missing.truncate(20);
        let baseline = serde_json::to_vec(&Baseline { position: end, journal });
        let remark = (kept.is_none() && from > 0)
            .then(|| "what earlier documents had of the calls is known from the journal only".to_owned());
        Ok(Captured {
            incomplete: (!missing.is_empty()).then(|| missing.join("; ")),
            remark,
            baseline: Some(baseline.map_err(|e| SourceError::BadData(e.to_string()))?),
        })
    }
}

/// Bit of SpoolAcct in an outcome.
const SPOOLED: u16 = crate::account::engine::SPOOLED;

impl Calls {
    /// The call whose stop event lies at the position. [`None`]: there is none any more.
    fn call(&self, reader: &mut Reader, position: u64) -> Result<Option<record::Record>, SourceError> {
        let found = reader.record_at(position).map_err(|e| self.broken(&e))?;
        let Some(Body::Event(event)) = found.map(|record| record.body) else {
            return Ok(None);
        };
        Ok(self.to_record(&event))
    }

    fn to_record(&self, of: &EventRecord) -> Option<record::Record> {
        let event = json::from_journal(&of.json).ok()?;
        let Subject::Call(call) = &event.subject else {
            return None;
        };
        let now = event.time.seconds;
        let detail = CallDetail {
            created: DateTime::from_timestamp_micros(of.received).unwrap_or_default(),
            source_name: NAME,
            event_id: &of.key,
            gatekeeper: event
                .gatekeeper
                .as_ref()
                .map_or(self.gatekeeper.as_bytes(), |name| &name.0),
            gatekeeper_address: event.gatekeeper_ip.as_ref().map_or(&[], octets),
            session_id: octets(&call.session_id),
            call_number: Some(call.number).filter(|number| *number != 0),
            call_id: call.call_id,
            conference_id: call.conf_id,
            user: octets(&call.user),
            calling_station_id: octets(&call.calling_station_id),
            called_station_id: octets(&call.called_station_id),
            dialed_number: octets(&call.dialed_number),
            caller: (octets(&call.caller_ip), call.caller_port),
            callee: (octets(&call.callee_ip), call.callee_port),
            caller_aliases: octets(&call.src_info),
            callee_aliases: octets(&call.dest_info),
            setup: utc(&call.setup),
            alerting: utc(&call.alerting),
            connect: utc(&call.connect),
            disconnect: ended(call, &event.time),
            duration: derived::duration(call, now),
            ring_time: derived::ring_time(call),
            post_dial_delay: derived::post_dial_delay(call),
            cause: call.cause,
            release_source: call.release_source,
            bandwidth: call.bandwidth,
            caller_codec: octets(&call.caller_audio_codec),
            callee_codec: octets(&call.callee_audio_codec),
        };
        Some(detail.to_record())
    }
}

fn octets(text: &Text) -> &[u8] {
    &text.0
}

/// Where the event does not say when the call ended, the event is the end.
fn ended(call: &Call, event: &Moment) -> Option<DateTime<Utc>> {
    utc(&call.disconnect).or_else(|| utc(&Some(event.clone())))
}

fn utc(moment: &Option<Moment>) -> Option<DateTime<Utc>> {
    let moment = moment.as_ref()?;
    DateTime::from_timestamp(moment.seconds, moment.micros.checked_mul(1000)?)
}
