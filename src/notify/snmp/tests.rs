//! What leaves, octet for octet, without a socket. What real managers make of it is tested in `tests/notify.rs`.

use std::{
    future::Future,
    net::UdpSocket,
    sync::{Arc, Mutex},
};

use async_snmp::{Candidate, RequestRegistration, Result, Transport};
use bytes::Bytes;
use chrono::{TimeZone, Utc};

use super::*;
use crate::notify::CollectionStatus;

/// A trap of a CMTS for a new document, uptime 61878200, as a packet dissector reads it without complaint. It leaves
/// the zone of the time out.
const GOLDEN: &str = "3081a702010104067075626c6963a7819902010102010002010030818d\
     301006082b06010201010300430403b02fb8\
     3019060a2b060106030101040100060b2b06010401090983280001\
     3012060d2b060104010909832801020100020102\
     302f060d2b060104010909832801020200041e686172646469736b3a636d7473312d32303236303131352d303933303030\
     3019060d2b060104010909832801020300040807ea010f091e0f00";

/// A transport that keeps what it is given, and numbers requests as the golden trap does.
#[derive(Clone, Default)]
struct Tape(Arc<Mutex<Vec<u8>>>);

impl Transport for Tape {
    async fn send(&self, data: &[u8]) -> Result<()> {
        *self.0.lock().unwrap() = data.to_vec();
        Ok(())
    }

    fn request_with<T, F>(&self, _: &[u8], _: RequestRegistration, _: F) -> impl Future<Output = Result<T>> + Send
    where
        T: Send,
        F: FnMut(Bytes, SocketAddr) -> Result<Candidate<T>> + Send,
    {
        std::future::pending()
    }

    fn peer_addr(&self) -> SocketAddr {
        ([127, 0, 0, 1], 162).into()
    }

    fn local_addr(&self) -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    fn alloc_request_id(&self) -> i32 {
        1
    }

    fn is_reliable(&self) -> bool {
        false
    }
}

/// The trap for `notification` in version 2c, community "public", as hexadecimal digits.
fn on_tape(notification: &Notification) -> String {
    let tape = Tape::default();
    let client = ClientBuilder::new(Auth::v2c("public"))
        .build_with_transport(tape.clone())
        .unwrap();
    let varbinds = notification.varbinds.iter().map(varbind).collect();
    let trap = Oid::from_slice(&notification.trap);
    let sending = client.send_trap(&trap, 61_878_200, varbinds);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(sending).unwrap();
    tape.0
        .lock()
        .unwrap()
        .iter()
        .map(|octet| format!("{octet:02x}"))
        .collect()
}

fn collection() -> Notification {
    let event = Event::Collection {
        status: CollectionStatus::Success,
        destination: "harddisk:cmts1-20260115-093000".to_owned(),
        at: Utc.with_ymd_and_hms(2026, 1, 15, 9, 30, 15).unwrap(),
    };
    varbinds::notification(&event, &[1, 3, 6])
}

fn engine(boots: u32) -> Engine {
    let id = b"engine".to_vec();
    Engine { id, boots }
}

fn manager(address: &str) -> Manager {
    toml::from_str(&format!("address = '{address}'\ncommunity = 'c'")).unwrap()
}

#[test]
fn the_trap_for_a_new_document_is_that_of_a_cmts_octet_for_octet() {
    let mut notification = collection();
    let Some((_, Value::Octets(time))) = notification.varbinds.last_mut() else {
        panic!("the last object is the time");
    };
    // The only difference: we name the zone.
    assert_eq!(time.split_off(8), [b'+', 0, 0]);
    assert_eq!(on_tape(&notification), GOLDEN);
}

#[test]
fn naming_the_zone_changes_only_the_time_and_the_lengths_around_it() {
    let with_zone = GOLDEN
        .replacen("3081a7", "3081aa", 1)
        .replacen("a78199", "a7819c", 1)
        .replacen("30818d", "308190", 1)
        .replacen(
            "3019060d2b060104010909832801020300040807",
            "301c060d2b060104010909832801020300040b07",
            1,
        )
        + "2b0000";
    assert_eq!(on_tape(&collection()), with_zone);
}

#[test]
fn the_uptime_is_counted_in_hundredths_and_wraps() {
    assert_eq!(ticks_of("618782.00 1234.56\n"), Some(61_878_200));
    assert_eq!(ticks_of("42949672.97 0.00"), Some(1 + u64::from(u32::MAX) + 1));
    for text in ["", "12", "12.", "12.3", "x.00", "-1.00", "99999999999999999999.00"] {
        assert_eq!(ticks_of(text), None, "{text}");
    }
    let (before, after) = (uptime_ticks(), uptime_ticks());
    assert!(after.wrapping_sub(before) < 1000);
}

#[test]
fn the_engine_speaks_with_the_boots_it_was_given() {
    for boots in [1, 2, 77, 2_147_483_646] {
        assert_eq!(start(engine(boots)).unwrap().engine_boots(), boots);
    }
}

#[test]
fn what_waits_for_one_manager_keeps_its_order() {
    let sender = Sender::new(
        Engine {
            id: b"engine".to_vec(),
            boots: 1,
        },
        config::DEFAULT_ENTERPRISE,
    )
    .unwrap();
    let manager =
        |address: &str| -> Manager { toml::from_str(&format!("address = '{address}'\ncommunity = 'c'")).unwrap() };
    let test = Event::Test {
        recorder: "r".to_owned(),
        at: Utc::now(),
    };
    let jobs = ["a", "b", "a", "c", "b"].map(|address| (manager(address), test.clone()));
    let groups = sender.by_manager(jobs.into());
    let numbers: Vec<(&str, Vec<usize>)> = groups
        .iter()
        .map(|(manager, group)| (manager.address.as_str(), group.iter().map(|(job, _)| *job).collect()))
        .collect();
    assert_eq!(numbers, [("a", vec![0, 2]), ("b", vec![1, 4]), ("c", vec![3])]);
}

#[test]
fn the_address_of_a_name_where_nobody_listens_is_passed_over() {
    let listening = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let addresses = [closed, listening.local_addr().unwrap()];
    let manager = manager("two-addresses");
    let mut peer = Peer {
        manager: &manager,
        engine: start(engine(1)).unwrap(),
        state: State::Unknown,
    };
    let told = async {
        let at_both = peer.tell_at_one_of(&addresses, Auth::v2c("c"), &collection()).await;
        // The next goes where the first was heard.
        at_both.and(peer.tell(&collection()).await).map_err(|f| f.of(&manager))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    assert_eq!(runtime.block_on(told), Ok(()));
    listening.set_nonblocking(true).unwrap();
    assert!((0..2).all(|_| listening.recv(&mut [0; 1000]).is_ok()));
}
