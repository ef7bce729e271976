//! `billdrop verify`: is a document what was written?

use std::path::Path;

use super::{
    print,
    setting::Setting,
    show::{name, open},
};
use crate::{
    cli,
    document::{self, Finding, Limits, Verified},
    exit::{Error, Exit, Result},
    ledger::{Ledger, Row},
};

pub fn run(cli: &cli::Cli, args: &cli::Verify) -> Result<()> {
    // Documents are verified on other machines too, where there is neither configuration nor ledger.
    let ledger = Setting::load(cli)
        .ok()
        .and_then(|setting| Ledger::open_existing(&setting.config.state_directory()).ok());
    // A damaged document is worse news than one that could not be read.
    let mut worst = None;
    for file in &args.files {
        match check(file, ledger.as_ref()) {
            Ok(line) => print(|out| writeln!(out, "{}: {line}", name(file)))?,
            Err(e) => {
                tracing::error!("{}", e.message());
                if worst != Some(Exit::BadData) {
                    worst = Some(e.exit());
                }
            }
        }
    }
    worst.map_or(Ok(()), |exit| Err(Error::already_told(exit)))
}

fn check(file: &Path, ledger: Option<&Ledger>) -> Result<String> {
    let shown = name(file);
    let bad = |reason: String| Error::new(Exit::BadData, format!("{shown}: {reason}"));
    let verified = document::verify(open(file)?, Limits::default()).map_err(|findings| bad(join(&findings)))?;
    let row = match ledger {
        Some(ledger) => ledger.by_doc_id(&verified.doc_id.to_string())?,
        None => None,
    };
    let proof = match &row {
        Some(row) => {
            compare(row, &verified).map_err(bad)?;
            "as written, says the ledger"
        }
        None if verified.has_checksum => "its checksum is right",
        None => "whole and valid; without checksum, and not in this ledger, a changed value cannot be seen",
    };
    Ok(format!(
        "{} records, document {}: {proof}",
        verified.records, verified.doc_id
    ))
}

/// All findings in one line, the first first.
fn join(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn compare(row: &Row, verified: &Verified) -> std::result::Result<(), String> {
    let digest = document::hex(&verified.sha256);
    // Rows of a rebuilt ledger for documents that had been retrieved know neither size nor digest.
    if row.sha256.is_empty() || (row.octets == verified.octets && row.sha256 == digest) {
        return Ok(());
    }
    Err(format!(
        "it is not what was written as document {}: {} octets with SHA-256 {digest}, but {} with {} in the ledger",
        row.sequence, verified.octets, row.octets, row.sha256
    ))
}
