//! What somebody at a terminal sees while the sources are asked, and the line that says at the end what a capture came to.
//!
//! Nothing is shown where standard error is no terminal: cron mails what is said.

use std::{
    collections::HashMap,
    io::{self, IsTerminal, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::counted;
use crate::{
    capture::Source,
    cli::{Cli, LogFormat},
    record::{SourceState, SourceStatus},
};

/// How long a single source may take before there is something to see.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(100);

/// The bar that is on the screen now. Whoever else writes to standard error must move it out of the way.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Who watches.
#[derive(Debug, Clone, Copy)]
pub struct Audience {
    /// Somebody sits at a terminal and wants to hear more than errors.
    is_watching: bool,
    /// Diagnostics are written at the level of what is done.
    is_verbose: bool,
}

impl Audience {
    #[cfg(test)]
    pub fn nobody() -> Audience {
        Audience {
            is_watching: false,
            is_verbose: false,
        }
    }

    pub fn of(cli: &Cli) -> Audience {
        Audience {
            is_watching: !cli.quiet && cli.log_format == LogFormat::Text && io::stderr().is_terminal(),
            is_verbose: cli.verbose > 0,
        }
    }
}

/// How far the sources have come. Counts while they are asked.
pub struct Tally {
    audience: Audience,
    /// What the sources are called together: all are asked over the network, or not.
    noun: &'static str,
    has_devices: bool,
    total: usize,
    begun: Instant,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    ended: u64,
    failed: u64,
    /// Records of sources that have ended.
    records: u64,
    /// Records so far of those that have not, by their place.
    running: HashMap<usize, Arc<AtomicU64>>,
}

/// Draws until it is dropped.
pub struct Shown {
    /// Dropped, it ends the thread.
    until: Option<mpsc::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Tally {
    pub fn new(audience: Audience, sources: &[Arc<dyn Source>]) -> Tally {
        // What is asked over the network may take long, and must say how long.
        let is_device = |source: &Arc<dyn Source>| source.time_limit().is_some();
        Tally {
            audience,
            noun: if sources.iter().all(is_device) {
                "device"
            } else {
                "source"
            },
            has_devices: sources.iter().any(is_device),
            total: sources.len(),
            begun: Instant::now(),
            counts: Arc::default(),
        }
    }

    /// The source at this place is asked. Count its records there.
    pub(super) fn started(&self, index: usize) -> Arc<AtomicU64> {
        let pushed = Arc::new(AtomicU64::new(0));
        lock(&self.counts).running.insert(index, Arc::clone(&pushed));
        pushed
    }

    /// The source at this place has come to an end.
    pub(super) fn ended(&self, index: usize, status: &SourceStatus) {
        let mut counts = lock(&self.counts);
        counts.running.remove(&index);
        counts.ended += 1;
        counts.failed += u64::from(status.state == SourceState::Failed);
        counts.records += status.records;
    }

    /// Shows a bar from now on, if anybody watches: at once when there are many sources, else when it takes long.
    pub fn show(&self) -> Shown {
        let mut shown = Shown {
            until: None,
            thread: None,
        };
        if !self.audience.is_watching {
            return shown;
        }
        let patience = if self.total > 1 { Duration::ZERO } else { PATIENCE };
        let (until, ended) = mpsc::channel();
        let (noun, total, counts) = (self.noun, self.total as u64, Arc::clone(&self.counts));
        let draw = move || {
            let is_over = |patience| ended.recv_timeout(patience) != Err(mpsc::RecvTimeoutError::Timeout);
            // Many are worth a bar even if they have answered before this thread runs.
            if !patience.is_zero() && is_over(patience) {
                return;
            }
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            bar.set_style(style(noun));
            *lock(&BAR) = Some(bar.clone());
            loop {
                lock(&counts).draw(&bar);
                if is_over(TICK) {
                    break;
                }
            }
            *lock(&BAR) = None;
            bar.finish_and_clear();
        };
        shown.thread = thread::Builder::new().name("progress".to_owned()).spawn(draw).ok();
        shown.until = Some(until);
        shown
    }

    /// Whether any source is asked over the network.
    pub fn has_devices(&self) -> bool {
        self.has_devices
    }

    /// What the capture came to, in one line: `4 devices asked, 3 answered, 1 failed, 123 records in 1.2 s`.
    fn summary(&self) -> String {
        let counts = lock(&self.counts);
        let seconds = self.begun.elapsed().as_secs_f64();
        format!(
            "{} asked, {} answered, {} failed, {} in {seconds:.1} s",
            counted(self.total as u64, self.noun),
            counts.ended - counts.failed,
            counts.failed,
            counted(counts.records, "record"),
        )
    }

    /// Says the summary to whoever watches, or in diagnostics, and returns it. One quick source is nothing to talk about.
    pub fn conclude(&self) -> String {
        let summary = self.summary();
        let is_worth_it = self.total > 1 || self.has_devices || self.begun.elapsed() >= PATIENCE;
        if self.audience.is_watching && !self.audience.is_verbose && is_worth_it {
            let _ = Stderr.write_all(format!("billdrop: {summary}\n").as_bytes());
        } else {
            tracing::info!("{summary}");
        }
        summary
    }
}

/// Shows how far a transfer has come, if anybody watches and it takes long. Of several at once, one.
pub fn transfer(audience: Audience, what: String, total: u64, sent: Arc<AtomicU64>) -> Shown {
    let mut shown = Shown {
        until: None,
        thread: None,
    };
    if !audience.is_watching {
        return shown;
    }
    let (until, ended) = mpsc::channel();
    let draw = move || {
        let is_over = |patience| ended.recv_timeout(patience) != Err(mpsc::RecvTimeoutError::Timeout);
        if is_over(PATIENCE) {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let template = "{msg} {binary_bytes}/{binary_total_bytes} [{bar:20}] {binary_bytes_per_sec}, {eta}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message(what);
        while !take_screen(&bar) {
            if is_over(TICK) {
                return;
            }
        }
        loop {
            bar.set_position(sent.load(Ordering::Relaxed));
            if is_over(TICK) {
                break;
            }
        }
        *lock(&BAR) = None;
        bar.finish_and_clear();
    };
    shown.thread = thread::Builder::new().name("progress".to_owned()).spawn(draw).ok();
    shown.until = Some(until);
    shown
}

fn take_screen(bar: &ProgressBar) -> bool {
    let mut screen = lock(&BAR);
    if screen.is_some() {
        return false;
    }
    *screen = Some(bar.clone());
    true
}

impl Counts {
    fn draw(&self, bar: &ProgressBar) {
        let running: u64 = self.running.values().map(|pushed| pushed.load(Ordering::Relaxed)).sum();
        let records = HumanCount(self.records.saturating_add(running));
        let failed = match self.failed {
            0 => String::new(),
            failed => format!(" {failed} failed,"),
        };
        bar.set_message(format!("{failed} {records} records"));
        bar.set_position(self.ended);
        bar.tick();
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.until = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn style(noun: &str) -> ProgressStyle {
    let template = format!("{noun}s {{pos}}/{{len}},{{msg}}");
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Standard error, beside a bar that may be there.
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        // Not held while writing: whoever draws must not wait for a terminal that has stopped.
        let bar = lock(&BAR).clone();
        match bar {
            Some(bar) => bar.suspend(|| io::stderr().write(octets)),
            None => io::stderr().write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
