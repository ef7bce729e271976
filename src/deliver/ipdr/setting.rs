//! What the exporter is told before it begins. Everything here has been checked by who reads the configuration; names of
//! hosts are addresses already, because the loop never waits for a name server.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::{
    config,
    protocol::ipdr::{Patience, SessionKind, TemplateNames},
    record::ServiceDefinition,
};

/// The exporter as a whole.
#[derive(Debug, Clone)]
pub struct Settings {
    /// TCP addresses for collectors that dial us.
    pub listen: Vec<SocketAddr>,
    /// UDP address of version discovery; [`None`]: none.
    pub discovery: Option<SocketAddr>,
    /// TLS for all that `listen`; [`None`]: plain.
    pub tls: Option<ListenerTls>,
    /// The longest silence of a collector that we bear. On the wire it is whole seconds, one at least.
    pub keep_alive: Duration,
    /// How we name ourselves.
    pub vendor_id: String,
    /// Addresses that may connect and ask, beside those of the collectors: a collector behind an address of somebody else
    /// is found by its initiatorAddress.
    pub allow: Vec<config::Network>,
    /// Whoever may connect and is no configured collector is taken as one of the lowest priority. With an empty `allow`
    /// that is everybody.
    pub any_collector: bool,
    pub order: PriorityOrder,
    /// How long a better collector must have been ready before it gets the document back.
    pub hold_down: Duration,
    /// How long after the begin the best collector is waited for.
    pub wait_for_best: Duration,
    /// For the connection, TLS and CONNECT together.
    pub connect_timeout: Duration,
    /// First wait before a collector is dialled again; it grows to ten times that.
    pub reconnect: Duration,
    /// Connections at a time, those that have not said CONNECT included.
    pub most_connections: usize,
    /// Those that have not said CONNECT, from one address.
    pub most_unknown: usize,
    /// The longest message that is taken, in octets.
    pub most_message: u32,
    /// How long an orderly end may take, with the last acknowledgements.
    pub farewell: Duration,
    pub collectors: Vec<CollectorSetting>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: Vec::new(),
            discovery: None,
            tls: None,
            keep_alive: Duration::from_secs(300),
            vendor_id: "billdrop".to_owned(),
            allow: Vec::new(),
            any_collector: false,
            order: PriorityOrder::Ascending,
            hold_down: Duration::from_secs(60),
            wait_for_best: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(15),
            reconnect: Duration::from_secs(10),
            most_connections: 64,
            most_unknown: 16,
            most_message: 1 << 20,
            farewell: Duration::from_secs(5),
            collectors: Vec::new(),
        }
    }
}

/// Which number is the better one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PriorityOrder {
    /// 1 before 2, as most exporters have it.
    #[default]
    Ascending,
    /// 3 before 1, as Motorola's.
    Descending,
}

/// Our certificate, in PEM.
#[derive(Debug, Clone)]
pub struct ListenerTls {
    /// The chain, ours first.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Who connects must show a certificate that one of these has issued. [`None`]: nobody is asked for one.
    pub client_ca: Option<PathBuf>,
}

/// A collector that is known.
#[derive(Debug, Clone)]
pub struct CollectorSetting {
    pub name: String,
    /// Where its connections come from.
    pub address: IpAddr,
    /// The initiatorAddress of its CONNECT: tells collectors of one address apart, and finds one that comes from an address
    /// of [`Settings::allow`].
    pub initiator: Option<Ipv4Addr>,
    /// By [`Settings::order`]; a session may have its own.
    pub priority: u32,
    /// We connect to it, too, while it is not connected.
    pub dial: Option<Dial>,
}

#[derive(Debug, Clone)]
pub struct Dial {
    pub to: SocketAddr,
    /// Own address that the connection comes from.
    pub from: Option<IpAddr>,
    /// [`None`]: plain.
    pub tls: Option<DialTls>,
}

/// The files are read for each connection, so that they can be replaced.
#[derive(Debug, Clone)]
pub struct DialTls {
    pub trust: config::Tls,
    /// Certificate chain and private key in PEM, where the collector wants to see one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// One session: records of one definition.
#[derive(Debug, Clone)]
pub struct SessionSetting {
    /// 1 to 255.
    pub id: u8,
    pub name: String,
    pub description: String,
    pub kind: SessionKind,
    pub definition: &'static ServiceDefinition,
    pub template_id: u16,
    pub names: TemplateNames,
    /// Who gets it, by index into [`Settings::collectors`], and with which priority here. [`None`]: all, with their own.
    pub collectors: Option<Vec<(usize, u32)>>,
    pub patience: Patience,
    /// `ackSequenceInterval`: after so many records a collector shall acknowledge. [`Patience::window`] is a multiple of it.
    pub ack_records: u32,
    /// The best collector may switch fields off.
    pub negotiable: bool,
}
