//! Asks the sources, one after the other, and gathers their records.

use std::io;

use chrono::{DateTime, Utc};

use crate::{
    capture::{Asked, Source, SourceError},
    document::Body,
    ledger::{Gap, GapKind},
    record::{SourceState, SourceStatus},
};

/// What the sources gave besides their records, which are in the [`Body`].
#[derive(Debug, Default)]
pub struct Gathered {
    pub statuses: Vec<SourceStatus>,
    /// Source name, and what it wants to see at its next capture.
    pub baselines: Vec<(String, Vec<u8>)>,
}

/// Asks every source. An error is one of our own disk; that of a source is in its status.
pub fn gather(
    sources: &[Box<dyn Source>],
    now: DateTime<Utc>,
    recorder: &str,
    baseline: &dyn Fn(&str) -> Option<Vec<u8>>,
    body: &mut Body,
) -> io::Result<Gathered> {
    let mut gathered = Gathered::default();
    for source in sources {
        let name = source.name();
        let mark = body.mark();
        let before = body.count();
        let kept = baseline(name);
        let asked = Asked {
            now,
            recorder,
            baseline: kept.as_deref(),
        };
        let (state, reason) = match source.capture(&asked, body) {
            Ok(captured) => {
                gathered
                    .baselines
                    .extend(captured.baseline.map(|b| (name.to_owned(), b)));
                match (captured.incomplete, captured.remark) {
                    (Some(reason), Some(remark)) => (SourceState::Incomplete, Some(format!("{reason}; {remark}"))),
                    (Some(reason), None) => (SourceState::Incomplete, Some(reason)),
                    (None, remark) => (SourceState::Complete, remark),
                }
            }
            Err(SourceError::Sink(e)) => return Err(e),
            Err(failure) => {
                body.take_back(mark)?;
                (SourceState::Failed, Some(failure.to_string()))
            }
        };
        let status = SourceStatus {
            name: name.to_owned(),
            state,
            records: body.count() - before,
            reason,
        };
        log(&status);
        gathered.statuses.push(status);
    }
    Ok(gathered)
}

fn log(status: &SourceStatus) {
    let reason = status.reason.as_deref().unwrap_or("");
    match status.state {
        SourceState::Failed => tracing::error!("source {} failed: {reason}", status.name),
        SourceState::Incomplete => tracing::error!("source {} is incomplete: {reason}", status.name),
        SourceState::Complete if status.records == 0 && !reason.is_empty() => {
            tracing::warn!("source {} has no records: {reason}", status.name);
        }
        SourceState::Complete if reason.is_empty() => {
            tracing::info!("source {}: {} records", status.name, status.records);
        }
        SourceState::Complete => tracing::info!("source {}: {} records; {reason}", status.name, status.records),
    }
}

impl Gathered {
    /// Sources that failed or are incomplete.
    pub fn failures(&self) -> impl Iterator<Item = &SourceStatus> {
        self.statuses.iter().filter(|s| s.state != SourceState::Complete)
    }

    pub fn gaps(&self, at: DateTime<Utc>) -> Vec<Gap> {
        self.failures()
            .map(|status| {
                let kind = match status.state {
                    SourceState::Failed => GapKind::SourceFailed,
                    _ => GapKind::SourceIncomplete,
                };
                let mut gap = Gap::new(kind, at, status.reason.clone().unwrap_or_default());
                gap.source = Some(status.name.clone());
                gap
            })
            .collect()
    }
}
