//! `[capture] documents = "each"`: each CMTS has a drop-box of its own.
//!
//! A drop-box is what a configuration for that CMTS alone would make: spool, state, archive and logs below the directories
//! of the common one, and the CMTS's name in file names and traps. Nothing else knows that there are several.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    cli::Cli,
    config::{Config, Documents, Source},
    exit::{Error, Exit, Result},
    spool,
};

/// One of several.
#[derive(Debug, Clone)]
pub struct DropBox {
    name: String,
    /// What the drop-boxes have in common, and the first capture makes: directory, role, mode.
    parents: Vec<(PathBuf, &'static str, u32)>,
}

/// Makes the configuration that of the drop-box which the command line names, if it names one.
pub fn narrow(config: &mut Config, cli: &Cli) -> Result<Option<DropBox>> {
    let Some(name) = &cli.drop_box else { return Ok(None) };
    if config.capture.documents == Documents::Together {
        let reason = "--drop-box is for [capture] documents = \"each\"; here is one drop-box for all sources";
        return Err(Error::new(Exit::Usage, reason));
    }
    config.sources.retain(|source| source.name() == name);
    let Some(Source::Cmts(cmts)) = config
        .sources
        .first()
        .and_then(|source| source.check(&config.capture).ok())
    else {
        return Err(Error::new(Exit::Usage, format!("there is no CMTS {name:?}"))
            .next("billdrop status shows the drop-box of each."));
    };
    let (state, archive, logs) = (
        config.state_directory(),
        config.archive.directory.clone(),
        config.log_directory(),
    );
    // Whoever fetches documents works in its drop-box, and not on it.
    let mode = config.spool.directory_mode.0 & !0o022;
    let mut parents = vec![
        (config.spool.directory.clone(), "spool", mode),
        (state.clone(), "state", 0o700),
    ];
    parents.extend(archive.clone().map(|directory| (directory, "archive", 0o700)));
    parents.extend(logs.clone().map(|directory| (directory, "log", 0o750)));
    config.recorder.hostname = Some(cmts.hostname.unwrap_or(cmts.name));
    config.spool.directory.push(name);
    config.state.directory = Some(state.join(name));
    config.archive.directory = archive.map(|directory| directory.join(name));
    config.log.directory = Some(logs.map_or(PathBuf::new(), |directory| directory.join(name)));
    Ok(Some(DropBox {
        name: name.clone(),
        parents,
    }))
}

impl DropBox {
    /// Makes what the drop-boxes have in common. Only the last component of a path is made, as of any spool.
    pub fn prepare(&self, config: &Config) -> Result<()> {
        let group = config
            .spool
            .group
            .as_deref()
            .and_then(|name| spool::group_id(name).ok());
        for (directory, role, mode) in &self.parents {
            match *role {
                // Captures go on without logs.
                "log" => drop(fs::DirBuilder::new().mode(*mode).create(directory)),
                "spool" => spool::prepare_parent(directory, role, *mode, group)?,
                _ => spool::prepare_parent(directory, role, *mode, None)?,
            }
        }
        Ok(())
    }

    /// What must be made first for this directory of the drop-box: itself, or what the drop-boxes have in common.
    pub fn first_made<'p>(&self, directory: &'p Path) -> &'p Path {
        let common = directory.parent().filter(|parent| {
            let mut common = self.parents.iter().map(|(common, ..)| common);
            common.any(|common| common == parent) && parent.symlink_metadata().is_err()
        });
        common.unwrap_or(directory)
    }

    /// A MAC address of its own, so that neither docIds nor SNMP engines of two drop-boxes are ever the same: a locally
    /// administered one, made of the recorder's and the name.
    pub fn mac(&self, recorder: [u8; 6]) -> [u8; 6] {
        let digest = Sha256::new().chain_update(recorder).chain_update(&self.name).finalize();
        let mut mac = [0; 6];
        mac.copy_from_slice(&digest[..6]);
        mac[0] = mac[0] & 0xFC | 0x02;
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_drop_box_has_a_mac_of_its_own_that_stays() {
        let mac = |name: &str, recorder| {
            let drop_box = DropBox {
                name: name.to_owned(),
                parents: Vec::new(),
            };
            drop_box.mac(recorder)
        };
        let first = mac("cmts1", [0, 0, 0x5E, 0, 0x53, 0x21]);
        assert_eq!(first, mac("cmts1", [0, 0, 0x5E, 0, 0x53, 0x21]));
        assert_ne!(first, mac("cmts2", [0, 0, 0x5E, 0, 0x53, 0x21]));
        assert_ne!(first, mac("cmts1", [0, 0, 0x5E, 0, 0x53, 0x22]));
        assert_eq!(first[0] & 3, 2, "locally administered, of one station");
    }
}
