//! How fast records go to a collector that only reads. Run it in the release profile, with `--ignored --nocapture`.

use super::*;

#[test]
#[ignore = "a measurement"]
fn records_a_second_to_a_collector_that_only_reads() {
    const RECORDS: u64 = 3_000_000;
    const OCTETS: usize = 200;
    for window in [200, 65_535] {
        let wide = SessionSetting {
            patience: Patience {
                window,
                stall: LONG,
                ..session(1).patience
            },
            ..session(1)
        };
        let stage = Stage::new(settings(&[(1, 1)]), vec![wide]);
        let encoding = stage.handle.encoding(0).unwrap();
        let meta = store::Meta {
            id: DocumentId::from_bytes([1; 16]),
            created: Utc::now(),
            config_id: 0,
            template: encoding.template,
        };
        let mut writing = stage.stores[0].begin(meta).unwrap();
        for _ in 0..RECORDS {
            writing.push(&[7; OCTETS]).unwrap();
        }
        writing.seal(true, &[]).unwrap();
        let mut collector = Collector::ready(&stage, 1);
        let begin = Instant::now();
        let before = ticks(&stage);
        stage.handle.changed(0);
        collector.receive_start();
        let mut octets = vec![0; 1 << 20];
        let (mut received, mut acknowledged) = (collector.input.len() - collector.at, 0);
        loop {
            let whole = (received / (OCTETS + 25)) as u64;
            if whole - acknowledged >= window / 4 || whole == RECORDS {
                acknowledged = whole;
                collector.ack(whole - 1);
            }
            if whole == RECORDS {
                break;
            }
            received += collector.socket.read(&mut octets).unwrap();
        }
        let elapsed = begin.elapsed().as_secs_f64();
        let cpu = ticks(&stage) - before;
        println!(
            "window {window}: {:.0} records a second, {:.0} per second of the exporter's CPU time",
            RECORDS as f64 / elapsed,
            RECORDS as f64 / cpu
        );
    }
}

/// CPU seconds of the exporter's thread.
fn ticks(_: &Stage) -> f64 {
    let of = |path: std::path::PathBuf| {
        let stat = std::fs::read_to_string(path.join("stat")).unwrap();
        let is_ours = stat.contains("(ipdr-exporter)");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        is_ours.then_some(ticks / 100.0)
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.filter_map(|task| of(task.unwrap().path())).last().unwrap_or(0.0)
}
