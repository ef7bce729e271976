//! What a configuration must fulfil beyond its types. Each part is asked whether it can work with its own keys.

use std::{collections::HashSet, path::Path, time::Duration};

use crate::{
    account::input::Input,
    capture,
    config::{self, Config, Documents, Manager, Problem, Size, SourceKind, Span},
    deliver, notify, spool,
};

/// Longest text of `ccmtrCollectionDestination`, in octets (CISCO-CABLE-METERING-MIB).
pub const LONGEST_DESTINATION: usize = 80;

/// Longest SQL that a CUCM is asked, in octets.
const LONGEST_QUERY: usize = 16 << 10;

const SMALLEST_LOG: Size = Size(64 << 10);

/// In seconds.
const DAY: u64 = 86400;

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
    archive(config, &mut problem);
    log(config, &mut problem);
    devices(config, &mut problem);
    sources(config, &mut problem);
    drop_boxes(config, &mut problem);
    destinations(config, &mut problem);
    stream(config, &mut problem);
    ipdr(config, &mut problem);
    for (index, manager) in config.managers.iter().enumerate() {
        manager_problems(index, manager, &mut problem);
    }
    snmp(config, &mut problem);
    accounting(config, &mut problem);
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
    if ["manifest", "done"].contains(&spool.extension.as_str()) {
        problem(
            "spool.extension",
            format!("{:?} is how the names of other files in the spool end", spool.extension),
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

fn archive(config: &Config, problem: &mut impl FnMut(&str, String)) {
    let (archive, directory, spool) = (&config.archive, config.archive_directory(), &config.spool.directory);
    let state = config.state_directory();
    let taken = directory == state || directory == state.join("released");
    if taken || directory.starts_with(spool) || spool.starts_with(&directory) {
        problem(
            "archive.directory",
            format!(
                "{} must be a directory of its own, outside the spool {}, which the remote application sees",
                directory.display(),
                spool.display()
            ),
        );
    }
    if archive.keep.0 > Duration::from_secs(1000 * 366 * DAY) {
        problem("archive.keep", "must be 0s to 1000 years".to_owned());
    }
    let keeps = !archive.keep.0.is_zero();
    if !keeps && (archive.size != Size(0) || archive.compress) {
        problem(
            "archive.keep",
            "nothing is kept, so there is nothing to limit or to compress; set keep, for example to \"90days\""
                .to_owned(),
        );
    }
}

fn sources(config: &Config, problem: &mut impl FnMut(&str, String)) {
    let mut names = HashSet::new();
    for (index, source) in config.sources.iter().enumerate() {
        if source.name() == capture::CALLS && config.accounting.gatekeeper_ini.is_some() {
            problem(
                &format!("source[{index}].name"),
                "\"calls\" is the name of what [accounting] gives; take another one".to_owned(),
            );
        }
        if !names.insert(source.name()) {
            problem(
                &format!("source[{index}].name"),
                format!(
                    "{:?} is the name of an earlier source; give each its own",
                    source.name()
                ),
            );
        }
        if let Some(ca) = &source.tls_ca
            && let Err(e) = config::device::readable(ca)
        {
            problem(
                &format!("source[{index}].tls-ca"),
                format!("cannot read {}: {e}", ca.display()),
            );
        }
        match source.check(&config.capture) {
            Ok(config::Source::Device(_) | config::Source::Cmts(_)) => {}
            Ok(linux) => {
                if let Err(reason) = capture::open(&linux, config) {
                    problem(&format!("source[{index}]"), reason);
                }
            }
            Err(findings) => {
                for (key, reason) in findings {
                    problem(&format!("source[{index}].{key}"), reason);
                }
            }
        }
    }
}

/// What each CMTS needs for documents of its own, and what cannot stand beside that.
fn drop_boxes(config: &Config, problem: &mut impl FnMut(&str, String)) {
    if config.capture.documents == Documents::Together {
        return;
    }
    if config.sources.is_empty() {
        let reason = "\"each\" is for sources of type cmts, and there is none";
        problem("capture.documents", reason.to_owned());
    }
    let beside = [
        ("capture.devices", config.capture.devices.is_some()),
        ("accounting.gatekeeper-ini", config.accounting.gatekeeper_ini.is_some()),
        ("stream", config.stream.is_some()),
        ("ipdr", config.ipdr.is_some()),
    ];
    for (key, _) in beside.into_iter().filter(|(_, given)| *given) {
        let reason =
            "and [capture] documents = \"each\" contradict each other; use a configuration of its own for each";
        problem(key, reason.to_owned());
    }
    if config.snmp.engine_id.is_some() {
        let reason = "two drop-boxes cannot be one engine of SNMP; leave it out, each makes its own";
        problem("snmp.engine-id", reason.to_owned());
    }
    let mut hostnames = HashSet::new();
    for (index, source) in config.sources.iter().enumerate() {
        let mut problem = |key: &str, reason: String| problem(&format!("source[{index}].{key}"), reason);
        if source.kind != SourceKind::Cmts {
            let reason = "[capture] documents = \"each\" is for sources of type cmts alone";
            problem("type", reason.to_owned());
            continue;
        }
        if let Err(reason) = spool::check_hostname(source.name()) {
            problem("name", format!("is that of a directory: {reason}"));
        }
        let hostname = source.hostname.as_deref().unwrap_or(source.name());
        if let Err(reason) = spool::check_hostname(hostname) {
            problem("hostname", reason);
        }
        if !hostnames.insert(hostname) {
            problem(
                "hostname",
                format!("{hostname:?} is that of an earlier source; give each its own"),
            );
        }
        let octets = config.snmp.filesystem.len() + spool::longest_name(hostname, &config.spool.extension);
        if octets > LONGEST_DESTINATION {
            let reason = format!(
                "a file name of {octets} octets does not fit into ccmtrCollectionDestination, which holds \
                 {LONGEST_DESTINATION}"
            );
            problem("hostname", reason);
        }
    }
}

fn accounting(config: &Config, problem: &mut impl FnMut(&str, String)) {
    let accounting = &config.accounting;
    for input in &accounting.inputs {
        if let Err(reason) = Input::parse(input) {
            problem("accounting.inputs", reason);
        }
    }
    if accounting.into_spool && accounting.gatekeeper_ini.is_none() {
        problem(
            "accounting.into-spool",
            "there are no calls without a gatekeeper's ini; set gatekeeper-ini".to_owned(),
        );
    }
    let mut within = |key: &str, is: bool, range: &str| {
        if !is {
            problem(&format!("accounting.{key}"), format!("must be {range}"));
        }
    };
    let interval = accounting.sync_interval.0;
    within(
        "sync-interval",
        (Duration::from_millis(10)..=Duration::from_secs(3600)).contains(&interval),
        "10ms to 1h",
    );
    within("workers", (1..=1024).contains(&accounting.workers), "1 to 1024");
    within(
        "connections",
        (1..=10_000).contains(&accounting.connections),
        "1 to 10000",
    );
    within(
        "alarm-size",
        accounting.alarm_size >= Size::mebibytes(128),
        "128MiB or more",
    );
    let mode = accounting.socket_mode.0;
    within(
        "socket-mode",
        mode & 0o600 == 0o600 && mode & !0o666 == 0,
        "a mode in which the owner reads and writes, and nobody executes",
    );
    let heartbeat = accounting.gatekeeper.heartbeat.0.as_secs();
    within("gatekeeper.heartbeat", (1..=3600).contains(&heartbeat), "1s to 1h");
    let clients = accounting.status.max_clients;
    within("status.max-clients", (1..=10_000).contains(&clients), "1 to 10000");
    for (key, reason) in accounting.sql.problems() {
        problem(&format!("accounting.sql.{key}"), reason);
    }
}

/// What is asked of devices, and how.
fn devices(config: &Config, problem: &mut impl FnMut(&str, String)) {
    let mut within = |key: &str, is: bool, range: &str| {
        if !is {
            problem(key, format!("must be {range}"));
        }
    };
    let capture = &config.capture;
    let named = capture.devices.as_ref().is_none_or(|file| !file.as_os_str().is_empty());
    within("capture.devices", named, "the path of a file");
    let span = |span: Span, from: u64, to: u64| (Duration::from_secs(from)..=Duration::from_secs(to)).contains(&span.0);
    within("capture.timeout", span(capture.timeout, 1, DAY), "1s to 1day");
    within(
        "capture.concurrency",
        (1..=1024).contains(&capture.concurrency),
        "1 to 1024",
    );
    within("capture.retries", capture.retries <= 10, "0 to 10");
    within("capture.retry-wait", span(capture.retry_wait, 0, 600), "0s to 10min");

    let cucm = &config.cucm;
    let version = cucm.axl_version.as_deref().is_none_or(is_version);
    within("cucm.axl-version", version, "two numbers with a dot, like \"14.0\"");
    let query = |text: &str| !text.trim().is_empty() && text.len() <= LONGEST_QUERY;
    let one_query = format!("one SQL query of at most {LONGEST_QUERY} octets");
    within("cucm.license-query", query(&cucm.license_query), &one_query);
    within("cucm.model-query", query(&cucm.model_query), &one_query);
    let mut classes = HashSet::new();
    let class = |class: &String| (1..=64).contains(&class.trim().len()) && classes.insert(class.trim().to_owned());
    let classes = cucm.device_classes.iter().all(class);
    within(
        "cucm.device-classes",
        classes,
        "texts of 1 to 64 octets, none of them twice",
    );

    let cms = &config.cms;
    within("cms.page-size", (1..=1000).contains(&cms.page_size), "1 to 1000");
    within(
        "cms.first-history",
        span(cms.first_history, 0, 366 * DAY),
        "0s to 366days",
    );
}

/// `14.0`
fn is_version(text: &str) -> bool {
    let number = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    text.split_once('.')
        .is_some_and(|(major, minor)| number(major) && number(minor))
}

fn log(config: &Config, problem: &mut impl FnMut(&str, String)) {
    if config.log.size < SMALLEST_LOG {
        problem("log.size", format!("must be {SMALLEST_LOG} or more"));
    }
    if !(1..=1000).contains(&config.log.keep) {
        problem("log.keep", "must be 1 to 1000".to_owned());
    }
    let spool = &config.spool.directory;
    if let Some(directory) = config.log_directory().filter(|directory| directory.starts_with(spool)) {
        problem(
            "log.directory",
            format!(
                "{} lies inside the spool {}; the remote application must not see it",
                directory.display(),
                spool.display()
            ),
        );
    }
}

/// Where documents are brought to.
fn destinations(config: &Config, problem: &mut impl FnMut(&str, String)) {
    let mut names = HashSet::new();
    for (index, push) in config.destinations.iter().enumerate() {
        if !names.insert(&push.name) {
            let reason = format!(
                "{:?} is the name of an earlier destination; give each its own",
                push.name
            );
            problem(&format!("push[{index}].name"), reason);
        }
        let place = |push: &config::Push| {
            push.endpoint()
                .ok()
                .map(|endpoint| (endpoint, push.remote_name.clone()))
        };
        let earlier = config.destinations[..index].iter();
        if let Some(same) = earlier
            .into_iter()
            .find(|other| place(other).is_some() && place(other) == place(push))
        {
            let reason = format!(
                "is the same place as that of {:?}: each would take the other's files for its own",
                same.name
            );
            problem(&format!("push[{index}].url"), reason);
        }
        for (key, reason) in deliver::check(push) {
            problem(&format!("push[{index}].{key}"), reason);
        }
    }
}

fn stream(config: &Config, problem: &mut impl FnMut(&str, String)) {
    let Some(stream) = &config.stream else { return };
    for (key, reason) in stream.check() {
        problem(&format!("stream.{key}"), reason);
    }
    if let Some(index) = config.destinations.iter().position(|push| push.name == config::STREAM) {
        let reason = format!(
            "{:?} is how the collectors of [stream] are called; take another name",
            config::STREAM
        );
        problem(&format!("push[{index}].name"), reason);
    }
    if config.spool.retrieved != config::Retrieved::Pickup || config.spool.manifest || config.spool.done_marker {
        let reason = "and [spool] retrieved, manifest or done-marker contradict each other: streamed documents are in no \
                      spool, nobody picks them up";
        problem("stream", reason.to_owned());
    }
}

fn ipdr(config: &Config, problem: &mut impl FnMut(&str, String)) {
    let Some(ipdr) = &config.ipdr else { return };
    for (key, reason) in ipdr.check() {
        problem(&format!("ipdr.{key}"), reason);
    }
    // What a list of devices names, and whether there are calls, is not known yet.
    let is_whole = config.capture.devices.is_none()
        && !Path::new(config::DEFAULT_LIST).exists()
        && config.accounting.gatekeeper_ini.is_none();
    for (index, session) in ipdr.session.iter().enumerate().filter(|_| is_whole) {
        let key = |key: &str| format!("ipdr.session[{index}].{key}");
        match super::ipdr::chosen(config, session) {
            Err(reason) => problem(&key("sources"), reason),
            Ok(sources) => {
                if let Err(reason) = super::ipdr::definition(session, &sources) {
                    problem(&key("record"), reason);
                }
            }
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
