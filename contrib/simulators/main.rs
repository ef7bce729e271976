//! Simulated Unified Communications Managers (AXL) and Meeting Servers (REST) on loopback, for people without the
//! equipment and for the tests.
//!
//! Written from the protocol's documents and without billdrop's own protocol code, so that a misreading there is not
//! repeated here. One thread per connection; HTTP is written by hand, since much of what a device can do wrong is below
//! what a library would send.

mod certificates;
mod cms;
mod content;
mod credentials;
mod cucm;
mod delivery;
mod device;
mod directory;
mod http;
mod journal;
mod quirks;
mod schema;
mod server;

use std::error::Error;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use clap::{CommandFactory, FromArgMatches, Parser};

use certificates::Authority;
use credentials::Credentials;
use device::{Device, Kind};
use directory::Listening;
use journal::Journal;
use schema::Schemas;
use server::{Appliance, Machine};

/// Simulated Cisco Unified Communications Managers and Cisco Meeting Servers on loopback.
///
/// Writes into DIR: ca.pem, billing_config.csv and devices.json (how to reach the devices), and requests.jsonl (every
/// request, before it is answered). Prints "ready" when all devices listen; ends on SIGTERM.
#[derive(Parser)]
#[command(name = "simulators")]
struct Arguments {
    /// Directory for the files; made if it is not there
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// Check every AXL request by DIR/VERSION/AXLSoap.xsd, with xmllint
    #[arg(long, value_name = "DIR")]
    axl_schema: Option<PathBuf>,
    /// Address that the devices listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1")]
    listen: IpAddr,
    /// Password of all devices; otherwise a random one for each
    #[arg(long, value_name = "TEXT")]
    password: Option<String>,
    /// Secret and passcode of all coSpaces
    #[arg(long, value_name = "TEXT", default_value = "PLACEHOLDER-SECRET")]
    canary: String,
    /// End when standard input is closed
    #[arg(long)]
    until_stdin_closes: bool,
    /// [COUNT*]cucm or [COUNT*]cms, and quirks: cms:page=20,spaces=50
    #[arg(value_name = "DEVICE", required = true)]
    devices: Vec<String>,
}

fn main() -> ExitCode {
    let matches = Arguments::command()
        .term_width(120)
        .after_help(device::manual())
        .get_matches();
    let result = Arguments::from_arg_matches(&matches)
        .map_err(|error| error.exit())
        .and_then(|arguments: Arguments| run(&arguments));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulators: {error}");
            ExitCode::from(69)
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let devices = devices(arguments)?;
    let schemas = arguments
        .axl_schema
        .as_deref()
        .map(Schemas::new)
        .transpose()?
        .map(Arc::new);
    fs::create_dir_all(&arguments.directory).map_err(|error| at(&arguments.directory, &error))?;
    let directory = fs::canonicalize(&arguments.directory)?;
    let authority = Authority::new()?;
    fs::write(directory.join("ca.pem"), authority.pem()).map_err(|error| at(&directory, &error))?;
    let journal = Arc::new(Journal::create(&directory.join("requests.jsonl"))?);

    let mut listening = Vec::with_capacity(devices.len());
    for device in devices {
        let address = SocketAddr::new(arguments.listen, device.port);
        let listener = TcpListener::bind(address).map_err(|error| format!("{}: {address}: {error}", device.name))?;
        let port = listener.local_addr()?.port();
        let identity = authority.identity(&device, arguments.listen)?;
        if !device.dead {
            let tls = (!device.plain).then_some(identity.tls);
            server::serve(listener, tls, machine(&device, schemas.clone(), journal.clone()))?;
        }
        listening.push(Listening {
            device,
            address: arguments.listen.to_string(),
            port,
            fingerprint: identity.fingerprint,
        });
    }
    directory::write(&directory, &listening)?;
    let mut out = io::stdout();
    writeln!(out, "ready")?;
    out.flush()?;
    if arguments.until_stdin_closes {
        io::copy(&mut io::stdin().by_ref(), &mut io::sink())?;
        return Ok(());
    }
    loop {
        std::thread::park();
    }
}

fn devices(arguments: &Arguments) -> Result<Vec<Device>, String> {
    let mut counts = device::Counts::default();
    let mut devices: Vec<Device> = Vec::new();
    for text in &arguments.devices {
        for mut device in device::read(text, &arguments.canary, &mut counts)? {
            if devices.iter().any(|other| other.name == device.name) {
                return Err(format!("{text}: there is another {}", device.name));
            }
            device.password = match &arguments.password {
                Some(password) => password.clone(),
                None => credentials::random(12).map_err(|error| format!("/dev/urandom: {error}"))?,
            };
            devices.push(device);
        }
    }
    Ok(devices)
}

fn machine(device: &Device, schemas: Option<Arc<Schemas>>, journal: Arc<Journal>) -> Arc<Machine> {
    let appliance: Box<dyn Appliance> = match device.kind {
        Kind::Cucm => Box::new(cucm::Cucm::new(device, schemas)),
        Kind::Cms => Box::new(cms::Cms::new(device)),
    };
    Arc::new(Machine {
        credentials: Credentials::new(&device.user, &device.password),
        device: device.clone(),
        appliance,
        journal,
        requests: AtomicU64::new(0),
        running: AtomicU64::new(0),
    })
}

fn at(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}
