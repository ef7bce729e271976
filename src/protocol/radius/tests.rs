//! Packets of a real gatekeeper (`fixtures/gnugk/radius-packets.txt`, secret `testing123`) are the measure.

use proptest::prelude::*;

use super::*;

const SECRET: &[u8] = b"testing123";

/// Whole packets, as recorded.
fn packets() -> Vec<Vec<u8>> {
    let text = include_str!("../../../fixtures/gnugk/radius-packets.txt");
    let packets: Vec<Vec<u8>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("hex: "))
        .map(octets)
        .collect();
    assert_eq!(packets.len(), 7);
    packets
}

fn octets(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A reply as a server makes it, RFC 2866 §3.
fn reply(code: u8, identifier: u8, request: &[u8; 16], attributes: &[u8], secret: &[u8]) -> Vec<u8> {
    let length = (20 + attributes.len()) as u16;
    let mut packet = vec![code, identifier, (length >> 8) as u8, length as u8];
    packet.extend_from_slice(request);
    packet.extend_from_slice(attributes);
    let authenticator = Md5::new().chain_update(&packet).chain_update(secret).finalize();
    packet[4..20].copy_from_slice(&authenticator);
    packet
}

fn sent(authenticator: &[u8; 16]) -> Sent<'_> {
    Sent {
        identifier: 7,
        authenticator,
        secret: SECRET,
        message_authenticator: false,
    }
}

#[test]
fn the_gatekeepers_packets_come_out_of_their_attributes_octet_for_octet() {
    for recorded in packets() {
        let mut attributes = Attributes::new();
        let mut delay = None;
        for (kind, value) in parse(&recorded[HEADER..]).unwrap() {
            match kind {
                kind::ACCT_DELAY_TIME => delay = Some(u32::from_be_bytes(value.try_into().unwrap())),
                kind => assert_eq!(attributes.opaque(kind, value), Fit::Whole),
            }
        }
        let request = Request {
            identifier: recorded[1],
            delay,
            message_authenticator: false,
            secret: SECRET,
        };
        let mut packet = vec![1, 2, 3];
        let authenticator = request.write(&attributes, &mut packet);
        assert_eq!(packet, recorded);
        assert_eq!(authenticator, recorded[4..20]);
    }
}

#[test]
fn a_text_is_cut_behind_a_whole_character() {
    let mut attributes = Attributes::new();
    let long = "é".repeat(127);
    assert_eq!(attributes.text(kind::USER_NAME, long.as_bytes()), Fit::Cut);
    assert_eq!(attributes.octets()[..2], [1, 2 + 252]);
    assert_eq!(attributes.octets()[2..], long.as_bytes()[..252]);

    let mut attributes = Attributes::new();
    let name = "h323-gw-id=";
    assert_eq!(attributes.vendor_text(CISCO, 33, name, long.as_bytes()), Fit::Cut);
    // 247 octets for the text: 11 of the name, 118 characters of two octets.
    let [26, length, 0, 0, 0, 9, 33, inner, value @ ..] = attributes.octets() else {
        panic!("{:?}", attributes.octets());
    };
    assert_eq!((usize::from(*length), usize::from(*inner)), (8 + 247, 2 + 247));
    assert_eq!(value, format!("{name}{}", "é".repeat(118)).as_bytes());

    let mut attributes = Attributes::new();
    assert_eq!(attributes.text(kind::USER_NAME, &[0x80; 300]), Fit::Cut);
    assert_eq!(attributes.octets().len(), 255, "what is not UTF-8 is cut anywhere");
    assert_eq!(attributes.text(kind::USER_NAME, b""), Fit::Left);
    assert_eq!(
        attributes.opaque(kind::CLASS, &[1; 254]),
        Fit::Left,
        "half a value would be a wrong one"
    );
}

#[test]
fn a_packet_is_never_longer_than_it_may_be() {
    let mut attributes = Attributes::new();
    while attributes.text(kind::USER_NAME, &[b'x'; 253]) == Fit::Whole {}
    while attributes.text(kind::USER_NAME, b"x") == Fit::Whole {}
    let request = Request {
        identifier: 1,
        delay: Some(1),
        message_authenticator: true,
        secret: SECRET,
    };
    let mut packet = Vec::new();
    request.write(&attributes, &mut packet);
    assert!((4090..=LONGEST_PACKET).contains(&packet.len()), "{}", packet.len());
    assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
}

#[test]
fn addresses_of_both_families_have_their_own_attributes() {
    let mut attributes = Attributes::new();
    let add = |attributes: &mut Attributes, text: &str| {
        attributes.address(
            kind::FRAMED_IP_ADDRESS,
            kind::FRAMED_IPV6_ADDRESS,
            text.parse().unwrap(),
        )
    };
    assert_eq!(add(&mut attributes, "192.0.2.1"), Fit::Whole);
    assert_eq!(add(&mut attributes, "2001:db8::1"), Fit::Whole);
    let expected = octets("0806c0000201a81220010db8000000000000000000000001");
    assert_eq!(attributes.octets(), expected);
}

#[test]
fn only_a_reply_to_this_request_with_this_secret_is_believed() {
    let authenticator = [9; 16];
    let sent = sent(&authenticator);
    let good = reply(5, 7, &authenticator, &[18, 4, b'o', b'k'], SECRET);
    assert_eq!(read_reply(&good, &sent), Ok(5));
    assert_eq!(
        read_reply(&[good.as_slice(), &[0; 30]].concat(), &sent),
        Ok(5),
        "padding"
    );
    assert_eq!(read_reply(&reply(2, 7, &authenticator, &[], SECRET), &sent), Ok(2));
    let other = reply(5, 7, &authenticator, &[], b"testing124");
    assert_eq!(read_reply(&other, &sent), Err(ReplyError::Authenticator));
    let other = reply(5, 7, &[8; 16], &[], SECRET);
    assert_eq!(read_reply(&other, &sent), Err(ReplyError::Authenticator));
    let other = reply(5, 8, &authenticator, &[], SECRET);
    assert!(matches!(read_reply(&other, &sent), Err(ReplyError::Foreign(_))));
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(read_reply(&changed, &sent).is_err(), "octet {at}");
        assert!(read_reply(&good[..at], &sent).is_err(), "{at} octets");
    }
    // Signed, but no attributes.
    for rest in [&[18][..], &[18, 1], &[18, 0], &[18, 9, 1]] {
        let broken = reply(5, 7, &authenticator, rest, SECRET);
        assert!(
            matches!(read_reply(&broken, &sent), Err(ReplyError::Foreign(_))),
            "{rest:?}"
        );
    }
}

/// HMAC-MD5 of `packet` with the request's authenticator in it and zeros for the code, RFC 3579 §3.2.
fn with_message_authenticator(request: &[u8; 16], place: usize, forged: bool) -> Vec<u8> {
    let mut attributes = [[18, 4, b'o', b'k'].as_slice(), &[80, 18], &[0; 16]].concat();
    if place == 0 {
        attributes.rotate_left(4);
    }
    let at = if place == 0 { 2 } else { 6 };
    let unsigned = reply(5, 7, request, &attributes, SECRET);
    let mut packet = unsigned;
    packet[4..20].copy_from_slice(request);
    let mut code = message_authenticator(SECRET, &[&packet]);
    code[15] ^= u8::from(forged);
    attributes[at..at + 16].copy_from_slice(&code);
    reply(5, 7, request, &attributes, SECRET)
}

#[test]
fn a_message_authenticator_must_be_right_and_may_be_required() {
    let authenticator = [9; 16];
    let lax = sent(&authenticator);
    let strict = Sent {
        message_authenticator: true,
        ..lax
    };
    for place in [0, 1] {
        let good = with_message_authenticator(&authenticator, place, false);
        assert_eq!((read_reply(&good, &lax), read_reply(&good, &strict)), (Ok(5), Ok(5)));
        let forged = with_message_authenticator(&authenticator, place, true);
        assert_eq!(read_reply(&forged, &lax), Err(ReplyError::MessageAuthenticator));
    }
    let without = reply(5, 7, &authenticator, &[], SECRET);
    assert_eq!(read_reply(&without, &strict), Err(ReplyError::NoMessageAuthenticator));
    let short = reply(5, 7, &authenticator, &[80, 2], SECRET);
    assert_eq!(read_reply(&short, &lax), Err(ReplyError::MessageAuthenticator));
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(octets in proptest::collection::vec(any::<u8>(), 0..600)) {
        crate::protocol::fuzz::radius_reply(&octets);
    }
}
