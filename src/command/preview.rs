//! `capture --dry-run` and `capture --stdout`: the sources are asked, nothing is offered, nothing is changed.

use std::{env, io, sync::Arc};

use chrono::{SubsecRound, Utc};

use super::{
    gather::{Asking, Gathered, gather},
    print,
    progress::Tally,
    setting::Setting,
};
use crate::{
    capture::Source,
    document::{self, Body, DocId, Header},
    exit::{Error, Exit, Result},
    ledger::{Ledger, LedgerError},
    record::{DocumentInformation, Text},
    spool::{self, Spool, Standing},
};

/// Says what each source has, and whether a document could be offered now.
pub fn dry_run(setting: &Setting, sources: &[Arc<dyn Source>]) -> Result<()> {
    let now = Utc::now().trunc_subsecs(3);
    let (gathered, body) = ask(setting, sources, now)?;
    let spool = Spool::locate(&setting.config)?;
    let standing = match Ledger::open_existing(&spool.state) {
        Ok(ledger) => spool::survey(&spool, &ledger),
        Err(LedgerError::Missing { .. }) => Ok(Standing::default()),
        Err(e) => Err(e.into()),
    };
    print(|out| {
        for status in &gathered.statuses {
            let reason = status.reason.as_deref().map_or(String::new(), |r| format!(": {r}"));
            writeln!(
                out,
                "source {}: {} records, {}{reason}",
                status.name,
                status.records,
                status.state.token()
            )?;
        }
        writeln!(out, "would write {} records, {} octets", body.count(), body.octets())?;
        let waiting = match &standing {
            Err(e) => return writeln!(out, "cannot tell whether it is blocked: {}", e.message()),
            Ok(standing) => &standing.waiting,
        };
        match waiting {
            Some(row) => writeln!(out, "blocked: {} waits for its pickup", spool.path(&row.name).display()),
            None => writeln!(out, "not blocked"),
        }
    })?;
    answer(&gathered)
}

/// The document with sequence number 0, which says that it is not one of the sequence.
pub fn to_stdout(setting: &Setting, sources: &[Arc<dyn Source>]) -> Result<()> {
    let now = Utc::now().trunc_subsecs(3);
    let (gathered, mut body) = ask(setting, sources, now)?;
    let header = Header {
        doc_id: DocId::new(now, 0, setting.mac(None)?),
        created: now,
        recorder: Text::lossy(setting.hostname.as_bytes()).0,
        profile: setting.config.document.profile,
    };
    let information = DocumentInformation {
        created: now,
        sequence: 0,
        previous_doc_id: None,
        covers_from: None,
        covers_to: now,
        captures_skipped: 0,
        remark: None,
        sources: gathered.statuses.clone(),
    };
    let checksum = setting.config.document.checksum;
    print(|out| document::write(out, &header, Some(&information), &mut body, Utc::now(), checksum).map(drop))?;
    answer(&gathered)
}

/// Nothing of it is logged: this process does not have the lock.
fn ask(setting: &Setting, sources: &[Arc<dyn Source>], now: chrono::DateTime<Utc>) -> Result<(Gathered, Body)> {
    let ledger = Ledger::open_existing(&setting.config.state_directory()).ok();
    let baseline = |source: &str| {
        Ok(ledger
            .as_ref()
            .and_then(|ledger| ledger.baseline(source).ok().flatten()))
    };
    let tally = Tally::new(setting.audience, sources);
    let directory = env::temp_dir();
    let mut body = Body::new(&directory);
    let asking = Asking {
        now,
        recorder: &setting.hostname,
        concurrency: setting.config.capture.concurrency.into(),
        directory: &directory,
        lines: None,
        baseline: &baseline,
        tally: &tally,
        is_told: true,
    };
    let shown = tally.show();
    let gathered = gather(sources, &asking, &mut body);
    drop(shown);
    tally.conclude();
    let gathered = gathered.map_err(|e: io::Error| Error::file("keep records in", &directory, &e))?;
    Ok((gathered, body))
}

fn answer(gathered: &Gathered) -> Result<()> {
    match gathered.failures().next() {
        None => Ok(()),
        Some(_) => Err(Error::already_told(Exit::Unavailable)),
    }
}
