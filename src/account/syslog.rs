//! `SyslogAcct`: a message to the host's syslog for each event of a call.
//!
//! A datagram in the form of RFC 3164, as syslog(3) sends it: no host name, the local time. The module never fails, as the
//! gatekeeper's own: what syslog does not take is lost, and that is said once until it works again.

use std::{
    io::{self, ErrorKind},
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    event::{Event, EventKind, Events, Moment},
    module::{Attempt, Module, Outcome},
    parameters::{Context, write_value},
    template::Template,
    timestamp::TimestampFormat,
    uuid,
};
use crate::config::gatekeeper;

/// Where syslog listens.
pub const SOCKET: &str = "/dev/log";
/// How long a syslog that does not read may hold an event up.
const PATIENCE: Duration = Duration::from_millis(200);
/// What is sent of a message that is too long for the socket: what syslog daemons take by default.
const SHORTENED: usize = 8 << 10;

/// Writes messages as the gatekeeper's own module does: each value in double quotes, and nothing in it escaped.
pub struct SyslogAcct {
    path: PathBuf,
    priority: u8,
    templates: Vec<(EventKind, Template)>,
    timestamps: TimestampFormat,
    clock: TimestampFormat,
    gatekeeper: String,
    home: String,
    socket: Mutex<Socket>,
}

#[derive(Default)]
struct Socket {
    connected: Option<UnixDatagram>,
    failing: bool,
}

impl SyslogAcct {
    /// `path` is [`SOCKET`], but for tests.
    ///
    /// # Errors
    /// When the time format cannot be one.
    pub fn new(options: &gatekeeper::SyslogAcct, of: &gatekeeper::Gatekeeper, path: &Path) -> Result<Self, String> {
        let format = options.timestamp_format.as_ref().unwrap_or(&of.timestamp_format);
        Ok(SyslogAcct {
            path: path.to_owned(),
            priority: options.facility.min(23) * 8 + options.level.min(7),
            templates: options
                .templates
                .iter()
                .map(|(kind, text)| (*kind, Template::parse(text)))
                .collect(),
            timestamps: TimestampFormat::parse(format).map_err(|e| format!("[SyslogAcct] TimestampFormat: {e}"))?,
            clock: TimestampFormat::parse("%b %e %H:%M:%S").map_err(|e| format!("the time of a message: {e}"))?,
            gatekeeper: of.name.clone(),
            home: of.home.map(|home| home.to_string()).unwrap_or_default(),
            socket: Mutex::default(),
        })
    }

    fn message(&self, event: &Event, template: &Template, key: &str) -> Vec<u8> {
        let uuid = uuid::of(event, key);
        let context = Context {
            gatekeeper: &self.gatekeeper,
            home: &self.home,
            timestamps: &self.timestamps,
            uuid: &uuid,
            now: event.time.clone(),
        };
        let mut message = format!("<{}>", self.priority).into_bytes();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Moment {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            micros: 0,
            zone: None,
        };
        self.clock.write(&now, &mut message);
        message.extend_from_slice(format!(" GnuGk[{}]: ", std::process::id()).as_bytes());
        template.render_with(event, &mut message, |parameter, out| {
            out.push(b'"');
            write_value(parameter, event, &context, out);
            out.push(b'"');
        });
        // syslog(3) takes text up to the first NUL; it would not be seen that there was more.
        message.retain(|octet| *octet != 0);
        message
    }

    fn send(&self, message: &[u8]) {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = socket.send(&self.path, message).or_else(|e| match e.kind() {
            // Restarted since.
            ErrorKind::ConnectionRefused | ErrorKind::NotConnected | ErrorKind::BrokenPipe => {
                socket.connected = None;
                socket.send(&self.path, message)
            }
            _ => Err(e),
        });
        match sent {
            Ok(()) => socket.failing = false,
            Err(e) => {
                socket.connected = None;
                if !std::mem::replace(&mut socket.failing, true) {
                    tracing::warn!(
                        "SyslogAcct: {} does not take messages, they are lost until it does: {e}",
                        self.path.display()
                    );
                }
            }
        }
    }
}

impl Module for SyslogAcct {
    fn name(&self) -> &'static str {
        "SyslogAcct"
    }

    fn supported(&self) -> Events {
        [EventKind::Start, EventKind::Stop, EventKind::Update, EventKind::Connect]
            .into_iter()
            .collect()
    }

    fn log(&self, event: &Event, attempt: &Attempt<'_>) -> Outcome {
        let template = self.templates.iter().find(|(kind, _)| *kind == event.kind);
        if let Some((_, template)) = template.filter(|(_, template)| !template.pieces().is_empty()) {
            self.send(&self.message(event, template, attempt.key));
        }
        Outcome::Ok
    }
}

impl Socket {
    fn send(&mut self, path: &Path, message: &[u8]) -> io::Result<()> {
        const EMSGSIZE: i32 = 90;
        if self.connected.is_none() {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            socket.set_write_timeout(Some(PATIENCE))?;
            self.connected = Some(socket);
        }
        let Some(socket) = &self.connected else { return Ok(()) };
        match socket.send(message) {
            Err(e) if e.raw_os_error() == Some(EMSGSIZE) && message.len() > SHORTENED => {
                socket.send(&message[..SHORTENED]).map(drop)
            }
            sent => sent.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{
        event::{Call, Subject},
        status::server::tests::gatekeeper,
    };

    fn start(user: &str) -> Event {
        Event {
            kind: EventKind::Start,
            uuid: None,
            time: Moment {
                seconds: 1_795_355_214,
                micros: 0,
                zone: None,
            },
            gatekeeper: None,
            gatekeeper_ip: None,
            subject: Subject::Call(Box::new(Call {
                user: user.into(),
                call_id: Some([0x6e; 16]),
                ..Call::default()
            })),
        }
    }

    fn module(path: &Path) -> SyslogAcct {
        let options = gatekeeper::SyslogAcct {
            facility: 17,
            level: 6,
            timestamp_format: None,
            templates: vec![(EventKind::Start, "CALL|%u|%{CallId}|%x|%g".into())],
        };
        SyslogAcct::new(&options, &gatekeeper(), path).unwrap()
    }

    fn receive(socket: &UnixDatagram) -> String {
        let mut octets = vec![0; 1 << 18];
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let count = socket.recv(&mut octets).unwrap();
        String::from_utf8(octets[..count].to_vec()).unwrap()
    }

    const ATTEMPT: Attempt<'static> = Attempt { key: "k", again: false };

    #[test]
    fn a_message_has_priority_time_ident_and_each_value_in_quotes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let syslog = UnixDatagram::bind(&path).unwrap();
        let module = module(&path);
        assert_eq!(module.log(&start("a\"b\0"), &ATTEMPT), Outcome::Ok);
        let message = receive(&syslog);
        let (before, text) = message.split_once(" GnuGk[").unwrap();
        assert!(before.starts_with("<142>"), "{before}");
        let shape: String = before[5..]
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!((shape.len(), &shape[6..]), (15, " 00:00:00"), "{before}");
        let id = ["6e"; 16].join(" ");
        assert_eq!(
            text,
            format!("{}]: CALL|\"a\"b\"|\"{id}\"|%x|\"example-gk\"", std::process::id())
        );
    }

    #[test]
    fn without_a_syslog_the_module_succeeds_and_goes_on_when_there_is_one_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let module = module(&path);
        assert_eq!(module.log(&start("lost"), &ATTEMPT), Outcome::Ok);
        for name in ["alice", "bob"] {
            let syslog = UnixDatagram::bind(&path).unwrap();
            assert_eq!(module.log(&start(name), &ATTEMPT), Outcome::Ok);
            assert!(receive(&syslog).contains(name));
            drop(syslog);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_syslog_that_does_not_read_holds_nothing_up_for_long() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let _syslog = UnixDatagram::bind(&path).unwrap();
        let module = module(&path);
        let begin = std::time::Instant::now();
        let mut events = 0;
        while begin.elapsed() < PATIENCE * 2 {
            assert_eq!(module.log(&start(&"x".repeat(60_000)), &ATTEMPT), Outcome::Ok);
            events += 1;
            assert!(events < 1_000_000);
        }
        assert!(begin.elapsed() < PATIENCE * 20);
    }

    #[test]
    fn what_is_too_long_for_the_socket_is_shortened() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let syslog = UnixDatagram::bind(&path).unwrap();
        let module = module(&path);
        module.log(&start(&"x".repeat(4 << 20)), &ATTEMPT);
        assert_eq!(receive(&syslog).len(), SHORTENED);
    }
}
