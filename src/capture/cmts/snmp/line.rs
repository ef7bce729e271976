//! The requests to one agent: how many at a time, how large, how often again; and its clock.

use std::{
    cell::Cell as Slot,
    time::{Duration, Instant},
};

use async_snmp::{Auth, Client, Error, ErrorStatus, Oid, Retry, UsmConfig, Value, VarBind};
use tokio::time::sleep_until;

use super::{Credentials, Settings};
use crate::capture::{
    SourceError,
    cmts::{tables::Cell, uptime},
};
use crate::config::{AuthProtocol, PrivacyProtocol};

/// A poll that reads more cells than this is of no CMTS: it is an agent that makes rows up.
const MOST_CELLS: u64 = 20_000_000;
/// Cells that fit into a message that no network cuts into pieces.
const UNFRAGMENTED: u32 = 36;
/// So many answers in time let the next request ask for more again.
const GOOD_ANSWERS: u32 = 16;

pub struct Line {
    client: Client,
    host: String,
    retries: u32,
    answer_within: Duration,
    gap: Duration,
    most_repetitions: u32,
    next: Slot<Instant>,
    requests: Slot<u64>,
    cells: Slot<u64>,
    /// Cells for one request: now, and at most. The agent has refused more.
    size: Slot<u32>,
    largest: Slot<u32>,
    good: Slot<u32>,
    /// The first sysUpTime, when it came, and the last.
    clock: Slot<Option<(u32, Instant, u32)>>,
}

impl Line {
    /// `community`: in place of the configured one.
    pub async fn open(settings: &Settings, community: Option<&str>) -> Result<Self, SourceError> {
        let auth = match (community, &settings.credentials) {
            (Some(community), Credentials::V2c { .. }) => Ok(Auth::v2c(community.to_owned())),
            (_, credentials) => auth(credentials),
        };
        let auth =
            auth.map_err(|e| SourceError::Denied(format!("{}: SNMP version 3 cannot be used: {e}", settings.host)))?;
        let opened = Client::builder((settings.host.as_str(), settings.port), auth)
            .request_timeout(settings.answer_within)
            // Asking again is decided here, because it may be for less.
            .retry(Retry::none())
            .connect()
            .await;
        let client = opened.map_err(|e| SourceError::Unavailable(format!("{}: {e}", settings.host)))?;
        let gap = settings.requests_per_second;
        Ok(Line {
            client,
            host: settings.host.clone(),
            retries: settings.retries,
            answer_within: settings.answer_within,
            gap: gap.map_or(Duration::ZERO, |most| Duration::from_secs(1) / most.max(1)),
            most_repetitions: u32::from(settings.most_repetitions).max(1),
            next: Slot::new(Instant::now()),
            requests: Slot::new(0),
            cells: Slot::new(0),
            size: Slot::new(UNFRAGMENTED),
            largest: Slot::new(UNFRAGMENTED),
            good: Slot::new(0),
            clock: Slot::new(None),
        })
    }

    /// The host's name before a sentence about it.
    pub fn about(&self, sentence: &str) -> String {
        format!("{}: {sentence}", self.host)
    }

    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// The last sysUpTime.
    pub fn uptime_ticks(&self) -> u32 {
        self.clock.get().map_or(0, |(_, _, last)| last)
    }

    /// Takes a sysUpTime. An error: the CMTS has restarted.
    pub fn saw(&self, ticks: u32) -> Result<(), SourceError> {
        let (first, since, last) = self.clock.get().unwrap_or((ticks, Instant::now(), ticks));
        if uptime::restarted_meanwhile(first, ticks, since.elapsed()) {
            let sentence = "the CMTS has restarted while it was read (sysUpTime); what was read of it is not used";
            return Err(SourceError::Unavailable(self.about(sentence)));
        }
        // Answers may overtake each other.
        let ahead = ticks.wrapping_sub(last) < 1 << 31;
        self.clock.set(Some((first, since, if ahead { ticks } else { last })));
        Ok(())
    }

    /// GETs the objects, at most ten: more is more than one request.
    pub async fn get(&self, oids: &[Oid]) -> Result<Vec<VarBind>, SourceError> {
        let mut tries = 0;
        loop {
            self.wait().await;
            match self.client.get_many(oids).await {
                Ok(answer) => return self.counted(answer.varbinds),
                Err(e) => self.give_up_or_ask_again(&e, &mut tries, false)?,
            }
        }
    }

    /// SETs one object. [`false`]: the agent has no such object any more.
    pub async fn set(&self, oid: &Oid, value: Value) -> Result<bool, SourceError> {
        let mut tries = 0;
        loop {
            self.wait().await;
            match self.client.set(oid, value.clone()).await {
                Ok(_) => return Ok(true),
                Err(e) if is_gone(&e) => return Ok(false),
                Err(e) => self.give_up_or_ask_again(&e, &mut tries, false)?,
            }
        }
    }

    /// One GETBULK; `oids` begins with a single object, then one for each column. Fewer cells are asked for when the
    /// agent cannot answer.
    pub async fn bulk(&self, oids: &[Oid]) -> Result<Vec<VarBind>, SourceError> {
        let columns = u32::try_from(oids.len().saturating_sub(1)).unwrap_or(1).max(1);
        let mut tries = 0;
        loop {
            self.wait().await;
            let repetitions = (self.size.get() / columns).clamp(1, self.most_repetitions);
            match self.client.get_bulk(oids, 1, repetitions).await {
                Ok(varbinds) => {
                    self.grow();
                    return self.counted(varbinds);
                }
                Err(e) => self.give_up_or_ask_again(&e, &mut tries, repetitions > 1)?,
            }
        }
    }

    fn counted(&self, varbinds: Vec<VarBind>) -> Result<Vec<VarBind>, SourceError> {
        let cells = self.cells.get() + varbinds.len() as u64;
        self.cells.set(cells);
        match cells > MOST_CELLS {
            true => Err(SourceError::BadData(self.about(&format!(
                "it gave more than {MOST_CELLS} values; its tables have no end"
            )))),
            false => Ok(varbinds),
        }
    }

    /// Keeps to the requests per second.
    async fn wait(&self) {
        let at = self.next.get().max(Instant::now());
        self.next.set(at + self.gap);
        self.requests.set(self.requests.get() + 1);
        sleep_until(at.into()).await;
    }

    /// An error ends it. A single answer that is lost says nothing about its size; two in a row may.
    fn give_up_or_ask_again(&self, e: &Error, tries: &mut u32, can_shrink: bool) -> Result<(), SourceError> {
        let (too_large, lost) = match e.exchange_source() {
            Error::Snmp { status, .. } => (matches!(status, ErrorStatus::TooBig | ErrorStatus::GenErr), false),
            Error::Timeout { .. } => (false, true),
            _ => (false, false),
        };
        self.good.set(0);
        if too_large && can_shrink {
            self.largest.set((self.size.get() / 2).max(1));
            self.size.set(self.largest.get());
            return Ok(());
        }
        if lost && *tries < self.retries {
            if *tries > 0 {
                self.size.set((self.size.get() / 2).max(1));
            }
            *tries += 1;
            return Ok(());
        }
        Err(self.failure(e))
    }

    fn grow(&self) {
        self.good.set(self.good.get() + 1);
        if self.good.get() >= GOOD_ANSWERS && self.size.get() < self.largest.get() {
            self.good.set(0);
            self.size
                .set((self.size.get().saturating_mul(2)).min(self.largest.get()));
        }
    }

    fn failure(&self, e: &Error) -> SourceError {
        match e.exchange_source() {
            Error::Timeout { .. } => {
                let tries = self.retries + 1;
                let each = self.answer_within.as_secs_f32();
                SourceError::Unavailable(self.about(&format!(
                    "no answer to {tries} requests of {each} s each; see that the agent runs and that address, port \
                     and credentials are right (a wrong community is not answered)"
                )))
            }
            Error::Auth { .. } | Error::Report { .. } => SourceError::Denied(self.about(&format!(
                "the agent refused the user or the passwords: {}",
                e.exchange_source()
            ))),
            Error::Snmp {
                status:
                    ErrorStatus::AuthorizationError
                    | ErrorStatus::NoAccess
                    | ErrorStatus::NotWritable
                    | ErrorStatus::ReadOnly,
                ..
            } => SourceError::Denied(self.about(&format!("the agent refused it: {}", e.exchange_source()))),
            Error::Snmp { .. } | Error::Decode(_) | Error::MalformedResponse { .. } => {
                SourceError::BadData(self.about(&e.exchange_source().to_string()))
            }
            other => SourceError::Unavailable(self.about(&other.to_string())),
        }
    }
}

fn is_gone(e: &Error) -> bool {
    use ErrorStatus::{InconsistentName, NoCreation, NoSuchName};
    matches!(
        e.exchange_source(),
        Error::Snmp {
            status: NoSuchName | NoCreation | InconsistentName,
            ..
        }
    )
}

fn auth(credentials: &Credentials) -> Result<Auth, String> {
    Ok(match credentials {
        Credentials::V2c { community } => Auth::v2c(community.clone()),
        Credentials::V3 {
            user,
            auth_protocol,
            auth_password,
            privacy_protocol,
            privacy_password,
        } => UsmConfig::new(user.clone())
            .auth_priv(
                protocol(*auth_protocol),
                auth_password.clone(),
                privacy(*privacy_protocol),
                privacy_password.clone(),
            )
            .map_err(|e| e.to_string())?
            .into(),
    })
}

fn protocol(protocol: AuthProtocol) -> async_snmp::AuthProtocol {
    match protocol {
        AuthProtocol::Md5 => async_snmp::AuthProtocol::Md5,
        AuthProtocol::Sha1 => async_snmp::AuthProtocol::Sha1,
        AuthProtocol::Sha224 => async_snmp::AuthProtocol::Sha224,
        AuthProtocol::Sha256 => async_snmp::AuthProtocol::Sha256,
        AuthProtocol::Sha384 => async_snmp::AuthProtocol::Sha384,
        AuthProtocol::Sha512 => async_snmp::AuthProtocol::Sha512,
    }
}

/// As for notifications: Blumenthal's way to lengthen a key is net-snmp's "AES-256".
fn privacy(protocol: PrivacyProtocol) -> async_snmp::PrivProtocol {
    match protocol {
        PrivacyProtocol::Aes128 => async_snmp::PrivProtocol::Aes128,
        PrivacyProtocol::Aes256 => async_snmp::PrivProtocol::Aes256Blumenthal,
    }
}

/// The value for a table. [`None`]: there is none at this place.
pub fn cell(value: &Value) -> Option<Cell<'_>> {
    Some(match value {
        Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => return None,
        Value::Integer(number) => u64::try_from(*number).map_or(Cell::Other, Cell::Number),
        Value::Counter32(n) | Value::Gauge32(n) | Value::UInteger32(n) | Value::TimeTicks(n) => {
            Cell::Number((*n).into())
        }
        Value::Counter64(number) => Cell::Number(*number),
        Value::OctetString(octets) => Cell::Octets(octets),
        Value::IpAddress(octets) => Cell::Octets(octets),
        _ => Cell::Other,
    })
}
