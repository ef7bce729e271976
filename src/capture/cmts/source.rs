//! The source `cmts`: one poll, joined and compared, as records.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::baseline::Baseline;
use super::compare::{Reading, compare};
use super::family::Family;
use super::join::{Poll, join};
use super::snmp::{self, Answer, Credentials, Entry, Settings};
use super::usage::{self, Kind, Options};
use crate::capture::{Asked, Captured, RecordSink, Source, SourceError};
use crate::config::{self, CmtsCredentials, CmtsRecords};

/// How long the records of 50,000 flows may take when everything is read; they take some seconds at most.
const RECORDS_WITHIN: Duration = Duration::from_secs(30);

/// How long entries of the log may be released. Those that are left are released the next time.
const RELEASED_WITHIN: Duration = Duration::from_secs(60);

/// A CMTS as configured. Its secrets are looked at when it is asked: one that is missing costs this source alone.
pub struct Configured {
    config: config::Cmts,
}

impl Configured {
    pub fn new(config: &config::Cmts) -> Self {
        Configured { config: config.clone() }
    }

    fn opened(&self) -> Result<Cmts, String> {
        let config = &self.config;
        let records = match config.records {
            CmtsRecords::Docsis => Kind::Docsis,
            CmtsRecords::SamisType1 => Kind::SamisType1,
            CmtsRecords::SamisType2 => Kind::SamisType2,
        };
        let (address, address6) = match config.source_address {
            Some(IpAddr::V4(address)) => (Some(address), None),
            Some(IpAddr::V6(address)) => (None, Some(address)),
            None => (None, None),
        };
        Ok(Cmts {
            name: config.name.clone(),
            settings: Settings {
                host: config.address.clone(),
                port: config.port,
                credentials: credentials(&config.credentials)?,
                answer_within: config.answer_timeout.0,
                retries: config.retries.into(),
                limit: config.timeout.0,
                requests_per_second: Some(config.most_requests_per_second),
                in_flight: config.in_flight,
                most_repetitions: config.most_repetitions,
                records,
                cpes: !config.cpe_list_suppress,
            },
            options: Options {
                records,
                flow_aggregate: config.flow_aggregate,
                cpe_list_suppress: config.cpe_list_suppress,
                full_records: config.full_records,
            },
            address,
            address6,
        })
    }
}

impl Configured {
    /// A failure costs nothing: what is not released stays in the log, and is not delivered again.
    fn release(&self, cmts: &Cmts, delivered: &Delivered) -> Result<(), String> {
        if delivered.entries.is_empty() {
            return Ok(());
        }
        let community = self
            .config
            .write_community
            .as_ref()
            .map(|secret| secret.reveal())
            .transpose()?;
        let mut settings = self.opened()?.settings;
        settings.limit = RELEASED_WITHIN;
        let released = snmp::release(&settings, community.as_deref(), delivered.family, &delivered.entries);
        let released = released.map_err(|e| e.to_string())?;
        tracing::info!(
            "source {}: {} entries of the log are released",
            cmts.name,
            released.released
        );
        Ok(())
    }
}

fn credentials(configured: &CmtsCredentials) -> Result<Credentials, String> {
    Ok(match configured {
        CmtsCredentials::V2c { community } => Credentials::V2c {
            community: community.reveal()?,
        },
        CmtsCredentials::V3 {
            user,
            auth_protocol,
            auth_password,
            privacy_protocol,
            privacy_password,
        } => Credentials::V3 {
            user: user.clone(),
            auth_protocol: *auth_protocol,
            auth_password: auth_password.reveal()?,
            privacy_protocol: *privacy_protocol,
            privacy_password: privacy_password.reveal()?,
        },
    })
}

impl Source for Configured {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn time_limit(&self) -> Option<Duration> {
        let released_within = match self.config.release_log {
            true => RELEASED_WITHIN,
            false => Duration::ZERO,
        };
        let limit = self.config.timeout.0.checked_add(RECORDS_WITHIN)?;
        limit.checked_add(released_within)
    }

    fn capture(&self, asked: &Asked<'_>, records: &mut dyn RecordSink) -> Result<Captured, SourceError> {
        let cmts = self.opened().map_err(SourceError::Unavailable)?;
        let (mut captured, delivered) = cmts.read(asked, records)?;
        if self.config.release_log
            && let Err(why) = self.release(&cmts, &delivered)
        {
            let why = format!("entries of the log of ended flows are not released: {why}");
            captured.remark = Some(captured.remark.map_or(why.clone(), |remark| format!("{remark}; {why}")));
        }
        Ok(captured)
    }
}

/// Entries of the log that a sealed document has.
struct Delivered {
    family: Family,
    entries: Vec<Entry>,
}

/// A CMTS with everything that is needed to ask it.
pub struct Cmts {
    pub name: String,
    pub settings: Settings,
    pub options: Options,
    /// The addresses of the CMTS in its records: CMTSipAddress, CmtsIpv6Addr.
    pub address: Option<Ipv4Addr>,
    pub address6: Option<Ipv6Addr>,
}

impl Source for Cmts {
    fn name(&self) -> &str {
        &self.name
    }

    fn time_limit(&self) -> Option<Duration> {
        self.settings.limit.checked_add(RECORDS_WITHIN)
    }

    fn capture(&self, asked: &Asked<'_>, records: &mut dyn RecordSink) -> Result<Captured, SourceError> {
        self.read(asked, records).map(|(captured, _)| captured)
    }
}

impl Cmts {
    /// One poll; and what the CMTS need not keep for us any more.
    fn read(&self, asked: &Asked<'_>, records: &mut dyn RecordSink) -> Result<(Captured, Delivered), SourceError> {
        let started = Instant::now();
        let before = asked.baseline.map(Baseline::read);
        let preferred = before
            .as_ref()
            .and_then(|before| before.as_ref().ok())
            .map(|before| before.family);
        let answer = snmp::poll(&self.settings, preferred)?;
        let poll = join(&answer.tables, answer.span)
            .map_err(|hidden| SourceError::Denied(format!("{}: {hidden}", self.settings.host)))?;
        // By the clock of the capture, when sysUpTime was read last.
        let read = TimeDelta::from_std(started.elapsed()).ok();
        let read = read
            .and_then(|taken| asked.now.checked_add_signed(taken))
            .unwrap_or(asked.now);
        let reading = Reading {
            family: answer.tables.family,
            boots: answer.boots,
            span: answer.span,
            read_ms: read.timestamp_millis(),
        };
        let outcome = compare(&poll, &answer.tables.interfaces, reading, before);
        let cmts = usage::Cmts {
            now: asked.now,
            host_name: &answer.host_name,
            address: self.address,
            address6: self.address6,
            uptime_ticks: answer.span.ended_ticks,
            read,
            tables: &answer.tables,
            poll: &poll,
            outcome: &outcome,
            options: self.options,
        };
        cmts.push(records)?;
        let about_records = cmts.remarks();
        let missing: Vec<String> = poll.missing().into_iter().chain(outcome.missing).collect();
        let remarks: Vec<String> = outcome
            .remarks
            .into_iter()
            .chain(about_records)
            .chain(remarks(&answer, &poll))
            .collect();
        let captured = Captured {
            incomplete: (!missing.is_empty()).then(|| missing.join("; ")),
            remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
            baseline: outcome.baseline.map(|baseline| baseline.to_octets()),
        };
        let delivered = Delivered {
            family: answer.tables.family,
            entries: outcome.releasable,
        };
        Ok((captured, delivered))
    }
}

fn remarks(answer: &Answer, poll: &Poll) -> Vec<String> {
    let mut remarks = Vec::new();
    if poll.live.iter().any(|flow| flow.narrow) {
        remarks.push("some octets are counted in 32 bits, which wrap unseen".to_owned());
    }
    if !poll.hidden.is_empty() {
        remarks.push(format!("not visible to this community or user: {:?}", poll.hidden));
    }
    if poll.strangers > 0 {
        remarks.push(format!(
            "{} modems have flows but stand in no table of modems: their records lack address and interfaces",
            poll.strangers
        ));
    }
    if let Some((column, index)) = &answer.tables.first_unusable {
        let count = answer.tables.unusable;
        remarks.push(format!(
            "{count} values were of no use, the first is {column:?} of row {index:?}"
        ));
    }
    remarks
}
