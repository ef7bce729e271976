//! `billing_config.csv`: the list of devices.
//!
//! Everything that is wrong with it is told at once, with file, line and column, before any device is asked.
//! A list that somebody else could have written is refused: it says to whom our secrets go.

mod cells;
mod devices;
mod header;
mod problems;

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{self, Path, PathBuf},
};

pub use devices::{Listed, parse_devices};
pub use header::COLUMNS;
pub use problems::Problems;

use super::{Config, Device, Loaded, Source, device};
use crate::{
    exit::{Error, Exit, Result},
    trust,
};

/// Where the list is looked for when the configuration names none. It may be missing.
pub const DEFAULT_LIST: &str = "billing_config.csv";

/// Reads the list of devices, if there is one, into the configuration. Returns the file.
///
/// Errors: [`Exit::Configuration`] for a list that is wrong or missing, [`Exit::Denied`] for one that cannot be read or
/// trusted.
pub fn load_devices(loaded: &mut Loaded) -> Result<Option<PathBuf>> {
    let config = &mut loaded.config;
    let file = match &config.capture.devices {
        Some(file) => file.clone(),
        None if Path::new(DEFAULT_LIST).symlink_metadata().is_ok() => PathBuf::from(DEFAULT_LIST),
        None => {
            loaded.warnings.extend(same_device(config, &[]));
            return Ok(None);
        }
    };
    let (octets, mode) = contents(&file, trust::owner(&config.state_directory()))?;
    let (listed, mut problems) = devices::read(&octets, &file);
    against_the_rest(config, &listed, &mut problems);
    if !problems.is_empty() {
        return Err(Error::new(Exit::Configuration, problems.to_string()));
    }
    if mode & 0o004 != 0 && listed.iter().any(|listed| listed.device.password.is_plain_text()) {
        loaded.warnings.push(format!(
            "{} holds passwords and everybody can read it (mode {mode:04o}): chmod o-r, or say by axlpwd_from where \
             they are",
            file.display(),
        ));
    }
    loaded.warnings.extend(same_device(config, &listed));
    let timeout = config.capture.timeout;
    config.devices = listed
        .into_iter()
        .map(|mut listed| {
            if !listed.has_own_timeout {
                listed.device.timeout = timeout;
            }
            listed.device
        })
        .collect();
    Ok(Some(file))
}

/// What the list alone cannot know: names of other sources, files that must be there.
fn against_the_rest(config: &Config, listed: &[Listed], problems: &mut Problems) {
    let sources: HashSet<&str> = config.sources.iter().map(|source| source.name()).collect();
    for Listed { line, device, .. } in listed {
        if sources.contains(device.name.as_str()) {
            let message = "column serv_cnt: is the name of a [[source]] of the configuration; give each its own";
            problems.add(*line, message.to_owned());
        }
        if let Some(Err(e)) = device.tls.ca.as_deref().map(device::readable) {
            problems.add(*line, format!("column tls_ca: the file cannot be read: {e}"));
        }
    }
}

/// Devices that are configured twice: all of their usage is in each document twice.
fn same_device(config: &Config, listed: &[Listed]) -> Option<String> {
    let tables = config
        .sources
        .iter()
        .filter_map(|table| match table.check(&config.capture) {
            Ok(Source::Device(device)) => Some(device),
            _ => None,
        });
    let tables: Vec<Device> = tables.collect();
    let mut names = HashMap::new();
    let devices = tables.iter().chain(listed.iter().map(|listed| &listed.device));
    let twice: Vec<(&Device, &str)> = devices
        .filter_map(|device| {
            let place = (device.address.to_ascii_lowercase(), device.port);
            match names.entry(place) {
                Entry::Occupied(first) => Some((device, *first.get())),
                Entry::Vacant(none) => {
                    none.insert(device.name.as_str());
                    None
                }
            }
        })
        .collect();
    let (device, first) = twice.first()?;
    let more = match twice.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more that are configured twice)"),
    };
    Some(format!(
        "{first} and {} are one device, {} port {}: its usage is in each document twice{more}",
        device.name, device.address, device.port
    ))
}

/// All of the file, and its mode.
fn contents(file: &Path, owner: u32) -> Result<(Vec<u8>, u32)> {
    let shown = file.display();
    let refuse = |e: io::Error| {
        let exit = match e.kind() {
            io::ErrorKind::PermissionDenied => Exit::Denied,
            _ => Exit::Configuration,
        };
        // cron and systemd have a working directory of their own.
        let whole = path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let error = Error::new(
            exit,
            format!("cannot read the list of devices {}: {e}", whole.display()),
        );
        match file.is_absolute() {
            true => error,
            false => error.next("It was looked for in the working directory; give [capture] devices the whole path."),
        }
    };
    // Opening a pipe would wait for somebody to write.
    if !fs::metadata(file).map_err(refuse)?.is_file() {
        return Err(Error::new(
            Exit::Configuration,
            format!("the list of devices {shown} is not a file"),
        ));
    }
    let opened = File::open(file).map_err(refuse)?;
    let found = opened.metadata().map_err(refuse)?;
    let mode = found.mode() & 0o7777;
    if !trust::is_ours(found.uid(), owner) {
        let message = format!(
            "the list of devices {shown} belongs to another user (uid {})",
            found.uid()
        );
        return Err(Error::new(Exit::Denied, message).next("It must belong to the user that captures, or to root."));
    }
    if mode & 0o002 != 0 {
        let message = format!("the list of devices {shown} has mode {mode:04o}: everybody may change it");
        return Err(Error::new(Exit::Denied, message).next("chmod o-w it."));
    }
    let mut octets = Vec::new();
    opened
        .take(devices::LIMIT as u64 + 1)
        .read_to_end(&mut octets)
        .map_err(refuse)?;
    Ok((octets, mode))
}
