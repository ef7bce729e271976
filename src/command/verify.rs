//! `billdrop verify`: is a document what was written?

use std::{
    io::Read,
    path::{Path, PathBuf},
};

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
    spool::{MANIFEST_SUFFIX, Manifest},
};

pub fn run(cli: &cli::Cli, args: &cli::Verify) -> Result<()> {
    // Documents are verified on other machines too, where there is neither configuration nor ledger.
    let ledger = Setting::load(cli)
        .ok()
        .and_then(|setting| Ledger::open_existing(&setting.config.state_directory()).ok());
    // A damaged document is worse news than one that could not be read.
    let mut worst = None;
    for file in &args.files {
        let checked = match args.manifest {
            true => check_manifest(file, ledger.as_ref()),
            false => check(file, ledger.as_ref()).map(|(_, line)| line),
        };
        match checked {
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

/// A manifest, and the document that lies beside it.
fn check_manifest(file: &Path, ledger: Option<&Ledger>) -> Result<String> {
    let bad = |reason: String| Error::new(Exit::BadData, format!("{}: {reason}", name(file)));
    let mut text = String::new();
    // One octet more than any manifest has.
    let read = open(file)?.take(1 << 16).read_to_string(&mut text);
    read.map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => bad("it is not text".to_owned()),
        _ => Error::reading(file, &e),
    })?;
    let manifest = Manifest::parse(&text).map_err(|reason| bad(format!("it is no manifest: {reason}")))?;
    let document = beside(file, &manifest).ok_or_else(|| bad(format!("it is that of {:?}", manifest.name)))?;
    let (verified, line) = check(&document, ledger)?;
    compare_manifest(&manifest, &verified).map_err(|reason| bad(format!("{} {reason}", name(&document))))?;
    Ok(format!("{line}; as its manifest says"))
}

/// The name in a manifest is believed only if it is that of the manifest itself: it could be any path.
fn beside(file: &Path, manifest: &Manifest) -> Option<PathBuf> {
    let own = file.file_name()?.to_str()?;
    (own.strip_suffix(MANIFEST_SUFFIX)? == manifest.name).then(|| file.with_file_name(&manifest.name))
}

fn compare_manifest(manifest: &Manifest, verified: &Verified) -> std::result::Result<(), String> {
    let digest = document::hex(&verified.sha256);
    let differs = |what: &str, is: &str, says: &str| Err(format!("has {what} {is}, but its manifest says {says}"));
    if manifest.size != verified.octets {
        return differs("size", &verified.octets.to_string(), &manifest.size.to_string());
    }
    if manifest.sha256 != digest {
        return differs("SHA-256", &digest, &manifest.sha256);
    }
    if manifest.records != verified.records {
        return differs("records", &verified.records.to_string(), &manifest.records.to_string());
    }
    if manifest.sequence != verified.sequence {
        return differs(
            "sequence",
            &verified.sequence.to_string(),
            &manifest.sequence.to_string(),
        );
    }
    if manifest.doc_id != verified.doc_id.to_string() {
        return differs("docId", &verified.doc_id.to_string(), &manifest.doc_id);
    }
    Ok(())
}

fn check(file: &Path, ledger: Option<&Ledger>) -> Result<(Verified, String)> {
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
    let line = format!("{} records, document {}: {proof}", verified.records, verified.doc_id);
    Ok((verified, line))
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
