//! How accounting stands, for `billdrop status`; and what an operator's chain does, for `billdrop check`.

use std::{
    io::{self, Write},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{ago, counted, setting::Setting};
use crate::{
    account::{
        engine::{ModuleState, read_told},
        explain, journal,
        modules::Modules,
    },
    config::gatekeeper::{self, Gatekeeper, Leniency},
    exit::{Error, Result},
    spool::Spool,
};

/// Without a sign of life for so long it does not run: it gives one every second.
const SILENCE: Duration = Duration::from_secs(10);

/// How accounting stands.
#[derive(Debug, Serialize)]
pub struct Standing {
    running: bool,
    told: DateTime<Utc>,
    process: u32,
    events_accepted: u64,
    events_repeated: u64,
    journal_octets: u64,
    modules: Vec<Module>,
}

#[derive(Debug, Serialize)]
struct Module {
    name: String,
    logged: u64,
    failed: u64,
    waiting: u64,
    waiting_since: Option<DateTime<Utc>>,
    last_error: Option<String>,
    last_error_at: Option<DateTime<Utc>>,
}

impl Standing {
    /// [`None`]: it has never run here.
    pub fn read(spool: &Spool) -> Result<Option<Self>> {
        let directory = journal::directory(&spool.state);
        let told = read_told(&directory).map_err(|e| Error::reading(&directory, &e))?;
        Ok(told.map(|told| Standing {
            running: !told.has_ended && (Utc::now() - told.at).to_std().is_ok_and(|age| age < SILENCE),
            told: told.at,
            process: told.process,
            events_accepted: told.accepted,
            events_repeated: told.repeated,
            journal_octets: told.journal_octets,
            modules: told.modules.into_iter().map(Module::of).collect(),
        }))
    }

    /// One line for accounting, one for each module, and one more for what went wrong last while something waits.
    pub fn lines(&self, now: DateTime<Utc>) -> Vec<String> {
        let size = bytesize::ByteSize(self.journal_octets).display().iec();
        let runs = match self.running {
            true => format!("process {}", self.process),
            false => format!("NOT RUNNING, was seen last {}", ago(self.told, now)),
        };
        let events = counted(self.events_accepted, "event");
        let mut lines = vec![format!("{runs}: {events}, journal {size}")];
        for module in &self.modules {
            lines.push(module.text(now));
            if let (Some(error), Some(at)) = (&module.last_error, module.last_error_at) {
                lines.push(format!("  {}: {error}", ago(at, now)));
            }
        }
        lines
    }

    pub fn write(&self, out: &mut dyn Write, now: DateTime<Utc>) -> io::Result<()> {
        for (index, line) in self.lines(now).iter().enumerate() {
            let title = if index == 0 { "accounting" } else { "" };
            writeln!(out, "{title:<14}{line}")?;
        }
        Ok(())
    }
}

impl Module {
    fn of(state: ModuleState) -> Self {
        Module {
            name: state.name,
            logged: state.logged,
            failed: state.failed,
            waiting: state.waiting,
            waiting_since: state.waiting_since,
            last_error: state.last_error,
            last_error_at: state.last_error_at,
        }
    }

    fn text(&self, now: DateTime<Utc>) -> String {
        let waits = match (self.waiting, self.waiting_since) {
            (0, _) => "nothing waits".to_owned(),
            (n, None) => format!("{} WAIT", counted(n, "event")),
            (n, Some(since)) => format!("{} WAIT, the oldest since {}", counted(n, "event"), ago(since, now)),
        };
        format!("{}: {waits}; {} logged, {} failed", self.name, self.logged, self.failed)
    }
}

/// What the configured chain does, in lines; or why it cannot work.
pub fn explained(setting: &Setting) -> Option<Result<Vec<String>>> {
    let accounting = &setting.config.accounting;
    let ini = accounting.gatekeeper_ini.as_deref()?;
    let leniency = match accounting.lenient {
        true => Leniency::Lenient,
        false => Leniency::Strict,
    };
    let look = || {
        let (gatekeeper, notices): (Gatekeeper, _) = gatekeeper::load(ini, leniency)?;
        let mut lines = vec![format!(
            "{}: {}",
            ini.display(),
            counted(gatekeeper.chain.len() as u64, "module")
        )];
        lines.extend(notices.iter().map(ToString::to_string));
        Modules::check(&gatekeeper, accounting, ini)
            .map_err(|problems| Error::new(crate::exit::Exit::Configuration, problems.join("\n")))?;
        lines.extend(explain::explain(&gatekeeper));
        Ok(lines)
    };
    Some(look())
}
