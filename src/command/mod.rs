//! The commands: one file each. They wire the parts together and speak to the operator; rules live in the parts.

mod account;
mod addpasswd;
mod calls;
mod capture;
mod check;
mod choose;
mod deliver;
mod drop_box;
mod each;
mod gaps;
mod gather;
mod history;
mod ipdr;
mod notify;
mod preview;
mod progress;
mod push;
mod release;
pub mod requirements;
mod resend;
mod setting;
mod show;
mod signals;
mod status;
mod stream;
mod turn;
mod verify;
mod waiting;

use std::io::{self, Write};

use clap::CommandFactory;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt::{self, FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::{
    cli::{Cli, Command, LogFormat},
    exit::{Error, Exit, Result},
    log::ErrorLayer,
};

/// Runs the command of this command line.
pub fn run(cli: &Cli) -> Result<()> {
    // A core dump would have the communities and passwords in it. Where the kernel does not let us, it stays as it is.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    // Ledger and lock are for this user alone; spool and documents get their modes from the configuration.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    if let Some(outcome) = each::run(cli) {
        return outcome;
    }
    match &cli.command {
        Command::Capture(args) => capture::run(cli, args),
        Command::Status(args) => status::run(cli, args),
        Command::Show(args) => show::run(cli, args),
        Command::Verify(args) => verify::run(cli, args),
        Command::Gaps(args) => gaps::run(cli, args),
        Command::Notify(args) => notify::run(cli, args),
        Command::Release(args) => release::run(cli, args),
        Command::Resend(args) => resend::run(cli, args),
        Command::Push(args) => push::run(cli, args),
        Command::Stream(args) => stream::run(cli, args),
        Command::Ipdr(args) => ipdr::run(cli, args),
        Command::History(args) => history::run(cli, args),
        Command::Account(args) => account::run(cli, args),
        Command::Check(args) => check::run(cli, args),
        Command::Addpasswd(args) => addpasswd::run(args),
        Command::Completions(args) => print(|out| {
            // Into memory first: the generator panics when a pipe is closed.
            let mut script = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "billdrop", &mut script);
            out.write_all(&script)
        }),
    }
}

/// Diagnostics go to standard error: warnings by default, quiet under cron unless something is wrong.
pub fn start_log(cli: &Cli) {
    let level = match (cli.quiet, cli.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, _) => LevelFilter::DEBUG,
    };
    // Dependencies speak only at warning level: their details may hold what is secret.
    let up_to = |level: LevelFilter| {
        Targets::new()
            .with_target("billdrop", level)
            // Speaks of every failure itself, which we do as well.
            .with_target("async_snmp", LevelFilter::OFF)
            .with_default(level.min(LevelFilter::WARN))
    };
    let diagnostics = fmt::layer()
        .with_writer(|| progress::Stderr)
        .with_target(false)
        .log_internal_errors(false);
    // The log of errors has the same whatever standard error is to have.
    let registry = tracing_subscriber::registry().with(ErrorLayer.with_filter(up_to(LevelFilter::WARN)));
    match cli.log_format {
        LogFormat::Json => registry.with(diagnostics.json().with_filter(up_to(level))).init(),
        LogFormat::Text => registry
            .with(diagnostics.event_format(Plain).with_filter(up_to(level)))
            .init(),
    }
}

/// One line: the program, what is said, and how bad it is. Nothing else: cron mails it, and people read it.
struct Plain;

impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> std::fmt::Result {
        out.write_str(match *event.metadata().level() {
            Level::ERROR => "billdrop: ",
            Level::WARN => "billdrop: warning: ",
            _ => "billdrop: info: ",
        })?;
        context.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

/// Writes results to standard output. A reader that has gone away (`| head`) is no failure.
fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    print_while_read(write).map(drop)
}

/// The same; says whether anybody reads still.
fn print_while_read(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<bool> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(e) => Err(Error::new(Exit::Io, format!("cannot write to standard output: {e}"))),
        Ok(()) => Ok(true),
    }
}

/// "1 record", "2 records".
fn counted(count: u64, one: &str) -> String {
    counted_as(count, one, &format!("{one}s"))
}

/// "1 copy", "2 copies".
fn counted_as(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}

/// How long ago, for people: "12m 5s ago".
fn ago(since: chrono::DateTime<chrono::Utc>, now: chrono::DateTime<chrono::Utc>) -> String {
    match (now - since).to_std() {
        Ok(age) => format!(
            "{} ago",
            humantime::format_duration(std::time::Duration::from_secs(age.as_secs()))
        ),
        Err(_) => "in the future: has the clock been set back?".to_owned(),
    }
}
