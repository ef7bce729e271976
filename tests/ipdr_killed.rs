//! The exporter killed in the middle of documents, again and again: nothing is lost, and what comes again says so.

mod support;

use std::{
    env, process,
    time::{Duration, Instant},
};

use support::{
    ipdr::{
        Acks, Collector, Log, Script, Seen,
        exporter::{Keys, NAME, QUICK, SESSION, Setup, body},
    },
    say,
};

/// Numbers that can be had again (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// `BILLDROP_KILLS` and `BILLDROP_SEED` change how often, and when.
#[test]
fn a_killed_exporter_loses_no_record_and_flags_what_it_sends_again() {
    let kills = number("BILLDROP_KILLS").unwrap_or(200);
    let seed = number("BILLDROP_SEED").unwrap_or(u64::from(process::id()) << 20 | 1);
    say(&format!("BILLDROP_KILLS={kills} BILLDROP_SEED={seed}"));
    let mut random = Random(seed);
    // As many records as the kills take on average, so that documents end and begin between them, too.
    let records: Vec<u64> = (0..kills / 4 + 1).map(|_| 1 + random.below(8000)).collect();
    let setup = Setup::new(
        &[("a", "127.0.0.2", 1), ("b", "127.0.0.3", 2)],
        &Keys {
            ipdr: "hold-down = \"0s\"\nwait-for-best = \"0s\"\n",
            session: "ack-time = \"1s\"\nack-sequence = 20\nwindow = 100\nack-timeout = \"4s\"\n",
            ..QUICK
        },
    );
    setup.store(NAME, 0, &records);
    let log = Log::new();
    let script = || Script::acknowledging(&[Acks::Each, Acks::Each, Acks::Orderly]);
    let _a = Collector::dial(&log, "a", "127.0.0.2", setup.address, script());
    let _b = Collector::dial(&log, "b", "127.0.0.3", setup.address, script());
    // Not that each document was seen to end: who is killed before SESSION_STOP does not say it later.
    let total: u64 = records.iter().sum();
    let is_over = |seen: &Seen| seen.documents.iter().map(|document| document.acknowledged).sum::<u64>() == total;
    let began = Instant::now();
    for kill in 0..kills {
        let connections = log.seen().connections;
        let exporter = setup.start();
        // Most in the middle of records, some before anybody is connected.
        match random.below(8) {
            0 => std::thread::sleep(Duration::from_micros(random.below(30_000))),
            _ => {
                let until = received(&log) + random.below(2000);
                log.wait(&format!("records before kill {kill}"), |seen| {
                    seen.connections > connections
                        && (seen.documents.iter().map(|document| document.received).sum::<u64>() >= until
                            || is_over(seen))
                });
            }
        }
        drop(exporter);
        assert!(
            log.seen().faults.is_empty(),
            "seed {seed}, kill {kill}\n{}",
            log.seen().summary()
        );
    }
    let _exporter = setup.start();
    log.wait(&format!("the rest, seed {seed}"), is_over);
    log.assert_taken(SESSION, &records, body);
    let seen = log.seen();
    let duplicates: u64 = seen.documents.iter().map(|document| document.duplicates).sum();
    let starts: usize = seen.documents.iter().map(|document| document.starts.len()).sum();
    say(&format!(
        "{kills} kills, {} documents, {} records, {starts} times begun, {duplicates} flagged, in {:.1} s",
        records.len(),
        records.iter().sum::<u64>(),
        began.elapsed().as_secs_f64()
    ));
}

fn received(log: &Log) -> u64 {
    log.seen().documents.iter().map(|document| document.received).sum()
}
