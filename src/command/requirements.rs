//! What a configuration must fulfil beyond its types. Each part is asked whether it can work with its own keys.

use std::collections::HashSet;

use crate::{
    capture,
    config::{self, Config, Manager, Problem},
    notify, spool,
};

/// Longest text of `ccmtrCollectionDestination`, in octets (CISCO-CABLE-METERING-MIB).
pub const LONGEST_DESTINATION: usize = 80;

/// Every problem, in the order of the file.
pub fn problems(config: &Config) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut problem = |key: &str, message: String| {
        found.push(Problem {
            key: key.to_owned(),
            message,
        })
    };
    recorder(config, &mut problem);
    spool(config, &mut problem);
    sources(config, &mut problem);
    for (index, manager) in config.managers.iter().enumerate() {
        manager_problems(index, manager, &mut problem);
    }
    snmp(config, &mut problem);
    found
}

fn recorder(config: &Config, problem: &mut impl FnMut(&str, String)) {
    if let Some(hostname) = &config.recorder.hostname
        && let Err(reason) = spool::check_hostname(hostname)
    {
        problem("recorder.hostname", reason);
    }
    if let Some(mac) = &config.recorder.mac
        && config::parse_mac(mac).is_none()
    {
        problem(
            "recorder.mac",
            format!("{mac:?} is not a MAC address; write it like \"00-00-5E-00-53-21\""),
        );
    }
}

fn spool(config: &Config, problem: &mut impl FnMut(&str, String)) {
    let spool = &config.spool;
    if spool.directory.as_os_str().is_empty() {
        problem("spool.directory", "is empty; name a directory".to_owned());
    }
    if !spool.extension.chars().all(|c| c.is_ascii_alphanumeric()) || spool.extension.len() > 8 {
        problem(
            "spool.extension",
            format!(
                "{:?} must be at most eight letters and digits, without a dot; empty for none",
                spool.extension
            ),
        );
    }
    if spool.mode.0 & 0o600 != 0o600 || spool.mode.0 & !0o666 != 0 {
        problem(
            "spool.mode",
            format!("{} must let the owner read and write, and nobody execute", spool.mode),
        );
    }
    if spool.mode.0 & 0o002 != 0 {
        problem(
            "spool.mode",
            format!("{} would let everybody change a billing record", spool.mode),
        );
    }
    if spool.directory_mode.0 & 0o700 != 0o700 {
        problem(
            "spool.directory-mode",
            format!("{} must give the owner all rights", spool.directory_mode),
        );
    }
    if spool.directory_mode.0 & 0o1002 == 0o002 {
        problem(
            "spool.directory-mode",
            format!("{} would let everybody delete a billing record", spool.directory_mode),
        );
    }
    if let Some(group) = &spool.group
        && let Err(reason) = spool::group_id(group)
    {
        problem("spool.group", reason);
    }
    if spool.alarm_repeat.0.as_secs() < 60 {
        problem(
            "spool.alarm-repeat",
            format!("{} is less than a minute", spool.alarm_repeat),
        );
    }
    let state = config.state_directory();
    if state.starts_with(&spool.directory) {
        problem(
            "state.directory",
            format!(
                "{} lies inside the spool {}; the remote application must not see it",
                state.display(),
                spool.directory.display()
            ),
        );
    }
}

fn sources(config: &Config, problem: &mut impl FnMut(&str, String)) {
    let mut names = HashSet::new();
    for (index, source) in config.sources.iter().enumerate() {
        if !names.insert(source.name()) {
            problem(
                &format!("source[{index}].name"),
                format!(
                    "{:?} is the name of an earlier source; give each its own",
                    source.name()
                ),
            );
        }
        if source.name().is_empty() || source.name().len() > 64 || source.name().chars().any(char::is_control) {
            problem(
                &format!("source[{index}].name"),
                "must be 1 to 64 octets without control characters".to_owned(),
            );
        }
        if let Err(reason) = capture::open(source) {
            problem(&format!("source[{index}]"), reason);
        }
    }
}

fn manager_problems(index: usize, manager: &Manager, problem: &mut impl FnMut(&str, String)) {
    for reason in notify::check(manager) {
        problem(&format!("notify[{index}]"), reason);
    }
}

fn snmp(config: &Config, problem: &mut impl FnMut(&str, String)) {
    if let Some(id) = &config.snmp.engine_id
        && let Err(reason) = notify::Engine::parse_id(id)
    {
        problem("snmp.engine-id", reason);
    }
    if let Err(reason) = notify::parse_oid(&config.snmp.enterprise) {
        problem("snmp.enterprise", reason);
    }
    let hostname = config.recorder.hostname.as_deref().unwrap_or("");
    let longest = spool::longest_name(hostname, &config.spool.extension);
    if config.snmp.filesystem.len() + longest > LONGEST_DESTINATION {
        problem(
            "snmp.filesystem",
            format!(
                "with the file name it makes {} octets, and ccmtrCollectionDestination holds {LONGEST_DESTINATION}; \
                 shorten it or recorder.hostname",
                config.snmp.filesystem.len() + longest
            ),
        );
    }
}
