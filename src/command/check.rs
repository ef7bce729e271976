//! `billdrop check`: would a capture work, and who would hear of it?

use std::{env, io::ErrorKind, path::Path, sync::Arc, time::Duration};

use chrono::Utc;

use super::{
    calls, counted,
    gather::{Asking, gather},
    ipdr, notify as notify_command, print,
    progress::Tally,
    push,
    setting::Setting,
    stream,
};
use crate::{
    capture::{self, Source},
    cli,
    deliver::{self, Destination, stream::Sending},
    document::Body,
    exit::{Error, Exit, Result},
    ledger::{Ledger, LedgerError},
    notify,
    record::SourceState,
    spool::{self, Spool},
};

/// One thing that was looked at.
struct Finding {
    what: String,
    good: bool,
    says: String,
}

pub fn run(cli: &cli::Cli, args: &cli::Check) -> Result<()> {
    let setting = Setting::load_with_devices(cli)?;
    let mut findings = vec![Finding {
        what: "configuration".to_owned(),
        good: true,
        says: match &setting.file {
            Some(file) => file.display().to_string(),
            None => "none: the defaults".to_owned(),
        },
    }];
    if let Some(file) = &setting.devices_file {
        let count = setting.config.devices.len() as u64;
        findings.push(Finding {
            what: "devices".to_owned(),
            good: true,
            says: format!("{}: {}{}", file.display(), counted(count, "device"), longest(&setting)),
        });
    }
    findings.push(Finding {
        what: "recorder".to_owned(),
        good: true,
        says: setting.hostname.clone(),
    });
    let spool = Spool::locate(&setting.config)?;
    let place = if setting.config.stream.is_some() {
        "stream"
    } else {
        "spool"
    };
    findings.push(directory(place, &setting, &spool, &spool.directory));
    findings.push(directory("state", &setting, &spool, &spool.state));
    if spool.archive.makes {
        findings.push(directory("archive", &setting, &spool, &spool.archive.directory));
    }
    findings.extend(
        setting
            .log_settings()
            .map(|settings| logs(&setting, &settings.directory)),
    );
    findings.push(space(&setting, &spool));
    let ledger = look_at_ledger(&spool, &mut findings);
    if let Some(ledger) = &ledger {
        findings.push(document(&setting, &spool, ledger));
    }
    look_at_accounting(&setting, &mut findings);
    look_at_sources(&setting, &mut findings)?;
    look_at_collectors(&setting, args.connect, &mut findings);
    ipdr::look(&setting, args.connect, |what, good, says| {
        findings.push(Finding { what, good, says });
    });
    look_at_destinations(&setting, ledger.as_ref(), args.connect, &mut findings)?;
    look_at_managers(&setting, ledger.as_ref(), args.connect, &mut findings)?;
    let width = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    print(|out| {
        for finding in &findings {
            let mark = if finding.good { "ok" } else { "WRONG" };
            writeln!(out, "{:<width$}  {mark:<5}  {}", finding.what, finding.says)?;
        }
        Ok(())
    })?;
    match findings.iter().filter(|finding| !finding.good).count() {
        0 => Ok(()),
        n => Err(Error::new(
            Exit::Unavailable,
            format!("{n} of {} things are wrong; see above", findings.len()),
        )),
    }
}

/// How long a capture takes when no device answers, for those who say when captures are begun.
fn longest(setting: &Setting) -> String {
    let devices = &setting.config.devices;
    let all: Duration = devices.iter().map(|device| device.timeout.0).sum();
    let longest = devices.iter().map(|device| device.timeout.0).max().unwrap_or_default();
    let at_once = u32::from(setting.config.capture.concurrency.max(1));
    let total = (all / at_once).max(longest).as_secs();
    format!(
        ", some {} when none answers",
        humantime::format_duration(Duration::from_secs(total))
    )
}

/// A directory that is missing is made by the first capture, if its parent is there.
fn directory(what: &str, setting: &Setting, spool: &Spool, path: &Path) -> Finding {
    use rustix::fs::{Access, access};
    // The first run makes the state directory and what belongs into it.
    let is_inside = path.parent() == Some(&spool.state) && spool.state.symlink_metadata().is_err();
    let made: &Path = if is_inside { &spool.state } else { path };
    let made = setting
        .drop_box
        .as_ref()
        .map_or(made, |drop_box| drop_box.first_made(made));
    let parent = made
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let (good, says) = match (path.symlink_metadata(), access(parent, Access::WRITE_OK)) {
        (Ok(_), _) => match (
            spool.examine(path, what),
            access(path, Access::WRITE_OK | Access::EXEC_OK),
        ) {
            (Ok(()), Ok(())) => (true, format!("{} can be written", path.display())),
            (Ok(()), Err(e)) => (false, format!("{} cannot be written: {e}", path.display())),
            (Err(e), _) => (false, e.message().to_owned()),
        },
        (Err(_), Ok(())) => (true, format!("{} will be made by the first capture", path.display())),
        // The archive as a rule, in a state directory that is to be made itself: of that it is said there.
        (Err(_), Err(_)) if parent == spool.state && parent.symlink_metadata().is_err() => {
            (true, format!("{} will be made by the first capture", path.display()))
        }
        (Err(_), Err(e)) => (
            false,
            format!("{} is missing, and {}: {e}", path.display(), parent.display()),
        ),
    };
    Finding {
        what: what.to_owned(),
        good,
        says,
    }
}

/// A capture only warns of logs that it cannot write, and under cron, with `-q`, nobody hears that.
fn logs(setting: &Setting, directory: &Path) -> Finding {
    use rustix::fs::{Access, access};
    let made = setting
        .drop_box
        .as_ref()
        .map_or(directory, |drop_box| drop_box.first_made(directory));
    let parent = made.parent().filter(|p| !p.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let shown = directory.display();
    let (good, says) = match directory.metadata() {
        Ok(found) if !found.is_dir() => (false, format!("{shown} is no directory")),
        Ok(_) => match log_that_cannot_be_written(directory) {
            None => (true, format!("{shown} can be written")),
            Some(why) => (false, why),
        },
        Err(e) if e.kind() != ErrorKind::NotFound || directory.is_symlink() => (false, format!("{shown}: {e}")),
        Err(_) => match access(parent, Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => (true, format!("{shown} will be made by the first capture")),
            Err(e) => (false, format!("{shown} is missing, and {}: {e}", parent.display())),
        },
    };
    Finding {
        what: "logs".to_owned(),
        good,
        says,
    }
}

fn log_that_cannot_be_written(directory: &Path) -> Option<String> {
    use rustix::fs::{Access, access};
    if let Err(e) = access(directory, Access::WRITE_OK | Access::EXEC_OK) {
        return Some(format!("{} cannot be written: {e}", directory.display()));
    }
    ["data.log", "error.log"].iter().find_map(|name| {
        let file = directory.join(name);
        let shown = file.display();
        match (file.symlink_metadata(), access(&file, Access::WRITE_OK)) {
            (Ok(found), _) if !found.is_file() => Some(format!("{shown} is no regular file")),
            (Ok(_), Err(e)) => Some(format!("{shown} cannot be written: {e}")),
            _ => None,
        }
    })
}

/// What lies in the spool, and whether it lies there as it should.
fn document(setting: &Setting, spool: &Spool, ledger: &Ledger) -> Finding {
    let is_streamed = setting.config.stream.is_some();
    let (nobody, waits) = match is_streamed {
        true => ("no collector takes it", "waits for a collector"),
        false => ("nobody fetches it", "waits for its pickup"),
    };
    let (good, says) = match spool::survey(spool, ledger) {
        Err(e) => (false, e.message().to_owned()),
        Ok(standing) => match standing.waiting {
            Some(row) if standing.damaged => (false, format!("{} is damaged", row.name)),
            Some(row) if setting.is_late(&row, Utc::now()) => (false, format!("{}: {nobody}", row.name)),
            Some(row) => (true, format!("{} {waits}", row.name)),
            None => match spool::missing(spool, ledger) {
                Ok(None) => (true, "none waits".to_owned()),
                Ok(Some(row)) => (
                    false,
                    format!("{} is gone with its directory: is the disk mounted?", row.name),
                ),
                Err(e) => (false, e.message().to_owned()),
            },
        },
    };
    Finding {
        what: "document".to_owned(),
        good,
        says,
    }
}

fn space(setting: &Setting, spool: &Spool) -> Finding {
    let wanted = setting.config.spool.min_free;
    let size = |octets| bytesize::ByteSize(octets).display().iec();
    let (good, says) = match spool.free() {
        Ok(free) => (
            free >= wanted.0,
            format!("{} free, {wanted} wanted (min-free)", size(free)),
        ),
        Err(_) => (true, "not known before the spool is there".to_owned()),
    };
    Finding {
        what: "space".to_owned(),
        good,
        says,
    }
}

fn look_at_ledger(spool: &Spool, findings: &mut Vec<Finding>) -> Option<Ledger> {
    let opened = Ledger::open_existing(&spool.state).and_then(|ledger| ledger.check().map(|()| ledger));
    let (good, says, ledger) = match opened {
        Ok(ledger) => {
            let last = ledger.last().ok().flatten();
            let says = last.map_or("no document yet".to_owned(), |row| {
                format!("last document {}", row.sequence)
            });
            (true, says, Some(ledger))
        }
        Err(LedgerError::Missing { .. }) => (true, "will be made by the first capture".to_owned(), None),
        Err(e) => (false, e.to_string(), None),
    };
    findings.push(Finding {
        what: "ledger".to_owned(),
        good,
        says,
    });
    ledger
}

/// The gatekeeper's ini, and what its chain does.
fn look_at_accounting(setting: &Setting, findings: &mut Vec<Finding>) {
    let (good, lines) = match calls::explained(setting) {
        None => return,
        Some(Ok(lines)) => (true, lines),
        Some(Err(e)) => (false, e.message().lines().map(str::to_owned).collect()),
    };
    findings.extend(lines.into_iter().map(|says| Finding {
        what: "accounting".to_owned(),
        good,
        says,
    }));
}

fn look_at_sources(setting: &Setting, findings: &mut Vec<Finding>) -> Result<()> {
    let mut sources: Vec<Arc<dyn Source>> = Vec::new();
    for config in setting.config.sources() {
        sources.push(capture::open(&config, &setting.config).map_err(|e| Error::new(Exit::Configuration, e))?);
    }
    let tally = Tally::new(setting.audience, &sources);
    let directory = env::temp_dir();
    let asking = Asking {
        now: Utc::now(),
        recorder: &setting.hostname,
        concurrency: setting.config.capture.concurrency.into(),
        directory: &directory,
        lines: None,
        baseline: &|_| Ok(None),
        tally: &tally,
        is_told: false,
    };
    let shown = tally.show();
    let gathered = gather(&sources, &asking, &mut Body::new(&directory));
    drop(shown);
    let gathered = gathered.map_err(|e| Error::file("keep records in", &directory, &e))?;
    findings.extend(gathered.statuses.into_iter().map(|status| Finding {
        what: format!("source {}", status.name),
        good: status.state == SourceState::Complete,
        says: match status.reason {
            Some(reason) if status.state != SourceState::Complete => reason,
            Some(reason) if status.records == 0 => format!("0 records: {reason}"),
            _ => counted(status.records, "record"),
        },
    }));
    Ok(())
}

/// A connection, and with TLS the handshake, are the most that can be seen without a document. A reset ends it, so that no
/// collector takes it for an empty one.
fn look_at_collectors(setting: &Setting, connect: bool, findings: &mut Vec<Finding>) {
    let Some(config) = &setting.config.stream else { return };
    let collectors = [
        ("primary", Some(&config.primary)),
        ("secondary", config.secondary.as_ref()),
    ];
    for (name, table) in collectors.into_iter().filter_map(|(name, table)| Some((name, table?))) {
        let collector = stream::collector(config, table);
        let how = if collector.tls.is_some() { "TLS" } else { "plain text" };
        let tried = match connect {
            true => Sending::connect(&collector).map(drop),
            false => collector.examine(),
        };
        let answered = match (connect, how) {
            (false, _) => "",
            (true, "TLS") => ", answered and is believed; it saw a connection without a document",
            (true, _) => ", answered; it saw a connection without a document",
        };
        findings.push(Finding {
            what: format!("collector {name}"),
            good: tried.is_ok(),
            says: match tried {
                Ok(()) => format!("{collector}, {how}{answered}"),
                Err(e) => e.to_string(),
            },
        });
    }
}

/// Logging in shows the most that can be seen without bringing anything there.
fn look_at_destinations(
    setting: &Setting,
    ledger: Option<&Ledger>,
    connect: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    for push in &setting.config.destinations {
        let destination = Destination::new(push).map_err(|e| Error::new(Exit::Configuration, e))?;
        let mut secrets = [&push.password, &push.passphrase].into_iter().flatten();
        let unreadable = secrets.find_map(|secret| secret.reveal().err()).or_else(|| {
            let error = deliver::check_identity(push.identity.as_ref()?).err()?;
            Some(error.to_string())
        });
        let (good, says) = match (unreadable, connect) {
            (Some(reason), _) => (false, reason),
            (None, false) => (true, destination.address()),
            (None, true) => match deliver::connect(&destination) {
                Ok(_) => (true, format!("{}, answered", destination.address())),
                // With what to do: of an unknown host that is the line to add.
                Err(e) => (false, e.to_string()),
            },
        };
        findings.push(Finding {
            what: format!("destination {}", push.name),
            good,
            says,
        });
    }
    for gone in ledger.map_or(Ok(Vec::new()), |ledger| push::gone(setting, ledger))? {
        findings.push(Finding {
            what: format!("destination {}", gone.name),
            good: false,
            says: push::gone_words(&gone),
        });
    }
    Ok(())
}

fn look_at_managers(
    setting: &Setting,
    ledger: Option<&Ledger>,
    connect: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let failed = match connect {
        true => notify_command::send_test(setting)?,
        false => Vec::new(),
    };
    for manager in &setting.config.managers {
        let how = if manager.inform { "inform" } else { "trap" };
        let secrets = [&manager.community, &manager.auth_password, &manager.privacy_password];
        let unreadable = secrets.into_iter().flatten().find_map(|secret| secret.reveal().err());
        let unsent = failed.iter().find(|unsent| unsent.manager == manager.address);
        let answer = match (connect, manager.inform) {
            (false, _) => "",
            (true, true) => ", acknowledged",
            (true, false) => ", sent",
        };
        findings.push(Finding {
            what: format!("manager {}", manager.address),
            good: unreadable.is_none() && unsent.is_none(),
            says: match (unreadable, unsent) {
                (Some(reason), _) => reason,
                (None, Some(unsent)) => unsent.reason.clone(),
                (None, None) => format!("{how}, SNMP version {}{answer}", manager.version),
            },
        });
    }
    if !setting.config.managers.is_empty() {
        findings.push(Finding {
            what: "SNMP engine".to_owned(),
            good: true,
            says: notify::engine_id_text(ledger, &setting.config, setting.mac(ledger)?),
        });
    }
    Ok(())
}
