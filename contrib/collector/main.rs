//! A collector for streamed documents, for tests and small sites: each document lies in the directory whole, under its
//! own name, or not at all.
//!
//! The connection is closed only when the document is checked and on the disk, since the close is all the answer that
//! there is; whatever is not a whole document is answered with a reset, so that billdrop sends it again. A document that
//! is here already is taken again and changes nothing.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use billdrop::document::{self, Limits, Verified};
use clap::Parser;
use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

/// Connections at a time; who comes besides is turned away and comes again.
const CONNECTIONS: usize = 64;

/// Takes streamed billing record documents and writes each into a directory.
///
/// Prints "ready ADDRESS" when it listens, then one line for each connection: what was taken (docId, sequence, records,
/// octets, sender), or why not. Says when sequence numbers are missing. Ends on SIGTERM.
#[derive(Parser)]
#[command(name = "collector")]
struct Arguments {
    /// Address and port to listen on; port 0 for any
    #[arg(long, value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// Directory for the documents; must be there
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// Certificate, with those that vouch for it, in PEM: speak TLS
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Believe only senders whose certificate these authorities have issued (PEM)
    #[arg(long, value_name = "FILE", requires = "certificate")]
    client_ca: Option<PathBuf>,
    /// Say this at once to who connects, as some collectors do
    #[arg(long, value_name = "TEXT")]
    greeting: Option<String>,
    /// Longest document, in octets
    #[arg(long, value_name = "OCTETS", default_value_t = 16 << 30)]
    largest: u64,
    /// How long a sender may be silent, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    idle: u64,
}

fn main() -> ExitCode {
    match serve(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("collector: {e}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: Arguments) -> Result<(), String> {
    if !arguments.directory.is_dir() {
        return Err(format!("{} is not a directory", arguments.directory.display()));
    }
    let tls = match (&arguments.certificate, &arguments.key) {
        (Some(certificate), Some(key)) => Some(tls(certificate, key, arguments.client_ca.as_deref())?),
        _ => None,
    };
    let listener =
        TcpListener::bind(arguments.listen).map_err(|e| format!("cannot listen on {}: {e}", arguments.listen))?;
    let address = listener.local_addr().map_err(|e| e.to_string())?;
    println!("ready {address}");
    let collector = Arc::new(Collector {
        arguments,
        tls,
        last: Mutex::default(),
        connections: AtomicUsize::new(0),
        number: AtomicU64::new(0),
    });
    for connection in listener.incoming() {
        let Ok(stream) = connection else { continue };
        if collector.connections.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS {
            collector.connections.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let collector = Arc::clone(&collector);
        thread::spawn(move || {
            let peer = stream
                .peer_addr()
                .map_or_else(|_| "?".to_owned(), |peer| peer.to_string());
            let outcome = collector.take(&stream);
            let line = match &outcome {
                Ok(line) => format!("{line} {peer}"),
                Err(reason) => format!("refused: {reason} ({peer})"),
            };
            if outcome.is_err() {
                reset(&stream);
            }
            drop(stream);
            collector.connections.fetch_sub(1, Ordering::Relaxed);
            // Whoever listened to us may have gone; documents are taken all the same.
            let _ = writeln!(io::stdout(), "{line}");
        });
    }
    Ok(())
}

struct Collector {
    arguments: Arguments,
    tls: Option<Arc<ServerConfig>>,
    /// The highest sequence number of each recorder.
    last: Mutex<std::collections::HashMap<String, u64>>,
    connections: AtomicUsize,
    number: AtomicU64,
}

impl Collector {
    /// Returns what was taken, in one line.
    fn take(&self, stream: &TcpStream) -> Result<String, String> {
        let said = |e: io::Error| match e.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => "the sender is silent".to_owned(),
            _ => e.to_string(),
        };
        let idle = Some(Duration::from_secs(self.arguments.idle));
        stream.set_read_timeout(idle).map_err(said)?;
        stream.set_write_timeout(idle).map_err(said)?;
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let partial = Partial(
            self.arguments
                .directory
                .join(format!(".{}.{number}.partial", std::process::id())),
        );
        match &self.tls {
            None => {
                let mut stream = stream;
                self.greet(&mut stream).map_err(said)?;
                self.store(&mut stream, &partial.0).map_err(said)?;
                self.keep(&partial.0)
            }
            Some(config) => {
                let session = ServerConnection::new(Arc::clone(config)).map_err(|e| e.to_string())?;
                let mut secure = StreamOwned::new(session, stream);
                self.greet(&mut secure).map_err(said)?;
                self.store(&mut secure, &partial.0).map_err(said)?;
                let line = self.keep(&partial.0)?;
                secure.conn.send_close_notify();
                let _ = secure.flush();
                Ok(line)
            }
        }
    }

    fn greet(&self, stream: &mut impl Write) -> io::Result<()> {
        match &self.arguments.greeting {
            Some(greeting) => stream.write_all(format!("{greeting}\n").as_bytes()),
            None => Ok(()),
        }
    }

    /// Up to the end that the sender makes.
    fn store(&self, stream: &mut impl Read, partial: &Path) -> io::Result<()> {
        let mut file = BufWriter::with_capacity(
            256 << 10,
            OpenOptions::new().write(true).create_new(true).open(partial)?,
        );
        let limit = self.arguments.largest;
        let taken = io::copy(&mut stream.take(limit.saturating_add(1)), &mut file)?;
        if taken > limit {
            return Err(io::Error::other(format!("longer than {limit} octets")));
        }
        file.into_inner().map_err(|e| e.into_error())?.sync_all()
    }

    /// Checks the document and gives it its name.
    fn keep(&self, partial: &Path) -> Result<String, String> {
        let file = File::open(partial).map_err(|e| e.to_string())?;
        let verified = document::verify(BufReader::new(file), Limits::default())
            .map_err(|findings| findings.first().map_or_else(String::new, ToString::to_string))?;
        let name = format!("{}.xml", verified.doc_id);
        let path = self.arguments.directory.join(&name);
        let again = match fs::hard_link(partial, &path) {
            Ok(()) => false,
            Err(e) if e.kind() == ErrorKind::AlreadyExists && is_same(partial, &path) => true,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Err(format!("another document is called {name}")),
            Err(e) => return Err(format!("{name}: {e}")),
        };
        File::open(&self.arguments.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(|e| e.to_string())?;
        let gap = if again { None } else { self.gap(&verified) };
        let word = if again { "again" } else { "taken" };
        Ok(format!(
            "{word} {} {} {} {}{}",
            verified.doc_id,
            verified.sequence,
            verified.records,
            verified.octets,
            gap.unwrap_or_default()
        ))
    }

    /// What is missing before this one, of what this process has seen.
    fn gap(&self, verified: &Verified) -> Option<String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last
            .entry(verified.recorder.as_str().to_owned())
            .or_insert(verified.sequence);
        let expected = last.saturating_add(1);
        let gap = verified.sequence > expected;
        *last = verified.sequence.max(*last);
        gap.then(|| format!(" gap: {expected}..{}", verified.sequence - 1))
    }
}

/// Removed whatever happens.
struct Partial(PathBuf);

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn is_same(a: &Path, b: &Path) -> bool {
    matches!((fs::read(a), fs::read(b)), (Ok(a), Ok(b)) if a == b)
}

/// What is not read is answered with a reset; otherwise linger does it.
fn reset(stream: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

fn tls(certificate: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Arc<ServerConfig>, String> {
    let certificates = |file: &Path| {
        CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|e| format!("{}: {e}", file.display()))
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(file)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|e| format!("{}: {e}", file.display()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let private = PrivateKeyDer::from_pem_file(key).map_err(|e| format!("{}: {e}", key.display()))?;
    builder
        .with_single_cert(certificates(certificate)?, private)
        .map(Arc::new)
        .map_err(|e| format!("{}: {e}", certificate.display()))
}
