//! `[ipdr]`: records are streamed to collectors by IPDR/SP.

use std::{collections::HashSet, net::SocketAddr};

use serde::Deserialize;

use super::{
    IpdrCollector, IpdrSession, IpdrTls, Network, Size, Span, device,
    ipdr_tables::{acknowledgements, seconds, session_name, unreadable},
};
use crate::protocol::ipdr::DocumentIdForm;

/// `[ipdr]` as it stands in the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ipdr {
    pub session: Vec<IpdrSession>,
    #[serde(default)]
    pub collector: Vec<IpdrCollector>,
    /// TCP addresses at which collectors find us; none: we dial.
    #[serde(default = "Ipdr::default_listen")]
    pub listen: Vec<String>,
    /// UDP address of version discovery.
    #[serde(default)]
    pub discovery: Option<String>,
    /// TLS for all connections to `listen`.
    #[serde(default)]
    pub tls: Option<IpdrTls>,
    /// The longest silence of a collector that we bear.
    #[serde(default = "Ipdr::default_keep_alive")]
    pub keep_alive: Span,
    /// How we name ourselves.
    #[serde(default = "Ipdr::default_vendor_id")]
    pub vendor_id: String,
    /// Who may connect beside the collectors.
    #[serde(default)]
    pub allow: Vec<Network>,
    /// Whether whoever may connect is a collector.
    #[serde(default)]
    pub any_collector: bool,
    #[serde(default)]
    pub priority_order: PriorityOrder,
    /// How long a better collector must have been ready before it gets the document back.
    #[serde(default = "Ipdr::default_minute")]
    pub hold_down: Span,
    /// How long after the start the best collector is waited for.
    #[serde(default = "Ipdr::default_minute")]
    pub wait_for_best: Span,
    #[serde(default)]
    pub document_id: IpdrDocumentId,
    #[serde(default = "Ipdr::default_ack_time")]
    pub ack_time: Span,
    #[serde(default = "Ipdr::default_ack_sequence")]
    pub ack_sequence: u32,
    #[serde(default = "Ipdr::default_window")]
    pub window: u32,
    #[serde(default = "Ipdr::default_ack_timeout")]
    pub ack_timeout: Span,
    #[serde(default = "Ipdr::default_connect_timeout")]
    pub connect_timeout: Span,
    #[serde(default = "Ipdr::default_reconnect")]
    pub reconnect: Span,
    #[serde(default = "Ipdr::default_most_connections")]
    pub most_connections: u32,
    #[serde(default = "Ipdr::default_most_message")]
    pub most_message: Size,
    /// What becomes of an interval that falls due while its collector still takes the last document.
    #[serde(default)]
    pub overlap: Overlap,
    /// Documents of one session that may wait.
    #[serde(default = "Ipdr::default_most_documents")]
    pub most_documents: u32,
    /// From which size on managers are alarmed.
    #[serde(default = "Ipdr::default_store_alarm")]
    pub store_alarm: Size,
    /// How much all that waits may take.
    #[serde(default = "Ipdr::default_store_limit")]
    pub store_limit: Size,
    #[serde(default)]
    pub when_full: WhenFull,
    /// How long documents may wait without any collector before managers are alarmed.
    #[serde(default = "Ipdr::default_minute")]
    pub alarm_after: Span,
}

/// When documents are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpdrKind {
    /// One at each interval.
    #[default]
    TimeInterval,
    /// Records are appended as they come; another document begins at each interval.
    Event,
    /// When a collector is ready for one, or an operator asks.
    AdHoc,
}

/// Which priority is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PriorityOrder {
    /// 1 before 2.
    #[default]
    Ascending,
    /// 3 before 1.
    Descending,
}

/// The sixteen octets that name a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IpdrDocumentId {
    #[default]
    TimeMac,
    TimeNumberMac,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is left out, as a CMTS does.
    #[default]
    Skip,
    /// Its document waits.
    Queue,
}

/// What becomes of a document when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// It is not made.
    #[default]
    Skip,
    /// The oldest that is not being delivered goes.
    DropOldest,
}

/// What is wrong with a key: its name below the table, and the reason.
pub(super) type Finding = (String, String);

impl From<IpdrDocumentId> for DocumentIdForm {
    fn from(form: IpdrDocumentId) -> DocumentIdForm {
        match form {
            IpdrDocumentId::TimeMac => DocumentIdForm::TimeMac,
            IpdrDocumentId::TimeNumberMac => DocumentIdForm::TimeNumberMac,
        }
    }
}

impl Ipdr {
    fn default_listen() -> Vec<String> {
        vec!["0.0.0.0:4737".to_owned()]
    }

    fn default_keep_alive() -> Span {
        Span::seconds(300)
    }

    fn default_vendor_id() -> String {
        "billdrop".to_owned()
    }

    fn default_minute() -> Span {
        Span::seconds(60)
    }

    fn default_ack_time() -> Span {
        Span::seconds(1)
    }

    fn default_ack_sequence() -> u32 {
        200
    }

    fn default_window() -> u32 {
        800
    }

    fn default_ack_timeout() -> Span {
        Span::seconds(10)
    }

    fn default_connect_timeout() -> Span {
        Span::seconds(15)
    }

    fn default_reconnect() -> Span {
        Span::seconds(10)
    }

    fn default_most_connections() -> u32 {
        64
    }

    fn default_most_message() -> Size {
        Size::mebibytes(1)
    }

    fn default_most_documents() -> u32 {
        1000
    }

    fn default_store_alarm() -> Size {
        Size::mebibytes(1 << 10)
    }

    fn default_store_limit() -> Size {
        Size::mebibytes(10 << 10)
    }

    /// The identifier of the session at this place.
    pub fn session_id(&self, index: usize) -> Option<u8> {
        let own = self.session.get(index)?.id;
        own.or_else(|| u8::try_from(index + 1).ok()).filter(|id| *id > 0)
    }

    /// Everything that is wrong with it by itself.
    pub fn check(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        self.check_ranges(&mut found);
        self.check_addresses(&mut found);
        self.check_collectors(&mut found);
        self.check_sessions(&mut found);
        found
    }

    fn check_ranges(&self, found: &mut Vec<Finding>) {
        let mut within = |key: &str, is: bool, range: &str| {
            if !is {
                found.push((key.to_owned(), format!("must be {range}")));
            }
        };
        within("keep-alive", seconds(self.keep_alive, 1, 86400), "1s to 1day");
        within("hold-down", seconds(self.hold_down, 0, 86400), "0s to 1day");
        within("wait-for-best", seconds(self.wait_for_best, 0, 3600), "0s to 1h");
        within("alarm-after", seconds(self.alarm_after, 0, 7 * 86400), "0s to 7days");
        within("connect-timeout", seconds(self.connect_timeout, 1, 600), "1s to 10min");
        within("reconnect", seconds(self.reconnect, 1, 3600), "1s to 1h");
        within("vendor-id", self.vendor_id.len() <= 255, "at most 255 octets");
        within(
            "most-connections",
            (1..=10_000).contains(&self.most_connections),
            "1 to 10000",
        );
        within(
            "most-message",
            (4 << 10..=64 << 20).contains(&self.most_message.0),
            "4KiB to 64MiB",
        );
        within(
            "most-documents",
            (1..=1_000_000).contains(&self.most_documents),
            "1 to 1000000",
        );
        within("store-limit", self.store_limit.0 >= 1 << 20, "1MiB or more");
        within(
            "store-alarm",
            self.store_alarm <= self.store_limit,
            "at most store-limit",
        );
        let whole = (self.ack_time, self.ack_sequence, self.window, self.ack_timeout);
        acknowledgements("", whole, found);
    }

    fn check_addresses(&self, found: &mut Vec<Finding>) {
        let mut check = |key: &str, text: &str| {
            if text.parse::<SocketAddr>().is_err() {
                let reason = format!("{text:?} must be ADDRESS:PORT or [IPV6]:PORT, as in \"0.0.0.0:4737\"");
                found.push((key.to_owned(), reason));
            }
        };
        for address in &self.listen {
            check("listen", address);
        }
        if let Some(address) = &self.discovery {
            check("discovery", address);
        }
        if self.listen.is_empty() && !self.collector.iter().any(|collector| collector.dial.is_some()) {
            let reason = "is empty, and no collector has the key dial: nobody could ever be connected".to_owned();
            found.push(("listen".to_owned(), reason));
        }
        if self.collector.is_empty() && !self.any_collector {
            let reason = "nobody would be let in: describe a collector, as in collector = [{ name = \"mediation\", address = \
                          \"192.0.2.10\" }], or set any-collector";
            found.push(("collector".to_owned(), reason.to_owned()));
        }
        let tls = self.tls.iter().flat_map(|tls| {
            let files = [
                ("tls.certificate", Some(&tls.certificate)),
                ("tls.key", Some(&tls.key)),
                ("tls.client-ca", tls.client_ca.as_ref()),
            ];
            files.into_iter().filter_map(|(key, file)| Some((key, file?)))
        });
        for (key, file) in tls {
            unreadable(key, file, found);
        }
    }

    fn check_collectors(&self, found: &mut Vec<Finding>) {
        let mut names = HashSet::new();
        for (index, collector) in self.collector.iter().enumerate() {
            let key = |key: &str| format!("collector[{index}].{key}");
            if let Err(reason) = device::name(&collector.name) {
                found.push((key("name"), reason.to_owned()));
            }
            if !names.insert(&collector.name) {
                found.push((
                    key("name"),
                    "is the name of an earlier collector; give each its own".to_owned(),
                ));
            }
            let mut others = self.collector[..index].iter();
            if others.any(|other| {
                other.address == collector.address
                    && other.initiator_address == collector.initiator_address
                    && other.dial == collector.dial
            }) {
                let reason = "is that of an earlier collector: nothing would tell them apart; give each its own \
                              initiator-address, or dial them";
                found.push((key("address"), reason.to_owned()));
            }
            if let Err(findings) = collector.check() {
                found.extend(findings.into_iter().map(|(name, reason)| (key(&name), reason)));
            }
        }
    }

    fn check_sessions(&self, found: &mut Vec<Finding>) {
        if self.session.is_empty() {
            found.push(("session".to_owned(), "there must be one".to_owned()));
        }
        let (mut names, mut ids) = (HashSet::new(), HashSet::new());
        for (index, session) in self.session.iter().enumerate() {
            let mut problem = |key: &str, reason: String| found.push((format!("session[{index}].{key}"), reason));
            if let Err(reason) = session_name(&session.name) {
                problem("name", reason);
            }
            if !names.insert(&session.name) {
                problem(
                    "name",
                    "is the name of an earlier session; give each its own".to_owned(),
                );
            }
            match self.session_id(index) {
                None => problem("id", "must be 1 to 255".to_owned()),
                Some(id) if !ids.insert(id) => problem("id", format!("{id} is that of an earlier session")),
                Some(_) => {}
            }
            if session.description.len() > 1024 {
                problem("description", "must be at most 1024 octets".to_owned());
            }
            let is_whole = session.interval.0.subsec_nanos() == 0;
            if !seconds(session.interval, 1, 86400) || !is_whole {
                problem("interval", "must be 1s to 1day, in whole seconds".to_owned());
            }
            if !seconds(session.poll, 1, 3600) {
                problem("poll", "must be 1s to 1h".to_owned());
            }
            for name in session.collectors.keys() {
                if !self.collector.iter().any(|collector| collector.name == *name) {
                    let known: Vec<&str> = self.collector.iter().map(|c| c.name.as_str()).collect();
                    problem(
                        "collectors",
                        format!("there is no collector {name:?}; configured: {}", known.join(", ")),
                    );
                }
            }
            let whole = session.acknowledgements(self);
            acknowledgements(&format!("session[{index}]."), whole, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ipdr(text: &str) -> Ipdr {
        toml::from_str(text).unwrap()
    }

    const SMALLEST: &str =
        "session = [{ name = \"SAMIS-1\" }]\ncollector = [{ name = \"a\", address = \"192.0.2.1\" }]\n";

    #[test]
    fn what_is_left_out_has_its_default() {
        let ipdr = ipdr(SMALLEST);
        assert_eq!(ipdr.check(), []);
        assert_eq!(ipdr.listen, ["0.0.0.0:4737"]);
        assert_eq!(ipdr.session_id(0), Some(1));
        assert_eq!(ipdr.session[0].interval, Span::seconds(900));
    }

    #[test]
    fn each_key_that_cannot_be_is_named() {
        let keys = |text: &str| -> Vec<String> { ipdr(text).check().into_iter().map(|(key, _)| key).collect() };
        assert_eq!(
            keys(
                "keep-alive = \"0s\"\nmost-message = \"1KiB\"\nstore-alarm = \"20GiB\"\nwindow = 100\nlisten = [\"here\"]\n\
                 discovery = \"4737\"\n\
                 collector = [{ name = \"a\", address = \"192.0.2.1\" }, { name = \"a\", address = \"192.0.2.1\", tls-key = \"/nowhere\" }]\n\
                 session = [{ name = \"../x\", interval = \"1500ms\" }, { name = \"lock\", id = 1, collectors = { b = 1 }, ack-time = \"9s\" }]"
            ),
            [
                "keep-alive",
                "most-message",
                "store-alarm",
                "window",
                "listen",
                "discovery",
                "collector[1].name",
                "collector[1].address",
                "collector[1].tls-key",
                "collector[1].tls",
                "collector[1].tls-key",
                "session[0].name",
                "session[0].interval",
                "session[1].name",
                "session[1].id",
                "session[1].collectors",
                "session[1].ack-timeout",
            ]
        );
        assert_eq!(keys("session = []\nlisten = []"), ["listen", "collector", "session"]);
    }
}
