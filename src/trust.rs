//! Whose files are trusted.
//!
//! Only the user who owns the state directory changes anything ([`crate::spool::Spool::prepare`] sees to it). Root may
//! look at it all the same: `sudo billdrop status` shows what that user would see.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
};

/// The user whose files are ours: the owner of the state directory, or this one where there is none yet.
pub fn owner(state: &Path) -> u32 {
    fs::symlink_metadata(state).map_or_else(|_| effective(), |found| found.uid())
}

/// Files of that user, of the user who runs the program, and of root, who is trusted anyway.
pub fn is_ours(uid: u32, owner: u32) -> bool {
    uid == owner || uid == effective() || uid == 0
}

/// The user who runs the program.
pub fn effective() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Makes a directory for this user alone, if there is none yet, and has its name on the disk.
///
/// # Errors
/// When it cannot be made, or what has the name is not a directory of this user or of root.
pub fn private_directory(directory: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => fs::File::open(directory.parent().unwrap_or(directory))?.sync_all(),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(directory)?;
            match found.is_dir() && is_ours(found.uid(), effective()) {
                true => Ok(()),
                false => Err(io::Error::new(
                    io::ErrorKind::PermissionDenied,
                    "it is not a directory of this user",
                )),
            }
        }
        Err(e) => Err(e),
    }
}

/// Name of the owner of a file, or of the nearest directory around it that this user can see.
pub fn owner_name(path: &Path) -> Option<String> {
    let uid = path
        .ancestors()
        .skip(1)
        .find_map(|place| fs::symlink_metadata(place).ok())?
        .uid();
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid)).ok()??;
    Some(user.name)
}
