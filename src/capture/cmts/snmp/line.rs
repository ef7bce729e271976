//! The requests to one agent, sent again where they must be; and its clock.

use std::{
    cell::{Cell as Slot, RefCell},
    time::{Duration, Instant},
};

use async_snmp::{
    Auth, Client, DecodeAnomaly, Error, ErrorStatus, Oid, Retry, UsmConfig, Value, VarBind, v3::ReportStatus,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{sleep_until, timeout},
};

use super::pace::Pace;
use super::{Credentials, Settings};
use crate::capture::{
    SourceError,
    cmts::{tables::Cell, uptime},
};
use crate::config::{AuthProtocol, PrivacyProtocol};

/// A poll that reads more cells than this is of no CMTS: it is an agent that makes rows up.
const MOST_CELLS: u64 = 6_000_000;

pub struct Line {
    client: Client,
    host: String,
    retries: u32,
    answer_within: Duration,
    pace: RefCell<Pace>,
    /// As many permits as requests may wait for an answer.
    places: Semaphore,
    requests: Slot<u64>,
    cells: Slot<u64>,
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
            // The longest that is waited for an answer; earlier tries end sooner, see `within`.
            .request_timeout(within(settings.answer_within, settings.retries))
            .construction_timeout(settings.limit)
            // Only the host that was asked may answer.
            .strict_source(true)
            // Asking again is decided here, because it may be for less.
            .retry(Retry::none())
            .connect()
            .await;
        let client = opened.map_err(|e| SourceError::Unavailable(format!("{}: {e}", settings.host)))?;
        let pace = Pace::new(
            settings.requests_per_second,
            settings.in_flight,
            settings.most_repetitions,
        );
        Ok(Line {
            client,
            host: settings.host.clone(),
            retries: settings.retries,
            answer_within: settings.answer_within,
            places: Semaphore::new(pace.window() as usize),
            pace: RefCell::new(pace),
            requests: Slot::new(0),
            cells: Slot::new(0),
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
        let mut tries = Tries::default();
        loop {
            let place = self.place(&tries).await?;
            match self.in_time(&tries, self.client.get_many(oids)).await {
                Ok(answer) => return self.counted(answer.varbinds, &answer.metadata.decode_anomalies),
                Err(e) => self.give_up_or_ask_again(e, &mut tries, place)?,
            }
        }
    }

    /// SETs one object. [`false`]: the agent has no such object any more.
    pub async fn set(&self, oid: &Oid, value: Value) -> Result<bool, SourceError> {
        let mut tries = Tries::default();
        loop {
            let place = self.place(&tries).await?;
            match self.in_time(&tries, self.client.set(oid, value.clone())).await {
                Ok(_) => return Ok(true),
                Err(Failed::Error(e)) if is_gone(&e) => return Ok(false),
                Err(e) => self.give_up_or_ask_again(e, &mut tries, place)?,
            }
        }
    }

    /// One GETBULK; `oids` begins with a single object, then one for each column. Fewer cells are asked for when the
    /// agent cannot answer.
    pub async fn bulk(&self, oids: &[Oid]) -> Result<Vec<VarBind>, SourceError> {
        let columns = u32::try_from(oids.len().saturating_sub(1)).unwrap_or(1).max(1);
        let mut tries = Tries::default();
        loop {
            let place = self.place(&tries).await?;
            let repetitions = self.pace.borrow().repetitions(columns);
            tries.asked = columns.saturating_mul(repetitions);
            tries.can_ask_for_less = repetitions > 1;
            match self
                .in_time(&tries, self.client.get_bulk_with_metadata(oids, 1, repetitions))
                .await
            {
                Ok(answer) => {
                    let varbinds = answer.varbinds;
                    let given = u32::try_from(varbinds.len().saturating_sub(1)).unwrap_or(u32::MAX);
                    if self.pace.borrow_mut().answered(tries.asked, given) {
                        self.places.add_permits(1);
                    }
                    return self.counted(varbinds, &answer.metadata.decode_anomalies);
                }
                Err(e) => self.give_up_or_ask_again(e, &mut tries, place)?,
            }
        }
    }

    /// The library makes something of values that their types cannot hold. No usage is made of what was made up.
    fn counted(&self, varbinds: Vec<VarBind>, anomalies: &[DecodeAnomaly]) -> Result<Vec<VarBind>, SourceError> {
        use DecodeAnomaly::{BoundedStringClamp, EmptyCounter64, SignedIntegerTruncation, Unsigned32Truncation};
        let cells = self.cells.get() + varbinds.len() as u64;
        self.cells.set(cells);
        let made_up = |anomaly: &&DecodeAnomaly| {
            matches!(
                anomaly,
                BoundedStringClamp { .. }
                    | EmptyCounter64 { .. }
                    | SignedIntegerTruncation { .. }
                    | Unsigned32Truncation { .. }
            )
        };
        let wrong = match anomalies.iter().find(made_up) {
            Some(anomaly) => format!("it gave a value that its type cannot hold ({anomaly:?})"),
            None if cells > MOST_CELLS => format!("it gave more than {MOST_CELLS} values; its tables have no end"),
            None => return Ok(varbinds),
        };
        Err(SourceError::BadData(self.about(&wrong)))
    }

    /// Waits until a request may be sent: there is a place for it, and the requests per second allow it.
    async fn place(&self, tries: &Tries) -> Result<SemaphorePermit<'_>, SourceError> {
        let place = self.places.acquire().await;
        let place = place.map_err(|_| SourceError::Unavailable(self.about("the walk was given up")))?;
        let turn = self.pace.borrow_mut().turn(Instant::now());
        self.requests.set(self.requests.get() + 1);
        if let Some(at) = turn {
            sleep_until(at.into()).await;
        }
        tracing::trace!(host = self.host, again = tries.lost, "request");
        Ok(place)
    }

    /// The answer, when it comes in the time that this try has.
    async fn in_time<T>(
        &self,
        tries: &Tries,
        answer: impl Future<Output = async_snmp::Result<T>>,
    ) -> Result<T, Failed> {
        match timeout(within(self.answer_within, tries.lost), answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(e)) => Err(Failed::Error(e)),
            Err(_) => Err(Failed::Lost),
        }
    }

    /// An error ends it. A request that is lost is sent again, and an agent that cannot answer it is asked for less.
    fn give_up_or_ask_again(
        &self,
        failed: Failed,
        tries: &mut Tries,
        place: SemaphorePermit<'_>,
    ) -> Result<(), SourceError> {
        let e = match failed {
            Failed::Error(e) if !matches!(e.exchange_source(), Error::Timeout { .. }) => e,
            _ if tries.lost >= self.retries => return Err(self.no_answer()),
            _ => {
                if tries.lost > 0 && self.pace.borrow_mut().lost_again(tries.asked) {
                    place.forget();
                }
                tries.lost += 1;
                return Ok(());
            }
        };
        match e.exchange_source() {
            Error::Snmp { status, .. }
                if matches!(status, ErrorStatus::TooBig | ErrorStatus::GenErr) && tries.can_ask_for_less =>
            {
                self.pace.borrow_mut().refused(tries.asked);
                Ok(())
            }
            _ => Err(self.failure(&e)),
        }
    }

    fn no_answer(&self) -> SourceError {
        let tries = self.retries.saturating_add(1);
        let longest = within(self.answer_within, self.retries).as_secs_f32();
        SourceError::Unavailable(self.about(&format!(
            "no answer to a request that was sent {tries} times, the last time {longest} s ago; see that the agent \
             runs and that address, port and credentials are right (a wrong community is not answered)"
        )))
    }

    fn failure(&self, e: &Error) -> SourceError {
        match e.exchange_source() {
            Error::Report { status, .. } if matches!(**status, ReportStatus::NotInTimeWindow { .. }) => {
                let sentence = "the agent takes none of our messages for timely, though its own clock (snmpEngineBoots, \
                                snmpEngineTime) is used; see that the clock of the agent runs";
                SourceError::Unavailable(self.about(sentence))
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

/// What became of a request until now.
#[derive(Default)]
struct Tries {
    lost: u32,
    /// Cells that the last one was for, and whether fewer can be asked for.
    asked: u32,
    can_ask_for_less: bool,
}

enum Failed {
    Lost,
    Error(Box<Error>),
}

/// The time that an answer has: each time that a request was lost, twice as much.
fn within(first: Duration, lost: u32) -> Duration {
    const LONGEST: Duration = Duration::from_secs(3600);
    first.saturating_mul(1 << lost.min(16)).min(LONGEST)
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
