//! `billdrop gaps`: what is known to be missing.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::{print, setting::Setting};
use crate::{
    cli,
    exit::Result,
    ledger::{Ledger, LedgerError, Row},
    spool::Spool,
};

/// One line of the answer.
#[derive(Debug, Serialize, PartialEq)]
struct Line {
    at: DateTime<Utc>,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    reason: String,
    /// The document whose information record tells of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    told_in: Option<u64>,
}

pub fn run(cli: &cli::Cli, args: &cli::Gaps) -> Result<()> {
    let setting = Setting::load(cli)?;
    let spool = Spool::locate(&setting.config)?;
    let lines = match Ledger::open_existing(&spool.state) {
        Ok(ledger) => collect(&ledger, args.skipped)?,
        Err(LedgerError::Missing { .. }) => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    print(|out| {
        if args.json {
            return writeln!(out, "{}", serde_json::to_string_pretty(&lines)?);
        }
        for line in &lines {
            let source = line.source.as_deref().map_or(String::new(), |s| format!("{s}: "));
            let told = line
                .told_in
                .map_or(String::new(), |n| format!(" (told in document {n})"));
            let at = line.at.to_rfc3339_opts(SecondsFormat::Secs, true);
            writeln!(out, "{at}  {:<17}  {source}{}{told}", line.kind, line.reason)?;
        }
        Ok(())
    })
}

fn collect(ledger: &Ledger, skipped: bool) -> Result<Vec<Line>> {
    let mut lines = holes(&ledger.documents()?);
    lines.extend(ledger.gaps()?.into_iter().map(|gap| Line {
        at: gap.at,
        kind: gap.kind.token(),
        source: gap.source,
        reason: gap.reason,
        told_in: gap.told_in,
    }));
    if skipped {
        lines.extend(ledger.skips()?.into_iter().map(|skip| Line {
            at: skip.at,
            kind: "capture-skipped",
            source: None,
            reason: format!("{} was waiting", skip.blocked_by),
            told_in: skip.told_in,
        }));
    }
    lines.sort_by_key(|line| line.at);
    Ok(lines)
}

/// Sequence numbers that are missing between two documents, and times that lie between what two documents cover.
fn holes(documents: &[Row]) -> Vec<Line> {
    let mut lines = Vec::new();
    for pair in documents.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        let line = |kind, reason| Line {
            at: after.created,
            kind,
            source: None,
            reason,
            told_in: None,
        };
        if after.sequence != before.sequence + 1 {
            let missing = match (before.sequence + 1, after.sequence - 1) {
                (first, last) if first == last => format!("document {first} is not in the ledger"),
                (first, last) => format!("documents {first} to {last} are not in the ledger"),
            };
            lines.push(line("sequence", missing));
        }
        if let (Some(to), Some(from)) = (before.covers_to, after.covers_from)
            && to != from
        {
            let shown = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
            let reason = format!("no document covers {} to {}", shown(to), shown(from));
            lines.push(line("time", reason));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::State;

    fn row(sequence: u64, from: i64, to: i64) -> Row {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        Row {
            sequence,
            doc_id: String::new(),
            name: String::new(),
            state: State::Retrieved,
            created: at(to),
            covers_from: Some(at(from)),
            covers_to: Some(at(to)),
            records: 1,
            octets: 1,
            sha256: String::new(),
            offered: None,
            retrieved: None,
            released: None,
            released_by: None,
            release_reason: None,
            retrieved_how: None,
            copy: None,
        }
    }

    #[test]
    fn holes_in_the_sequence_and_in_the_time_are_found() {
        assert_eq!(holes(&[row(1, 0, 10), row(2, 10, 20)]), []);
        let found = holes(&[row(1, 0, 10), row(2, 15, 20), row(5, 20, 30), row(7, 30, 40)]);
        let reasons: Vec<_> = found.iter().map(|line| line.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "no document covers 1970-01-01T00:00:10.000Z to 1970-01-01T00:00:15.000Z",
                "documents 3 to 4 are not in the ledger",
                "document 6 is not in the ledger",
            ]
        );
    }
}
