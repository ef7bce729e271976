//! Entries of the log are released when they are what was delivered, and only then.

use std::sync::mpsc;

use billdrop::capture::cmts::{
    family::Family,
    snmp::{Entry, Released, release},
    tables::FlowKey,
};

use crate::agent::{Agent, Reply, arcs, right};
use crate::cmts_agent::{Request, SET, Value, varbind};
use crate::{NO_ACCESS, assert_denied, assert_unavailable, settings, with};

const DOMAIN: u32 = 536_870_914;
const NO_CREATION: u8 = 11;

/// What the file says of its log: two entries.
fn entries() -> [Entry; 2] {
    let entry = |index, id, deleted_ticks| Entry {
        index,
        key: FlowKey { domain: DOMAIN, id },
        deleted_ticks,
    };
    [entry(500, 1003, 59_820_000), entry(504, 1259, 59_820_400)]
}

fn control(family: Family, index: u32) -> Vec<u32> {
    arcs(&match family {
        Family::Draft => format!("1.3.6.1.2.1.10.127.7.1.7.1.16.{index}"),
        Family::Ietf => format!("1.3.6.1.2.1.127.1.7.1.15.{index}"),
        Family::Qos3 => format!("1.3.6.1.4.1.4491.2.1.21.1.7.1.16.{index}"),
    })
}

#[test]
fn an_entry_is_destroyed_with_the_write_community_when_it_is_the_one_that_was_delivered() {
    for family in Family::ALL {
        let (sender, set) = mpsc::channel();
        let agent = Agent::start(move |request: &Request<'_>, _| {
            // A reader of this community sees nothing else either.
            assert_eq!(request.community, b"private");
            if request.pdu != SET {
                return vec![Reply::Here(right(&crate::ROWS, request))];
            }
            assert_eq!(request.values, [[2, 1, 6]], "destroy(6)");
            sender.send(request.names.clone()).unwrap();
            vec![Reply::Here(request.response(
                0,
                0,
                &varbind(&request.names[0], request.values[0]),
            ))]
        });
        let [first, second] = entries();
        // The number is that of another flow by now, and of none.
        let reused = Entry {
            deleted_ticks: second.deleted_ticks - 100,
            ..second
        };
        let aged = Entry { index: 77, ..second };
        let released = release(&settings(agent.port), Some("private"), family, &[first, reused, aged]).unwrap();
        assert_eq!(released, Released { released: 1, gone: 2 });
        let names: Vec<_> = set.try_iter().flatten().collect();
        assert_eq!(names, [control(family, first.index)]);
    }
}

#[test]
fn an_agent_that_does_not_let_us_write_is_named_as_such() {
    for (status, is_gone) in [(NO_ACCESS, false), (17, false), (NO_CREATION, true)] {
        let agent = Agent::start(move |request: &Request<'_>, _| {
            vec![Reply::Here(match request.pdu {
                SET => request.response(status, 1, &varbind(&request.names[0], request.values[0])),
                _ => right(&crate::ROWS, request),
            })]
        });
        let released = release(&settings(agent.port), Some("private"), Family::Qos3, &entries());
        match is_gone {
            true => assert_eq!(released.unwrap(), Released { released: 0, gone: 2 }),
            false => assert_denied(&released.unwrap_err(), "refused"),
        }
    }
}

#[test]
fn a_write_that_is_not_answered_is_a_failure() {
    let agent = Agent::start(|request: &Request<'_>, _| match request.pdu {
        SET => Vec::new(),
        _ => vec![Reply::Here(right(&crate::ROWS, request))],
    });
    let error = release(&settings(agent.port), Some("private"), Family::Qos3, &entries()).unwrap_err();
    assert_unavailable(&error, "no answer");
}

#[test]
fn a_sound_log_is_the_one_of_the_file() {
    // The numbers above, so that no test passes because nothing was found.
    let other = with("1.3.6.1.4.1.4491.2.1.21.1.7.1.3.500", Value::Gauge32(7));
    let agent = Agent::start(move |request: &Request<'_>, _| {
        vec![Reply::Here(match request.pdu {
            SET => request.response(0, 0, &varbind(&request.names[0], request.values[0])),
            _ => right(&other, request),
        })]
    });
    let released = release(&settings(agent.port), Some("private"), Family::Qos3, &entries()).unwrap();
    assert_eq!(released, Released { released: 1, gone: 1 });
}
