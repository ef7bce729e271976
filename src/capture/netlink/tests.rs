//! The fixture is what a kernel answered; `fixtures/netlink/make` says how it was taken.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

const ANSWER: Answer = Answer { sequence: 1, port: 77 };

/// The datagrams of the fixture with the port they were sent to.
fn fixture() -> (Answer, Vec<Vec<u8>>) {
    let mut lines = include_str!("../../../fixtures/netlink/links.hex").lines();
    let port = lines.next().unwrap().parse().unwrap();
    (Answer { sequence: 1, port }, lines.map(octets).collect())
}

fn octets(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = ((MESSAGE_HEADER + payload.len()) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(ANSWER.sequence.to_ne_bytes());
    message.extend(ANSWER.port.to_ne_bytes());
    message.extend(payload);
    message
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut attribute = ((ATTRIBUTE_HEADER + value.len()) as u16).to_ne_bytes().to_vec();
    attribute.extend(kind.to_ne_bytes());
    attribute.extend(value);
    attribute.resize(attribute.len().next_multiple_of(ALIGNMENT), 0);
    attribute
}

fn link_header(index: i32) -> Vec<u8> {
    let mut header = vec![0; LINK_HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header
}

/// An RTM_NEWLINK with a name, counters, and what is given.
fn link_message(more: &[u8]) -> Vec<u8> {
    let parts = [
        link_header(3),
        attribute(IFLA_IFNAME, b"eth0\0"),
        attribute(IFLA_STATS64, &[0; 64]),
        more.to_vec(),
    ];
    message(RTM_NEWLINK, 0, &parts.concat())
}

fn only_link(datagram: &[u8]) -> Result<Link<'_>, Fault> {
    let mut links = ANSWER.links(datagram);
    let link = links.next().expect("there is a link or a fault");
    assert_eq!(links.next(), None);
    link
}

#[test]
fn what_a_kernel_answered_is_what_iproute2_read() {
    let (answer, datagrams) = fixture();
    let expected: Value = serde_json::from_str(include_str!("../../../fixtures/netlink/links.json")).unwrap();
    let links: Vec<Link<'_>> = datagrams
        .iter()
        .flat_map(|d| answer.links(d))
        .map(Result::unwrap)
        .collect();
    let expected = expected.as_array().unwrap();
    assert_eq!(links.len(), expected.len());
    for (link, expected) in links.iter().zip(expected) {
        let text = |octets| std::str::from_utf8(octets).unwrap();
        assert_eq!(u64::from(link.index), expected["ifindex"]);
        assert_eq!(text(link.name), expected["ifname"]);
        assert_eq!(link.alias.map(text), expected["ifalias"].as_str());
        let address = link.address.map(|a| a.map(|octet| format!("{octet:02x}")).join(":"));
        let expected_address = expected["address"].as_str().filter(|a| *a != "00:00:00:00:00:00");
        assert_eq!(address.as_deref(), expected_address);
        assert_eq!(link.up, expected["flags"].as_array().unwrap().contains(&"UP".into()));
        let states = [
            "UNKNOWN",
            "NOTPRESENT",
            "DOWN",
            "LOWERLAYERDOWN",
            "TESTING",
            "DORMANT",
            "UP",
        ];
        assert_eq!(states[usize::from(link.oper_state)], expected["operstate"]);
        let (received, sent) = (&expected["stats64"]["rx"], &expected["stats64"]["tx"]);
        assert_eq!(link.counters.in_octets, received["bytes"]);
        assert_eq!(link.counters.in_packets, received["packets"]);
        assert_eq!(link.counters.out_octets, sent["bytes"]);
        assert_eq!(link.counters.out_packets, sent["packets"]);
    }
}

#[test]
fn the_answer_of_a_kernel_ends_with_its_last_datagram() {
    let (answer, datagrams) = fixture();
    let progress: Vec<Progress> = datagrams.iter().map(|d| answer.progress(d).unwrap()).collect();
    assert!(progress.iter().all(|p| !p.interrupted));
    let done: Vec<bool> = progress.iter().map(|p| p.done).collect();
    assert_eq!(done, [vec![false; datagrams.len() - 1], vec![true]].concat());
}

#[test]
fn each_counter_stands_where_the_kernel_has_it() {
    // Order of struct rtnl_link_stats64: packets, bytes, errors, dropped; received, then sent.
    let stats: Vec<u8> = (1..=25u64).flat_map(|n| (n << 32 | n).to_ne_bytes()).collect();
    let n = |n: u64| n << 32 | n;
    let expected = Counters {
        in_packets: n(1),
        out_packets: n(2),
        in_octets: n(3),
        out_octets: n(4),
        in_errors: n(5),
        out_errors: n(6),
        in_discards: n(7),
        out_discards: n(8),
    };
    assert_eq!(Counters::parse(&stats), Ok(expected));
    assert!(Counters::parse(&stats[..63]).is_err());
}

#[test]
fn answers_to_another_question_or_another_port_are_not_taken() {
    let (answer, datagrams) = fixture();
    let others = [
        Answer { sequence: 2, ..answer },
        Answer {
            port: answer.port + 1,
            ..answer
        },
    ];
    for other in others {
        for datagram in &datagrams {
            assert_eq!(other.links(datagram).count(), 0);
            assert_eq!(other.progress(datagram), Ok(Progress::default()));
        }
    }
}

#[test]
fn an_answer_that_was_interrupted_says_so_in_any_of_its_messages() {
    let done = message(NLMSG_DONE, NLM_F_DUMP_INTR, &[0; 4]);
    let progress = ANSWER.progress(&done).unwrap();
    assert!(progress.interrupted && progress.done);
    let progress = ANSWER.progress(&message(RTM_NEWLINK, NLM_F_DUMP_INTR, &[])).unwrap();
    assert!(progress.interrupted && !progress.done);

    let mut whole = progress;
    whole.add(ANSWER.progress(&message(NLMSG_DONE, 0, &[0; 4])).unwrap());
    assert!(whole.interrupted && whole.done && whole.messages == 2);
}

#[test]
fn a_refusal_gives_the_kernels_reason() {
    let no_permission = (-1i32).to_ne_bytes();
    for kind in [NLMSG_ERROR, NLMSG_DONE] {
        let refused = ANSWER.progress(&message(kind, 0, &no_permission));
        assert_eq!(refused, Err(Fault::Refused(1)));
        assert_eq!(
            ANSWER.progress(&message(kind, 0, &i32::MIN.to_ne_bytes())),
            Err(Fault::Refused(i32::MAX))
        );
        assert!(matches!(
            ANSWER.progress(&message(kind, 0, &[0; 3])),
            Err(Fault::Malformed(_))
        ));
    }
    assert!(Fault::Refused(1).to_string().contains("not permitted"));
}

#[test]
fn a_lost_part_is_a_fault_and_an_acknowledgement_is_nothing() {
    assert_eq!(ANSWER.progress(&message(NLMSG_OVERRUN, 0, &[])), Err(Fault::Overrun));
    let nothing = [message(NLMSG_NOOP, 0, &[]), message(NLMSG_ERROR, 0, &[0; 4])].concat();
    assert_eq!(ANSWER.progress(&nothing), Ok(Progress::default()));
}

#[test]
fn a_message_whose_length_cannot_be_right_spoils_the_datagram() {
    let whole = link_message(&[]);
    assert_eq!(only_link(&whole).unwrap().name, b"eth0");
    for length in [0u32, 15, whole.len() as u32 + 1, u32::MAX] {
        let mut wrong = whole.clone();
        wrong[0..4].copy_from_slice(&length.to_ne_bytes());
        assert!(matches!(only_link(&wrong), Err(Fault::Malformed(_))), "length {length}");
    }
    for end in 1..whole.len() {
        assert!(only_link(&whole[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn an_attribute_whose_length_cannot_be_right_spoils_the_interface() {
    for length in [0u16, 3, 9, u16::MAX] {
        let mut wrong = attribute(IFLA_IFALIAS, b"abcd");
        wrong[0..2].copy_from_slice(&length.to_ne_bytes());
        assert!(
            matches!(only_link(&link_message(&wrong)), Err(Fault::Malformed(_))),
            "length {length}"
        );
    }
    assert!(only_link(&link_message(&[0; 3])).is_err());
}

#[test]
fn unknown_attributes_and_messages_are_stepped_over() {
    let unknown = [attribute(0x3abc, b"?"), attribute(0x8000 | IFLA_IFALIAS, b"uplink\0")].concat();
    let datagram = [message(999, 0, &[1, 2, 3, 4]), link_message(&unknown)].concat();
    assert_eq!(only_link(&datagram).unwrap().alias, Some(b"uplink".as_slice()));
}

#[test]
fn the_padding_after_the_last_attribute_may_be_missing() {
    let mut datagram = link_message(&attribute(IFLA_IFALIAS, b"abcde"));
    datagram.truncate(datagram.len() - 3);
    let length = datagram.len() as u32;
    datagram[0..4].copy_from_slice(&length.to_ne_bytes());
    assert_eq!(only_link(&datagram).unwrap().alias, Some(b"abcde".as_slice()));
}

#[test]
fn only_addresses_of_six_octets_that_are_not_all_zero_are_mac_addresses() {
    let address = |octets: &[u8]| {
        only_link(&link_message(&attribute(IFLA_ADDRESS, octets)))
            .unwrap()
            .address
    };
    assert_eq!(address(&[0, 0, 0x5e, 0, 0x53, 1]), Some([0, 0, 0x5e, 0, 0x53, 1]));
    for none in [&[0; 6][..], &[192, 0, 2, 1], &[1; 20], &[]] {
        assert_eq!(address(none), None);
    }
}

#[test]
fn an_interface_without_index_name_or_counters_is_refused() {
    let (name, counters) = (attribute(IFLA_IFNAME, b"eth0\0"), attribute(IFLA_STATS64, &[0; 64]));
    let refused = [
        vec![],
        link_header(3)[..15].to_vec(),
        [link_header(3), name.clone()].concat(),
        [link_header(3), counters.clone()].concat(),
        [link_header(3), attribute(IFLA_IFNAME, b"\0eth0"), counters.clone()].concat(),
        [link_header(3), attribute(IFLA_IFNAME, &[b'a'; 256]), counters.clone()].concat(),
        [link_header(3), name.clone(), attribute(IFLA_STATS64, &[0; 63])].concat(),
        [link_header(0), name.clone(), counters.clone()].concat(),
        [link_header(-1), name, counters].concat(),
    ];
    for payload in refused {
        assert!(matches!(
            only_link(&message(RTM_NEWLINK, 0, &payload)),
            Err(Fault::Malformed(_))
        ));
    }
}

proptest! {
    #[test]
    fn no_octets_make_it_panic(datagram in proptest::collection::vec(any::<u8>(), 0..600)) {
        let answer = Answer { sequence: 0, port: 0 };
        let _ = answer.progress(&datagram);
        answer.links(&datagram).for_each(drop);
        let _ = Link::parse(&datagram);
        let _ = only_link(&link_message(&datagram));
    }

    #[test]
    fn no_change_to_what_a_kernel_answered_makes_it_panic_or_never_end(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        end: prop::sample::Index,
    ) {
        let (answer, datagrams) = fixture();
        for mut datagram in datagrams {
            for (at, octet) in &changes {
                let at = at.index(datagram.len());
                datagram[at] = *octet;
            }
            datagram.truncate(end.index(datagram.len() + 1));
            let _ = answer.progress(&datagram);
            prop_assert!(answer.links(&datagram).count() <= datagram.len());
        }
    }
}
