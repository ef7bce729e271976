//! A command for all drop-boxes: the same command once for each of them, in a process of its own, so that one that fails,
//! hangs or is killed costs the others nothing.
//!
//! Captures run at the same time, everything else one after the other under the name of the CMTS.

use std::{
    collections::VecDeque,
    env,
    ffi::OsString,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Command as Process, ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    thread,
};

use super::{print, progress::Stderr, requirements};
use crate::{
    cli::{Cli, Command, LogFormat},
    config::{self, Config, Documents},
    exit::{Error, Exit, Result},
};

/// How a command is for several drop-boxes.
enum Way {
    AtOnce,
    OneByOne,
    /// One JSON object with the output of each.
    Json,
    /// It is for one.
    Refused,
}

/// Runs the command for each drop-box, if there are several and the command line names none. [`None`]: it is for this
/// process, which also says what is wrong with the configuration.
pub fn run(cli: &Cli) -> Option<Result<()>> {
    let way = way(&cli.command)?;
    if cli.drop_box.is_some() {
        return None;
    }
    let config = config::load(cli.config.as_deref(), cli.spool.as_deref(), requirements::problems)
        .ok()?
        .config;
    if config.capture.documents == Documents::Together {
        return None;
    }
    let names: Vec<&str> = config.sources.iter().map(|source| source.name()).collect();
    Some(match way {
        Way::AtOnce => at_once(cli, &config, &names),
        Way::OneByOne => one_by_one(&names),
        Way::Json => as_json(&names),
        Way::Refused => Err(Error::new(
            Exit::Usage,
            "this is for one drop-box at a time; name it with --drop-box",
        )
        .next(format!("There are: {}.", names.join(", ")))),
    })
}

fn way(command: &Command) -> Option<Way> {
    Some(match command {
        Command::Capture(args) if args.stdout || !args.source.is_empty() => Way::Refused,
        // Which one is asked, its name says.
        Command::Capture(args) if args.dry_run => Way::OneByOne,
        Command::Capture(_) => Way::AtOnce,
        Command::Status(args) if args.watch => Way::Refused,
        Command::Status(args) if args.json => Way::Json,
        Command::Gaps(args) if args.json => Way::Json,
        Command::History(args) if args.json => Way::Json,
        Command::Status(_) | Command::Gaps(_) | Command::History(_) => Way::OneByOne,
        Command::Check(_) | Command::Notify(_) | Command::Push(_) => Way::OneByOne,
        Command::Release(_) | Command::Resend(_) => Way::Refused,
        Command::Show(args) if args.file.is_none() => Way::Refused,
        Command::Show(_) | Command::Verify(_) => return None,
        Command::Stream(_)
        | Command::Ipdr(_)
        | Command::Account(_)
        | Command::Addpasswd(_)
        | Command::Completions(_) => {
            return None;
        }
    })
}

/// As many at once as `[capture] concurrency` allows.
fn at_once(cli: &Cli, config: &Config, names: &[&str]) -> Result<()> {
    let waiting: Mutex<VecDeque<usize>> = Mutex::new((0..names.len()).collect());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let ended = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..names.len().min(config.capture.concurrency.into()) {
            scope.spawn(|| {
                while let Some(index) = next() {
                    let outcome = capture(cli, names[index]);
                    let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
                    ended.push((index, outcome));
                }
            });
        }
    });
    let mut ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    ended.sort_by_key(|(index, _)| *index);
    conclude(ended.into_iter().map(|(_, exit)| exit))
}

/// What it says on standard error is passed on line by line, under the name of the CMTS.
fn capture(cli: &Cli, name: &str) -> Option<Exit> {
    let mut command = process(name);
    command.stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) => return not_started(name, &e),
    };
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).is_ok_and(|octets| octets > 0) {
            let _ = Stderr.write_all(&named(cli, name, &line));
            line.clear();
        }
    }
    exit_of(name, child.wait())
}

/// `billdrop: …` becomes `billdrop: NAME: …`; JSON stays as it is.
fn named(cli: &Cli, name: &str, line: &[u8]) -> Vec<u8> {
    const PROGRAM: &[u8] = b"billdrop: ";
    match line.strip_prefix(PROGRAM) {
        Some(rest) if cli.log_format == LogFormat::Text => [PROGRAM, name.as_bytes(), b": ", rest].concat(),
        _ => line.to_vec(),
    }
}

fn one_by_one(names: &[&str]) -> Result<()> {
    let mut ended = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        if !super::print_while_read(|out| writeln!(out, "{gap}{name}:"))? {
            break;
        }
        ended.push(match process(name).status() {
            Err(e) => not_started(name, &e),
            status => exit_of(name, status),
        });
    }
    conclude(ended)
}

fn as_json(names: &[&str]) -> Result<()> {
    let mut all = serde_json::Map::new();
    let mut ended = Vec::new();
    for name in names {
        let mut text = Vec::new();
        let mut run = || {
            let mut child = process(name).stdout(Stdio::piped()).spawn()?;
            if let Some(mut stdout) = child.stdout.take() {
                stdout.read_to_end(&mut text)?;
            }
            child.wait()
        };
        ended.push(match run() {
            Err(e) => not_started(name, &e),
            status => exit_of(name, status),
        });
        // What said nothing has failed, and said so elsewhere.
        let value = serde_json::from_slice(&text).unwrap_or(serde_json::Value::Null);
        all.insert((*name).to_owned(), value);
    }
    print(|out| writeln!(out, "{}", serde_json::to_string_pretty(&all)?))?;
    conclude(ended)
}

/// This program with the same command line, for one drop-box.
fn process(name: &str) -> Process {
    let mut arguments = env::args_os();
    // Not by its name: an upgrade may just put another program there.
    let mut process = Process::new("/proc/self/exe");
    if let Some(own) = arguments.next() {
        std::os::unix::process::CommandExt::arg0(&mut process, own);
    }
    process
        .arg("--drop-box")
        .arg(name)
        .args(arguments.collect::<Vec<OsString>>());
    process
}

fn not_started(name: &str, e: &io::Error) -> Option<Exit> {
    tracing::error!("{name}: no process can be started for it: {e}");
    Some(Exit::Io)
}

/// [`None`]: it ended well.
fn exit_of(name: &str, status: io::Result<ExitStatus>) -> Option<Exit> {
    let code = match &status {
        Ok(status) => status.code(),
        Err(_) => None,
    };
    let Some(code) = code else {
        let how = status.map_or_else(|e| e.to_string(), |status| status.to_string());
        tracing::error!("{name}: its process was ended: {how}");
        return Some(Exit::Io);
    };
    let known = Exit::ALL.iter().map(|(exit, _)| *exit);
    let exit = known.into_iter().find(|exit| i32::from(exit.code()) == code);
    exit.map_or(Some(Exit::Internal), |exit| {
        Some(exit).filter(|exit| *exit != Exit::Done)
    })
}

/// The first failure that is worse than a document which still waits; then that.
fn conclude(ended: impl IntoIterator<Item = Option<Exit>>) -> Result<()> {
    let failed: Vec<Exit> = ended.into_iter().flatten().collect();
    let worst = failed.iter().find(|exit| **exit != Exit::Blocked).or(failed.first());
    worst.map_or(Ok(()), |exit| Err(Error::already_told(*exit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_counts_more_than_a_document_that_waits() {
        let exit = |ended: &[Option<Exit>]| conclude(ended.to_vec()).map_err(|e| e.exit());
        assert_eq!(exit(&[None, None]), Ok(()));
        assert_eq!(exit(&[None, Some(Exit::Blocked)]), Err(Exit::Blocked));
        let mixed = [Some(Exit::Blocked), None, Some(Exit::Unavailable), Some(Exit::Io)];
        assert_eq!(exit(&mixed), Err(Exit::Unavailable));
    }
}
