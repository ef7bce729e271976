//! What is done with each message of a collector.

use super::{
    Event, Exporter,
    connection::{Said, Stage},
    links::error,
    roster::Who,
};
use crate::protocol::ipdr::{
    Body, Capabilities, Connect, ConnectResponse, ErrorKind, Event as SessionEvent, Message, State,
};

/// Messages out of place, of one connection: so many are told, and so many are borne.
const TOLD_ODDITIES: u32 = 3;
const MOST_ODDITIES: u32 = 1000;

impl Exporter {
    pub(super) fn take(&mut self, key: usize, said: Said) {
        let Some(connection) = self.around.links.get(key) else {
            return;
        };
        let is_open = connection.is_open();
        match said {
            Said::Garbage(reason) => self.leave(
                key,
                Some(error(ErrorKind::Decode.general(), &reason.to_string())),
                &reason.to_string(),
            ),
            // Later versions of the protocol have more messages. Others do not stop being understood because of one.
            Said::Unreadable(reason @ crate::protocol::ipdr::DecodeError::UnknownMessage(_)) if is_open => {
                self.odd(key, &reason.to_string());
                self.answer(key, error(reason.answer().of_session(), &reason.to_string()));
            }
            Said::Unreadable(reason) => self.leave(
                key,
                Some(error(reason.answer().general(), &reason.to_string())),
                &reason.to_string(),
            ),
            Said::Message(message) if is_open => self.heed(key, message),
            Said::Message(message) => self.greet(key, message.body),
        }
    }

    /// Before CONNECT is exchanged.
    fn greet(&mut self, key: usize, body: Body) {
        let Some(connection) = self.around.links.get(key) else {
            return;
        };
        let dialled = connection.peer;
        match (body, dialled) {
            (Body::Connect(connect), None) => self.meet(key, &connect),
            // It should only answer. What it says is the same.
            (Body::Connect(connect), Some(peer)) => {
                self.respond(key, connect.capabilities);
                let Connect {
                    keep_alive_seconds,
                    vendor,
                    ..
                } = connect;
                self.welcome(key, peer, keep_alive_seconds, vendor);
            }
            (Body::ConnectResponse(response), Some(peer)) => {
                connection.common = self.capabilities.both(response.capabilities);
                self.welcome(key, peer, response.keep_alive_seconds, response.vendor);
            }
            (Body::KeepAlive, _) => {}
            (Body::Disconnect, _) => self.leave(key, None, "it sent DISCONNECT in place of CONNECT"),
            (Body::Error { description, .. }, _) => {
                self.leave(
                    key,
                    None,
                    &format!("it sent ERROR in place of CONNECT: {description:?}"),
                );
            }
            (_, _) => {
                let reason = "CONNECT must be exchanged first";
                self.leave(key, Some(error(ErrorKind::InvalidForState.general(), reason)), reason);
            }
        }
    }

    /// Somebody who connected to us says who it is.
    fn meet(&mut self, key: usize, connect: &Connect) {
        let links = &mut self.around.links;
        let Some(address) = links.get(key).map(|connection| connection.address) else {
            return;
        };
        let is_connected = |peer| links.is_connected(peer);
        let peer = match self.roster.identify(address.ip(), connect.address, is_connected) {
            Some(Who::Known(peer)) => Some(peer),
            Some(Who::Guest) => self.guest(address.ip()),
            None => None,
        };
        match peer {
            Some(peer) => {
                self.respond(key, connect.capabilities);
                self.welcome(key, peer, connect.keep_alive_seconds, connect.vendor.clone());
            }
            None => {
                let reason = "this collector is not configured here";
                let code = ErrorKind::UNKNOWN_COLLECTOR.general();
                self.refused(
                    address,
                    "it is no collector that is configured, or there is no room for it",
                );
                self.leave(key, Some(error(code, reason)), reason);
            }
        }
    }

    fn respond(&mut self, key: usize, theirs: Capabilities) {
        let common = self.capabilities.both(theirs);
        let response = ConnectResponse {
            capabilities: common,
            keep_alive_seconds: self.keep_alive_seconds(),
            vendor: self.settings.vendor_id.clone(),
        };
        if let Some(connection) = self.around.links.get(key) {
            connection.common = common;
            connection.send(0, Body::ConnectResponse(response), self.around.now);
        }
    }

    /// After CONNECT.
    fn heed(&mut self, key: usize, message: Message) {
        let Some(peer) = self.around.links.get(key).and_then(|connection| connection.peer) else {
            return;
        };
        let id = message.session_id;
        match message.body {
            Body::KeepAlive => {}
            Body::Disconnect => self.leave(key, None, "it sent DISCONNECT"),
            Body::Error { code, description, .. } => {
                let reason = format!("it sent ERROR {:#06x}: {description:?}", code.code());
                self.bear(key, |collector| Event::PeerError {
                    collector,
                    code,
                    description,
                });
                if !code.of_session {
                    self.leave(key, None, &reason);
                }
            }
            Body::GetSessions { request_id } => {
                let offered = self.deliveries.iter().filter(|delivery| delivery.is_for(peer));
                let sessions = offered.map(|delivery| delivery.block()).collect();
                self.answer(key, Body::GetSessionsResponse { request_id, sessions });
            }
            Body::GetTemplates { request_id } => match self.session(peer, id) {
                Some(session) => {
                    let delivery = &self.deliveries[session];
                    let (id, templates) = (delivery.setting.id, delivery.templates(request_id));
                    self.around.send(peer, id, templates);
                }
                None => {
                    let reason = format!("GET_TEMPLATES for session {id}, which there is not for this collector");
                    self.leave(key, Some(error(ErrorKind::UNKNOWN_SESSION.general(), &reason)), &reason);
                }
            },
            Body::FlowStart => {
                // Who writes 0 for its only session reads nothing else.
                if let Some(connection) = self.around.links.get(key) {
                    connection.writes_zero = id == 0;
                }
                self.tell_session(peer, id, SessionEvent::FlowStart);
            }
            Body::FlowStop { reason, info } => {
                tracing::info!(
                    "collector {} stops the flow: {reason}, {info:?}",
                    self.around.name(peer)
                );
                self.tell_session(peer, id, SessionEvent::FlowStop);
            }
            Body::FinalTemplateDataAck => self.tell_session(peer, id, SessionEvent::FinalTemplateDataAck),
            Body::DataAck { sequence, .. } => self.tell_session(peer, id, SessionEvent::DataAck { sequence }),
            Body::StartNegotiation => {
                if let Some(session) = self.session_or_error(peer, id) {
                    self.deliveries[session].start_negotiation(peer, &mut self.around);
                }
            }
            Body::ModifyTemplate(asked) => {
                if let Some(session) = self.session_or_error(peer, id) {
                    self.deliveries[session].modify(peer, &asked.templates, &mut self.around);
                }
            }
            Body::Connect(_) | Body::ConnectResponse(_) => {
                let reason = "CONNECT is exchanged already";
                self.leave(key, Some(error(ErrorKind::InvalidForState.general(), reason)), reason);
            }
            Body::Request(_) => {
                self.odd(key, "it sent REQUEST, of which we know nothing");
                let kind = ErrorKind::InvalidForCapabilities;
                self.around
                    .send_session_error(peer, id, kind, "REQUEST is not supported");
            }
            Body::Response(_)
            | Body::SessionStart(_)
            | Body::SessionStop { .. }
            | Body::TemplateData(_)
            | Body::GetSessionsResponse { .. }
            | Body::GetTemplatesResponse { .. }
            | Body::ModifyTemplateResponse(_)
            | Body::StartNegotiationReject
            | Body::Data(_) => {
                self.odd(key, "it sent a message that only an exporter sends");
                let kind = ErrorKind::InvalidForState;
                self.around
                    .send_session_error(peer, id, kind, "only an exporter sends this message");
            }
        }
    }

    fn tell_session(&mut self, peer: usize, id: u8, event: SessionEvent) {
        if let Some(session) = self.session_or_error(peer, id) {
            self.deliveries[session].handle(peer, event, &mut self.around);
        }
    }

    /// The session of a header, or an answer that there is none.
    fn session_or_error(&mut self, peer: usize, id: u8) -> Option<usize> {
        let session = self.session(peer, id);
        if session.is_none() {
            let kind = ErrorKind::UNKNOWN_SESSION;
            self.around
                .send_session_error(peer, id, kind, "there is no such session for this collector");
        }
        session
    }

    /// The session of a header, if it is for this collector. 0 is the only one, or the only one whose flow it has started.
    fn session(&self, peer: usize, id: u8) -> Option<usize> {
        let offered = || self.deliveries.iter().enumerate().filter(|(_, one)| one.is_for(peer));
        if let Some((session, _)) = offered().find(|(_, one)| one.setting.id == id) {
            return Some(session);
        }
        let has_flow = |state| matches!(state, State::Initiation | State::Ready | State::Active);
        let flowing = || offered().filter(|(_, one)| has_flow(one.state(peer)));
        let only = match (id, offered().count(), flowing().count()) {
            (0, 1, _) => offered().next(),
            (0, _, 1) => flowing().next(),
            _ => None,
        };
        only.map(|(session, _)| session)
    }

    fn answer(&mut self, key: usize, body: Body) {
        if let Some(connection) = self.around.links.get(key)
            && !matches!(connection.stage, Stage::Leaving { .. })
        {
            connection.send(0, body, self.around.now);
        }
    }

    fn odd(&mut self, key: usize, what: &str) {
        let what = what.to_owned();
        self.bear(key, |collector| Event::Odd { collector, what });
    }

    /// A collector did what is not meant to happen. It may stay unless it does little else.
    fn bear(&mut self, key: usize, event: impl FnOnce(String) -> Event) {
        let oddity = self.around.links.get(key).and_then(|connection| {
            connection.oddities += 1;
            Some((connection.peer?, connection.oddities))
        });
        match oddity {
            Some((peer, ..=TOLD_ODDITIES)) => {
                let event = event(self.around.name(peer));
                self.around.tell(&event);
            }
            Some((_, oddities)) if oddities > MOST_ODDITIES => {
                let reason = "too many messages that are not allowed";
                self.leave(key, Some(error(ErrorKind::InvalidForState.general(), reason)), reason);
            }
            Some(_) | None => {}
        }
    }
}
