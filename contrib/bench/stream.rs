//! `stream FILE ADDRESS:PORT [CERTIFICATE]` streams a document, over TLS when a certificate to be believed is given.

use std::{error::Error, fs::File, io::Read, path::PathBuf, time::Duration};

use billdrop::{
    config::Tls,
    deliver::stream::{Collector, Limits, Security, Sending},
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [file, address] => send(file, address, None),
        [file, address, certificate] => send(file, address, Some(certificate.into())),
        _ => Err("stream FILE ADDRESS:PORT [CERTIFICATE]".into()),
    }
}

fn send(file: &str, address: &str, certificate: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    const LIMIT: Duration = Duration::from_secs(600);
    let (host, port) = address.rsplit_once(':').ok_or("ADDRESS:PORT")?;
    let collector = Collector {
        host: host.to_owned(),
        port: port.parse()?,
        tls: certificate.map(|certificate| Security {
            trust: Tls {
                ca: Some(certificate),
                ..Tls::default()
            },
            identity: None,
        }),
        source: None,
        limits: Limits {
            connect: LIMIT,
            idle: LIMIT,
            total: LIMIT,
        },
    };
    let mut sending = Sending::connect(&collector)?;
    let mut file = File::open(file)?;
    let mut piece = vec![0; 256 << 10];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            read => sending.send(&piece[..read])?,
        }
    }
    sending.finish()?;
    Ok(())
}
