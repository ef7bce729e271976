//! What most commands begin with: the configuration, the places, who the recorder is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    drop_box::{self, DropBox},
    progress::Audience,
    requirements::{self, LONGEST_DESTINATION},
};
use crate::{
    account::journal,
    cli::Cli,
    config::{
        self, Config, Documents, Loaded,
        gatekeeper::{self, Leniency, LinkKind},
    },
    exit::{Error, Exit, Result},
    ledger::{CollectionStatus, Event, Ledger, Row, Tell},
    log,
    spool::{self, NamingRule},
};

/// A checked configuration, with what the host itself adds.
pub struct Setting {
    pub config: Config,
    pub file: Option<PathBuf>,
    /// The list of devices, if it was asked for and there is one.
    pub devices_file: Option<PathBuf>,
    pub hostname: String,
    /// Where each CMTS has documents of its own: the one that this is about.
    pub drop_box: Option<DropBox>,
    pub audience: Audience,
}

impl Setting {
    /// For commands that ask no source: a list of devices that is wrong or missing does not matter to them.
    pub fn load(cli: &Cli) -> Result<Self> {
        Setting::new(cli, read(cli)?, None)
    }

    /// The same with the list of devices.
    pub fn load_with_devices(cli: &Cli) -> Result<Self> {
        let mut loaded = read(cli)?;
        let devices_file = config::load_devices(&mut loaded)?;
        if let (Some(file), Documents::Each) = (&devices_file, loaded.config.capture.documents) {
            let reason = format!(
                "{}: [capture] documents = \"each\" is for CMTSs, and this is a list of other devices",
                file.display()
            );
            return Err(Error::new(Exit::Configuration, reason)
                .next("Give the devices a configuration of their own, and run billdrop where no such list lies."));
        }
        loaded.config.calls = calls(&loaded.config);
        Setting::new(cli, loaded, devices_file)
    }

    fn new(cli: &Cli, mut loaded: Loaded, devices_file: Option<PathBuf>) -> Result<Self> {
        let drop_box = drop_box::narrow(&mut loaded.config, cli)?;
        for warning in &loaded.warnings {
            tracing::warn!("{warning}");
        }
        let hostname = match &loaded.config.recorder.hostname {
            Some(hostname) => hostname.clone(),
            None => own_hostname()?,
        };
        let destination =
            loaded.config.snmp.filesystem.len() + spool::longest_name(&hostname, &loaded.config.spool.extension);
        if destination > LONGEST_DESTINATION {
            return Err(Error::new(
                Exit::Configuration,
                format!(
                    "a file name of host {hostname:?} does not fit into the {LONGEST_DESTINATION} octets of a trap"
                ),
            )
            .next("Set a shorter [recorder] hostname or [snmp] filesystem."));
        }
        Ok(Setting {
            config: loaded.config,
            file: loaded.file,
            devices_file,
            hostname,
            drop_box,
            audience: Audience::of(cli),
        })
    }

    pub fn naming(&self) -> NamingRule {
        NamingRule::new(&self.hostname, &self.config.spool)
    }

    /// Where captures are logged, if anywhere.
    pub fn log_settings(&self) -> Option<log::Settings> {
        let config = &self.config.log;
        Some(log::Settings {
            directory: self.config.log_directory()?,
            size: config.size.0,
            keep: config.keep.into(),
            format: match config.format {
                config::LogFormat::Text => log::Format::Text,
                config::LogFormat::Json => log::Format::Json,
            },
        })
    }

    /// Addresses of all managers, as configured.
    pub fn managers(&self) -> Vec<String> {
        self.config.managers.iter().map(|m| m.address.clone()).collect()
    }

    /// Whether a document waits for its pickup for longer than allowed. Offered in the future: the clock was set back,
    /// and nobody knows how long it has been waiting.
    pub fn is_late(&self, waiting: &Row, now: chrono::DateTime<chrono::Utc>) -> bool {
        let since = waiting.offered.unwrap_or(waiting.created);
        (now - since)
            .to_std()
            .map_or(true, |age| age >= self.config.spool.alarm_after.0)
    }

    /// The trap of CISCO-CABLE-METERING-MIB about the file `name`.
    pub fn collection(&self, status: CollectionStatus, name: &str, at: chrono::DateTime<chrono::Utc>) -> Event {
        Event::Collection {
            status,
            destination: format!("{}{name}", self.config.snmp.filesystem),
            at,
        }
    }

    /// The same when no document could be written.
    pub fn failure(&self, error: &Error, name: &str, at: chrono::DateTime<chrono::Utc>) -> Event {
        let status = match error.is_disk_full() {
            true => CollectionStatus::DeviceFull,
            false => CollectionStatus::WriteError,
        };
        self.collection(status, name, at)
    }

    /// What managers are told of a document that is offered.
    pub fn tell_offer(&self, row: &Row) -> Tell {
        if self.config.stream.is_some() {
            // Nobody is to come for it.
            return Tell::nobody();
        }
        let event = self.collection(CollectionStatus::Success, &row.name, row.created);
        Tell::new(&self.managers(), &[event])
    }

    /// The MAC for docIds: configured, else the one found first and kept, so that it stays when interfaces change.
    pub fn mac(&self, ledger: Option<&Ledger>) -> Result<[u8; 6]> {
        let own = |mac| self.drop_box.as_ref().map_or(mac, |drop_box| drop_box.mac(mac));
        if let Some(mac) = self.config.recorder.mac.as_deref().and_then(config::parse_mac) {
            return Ok(own(mac));
        }
        const KEY: &str = "recorder-mac";
        if let Some(ledger) = ledger
            && let Some(mac) = ledger.meta(KEY)?.as_deref().and_then(config::parse_mac)
        {
            return Ok(mac);
        }
        let mac = own(first_mac());
        if let Some(ledger) = ledger {
            ledger.set_meta(KEY, &mac.map(|octet| format!("{octet:02X}")).join("-"))?;
        }
        Ok(mac)
    }
}

fn read(cli: &Cli) -> Result<Loaded> {
    config::load(cli.config.as_deref(), cli.spool.as_deref(), requirements::problems)
}

/// Finished calls are captured when `[accounting]` wants it, or SpoolAcct stands in the gatekeeper's chain. An ini that cannot be
/// read is the business of `account` and `check`; what SpoolAcct has taken before is captured all the same.
fn calls(config: &Config) -> Option<config::Calls> {
    let accounting = &config.accounting;
    let directory = journal::directory(&config.state_directory());
    let ini = accounting.gatekeeper_ini.as_deref()?;
    let read = gatekeeper::load(ini, Leniency::Lenient);
    let (gatekeeper, is_wanted) = match &read {
        Ok((read, _)) => (
            read.name.clone(),
            read.chain.iter().any(|link| link.kind == LinkKind::SpoolAcct),
        ),
        Err(problems) => {
            tracing::warn!("{problems}");
            (String::new(), directory.is_dir())
        }
    };
    (is_wanted || accounting.into_spool).then_some(config::Calls { directory, gatekeeper })
}

fn own_hostname() -> Result<String> {
    let refuse = |reason: String| {
        Error::new(
            Exit::Configuration,
            format!("this host's name cannot stand in a file name: {reason}"),
        )
        .next("Set [recorder] hostname.")
    };
    let full = hostname::get().map_err(|e| refuse(e.to_string()))?;
    let full = full.to_string_lossy();
    let short = full.split('.').next().unwrap_or_default();
    spool::check_hostname(short).map_err(refuse)?;
    Ok(short.to_owned())
}

/// The MAC of the first interface, by name, that has one; zeros where none has. There may be thousands of interfaces.
fn first_mac() -> [u8; 6] {
    const INTERFACES: &str = "/sys/class/net";
    let mut names: Vec<_> = fs::read_dir(INTERFACES)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort_unstable();
    names
        .iter()
        .filter_map(|name| {
            let address = fs::read_to_string(Path::new(INTERFACES).join(name).join("address")).ok()?;
            config::parse_mac(address.trim()).filter(|mac| *mac != [0; 6])
        })
        .next()
        .unwrap_or_default()
}
