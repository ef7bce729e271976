//! What `billdrop check` says of `[ipdr]`.

use std::{net::TcpStream, time::Duration};

use super::super::{counted, setting::Setting};
use super::{configured, sessions, settings};
use crate::{
    config::{IpdrKind, Span},
    deliver::ipdr::CollectorSetting,
};

/// Tells each thing that was looked at: what, whether it is good, and what there is to say.
pub fn look(setting: &Setting, connect: bool, mut tell: impl FnMut(String, bool, String)) {
    let Ok(ipdr) = configured(setting) else { return };
    match sessions(&setting.config, &ipdr) {
        Err(e) => tell("ipdr".to_owned(), false, e.message().to_owned()),
        Ok(planned) => {
            for planned in planned {
                let session = &planned.session;
                let Span(interval) = session.interval;
                let interval = humantime::format_duration(interval);
                let when = match session.kind {
                    IpdrKind::TimeInterval => format!("a document every {interval}"),
                    IpdrKind::Event => format!("polled every {}, a document every {interval}", session.poll),
                    IpdrKind::AdHoc => "a document when one is asked for".to_owned(),
                };
                let says = format!(
                    "{} {} of {}, {when}",
                    planned.setting.id,
                    planned.setting.definition.name,
                    counted(planned.sources.len() as u64, "source")
                );
                tell(format!("session {}", session.name), true, says);
            }
        }
    }
    match settings(&ipdr) {
        Err(e) => tell("ipdr".to_owned(), false, e.message().to_owned()),
        Ok(settings) => {
            let listens = settings
                .listen
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            tell(
                "ipdr".to_owned(),
                true,
                match listens.as_str() {
                    "" => "listens nowhere".to_owned(),
                    listens => format!("listens at {listens}"),
                },
            );
            for collector in &settings.collectors {
                let (good, says) = collector_says(collector, connect, settings.connect_timeout);
                tell(format!("collector {}", collector.name), good, says);
            }
        }
    }
}

fn collector_says(collector: &CollectorSetting, connect: bool, limit: Duration) -> (bool, String) {
    let Some(dial) = &collector.dial else {
        return (true, format!("connects from {}", collector.address));
    };
    let how = if dial.tls.is_some() { "TLS" } else { "plain text" };
    let says = format!("is dialled at {}, {how}", dial.to);
    match connect.then(|| TcpStream::connect_timeout(&dial.to, limit)) {
        None => (true, says),
        Some(Ok(_)) => (true, format!("{says}, answered")),
        Some(Err(e)) => (false, format!("{says}: {e}")),
    }
}
