//! `billdrop account --waiting` and `--give-up`: events that a module has not logged, and will not.

use std::{
    collections::{BTreeMap, HashSet},
    io,
};

use chrono::{DateTime, SecondsFormat, Utc};

use super::{print, setting::Setting};
use crate::{
    account::{
        engine::{self, Found},
        journal::{self, Failed},
    },
    exit::{Error, Exit, Result, exit_of},
    spool::{Lock, Spool},
};

/// Prints what waits; accounting may go on beside it.
pub fn show(setting: &Setting) -> Result<()> {
    let spool = Spool::locate(&setting.config)?;
    let directory = journal::directory(&spool.state);
    let mut failed = None;
    print(
        |out| match engine::waiting(&directory, &mut |found| write_line(out, &found)) {
            Err(e) if e.kind == io::ErrorKind::BrokenPipe => Err(e.kind.into()),
            Err(e) => {
                failed = Some(broken(&e));
                Ok(())
            }
            Ok(()) => Ok(()),
        },
    )?;
    failed.map_or(Ok(()), Err)
}

/// Which events of which module.
type Wanted = BTreeMap<&'static str, Option<HashSet<u64>>>;

/// Gives up what `texts` name, `MODULE:NUMBER` or `MODULE:all`, and prints it. Nobody accounts meanwhile.
///
/// # Errors
/// A text that is none of these, another process that accounts, an event that does not wait, and the journal's own.
pub fn give_up(setting: &Setting, texts: &[String], segment_octets: u64) -> Result<()> {
    let wanted = wanted(texts)?;
    let spool = Spool::locate(&setting.config)?;
    let directory = journal::directory(&spool.state);
    if !directory.exists() {
        return Err(Error::new(
            Exit::Usage,
            format!("nothing waits: there is no journal in {}", directory.display()),
        ));
    }
    let lock = Lock::open_file(journal::lock_path(&spool.state))?;
    let Some(_locked) = lock.try_hold()? else {
        let holder = lock
            .holder()
            .map_or("another process".to_owned(), |pid| format!("process {pid}"));
        return Err(Error::new(
            Exit::Blocked,
            format!("{holder} does the accounting in {}", spool.state.display()),
        )
        .next("End it, give the events up, and start it again; callers send again what was not answered."));
    };
    let mut missing = Vec::new();
    for (module, numbers) in &wanted {
        let given_up = engine::give_up(&directory, segment_octets, module, numbers.as_ref()).map_err(|e| broken(&e))?;
        for found in &given_up {
            tracing::warn!(
                "given up for {module}: event {}, received {}: it will never be there",
                found.number,
                received(found)
            );
        }
        print(|out| given_up.iter().try_for_each(|found| write_line(out, found)))?;
        let done: HashSet<u64> = given_up.iter().map(|found| found.number).collect();
        let open = numbers.iter().flatten().filter(|number| !done.contains(number));
        missing.extend(open.map(|number| format!("{module}:{number}")));
    }
    missing.sort();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(
            Error::new(Exit::Usage, format!("no such event waits: {}", missing.join(", ")))
                .next("billdrop account --waiting prints those that do. What else was named is given up."),
        ),
    }
}

fn wanted(texts: &[String]) -> Result<Wanted> {
    let mut wanted = Wanted::new();
    for text in texts {
        let refuse = |why: &str| Error::new(Exit::Usage, format!("--give-up {text:?}: {why}"));
        let (name, which) = text
            .split_once(':')
            .ok_or_else(|| refuse("write MODULE:NUMBER or MODULE:all"))?;
        let module =
            engine::module_name(name).ok_or_else(|| refuse("events wait for FileAcct, RadAcct or SQLAcct only"))?;
        let numbers = wanted.entry(module).or_insert_with(|| Some(HashSet::new()));
        match which {
            "all" => *numbers = None,
            number => {
                let number = number
                    .parse()
                    .map_err(|_| refuse("the number is that which --waiting prints, or all"))?;
                if let Some(numbers) = numbers {
                    numbers.insert(number);
                }
            }
        }
    }
    Ok(wanted)
}

fn write_line(out: &mut dyn io::Write, found: &Found) -> io::Result<()> {
    write!(out, "{}\t{}\t{}\t", found.module, found.number, received(found))?;
    out.write_all(&found.json)?;
    writeln!(out)
}

fn received(found: &Found) -> String {
    DateTime::<Utc>::from_timestamp_micros(found.received)
        .unwrap_or_default()
        .to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn broken(failed: &Failed) -> Error {
    let error = io::Error::from(failed.kind);
    Error::new(exit_of(&error), failed.to_string())
}
