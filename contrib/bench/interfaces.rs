//! Times the source `linux` by itself: `cargo run --release --example interfaces -- [ROUNDS]`.
//!
//! Records go nowhere; what is timed is asking the kernel, making each record, and keeping the counters.

use std::io;
use std::time::Instant;

use billdrop::capture::{Asked, Captured, Linux, RecordSink, Source};
use billdrop::config;
use billdrop::record::Record;

struct Count(usize);

impl RecordSink for Count {
    fn push(&mut self, record: &Record) -> io::Result<()> {
        self.0 += usize::from(!record.values.is_empty());
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(11), |n| n.parse())?;
    let source = Linux::new(&config::Linux::embedded())?;
    let mut baseline = None;
    let mut times = Vec::new();
    for _ in 0..rounds.max(1) {
        let mut records = Count(0);
        let begin = Instant::now();
        let captured: Captured = source.capture(
            &Asked {
                now: std::time::SystemTime::now().into(),
                recorder: "bench",
                baseline: baseline.as_deref(),
            },
            &mut records,
        )?;
        times.push((begin.elapsed(), records.0));
        baseline = captured.baseline;
    }
    times.sort();
    let (median, records) = times[times.len() / 2];
    println!(
        "{records} records: median {:.1} ms, least {:.1} ms; baseline {} octets",
        median.as_secs_f64() * 1e3,
        times[0].0.as_secs_f64() * 1e3,
        baseline.map_or(0, |b| b.len()),
    );
    Ok(())
}
