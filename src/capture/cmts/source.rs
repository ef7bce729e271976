//! The source `cmts`: one poll, joined and compared, as records.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::baseline::Baseline;
use super::compare::{Reading, compare};
use super::join::{Poll, join};
use super::snmp::{self, Answer, Credentials, Settings};
use super::usage::{self, Kind, Options};
use crate::capture::{Asked, Captured, RecordSink, Source, SourceError};
use crate::config::{self, CmtsCredentials, CmtsRecords};

/// How long the records of 50,000 flows may take when everything is read; they take some seconds at most.
const RECORDS_WITHIN: Duration = Duration::from_secs(30);

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
                cpes: !config.cpe_list_suppress,
            },
            options: Options {
                records: match config.records {
                    CmtsRecords::Docsis => Kind::Docsis,
                    CmtsRecords::SamisType1 => Kind::SamisType1,
                    CmtsRecords::SamisType2 => Kind::SamisType2,
                },
                flow_aggregate: config.flow_aggregate,
                cpe_list_suppress: config.cpe_list_suppress,
                full_records: config.full_records,
            },
            address: config.source_address,
        })
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
        self.config.timeout.0.checked_add(RECORDS_WITHIN)
    }

    fn capture(&self, asked: &Asked<'_>, records: &mut dyn RecordSink) -> Result<Captured, SourceError> {
        let cmts = self.opened().map_err(SourceError::Unavailable)?;
        cmts.capture(asked, records)
    }
}

/// A CMTS with everything that is needed to ask it.
pub struct Cmts {
    pub name: String,
    pub settings: Settings,
    pub options: Options,
    /// CMTSipAddress.
    pub address: Option<Ipv4Addr>,
}

impl Source for Cmts {
    fn name(&self) -> &str {
        &self.name
    }

    fn time_limit(&self) -> Option<Duration> {
        self.settings.limit.checked_add(RECORDS_WITHIN)
    }

    fn capture(&self, asked: &Asked<'_>, records: &mut dyn RecordSink) -> Result<Captured, SourceError> {
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
            uptime_ticks: answer.span.ended_ticks,
            read,
            interfaces: &answer.tables.interfaces,
            modems: &poll.modems,
            former: &outcome.former,
            options: self.options,
        };
        cmts.push(&poll.live, &outcome.stopped, records)?;
        let missing: Vec<String> = poll.missing().into_iter().chain(outcome.missing).collect();
        let remarks: Vec<String> = outcome.remarks.into_iter().chain(remarks(&answer, &poll)).collect();
        Ok(Captured {
            incomplete: (!missing.is_empty()).then(|| missing.join("; ")),
            remark: (!remarks.is_empty()).then(|| remarks.join("; ")),
            baseline: outcome.baseline.map(|baseline| baseline.to_octets()),
        })
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
    if poll.multicast > 0 {
        remarks.push(format!("{} multicast flows are nobody's usage", poll.multicast));
    }
    if let Some((column, index)) = &answer.tables.first_unusable {
        let count = answer.tables.unusable;
        remarks.push(format!(
            "{count} values were of no use, the first is {column:?} of row {index:?}"
        ));
    }
    remarks
}
