//! The same through the program: the exit status, what an operator reads, and what is in the document.

use crate::agent::{Act, Agent, Reply, UNFRAGMENTED, right};
use crate::cmts_agent::{GET_BULK, Request, Value};
use crate::support::binary::Place;
use crate::{GEN_ERR, QOS3, ROWS, TOO_BIG, UPTIME, WHOLE, is_of, usual, with, without};

fn source(name: &str, port: u16) -> String {
    format!(
        "[[source]]\ntype = \"cmts\"\nname = \"{name}\"\naddress = \"127.0.0.1\"\nport = {port}\ncommunity = \"cmts\"\n\
         answer-timeout = \"1s\"\nretries = 1\ntimeout = \"10s\"\nmost-requests-per-second = 10000\n"
    )
}

/// The capture fails, and says this.
fn assert_fails(act: impl Act, why: &str) {
    let (agent, place) = (Agent::start(act), Place::new());
    place.configure(&source("cmts1", agent.port));
    let ran = place.run(&["capture"]).expect(69);
    assert!(
        ran.stderr.contains("source cmts1 failed: 127.0.0.1: ") && ran.stderr.contains(why),
        "{ran:?}"
    );
    assert_eq!((ran.stdout.as_str(), place.listing()), ("", Vec::<String>::new()));
}

#[test]
fn each_failure_is_told_with_status_69_and_leaves_no_document() {
    let fails = |status: u8| move |request: &Request<'_>, _| vec![Reply::Here(request.response(status, 0, &[]))];
    assert_fails(fails(TOO_BIG), "tooBig");
    assert_fails(fails(GEN_ERR), "genErr");
    assert_fails(fails(16), "refused");
    assert_fails(|_: &Request<'_>, _| Vec::new(), "no answer");
    assert_fails(
        |request: &Request<'_>, _| vec![Reply::Elsewhere(right(&ROWS, request))],
        "no answer",
    );
    assert_fails(
        |request: &Request<'_>, _| {
            let mut asked = request.clone();
            if is_of(request, "4") {
                asked.names.iter_mut().skip(1).for_each(|name| name.truncate(15));
            }
            vec![Reply::Here(right(&ROWS, &asked))]
        },
        "cannot be walked",
    );
    let after = with(UPTIME, Value::TimeTicks(300));
    assert_fails(
        move |request: &Request<'_>, number| {
            vec![Reply::Here(right(if number < 12 { &ROWS } else { &after }, request))]
        },
        "restarted",
    );
    assert_fails(usual(without(&[&format!("{QOS3}.3.1.7")])), "not visible");
}

#[test]
fn what_is_marked_is_in_the_document() {
    let narrow = without(&[QOS3, "1.3.6.1.2.1.127"]);
    let without_drops = without(&[&format!("{QOS3}.4.1.6")]);
    for (rows, remark) in [(narrow, "32 bits"), (without_drops, "not visible")] {
        let (agent, place) = (Agent::start(usual(rows)), Place::new());
        place.configure(&source("cmts1", agent.port));
        let document = place.capture();
        let information = place.information(&document).to_string();
        assert!(information.contains(remark), "{information}");
        let records = place.shown(&document)["records"].as_array().unwrap().len();
        assert_eq!(records, 1 + WHOLE.len());
    }
}

#[test]
fn one_cmts_that_fails_costs_the_other_nothing() {
    let sound = Agent::start(|request: &Request<'_>, _| vec![Reply::Here(right(&ROWS, request))]);
    // It gives the same row for ever.
    let stuck = Agent::start(|request: &Request<'_>, _| {
        let same = Request {
            names: request
                .names
                .iter()
                .map(|name| name[..name.len().min(16)].to_vec())
                .collect(),
            ..request.clone()
        };
        let asked = if request.pdu == GET_BULK { &same } else { request };
        let varbinds = ROWS.answer(asked, UNFRAGMENTED).unwrap();
        vec![Reply::Here(request.response(0, 0, &varbinds))]
    });
    let place = Place::new();
    place.configure(&(source("sound", sound.port) + &source("stuck", stuck.port)));
    let ran = place.run(&["capture"]).expect(69);
    assert!(ran.stderr.contains("source stuck failed"), "{ran:?}");
    let document = place.path().join(ran.stdout.trim_end());
    let status = place.information(&document)["sourceStatus"].to_string();
    assert!(status.contains("stuck") && status.contains("failed"), "{status}");
    let records = place.shown(&document)["records"].as_array().unwrap().len();
    assert_eq!(records, 1 + WHOLE.len());
}
