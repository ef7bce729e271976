//! What a collector says on one connection.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::{Duration, Instant},
};

use super::{
    acknowledging::Run,
    log::{Log, State},
    message::{self, Data, Message, SessionStart, Template, number},
    script::{Act, Order, Script, When},
    value,
    wire::Wire,
};

/// How a connection ended.
#[derive(Debug, PartialEq)]
pub enum End {
    /// By the exporter, or by what it sent.
    Theirs(String),
    /// By a misdeed of ours.
    Ours(Act),
    /// The test is over.
    Over,
}

type Result<T> = std::result::Result<T, End>;

pub struct Conversation<'a> {
    pub who: &'a str,
    pub script: &'a Script,
    pub log: &'a Log,
    pub orders: &'a Receiver<Order>,
    /// Misdeeds that are still to be done.
    pub misdeeds: &'a mut Vec<(When, Act)>,
    /// Documents that were begun in this collector's life: the next is acknowledged in the next way.
    pub documents: &'a mut usize,
    wire: Wire,
    unread: Vec<u8>,
    sessions: BTreeMap<u8, Session>,
    received: u64,
    /// What the exporter tolerates, from the message that it announced it in.
    silence: Option<Duration>,
    spoken: Instant,
    mute: bool,
    is_slow: bool,
    may_start: bool,
}

#[derive(Default)]
struct Session {
    config_id: u16,
    templates: Vec<Template>,
    /// The document that is received, or the last one that was.
    run: Option<Run>,
    /// After FLOW_STOP: what was on its way is passed over, until templates come again.
    passes_over: bool,
    /// FLOW_START was sent, and no FLOW_STOP after it.
    flows: bool,
}

impl<'a> Conversation<'a> {
    pub fn new(
        (who, script, log): (&'a str, &'a Script, &'a Log),
        orders: &'a Receiver<Order>,
        misdeeds: &'a mut Vec<(When, Act)>,
        documents: &'a mut usize,
        wire: Wire,
    ) -> Self {
        Conversation {
            who,
            script,
            log,
            orders,
            misdeeds,
            documents,
            wire,
            unread: Vec::new(),
            sessions: BTreeMap::new(),
            received: 0,
            silence: None,
            spoken: Instant::now(),
            mute: false,
            is_slow: false,
            may_start: true,
        }
    }

    /// To its end.
    pub fn hold(mut self) -> End {
        let end = match self.speak() {
            Err(end) => end,
            Ok(never) => match never {},
        };
        if end == End::Ours(Act::Reset) {
            self.wire.reset();
        }
        end
    }

    fn speak(&mut self) -> Result<std::convert::Infallible> {
        self.reach(When::Accepted, 0)?;
        if !self.script.is_dialled {
            self.connect()?;
        }
        let mut piece = vec![0; self.script.piece];
        loop {
            let most = if self.is_slow { 256 } else { self.script.piece };
            let read = self
                .wire
                .read(&mut piece[..most])
                .map_err(|error| End::Theirs(error.to_string()))?;
            self.unread.extend_from_slice(&piece[..read]);
            let mut at = 0;
            while let Some((session, message, length)) = message::next(&self.unread[at..]).map_err(|error| {
                self.log.tell(|seen| seen.fault(self.who, error.clone()));
                End::Theirs(error)
            })? {
                at += length;
                self.take(session, message)?;
            }
            self.unread.drain(..at);
            self.look_at_timers()?;
            match self.orders.try_recv() {
                Ok(order) => self.obey(order)?,
                Err(TryRecvError::Disconnected) => return Err(End::Over),
                Err(TryRecvError::Empty) => {}
            }
        }
    }

    fn connect(&mut self) -> Result<()> {
        let local = self.wire.local_address();
        let address = match self.script.initiator_address.unwrap_or(local.ip()) {
            IpAddr::V4(address) => address.octets(),
            IpAddr::V6(_) => [0; 4],
        };
        let vendor = match self.script.vendor_has_length {
            true => message::string("billdrop tests"),
            false => b"billdrop tests".to_vec(),
        };
        let port = self.u16(local.port());
        let (capabilities, keep_alive) = self.abilities();
        self.say(
            number::CONNECT,
            0,
            &[&address, &port, &capabilities, &keep_alive, &vendor],
        )
    }

    fn abilities(&self) -> ([u8; 4], [u8; 4]) {
        (
            self.script.capabilities.to_be_bytes(),
            self.script.keep_alive.to_be_bytes(),
        )
    }

    fn take(&mut self, session: u8, message: Message) -> Result<()> {
        let who = self.who;
        if !matches!(message, Message::Data(_) | Message::KeepAlive) {
            let text = format!("{message:?}");
            self.log.tell(|seen| seen.note(who, text.chars().take(160).collect()));
        }
        match message {
            Message::Connect { keep_alive, .. } if self.script.is_dialled => {
                let (capabilities, tolerated) = self.abilities();
                let vendor = message::string("billdrop tests");
                self.say(number::CONNECT_RESPONSE, 0, &[&capabilities, &tolerated, &vendor])?;
                self.connected(keep_alive)
            }
            Message::ConnectResponse {
                keep_alive,
                capabilities,
                ..
            } if !self.script.is_dialled => {
                if capabilities & !self.script.capabilities != 0 {
                    self.fault(format!("answers capabilities {capabilities:#x} that were not offered"));
                }
                self.connected(keep_alive)
            }
            Message::SessionsResponse { request, sessions } => {
                if request != self.u16(0x10) {
                    self.fault(format!("echoes the request as {request:02x?}"));
                }
                let ids: Vec<u8> = sessions.iter().map(|session| session.id).collect();
                self.log.tell(|seen| seen.offered = sessions);
                self.reach(When::Listed, 0)?;
                let wanted = self.script.sessions.clone().unwrap_or(ids);
                for session in wanted {
                    self.say(number::GET_TEMPLATES, session, &[&self.u16(0x20)])?;
                    self.start(session)?;
                }
                Ok(())
            }
            Message::TemplatesResponse { request, .. } => {
                if request != self.u16(0x20) {
                    self.fault(format!("echoes the request as {request:02x?}"));
                }
                Ok(())
            }
            Message::TemplateData {
                config_id, templates, ..
            } => self.templates(session, config_id, templates),
            Message::SessionStart(start) => self.session_start(session, start),
            Message::Data(data) => self.data(session, data),
            Message::SessionStop { reason, .. } => self.session_stop(session, reason),
            Message::KeepAlive => {
                self.log.tell(|seen| seen.keep_alives += 1);
                self.all_due()
            }
            Message::Error { code, description, .. } => {
                self.log.tell(|seen| seen.errors.push(code));
                match code & 0x8000 {
                    0 => Err(End::Theirs(format!("ERROR {code}, {description}"))),
                    _ => Ok(()),
                }
            }
            Message::Disconnect => Err(End::Theirs("DISCONNECT".to_owned())),
            Message::ModifyTemplateResponse { .. } | Message::StartNegotiationReject => Ok(()),
            unexpected => {
                self.fault(format!("{unexpected:?} is not for us"));
                Ok(())
            }
        }
    }

    fn connected(&mut self, keep_alive: u32) -> Result<()> {
        self.silence = (keep_alive > 0).then(|| Duration::from_secs(keep_alive.into()));
        let who = self.who;
        self.log.tell(|seen| {
            seen.connections += 1;
            seen.enter(who, 0, State::Connected);
        });
        self.reach(When::Connected, 0)?;
        if self.script.asks {
            return self.say(number::GET_SESSIONS, 0, &[&self.u16(0x10)]);
        }
        let wanted = self.script.sessions.clone().expect("it asks, or knows the sessions");
        wanted.into_iter().try_for_each(|session| self.start(session))
    }

    fn start(&mut self, session: u8) -> Result<()> {
        if !self.may_start {
            return Ok(());
        }
        self.sessions.entry(session).or_default().flows = true;
        self.say(number::FLOW_START, session, &[])?;
        self.enter(session, State::FlowStarted);
        self.reach(When::FlowStarted, session)
    }

    fn templates(&mut self, id: u8, config_id: u16, templates: Vec<Template>) -> Result<()> {
        if templates.is_empty() {
            self.fault("sends no template".to_owned());
        }
        self.log
            .tell(|seen| seen.templates.insert(id, (config_id, templates.clone())));
        let Some(session) = self.sessions.get_mut(&id) else {
            self.fault(format!("sends templates of the session {id}, which nobody has started"));
            return Ok(());
        };
        if !session.flows {
            return Ok(());
        }
        (session.config_id, session.templates) = (config_id, templates);
        session.passes_over = false;
        self.reach(When::Templated, id)?;
        if self.passes_over(id) {
            return Ok(());
        }
        self.say(number::FINAL_TEMPLATE_DATA_ACK, id, &[])?;
        self.enter(id, State::Ready);
        self.reach(When::Ready, id)
    }

    fn session_start(&mut self, id: u8, start: SessionStart) -> Result<()> {
        if self.passes_over(id) {
            return Ok(());
        }
        let who = self.who;
        let Some(session) = self
            .sessions
            .get_mut(&id)
            .filter(|session| !session.templates.is_empty())
        else {
            self.fault(format!("starts the session {id}, which has no templates"));
            return Ok(());
        };
        if session.run.as_ref().is_some_and(|run| !run.is_stopped) {
            self.log
                .tell(|seen| seen.fault(who, "starts a session that is started".to_owned()));
        }
        let acks = self.script.acks[*self.documents % self.script.acks.len()];
        *self.documents += 1;
        let index = self.log.tell(|seen| {
            let index = seen.started(who, id, &start);
            seen.enter(who, id, State::Active);
            index
        });
        session.run = Some(Run::new(index, &start, acks));
        self.reach(When::SessionStarted, id)
    }

    fn data(&mut self, id: u8, data: Data) -> Result<()> {
        if self.passes_over(id) {
            return Ok(());
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            self.fault(format!("sends a record of session {id}"));
            return Ok(());
        };
        let Some(run) = session.run.as_mut().filter(|run| !run.is_stopped) else {
            self.fault(format!(
                "sends record {} of session {id}, which is not started",
                data.sequence
            ));
            return Ok(());
        };
        let fault = match session
            .templates
            .iter()
            .find(|template| template.id == data.template_id)
        {
            _ if data.config_id != session.config_id => Some(format!("configId {}", data.config_id)),
            None => Some(format!("template {} is unknown", data.template_id)),
            Some(template) => value::check_record(&template.fields, &data.record).err(),
        };
        let sequence = data.sequence;
        let in_order = sequence == run.next;
        run.take();
        let document = run.document;
        if let Some(fault) = fault {
            self.fault(format!("record {sequence}: {fault}"));
        }
        if !in_order {
            self.fault(format!("record {sequence} is out of order"));
            return Err(End::Theirs("out of order".to_owned()));
        }
        let who = self.who;
        self.log.tell(|seen| seen.received(who, document, data));
        self.received += 1;
        self.reach(When::Records(self.received), id)?;
        self.due(id, false)
    }

    fn session_stop(&mut self, id: u8, reason: u16) -> Result<()> {
        if self.passes_over(id) {
            return Ok(());
        }
        let who = self.who;
        let Some(run) = self.sessions.get_mut(&id).and_then(|session| session.run.as_mut()) else {
            // Before the first document there is nothing to end.
            return Ok(());
        };
        if run.is_stopped {
            self.log
                .tell(|seen| seen.fault(who, format!("ends session {id}, which is not started")));
            return Ok(());
        }
        run.is_stopped = true;
        let document = run.document;
        self.log.tell(|seen| {
            seen.documents[document].stops.push((who.to_owned(), reason));
            seen.enter(who, id, State::Ready);
        });
        self.due(id, true)?;
        if self.script.stops_for_ever {
            self.may_start = false;
            self.say(
                number::FLOW_STOP,
                id,
                &[&0u16.to_be_bytes(), &message::string("that was all")],
            )?;
            self.stop_flow(id);
        }
        self.reach(When::SessionStopped, id)
    }

    /// Acknowledges what is due in this session; `all`: whatever was received.
    fn due(&mut self, id: u8, all: bool) -> Result<()> {
        if self.mute {
            return Ok(());
        }
        let Some(session) = self.sessions.get_mut(&id) else {
            return Ok(());
        };
        let (Some(run), config_id) = (&mut session.run, session.config_id) else {
            return Ok(());
        };
        let (document, numbers) = (run.document, run.due(all));
        for number in numbers {
            if let Some(records) = run.acknowledge(number) {
                // Before it is sent: what it is sent for is safe here, whatever becomes of the connection.
                self.log.tell(|seen| seen.acknowledged(document, records));
            }
            let config_id = match self.script.is_little_endian {
                true => config_id.to_le_bytes(),
                false => config_id.to_be_bytes(),
            };
            let ack = message::write(number::DATA_ACK, id, &[&config_id, &number.to_be_bytes()]);
            self.wire.write(&ack).map_err(|error| End::Theirs(error.to_string()))?;
            self.spoken = Instant::now();
        }
        Ok(())
    }

    fn all_due(&mut self) -> Result<()> {
        let ids: Vec<u8> = self.sessions.keys().copied().collect();
        ids.into_iter().try_for_each(|id| self.due(id, true))
    }

    fn look_at_timers(&mut self) -> Result<()> {
        let ids: Vec<u8> = self.sessions.keys().copied().collect();
        ids.into_iter().try_for_each(|id| self.due(id, false))?;
        if self.silence.is_some_and(|silence| self.spoken.elapsed() >= silence / 3) {
            self.say(number::KEEP_ALIVE, self.script.keep_alive_session, &[])?;
        }
        Ok(())
    }

    /// Does what the script has for this point.
    fn reach(&mut self, when: When, session: u8) -> Result<()> {
        let Some(index) = self.misdeeds.iter().position(|(at, _)| *at == when) else {
            return Ok(());
        };
        let (_, act) = self.misdeeds.remove(index);
        self.act(act, session)
    }

    fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Do(act) => {
                let session = self.sessions.keys().next().copied().unwrap_or(0);
                self.act(act, session)
            }
            Order::GoOn => {
                self.mute = false;
                let ids: Vec<u8> = self.sessions.keys().copied().collect();
                for id in ids {
                    if self.log.seen().state(self.who, id) == State::Connected {
                        self.start(id)?;
                    }
                }
                Ok(())
            }
            Order::End => Err(End::Over),
        }
    }

    fn act(&mut self, act: Act, session: u8) -> Result<()> {
        let who = self.who;
        self.log
            .tell(|seen| seen.note(who, format!("does {act:?} in session {session}")));
        let error = |code: u16| {
            [
                &1_700_000_000u32.to_be_bytes()[..],
                &code.to_be_bytes(),
                &message::string("told to"),
            ]
            .concat()
        };
        let flow_stop = |reason: u16| [&reason.to_be_bytes()[..], &message::string("told to")].concat();
        match act {
            Act::Reset | Act::Finish => return Err(End::Ours(act)),
            Act::Disconnect => {
                self.say(number::DISCONNECT, 0, &[])?;
                return Err(End::Ours(act));
            }
            Act::Error(code) => {
                self.say(number::ERROR, session, &[&error(code)])?;
                return Err(End::Ours(act));
            }
            Act::Everything => {
                self.say(number::FLOW_STOP, session, &[&flow_stop(1)])?;
                self.say(number::ERROR, session, &[&error(3)])?;
                self.say(number::DISCONNECT, 0, &[])?;
                return Err(End::Ours(act));
            }
            Act::SessionError(code) => {
                self.say(number::ERROR, session, &[&error(0x8000 | code)])?;
            }
            Act::FlowStop(reason) => {
                self.say(number::FLOW_STOP, session, &[&flow_stop(reason)])?;
                self.stop_flow(session);
            }
            Act::Restart => {
                self.say(number::FLOW_STOP, session, &[&flow_stop(0)])?;
                self.stop_flow(session);
                self.start(session)?;
            }
            Act::Hang => loop {
                match self.orders.recv_timeout(Duration::from_secs(600)) {
                    Ok(Order::GoOn) => break,
                    Ok(Order::End) | Err(RecvTimeoutError::Disconnected) => return Err(End::Over),
                    Ok(Order::Do(act @ (Act::Reset | Act::Finish))) => return Err(End::Ours(act)),
                    Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                }
            },
            Act::Slow => {
                self.wire.narrow();
                self.is_slow = true;
            }
            Act::Mute => self.mute = true,
            Act::StartUnknown(session) => self.say(number::FLOW_START, session, &[])?,
        }
        Ok(())
    }

    fn stop_flow(&mut self, id: u8) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.passes_over = true;
            session.flows = false;
            session.run = None;
        }
        self.enter(id, State::Connected);
    }

    fn passes_over(&self, id: u8) -> bool {
        self.sessions.get(&id).is_some_and(|session| session.passes_over)
    }

    fn enter(&mut self, session: u8, state: State) {
        let who = self.who;
        self.log.tell(|seen| seen.enter(who, session, state));
    }

    fn fault(&self, text: String) {
        self.log.tell(|seen| seen.fault(self.who, text));
    }

    fn u16(&self, number: u16) -> [u8; 2] {
        match self.script.is_little_endian {
            true => number.to_le_bytes(),
            false => number.to_be_bytes(),
        }
    }

    fn say(&mut self, number: u8, session: u8, body: &[&[u8]]) -> Result<()> {
        let message = message::write(number, session, body);
        self.wire
            .write(&message)
            .map_err(|error| End::Theirs(error.to_string()))?;
        self.spoken = Instant::now();
        Ok(())
    }
}
