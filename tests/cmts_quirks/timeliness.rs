//! An agent of version 3 whose clock we never meet: it signs reports that our messages are not timely.

use billdrop::capture::cmts::snmp::Credentials;
use billdrop::config::{AuthProtocol, PrivacyProtocol};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::agent::{Agent, Reply, arcs};
use crate::cmts_agent::{element, take, varbind};
use crate::{assert_unavailable, capture_with, settings};

const ENGINE: &[u8] = &[0x80, 0, 0x1f, 0x88, 4, b'q', b'u', b'i', b'r', b'k'];
const USER: &[u8] = b"poller";
const PASSWORD: &[u8] = b"authpass123";
const UNKNOWN_ENGINE_IDS: &str = "1.3.6.1.6.3.15.1.1.4.0";
const NOT_IN_TIME_WINDOWS: &str = "1.3.6.1.6.3.15.1.1.2.0";
/// usmHMAC192SHA256AuthProtocol (RFC 7860).
const SIGNATURE: usize = 24;

/// The key of a password for this engine (RFC 3414, A.2).
fn key() -> Vec<u8> {
    let megabyte: Vec<u8> = PASSWORD.iter().copied().cycle().take(1 << 20).collect();
    let everywhere = Sha256::digest(&megabyte);
    Sha256::digest([&everywhere[..], ENGINE, &everywhere[..]].concat()).to_vec()
}

/// msgID of a message of version 3, and whether it names an engine.
fn read(octets: &[u8]) -> Option<(Vec<u8>, bool)> {
    let (_, message, _) = take(octets)?;
    let (_, _, rest) = take(message)?;
    let (_, global, rest) = take(rest)?;
    let (_, id, _) = take(global)?;
    let (_, parameters, _) = take(rest)?;
    let (_, parameters, _) = take(parameters)?;
    let (_, engine, _) = take(parameters)?;
    Some((id.to_vec(), !engine.is_empty()))
}

/// A report, signed with the key if there is one.
fn report(id: &[u8], status: &str, user: &[u8], boots: u8, key: Option<&[u8]>) -> Vec<u8> {
    let flags = if key.is_some() { 1 } else { 0 };
    let global = [element(2, id), vec![2, 3, 0, 0xff, 0xe3, 4, 1, flags, 2, 1, 3]].concat();
    let signed = |signature: &[u8]| {
        let parameters = [
            element(4, ENGINE),
            vec![2, 1, boots, 2, 1, 100],
            element(4, user),
            element(4, signature),
            vec![4, 0],
        ]
        .concat();
        let cells = varbind(&arcs(status), &[0x41, 1, 7]);
        let pdu = [vec![2, 1, 0, 2, 1, 0, 2, 1, 0], element(0x30, &cells)].concat();
        let scoped = [element(4, ENGINE), vec![4, 0], element(0xa8, &pdu)].concat();
        let message = [
            vec![2, 1, 3],
            element(0x30, &global),
            element(4, &element(0x30, &parameters)),
            element(0x30, &scoped),
        ];
        element(0x30, &message.concat())
    };
    match key {
        None => signed(&[]),
        Some(key) => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(&signed(&[0; SIGNATURE]));
            signed(&mac.finalize().into_bytes()[..SIGNATURE])
        }
    }
}

fn agent(answer: impl Fn(&[u8], u8) -> Vec<u8> + Send + 'static) -> Agent {
    Agent::start_with_octets(move |octets, number| {
        let (id, names_engine) = read(octets).unwrap();
        vec![Reply::Here(match names_engine {
            false => report(&id, UNKNOWN_ENGINE_IDS, b"", 1, None),
            true => answer(&id, number.min(100) as u8),
        })]
    })
}

fn credentials() -> Credentials {
    Credentials::V3 {
        user: "poller".to_owned(),
        auth_protocol: AuthProtocol::Sha256,
        auth_password: "authpass123".to_owned(),
        privacy_protocol: PrivacyProtocol::Aes128,
        privacy_password: "privpass123".to_owned(),
    }
}

#[test]
fn an_agent_that_finds_no_message_timely_is_a_failure_that_says_so() {
    let key = key();
    // Each time it has started anew.
    for restarts in [false, true] {
        let key = key.clone();
        let agent = agent(move |id, number| {
            report(
                id,
                NOT_IN_TIME_WINDOWS,
                USER,
                if restarts { number } else { 1 },
                Some(&key),
            )
        });
        let mut settings = settings(agent.port);
        settings.credentials = credentials();
        let (captured, records) = capture_with(settings);
        assert_unavailable(&captured.unwrap_err(), "clock");
        assert!(records.is_empty());
        assert!(agent.requests() < 20, "{} requests", agent.requests());
    }
}
