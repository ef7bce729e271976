//! `billdrop show`: a document for people and for other programs.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, IsTerminal},
    path::{Path, PathBuf},
};

use super::{print, setting::Setting};
use crate::{
    cli::{self, ShowFormat},
    document::{self, Limits, Reader, ShowError},
    exit::{Error, Exit, Result},
    ledger::Ledger,
    spool::{self, Spool},
};

pub fn run(cli: &cli::Cli, args: &cli::Show) -> Result<()> {
    let file = match &args.file {
        Some(file) => file.clone(),
        None => offered(cli)?,
    };
    let shown = name(&file);
    let input = open(&file)?;
    let bad = |e: document::ReadError| Error::new(Exit::BadData, format!("{shown}: {e}"));
    let reader = Reader::new(input, Limits::default()).map_err(bad)?;
    let mut failure = None;
    let mut widest = 0;
    print(|out| {
        let result = match (args.chart, args.format) {
            (true, _) => document::chart::write(reader, out, width()),
            (false, ShowFormat::Table) => document::table::write(reader, out).map(|columns| widest = columns),
            (false, ShowFormat::Json) => document::json::write(reader, out),
            (false, ShowFormat::Csv) => document::csv::write(reader, out),
        };
        match result {
            Ok(()) => Ok(()),
            Err(ShowError::Write(e)) => Err(e),
            Err(ShowError::Read(e)) => {
                failure = Some(e);
                Ok(())
            }
        }
    })?;
    if io::stdout().is_terminal() && widest > width() {
        tracing::warn!(
            "the widest table has {widest} columns, this terminal {}: pipe it into less -S",
            width()
        );
    }
    failure.map_or(Ok(()), |e| Err(bad(e)))
}

/// The document that waits for its pickup.
fn offered(cli: &cli::Cli) -> Result<PathBuf> {
    let setting = Setting::load(cli)?;
    let spool = Spool::locate(&setting.config)?;
    let ledger = Ledger::open_existing(&spool.state)?;
    match spool::survey(&spool, &ledger)?.waiting {
        Some(row) => Ok(spool.path(&row.name)),
        None => {
            let nothing = match setting.config.stream {
                Some(_) => "no document waits for a collector now",
                None => "no document is offered now",
            };
            Err(Error::new(Exit::Unavailable, nothing).next("Name a file to show."))
        }
    }
}

pub(super) fn open(file: &Path) -> Result<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let opened = File::open(file).map_err(|e| Error::reading(file, &e))?;
    if opened.metadata().is_ok_and(|found| found.is_dir()) {
        return Err(Error::new(Exit::BadData, format!("{} is a directory", file.display())));
    }
    Ok(Box::new(BufReader::with_capacity(1 << 16, opened)))
}

pub(super) fn name(file: &Path) -> String {
    match file == Path::new("-") {
        true => "standard input".to_owned(),
        false => file.display().to_string(),
    }
}

/// Columns of the terminal, 80 where there is none.
fn width() -> usize {
    match io::stdout().is_terminal() {
        true => rustix::termios::tcgetwinsize(io::stdout()).map_or(80, |size| usize::from(size.ws_col.max(40))),
        false => 80,
    }
}
