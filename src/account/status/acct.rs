//! `StatusAcct`: a line to every client of the status port for each event.

use std::sync::Arc;

use crate::{
    account::{
        event::{Event, EventKind, Events, Subject},
        module::{Attempt, Module, Outcome},
        parameters::{Context, Parameter, write_id, write_value},
        template::Template,
        timestamp::TimestampFormat,
        uuid,
    },
    config::gatekeeper,
};

/// Where lines go.
pub trait Lines: Send + Sync {
    /// `line` without its end, to everybody who wants event lines. Returns at once; who is not fast enough gets none.
    fn send(&self, line: &[u8]);
}

/// Writes lines as the gatekeeper's own module does. Never fails: nobody has to listen.
pub struct StatusAcct {
    templates: Vec<(EventKind, Template)>,
    timestamps: TimestampFormat,
    gatekeeper: String,
    home: String,
    lines: Arc<dyn Lines>,
}

impl StatusAcct {
    /// # Errors
    /// When the time format cannot be one.
    pub fn new(
        options: &gatekeeper::StatusAcct,
        of: &gatekeeper::Gatekeeper,
        lines: Arc<dyn Lines>,
    ) -> Result<Self, String> {
        let format = options.timestamp_format.as_ref().unwrap_or(&of.timestamp_format);
        Ok(StatusAcct {
            templates: options
                .templates
                .iter()
                .map(|(kind, text)| (*kind, Template::parse(text)))
                .collect(),
            timestamps: TimestampFormat::parse(format).map_err(|e| format!("[StatusAcct] TimestampFormat: {e}"))?,
            gatekeeper: of.name.clone(),
            home: of.home.map(|home| home.to_string()).unwrap_or_default(),
            lines,
        })
    }
}

impl Module for StatusAcct {
    fn name(&self) -> &'static str {
        "StatusAcct"
    }

    fn supported(&self) -> Events {
        EventKind::ALL
            .into_iter()
            .filter(|kind| !matches!(kind, EventKind::On | EventKind::Off))
            .collect()
    }

    fn log(&self, event: &Event, attempt: &Attempt<'_>) -> Outcome {
        let Some((_, template)) = self.templates.iter().find(|(kind, _)| *kind == event.kind) else {
            return Outcome::Ok;
        };
        let uuid = uuid::of(event, attempt.key);
        let context = Context {
            gatekeeper: &self.gatekeeper,
            home: &self.home,
            timestamps: &self.timestamps,
            uuid: &uuid,
            now: event.time.clone(),
        };
        let mut line = Vec::with_capacity(256);
        template.render_with(event, &mut line, |parameter, out| match (parameter, &event.subject) {
            // Only here the gatekeeper writes it with dashes.
            (Parameter::CallId, Subject::Call(call)) => write_id(call.call_id.as_ref(), b'-', out),
            _ => write_value(parameter, event, &context, out),
        });
        if !line.is_empty() {
            self.lines.send(&line);
        }
        Outcome::Ok
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        account::status::event_of,
        protocol::gatekeeper_status::{Item, Reader},
    };

    #[derive(Default)]
    struct Kept(Mutex<Vec<Vec<u8>>>);

    impl Lines for Kept {
        fn send(&self, line: &[u8]) {
            self.0.lock().unwrap().push(line.to_vec());
        }
    }

    /// The lines that a recorded feed gives with these templates.
    fn lines(recording: &[u8], templates: Vec<(EventKind, String)>) -> Vec<String> {
        let options = gatekeeper::StatusAcct {
            timestamp_format: Some("MySQL".into()),
            templates,
        };
        let kept = Arc::new(Kept::default());
        let module = StatusAcct::new(
            &options,
            &crate::account::status::server::tests::gatekeeper(),
            kept.clone(),
        )
        .unwrap();
        let (mut reader, mut items) = (Reader::new(), Vec::new());
        reader.take(recording, &mut items);
        for item in &items {
            let Item::Record(record) = item else { continue };
            let event = event_of(record).unwrap();
            assert!(module.supported().contains(event.kind));
            let attempt = Attempt {
                key: &record.uuid,
                again: false,
            };
            assert_eq!(module.log(&event, &attempt), Outcome::Ok);
        }
        let kept = kept.0.lock().unwrap();
        kept.iter()
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    #[test]
    fn the_gatekeepers_default_templates_give_its_lines() {
        let call = |name: &str| {
            format!("CALL|{name}|%{{caller-ip}}:%{{caller-port}}|%{{callee-ip}}:%{{callee-port}}|%{{CallId}}")
        };
        let recording = include_bytes!("../../../fixtures/gnugk/feed-rejected.bin");
        let lines = lines(
            recording,
            vec![
                (EventKind::Reject, call("Reject")),
                (
                    EventKind::Register,
                    "EP|Register|%{endpoint-ip}:%{endpoint-port}|%{aliases}".into(),
                ),
            ],
        );
        assert_eq!(
            lines[..3],
            [
                "EP|Register|127.0.0.1:11820|bob,2002",
                "EP|Register|127.0.0.1:11830|al|ice,1001",
                "CALL|Reject|:0|:0|06-6f-3f-1b-ee-e4-f1-11-80-e6-02-fc-00-00-00-01",
            ]
        );
    }

    #[test]
    fn only_the_call_id_has_dashes_and_an_empty_template_sends_nothing() {
        let recording = include_bytes!("../../../fixtures/gnugk/feed-unanswered.bin");
        let lines = lines(
            recording,
            vec![
                (
                    EventKind::Start,
                    "%{CallId} %{ConfId} %{setup-time} %g %{event-uuid}".into(),
                ),
                (EventKind::Stop, String::new()),
            ],
        );
        assert_eq!(
            lines[0],
            "cc-f0-f1-20-ee-e4-f1-11-8c-b2-02-fc-00-00-00-01 d6 f0 f1 20 ee e4 f1 11 8c b2 02 fc 00 00 00 01 \
             2026-11-22 15:24:43 example-gk 94d7f220-eee4-f111-83b7-02fc00000001"
        );
        assert_eq!(lines.len(), 2, "live and from the backlog");
    }
}
