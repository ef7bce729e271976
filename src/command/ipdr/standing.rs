//! How the exporter stands, for `billdrop status`: what it wrote itself into `STATE/ipdr/status.json`.

use std::{
    fs,
    io::{self, Read},
    path::Path,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::super::{ago, counted, turn::shown};
use super::news::{SIGN_OF_LIFE, status_path};
use crate::{
    deliver::ipdr::{CollectorStatus, SessionStatus, Snapshot},
    exit::{Error, Result},
};

/// As the exporter writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    pub process: u32,
    pub has_ended: bool,
    pub written: DateTime<Utc>,
    pub exporter: Snapshot,
    pub captures: Vec<Capture>,
}

/// When a session's sources are asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Capture {
    pub session: String,
    /// `time-interval`, `event` or `ad-hoc`.
    pub kind: String,
    pub due: Option<DateTime<Utc>>,
    pub last: Option<DateTime<Utc>>,
    pub last_records: u64,
    /// Intervals since the start.
    pub skipped: u64,
}

/// As `status` shows it.
#[derive(Debug, Serialize)]
pub struct Shown {
    running: bool,
    process: u32,
    told: DateTime<Utc>,
    connections: usize,
    collectors: Vec<CollectorStatus>,
    sessions: Vec<Session>,
}

#[derive(Debug, Serialize)]
struct Session {
    #[serde(flatten)]
    status: SessionStatus,
    /// Age of the oldest document that is not delivered.
    lag_seconds: Option<i64>,
    #[serde(flatten)]
    capture: Option<CaptureShown>,
}

#[derive(Debug, Serialize)]
struct CaptureShown {
    kind: String,
    due: Option<DateTime<Utc>>,
    last_capture: Option<DateTime<Utc>>,
    last_records: u64,
    skipped_intervals: u64,
}

impl Shown {
    /// [`None`]: it has never run here.
    pub fn read(state: &Path) -> Result<Option<Shown>> {
        const MOST: u64 = 64 << 20;
        let path = status_path(state);
        let mut octets = Vec::new();
        let read = fs::File::open(&path).and_then(|file| file.take(MOST).read_to_end(&mut octets));
        match read {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(Error::reading(&path, &e)),
        }
        let standing: Standing = serde_json::from_slice(&octets).map_err(|e| Error::reading(&path, &e.into()))?;
        Ok(Some(Shown::of(standing, Utc::now())))
    }

    fn of(standing: Standing, now: DateTime<Utc>) -> Shown {
        let is_silent = (now - standing.written)
            .to_std()
            .is_ok_and(|age| age > 5 * SIGN_OF_LIFE);
        let captures = standing.captures;
        let session = |status: SessionStatus| {
            let capture = captures.iter().find(|capture| capture.session == status.name);
            let document = status.document.as_ref();
            let lag = document.filter(|document| document.acknowledged < document.records);
            Session {
                lag_seconds: lag.map(|document| (now - document.created).num_seconds().max(0)),
                capture: capture.map(|capture| CaptureShown {
                    kind: capture.kind.clone(),
                    due: capture.due,
                    last_capture: capture.last,
                    last_records: capture.last_records,
                    skipped_intervals: capture.skipped,
                }),
                status,
            }
        };
        Shown {
            running: !standing.has_ended && !is_silent,
            process: standing.process,
            told: standing.written,
            connections: standing.exporter.connections,
            collectors: standing.exporter.collectors,
            sessions: standing.exporter.sessions.into_iter().map(session).collect(),
        }
    }

    /// One line for the exporter, one for each collector, some for each session.
    pub fn lines(&self, now: DateTime<Utc>) -> Vec<String> {
        let runs = match self.running {
            true => format!("process {}", self.process),
            false => format!("NOT RUNNING, was seen last {}", ago(self.told, now)),
        };
        let mut lines = vec![format!("{runs}: {}", counted(self.connections as u64, "connection"))];
        lines.extend(self.collectors.iter().map(|collector| collector_line(collector, now)));
        for session in &self.sessions {
            session.lines(now, &mut lines);
        }
        lines
    }
}

fn collector_line(collector: &CollectorStatus, now: DateTime<Utc>) -> String {
    let name = &collector.name;
    let Some(address) = &collector.address else {
        return format!("collector {name}: NOT CONNECTED");
    };
    let heard = collector
        .heard
        .map_or(String::new(), |at| format!(", heard {}", ago(at, now)));
    let vendor = collector.vendor.escape_debug();
    match collector.queued {
        0 => format!("collector {name}: {address} \"{vendor}\"{heard}"),
        queued => format!("collector {name}: {address} \"{vendor}\"{heard}, {queued} octets wait for it to read"),
    }
}

impl Session {
    fn lines(&self, now: DateTime<Utc>, lines: &mut Vec<String>) {
        let status = &self.status;
        let active = status.active.as_deref().unwrap_or("no collector has it");
        let states: Vec<String> = status
            .collectors
            .iter()
            .map(|flow| format!("{} {}", flow.name, flow.state))
            .collect();
        lines.push(format!(
            "session {} ({}): {active}; {}",
            status.name,
            status.id,
            states.join(", ")
        ));
        if let Some(document) = &status.document {
            let under_way = document.sent.saturating_sub(document.acknowledged);
            let lag = self
                .lag_seconds
                .map_or(String::new(), |_| format!(", of {}", ago(document.created, now)));
            let dropped = match document.dropped {
                0 => String::new(),
                dropped => format!(", {dropped} DROPPED"),
            };
            lines.push(format!(
                "  document {}{lag}: {} of {} acknowledged, {under_way} under way, window {}{dropped}",
                document.number,
                document.acknowledged,
                counted(document.records, "record"),
                status.window
            ));
        }
        let size = bytesize::ByteSize(status.waiting_octets).display().iec();
        let mut line = format!(
            "  {} with {} waiting ({size}); {} delivered",
            counted(status.waiting_documents, "document"),
            counted(status.waiting_records, "record"),
            counted(status.delivered_documents, "document")
        );
        if let Some(capture) = &self.capture {
            if let Some(due) = capture.due {
                line += &format!(", the next at {}", shown(due));
            }
            if capture.skipped_intervals > 0 {
                line += &format!(", {} SKIPPED", counted(capture.skipped_intervals, "interval"));
            }
        }
        lines.push(line);
    }
}
