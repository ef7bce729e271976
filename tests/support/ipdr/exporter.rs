//! `billdrop ipdr` with documents that a test has put into its store.

use std::{
    fs::{self, OpenOptions},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::DirBuilderExt,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use billdrop::{
    deliver::ipdr::store::{self, Meta, Store},
    protocol::ipdr::{DocumentIdForm, Template, TemplateNames},
    record::{INTERFACE_USAGE, ServiceDefinition},
};
use chrono::{DateTime, Utc};

use crate::support::{Peer, binary::Place, free_port};

/// The one session of most tests.
pub const SESSION: u8 = 1;
pub const NAME: &str = "usage";

/// A place with a configuration. The exporter may be started again and again in it.
pub struct Setup {
    pub place: Place,
    pub address: SocketAddr,
}

/// Keys of `[ipdr]` and of the session that tests change.
pub struct Keys<'a> {
    pub ipdr: &'a str,
    pub session: &'a str,
    /// Further tables.
    pub more: &'a str,
}

/// Quick, so that no test waits long for what shall happen.
pub const QUICK: Keys<'static> = Keys {
    ipdr: "hold-down = \"0s\"\nwait-for-best = \"1s\"\n",
    session: "ack-time = \"1s\"\nack-sequence = 50\nwindow = 200\nack-timeout = \"4s\"\n",
    more: "",
};

impl Setup {
    /// Collectors by name, address and priority.
    pub fn new(collectors: &[(&str, &str, u32)], keys: &Keys<'_>) -> Self {
        let place = Place::new();
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), free_port());
        let mut toml = format!(
            "[recorder]\nhostname = \"exporter\"\nmac = \"00-00-5E-00-53-21\"\n\
             [[source]]\nname = \"here\"\ntype = \"linux\"\ninclude = [\"lo\"]\n\
             [ipdr]\nlisten = [\"{address}\"]\n{}\n",
            keys.ipdr
        );
        for (name, address, priority) in collectors {
            toml += &format!("[[ipdr.collector]]\nname = \"{name}\"\naddress = \"{address}\"\npriority = {priority}\n");
        }
        toml += &session(SESSION, NAME, keys.session);
        toml += keys.more;
        place.configure(&toml);
        Setup { place, address }
    }

    /// Puts documents of so many records into the session's store. No exporter may run. `first` is the number of the first
    /// one, for [`body`].
    pub fn store(&self, session: &str, first: u64, records: &[u64]) {
        self.store_with(session, &INTERFACE_USAGE, records, |document, at| {
            body(first + document, at)
        });
    }

    pub fn store_with(
        &self,
        session: &str,
        definition: &'static ServiceDefinition,
        records: &[u64],
        body: impl Fn(u64, u64) -> Vec<u8>,
    ) {
        let private = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.place.state());
        private.unwrap();
        store::prepare(&self.place.state()).unwrap();
        let (store, troubles) = Store::open(&store::directory(&self.place.state()).join(session)).unwrap();
        assert!(troubles.is_empty(), "{troubles:?}");
        let template = Template::of(definition, 1, TemplateNames::of(definition)).unwrap();
        for (document, records) in (0..).zip(records) {
            let now = Utc::now().timestamp() as u32;
            let mut writing = store
                .begin(Meta {
                    id: DocumentIdForm::TimeNumberMac.make(now, unused_number(), [0, 0, 0x5e, 0, 0x53, 0x21]),
                    created: DateTime::from_timestamp(now.into(), 0).unwrap(),
                    config_id: 0,
                    template: Arc::new(template.clone()),
                })
                .unwrap();
            for at in 0..*records {
                writing.push(&body(document, at)).unwrap();
            }
            writing.seal(true, &[]).unwrap();
        }
    }

    pub fn start(&self) -> Peer {
        self.start_with(&[])
    }

    pub fn start_with(&self, arguments: &[&str]) -> Peer {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.place.path().join("exporter.log"))
            .unwrap();
        let mut command = self.place.command(&[&["ipdr"], arguments].concat());
        command.stdout(Stdio::null()).stderr(log);
        Peer::spawn(&mut command, "billdrop")
    }

    /// What the exporter said, for failures.
    pub fn said(&self) -> String {
        fs::read_to_string(self.place.path().join("exporter.log")).unwrap_or_default()
    }
}

/// A session whose interval does not fall due while a test runs.
pub fn session(id: u8, name: &str, keys: &str) -> String {
    format!(
        "[[ipdr.session]]\nname = \"{name}\"\nid = {id}\nkind = \"time-interval\"\ninterval = \"1day\"\n\
         sources = [\"here\"]\n{keys}\n"
    )
}

/// A record of the interface usage, octet by octet: which it is can be read from it.
pub fn body(document: u64, at: u64) -> Vec<u8> {
    let mut body = Vec::with_capacity(150);
    let text = |body: &mut Vec<u8>, text: &str| {
        body.extend((text.len() as u32).to_be_bytes());
        body.extend(text.as_bytes());
    };
    body.extend(1_577_508_300_263_u64.to_be_bytes());
    text(&mut body, "here");
    text(&mut body, "exporter");
    body.extend((at as u32).to_be_bytes());
    text(&mut body, &format!("if{document}.{at}"));
    text(&mut body, "");
    body.extend([0, 0, 0, 0, 0x5e, 0, 0x53, 1]);
    body.extend(1_i32.to_be_bytes());
    body.extend(2_i32.to_be_bytes());
    (0..8_u64).for_each(|counter| body.extend((at << 8 | counter).to_be_bytes()));
    body.extend(5_i32.to_be_bytes());
    body
}

/// Makes the documentIds of one second differ.
fn unused_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
