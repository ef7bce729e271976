//! What the configuration means for the exporter.

use std::net::ToSocketAddrs;

use crate::{
    capture,
    config::{self, Config, Ipdr, IpdrKind, IpdrSession},
    deliver::ipdr::{CollectorSetting, Dial, DialTls, ListenerTls, PriorityOrder, SessionSetting, Settings},
    exit::{Error, Exit, Result},
    protocol::ipdr::{Patience, SessionKind, Template, TemplateNames},
    record::{self, ServiceDefinition},
};

/// Each session has one template: this.
const TEMPLATE: u16 = 1;

/// The exporter's settings. Names of hosts become addresses here, once.
pub fn settings(ipdr: &Ipdr) -> Result<Settings> {
    let address = |text: &String| {
        text.parse().map_err(|_| {
            Error::new(
                Exit::Configuration,
                format!("[ipdr] {text:?} is no address with a port"),
            )
        })
    };
    Ok(Settings {
        listen: ipdr.listen.iter().map(address).collect::<Result<_>>()?,
        discovery: ipdr.discovery.as_ref().map(address).transpose()?,
        tls: ipdr.tls.as_ref().map(|tls| ListenerTls {
            certificate: tls.certificate.clone(),
            key: tls.key.clone(),
            client_ca: tls.client_ca.clone(),
        }),
        keep_alive: ipdr.keep_alive.0,
        vendor_id: ipdr.vendor_id.clone(),
        allow: ipdr.allow.clone(),
        any_collector: ipdr.any_collector,
        order: match ipdr.priority_order {
            config::PriorityOrder::Ascending => PriorityOrder::Ascending,
            config::PriorityOrder::Descending => PriorityOrder::Descending,
        },
        hold_down: ipdr.hold_down.0,
        wait_for_best: ipdr.wait_for_best.0,
        connect_timeout: ipdr.connect_timeout.0,
        reconnect: ipdr.reconnect.0,
        most_connections: ipdr.most_connections as usize,
        most_message: u32::try_from(ipdr.most_message.0).unwrap_or(u32::MAX),
        collectors: ipdr.collector.iter().map(collector).collect::<Result<_>>()?,
        ..Settings::default()
    })
}

fn collector(table: &config::IpdrCollector) -> Result<CollectorSetting> {
    let refuse = |reason: String| {
        let name = &table.name;
        Error::new(Exit::Configuration, format!("[ipdr] collector {name}: {reason}"))
    };
    let dial = table.check().map_err(|found| {
        let reasons: Vec<String> = found
            .into_iter()
            .map(|(key, reason)| format!("{key} {reason}"))
            .collect();
        refuse(reasons.join("; "))
    })?;
    let dial = dial.map(|dial| -> Result<Dial> {
        let mut found = (dial.host.as_str(), dial.port)
            .to_socket_addrs()
            .map_err(|e| refuse(format!("dial: {}: {e}", dial.host)))?;
        let to = found
            .next()
            .ok_or_else(|| refuse(format!("dial: {} has no address", dial.host)))?;
        let tls = dial.tls.map(|mut trust| {
            // What stands in the certificate is a name, and the exporter knows the address only.
            trust.name.get_or_insert(dial.host);
            DialTls {
                trust,
                identity: dial.identity,
            }
        });
        let from = table.source_address;
        Ok(Dial { to, from, tls })
    });
    Ok(CollectorSetting {
        name: table.name.clone(),
        address: table.address,
        initiator: table.initiator_address,
        priority: table.priority,
        dial: dial.transpose()?,
    })
}

/// A session with its sources.
pub struct Planned {
    pub setting: SessionSetting,
    pub session: IpdrSession,
    pub sources: Vec<config::Source>,
}

/// All sessions, each with the one definition that it has.
pub fn sessions(config: &Config, ipdr: &Ipdr) -> Result<Vec<Planned>> {
    ipdr.session
        .iter()
        .enumerate()
        .map(|(index, _)| session(config, ipdr, index))
        .collect()
}

fn session(config: &Config, ipdr: &Ipdr, index: usize) -> Result<Planned> {
    let session = &ipdr.session[index];
    let refuse = |reason: String| {
        let name = &session.name;
        Error::new(Exit::Configuration, format!("[ipdr] session {name}: {reason}"))
    };
    let sources = chosen(config, session).map_err(refuse)?;
    let definition = definition(session, &sources).map_err(refuse)?;
    let names = names(session, definition);
    let (ack_time, ack_records, window, stall) = session.acknowledgements(ipdr);
    let patience = Patience {
        ack_time: ack_time.0,
        stall: stall.0,
        window: window.into(),
        ..Patience::default()
    };
    let patience = Patience {
        // Both ways, and the time that a collector may take, must fit before it counts as silent.
        grace: patience.grace.min((stall.0.saturating_sub(ack_time.0)) / 3),
        ..patience
    };
    let collectors = session.collectors.iter().filter_map(|(name, priority)| {
        let index = ipdr.collector.iter().position(|collector| collector.name == *name)?;
        Some((index, *priority))
    });
    let setting = SessionSetting {
        id: ipdr.session_id(index).unwrap_or(u8::MAX),
        name: session.name.clone(),
        description: match session.description.as_str() {
            "" => format!("{} {}", definition.name, words(session.kind)),
            own => own.to_owned(),
        },
        kind: match session.kind {
            IpdrKind::TimeInterval => SessionKind::TimeInterval,
            IpdrKind::Event => SessionKind::Event,
            IpdrKind::AdHoc => SessionKind::AdHoc,
        },
        definition,
        template_id: TEMPLATE,
        names,
        collectors: (!session.collectors.is_empty()).then(|| collectors.collect()),
        patience,
        ack_records,
        negotiable: session.negotiable,
    };
    Ok(Planned {
        setting,
        session: session.clone(),
        sources,
    })
}

/// The sources of a session; by default all.
pub fn chosen(config: &Config, session: &IpdrSession) -> std::result::Result<Vec<config::Source>, String> {
    let configured = config.sources();
    let unknown = session
        .sources
        .iter()
        .find(|name| !configured.iter().any(|source| source.name() == **name));
    if let Some(unknown) = unknown {
        let known: Vec<&str> = configured.iter().take(20).map(config::Source::name).collect();
        return Err(format!(
            "there is no source {unknown:?}; configured: {}",
            known.join(", ")
        ));
    }
    let is_wanted = |source: &config::Source| {
        session.sources.is_empty() || session.sources.iter().any(|name| name == source.name())
    };
    Ok(configured.into_iter().filter(is_wanted).collect())
}

/// The one definition whose records a session has.
pub fn definition(
    session: &IpdrSession,
    sources: &[config::Source],
) -> std::result::Result<&'static ServiceDefinition, String> {
    let mut given: Vec<&'static ServiceDefinition> = Vec::new();
    for definition in sources.iter().flat_map(|source| capture::gives(source)) {
        if !given.iter().any(|known| known.name == definition.name) {
            given.push(definition);
        }
    }
    let names: Vec<&str> = given.iter().map(|definition| definition.name).collect();
    match (&session.record, given.as_slice()) {
        (Some(name), _) => {
            let known = named(name).ok_or_else(|| format!("record: there is no definition {name:?}"))?;
            match given.iter().any(|definition| definition.name == known.name) {
                true => streamable(known),
                false => Err(format!(
                    "record: none of its sources gives {name}; they give {}",
                    names.join(", ")
                )),
            }
        }
        (None, [one]) => streamable(one),
        (None, []) => Err("it has no source".to_owned()),
        (None, _) => Err(format!(
            "record is missing: its sources give {}, and a session has one of them; make a session for each",
            names.join(", ")
        )),
    }
}

/// `DOCSIS-SAMIS-TYPE-1`, or `SAMIS-TYPE-1`; `InterfaceUsage-Type`, or `InterfaceUsage`.
fn named(name: &str) -> Option<&'static ServiceDefinition> {
    record::definition(name)
        .or_else(|| record::definition(&format!("{name}-Type")))
        .or_else(|| record::definition(&format!("DOCSIS-{name}")))
}

/// # Errors
/// When a field of it is nothing that the protocol has a type for.
fn streamable(definition: &'static ServiceDefinition) -> std::result::Result<&'static ServiceDefinition, String> {
    match Template::of(definition, TEMPLATE, TemplateNames::of(definition)) {
        Ok(_) => Ok(definition),
        Err(e) => Err(e.to_string()),
    }
}

/// How the template calls itself.
fn names(session: &IpdrSession, definition: &ServiceDefinition) -> TemplateNames {
    let usual = TemplateNames::of(definition);
    TemplateNames {
        schema_name: session.schema.clone().unwrap_or(usual.schema_name),
        type_name: session.type_name.clone().unwrap_or(usual.type_name),
    }
}

fn words(kind: IpdrKind) -> &'static str {
    match kind {
        IpdrKind::TimeInterval => "time interval session",
        IpdrKind::Event => "event session",
        IpdrKind::AdHoc => "ad-hoc session",
    }
}
