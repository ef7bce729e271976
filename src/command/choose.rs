//! Which of the configured sources a capture asks.

use std::sync::Arc;

use super::setting::Setting;
use crate::{
    capture::{self, Source},
    cli,
    config::{self, DeviceKind},
    exit::{Error, Exit, Result},
};

/// The configured sources, or those of them that the command line wants.
pub fn chosen(setting: &Setting, args: &cli::Capture) -> Result<Vec<Arc<dyn Source>>> {
    let configured = setting.config.sources();
    if let Some(unknown) = unknown(&configured, &args.source) {
        let known: Vec<&str> = configured.iter().take(20).map(config::Source::name).collect();
        let more = if configured.len() > known.len() { ", …" } else { "" };
        return Err(Error::new(
            Exit::Usage,
            format!("there is no source {unknown:?}; configured: {}{more}", known.join(", ")),
        ));
    }
    for (wanted, kind) in [(args.devusage, DeviceKind::Cucm), (args.confspace, DeviceKind::Cms)] {
        if wanted && !configured.iter().any(|source| is(source, kind)) {
            return Err(none_of(kind));
        }
    }
    let chosen: Vec<&config::Source> = configured.iter().filter(|source| is_wanted(source, args)).collect();
    if chosen.is_empty() {
        return Err(Error::new(
            Exit::Usage,
            "none of the sources that --source names is asked for by --devusage or --confspace",
        ));
    }
    chosen.into_iter().map(|source| open(source, setting)).collect()
}

/// All sources of the configuration.
pub fn all(setting: &Setting) -> Result<Vec<Arc<dyn Source>>> {
    setting
        .config
        .sources()
        .iter()
        .map(|source| open(source, setting))
        .collect()
}

fn open(source: &config::Source, setting: &Setting) -> Result<Arc<dyn Source>> {
    capture::open(source, &setting.config).map_err(|e| Error::new(Exit::Configuration, e))
}

fn unknown<'a>(configured: &[config::Source], names: &'a [String]) -> Option<&'a String> {
    names
        .iter()
        .find(|name| !configured.iter().any(|source| source.name() == *name))
}

fn is(source: &config::Source, kind: DeviceKind) -> bool {
    matches!(source, config::Source::Device(device) if device.kind == kind)
}

fn is_wanted(source: &config::Source, args: &cli::Capture) -> bool {
    let of_kind = match (args.devusage, args.confspace) {
        (false, false) => true,
        (devusage, confspace) => {
            (devusage && is(source, DeviceKind::Cucm)) || (confspace && is(source, DeviceKind::Cms))
        }
    };
    of_kind && (args.source.is_empty() || args.source.iter().any(|name| name == source.name()))
}

fn none_of(kind: DeviceKind) -> Error {
    Error::new(Exit::Configuration, format!("no {kind} is configured"))
        .next("List it in billing_config.csv, which [capture] devices names, or as a [[source]]; see billdrop.toml(5).")
}
