//! `billdrop addpasswd`: a password of a gatekeeper's ini, encrypted as the gatekeeper expects it.
//!
//! The file is replaced by rename: whoever reads it, and whatever happens meanwhile, sees the old one or the new one.

use std::{
    fs::{self, File, Metadata},
    io::{self, BufRead, IsTerminal, Read, Write},
    os::unix::fs::{MetadataExt, fchown},
    path::Path,
};

use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Termios};

use super::print;
use crate::{
    cli,
    config::gatekeeper::{
        LIMIT,
        ini::Ini,
        known::{self, Kind},
        password, rewrite,
    },
    exit::{Error, Exit, Result},
};

pub fn run(args: &cli::Addpasswd) -> Result<()> {
    let path = fs::canonicalize(&args.ini).map_err(|e| Error::reading(&args.ini, &e))?;
    let (octets, found) = contents(&path)?;
    let refuse = |what: String| Error::new(Exit::Configuration, format!("{}: {what}", args.ini.display()));
    let (section, key) = names(args)?;
    let ini = Ini::parse(&octets);
    let Some(fill) = password::fill(&ini, section) else {
        return Err(refuse(format!("passwords of [{section}] stand there in clear")).next(format!(
            "For encrypted ones put EncryptAllPasswords=1 into [Gatekeeper::Main], or KeyFilled=0 into [{section}], and encrypt each \
             password that this concerns."
        )));
    };
    let text = text(args)?;
    let encrypted = password::encode(&text, key, fill, random()?);
    let changed = rewrite::with_value(&octets, section, key, &encrypted).map_err(refuse)?;
    replace(&path, &changed, &found)?;
    print(|out| writeln!(out, "{}: [{section}] {key} is encrypted", args.ini.display()))
}

/// Section and key in the gatekeeper's spelling, which is part of the encryption.
fn names(args: &cli::Addpasswd) -> Result<(&str, &str)> {
    let usage = |what: String| Error::new(Exit::Usage, what);
    if args.section.eq_ignore_ascii_case("GkStatus::Auth") {
        return Err(
            usage("users of the status port have passwords of another kind".to_owned())
                .next("Use the addpasswd that comes with the gatekeeper."),
        );
    }
    match known::find(&args.section, &args.key) {
        Some(known) if known.kind == Kind::Secret => Ok((known.section, known.key)),
        Some(known) => Err(usage(format!("[{}] {} is not a password", known.section, known.key))),
        None => {
            tracing::warn!(
                "[{}] {} is nothing that billdrop reads; the name is part of the encryption, so it must be spelled as the \
                 gatekeeper spells it",
                args.section,
                args.key
            );
            Ok((&args.section, &args.key))
        }
    }
}

fn contents(path: &Path) -> Result<(Vec<u8>, Metadata)> {
    let failed = |e: io::Error| Error::reading(path, &e);
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::new(Exit::BadData, format!("{} is not a file", path.display())));
    }
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let mut octets = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut octets).map_err(failed)?;
    if octets.len() as u64 > LIMIT {
        let what = format!(
            "{}: longer than {LIMIT} octets; this is not a gatekeeper's ini",
            path.display()
        );
        return Err(Error::new(Exit::BadData, what));
    }
    Ok((octets, found))
}

/// The password, wherever it comes from.
fn text(args: &cli::Addpasswd) -> Result<String> {
    let bad = |what: &str| Error::new(Exit::BadData, format!("the password {what}"));
    let text = match &args.password {
        Some(given) => {
            tracing::warn!(
                "a password on the command line can be seen by other users and stays in the shell's history"
            );
            given.reveal().map_err(|e| Error::new(Exit::Usage, e))?
        }
        None if io::stdin().is_terminal() => asked()?,
        None => {
            let mut octets = Vec::new();
            let input = io::stdin().lock().take(password::LONGEST as u64 + 3);
            let failed = |e: io::Error| Error::new(Exit::Io, format!("cannot read standard input: {e}"));
            { input }.read_to_end(&mut octets).map_err(failed)?;
            let text = String::from_utf8(octets).map_err(|_| bad("is not UTF-8"))?;
            let line = text.strip_suffix('\n').unwrap_or(&text);
            line.strip_suffix('\r').unwrap_or(line).to_owned()
        }
    };
    match text {
        text if text.is_empty() => Err(bad("is empty")),
        text if text.len() > password::LONGEST => Err(bad(&format!("is longer than {} octets", password::LONGEST))),
        text if text.contains(char::is_control) => Err(bad("has a control character or a second line in it")),
        text => Ok(text),
    }
}

/// Twice on the terminal, which does not show it.
fn asked() -> Result<String> {
    let silent = Silent::begin().map_err(|e| Error::new(Exit::Io, format!("cannot ask on the terminal: {e}")))?;
    let first = silent.line("Password: ")?;
    let second = silent.line("Again: ")?;
    match first == second {
        true => Ok(first),
        false => Err(Error::new(
            Exit::BadData,
            "the two passwords differ; nothing was changed",
        )),
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Silent(Termios);

/// What control and C give.
const INTERRUPT: u8 = 3;

impl Silent {
    /// An interrupt must not leave the terminal silent, so it ends the line in place of the process.
    fn begin() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        silent.local_modes.insert(LocalModes::ICANON);
        silent.special_codes[SpecialCodeIndex::VEOL] = INTERRUPT;
        termios::tcsetattr(io::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Silent(before))
    }

    fn line(&self, prompt: &str) -> Result<String> {
        let failed = |e: io::Error| Error::new(Exit::Io, format!("cannot ask on the terminal: {e}"));
        let mut screen = io::stderr();
        screen.write_all(prompt.as_bytes()).map_err(failed)?;
        let mut octets = Vec::new();
        let mut input = io::stdin().lock();
        // The line ends with a line feed, or with the interrupt, which the terminal hands on as it is.
        while !octets.ends_with(b"\n") && !octets.ends_with(&[INTERRUPT]) && octets.len() <= password::LONGEST {
            let available = input.fill_buf().map_err(failed)?;
            if available.is_empty() {
                break;
            }
            let end = available.iter().position(|octet| matches!(*octet, b'\n' | INTERRUPT));
            let used = end.map_or(available.len(), |at| at + 1);
            octets.extend_from_slice(&available[..used]);
            input.consume(used);
        }
        let _ = screen.write_all(b"\n");
        if octets.ends_with(&[INTERRUPT]) {
            return Err(Error::new(Exit::Usage, "interrupted; nothing was changed"));
        }
        let text = String::from_utf8(octets).map_err(|_| Error::new(Exit::BadData, "the password is not UTF-8"))?;
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

fn random() -> Result<[u8; 8]> {
    let source = Path::new("/dev/urandom");
    let mut octets = [0; 8];
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut octets))
        .map_err(|e| Error::reading(source, &e))?;
    Ok(octets)
}

/// A new file with mode and owner of the old one takes its place.
fn replace(path: &Path, octets: &[u8], found: &Metadata) -> Result<()> {
    let failed = |e: &io::Error| Error::file("rewrite", path, e);
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::Builder::new()
        .prefix(".billdrop-addpasswd-")
        .tempfile_in(directory)
        .map_err(|e| failed(&e))?;
    new.write_all(octets).map_err(|e| failed(&e))?;
    fchown(new.as_file(), Some(found.uid()), Some(found.gid())).map_err(|e| {
        failed(&e)
            .next("The new file must belong to the same user and group as the old one: do it as that user, or as root.")
    })?;
    new.as_file()
        .set_permissions(found.permissions())
        .and_then(|()| new.as_file().sync_all())
        .map_err(|e| failed(&e))?;
    let now = fs::metadata(path).map_err(|e| failed(&e))?;
    let state = |file: &Metadata| (file.ino(), file.len(), file.mtime(), file.mtime_nsec());
    if state(&now) != state(found) {
        let what = format!(
            "{} was changed by somebody else meanwhile; nothing was written",
            path.display()
        );
        return Err(Error::new(Exit::CannotCreate, what).next("Do it again."));
    }
    new.persist(path).map_err(|e| failed(&e.error))?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|e| failed(&e))
}
