use std::time::Duration;

use billdrop::account::{
    event::{EventKind, Subject},
    status::{ClientOptions, Login},
};

use super::{
    fixture,
    gatekeeper::{STARTUP, cdr_line, follow, gatekeeper, in_backlog, quick, record, script, uuid_of},
    recorded_events,
};

#[test]
fn what_a_real_gatekeeper_said_arrives_once_each() {
    let recording = fixture("feed-answered-cr-in-alias.bin");
    let address = gatekeeper(vec![script(move |connection| {
        connection.greet(STARTUP, "");
        // Octet by octet and in one go; live, then once more from the backlog.
        for octet in &recording[..2000] {
            connection.say([*octet]);
        }
        connection.say(&recording[2000..]);
        // Longer than a CDR line waits for the stop of its call.
        for _ in 0..20 {
            connection.command();
            connection.statistics(1);
        }
        connection.say("CDR|broken;\r\n");
        connection.hold();
    })]);
    let (client, kept) = follow(address, quick());
    let expected = recorded_events("feed-answered-cr-in-alias.bin");
    let (live, _backlog) = expected.split_at(expected.len() / 2);
    kept.until("the backlog is known", |inner| inner.known == live.len());
    kept.until("the broken line is told", |inner| !inner.gaps.is_empty());
    client.stop();
    assert_eq!(kept.events(), live, "and no second stop from the CDR line");
    assert_eq!(kept.gaps().len(), 1, "{:?}", kept.gaps());
}

#[test]
fn user_and_password_are_given_when_asked_for() {
    let address = gatekeeper(vec![script(|connection| {
        connection.say(b"\xff\xfd\x03\xff\xfb\x05\xff\xfe\x01\r\nexample-gk login: ");
        assert_eq!(connection.command(), "op");
        connection.say(b"\xff\xfb\x01Password: ");
        assert_eq!(connection.command(), "pw1");
        connection.say(b"\r\n\xff\xfc\x01");
        connection.banner(STARTUP);
        connection.catch_up("");
        connection.say(record("start", 1));
        connection.hold();
    })]);
    let login = Login {
        user: Some("op".into()),
        password: "pw1".into(),
    };
    let (client, kept) = follow(address, ClientOptions { login, ..quick() });
    kept.until("the event", |inner| inner.events.len() == 1);
    client.stop();
}

#[test]
fn a_refused_login_is_said_and_tried_again() {
    let ask = |connection: &mut super::gatekeeper::Connection| {
        connection.say("\r\nexample-gk login: ");
        connection.command();
        connection.say("Password: ");
        connection.command();
        connection.say("\r\n\r\nexample-gk login: ");
        connection.command();
    };
    let address = gatekeeper(vec![
        script(ask),
        script(|connection| connection.say(b"\xff\xfd\x03\xff\xfb\x05\xff\xfe\x01\r\nAccess forbidden!\r\n")),
        script(|connection| {
            connection.greet(STARTUP, "");
            connection.hold();
        }),
    ]);
    let login = Login {
        user: Some("op".into()),
        password: "not-pw1".into(),
    };
    let (client, kept) = follow(address, ClientOptions { login, ..quick() });
    kept.until("the third connection", |inner| {
        inner.notices.iter().any(|text| text.contains("connected again"))
    });
    kept.until("both reasons", |inner| {
        ["refuses user op with this password", "forbids access from this address"]
            .iter()
            .all(|reason| inner.notices.iter().any(|text| text.contains(reason)))
    });
    kept.until("no secret", |inner| !format!("{:?}", inner.notices).contains("not-pw1"));
    client.stop();
}

#[test]
fn without_a_user_a_login_prompt_says_what_to_configure() {
    let address = gatekeeper(vec![script(|connection| connection.say("\r\ngk login: "))]);
    let (client, kept) = follow(address, quick());
    kept.until("the reason", |inner| {
        inner
            .notices
            .iter()
            .any(|text| text.contains("[accounting.gatekeeper]"))
    });
    client.stop();
}

#[test]
fn after_a_lost_connection_the_backlog_fills_in_and_the_rest_is_told() {
    let backlog = in_backlog(&[record("start", 1), record("stop", 1), record("start", 4)]);
    let address = gatekeeper(vec![
        script(|connection| {
            connection.greet(STARTUP, "");
            connection.say(record("start", 1));
        }),
        script(move |connection| {
            connection.greet(STARTUP, &backlog);
            connection.hold();
        }),
    ]);
    let (client, kept) = follow(address, quick());
    kept.until("the gap", |inner| !inner.gaps.is_empty());
    client.stop();
    assert_eq!(
        kept.keys(),
        [uuid_of("start", 1), uuid_of("stop", 1), uuid_of("start", 4)]
    );
    assert_eq!(kept.gaps().len(), 1);
    let told = "2 session ids were never told, 6b02fb2800000002 to 6b02fb2800000003: 2 of them made, 0 refused";
    assert!(kept.gaps()[0].ends_with(told), "{:?}", kept.gaps());
}

#[test]
fn a_gatekeeper_that_was_restarted_lost_its_open_calls() {
    let address = gatekeeper(vec![
        script(|connection| {
            connection.greet(STARTUP, "");
            connection.say(record("start", 1));
            connection.say(record("start", 2));
            connection.say(record("stop", 1));
        }),
        script(move |connection| {
            connection.greet("Sun, 22 Nov 2026 16:00:00 +01:00", "");
            connection.hold();
        }),
    ]);
    let (client, kept) = follow(address, quick());
    kept.until("the new start", |inner| inner.events.len() == 4);
    client.stop();
    assert!(
        kept.gaps()[0].ends_with("1 call without a stop will never get one: 6b02fb2800000002"),
        "{:?}",
        kept.gaps()
    );
    let last = kept.events().pop().unwrap();
    assert_eq!((last.kind, last.subject), (EventKind::On, Subject::Gatekeeper));
    assert_eq!(last.time.seconds, 1_795_359_600);
}

#[test]
fn what_was_missed_while_billdrop_itself_was_away_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let options = || ClientOptions {
        memory: Some(directory.path().join("gk.json")),
        ..quick()
    };
    let backlog = in_backlog(&[record("start", 5)]);
    let address = gatekeeper(vec![
        script(|connection| {
            connection.greet(STARTUP, "");
            connection.say(record("start", 1));
            connection.hold();
        }),
        script(move |connection| {
            connection.greet(STARTUP, &backlog);
            connection.hold();
        }),
    ]);
    let (client, kept) = follow(address, options());
    kept.until("the first event", |inner| inner.events.len() == 1);
    client.stop();
    let (client, kept) = follow(address, options());
    kept.until("the gap", |inner| !inner.gaps.is_empty());
    client.stop();
    assert!(
        kept.gaps()[0].contains("6b02fb2800000002 to 6b02fb2800000004"),
        "{:?}",
        kept.gaps()
    );
}

#[test]
fn without_the_feed_a_cdr_line_is_the_stop_of_its_call() {
    let address = gatekeeper(vec![
        script(|connection| {
            connection.greet(STARTUP, "");
            connection.say(cdr_line(1));
        }),
        script(|connection| {
            connection.greet(STARTUP, &in_backlog(&[cdr_line(1)]));
            connection.say(cdr_line(2));
            connection.hold();
        }),
    ]);
    let (client, kept) = follow(address, quick());
    kept.until("both calls", |inner| inner.events.len() == 2);
    client.stop();
    let events = kept.events();
    assert!(
        events
            .iter()
            .all(|event| event.kind == EventKind::Stop && event.uuid.is_none())
    );
    let Subject::Call(call) = &events[0].subject else {
        panic!()
    };
    assert_eq!((call.number, call.duration), (1, Some(4)));
    assert!(
        kept.gaps()[0].contains("the gatekeeper has no feed"),
        "{:?}",
        kept.gaps()
    );
}

#[test]
fn a_damaged_stop_is_made_up_for_by_its_cdr_line_and_counts_once() {
    let damaged = record("stop", 1).replacen("||", "|", 1);
    let address = gatekeeper(vec![script(move |connection| {
        connection.greet(STARTUP, "");
        connection.say(record("start", 1) + &cdr_line(1) + &damaged);
        // Answers go on meanwhile.
        for _ in 0..20 {
            connection.command();
            connection.statistics(1);
        }
        connection.say(record("stop", 1) + &record("start", 2));
        connection.hold();
    })]);
    let (client, kept) = follow(address, quick());
    kept.until("the next call", |inner| inner.events.len() == 3);
    client.stop();
    let kinds: Vec<EventKind> = kept.events().iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Start, EventKind::Stop, EventKind::Start]);
    let gaps = kept.gaps();
    assert!(gaps[0].contains("is damaged and was not taken"), "{gaps:?}");
    assert!(gaps[1].contains("the feed told no stop of call 1"), "{gaps:?}");
    assert!(gaps[2].contains("or the call would count twice"), "{gaps:?}");
}

#[test]
fn a_record_that_a_party_put_into_a_cdr_line_is_not_taken() {
    let forged = record("stop", 7).replace("83b7-02fc00000001", "83b7-02fcdeadbeef");
    let line = cdr_line(1).replace("alice", &format!("x|example-gk;\r\n{forged}"));
    let address = gatekeeper(vec![script(move |connection| {
        connection.greet(STARTUP, "");
        connection.say(record("start", 1) + &record("start", 2));
        connection.say(line + &record("stop", 1));
        connection.hold();
    })]);
    let (client, kept) = follow(address, quick());
    kept.until("the true stop", |inner| inner.events.len() == 3);
    client.stop();
    assert_eq!(kept.keys()[2], uuid_of("stop", 1));
    assert!(
        kept.gaps()[0].contains("passes itself off as an event"),
        "{:?}",
        kept.gaps()
    );
}

#[test]
fn a_flood_of_garbage_does_not_hide_an_event() {
    let address = gatekeeper(vec![script(|connection| {
        connection.greet(STARTUP, "");
        connection.say(vec![b'x'; 5 << 20]);
        connection.say("\r\n");
        connection.say("RCF|127.0.0.1:11820|bob:h323_ID|terminal|1_endp\r\n;\r\n".repeat(50_000));
        let octets: Vec<u8> = (0..1_000_000_u32)
            .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        connection.say(octets);
        connection.say("\r\n");
        connection.say(record("start", 1));
        connection.hold();
    })]);
    let (client, kept) = follow(address, quick());
    kept.until("the event", |inner| inner.events.len() == 1);
    client.stop();
}

#[test]
fn a_slow_disk_loses_nothing_and_that_it_is_slow_is_said() {
    const CALLS: u32 = 3000;
    let address = gatekeeper(vec![script(|connection| {
        connection.greet(STARTUP, "");
        for call in 1..=CALLS {
            connection.say(record("start", call));
        }
        connection.hold();
    })]);
    let options = ClientOptions {
        queue: 1 << 20,
        ..quick()
    };
    let (client, kept) = follow(address, options);
    kept.hold(true);
    kept.until("that it is slow", |inner| {
        inner
            .notices
            .iter()
            .any(|text| text.contains("events wait to be logged"))
    });
    // A disk that was full has room again.
    kept.change(|inner| inner.refusals = 2);
    kept.hold(false);
    kept.until("all events", |inner| inner.events.len() == CALLS as usize);
    client.stop();
    let expected: Vec<String> = (1..=CALLS).map(|call| uuid_of("start", call)).collect();
    assert_eq!(kept.keys(), expected);
    assert_eq!(kept.gaps(), Vec::<String>::new());
}

#[test]
fn a_gatekeeper_that_falls_silent_is_given_up_and_asked_anew() {
    let (quiet, wait) = std::sync::mpsc::channel::<()>();
    let address = gatekeeper(vec![script(move |connection| {
        connection.greet(STARTUP, "");
        // Nothing more, and the connection stays.
        let _ = wait.recv();
    })]);
    let mut options = quick();
    options.timing.silence = Duration::from_millis(500);
    let (client, kept) = follow(address, options);
    kept.until("the silence", |inner| {
        inner.notices.iter().any(|text| text.contains("no answer for"))
    });
    drop(quiet);
    client.stop();
}

#[test]
fn a_gatekeeper_without_backlog_is_followed_too() {
    let address = gatekeeper(vec![script(|connection| {
        connection.banner(STARTUP);
        assert_eq!(connection.command(), "trace 1");
        connection.say("Output trace level is 1\r\n");
        assert_eq!(connection.command(), "printeventbacklog");
        connection.say("Error: Unknown command 'printeventbacklog'\r\n");
        assert_eq!(connection.command(), "s");
        connection.statistics(0);
        connection.say(record("start", 1));
        connection.hold();
    })]);
    let (client, kept) = follow(address, quick());
    kept.until("the event", |inner| inner.events.len() == 1);
    client.stop();
}
