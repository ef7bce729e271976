//! A day of calls and its documents: `account` and `capture` are killed again and again, and for hours nobody fetches. Each
//! call is in one document, once.

mod support;

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use support::{binary::Place, poll};

const LONG: Duration = Duration::from_secs(60);
const HOURS: u64 = 24;
/// Calls that each of two callers has in an hour.
const CALLS: u64 = 40;

struct Day {
    place: Place,
    account: Option<Child>,
    /// How often each call is in a document that was fetched.
    billed: HashMap<String, u32>,
    documents: u32,
}

impl Day {
    fn new() -> Self {
        let place = Place::new();
        let ini = format!(
            "[Gatekeeper::Main]\nName=gk1\n\n[Gatekeeper::Acct]\nSpoolAcct=required;stop\nFileAcct=required\n\n\
             [FileAcct]\nDetailFile={}\nCDRString=%s\n",
            place.path().join("cdr.log").display()
        );
        fs::write(place.path().join("gatekeeper.ini"), ini).unwrap();
        place.configure("[accounting]\ngatekeeper-ini = 'gatekeeper.ini'\n[log]\ndirectory = \"\"\n");
        Day {
            place,
            account: None,
            billed: HashMap::new(),
            documents: 0,
        }
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("calls.sock")
    }

    fn connect(&self) -> Option<UnixStream> {
        UnixStream::connect(self.socket()).ok()
    }

    /// Accounting runs; it is started if it does not.
    fn account(&mut self) {
        if self.account.is_none() {
            let input = format!("unix:{}", self.socket().display());
            let mut command = self.place.command(&["account", "--input", &input]);
            self.account = Some(command.stderr(Stdio::null()).spawn().unwrap());
        }
        poll(LONG, || self.connect().map(drop)).expect("accounting does not start");
    }

    fn kill_account(&mut self) {
        if let Some(mut child) = self.account.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The document that is offered, if any, is taken as the remote application takes it.
    fn fetch(&mut self) {
        let Some(name) = self.place.listing().into_iter().find(|name| name.ends_with(".xml")) else {
            return;
        };
        let document = self.place.spool().join(name);
        self.place.run(&["verify", document.to_str().unwrap()]).expect(0);
        for record in self.place.shown(&document)["records"].as_array().unwrap() {
            if let Some(session) = record["sessionId"].as_str() {
                *self.billed.entry(session.to_owned()).or_default() += 1;
            }
        }
        fs::remove_file(document).unwrap();
        self.documents += 1;
    }

    /// A capture that is killed after so many microseconds, unless it has ended by then.
    fn killed_capture(&self, after: u64) {
        let mut child = self
            .place
            .command(&["capture"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_micros(after));
        let _ = child.kill();
        child.wait().unwrap();
    }
}

impl Drop for Day {
    fn drop(&mut self) {
        self.kill_account();
    }
}

fn session(caller: u64, call: u64) -> String {
    format!("{caller}x{call}")
}

/// Sends the calls from this one on until the last one is answered or the connection breaks; says which is the next.
fn send(stream: Option<UnixStream>, caller: u64, mut call: u64, upto: u64) -> u64 {
    let Some(mut stream) = stream else { return call };
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    while call < upto {
        let stop = format!(
            "{{\"event\":\"stop\",\"s\":\"{}\",\"n\":{},\"setup-time\":{},\"connect-time\":{},\"disconnect-time\":{},\"c\":16}}\n",
            session(caller, call),
            call + 1,
            1_800_000_000 + call * 90,
            1_800_000_002 + call * 90,
            1_800_000_060 + call * 90
        );
        let mut answer = String::new();
        let read = stream
            .write_all(stop.as_bytes())
            .and_then(|()| answers.read_line(&mut answer));
        match (read, answer.as_str()) {
            (Ok(_), "ok\n") => call += 1,
            (_, "") => return call,
            (_, other) => panic!("{other:?}"),
        }
    }
    call
}

#[test]
fn each_call_of_a_day_is_in_one_document_whatever_is_killed_and_however_long_nobody_fetches() {
    let mut day = Day::new();
    let mut next = [0; 2];
    for hour in 0..HOURS {
        let upto = (hour + 1) * CALLS;
        // Accounting is killed twice in most hours, with calls under way, and callers go on with the next one.
        for kill in 0..3 {
            day.account();
            thread::scope(|scope| {
                let callers: Vec<_> = (0..)
                    .zip(next)
                    .map(|(caller, call)| {
                        let stream = day.connect();
                        scope.spawn(move || send(stream, caller, call, upto))
                    })
                    .collect();
                if kill < 2 && hour % 4 != 3 {
                    // A capture beside it reads a journal that breaks off.
                    if kill == 1 && hour % 2 == 0 {
                        day.killed_capture(2_000 + hour * 1_500);
                    } else {
                        thread::sleep(Duration::from_millis(1 + hour % 7));
                    }
                    let child = day.account.as_mut().unwrap();
                    child.kill().unwrap();
                }
                for (next, caller) in next.iter_mut().zip(callers) {
                    *next = caller.join().unwrap();
                }
            });
            if kill < 2 && hour % 4 != 3 {
                day.kill_account();
            }
        }
        assert_eq!(next, [upto; 2], "every call is answered in the end");
        // From 8 to 15 o'clock the remote application is away: captures find the spool blocked.
        let is_away = (8..15).contains(&hour);
        for turn in 0..4 {
            day.killed_capture(500 + (hour * 4 + turn) * 700);
        }
        if hour % 3 == 0 {
            day.kill_account();
        }
        let captured = day.place.run(&["capture"]);
        assert!([0, 75].contains(&captured.status), "{captured:?}");
        if hour > 8 && is_away {
            captured.expect(75);
        }
        if !is_away {
            day.fetch();
        }
    }
    day.kill_account();
    day.place.run(&["capture"]);
    day.fetch();
    day.place.run(&["capture"]);
    day.fetch();

    let wrong: Vec<(String, u32)> = (0..2)
        .flat_map(|caller| (0..HOURS * CALLS).map(move |call| session(caller, call)))
        .map(|session| (session.clone(), day.billed.get(&session).copied().unwrap_or(0)))
        .filter(|(_, count)| *count != 1)
        .collect();
    assert_eq!(wrong, []);
    assert_eq!(day.billed.len() as u64, 2 * HOURS * CALLS);
    assert!(day.documents >= 10, "{} documents", day.documents);
}
