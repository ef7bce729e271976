//! `billdrop history`: every document's whole life.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::{counted, print, setting::Setting};
use crate::{
    cli::{self, Selection},
    exit::Result,
    ledger::{Delivery, Ledger, LedgerError, Resend, Retrieval, Row},
};

/// One document.
#[derive(Debug, Serialize)]
struct Life {
    sequence: u64,
    name: String,
    doc_id: String,
    state: &'static str,
    records: u64,
    octets: u64,
    sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    copy: Option<Kept>,
    events: Vec<Event>,
}

/// Its copy in the archive.
#[derive(Debug, Serialize)]
struct Kept {
    octets: u64,
    compressed: bool,
    expired: bool,
}

/// One thing that happened to it, or that is still to happen.
#[derive(Debug, Serialize)]
struct Event {
    /// [`None`]: not yet.
    at: Option<DateTime<Utc>>,
    what: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
}

pub fn run(cli: &cli::Cli, args: &cli::History) -> Result<()> {
    let setting = Setting::load(cli)?;
    let lives = match Ledger::open_existing(&setting.config.state_directory()) {
        Ok(ledger) => lives(&ledger, args.documents.as_ref())?,
        Err(LedgerError::Missing { .. }) => Vec::new(),
        Err(e) => return Err(e.into()),
    };
    print(|out| match args.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&lives)?),
        false => lives.iter().try_for_each(|life| life.write(out)),
    })
}

fn lives(ledger: &Ledger, selection: Option<&Selection>) -> Result<Vec<Life>> {
    let rows = match selection {
        None => ledger.documents()?,
        Some(Selection::Numbers(first, last)) => ledger.between(*first, *last)?,
        Some(Selection::DocId(id)) => ledger.by_doc_id(&id.to_string())?.into_iter().collect(),
    };
    let told = ledger.told_of(&rows)?;
    let mut deliveries: HashMap<u64, Vec<Delivery>> = HashMap::new();
    for delivery in ledger.all_deliveries()? {
        deliveries.entry(delivery.sequence).or_default().push(delivery);
    }
    let mut resends: HashMap<u64, Vec<Resend>> = HashMap::new();
    for resend in ledger.all_resends()? {
        resends.entry(resend.sequence).or_default().push(resend);
    }
    let lives = rows.iter().map(|row| {
        let mut events = own(row);
        for (manager, at) in told.get(row.name.as_str()).into_iter().flatten() {
            events.push(event(Some(*at), "notified", manager.clone()));
        }
        events.extend(deliveries.remove(&row.sequence).into_iter().flatten().map(delivered));
        let resends = resends.remove(&row.sequence).into_iter().flatten();
        events.extend(resends.flat_map(|resend| resent(&resend)));
        // What is still to happen comes last. Of one time, in the order of a life.
        events.sort_by_key(|event| (event.at.is_none(), event.at));
        Life::of(row, events)
    });
    Ok(lives.collect())
}

fn event(at: Option<DateTime<Utc>>, what: &'static str, detail: String) -> Event {
    Event { at, what, detail }
}

/// What the document's own row says.
fn own(row: &Row) -> Vec<Event> {
    let covers = match (row.covers_from, row.covers_to) {
        (Some(from), Some(to)) => format!("covers {} to {}", shown(from), shown(to)),
        (None, Some(to)) => format!("covers up to {}", shown(to)),
        (_, None) => String::new(),
    };
    let mut events = vec![event(Some(row.created), "captured", covers)];
    if let Some(at) = row.offered {
        events.push(event(Some(at), "offered", String::new()));
    }
    if let Some(at) = row.retrieved {
        let how = row.retrieved_how.as_ref().map(Retrieval::text);
        events.push(event(
            Some(at),
            "retrieved",
            how.as_deref().map_or("", in_words).to_owned(),
        ));
    }
    if let Some(at) = row.released {
        let who = row.released_by.as_deref().unwrap_or("somebody");
        let reason = row.release_reason.as_deref().filter(|reason| !reason.is_empty());
        let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
        events.push(event(Some(at), "released", format!("moved aside by {who}{reason}")));
    }
    if let Some(copy) = &row.copy {
        events.push(event(Some(copy.made), "archived", String::new()));
        if let Some(at) = copy.expired {
            events.push(event(Some(at), "expired", "the copy was removed".to_owned()));
        }
    }
    events
}

fn in_words(how: &str) -> &str {
    match how {
        "pickup" => "deleted in the spool",
        "done-marker" => "marked as done",
        "unknown" => "the ledger was rebuilt: nobody knows whether",
        pushed => pushed,
    }
}

fn delivered(delivery: Delivery) -> Event {
    let to = delivery.destination;
    match delivery.delivered {
        Some(how) => event(
            Some(how.at),
            "pushed",
            format!("to {to}: {} octets, checked: {}", how.octets, how.verified),
        ),
        None => {
            let tries = counted(delivery.attempts.into(), "attempt");
            let why = delivery.last_error.map_or(String::new(), |error| format!(": {error}"));
            event(None, "to be pushed", format!("to {to}, {tries}{why}"))
        }
    }
}

fn resent(resend: &Resend) -> Vec<Event> {
    let to = resend
        .destination
        .as_deref()
        .map_or(String::new(), |name| format!(" to {name}"));
    let mut events = vec![event(
        Some(resend.at),
        "resend",
        format!("asked for by {}{to}", resend.who),
    )];
    if let Some(at) = resend.earlier_offered {
        events.push(event(Some(at), "offered", String::new()));
    }
    if let Some(at) = resend.earlier_retrieved {
        let how = resend.earlier_how.as_deref().unwrap_or_default();
        events.push(match &resend.destination {
            None => event(Some(at), "retrieved", in_words(how).to_owned()),
            Some(destination) => event(Some(at), "pushed", format!("to {destination}: {how}")),
        });
    }
    match (&resend.failure, resend.begun, &resend.destination) {
        (Some(failure), _, _) => events.push(event(resend.finished, "not resent", failure.clone())),
        (None, None, None) => events.push(event(None, "to be offered again", String::new())),
        _ => {}
    }
    events
}

impl Life {
    fn of(row: &Row, events: Vec<Event>) -> Self {
        Life {
            sequence: row.sequence,
            name: row.name.clone(),
            doc_id: row.doc_id.clone(),
            state: row.state.token(),
            records: row.records,
            octets: row.octets,
            sha256: row.sha256.clone(),
            copy: row.copy.as_ref().map(|copy| Kept {
                octets: copy.octets,
                compressed: copy.compressed,
                expired: copy.expired.is_some(),
            }),
            events,
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let size = |octets| bytesize::ByteSize(octets).display().iec();
        let copy = match self.copy.as_ref().filter(|copy| !copy.expired) {
            None => String::new(),
            Some(copy) if copy.compressed => format!(", copy of {} (zstd)", size(copy.octets)),
            Some(_) => ", copy".to_owned(),
        };
        writeln!(
            out,
            "{}  {}  {}  {}, {}{copy}",
            self.sequence,
            self.name,
            self.state,
            counted(self.records, "record"),
            size(self.octets)
        )?;
        writeln!(out, "    {:<22}docId {}", "", self.doc_id)?;
        for event in &self.events {
            let at = event.at.map_or("not yet".to_owned(), shown);
            let line = format!("    {at:<22}{:<11} {}", event.what, event.detail);
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
