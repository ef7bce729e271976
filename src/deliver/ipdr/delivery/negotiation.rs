//! The best collector may switch fields off (IPDR/SP 2.1 §2.13, optional). All collectors of a session share what comes of
//! it.
//!
//! A document has one set of fields from its first record to its last. So while one is open the answer is the template that
//! it has, and the other one comes with the next document that is begun.

use std::sync::Arc;

use super::{Around, Delivery, Encoding};
use crate::{
    deliver::ipdr::Event,
    protocol::ipdr::{
        Body, Capabilities, Collector, ErrorKind, Event as SessionEvent, SessionStopReason, State, Template, Templates,
    },
};

impl Delivery {
    pub(super) fn may_negotiate(&self, peer: usize, around: &mut Around) -> bool {
        let can = |connection: &mut crate::deliver::ipdr::connection::Connection| {
            connection.common.contains(Capabilities::TEMPLATE_NEGOTIATION)
        };
        self.setting.negotiable && self.is_best(peer) && around.links.of_peer(peer).is_some_and(can)
    }

    /// START_NEGOTIATION.
    pub(in crate::deliver::ipdr) fn start_negotiation(&mut self, peer: usize, around: &mut Around) {
        let state = self.session.state(Collector(peer));
        if !self.may_negotiate(peer, around) || state == State::Connected {
            return around.send(peer, self.setting.id, Body::StartNegotiationReject);
        }
        self.stop_reason = Some(SessionStopReason::StartNegotiationAcknowledged);
        self.handle(peer, SessionEvent::FlowStart, around);
        self.stop_reason = None;
    }

    /// MODIFY_TEMPLATE.
    pub(in crate::deliver::ipdr) fn modify(&mut self, peer: usize, asked: &[Template], around: &mut Around) {
        let refusal = if !self.may_negotiate(peer, around) {
            Some(ErrorKind::InvalidForCapabilities)
        } else if self.session.state(Collector(peer)) != State::Initiation {
            Some(ErrorKind::InvalidForState)
        } else {
            None
        };
        if let Some(kind) = refusal {
            return self.send_error(peer, kind, around);
        }
        let template = asked
            .iter()
            .find(|template| template.template_id == self.whole.template_id)
            .and_then(|asked| switched(&self.encoding.template, asked));
        if let Some(template) = template {
            self.want(template, peer, around);
        }
        let answer = Templates {
            config_id: self.encoding.config_id,
            is_negotiable: false,
            templates: vec![(*self.encoding.template).clone()],
        };
        around.send(peer, self.setting.id, Body::ModifyTemplateResponse(answer));
    }

    /// The next document is to be encoded so.
    fn want(&mut self, template: Template, peer: usize, around: &mut Around) {
        if template == *self.wanted.template {
            return;
        }
        let config_id = match template == *self.whole {
            true => 0,
            false => {
                // 0 is that of all fields.
                self.last_config_id = self.last_config_id.checked_add(1).unwrap_or(1);
                self.last_config_id
            }
        };
        self.wanted = Encoding {
            config_id,
            template: Arc::new(template),
        };
        self.is_wanted_new = true;
        let changed = Event::TemplateChanged {
            session: self.setting.name.clone(),
            collector: around.name(peer),
            config_id: self.wanted.config_id,
        };
        around.tell(&changed);
        if self.session.document().is_none() {
            self.asker = Some(peer);
            self.change_templates(None, around);
            self.asker = None;
        }
    }
}

/// `template` with fields on and off as in `asked`; what is not in it stays. [`None`]: no field would be left.
fn switched(template: &Template, asked: &Template) -> Option<Template> {
    let mut template = template.clone();
    for field in &mut template.fields {
        if let Some(asked) = asked.fields.iter().find(|asked| asked.field_id == field.field_id) {
            field.is_enabled = asked.is_enabled;
        }
    }
    template.fields.iter().any(|field| field.is_enabled).then_some(template)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{protocol::ipdr::TemplateNames, record::SAMIS_TYPE_1};

    #[test]
    fn fields_are_switched_by_their_number_and_never_all_off() {
        let definition = &SAMIS_TYPE_1;
        let whole = Template::of(definition, 1, TemplateNames::of(definition)).unwrap();
        let mut asked = whole.clone();
        asked.fields.retain(|field| field.field_id <= 3);
        asked.fields[1].is_enabled = false;
        asked.fields[2].field_id = 9999;
        let changed = switched(&whole, &asked).unwrap();
        let off: Vec<u32> = changed
            .fields
            .iter()
            .filter(|field| !field.is_enabled)
            .map(|field| field.field_id)
            .collect();
        assert_eq!(off, [2]);
        assert_eq!(changed.fields.len(), whole.fields.len());
        assert_eq!(switched(&changed, &whole), Some(whole.clone()));
        let mut none = whole.clone();
        none.fields.iter_mut().for_each(|field| field.is_enabled = false);
        assert_eq!(switched(&whole, &none), None);
    }
}
