//! What exporters of IPDR/SP have taken from the sources, and what went wrong with it.
//!
//! Their documents lie in stores of their own, whose renames are the commits. The ledger follows: it knows up to which
//! place of each store it has the sources' baselines, so that a start can bring it what it has missed.

use chrono::{DateTime, Utc};
use rusqlite::params;

use super::{Gap, Ledger, Result, Tell, documents::NOT_TOLD, outbox, put_meta, written};

impl Ledger {
    /// Up to which part of which document of this session the baselines are known.
    pub fn streamed(&self, session: &str) -> Result<Option<(u64, u32)>> {
        let kept = self.meta(&key(session))?;
        Ok(kept.and_then(|text| {
            let (number, part) = text.split_once(' ')?;
            Some((number.parse().ok()?, part.parse().ok()?))
        }))
    }

    /// The part at this place is on the disk: what its sources are to see at their next capture. Nothing changes when a
    /// place behind it is known already.
    pub fn note_streamed(
        &mut self,
        session: &str,
        (number, part): (u64, u32),
        baselines: &[(String, Vec<u8>)],
    ) -> Result<()> {
        if self.streamed(session)? >= Some((number, part)) {
            return Ok(());
        }
        self.transact("note what was streamed", |db| {
            for (source, content) in baselines {
                db.execute(
                    "INSERT INTO baseline VALUES (?1, ?2, ?3) ON CONFLICT (source) \
                     DO UPDATE SET sequence = excluded.sequence, content = excluded.content",
                    params![source, number as i64, content],
                )?;
            }
            put_meta(db, &key(session), &format!("{number} {part}"))
        })
    }

    /// Gaps of what is streamed: they are listed, and no document in XML tells of them.
    pub fn note_streaming_gaps(&mut self, gaps: &[Gap], tell: &Tell, at: DateTime<Utc>) -> Result<()> {
        self.transact("note a gap", |db| {
            for gap in gaps {
                db.execute(
                    "INSERT INTO gap (at, kind, source, reason, told_in) VALUES (?1, ?2, ?3, ?4, ?5)",
                    params![written(gap.at), gap.kind.token(), gap.source, gap.reason, NOT_TOLD],
                )?;
            }
            outbox::insert(db, tell, at)
        })
    }
}

fn key(session: &str) -> String {
    format!("ipdr/{session}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::GapKind;

    #[test]
    fn baselines_go_forward_only() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(directory.path()).unwrap();
        assert_eq!(ledger.streamed("S").unwrap(), None);
        let note = |ledger: &mut Ledger, place, content: u8| {
            ledger
                .note_streamed("S", place, &[("ipdr/S/a".to_owned(), vec![content])])
                .unwrap();
            ledger.baseline("ipdr/S/a").unwrap().unwrap()
        };
        assert_eq!(note(&mut ledger, (2, 0), 1), [1]);
        assert_eq!(note(&mut ledger, (2, 1), 2), [2]);
        assert_eq!(
            note(&mut ledger, (2, 0), 3),
            [2],
            "what is known already changes nothing"
        );
        assert_eq!(ledger.streamed("S").unwrap(), Some((2, 1)));
        assert_eq!(ledger.streamed("T").unwrap(), None);
    }

    #[test]
    fn a_gap_of_the_stream_is_listed_and_told_by_no_document() {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(directory.path()).unwrap();
        let now = "2026-11-22T10:15:00Z".parse().unwrap();
        let gap = Gap::new(GapKind::IntervalSkipped, now, "session S");
        ledger
            .note_streaming_gaps(std::slice::from_ref(&gap), &Tell::nobody(), now)
            .unwrap();
        assert_eq!(ledger.gaps().unwrap(), [gap]);
        assert_eq!(ledger.untold_gaps().unwrap(), []);
    }
}
