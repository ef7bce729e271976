//! The directories: made, checked, listed. Nothing in them is trusted for being there.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};

use super::{Archive, DocumentName, manifest};
use crate::{
    config,
    exit::{Error, Exit, Result},
    ledger::Identity,
    trust,
};

/// The spool and the state directory, both checked.
#[derive(Debug, Clone)]
pub struct Spool {
    pub directory: PathBuf,
    pub state: PathBuf,
    owner: u32,
    mode: u32,
    group: Option<u32>,
    pub archive: Archive,
    pub(super) manifest: bool,
    pub(super) done_marker: bool,
    pub(super) rule: config::Retrieved,
    /// Nobody picks documents up: collectors get them from us.
    pub(super) streams: bool,
    /// Names of those that documents are brought to.
    pub(super) destinations: Vec<String>,
}

/// What follows a document's name in that of the marker by which the remote application says that it has it.
const DONE: &str = ".done";

/// What lies in the spool under a name without a leading dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub octets: u64,
    pub document: DocumentName,
}

/// The spool's contents, told apart.
#[derive(Debug, Default)]
pub struct Listing {
    /// Regular files of ours with a document's name, by name.
    pub documents: Vec<Entry>,
    /// Temporary files of ours.
    pub partials: Vec<(String, DocumentName)>,
    /// Names of the documents that have a manifest of ours.
    pub manifests: Vec<String>,
    /// Manifests that were not finished.
    pub debris: Vec<String>,
    /// Names of the documents that have a marker, of whatever owner. Empty where markers are not configured.
    pub markers: Vec<String>,
    /// Everything else, with the reason why it is not a document. Does not block anything.
    pub foreign: Vec<(String, &'static str)>,
}

/// How many foreign files are named; a full directory must not fill the log.
const FOREIGN_NAMED: usize = 100;

impl Spool {
    /// Makes what is missing and refuses what cannot be trusted: symbolic links, other users' directories, directories
    /// in which everybody may delete. Only the last component of a path is made: a missing parent is rather a disk
    /// that is not mounted.
    pub fn prepare(config: &config::Config) -> Result<Self> {
        let mut spool = Self::locate(config)?;
        let group = spool.group;
        if spool.streams {
            // The one is in the other.
            make_directory(&spool.state, 0o700, None)?;
        }
        let mode = if spool.streams {
            0o700
        } else {
            config.spool.directory_mode.0
        };
        let made = make_directory(&spool.directory, mode, group)?;
        if made {
            tracing::info!("made the spool directory {}", spool.directory.display());
        }
        check_directory(&spool.directory, "spool")?;
        make_directory(&spool.state, 0o700, None)?;
        check_directory(&spool.state, "state")?;
        if spool.archive.makes {
            let directory = &spool.archive.directory;
            // A document without a copy is better than no document.
            if let Err(e) = make_directory(directory, 0o700, None).and_then(|_| check_directory(directory, "archive")) {
                tracing::error!("no copies are made: {e}");
                spool.archive.makes = false;
            }
        }
        let inside = fs::canonicalize(&spool.directory)
            .and_then(|s| fs::canonicalize(&spool.state).map(|state| state.starts_with(s)))
            .map_err(|e| Error::file("look at", &spool.state, &e))?;
        if inside {
            return Err(Error::new(
                Exit::Configuration,
                format!("the state directory {} lies inside the spool", spool.state.display()),
            )
            .next("Set [state] directory to a place that the remote application does not see."));
        }
        Ok(spool)
    }

    /// The same without making anything, for commands that only look.
    pub fn locate(config: &config::Config) -> Result<Self> {
        let streams = config.stream.is_some();
        let group = match &config.spool.group {
            Some(name) if !streams => {
                Some(group_id(name).map_err(|e| Error::new(Exit::Configuration, format!("[spool] group: {e}")))?)
            }
            _ => None,
        };
        Ok(Spool {
            directory: match streams {
                true => config.stream_directory(),
                false => config.spool.directory.clone(),
            },
            owner: trust::owner(&config.state_directory()),
            state: config.state_directory(),
            mode: config.spool.mode.0,
            group,
            archive: Archive::new(config),
            manifest: config.spool.manifest,
            done_marker: config.spool.done_marker,
            rule: config.spool.retrieved,
            streams,
            destinations: config.destinations(),
        })
    }

    /// Whether an existing directory can be trusted, and the pickup's group can work in it. `role` is `spool` or `state`.
    pub fn examine(&self, directory: &Path, role: &str) -> Result<()> {
        check_directory(directory, role)?;
        let (Some(group), "spool") = (self.group, role) else {
            return Ok(());
        };
        let found = fs::symlink_metadata(directory).map_err(|e| Error::file("look at", directory, &e))?;
        if found.gid() == group && found.mode() & 0o070 == 0o070 {
            return Ok(());
        }
        let message = format!(
            "the group {group} cannot list and delete in {} (group {}, mode {:04o})",
            directory.display(),
            found.gid(),
            found.mode() & 0o7777
        );
        Err(Error::new(Exit::Denied, message).next(format!("chgrp {group} it, and chmod 2770.")))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes a new file that nobody else sees yet; fails if the name is taken, even by a symbolic link.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(CWD, self.path(name), flags, Mode::RUSR | Mode::WUSR)?;
        Ok(File::from(file))
    }

    /// A file of ours. Who may delete here may have put something else in its place, which is left as it is.
    pub(super) fn open_own(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(CWD, self.path(name), flags, Mode::empty())?);
        let found = file.metadata()?;
        match found.is_file() && crate::trust::is_ours(found.uid(), self.owner) {
            true => Ok(file),
            false => Err(io::Error::other("it is not the file that was written")),
        }
    }

    /// Gives the file its group and mode, whatever the umask says.
    pub(super) fn permit(&self, file: &File) -> io::Result<()> {
        if let Some(group) = self.group {
            std::os::unix::fs::fchown(file, None, Some(group))?;
        }
        file.set_permissions(fs::Permissions::from_mode(self.mode))
    }

    /// Renames without ever replacing a file. Where the file system cannot, a hard link serves.
    pub(super) fn publish(&self, partial: &str, name: &str) -> io::Result<()> {
        let (from, to) = (self.path(partial), self.path(name));
        match rustix::fs::renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                rustix::fs::linkat(CWD, &from, CWD, &to, AtFlags::empty())?;
                fs::remove_file(&from)
            }
            done => Ok(done?),
        }
    }

    /// Makes the names in the spool durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }

    /// Removes a temporary file; that it is gone already is fine.
    pub(super) fn discard(&self, partial: &str) -> io::Result<()> {
        match fs::remove_file(self.path(partial)) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Removes what belongs to a document beside it: its manifest, and the marker where markers mean something.
    pub(super) fn discard_company(&self, name: &str) -> io::Result<()> {
        self.discard(&format!("{name}{}", manifest::SUFFIX))?;
        self.discard_marker(name)
    }

    /// Removes the marker of a document. Not a directory of that name: that is no marker.
    pub(super) fn discard_marker(&self, name: &str) -> io::Result<()> {
        let marker = format!("{name}{DONE}");
        match self.done_marker && self.path(&marker).symlink_metadata().is_ok_and(|found| found.is_file()) {
            true => self.discard(&marker),
            false => Ok(()),
        }
    }

    /// The file in which a document lies as it is, wherever that may be.
    pub fn stored(&self, name: &str) -> Option<PathBuf> {
        let kept = self.archive.find(name).ok().flatten().filter(|found| !found.compressed);
        kept.map(|found| found.path)
            .or_else(|| Some(self.path(name)).filter(|path| path.is_file()))
    }

    /// Octets that may still be written to the spool's file system.
    pub fn free(&self) -> io::Result<u64> {
        fs2::available_space(&self.directory)
    }

    /// What tells this directory from another one.
    pub fn identity(&self) -> io::Result<Identity> {
        let found = fs::symlink_metadata(&self.directory)?;
        let born = found.created().ok();
        Ok(Identity {
            path: fs::canonicalize(&self.directory)?.to_string_lossy().into_owned(),
            inode: found.ino(),
            born: born.map(|time| DateTime::<Utc>::from(time).timestamp_nanos_opt().unwrap_or_default()),
        })
    }

    /// What lies in the spool now, by name.
    pub fn list(&self) -> io::Result<Listing> {
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let found = match entry.metadata() {
                Ok(found) => found,
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            match name.to_str() {
                Some(name) if listing.is_company(name, &found, self) => {}
                _ => listing.sort_in(&name.to_string_lossy(), name.to_str().is_some(), &found, self.owner),
            }
        }
        listing.documents.sort_by(|a, b| a.name.cmp(&b.name));
        listing.foreign.sort();
        Ok(listing)
    }
}

impl Listing {
    /// What lies beside documents. Before all else: without an extension the name of a manifest looks like a document's.
    fn is_company(&mut self, name: &str, found: &fs::Metadata, spool: &Spool) -> bool {
        let is_ours = found.is_file() && trust::is_ours(found.uid(), spool.owner);
        let of_document = |name: &str, suffix: &str| {
            let stem = name.strip_suffix(suffix)?;
            DocumentName::parse(stem).map(|_| stem.to_owned())
        };
        if let Some(document) = of_document(name, manifest::SUFFIX).filter(|_| is_ours) {
            self.manifests.push(document);
            return true;
        }
        if let Some(document) = of_document(name, DONE).filter(|_| spool.done_marker && found.is_file()) {
            self.markers.push(document);
            return true;
        }
        let unfinished = name.strip_prefix('.').and_then(|name| name.strip_suffix(".partial"));
        if unfinished.is_some_and(|name| is_ours && of_document(name, manifest::SUFFIX).is_some()) {
            self.debris.push(name.to_owned());
            return true;
        }
        false
    }

    fn sort_in(&mut self, name: &str, readable: bool, found: &fs::Metadata, owner: u32) {
        let is_ours = found.is_file() && trust::is_ours(found.uid(), owner);
        if let (Some(document), true) = (DocumentName::of_partial(name), is_ours) {
            self.partials.push((name.to_owned(), document));
            return;
        }
        let reason = match DocumentName::parse(name).filter(|_| readable) {
            Some(document) if is_ours => {
                self.documents.push(Entry {
                    name: name.to_owned(),
                    octets: found.len(),
                    document,
                });
                return;
            }
            Some(_) if !found.is_file() => "not a regular file",
            Some(_) => "belongs to another user",
            None => "not the name of a document",
        };
        if self.foreign.len() < FOREIGN_NAMED {
            self.foreign.push((name.to_owned(), reason));
        }
    }
}

/// The number of a group by its name, or a number as it is.
pub fn group_id(name: &str) -> std::result::Result<u32, String> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    match nix::unistd::Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err(format!("there is no group {name:?}; make it with groupadd {name}")),
        Err(e) => Err(format!("cannot look up the group {name:?}: {e}")),
    }
}

/// Makes a directory that has the directories of several drop-boxes in it, with the rules for those.
pub fn prepare_parent(path: &Path, role: &str, mode: u32, group: Option<u32>) -> Result<()> {
    make_directory(path, mode, group)?;
    check_directory(path, role)
}

/// Returns whether the directory had to be made.
fn make_directory(path: &Path, mode: u32, group: Option<u32>) -> Result<bool> {
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let parent = path
                .parent()
                .filter(|p| !p.as_os_str().is_empty())
                .unwrap_or(Path::new("."));
            return Err(Error::file("make the directory", path, &e).next(format!(
                "{} is missing: mount it, or make it with mkdir -p.",
                parent.display()
            )));
        }
        Err(e) => {
            let error = Error::file("make the directory", path, &e);
            return Err(error.next(format!(
                "Make it for this user: install -d -o USER -m {mode:04o} {}",
                path.display()
            )));
        }
    }
    let fail = |e: io::Error| Error::file("set the rights of", path, &e);
    if group.is_some() {
        chown(path, None, group).map_err(fail)?;
    }
    // After chown, which takes the set-group-ID bit away.
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(fail)?;
    Ok(true)
}

fn check_directory(path: &Path, role: &str) -> Result<()> {
    let found = fs::symlink_metadata(path).map_err(|e| Error::file("look at", path, &e))?;
    let shown = path.display();
    let refuse = |exit, reason: String, next: String| Err(Error::new(exit, reason).next(next));
    if found.is_symlink() {
        return refuse(
            Exit::CannotCreate,
            format!("the {role} directory {shown} is a symbolic link"),
            format!("Name the directory itself in [{role}] directory, so that nobody can point it elsewhere."),
        );
    }
    if !found.is_dir() {
        return refuse(
            Exit::CannotCreate,
            format!("{shown} is not a directory"),
            format!("Name another [{role}] directory, or move the file away."),
        );
    }
    if !trust::is_ours(found.uid(), trust::effective()) {
        return refuse(
            Exit::Denied,
            format!(
                "the {role} directory {shown} belongs to the user with number {}",
                found.uid()
            ),
            "Run billdrop as that user, or give the directory to this one with chown.".to_owned(),
        );
    }
    if found.mode() & 0o1002 == 0o002 {
        return refuse(
            Exit::Denied,
            format!(
                "everybody may delete in the {role} directory {shown} (mode {:04o})",
                found.mode() & 0o7777
            ),
            "chmod o-w it.".to_owned(),
        );
    }
    Ok(())
}
