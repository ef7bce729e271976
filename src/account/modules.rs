//! The modules of an operator's chain, made from the ini and `[accounting]`. The only place where they are put together.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    engine::{CdrFile, Missing},
    event::Event,
    file::{FileAcct, FilePosition, Main},
    module::Module,
    radius::{self, RadAcct},
    sql::SqlAcct,
    status::{Lines, ServerOptions, StatusAcct, StatusServer},
    syslog::{self, SyslogAcct},
};
use crate::config::{
    Accounting, SpoolingModule,
    gatekeeper::{Control, EventKind, Gatekeeper, Link, LinkKind},
};

/// A chain that can log.
pub struct Modules {
    pub links: Vec<Link>,
    /// Each with whether it is caught up later.
    pub modules: Vec<(LinkKind, Arc<dyn Module>, bool)>,
    pub file: Option<Arc<dyn CdrFile>>,
    /// The status port, if it is offered.
    pub server: Option<Arc<StatusServer>>,
}

impl Modules {
    /// Makes the modules ready. Destinations may be down; nothing is sent yet.
    ///
    /// # Errors
    /// Everything in the ini that cannot work, one a line.
    pub fn new(gatekeeper: &Gatekeeper, config: &Accounting, ini: &Path) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        let mut made = Modules {
            links: links(gatekeeper, config),
            modules: Vec::new(),
            file: None,
            server: None,
        };
        if let Some(listen) = config.status_listen {
            match StatusServer::start(server_options(listen, config), gatekeeper) {
                Ok(server) => made.server = Some(Arc::new(server)),
                Err(problem) => problems.push(problem),
            }
        }
        for kind in made.links.iter().map(|link| link.kind).collect::<Vec<_>>() {
            let module = made.module(kind, gatekeeper, config, ini);
            match module {
                Ok(Some(module)) => made.modules.push((kind, module, is_spooled(kind, config))),
                Ok(None) => {}
                Err(mut found) => problems.append(&mut found),
            }
        }
        match problems.is_empty() {
            true => Ok(made),
            false => Err(problems),
        }
    }

    /// Whether the modules could be made, without making what others would see: no file is opened, nothing listens.
    ///
    /// # Errors
    /// As [`Modules::new`].
    pub fn check(gatekeeper: &Gatekeeper, config: &Accounting, ini: &Path) -> Result<(), Vec<String>> {
        let mut made = Modules {
            links: links(gatekeeper, config),
            modules: Vec::new(),
            file: None,
            server: None,
        };
        let kinds: Vec<LinkKind> = made.links.iter().map(|link| link.kind).collect();
        let mut problems = Vec::new();
        for kind in kinds.into_iter().filter(|kind| *kind != LinkKind::FileAcct) {
            if let Err(mut found) = made.module(kind, gatekeeper, config, ini) {
                problems.append(&mut found);
            }
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems),
        }
    }

    /// [`None`]: the engine does it by itself.
    fn module(
        &mut self,
        kind: LinkKind,
        gatekeeper: &Gatekeeper,
        config: &Accounting,
        ini: &Path,
    ) -> Result<Option<Arc<dyn Module>>, Vec<String>> {
        let one = |problem: String| vec![format!("{}: {problem}", ini.display())];
        let home = gatekeeper.home.map(|home| home.to_string()).unwrap_or_default();
        Ok(Some(match kind {
            LinkKind::FileAcct => {
                let Some(options) = &gatekeeper.file else {
                    return Ok(None);
                };
                let main = Main {
                    name: &gatekeeper.name,
                    home: &home,
                    timestamp_format: &gatekeeper.timestamp_format,
                };
                let file = FileAcct::open(options, main).map_err(one)?;
                self.file = Some(Arc::new(Lookup {
                    file: Arc::clone(&file),
                    path: options.detail_file.clone(),
                }));
                file
            }
            LinkKind::RadAcct => {
                let Some(options) = &gatekeeper.radius else {
                    return Ok(None);
                };
                let identity = radius::Identity {
                    name: gatekeeper.name.clone(),
                    home: gatekeeper.home,
                    timestamp_format: gatekeeper.timestamp_format.clone(),
                };
                Arc::new(RadAcct::new(options, &config.radius, &identity).map_err(one)?)
            }
            LinkKind::SqlAcct => {
                let Some(options) = &gatekeeper.sql else {
                    return Ok(None);
                };
                let made = SqlAcct::new(options, gatekeeper, &config.sql, config.lenient);
                let shown = |problem: super::sql::Problem| match problem.line {
                    Some(line) => format!("{}:{line}: {}", ini.display(), problem.message),
                    None => format!("{}: [SQLAcct] {}", ini.display(), problem.message),
                };
                Arc::new(made.map_err(|problems| problems.into_iter().map(shown).collect::<Vec<_>>())?)
            }
            LinkKind::StatusAcct => {
                let Some(options) = &gatekeeper.status else {
                    return Ok(None);
                };
                let lines: Arc<dyn Lines> = match &self.server {
                    Some(server) => Arc::clone(server) as _,
                    None => Arc::new(Nobody),
                };
                Arc::new(StatusAcct::new(options, gatekeeper, lines).map_err(one)?)
            }
            LinkKind::SyslogAcct => {
                let Some(options) = &gatekeeper.syslog else {
                    return Ok(None);
                };
                Arc::new(SyslogAcct::new(options, gatekeeper, Path::new(syslog::SOCKET)).map_err(one)?)
            }
            LinkKind::SpoolAcct | LinkKind::Default(_) => return Ok(None),
        }))
    }
}

/// The ini's chain. Where calls go into the documents without the ini saying so, SpoolAcct stands first, as `optional`: it
/// never fails, and whoever comes after it has the last word, so no verdict is another one.
pub fn links(gatekeeper: &Gatekeeper, config: &Accounting) -> Vec<Link> {
    let mut links = gatekeeper.chain.clone();
    if config.into_spool && !links.iter().any(|link| link.kind == LinkKind::SpoolAcct) {
        let first = Link {
            line: 0,
            kind: LinkKind::SpoolAcct,
            control: Control::Optional,
            events: [EventKind::Stop].into_iter().collect(),
        };
        links.insert(0, first);
    }
    links
}

fn is_spooled(kind: LinkKind, config: &Accounting) -> bool {
    config.spool.iter().any(|module| {
        kind == match module {
            SpoolingModule::FileAcct => LinkKind::FileAcct,
            SpoolingModule::RadAcct => LinkKind::RadAcct,
            SpoolingModule::SqlAcct => LinkKind::SqlAcct,
        }
    })
}

fn server_options(listen: std::net::SocketAddr, config: &Accounting) -> ServerOptions {
    ServerOptions {
        listen,
        allowed: config.status.allowed.clone(),
        max_clients: config.status.max_clients,
        queue: usize::try_from(config.status.queue.0).unwrap_or(usize::MAX),
    }
}

/// Who listens where no status port is offered.
struct Nobody;

impl Lines for Nobody {
    fn send(&self, _: &[u8]) {}
}

/// The CDR file for the engine's start.
struct Lookup {
    file: Arc<FileAcct>,
    path: PathBuf,
}

impl CdrFile for Lookup {
    fn checkpoint(&self) -> io::Result<Vec<u8>> {
        let place = self.file.checkpoint().map_err(io::Error::other)?;
        serde_json::to_vec(&place).map_err(io::Error::other)
    }

    fn missing(&self, place: &[u8], events: &mut dyn Iterator<Item = (Event, String)>) -> io::Result<Missing> {
        let place: Option<FilePosition> = serde_json::from_slice(place).ok();
        // An event without a line is not to be looked for.
        let (mut asked, mut lines) = (Vec::new(), Vec::new());
        for (index, (event, key)) in events.enumerate() {
            if event.kind == EventKind::Stop
                && let Some(line) = self.file.line(&event, &key)
            {
                asked.push(index);
                lines.push(line);
            }
        }
        let recovered = self.file.recover(place.as_ref(), lines).map_err(io::Error::other)?;
        let events: HashSet<usize> = recovered
            .missing
            .iter()
            .filter_map(|n| asked.get(*n))
            .copied()
            .collect();
        Ok(Missing {
            events,
            is_certain: recovered.certain,
        })
    }

    fn path(&self) -> PathBuf {
        self.path.clone()
    }
}
