//! The command line. Man pages and completions are made from these definitions.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::{config::Secret, document::DocId};

/// Captures usage and offers it as billing record documents, one at a time.
///
/// billdrop asks the configured sources for their usage, writes it as an XML billing record document (IPDRDoc) into a
/// spool directory and offers no other until a remote application has fetched and deleted it. SNMP managers are told
/// of each document and each failure. Without any configuration it captures this host's network interfaces into
/// ./spool.
#[derive(Debug, Parser)]
#[command(
    name = "billdrop",
    version,
    disable_help_subcommand = true,
    subcommand_required = true
)]
pub struct Cli {
    /// Configuration file [default: /etc/billdrop/billdrop.toml if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,

    /// Spool directory, in place of the configured one
    #[arg(long, value_name = "DIR", global = true)]
    pub spool: Option<PathBuf>,

    /// Only the drop-box of this CMTS, where [capture] documents = "each" gives each its own
    #[arg(long, value_name = "NAME", global = true)]
    pub drop_box: Option<String>,

    /// Say more: once what is done, twice every step
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,

    /// Say nothing but errors; a capture that is blocked says nothing before [spool] alarm-after has passed
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// How diagnostics are written to standard error
    #[arg(long, value_name = "FORMAT", global = true, value_enum, default_value = "text")]
    pub log_format: LogFormat,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Capture usage and offer it as a document
    ///
    /// Prints the path of the new document alone on standard output. While an earlier document lies in the spool no
    /// other is offered: the capture is refused with status 75, and the next document says how many were skipped.
    Capture(Capture),

    /// Tell what is offered, what is late and what went wrong
    Status(Status),

    /// Show a document as a table, JSON or CSV
    Show(Show),

    /// Check documents for damage
    ///
    /// Checks that a document is whole, valid, has as many records as it says, and that its checksum is right. Where
    /// the ledger knows the document, its size and SHA-256 are compared with what was written.
    Verify(Verify),

    /// List what is known to be missing
    ///
    /// Missing sequence numbers, times that no document covers, sources that failed, documents that were moved aside
    /// or lost. Nothing is printed when nothing is missing.
    Gaps(Gaps),

    /// Send the notifications that managers have not got yet
    Notify(Notify),

    /// Move the offered document aside, so that the next can be offered
    ///
    /// The document is kept below released/ in the state directory, and the ledger keeps who did it, when and why.
    /// Use it when the remote application can not delete the document itself.
    Release(Release),

    /// Offer documents again, or bring them to a destination again
    ///
    /// The same octets under the same name and docId, from the copies that [archive] keeps. In the spool they are offered
    /// one after the other, before anything new is captured. The ledger keeps who asked for it, and when.
    Resend(Resend),

    /// Bring documents to the destinations that have not got them yet
    ///
    /// Each capture does that for itself; this is for what is left. Each destination gets its documents in their order,
    /// each whole or not at all.
    Push(Push),

    /// Capture at each interval, and send each document to a collector
    ///
    /// Streaming mode: in place of the spool, documents go to the collectors of [stream] over TCP or TLS, one connection
    /// each. What no collector takes waits, and is sent first when one is back. Runs until it is ended, which is safe at
    /// any moment.
    Stream(Stream),

    /// Stream records to collectors by IPDR/SP
    ///
    /// An exporter of the protocol that CMTSes speak: for each session of [ipdr] the sources are captured, and the records
    /// go to the best collector that there is; another one takes over where it fails. What nobody has acknowledged is kept.
    /// Runs until it is ended, which is safe at any moment.
    Ipdr(Ipdr),

    /// List documents with their whole life
    ///
    /// When each was captured, offered, notified, fetched or pushed, sent again, moved aside, and what became of its copy.
    History(History),

    /// Log call events through a gatekeeper's own chain of accounting modules
    ///
    /// Takes call events as JSON lines, or from a running gatekeeper, and logs each through the chain of the gatekeeper's ini: to
    /// a file, to RADIUS servers, into a database, into the billing documents. What is answered with ok cannot be lost; what
    /// a module could not log is logged when it can. Runs until the input ends, or until SIGTERM.
    Account(Account),

    /// Check configuration, directories and managers
    Check(Check),

    /// Encrypt a password in a gatekeeper's ini
    ///
    /// Writes the password in the form that EncryptAllPasswords and KeyFilled of the file ask for, and leaves every other
    /// line as it is. Without PASSWORD it is asked for on the terminal, or read from standard input.
    Addpasswd(Addpasswd),

    /// Print a completion script for a shell
    Completions(Completions),
}

#[derive(Debug, Args)]
pub struct Capture {
    /// Capture licence and device usage: ask every CUCM, and with --confspace every CMS, but no other source
    #[arg(long)]
    pub devusage: bool,

    /// Capture conference spaces: ask every CMS, and with --devusage every CUCM, but no other source
    #[arg(long)]
    pub confspace: bool,

    /// Capture only this source; may be given several times
    #[arg(long, value_name = "NAME")]
    pub source: Vec<String>,

    /// Wait until the last document is retrieved, at most this long if given (30s, 15m, 2h)
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, value_parser = humantime::parse_duration)]
    pub wait: Option<Option<std::time::Duration>>,

    /// Ask the sources and say what would be written, but write nothing
    #[arg(long, conflicts_with_all = ["stdout", "wait"])]
    pub dry_run: bool,

    /// Write the document to standard output in place of the spool; it gets no sequence number
    #[arg(long, conflicts_with = "wait")]
    pub stdout: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Stay and print again whenever something changes, until interrupted
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
}

#[derive(Debug, Args)]
pub struct Show {
    /// Document to show; - for standard input [default: the one that is offered]
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Output format
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "table")]
    pub format: ShowFormat,

    /// Draw the interfaces with the most octets as bars
    #[arg(long, conflicts_with = "format")]
    pub chart: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShowFormat {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Documents to check; - for standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,

    /// The files are manifests; each is compared with the document beside it
    #[arg(long)]
    pub manifest: bool,
}

#[derive(Debug, Args)]
pub struct Gaps {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// List captures that were skipped because a document was waiting, too
    #[arg(long)]
    pub skipped: bool,
}

#[derive(Debug, Args)]
pub struct Notify {
    /// Send a test notification to every manager instead
    #[arg(long)]
    pub test: bool,
}

#[derive(Debug, Args)]
pub struct Release {
    /// Why, for the ledger
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct Resend {
    /// Sequence number, docId, or numbers FROM..TO
    #[arg(value_name = "DOCUMENT", value_parser = Selection::parse, required_unless_present = "cancel")]
    pub documents: Option<Selection>,

    /// Bring them to this destination, in place of the spool
    #[arg(long, value_name = "NAME")]
    pub to: Option<String>,

    /// Take documents out of the queue for the spool again; without DOCUMENT all that wait for their turn
    #[arg(long, conflicts_with = "to")]
    pub cancel: bool,
}

#[derive(Debug, Args)]
pub struct Push {
    /// To this destination only
    #[arg(long, value_name = "NAME")]
    pub to: Option<String>,

    /// Give up what a destination has not got that is not configured any more
    #[arg(long, value_name = "NAME", conflicts_with = "to")]
    pub forget: Option<String>,
}

#[derive(Debug, Args)]
pub struct Stream {
    /// Capture one document, send what waits, and end; for cron
    #[arg(long)]
    pub once: bool,
}

#[derive(Debug, Args)]
pub struct Ipdr {
    /// Ask the exporter that runs for a document of this ad-hoc session, and end
    #[arg(long, value_name = "SESSION")]
    pub request: Option<String>,
}

#[derive(Debug, Args)]
pub struct History {
    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Sequence number, docId, or numbers FROM..TO [default: all documents]
    #[arg(value_name = "DOCUMENT", value_parser = Selection::parse)]
    pub documents: Option<Selection>,
}

/// Which documents are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Sequence numbers, both ends included.
    Numbers(u64, u64),
    DocId(DocId),
}

impl Selection {
    /// # Errors
    /// What is expected in place of the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| match text.parse() {
            Ok(n) if (1..=DocId::MAX_SEQUENCE).contains(&n) => Ok(n),
            _ => Err(format!("{text:?} is neither a sequence number nor a docId")),
        };
        if let Some((first, last)) = text.split_once("..") {
            let (first, last) = (number(first)?, number(last)?);
            return match first <= last {
                true => Ok(Selection::Numbers(first, last)),
                false => Err(format!("{first} is after {last}")),
            };
        }
        match text.parse() {
            Ok(id) => Ok(Selection::DocId(id)),
            Err(_) => number(text).map(|n| Selection::Numbers(n, n)),
        }
    }
}

#[derive(Debug, Args)]
pub struct Account {
    /// Where events come from: stdin, unix:PATH or status:HOST:PORT; may be given several times [default: those of
    /// [accounting] inputs]
    #[arg(long, value_name = "INPUT")]
    pub input: Vec<String>,

    /// Take what the gatekeeper takes silently, too, and say so
    #[arg(long)]
    pub lenient: bool,

    /// Print the events that wait for a module, one a line, and end: module, number, when it came, the event
    #[arg(long, conflicts_with_all = ["input", "give_up"])]
    pub waiting: bool,

    /// Never log this event with this module, and end; may be given several times. NUMBER is that of --waiting, or all
    #[arg(long, value_name = "MODULE:NUMBER", conflicts_with = "input")]
    pub give_up: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Check {
    /// Log in to every destination and send a test notification to every manager, too
    #[arg(long)]
    pub connect: bool,
}

#[derive(Debug, Args)]
pub struct Addpasswd {
    /// The gatekeeper's ini
    #[arg(value_name = "INI")]
    pub ini: PathBuf,

    /// Section with the password: SQLAcct or RadAcct
    #[arg(value_name = "SECTION")]
    pub section: String,

    /// Key of the password: Password in SQLAcct, SharedSecret in RadAcct
    #[arg(value_name = "KEY")]
    pub key: String,

    /// The password; other users of this host can see it here
    #[arg(value_name = "PASSWORD", value_parser = secret)]
    pub password: Option<Secret>,
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::Text(text.to_owned()))
}

#[derive(Debug, Args)]
pub struct Completions {
    /// Shell to complete for
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}
