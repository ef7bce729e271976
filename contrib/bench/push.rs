//! Brings a file to a destination: `push CONFIGURATION COUNT FILE`, with the first `[[push]]` of the configuration, COUNT
//! times under another name over one connection. Prints the seconds that it took, connection included.

use std::{fs, path::Path, time::Instant};

use billdrop::config::Config;
use billdrop::deliver::{self, Destination, Shipment};
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [configuration, count, file] = arguments.as_slice() else {
        return Err("push CONFIGURATION COUNT FILE".into());
    };
    let config: Config = toml::from_str(&fs::read_to_string(configuration)?)?;
    let push = config.destinations.first().ok_or("no [[push]]")?;
    let destination = Destination::new(push)?;
    let file = Path::new(file);
    let found = fs::metadata(file)?;
    // The ledger knows it from when the document was made.
    let sha256: String = Sha256::digest(fs::read(file)?)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let begin = Instant::now();
    let mut link = deliver::connect(&destination)?;
    for number in 0..count.parse::<u32>()? {
        let shipment = Shipment {
            file,
            remote_name: &format!("{}{number}", push.name),
            octets: found.len(),
            sha256: &sha256,
            mode: 0o640,
            modified: found.modified()?,
        };
        let receipt = link.put(&shipment, &mut |_| ())?;
        if receipt.found {
            return Err("it was there already".into());
        }
    }
    println!("{:.3}", begin.elapsed().as_secs_f64());
    Ok(())
}
